#!/usr/bin/env bats
# What helps somebody who has mistyped something.
load helper

setup() { start_world; J=$MNT/jobs; }
teardown() { end_world; }

progress_is() { [ "$(cat "$J/$1/progress")" = "$2" ] || { cat "$J/$1/progress" >&2; return 1; }; }

# S-HINT-1: `progress` of a draft says what it lacks: that there is no prompt.json yet, or that it is empty, and which of
#   the files in the job was perhaps meant to be it ("draft: no prompt.json; did you mean Prompt.json?").
@test "S-HINT-1: a draft says what it lacks" {
    mount_fs
    mkdir "$J/none"
    progress_is none '[--------------------]   0 %  draft: no prompt.json yet'
    : >"$J/empty/prompt.json"
    progress_is empty '[--------------------]   0 %  draft: prompt.json is empty'
    local name
    for name in Prompt.json promt.json prompt.json.txt prompt.JSON prompt idea.txt notes.md shot.json prompt_.json; do
        mkdir "$J/draft"
        echo '{"prompt": "x"}' >"$J/draft/$name"
        progress_is draft "[--------------------]   0 %  draft: no prompt.json; did you mean $name?"
        fails bash -c "echo submit >'$J/draft/ctl'"
        has "there is no prompt.json; did you mean $name?" "$J/draft/ctl"
        rm -r "$J/draft"
    done
    # Of two that could be it, the one whose name is like it; else none is guessed.
    mkdir "$J/two"
    touch "$J/two/idea.txt" "$J/two/notes.md" "$J/two/cat.png"
    progress_is two '[--------------------]   0 %  draft: no prompt.json yet'
    touch "$J/two/promptt.json"
    progress_is two '[--------------------]   0 %  draft: no prompt.json; did you mean promptt.json?'
    # What is meant, and renamed, is the order.
    echo '{"prompt": "x"}' >"$J/two/promptt.json"
    [ "$(creates)" -eq 0 ]
    mv "$J/two/promptt.json" "$J/two/prompt.json"
    wait_status two succeeded
    [ "$(creates)" -eq 1 ]
}

# S-HINT-2: `prompt.md` is read as `prompt.txt` is: its text is the prompt. Creating prompt.json or prompt.txt beside it then
#   fails with EEXIST. A prompt.md that is made beside another prompt, or was there before version 0.2.0, is a file like any
#   other, and stays one when it is written, replaced, or left alone: a note never becomes an order.
@test "S-HINT-2: prompt.md" {
    mount_fs
    printf '# A cat\n\nsurfing at *sunset*\n' >"$J/cat/prompt.md"
    wait_status cat succeeded
    [ "$(jq -r .prompt "$J/cat/request.json")" = $'# A cat\n\nsurfing at *sunset*' ]
    fails bash -c "echo y >'$J/cat/prompt.md'"
    : >"$J/owl/prompt.md"
    fails touch "$J/owl/prompt.json" "$J/owl/prompt.txt"
    has 'cannot be created beside prompt.md: a job has one prompt.' "$J/owl/error"
    [ "$(creates)" -eq 1 ]
    # Beside another one.
    echo '{"prompt": "x", "hold": true}' >"$J/dog/prompt.json"
    echo note >"$J/dog/prompt.md"
    status_is dog held
    : >"$J/bird/prompt.txt"
    touch "$J/bird/words"
    mv "$J/bird/words" "$J/bird/prompt.md"
    echo note >"$J/bird/prompt.md"
    status_is bird draft
    echo note >"$J/cat/notes"
    fails mv "$J/cat/notes" "$J/cat/prompt.md" # that one is the accepted prompt
    # As an earlier version has left it.
    fails bash -c "echo '{\"prompt\": 1}' >'$J/fox/prompt.json'"
    echo note >"$J/fox/note"
    unmount_fs
    sqlite3 "$DATA/jobs.sqlite" "UPDATE file SET name = 'prompt.md', is_note = 1 WHERE name = 'note'"
    mount_fs
    for job in dog fox; do
        echo 'another note' >"$J/$job/prompt.md"
        sed -i s/another/third/ "$J/$job/prompt.md"
        [ "$(cat "$J/$job/prompt.md")" = 'third note' ]
        mv "$J/$job/prompt.md" "$J/$job/prompt.md~"
        echo new >"$J/$job/prompt.md"
        cp "$J/$job/prompt.md~" "$J/$job/prompt.md"
        # The prompt goes while the note is being written.
        exec 7>>"$J/$job/prompt.md"
        echo 'my secret note' >&7
        mv "$J/$job/prompt.json" "$J/$job/prompt.json~"
        exec 7>&-
        status_is $job draft
        fails bash -c "echo submit >'$J/$job/ctl'"
        has 'there is no prompt.json; did you mean' "$J/$job/ctl"
        echo 'once more' >>"$J/$job/prompt.md"
    done
    # Backups of the prompt work beside it.
    mv "$J/dog/prompt.json~" "$J/dog/prompt.json"
    sed -i.bak s/x/y/ "$J/dog/prompt.json"
    status_is dog held
    [ "$(jq -r .prompt "$J/dog/request.json")" = y ]
    sleep 1
    [ "$(creates)" -eq 1 ]
    # Who wants it to be the prompt says so: under another name it is a file, and under this one an order.
    mv "$J/fox/prompt.md" "$J/fox/idea"
    rm "$J/fox/prompt.json~"
    mv "$J/fox/idea" "$J/fox/prompt.md"
    wait_status fox succeeded
    [ "$(creates)" -eq 2 ]
}

