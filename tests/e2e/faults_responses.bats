#!/usr/bin/env bats
# Responses to a create that are wrong in themselves: as HTTP, as JSON, or as a task. See faults_create.bats.
load faults

@test "create: truncated; wrong, doubled, negative, huge lengths; bad chunks; too many bytes: unknown" {
    play create lengths surplus
}

@test "create: a header line of 1 MB, 100,000 headers, CR LF NUL inside, no status line: unknown" {
    play create headers
}

create_unknown() {
    create_rows "$@"
    rows unknown
}

@test "create: gzip that nobody asked for; 10 MB that unpack to 10 GB: unknown" {
    in_bounded_memory create_unknown compressed
    unknown_for_good
}

@test "create: 2xx without a usable id; HTML; empty: unknown, raw body kept" {
    play create no-task
    rows kept
}

@test "create: 64 MiB, depth 100,000, NUL, bad UTF-8, BOM, two keys, junk, 1e999: unknown, raw body kept" {
    in_bounded_memory create_unknown json
    unknown_for_good
    rows kept
}

@test "create: an odd response with a usable id is a task: what was paid for is not thrown away" {
    play create odd-but-usable
}
