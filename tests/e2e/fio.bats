#!/usr/bin/env bats
# fio reads through the mount what fio wrote, and verifies every block by the checksum in it. (Its engine mmap
# fails with an offset on any file.)
load helper

DATA_AT=4096

# An mp4 whose mdat fio fills with blocks it can verify; the service serves it.
setup() {
    DIR=$(mktemp -d "${BATS_TEST_TMPDIR:-/tmp}/fio.XXXXXX")
    clip=$DIR/clip.mp4
    "$PYTHON" - "$clip" "$DATA_AT" <<'PYTHON'
import struct
import sys
size = 24 << 20
box = lambda kind, body: struct.pack('>I4s', 8 + len(body), kind) + body
ftyp = box(b'ftyp', b'isom\0\0\2\0isomiso2mp41')
free = box(b'free', bytes(int(sys.argv[2]) - len(ftyp) - 16))
with open(sys.argv[1], 'wb') as file:
    file.write(ftyp + free + struct.pack('>I4s', 8 + size, b'mdat') + bytes(size))
PYTHON
    fio_on "$clip" --rw=randwrite --overwrite=1 --do_verify=0
    printf '\0\0\0\020moov\0\0\0\0\0\0\0\0' >>"$clip"
    clip_dir=$DIR
    start_world --video "$clip"
    mount_fs
}
teardown() {
    end_world
    rm -rf "$clip_dir"
}

fio_on() {
    local file=$1
    shift
    fio --name=job --filename="$file" --offset=$DATA_AT --size=24M --bs=16k --verify=crc32c --verify_fatal=1 \
        --verify_state_save=0 --output="$DIR/fio.out" "$@" || return 1
}

# S-READ-1: `output.mp4` and `cover.jpg` hold exactly the bytes at the service's URLs, in whatever order they are
#   read.
@test "S-READ-1: fio verifies what it wrote: in order, at random, directly, many at once" {
    for way in '--rw=read' '--rw=randread' '--rw=randread --direct=1' '--rw=randread --ioengine=libaio --iodepth=16 --direct=1' \
        '--rw=randread --numjobs=4'; do
        make_job "job$((++n))"
        # shellcheck disable=SC2086 # words
        fio_on "$MNT/jobs/job$n/output.mp4" --readonly $way
        # The same from the cache of the program.
        restart_fs
        # shellcheck disable=SC2086 # words
        fio_on "$MNT/jobs/job$n/output.mp4" --readonly $way
        echo "#   $way" >&3
    done
}

@test "fio does notice a single bit that the service has turned" {
    scenario '{"kind": "video", "response": {"flip_byte": 9000000}}'
    make_job turned
    fails fio_on "$MNT/jobs/turned/output.mp4" --readonly --rw=randread
    has 'verify' "$DIR/fails.out"
}
