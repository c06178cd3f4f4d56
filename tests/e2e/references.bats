#!/usr/bin/env bats
# References: what a prompt names.
load helper

setup() { start_world; mount_fs; J=$MNT/jobs A=$MNT/assets; }
teardown() { end_world; }

picture() { printf '\211PNG\r\n\032\n%s' "$1"; }
prompt() { echo "{\"prompt\": \"$2\"${3:+, $3}}" >"$J/$1/prompt.json"; }
# refused JOB TEXT FIELDS   by a writer that looks at the result of its close
refused() {
    echo "{\"prompt\": \"$2\", $3}" >"$DIR/refused.json"
    fails cp "$DIR/refused.json" "$J/$1/prompt.json"
}
# data_of TEXT   how a picture is sent
data_of() { echo "data:image/png;base64,$(picture "$1" | base64 -w 0)"; }

# S-REF-1: A field for images or audio takes a path, seen from the job's directory: `hero.png` beside the prompt,
#   `../../assets/hero.png`, or `../OTHER/hero.png`, a file of yours in another job. The bytes are those at the time of
#   the close. A path never leads out of the mount. A message says which path was looked for, and where.
@test "S-REF-1: a path beside the prompt, in assets, in another job" {
    mkdir "$J/cat" "$J/dog" "$J/fox"
    picture own >"$J/cat/hero.png"
    picture shared >"$A/hero.png"
    picture other >"$J/dog/hero.png"
    prompt cat "own [[seconds=1]]" '"image_urls": ["hero.png", "./hero.png", "../../assets/hero.png", "../dog/hero.png", "../../jobs/dog/hero.png"]'
    wait_status cat succeeded
    body 1 | jq -e --arg own "$(data_of own)" --arg shared "$(data_of shared)" --arg other "$(data_of other)" \
        '.image_urls == [$own, $own, $shared, $other, $other]'
    jq -e '.image_urls == ["hero.png", "./hero.png", "../../assets/hero.png", "../dog/hero.png", "../../jobs/dog/hero.png"]' \
        "$J/cat/request.json"
    # What was accepted is what is sent, also by `take`, whatever becomes of the files.
    rm "$A/hero.png"
    another() { echo take 2>/dev/null >"$J/cat/ctl"; }
    wait_until 20 another
    wait_status cat succeeded
    [ "$(body 1)" = "$(body 2)" ]
    # What is not there, or not within the mount.
    local path
    for path in ../../assets/hero.png ../dog/none.png ../none/hero.png ../../../etc/passwd /etc/passwd ../../hero.png \
        ../../videos/cat.mp4 ../dog/prompt.json ../cat/output.mp4 ../../assets/ ..; do
        refused fox "wrong" "\"image_url\": \"$path\""
        has "image_url" "$J/fox/error"
    done
    refused fox "wrong" '"image_url": "../none/hero.png"'
    has 'there is no directory "../none", seen from that of this job' "$J/fox/error"
    refused fox "wrong" '"image_url": "../dog/none.png"'
    has 'there is no file "../dog/none.png", seen from the directory of this job' "$J/fox/error"
    refused fox "wrong" '"image_url": "/etc/passwd"'
    has 'Copy the file beside prompt.json or into assets/' "$J/fox/error"
    refused fox "wrong" '"image_url": "../../../etc/passwd"'
    has 'leads out of this mount' "$J/fox/error"
    # A file that is still being written is no picture yet.
    exec 7>"$A/late.png"
    refused fox "late" '"image_url": "../../assets/late.png"'
    has 'still open for writing' "$J/fox/error"
    picture late >&7
    exec 7>&-
    echo submit >"$J/fox/ctl"
    wait_status fox succeeded
    creates_are 3
}

