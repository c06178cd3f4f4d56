/*
 * What this host is to the others. On each connection it greets the database, which tells who leads and
 * whether the log goes on where this host has stopped:
 *
 *   nobody leads yet      a host with a key takes the lead, and its store is what all will have
 *   another one leads     a host whose store is empty follows, from then on
 *   this one led          it takes the lead again
 *
 * Each run has a name of its own, its incarnation. It is written down before the database hears of it, and
 * the database gives away which one it knows: so a copied data directory, or a second program with this
 * host's role, is noticed.
 */
#include "share_private.h"

#include "seedancefs/base/clock.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEMA_VERSION = 1 };

static void end_now(void *context)
{
    struct share *share = context;
    const struct share_hooks *hooks = &share->settings.hooks;
    share->link = link_free(share->link);
    if (hooks->on_end)
        hooks->on_end(hooks->context, share->why);
}

static void share_end(struct share *share, const char *format, ...) PRINTF_LIKE(2, 3);
static void share_end(struct share *share, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(share->why, sizeof(share->why), format, arguments);
    va_end(arguments);
    log_error("share.ended", "why=\"%s\"", share->why);
    share->state = SHARE_ENDED;
    timer_set(loop_timers(share->settings.loop), &share->timer, 0, end_now, share);
}

static int row_store(struct share *share, const struct store_share *row)
{
    int r = store_share_set(share->settings.store, row);
    if (r == 0)
        share->row = *row;
    else if (r != -EEXIST)
        log_error("share.store", "error=%s", err_name(r));
    return r;
}

static void greet(struct share *share);

/* Whatever went wrong in between, the next connection begins anew. */
static void begin_anew(struct share *share, const char *why)
{
    link_reset(share->link, why);
}

static void ask(struct share *share, const struct link_query *query)
{
    int r = link_query(share->link, query);
    if (r < 0)
        begin_anew(share, err_sentence(r));
}

static void ready(struct share *share)
{
    const struct share_hooks *hooks = &share->settings.hooks;
    if (share->is_ready)
        return;
    share->is_ready = true;
    if (hooks->on_ready)
        hooks->on_ready(hooks->context);
}

static void lead(struct share *share)
{
    share->state = SHARE_LEADS;
    (void)snprintf(share->leader, sizeof(share->leader), "%s", share->host);
    log_info("share.leads", "epoch=%lld seq=%lld", (long long)share->epoch,
             (long long)share->log_seq);
    share->why[0] = '\0';
    lead_begin(share);
    ready(share);
}

static int on_latest(void *context, const struct link_row *row)
{
    struct share *share = context;
    share->log_seq = link_number(row, 0);
    (void)snprintf(share->copy_tag, sizeof(share->copy_tag), "%s", link_text(row, 1));
    return 0;
}

static void latest_known(void *context, const struct link_end *end)
{
    struct share *share = context;
    struct store_share row = share->row;
    if (end->result == -ENOTCONN)
        return;
    if (row.role == STORE_LEADER)
        log_warn("share.anew", "why=\"the database has another history than this host has pushed; "
                               "everything is pushed again\"");
    row.role = STORE_LEADER;
    memcpy(row.cluster, share->cluster, sizeof(row.cluster));
    row.seq = share->log_seq;
    memcpy(row.tag, share->copy_tag, sizeof(row.tag));
    int r = end->result == 0 ? store_share_begin(share->settings.store, &row) : end->result;
    if (r < 0) {
        log_error("share.store", "error=%s", err_name(r));
        begin_anew(share, end->result < 0 ? end->message : err_sentence(r));
        return;
    }
    share->row = row;
    share->is_refill_wanted = false;
    lead(share);
}

/* Everything that there is goes into the log, after what is in it. */
/* Everything that there is goes into the log, after what is in it. */
static void lead_anew(struct share *share)
{
    const struct link_query query = {
        .sql = "SELECT seq, tag FROM seedance.change ORDER BY seq DESC LIMIT 1",
        .on_row = on_latest,
        .on_end = latest_known,
        .context = share};
    share->log_seq = 0;
    share->copy_tag[0] = '\0';
    ask(share, &query);
}

static bool is_continued(const struct share *share)
{
    bool is_place_there =
        strcmp(share->log_place, "same") == 0 || strcmp(share->log_place, "edge") == 0;
    return share->row.role == STORE_LEADER && is_place_there && !share->is_refill_wanted;
}

static int on_epoch(void *context, const struct link_row *row)
{
    struct share *share = context;
    share->epoch = link_number(row, 0);
    return 0;
}

static void lead_or_recognise(struct share *share);

