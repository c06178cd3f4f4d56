#!/usr/bin/env bats
# Copy and paste of a job's directory by real file managers on a virtual display, by the keys that people press: nothing
# of it is ordered, also while a question of theirs stands open. Each step waits for what it leads to.
# Each test may take 600 s.
load helper

teardown() {
    [ -n "${DIR:-}" ] || return 0
    [ -n "${BATS_TEST_COMPLETED:-}" ] || tell >&2
    end_manager
    [ -z "${XVFB:-}" ] || kill "$XVFB" 2>/dev/null || true
    [ -z "${XVFB:-}" ] || wait "$XVFB" || true
    [ -z "${MEMORY:-}" ] || rm -rf "$MEMORY"
    end_world
}

# What was asked, what is on the screen, and what became of the jobs.
tell() {
    cat "$DIR/asked" 2>/dev/null || true
    windows || true
    tail -n +1 "$J"/*/log || true
    tail -n 20 "$DIR/manager.out" || true
}

# in_the_campaign   the ways that are left out of every run: they take minutes, and most of that is the managers' own
in_the_campaign() { [ -n "${MANAGERS:-}" ] || skip "in the campaign: MANAGERS=all"; }

# start MANAGER   a mount, a display, and no settings of anybody's
start() {
    local program
    for program in "$1" Xvfb xdotool xclip xwd dbus-run-session; do
        command -v "$program" >/dev/null || skip "$program is not installed"
    done
    [ "$BUILD" = build ] || skip "once is enough: it is about the file managers"
    start_world
    J=$MNT/jobs MANAGER=$1 MANAGER_PIDS=()
    mount_fs --settle 2
    # Without -noreset it begins anew when its last client ends, and refuses who comes meanwhile.
    Xvfb -displayfd 6 -noreset -screen 0 1000x700x24 -nolisten tcp 6>"$DIR/display" 2>"$DIR/xvfb.out" 3>&- &
    XVFB=$!
    wait_until 60 test -s "$DIR/display"
    export DISPLAY=:$(cat "$DIR/display") HOME=$DIR/home XDG_RUNTIME_DIR=$DIR/run LC_ALL=C.UTF-8 NO_AT_BRIDGE=1
    unset XDG_CONFIG_HOME XDG_CACHE_HOME XDG_DATA_HOME
    mkdir -m 700 "$HOME" "$XDG_RUNTIME_DIR"
    MEMORY=$(mktemp -d /dev/shm/copies.XXXXXX)
    mkdir "$DIR/to-disk" "$DIR/from-disk" "$MEMORY/to-memory" "$MEMORY/from-memory"
}

# original JOB TEXT STATE   with a picture and a note
original() {
    mkdir "$J/$1"
    printf '\211PNG\r\n\032\n%s' "$1" >"$J/$1/hero.png"
    echo "note of $1" >"$J/$1/note.txt"
    echo "{\"prompt\": \"$2\", \"image_url\": \"hero.png\"}" >"$J/$1/prompt.json"
    wait_status "$1" "$3"
    [ "$3" != succeeded ] || wait_ends "$1"
    BEFORE=1
    creates_are $BEFORE
}

# x COMMAND...   of xdotool, which would wait for ever for a window that has just gone
x() { timeout 10 xdotool "$@" 2>/dev/null; }

# The windows on the screen, "ID NAME" each; those of directories are called like them.
windows() {
    local id
    for id in $(x search --onlyvisible --name .); do echo "$id $(x getwindowname "$id")"; done
}
has_directory() { WINDOW=$(x search --onlyvisible --name "^$1( - Thunar)?\$" | head -n 1) && [ -n "$WINDOW" ]; }
is_open() { x search --onlyvisible --name . | grep -qx "$1"; }

screen() { xwd -root -silent | tail -c +4000 | cksum; }
screen_is_still() { local before; before=$(screen); pause 400; [ "$(screen)" = "$before" ]; }

# press WINDOW KEY...
press() { x windowraise "$1" windowfocus --sync "$1" && x key "${@:2}"; }
# The same after a click on the empty part of a directory.
press_in() { x windowraise "$1" windowfocus --sync "$1" mousemove --window "$1" 400 400 click 1 && x key "${@:2}"; }

# show DIRECTORY   in a window of its own, $WINDOW, of the only process of the manager
show() {
    local command=("$MANAGER")
    [ "$MANAGER" != pcmanfm ] || command+=(--new-win)
    if [ ! -e "$DIR/bus" ]; then
        dbus-run-session -- bash -c 'echo "$DBUS_SESSION_BUS_ADDRESS" >"$0/bus"; exec "$@"' "$DIR" \
            "${command[@]}" "$1" >"$DIR/manager.out" 2>&1 3>&- &
    else
        DBUS_SESSION_BUS_ADDRESS=$(cat "$DIR/bus") "${command[@]}" "$1" >>"$DIR/manager.out" 2>&1 3>&- &
    fi
    MANAGER_PIDS+=($!)
    wait_until 90 has_directory "${1##*/}"
    wait_until 90 screen_is_still
}
end_manager() {
    local process
    for process in "${MANAGER_PIDS[@]}"; do
        kill $(pgrep -P "$process") "$process" 2>/dev/null || true
        wait "$process" || true
    done
}

