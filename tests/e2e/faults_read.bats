#!/usr/bin/env bats
# What the media host may do wrong, in every phase of reading; the table is in faults_read.py.
# Each test may take 600 s.
load helper

setup() { DIR=$(mktemp -d "${BATS_TEST_TMPDIR:-/tmp}/faults.XXXXXX"); }
teardown() { end_directory; }

# faults SET...   the sets at the same time: one of them mostly waits for deadlines
faults() {
    local set pids=() code=0
    for set in "$@"; do
        mkdir "$DIR/$set"
        "$PYTHON" "$ROOT/tests/e2e/faults_read.py" "$DIR/$set" "$set" >"$DIR/$set.out" 2>&1 3>&- &
        pids+=($!)
    done
    for set in "$@"; do
        wait "${pids[0]}" || code=1
        pids=("${pids[@]:1}")
        sed 's/^/#   /' "$DIR/$set.out" >&3
    done
    [ "$code" -eq 0 ]
}

# S-READ-1: `output.mp4` and `cover.jpg` hold exactly the bytes at the service's URLs, in whatever order they are
#   read.
# S-READ-3: The program sends only GET requests to the media host, and never shows it the API key.
# S-READ-5: When the bytes are not available, the read fails with EIO; a read never returns wrong bytes.
@test "S-READ-1 S-READ-3 S-READ-5: each fault, once and always, in four phases: right bytes or its errno" {
    faults fast slow
}

# S-READ-4: When the URL has expired, the service is asked once for a new one, and reading continues.
@test "S-READ-4: 64 readers of a URL that has expired: one refresh, no create" {
    faults expired
}