static void lead_taken(void *context, const struct link_end *end)
{
    struct share *share = context;
    if (end->result == -ENOTCONN)
        return;
    share->is_lead_taken = end->result == 0;
    if (end->result < 0) /* another one was faster: who leads now is asked again */
        begin_anew(share, end->message);
    else /* a push that was given up may have ended before the lead was taken */
        lead_or_recognise(share);
}

static void take_lead(struct share *share)
{
    char epoch[24];
    char renewals[24];
    (void)snprintf(epoch, sizeof(epoch), "%lld", (long long)share->epoch);
    (void)snprintf(renewals, sizeof(renewals), "%lld", (long long)share->renewals);
    const char *const parameters[] = {share->incarnation, epoch, renewals};
    const struct link_query query = {.sql = "SELECT seedance.take_lead($1, $2, $3)",
                                     .parameters = parameters,
                                     .count = 3,
                                     .on_row = on_epoch,
                                     .on_end = lead_taken,
                                     .context = share};
    ask(share, &query);
}

static void recognised(struct share *share, int result)
{
    if (result == -ESTALE)
        share_end(
            share,
            "the database has changes that this data directory lacks: it is an older copy, or was "
            "put back. It must not lead: what came after it would be done again.");
    else if (result < 0)
        begin_anew(share, err_sentence(result));
    else if (!share->is_lead_taken)
        take_lead(share);
    else if (is_continued(share))
        lead(share);
    else
        lead_anew(share);
}

static void lead_or_recognise(struct share *share)
{
    if (is_continued(share))
        lead_recognise(share, recognised);
    else
        recognised(share, strcmp(share->log_place, "old") == 0 ? -ESTALE : 0);
}

static void follow(struct share *share)
{
    struct store_share row = share->row;
    if (row.role == STORE_ALONE) {
        row.role = STORE_REPLICA;
        memcpy(row.cluster, share->cluster, sizeof(row.cluster));
        int r = row_store(share, &row);
        if (r == -EEXIST) {
            share_end(
                share,
                "the data directory has jobs of its own, and %s leads the shared tree already. "
                "Choose an empty directory with --data-dir DIR.",
                share->leader[0] ? share->leader : "nobody");
            return;
        }
        if (r < 0) {
            begin_anew(share, err_sentence(r));
            return;
        }
    }
    log_info("share.follows", "leader=%s place=%s seq=%lld", share->leader, share->log_place,
             (long long)share->row.seq);
    follow_begin(share);
}

/* The database knows this run, and this tree is that of the data directory. */
static void decide(struct share *share)
{
    bool is_ours = strcmp(share->leader, share->host) == 0;
    bool is_free = share->leader[0] == '\0';
    enum store_role role = share->row.role;
    /* A log that somebody has written to is never begun anew by one who has not led: that would be the end
     * of what is in it. */
    bool may_begin = share->can_lead && (is_ours || (is_free && share->log_seq == 0));
    if (role == STORE_REPLICA || (role == STORE_ALONE && !may_begin)) {
        follow(share);
    } else if (!is_ours && !is_free) {
        share_end(share,
                  "this host has led the shared tree, and %s leads it now. What is in this data "
                  "directory and not in the database is there still; do not remove it.",
                  share->leader);
    } else if (!share->can_write) {
        share_end(share, "the database was made for a newer seedancefs: this version may follow, "
                         "but not lead. Install that version.");
    } else if (!share->can_lead) {
        share_end(share, "this host leads the shared tree, and has no API key. Give it one with "
                         "--api-key-file FILE.");
    } else {
        /* Taking it again ends what was given up and may still be under way there. */
        share->is_lead_taken = share->is_incarnation_leading && is_continued(share);
        lead_or_recognise(share);
    }
}

/* What has a tree goes on to show it, whatever has become of the database; and asks again. */
static void greeting_failed(struct share *share, const struct link_end *end)
{
    static const char *const missing[] = {"3F000", "42P01", "42883"};
    bool is_missing = end->result == 0;
    for (size_t i = 0; i < ARRAY_COUNT(missing); i++)
        is_missing = is_missing || strcmp(end->state, missing[i]) == 0;
    char why[SHARE_WHY_SIZE];
    if (is_missing)
        (void)snprintf(why, sizeof(why),
                       "there is no shared tree in this database. Make one, as its owner, with: "
                       "seedancefs --share URL --share-init");
    else if (strcmp(end->state, "42501") == 0)
        (void)snprintf(
            why, sizeof(why),
            "the role may not use the shared tree: %.300s. As the database's owner: GRANT "
            "seedance_host TO ROLE;",
            end->message);
    else
        (void)snprintf(why, sizeof(why), "%.500s", end->message);
    bool is_final = is_missing || strcmp(end->state, "42501") == 0;
    if (is_final && !share->row.cluster[0])
        share_end(share, "%s", why);
    else
        begin_anew(share, why);
}

