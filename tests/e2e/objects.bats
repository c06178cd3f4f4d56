#!/usr/bin/env bats
# The object store: what is put there, what is read from there, and what a store may do wrong. The oracle is the
# simulator: what it keeps, and its log.
load helper
load s3

export AWS_ACCESS_KEY_ID=SIMKEY AWS_SECRET_ACCESS_KEY=sim-secret

setup() {
    start_world --video-bytes 700K "${WORLD[@]}"
    J=$MNT/jobs
}
teardown() { end_world; }

place() { echo "s3://seedance/films?endpoint=http://127.0.0.1:${1:-$API_PORT}&region=eu-1"; }
mount_with_objects() { mount_fs --objects "$(place)" "$@"; }
oracle() { curl -sSf "${@:2}" "http://127.0.0.1:$API_PORT/oracle/$1"; }
keys() { oracle objects | jq -r '.[].key'; }
key() { local as; as=$(status_json "$1" .output.stored_as) && echo "${as#s3://seedance/}"; }
uid() { local key; key=$(key "$1") && basename "$key" .mp4; }
right() { oracle "video/$(status_json "$1" .task_id)" >"$DIR/right.$1"; }
is_right() { cmp "$J/$1/output.mp4" "$DIR/right.$1"; }
is_stored() { member_of "$1" .output.stored_at && [ "$MEMBER" != null ]; }
in_log() { has "$2" "$J/$1/log"; }
metric_is() { grep -q "^seedancefs_$1 *$2\$" "$MNT/metrics"; }
# refused OPTION...   the program does not start; what it says is in $DIR/refused
refused() {
    local code=0
    "$SEEDANCEFS" --api-url "$API" --api-key-file "$DIR/key" --data-dir "$DATA" "$@" "$MNT" >"$DIR/refused" 2>&1 3>&- || code=$?
    [ "$code" -eq 2 ] || { find_daemon || true; echo "exit code $code" >&2; cat "$DIR/refused" >&2; return 1; }
    wait_until 10 test -z "$(awk -v m="$MNT" '$2 == m' /proc/self/mounts)"
}
made() { echo "{\"prompt\": \"$1\"${2:+, $2}}" >"$J/$1/prompt.json" && wait_status "$1" succeeded; }
# made_and_stored JOB   and $DIR/right.JOB has its bytes
made_and_stored() { made "$1" && right "$1" && wait_until 20 is_stored "$1"; }
forget_everything() {
    scenario '{"kind": "poll", "response": {"status": 404}}' '{"kind": "video", "response": {"status": 404}}' \
        '{"kind": "cover", "response": {"status": 404}}' "$@"
}
# The bytes are neither on disk nor in the page cache.
evict() {
    echo evict >"$J/$1/ctl"
    json_is "$1" .output.archived false
    restart_fs --objects "$(place)" "${@:2}"
}

# S-OBJECT-1: With `--objects s3://BUCKET/PREFIX?endpoint=URL&region=REGION` each video is put into that bucket as soon
#   as it is finished, by way of the disk: as `media/UID.mp4`, with what `videos/NAME.json` says of it in
#   `media/UID.json`, where UID is 128 random bits. `stored_at` in status.json says when it was there, and `stored_as`
#   under which name. Videos that were on disk before are put there, too, and so is everything that is on disk when
#   another bucket, prefix or endpoint is named. With `--archive=never` nothing is put there by itself.
@test "S-OBJECT-1: a video is put there when it is finished, with what it was made from" {
    mount_with_objects
    made cat
    wait_until 20 is_stored cat
    right cat
    [ "$(keys | sort)" = "$(printf 'films/media/%s\n' "$(uid cat).json" "$(uid cat).mp4")" ]
    [[ $(uid cat) =~ ^[0-9a-f]{32}$ ]]
    oracle "objects/$(key cat)" | cmp - "$DIR/right.cat"
    oracle objects | jq -e '.[] | select(.content_type == "video/mp4") | .puts == 1'
    oracle "objects/films/media/$(uid cat).json" >"$DIR/facts"
    jq -e '.prompt == "cat" and .job == "cat" and .cost.actual != null' "$DIR/facts"
    diff "$DIR/facts" "$MNT/videos/cat.json"
    in_log cat 'the video is in the object store'
    jq -se 'map(select(.kind == "object_put")) | all(.conditional and .signature == "good")' "$LOG"
}

