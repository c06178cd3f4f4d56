#!/usr/bin/env bats
# A service that cannot be reached. A create waits and is tried again, with not one byte of it sent; a poll is asked
# again, and status.json says `stale`. Each job is there twice: `new` is to be sent; `old` follows a task that was
# adopted, so that it can be asked about a service that was never there. A handshake that is never answered is in
# faults_deadlines.bats.
load faults
load unreachable

teardown() {
    [ -z "${TLS_PID:-}" ] || { kill "$TLS_PID" && wait "$TLS_PID"; } 2>/dev/null || true
    end_world
}

@test "unreachable: connection refused: sent, and asked again, when the service is there" {
    mount_fs
    scenario '{"kind":"poll","response":{"task_status":"running"}}'
    echo '{"prompt": "[old]"}' >"$J/old/prompt.json"
    wait_status old running
    end_sim
    echo '{"prompt": "[new]"}' >"$J/new/prompt.json"
    unreachable "$nowhere" "$not_there"
    has 'check the network and --api-url if this lasts' "$J/new/error"
    start_sim
    wait_status new succeeded 60
    wait_status old succeeded 60
    for job in new old; do
        [ "$(creates "[$job]")" -eq 1 ]
        [ "$(status_json $job .reason)" = null ]
        [ ! -e "$J/$job/error" ]
    done
}

@test "unreachable: the name cannot be resolved" {
    API=https://no-such-host.invalid/api/v1
    mount_fs
    both_jobs
    unreachable 'the name of the host could not be resolved' 'the name of the host could not be resolved'
    restart_fs
    unreachable 'the name of the host could not be resolved' 'the name of the host could not be resolved'
}

# A network of its own, in which even loopback is down: every connect fails at once.
@test "unreachable: no route" {
    unshare -n true 2>/dev/null || skip "a network namespace needs root"
    API=https://198.41.0.4/api/v1
    RUN_FS='unshare -n'
    mount_fs
    both_jobs
    unreachable "$nowhere" "$not_there"
}

@test "unreachable: a certificate that nobody vouches for" {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$DIR/key.pem" \
        -out "$DIR/certificate.pem" -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 2>/dev/null
    cat "$DIR/key.pem" "$DIR/certificate.pem" >"$DIR/server.pem"
    unsent_over_tls tls "$certificate" "$certificate"
    has "check --api-url, this machine's clock and its package ca-certificates if" "$DIR/last-error"
}

# One authority is trusted, in a mount namespace of its own; then the host and the dates alone decide.
@test "unreachable: an expired certificate, one of another host; and a good one, for comparison" {
    unshare -m true 2>/dev/null || skip "a mount namespace needs root"
    [ -e /etc/ssl/certs/ca-certificates.crt ] || skip "no certificates where Debian has them"
    unshare -m "$ROOT/tests/e2e/own_mounts.sh" "$DIR" bash "$ROOT/tests/e2e/faults_tls.bash" "$DIR"
}

@test "unreachable: the handshake is cut, reset, or answered with something else" {
    for mode in close reset close-hello reset-hello plain; do
        unsent_over_tls $mode "$nowhere" "$not_there"
    done
}
