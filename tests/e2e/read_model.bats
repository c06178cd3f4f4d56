#!/usr/bin/env bats
# Random reads against known bytes while the host, the URLs, the daemon and its cache fail.
#   READS=5000000 SEED=42 bats tests/e2e/read_model.bats
load helper

setup_file() {
    "${CC:-cc}" -std=c17 -O2 -D_GNU_SOURCE -Wall -Wextra -pthread -o "$BATS_FILE_TMPDIR/read_model" \
        "$ROOT/tests/e2e/read_model.c"
}
setup() { DIR=$(mktemp -d "${BATS_TEST_TMPDIR:-/tmp}/model.XXXXXX"); }
teardown() { end_directory; }

# S-READ-1: `output.mp4` and `cover.jpg` hold exactly the bytes at the service's URLs, in whatever order they are
#   read.
# S-READ-5: When the bytes are not available, the read fails with EIO; a read never returns wrong bytes.
@test "S-READ-1 S-READ-5: 64 random readers through faults, expiry, kills and evictions: no wrong byte, no hang" {
    seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
    echo "# seed $seed" >&3
    run "$PYTHON" "$ROOT/tests/e2e/read_model.py" "$DIR" "$BATS_FILE_TMPDIR/read_model" "${READS:-60000}" "$seed" 3>&-
    echo "# $output" >&3
    [ "$status" -eq 0 ] || { tail -n 40 "$DIR/mount/daemon.log" >&2; false; }
}