@test "S-OBJECT-1: what was on disk before is put there, takes and all" {
    mount_fs --archive always
    made old
    another() { echo take >"$J/old/ctl"; }
    wait_until 20 another
    wait_status old succeeded
    wait_until 20 json_is old .output.archived true
    made b
    wait_until 20 json_is b .output.archived true
    [ -z "$(keys)" ]
    forget_everything
    restart_fs --objects "$(place)"
    wait_until 20 is_stored old
    wait_until 20 is_stored b
    all_are_there() { [ "$(keys | grep -c mp4)" -eq 3 ]; }
    wait_until 20 all_are_there
}

@test "S-OBJECT-1: another prefix is another store" {
    mount_with_objects
    made_and_stored cat
    scenario '{"kind": "object_put", "key_contains": "other/media", "response": {"status": 503}}'
    restart_fs --objects "s3://seedance/other?endpoint=http://127.0.0.1:$API_PORT"
    fails is_stored cat
    fails sh -c "echo evict >'$J/cat/ctl'"
    json_is cat .output.archived true
    scenario
    wait_until 30 is_stored cat
    keys | grep "^other/media/$(uid cat).mp4"
    is_right cat
}

@test "S-OBJECT-1: never puts nothing there by itself" {
    mount_with_objects --archive never
    made cat
    cat "$J/cat/output.mp4" >/dev/null
    wait_until 10 json_is cat .output.archived true
    sleep 1
    [ -z "$(keys)" ]
}

# S-OBJECT-2: No object is ever overwritten, and none is deleted. Where the key is taken (an answer was lost, or the
#   program ended before it wrote down that the video is there), the object is read and compared: it counts if it has
#   the same bytes. Otherwise `log` says so, the video stays on disk, and it is not tried again before the next start. A
#   video that was put there by a program whose database is gone is found there before the program says that it is lost.
@test "S-OBJECT-2: an answer is lost, after the object was kept: it is compared, and there once" {
    scenario '{"kind": "object_put", "key_contains": "mp4", "times": 1, "response": {"reset_at": "headers"}}'
    mount_with_objects
    made cat
    wait_until 20 is_stored cat
    in_log cat 'cannot be put into the object store'
    oracle objects | jq -e 'map(select(.key | endswith("mp4"))) | length == 1 and .[0].puts == 1'
    [ "$(requests object_get)" -eq 1 ]
}

@test "S-OBJECT-2: killed before it was written down" {
    mount_with_objects
    made cat
    wait_until 20 is_stored cat
    kill_fs
    sqlite3 "$DATA/jobs.sqlite" 'UPDATE attempt SET stored_ms = 0, stored_in = NULL'
    mount_with_objects
    wait_until 20 is_stored cat
    oracle objects | jq -e 'map(select(.key | endswith("mp4"))) | length == 1 and .[0].puts == 1'
}

@test "S-OBJECT-2: other bytes under the key are not touched, and do not count" {
    mount_fs --archive always
    made cat
    right cat
    wait_until 20 json_is cat .output.archived true
    unmount_fs
    local key
    key=films/media/$(sqlite3 "$DATA/jobs.sqlite" 'SELECT uid FROM attempt').mp4
    (cd "$DIR" && head -c 716800 /dev/urandom >other && [ "$(s3_put "$key" other)" = 200 ])
    mount_with_objects
    wait_until 20 in_log cat 'other bytes'
    fails is_stored cat
    oracle "objects/$key" | cmp - "$DIR/other"
    json_is cat .output.archived true
    is_right cat
    # Once, and its head alone was read.
    sleep 3
    [ "$(jq -s 'map(select(.kind == "object_put" and .key == "'"$key"'")) | length' "$LOG")" -eq 2 ]
}

@test "S-OBJECT-2: a database from before it was put there" {
    mount_with_objects
    made_and_stored cat
    echo evict >"$J/cat/ctl"
    unmount_fs
    sqlite3 "$DATA/jobs.sqlite" "UPDATE attempt SET stored_ms = 0, stored_in = NULL, url_expires_ms = 1000"
    forget_everything
    mount_with_objects
    wait_until 30 is_stored cat
    is_right cat
    [ ! -e "$J/cat/error" ]
}

