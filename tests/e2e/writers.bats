#!/usr/bin/env bats
# The writer matrix: whatever writes prompt.json, exactly one create follows, after the last writer has
# closed it; and whatever is wrong is told to the tool that wrote it.
load helper

setup_file() { start_world && mount_fs && share_world; }
teardown_file() { end_world; }
setup() {
    clean_world
    GOOD=$DIR/good.json BAD=$DIR/bad.json BETTER=$DIR/better.json
    printf '{\n  "prompt": "a good one",\n  "duration": 6\n}\n' >"$GOOD"
    printf '{\n  "prompt": 7,\n  "duraton": 6\n}\n' >"$BAD"
    printf '{"prompt": "corrected"}\n' >"$BETTER"
    P=$MNT/jobs/job/prompt.json
}
teardown() {
    [ -z "${TMUX_TMPDIR:-}" ] || tmux kill-server 2>/dev/null || true
}

has_both_mistakes() {
    has 'line 2, column 13: prompt: must be a string' "$MNT/jobs/$1/error" &&
        has 'line 3, column 3: duraton: unknown field; did you mean "duration"?' "$MNT/jobs/$1/error"
}

# check_writer FUNCTION [inplace|rename]   FUNCTION FROM TO writes what FROM holds to TO.
check_writer() {
    local write=$1 kind=${2:-inplace} job
    mkdir "$MNT/jobs/good" "$MNT/jobs/bad"
    "$write" "$GOOD" "$MNT/jobs/good/prompt.json"
    wait_status good succeeded
    sent 1 '.prompt == "a good one" and .duration == 6'
    cmp "$GOOD" "$MNT/jobs/good/prompt.json"

    fails "$write" "$BAD" "$MNT/jobs/bad/prompt.json"
    has_both_mistakes bad
    if [ "$kind" = inplace ]; then
        [ "$(cat "$MNT/jobs/bad/status")" = invalid ]
        diff <(jq -c . "$BAD") <(jq -c . "$MNT/jobs/bad/prompt.json")
    else
        [ "$(cat "$MNT/jobs/bad/status")" = draft ]
        [ ! -e "$MNT/jobs/bad/prompt.json" ]
    fi
    [ "$(creates)" -eq 1 ]

    "$write" "$BETTER" "$MNT/jobs/bad/prompt.json"
    wait_status bad succeeded
    sent 2 '.prompt == "corrected"'
    [ ! -e "$MNT/jobs/bad/error" ]
    for job in good bad; do
        [ "$(status_json $job .attempt)" = 1 ]
    done
}

in_shell() { "$1" -c 'printf "%s\n" "$(cat "$1")" >"$2"' "$1" "$2" "$3"; }
with_bash() { in_shell bash "$@"; }
with_dash() { in_shell dash "$@"; }
with_zsh() { in_shell zsh "$@"; }

# S-WRITE-17: All common ways of writing work and send exactly one request each: redirections and
#   here-documents of bash, dash and zsh, `cp`, `mv`, `install`, `rsync`, `tee`, `dd`, `sed -i`,
#   vim, nano, emacs, and Python with and without a temporary file.
# S-WRITE-18: Each of these tools reports a failure when what it writes is refused.
@test "S-WRITE-17 S-WRITE-18: a redirection of bash" { check_writer with_bash; }

@test "S-WRITE-17 S-WRITE-18: a redirection of dash" {
    command -v dash >/dev/null || skip "no dash"
    check_writer with_dash
}

@test "S-WRITE-17 S-WRITE-18: a redirection of zsh" {
    command -v zsh >/dev/null || skip "no zsh"
    check_writer with_zsh
}

with_here_document() {
    bash -c 'cat >"$2" <<END
$(cat "$1")
END' bash "$1" "$2"
}

@test "S-WRITE-17 S-WRITE-18: a here-document" { check_writer with_here_document; }

@test "S-WRITE-17: here-documents of dash and zsh" {
    for shell in dash zsh; do
        command -v $shell >/dev/null || continue
        $shell -c 'cat >"$1"/prompt.json <<END
{
  "prompt": "from '$shell'"
}
END' $shell "$MNT/jobs/$shell"
        wait_status $shell succeeded
        [ "$(creates "from $shell")" -eq 1 ]
    done
}

# S-WRITE-1: The request is sent when the last of all programs that have `prompt.json` open for writing has closed it.
#   Closing, flushing and forking before that do not matter.
@test "S-WRITE-1 S-WRITE-17: a subshell with several writers sends once, after the last" {
    for shell in bash dash zsh; do
        command -v $shell >/dev/null || continue
        $shell -c '(
            echo "{"; /bin/echo "\"prompt\":"; sleep 0.05; /bin/echo "\"by '$shell'\"" | cat; echo "}"
        ) > "$1"/prompt.json' $shell "$MNT/jobs/$shell"
        wait_status $shell succeeded
        [ "$(creates "by $shell")" -eq 1 ]
    done
    sent 3 '.prompt == "by zsh"' || sent 2 '.prompt == "by dash"'
}

