/*
 * One connection to the database, which never blocks: libpq's asynchronous functions
 * (https://www.postgresql.org/docs/15/libpq-async.html) in our loop. It is made again, after a while that
 * grows to a minute, whenever it is lost. Whatever does not go on for DEADLINE_MS is given up.
 */
#include "share_private.h"

#include "seedancefs/base/clock.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/number.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEADLINE_MS = 10 * 1000,
    LOOKUP_MS = 20,
    AGAIN_FIRST_MS = 500,
    AGAIN_MAX_MS = 30 * 1000,
    RESULTS_PER_TURN = 64,
};

enum link_state { LINK_DOWN, LINK_LOOKING, LINK_CONNECTING, LINK_UP };

struct link {
    struct link_settings settings;
    enum link_state state;
    PGconn *connection;
    struct loop_watch watch;
    struct timer again;    /* to connect, to look for addresses, or to go on with results */
    struct timer deadline; /* of the connecting, or of the query */
    int64_t again_ms;
    uint64_t connects;
    bool is_querying;
    struct link_query query;
    int row_result; /* what the row function has returned */
    struct link_end end;
    char message[SHARE_WHY_SIZE];
};

static struct timers *timers(const struct link *link)
{
    return loop_timers(link->settings.loop);
}

static void on_socket(void *context, short revents);
static void link_lost(struct link *link, const char *why);

/* A socket of libpq may be another one after each step of the connecting. */
static int watch_set(struct link *link, short events)
{
    int fd = link->settings.pq->socket(link->connection);
    if (link->watch.is_added && link->watch.fd == fd && link->watch.events == events)
        return 0;
    loop_watch_remove(link->settings.loop, &link->watch);
    link->watch = (struct loop_watch){.fd = fd, .events = events, .fn = on_socket, .context = link};
    return fd < 0 ? -ENOTCONN : loop_watch_add(link->settings.loop, &link->watch);
}

static void connection_close(struct link *link)
{
    loop_watch_remove(link->settings.loop, &link->watch);
    if (link->connection)
        link->settings.pq->finish(link->connection);
    link->connection = NULL;
    link->state = LINK_DOWN;
    timer_cancel(timers(link), &link->again);
    timer_cancel(timers(link), &link->deadline);
}

static void query_end(struct link *link)
{
    struct link_query query = link->query;
    struct link_end end = link->end;
    link->is_querying = false;
    timer_cancel(timers(link), &link->deadline);
    if (end.result == 0 && link->row_result < 0)
        end.result = link->row_result;
    if (query.on_end)
        query.on_end(query.context, &end);
}

/* One line, of what libpq says in several. */
static void message_copy(char out[static SHARE_WHY_SIZE], const char *message)
{
    size_t len = message ? strlen(message) : 0;
    (void)snprintf(out, SHARE_WHY_SIZE, "%s", len ? message : "no reason is known");
    for (char *p = out; *p; p++)
        *p = *p == '\n' || *p == '\t' ? ' ' : *p;
    for (len = strlen(out); len > 0 && out[len - 1] == ' '; len--)
        out[len - 1] = '\0';
}

static void on_again(void *context)
{
    link_open(context);
}

static void link_lost(struct link *link, const char *why)
{
    char message[SHARE_WHY_SIZE];
    message_copy(message, why);
    connection_close(link);
    if (link->is_querying) {
        link->end = (struct link_end){.result = -ENOTCONN, .message = message};
        query_end(link);
    }
    int64_t delay_ms = link->again_ms;
    link->again_ms = delay_ms * 2 < AGAIN_MAX_MS ? delay_ms * 2 : AGAIN_MAX_MS;
    timer_set(timers(link), &link->again, delay_ms, on_again, link);
    link->settings.on_down(link->settings.context, message);
}

static void on_deadline(void *context)
{
    struct link *link = context;
    link_lost(link, link->state == LINK_LOOKING      ? "the name of its host was not found in time"
                    : link->state == LINK_CONNECTING ? "it has not answered in time"
                                                     : "a query was not answered in time");
}

static void deadline_set(struct link *link)
{
    int64_t query_ms = link->is_querying ? link->query.deadline_ms : 0;
    timer_set(timers(link), &link->deadline, query_ms ? query_ms : DEADLINE_MS, on_deadline, link);
}

static void on_connect_step(struct link *link)
{
    const struct libpq *pq = link->settings.pq;
    PostgresPollingStatusType step = pq->connectPoll(link->connection);
    int r = 0;
    if (step == PGRES_POLLING_READING || step == PGRES_POLLING_WRITING) {
        r = watch_set(link, step == PGRES_POLLING_READING ? POLLIN : POLLOUT);
    } else if (step == PGRES_POLLING_OK) {
        r = pq->setnonblocking(link->connection, 1) < 0 ? -EIO : watch_set(link, POLLIN);
        if (r == 0) {
            timer_cancel(timers(link), &link->deadline);
            link->state = LINK_UP;
            link->connects++;
            link->settings.on_up(link->settings.context);
        }
    } else {
        r = -EIO;
    }
    if (r < 0)
        link_lost(link, pq->errorMessage(link->connection));
}

