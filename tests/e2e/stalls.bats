#!/usr/bin/env bats
# 200 readers of a media host that never answers hold nobody else up. EINTR and O_DIRECT: readers.bats.
load helper

setup() { DIR=$(mktemp -d "${BATS_TEST_TMPDIR:-/tmp}/stalls.XXXXXX"); }
teardown() { end_directory; }

@test "200 stalled readers: commands, a cached video, killed readers and the daemon's end do not wait" {
    run "$PYTHON" "$ROOT/tests/e2e/stalls.py" "$DIR" 3>&-
    sed 's/^/#   /' <<<"$output" >&3
    [ "$status" -eq 0 ]
}
