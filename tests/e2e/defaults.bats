#!/usr/bin/env bats
# defaults.json: what prompts leave out.
load helper

setup() { start_world; mount_fs; J=$MNT/jobs; D=$MNT/defaults.json; }
teardown() { end_world; }

in_force_is() { [ "$(cat "$D")" = "$1" ]; }

# S-DEFAULT-1: `defaults.json` at the root is one JSON object with values for what prompts leave out: any of `model`,
#   `duration`, `resolution`, `aspect_ratio`, `generate_audio`, `watermark` and `hold`. A value in a prompt overrides
#   it; it overrides `--model` and the service's own defaults.
@test "S-DEFAULT-1: defaults fill what a prompt leaves out, and nothing else" {
    [ "$(cat "$D")" = '{}' ]
    restart_fs --model doubao-seedance-2.0-fast
    echo '{"duration": 8, "resolution": "480p", "generate_audio": false}' >"$D"
    echo '{"prompt": "x"}' >"$J/a/prompt.json"
    wait_until 20 creates_are 1
    sent 1 '. == {"model": "doubao-seedance-2.0-fast", "prompt": "x", "duration": 8, "resolution": "480p",
        "aspect_ratio": "adaptive", "generate_audio": false, "watermark": false}'
    echo '{"model": "doubao-seedance-2.0", "aspect_ratio": "9:16", "watermark": true}' >"$D"
    echo 'as text' >"$J/b/prompt.txt"
    wait_until 20 creates_are 2
    sent 2 '. == {"model": "doubao-seedance-2.0", "prompt": "as text", "duration": 5, "resolution": "720p",
        "aspect_ratio": "9:16", "generate_audio": true, "watermark": true}'
    echo '{"prompt": "x", "aspect_ratio": "1:1", "watermark": false, "model": "doubao-seedance-2.0-fast"}' \
        >"$J/c/prompt.json"
    wait_until 20 creates_are 3
    sent 3 '.model == "doubao-seedance-2.0-fast" and .aspect_ratio == "1:1" and .watermark == false'
    for job in a b c; do wait_status $job succeeded; done
}

# S-DEFAULT-2: `request.json` and `cost` of a job show the values that were in force when its prompt was accepted.
#   Changing `defaults.json` sends nothing, and changes no request that was accepted: not one that waits, and not what
#   `retry` sends.
@test "S-DEFAULT-2: a change of the defaults sends nothing and changes no request" {
    scenario '{"kind":"create","response":{"status":500}}'
    echo '{"duration": 8}' >"$D"
    echo '{"prompt": "first"}' >"$J/unknown/prompt.json"
    wait_status unknown unknown
    scenario '{"kind":"create","response":{"status":401}}'
    echo '{"prompt": "second"}' >"$J/waiting/prompt.json"
    wait_until 20 creates_are 2
    wait_status waiting waiting
    mkdir "$J/draft"
    printf '{"prompt": "third"' >"$J/invalid/prompt.json"
    has '1.60 USD (estimated' "$J/waiting/cost"
    cp "$J/waiting/request.json" "$DIR/before"
    for text in '{"duration": 15}' '{"duration": 99}' '' '{"resolution": "480p", "duration": 4}'; do
        echo "$text" >"$D" || true
    done
    sleep 0.3
    [ "$(creates)" -eq 2 ]
    cmp "$J/waiting/request.json" "$DIR/before"
    has '1.60 USD (estimated' "$J/waiting/cost"
    [ "$(cat "$J/draft/status" "$J/invalid/status" | tr '\n' ' ')" = 'draft invalid ' ]
    scenario
    kill -HUP "$FS_PID"
    wait_status waiting succeeded
    sent 3 '.prompt == "second" and .duration == 8 and .resolution == "720p"'
    echo retry >"$J/unknown/ctl"
    wait_status unknown succeeded
    sent 4 '.prompt == "first" and .duration == 8 and .resolution == "720p"'
    cmp "$J/waiting/request.json" "$DIR/before"
    echo '{"prompt": "third"}' >"$J/invalid/prompt.json"
    wait_status invalid succeeded
    sent 5 '.duration == 4 and .resolution == "480p"'
}