@test "S-WRITE-1: nothing is sent while one writer has not closed" {
    exec 7>"$P"
    echo '{"prompt": "complete since long"}' >&7
    (exec 8>>"$P")          # another writer comes and goes
    /bin/true 7>&7          # and a child that closes what it got
    sync "$P"
    sleep 0.3
    [ "$(creates)" -eq 0 ]
    [ "$(cat "$MNT/jobs/job/status")" = draft ]
    exec 7>&-
    wait_status job succeeded
    sent 1 '.prompt == "complete since long"'
}

@test "S-WRITE-1: two writers at once: the last one that closes decides" {
    exec 7>"$P" 8>>"$P"
    printf '{"prompt":' >&7
    printf '"of both"}' >&8
    exec 7>&-
    sleep 0.2
    [ "$(creates)" -eq 0 ]
    exec 8>&-
    wait_status job succeeded
    sent 1 '.prompt == "of both"'
}

@test "S-WRITE-1: a reader that stays does not delay it" {
    printf '{' >"$P"
    exec 6<"$P"
    cat "$GOOD" >"$P"
    wait_status job succeeded
    exec 6<&-
    sent 1 '.duration == 6'
}

@test "S-WRITE-1: a child that inherited the file and lives on is a writer, too" {
    python '
f = os.open(M + "jobs/new/x", os.O_CREAT | os.O_WRONLY); os.close(f)
f = os.open(M + "jobs/new/prompt.json", os.O_CREAT | os.O_WRONLY)
r, w = os.pipe()
if os.fork() == 0:
    os.close(w); os.read(r, 1); os._exit(0)
os.close(r)
os.write(f, b"{\"prompt\": \"inherited\"}")
os.close(f)
time.sleep(0.3)
assert open(M + "jobs/new/status").read() == "draft\n"
os.close(w); os.wait()
'
    wait_status new succeeded
    sent 1 '.prompt == "inherited"'
}

# S-WRITE-2: `fsync` puts what was written on disk and sends nothing.
@test "S-WRITE-2: fsync and fdatasync send nothing" {
    python '
f = os.open(M + "jobs/job/prompt.json", os.O_CREAT | os.O_WRONLY)
os.write(f, b"{\"prompt\": \"synced\"}")
os.fsync(f); os.fdatasync(f)
time.sleep(0.3)
assert open(M + "jobs/job/status").read() == "draft\n"
os.close(f)
'
    wait_status job succeeded
    sent 1 '.prompt == "synced"'
}

with_cp() { cp "$1" "$2"; }
@test "S-WRITE-17 S-WRITE-18: cp" { check_writer with_cp; }

with_cp_p() { cp -p "$1" "$2"; }
@test "S-WRITE-17 S-WRITE-18: cp -p" { check_writer with_cp_p; }

with_mv_across() { cp "$1" "$1.moved" && mv "$1.moved" "$2"; }
@test "S-WRITE-17 S-WRITE-18: mv from another filesystem" { check_writer with_mv_across; }

with_mv_within() { cat "$1" >"${2%/*}/draft" && mv "${2%/*}/draft" "$2"; }
# S-WRITE-3: Renaming a file onto `prompt.json` counts as writing it: the request is sent when the rename is done.
# S-WRITE-8: Renaming an unacceptable file onto `prompt.json` fails with EINVAL: both files stay as they were, and
#   `error` says why. (`mv` then says something about a subdirectory of itself, which is its message for EINVAL.)
@test "S-WRITE-3 S-WRITE-8 S-WRITE-17 S-WRITE-18: mv within the job" {
    check_writer with_mv_within rename
    cat "$BAD" >"$MNT/jobs/job/draft"
    printf '{"prompt": ' >"$P"
    fails mv "$MNT/jobs/job/draft" "$P"
    python 'gives(errno.EINVAL, os.rename, M + "jobs/job/draft", M + "jobs/job/prompt.json")'
    has_both_mistakes job
    cmp "$BAD" "$MNT/jobs/job/draft"
    [ "$(cat "$P")" = '{"prompt": ' ]
    [ "$(creates)" -eq 2 ]
}

@test "S-WRITE-3: mv of a file of another job" {
    mkdir "$MNT/jobs/other"
    cp "$GOOD" "$MNT/jobs/other/template"
    mkdir "$MNT/jobs/job"
    mv "$MNT/jobs/other/template" "$P"
    wait_status job succeeded
    sent 1 '.duration == 6'
    [ ! -e "$MNT/jobs/other/template" ]
    [ "$(cat "$MNT/jobs/other/status")" = draft ]
}

