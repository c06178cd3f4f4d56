#!/usr/bin/env bats
# prompt.txt: a prompt as plain text.
load helper

setup() { start_world; mount_fs; J=$MNT/jobs; }
teardown() { end_world; }

# S-TEXT-1: `prompt.txt` is a prompt as plain text: the text without the blanks around it is the prompt, every other
#   field has its default, and `request.json` shows the whole request.
@test "S-TEXT-1: a text is the prompt, and request.json shows the request" {
    printf '\n  A "cat"\nsurfs ü \n\n' >"$J/cat/prompt.txt"
    wait_status cat succeeded
    sent 1 '. == {"model": "doubao-seedance-2.0", "prompt": "A \"cat\"\nsurfs ü", "duration": 5,
        "resolution": "720p", "aspect_ratio": "adaptive", "generate_audio": true, "watermark": false}'
    diff <(jq -S . "$J/cat/request.json") <(body 1 | jq -S .)
    [ "$(cat "$J/cat/prompt.txt")" = $'\n  A "cat"\nsurfs ü ' ]
    [ "$(cat "$J/cat/cost")" = "$(make_job dog >/dev/null; cat "$J/dog/cost")" ]
}

# S-TEXT-2: It is submitted in the same way as `prompt.json`: once, when its last writer has closed it or when a file
#   is renamed onto it, also without a `mkdir` before.
@test "S-TEXT-2: common ways of writing a text send one request each" {
    local n=0
    one() {
        n=$((n + 1))
        wait_until 20 creates_are "$n"
        sent "$n" ".prompt == \"$1\""
    }
    echo 'by echo' >"$J/a/prompt.txt"
    one 'by echo'
    (printf 'by '; printf 'a subshell\n') >"$J/b/prompt.txt"
    one 'by a subshell'
    echo 'by cp' >"$DIR/text"
    mkdir "$J/c"
    cp "$DIR/text" "$J/c/prompt.txt"
    one 'by cp'
    mkdir "$J/d"
    echo 'by mv' >"$DIR/text"
    mv "$DIR/text" "$J/d/prompt.txt"
    one 'by mv'
    echo 'by a rename' >"$J/e/draft"
    [ "$(creates)" -eq 4 ]
    mv "$J/e/draft" "$J/e/prompt.txt"
    one 'by a rename'
    echo 'by tee' | tee "$J/f/prompt.txt" >/dev/null
    one 'by tee'
    python '
with open(M + "jobs/g/prompt.txt", "w") as f:
    f.write("by ")
    f.flush()
    os.fsync(f.fileno())
    subprocess.run(["true"])
    f.write("python")'
    one 'by python'
    mkdir "$J/h"
    printf '' >"$J/h/prompt.txt"
    [ "$(cat "$J/h/status")" = draft ]
    if command -v vim >/dev/null; then
        HOME=$DIR vim -u NONE -i NONE -N -es -c 'normal iby vim' -c wq "$J/h/prompt.txt" </dev/null
    else
        printf 'by vim' >"$J/h/prompt.txt"
    fi
    one 'by vim'
    printf 'nothing\n' >"$J/i/text"
    sed -i 's/nothing/by sed/' "$J/i/text"
    mv "$J/i/text" "$J/i/prompt.txt"
    one 'by sed'
    echo 'by an append' >>"$J/j/prompt.txt"
    one 'by an append'
    for job in a b c d e f g h i j; do wait_status $job succeeded; done
    [ "$(creates)" -eq 10 ]
}

# S-TEXT-3: An empty or blank text is a draft. A text that is not valid UTF-8 fails the write or close with EINVAL and
#   makes the job `invalid`. A text that ends within a character, or that is a request in JSON (which belongs in
#   `prompt.json`), makes the job `invalid` without failing the write or close.
@test "S-TEXT-3: what is no acceptable text" {
    : >"$J/empty/prompt.txt"
    printf ' \n\t\n' >"$J/blank/prompt.txt"
    for job in empty blank; do
        [ "$(cat "$J/$job/status")" = draft ]
        [ ! -e "$J/$job/error" ]
    done
    mkdir "$J/latin" "$J/cut" "$J/json"
    python '
f = os.open(M + "jobs/latin/prompt.txt", os.O_CREAT | os.O_WRONLY)
gives(errno.EINVAL, os.write, f, b"caf\xe9 noir")
gives(errno.EINVAL, os.close, f)'
    printf 'caf\303' >"$J/cut/prompt.txt"
    echo '{"prompt": "A cat"}' >"$J/json/prompt.txt"
    for job in latin cut json; do
        wait_status $job invalid
        has prompt.txt: "$J/$job/error"
    done
    has 'not valid UTF-8' "$J/latin/error"
    has 'belongs in prompt.json' "$J/json/error"
    # Renamed into place it is refused as a whole.
    printf 'caf\351 noir' >"$J/ren/text"
    python 'gives(errno.EINVAL, os.rename, M + "jobs/ren/text", M + "jobs/ren/prompt.txt")'
    [ "$(cat "$J/ren/status")" = draft ]
    [ -e "$J/ren/text" ]
    sleep 0.3
    [ "$(creates)" -eq 0 ]
    mv "$J/json/prompt.txt" "$J/json/prompt.json"
    echo 'café' >"$J/latin/prompt.txt"
    wait_status json succeeded
    wait_status latin succeeded
    [ "$(creates)" -eq 2 ]
}

