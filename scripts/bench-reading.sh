#!/bin/bash
# `make bench`, second part: reading videos through the mount beside curl, rclone mount, ffprobe and mpv, on a rig of its
# own: nginx on loopback, and a proxy that makes it 50 ms away.
#   scripts/bench-reading.sh build [PART]...    sequential random far readers; all of them without a name. Exit code 0
#                                               when no target is missed
set -u
# shellcheck source=scripts/bench-common.bash
source "$(dirname "$0")/bench-common.bash"

www=$BATS_TEST_TMPDIR/www
peers=()

begin_nginx() {
    mkdir -p "$www" "$BATS_TEST_TMPDIR/nginx"
    NGINX_PORT=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    cat >"$BATS_TEST_TMPDIR/nginx.conf" <<END
$([ "$(id -u)" != 0 ] || echo 'user root;') # the directory is its owner's alone
worker_processes 1;
daemon off;
pid $BATS_TEST_TMPDIR/nginx/pid;
error_log $BATS_TEST_TMPDIR/nginx/error;
events { worker_connections 512; }
http {
    log_format bytes '\$request_uri \$status \$body_bytes_sent';
    access_log $BATS_TEST_TMPDIR/nginx/access bytes;
    client_body_temp_path $BATS_TEST_TMPDIR/nginx; proxy_temp_path $BATS_TEST_TMPDIR/nginx;
    fastcgi_temp_path $BATS_TEST_TMPDIR/nginx; uwsgi_temp_path $BATS_TEST_TMPDIR/nginx;
    scgi_temp_path $BATS_TEST_TMPDIR/nginx;
    sendfile on; tcp_nopush on; keepalive_requests 100000;
    server { listen 127.0.0.1:$NGINX_PORT; root $www; autoindex on; }
}
END
    nginx -p "$BATS_TEST_TMPDIR/nginx" -e "$BATS_TEST_TMPDIR/nginx/error" -c "$BATS_TEST_TMPDIR/nginx.conf" 3>&- &
    peers+=($!)
    wait_until 10 curl -sf -o /dev/null "http://127.0.0.1:$NGINX_PORT/"
}

begin_proxy() {
    "$PYTHON" tests/bench/delay_proxy.py "$BATS_TEST_TMPDIR/proxy" "$NGINX_PORT" 50 3>&- &
    peers+=($!)
    wait_until 10 test -s "$BATS_TEST_TMPDIR/proxy"
    FAR_PORT=$(cat "$BATS_TEST_TMPDIR/proxy")
}

# rclone_mount NAME PORT OPTION...   at $BATS_TEST_TMPDIR/NAME
rclone_mount() {
    local point=$BATS_TEST_TMPDIR/$1 port=$2
    shift 2
    mkdir -p "$point"
    HOME=$BATS_TEST_TMPDIR rclone mount ":http:" "$point" --http-url "http://127.0.0.1:$port/" --config /dev/null \
        --cache-dir "$point.cache" "$@" >"$point.log" 2>&1 3>&- &
    peers+=($!)
    wait_until 20 mountpoint -q "$point"
}

end_peers() {
    local peer point
    for point in $(awk -v d="$BATS_TEST_TMPDIR/" 'index($2, d) == 1 && ($3 == "fuse.rclone" || $3 == "fuse") { print $2 }' /proc/mounts); do
        fusermount3 -u "$point" || fusermount3 -uz "$point" || true
    done
    for peer in "${peers[@]}"; do kill "$peer" 2>/dev/null || true; done
    wait "${peers[@]}" 2>/dev/null || true
    peers=()
}
trap 'code=$?; set +e; end_peers; (exit $code); finish' EXIT

# media_rule JOB FILE PORT   the task of this job has its video at that place
media_rule() {
    printf '{"kind":"poll","prompt_contains":"[%s]","response":{"video_url":"http://127.0.0.1:%s/%s"}}' "$1" "$3" "$2"
}

# video JOB FILE PORT   a finished job whose video lies there
videos=()
video() { videos+=("$(media_rule "$@")"); jobs_made+=("$1"); }
videos_make() {
    local job
    scenario "${videos[@]}"
    for job in "${jobs_made[@]}"; do echo "{\"prompt\": \"[$job]\"}" >"$MNT/jobs/$job/prompt.json"; done
    for job in "${jobs_made[@]}"; do wait_status "$job" succeeded; done
    sleep 1 # the two ends come now
    jobs_made=() # their rules stay: a URL may be asked for again
}
jobs_made=()