# S-REF-2: `assets/` at the root has files of your own that jobs share. The rules of the files of a job hold; a
#   `prompt.json` there is a file like any other.
@test "S-REF-2: assets has files of the user's, and nothing else" {
    [ "$(ls -A "$A")" = '' ]
    [ "$(stat -c '%F %a' "$A")" = 'directory 755' ]
    picture one >"$A/one.png"
    cp "$A/one.png" "$DIR/one.png"
    rsync -a "$DIR/one.png" "$A/two.png"
    mkdir "$J/cat"
    mv "$A/two.png" "$J/cat/two.png"
    mv "$J/cat/two.png" "$A/three.png"
    mv -f "$A/three.png" "$A/one.png"
    ln "$A/one.png" "$A/link" 2>/dev/null && false
    fails mkdir "$A/sub"
    fails rmdir "$A"
    fails mv "$A" "$MNT/other"
    fails mv "$A/one.png" "$MNT/one.png"
    fails mv "$A/one.png" "$J/one.png"
    # No name has a meaning there, and nothing is ordered.
    echo '{"prompt": "no order"}' >"$A/prompt.json"
    echo '{"prompt": "no order"}' >"$A/prompt.txt"
    echo words >"$A/status"
    chmod 444 "$A/prompt.json"
    chmod 600 "$A/prompt.txt"
    [ "$(stat -c %a "$A/prompt.json" "$A/prompt.txt" | tr '\n' ' ')" = '444 600 ' ]
    [ "$(ls "$A" | tr '\n' ' ')" = 'one.png prompt.json prompt.txt status ' ]
    local inode
    inode=$(stat -c %i "$A/one.png")
    restart_fs
    [ "$(stat -c %i "$A/one.png")" = "$inode" ]
    cmp "$A/one.png" "$DIR/one.png"
    [ "$(ls "$A" | tr '\n' ' ')" = 'one.png prompt.json prompt.txt status ' ]
    # It is no job.
    [ "$(ls "$J")" = cat ]
    [ ! -e "$J/.assets" ]
    fails mkdir "$J/.assets"
    [ "$(ls "$MNT/by-status/draft")" = cat ]
    ! grep -q assets "$MNT/spend.json"
    ! grep -q '"\.assets"' <(head -c "$(stat -c %s "$MNT/events")" "$MNT/events")
    # vim, sed -i and a copy of the whole directory.
    sed -i 's/words/others/' "$A/status"
    [ "$(cat "$A/status")" = others ]
    cp -r "$A" "$DIR/assets"
    diff -r "$A" "$DIR/assets"
    rm "$A"/*
    [ "$(ls -A "$A")" = '' ]
    creates_are 0
}

# S-REF-3: `first_frame` and `last_frame` take one image each, and are sent as items of `content` with these roles. The
#   rules on what excludes what hold over all spellings, and a message names the fields.
@test "S-REF-3: first_frame and last_frame" {
    picture a >"$A/a.png"
    prompt cat "a cat [[seconds=1]]" '"first_frame": "../../assets/a.png", "last_frame": "https://example.com/b.png"'
    wait_status cat succeeded
    body 1 | jq -e --arg a "$(data_of a)" '.content == [
        {type: "image_url", image_url: {url: $a}, role: "first_frame"},
        {type: "image_url", image_url: {url: "https://example.com/b.png"}, role: "last_frame"}] and
        (has("first_frame") or has("last_frame") | not)'
    jq -e '.content[0].image_url.url == "../../assets/a.png"' "$J/cat/request.json"
    mkdir "$J/dog"
    refused dog "a dog" '"first_frame": "../../assets/a.png", "video_url": "https://example.com/v.mp4"'
    has 'first_frame: first_frame and last_frame cannot be combined with references, video or audio, as in video_url' "$J/dog/error"
    refused dog "a dog" '"last_frame": "../../assets/a.png"'
    has 'last_frame: a last_frame needs a first_frame as well' "$J/dog/error"
    creates_are 1
}

# S-REF-4: An `asset://` address is passed on as it is, with a warning in `log`.
@test "S-REF-4: asset:// is passed on" {
    prompt cat "a cat [[seconds=1]]" '"image_url": "asset://asset-20260101"'
    wait_until 10 creates_are 1
    sent 1 '.image_url == "asset://asset-20260101"'
    grep -q 'asset:// address is passed on' "$J/cat/log"
    mkdir "$J/dog"
    refused dog "a dog" '"image_url": "asset://"'
    refused dog "a dog" '"image_url": "ftp://example.com/x.png"'
}
