/*
 * What: what the files of this layer share. A file calls only files below it in this list:
 *   share.c    the contract: greets the database, and decides whether this host leads or follows
 *   lead.c     pushes what the store has written down
 *   follow.c   fetches entries, or a whole copy, and makes the replica of them
 *   bytes.c    the bytes of users' files as entries, and back
 *   init.c     makes the schema
 *   link.c     one connection that never blocks: connect, one query at a time, notifications
 *   address.c  the URL, and the addresses of its hosts
 *   libpq.c    the functions of libpq, loaded when asked for
 */
#ifndef SRC_SHARE_PRIVATE_H
#define SRC_SHARE_PRIVATE_H

#include "seedancefs/base/buf.h"
#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/ids.h"
#include "seedancefs/base/timer.h"
#include "seedancefs/net/loop.h"
#include "seedancefs/share/share.h"
#include "seedancefs/store/store.h"

#include <libpq-fe.h>

#include <netdb.h>

/* libpq.c: those of libpq.so.5 that are used, by their names without PQ. */
#define LIBPQ_TABLE(X)                                                                             \
    X(conninfoParse)                                                                               \
    X(conninfoFree)                                                                                \
    X(conndefaults)                                                                                \
    X(connectStartParams)                                                                          \
    X(connectdbParams)                                                                             \
    X(connectPoll)                                                                                 \
    X(status)                                                                                      \
    X(user)                                                                                        \
    X(socket)                                                                                      \
    X(setnonblocking)                                                                              \
    X(finish)                                                                                      \
    X(errorMessage)                                                                                \
    X(exec)                                                                                        \
    X(sendQueryParams)                                                                             \
    X(flush)                                                                                       \
    X(consumeInput)                                                                                \
    X(isBusy)                                                                                      \
    X(getResult)                                                                                   \
    X(setSingleRowMode)                                                                            \
    X(clear)                                                                                       \
    X(resultStatus)                                                                                \
    X(resultErrorField)                                                                            \
    X(ntuples)                                                                                     \
    X(getvalue)                                                                                    \
    X(getisnull)                                                                                   \
    X(getlength)                                                                                   \
    X(notifies)                                                                                    \
    X(freemem)
struct libpq {
#define X(name) __typeof__(PQ##name) *name;
    LIBPQ_TABLE(X)
#undef X
};
/* NULL: it is not installed, and `why` says so. Stays loaded. */
const struct libpq *libpq_load(char why[static SHARE_WHY_SIZE]);

/* address.c */
struct address;
/* -EINVAL: a URL with a password, or that libpq does not take; `why` is a sentence. */
int address_new(const struct libpq *pq, const char *url, const struct secret *password,
                struct address **out, char why[static SHARE_WHY_SIZE]) NODISCARD;
struct address *address_free(struct address *address);
/* Begins to look up the names of the hosts: 1 while that lasts, then 0; -EAI_… of getaddrinfo(3) less
 * 1000, when none has an address. */
int address_lookup(struct address *address) NODISCARD;
/* What PQconnectStartParams() takes, lent until the next call. */
int address_parameters_get(struct address *address, const char *const **keywords,
                           const char *const **values) NODISCARD;
const char *address_name(const struct address *address); /* the hosts, for messages */

/* link.c */
struct link;
struct link_settings {
    struct loop *loop;
    const struct libpq *pq;
    struct address *address; /* lent */
    void *context;
    void (*on_up)(void *context);
    /* The connection could not be made, or is lost; a query that was under way has ended before, with
     * -ENOTCONN. It is made again after a while. */
    void (*on_down)(void *context, const char *why);
    void (*on_notify)(void *context);
};
int link_new(const struct link_settings *settings, struct link **out) NODISCARD;
struct link *link_free(struct link *link);
void link_open(struct link *link);
bool link_is_up(const struct link *link);
/* Ends the connection, and makes it again after a while. Not from within a hook of a query. */
void link_reset(struct link *link, const char *why);
/* The connection is of use: should it be lost, it is made again at once. */
void link_settle(struct link *link);
uint64_t link_connects(const struct link *link);

/* The result of a query: its rows, one by one, then its end. Texts are lent. */
struct link_row {
    const struct libpq *pq;
    const PGresult *result;
};
const char *link_text(const struct link_row *row, int column); /* "" for NULL */
size_t link_text_len(const struct link_row *row, int column);
int64_t link_number(const struct link_row *row, int column);
bool link_bool(const struct link_row *row, int column);
typedef int link_row_fn(void *context,
                        const struct link_row *row); /* < 0: no more rows, and that end */
/* 0; -ENOTCONN; what the row function has returned; or -EPROTO with the SQLSTATE and the message of the
 * database. */
struct link_end {
    int result;
    char state[6];
    const char *message;
};
typedef void link_end_fn(void *context, const struct link_end *end);
struct link_query {
    const char *sql;
    const char *const *parameters; /* copied by libpq */
    int count;
    link_row_fn *on_row; /* NULL: there are none of interest */
    link_end_fn *on_end;
    void *context;
    int64_t deadline_ms; /* without any progress; 0: as usual */
};
/* One at a time. `on_end` is called later, unless this fails. */
int link_query(struct link *link, const struct link_query *query) NODISCARD;