# S-OBJECT-3: A video that is there is read from there when it is not on disk, and its URL is not known, has expired or
#   does not work; the service need not know the task any more. When the object store cannot be reached either, the
#   read fails with EIO, and nothing is concluded from that: the job's `error` does not say that the video is gone, and
#   the next read tries again.
@test "S-OBJECT-3: it is read from there when the service has forgotten it" {
    mount_with_objects
    made_and_stored cat
    forget_everything
    evict cat
    has 'video in the object store' "$J/cat/progress"
    # A jump to the middle, then all of it.
    dd if="$J/cat/output.mp4" bs=1000 skip=400 count=10 status=none |
        cmp - <(dd if="$DIR/right.cat" bs=1000 skip=400 count=10 status=none)
    is_right cat
    [ ! -e "$J/cat/error" ]
    jq -se 'map(select(.kind == "object_get")) | length > 0 and all(.signature == "good" and .range != null)' "$LOG"
}

@test "S-OBJECT-3: neither can be reached: EIO, and the next read tries again" {
    mount_with_objects
    made_and_stored cat
    forget_everything '{"kind": "object_get", "response": {"status": 503}}'
    evict cat
    for _ in 1 2 3; do fails cat "$J/cat/output.mp4"; done
    has 'Input/output error' "$DIR/fails.out"
    [ ! -e "$J/cat/error" ] && status_is cat succeeded
    is_stored cat
    forget_everything
    wait_until 20 is_right cat
}

@test "S-OBJECT-3: an object that is not there any more is EIO, not a permission" {
    mount_with_objects
    made cat
    wait_until 20 is_stored cat
    oracle "objects/$(key cat)" -X DELETE
    forget_everything
    evict cat
    fails cat "$J/cat/output.mp4"
    has 'Input/output error' "$DIR/fails.out"
}

# Other bytes than those of the video: at least their number shows it.
@test "S-OBJECT-3: an object of another size is not read" {
    mount_with_objects
    made_and_stored cat
    oracle "objects/$(key cat)" -X DELETE
    (cd "$DIR" && head -c 716801 /dev/urandom >other && [ "$(s3_put "$(key cat)" other)" = 200 ])
    forget_everything
    evict cat
    fails cat "$J/cat/output.mp4"
    scenario
    wait_until 20 is_right cat # the service has it still
}

# S-OBJECT-4: What is there may be evicted at any time: by the cache, also when its URL has expired, and by `evict`;
#   with `--archive=always` it is kept on disk as well. What is still to be put there is not evicted. `take` and `edit`
#   do not wait for a video that is there. Covers stay on disk.
@test "S-OBJECT-4: the cache keeps its size when all URLs have expired" {
    end_sim
    start_sim --video-bytes 700K --url-expires 2
    mount_with_objects --cache-size 1M
    for job in a b c d; do made $job; done
    for job in a b c d; do right $job; wait_until 20 is_stored $job; done
    sleep 2
    forget_everything
    cache_is_small() { [ "$(find "$DATA/media" -name '*.mp4' -printf '%b\n' | awk '{ s += $1 } END { print s * 512 }')" -lt 1600000 ]; }
    wait_until 20 cache_is_small
    for job in a b c d; do is_right $job; [ -s "$J/$job/cover.jpg" ]; done
}

@test "S-OBJECT-4: take goes on at once, and fetch brings it back" {
    mount_with_objects
    made_and_stored cat
    forget_everything
    evict cat
    scenario '{"kind": "video", "task": 1, "response": {"status": 404}}'
    echo take >"$J/cat/ctl"
    wait_status cat succeeded
    cmp "$J/cat/takes/1.mp4" "$DIR/right.cat"
    two_are_there() { [ "$(keys | grep -c mp4)" -eq 2 ]; }
    wait_until 20 two_are_there
    echo 'pick 1' >"$J/cat/ctl"
    echo evict >"$J/cat/ctl"
    echo fetch >"$J/cat/ctl"
    wait_until 20 json_is cat .output.archived true
}

@test "S-OBJECT-4: always from now on brings all of them back to the disk" {
    echo "archive expiry" >"$DIR/config"
    mount_with_objects --config "$DIR/config"
    made cat
    wait_until 20 is_stored cat
    echo evict >"$J/cat/ctl"
    json_is cat .output.archived false
    echo "archive always" >"$DIR/config"
    kill -HUP "$FS_PID"
    wait_until 20 json_is cat .output.archived true
}

@test "S-OBJECT-4: always keeps it on disk, too" {
    mount_with_objects --archive always
    made cat
    wait_until 20 is_stored cat
    json_is cat .output.archived true
    fails sh -c "echo evict >'$J/cat/ctl'"
}

