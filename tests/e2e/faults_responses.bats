#!/usr/bin/env bats
# responses to a create that are wrong in themselves: as HTTP, as JSON, or as a task. See faults_create.bats.
load faults

@test "create: truncated; wrong, doubled, negative, huge lengths; bad chunks; too many bytes: unknown" {
    create_rows < <(bad_lengths; surplus_bytes '$bad')
    unknown_for_good
}

@test "create: a header line of 1 MB, 100,000 headers, CR LF NUL inside, no status line: unknown" {
    create_rows < <(bad_headers)
    unknown_for_good
}

@test "create: gzip that nobody asked for; 10 MB that unpack to 10 GB: unknown" {
    mount_fs
    local memory
    memory=$(memory_most_kib)
    create_rows < <(compressed)
    rows unknown
    memory_is_bounded "$memory"
    unknown_for_good
}

@test "create: 2xx without a usable id; HTML; empty: unknown, raw body kept" {
    create_rows < <(no_tasks)
    rows unknown
    rows kept
    unknown_for_good
    rows kept
}

@test "create: 64 MiB, depth 100,000, NUL, bad UTF-8, BOM, two keys, junk, 1e999: unknown, raw body kept" {
    mount_fs
    local memory
    memory=$(memory_most_kib)
    create_rows < <(bad_json)
    rows unknown
    rows kept
    memory_is_bounded "$memory"
    unknown_for_good
    rows kept
}

@test "create: an odd response with a usable id is a task: what was paid for is not thrown away" {
    create_rows <<'END'
s201|{"status":201}|
s202|{"status":202}|
s299|{"status":299}|
chunked|{"chunked":true}|
same-length-twice|{"raw":"HTTP/1.1 200 OK\r\nContent-Length: 14\r\nContent-Length: 14\r\n\r\n{\"id\":\"cgt-1\"}"}|
interim|{"raw":"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{\"id\":\"cgt-2\"}"}|
status-number|{"task":{"status":7}}|
status-word|{"task":{"status":"dreaming"}}|
status-missing|{"task":{"status":null}}|
status-failed|{"task":{"status":"failed"}}|
model-number|{"task":{"model":7,"created":"yesterday","object":[]}}|
more-fields|{"task":{"extra":{"a":[1,2,3]},"error":null,"message":""}}|
text-type|{"headers":{"Content-Type":"text/html"}}|
identity|{"headers":{"Content-Encoding":"identity"}}|
END
    sleep 1
    rows creates 1
    rows has_task
}
