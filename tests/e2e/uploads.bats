#!/usr/bin/env bats
# Files of the user's are looked at, and videos are uploaded.
load helper

setup() {
    start_world
    start_upload_server
    with_ffmpeg
    J=$MNT/jobs
    cat >"$DIR/upload" <<'END'
#!/bin/sh
# What RECIPES has for any S3: a presigned address, and curl.
echo "uploading $SEEDANCEFS_NAME" >&2
env >"$UPLOAD_NOTES/environment"
ls -l /proc/$$/fd >"$UPLOAD_NOTES/descriptors"
curl -fsS -T "$1" "$UPLOAD_TO/bucket/$SEEDANCEFS_NAME?X-Amz-Signature=x" || exit
echo "$UPLOAD_TO/bucket/$SEEDANCEFS_NAME?X-Amz-Signature=y"
END
    chmod +x "$DIR/upload"
    export UPLOAD_TO=$UPLOAD UPLOAD_NOTES=$DIR
    mount_fs --upload-command "$DIR/upload"
    clip 5 640x360 24 "$DIR/five.mp4"
}
teardown() { end_world; }

# clip SECONDS SIZE RATE FILE [OPTION]...
clip() {
    ffmpeg -v error -nostdin -y -f lavfi -i "testsrc=d=$1:s=$2:r=$3" -c:v libx264 -preset ultrafast -pix_fmt yuv420p \
        "${@:5}" "$4"
}
write() { echo "{\"prompt\": \"$2\"${3:+, $3}}" >"$J/$1/prompt.json"; }
inputs() { jq -c "select(.kind == \"create\") | .inputs" "$LOG" | sed -n "$1p"; }
puts() { jq -s 'map(select(.method == "PUT" and .status == 200)) | length' "$DIR/uploads"; }
creates() { count_requests create; echo "$COUNT"; }

# S-REF-6: A video of your own (`.mp4`, `.mov`) goes to the service by an address. With `--upload-command CMD` the
#   program runs `CMD` with the path of the file as its argument and the file's name in `SEEDANCEFS_NAME`; it prints one
#   https:// address that is good for a day at least. What it writes to standard error is in `log`. It has ten minutes. If
#   it fails, the job is `waiting`, says so, and it is tried again. An upload is used for twelve hours. Without the option,
#   and without an object store (S-OBJECT-7), such a prompt is a mistake, and `error` names the ways.
# S-REF-7: What was accepted is what is uploaded: the bytes are those at the time of the close, whatever becomes of the
#   file. The upload command does not get the API key.
# S-REF-8: The lengths of videos that a prompt leaves out are filled in: of another job's video as the service states it,
#   of a file as measured. What cannot be measured counts as 15 seconds.
@test "S-REF-6, S-REF-8: a video of one's own" {
    mkdir "$J/edit"
    cp "$DIR/five.mp4" "$J/edit/my-clip.mp4"
    write edit "edit it" '"video_url": "my-clip.mp4"'
    wait_status edit succeeded
    [ "$(puts)" -eq 1 ]
    cmp "$DIR/five.mp4" "$DIR/uploaded/bucket/my-clip.mp4" || cmp "$DIR/five.mp4" "$(find "$DIR/uploaded" -type f)"
    inputs 1 | jq -e '.[0].form == "fetched"'
    body 1 | jq -e '.video_durations == [5]'
    has 'uploading my-clip.mp4' "$J/edit/log"
    jq -e '.video_url == "my-clip.mp4"' "$J/edit/request.json"
    # Again, without another upload.
    another() { echo take 2>/dev/null >"$J/edit/ctl"; }
    wait_until 20 another
    wait_status edit succeeded
    [ "$(puts)" -eq 1 ]
    [ "$(creates)" -eq 2 ]
}