# S-OBJECT-5: While the object store is away nothing else changes, but that `--cache-size` may be exceeded by what is to
#   be put there. It is tried again, ever later, up to half an hour; `log` says once why, and `videos_upload_failing` in
#   `metrics` counts such videos.
@test "S-OBJECT-5: the object store is away for a while" {
    mount_with_objects
    scenario '{"kind": "object", "response": {"status": 503}}'
    made cat
    right cat
    wait_until 20 in_log cat 'cannot be put into the object store: 127.0.0.1'
    in_log cat '503 '
    metric_is videos_upload_failing 1
    is_right cat
    [ ! -e "$J/cat/error" ]
    scenario
    wait_until 20 is_stored cat
    metric_is videos_upload_failing 0
    metric_is object_puts_total 2
    [ "$(grep -c 'cannot be put' "$J/cat/log")" -eq 1 ]
}

# More jobs than are kept in memory as a whole.
@test "S-OBJECT-5: the object store is away, and there are a hundred jobs" {
    mount_with_objects
    scenario '{"kind": "object", "response": {"status": 503}}'
    for n in {1..90}; do
        mkdir "$J/j$n"
        echo '{"prompt": "a", "duration": 5}' >"$J/j$n/prompt.json"
    done
    for n in {1..90}; do wait_status "j$n" succeeded 60; done
    wait_until 30 grep -q 'cannot be put' "$J"/j*/log
    scenario
    all_are_there() { [ "$(keys | grep -c mp4)" -eq 90 ]; }
    wait_until 120 all_are_there
}

@test "S-OBJECT-5: the program ends while it uploads" {
    mount_with_objects
    scenario '{"kind": "object_put", "response": {"silence_at": "headers"}}'
    made cat
    wait_until 20 grep -q '"kind":"object_put".*json' "$LOG"
    unmount_fs
    sanitizers_are_quiet
    scenario
    mount_with_objects
    wait_until 20 is_stored cat
}

@test "S-OBJECT-5: bytes that are damaged on the way are not kept" {
    mount_with_objects
    # What BadDigest answers, once.
    scenario '{"kind": "object_put", "key_contains": "mp4", "times": 1, "response": {"status": 400, "body": "<Error><Code>BadDigest</Code><Message>no</Message></Error>"}}'
    made cat
    wait_until 20 is_stored cat
    in_log cat 'BadDigest'
}

# S-OBJECT-6: Before anything is put there it is found out whether the store heeds If-None-Match: five PUTs of one key
#   at the same time, and one more; exactly one may be accepted. The program does not start, with a sentence and exit
#   code 2, when that is not so, and when the store refuses the credentials or has no such bucket. When it cannot be
#   reached, the program starts with a warning, and asks again before the first PUT.
@test "S-OBJECT-6: a store that overwrites is refused, and says what to do" {
    for lie in ignore_condition versioned; do
        scenario "{\"kind\": \"object_put\", \"response\": {\"$lie\": true}}"
        refused --objects "$(place)"
        has 'does not heed If-None-Match' "$DIR/refused"
    done
    scenario '{"kind": "object_put", "response": {"status": 501}}'
    refused --objects "$(place)"
    has 'does not heed If-None-Match' "$DIR/refused"
    scenario '{"kind": "object_put", "from": 6, "response": {"ignore_condition": true}}'
    refused --objects "$(place)"
    scenario '{"kind": "object_put", "every": 2, "response": {"conflict": true}}'
    mount_with_objects # losers of a race may be told so
    unmount_fs
}

@test "S-OBJECT-6: what the user has to mend is said at the start" {
    refused --objects "s3://other/films?endpoint=http://127.0.0.1:$API_PORT"
    has 'NoSuchBucket' "$DIR/refused"
    has "Check the bucket's name" "$DIR/refused"
    AWS_SECRET_ACCESS_KEY=wrong refused --objects "$(place)"
    has 'SignatureDoesNotMatch' "$DIR/refused"
    refused --objects "s3://seedance?endpoint=http://example.com"
    has 'endpoint must be https://' "$DIR/refused"
    refused --objects-credentials /dev/null
    has 'of no use without --objects' "$DIR/refused"
    unset AWS_ACCESS_KEY_ID
    refused --objects "$(place)"
    has 'there are no credentials for the object store' "$DIR/refused"
    echo nothing >"$DIR/empty"
    refused --objects "$(place)" --objects-credentials "$DIR/empty"
    has "$DIR/empty: the lines aws_access_key_id" "$DIR/refused"
}

