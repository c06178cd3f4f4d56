# Helpers of sim.bats: a simulator of its own for each test, ended by its pid.

SIM=${SEEDANCE_SIM:-build/seedance-sim}
[[ $SIM = /* ]] || SIM=$PWD/$SIM
KEY='Authorization: Bearer th-simulator'

sim_setup() {
    cd "$BATS_TEST_TMPDIR"
    SIM_PIDS=()
}

sim_teardown() {
    local pid
    for pid in "${SIM_PIDS[@]}"; do
        kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    done
    return 0
}

# sim_start [OPTION]...: sets PID, API (base URL of the collection), ORACLE, MEDIA (host and port).
sim_start() {
    rm -f ports
    "$SIM" --port-file ports --log log --die-with-parent "$@" >out 2>err 3>&- &
    PID=$!
    SIM_PIDS+=("$PID")
    wait_until test -s ports
    read -r API_PORT MEDIA_PORT <ports
    API=http://127.0.0.1:$API_PORT/api/v1/videos/generations
    ORACLE=http://127.0.0.1:$API_PORT/oracle
    MEDIA=http://127.0.0.1:$MEDIA_PORT
}

# upload_start [OPTION]...: sets UPLOAD (base URL); files lie in stored/, requests in uploads. See upload_server.py.
upload_start() {
    rm -f upload-port
    /usr/bin/python3 "$BATS_TEST_DIRNAME/upload_server.py" --port-file upload-port --directory stored --log uploads \
        --die-with-parent "$@" >upload-out 2>&1 3>&- &
    SIM_PIDS+=($!)
    wait_until test -s upload-port
    UPLOAD=http://127.0.0.1:$(<upload-port)
}

sim_start_fast() {
    sim_start --queue-seconds 0 --generation-seconds 0 "$@"
}

# sim_start_with RULE... [-- OPTION...]: rules as JSON objects.
sim_start_with() {
    local rules=()
    while (($# > 0)) && [[ $1 != -- ]]; do
        rules+=("$1")
        shift
    done
    shift $(($# > 0 ? 1 : 0))
    (IFS=,; echo "{\"rules\":[${rules[*]}]}") >scenario.json
    sim_start_fast --scenario scenario.json "$@"
}

wait_until() {
    local i silence
    for ((i = 0; i < 300; i++)); do
        "$@" && return 0
        # A pause without a process: nothing ever comes from the discard port.
        exec {silence}<>/dev/udp/127.0.0.1/9
        read -r -t 0.03 -u "$silence" _ || true
        exec {silence}>&-
    done
    echo "never true: $*" >&2
    return 1
}

# create [PROMPT]: curl's response, whatever it is.
create() {
    curl -sS -m 20 -H "$KEY" "$API" \
        -d "{\"model\":\"doubao-seedance-2.0\",\"prompt\":\"${1:-a cat}\"}"
}

create_status() {
    curl -s -m 20 -o body -w '%{http_code}' -H "$KEY" "$API" -d "$1"
}

# create_all FILE   a create for each line, by one process. The status codes come out, the responses go to answer-1 and on.
create_all() {
    local n=0 json
    while read -r json; do
        json=${json//\\/\\\\}
        ((n == 0)) || echo next
        printf 'url = "%s"\nheader = "%s"\ndata = "%s"\noutput = "answer-%d"\nwrite-out = "%%{http_code}\\n"\n' \
            "$API" "$KEY" "${json//\"/\\\"}" $((n += 1))
    done <"$1" >requests
    curl -s -m 20 -K requests
}

task_new() {
    create "$@" | jq -er .id
}

poll() {
    curl -sS -m 20 -H "$KEY" "$API/$1"
}

status_is() {
    [[ $(poll "$1" | jq -r .status) = "$2" ]]
}

video_url() {
    poll "$1" | jq -er '.data[0].video_url'
}

# http_status CURL_ARGUMENT...
http_status() {
    curl -s -m 20 -o body -w '%{http_code}' "$@"
}

header() { # of the file `headers`
    sed -n "s/^$1: \(.*\)\r$/\1/Ip" headers
}

log_count() { # log_count JQ_CONDITION
    jq -s "map(select($1)) | length" log
}

created_tasks() {
    curl -sS "$ORACLE/tasks" | jq .creates
}

# curl_fails CODE CURL_ARGUMENT...: ends with that exit code of curl.
curl_fails() {
    local want=$1 got=0
    shift
    curl -s -m 5 -o body "$@" || got=$?
    [[ $got = "$want" ]] || { echo "curl: $got, not $want" >&2; return 1; }
}

post_fails() {
    curl_fails "$1" -H "$KEY" "$API" -d '{"model":"doubao-seedance-2.0","prompt":"a cat"}'
}

# fails COMMAND...: a plain "! command" is not noticed by bats.
fails() {
    ! "$@"
}

milliseconds() {
    date +%s%3N
}

# s3_list QUERY: the status of a list, which `keys` then reads.
s3_list() {
    curl -s -m 20 -o body -w '%{http_code}' "$(presign GET "/seedance" "list-type=2&$1")"
}

keys() {
    grep -o '<Key>[^<]*' body | cut -c6-
}

# error_code: of the last refusal, which has the form of S3's.
error_code() {
    grep -q '^<?xml version="1.0"' body
    sed -n 's|^<Error><Code>\([^<]*\)</Code><Message>[^<]\+</Message>.*</Error>$|\1|p' body
}

# refused STATUS CODE COMMAND...: the command's status and the code in `body`.
refused() {
    local status
    status=$("${@:3}")
    [[ $status = "$1" && $(error_code) = "$2" ]] || { echo "$status $(<body)" >&2; return 1; }
}

md5_base64() { # md5_base64 FILE
    /usr/bin/python3 -c 'import base64, hashlib, sys
print(base64.b64encode(hashlib.md5(open(sys.argv[1], "rb").read()).digest()).decode())' "$1"
}

# objects: the oracle's list.
objects() {
    curl -sS "$ORACLE/objects"
}
