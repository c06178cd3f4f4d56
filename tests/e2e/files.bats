#!/usr/bin/env bats
# Generated files, attributes, and the video (briefly): what is in them, when, and how it is shown.
load helper

setup_file() { start_world && mount_fs && share_world; }
teardown_file() { end_world; }
setup() { clean_world; J=$MNT/jobs; }
teardown() { end_own_world; }

# right_sizes JOB   every file of the job has as many bytes as stat says, and was named in the listing.
right_sizes() {
    python '
J = M + "jobs/" + sys.argv[1] + "/"
for name in os.listdir(J):
    for attempt in range(20):
        with open(J + name, "rb") as f:
            inside = os.fstat(f.fileno()).st_size
            content = f.read()
        outside = os.stat(J + name).st_size
        if outside == len(content) == inside or attempt == 19:
            break
    assert outside == len(content) == inside, (name, outside, inside, len(content))' "$1"
}

# S-FILE-3: `request.json` exists from the moment a request was accepted, and shows what is or was sent.
# S-FILE-4: `response.json` exists once the service has responded. It has the last usable response, or the refusal of
#   the request, without the query of any URL.
# S-FILE-5: `error` exists only while something is wrong, and says what is wrong and what to do.
# S-FILE-7: `output.mp4` exists from the first success on, and `cover.jpg` when the service provided a cover image. They
#   are those of the picked take (S-TAKE-1).
# S-FILE-10: `status`, `status.json`, `cost` and `log` always exist.
# S-ATTR-1: `st_size` is right: a file read to its end has as many bytes as `stat` says. It is 0 for what is made only
#   when it is opened or read: `wait`, and a picture of S-FRAME-2.
@test "S-FILE-3 S-FILE-4 S-FILE-5 S-FILE-7 S-FILE-10 S-ATTR-1: which files are there in which state" {
    mount_fs
    scenario '{"kind":"create","n":1,"response":{"status":429,"headers":{"Retry-After":"1"}}}' \
        '{"kind":"poll","response":{"task_status":"running"}}'
    mkdir "$J/cat"
    names() { ls "$J/cat" | tr '\n' ' '; }
    [ "$(names)" = 'cost ctl log progress status status.json ' ]
    right_sizes cat
    printf '{' >"$J/cat/prompt.json"
    [ "$(names)" = 'cost ctl error log progress prompt.json status status.json ' ]
    right_sizes cat
    echo '{"prompt": "x"}' >"$J/cat/prompt.json"
    wait_until 5 has 'the service asked to wait' "$J/cat/log"
    [ "$(names)" = 'cost ctl log progress prompt.json request.json status status.json ' ]
    right_sizes cat
    wait_status cat running
    [ "$(names)" = 'cost ctl log progress prompt.json request.json response.json status status.json ' ]
    right_sizes cat
    scenario
    wait_status cat succeeded
    wait_until 5 test -e "$J/cat/cover.jpg"
    [ "$(names)" = "cost cover.jpg ctl log output.mp4 output.url progress prompt.json request.json response.json status status.json " ]
    right_sizes cat
    scenario '{"kind":"create","response":{"status":400}}'
    echo '{"prompt": "x"}' >"$J/dog/prompt.json"
    wait_status dog rejected
    [ "$(ls "$J/dog" | tr '\n' ' ')" = 'cost ctl error log progress prompt.json request.json response.json status status.json ' ]
    right_sizes dog
    [ "$(creates)" -eq 3 ]
}