@test "S-OBJECT-6: a store that is away at the start is asked later" {
    scenario '{"kind": "object", "response": {"status": 503}}'
    mount_with_objects 2>"$DIR/warning"
    has 'warning: the object store cannot be used at the moment' "$DIR/warning"
    made cat
    wait_until 20 in_log cat 'cannot be put'
    scenario '{"kind": "object_put", "response": {"versioned": true}}'
    wait_until 20 grep -q 'OBJECT_UNFIT' "$DATA/seedancefs.log"
    sleep 1
    ! keys | grep media
    scenario
    restart_fs --objects "$(place)"
    wait_until 20 is_stored cat
}

# The store takes the connection, and says nothing: the mount answers all the while.
@test "S-OBJECT-6: a silent store delays the start by five seconds, and ls by nothing" {
    scenario '{"kind": "object", "response": {"silence_at": "request"}}'
    mount_with_objects 2>"$DIR/warning" &
    wait_until 10 grep -q " $MNT " /proc/self/mounts
    local begin=$EPOCHREALTIME end
    ls "$J" "$MNT/videos"
    end=$EPOCHREALTIME
    [ $((${end/./} - ${begin/./})) -lt 3000000 ]
    wait $!
    has 'not answered within five seconds' "$DIR/warning"
    find_daemon
    made cat
}

# S-OBJECT-7: A video of your own that a prompt names is put there as `input/SHA256`, unless there is an upload command,
#   and the service gets an address that is good for two days. The same bytes are put there once. Of a job's video that
#   the service has no address for any more it gets the address there, or what is on disk is put there for it. A store
#   on a loopback address is for a service on one alone.
@test "S-OBJECT-7: a video of one's own, twice" {
    with_ffmpeg
    mount_with_objects
    ffmpeg -v error -nostdin -y -f lavfi -i testsrc=d=5:s=640x360:r=24 -c:v libx264 -preset ultrafast "$DIR/five.mp4"
    for job in a b; do
        mkdir "$J/$job"
        cp "$DIR/five.mp4" "$J/$job/mine.mp4"
        made $job '"video_url": "mine.mp4"'
    done
    oracle "objects/films/input/$(sha256sum <"$DIR/five.mp4" | cut -c1-64)" | cmp - "$DIR/five.mp4"
    oracle objects | jq -e '[.[] | select(.key | contains("input/"))] | length == 1 and .[0].puts == 1'
    jq -se '[.[] | select(.kind == "create") | .inputs[0].form] == ["fetched", "fetched"]' "$LOG"
    body 1 | jq -e '.. | strings | select(contains("X-Amz-Expires=172800"))'
    ! grep -r X-Amz-Signature "$J/a/" --include=request.json --include=log
}

@test "S-OBJECT-7: an upload is tried again, and says why it waits" {
    mount_with_objects
    scenario '{"kind": "object_put", "response": {"status": 503}}'
    mkdir "$J/a"
    cp "$(find "$ROOT/tests/media" -name '*.mp4' | head -n 1)" "$J/a/mine.mp4"
    echo '{"prompt": "a", "video_url": "mine.mp4"}' >"$J/a/prompt.json"
    wait_until 20 reason_has a 503
    [ "$(creates)" -eq 0 ]
    scenario
    wait_status a succeeded 40
    [ "$(creates)" -eq 1 ]
}

@test "S-OBJECT-7: an upload command goes first" {
    start_upload_server
    printf '#!/bin/sh\ncurl -fsS -T "$1" "%s/bucket/x?X-Amz-Signature=x" && echo "%s/bucket/x"\n' "$UPLOAD" "$UPLOAD" >"$DIR/up"
    chmod +x "$DIR/up"
    mount_with_objects --upload-command "$DIR/up"
    mkdir "$J/a"
    cp "$(find "$ROOT/tests/media" -name '*.mp4' | head -n 1)" "$J/a/mine.mp4"
    made a '"video_url": "mine.mp4"'
    ! keys | grep input
}

@test "S-OBJECT-7: a job goes on from a video that the service has no address for" {
    mount_with_objects
    made first
    wait_until 20 is_stored first
    local key
    key=$(key first)
    evict first
    unmount_fs
    sqlite3 "$DATA/jobs.sqlite" "UPDATE attempt SET video_url = NULL, cover_url = NULL, url_expires_ms = 0"
    mount_with_objects
    scenario '{"kind": "poll", "task": 1, "response": {"status": 404}}'
    made second '"video_url": "../first/output.mp4"'
    body 2 | grep -F "/seedance/$key?X-Amz-"
    jq -se '[.[] | select(.kind == "create")][1].inputs[0].form == "fetched"' "$LOG"
}

