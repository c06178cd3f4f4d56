#!/bin/bash
# start-postgres.sh DIR PORT: a throwaway PostgreSQL on 127.0.0.1:PORT, with the database `seedance`. With PORT 0 it
# chooses a free one. DIR/port has the port. Without fsync: a power cut loses it. As root it runs as the user postgres, so
# every directory above DIR gets the right to be passed through (o+x); otherwise it runs as the caller. It starts nothing
# that is system wide, and needs no systemd. stop-postgres.sh DIR ends it, by its pid.
#
# Roles: admin (password admin-password) owns the database and may make roles, as at a studio; postgres (password
# postgres-password) is the superuser.
#
# Packages: postgresql-15 (or a later one; PG_BIN=directory chooses). Where installing a package may start services,
# Debian's makes a cluster `main` and starts it on port 5432. Before the installation this forbids it:
#     mkdir -p /etc/postgresql-common && echo 'create_main_cluster = false' >>/etc/postgresql-common/createcluster.conf
set -eu
directory=$(realpath -m "${1:?directory}")
port=${2:?port}
bin=${PG_BIN:-$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)}
[ -x "${bin:-/nowhere}/postgres" ] || { echo "there is no PostgreSQL in /usr/lib/postgresql" >&2; exit 1; }
mkdir -p "$directory"
rm -f "$directory/port"
as=()
if [ "$(id -u)" = 0 ]; then
    as=(setpriv --reuid postgres --regid postgres --clear-groups)
    chown postgres "$directory"
    chmod 0711 "$directory"
    above=$(dirname "$directory")
    while [ "$above" != / ]; do
        [ $((0$(stat -c %a "$above") & 1)) -ne 0 ] || chmod o+x "$above"
        above=$(dirname "$above")
    done
fi
as+=(env -i "PATH=$bin:/usr/bin:/bin" "HOME=$directory" LC_ALL=C.UTF-8 TZ=UTC)
cd "$directory"
(umask 077 && echo postgres-password >"$directory/password")
[ "$(id -u)" != 0 ] || chown postgres "$directory/password"
"${as[@]}" initdb --pgdata="$directory/data" --username=postgres --pwfile="$directory/password" --auth=scram-sha-256 \
    --encoding=UTF8 --no-sync --no-instructions >"$directory/initdb.log"
cat >>"$directory/data/postgresql.conf" <<END
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 40
shared_buffers = 16MB
max_wal_size = 128MB
fsync = off
full_page_writes = off
jit = off
log_line_prefix = '%m [%p] %u '
END

# Somebody else may take a free port before PostgreSQL does.
start() { "${as[@]}" pg_ctl -D "$directory/data" -l "$directory/log" -w -t 60 -o "-p $1" start >/dev/null 2>&1; }
if [ "$port" != 0 ]; then
    start "$port" || { tail -n 20 "$directory/log" >&2; exit 1; }
else
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        start "$port" && break
        [ "$attempt" -lt 10 ] || { tail -n 20 "$directory/log" >&2; exit 1; }
    done
fi
"${as[@]}" PGPASSWORD=postgres-password psql -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U postgres \
    -c "create role admin login createrole createdb password 'admin-password'" \
    -c "create database seedance owner admin" postgres
echo "$port" >"$directory/port"