@test "S-WRITE-3 S-WRITE-8: an incomplete file is refused by rename" {
    mkdir "$MNT/jobs/job"
    printf '{"prompt": "half' >"$MNT/jobs/job/draft"
    fails mv "$MNT/jobs/job/draft" "$P"
    has 'ends too early' "$MNT/jobs/job/error"
    [ -e "$MNT/jobs/job/draft" ]
    [ ! -e "$P" ]
    [ "$(creates)" -eq 0 ]
}

@test "S-WRITE-3: what is renamed while it is still written is sent when it is closed" {
    mkdir "$MNT/jobs/job"
    exec 7>"$MNT/jobs/job/draft"
    printf '{"prompt": "moved ' >&7
    mv "$MNT/jobs/job/draft" "$P"
    sleep 0.2
    [ "$(creates)" -eq 0 ]
    printf 'while open"}' >&7
    exec 7>&-
    wait_status job succeeded
    sent 1 '.prompt == "moved while open"'
}

with_install() { install -m 600 "$1" "$2"; }
@test "S-WRITE-17 S-WRITE-18: install" { check_writer with_install; }

need_rsync() { command -v rsync >/dev/null || skip "no rsync"; }

with_rsync() { rsync "$1" "$2"; }
@test "S-WRITE-3 S-WRITE-17 S-WRITE-18: rsync" {
    need_rsync
    check_writer with_rsync rename
}

with_rsync_a() { rsync -a "$1" "$2"; }
@test "S-WRITE-3 S-WRITE-17 S-WRITE-18: rsync -a" {
    need_rsync
    check_writer with_rsync_a rename
}

with_rsync_inplace() { rsync -c --inplace "$1" "$2"; }
@test "S-WRITE-17 S-WRITE-18: rsync --inplace" {
    need_rsync
    check_writer with_rsync_inplace
}

with_tee() { tee "$2" <"$1" >/dev/null; }
@test "S-WRITE-17 S-WRITE-18: tee" { check_writer with_tee; }

with_dd_1() { dd if="$1" of="$2" bs=1; }
with_dd_7() { dd if="$1" of="$2" bs=7; }
with_dd_4k() { dd if="$1" of="$2" bs=4k conv=fsync; }
@test "S-WRITE-17 S-WRITE-18: dd, byte by byte" { check_writer with_dd_1; }
@test "S-WRITE-17 S-WRITE-18: dd, seven bytes at a time" { check_writer with_dd_7; }
@test "S-WRITE-17 S-WRITE-18: dd, in one block, with fsync" { check_writer with_dd_4k; }

@test "S-WRITE-17 S-WRITE-18: sed -i" {
    mkdir "$MNT/jobs/job"
    printf '{"prompt": "old", "duraton": 6}\n' >"$P" || true
    [ "$(cat "$MNT/jobs/job/status")" = invalid ]
    fails sed -i s/old/new/ "$P"
    has 'duraton' "$MNT/jobs/job/error"
    [ "$(ls "$MNT/jobs/job" | grep -c '^sed')" -eq 0 ] || rm -f "$MNT"/jobs/job/sed*
    [ "$(creates)" -eq 0 ]
    sed -i s/duraton/duration/ "$P"
    wait_status job succeeded
    sent 1 '.prompt == "old" and .duration == 6'
}

with_python() {
    python 'with open(sys.argv[2], "w") as f: f.write(open(sys.argv[1]).read())' "$1" "$2"
}
@test "S-WRITE-17 S-WRITE-18: Python, plainly" { check_writer with_python; }

with_python_json() {
    python 'with open(sys.argv[2], "w") as f: json.dump(json.load(open(sys.argv[1])), f, indent=2); f.write("\n")' \
        "$1" "$2"
}
@test "S-WRITE-17 S-WRITE-18: Python's json.dump" { check_writer with_python_json; }

with_python_replace() {
    python '
temporary = sys.argv[2] + ".tmp"
with open(temporary, "w") as f:
    f.write(open(sys.argv[1]).read()); f.flush(); os.fsync(f.fileno())
os.replace(temporary, sys.argv[2])' "$1" "$2"
}
@test "S-WRITE-3 S-WRITE-17 S-WRITE-18: Python's os.replace" { check_writer with_python_replace rename; }

with_python_tempfile() {
    python '
with tempfile.NamedTemporaryFile("w", dir=os.path.dirname(sys.argv[2]), delete=False) as f:
    f.write(open(sys.argv[1]).read())
os.replace(f.name, sys.argv[2])' "$1" "$2"
}
@test "S-WRITE-3 S-WRITE-17 S-WRITE-18: Python's tempfile" { check_writer with_python_tempfile rename; }

@test "S-WRITE-17: Python through mmap" {
    mkdir "$MNT/jobs/job"
    python '
text = b"{\"prompt\": \"mapped\"}"
f = os.open(M + "jobs/job/prompt.json", os.O_CREAT | os.O_RDWR)
os.ftruncate(f, len(text))
m = mmap.mmap(f, len(text))
m[:] = text
m.flush(); m.close(); os.close(f)'
    wait_status job succeeded
    sent 1 '.prompt == "mapped"'
}

