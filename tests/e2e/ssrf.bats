#!/usr/bin/env bats
# Video URLs that a service must not make the program ask; the table is in ssrf.py.
load helper

setup() { DIR=$(mktemp -d "${BATS_TEST_TMPDIR:-/tmp}/ssrf.XXXXXX"); }
teardown() { end_directory; }

@test "URLs and names of forbidden addresses, written in every way and by redirect: no connection is tried" {
    unshare --mount --net true 2>/dev/null || skip "a network of its own needs root"
    strace -qq -o /dev/null true || skip "strace cannot trace here"
    run unshare --mount --net "$ROOT/tests/e2e/own_mounts.sh" "$DIR" "$PYTHON" "$ROOT/tests/e2e/ssrf.py" "$DIR" 3>&-
    sed 's/^/#   /' <<<"$output" >&3
    [ "$status" -eq 0 ]
}