static void greeting_done(void *context, const struct link_end *end)
{
    struct share *share = context;
    struct store_share row = share->row;
    if (end->result == -ENOTCONN)
        return;
    if (end->result < 0 || !share->cluster[0]) {
        greeting_failed(share, end);
        return;
    }
    share->seen_ms = clock_monotonic_ms(loop_clock(share->settings.loop));
    /* A database in which nobody has led is a place for the tree of who led another one. */
    bool is_empty = share->leader[0] == '\0' && share->log_seq == 0;
    bool is_moved = is_empty && row.role == STORE_LEADER;
    if (row.cluster[0] && strcmp(row.cluster, share->cluster) != 0 && !is_moved) {
        share_end(share,
                  "the data directory belongs to another shared tree than this database has. "
                  "Choose another directory with --data-dir DIR, or the database that it "
                  "belongs to.");
        return;
    }
    if (!share->can_read) {
        share_end(share, "the database was made for a newer seedancefs. Install that version.");
        return;
    }
    if (share
            ->is_asking_for_next) { /* whether the last run got so far that the database knows it */
        if (share->is_known)
            memcpy(row.incarnation, row.incarnation_next, sizeof(row.incarnation));
        row.incarnation_next[0] = '\0';
        int r = row_store(share, &row);
        if (r < 0)
            begin_anew(share, err_sentence(r));
        else
            greet(share);
        return;
    }
    if (!share->is_known && (row.role == STORE_LEADER || !row.incarnation[0])) {
        share_end(share,
                  "another program uses the role %s, or has used it with a copy of this data "
                  "directory. Every "
                  "host needs a role of its own, and a copy must not lead. If there is no other "
                  "one: DELETE "
                  "FROM seedance.host WHERE name = '%s';",
                  share->host, share->host);
        return;
    }
    if (!share->is_known) { /* a replica that was copied, or put back: as if it were new */
        row.incarnation[0] = row.incarnation_next[0] = '\0';
        int r = row_store(share, &row);
        if (r < 0)
            begin_anew(share, err_sentence(r));
        else
            greet(share);
        return;
    }
    if (row.role != STORE_ALONE)
        memcpy(row.cluster, share->cluster, sizeof(row.cluster));
    memcpy(row.incarnation, share->incarnation, sizeof(row.incarnation));
    row.incarnation_next[0] = '\0';
    int r = memcmp(&row, &share->row, sizeof(row)) == 0 ? 0 : row_store(share, &row);
    if (r < 0)
        begin_anew(share, err_sentence(r));
    else
        decide(share);
}

/* session_user, and what hello() returns */
static int on_greeting(void *context, const struct link_row *row)
{
    struct share *share = context;
    (void)snprintf(share->host, sizeof(share->host), "%s", link_text(row, 0));
    (void)snprintf(share->cluster, sizeof(share->cluster), "%s", link_text(row, 1));
    share->can_read = link_bool(row, 3);
    share->can_write = link_bool(row, 4);
    share->is_known = link_bool(row, 5);
    share->epoch = link_number(row, 6);
    (void)snprintf(share->leader, sizeof(share->leader), "%s", link_text(row, 7));
    share->is_incarnation_leading = strcmp(link_text(row, 8), share->incarnation) == 0 &&
                                    strcmp(share->leader, share->host) == 0;
    share->renewals = link_number(row, 9);
    share->log_seq = link_number(row, 10);
    (void)snprintf(share->log_place, sizeof(share->log_place), "%s", link_text(row, 11));
    return 0;
}

static void greet(struct share *share)
{
    char version[16];
    char seq[24];
    struct store_share row = share->row;
    share->cluster[0] = '\0'; /* there is no answer yet */
    share->is_asking_for_next =
        row.incarnation_next[0] && strcmp(row.incarnation_next, share->incarnation) != 0;
    if (!share->is_asking_for_next && strcmp(row.incarnation, share->incarnation) != 0 &&
        !row.incarnation_next[0]) {
        memcpy(row.incarnation_next, share->incarnation, sizeof(row.incarnation_next));
        int r = row_store(share, &row);
        if (r < 0) {
            begin_anew(share, err_sentence(r));
            return;
        }
    }
    const char *incarnation = share->is_asking_for_next ? row.incarnation_next : share->incarnation;
    const char *previous = share->is_asking_for_next ? row.incarnation_next
                           : row.incarnation[0]      ? row.incarnation
                                                     : NULL;
    (void)snprintf(version, sizeof(version), "%d", (int)SCHEMA_VERSION);
    (void)snprintf(seq, sizeof(seq), "%lld", (long long)row.seq);
    const char *const parameters[] = {incarnation, previous, share->program, version, seq, row.tag};
    const struct link_query query = {
        .sql = "SELECT session_user, h.* FROM seedance.hello($1, $2, $3, $4, $5, $6) AS h",
        .parameters = parameters,
        .count = 6,
        .on_row = on_greeting,
        .on_end = greeting_done,
        .context = share};
    ask(share, &query);
}