# What was written before is on the disk by then: it is not measured together with what comes.
three() { for i in 1 2 3; do sync && "$@" "$i"; done | median; }
whole_curl() { time_us curl -sf -o /dev/null "http://127.0.0.1:$NGINX_PORT/big$1.bin"; }
whole_at() { "$bench" whole "$1"; }
whole_mount() { whole_at "$MNT/jobs/big$1/output.mp4"; }
whole_rclone() { whole_at "$BATS_TEST_TMPDIR/rclone/big$1.bin"; }
whole_local() { whole_at "$www/big$1.bin"; }
whole_memory() { whole_at "$memory"; }
whole_rclone_full() { whole_at "$BATS_TEST_TMPDIR/rclone-full/big$1.bin"; }

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }

# ratio_row WHAT OUR_US most|none TARGET PEER PEER_US
ratio_row() {
    row "$1, $(ms "$2") ms" "$(ratio "$2" "$6")" "x" "$3" "$4" "$5" "$(ms "$6")"
}

# big_videos KIND COUNT   finished jobs KIND1 and so on, each with a video of 512 MiB that nothing has read yet
big_videos() {
    local i source
    for i in $(seq "$2"); do
        source=$www/big$(((i - 1) % 3 + 1)).bin
        [ -e "$source" ] || head -c 512M /dev/urandom >"$source"
        [ -e "$www/$1$i.bin" ] || ln "$source" "$www/$1$i.bin"
        video "$1$i" "$1$i.bin" "$NGINX_PORT"
    done
    videos_make
}

# The first read of each of its files, whose pages the kernel does not have; libfuse and a splice, and nothing else.
whole_bare() {
    local point=$BATS_TEST_TMPDIR/bare$1 peer
    mkdir -p "$point"
    "$BATS_TEST_TMPDIR/bare_mount" "$www/big$1.bin" "$point" 3>&- &
    peer=$!
    peers+=("$peer")
    wait_until 10 mountpoint -q "$point"
    whole_at "$point/file"
    fusermount3 -u "$point"
    wait "$peer"
}

bench_sequential() {
    local i curl mount rclone full warm again in_memory on_disk memory bare
    # shellcheck disable=SC2046 # words
    gcc -std=c17 -O2 -D_GNU_SOURCE -Wall -Wextra -o "$BATS_TEST_TMPDIR/bare_mount" tests/bench/bare_mount.c \
        $(pkg-config --cflags --libs fuse3)
    big_videos big 3
    cat "$www"/big*.bin >/dev/null # all peers read what nginx has in memory
    curl=$(three whole_curl)
    mount=$(three whole_mount)
    warm=$(three whole_mount)
    rclone_mount rclone "$NGINX_PORT"
    rclone=$(three whole_rclone)
    rclone_mount rclone-full "$NGINX_PORT" --vfs-cache-mode full
    full=$(three whole_rclone_full)
    on_disk=$(three whole_local)
    # tmpfs keeps a file in single pages, as FUSE has to; ext4 in folios of up to 2 MiB, which is another race.
    memory=$(mktemp /dev/shm/seedancefs-bench.XXXXXX)
    cp "$www/big1.bin" "$memory"
    in_memory=$(three whole_memory)
    rm "$memory"
    ratio_row "512 MiB in order, cold" "$mount" most 2.2 curl "$curl"
    ratio_row "the same" "$mount" most 0.45 "rclone mount" "$rclone"
    ratio_row "the same" "$mount" none "" "rclone mount, mode full" "$full"
    ratio_row "512 MiB in order, again" "$warm" most 1.2 "a local file (tmpfs)" "$in_memory"
    ratio_row "the same" "$warm" none "" "a local file (ext4, large folios)" "$on_disk"
    # By turns: what freshly allocated memory costs is not the same at all times.
    for i in 1 2 3; do
        sync
        whole_bare "$i" >>"$BATS_TEST_TMPDIR/bare.us"
        restart_fs
        whole_mount "$i" >>"$BATS_TEST_TMPDIR/again.us"
    done
    again=$(median <"$BATS_TEST_TMPDIR/again.us")
    bare=$(median <"$BATS_TEST_TMPDIR/bare.us")
    ratio_row "512 MiB after a restart, from our cache" "$again" most 3 "a local file (tmpfs)" "$in_memory"
    ratio_row "the same" "$again" none "" "a local file (ext4, large folios)" "$on_disk"
    ratio_row "the same" "$again" none "" "a file in a bare FUSE mount" "$bare"
}