@test "S-REF-7: the file is replaced, rewritten and removed while it waits" {
    local how job
    clip 3 320x320 25 "$DIR/other.mp4"
    mkdir "$J/first"
    for how in replaced rewritten appended truncated removed; do
        job=$how
        mkdir "$J/$job"
        cp "$DIR/five.mp4" "$J/$job/clip.mp4"
        write "$job" "$how" '"video_urls": ["clip.mp4", "../first/output.mp4"]'
        [ "$(cat "$J/$job/status")" = waiting ]
    done
    mv "$DIR/other.mp4" "$J/replaced/clip.mp4"
    exec 7<"$J/rewritten/clip.mp4" # a reader sees what is written
    cat "$J/replaced/clip.mp4" >"$J/rewritten/clip.mp4"
    cmp "$J/replaced/clip.mp4" "/proc/self/fd/7"
    exec 7<&-
    echo more >>"$J/appended/clip.mp4"
    [ "$(tail -n 1 "$J/appended/clip.mp4" | tail -c 5)" = more ]
    [ "$(stat -c %s "$J/appended/clip.mp4")" -eq $(($(stat -c %s "$DIR/five.mp4") + 5)) ]
    truncate -s 10 "$J/truncated/clip.mp4"
    [ "$(stat -c %s "$J/truncated/clip.mp4")" -eq 10 ]
    rm "$J/removed/clip.mp4"
    kill_fs
    mount_fs --upload-command "$DIR/upload"
    echo first >"$J/first/prompt.txt"
    for job in replaced rewritten appended truncated removed; do wait_status "$job" succeeded; done
    [ "$(jq -r 'select(.kind == "create") | .inputs[]? | select(.form == "fetched") | .hash' "$LOG" | sort | uniq -c |
        awk '{print $1}')" = 5 ]
    cmp "$DIR/five.mp4" "$(find "$DIR/uploaded" -type f)"
    # The kept bytes go with the job.
    [ "$(find "$DATA/files" -type f | wc -l)" -gt 9 ]
    rm -r "$J"/*
    [ "$(find "$DATA/files" -type f | wc -l)" -eq 0 ]
}

@test "S-REF-7: the command gets no key and no descriptor" {
    mkdir "$J/a"
    cp "$DIR/five.mp4" "$J/a/clip.mp4"
    unmount_fs
    TOKENHUB_API_KEY=$KEY mount_fs --upload-command "$DIR/upload"
    write a "a" '"video_url": "clip.mp4"'
    wait_status a succeeded
    fails grep -q -e "$KEY" -e TOKENHUB "$DIR/environment"
    has "UPLOAD_TO=" "$DIR/environment"
    fails grep -E -v 'total|/dev/null|pipe:|environment|descriptors|upload|/proc/' "$DIR/descriptors"
}

@test "S-REF-6: the upload fails, and is tried again" {
    mkdir "$J/a"
    cp "$DIR/five.mp4" "$J/a/clip.mp4"
    curl -fsS -X POST "$UPLOAD/-/settings?fail_puts=2"
    write a "a" '"video_url": "clip.mp4"'
    wait_until 20 grep -q 'upload: ' "$J/a/log"
    [ "$(cat "$J/a/status")" = waiting ]
    says() { jq -r .reason "$J/a/status.json" | grep -q 'clip.mp4: the upload command failed (exit code 22); see `log`'; }
    wait_until 10 says
    [ "$(creates)" -eq 0 ]
    wait_status a succeeded
    [ "$(creates)" -eq 1 ]
}

@test "S-REF-6: without a command the message names the ways" {
    unmount_fs
    mount_fs
    mkdir "$J/a"
    cp "$DIR/five.mp4" "$J/a/clip.mp4"
    echo '{"prompt": "a", "video_url": "clip.mp4"}' >"$DIR/p"
    fails cp "$DIR/p" "$J/a/prompt.json"
    has '--upload-command CMD' "$J/a/error"
    has 'its https:// address' "$J/a/error"
    # A command that prints nothing useful; one that is not there.
    local command
    for command in 'echo done #' /none/upload; do
        unmount_fs
        mount_fs --upload-command "$command"
        rm -r "$J/a"
        mkdir "$J/a"
        cp "$DIR/five.mp4" "$J/a/clip.mp4"
        write a "a" '"video_url": "clip.mp4"'
        says() { jq -r .reason "$J/a/status.json" | grep -q "clip.mp4: the upload command $1"; }
        case $command in
        echo*) wait_until 20 says 'ended well, but printed no https:// address' ;;
        *) wait_until 20 says 'failed (exit code 127)' ;;
        esac
    done
    [ "$(creates)" -eq 0 ]
}

# S-REF-5: With ffprobe (package ffmpeg) the files that a prompt names are looked at before the request is sent: sides,
#   ratio, length, frames per second and format, against the widest limits of the service. A job whose files exceed them
#   becomes `invalid`, and `error` says which file and which limit. Without ffprobe, or where it does not know the format,
#   they pass.
@test "S-REF-5: what the service would not take" {
    mkdir "$J/a"
    local A=$MNT/assets
    clip 1 640x360 24 "$A/short.mp4"
    clip 16 320x320 24 "$A/long.mp4"
    clip 3 640x360 10 "$A/slow.mp4"
    clip 3 320x240 24 "$A/small.mp4"
    clip 3 640x360 24 "$A/mpeg4.mp4" -c:v mpeg4
    ffmpeg -v error -nostdin -f lavfi -i testsrc=s=64x64 -frames:v 1 "$A/tiny.png"
    ffmpeg -v error -nostdin -f lavfi -i testsrc=s=1200x400 -frames:v 1 "$A/wide.jpg"
    ffmpeg -v error -nostdin -f lavfi -i testsrc=s=640x640 -frames:v 1 "$A/good.png"
    ffmpeg -v error -nostdin -f lavfi -i sine=d=20 "$A/long.wav"
    local row
    for row in 'video_url short.mp4 is 1 seconds long' 'video_url long.mp4 is 16 seconds long' \
        'video_url slow.mp4 has 10 frames per second' 'video_url small.mp4 has 320 x 240 pixels' \
        'video_url mpeg4.mp4 is encoded as mpeg4' 'image_url tiny.png has 64 x 64 pixels' \
        'image_url wide.jpg has 1200 x 400 pixels' 'first_frame tiny.png has 64 x 64 pixels'; do
        read -r field file text <<<"$row"
        write a "a" "\"$field\": \"../../assets/$file\""
        wait_status a invalid
        has "\"../../assets/$file\" $text" "$J/a/error"
        has 'Nothing was sent and nothing was charged.' "$J/a/error"
    done
    write a "a" '"image_url": "../../assets/good.png", "audio_url": "../../assets/long.wav"'
    wait_status a invalid
    has '"../../assets/long.wav" is 20 seconds long' "$J/a/error"
    write a "a" '"video_urls": ["../../assets/small.mp4", "../../assets/short.mp4"]'
    wait_status a invalid
    [ "$(grep -c assets "$J/a/error")" -eq 2 ]
    [ "$(creates)" -eq 0 ]
    [ "$(puts)" = 0 ] || [ ! -s "$DIR/uploads" ]
    # A held job is looked at, too, and its price is exact.
    cp "$DIR/five.mp4" "$A/five.mp4"
    write a "a" '"video_url": "../../assets/five.mp4", "hold": true'
    [ "$(cat "$J/a/status")" = held ]
    exact() { jq -e '.cost.estimated == "2.00"' "$J/a/status.json"; }
    wait_until 10 exact
    # What ffprobe does not understand passes, with a warning.
    printf '\211PNG\r\n\032\nno picture' >"$A/odd.png"
    write a "a" '"image_url": "../../assets/odd.png"'
    echo submit >"$J/a/ctl"
    wait_status a succeeded
    has 'ffprobe could not look at "../../assets/odd.png"' "$J/a/log"
    write_good() { mkdir "$J/b" && write b "b" '"image_urls": ["../../assets/good.png"]'; }
    write_good
    wait_status b succeeded
    fails grep -q warning "$J/b/log"
}

@test "S-REF-6: uploads that hang hold up nobody else" {
    unmount_fs
    printf '#!/bin/sh\nsleep 60\n' >"$DIR/upload"
    mount_fs --upload-command "$DIR/upload"
    local i
    for i in 1 2 3; do
        mkdir "$J/hang$i"
        cp "$DIR/five.mp4" "$J/hang$i/clip.mp4"
        write "hang$i" "x" '"video_url": "clip.mp4"'
    done
    uploading() { jq -r .reason "$J"/hang*/status.json | grep -c 'it is being uploaded' | grep -qx 3; }
    wait_until 20 uploading
    ffmpeg -v error -nostdin -f lavfi -i testsrc=s=640x640 -frames:v 1 "$MNT/assets/good.png"
    mkdir "$J/quick"
    write quick "x" '"image_url": "../../assets/good.png"'
    wait_status quick succeeded
    timeout 20 cat "$J/quick/last_frame.png" >"$DIR/frame.png"
    [ -s "$DIR/frame.png" ]
}

@test "S-REF-5: with few descriptors everything is looked at, and made" {
    unmount_fs
    ulimit -n 128
    mount_fs
    ffmpeg -v error -nostdin -f lavfi -i testsrc=s=1200x400 -frames:v 1 "$MNT/assets/wide.png"
    local i
    mkdir "$J/first"
    for i in {1..60}; do
        mkdir "$J/wide$i"
        write "wide$i" "x" '"image_url": "../../assets/wide.png", "hold": true'
    done
    for i in {1..40}; do
        mkdir "$J/made$i" "$J/next$i"
        write "next$i" "x" "\"first_frame\": \"../made$i/last_frame.png\""
        write "made$i" "x"
    done
    all_refused() { [ "$(ls "$MNT/by-status/invalid" | wc -l)" -eq 60 ]; }
    wait_until 60 all_refused
    all_made() { [ "$(ls "$MNT/by-status/succeeded" | wc -l)" -eq 80 ]; }
    wait_until 90 all_made
    [ "$(creates)" -eq 80 ]
}
