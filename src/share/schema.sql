-- The schema by which several hosts share one tree: version 1.
--
-- One host leads. It decides everything in its own SQLite, and pushes what each transaction changed as the next rows of
-- `change`. The others read `change` and make the same of their own copies. `mirror` holds the rows as they are now, for
-- a host that starts with nothing. `lease` says who leads.
--
-- Run it as the owner of the database, as often as you like; it makes what is missing and changes nothing else:
--     psql -v ON_ERROR_STOP=1 -f schema.sql 'postgresql://admin@db/seedance'
-- It has no commands of psql, so a program may send it as one simple query. After an error that program sends ROLLBACK.
--
-- Each host has a role of its own. Its name is the host's name. A reader sees the views v_*, and nothing else:
--     create role ws1 login password '…' in role seedance_host;
--     create role desk login password '…' in role seedance_reader;
--
-- Hosts write by three functions only: hello, take_lead and push. They run with the rights of their owner, so nothing in
-- them may be looked up in a schema where others can create something: all names are written with their schema, and
-- pg_temp comes last in search_path (where it is not named, it comes first). The host is session_user: SET ROLE does not
-- change that.
--
-- Errors, as SQLSTATE:
--     SD001  the database has a newer version of this schema
--     SD002  a role is missing, and this user may not make roles
--     SD003  a schema named seedance is there, and belongs to somebody else
--     SD010  an argument is missing or malformed
--     SD020  take_lead: another incarnation is stored for this host, or none: say hello first
--     SD021  take_lead: epoch or renewals have changed: somebody leads
--     SD022  push: the caller leads no more, or never did
--     SD023  push: p_seq is not the seq of the last change
--     SD024  push: an entry is malformed
--     SD025  push: an entry changes a part of a row that is not there
-- push looks for SD010, SD022, SD023, SD024 and SD025 in this order. After any error nothing was changed.

begin;

set local search_path = pg_catalog;
set local client_min_messages = warning;

do $$
declare
    there integer;
begin
    -- Two that run this at the same time: one after the other.
    perform pg_advisory_xact_lock(hashtextextended('seedance schema', 0));
    -- Who owns a schema may exchange everything in it.
    if exists (select from pg_namespace as n
               where n.nspname = 'seedance' and not pg_has_role(current_user, n.nspowner, 'USAGE')) then
        raise exception using errcode = 'SD003',
            message = 'The schema seedance belongs to another role than the one that runs this script.',
            hint = 'Run this script as the owner of that schema.';
    end if;
    if to_regclass('seedance.cluster') is not null then
        execute 'select max(version) from seedance.cluster' into there;
        if there > 1 then
            raise exception using errcode = 'SD001',
                message = format('The database has version %s of the seedance schema, and this program has version 1.', there),
                hint = 'Use a newer seedancefs. Nothing was changed.';
        end if;
    end if;
end
$$;

-- Roles belong to the whole server, so another database may have them already.
do $$
declare
    role_name text;
begin
    foreach role_name in array array['seedance_host', 'seedance_reader'] loop
        continue when exists (select from pg_roles as r where r.rolname = role_name);
        begin
            execute format('create role %I nologin', role_name);
        exception
            when duplicate_object then
                null; -- made just now, for another database
            when insufficient_privilege then
                raise exception using errcode = 'SD002',
                    message = format('The role %s is missing, and %s may not make roles.', role_name, current_user),
                    hint = format('Let an administrator of the server run: create role %s nologin', role_name);
        end;
    end loop;
end
$$;

create schema if not exists seedance;

-- Tables

-- Which tree this is, and which programs may use it: a program with a schema older than min_writer only reads, and one
-- older than min_reader stops.
create table if not exists seedance.cluster (
    id text not null check (id ~ '^[0-9a-f]{32}$'), -- 128 random bits
    version integer not null,                       -- of this schema
    min_reader integer not null,
    min_writer integer not null,
    made timestamptz not null default clock_timestamp()
);
create unique index if not exists cluster_has_one_row on seedance.cluster ((true));