# S-TEXT-4: A job has one prompt: while it has one of `prompt.json` and `prompt.txt`, even an empty one, creating the
#   other or renaming a file onto the other fails with EEXIST, `error` says why, and nothing changes. One can be
#   renamed to the other.
@test "S-TEXT-4: prompt.json and prompt.txt exclude each other" {
    python '
names = {"prompt.json": "{\"prompt\": \"request\"}", "prompt.txt": "text"}
for first, second in ("prompt.json", "prompt.txt"), ("prompt.txt", "prompt.json"):
    for kind, content in ("empty", ""), ("invalid", "[" if first == "prompt.json" else "{\"prompt\": \"x\"}"):
        J = M + "jobs/" + kind + "-" + first + "/"
        os.mkdir(J)
        try:
            open(J + first, "w").write(content)
        except OSError:
            pass
        before = open(J + "status").read()
        gives(errno.EEXIST, open, J + second, "w")
        assert "a job has one prompt" in open(J + "error").read()
        open(J + "mine", "w").write(names[second])
        gives(errno.EEXIST, os.rename, J + "mine", J + second)
        assert open(J + "status").read() == before
        assert open(J + "mine").read() == names[second]
        assert not os.path.exists(J + second)
        os.unlink(J + first)
        assert not os.path.exists(J + "error")
        os.rename(J + "mine", J + second)
J = M + "jobs/turned/"
os.mkdir(J)
open(J + "prompt.txt", "w").write(" ")
os.rename(J + "prompt.txt", J + "prompt.json")
open(J + "prompt.json", "w").write("{\"prompt\": \"turned\"}")'
    wait_until 20 creates_are 5
    for job in empty-prompt.json invalid-prompt.txt turned; do wait_status $job succeeded; done
    [ "$(creates)" -eq 5 ]
}

# S-TEXT-5: `prompt.txt` is frozen in the same states as `prompt.json`, and while a job is in such a state neither can
#   be created: EPERM.
@test "S-TEXT-5: an accepted text is frozen, and so is the other form" {
    scenario '{"kind":"create","prompt_contains":"[hold]","response":{"status":429,"headers":{"Retry-After":"600"}}}' \
        '{"kind":"create","prompt_contains":"[lost]","response":{"status":500}}'
    echo 'A cat' >"$J/succeeded/prompt.txt"
    wait_status succeeded succeeded
    echo 'A cat [[seconds=600]]' >"$J/running/prompt.txt"
    wait_status running running
    echo '[lost]' >"$J/unknown/prompt.txt"
    wait_status unknown unknown
    echo '[hold]' >"$J/waiting/prompt.txt"
    python '
for job in "succeeded", "running", "unknown", "waiting":
    J = M + "jobs/" + job + "/"
    assert stat.S_IMODE(os.stat(J + "prompt.txt").st_mode) == 0o444
    open(J + "mine", "w").write("again")
    for flags in os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND:
        gives(errno.EPERM, os.open, J + "prompt.txt", flags)
    gives(errno.EPERM, os.truncate, J + "prompt.txt", 0)
    for name in "prompt.txt", "prompt.json":
        gives(errno.EPERM, os.rename, J + "mine", J + name)
    gives(errno.EPERM, open, J + "prompt.json", "w")
    gives(errno.EPERM, os.rename, J + "prompt.txt", J + "prompt.json")
    os.unlink(J + "prompt.txt")
    for name in "prompt.txt", "prompt.json":
        gives(errno.EPERM, open, J + name, "w")
        gives(errno.EPERM, os.rename, J + "mine", J + name)'
    wait_until 20 creates_are 4
    sleep 0.3
    [ "$(creates again)" -eq 0 ]
}

@test "S-TEXT-5: after a failure either form begins a new attempt" {
    echo '[[fail]]' >"$J/dog/prompt.txt"
    wait_status dog failed
    has 'change prompt.txt or write it once more' "$J/dog/error"
    fails grep -q prompt.json "$J/dog/error"
    echo '[[fail]] again' >"$J/dog/prompt.txt"
    wait_until 20 json_is dog .attempt 2
    wait_status dog failed
    rm "$J/dog/prompt.txt"
    echo '{"prompt": "as a request"}' >"$J/dog/prompt.json"
    wait_status dog succeeded
    [ "$(status_json dog .attempt)" = 3 ]
}

@test "S-TEXT-2: a text that was written when the program ended is not sent at the next start" {
    python '
f = os.open(M + "jobs/cat/prompt.txt", os.O_CREAT | os.O_WRONLY)
os.write(f, b"A cat")
os.fsync(f)
print("written", flush=True)
signal.pause()' >"$DIR/out" 3>&- &
    local writer=$!
    wait_until 10 test -s "$DIR/out"
    kill_fs
    kill "$writer"
    mount_fs
    [ "$(cat "$J/cat/status")" = draft ]
    has 'before prompt.txt was submitted' "$J/cat/error"
    [ "$(creates)" -eq 0 ]
    echo submit >"$J/cat/ctl"
    wait_status cat succeeded
    sent 1 '.prompt == "A cat"'
}
