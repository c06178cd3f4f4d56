#!/usr/bin/env bats
# Copies of jobs are not ordered, whichever tool makes them.
load helper

setup() { start_world; J=$MNT/jobs; }
teardown() {
    [ -z "${MEMORY:-}" ] || rm -rf "$MEMORY"
    end_world
}

# A job in each state that people copy, with a picture and a note.
make_originals() {
    local job
    for job in succeeded queued failed held invalid; do
        mkdir "$J/$job"
        printf '\211PNG\r\n\032\n%s' "$job" >"$J/$job/hero.png"
        echo "note of $job" >"$J/$job/note.txt"
    done
    request succeeded '' ', "image_url": "hero.png"'
    request queued ' [[seconds=600]]' ', "image_url": "hero.png"'
    request failed ' [[fail]]'
    request held '' ', "hold": true, "image_url": "hero.png"'
    request invalid '' ', "duraton": 5' 2>/dev/null || true
    wait_status succeeded succeeded
    wait_status failed failed
    wait_ends succeeded
}

# request JOB TEXT FIELDS
request() { echo "{\"prompt\": \"original $1$2\"${3-}}" >"$J/$1/prompt.json"; }

quiet() { wait_until 20 creates_are "$BEFORE" && pause 1500 && creates_are "$BEFORE"; }

# copied NAME...   each is a copy of the job before the first dash: held with its price and its files, or invalid as that
copied() {
    local copy job
    for copy in "$@"; do
        job=${copy%%-*}
        if [ "$job" = invalid ]; then
            # The tool was told that the prompt is invalid; unzip stops then.
            status_is "$copy" invalid || status_is "$copy" draft || { status_json "$copy" . >&2; return 1; }
        else
            status_is "$copy" held || { cat "$J/$copy/status.json" "$J/$copy/log" >&2; return 1; }
            [[ $(cat "$J/$copy/cost") == "1.00 USD (estimated; held:"* ]]
            [[ $(stat -c %A "$J/$copy/prompt.json") == -rw* ]] || { stat "$J/$copy/prompt.json" >&2; return 1; }
            cmp "$J/$copy/hero.png" "$J/$job/hero.png"
            cmp "$J/$copy/note.txt" "$J/$job/note.txt"
        fi
    done
}