# S-FILE-2: `status.json` is one JSON object with the members schema, name, state, reason, reason_code, task_id, model,
#   resolution, duration_s, attempt, created_at, submitted_at, finished_at, updated_at, progress (fraction, eta_s), cost
#   (currency, estimated, actual, at_risk), error (code, message, field, line, column, http_status, request_id), output
#   (bytes, cached_bytes, url_expires_at, archived, stored_at, stored_as), take (the number of the picked one), takes (of
#   each take, bytes, finished_at, hidden), depends_on, needed_by and inputs_changed (S-LINK-9). Times are RFC 3339 in
#   UTC, money is a decimal string, and a value that is not known is null.
@test "S-FILE-2: status.json" {
    mount_fs
    mkdir "$J/draft"
    jq -e '.state == "draft" and .attempt == null and .task_id == null and .error == null and
        .output == null and .cost == {"currency": "USD", "estimated": null, "actual": null, "at_risk": null} and
        .progress == {"fraction": 0, "eta_s": null}' "$J/draft/status.json"
    make_job cat
    local members='["schema","name","state","reason","reason_code","task_id","model","resolution","duration_s","attempt","created_at","submitted_at","finished_at","updated_at","progress","cost","error","output","take","takes","depends_on","needed_by","inputs_changed"]'
    for job in draft cat; do
        jq -e "keys_unsorted == $members" "$J/$job/status.json"
    done
    jq -e 'def time: test("^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]+)?Z$");
        .name == "cat" and .state == "succeeded" and .reason == null and .attempt == 1 and
        (.task_id | test("^cgt-")) and .model == "doubao-seedance-2.0" and .resolution == "720p" and
        .duration_s == 5 and ([.created_at, .submitted_at, .finished_at, .updated_at] | all(time) and . == sort)
        and .cost == {"currency": "USD", "estimated": "1.00", "actual": "1.00", "at_risk": "0.00"} and .error == null and
        (.output | .bytes > 1000 and .cached_bytes >= 0 and (.url_expires_at | time) and
            (.archived | type) == "boolean")' "$J/cat/status.json"
    echo '{"prompt": "[[fail]]"}' >"$J/bad/prompt.json"
    wait_status bad failed
    jq -e '.error | keys_unsorted == ["code","message","field","line","column","http_status","request_id"] and
        .code == "OutputVideoSensitiveContentDetected" and (.message | length > 9)' "$J/bad/status.json"
}

@test "S-FILE-4: response.json is the last response, without queries of URLs" {
    mount_fs
    make_job cat
    jq -e --arg id "$(status_json cat .task_id)" '.id == $id and .status == "succeeded" and
        .usage.video_duration == 5 and (.data[0].video_url | test("^http://127.0.0.1:[0-9]+/media/[^?]*$"))' \
        "$J/cat/response.json"
    scenario '{"kind":"create","response":{"status":500,"body":"<html>\"oops\"</html>"}}'
    echo '{"prompt": "x"}' >"$J/dog/prompt.json"
    wait_status dog unknown
    has '<html>"oops"</html>' "$J/dog/response.json"
}