-- A uuid has 122 random bits, so several are hashed.
insert into seedance.cluster (id, version, min_reader, min_writer)
select left(encode(sha256(convert_to(concat(gen_random_uuid(), gen_random_uuid(), gen_random_uuid()), 'UTF8')), 'hex'), 32),
       1, 1, 1
on conflict do nothing;

create table if not exists seedance.host (
    name text primary key,        -- its role
    incarnation text not null,    -- drawn by the program at each start
    program text,                 -- its name and version, for people
    seen timestamptz not null default clock_timestamp() -- when it last said hello
);

-- Who leads. The database's clock decides nothing: hosts watch whether epoch and renewals stand still.
create table if not exists seedance.lease (
    epoch bigint not null,    -- raised when the lead is taken
    host text,                -- null: nobody has led yet
    incarnation text,
    renewals bigint not null  -- raised by each push
);
create unique index if not exists lease_has_one_row on seedance.lease ((true));
insert into seedance.lease (epoch, renewals) values (0, 0) on conflict do nothing;

-- What was changed, in order. Only push() appends, always with the highest seq plus 1, so there are no gaps. The tag is
-- random: a host whose last seq has another tag here knows that the database went back in time.
create table if not exists seedance.change (
    seq bigint primary key check (seq > 0),
    epoch bigint not null,
    tag text not null check (tag ~ '^[0-9a-f]{32}$'),
    host text not null,
    made timestamptz not null default clock_timestamp(),
    entry jsonb not null check (jsonb_typeof(entry) = 'object')
);

-- The rows of the leader's SQLite as they are now: kind is the table's name, id its rowid, data has its columns. Integers
-- are JSON numbers, texts are JSON strings; a blob, or a text that JSON cannot hold, is {"base64": "…"}. The kind `bytes`
-- has the parts of users' files.
create table if not exists seedance.mirror (
    kind text,
    id bigint,
    data jsonb not null check (jsonb_typeof(data) = 'object'),
    primary key (kind, id)
);

-- Functions

-- What a host says on each connection. p_incarnation was drawn when the program started; p_previous is the incarnation
-- that its data directory knew before, null if there was none. p_seq is the last change that it has, with its tag; 0 if
-- it has none.
--
-- is_known is false if somebody else has said hello as this host since p_previous: the data directory was copied, or two
-- programs use one role. Then nothing is stored. With p_previous null the host is taken as new, and the incarnation that
-- was stored before is known no more; unless the host leads: then this is another program that uses its role. A host of
-- which no incarnation is stored is known with any, and so is one that has seen a later seq than there is.
--
-- place: 'same'   reading on after p_seq is possible
--        'edge'   p_seq is the last that is not kept: the same, but nobody can tell its tag
--        'old'    p_seq is older than the changes that are kept: copy mirror
--        'other'  p_seq was another change, or is yet to come: the database went back in time
create or replace function seedance.hello(
    p_incarnation text, p_previous text, p_program text, p_version integer, p_seq bigint, p_tag text)
returns table (
    cluster text, version integer, can_read boolean, can_write boolean, is_known boolean, epoch bigint,
    leader text, leader_incarnation text, renewals bigint, seq bigint, place text)