/* bytes.c */
enum { BYTES_PART = 1024 * 1024, BYTES_PARTS_MAX = 64, BYTES_ROWS_PER_FILE = 4096 };
struct bytes_reader;
/* Opens the bytes of a file. -ENOENT: it has none (any more). */
int bytes_reader_new(int files_fd, int64_t file_id, struct bytes_reader **out) NODISCARD;
struct bytes_reader *bytes_reader_free(struct bytes_reader *reader);
/* Appends the next part as an entry. */
int bytes_part_write(struct bytes_reader *reader, const char *tag, struct buf *out) NODISCARD;
/* It has not changed since, and is there. */
bool bytes_reader_is_current(const struct bytes_reader *reader);
/* The next part is the last one. */
bool bytes_reader_is_at_last(const struct bytes_reader *reader);
struct collecting;
/* Makes the file what the entry's row says. `file_id` is set once all of it is there, else 0. -ESTALE: the
 * part does not continue those that were collected. */
int bytes_apply(int files_fd, struct collecting *collecting, const char *data, size_t len,
                int64_t *file_id) NODISCARD;
/* A file that has just been made has no bytes yet. */
int bytes_make(int files_fd, int64_t file_id) NODISCARD;
/* The user has removed the file. */
int bytes_remove(int files_fd, int64_t file_id) NODISCARD;

/* tag.c: 128 random bits as hexadecimal digits. */
void tag_draw(char out[static STORE_UID_SIZE]);

/* schema.sql */
extern const char share_schema_sql[];

/* lead.c and follow.c work on the struct share of share.c */
enum { PUSH_EVERY_MS = 5000, PUSH_DEADLINE_MS = 60 * 1000, LOOK_EVERY_MS = 5000 };
/* The file whose bytes are being pushed. */
struct reading {
    struct bytes_reader *reader; /* NULL: none */
    int64_t file_id;
    int64_t number; /* of the outbox: what was said of the file up to here */
    unsigned parts;
    char tag[STORE_UID_SIZE];
};
/* The file whose parts are being collected. */
struct collecting {
    int64_t file_id; /* 0: none */
    int64_t part;    /* the next one */
    char version[STORE_UID_SIZE];
};
struct share {
    struct share_settings settings;
    const struct libpq *pq;
    struct address *address;
    struct link *link;
    struct store_share row; /* as it is in the store */
    char incarnation[STORE_UID_SIZE];
    char *program;
    enum share_state state;
    bool is_ready;              /* on_ready was called */
    char host[SHARE_NAME_SIZE]; /* this one's role */
    char leader[SHARE_NAME_SIZE];
    char why[SHARE_WHY_SIZE];
    int64_t seen_ms;
    uint64_t pushed;
    uint64_t applied;
    /* What the database has told at the last greeting. */
    char cluster[STORE_UID_SIZE];
    bool can_read;
    bool can_write;
    bool is_known;
    bool is_asking_for_next;     /* that was the question: see greet() */
    bool can_lead;               /* there is an API key */
    bool is_lead_taken;          /* on this connection, or before */
    bool is_incarnation_leading; /* the lease is that of this very run */
    int64_t epoch;
    int64_t renewals;
    int64_t log_seq;
    char log_place[8];
    struct timer timer; /* the next look, or push */
    /* lead.c */
    struct store_progress pushing; /* what is under way, once it is confirmed */
    size_t pushing_count;
    char pushing_tag[STORE_UID_SIZE]; /* of the last of it */
    struct reading reading;
    int64_t failed_file_id; /* it could not be read, and is not tried before */
    int64_t failed_until_ms;
    bool is_refill_wanted; /* the database lacks something */
    bool was_entry;        /* the last push had entries: it is the turn of a part */
    void (*on_recognised)(struct share *share, int result);
    bool is_querying; /* lead.c, follow.c: a query of theirs is under way */
    bool is_wanted;   /* again, once that has ended */
    /* follow.c */
    int table;     /* of the copy: its number, and */
    int64_t after; /* the last id */
    struct buf page;
    size_t page_rows;
    bool is_page_empty;
    int64_t copy_seq;
    char copy_tag[STORE_UID_SIZE];
    struct collecting collecting;
    int64_t missing_file; /* whose last part has come, but not all before it; 0: none */
    bool is_place_seen;   /* the entry that was applied last is in the log still */
    struct ids jobs;      /* whose rows were changed since they were told */
};
void lead_begin(struct share *share);
void lead_end(struct share *share);
void lead_push(struct share *share); /* there is something */
/* Whether what is in the log after this host's place is what waits here: 0, and it waits no more; -ESTALE: it
 * is not; or another error, after which nothing is known. */
void lead_recognise(struct share *share, void (*fn)(struct share *share, int result));
void follow_begin(struct share *share);
void follow_end(struct share *share);
void follow_look(struct share *share); /* there may be something */

#endif