# S-FILE-6: `log` has a line for every transition, oldest first. Each line begins with a time in RFC 3339, in UTC.
@test "S-FILE-6: log has a line for each transition" {
    mount_fs
    make_job cat
    [ "$(cut -d' ' -f2- "$J/cat/log" | sed 's/: .*//')" = 'created
draft -> waiting
waiting -> submitting
submitting -> queued
queued -> running
the service has finished the video
running -> succeeded' ]
    fails grep -Ev '^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\.[0-9]{3}Z ' "$J/cat/log"
    cut -d" " -f1 "$J/cat/log" | sort -c
    has "submitting -> queued: $(status_json cat .task_id)" "$J/cat/log"
    restart_fs
    [ "$(wc -l <"$J/cat/log")" -eq 7 ]
}

# S-FILE-8: `output.url` holds the signed URL of the video, can be read by the owner only, and exists from the first
#   success until the URL of the picked take expires.
@test "S-FILE-8: output.url is there until the URL expires, for the owner alone" {
    own_world --url-expires 4
    mount_fs
    make_job cat
    [ "$(stat -c %a "$J/cat/output.url")" = 400 ]
    curl -sf "$(cat "$J/cat/output.url")" | cmp - "$J/cat/output.mp4"
    wait_until 5 test ! -e "$J/cat/output.url"
    fails cat "$J/cat/output.url"
    [ -e "$J/cat/output.mp4" ]
    [ "$(cat "$J/cat/status")" = succeeded ]
}

# S-FILE-9: `README.txt` at the root says how to use the mount.
@test "S-FILE-9: README.txt" {
    mount_fs
    right_sizes ''
    for word in prompt.json output.mp4 status error 'costs money' 'rm -r'; do has "$word" "$MNT/README.txt"; done
    python 'gives(errno.EACCES, open, M + "README.txt", "w")'
}

# S-FILE-11: An open generated file shows, to its end, the content that it had when it was opened.
@test "S-FILE-11: an open file shows the moment when it was opened" {
    mount_fs
    scenario '{"kind":"poll","response":{"task_status":"running"}}'
    echo '{"prompt": "x"}' >"$J/cat/prompt.json"
    wait_status cat running
    exec 4<"$J/cat/status" 5<"$J/cat/status.json" 6<"$J/cat/log" 7<"$MNT/spend.json"
    local first
    read -r -N 10 first <&5
    scenario
    wait_status cat succeeded
    [ "$(cat <&4)" = running ]
    { printf %s "$first"; cat <&5; } | jq -e '.state == "running"'
    fails grep succeeded <&6
    # Somebody else may have read it meanwhile.
    jq -e '.attempts[-1].state == "succeeded"' "$MNT/spend.json"
    jq -e '.attempts[-1].state == "running"' <&7
    exec 4<&- 5<&- 6<&- 7<&-
    [ "$(cat "$J/cat/status")" = succeeded ]
}

# S-FILE-12: Generated files other than `ctl` cannot be opened for writing or truncated: EACCES, for root as well.
@test "S-FILE-12: generated files take no writing, not from root either" {
    mount_fs
    make_job cat
    fails bash -c "printf '{' >$J/bad/prompt.json; echo x >$J/bad/error"
    python '
J = M + "jobs/cat/"
for name in set(os.listdir(J)) - {"prompt.json", "ctl"}:
    for flags in os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_CREAT:
        gives(errno.EACCES, os.open, J + name, flags)
    gives(errno.EACCES, os.truncate, J + name, 0)
    assert not os.access(J + name, os.W_OK), name
    assert not os.access(J + name, os.X_OK), name
    assert os.access(J + name, os.R_OK), name
gives(errno.EISDIR, os.open, J, os.O_WRONLY)
gives(errno.EISDIR, os.truncate, J, 0)'
    wait_status cat succeeded
}

# S-FILE-13: The API key is in no file of the mount. Signed URLs are only in `output.url` and in the prompt that you
#   wrote. In everything that the program shows, "…" replaces the query and fragment of a URL and the user and
#   password in it (in `events` each of their bytes becomes `*`). The request that is sent, also by `retry`, has the
#   whole URL.
@test "S-FILE-13: the key is nowhere in the mount, signed URLs only in output.url" {
    mount_fs
    make_job cat
    scenario '{"kind":"poll","response":{"status":401}}'
    echo '{"prompt": "dog [[seconds=5]]"}' >"$J/dog/prompt.json"
    wait_until 10 test -e "$J/dog/error"
    scenario '{"kind":"create","response":{"status":400,"body_json":{"error":{"message":"Key '"$KEY"'? no."}}}}'
    echo '{"prompt": "bird"}' >"$J/bird/prompt.json"
    wait_status bird rejected
    has 'Key ***' "$J/bird/error" "$J/bird/response.json"
    fails grep -rF "$KEY" "$MNT"
    has X-Tos-Signature "$J/cat/output.url"
    [ "$(grep -rlF X-Tos- "$MNT")" = "$J/cat/output.url" ]
}

# Wherever the user, or the service that says it back, may bring a signed URL: a field, the prompt's text, a mistake,
# an unknown field, a message of the service, a word that it should not say.
@test "S-FILE-13: the signature of a URL is nowhere but in the prompt and in what is sent" {
    own_world
    local signed='https://u:s3cret@example.com/1.mp4?a=1&X-Tos-Signature=s3cret' name
    scenario '{"kind":"create","prompt_contains":"refused","response":{"status":400,
            "body_json":{"error":{"message":"cannot fetch '"$signed"' now"}}}}' \
        '{"kind":"poll","prompt_contains":"fails","response":{"task":{"status":"failed",
            "error":{"code":"'"$signed"'","message":"no '"$signed"'"}}}}' \
        '{"kind":"poll","prompt_contains":"odd","response":{"task":{"status":"'"$signed"'"}}}'
    mount_fs --allow-unknown
    for name in good refused fails odd; do
        echo '{"prompt": "'"$name: as in $signed"' here", "video_url": "'"${signed//\//\\/}"'",
            "input_video_duration": 5, "mine": {"url": "'"$signed"'"}}' >"$J/$name/prompt.json"
    done
    fails bash -c "echo '{\"prompt\": \"x\", \"resolution\": \"://a?s3cret\"}' >$J/wrong/prompt.json"
    echo "plain text, as in $signed here" >"$J/text/prompt.txt"
    fails bash -c "echo 'fetch ://a?s3cret' >$J/text/ctl"
    fails bash -c "echo '://a?s3cret' >$J/good/ctl"
    wait_status good succeeded
    wait_status text succeeded
    wait_status refused rejected
    wait_status fails failed
    wait_until 20 reason_has odd example.com
    has 'https://…@example.com/1.mp4…' "$J/good/request.json" "$J/text/request.json" "$J/refused/error" \
        "$J/refused/log" "$J/refused/status.json" "$J/refused/response.json" "$J/fails/error" "$MNT/index.html"
    jq -e '.video_url == "https://…@example.com/1.mp4…" and .mine.url == .video_url' "$J/good/request.json"
    python 'assert os.getxattr(M + "jobs/good", "user.seedance.prompt").decode() == \
        "good: as in https://…@example.com/1.mp4… here"'
    echo retry >"$J/refused/ctl"
    wait_until 20 creates_are 6
    [ "$(grep -c '"kind":"create".*X-Tos-Signature=s3cret' "$LOG")" -eq 6 ]
    body 6 | jq -e --arg url "$signed" '.video_url == $url and .mine.url == $url'
    head -c "$(stat -c %s "$MNT/events")" "$MNT/events" >"$DIR/events"
    has 'https://********@example.com/1.mp4**' "$DIR/events"
    jq -e . "$DIR/events" >/dev/null
    [ "$(grep -rlF s3cret "$MNT" "$DIR/events" "$DATA/seedancefs.log" | xargs -n 1 basename | sort | uniq -c |
        tr -s ' \n' ' ')" = " 5 prompt.json 1 prompt.txt " ]
    # It is shortened when it is shown, so that what an earlier version has written is, too.
    unmount_fs
    [ "$(sqlite3 "$DATA/jobs.sqlite" "SELECT count(*) FROM exchange WHERE CAST(display AS TEXT) LIKE '%s3cret%'")" -eq 6 ]
    mount_fs --allow-unknown
    fails grep -rF --exclude='prompt.*' s3cret "$MNT"
    has 'https://…@example.com/1.mp4…' "$J/good/request.json"
}