# copy JOB   the only thing in the directory that $WINDOW shows, by Ctrl-A and Ctrl-C
copy() { wait_until 90 is_copied "$1"; }
is_copied() {
    press_in "$WINDOW" ctrl+a ctrl+c || return 1
    pause 300
    [ "$(timeout 5 xclip -o -selection clipboard -t text/uri-list | tr -d '\r\n\0')" = "file://$1" ]
}

# The window that asks something, as $QUESTION and $TITLE; $CALM if there is none but those of directories.
asks() {
    local id
    CALM=1
    while read -r id TITLE; do
        case $TITLE in
        "Confirm File Replacing" | Finished | "Confirm to replace files" | Attention) QUESTION=$id && return ;;
        jobs | jobs\ * | to-* | from-*) ;;
        *) CALM= ;; # how far it is
        esac
    done < <(windows)
    return 1
}

# answer KEY...   until the question is gone
answer() {
    local key
    for key in "$@"; do press "$QUESTION" "$key" || true; done
    pause 200
    ! is_open "$QUESTION"
}

# answer_name NAME   for the directory itself, where pcmanfm asks for one
answer_name() {
    ! [ -d "${COPY%/*}/$1" ] || return 0
    press "$QUESTION" ctrl+a && x type "$1" && press "$QUESTION" alt+r
    pause 300
    [ -d "${COPY%/*}/$1" ]
}

has_begun() { asks || [ -d "$COPY" ] || [ -z "$CALM" ]; }

# paste COPY [ANSWER]   into the directory that $WINDOW shows; what arises is COPY. Questions are answered by skipping,
# or by ANSWER. Each stands open for longer than the program waits for quiet, if there is something to order by then.
paste() {
    local key=${2:-skip} first=1 calm=0 end=$((SECONDS + 300)) files
    COPY=$1
    printf '%s: paste %s\n' "$MANAGER" "$COPY" >>"$DIR/asked"
    press_in "$WINDOW" ctrl+v
    wait_until 60 has_begun
    while [ $calm -lt 4 ]; do
        [ "$SECONDS" -lt $end ]
        if asks; then
            calm=0
            files=$(cd "$COPY" 2>/dev/null && echo *) || true
            echo "$TITLE, $(cat "$COPY/status" 2>/dev/null): $files" >>"$DIR/asked"
            [[ $first != 1 && $files != *prompt.json* ]] || pause 2600
            creates_are "$BEFORE"
            case $TITLE,$key in
            "Confirm File Replacing,"*)
                if [ "$first$files" = 1 ]; then
                    wait_until 60 answer_name "${COPY##*/}"
                elif [ "$key" = skip ]; then wait_until 60 answer alt+s; else wait_until 60 answer alt+o; fi
                ;;
            "Confirm to replace files,skip" | Attention,*) wait_until 60 answer alt+s ;;
            "Confirm to replace files,"*) wait_until 60 answer alt+r ;;
            Finished,*) wait_until 60 answer alt+c ;;
            esac
            first=
        elif [ -n "$CALM" ] && [ -e "$COPY/prompt.json" ] && [ -e "$COPY/hero.png" ] && [ -e "$COPY/note.txt" ]; then
            calm=$((calm + 1))
            pause 200
        else
            pause 50
        fi
    done
}

