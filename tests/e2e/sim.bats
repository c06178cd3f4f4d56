#!/usr/bin/env bats
# The simulator is the oracle of the other tests; these tests are what it promises.

load sim_helper
load s3

setup() { sim_setup; }
teardown() { sim_teardown; }

GOOD='"model":"doubao-seedance-2.0","prompt":"a cat"'

@test "usage: --help and --version are 0, anything unknown is 2" {
    "$SIM" --help | grep -q -- --scenario
    "$SIM" --version | grep -q '^seedance-sim '
    for wrong in --nonsense '--port x' '--queue-seconds 3-1' '--fail-rate 2' extra \
        '--video /dev/null' '--video-bytes 10'; do
        run "$SIM" $wrong
        [ "$status" -eq 2 ]
    done
}

@test "start: the port file and one line on stdout appear, and only loopback listens" {
    sim_start
    [ "$(cat out)" = "listening on http://127.0.0.1:$API_PORT/api/v1" ]
    [ "$(cat ports)" = "$API_PORT $MEDIA_PORT" ]
    [ "$API_PORT" != "$MEDIA_PORT" ]
}

@test "end: SIGTERM ends it at once with 0, also with a hanging connection" {
    sim_start_with '{"kind":"create","response":{"silence_at":"request_body"}}'
    (exec 3>&-; create >/dev/null 2>&1) &
    wait_until grep -q '"create"' log
    local from=$(milliseconds)
    kill "$PID"
    wait "$PID"
    (($(milliseconds) - from < 5000)) # the connection would hang for good
    wait $! || true
}

@test "auth: no key or a wrong one is 401 in the service's style, and creates nothing" {
    sim_start
    [ "$(http_status "$API" -d "{$GOOD}")" = 401 ]
    [ "$(http_status -H 'Authorization: Bearer wrong' "$API" -d "{$GOOD}")" = 401 ]
    jq -e '.error | .code == "AuthenticationError" and has("message") and has("param") and
        has("type") and (.message | test("Request id: "))' body
    [ "$(created_tasks)" = 0 ]
    [ "$(log_count '.authorized')" = 0 ]
}

@test "auth: several keys, or any key" {
    sim_start --api-key one --api-key two
    [ "$(http_status -H 'Authorization: Bearer two' "$API" -d "{$GOOD}")" = 200 ]
    [ "$(http_status -H "$KEY" "$API" -d "{$GOOD}")" = 401 ]
    sim_start --any-key
    [ "$(http_status -H 'Authorization: Bearer what' "$API" -d "{$GOOD}")" = 200 ]
    [ "$(http_status -H 'Authorization: Basic what' "$API" -d "{$GOOD}")" = 401 ]
}

@test "create: the response has exactly the documented fields" {
    sim_start
    create | jq -e 'keys == ["created","id","model","object","status"] and .status == "queued"
        and .object == "video.generation.task" and .model == "doubao-seedance-2.0"
        and (now - .created | fabs) < 5'
}

@test "create: what breaks a rule is 400 or 404, names the parameter and creates nothing" {
    sim_start
    cat >table <<END
400|body|nonsense
400|body|[]
400|body|{$GOOD} x
400|model|{"prompt":"a"}
400|prompt|{"model":"doubao-seedance-2.0"}
400|prompt|{"model":"doubao-seedance-2.0","prompt":""}
404|model|{"model":"unknown","prompt":"a"}
400|duration|{$GOOD,"duration":3}
400|duration|{$GOOD,"duration":16}
400|duration|{$GOOD,"duration":"5"}
400|resolution|{$GOOD,"resolution":"4k"}
400|aspect_ratio|{$GOOD,"aspect_ratio":"2:1"}
400|generate_audio|{$GOOD,"generate_audio":1}
400|watermark|{$GOOD,"watermark":"no"}
400|image_url|{$GOOD,"image_url":"/etc/passwd"}
400|video_url|{$GOOD,"video_url":"data:video/mp4;base64,AAAA"}
400|video_urls|{$GOOD,"video_urls":["http://a/","http://a/","http://a/","http://a/"]}
400|audio_urls|{$GOOD,"audio_url":"http://a/a.mp3"}
400|content|{$GOOD,"content":[{"type":"image_url","image_url":{"url":"http://a/"},"role":"last_frame"}]}
400|content|{$GOOD,"content":[{"type":"image_url","image_url":"http://a/","role":"first_frame"}]}
400|content|{$GOOD,"image_url":"http://a/","content":[{"type":"image_url","image_url":{"url":"http://a/"},"role":"first_frame"}]}
END
    cut -d'|' -f3- table >wrong
    create_all wrong | diff - <(cut -d'|' -f1 table)
    jq -r .error.param $(seq -f answer-%g "$(wc -l <wrong)") | diff - <(cut -d'|' -f2 table)
    [ "$(created_tasks)" = 0 ]
}

@test "create: everything that the guide documents is accepted" {
    sim_start
    cat >right <<END
{$GOOD,"duration":4,"resolution":"480p","aspect_ratio":"21:9","generate_audio":false,"watermark":true}
{$GOOD,"duration":15,"image_url":"data:image/png;base64,AAAA"}
{$GOOD,"image_urls":["http://a/","http://b/"],"audio_urls":["http://a/"]}
{$GOOD,"video_urls":["https://a/"],"video_durations":[7],"input_video_duration":7}
{$GOOD,"content":[{"type":"image_url","image_url":{"url":"http://a/"},"role":"first_frame"},{"type":"image_url","image_url":{"url":"http://a/"},"role":"last_frame"}]}
{$GOOD,"content":[{"type":"video_url","video_url":{"url":"http://a/"},"role":"reference_video"}]}
END
    [ "$(create_all right | uniq -c | xargs)" = "$(wc -l <right) 200" ]
}

@test "life: queued, running, succeeded by the clock, divided by --time-scale" {
    sim_start --queue-seconds 30 --generation-seconds 60 --time-scale 20
    local id=$(task_new)
    status_is "$id" queued
    wait_until status_is "$id" running
    wait_until status_is "$id" succeeded
    poll "$id" | jq -e '.usage.video_duration == 5 and (.data | length) == 1'
}

@test "life: [[fail]] fails with a message, and --fail-rate 1 fails everything" {
    sim_start_fast
    poll "$(task_new 'no [[fail]]')" | jq -e '.status == "failed" and (has("data") | not)
        and (.error | .code == "OutputVideoSensitiveContentDetected" and (.message | length) > 9)'
    sim_start_fast --fail-rate 1
    status_is "$(task_new)" failed
}

@test "life: [[seconds=N]] and [[nocover]] steer one task" {
    sim_start_fast
    status_is "$(task_new 'slow [[seconds=60]]')" running
    poll "$(task_new 'plain [[nocover]]')" | jq -e '.data[0] | keys == ["video_url"]'
    poll "$(task_new)" | jq -e '.data[0] | keys == ["cover_image_url","video_url"]'
}

@test "life: an unknown task is 404" {
    sim_start
    [ "$(http_status -H "$KEY" "$API/cgt-none")" = 404 ]
}

