# Several hosts that share a tree, on this machine: each has a mount, a data directory and a role of the database of its
# own. setup_file calls start_database, setup calls new_tree after start_world, teardown calls end_hosts before end_world.
# Host a is the world's own mount ($MNT, $DATA, $FS_PID).
export AWS_ACCESS_KEY_ID=SIMKEY AWS_SECRET_ACCESS_KEY=sim-secret
SERVER=${BATS_FILE_TMPDIR:-/tmp}/postgres

start_database() {
    export MISSING=
    [ -n "$(find /usr/lib/postgresql -path '*/bin/postgres' 2>/dev/null)" ] || MISSING='PostgreSQL (postgresql)'
    command -v psql >/dev/null || MISSING='psql (postgresql-client)'
    pkg-config --exists libpq || MISSING='libpq (libpq-dev)'
    [ -z "$MISSING" ] || return 0
    unset "${!PG@}"
    "$ROOT/tests/share/start-postgres.sh" "$SERVER" 0 >"$BATS_FILE_TMPDIR/out" 2>&1 3>&- ||
        { cat "$BATS_FILE_TMPDIR/out" >&2; return 1; }
    local role
    for role in a b c; do as_admin postgres "create role ws_$role login password 'pw-$role-canary'"; done
}
end_database() { [ -n "$MISSING" ] || "$ROOT/tests/share/stop-postgres.sh" "$SERVER"; }
database_port() { cat "$SERVER/port"; }
# Stops it, as a database does that is restarted, or starts it again on its port.
database_down() { "$ROOT/tests/share/stop-postgres.sh" "$SERVER"; }
database_up() {
    local as=()
    [ "$(id -u)" != 0 ] || as=(setpriv --reuid postgres --regid postgres --clear-groups)
    "${as[@]}" "$(find /usr/lib/postgresql -name pg_ctl | sort -V | tail -n 1)" -D "$SERVER/data" -l "$SERVER/log" -w \
        -o "-p $(database_port)" start >/dev/null 2>&1 3>&-
}

# as_admin DATABASE STATEMENT...
as_admin() {
    local database=$1 arguments=() statement
    shift
    for statement in "$@"; do arguments+=(-c "$statement"); done
    PGPASSWORD=admin-password psql -XAtq -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$(database_port)" -U admin "${arguments[@]}" "$database"
}

# A database of its own, as the README says.
new_tree() {
    [ -z "$MISSING" ] || skip "there is no $MISSING"
    TREE=tree_$BATS_TEST_NUMBER${1:-}
    as_admin postgres "create database $TREE"
    PGPASSWORD=admin-password "$SEEDANCEFS" --share "$(url admin)" --share-init >"$DIR/init"
    as_admin "$TREE" "set client_min_messages = warning" "grant seedance_host to ws_a, ws_b, ws_c"
    HOSTS=${HOSTS:-}
}
url() { echo "postgresql://$1@127.0.0.1:$(database_port)/$TREE"; }

# host_up HOST [OPTION]...   mounts it at $DIR/HOST; a is $MNT. Sets $JHOST, its jobs.
host_up() {
    local host=$1 password="pw-$1-canary"
    shift
    # shellcheck disable=SC2034 # of the tests
    [ "$host" = a ] || { local MNT=$DIR/$host DATA=$DIR/data-$host FS_PID; mkdir -p "$MNT"; }
    PGPASSWORD=$password mount_fs --objects "s3://seedance/films?endpoint=http://127.0.0.1:$API_PORT&region=eu-1" \
        --share "$(url "ws_$host")" "$@"
    printf -v "PID_$host" '%s' "$FS_PID"
    [[ " $HOSTS " = *" $host "* ]] || HOSTS+=" $host"
}
host_pid() { local name=PID_$1; echo "${!name}"; }
host_mount() { if [ "$1" = a ]; then echo "$MNT"; else echo "$DIR/$1"; fi; }
host_data() { if [ "$1" = a ]; then echo "$DATA"; else echo "$DIR/data-$1"; fi; }
host_down() { fusermount3 -u "$(host_mount "$1")" && wait_until 30 process_is_gone "$(host_pid "$1")"; }
host_kill() {
    kill -9 "$(host_pid "$1")"
    wait_until 10 process_is_gone "$(host_pid "$1")"
    fusermount3 -uz "$(host_mount "$1")" 2>/dev/null || true
}
# host_refused TEXT HOST [OPTION]...   it does not start, and says this. $DATA_OF: with another data directory.
host_refused() {
    local text=$1 host=$2 code=0
    mkdir -p "$DIR/refused-mount"
    PGPASSWORD="pw-$host-canary" timeout 60 "$SEEDANCEFS" --api-url "$API" --api-key-file "$DIR/key" \
        --data-dir "${DATA_OF:-$(host_data "$host")}" --share "$(url "ws_$host")" \
        --objects "s3://seedance/films?endpoint=http://127.0.0.1:$API_PORT&region=eu-1" "${@:3}" "$DIR/refused-mount" \
        >"$DIR/refused" 2>&1 3>&- || code=$?
    [ "$code" -eq 2 ] || { echo "exit code $code" >&2; cat "$DIR/refused" >&2; return 1; }
    has "$text" "$DIR/refused"
}
end_hosts() {
    local host code=0
    for host in ${HOSTS:-}; do
        ! grep -rlaF "pw-$host-canary" "$(host_data "$host")" >&2 || { echo "the password is in the files above" >&2; code=1; }
        [ "$host" != a ] || continue
        fusermount3 -uz "$(host_mount "$host")" 2>/dev/null || true
        kill "$(host_pid "$host")" 2>/dev/null || true
        fusermount3 -uz "$DIR/refused-mount" 2>/dev/null || true
        wait_until 10 process_is_gone "$(host_pid "$host")" || { kill -9 "$(host_pid "$host")"; code=1; }
    done
    return $code
}

# Everything that people see in a mount, and what is in it: times in whole milliseconds, sizes, names, bytes. Left out is
# what is about the host: metrics, how much of a video is on its disk, and how far a task seems to be.
tree_of() {
    (cd "$(host_mount "$1")" &&
        find jobs videos assets/ -printf '%p %y %m %s %i %T@ %l\n' |
        grep -v -e /progress -e '/status.json ' -e '/ctl ' -e '/error ' -e '^jobs d' -e '^videos d' -e '^assets/ d' | sort &&
        find by-status -printf '%p %y %m %i %l\n' | sort &&
        find jobs assets videos -type f ! -name progress ! -name status.json ! -name ctl -exec md5sum {} + | sort -k 2 &&
        find jobs -name status.json -exec jq -cS 'del(.output.archived, .progress, .eta_seconds, .next_poll_at)' {} + | sort &&
        head -c "$(stat -c %s events)" events && jq -cS . spend.json)
}
# are_same HOST HOST   the second is a follower, and has seen everything.
are_same() { [ "$(tree_of "$1" 2>&1)" = "$(tree_of "$2" 2>&1)" ]; }
same_soon() {
    wait_until "${SECONDS_MAX:-20}" are_same "$1" "$2" || { diff <(tree_of "$1" 2>&1) <(tree_of "$2" 2>&1) | head -n 30 >&2; return 1; }
}