language plpgsql security definer set search_path = seedance, pg_temp
as $$
begin
    if p_incarnation is null or p_incarnation = '' or length(p_incarnation) > 200 or p_version is null or
       p_seq is null or p_seq < 0 or length(p_program) > 200 then
        raise exception using errcode = 'SD010',
            message = 'hello needs an incarnation and a program of at most 200 characters, a version, and a seq of 0 or more.';
    end if;

    if p_previous is null then
        insert into seedance.host as h (name, incarnation, program, seen)
        select session_user, p_incarnation, p_program, clock_timestamp()
        from seedance.lease as l
        where l.host is distinct from session_user::text
            or l.incarnation is not distinct from p_incarnation -- CHECK: leads elsewhere
        on conflict (name) do update
            set incarnation = excluded.incarnation, program = excluded.program, seen = excluded.seen;
    else
        -- One statement, so that of two copies of a data directory only one is known.
        update seedance.host as h
        set incarnation = p_incarnation, program = p_program, seen = clock_timestamp()
        where h.name = session_user
            and h.incarnation in (p_previous, p_incarnation); -- the latter: it connects again
        if not found then -- a host that nothing is known of, in a database that was made or put back since
            insert into seedance.host as h (name, incarnation, program, seen)
            values (session_user, p_incarnation, p_program, clock_timestamp())
            on conflict do nothing;
        end if;
        if not found then -- who has seen more than there is knows that the database went back
            update seedance.host as h
            set incarnation = p_incarnation, program = p_program, seen = clock_timestamp()
            where h.name = session_user
                and p_seq > (select coalesce(max(k.seq), 0) from seedance.change as k);
        end if;
    end if;
    is_known := found;

    return query
        select c.id, c.version, p_version >= c.min_reader, p_version >= c.min_writer, is_known,
               l.epoch, l.host, l.incarnation, l.renewals, kept.latest,
               case
                   when p_seq > kept.latest then 'other'
                   when p_seq = 0 and kept.oldest = 1 then 'same'
                   when p_seq = kept.oldest - 1 then 'edge'
                   when p_seq < kept.oldest then 'old'
                   when known.tag = p_tag then 'same' -- CHECK: tag
                   else 'other'
               end
        from seedance.cluster as c
        cross join seedance.lease as l
        -- With no change at all the oldest would be the first.
        cross join (select coalesce(max(k.seq), 0) as latest, coalesce(min(k.seq), 1) as oldest
                    from seedance.change as k) as kept
        left join seedance.change as known on known.seq = p_seq;
end
$$;

-- Takes the lead if the lease is still as the caller saw it, and returns the new epoch. renewals stays as it is.
create or replace function seedance.take_lead(p_incarnation text, p_epoch bigint, p_renewals bigint)
returns bigint
language plpgsql security definer set search_path = seedance, pg_temp
as $$
declare
    held record;
begin
    -- Of two that take it, the second waits here, and sees what the first has done.
    select l.epoch, l.host, l.renewals into strict held from seedance.lease as l for update;

    if not exists (select from seedance.host as h
                   where h.name = session_user and h.incarnation = p_incarnation) then -- CHECK: known incarnation
        raise exception using errcode = 'SD020',
            message = format('%s is known by another incarnation, or not at all.', session_user),
            hint = 'Call hello first. Is the data directory a copy, or is the role used by two programs?';
    end if;
    if held.epoch is distinct from p_epoch
        or held.renewals is distinct from p_renewals -- CHECK: renewals
    then
        raise exception using errcode = 'SD021',
            message = format('The lease has changed: epoch %s of %s, renewed %s times.', held.epoch,
                             coalesce(held.host, 'nobody'), held.renewals);
    end if;

    update seedance.lease as l
    set epoch = held.epoch + 1, host = session_user, incarnation = p_incarnation;
    return held.epoch + 1;
end
$$;

-- Appends the leader's next changes after p_seq, applies them to mirror, renews the lease, and returns the last seq.
-- p_entries is an array, and may be empty; each entry is
--     {"tag": "32 hex digits", "rows": [[kind, id, data], …], …}
-- data null deletes the row; otherwise it is the whole row. With a fourth member true, [kind, id, data, true], data is
-- merged into the row, which must be there. Rows are applied in order. Other members of the entry are kept with it. With
-- the member "begin" true, which only the first entry may have, everything that was in mirror is void.
--
-- The bytes of users' files are rows of the kind bytes, with ids from the file's id times 4096: the first part says how
-- many there are, and those behind them go, as do all of them with the row of the file.
--
-- Changes are kept for 30 days; each push removes at most 1000 of the older ones.
--
-- enable_seqscan: a plan that was made while mirror was small is used again when it is large.
create or replace function seedance.push(p_incarnation text, p_epoch bigint, p_seq bigint, p_entries jsonb)
returns bigint
language plpgsql security definer set search_path = seedance, pg_temp set enable_seqscan = off
as $$
declare
    held record;
    latest bigint;
    problem text;
    change_row record;
    too_old timestamptz := clock_timestamp() - interval '30 days';