static void lookup_step(void *context)
{
    struct link *link = context;
    const struct libpq *pq = link->settings.pq;
    const char *const *keywords;
    const char *const *values;
    int r = address_lookup(link->settings.address);
    if (r > 0) {
        timer_set(timers(link), &link->again, LOOKUP_MS, lookup_step, link);
        return;
    }
    if (r < 0) {
        link_lost(link, gai_strerror(r + 1000));
        return;
    }
    r = address_parameters_get(link->settings.address, &keywords, &values);
    link->connection = r == 0 ? pq->connectStartParams(keywords, values, 0) : NULL;
    if (!link->connection || pq->status(link->connection) == CONNECTION_BAD) {
        link_lost(link, link->connection ? pq->errorMessage(link->connection) : "no memory");
        return;
    }
    link->state = LINK_CONNECTING;
    r = watch_set(link, POLLOUT); /* as its document says, before the first PQconnectPoll() */
    if (r < 0)
        link_lost(link, err_sentence(r));
}

void link_open(struct link *link)
{
    if (link->state != LINK_DOWN)
        return;
    link->state = LINK_LOOKING;
    deadline_set(link);
    lookup_step(link);
}

/* The rows of a result that is one row, or the end of all. */
static void on_result(struct link *link, const PGresult *result)
{
    const struct libpq *pq = link->settings.pq;
    ExecStatusType status = pq->resultStatus(result);
    const struct link_row row = {.pq = pq, .result = result};
    if (status == PGRES_SINGLE_TUPLE && link->query.on_row && link->row_result == 0) {
        link->row_result = link->query.on_row(link->query.context, &row);
    } else if (status != PGRES_SINGLE_TUPLE && status != PGRES_TUPLES_OK &&
               status != PGRES_COMMAND_OK && link->end.result == 0) {
        const char *state = pq->resultErrorField(result, PG_DIAG_SQLSTATE);
        message_copy(link->message, pq->resultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
        link->end = (struct link_end){.result = -EPROTO, .message = link->message};
        (void)snprintf(link->end.state, sizeof(link->end.state), "%s", state ? state : "");
    }
}

static void notifies_read(struct link *link)
{
    const struct libpq *pq = link->settings.pq;
    PGnotify *notify;
    bool has_any = false;
    while ((notify = pq->notifies(link->connection))) {
        pq->freemem(notify);
        has_any = true;
    }
    if (has_any)
        link->settings.on_notify(link->settings.context);
}

/* Some of what libpq has received; the rest in the next turn. A hook may have ended the connection. */
static void results_read(void *context)
{
    struct link *link = context;
    const struct libpq *pq = link->settings.pq;
    for (int left = RESULTS_PER_TURN; link->is_querying && link->connection; left--) {
        if (pq->isBusy(link->connection))
            break;
        if (left == 0) {
            timer_set(timers(link), &link->again, 0, results_read, link);
            return;
        }
        PGresult *result = pq->getResult(link->connection);
        if (!result) {
            query_end(link);
            break;
        }
        deadline_set(link);
        on_result(link, result);
        pq->clear(result);
    }
    if (link->state == LINK_UP)
        notifies_read(link);
}

/* What is to be sent, while the socket takes it. */
static int flush(struct link *link)
{
    int left = link->settings.pq->flush(link->connection);
    return left < 0 ? -EIO : watch_set(link, left > 0 ? POLLIN | POLLOUT : POLLIN);
}

static void on_socket(void *context, short revents UNUSED)
{
    struct link *link = context;
    const struct libpq *pq = link->settings.pq;
    if (link->state == LINK_CONNECTING) {
        on_connect_step(link);
        return;
    }
    if (link->is_querying)
        deadline_set(link); /* it goes on */
    int r = pq->consumeInput(link->connection) ? flush(link) : -EIO;
    if (r < 0 || pq->status(link->connection) == CONNECTION_BAD) {
        link_lost(link, pq->errorMessage(link->connection));
        return;
    }
    results_read(link);
}

int link_query(struct link *link, const struct link_query *query)
{
    const struct libpq *pq = link->settings.pq;
    if (link->state != LINK_UP)
        return -ENOTCONN;
    if (link->is_querying)
        return -EBUSY;
    if (!pq->sendQueryParams(link->connection, query->sql, query->count, NULL, query->parameters,
                             NULL, NULL, 0)) {
        timer_set(timers(link), &link->deadline, 0, on_deadline, link); /* or no memory */
        return -ENOTCONN;
    }
    (void)pq->setSingleRowMode(link->connection);
    link->query = *query;
    link->end = (struct link_end){.message = ""};
    link->row_result = 0;
    link->is_querying = true;
    deadline_set(link);
    (void)!flush(link); /* an error shows at the socket */
    return 0;
}

const char *link_text(const struct link_row *row, int column)
{
    return row->pq->getisnull(row->result, 0, column) ? ""
                                                      : row->pq->getvalue(row->result, 0, column);
}

size_t link_text_len(const struct link_row *row, int column)
{
    return (size_t)row->pq->getlength(row->result, 0, column);
}

int64_t link_number(const struct link_row *row, int column)
{
    return strtoll(link_text(row, column), NULL, 10);
}

bool link_bool(const struct link_row *row, int column)
{
    return link_text(row, column)[0] == 't';
}

bool link_is_up(const struct link *link)
{
    return link->state == LINK_UP;
}

void link_settle(struct link *link)
{
    link->again_ms = AGAIN_FIRST_MS;
}

uint64_t link_connects(const struct link *link)
{
    return link->connects;
}

void link_reset(struct link *link, const char *why)
{
    link_lost(link, why);
}

int link_new(const struct link_settings *settings, struct link **out)
{
    struct link *link = calloc(1, sizeof(*link));
    if (!link)
        return -ENOMEM;
    link->settings = *settings;
    link->again_ms = AGAIN_FIRST_MS;
    *out = link;
    return 0;
}

struct link *link_free(struct link *link)
{
    if (!link)
        return NULL;
    connection_close(link);
    free(link);
    return NULL;
}
