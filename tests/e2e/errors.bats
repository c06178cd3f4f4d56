#!/usr/bin/env bats
# An error is not a fact: what only looks at the mount costs nothing, whichever of the program's calls fails.
#   DEPTH=28 STARTS=1 VIOLATIONS=1000 SEED=42 bats tests/e2e/errors.bats     every call site; go on after violations
#   PARTS=walk bats tests/e2e/errors.bats                                    one of stream, walk, start
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

@test "any call that looks may fail once, with any errno: nothing is lost or sent, and it is right the next time" {
    seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
    run "$PYTHON" -B "$ROOT/tests/e2e/errors.py" --directory "$DIR" --library "$ROOT/build/failing.so" \
        --seed "$seed" --parts "${PARTS:-stream,walk,start}" --depth "${DEPTH:-5}" --starts "${STARTS:-0.06}" \
        --violations "${VIOLATIONS:-12}" ${VERBOSE:+--verbose} 3>&-
    sed 's/^/# /' <<<"$output" >&3
    [ "$status" -eq 0 ]
}