begin
    if jsonb_typeof(p_entries) is distinct from 'array' then
        raise exception using errcode = 'SD010', message = 'push needs an array of entries.';
    end if;

    -- Who takes the lead waits for this, and so does the next push.
    select l.epoch, l.host, l.incarnation into strict held from seedance.lease as l for update;
    if held.host is distinct from session_user::text -- CHECK: host
        or held.incarnation is distinct from p_incarnation -- CHECK: incarnation
        or held.epoch is distinct from p_epoch -- CHECK: epoch
    then
        raise exception using errcode = 'SD022',
            message = format('%s does not lead in epoch %s: %s leads in epoch %s.', session_user,
                             coalesce(p_epoch::text, 'null'), coalesce(held.host, 'nobody'), held.epoch);
    end if;

    select coalesce(max(k.seq), 0) into latest from seedance.change as k;
    if latest is distinct from p_seq then -- CHECK: seq
        raise exception using errcode = 'SD023',
            message = format('The last change is %s, and not %s.', latest, coalesce(p_seq::text, 'null'));
    end if;

    -- CASE: the cheap questions come first, and the others are not asked of what is something else.
    select format('Entry %s has no tag of 32 hex digits, or no array of rows.', e.number) into problem
    from jsonb_array_elements(p_entries) with ordinality as e (entry, number)
    where not coalesce(case
        when jsonb_typeof(e.entry) <> 'object' then false
        when jsonb_typeof(e.entry -> 'tag') <> 'string' or jsonb_typeof(e.entry -> 'rows') <> 'array' then false
        else e.entry ? 'rows' and e.entry ->> 'tag' ~ '^[0-9a-f]{32}$'
    end, false)
    limit 1;
    if problem is null then
        select format('Row %s of entry %s is not [kind, id, data or null] or [kind, id, data, is partial].',
                      r.number, e.number) into problem
        from jsonb_array_elements(p_entries) with ordinality as e (entry, number)
        cross join jsonb_array_elements(e.entry -> 'rows') with ordinality as r (cells, number)
        where not coalesce(case
            when jsonb_typeof(r.cells) <> 'array' then false
            when jsonb_array_length(r.cells) not in (3, 4) then false
            when jsonb_typeof(r.cells -> 0) <> 'string' or r.cells ->> 0 !~ '^[a-z][a-z_]{0,39}$' then false
            when jsonb_typeof(r.cells -> 1) <> 'number' then false
            when (r.cells -> 1)::numeric <> trunc((r.cells -> 1)::numeric) then false
            when (r.cells -> 1)::numeric not between -9223372036854775808 and 9223372036854775807 then false
            when jsonb_typeof(r.cells -> 3) <> 'boolean' then false
            when jsonb_typeof(r.cells -> 2) = 'null' then coalesce(not (r.cells -> 3)::boolean, true)
            else jsonb_typeof(r.cells -> 2) = 'object'
        end, false)
        limit 1;
    end if;
    if problem is null and exists (select from jsonb_array_elements(p_entries) with ordinality as e (entry, number)
                                   where e.number > 1 and e.entry -> 'begin' = 'true') then
        problem := 'An entry that begins anew is not the first.';
    end if;
    if problem is not null then
        raise exception using errcode = 'SD024', message = problem;
    end if;

    insert into seedance.change (seq, epoch, tag, host, entry)
    select p_seq + e.number, p_epoch, e.entry ->> 'tag', session_user, e.entry - 'tag'
    from jsonb_array_elements(p_entries) with ordinality as e (entry, number);

    if p_entries -> 0 -> 'begin' = 'true' then -- CHECK: begin
        delete from seedance.mirror;
    end if;
    -- One after the other: a later row may change what an earlier one has made.
    for change_row in
        select r.cells ->> 0 as kind, (r.cells -> 1)::bigint as id, r.cells -> 2 as data,
               coalesce((r.cells -> 3)::boolean, false) as is_partial
        from jsonb_array_elements(p_entries) with ordinality as e (entry, number)
        cross join jsonb_array_elements(e.entry -> 'rows') with ordinality as r (cells, number)
        order by e.number, r.number
    loop
        if jsonb_typeof(change_row.data) = 'null' then
            delete from seedance.mirror as m where m.kind = change_row.kind and m.id = change_row.id;
            if change_row.kind = 'file' then -- CHECK: bytes of a removed file
                delete from seedance.mirror as m
                where m.kind = 'bytes' and m.id between change_row.id * 4096 and change_row.id * 4096 + 4095;
            end if;
        elsif change_row.is_partial then
            update seedance.mirror as m set data = m.data || change_row.data
            where m.kind = change_row.kind and m.id = change_row.id;
            if not found then -- CHECK: merge
                raise exception using errcode = 'SD025',
                    message = format('%s %s is not there, so a part of it cannot be changed.', change_row.kind, change_row.id);
            end if;
        else
            insert into seedance.mirror as m (kind, id, data)
            values (change_row.kind, change_row.id, change_row.data)
            on conflict (kind, id) do update set data = excluded.data;
            if change_row.kind = 'bytes' and (change_row.data -> 'part') = '0' then -- CHECK: bytes beyond the last part
                delete from seedance.mirror as m
                where m.kind = 'bytes' and m.id > change_row.id
                    and m.id between change_row.id + (change_row.data ->> 'parts')::bigint and change_row.id + 4095;
            end if;
        end if;
    end loop;

    update seedance.lease as l set renewals = l.renewals + 1;

    latest := p_seq + jsonb_array_length(p_entries);
    -- A clock may have been wrong, so the first change that is young enough ends it: there must be no gap. The last change
    -- always stays: the next seq is found by it.
    if (select k.made < too_old from seedance.change as k order by k.seq limit 1) then
        delete from seedance.change as k
        using (select min(o.seq) filter (where o.made >= too_old) as young, max(o.seq) + 1 as all_old
               from (select a.seq, a.made from seedance.change as a order by a.seq limit 1000) as o) as kept
        where k.seq < coalesce(kept.young, kept.all_old) and k.seq < latest;
    end if;

    if latest > p_seq then
        perform pg_notify('seedance', latest::text);
    end if;
    return latest;