with_vim() {
    local clear=()
    [ ! -s "$2" ] || clear=(-c %d)
    HOME=$DIR vim -u NONE -i NONE -N -es "${clear[@]}" -c "r $1" -c wq "$2" </dev/null
}
@test "S-WRITE-17 S-WRITE-18: vim" {
    command -v vim >/dev/null || skip "no vim"
    check_writer with_vim
}

@test "S-WRITE-17: vim with a swap file, a backup and backupcopy=no" {
    command -v vim >/dev/null || skip "no vim"
    vim --version | grep -q '^Small\|tiny' && skip "this vim has no backups"
    mkdir "$MNT/jobs/job"
    printf '{"prompt": "first"\n' >"$P"
    [ "$(cat "$MNT/jobs/job/status")" = invalid ]
    HOME=$DIR vim -u NONE -i NONE -N -es -c 'set swapfile backup backupcopy=no backupskip=' -c 's/$/}/' \
        -c 'wq' "$P" </dev/null
    wait_status job succeeded
    sent 1 '.prompt == "first"'
    [ "$(cat "$P~")" = '{"prompt": "first"' ]
    [ -z "$(find "$MNT/jobs/job" -name '.*.sw?')" ]
}

# in_terminal COMMAND   runs it in a terminal of its own; `keys` types into it.
in_terminal() {
    command -v tmux >/dev/null || skip "no tmux to type into an editor"
    export TMUX_TMPDIR=$DIR
    HOME=$DIR TERM=xterm LC_ALL=C.UTF-8 tmux -f /dev/null new-session -d -x 240 -y 30 "$1" 3>&-
}
keys() { tmux send-keys "$@"; }
terminal_is_gone() { ! tmux has-session 2>/dev/null; }
screen_has() { tmux capture-pane -p | grep -qF "$1"; }

@test "S-WRITE-17 S-WRITE-18: nano" {
    command -v nano >/dev/null || skip "no nano"
    mkdir "$MNT/jobs/job"
    in_terminal "nano -I $P"
    wait_until 10 screen_has 'GNU nano'
    keys -l '{"prompt": 7}'
    wait_until 10 screen_has '"prompt": 7'
    keys C-o Enter
    wait_until 10 screen_has 'Invalid argument'
    keys C-k
    keys -l '{"prompt": "by nano"}'
    wait_until 10 screen_has 'by nano'
    [ "$(creates)" -eq 0 ]
    keys C-o Enter
    wait_until 10 test -s "$LOG"
    keys C-x
    wait_until 10 terminal_is_gone
    wait_status job succeeded
    sent 1 '.prompt == "by nano"'
}

