#!/usr/bin/env bats
# The schema of a shared tree, on a PostgreSQL of its own. Needs no mount and no build.
#   SEED=42 OPERATIONS=100000 bats tests/e2e/share_schema.bats
load helper

setup_file() {
    local role
    SHARE=$ROOT/tests/share SCHEMA=$ROOT/src/share/schema.sql SERVER=$BATS_FILE_TMPDIR/postgres
    export SHARE SCHEMA SERVER
    missing_part
    [ -z "$MISSING" ] || return 0
    # shellcheck disable=SC2046 # a list of words
    "${CC:-cc}" -std=c11 -O2 -D_GNU_SOURCE -Wall -Wextra -o "$BATS_FILE_TMPDIR/schema_model" "$SHARE/schema_model.c" \
        $(pkg-config --cflags --libs libpq)
    "$SHARE/start-postgres.sh" "$SERVER" 0 >"$BATS_FILE_TMPDIR/out" 2>&1 3>&- ||
        { cat "$BATS_FILE_TMPDIR/out" >&2; return 1; }
    unset "${!PG@}"
    PGPORT=$(<"$SERVER/port")
    export PGHOST=127.0.0.1 PGPORT PGDATABASE=seedance
    make_schema
    for role in ws0 ws1 ws2 ws3; do as admin "create role $role login password 'host' in role seedance_host"; done
    as admin "create role desk login password 'host' in role seedance_reader"
    as admin "create role stranger login password 'host'"
    as admin "create role weak login password 'host'"
}
teardown_file() { [ -n "${MISSING:-}" ] || "$SHARE/stop-postgres.sh" "$SERVER"; }

setup() {
    [ -z "$MISSING" ] || skip "there is no $MISSING"
    as admin "truncate seedance.host, seedance.change, seedance.mirror" \
        "update seedance.lease set epoch = 0, renewals = 0, host = null, incarnation = null"
}

# Leaves in $MISSING what keeps these tests from running here.
missing_part() {
    export MISSING=
    [ -n "$(find /usr/lib/postgresql -path '*/bin/postgres' 2>/dev/null)" ] || MISSING='PostgreSQL (postgresql-15)'
    command -v psql >/dev/null || MISSING='psql (postgresql-client-15)'
    pkg-config --exists libpq || MISSING='libpq (libpq-dev)'
}

# as ROLE STATEMENT...   in one connection, a statement after the other. Prints rows, or "ERROR:  SQLSTATE".
as() {
    local role=$1 password=host arguments=() statement
    shift
    case $role in admin | postgres) password=$role-password ;; esac
    for statement in "$@"; do arguments+=(-c "$statement"); done
    PGPASSWORD=$password psql -XAtq -v ON_ERROR_STOP="${STOP:-1}" -v VERBOSITY="${VERBOSITY:-sqlstate}" -U "$role" "${arguments[@]}" 2>&1
}

# is TEXT ROLE STATEMENT...   prints what came instead.
is() {
    local expected=$1 got
    shift
    got=$(as "$@") || true
    [ "$got" = "$expected" ] || { printf 'expected: %s\ngot:      %s\nas:       %s\n' "$expected" "$got" "$*" >&2; return 1; }
}
refused() { is "ERROR:  $1" "${@:2}"; }
forbidden() { refused 42501 "$@"; }
# each_forbidden ROLE STATEMENT...   each of them, whatever became of the one before.
each_forbidden() {
    local expected
    expected=$(printf 'ERROR:  42501\n%.0s' "${@:2}")
    STOP=0 is "$expected" "$@"
}

# make_schema [FILE]
make_schema() { PGPASSWORD=admin-password psql -Xq -v ON_ERROR_STOP=1 -U admin -f "${1:-$SCHEMA}"; }

# model SEED   the most operations are the default; exits 0 if the schema does what it must.
model() { PGUSER=admin PGPASSWORD=admin-password timeout 100 "$BATS_FILE_TMPDIR/schema_model" "$1" "${OPERATIONS:-4000}" 3>&-; }

