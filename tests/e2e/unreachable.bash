# Helpers for a service that cannot be reached: faults_unreachable.bats and faults_tls.bash.

worlds=0
nowhere='no connection could be made'
not_there='the service could not be reached'
certificate="the service's certificate could not be verified"

# both_jobs   one to send, one to ask about
both_jobs() {
    mkdir "$J/new" "$J/old"
    echo '{"prompt": "[new]"}' >"$J/new/prompt.json"
    echo 'adopt cgt-1' >"$J/old/ctl"
}

# unreachable CREATE_WORDS POLL_WORDS   both say so, and nothing has been charged or lost.
unreachable() {
    wait_until 30 reason_has new "$API cannot be reached: $1. Nothing was sent; seedancefs tries again."
    wait_until 30 reason_has old "stale: $API does not say how the task is doing: $2."
    status_is new waiting
    grep -qxE 'queued|running' "$J/old/status"
    has 'Nothing was sent and nothing was charged. seedancefs tries again by itself; check ' "$J/new/error"
    has 'if this lasts.' "$J/new/error"
    has 'estimated; not yet sent' "$J/new/cost"
    [ "$(status_json new .submitted_at)" = null ]
    [ "$(status_json new .attempt)" = 1 ]
    [ "$(status_json old .task_id)" != null ]
    [ ! -e "$J/old/error" ]
    fails grep -q submitting "$J/new/log"
}

# tls_server MODE   sets API
tls_server() {
    rm -f "$DIR/tls-port"
    : >"$DIR/tls-log"
    "$PYTHON" "$ROOT/tests/e2e/tls_server.py" "$1" "$DIR/server.pem" "$DIR/tls-port" "$DIR/tls-log" 3>&- &
    TLS_PID=$!
    wait_until 10 test -s "$DIR/tls-port"
    API=https://127.0.0.1:$(cat "$DIR/tls-port")/api/v1
}

tls_connections_are_at_least() { [ "$(grep -c connected "$DIR/tls-log")" -ge "$1" ]; }

# unsent_over_tls MODE CREATE_WORDS POLL_WORDS   not one byte of a request comes through, however often it is tried.
unsent_over_tls() {
    tls_server "$1"
    DATA=$DIR/data-of-$((++worlds))
    mount_fs
    both_jobs
    unreachable "$2" "$3"
    wait_until 30 tls_connections_are_at_least 4
    fails grep request "$DIR/tls-log"
    cp "$J/new/error" "$DIR/last-error"
    end_tls
}

end_tls() {
    unmount_fs
    FS_PID=
    kill "$TLS_PID"
    wait "$TLS_PID" 2>/dev/null || true
    TLS_PID=
}