with_emacs() {
    HOME=$DIR emacs --batch -Q --eval "(progn (find-file \"$2\") (erase-buffer)
        (insert-file-contents \"$1\") (save-buffer))"
}
@test "S-WRITE-17 S-WRITE-18: emacs" {
    command -v emacs >/dev/null || skip "no emacs"
    check_writer with_emacs
}

@test "S-WRITE-17: emacs -nw, typed" {
    command -v emacs >/dev/null || skip "no emacs"
    mkdir "$MNT/jobs/job"
    in_terminal "emacs -nw -Q $P"
    wait_until 20 screen_has 'prompt.json'
    keys -l '{"prompt": "by emacs"}'
    wait_until 10 screen_has 'by emacs'
    keys C-x C-s
    wait_status job succeeded
    keys C-x C-c
    wait_until 10 terminal_is_gone
    sent 1 '.prompt == "by emacs"'
}

# killed SCRIPT   a writer is killed after it has written and said so.
killed() {
    python "
import threading
f = os.open(M + 'jobs/job/prompt.json', os.O_CREAT | os.O_WRONLY)
os.write(f, sys.argv[1].encode())
os.kill(os.getpid(), signal.SIGKILL)" "$1" || true
}

# S-WRITE-12: When a writer dies before it is done, nothing is sent unless the file that it leaves is a complete,
#   acceptable request.
@test "S-WRITE-12: a writer killed in the middle: nothing is sent, the content stays" {
    mkdir "$MNT/jobs/job"
    killed '{"prompt": "half a sen'
    wait_status job invalid
    sleep 0.3
    [ "$(creates)" -eq 0 ]
    [ "$(cat "$P")" = '{"prompt": "half a sen' ]
    has 'ends too early' "$MNT/jobs/job/error"
    printf 'tence"}' >>"$P"
    wait_status job succeeded
    sent 1 '.prompt == "half a sentence"'
}

@test "S-WRITE-12: a writer killed behind a complete request has written it" {
    mkdir "$MNT/jobs/job"
    killed '{"prompt": "complete"}'
    wait_status job succeeded
    sent 1 '.prompt == "complete"'
}

@test "S-WRITE-12: killed before the first byte it is a draft" {
    mkdir "$MNT/jobs/job"
    killed ''
    wait_status job draft
    [ "$(creates)" -eq 0 ]
}

# S-WRITE-9: An empty or blank `prompt.json` is a draft, not an error.
# S-WRITE-10: Opening for writing and closing without a change does nothing.
@test "S-WRITE-9 S-WRITE-10: touch and : > make drafts, and opening alone sends nothing" {
    touch "$MNT/jobs/a/prompt.json"
    : >"$MNT/jobs/b/prompt.json"
    printf ' \n\t\n' >"$MNT/jobs/c/prompt.json"
    for job in a b c; do
        [ "$(cat "$MNT/jobs/$job/status")" = draft ]
        [ ! -e "$MNT/jobs/$job/error" ]
    done
    fails bash -c "echo '{\"prompt\": 1}' >$MNT/jobs/d/prompt.json"
    touch "$MNT/jobs/d/prompt.json"
    : >>"$MNT/jobs/d/prompt.json"
    python 'os.close(os.open(M + "jobs/d/prompt.json", os.O_RDWR))'
    [ "$(cat "$MNT/jobs/d/status")" = invalid ]
    [ -s "$MNT/jobs/d/error" ]
    sleep 0.2
    [ "$(creates)" -eq 0 ]
    cat "$GOOD" >"$MNT/jobs/a/prompt.json"
    wait_status a succeeded
    sent 1 '.duration == 6'
}

# S-WRITE-11: `truncate` without opening the file counts as opening, changing and closing it.
@test "S-WRITE-9 S-WRITE-11: truncate to 0 makes an invalid one a draft" {
    printf '{' >"$P"
    [ "$(cat "$MNT/jobs/job/status")" = invalid ]
    truncate -s 0 "$P"
    [ "$(cat "$MNT/jobs/job/status")" = draft ]
    [ ! -e "$MNT/jobs/job/error" ]
    printf '{' >"$P"
    python 'os.truncate(M + "jobs/job/prompt.json", 0)'
    [ "$(cat "$MNT/jobs/job/status")" = draft ]
    [ "$(creates)" -eq 0 ]
}

@test "S-WRITE-11: truncate to what is right sends it" {
    mkdir "$MNT/jobs/job"
    fails bash -c "printf '%s' '{\"prompt\": \"x\"} junk' >'$P'"
    has 'line 1, column 17' "$MNT/jobs/job/error"
    python 'os.truncate(M + "jobs/job/prompt.json", 15)'
    wait_status job succeeded
    sent 1 '.prompt == "x"'
}

# S-WRITE-19: Appending continues the content: the whole content is checked when it is closed.
@test "S-WRITE-19: appending continues the content" {
    printf '{"prompt": ' >"$P"
    [ "$(cat "$MNT/jobs/job/status")" = invalid ]
    printf '"appended"' >>"$P"
    [ "$(cat "$MNT/jobs/job/status")" = invalid ]
    printf '}' >>"$P"
    wait_status job succeeded
    sent 1 '.prompt == "appended"'
}

@test "S-WRITE-19: appending junk is refused and can be cut off again" {
    printf '{"prompt": "one"' >"$P"
    fails bash -c "echo ' } {' >>'$P'" # the write fails already: bash does not look at close
    has 'line 1, column 20' "$MNT/jobs/job/error"
    sed -i 's/ {$//' "$P"
    wait_status job succeeded
    sent 1 '.prompt == "one"'
}

# S-WRITE-4: As soon as no further byte can make the content acceptable, the write fails with EINVAL, or at the latest
#   the close does.
@test "S-WRITE-4: the write or the close fails as soon as nothing can make it right" {
    python '
def attempt(*parts, fails_at):
    f = os.open(M + "jobs/job/prompt.json", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    at = None
    for i, part in enumerate(parts):
        try:
            assert os.write(f, part) == len(part)
        except OSError as e:
            assert e.errno == errno.EINVAL, e
            at = i
            break
    try:
        os.close(f)
    except OSError as e:
        assert e.errno == errno.EINVAL, e
        at = "close" if at is None else at
    assert at == fails_at, (parts, at)
os.mkdir(M + "jobs/job")
attempt(b"{", b"x", fails_at=1)                       # syntax
attempt(b"[1, ", b"2", b"]", fails_at=0)              # not an object
attempt(b"{\"prompt\":", b" 1", b"}", b"\n", fails_at=2)
attempt(b"{\"prompt\": \"\xff\"", fails_at=0)         # not UTF-8
attempt(b"{\"prompt\": \"x\", \"image_url\": \"no.png\"}", fails_at="close")
attempt(b"{\"prompt\": ", fails_at="close")           # nobody is there who could complete it
'
    [ "$(creates)" -eq 0 ]
    [ "$(cat "$MNT/jobs/job/status")" = invalid ]
}

# S-WRITE-5: `error` then names each mistake with its field, its line and column, the rule that it breaks, and what to
#   do.
# S-SPEND-7: A request that breaks a documented rule is not sent.
@test "S-WRITE-5 S-SPEND-7: every mistake is listed with its place, all at once, and nothing is sent" {
    mkdir "$MNT/jobs/job"
    fails tee "$P" <<'END'
{
  "promt": "a typo costs money",
  "duration": 99,
  "resolution": "4k",
  "image_url": "a.png", "image_urls": [],
  "watermark": "no"
}
END
    while read -r line; do
        has "$line" "$MNT/jobs/job/error"
    done <<'END'
line 2, column 3: promt: unknown field; did you mean "prompt"?
line 3, column 15: duration: must be from 4 to 15 seconds, but is 99.
line 4, column 17: resolution: must be
line 5, column 25: image_urls: is used together with "image_url". Use one of the two.
line 6, column 16: watermark: must be a boolean
prompt: is missing.
END
    [ "$(cat "$MNT/jobs/job/status")" = invalid ]
    [ "$(status_json job '.error.message | length > 0')" = true ]
    sleep 0.2
    [ "$(creates)" -eq 0 ]
}

# S-WRITE-6: Content that is only incomplete is not an error while it is being written. If it is still incomplete when
#   it is closed, the job is `invalid`, and `error` says where the text ends too early.
# S-WRITE-7: What was written stays in the file, however wrong it is, so that it can be corrected.
@test "S-WRITE-6 S-WRITE-7: incomplete is no error while it is written; closed it is invalid and stays" {
    printf '{\n"prompt": "x",' >"$P"
    printf '\n' >>"$P"
    [ "$(cat "$MNT/jobs/job/status")" = invalid ]
    has 'ends too early' "$MNT/jobs/job/error"
    [ "$(cat "$P")" = "$(printf '{\n"prompt": "x",')" ]
    restart_fs
    [ "$(cat "$MNT/jobs/job/status")" = invalid ]
    has 'ends too early' "$MNT/jobs/job/error"
    [ "$(cat "$P")" = "$(printf '{\n"prompt": "x",')" ]
    [ "$(creates)" -eq 0 ]
}

@test "S-WRITE-7: a large wrong one stays whole" {
    mkdir "$MNT/jobs/job"
    python '
text = json.dumps({"prompt": 7, "more": ["x" * 1000] * 2000}).encode()
open(sys.argv[1], "wb").write(text)' "$DIR/large"
    fails cp "$DIR/large" "$P"
    fails dd if="$DIR/large" of="$MNT/jobs/other/prompt.json" bs=64k
    cmp "$DIR/large" "$P"
    cmp "$DIR/large" "$MNT/jobs/other/prompt.json"
    has 'prompt: must be a string' "$MNT/jobs/job/error" "$MNT/jobs/other/error"
    [ "$(creates)" -eq 0 ]
}

# S-WRITE-13: An unknown field is refused, and the nearest known name is suggested. With `--allow-unknown` the field
#   is sent.
@test "S-WRITE-13: an unknown field is refused, and sent with --allow-unknown" {
    mkdir "$MNT/jobs/job"
    fails bash -c "echo '{\"prompt\": \"x\", \"seed\": 5}' >'$P'"
    has 'seed: unknown field' "$MNT/jobs/job/error"
    [ "$(creates)" -eq 0 ]
    restart_fs --allow-unknown
    echo '{"prompt": "x", "seed": 5}' >"$P"
    wait_status job succeeded
    sent 1 '.seed == 5'
}

# S-WRITE-14: A field that is left out has its documented default, `model` that of `--model`. `request.json` shows the
#   whole request.
@test "S-WRITE-14: defaults are filled in, and request.json shows all of it" {
    echo '{"prompt": "plain"}' >"$P"
    wait_status job succeeded
    sent 1 '. == {"model": "doubao-seedance-2.0", "prompt": "plain", "duration": 5, "resolution": "720p",
        "aspect_ratio": "adaptive", "generate_audio": true, "watermark": false}'
    diff <(body 1 | jq -S .) <(jq -S . "$MNT/jobs/job/request.json")
    restart_fs --model doubao-seedance-2.0-fast
    echo '{"prompt": "fast", "duration": 4, "resolution": "480p", "aspect_ratio": "9:16",
        "generate_audio": false, "watermark": true}' >"$MNT/jobs/fast/prompt.json"
    wait_status fast succeeded
    sent 2 '. == {"model": "doubao-seedance-2.0-fast", "prompt": "fast", "duration": 4,
        "resolution": "480p", "aspect_ratio": "9:16", "generate_audio": false, "watermark": true}'
    echo '{"prompt": "named", "model": "doubao-seedance-2.0"}' >"$MNT/jobs/named/prompt.json"
    wait_status named succeeded
    sent 3 '.model == "doubao-seedance-2.0"'
}