end
$$;

-- Views for readers: no URLs, no requests or responses of the service, no bytes of files. Prompts are there. The barrier
-- keeps a reader's own functions from seeing rows before the view has chosen them. A time of 0 in SQLite means never.
-- A text that is {"base64": …} was not UTF-8: its odd bytes are shown as \nnn.

create or replace view seedance.v_job with (security_barrier = true) as
select m.id,
       coalesce(name.shown, removed_name.shown) as name,
       m.data ->> 'state' as state,
       problem.shown as problem,
       to_timestamp((m.data ->> 'created_ms')::numeric / 1000) as created,
       to_timestamp((m.data ->> 'updated_ms')::numeric / 1000) as updated,
       to_timestamp(nullif((m.data ->> 'removed_ms')::numeric, 0) / 1000) as removed
from seedance.mirror as m
cross join lateral (select coalesce(encode(decode(m.data -> 'name' ->> 'base64', 'base64'), 'escape'),
                                    m.data ->> 'name') as shown) as name
cross join lateral (select coalesce(encode(decode(m.data -> 'removed_name' ->> 'base64', 'base64'), 'escape'),
                                    m.data ->> 'removed_name') as shown) as removed_name
cross join lateral (select coalesce(encode(decode(m.data -> 'problem' ->> 'base64', 'base64'), 'escape'),
                                    m.data ->> 'problem') as shown) as problem
where m.kind = 'job';

