#!/usr/bin/env bats
# The object store against another one than the simulator's: Ceph's S3 gateway, which knows nothing of us.
# Each test may take 120 s.
load ../e2e/helper

setup_file() {
    for program in ceph-mon ceph-mgr ceph-osd radosgw radosgw-admin rclone; do
        command -v $program >/dev/null || { export MISSING=$program; return 0; }
    done
    [ "$(id -u)" = 0 ] || { export MISSING='root'; return 0; }
    export GATEWAY=$BATS_FILE_TMPDIR/ceph GATEWAY_PORT=$((21000 + $$ % 100 * 100))
    "$BATS_TEST_DIRNAME/start-radosgw.sh" "$GATEWAY" "$GATEWAY_PORT" >"$BATS_FILE_TMPDIR/out" 2>&1 3>&- ||
        { tail -n 20 "$BATS_FILE_TMPDIR/out" >&2; return 1; }
    export RCLONE_CONFIG=$BATS_FILE_TMPDIR/rclone.conf
    unset AWS_CA_BUNDLE
    printf '[r]\ntype = s3\nprovider = Ceph\nendpoint = http://127.0.0.1:%s\naccess_key_id = STUDIOKEY\nsecret_access_key = studio-secret\n' \
        "$GATEWAY_PORT" >"$RCLONE_CONFIG"
    rclone mkdir r:films
}
teardown_file() { [ -n "${MISSING:-}" ] || "$BATS_TEST_DIRNAME/stop-radosgw.sh" "$GATEWAY"; }

setup() {
    [ -z "${MISSING:-}" ] || skip "there is no $MISSING"
    export AWS_ACCESS_KEY_ID=STUDIOKEY AWS_SECRET_ACCESS_KEY=studio-secret
    start_world --video-bytes 20M --url-expires 3
    J=$MNT/jobs
}
teardown() { [ -n "${MISSING:-}" ] || end_world; }

place() { echo "s3://$1?endpoint=http://127.0.0.1:$GATEWAY_PORT"; }
is_stored() { member_of "$1" .output.stored_at && [ "$MEMBER" != null ]; }
right() { curl -sSf "http://127.0.0.1:$API_PORT/oracle/video/$(status_json "$1" .task_id)" >"$DIR/right.$1"; }

@test "radosgw: put there, read from there, under a prefix with odd characters" {
    mount_fs --objects "$(place 'films/a b+c/ü~(1)')"
    make_job cat
    right cat
    wait_until 30 is_stored cat
    local as
    as=$(status_json cat .output.stored_as)
    rclone cat "r:${as#s3://}" | cmp - "$DIR/right.cat"
    rclone cat "r:$(sed 's/mp4$/json/' <<<"${as#s3://}")" | jq -e '.prompt == "cat"'
    sleep 3
    scenario '{"kind": "poll", "response": {"status": 404}}' '{"kind": "video", "response": {"status": 404}}'
    echo evict >"$J/cat/ctl"
    restart_fs --objects "$(place 'films/a b+c/ü~(1)')"
    dd if="$J/cat/output.mp4" bs=64K skip=150 count=3 status=none |
        cmp - <(dd if="$DIR/right.cat" bs=64K skip=150 count=3 status=none)
    cmp "$J/cat/output.mp4" "$DIR/right.cat"
}

@test "radosgw: a key that is taken is compared" {
    mount_fs --objects "$(place films)"
    make_job cat
    wait_until 30 is_stored cat
    unmount_fs
    sqlite3 "$DATA/jobs.sqlite" 'UPDATE attempt SET stored_ms = 0, stored_in = NULL'
    mount_fs --objects "$(place films)"
    wait_until 30 is_stored cat
    [ "$(rclone lsf r:films/media | grep -c mp4)" -eq 1 ]
}

@test "radosgw: a video of one's own is fetched by its address" {
    mount_fs --objects "$(place films)"
    mkdir "$J/a"
    cp "$(find "$ROOT/tests/media" -name '*.mp4' | head -n 1)" "$J/a/mine.mp4"
    echo '{"prompt": "a", "video_url": "mine.mp4"}' >"$J/a/prompt.json"
    wait_status a succeeded 40
    jq -se '[.[] | select(.kind == "create")][0].inputs[0].form == "fetched"' "$LOG"
    rclone cat "r:films/input/$(sha256sum <"$J/a/mine.mp4" | cut -c1-64)" | cmp - "$J/a/mine.mp4"
}

@test "radosgw: a bucket with versions, a wrong secret and no bucket are refused" {
    refused() {
        local code=0
        "$SEEDANCEFS" --api-url "$API" --api-key-file "$DIR/key" --data-dir "$DATA" --objects "$(place "$1")" "$MNT" \
            >"$DIR/refused" 2>&1 3>&- || code=$?
        [ "$code" -eq 2 ] || { find_daemon || true; return 1; }
        has "$2" "$DIR/refused"
    }
    rclone mkdir r:versions
    rclone backend versioning r:versions Enabled
    refused versions 'does not heed If-None-Match'
    refused nobody NoSuchBucket
    AWS_SECRET_ACCESS_KEY=wrong refused films SignatureDoesNotMatch
}