# S-WRITE-15: When a field for images or audio names a file of the mount (S-REF-1), the bytes of that file are sent,
#   and `request.json` shows the path. A file that is missing (unless the job is held, S-LINK-6), or still open for
#   writing, is a mistake. To correct it, add or close the file, and then write the prompt again or use `submit`.
@test "S-WRITE-15: a picture beside prompt.json is sent, and shown by its name" {
    mkdir "$MNT/jobs/job"
    cp "$ROOT/tests/media/cover.jpg" "$MNT/jobs/job/first.jpg"
    echo '{"prompt": "from a picture", "image_url": "first.jpg"}' >"$P"
    wait_status job succeeded
    sent 1 '.image_url | startswith("data:image/jpeg;base64,")'
    body 1 | jq -r '.image_url | sub("^[^,]*,"; "")' | base64 -d | cmp - "$ROOT/tests/media/cover.jpg"
    [ "$(jq -r .image_url "$MNT/jobs/job/request.json")" = first.jpg ]
}

@test "S-WRITE-15: a picture that is not there is a mistake, reported at close; adding it mends that" {
    mkdir "$MNT/jobs/job"
    fails tee "$P" <<<'{"prompt": "x", "image_url": "first.jpg"}'
    has 'column 30: image_url: there is no file "first.jpg" beside prompt.json' "$MNT/jobs/job/error"
    [ "$(cat "$MNT/jobs/job/status")" = invalid ]
    [ "$(creates)" -eq 0 ]
    cp "$ROOT/tests/media/cover.jpg" "$MNT/jobs/job/first.jpg"
    sleep 0.2
    [ "$(cat "$MNT/jobs/job/status")" = invalid ] # money moves by a word about the request alone
    [ "$(creates)" -eq 0 ]
    echo submit >"$MNT/jobs/job/ctl"
    wait_status job succeeded
    sent 1 '.image_url | startswith("data:image/jpeg;base64,")'
}

