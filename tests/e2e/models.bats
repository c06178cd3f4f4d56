#!/usr/bin/env bats
# --models: models of the service as files.
load helper

setup() {
    MODELS=$BATS_TEST_TMPDIR/models
    mkdir "$MODELS"
    cat >"$MODELS/seedance-3.json" <<'END'
{
  "usd_per_second": {"1080p": "0.50", "720p": "0.30"},
  "parameters": {
    "duration": {"min": 2, "max": 30, "auto": true, "default": 10},
    "resolution": {"default": "1080p"},
    "aspect_ratio": {"values": ["2:1", "1:1"], "default": "2:1"},
    "image_urls": {"max_count": 1, "min_pixels": 500},
    "audio_urls": {"max_count": 0},
    "input_video_duration": {"max": 40},
    "watermark": {"default": true}
  }
}
END
    start_world --models "$MODELS"
    J=$MNT/jobs
}
teardown() { end_world; }

# refused JOB JSON TEXT...   the write fails, and `error` has the texts
refused() {
    local job=$1 json=$2 text
    shift 2
    mkdir -p "$J/$job"
    fails bash -c 'printf "%s\n" "$1" >"$2"' _ "$json" "$J/$job/prompt.json"
    for text; do has "$text" "$J/$job/error"; done
}

has_text() { grep -qF "$2" "$1" 2>/dev/null; }

# does_not_start TEXT...   exit code 2, no mount, and each text is said
does_not_start() {
    local text
    run "$SEEDANCEFS" --api-url "$API" --api-key-file "$DIR/key" --data-dir "$DATA" --models "$MODELS" "$MNT" 3>&-
    [ "$status" -eq 2 ] || { echo "code $status: $output" >&2; return 1; }
    ! mountpoint -q "$MNT"
    for text; do
        [[ $output == *"$text"* ]] || { printf 'not "%s" in: %s\n' "$text" "$output" >&2; return 1; }
    done
}

# S-MODEL-1: With `--models DIR`, each file `MODEL.json` in DIR is a model of the service, in the format of the mount's
#   `models/MODEL.json`. Its requests are checked and priced by that file: resolutions, ratios, durations, and the
#   number, size and length of the media. `models/`, `--model` and `--help` know it. What the file leaves out is as in
#   the documented `doubao-seedance-2.0`.
# S-MODEL-5: A field that a prompt leaves out has the default of the prompt's own model, wherever the model is named in
#   it. What `defaults.json` has instead must be possible for that model; if it is not, the prompt is refused, and
#   `error` says so.
@test "S-MODEL-1 S-MODEL-5: a new model is checked, priced and sent by its file" {
    mount_fs --models "$MODELS"
    echo '{"duration": 30, "resolution": "1080p", "prompt": "long", "model": "seedance-3"}' >"$J/long/prompt.json"
    wait_status long succeeded
    sent 1 '. == {"model": "seedance-3", "prompt": "long", "duration": 30, "resolution": "1080p", "aspect_ratio": "2:1",
        "generate_audio": true, "watermark": true}'
    [ "$(cat "$J/long/cost")" = "15.00 USD (by the video's length; 30.000 s of seedance-3 at 1080p)" ]
    echo '{"prompt": "short", "model": "seedance-3", "resolution": "720p"}' >"$J/short/prompt.json"
    wait_status short succeeded
    sent 2 '.duration == 10 and .resolution == "720p"'
    has '3.00 USD' "$J/short/cost"
    echo '{"prompt": "usual"}' >"$J/usual/prompt.json"
    wait_status usual succeeded
    sent 3 '.model == "doubao-seedance-2.0" and .duration == 5 and .resolution == "720p" and .watermark == false'
    refused a '{"prompt": "x", "model": "seedance-3", "duration": 31}' 'duration: must be from 2 to 30 seconds'
    refused a '{"prompt": "x", "model": "seedance-3", "resolution": "480p"}' 'must be "1080p" or "720p"'
    refused a '{"prompt": "x", "model": "seedance-3", "aspect_ratio": "16:9"}' 'must be "2:1" or "1:1"'
    refused a '{"prompt": "x", "model": "seedance-3", "image_urls": ["https://a/1", "https://a/2"]}' 'at most 1'
    refused a '{"prompt": "x", "model": "seedance-3", "image_url": "https://a/1", "audio_url": "https://a/2"}' \
        'seedance-3 takes no audio'
    refused a '{"prompt": "x", "duration": 30}' 'must be from 4 to 15 seconds'
    refused a '{"prompt": "x", "model": "seedance-4"}' 'there is no model "seedance-4"' 'Did you mean "seedance-3"?'
    # 10 s of video, and the longest input that is possible.
    echo '{"prompt": "x", "model": "seedance-3", "hold": true, "video_url": "https://example.com/1"}' >"$J/b/prompt.json"
    has '25.00 USD (estimated' "$J/b/cost"
    # The gallery, and the sums.
    has 'title="seedance-3">1080p · 30 s' "$MNT/index.html"
    jq -e '.by_model."seedance-3".settled == "18.00"' "$MNT/spend.json"
    [ "$(creates)" -eq 3 ]
}