# S-FILE-14: A prompt that has such a URL in it, or is larger than 1 MiB, can be read by its owner only, whatever mode
#   was set: it has mode 0600, and 0400 once it is accepted. When the URL is no longer in it, the mode that was set
#   applies again.
@test "S-FILE-14: a prompt with a signed URL is for its owner alone" {
    mount_fs
    local signed='https://example.com/1.mp4?X-Tos-Signature=s3cret'
    mode_is() { [ "$(stat -c %a "$2")" = "$1" ]; }
    echo '{"prompt": "x", "video_url": "'"$signed"'", "input_video_duration": 5' >"$J/cat/prompt.json"
    wait_status cat invalid
    [ "$(stat -c %a "$J/cat/prompt.json")" = 600 ]
    chmod 644 "$J/cat/prompt.json"
    [ "$(stat -c %a "$J/cat/prompt.json")" = 600 ]
    sed 's/5$/5}/' "$J/cat/prompt.json" >"$DIR/whole"
    cp -p "$DIR/whole" "$J/dog/prompt.json"
    sed -i 's/5$/5}/' "$J/cat/prompt.json"
    for job in cat dog; do
        wait_status $job succeeded
        wait_until 5 mode_is 400 "$J/$job/prompt.json" # the kernel keeps attributes of a renamed file for a second
        has "$signed" "$J/$job/prompt.json"
    done
    restart_fs
    [ "$(stat -c %a "$J/dog/prompt.json" "$J/dog/request.json" | tr '\n' ' ')" = '400 444 ' ]
    echo '{"prompt": "'"$signed"' [[fail]]"}' >"$J/bad/prompt.json"
    wait_status bad failed
    [ "$(stat -c %a "$J/bad/prompt.json")" = 600 ]
    echo '{"prompt": "none now [[fail]]"}' >"$J/bad/prompt.json"
    wait_status bad failed
    [ "$(stat -c %a "$J/bad/prompt.json")" = 644 ]
    echo "$signed" >"$J/bad/note"
    [ "$(stat -c %a "$J/bad/note")" = 644 ]
}