@test "data: a restarted simulator knows its tasks; a half-written last line is dropped" {
    sim_start_fast --data tasks
    local id=$(task_new 'first [[video_bytes=200000]]')
    curl -sS "$ORACLE/video/$id" >before
    kill "$PID" && wait "$PID"
    printf '{"id":"cgt-half' >>tasks
    sim_start_fast --data tasks
    poll "$id" | jq -e '.status == "succeeded"'
    curl -sS "$ORACLE/video/$id" | cmp - before
    [ "$(task_new second)" != "$id" ]
    kill "$PID" && wait "$PID"
    sim_start_fast --data tasks
    [ "$(created_tasks)" = 2 ]
}

@test "video: it is playable, and its moov atom is last" {
    sim_start_fast
    for n in 1 2 3; do
        curl -sS "$(video_url "$(task_new)")" >v.mp4
        ffprobe -v error -show_entries stream=codec_name -of csv=p=0 v.mp4 | grep -q h264
        ffmpeg -v error -xerror -i v.mp4 -f null - 2>problems
        [ ! -s problems ]
        (($(grep -abo moov v.mp4 | tail -n 1 | cut -d: -f1) > $(grep -abo mdat v.mp4 | head -n 1 |
            cut -d: -f1)))
    done
}

@test "video: padded to exactly N bytes it plays, and equals --write-video" {
    sim_start_fast --video-bytes 3M
    task_new >/dev/null
    local id=$(task_new)
    curl -sS "$(video_url "$id")" >v.mp4
    [ "$(stat -c %s v.mp4)" = 3145728 ]
    ffprobe -v error -show_entries format=duration -of csv=p=0 v.mp4 | grep -q '^5\.'
    "$SIM" --write-video w.mp4 --video-bytes 3M --task-seed 2
    cmp v.mp4 w.mp4
    curl -sS "$ORACLE/video/$id" | cmp - v.mp4
}

@test "video: [[video_bytes=N]] sets one task's size; what cannot be made is 400" {
    sim_start_fast
    curl -sS "$(video_url "$(task_new '[[video_bytes=1M]]')")" >v.mp4
    [ "$(stat -c %s v.mp4)" = 1048576 ]
    [ "$(create_status '{"model":"doubao-seedance-2.0","prompt":"[[video_bytes=9]]"}')" = 400 ]
}

@test "video: tasks differ, unless --same-video" {
    sim_start_fast
    local a=$(task_new) b=$(task_new) c=$(task_new) d=$(task_new)
    for id in "$a" "$b" "$c" "$d"; do
        curl -sS "$ORACLE/video/$id" | sha256sum
    done >sums
    [ "$(sort -u sums | wc -l)" = 4 ] # the first and the fourth are of the same clip
    sim_start_fast --same-video
    a=$(task_new) b=$(task_new)
    cmp <(curl -sS "$ORACLE/video/$a") <(curl -sS "$ORACLE/video/$b")
}

@test "video: beyond 4 GiB the padding has a 64-bit size, and any part is served" {
    sim_start_fast --video-bytes 5G
    local url=$(video_url "$(task_new)")
    curl -sS -D headers -r -20 "$url" >tail
    [ "$(header Content-Range)" = "bytes 5368709100-5368709119/5368709120" ]
    [ "$(stat -c %s tail)" = 20 ]
    ffprobe -v error -show_entries format=duration -of csv=p=0 "$url" | grep -q '^5\.'
}

@test "video: --video serves a given file" {
    local media=$BATS_TEST_DIRNAME/../media
    sim_start_fast --video "$media/portrait.mp4"
    curl -sS "$(video_url "$(task_new)")" >v.mp4
    ffprobe -v error -select_streams v -show_entries stream=width -of csv=p=0 v.mp4 | grep -q 496
    cmp -n 1000 v.mp4 "$media/portrait.mp4"
}

@test "cover: a jpeg" {
    sim_start_fast
    curl -sS "$(poll "$(task_new)" | jq -r '.data[0].cover_image_url')" |
        cmp - "$BATS_TEST_DIRNAME/../media/cover.jpg"
}

@test "ranges: a-b, a- and -n give 206 with exactly these bytes" {
    sim_start_fast
    local url=$(video_url "$(task_new)")
    curl -sS "$url" >whole
    local size=$(stat -c %s whole)
    while read -r range first last; do
        curl -sS -D headers -r "$range" "$url" >part
        grep -q '^HTTP/1.1 206' headers
        [ "$(header Content-Range)" = "bytes $first-$last/$size" ]
        [ "$(header Content-Length)" = $((last - first + 1)) ]
        cmp part <(tail -c +$((first + 1)) whole | head -c $((last - first + 1)))
    done <<END
0-0 0 0
100-70000 100 70000
$((size - 5))- $((size - 5)) $((size - 1))
-7 $((size - 7)) $((size - 1))
-99999999999999999999 0 $((size - 1))
10-99999999999999999999 10 $((size - 1))
END
}

@test "ranges: behind the end is 416 with the size" {
    sim_start_fast
    local url=$(video_url "$(task_new)")
    local size=$(curl -sS "$url" | wc -c)
    for range in "$size-" "$size-$((size + 9))" -0; do
        curl -sS -D headers -o body -r "$range" "$url"
        grep -q '^HTTP/1.1 416' headers
        [ "$(header Content-Range)" = "bytes */$size" ]
    done
}

@test "ranges: several ranges, nonsense, or another If-Range give the whole file" {
    sim_start_fast
    local url=$(video_url "$(task_new)")
    [ "$(http_status -H 'Range: bytes=0-1,5-6' "$url")" = 200 ]
    [ "$(http_status -H 'Range: bytes=5-1' "$url")" = 200 ]
    [ "$(http_status -H 'Range: lines=1-2' "$url")" = 200 ]
    [ "$(http_status -r 0-1 -H 'If-Range: "other"' "$url")" = 200 ]
    curl -sS -D headers -o body "$url"
    [ "$(http_status -r 0-1 -H "If-Range: $(header ETag)" "$url")" = 206 ]
}