@test "S-MODEL-1: models/, --model, --help and completion know it, and what models/ shows is accepted" {
    mount_fs --models "$MODELS" --model seedance-3
    ls "$MNT/models" >"$DIR/names"
    [ "$(tr '\n' ' ' <"$DIR/names")" = 'doubao-seedance-2.0-fast.json doubao-seedance-2.0.json seedance-3.json ' ]
    jq -e '.model == "seedance-3" and .is_default and .usd_per_second == {"1080p": "0.50", "720p": "0.30"} and
        .parameters.duration == {"unit": "seconds", "min": 2, "max": 30, "auto": true, "default": 10} and
        .parameters.resolution.values == ["1080p", "720p"] and .parameters.audio_urls.max_seconds == 15' \
        "$MNT/models/seedance-3.json"
    jq -e '.is_default == false' "$MNT/models/doubao-seedance-2.0.json"
    stat -c %i "$MNT"/models/* >"$DIR/inodes"
    [ "$(sort -u "$DIR/inodes" | wc -l)" -eq 3 ]
    echo '{"prompt": "x"}' >"$J/a/prompt.json"
    wait_status a succeeded
    sent 1 '.model == "seedance-3" and .duration == 10'
    cp "$MNT"/models/* "$DIR"
    unmount_fs
    cp "$DIR"/doubao*.json "$DIR/seedance-3.json" "$MODELS"
    echo '{"usd_per_second": {"720p": "1"}}' >"$MODELS/another.json"
    mount_fs --models "$MODELS" --model seedance-3
    for file in doubao-seedance-2.0-fast doubao-seedance-2.0 seedance-3; do
        cmp "$MNT/models/$file.json" "$DIR/$file.json"
    done
    # The inodes are those of before, and another file has another one.
    stat -c %i "$MNT"/models/{doubao,seedance}* | diff - "$DIR/inodes"
    ! stat -c %i "$MNT/models/another.json" | grep -qxFf "$DIR/inodes"
    "$SEEDANCEFS" --models "$MODELS" --help | grep -qx 'Models: .*, another, seedance-3\.'
    "$SEEDANCEFS" --help | grep -qx 'Models: doubao-seedance-2\.0, doubao-seedance-2\.0-fast\.'
    unmount_fs
    run "$SEEDANCEFS" --api-url "$API" --api-key-file "$DIR/key" --data-dir "$DATA" --models "$MODELS" --model other "$MNT" 3>&-
    [ "$status" -eq 2 ]
    [[ $output == *"--model other: unknown; the models are doubao-seedance-2.0, doubao-seedance-2.0-fast, another, seedance-3."* ]]
}

@test "S-MODEL-5: defaults.json and a prompt of another model" {
    mount_fs --models "$MODELS"
    fails bash -c 'echo "{\"duration\": 25}" >"$1"' _ "$MNT/defaults.json"
    has 'must be from 4 to 15 seconds' "$MNT/defaults.error"
    echo '{"duration": 25, "model": "seedance-3"}' >"$MNT/defaults.json"
    echo 'a cat' >"$J/a/prompt.txt"
    wait_status a succeeded
    sent 1 '.model == "seedance-3" and .duration == 25 and .resolution == "1080p"'
    refused b '{"prompt": "x", "model": "doubao-seedance-2.0"}' \
        'duration: is 25 in defaults.json, but doubao-seedance-2.0 takes 4 to 15 seconds. Give this prompt one of its own.'
    echo '{"prompt": "x", "model": "doubao-seedance-2.0", "duration": 4}' >"$J/b/prompt.json"
    wait_status b succeeded
    sent 2 '.model == "doubao-seedance-2.0" and .duration == 4 and .resolution == "720p"'
    # What was accepted by a model that is gone decides nothing.
    unmount_fs
    mount_fs
    has 'there is no model "seedance-3"' "$MNT/defaults.error"
    refused c '{"prompt": "x"}' 'No prompt is accepted until this is corrected'
    echo '{}' >"$MNT/defaults.json"
    echo '{"prompt": "x"}' >"$J/c/prompt.json"
    wait_status c succeeded
}

# S-MODEL-2: A file with the name of a documented model replaces it, with its prices and limits. What is ordered from
#   then on is priced by it, also with `retry` and `take`. What was accepted before and would cost more than 5 % more is
#   held, with the new price (S-LINK-7); what was paid stays as it was.
@test "S-MODEL-2: new prices and limits of a documented model" {
    echo '{"usd_per_second": {"720p": "0.25", "1080p": "0.75"}, "parameters": {"duration": {"max": 20}}}' \
        >"$MODELS/doubao-seedance-2.0.json"
    end_sim
    start_sim --models "$MODELS"
    mount_fs --models "$MODELS" --budget 20
    [ "$(ls "$MNT/models" | wc -l)" -eq 3 ]
    echo '{"prompt": "x"}' >"$J/a/prompt.json"
    wait_status a succeeded
    has '1.25 USD' "$J/a/cost"
    echo '{"prompt": "x", "resolution": "1080p", "duration": 20}' >"$J/b/prompt.json"
    wait_status b succeeded
    has '15.00 USD' "$J/b/cost"
    refused c '{"prompt": "x", "resolution": "480p"}' 'must be "720p" or "1080p"'
    has '0.16' "$MNT/models/doubao-seedance-2.0-fast.json"
    unmount_fs
    mount_fs
    has '1.25 USD' "$J/a/cost"
    wait_until 20 bash -c 'echo take >"$1/a/ctl"' _ "$J" 2>/dev/null
    wait_until 20 creates_are 3
    wait_status a succeeded
    has '1.00 USD' "$J/a/cost"
    jq -e '[.attempts[] | select(.job == "a") | .estimated] | sort == ["1.00", "1.25"]' "$MNT/spend.json"
    refused c '{"prompt": "x", "resolution": "1080p"}' 'must be "480p" or "720p"'
}

@test "S-MODEL-2: what was accepted at a lower price is held at the higher one" {
    mount_fs --hold
    echo '{"prompt": "held"}' >"$J/a/prompt.json"
    has '1.00 USD (estimated; held' "$J/a/cost"
    unmount_fs
    scenario '{"kind":"create","response":{"status":401}}'
    mount_fs
    echo '{"prompt": "waits"}' >"$J/b/prompt.json"
    wait_until 20 creates_are 1
    wait_status b waiting
    unmount_fs
    scenario
    echo '{"usd_per_second": {"720p": "0.30"}}' >"$MODELS/doubao-seedance-2.0.json"
    mount_fs --models "$MODELS"
    wait_status b held
    has 'It costs 1.50 USD by the present price of its model; 1.00 USD were accepted.' "$J/b/error"
    has '1.50 USD (estimated; held' "$J/b/cost"
    echo submit >"$J/a/ctl"
    wait_until 20 has_text "$J/a/error" 'It costs 1.50 USD'
    has '1.50 USD (estimated; held' "$J/a/cost"
    [ "$(creates)" -eq 1 ]
    echo submit | tee "$J/a/ctl" "$J/b/ctl" >/dev/null
    wait_status a succeeded
    wait_status b succeeded
    has '1.50 USD' "$J/a/cost"
    unmount_fs
    # Less is no reason to ask.
    mount_fs --models "$MODELS" --hold
    echo '{"prompt": "again"}' >"$J/c/prompt.json"
    unmount_fs
    mount_fs
    echo submit >"$J/c/ctl"
    wait_status c succeeded
    has '1.00 USD' "$J/c/cost"
}

# S-MODEL-3: When a file has a mistake, or DIR or a file in it cannot be read, the program does not start. It ends with
#   exit code 2, and names each mistake with its file, line and column, the rule that it breaks, and the nearest known
#   name. Hidden files and files whose names do not end in `.json` are not read.
@test "S-MODEL-3: a mistake in a file" {
    printf '{\n  "usd_per_second": {"720p": 0.2},\n  "parameters": {"duraton": {}}\n}\n' >"$MODELS/bad.json"
    echo '{"usd_per_second": {"720p": "1"}' >"$MODELS/cut.json"
    echo '{"model": "x", "usd_per_second": {"720p": "1"}}' >"$MODELS/other.json"
    does_not_start "$MODELS/bad.json: line 2, column 30: usd_per_second.720p: must be a string, but is a number." \
        "$MODELS/bad.json: line 3, column 18: parameters.duraton: unknown member; did you mean \"duration\"?" \
        "$MODELS/cut.json: line 2, column 1: the text ends too early" \
        "$MODELS/other.json: line 1, column 11: model: must be \"other\", the name of the file without .json" \
        'nothing is started with wrong prices or limits. Correct what is said above'
    rm "$MODELS"/*.json
    : >"$MODELS/empty.json"
    does_not_start "$MODELS/empty.json: line 1, column 1:"
    mv "$MODELS/empty.json" "$MODELS/a b.json"
    does_not_start "$MODELS/a b.json: the name of the file must be MODEL.json"
    rm "$MODELS"/*.json
    head -c 70000 /dev/zero | tr '\0' ' ' >"$MODELS/large.json"
    does_not_start "$MODELS/large.json cannot be read: File too large"
    rm "$MODELS/large.json"
    for i in $(seq 70); do echo '{"usd_per_second": {"720p": "1"}}' >"$MODELS/m$i.json"; done
    does_not_start 'there are more than 64 models'
    run "$SEEDANCEFS" --models "$MODELS" --help
    [ "$status" -eq 2 ]
    [ ! -e "$DATA" ]
}

@test "S-MODEL-3: what cannot be read" {
    mkfifo "$MODELS/pipe.json"
    does_not_start "$MODELS/pipe.json is neither a file nor a link to one."
    rm "$MODELS/pipe.json"
    mkdir "$MODELS/directory.json"
    does_not_start "$MODELS/directory.json is neither a file nor a link to one."
    rmdir "$MODELS/directory.json"
    ln -s /nowhere "$MODELS/link.json"
    does_not_start "$MODELS/link.json cannot be read: No such file or directory"
    rm "$MODELS/link.json"
    if [ "$(id -u)" != 0 ]; then
        chmod 0 "$MODELS/seedance-3.json"
        does_not_start "$MODELS/seedance-3.json cannot be read: Permission denied"
    fi
    mv "$MODELS" "$DIR/elsewhere"
    does_not_start "--models $MODELS: the directory cannot be read: No such file or directory"
    : >"$MODELS"
    does_not_start "--models $MODELS: the directory cannot be read: Not a directory"
}

@test "S-MODEL-3: other files are not read, and links are" {
    mv "$MODELS/seedance-3.json" "$DIR/real"
    ln -s "$DIR/real" "$MODELS/seedance-3.json"
    echo no >"$MODELS/.seedance-4.json"
    echo no >"$MODELS/seedance-5.json~"
    echo no >"$MODELS/README"
    cd "$BATS_TEST_TMPDIR"
    mount_fs --models models
    [ "$(ls "$MNT/models" | wc -l)" -eq 3 ]
    jq -e '.parameters.duration.max == 30' "$MNT/models/seedance-3.json"
    unmount_fs
    # As in fstab.
    mount_fs -o "models=$MODELS"
    [ -e "$MNT/models/seedance-3.json" ]
}

# S-MODEL-4: If `duration` of a model has `"auto": true`, the duration -1 leaves the length to the model. The estimate
#   then counts the longest duration of the model, and `cost` says that it is the most. The actual cost is by the length
#   of the video.
@test "S-MODEL-4: the model chooses the length" {
    mount_fs --models "$MODELS" --budget 16
    refused a '{"prompt": "x", "duration": -1}' 'must be from 4 to 15 seconds, but is -1'
    refused a '{"prompt": "x", "duration": -2, "model": "seedance-3"}' \
        'must be from 2 to 30 seconds, or -1 for a length that the model chooses, but is -2'
    echo '{"prompt": "x", "duration": -1, "model": "seedance-3", "hold": true}' >"$J/b/prompt.json"
    [ "$(cat "$J/b/cost")" = '15.00 USD (estimated; held: `echo submit > ctl` orders it; at most 30.000 s of seedance-3 at 1080p, which chooses the length)' ]
    jq -e '.duration == -1' "$J/b/request.json"
    jq -e '.duration_s == 30 and .cost.estimated == "15.00"' "$J/b/status.json"
    has 'title="seedance-3">1080p · up to 30 s' "$MNT/index.html"
    # Two of them are more than the budget.
    echo '{"prompt": "y [[seconds=2]]", "duration": -1, "model": "seedance-3"}' >"$J/c/prompt.json"
    wait_until 20 creates_are 1
    echo submit >"$J/b/ctl"
    wait_until 10 reason_has b budget
    [[ $(cat "$J/c/progress") == *left* ]] || [ "$(cat "$J/c/status")" = queued ]
    wait_status c succeeded
    sent 1 '.duration == -1'
    length=$(jq -r .usage.video_duration "$J/c/response.json")
    [ "$length" -ge 2 ] && [ "$length" -le 30 ]
    cost=$(printf '%d.%02d' $((length * 50 / 100)) $((length * 50 % 100)))
    [ "$(cat "$J/c/cost")" = "$cost USD (by the video's length; $length.000 s of seedance-3 at 1080p)" ]
    jq -e --arg cost "$cost" '.duration_s == 30 and .cost.actual == $cost' "$J/c/status.json"
    kill_fs
    mount_fs --models "$MODELS"
    [ "$(cat "$J/c/status")" = succeeded ]
    wait_status b succeeded
    sent 2 '.duration == -1'
    # Its length as an input of another job is that of the video.
    echo '{"prompt": "z", "model": "seedance-3", "duration": 2, "resolution": "720p", "video_url": "../c/output.mp4"}' \
        >"$J/d/prompt.json"
    wait_until 20 creates_are 3
    sent 3 ".video_durations == [$length]"
    wait_status d succeeded
}

# S-MODEL-6: A task that was sent costs what was accepted for a second of it, whatever its model costs at a later start.
#   It is followed also when its model, or the price of its resolution, is gone.
@test "S-MODEL-6: a model that is gone" {
    mount_fs --models "$MODELS"
    for job in a b; do
        echo '{"prompt": "x [[seconds=4]]", "model": "seedance-3"}' >"$J/$job/prompt.json"
    done
    wait_until 20 creates_are 2
    wait_until 10 json_is a .state running
    wait_until 10 json_is b .state running
    kill_fs
    mount_fs
    wait_status a succeeded
    wait_status b succeeded
    for job in a b; do
        [ "$(cat "$J/$job/cost")" = "5.00 USD (by the video's length; 10.000 s of seedance-3 at 1080p)" ]
    done
    refused c '{"prompt": "x", "model": "seedance-3"}' 'there is no model "seedance-3"'
    # The request was accepted: it may be repeated.
    echo take >"$J/a/ctl" || { wait_until 20 bash -c 'echo take >"$1/a/ctl"' _ "$J" 2>/dev/null; }
    wait_until 20 creates_are 3
    wait_status a succeeded
    has '5.00 USD' "$J/a/cost"
}

@test "S-MODEL-1: the media of a request are looked at by the limits of its model" {
    command -v ffmpeg >/dev/null || skip "ffmpeg is not installed"
    with_ffmpeg
    mount_fs --models "$MODELS"
    mkdir "$J/a" "$J/b"
    ffmpeg -v error -f lavfi -i color=red:s=400x400 -frames:v 1 "$DIR/red.png"
    cp "$DIR/red.png" "$J/a"
    cp "$DIR/red.png" "$J/b"
    echo '{"prompt": "x", "model": "seedance-3", "image_url": "red.png"}' >"$J/a/prompt.json"
    wait_status a invalid
    has 'has 400 x 400 pixels; the service takes sides from 500 to 6000' "$J/a/error"
    echo '{"prompt": "x", "image_url": "red.png"}' >"$J/b/prompt.json"
    wait_status b succeeded
    [ "$(creates)" -eq 1 ]
}