# S-FILE-15: Nothing that the program shows can send a command to a terminal: control characters other than newline
#   and tab are shown in the form `\u001b`, and bytes that are not UTF-8 in the form `\x9b`.
@test "S-FILE-15: no file that the program makes has commands to a terminal in it" {
    local name escapes='\u001b[2J \u0007 \u007f \u009b31m \u202e \r'
    scenario '{"kind":"create","prompt_contains":"html","response":{"status":500,"body_base64":"'"$(
        printf '<h1>\033]0;x\007\r\n\tno\001 \177 \302\233 31m \233 31m \377 \000 end</h1>' | base64 -w0)"'"}}' \
        '{"kind":"create","prompt_contains":"refused","response":{"status":400,
            "body":"{\"error\":{\"code\":\"a'"$escapes"'\",\"message\":\"b'"$escapes"'\"}}"}}' \
        '{"kind":"poll","prompt_contains":"fails","response":{"body":"{\"id\":\"TASK\",\"status\":\"'"$escapes"'\"}"}}'
    mount_fs
    for name in html refused; do
        echo "{\"prompt\": \"$name $escapes\"}" >"$J/$name/prompt.json"
    done
    printf '{"prompt": "x", "a\302\233b": 1, "resolution": "\302\2332J\177"}' >"$J/wrong/prompt.json" || true
    fails bash -c "printf 'a\033\302\233b' >$J/wrong/ctl"
    wait_status html unknown
    wait_status refused rejected
    wait_status wrong invalid
    [ "$(cat "$J/html/response.json")" = "<h1>\\u001b]0;x\\u0007
	no\\u0001 \\u007f \\u009b 31m \\x9b 31m \\xff \\u0000 end</h1>" ]
    jq -e '.prompt == "html \u001b[2J \u0007 \u007f \u009b31m \u202e \r"' "$J/html/request.json"
    jq -e '.error.message | startswith("b\u001b[2J")' "$J/refused/response.json"
    jq -e .state "$J/refused/status.json" "$J/wrong/status.json"
    python '
import unicodedata
for path in glob.glob(M + "jobs/*/*") + [M + "index.html"]:
    if path.endswith(("prompt.json", ".mp4", ".jpg")):
        continue
    text = open(path, "rb").read().decode() # UTF-8
    wrong = [c for c in text if unicodedata.category(c) in ("Cc", "Zl", "Zp") and c not in "\n\t" or c == "\u202e"]
    assert not wrong, (path, wrong)
assert os.getxattr(M + "jobs/html", "user.seedance.prompt").isascii()'
}

# S-SPEND-8: `cost` is an estimate until the length of the video is known, then the actual cost, and says which of the
#   two it is.
@test "S-SPEND-8: cost is an estimate until the length is known" {
    mount_fs
    mkdir "$J/cat"
    has '0.00 USD (nothing' "$J/cat/cost"
    echo '{"prompt": "x [[seconds=4]]", "duration": 10, "resolution": "480p"}' >"$J/cat/prompt.json"
    wait_status cat running
    has '1.20 USD (estimated;' "$J/cat/cost"
    [ "$(status_json cat .cost.estimated)" = 1.20 ]
    [ "$(status_json cat .cost.actual)" = null ]
    scenario '{"kind":"poll","response":{"task":{"usage":{"video_duration":9}}}}'
    wait_status cat succeeded
    has "1.08 USD (by the video's length" "$J/cat/cost"
    [ "$(status_json cat .cost.actual)" = 1.08 ]
    echo '{"prompt": "x", "video_url": "https://example.com/v.mp4", "input_video_duration": 5, "duration": 10}' \
        >"$J/dog/prompt.json"
    wait_status dog succeeded
    [ "$(status_json dog .cost.estimated)" = 3.00 ]
}

# S-READ-1: `output.mp4` and `cover.jpg` hold exactly the bytes at the service's URLs, in whatever
#   order they are read.
# S-READ-3: The program sends only GET requests to the media host, and never shows it the API key.
@test "S-READ-1 S-READ-3: the very bytes of the service, in any order, by GET without the key" {
    mount_fs
    make_job cat 'a cat [[video_bytes=3000000]]'
    wait_until 5 test -e "$J/cat/cover.jpg"
    curl -sf "${API%/api/v1}/oracle/video/$(status_json cat .task_id)" >"$DIR/whole"
    python '
import random
whole = open(sys.argv[1], "rb").read()
f = os.open(M + "jobs/cat/output.mp4", os.O_RDONLY)
assert os.fstat(f).st_size == len(whole)
r = random.Random(1)
for i in range(60):
    offset = r.choice([0, len(whole) - 1000, r.randrange(len(whole) + 10)])
    size = r.choice([1, 7, 4096, 100000])
    assert os.pread(f, size, offset) == whole[offset:offset + size], (offset, size)
assert os.pread(f, 10, len(whole)) == b""' "$DIR/whole"
    cmp "$DIR/whole" "$J/cat/output.mp4"
    tail -c 500 "$J/cat/output.mp4" | cmp - <(tail -c 500 "$DIR/whole")
    cmp "$ROOT/tests/media/cover.jpg" "$J/cat/cover.jpg"
    jq -se '[.[] | select(.kind == "video" or .kind == "cover")] | length > 1 and
        all(.method == "GET" and (.authorization | not))' "$LOG"
}

