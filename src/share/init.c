/*
 * Makes the schema, as `psql -f schema.sql` would. This is a command of its own, which nobody waits for but
 * the person who has given it: it may block.
 */
#include "share_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int schema_make(const struct libpq *pq, PGconn *connection, char why[static SHARE_WHY_SIZE])
{
    int r = 0;
    PGresult *result = pq->exec(connection, share_schema_sql);
    ExecStatusType status = pq->resultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        const char *message = pq->resultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        const char *hint = pq->resultErrorField(result, PG_DIAG_MESSAGE_HINT);
        (void)snprintf(why, SHARE_WHY_SIZE, "the schema was not made: %.400s%s%.400s",
                       message ? message : pq->errorMessage(connection), hint ? " " : "",
                       hint ? hint : "");
        r = -EPROTO;
    }
    pq->clear(result);
    return r;
}

int share_init(const char *url, const struct secret *password, char why[static SHARE_WHY_SIZE])
{
    struct address *address = NULL;
    const char *const *keywords;
    const char *const *values;
    const struct libpq *pq = libpq_load(why);
    int r = pq ? address_new(pq, url, password, &address, why) : -ENOSYS;
    if (r == 0)
        r = address_parameters_get(address, &keywords, &values);
    PGconn *connection = r == 0 ? pq->connectdbParams(keywords, values, 0) : NULL;
    if (connection && pq->status(connection) != CONNECTION_OK) {
        (void)snprintf(why, SHARE_WHY_SIZE, "the database cannot be reached: %.500s",
                       pq->errorMessage(connection));
        r = -ENOTCONN;
    } else if (connection) {
        r = schema_make(pq, connection, why);
    }
    if (connection)
        pq->finish(connection);
    (void)address_free(address);
    for (size_t len = strlen(why); r < 0 && len > 0 && why[len - 1] == '\n'; len--)
        why[len - 1] = '\0';
    return r;
}