static void settings_made(void *context, const struct link_end *end)
{
    struct share *share = context;
    if (end->result == -ENOTCONN)
        return;
    if (end->result < 0)
        begin_anew(share, end->message);
    else
        greet(share);
}

/* A commit may wait for a standby that is dead; others must not wait for its locks. */
static void on_up(void *context)
{
    struct share *share = context;
    const struct link_query query = {
        .sql = "SELECT set_config('lock_timeout', '5s', false), "
               "set_config('idle_in_transaction_session_timeout', '20s', false), "
               "set_config('extra_float_digits', '0', false)",
        .on_end = settings_made,
        .context = share};
    ask(share, &query);
}

static void on_down(void *context, const char *why)
{
    struct share *share = context;
    if (share->state == SHARE_ENDED)
        return;
    lead_end(share);
    follow_end(share);
    if (share->state != SHARE_AWAY || strcmp(share->why, why) != 0)
        log_warn("share.away", "database=%s why=\"%s\"", address_name(share->address), why);
    share->state = SHARE_AWAY;
    (void)snprintf(share->why, sizeof(share->why), "%s", why);
}

static void on_notify(void *context)
{
    struct share *share = context;
    if (share->state == SHARE_FOLLOWS)
        follow_look(share);
}

static void push_now(void *context)
{
    lead_push(context);
}

/* After the transaction that is being committed, and with what follows it at once. */
static void on_entry(void *context)
{
    struct share *share = context;
    if (share->state == SHARE_LEADS)
        timer_set(loop_timers(share->settings.loop), &share->timer, 0, push_now, share);
}

int share_new(const struct share_settings *settings, struct share **out,
              char why[static SHARE_WHY_SIZE])
{
    const struct libpq *pq = libpq_load(why);
    if (!pq)
        return -ENOSYS;
    struct share *share = calloc(1, sizeof(*share));
    if (!share)
        return -ENOMEM;
    share->settings = *settings;
    share->settings.password = NULL;
    share->pq = pq;
    share->program = strdup(settings->program);
    tag_draw(share->incarnation);
    int r = share->program ? store_share_get(settings->store, &share->row) : -ENOMEM;
    if (r == 0)
        r = address_new(pq, settings->url, settings->password, &share->address, why);
    const struct link_settings link = {.loop = settings->loop,
                                       .pq = pq,
                                       .address = share->address,
                                       .context = share,
                                       .on_up = on_up,
                                       .on_down = on_down,
                                       .on_notify = on_notify};
    if (r == 0)
        r = link_new(&link, &share->link);
    if (r < 0) {
        (void)share_free(share);
        return r;
    }
    store_outbox_watch(settings->store, on_entry, share);
    store_share_await(settings->store);
    *out = share;
    return 0;
}

struct share *share_free(struct share *share)
{
    if (!share)
        return NULL;
    store_outbox_watch(share->settings.store, NULL, NULL);
    timer_cancel(loop_timers(share->settings.loop), &share->timer);
    lead_end(share);
    follow_end(share);
    share->link = link_free(share->link);
    share->address = address_free(share->address);
    buf_fini(&share->page);
    ids_fini(&share->jobs);
    free(share->program);
    free(share);
    return NULL;
}

void share_start(struct share *share, bool can_lead)
{
    share->can_lead = can_lead;
    link_open(share->link);
}

bool share_is_behind(const struct share *share)
{
    struct store_entry entry;
    if (share->state != SHARE_LEADS || store_outbox_next(share->settings.store, 0, &entry) <= 0)
        return false;
    free(entry.text);
    return true;
}

void share_status_get(const struct share *share, struct share_status *out)
{
    *out = (struct share_status){.state = share->state,
                                 .seq = share->row.seq,
                                 .seen_ms = share->seen_ms,
                                 .pushed = share->pushed,
                                 .applied = share->applied,
                                 .connects = share->link ? link_connects(share->link) : 0,
                                 .why = share->why};
    memcpy(out->leader, share->leader, sizeof(out->leader));
}