# S-READ-2: Bytes that were read once are on disk: reading them again sends no request, not even after a restart.
@test "S-READ-2: read once, it is read from disk, also after a restart and without the service" {
    own_world
    mount_fs
    make_job cat 'a cat [[video_bytes=2000000]]'
    cat "$J/cat/output.mp4" >"$DIR/first"
    local was
    was=$(requests video)
    cmp "$J/cat/output.mp4" "$DIR/first"
    wait_until 5 json_is cat .output.cached_bytes 2000000
    wait_until 20 json_is cat .output.archived true
    restart_fs
    end_sim
    cmp "$J/cat/output.mp4" "$DIR/first"
    [ "$(requests video)" -eq "$was" ]
    start_sim
}

# S-READ-4: When the URL has expired, the service is asked once for a new one, and reading continues.
@test "S-READ-4: an expired URL is renewed, once" {
    own_world --url-expires 1
    mount_fs --archive never
    make_job cat 'a cat [[video_bytes=2000000]]'
    wait_until 5 test ! -e "$J/cat/output.url"
    local polls
    polls=$(requests poll)
    cmp "$J/cat/output.mp4" <(curl -sf "${API%/api/v1}/oracle/video/$(status_json cat .task_id)")
    [ "$(requests poll)" -le $((polls + 2)) ]
    [ "$(requests poll)" -ge $((polls + 1)) ]
    [ "$(creates)" -eq 1 ]
}

# S-READ-5: When the bytes are not available, the read fails with EIO; a read never returns wrong bytes.
@test "S-READ-5: what cannot be had is EIO, what is wrong is not given" {
    own_world
    mount_fs
    make_job cat 'a cat [[video_bytes=2000000]]'
    make_job dog 'a dog [[video_bytes=2000000]]'
    wait_ends cat
    wait_ends dog
    scenario '{"kind":"video","task":1,"response":{"status":404}}' \
        '{"kind":"video","task":2,"response":{"size_delta":5}}'
    python '
gives(errno.EIO, os.pread, os.open(M + "jobs/cat/output.mp4", os.O_RDONLY), 100, 1000000)
try:
    data = os.pread(os.open(M + "jobs/dog/output.mp4", os.O_RDONLY), 100, 1000000)
    raise AssertionError("it gave bytes of another file")
except OSError as e:
    assert e.errno in (errno.EIO, errno.ESTALE), e'
    [ "$(cat "$J/cat/status")" = succeeded ]
}

@test "S-ATTR-1: sizes are right while everything changes" {
    mount_fs
    for i in 1 2 3; do echo '{"prompt": "x"}' >"$J/job$i/prompt.json"; done
    python '
J = M + "jobs/job1/"
end = time.time() + 2
done = False
while not done and time.time() < end:
    done = open(J + "status").read() == "succeeded\n"
    for name in "status", "status.json", "log", "cost", "response.json", "request.json":
        try:
            f = os.open(J + name, os.O_RDONLY)
        except FileNotFoundError:
            continue
        content = b""
        while part := os.read(f, 50):
            content += part
        os.close(f)
        assert content.endswith(b"\n"), (name, content)
        if name.endswith(".json"):
            json.loads(content)
assert done'
    for i in 1 2 3; do
        wait_status job$i succeeded
        wait_until 5 test -e "$J/job$i/cover.jpg"
        right_sizes job$i
    done
    [ "$(wc -c <"$J/job1/output.mp4")" -eq "$(stat -c %s "$J/job1/output.mp4")" ]
}

# S-ATTR-2: Directories have mode 0755, generated files 0444 (except those of S-ATTR-10), `output.url` 0400.
#   Everything belongs to the user who runs the program.
@test "S-ATTR-2: modes and owner" {
    mount_fs
    make_job cat
    wait_until 5 test -e "$J/cat/cover.jpg"
    echo x >"$J/cat/mine"
    [ "$(stat -c %a "$MNT" "$J" "$J/cat" | sort -u)" = 755 ]
    [ "$(cd "$J/cat" && stat -c '%a %n' * | sort | tr '\n' ',')" = \
        '400 output.url,444 cost,444 cover.jpg,444 log,444 output.mp4,444 progress,444 prompt.json,444 request.json,444 response.json,444 status,444 status.json,600 ctl,644 mine,' ]
    [ "$(find "$MNT" -printf '%u:%g\n' | sort -u)" = "$(id -un):$(id -gn)" ]
    [ "$(find "$J" -type d | wc -l)" -eq 2 ]
    [ "$(umask 077; touch "$J/cat/secret"; stat -c %a "$J/cat/secret")" = 600 ]
}