@test "S-OBJECT-7: a job goes on from a video that is on disk alone" {
    mount_with_objects --archive never
    made first
    cat "$J/first/output.mp4" >/dev/null
    wait_until 10 json_is first .output.archived true
    unmount_fs
    sqlite3 "$DATA/jobs.sqlite" "UPDATE attempt SET video_url = NULL, cover_url = NULL, url_expires_ms = 0"
    mount_with_objects --archive never
    scenario '{"kind": "poll", "task": 1, "response": {"status": 404}}'
    made second '"video_url": "../first/output.mp4"'
    body 2 | grep -F "/seedance/films/input/"
}

# S-OBJECT-8: The credentials come from `--objects-credentials FILE`, which SIGHUP reads again, or from the
#   environment, which is then wiped. They are in no argument, no log and no file of the mount, nor are the addresses
#   made with them. A clock that is wrong, here or there, does no harm.
@test "S-OBJECT-8: credentials are nowhere to be seen" {
    mount_with_objects
    made cat
    wait_until 20 is_stored cat
    ! grep -al sim-secret "/proc/$FS_PID/environ" "/proc/$FS_PID/cmdline"
    for child in $(<"/proc/$FS_PID/task/$FS_PID/children"); do ! grep -al X-Amz "/proc/$child/cmdline"; done
    ! grep -rlE 'sim-secret|X-Amz-Signature' "$DATA" "$MNT/jobs" "$MNT/metrics" "$MNT/spend.json"
}

@test "S-OBJECT-8: the file is read again at SIGHUP" {
    unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
    printf '[default]\naws_access_key_id = SIMKEY\naws_secret_access_key = sim-secret\n' >"$DIR/credentials"
    chmod 600 "$DIR/credentials"
    mount_with_objects --objects-credentials "$DIR/credentials"
    made a
    wait_until 20 is_stored a
    end_sim
    start_sim --s3-secret another-secret --video-bytes 700K
    made b
    wait_until 20 in_log b SignatureDoesNotMatch
    sed -i s/sim-secret/another-secret/ "$DIR/credentials"
    kill -HUP "$FS_PID"
    wait_until 20 is_stored b
}

@test "S-OBJECT-8: a clock that is wrong by a day" {
    cc -shared -fPIC -O1 -o "$DIR/clock_shim.so" "$ROOT/tests/e2e/clock_shim.c"
    ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0
    for ms in 86400000 -86400000; do
        "$PYTHON" -c 'import struct, sys; open(sys.argv[1], "wb").write(struct.pack("=qq", int(sys.argv[2]), 0))' \
            "$DIR/clock" $ms
        RUN_FS="env CLOCK_FILE=$DIR/clock LD_PRELOAD=$DIR/clock_shim.so" mount_with_objects
        made "at$ms"
        wait_until 20 is_stored "at$ms"
        unmount_fs
    done
}

@test "S-OBJECT-8: a clock that is set right while the program runs" {
    cc -shared -fPIC -O1 -o "$DIR/clock_shim.so" "$ROOT/tests/e2e/clock_shim.c"
    ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0
    clock() { "$PYTHON" -c 'import struct, sys; f = open(sys.argv[1], "r+b"); f.write(struct.pack("=qq", int(sys.argv[2]), 0))' \
        "$DIR/clock" "$1"; }
    head -c 16 /dev/zero >"$DIR/clock"
    clock -86400000
    RUN_FS="env CLOCK_FILE=$DIR/clock LD_PRELOAD=$DIR/clock_shim.so" mount_with_objects
    made_and_stored cat
    clock 0
    forget_everything
    echo evict >"$J/cat/ctl"
    drop_cache() { dd if="$J/cat/output.mp4" iflag=nocache count=0 status=none; }
    drop_cache
    is_right cat
    jq -se 'map(select(.kind == "object_get")) | length > 0 and all(.signature == "good")' "$LOG"
}

# S-OBJECT-9: The video of a removed job stays there: `adopt` with its task id brings it back, also after a week, as
#   long as the data directory knows the attempt.
@test "S-OBJECT-9: a removed job's video is adopted from there" {
    mount_with_objects
    made_and_stored cat
    local task
    task=$(status_json cat .task_id)
    evict cat
    rm -r "$J/cat"
    forget_everything
    mkdir "$J/again"
    echo "adopt $task" >"$J/again/ctl"
    wait_status again succeeded
    cmp "$J/again/output.mp4" "$DIR/right.cat"
    [ "$(creates)" -eq 1 ]
}