@test "S-WRITE-15: rsync that brings the prompt before its picture fails; the second one submits" {
    mkdir "$DIR/in"
    cp "$ROOT/tests/media/cover.jpg" "$DIR/in/z.jpg"
    echo '{"prompt": "x", "image_url": "z.jpg"}' >"$DIR/in/prompt.json"
    fails rsync -a "$DIR/in/" "$MNT/jobs/job"
    has 'there is no file "z.jpg"' "$MNT/jobs/job/error"
    [ "$(creates)" -eq 0 ]
    rsync -a "$DIR/in/" "$MNT/jobs/job"
    wait_status job succeeded
    [ "$(creates)" -eq 1 ]
}

@test "S-WRITE-15: half a picture is not sent while the rest of it is written" {
    mkdir "$MNT/jobs/job"
    exec 7>"$MNT/jobs/job/first.jpg"
    head -c 2000 "$ROOT/tests/media/cover.jpg" >&7
    fails tee "$P" <<<'{"prompt": "x", "image_url": "first.jpg"}'
    has 'image_url: the file "first.jpg" is still open for writing.' "$MNT/jobs/job/error"
    fails sh -c "echo submit >$MNT/jobs/job/ctl"
    tail -c +2001 "$ROOT/tests/media/cover.jpg" >&7
    exec 7>&-
    [ "$(creates)" -eq 0 ]
    echo submit >"$MNT/jobs/job/ctl"
    wait_status job succeeded
    body 1 | jq -r '.image_url | sub("^[^,]*,"; "")' | base64 -d | cmp - "$ROOT/tests/media/cover.jpg"
}

@test "S-WRITE-15: only names beside prompt.json: no paths, no generated files" {
    mkdir "$MNT/jobs/job"
    for name in ../job/x.png /etc/passwd .hidden.png status file:///etc/passwd; do
        fails tee "$P" <<<"{\"prompt\": \"x\", \"image_url\": \"$name\"}"
        has 'image_url' "$MNT/jobs/job/error"
    done
    [ "$(creates)" -eq 0 ]
}

# S-WRITE-16: A request that is allowed but unwise is sent, and `log` has a warning.
@test "S-WRITE-16: a warning is sent all the same, and stands in log" {
    echo '{"prompt": "a cat --dur 10"}' >"$P"
    wait_status job succeeded
    sent 1 '.prompt == "a cat --dur 10"'
    has 'warning: prompt: contains "--dur"' "$MNT/jobs/job/log"
    [ ! -e "$MNT/jobs/job/error" ]
}