# S-ATTR-3: The modification time of a job and of its generated files is that of the job's last transition (of a video
#   and a cover, of the moment when they were finished), so that `ls -t jobs` shows the latest first.
@test "S-ATTR-3: ls -t shows the latest transition first, and nothing else moves it" {
    own_world --url-expires 1
    mount_fs
    for job in a b c; do make_job $job; done
    wait_until 5 test -e "$J/c/cover.jpg"
    [ "$(ls -t "$J" | tr '\n' ' ')" = 'c b a ' ]
    local was
    was=$(stat -c %y "$J/a")
    [ "$(stat -c %y "$J/a/status" "$J/a/output.mp4" "$J/a/log" | sort -u)" = "$was" ]
    [ "$(date -d "$(tail -n 1 "$J/a/log" | cut -d' ' -f1)" +%s%3N)" = "$(date -d "$was" +%s%3N)" ]
    wait_until 5 test ! -e "$J/a/output.url"
    echo refresh >"$J/a/ctl"
    wait_until 5 test -e "$J/a/output.url" # renewed
    [ "$(stat -c %y "$J/a")" = "$was" ]
    restart_fs
    [ "$(stat -c %y "$J/a" "$J/a/status" "$J/a/output.mp4" | sort -u)" = "$was" ]
    [ "$(ls -t "$J" | tr '\n' ' ')" = 'c b a ' ]
    sleep 0.01
    mkdir "$J/d"
    [ "$(ls -t "$J" | tr '\n' ' ')" = 'd c b a ' ]
    local jobs_time
    jobs_time=$(stat -c %y "$J")
    rmdir "$J/d"
    [ "$(stat -c %y "$J")" != "$jobs_time" ]
}

# S-ATTR-4: Inode numbers are unique (a video has one under all its names), stay the same after a restart, and are never
#   used again for anything else.
@test "S-ATTR-4: inode numbers are unique, stable and never used again" {
    mount_fs
    make_job cat
    make_job dog
    echo x >"$J/cat/mine"
    wait_until 5 test -e "$J/dog/cover.jpg"
    find "$MNT" -printf '%i %P\n' | sort >"$DIR/before"
    [ "$(grep -v ' videos/' "$DIR/before" | cut -d' ' -f1 | sort | uniq -d)" = '' ]
    python '
for d, dirs, files in os.walk(M):
    for e in os.scandir(d):
        assert e.inode() == os.stat(e.path, follow_symlinks=False).st_ino, e.path'
    restart_fs
    find "$MNT" -printf '%i %P\n' | sort | diff "$DIR/before" -
    rm -r "$J/cat"
    for i in 1 2 3; do
        mkdir "$J/cat"
        echo x >"$J/cat/mine"
        stat -c '%i' "$J/cat" "$J/cat"/* | while read -r inode; do
            fails grep "^$inode " "$DIR/before"
            echo "$inode $i" >>"$DIR/before"
        done
        rm -r "$J/cat"
        [ $i -ne 2 ] || restart_fs
    done
    echo '{"prompt": "[[fail]]"}' >"$J/again/prompt.json"
    wait_status again failed
    echo '{"prompt": "now it works"}' >"$J/again/prompt.json"
    wait_status again succeeded
    fails grep "^$(stat -c %i "$J/again/output.mp4") " "$DIR/before"
}

# S-ATTR-5: Mode and times of your own files can be set and are kept.
@test "S-ATTR-5: mode and times of your own files" {
    mount_fs
    mkdir "$J/cat"
    echo x >"$J/cat/mine"
    chmod 640 "$J/cat/mine"
    touch -d '2001-02-03 04:05:06.123456789' "$J/cat/mine"
    python 'os.utime(M + "jobs/cat/mine", ns=(10**18 + 1, os.stat(M + "jobs/cat/mine").st_mtime_ns))'
    local want="640 2001-02-03 04:05:06.123456789 1000000000"
    [ "$(TZ=UTC stat -c '%a %y %X' "$J/cat/mine" | sed 's/ +0000//')" = "$want" ]
    restart_fs
    [ "$(TZ=UTC stat -c '%a %y %X' "$J/cat/mine" | sed 's/ +0000//')" = "$want" ]
    touch "$J/cat/mine"
    [ "$(stat -c %Y "$J/cat/mine")" -gt 1500000000 ]
}

# S-ATTR-6: Setting mode and times of generated files and directories succeeds and changes nothing. The mode of a
#   frozen `prompt.json` says who may read it, and never lets anybody write.
# S-ATTR-7: Changing the owner or group of a file to what it already is succeeds; changing it to another fails with
#   EPERM.
@test "S-ATTR-6 S-ATTR-7: chmod, utimens and chown of what is not yours to change" {
    mount_fs
    make_job cat
    local before
    wait_until 5 test -e "$J/cat/cover.jpg"
    before=$(stat -c '%n %a %y %u %g' "$MNT" "$MNT"/* "$J"/* "$J"/cat/* | grep -v prompt.json)
    for path in "$MNT" "$MNT/README.txt" "$J" "$J/cat" "$J"/cat/*; do
        [[ $path == */prompt.json ]] || chmod 600 "$path"
        touch -c -d 2001-01-01 "$path" 2>/dev/null || touch -c -d 2001-01-01 -a "$path" || true
        python 'os.utime(sys.argv[1], (1, 2))' "$path"
        chown "$(id -u):$(id -g)" "$path"
    done
    [ "$(stat -c '%n %a %y %u %g' "$MNT" "$MNT"/* "$J"/* "$J"/cat/* | grep -v prompt.json)" = "$before" ]
    [ "$(stat -c %a "$J/cat/prompt.json")" = 444 ]
    chmod 600 "$J/cat/prompt.json"
    [ "$(stat -c %a "$J/cat/prompt.json")" = 400 ]
    restart_fs
    [ "$(stat -c %a "$J/cat/prompt.json")" = 400 ]
    chmod 644 "$J/cat/prompt.json"
    [ "$(stat -c %a "$J/cat/prompt.json")" = 444 ]
    fails bash -c "echo x >$J/cat/prompt.json"
    python '
