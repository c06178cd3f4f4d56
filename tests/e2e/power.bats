#!/usr/bin/env bats
# The power is cut and comes back: nothing is sent twice, nothing that was shown is taken back.
#   CUTS=2000 SEED=42 bats tests/e2e/power.bats       ACT=removed: cuts of one kind only
load helper

setup() { DIR=$(mktemp -d "${BATS_TEST_TMPDIR:-/tmp}/world.XXXXXX"); }
teardown() { unmount_all "$DIR"; }

case $BUILD in
*asan*) CUTS=${CUTS:-30} ;;
*) CUTS=${CUTS:-60} ;;
esac

# An ext4 on a loop device can be made and mounted here.
probe_loop() {
    [ "$(id -u)" -eq 0 ] || skip "mounting a disk to be cut off needs root"
    command -v mkfs.ext4 >/dev/null || skip "no mkfs.ext4 (e2fsprogs)"
    mkdir "$DIR/probe"
    truncate -s 8M "$DIR/probe.img"
    mkfs.ext4 -q -F "$DIR/probe.img"
    mount -o loop "$DIR/probe.img" "$DIR/probe" 2>/dev/null || skip "no loop device can be mounted here"
    umount "$DIR/probe"
}

@test "power cuts: at most one create per attempt, no task id and nothing that was closed is lost" {
    probe_loop
    seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
    echo "# seed $seed" >&3
    run "$PYTHON" -B "$ROOT/tests/e2e/power_cuts.py" --cuts "$CUTS" --seed "$seed" \
        --seedancefs "$SEEDANCEFS" --seedance-sim "$SEEDANCE_SIM" --directory "$DIR/cuts" \
        ${ACT:+--only "$ACT"} 3>&-
    sed 's/^/#   /' <<<"$output" >&3
    [ "$status" -eq 0 ] || { tail -n 40 "$DIR/cuts/daemon.log" >&2; false; }
}