# S-DEFAULT-3: It is checked by the same rules as a prompt; all other fields, including `prompt`, are refused. Content
#   that is definitely wrong fails the write or close with EINVAL, `defaults.error` at the root names each mistake
#   with line and column, and the previous content stays in force and in the file.
# S-DEFAULT-4: New content comes into force as a whole when its last writer has closed it. Content that is still
#   incomplete then is dropped, and `defaults.error` says so.
@test "S-DEFAULT-3 S-DEFAULT-4: what is refused changes nothing and is explained" {
    echo '{"duration": 6}' >"$D"
    [ ! -e "$MNT/defaults.error" ]
    python '
good = "{\"duration\": 6}\n"
for bad, place, words in (
        ("{\"duration\": 99}", "line 1, column 14", "from 4 to 15"),
        ("{\n \"duraton\": 8}", "line 2, column 2", "did you mean \"duration\"?"),
        ("{\"prompt\": \"x\"}", "line 1, column 2", "has no default"),
        ("{\"image_url\": \"https://example.com/a.png\"}", "line 1, column 2", "has no default"),
        ("{\"video_url\": \"https://example.com/a.mp4\"}", "line 1, column 2", "has no default"),
        ("{\"model\": \"seedance\", \"resolution\": \"4k\"}", "line 1, column 11", "there is no model"),
        ("{\"model\": \"seedance\", \"resolution\": \"4k\"}", "line 1, column 37", "resolution: must be"),
        ("A cat", "line 1, column 1", "one JSON object")):
    def write():
        with open(M + "defaults.json", "w") as f:
            f.write(bad)
    gives(errno.EINVAL, write)
    assert open(M + "defaults.json").read() == good
    error = open(M + "defaults.error").read()
    assert place in error and words in error and "is in force" in error, error
    assert os.stat(M + "defaults.error").st_size == len(error.encode())
    assert "defaults.error" in os.listdir(M)
bad = "{\"duration\": 8"
gives(errno.EINVAL, write)
assert "too early" in open(M + "defaults.error").read()
assert open(M + "defaults.json").read() == good
# Two writers, and a prompt between them.
a = os.open(M + "defaults.json", os.O_WRONLY | os.O_TRUNC)
b = os.open(M + "defaults.json", os.O_WRONLY)
os.write(a, b"{\"duration\": 15}")
os.close(a)
open(M + "jobs/between/prompt.json", "w").write("{\"prompt\": \"x\"}")
os.close(b)
open(M + "jobs/after/prompt.json", "w").write("{\"prompt\": \"x\"}")
assert not os.path.exists(M + "defaults.error")
for path in "defaults.error", "defaults.json":
    gives(errno.EPERM, os.mkdir, M + "x")
    gives(errno.ENOENT if path == "defaults.error" else errno.EPERM, os.rename, M + path, M + "jobs/after/x")'
    wait_until 20 creates_are 2
    [ "$(jq -r .duration "$J/between/request.json" "$J/after/request.json" | tr '\n' ' ')" = '6 15 ' ]
    # The shell is told, too.
    fails sh -c "echo '{\"duraton\": 8}' >'$D'"
    fails cp "$DIR/ports" "$D"
    fails sh -c "echo x | tee '$D'"
    in_force_is '{"duration": 15}'
}

# S-DEFAULT-5: It is kept on disk from the close on. An empty or removed file means no defaults. A removed file can be
#   created again.
@test "S-DEFAULT-5: defaults are kept, emptied and removed" {
    local inode time
    echo '{"duration": 9}' >"$D"
    inode=$(stat -c '%i %a' "$D")
    time=$(stat -c %Y "$D")
    kill_fs
    mount_fs
    in_force_is '{"duration": 9}'
    [ "$(stat -c '%i %a' "$D")" = "$inode" ]
    [ "$(stat -c %Y "$D")" = "$time" ]
    : >"$D"
    [ "$(stat -c %s "$D")" -eq 0 ]
    echo '{"prompt": "x"}' >"$J/a/prompt.json"
    wait_until 20 creates_are 1
    sent 1 '.duration == 5'
    echo '{"duration": 9}' >"$D"
    restart_fs
    echo '{"prompt": "x"}' >"$J/b/prompt.json"
    wait_until 20 creates_are 2
    sent 2 '.duration == 9'
    rm "$D"
    [ ! -e "$D" ]
    fails cat "$D"
    [[ ! $(ls "$MNT") == *defaults* ]]
    echo '{"prompt": "x"}' >"$J/c/prompt.json"
    wait_until 20 creates_are 3
    sent 3 '.duration == 5'
    restart_fs
    in_force_is '{}'
    rm "$D"
    echo '{"duration": 7}' >"$D"
    in_force_is '{"duration": 7}'
    truncate -s 0 "$D"
    [ "$(wc -c <"$D")" -eq 0 ]
    for job in a b c; do wait_status $job succeeded; done
}

# S-DEFAULT-6: Renaming a file of a job onto it counts as writing it. When that is refused (EINVAL), the file stays
#   where it was.
@test "S-DEFAULT-6: a rename onto the defaults" {
    echo '{"duration": 12}' >"$J/a/good"
    echo '{"duration": 12, "prompt": "x"}' >"$J/a/bad"
    python '
J = M + "jobs/a/"
gives(errno.EINVAL, os.rename, J + "bad", M + "defaults.json")
assert os.path.exists(J + "bad") and open(M + "defaults.json").read() == "{}\n"
assert "has no default" in open(M + "defaults.error").read()
os.rename(J + "good", M + "defaults.json")
assert not os.path.exists(J + "good")
assert open(M + "defaults.json").read() == "{\"duration\": 12}\n"
assert not os.path.exists(M + "defaults.error")
assert os.stat(M + "defaults.json").st_size == 17
with open(M + "defaults.json", "a") as f:
    f.write(" \n")
assert open(M + "defaults.json").read() == "{\"duration\": 12}\n \n"
gives(errno.EPERM, os.rename, M + "defaults.json", J + "back")
gives(errno.EPERM, os.rename, J + "bad", M + "other.json")'
    mv "$J/a/bad" "$D" 2>"$DIR/mv.out" && false
    [ -e "$J/a/bad" ]
}

