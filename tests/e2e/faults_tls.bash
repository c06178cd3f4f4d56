# An authority that is trusted and what it can vouch for, in a mount namespace of its own:  faults_tls.bash DIRECTORY
set -eEu -o pipefail
trap 'echo "failed: line $LINENO: $BASH_COMMAND" >&2' ERR
BATS_TEST_TMPDIR=$1
# shellcheck source=tests/e2e/helper.bash
source "$(dirname "${BASH_SOURCE[0]}")/helper.bash"
# shellcheck source=tests/e2e/unreachable.bash
source "$(dirname "${BASH_SOURCE[0]}")/unreachable.bash"

end() {
    local code=$?
    trap - ERR
    [ -z "${TLS_PID:-}" ] || kill "$TLS_PID" 2>/dev/null || true
    end_world || code=1
    exit "$code"
}

# vouch NAME DAYS   server.pem, of a host, until so many days from now
vouch() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out request.pem \
        -subj /CN=service 2>/dev/null
    openssl x509 -req -in request.pem -CA authority.pem -CAkey authority-key.pem -CAcreateserial \
        -days "$2" -extfile <(echo "subjectAltName=$1") -out certificate.pem 2>/dev/null
    cat key.pem certificate.pem >server.pem
}

start_world
trap end EXIT
J=$MNT/jobs
cd "$DIR"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout authority-key.pem \
    -out authority.pem -subj /CN=authority -days 2 2>/dev/null
mount --bind authority.pem /etc/ssl/certs/ca-certificates.crt

# With the right one the request goes through: the server says 404 to everything.
vouch IP:127.0.0.1 1
tls_server tls
DATA=$DIR/data-of-good
mount_fs
both_jobs
wait_status new rejected
wait_status old lost
grep -q request tls-log
end_tls

vouch IP:127.0.0.1 -1
unsent_over_tls tls "$certificate" "$certificate"
vouch IP:127.0.0.2 1
unsent_over_tls tls "$certificate" "$certificate"
vouch DNS:other.example 1
unsent_over_tls tls "$certificate" "$certificate"