# The copy is held with its price and its files, and stays so.
copied() {
    wait_until 20 status_is "$1" held
    [[ $(cat "$J/$1/cost") == "1.00 USD (estimated; held:"* ]]
    reason_has "$1" 'This looks like a copy of a job; nothing was sent. `echo submit > ctl` orders it: 1.00 USD.'
    [[ $(stat -c %A "$J/$1/prompt.json") == -rw* ]]
    cmp "$J/$1/hero.png" "$J/$ORIGINAL/hero.png"
    cmp "$J/$1/note.txt" "$J/$ORIGINAL/note.txt"
    cmp "$J/$1/prompt.json" "$J/$ORIGINAL/prompt.json"
}

# name_of_copy   as the manager gives it, or as it is told
name_of_copy() { if [ "$MANAGER" = thunar ]; then echo "$ORIGINAL (copy 1)"; else echo "$ORIGINAL-copy"; fi; }

# inside [ANSWER]   a copy beside the original
inside() {
    show "$J"
    JOBS=$WINDOW
    copy "$J/$ORIGINAL"
    paste "$J/$(name_of_copy)" "$@"
    copied "$(name_of_copy)"
}

# out PLACE DIRECTORY   of the mount, what was copied last
out() {
    show "$2/to-$1"
    paste "$2/to-$1/$ORIGINAL"
    mv "$2/to-$1/$ORIGINAL" "$2/from-$1/$ORIGINAL-$1"
}

# back PLACE DIRECTORY   into the mount, as another job
back() {
    show "$2/from-$1"
    copy "$2/from-$1/$ORIGINAL-$1"
    WINDOW=$JOBS
    paste "$J/$ORIGINAL-$1"
    copied "$ORIGINAL-$1"
}

# ordered JOB STATE   one word orders it once, with its picture
ordered() {
    pause 2600
    creates_are "$BEFORE"
    echo submit >"$J/$1/ctl"
    wait_status "$1" "$2"
    BEFORE=$((BEFORE + 1))
    pause 2600
    creates_are "$BEFORE"
    [ "$(body "$BEFORE")" = "$(body 1)" ]
}

succeeded() {
    ORIGINAL=cat
    original cat original succeeded
    inside
    if [ -z "${MANAGERS:-}" ]; then
        ordered "$(name_of_copy)" succeeded
        return
    fi
    # Out of the mount twice, while the original is what was copied last; then in again.
    out disk "$DIR"
    out memory "$MEMORY"
    back disk "$DIR"
    back memory "$MEMORY"
    ordered "$(name_of_copy)" succeeded
    ordered cat-disk succeeded
    status_is cat-memory held
}

# A failed job's prompt may be written, and so may its copy: what its maker does beside is all that tells.
failed() {
    ORIGINAL=dog
    original dog 'original [[fail]]' failed
    inside
    if [ -n "${MANAGERS:-}" ]; then
        out memory "$MEMORY"
        back memory "$MEMORY"
        status_is dog-memory held
    fi
    ordered "$(name_of_copy)" failed
}

# Who has each file replaced gets no further.
queued() {
    ORIGINAL=bird
    original bird 'original [[seconds=600]]' running
    inside replace
    ordered "$(name_of_copy)" running
}

# S-COPY-1: A copy of a job is not ordered. Copying its directory with `cp -r`, `cp -a`, `rsync`, `tar`, `zip` and
#   `unzip`, `gio copy`, Python's shutil, or `mv` to another filesystem and back makes a job that is `held`, with its
#   price and its files; `submit` orders it. That holds for succeeded, queued, failed and held jobs. The copy of an
#   `invalid` one is `invalid`.
@test "S-COPY-1: pcmanfm copies a succeeded job" {
    start pcmanfm
    succeeded
}

@test "S-COPY-1: pcmanfm copies a failed job" {
    in_the_campaign
    start pcmanfm
    failed
}

@test "S-COPY-1: pcmanfm copies a running job, and replaces" {
    in_the_campaign
    start pcmanfm
    queued
}

@test "S-COPY-1: Thunar copies a succeeded job" {
    in_the_campaign
    start thunar
    succeeded
}

@test "S-COPY-1: Thunar copies a failed job" {
    start thunar
    failed
}

@test "S-COPY-1: Thunar copies a running job, and replaces" {
    in_the_campaign
    start thunar
    queued
}
