#!/usr/bin/env bats
# An error is not a fact: what only looks at the mount costs nothing, whichever of the program's calls fails.
#   DEPTH=28 STARTS=1 VIOLATIONS=1000 SEED=42 bats tests/e2e/errors.bats     every call site; go on after violations
#   VERBOSE=1 bats -f walked tests/e2e/errors.bats                           what each piece of the walk took
# Each test may take 600 s.
load helper

setup() {
    # The library stands before libc's malloc; the sanitizer wants that place for itself.
    [[ $BUILD != *asan* ]] || skip "the sanitizer's malloc cannot be stood before"
    [ "$(id -u)" -eq 0 ] || skip "only root can make the kernel forget what it has cached of one mount"
    command -v addr2line >/dev/null || skip "no addr2line (binutils)"
    make -s -C "$ROOT" V=release build/failing.so
    DIR=$(mktemp -d "${BATS_TEST_TMPDIR:-/tmp}/world.XXXXXX")
}
teardown() { unmount_all "${DIR:-/nonexistent}"; }

# sweep PART
sweep() {
    local seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
    echo "# seed $seed" >&3
    run "$PYTHON" -B "$ROOT/tests/e2e/errors.py" --directory "$DIR" --library "$ROOT/build/failing.so" \
        --seed "$seed" --parts "$1" --depth "${DEPTH:-2}" --starts "${STARTS:-0.03}" \
        --violations "${VIOLATIONS:-12}" ${VERBOSE:+--verbose} 3>&-
    sed 's/^/# /' <<<"$output" >&3
    [ "$status" -eq 0 ]
}

# S-KEPT-1: An error is not taken for a fact: while somebody only looks, whatever call of the program fails, no byte
#   and no row of the data directory is lost, nothing is sent, and the next look shows the right bytes.
@test "S-KEPT-1: any call may fail while the mount is walked: nothing is lost or sent, the next walk is right" {
    sweep walk
}

@test "S-KEPT-1: any call may fail while a video is fetched and read" {
    sweep stream
}

@test "S-KEPT-1: any call may fail at the start: it comes up or says why not, and the next start is right" {
    sweep start
}