@test "media: ETag, Accept-Ranges, Last-Modified and type are there, compression is not" {
    sim_start_fast
    curl -sS --compressed -D headers -o body "$(video_url "$(task_new)")"
    [[ $(header ETag) = \"*\" ]]
    [ "$(header Accept-Ranges)" = bytes ]
    [ "$(header Content-Type)" = video/mp4 ]
    date -d "$(header Last-Modified)"
    [ -z "$(header Content-Encoding)" ]
}

@test "media: connections are kept alive" {
    sim_start_fast
    local url=$(video_url "$(task_new)")
    [ "$(curl -sS -r 0-9 -o a "$url" -o b "$url" -w '%{num_connects}')" = 10 ]
}

@test "signature: HEAD, no, a changed or another file's signature is 403 in XML" {
    sim_start_fast
    local url=$(video_url "$(task_new)") other=$(task_new)
    [ "$(http_status -I "$url")" = 403 ]
    [ "$(http_status "${url%%\?*}")" = 403 ]
    [ "$(http_status "${url/Expires=86400/Expires=86401}")" = 403 ]
    [ "$(http_status "$MEDIA/media/$other.mp4?${url#*\?}")" = 403 ]
    grep -q '<Error><Code>SignatureDoesNotMatch</Code>' body
}

@test "signature: an expired URL is 403, a new poll gives a new one" {
    sim_start_fast --url-expires 0.4
    local id=$(task_new)
    local url=$(video_url "$id")
    [ "$(http_status "$url")" = 200 ]
    sleep 0.5
    [ "$(http_status "$url")" = 403 ]
    grep -q '<Code>AccessDenied</Code><Message>Request has expired</Message>' body
    [ "$(http_status "$(video_url "$id")")" = 200 ]
}

@test "signature: every poll signs anew; date and expiry can be read" {
    sim_start_fast
    local id=$(task_new)
    local url=$(video_url "$id")
    [ "$url" != "$(video_url "$id")" ]
    [[ $url =~ X-Tos-Date=[0-9]{8}T[0-9]{6}Z\&X-Tos-Expires=86400\&X-Tos-Signature=[0-9a-f]{64}\& ]]
}

@test "leak: the key on the media port is refused and logged" {
    sim_start_fast
    local url=$(video_url "$(task_new)")
    curl -sS -o body "$url"
    [ "$(log_count '.kind == "video" and .authorization')" = 0 ]
    [ "$(http_status -H "$KEY" "$url")" = 400 ]
    [ "$(log_count '.kind == "video" and .authorization')" = 1 ]
}

@test "log: the body of a create request is there byte for byte, before the response" {
    sim_start --latency-ms 300
    printf '{ "model":"doubao-seedance-2.0",\n\t"prompt":"caf\xc3\xa9 \\u00e9 \\"x\\" / \\\\ \x7f" }\r\n' >sent
    curl -sS -o body -H "$KEY" "$API" --data-binary @sent 3>&- &
    wait_until grep -q '"create"' log
    [ ! -s body ]
    jq -j .body log | cmp - sent
    wait $!
    [ "$(jq -r .created log)" = "$(jq -r .id body)" ]
}

@test "log: a body that is not UTF-8 is kept as base64" {
    sim_start
    printf '{"prompt":"\xff\x00"}' >sent
    curl -sS -o body -H "$KEY" "$API" --data-binary @sent
    jq -r .body_base64 log | base64 -d | cmp - sent
}

@test "log: one line per request, in order, without signatures; media tell what was sent" {
    sim_start_fast
    local id=$(task_new)
    local url=$(video_url "$id")
    curl -sS -r 5-9 -o body "$url"
    wait_until grep -q '"sent"' log
    jq -se 'map(.kind) == ["create","poll","video","sent"] and map(.seq) == [1,2,3,3]' log
    jq -se --arg id "$id" '.[2] | .task == $id and .range == "bytes=5-9" and .rule == null and
        .method == "GET" and .connection > 0 and (.path | test("Signature=&"))' log
    jq -se '.[3] == {kind:"sent",seq:3,status:206,bytes:5}' log
}

@test "log: a request that was never completed is there, marked, and created nothing" {
    sim_start
    exec 9<>"/dev/tcp/127.0.0.1/$API_PORT"
    printf 'POST /api/v1/videos/generations HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: 99\r\n\r\n{' \
        "$KEY" >&9
    exec 9>&-
    wait_until grep -q '"aborted":true' log
    [ "$(created_tasks)" = 0 ]
}

@test "log: --log-headers adds the headers, without the key" {
    sim_start --log-headers
    create >/dev/null
    jq -e '.headers.Authorization == "(removed)" and .headers["User-Agent"] != null' log
    [ "$(grep -c th-simulator log)" = 0 ]
}

@test "oracle: tasks, counters and equal prompts are told; oracle requests are not logged" {
    sim_start_fast
    task_new twin && task_new twin && task_new single
    curl -sS "$ORACLE/tasks" | jq -e '.creates == 3 and (.tasks | map(.creates)) == [2,2,1]
        and (.tasks | map(.prompt)) == ["twin","twin","single"]'
    curl -sS "$ORACLE/counters" | jq -e '.create == 3 and .created == 3 and .poll == 0'
    [ "$(wc -l <log)" = 3 ]
}

@test "limits: a body above 64 MB is 413, and nothing is created" {
    sim_start
    { printf '{"model":"doubao-seedance-2.0","prompt":"a","x":"'; head -c 67108864 /dev/zero |
        tr '\0' x; printf '"}'; } >big
    [ "$(http_status -H "$KEY" "$API" --data-binary @big)" = 413 ]
    head -c 20000000 big >>big2; cat big big2 >bigger
    [ "$(http_status -H "$KEY" "$API" --data-binary @bigger)" = 413 ]
    [ "$(created_tasks)" = 0 ]
}

@test "shaping: --latency-ms delays responses, --rate slows media" {
    sim_start_fast --latency-ms 200
    local from=$(milliseconds)
    create >/dev/null
    (($(milliseconds) - from >= 200))
    sim_start_fast --rate 100K
    local url=$(video_url "$(task_new)")
    from=$(milliseconds)
    curl -sS -r 0-51199 -o body "$url"
    local took=$(($(milliseconds) - from))
    ((took >= 400))
}

@test "scenario: n, from/to, every, times, task and prompt_contains choose requests" {
    sim_start_with '{"kind":"poll","n":2,"response":{"status":502}}' \
        '{"kind":"poll","from":4,"to":5,"response":{"status":503}}' \
        '{"kind":"poll","every":7,"times":1,"response":{"status":504}}' \
        '{"kind":"create","prompt_contains":"dog","response":{"status":400}}' \
        '{"kind":"poll","task":2,"response":{"status":404}}'
    local id=$(task_new) got=
    for n in {1..14}; do
        got+=" $(http_status -H "$KEY" "$API/$id")"
    done
    [ "$got" = " 200 502 200 503 503 200 504 200 200 200 200 200 200 200" ]
    [ "$(create_status '{"model":"doubao-seedance-2.0","prompt":"a dog"}')" = 400 ]
    [ "$(http_status -H "$KEY" "$API/$(task_new)")" = 404 ]
    [ "$(log_count '.rule == 0')" = 1 ]
}

@test "scenario: status, reason, headers and body; a refusal creates nothing" {
    sim_start_with '{"kind":"create","n":1,"response":{"status":429,"headers":{"Retry-After":"7"}}}' \
        '{"kind":"create","n":2,"response":{"status":418,"reason":"Teapot","body":"short",
            "headers":{"X-Two":["a","b"],"Content-Type":null}}}' \
        '{"kind":"create","n":3,"response":{"body_json":{"a":[1]}}}' \
        '{"kind":"create","n":4,"response":{"body_repeat":{"text":"ab","count":3000000}}}' \
        '{"kind":"create","n":5,"response":{"body_base64":"AAEC"}}'
    curl -s -D headers -o body -H "$KEY" "$API" -d "{$GOOD}"
    grep -q '^HTTP/1.1 429 Too Many Requests' headers
    [ "$(header Retry-After)" = 7 ]
    jq -e '.error.code | startswith("RateLimitExceeded")' body
    curl -s -D headers -o body -H "$KEY" "$API" -d "{$GOOD}"
    grep -q '^HTTP/1.1 418 Teapot' headers
    [ "$(header X-Two | tr -d '\n')" = ab ]
    [ -z "$(header Content-Type)" ]
    [ "$(cat body)" = short ]
    [ "$(created_tasks)" = 0 ]
    [ "$(create)" = '{"a":[1]}' ]
    [ "$(create | wc -c)" = 6000000 ]
    create | cmp - <(printf '\0\1\2')
    [ "$(created_tasks)" = 3 ]
}

@test "scenario: accept makes the task although the response says otherwise" {
    sim_start_with '{"kind":"create","n":1,"response":{"status":500,"accept":true}}' \
        '{"kind":"create","n":2,"response":{"reset_at":"request_body","accept":true}}' \
        '{"kind":"create","n":3,"response":{"status":500}}' \
        '{"kind":"create","n":4,"response":{"reset_at":"request_body"}}' \
        '{"kind":"create","n":5,"response":{"cut_after_bytes":5}}'
    [ "$(create_status "{$GOOD}")" = 500 ]
    post_fails 56
    [ "$(created_tasks)" = 2 ]
    [ "$(create_status "{$GOOD}")" = 500 ]
    post_fails 56
    [ "$(created_tasks)" = 2 ]
    post_fails 18
    [ "$(cat body)" = '{"id"' ]
    [ "$(created_tasks)" = 3 ]
}

@test "scenario: delay_ms and rate slow one response" {
    sim_start_with '{"kind":"create","n":1,"response":{"delay_ms":300}}' \
        '{"kind":"video","response":{"rate":1000}}'
    local from=$(milliseconds)
    local id=$(task_new)
    (($(milliseconds) - from >= 300))
    local url=$(video_url "$id")
    from=$(milliseconds)
    curl -sS -r 0-499 -o body "$url"
    local took=$(($(milliseconds) - from))
    ((took >= 400))
}

@test "scenario: header_rate slows the header" {
    sim_start_with '{"kind":"poll","response":{"header_rate":10}}'
    local id=$(task_new)
    curl_fails 28 -m 1 -D headers -H "$KEY" "$API/$id"
    [ ! -s body ]
}

@test "scenario: reset_at ends with a reset at each stage" {
    sim_start_with '{"kind":"connection","port":"api","n":1,"response":{"reset_at":"connect"}}' \
        '{"kind":"create","n":1,"response":{"reset_at":"request"}}' \
        '{"kind":"create","n":2,"response":{"reset_at":"request_body"}}' \
        '{"kind":"create","n":3,"response":{"reset_at":"headers"}}' \
        '{"kind":"create","n":4,"response":{"reset_at":"body","cut_after_bytes":10}}'
    run curl -s -m 5 -o body -H "$KEY" "$API" -d "{$GOOD}"
    [[ $status = 56 || $status = 7 ]]
    [ "$(jq -sr 'map(.kind) | join(" ")' log)" = connection ]
    for n in 1 2 3 4; do
        post_fails 56
    done
    [ "$(wc -c <body)" = 10 ]
    [ "$(log_count '.kind == "create"')" = 4 ]
    [ "$(created_tasks)" = 2 ]
}

@test "scenario: cut_at ends orderly at each stage" {
    sim_start_with '{"kind":"connection","n":1,"response":{"cut_at":"connect"}}' \
        '{"kind":"create","n":1,"response":{"cut_at":"request"}}' \
        '{"kind":"create","n":2,"response":{"cut_at":"request_body"}}' \
        '{"kind":"create","n":3,"response":{"cut_at":"body","cut_after_bytes":0}}' \
        '{"kind":"create","n":4,"response":{"cut_at":"body","cut_after_bytes":10}}'
    post_fails 52
    post_fails 52
    post_fails 52
    post_fails 18
    post_fails 18
    [ "$(wc -c <body)" = 10 ]
}

@test "scenario: silence_at never answers" {
    sim_start_with '{"kind":"connection","port":"api","n":1,"response":{"silence_at":"connect"}}' \
        '{"kind":"create","n":1,"response":{"silence_at":"request"}}' \
        '{"kind":"create","n":2,"response":{"silence_at":"request_body"}}' \
        '{"kind":"create","n":3,"response":{"silence_at":"headers"}}' \
        '{"kind":"create","n":4,"response":{"silence_at":"body","cut_after_bytes":3}}'
    for n in 1 2 3 4 5; do
        curl_fails 28 -m 0.4 -H "$KEY" "$API" -d "{$GOOD}"
    done
    [ "$(cat body)" = '{"i' ]
    [ "$(create_status "{$GOOD}")" = 200 ]
}

@test "scenario: raw replaces the whole response" {
    sim_start_with '{"kind":"create","n":1,"response":{"raw":"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi"}}' \
        '{"kind":"create","n":2,"response":{"raw":"HTTP/1.1 200 OK\r\nX: ","raw_repeat":{"text":"a","count":2000000},"raw_end":"\r\n\r\n"}}' \
        '{"kind":"create","n":3,"response":{"raw_base64":"SFRUUC8xLjEgMjA0IE5vdGhpbmcNCg0K"}}'
    for n in 1 2 3; do
        exec 9<>"/dev/tcp/127.0.0.1/$API_PORT"
        printf 'POST /api/v1/videos/generations HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n' >&9
        cat <&9 >"raw$n"
        exec 9>&-
    done
    cmp raw1 <(printf 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi')
    [ "$(wc -c <raw2)" = 2000024 ]
    cmp raw3 <(printf 'HTTP/1.1 204 Nothing\r\n\r\n')
    [ "$(created_tasks)" = 0 ]
}

@test "scenario: a lying Content-Length, good and bad chunks, gzip nobody asked for" {
    sim_start_with '{"kind":"poll","n":1,"response":{"content_length":99999}}' \
        '{"kind":"poll","n":2,"response":{"content_length":"nonsense"}}' \
        '{"kind":"poll","n":3,"response":{"chunked":true}}' \
        '{"kind":"poll","n":4,"response":{"chunked":"bad"}}' \
        '{"kind":"poll","n":5,"response":{"gzip":true}}'
    local id=$(task_new)
    curl_fails 18 -H "$KEY" "$API/$id"
    curl_fails 8 -H "$KEY" "$API/$id" # a strange server reply
    poll "$id" | jq -e '.id'
    curl_fails 56 -H "$KEY" "$API/$id"
    curl -sS -D headers -o body -H "$KEY" "$API/$id"
    [ "$(header Content-Encoding)" = gzip ]
    gzip -dc <body | jq -e .id
}

@test "scenario: wrong ranges" {
    sim_start_with '{"kind":"video","n":1,"response":{"ignore_range":true}}' \
        '{"kind":"video","n":2,"response":{"shift":5}}' \
        '{"kind":"video","n":3,"response":{"short":4}}' \
        '{"kind":"video","n":4,"response":{"content_range":"bytes */*"}}' \
        '{"kind":"video","n":5,"response":{"no_content_range":true}}' \
        '{"kind":"video","n":6,"response":{"size_delta":3,"etag":"\"other\""}}' \
        '{"kind":"video","n":7,"response":{"flip_byte":12}}'
    local id=$(task_new)
    local url=$(video_url "$id")
    curl -sS "$ORACLE/video/$id" >whole
    local size=$(stat -c %s whole)
    [ "$(http_status -r 10-19 "$url")" = 200 ]
    cmp body whole
    local want
    for want in "bytes 15-24/$size" "bytes 10-15/$size" 'bytes */*' '' "bytes 10-19/$((size + 3))"; do
        curl -sS -D headers -o body -r 10-19 "$url"
        [ "$(header Content-Range)" = "$want" ]
    done
    [ "$(header ETag)" = '"other"' ]
    curl -sS -r 10-19 -o body "$url"
    [ "$(cmp -l body <(tail -c +11 whole | head -c 10) | wc -l)" = 1 ]
    curl -sS -r 10-19 "$url" | cmp - <(tail -c +11 whole | head -c 10)
}

@test "scenario: fields of a task can be replaced, and URLs be built" {
    sim_start_with '{"kind":"poll","n":1,"response":{"task_status":"weird","id":"other","task":{"usage":null}}}' \
        '{"kind":"poll","n":2,"response":{"video_url":"http://localhost:{{media_port}}{{video_path}}"}}' \
        '{"kind":"poll","n":3,"response":{"task":{"data":null}}}' \
        '{"kind":"video","n":1,"response":{"status":302,"headers":{"Location":"{{video_path}}"}}}'
    local id=$(task_new)
    poll "$id" | jq -e '.status == "weird" and .id == "other" and (has("usage") | not)'
    local url=$(video_url "$id")
    [[ $url = http://localhost:$MEDIA_PORT/media/* ]]
    poll "$id" | jq -e '.status == "succeeded" and (has("data") | not)'
    [ "$(http_status -L --max-redirs 1 "$url")" = 200 ]
    curl -sS "$ORACLE/video/$id" | cmp - body
}

@test "scenario: SIGHUP and PUT replace it, mistakes leave the old one" {
    sim_start_with '{"kind":"create","response":{"status":500}}'
    [ "$(create_status "{$GOOD}")" = 500 ]
    echo '{"rules":[{"kind":"create","response":{"status":503}}]}' >scenario.json
    kill -HUP "$PID"
    put_is_known() { [ "$(create_status "{$GOOD}")" = 503 ]; }
    wait_until put_is_known
    [ "$(http_status -T - "$ORACLE/scenario" <<<'{"rules":[{"kind":"create","n":2,"response":{"status":504}}]}')" = 200 ]
    [ "$(create_status "{$GOOD}")" = 200 ]
    [ "$(create_status "{$GOOD}")" = 504 ]
    for wrong in nonsense '{}' '{"rules":[{"kind":"nothing"}]}' \
        '{"rules":[{"kind":"create","response":{"statsu":1}}]}' \
        '{"rules":[{"kind":"create","response":{"reset_at":"connect"}}]}'; do
        [ "$(http_status -T - "$ORACLE/scenario" <<<"$wrong")" = 400 ]
    done
    curl -sS "$ORACLE/counters" | jq -e '.rules == [{"seen":2,"fired":1}]'
    echo '{"rules":[{"king":"create"}]}' >scenario.json
    run "$SIM" --scenario scenario.json
    [ "$status" -eq 2 ]
}

@test "inputs: a video of its own is taken by its signed URL, forged or expired ones are 400" {
    sim_start_fast --data tasks
    local id=$(task_new)
    local url=$(video_url "$id")
    [ "$(create_status "{$GOOD,\"video_urls\":[\"$url\"],\"video_durations\":[5]}")" = 200 ]
    jq -se --arg id "$id" '.[-1].inputs == [{field:"video_urls[0]",kind:"video",form:"own",task:$id}]' log
    [ "$(create_status "{$GOOD,\"video_urls\":[\"$url\"],\"video_durations\":[9]}")" = 400 ]
    jq -e '.error.param == "video_durations"' body
    [ "$(create_status "{$GOOD,\"video_urls\":[\"${url/Expires=86400/Expires=86401}\"]}")" = 400 ]
    jq -e '.error | .param == "video_urls" and
        (.message | startswith("The video at `video_urls[0]` could not be downloaded: 403"))' body
    # Refused ones are logged, too, and the array has no address.
    jq -se --arg id "$id" '.[-1] | .created == null and .inputs[0].task == $id' log
    jq -c 'select(.kind == "create") | .inputs' log | fails grep Tos
    sim_start_fast --data tasks --url-expires 0.01
    url=$(video_url "$id")
    sleep 0.05
    [ "$(create_status "{$GOOD,\"video_url\":\"$url\"}")" = 400 ]
    jq -e '.error.message | contains("could not be downloaded: 403")' body
}

@test "inputs: a file on an upload server is fetched; other hosts are not asked" {
    sim_start_fast
    upload_start
    local media=$BATS_TEST_DIRNAME/../media
    curl -sS -T "$media/landscape.mp4" "$UPLOAD/in/v.mp4?X-Amz-Signature=secret"
    curl -sS -T "$media/cover.jpg" "$UPLOAD/in/a.jpg?X-Amz-Signature=secret"
    [ "$(create_status "{$GOOD,\"image_url\":\"$UPLOAD/in/a.jpg?secret=1\",\"video_urls\":[\"$UPLOAD/in/v.mp4\",
        \"https://example.com/v.mp4\"]}")" = 200 ]
    local bytes=$(stat -c %s "$media/landscape.mp4")
    jq -se --argjson bytes "$bytes" '.[-1].inputs | map(.form) == ["fetched","fetched","address"] and
        .[1].bytes == $bytes and (.[1].hash | test("^[0-9a-f]{16}$")) and .[0].width == 864' log
    [ "$(create_status "{$GOOD,\"video_url\":\"$UPLOAD/in/v.mp4\",\"input_video_duration\":8}")" = 400 ]
    jq -e '.error.param == "input_video_duration"' body
    [ "$(create_status "{$GOOD,\"video_url\":\"$UPLOAD/in/none.mp4\"}")" = 400 ]
    jq -e '.error.message | contains("could not be downloaded: 404")' body
    [ "$(create_status "{$GOOD,\"video_url\":\"$UPLOAD/in/a.jpg\"}")" = 400 ]
    [ "$(jq -s 'map(select(.method == "GET")) | length' uploads)" = 5 ]
    fails grep secret uploads
}

@test "inputs: a server that says nothing keeps only its own request waiting" {
    sim_start_fast
    upload_start --delay-ms 60000
    local from=$(milliseconds)
    create_status "{$GOOD,\"image_url\":\"$UPLOAD/a.png\"}" >slow 3>&- &
    wait_until test -s uploads
    [ "$(http_status -H "$KEY" "$API" -d "{$GOOD}")" = 200 ]
    (($(milliseconds) - from < 4000))
    wait $!
    [ "$(<slow)" = 400 ]
    (($(milliseconds) - from < 15000))
    jq -se 'map(.created != null) == [true, false]' log
}

@test "inputs: --strict-inputs looks into data:" {
    local tiny=iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==
    sim_start_fast
    [ "$(create_status "{$GOOD,\"image_url\":\"data:image/png;base64,$tiny\"}")" = 200 ]
    jq -se '.[-1].inputs[0] | .form == "data" and .bytes == 70 and .width == 1 and .height == 1' log
    [ "$(create_status "{$GOOD,\"image_url\":\"data:image/png;base64,$tiny=\"}")" = 400 ]
    sim_start_fast --strict-inputs
    [ "$(create_status "{$GOOD,\"image_url\":\"data:image/png;base64,$tiny\"}")" = 400 ]
    jq -e '.error | .param == "image_url" and (.message | contains("300 to 6000"))' body
    printf '{%s,"image_url":"data:image/jpeg;base64,%s"}' "$GOOD" "$(base64 -w 0 "$BATS_TEST_DIRNAME/../media/cover.jpg")" >good
    [ "$(create_status @good)" = 200 ]
    ffmpeg -v error -f lavfi -i sine=duration=1 short.wav
    printf '{%s,"image_url":"https://a/","audio_url":"data:audio/wav;base64,%s"}' "$GOOD" "$(base64 -w 0 short.wav)" >short
    [ "$(create_status @short)" = 400 ]
    jq -e '.error.message | contains("2 to 15 seconds")' body
}

@test "objects: PUT, GET, HEAD and DELETE, with any key" {
    sim_start
    head -c 300000 /dev/urandom >file
    local key='a b/ü+(1)&=%.png' md5=$(md5sum <file | cut -c1-32)
    [ "$(s3_put "$key" file -- -H 'Content-Type: image/png')" = 200 ]
    [ "$(header ETag)" = "\"$md5\"" ]
    [ ! -s body ]
    [ "$(s3 GET "$key")" = 200 ]
    cmp body file
    [ "$(header ETag)" = "\"$md5\"" ]
    [ "$(header Content-Type)" = image/png ]
    [ "$(s3 HEAD "$key")" = 200 ]
    [ "$(header Content-Length)" = 300000 ]
    [ "$(header Content-Type)" = image/png ]
    objects | jq -e --arg key "$key" --arg md5 "$md5" \
        '. == [{key: $key, bytes: 300000, md5: $md5, puts: 1, content_type: "image/png"}]'
    [ "$(s3 DELETE "$key")" = 204 ]
    [ "$(s3 DELETE "$key")" = 204 ]
    refused 404 NoSuchKey s3 GET "$key"
    [ "$(s3 HEAD "$key")" = 404 ]
    : >empty
    [ "$(s3_put empty empty)" = 200 ]
    [ "$(s3 GET empty)" = 200 ]
    [ ! -s body ]
    [ "$(header Content-Type)" = binary/octet-stream ]
    jq -se --arg key "$key" 'map([.kind, .method, .key == $key, .status, .signature, .bytes]) == [
        ["object_put", "PUT", true, 200, "good", 300000], ["object_get", "GET", true, 200, "good", 0],
        ["object_get", "HEAD", true, 200, "good", 0], ["object_delete", "DELETE", true, 204, "good", 0],
        ["object_delete", "DELETE", true, 204, "good", 0], ["object_get", "GET", true, 404, "good", 0],
        ["object_get", "HEAD", true, 404, "good", 0], ["object_put", "PUT", false, 200, "good", 0],
        ["object_get", "GET", false, 200, "good", 0]] and all(.authorized and .conditional == false)' log
    fails grep -E 'Signature=[0-9a-f]' log
}

@test "objects: every response has Date and an id, which errors repeat; connections are kept alive" {
    sim_start
    s3_put k "$SIM" >/dev/null
    s3 HEAD k >/dev/null
    date -d "$(header Date)"
    date -d "$(header Last-Modified)"
    [ -n "$(header x-amz-request-id)" ]
    s3 GET none >/dev/null
    date -d "$(header Date)"
    grep -q "<RequestId>$(header x-amz-request-id)</RequestId>" body
    s3 DELETE k >/dev/null
    date -d "$(header Date)"
    [ -n "$(header x-amz-request-id)" ]
    local url=$(presign DELETE /seedance/k)
    [ "$(curl -sS -X DELETE -o a "$url" -o b "$url" -w '%{num_connects}')" = 10 ]
}

@test "objects: ranges" {
    sim_start
    head -c 1000 /dev/urandom >file
    s3_put k file >/dev/null
    [ "$(s3 GET k -- -r 10-19)" = 206 ]
    [ "$(header Content-Range)" = 'bytes 10-19/1000' ]
    cmp body <(tail -c +11 file | head -c 10)
    [ "$(s3 GET k -- -r -7)" = 206 ]
    cmp body <(tail -c 7 file)
    [ "$(s3 HEAD k -- -r 990-)" = 206 ]
    [ "$(header Content-Length)" = 10 ]
    refused 416 InvalidRange s3 GET k -- -r 1000-
    [ "$(header Content-Range)" = 'bytes */1000' ]
    [ "$(s3 GET k -- -r 0-1,4-5)" = 200 ]
}

@test "objects: a large one has no limit of a create" {
    sim_start
    truncate -s 100M file
    [ "$(s3_put large file)" = 200 ]
    objects | jq -e '.[0].bytes == 104857600'
    [ "$(s3 GET large -- -r 104857599-)" = 206 ]
    [ "$(wc -c <body)" = 1 ]
}

@test "objects: If-None-Match: * makes an object, and never replaces one" {
    sim_start
    echo one >one
    echo two >two
    [ "$(s3_put k one 'if-none-match: *')" = 200 ]
    refused 412 PreconditionFailed s3_put k two 'if-none-match: *'
    curl -sS "$ORACLE/objects/k" | cmp - one
    [ "$(s3_put k two)" = 200 ]
    curl -sS "$ORACLE/objects/k" | cmp - two
    objects | jq -e '.[0].puts == 2'
    s3 DELETE k >/dev/null
    [ "$(s3_put k one 'if-none-match: *')" = 200 ]
    refused 501 NotImplemented s3_put k two 'if-none-match: "etag"'
    [ "$(log_count '.conditional and .status == 412')" = 1 ]
}

@test "objects: of 8 conditional PUTs at once exactly one wins" {
    sim_start
    local n round url pids
    for n in 1 2 3 4 5 6 7 8; do
        head -c 200000 /dev/urandom >"file$n"
    done
    for round in 1 2 3; do
        url=$(presign PUT "/seedance/race$round" '' 'if-none-match: *')
        pids=()
        for n in 1 2 3 4 5 6 7 8; do
            curl -s -m 20 -o /dev/null -w '%{http_code}' -H 'if-none-match: *' -T "file$n" "$url" >"status$n" 3>&- &
            pids+=($!)
        done
        wait "${pids[@]}"
        [ "$(grep -l 200 status? | wc -l)" = 1 ]
        [ "$(grep -l 412 status? | wc -l)" = 7 ]
        n=$(grep -l 200 status?)
        curl -sS "$ORACLE/objects/race$round" | cmp - "file${n#status}"
    done
    objects | jq -e 'map(.puts) == [1, 1, 1]'
}

@test "objects: what is not signed as it should be is refused, and does nothing" {
    sim_start
    echo a >file
    refused 403 AccessDenied http_status "http://127.0.0.1:$API_PORT/seedance/k" -T file
    KEY_ID=other refused 403 InvalidAccessKeyId s3_put k file
    SECRET=wrong refused 403 SignatureDoesNotMatch s3_put k file
    refused 403 SignatureDoesNotMatch http_status -T file "$(presign GET /seedance/k)"
    refused 403 SignatureDoesNotMatch http_status -T file "$(presign PUT /seedance/j | sed s,/j,/k,)"
    refused 403 SignatureDoesNotMatch http_status -H 'Host: localhost' -T file "$(presign PUT /seedance/k)"
    AGE=601 refused 403 AccessDenied s3_put k file
    grep -q 'Request has expired' body
    AGE=-1000 refused 403 RequestTimeTooSkewed s3_put k file
    EXPIRES=604801 refused 400 AuthorizationQueryParametersError s3_put k file
    local name
    for name in 'If-None-Match: *' "Content-MD5: $(md5_base64 file)" 'X-Amz-Acl: private'; do
        refused 403 AccessDenied http_status -H "$name" -T file "$(presign PUT /seedance/k)"
        grep -q 'headers present in the request which were not signed' body
    done
    refused 400 InvalidArgument http_status -H "$KEY" -T file "$(presign PUT /seedance/k)"
    BUCKET=other refused 404 NoSuchBucket s3_put k file
    refused 405 MethodNotAllowed s3 POST k -- -d x
    [ "$(objects)" = '[]' ]
    jq -sr 'map(.signature) | .[0:9] + .[9:12] | join(" ")' log | diff - <(echo unsigned unknown_key forged forged \
        forged forged expired skewed malformed header_unsigned header_unsigned header_unsigned)
    [ "$(log_count '.authorized')" = 3 ]
    # Both ends of its life.
    AGE=590 s3_put k file | grep -x 200
    AGE=-800 s3_put k file | grep -x 200
    AGE=604000 EXPIRES=604800 s3_put k file | grep -x 200
}

@test "objects: a damaged upload is refused" {
    sim_start
    echo a >file
    echo b >other
    refused 400 BadDigest s3_put k file "content-md5: $(md5_base64 other)"
    refused 400 InvalidDigest s3_put k file 'content-md5: nonsense'
    refused 400 InvalidDigest s3_put k file 'content-md5: YQ=='
    refused 411 MissingContentLength s3 PUT k -- -T - <file
    refused 400 KeyTooLongError s3_put "$(printf 'k%.0s' {1..1025})" file
    refused 400 InvalidURI http_status --path-as-is -T file "http://127.0.0.1:$API_PORT/seedance/%ff"
    # A client that goes away leaves nothing.
    local url=$(presign PUT /seedance/k)
    exec 9<>"/dev/tcp/127.0.0.1/$API_PORT"
    printf 'PUT %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nContent-Length: 99\r\n\r\nhalf' "${url#*:*:"$API_PORT"}" "$API_PORT" >&9
    exec 9>&-
    wait_until grep -q aborted log
    tail -n 1 log | jq -e '.aborted and .key == "k" and .status == null and .signature == "good" and .bytes == 4'
    [ "$(objects)" = '[]' ]
    [ "$(s3_put k file "content-md5: $(md5_base64 file)")" = 200 ]
}

@test "objects: a list is in order, and goes on where it was cut" {
    sim_start
    echo a >file
    local key token=''
    for key in b/3 b/1 a 'b/2 ü&' c; do
        s3_put "$key" file >/dev/null
    done
    [ "$(s3_list '')" = 200 ]
    grep -q '<KeyCount>5</KeyCount>' body
    [ "$(keys | tr '\n' ' ')" = 'a b/1 b/2 ü&#x26; b/3 c ' ]
    s3_list 'prefix=b/&start-after=b/1' >/dev/null
    [ "$(keys | tr '\n' ' ')" = 'b/2 ü&#x26; b/3 ' ]
    for key in a b/1 'b/2 ü&#x26;' b/3; do
        s3_list "max-keys=1$token" >/dev/null
        [ "$(keys)" = "$key" ]
        grep -q '<IsTruncated>true<' body
        token="&continuation-token=$(sed -n 's/.*<NextContinuationToken>\([^<]*\)<.*/\1/p' body)"
    done
    s3_list "max-keys=1$token" >/dev/null
    [ "$(keys)" = c ]
    grep -q '<IsTruncated>false<' body
    refused 400 InvalidArgument s3_list 'continuation-token=x'
    refused 400 InvalidArgument http_status "$(presign GET /seedance/)"
    [ "$(log_count '.kind == "object_list"')" = 9 ]
}

@test "objects: the oracle removes them behind the client's back" {
    sim_start
    echo a >file
    for key in a/1 a/2 a/3; do
        s3_put "$key" file >/dev/null
    done
    [ "$(http_status -X DELETE "$ORACLE/objects/a/2")" = 200 ]
    [ "$(http_status -X DELETE "$ORACLE/objects/a/2")" = 404 ]
    [ "$(http_status "$ORACLE/objects/a/2")" = 404 ]
    refused 404 NoSuchKey s3 GET a/2
    objects | jq -e 'map(.key) == ["a/1", "a/3"]'
    [ "$(http_status -X DELETE "$ORACLE/objects")" = 200 ]
    [ "$(objects)" = '[]' ]
    [ "$(log_count '.method == "DELETE"')" = 0 ]
    curl -sS "$ORACLE/counters" | jq -e '.object_put == 3 and .object_get == 1 and .object_delete == 0'
}

@test "objects: --bucket, --s3-key and --s3-secret" {
    sim_start --bucket films --s3-key a/key --s3-secret else
    echo a >file
    KEY_ID=a/key SECRET=else BUCKET=films s3_put k file | grep -x 200
    BUCKET=films refused 403 InvalidAccessKeyId s3_put k file
    KEY_ID=a/key SECRET=else refused 404 NoSuchBucket s3_put k file
    local name
    for name in api oracle A x 'a b'; do
        run "$SIM" --bucket "$name"
        [ "$status" -eq 2 ]
    done
}

@test "objects, scenario: lies about what is kept" {
    sim_start_with '{"kind":"object_put","key_contains":"ignore","response":{"ignore_condition":true}}' \
        '{"kind":"object_put","key_contains":"version","response":{"versioned":true}}' \
        '{"kind":"object","key_contains":"lost","response":{"lost":true}}' \
        '{"kind":"object_put","key_contains":"conflict","n":1,"response":{"conflict":true}}'
    echo one >one
    echo two >two
    local key
    for key in ignored versions; do
        [ "$(s3_put "$key" one 'if-none-match: *')" = 200 ]
        [ "$(s3_put "$key" two 'if-none-match: *')" = 200 ]
        [ "$(s3 GET "$key")" = 200 ]
        cmp body two
    done
    [ "$(s3_put lost one 'if-none-match: *')" = 200 ]
    [ "$(header ETag)" = "\"$(md5sum <one | cut -c1-32)\"" ]
    refused 404 NoSuchKey s3 GET lost
    refused 409 ConditionalRequestConflict s3_put conflict one 'if-none-match: *'
    refused 404 NoSuchKey s3 GET conflict
    [ "$(s3_put conflict one 'if-none-match: *')" = 200 ]
    refused 412 PreconditionFailed s3_put conflict two 'if-none-match: *'
    objects | jq -e 'map([.key, .puts]) == [["conflict", 1], ["ignored", 2], ["versions", 2]]'
    [ "$(log_count '.status == 409 and .rule == 3')" = 1 ]
    # A DELETE can lie, too.
    curl -sS -T - "$ORACLE/scenario" <<<'{"rules":[{"kind":"object_delete","response":{"lost":true}}]}'
    [ "$(s3 DELETE conflict)" = 204 ]
    [ "$(s3 GET conflict)" = 200 ]
}

@test "objects, scenario: keep keeps the object although the response is lost" {
    local stage
    sim_start_with '{"kind":"object_put","key_contains":"kept-reset","response":{"reset_at":"request_body","keep":true}}' \
        '{"kind":"object_put","key_contains":"kept-silent","response":{"silence_at":"request_body","keep":true}}' \
        '{"kind":"object_put","key_contains":"kept-header","response":{"silence_at":"headers"}}' \
        '{"kind":"object_put","key_contains":"kept-503","response":{"status":503,"keep":true}}' \
        '{"kind":"object_put","key_contains":"gone-reset","response":{"reset_at":"request_body"}}' \
        '{"kind":"object_put","key_contains":"gone-early","response":{"reset_at":"request"}}' \
        '{"kind":"object_put","key_contains":"gone-header","response":{"silence_at":"headers","keep":false}}' \
        '{"kind":"object_put","key_contains":"gone-503","response":{"status":503}}' \
        '{"kind":"object_delete","key_contains":"kept-503","response":{"status":500}}'
    echo a >file
    put_fails() { curl_fails "$1" -m 0.5 -T file "$(presign PUT "/seedance/$2")"; }
    put_fails 56 kept-reset
    put_fails 28 kept-silent
    put_fails 28 kept-header
    refused 503 SlowDown s3_put kept-503 file
    put_fails 56 gone-reset
    put_fails 56 gone-early
    put_fails 28 gone-header
    refused 503 SlowDown s3_put gone-503 file
    refused 500 InternalError s3 DELETE kept-503
    objects | jq -e 'map(.key) == ["kept-503", "kept-header", "kept-reset", "kept-silent"]'
    jq -se 'map(.status) == [null, null, 200, 503, null, null, 200, 503, 500]' log
}

@test "objects, scenario: responses can be changed as all others" {
    sim_start_with '{"kind":"object_get","n":1,"response":{"flip_byte":12}}' \
        '{"kind":"object_get","n":2,"response":{"cut_after_bytes":10}}' \
        '{"kind":"object_get","n":3,"response":{"etag":"\"other\"","headers":{"Date":"Thu, 01 Jan 1970 00:00:00 GMT"}}}' \
        '{"kind":"object_get","n":4,"response":{"status":307,"headers":{"Location":"http://127.0.0.1:{{api_port}}/elsewhere"}}}' \
        '{"kind":"object_get","n":5,"response":{"body":"another"}}' \
        '{"kind":"object_get","n":6,"response":{"ignore_range":true}}' \
        '{"kind":"object_get","n":7,"response":{"raw":"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"}}' \
        '{"kind":"object_get","n":8,"response":{"headers":{"Date":null}}}' \
        '{"kind":"object_list","response":{"status":503,"body":"busy"}}' \
        '{"kind":"object_put","n":2,"response":{"etag":"\"else\"","delay_ms":300}}' \
        '{"kind":"object_delete","response":{"status":204,"reason":"Gone"}}'
    head -c 1000 /dev/urandom >file
    s3_put k file >/dev/null
    s3 GET k >/dev/null
    [ "$(cmp -l body file | wc -l)" = 1 ]
    curl_fails 18 "$(presign GET /seedance/k)"
    cmp body <(head -c 10 file)
    s3 GET k >/dev/null
    cmp body file
    [ "$(header ETag)" = '"other"' ]
    [ "$(header Date)" = 'Thu, 01 Jan 1970 00:00:00 GMT' ]
    refused 307 TemporaryRedirect s3 GET k
    [ "$(header Location)" = "http://127.0.0.1:$API_PORT/elsewhere" ]
    s3 GET k >/dev/null
    [ "$(<body)" = another ]
    [ "$(s3 GET k -- -r 0-9)" = 200 ]
    s3 GET k >/dev/null
    [ "$(<body)" = hi ]
    # The body of a HEAD is not sent, whoever writes the response.
    local url=$(presign HEAD /seedance/k)
    exec 9<>"/dev/tcp/127.0.0.1/$API_PORT"
    printf 'HEAD %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\n\r\n' "${url#*:*:"$API_PORT"}" "$API_PORT" >&9
    cat <&9 >headers
    exec 9>&-
    [ "$(header Content-Length)" = 1000 ]
    tail -c 4 headers | cmp - <(printf '\r\n\r\n')
    [ "$(s3_list '')" = 503 ]
    [ "$(<body)" = busy ]
    local from=$(milliseconds)
    s3_put k file >/dev/null
    (($(milliseconds) - from >= 300))
    [ "$(header ETag)" = '"else"' ]
    [ "$(s3 DELETE k)" = 204 ]
    grep -q '^HTTP/1.1 204 Gone' headers
    [ "$(objects)" = '[]' ]
}

@test "objects, scenario: any, api and mistakes" {
    sim_start_with '{"kind":"any","key_contains":"x","response":{"status":500}}' \
        '{"kind":"api","n":3,"response":{"status":503}}'
    echo a >file
    refused 500 InternalError s3_put x file
    [ "$(s3_put k file)" = 200 ]
    refused 503 SlowDown s3 GET k
    [ "$(create_status "{$GOOD}")" = 200 ]
    local wrong
    for wrong in '"kind":"create","key_contains":"a"' '"kind":"create","response":{"lost":true}' \
        '"kind":"object_put","response":{"lost":1}' '"kind":"object_put","response":{"keep":1}' \
        '"kind":"object_put","response":{"keep":true,"reset_at":"request"}' \
        '"kind":"object_put","key_contains":1' '"kind":"object_post"' \
        '"kind":"object_put","response":{"loss":true}'; do
        [ "$(http_status -T - "$ORACLE/scenario" <<<"{\"rules\":[{$wrong}]}")" = 400 ]
    done
}

@test "upload server: it stores what comes whole, fails as told, and counts" {
    upload_start --fail-puts 2
    head -c 100000 /dev/urandom >file
    local n statuses
    for n in 1 2 3; do statuses+=" $(http_status -T file "$UPLOAD/a/b.png?X-Amz-Signature=s")"; done
    [ "$statuses" = ' 500 500 200' ]
    [ "$(http_status "$UPLOAD/a/b.png?any=query")" = 200 ]
    cmp body file
    cmp stored/a/b.png file
    [ "$(http_status -T - "$UPLOAD/chunked" <file)" = 200 ]
    cmp stored/chunked file
    [ "$(http_status -X POST "$UPLOAD/-/settings?fail_puts=1")" = 200 ]
    [ "$(http_status -T file "$UPLOAD/c")" = 500 ]
    [ "$(http_status "$UPLOAD/c")" = 404 ]
    [ "$(http_status --path-as-is -T file "$UPLOAD/../out")" = 403 ]
    # A client that goes away leaves nothing.
    exec 9<>"/dev/tcp/127.0.0.1/$(<upload-port)"
    printf 'PUT /half HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nhalf' >&9
    exec 9>&-
    wait_until grep -q '"status": 0' uploads
    [ ! -e stored/half ]
    jq -se 'map(select(.method == "PUT") | .status) == [500,500,200,200,500,403,0] and
        (.[0] | .path == "/a/b.png" and .signed and .bytes == 100000)' uploads
}

@test "upload server: rclone copies to it" {
    command -v rclone >/dev/null || skip "rclone is not installed"
    upload_start
    head -c 10000 /dev/urandom >file
    local remote=:s3,provider=Other,endpoint="'$UPLOAD'",access_key_id=a,secret_access_key=b
    env -u AWS_CA_BUNDLE rclone --config /dev/null --retries 1 copyto file "$remote:bucket/name.png"
    cmp stored/bucket/name.png file
}

@test "many: 200 clients at once create 200 tasks with 200 ids" {
    sim_start
    printf "url=$API\n%.0s" {1..200} >list
    curl -sS -Z --parallel-max 200 -K list -H "$KEY" -d "{$GOOD}" >/dev/null 2>&1
    curl -sS "$ORACLE/tasks" | jq -e '.creates == 200 and (.tasks | map(.id) | unique | length) == 200'
    [ "$(log_count '.created != null')" = 200 ]
}