create or replace view seedance.v_attempt with (security_barrier = true) as
select m.id,
       m.data ->> 'uid' as uid,
       (m.data ->> 'job_id')::bigint as job,
       (m.data ->> 'number')::bigint as number,
       m.data ->> 'model' as model,
       m.data ->> 'resolution' as resolution,
       (m.data ->> 'duration_ms')::bigint as duration_ms,
       (m.data ->> 'input_video_ms')::bigint as input_video_ms,
       (m.data ->> 'estimated_usd_micros')::bigint as estimated_usd_micros,
       -- negative in SQLite: not known yet
       case when (m.data ->> 'actual_usd_micros')::bigint >= 0 then (m.data ->> 'actual_usd_micros')::bigint end
           as actual_usd_micros,
       to_timestamp(nullif((m.data ->> 'intent_ms')::numeric, 0) / 1000) as intended,
       to_timestamp(nullif((m.data ->> 'submitted_ms')::numeric, 0) / 1000) as submitted,
       to_timestamp(nullif((m.data ->> 'finished_ms')::numeric, 0) / 1000) as finished,
       m.data ->> 'task_id' as task_id,
       m.data ->> 'error_code' as error_code,
       coalesce(encode(decode(m.data -> 'error_message' ->> 'base64', 'base64'), 'escape'),
                m.data ->> 'error_message') as error_message,
       (m.data ->> 'take')::bigint as take,
       to_timestamp(nullif((m.data ->> 'stored_ms')::numeric, 0) / 1000) as stored,
       m.data ->> 'stored_in' as stored_in
from seedance.mirror as m
where m.kind = 'attempt';

create or replace view seedance.v_ledger with (security_barrier = true) as
select m.id,
       (m.data ->> 'attempt_id')::bigint as attempt,
       to_timestamp((m.data ->> 'time_ms')::numeric / 1000) as made,
       m.data ->> 'kind' as kind,
       (m.data ->> 'usd_micros')::bigint as usd_micros,
       m.data ->> 'task_id' as task_id
from seedance.mirror as m
where m.kind = 'ledger';

create or replace view seedance.v_event with (security_barrier = true) as
select m.id, -- the size of the log with this line
       coalesce(encode(decode(m.data -> 'line' ->> 'base64', 'base64'), 'escape'), m.data ->> 'line') as line
from seedance.mirror as m
where m.kind = 'event';

-- A prompt is a blob. It is shown as text if it is UTF-8 without NUL (RFC 3629, table 3-7 of the Unicode standard, in
-- hexadecimal digits), which PostgreSQL has no function to ask for.
create or replace view seedance.v_prompt with (security_barrier = true) as
select m.id as attempt,
       case
           when bytes.raw is null then m.data ->> 'text'
           when encode(bytes.raw, 'hex') ~ ('^(?:0[1-9a-f]|[1-7].|(?:c[2-9a-f]|d.)[89ab].|e0[ab].[89ab].'
               || '|e[1-9a-cef][89ab].[89ab].|ed[89].[89ab].|f0[9ab].[89ab].[89ab].|f[1-3][89ab].[89ab].[89ab].'
               || '|f48.[89ab].[89ab].)*$')
               then convert_from(bytes.raw, 'UTF8')
           else encode(bytes.raw, 'escape')
       end as text
from seedance.mirror as m
cross join lateral (select decode(m.data -> 'text' ->> 'base64', 'base64') as raw) as bytes
where m.kind = 'take_prompt';

-- Rights. What an earlier run or an administrator gave beside is taken away again.

revoke all on schema seedance from public, seedance_host, seedance_reader;
revoke all on all tables in schema seedance from public, seedance_host, seedance_reader;
revoke all on all functions in schema seedance from public, seedance_host, seedance_reader;

grant usage on schema seedance to seedance_host, seedance_reader;
-- Hosts need the URLs, so they read the tables.
grant select on seedance.cluster, seedance.host, seedance.lease, seedance.change, seedance.mirror to seedance_host;
grant execute on function seedance.hello(text, text, text, integer, bigint, text),
    seedance.take_lead(text, bigint, bigint), seedance.push(text, bigint, bigint, jsonb) to seedance_host;
grant select on seedance.v_job, seedance.v_attempt, seedance.v_ledger, seedance.v_event, seedance.v_prompt
    to seedance_reader;

commit;