random_mount() { "$bench" random "$MNT/jobs/random$1/output.mp4"; }
random_rclone() { "$bench" random "$BATS_TEST_TMPDIR/rclone/random$1.bin"; }

bench_random() {
    local i ours rclone
    big_videos random 3
    ours=$(three random_mount)
    # A listing is kept for some minutes: this one has the new names.
    ! mountpoint -q "$BATS_TEST_TMPDIR/rclone" || fusermount3 -u "$BATS_TEST_TMPDIR/rclone"
    rclone_mount rclone "$NGINX_PORT"
    rclone=$(three random_rclone)
    ratio_row "200 random reads of 4 KiB, cold" "$ours" most 1.0 "rclone mount" "$rclone"
}

probe() { time_us ffprobe -v error -show_entries format=duration -show_entries stream=width,height "$1"; }
probe_mount() { probe "$MNT/jobs/clip$1/output.mp4"; }
probe_http() { probe "http://127.0.0.1:$FAR_PORT/clip$1.mp4"; }
frame() {
    time_us mpv --no-config --really-quiet --vo=null --ao=null --hwdec=no --frames=1 "$1"
}
frame_mount() { frame "$MNT/jobs/frame$1/output.mp4"; }
frame_http() { frame "http://127.0.0.1:$FAR_PORT/frame$1.mp4"; }

# What nginx has sent of files of this name, bytes of the body.
sent_bytes() { awk -v f="/$1" 'index($1, f) == 1 { n += $3 } END { print n + 0 }' "$BATS_TEST_TMPDIR/nginx/access"; }

bench_far() {
    local i ours http
    begin_proxy
    "$SEEDANCE_SIM" --write-video "$www/clip1.mp4" --video-bytes 10M >/dev/null
    for i in 1 2 3; do
        [ "$i" = 1 ] || cp "$www/clip1.mp4" "$www/clip$i.mp4"
        cp "$www/clip1.mp4" "$www/frame$i.mp4"
        video "clip$i" "clip$i.mp4" "$FAR_PORT"
        video "frame$i" "frame$i.mp4" "$FAR_PORT"
    done
    videos_make
    ours=$(three probe_mount)
    sleep 1 # what was begun may come yet
    row "bytes of a video for its first ffprobe" "$(($(sent_bytes clip) / 3))" B most 1572864 "" ""
    http=$(three probe_http)
    ratio_row "first ffprobe of 10 MB, 50 ms away" "$ours" most 0.35 "ffprobe over HTTP" "$http"
    ours=$(three frame_mount)
    http=$(three frame_http)
    ratio_row "first frame of mpv, 50 ms away" "$ours" most 1.0 "mpv over HTTP" "$http"
}

bench_readers() {
    local i readers=() most=0 now threads=0
    big_videos many 64
    restart_fs
    for i in $(seq 64); do
        dd if="$MNT/jobs/many$i/output.mp4" of=/dev/null bs=1M count=16 status=none 3>&- &
        readers+=($!)
    done
    while [ -n "$(jobs -rp | grep -Fx "$(printf '%s\n' "${readers[@]}")")" ]; do
        now=$(rss_kib)
        [ "$now" -le "$most" ] || most=$now
        now=$(awk '/^Threads/ { print $2 }' "/proc/$FS_PID/status")
        [ "$now" -le "$threads" ] || threads=$now
        sleep 0.05
    done
    wait "${readers[@]}"
    row "resident memory, 64 readers of 64 cold files" "$((most / 1024))" MiB most 48 "" ""
    row "threads meanwhile" "$threads" "" most 1 "" ""
}

start_world --queue-seconds 0 --generation-seconds 0.01
begin_nginx
mount_fs --log-level info --archive never
table_head
[ $# -gt 1 ] || set -- "$1" sequential random far readers
for part in "${@:2}"; do "bench_$part"; done
table_end