# S-HINT-3: A byte order mark at the beginning of prompt.json, prompt.txt, prompt.md and defaults.json is skipped.
@test "S-HINT-3: a byte order mark is skipped" {
    mount_fs
    printf '\xef\xbb\xbf{"duration": 4}' >"$MNT/defaults.json"
    printf '\xef\xbb\xbf{"prompt": "one"}\r\n' >"$J/one/prompt.json"
    printf '\xef\xbb\xbfzwei\r\n' >"$J/two/prompt.txt"
    wait_status one succeeded
    wait_status two succeeded
    [ "$(jq -c '[.prompt, .duration]' "$J/one/request.json")" = '["one",4]' ]
    [ "$(jq -c '[.prompt, .duration]' "$J/two/request.json")" = '["zwei",4]' ]
    # Byte by byte it is not taken for a mistake; alone it is nothing yet.
    "$PYTHON" -c '
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
for byte in b"\xef\xbb\xbf{\"prompt\": \"three\"}":
    os.write(fd, bytes([byte]))
os.close(fd)' "$J/three/prompt.json"
    wait_status three succeeded
    printf '\xef\xbb\xbf' >"$J/four/prompt.json"
    status_is four draft
    # The place of a mistake is the one that an editor shows.
    fails bash -c "printf '\\xef\\xbb\\xbf{\"prompt\": \"x\", \"duraton\": 1}' >'$J/five/prompt.json'"
    has 'prompt.json: line 1, column 17: duraton' "$J/five/error"
}

# S-HINT-4: An unknown option, an unknown name in the file of options and an unknown command in `ctl` name the nearest
#   known one.
@test "S-HINT-4: did you mean" {
    fails "$SEEDANCEFS" --budgte 5 "$MNT"
    has 'did you mean --budget?' "$DIR/fails.out"
    fails "$SEEDANCEFS" --api_key_file=x "$MNT"
    has 'did you mean --api-key-file?' "$DIR/fails.out"
    fails "$SEEDANCEFS" --api-url "$API" --api-key-file "$DIR/key" --data-dir "$DATA" -o budgte=5 "$MNT"
    has 'did you mean budget?' "$DIR/fails.out"
    mount_fs
    mkdir "$J/cat"
    fails bash -c "echo sumbit >'$J/cat/ctl'"
    has 'sumbit: unknown; did you mean `submit`?' "$J/cat/ctl"
    fails bash -c "echo dance >'$J/cat/ctl'"
    has 'dance: unknown; the commands are' "$J/cat/ctl"
}

# S-HINT-5: A prompt of more than 500 Chinese, Japanese or Korean characters is sent with a warning in `log`, as is one of
#   more than 1,000 words.
@test "S-HINT-5: long prompts in every script" {
    mount_fs
    local text
    text=$("$PYTHON" -c 'print("漢" * 300 + "かな한글" * 50, end="")')
    jq -n --arg p "$text" '{prompt: $p}' >"$J/short/prompt.json"
    jq -n --arg p "$text。字" '{prompt: $p}' >"$J/long/prompt.json"
    wait_status short succeeded
    wait_status long succeeded
    fails grep -q warning "$J/short/log"
    has 'warning: prompt: has 501 Chinese, Japanese or Korean characters; the service advises at most 500' "$J/long/log"
}