# leads ROLE   takes the lead in epoch 1, as a host that is new.
leads() {
    is "t" "$1" "select is_known from seedance.hello('one', null, 'test', 1, 0, null)"
    is 1 "$1" "select seedance.take_lead('one', 0, 0)"
}
tag() { printf '%032x' "$1"; }
# push_text SEQ ENTRIES [EPOCH]   the statement, for incarnation `one`.
push_text() { echo "select seedance.push('one', ${3:-1}, $1, '$2')"; }

@test "schema: made twice, by psql and as one simple query, it does no harm" {
    local id
    leads ws0
    is 1 ws0 "$(push_text 0 "[{\"tag\": \"$(tag 1)\", \"rows\": [[\"job\", 1, {\"name\": \"cat\"}]]}]")"
    id=$(as admin "select id from seedance.cluster")
    [[ $id =~ ^[0-9a-f]{32}$ ]]
    run make_schema
    [ "$status" -eq 0 ] && [ -z "$output" ]
    as admin "$(<"$SCHEMA")" # psql sends the argument of -c as it is
    is "$id|1|1|1" admin "select id, version, min_reader, min_writer from seedance.cluster"
    is '1|ws0|one|1' admin "select epoch, host, incarnation, renewals from seedance.lease"
    is 'job|1|{"name": "cat"}' admin "select * from seedance.mirror"
    is 1 admin "select count(*) from seedance.change"
    # Another database is another tree.
    as admin 'create database other' >/dev/null
    PGDATABASE=other make_schema
    [ "$(PGDATABASE=other as admin 'select id from seedance.cluster')" != "$id" ]
    as admin 'drop database other'
}

@test "schema: a newer version is left alone, with a sentence" {
    as admin 'update seedance.cluster set version = 2' 'drop view seedance.v_event'
    VERBOSITY=default run as admin "$(<"$SCHEMA")"
    [ "$status" -ne 0 ]
    [[ $output == *'The database has version 2 of the seedance schema, and this program has version 1.'* ]]
    run make_schema
    [ "$status" -eq 3 ]
    is f admin "select to_regclass('seedance.v_event') is not null"
    as admin 'update seedance.cluster set version = 1'
    make_schema
    is t admin "select to_regclass('seedance.v_event') is not null"
}

@test "schema: who may not make roles is told which one is missing" {
    as postgres 'create database weak owner weak'
    # The roles are there: no right is needed.
    PGDATABASE=weak as weak "$(<"$SCHEMA")"
    PGDATABASE=weak as weak 'drop schema seedance cascade'
    as admin 'alter role seedance_reader rename to away'
    VERBOSITY=default PGDATABASE=weak run as weak "$(<"$SCHEMA")"
    as admin 'alter role away rename to seedance_reader'
    [ "$status" -ne 0 ]
    [[ $output == *'The role seedance_reader is missing, and weak may not make roles.'* ]]
    PGDATABASE=weak is f weak "select to_regclass('seedance.cluster') is not null"
    # Who owns the schema could exchange its functions.
    PGDATABASE=weak as postgres 'create schema seedance'
    PGDATABASE=weak refused SD003 weak "$(<"$SCHEMA")"
    as postgres 'drop database weak'
}

@test "schema: random calls of four hosts do what the model does" {
    local seed
    for _ in 1 2 3; do
        seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
        run model "$seed"
        echo "# $output" >&3
        [ "$status" -eq 0 ]
        [ -z "${SEED:-}" ] || break
    done
}

tables=$'cluster id\nhost name\nlease epoch\nchange seq\nmirror id'
views='v_job v_attempt v_ledger v_event v_prompt'

# set_writes   leaves in $WRITES the statements that would change them.
set_writes() {
    local table column
    WRITES=()
    while read -r table column; do
        WRITES+=("insert into seedance.$table default values" "update seedance.$table set $column = $column"
            "delete from seedance.$table" "truncate seedance.$table")
    done <<<"$tables"
}

# What a plain reader tries in vain, in the database PGDATABASE.
reader_is_held() {
    local table reads=()
    set_writes
    while read -r table _; do
        reads+=("select * from seedance.$table" "select 1 from seedance.$table" "copy seedance.$table to stdout"
            "select from seedance.$table for update")
    done <<<"$tables"
    each_forbidden desk "${reads[@]}" "${WRITES[@]}" "delete from seedance.v_ledger" \
        "insert into seedance.v_ledger (id) values (1)" "update seedance.v_event set id = 1" \
        "select * from seedance.hello('x', null, 'test', 1, 0, null)" "select seedance.take_lead('one', 1, 1)" \
        "select seedance.push('one', 1, 0, '[]')" || return 1
    for table in $views; do
        is f desk "select 1 from seedance.$table where false" \
            "select has_table_privilege('seedance.$table', 'insert, update, delete, truncate, trigger')" || return 1
    done
}

@test "reader: it can neither write nor permit anything, nor read a table" {
    leads ws0
    reader_is_held
    forbidden desk "set role seedance_host"
    forbidden desk "set session authorization ws0"
    forbidden desk "grant seedance_host to desk"
    # No place of its own among the schema's names, and no other function by the same name.
    forbidden desk "create table seedance.lease2 (epoch bigint)"
    forbidden desk "create function seedance.push(text, integer, integer, jsonb) returns bigint language sql as 'select 1'"
    forbidden desk "create or replace view seedance.v_job as select 1"
    forbidden desk "create schema seedance2"
    forbidden desk "create table public.lease (epoch bigint)"
}

@test "reader: nothing that it has made in pg_temp is believed" {
    leads ws0
    is 1 ws0 "$(push_text 0 "[{\"tag\": \"$(tag 1)\", \"rows\": [[\"job\", 1, {\"name\": \"cat\"}]]}]")"
    local temporary="create temp table mirror (kind text, id bigint, data jsonb);
        insert into mirror values ('job', 666, '{}');
        create temp table lease as select 1::bigint as epoch, session_user::text as host, 'x' as incarnation, 0::bigint as renewals;
        create temp table host as select session_user::text as name, 'x' as incarnation;
        create temp table change (seq bigint, epoch bigint, tag text, host text, made timestamptz, entry jsonb)"
    is '1|cat' desk "$temporary" "set search_path = pg_temp, public, seedance" "select id, name from seedance.v_job"
    forbidden desk "$temporary" "select seedance.push('x', 1, 0, '[]')"
    # Types, functions and operators, too.
    forbidden desk "create domain pg_temp.bigint as text" \
        "create function pg_temp.push(text, bigint, bigint, jsonb) returns bigint language sql as 'select 1::bigint'" \
        "set search_path = pg_temp, seedance" "select push('x', 1, 0, '[]')"
    # Nor by a host, which may call the functions.
    refused SD022 ws1 "$temporary" "set search_path = pg_temp, public, seedance" "select seedance.push('x', 1, 0, '[]')"
    refused SD020 ws1 "$temporary" "set search_path = pg_temp, public, seedance" "select seedance.take_lead('x', 1, 1)"
    is t ws1 "select is_known from seedance.hello('known', null, 'test', 1, 0, null)"
    is f ws1 "$temporary" "set search_path = pg_temp" \
        "select is_known from seedance.hello('y', 'x', 'test', 1, 0, null)"
    is 'ws1|known' admin "select name, incarnation from seedance.host where name <> 'ws0'"
    # What keeps it so.
    is '3' admin "select count(*) from pg_proc where pronamespace = 'seedance'::regnamespace and prosecdef and
        'search_path=seedance, pg_temp' = any (proconfig)"
    is '3' admin "select count(*) from pg_proc where pronamespace = 'seedance'::regnamespace"
}

# An attempt with all that a reader must not see, as `secret`.
insert_secrets() {
    as admin "insert into seedance.mirror values
        ('attempt', 5, '{\"id\": 5, \"job_id\": 1, \"number\": 1, \"model\": \"m\", \"resolution\": \"720p\", \"duration_ms\": 5000,
            \"input_video_ms\": 0, \"estimated_usd_micros\": 10, \"actual_usd_micros\": -1, \"intent_ms\": 1700000000123,
            \"submitted_ms\": 0, \"finished_ms\": 0, \"task_id\": \"cgt-1\", \"error_code\": null, \"error_message\": null,
            \"video_url\": \"https://secret/v\", \"cover_url\": \"https://secret/c\", \"request_id\": \"secret\", \"take\": 0,
            \"uid\": \"00ff\", \"stored_ms\": 0, \"stored_in\": null}'),
        ('exchange', 5, '{\"attempt_id\": 5, \"body\": \"secret\", \"display\": \"secret\", \"response\": \"secret\"}'),
        ('sent', 5, '{\"attempt_id\": 5, \"body\": \"secret\"}'),
        ('input', 5, '{\"attempt_id\": 5, \"path\": \"secret\", \"id\": 1}'),
        ('bytes', 4096, '{\"file\": 1, \"bytes\": {\"base64\": \"secret==\"}}'),
        ('file', 1, '{\"id\": 1, \"job_id\": 1, \"name\": \"secret\"}'),
        ('history', 1, '{\"id\": 1, \"text\": \"secret\"}')"
}

# nothing_leaks TEXT   in what a reader sees of all views, and in its statistics.
nothing_leaks() {
    local view shown
    for view in $(as admin "select viewname from pg_views where schemaname = 'seedance'"); do
        shown+=$(as desk "select v::text from seedance.$view as v")
    done
    shown+=$(as desk "select s::text from pg_stats as s where schemaname = 'seedance'")
    [[ $shown == *cgt-1* && $shown != *"$1"* ]]
}

@test "reader: no view shows a URL, a request, a response or a file" {
    insert_secrets
    as admin 'analyze seedance.mirror'
    is 5 admin "select count(*) from pg_views where schemaname = 'seedance'"
    is 5 admin "select count(*) from pg_class where relnamespace = 'seedance'::regnamespace and relkind = 'v' and
        'security_barrier=true' = any (reloptions)"
    nothing_leaks secret
    # A reader's own function sees what the view shows, and no other rows.
    VERBOSITY=default run as desk "create function pg_temp.spy(bigint, text) returns boolean language plpgsql cost 0.0001 as
        'begin raise notice ''saw % %'', \$1, \$2; return true; end'" \
        "select id from seedance.v_attempt where pg_temp.spy(id, model)"
    [ "$(grep -c 'saw' <<<"$output")" -eq 1 ]
    [[ $output == *'saw 5 m'* ]]
}

@test "reader: views show jobs, attempts, money, events and prompts" {
    insert_secrets
    as admin "insert into seedance.mirror values
        ('job', 1, '{\"name\": \"cat\", \"removed_name\": null, \"removed_ms\": null, \"state\": \"draft\", \"problem\": null,
            \"created_ms\": 1700000000001, \"updated_ms\": 1700000000002, \"attempt_id\": 0}'),
        ('job', 2, '{\"name\": null, \"removed_name\": {\"base64\": \"Yf9i\"}, \"removed_ms\": 1700000000003, \"state\": \"failed\",
            \"problem\": \"no\", \"created_ms\": 1, \"updated_ms\": 2, \"attempt_id\": 0}'),
        ('ledger', 7, '{\"attempt_id\": 5, \"time_ms\": 1700000000004, \"kind\": \"reserved\", \"usd_micros\": 10, \"task_id\": null}'),
        ('event', 20, '{\"line\": \"{}\"}'),
        ('take_prompt', 1, '{\"text\": {\"base64\": \"$(printf 'ein Käfer, 猫 🐈\nzwei' | base64 -w 0)\"}}'),
        ('take_prompt', 2, '{\"text\": {\"base64\": \"$(printf 'a\0b' | base64 -w 0)\"}}'),
        ('take_prompt', 3, '{\"text\": {\"base64\": \"$(printf '\xed\xa0\x80' | base64 -w 0)\"}}'),
        ('take_prompt', 4, '{\"text\": {\"base64\": \"\"}}')"
    export PGTZ=UTC
    is '1|cat|draft||2023-11-14 22:13:20.001+00|2023-11-14 22:13:20.002+00|
2|a\377b|failed|no|1970-01-01 00:00:00.001+00|1970-01-01 00:00:00.002+00|2023-11-14 22:13:20.003+00' \
        desk 'select * from seedance.v_job order by id'
    is '5|00ff|1|1|m|720p|5000|0|10||2023-11-14 22:13:20.123+00|||cgt-1|||0||' desk 'select * from seedance.v_attempt'
    is '7|5|2023-11-14 22:13:20.004+00|reserved|10|' desk 'select * from seedance.v_ledger'
    is '20|{}' desk 'select * from seedance.v_event'
    is $'1|ein Käfer, 猫 🐈\nzwei\n2|a\\000b\n3|\\355\\240\\200\n4|' desk 'select * from seedance.v_prompt order by attempt'
    # Each character that UTF-8 has is known as such, in the view's own words.
    as admin "insert into seedance.mirror select 'take_prompt', 100 + i,
        jsonb_build_object('text', jsonb_build_object('base64', encode(convert_to(chr(i), 'UTF8'), 'base64')))
        from generate_series(1, 1114111) as i where (i < 300 or i % 251 = 0 or i in (2047, 2048, 55295, 57344, 65535, 65536, 1114111))
            and i not between 55296 and 57343"
    is 0 desk "select count(*) from seedance.v_prompt where attempt > 100 and text is distinct from chr((attempt - 100)::integer)"
}

@test "host: it reads the tables, writes by functions only, and has no views" {
    local table
    leads ws0
    while read -r table _; do as ws1 "select * from seedance.$table" >/dev/null; done <<<"$tables"
    set_writes
    each_forbidden ws1 "${WRITES[@]}"
    for table in $views; do forbidden ws1 "select 1 from seedance.$table"; done
    forbidden ws1 "create function seedance.push(text, integer, integer, jsonb) returns bigint language sql as 'select 1'"
    forbidden ws1 "alter function seedance.push(text, bigint, bigint, jsonb) security invoker"
    forbidden ws1 "drop function seedance.push(text, bigint, bigint, jsonb)"
    # Another role's name is no disguise.
    refused SD022 ws1 'set role seedance_host' "$(push_text 0 '[]')"
    refused SD020 ws1 'set role seedance_host' "select seedance.take_lead('one', 1, 0)"
}

@test "a role without rights sees nothing" {
    local what reads=()
    for what in cluster host lease change mirror $views; do reads+=("select * from seedance.$what"); done
    each_forbidden stranger "${reads[@]}" "select * from seedance.hello('x', null, 'test', 1, 0, null)" \
        "select seedance.take_lead('x', 0, 0)" "select seedance.push('x', 0, 0, '[]')"
}

@test "hello: two that use one role, or a copy of a data directory, are noticed" {
    hello() { echo "select is_known from seedance.hello('$1', $2, 'test', 1, 0, null)"; }
    is t ws0 "$(hello one null)"
    is t ws0 "$(hello one null)"       # connects again
    is t ws0 "$(hello two "'one'")"    # starts again
    is t ws0 "$(hello two "'one'")"    # and connects again
    is f ws0 "$(hello three "'one'")"  # a copy, from before the restart
    is f ws0 "$(hello three "'one'")"
    is two admin "select incarnation from seedance.host where name = 'ws0'"
    refused SD020 ws0 "select seedance.take_lead('three', 0, 0)"
    is t ws0 "$(hello three null)"     # gives up what it has
    is f ws0 "$(hello two "'one'")"    # the other learns of it
    refused SD020 ws0 "select seedance.take_lead('two', 0, 0)"
    is t ws1 "$(hello four "'one'")"   # of another role nothing is known yet
    is f ws1 "$(hello five "'one'")"
    is 1 ws0 "select seedance.take_lead('three', 0, 0)"
}

@test "push: an old epoch is refused although the seq fits, and so is whoever does not lead" {
    leads ws0
    is 1 ws0 "$(push_text 0 "[{\"tag\": \"$(tag 1)\", \"rows\": []}]")"
    as ws1 "select from seedance.hello('one', null, 'test', 1, 0, null)"
    refused SD021 ws1 "select seedance.take_lead('one', 1, 0)" # it was renewed meanwhile
    is 2 ws1 "select seedance.take_lead('one', 1, 1)"
    refused SD022 ws0 "$(push_text 1 '[]')"
    # Back again as leader, what is left of the first time is not accepted.
    is 3 ws0 "select seedance.take_lead('one', 2, 1)"
    refused SD022 ws0 "$(push_text 1 "[{\"tag\": \"$(tag 2)\", \"rows\": []}]")"
    is 2 ws0 "$(push_text 1 "[{\"tag\": \"$(tag 2)\", \"rows\": []}]" 3)"
    refused SD023 ws0 "$(push_text 1 "[{\"tag\": \"$(tag 3)\", \"rows\": []}]" 3)"
    VERBOSITY=default run as ws0 "$(push_text 1 '[]' 3)"
    [[ $output == *'The last change is 2, and not 1.'* ]]
}

@test "push: it notifies of what was appended, and of nothing else" {
    leads ws0
    push_text 0 '[]' >"$BATS_TEST_TMPDIR/renewal"
    push_text 0 "[{\"tag\": \"$(tag 1)\", \"rows\": []}, {\"tag\": \"$(tag 2)\", \"rows\": []}]" >"$BATS_TEST_TMPDIR/entries"
    listen() {
        PGPASSWORD=host psql -XAtq -U ws1 <<END
listen seedance;
\\! PGPASSWORD=host psql -XAtq -U ws0 -f "$BATS_TEST_TMPDIR/$1"
select 'end';
END
    }
    [[ $(listen renewal) == $'0\nend' ]]
    [[ $(listen entries) == *'"seedance" with payload "2" received'* ]]
}

# Each line: who must notice, the model or the tests of rights; what is broken; the sed expression that breaks it.
broken_copies="model;push by any host;s/held.host is distinct from session_user::text -- CHECK: host/false/
model;push by any incarnation;s/or held.incarnation is distinct from p_incarnation -- CHECK: incarnation//
model;push in any epoch;s/or held.epoch is distinct from p_epoch -- CHECK: epoch//
model;push after any seq;s/latest is distinct from p_seq then -- CHECK: seq/false then/
model;merge into nothing;s/if not found then -- CHECK: merge/if false then/
model;nothing begins anew;s/= 'true' then -- CHECK: begin/= 'false' then/
model;the role of the leader for two;s/or l.incarnation is not distinct from p_incarnation -- CHECK: leads elsewhere/or true/
model;merge the wrong way;s/m.data || change_row.data/change_row.data || m.data/
model;rows in the wrong order;s/order by e.number, r.number/order by e.number desc, r.number desc/
model;any tag in an entry;s/e.entry ->> 'tag' ~ '^\[0-9a-f\]{32}\$'/true/
model;the push does not wait;/function seedance.push/,/ for update;/s/ for update;/;/
model;the push does not renew;s/set renewals = l.renewals + 1/set renewals = l.renewals/
model;lead by any incarnation;s/ and h.incarnation = p_incarnation) then -- CHECK: known incarnation/) then/
model;lead after any epoch;s/if held.epoch is distinct from p_epoch\$/if false/
model;lead after any renewals;s/or held.renewals is distinct from p_renewals -- CHECK: renewals//
model;the lead does not wait;/function seedance.take_lead/,/ for update;/s/ for update;/;/
model;any tag is the same;s/when known.tag = p_tag then 'same' -- CHECK: tag/when true then 'same'/
model;any seq is the same;s/when p_seq > kept.latest then 'other'/when p_seq > kept.latest then 'same'/
model;a host that is known anyway;s/and h.incarnation in (p_previous, p_incarnation)//
model;gaps in what is kept;s/k.seq < coalesce(kept.young, kept.all_old)/k.made < too_old/
model;nothing is kept;s/ and k.seq < latest;/;/
model;too much is removed at once;s/limit 1000) as o/limit 2000) as o/
rights;functions for everybody;/^revoke all on all functions/d
rights;tables for readers;s/^grant select on seedance.cluster/grant select on seedance.mirror to seedance_reader; &/
rights;a schema for everybody;s/^grant usage on schema/grant create on schema seedance to seedance_reader; &/"

@test "schema: the bytes of a file go with it, and those beyond its last part" {
    local tag=0123456789abcdef0123456789abcdef
    push_rows() { as ws0 "select seedance.push('i', (select epoch from seedance.lease), (select coalesce(max(seq), 0) from seedance.change), '[{\"tag\":\"$tag\",\"rows\":[$1]}]')" >/dev/null; }
    part() { echo "[\"bytes\",$(($1 * 4096 + $2)),{\"file\":$1,\"part\":$2,\"parts\":$3}]"; }
    as ws0 "select seedance.hello('i', null, 'p', 1, 0, null)" "select seedance.take_lead('i', 0, 0)" >/dev/null
    push_rows "[\"file\",7,{}],[\"file\",8,{}],$(part 7 0 3),$(part 7 1 3),$(part 7 2 3),$(part 8 0 1),$(part 6 0 1)"
    is "24576 28672 28673 28674 32768" admin "select string_agg(id::text, ' ' order by id) from seedance.mirror where kind = 'bytes'"
    push_rows "$(part 7 0 2)"
    is "24576 28672 28673 32768" admin "select string_agg(id::text, ' ' order by id) from seedance.mirror where kind = 'bytes'"
    push_rows '["file",7,null]'
    is "24576 32768" admin "select string_agg(id::text, ' ' order by id) from seedance.mirror where kind = 'bytes'"
}

@test "schema: each broken copy is caught" {
    local witness name expression copy=$BATS_TEST_TMPDIR/broken.sql
    as admin 'create database broken'
    export PGDATABASE=broken
    by_model() { model 15 && model 16 && model 17; }
    by_rights() { reader_is_held && forbidden desk "create table seedance.own (a integer)"; }
    make_schema
    by_model
    by_rights
    while IFS=';' read -r witness name expression; do
        sed "$expression" "$SCHEMA" >"$copy"
        ! cmp -s "$copy" "$SCHEMA" || { echo "nothing to break: $name" >&2; return 1; }
        as admin 'set client_min_messages = warning' 'drop schema seedance cascade'
        make_schema "$copy" || { echo "no schema: $name" >&2; return 1; }
        ! "by_$witness" >"$BATS_TEST_TMPDIR/caught" 2>&1 || { echo "nobody noticed: $name" >&2; return 1; }
        # It was seen by what differs, and not because something else failed.
        grep -qE 'must|^got' "$BATS_TEST_TMPDIR/caught"
        if [ -n "${VERBOSE:-}" ]; then echo "# $name: $(grep -m 1 -E 'must|^got' "$BATS_TEST_TMPDIR/caught" | cut -c 1-110)" >&3; fi
    done <<<"$broken_copies"
    PGDATABASE=seedance as admin 'drop database broken'
}