# S-DEFAULT-7: It can be written by redirections, `cp`, `mv`, `tee`, `dd`, nano, vim, and Python in place. No other
#   file can be created beside it, so that tools that insist on a temporary file there (`sed -i`, rsync without
#   `--inplace`) fail with EPERM and change nothing.
@test "S-DEFAULT-7: common ways of writing the defaults" {
    echo '{"duration": 4}' >"$D"
    in_force_is '{"duration": 4}'
    cat >"$D" <<<'{"duration": 5}'
    in_force_is '{"duration": 5}'
    (printf '{'; printf '"duration": 6'; echo '}') >"$D"
    in_force_is '{"duration": 6}'
    echo '{"duration": 7}' >"$DIR/new"
    cp "$DIR/new" "$D"
    in_force_is '{"duration": 7}'
    echo '{"duration": 8}' >"$DIR/new"
    cp -p "$DIR/new" "$D"
    in_force_is '{"duration": 8}'
    echo '{"duration": 9}' >"$DIR/new"
    mv "$DIR/new" "$D"
    in_force_is '{"duration": 9}'
    echo '{"duration": 10}' | tee "$D" >/dev/null
    in_force_is '{"duration": 10}'
    echo '{"duration": 11}' | dd of="$D" status=none
    in_force_is '{"duration": 11}'
    python '
with open(M + "defaults.json", "r+") as f:
    value = json.load(f)
    value["duration"] = 12
    f.seek(0)
    json.dump(value, f)
    f.truncate()'
    in_force_is '{"duration": 12}'
    echo '{"duration": 13}' >"$DIR/new"
    rsync --inplace "$DIR/new" "$D"
    in_force_is '{"duration": 13}'
    if command -v vim >/dev/null; then
        HOME=$DIR vim -u NONE -i NONE -N -es -c 's/13/14/' -c wq "$D" </dev/null
        in_force_is '{"duration": 14}'
        # It makes its swap file elsewhere, or none.
        HOME=$DIR vim -N -es -c 's/14/15/' -c wq "$D" </dev/null || true
        in_force_is '{"duration": 15}'
    fi
    echo '{"duration": 15}' >"$D"
    fails sed -i 's/15/4/' "$D"
    fails rsync "$DIR/ports" "$D"
    in_force_is '{"duration": 15}'
    [ "$(ls -A "$MNT")" = "$(ls "$MNT")" ]
    [ "$(creates)" -eq 0 ]
}

@test "S-DEFAULT-7: nano" {
    command -v nano >/dev/null || skip "no nano"
    echo '{"duration": 4}' >"$D"
    HOME=$DIR TERM=xterm LC_ALL=C.UTF-8 python '
import pty, select
pid, terminal = pty.fork()
if pid == 0:
    os.execvp("nano", ["nano", "-I", M + "defaults.json"])
def expect(text, end=time.monotonic() + 30):
    seen = b""
    while text not in seen:
        assert time.monotonic() < end and select.select([terminal], [], [], 30)[0], seen
        seen += os.read(terminal, 65536)
expect(b"duration")
os.write(terminal, b"\x0b{\"duration\": 7}")
expect(b"7}")
os.write(terminal, b"\x0f")
expect(b"Write")
os.write(terminal, b"\r")
expect(b"Wrote")
os.write(terminal, b"\x18")
os.waitpid(pid, 0)'
    in_force_is '{"duration": 7}'
}

# S-DEFAULT-8: When the stored defaults are found damaged at the start, no prompt is accepted (EINVAL; `error` and
#   `defaults.error` say so) until `defaults.json` is written again or removed.
@test "S-DEFAULT-8: damaged defaults hold up every prompt" {
    echo '{"duration": 4}' >"$D"
    unmount_fs
    printf '{"duration": 4' >"$DATA/defaults.json"
    mount_fs
    has 'No prompt is accepted' "$MNT/defaults.error"
    mkdir "$J/a"
    python '
def write():
    with open(M + "jobs/a/prompt.json", "w") as f:
        f.write("{\"prompt\": \"x\"}")
gives(errno.EINVAL, write)'
    wait_status a invalid
    has defaults.json "$J/a/error"
    echo 'A cat' >"$J/b/prompt.txt" || true
    sleep 0.3
    [ "$(creates)" -eq 0 ]
    echo '{"duration": 6}' >"$D"
    [ ! -e "$MNT/defaults.error" ]
    [ "$(creates)" -eq 0 ]
    echo '{"prompt": "x"}' >"$J/a/prompt.json"
    wait_status a succeeded
    sent 1 '.duration == 6'
}