# copies_all TOOL   with `tool FROM TO`, a directory to a new one; within the mount, and out of it and in again
copies_all() {
    local job place
    mount_fs --settle 1
    make_originals
    BEFORE=$(creates)
    MEMORY=$(mktemp -d /dev/shm/copies.XXXXXX)
    for job in succeeded queued failed held invalid; do
        tool "$J/$job" "$J/$job-inside" >>"$DIR/tool.out" 2>&1 || true
        for place in "$DIR" "$MEMORY"; do
            tool "$J/$job" "$place/$job" >>"$DIR/tool.out" 2>&1 || true
            tool "$place/$job" "$J/$job-${place//\//_}" >>"$DIR/tool.out" 2>&1 || true
        done
    done
    quiet
    copied $(cd "$J" && ls -d ./*-* | cut -c 3-)
    [ "$(ls -d "$J"/*-* | wc -l)" -eq 15 ]
    # One word orders one of them, once.
    echo submit >"$J/succeeded-inside/ctl"
    wait_status succeeded-inside succeeded
    BEFORE=$((BEFORE + 1))
    quiet
}

# S-COPY-1: A copy of a job is not ordered. Copying its directory with `cp -r`, `cp -a`, `rsync`, `tar`, `zip` and
#   `unzip`, `gio copy`, Python's shutil, or `mv` to another filesystem and back makes a job that is `held`, with its
#   price and its files; `submit` orders it. That holds for succeeded, queued, failed and held jobs. The copy of an
#   `invalid` one is `invalid`.
@test "S-COPY-1: cp -r" {
    tool() { cp -r "$1" "$2"; }
    copies_all
}

@test "S-COPY-1: cp -a" {
    tool() { cp -a "$1" "$2"; }
    copies_all
}

@test "S-COPY-1: rsync -r" {
    tool() { rsync -r "$1/" "$2/"; }
    copies_all
}

@test "S-COPY-1: rsync -a" {
    tool() { rsync -a "$1/" "$2/"; }
    copies_all
}

@test "S-COPY-1: tar" {
    tool() { mkdir "$2" && tar -C "$1" -cf - . | tar -C "$2" -xf -; }
    copies_all
}

@test "S-COPY-1: zip and unzip" {
    command -v zip unzip >/dev/null || skip "no zip or unzip"
    tool() { mkdir "$2" && rm -f "$DIR/x.zip" && (cd "$1" && zip -qr "$DIR/x.zip" .) && unzip -qo "$DIR/x.zip" -d "$2"; }
    copies_all
}

@test "S-COPY-1: shutil.copytree" {
    tool() { "$PYTHON" -c 'import shutil, sys; shutil.copytree(sys.argv[1], sys.argv[2])' "$1" "$2"; }
    copies_all
}

@test "S-COPY-1: gio copy, file by file" {
    command -v gio >/dev/null || skip "no gio"
    tool() {
        local file
        mkdir "$2"
        for file in "$1"/*; do gio copy -p "$file" "$2/"; done
    }
    copies_all
}

@test "S-COPY-1: mv to another filesystem and back" {
    mount_fs --settle 1
    make_originals
    BEFORE=$(creates)
    MEMORY=$(mktemp -d /dev/shm/copies.XXXXXX)
    local job
    for job in succeeded queued failed held invalid; do
        cp -r "$J/$job" "$DIR/kept-$job"
        mv "$J/$job" "$MEMORY/$job" 2>>"$DIR/tool.out" || true
        mv "$MEMORY/$job" "$J/$job-back" 2>>"$DIR/tool.out" || true
    done
    quiet
    for job in succeeded queued failed held; do status_is $job-back held; cmp "$J/$job-back/hero.png" "$DIR/kept-$job/hero.png"; done
}

@test "S-COPY-1: into a directory that is there" {
    mount_fs --settle 1
    make_originals
    BEFORE=$(creates)
    local tool
    for tool in "cp -r" "cp -a" "rsync -r" "rsync -a"; do
        mkdir "$J/failed-${tool// /}" "$J/succeeded-${tool// /}"
        $tool "$J/failed/." "$J/failed-${tool// /}/" 2>>"$DIR/tool.out" || true
        $tool "$J/succeeded/." "$J/succeeded-${tool// /}/" 2>>"$DIR/tool.out" || true
    done
    quiet
    copied $(cd "$J" && ls -d ./*-* | cut -c 3-)
    # Once more over what is there: the prompt that was held is held again.
    cp -r "$J/succeeded/." "$J/succeeded-cp-r/" 2>>"$DIR/tool.out" || true
    quiet
    status_is succeeded-cp-r held
}

# S-COPY-2: A prompt that its owner may not write when it is closed or renamed into place is held, and gets the write
#   permission: an accepted prompt has the mode 0444, and so have its copies.
@test "S-COPY-2: a prompt without the owner's write permission" {
    mount_fs --settle 1
    BEFORE=0
    mkdir "$J/closed" "$J/renamed"
    (umask 0333 && echo '{"prompt": "closed", "hold": false}' >"$J/closed/prompt.json")
    echo '{"prompt": "renamed"}' >"$J/renamed/draft"
    chmod 444 "$J/renamed/draft"
    mv "$J/renamed/draft" "$J/renamed/prompt.json"
    quiet
    for job in closed renamed; do
        status_is $job held
        reason_has $job 'This looks like a copy of a job; nothing was sent. `echo submit > ctl` orders it: 1.00 USD.'
        [ "$(stat -c %a "$J/$job/prompt.json")" -ge 600 ]
    done
    restart_fs --settle 0
    quiet
    echo '{"prompt": "closed, and written again"}' >"$J/closed/prompt.json"
    quiet
    status_is closed held
    echo submit >"$J/closed/ctl"
    wait_status closed succeeded
    creates_are 1
}

# S-COPY-3: A job's first request is sent when nothing has been created, renamed or opened for writing in its
#   directory for two seconds (`--settle SECONDS`, 0 to 30) and no file in it is open for writing; after 30 seconds in
#   any case. `submit` sends it at once.
@test "S-COPY-3: the first request waits for a quiet directory, and no longer than it has to" {
    mount_fs --settle 2
    mkdir "$J/own"
    echo '{"prompt": "own", "image_url": "hero.png"}' >"$J/own/draft.json"
    printf '\211PNG\r\n\032\n' >"$J/own/hero.png"
    cp "$J/own/draft.json" "$J/own/prompt.json"
    status_is own waiting
    reason_has own 'Is sent when nothing has been done in its directory for 2 s.'
    for i in 1 2 3; do pause 900; echo more >>"$J/own/notes.txt"; done
    status_is own waiting
    creates_are 0
    exec 7>"$J/own/notes.txt"
    pause 3000
    creates_are 0
    exec 7>&-
    wait_status own succeeded
    creates_are 1
    # Only the first request waits, and `submit` does not.
    echo '{"prompt": "now"}' >"$J/now/prompt.json"
    echo submit >"$J/now/ctl"
    wait_until 1 creates_are 2
    echo '{"prompt": "taken back"}' >"$J/back/prompt.json"
    echo hold >"$J/back/ctl"
    echo submit >"$J/back/ctl"
    fails reason_has back 'Is sent when nothing'
    wait_status back succeeded
    echo '{"prompt": "[[fail]] again"}' >"$J/again/prompt.json"
    wait_status again failed
    echo '{"prompt": "[[fail]] again"}' >"$J/again/prompt.json"
    wait_until 1 creates_are 5
    # Whatever goes on there, 30 s are the end.
    echo '{"prompt": "at last"}' >"$J/last/prompt.json"
    exec 7>"$J/last/notes.txt"
    wait_until 40 creates_are 6
    exec 7>&-
    fails "$SEEDANCEFS" --settle 31 "$MNT"
}

# S-COPY-4: Until then, whoever creates, opens for writing, makes as a directory or renames onto a file that the
#   program makes (all but `ctl`), or takes the owner's write permission from the prompt, makes the job `held`, also
#   if the prompt comes later. `reason` says that it looks like a copy. `"hold": false` does not change that. It
#   survives a restart.
@test "S-COPY-4: who writes what the program makes is copying" {
    mount_fs --settle 1
    BEFORE=0
    local way ways=("echo x >status" "touch -t 202001010000 ctl; mkdir error" "echo x >.t; mv .t cost" ": >response.json"
        "chmod 444 prompt.json" "truncate -s 0 status.json" "echo x >error" "tee output.mp4 </dev/null")
    for i in "${!ways[@]}"; do
        # After the prompt, and before it.
        echo "{\"prompt\": \"after $i\", \"hold\": false}" >"$J/after$i/prompt.json"
        (cd "$J/after$i" && eval "${ways[i]}") 2>/dev/null || true
        mkdir "$J/before$i"
        [[ ${ways[i]} != chmod* ]] || : >"$J/before$i/prompt.json"
        (cd "$J/before$i" && eval "${ways[i]}") 2>/dev/null || true
    done
    restart_fs --settle 1
    for i in "${!ways[@]}"; do
        echo "{\"prompt\": \"before $i\", \"hold\": false}" >"$J/before$i/prompt.json"
    done
    quiet
    for i in "${!ways[@]}"; do
        for way in after before; do
            status_is $way$i held || { echo "$way: ${ways[i]}" >&2; return 1; }
            reason_has $way$i 'This looks like a copy'
        done
    done
    # Whoever only looks, and whoever writes into ctl or files of their own, is not.
    echo '{"prompt": "no copy"}' >"$J/own/prompt.json"
    cat "$J"/own/* >/dev/null
    echo refresh 2>/dev/null >"$J/own/ctl" || true
    echo note >"$J/own/note"
    touch "$J/own" "$J/own/note"
    chmod 640 "$J/own/note"
    wait_status own succeeded
    creates_are 1
}