J = M + "jobs/cat/"
other = 12345
open(J + "mine", "w").close()
for name in "mine", "prompt.json", "status", "":
    gives(errno.EPERM, os.chown, J + name, other, -1)
    gives(errno.EPERM, os.chown, J + name, -1, other)
    os.chown(J + name, os.getuid(), -1)
    os.chown(J + name, -1, -1)'
    [ "$(creates)" -eq 1 ]
}

# S-ATTR-8: `cp -p` and `rsync -a` work, also when they are repeated.
@test "S-ATTR-8: cp -p and rsync -a, twice" {
    mount_fs
    mkdir "$DIR/src" "$J/cat" "$J/dog"
    echo '{"prompt": "copied"}' >"$DIR/src/prompt.json"
    echo note >"$DIR/src/note"
    touch -d 2020-01-01 "$DIR"/src/*
    cp -p "$DIR"/src/* "$J/cat/"
    wait_status cat succeeded
    [ "$(stat -c %Y "$J/cat/note" "$J/cat/prompt.json" | sort -u)" = "$(date -d 2020-01-01 +%s)" ]
    command -v rsync >/dev/null || skip "no rsync"
    rsync -a "$DIR/src/" "$J/dog/"
    wait_status dog succeeded
    [ "$(stat -c %Y "$J/dog/note" "$J/dog/prompt.json" | sort -u)" = "$(date -d 2020-01-01 +%s)" ]
    rsync -a "$DIR/src/" "$J/dog/"
    [ "$(cat "$J/dog/status")" = succeeded ]
    [ "$(creates)" -eq 2 ]
    # And out of the mount: the second time nothing is left to do.
    wait_until 5 test -e "$J/dog/cover.jpg"
    rsync -a "$J/dog/" "$DIR/out/"
    [ -z "$(rsync -ai "$J/dog/" "$DIR/out/" | grep -v status.json)" ]
    cmp "$DIR/out/output.mp4" "$J/dog/output.mp4"
}

# S-ATTR-9: `statfs` reports the disk of the data directory, with a name length of 255.
@test "S-ATTR-9: statfs" {
    mount_fs
    [ "$(stat -f -c %l "$MNT")" = 255 ]
    [ "$(stat -f -c %S "$MNT")" = "$(stat -f -c %S "$DATA")" ]
    [ "$(stat -f -c %b "$J")" = "$(stat -f -c %b "$DATA")" ]
    df "$MNT" | grep -q seedancefs
    python 'assert os.pathconf(M, "PC_NAME_MAX") == 255'
}
