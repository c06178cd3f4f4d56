# Many finished jobs at once, for tests and benches that need a full tree. Sourced, after helper.bash.

# finished_jobs N [PREFIX]   adds N finished jobs, PREFIX0 and so on, to the stopped daemon's store, like the job `model`
# but each with a task of its own: with one task in all of them, each attempt would be compared with each other one.
finished_jobs() {
    local first
    first=$(sqlite3 "$DATA/jobs.sqlite" "SELECT value FROM meta WHERE key = 'id_next'")
    sqlite3 "$DATA/jobs.sqlite" >/dev/null <<SQL
BEGIN;
CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < $1 - 1)
    SELECT i, $first + 3 * i AS job, $first + 3 * i + 1 AS attempt, $first + 3 * i + 2 AS file FROM n;
CREATE TEMP TABLE j AS SELECT * FROM job WHERE name = 'model';
CREATE TEMP TABLE a AS SELECT * FROM attempt WHERE id = (SELECT attempt_id FROM j);
INSERT INTO job (id, name, removed_name, removed_ms, state, problem, created_ms, updated_ms, attempt_id, hold, picked_id)
    SELECT n.job, '${2:-clip-}' || n.i, NULL, NULL, j.state, NULL, j.created_ms, j.updated_ms,
    n.attempt, 0, n.attempt FROM n, j;
CREATE TEMP TABLE b AS SELECT n.attempt AS new_id, n.job AS new_job, a.* FROM n, a;
UPDATE b SET id = new_id, job_id = new_job, task_id = task_id || '-' || new_id;
ALTER TABLE b DROP COLUMN new_id;
ALTER TABLE b DROP COLUMN new_job;
INSERT INTO attempt SELECT * FROM b;
INSERT INTO exchange SELECT n.attempt, e.body, e.display, e.response
    FROM n, exchange e WHERE e.attempt_id = (SELECT id FROM a);
INSERT INTO ledger (attempt_id, time_ms, kind, usd_micros, task_id)
    SELECT n.attempt, l.time_ms, l.kind, l.usd_micros, l.task_id || '-' || n.attempt
    FROM n, ledger l WHERE l.attempt_id = (SELECT id FROM a);
INSERT INTO file (id, job_id, name, mode) SELECT n.file, n.job, 'prompt.json', 420 FROM n;
INSERT INTO history (job_id, time_ms, text) SELECT n.job, h.time_ms, h.text
    FROM n, history h WHERE h.job_id = (SELECT id FROM j);
UPDATE meta SET value = $first + 3 * $1 WHERE key = 'id_next';
COMMIT;
SQL
    seq $((first + 2)) 3 $((first + 3 * $1)) | (cd "$DATA/files" && xargs -n 500 sh -c '
        for id; do echo "{\"prompt\": \"a clip\"}" >"$id"; done' -)
}