# S-SPEND-1: A paid task is requested in three cases only: when the last program that changed `prompt.json` or
#   `prompt.txt` closes it and the file holds one acceptable request that is not held (S-HOLD-1); when a file that
#   holds such a request is renamed onto either; and when `submit`, `retry` or `take` is written into `ctl`. Once a job
#   has a video, its prompt is an order only after `edit` (S-TAKE-4). The prompt that was closed is the order: if it
#   needs what another job makes, only its moment comes later (S-LINK-1).
@test "S-SPEND-1: nothing else sends anything" {
    mkdir "$MNT/jobs/job"
    for name in prompt.txt.json prompt.json~ .prompt.json.swp Prompt.json prompt.json.orig; do
        cp "$GOOD" "$MNT/jobs/job/$name"
    done
    mkdir "$MNT/jobs/other"
    fails cp "$GOOD" "$MNT/jobs/other/request.json"
    fails cp "$GOOD" "$MNT/jobs/prompt.json"
    mv "$MNT/jobs/job" "$MNT/jobs/renamed"
    chmod 600 "$MNT"/jobs/renamed/*
    sync "$MNT"/jobs/renamed/*
    cat "$MNT"/jobs/renamed/* >/dev/null
    kill -HUP "$FS_PID"
    restart_fs
    sleep 0.3
    [ "$(creates)" -eq 0 ]
    [ "$(cat "$MNT/jobs/renamed/status")" = draft ]
    mv "$MNT/jobs/renamed/prompt.json~" "$MNT/jobs/renamed/prompt.json"
    wait_status renamed succeeded
    sent 1 '.duration == 6'
}

# S-WRITE-20: A request that was written but not yet submitted when the program ended is not sent at the next start.
#   The job is a draft, and `error` says that the request was not submitted.
@test "S-WRITE-20 S-SPEND-1: written but not closed when the program was killed: not sent" {
    exec 7>"$P"
    cat "$GOOD" >&7
    sync "$P"
    kill_fs
    exec 7>&- || true
    mount_fs
    wait_until 5 test -e "$MNT/jobs/job/error"
    [ "$(cat "$MNT/jobs/job/status")" = draft ]
    has 'ended before prompt.json was submitted' "$MNT/jobs/job/error"
    cmp "$GOOD" "$P"
    sleep 0.3
    [ "$(creates)" -eq 0 ]
    cp "$GOOD" "$P"
    wait_status job succeeded
    sent 1 '.duration == 6'
}

@test "S-WRITE-20 S-SPEND-1: written but not closed when the program was ended: not sent" {
    exec 7>"$P" 6<"$MNT/README.txt" 5<"$MNT/jobs/job/status"
    cat "$GOOD" >&7
    kill -TERM "$FS_PID"
    wait_until 10 process_is_gone "$FS_PID"
    exec 7>&- 6<&- 5<&- || true
    mount_fs
    wait_until 5 test -e "$MNT/jobs/job/error"
    [ "$(cat "$MNT/jobs/job/status")" = draft ]
    cmp "$GOOD" "$P"
    sleep 0.3
    [ "$(creates)" -eq 0 ]
    cp "$GOOD" "$P"
    wait_status job succeeded
    sent 1 '.duration == 6'
}

# S-WRITE-21: When the last descriptor of prompt.json or defaults.json is closed and the JSON in it ends too early, close(2)
#   fails with EINVAL where the kernel shows that no process has another descriptor of it (/proc/PID/fdinfo, Linux 5.14 and
#   later). Closing one of several that it shows never fails because of
#   that; one that is on its way to another process (SCM_RIGHTS) is not shown.
@test "S-WRITE-21: the last close of an incomplete text fails" {
    local J=$MNT/jobs
    fails /bin/sh -c "exec /bin/echo '{\"prompt\": \"x\"' >'$J/one/prompt.json'"
    has 'the text ends too early' "$J/one/error"
    fails cp <(echo '{"prompt"') "$J/two/prompt.json"
    fails bash -c "set -o pipefail; echo '{\"prompt\"' | tee '$J/three/prompt.json'"
    fails "$PYTHON" -c "with open('$J/four/prompt.json', 'w') as file: file.write('{')"
    fails dd if=<(echo '{') of="$J/five/prompt.json" status=none
    fails /bin/sh -c "exec /bin/echo '{\"duration\"' >'$MNT/defaults.json'"
    for job in one two three four five; do [ "$(cat "$J/$job/status")" = invalid ]; done
    # One of several: in the same process, in its parent, in a child that outlives it.
    { /bin/echo '{'; /bin/echo '"prompt": "a"'; /bin/echo '}'; } >"$J/a/prompt.json"
    exec 7>"$J/b/prompt.json"
    /bin/echo '{"prompt":' >&7
    /bin/echo '"b"}' >&7
    exec 7>&-
    "$PYTHON" -c '
import os, sys, time
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
os.write(fd, b"{\"prompt\": ")
other = os.dup(fd)
os.close(fd)
if os.fork() == 0:
    time.sleep(0.3)
    os.write(other, b"\"c\"}")
    os.close(other)
    os._exit(0)
os.close(other)' "$J/c/prompt.json"
    for job in a b c; do wait_status $job succeeded; done
    # Written again, it is an order.
    echo '{"prompt": "x"}' >"$J/one/prompt.json"
    wait_status one succeeded
}
