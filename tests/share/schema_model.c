/*
 * Random calls of the functions in src/share/schema.sql, against what must be then:
 *     schema_model SEED OPERATIONS
 *
 * The database comes from PGHOST, PGPORT and PGDATABASE; PGUSER and PGPASSWORD are the owner's. The hosts' roles are ws0
 * to ws3, with the password `host`. All that the schema holds is erased first. After every COMPARE_EVERY operations, and
 * after each one that surprised, the tables are compared with the model, all of them. Exits 1 at the first difference,
 * with the seed, the number of the operation and its text.
 *
 * Two hosts may call at the same moment: the owner locks the lease, both wait for it, the owner lets go. Then one of
 * them must have come before the other.
 *
 * Left out: the texts of errors, the clocks (what is older than 30 days was made so by an UPDATE), NOTIFY, and rights,
 * which tests/e2e/share_schema.bats tests.
 */
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    HOSTS = 4,
    KINDS = 3,
    IDS = 5,
    FIELDS = 4,
    TAG_DIGITS = 32,
    ENTRIES_MAX = 400,
    ROWS_MAX = 4,
    TRIM_MAX = 1000,
    COMPARE_EVERY = 50,
    PARAMETERS_MAX = 6,
};

static const char *const host_names[HOSTS] = {"ws0", "ws1", "ws2", "ws3"};
static const char *const kind_names[KINDS] = {"attempt", "job", "take_prompt"};
/* In the order in which the database sorts them. */
static const int64_t ids[IDS] = {-7, 1, 2, 4096001, INT64_MAX};

/* A row's data is an object of the members a, b, c and d; ABSENT is one that is not there. */
enum { ABSENT = -1 };
struct row {
    bool is_there;
    int fields[FIELDS];
};

struct change {
    int64_t epoch;
    int host;
    bool is_old; /* made more than 30 days ago */
    char tag[TAG_DIGITS + 1];
    char *entry; /* as PostgreSQL writes it */
};

struct host {
    bool is_there;
    char incarnation[TAG_DIGITS + 1];
    char program[16];
};

struct model {
    struct host hosts[HOSTS];
    int64_t epoch;
    int64_t renewals;
    int leader; /* -1: nobody */
    char leader_incarnation[TAG_DIGITS + 1];
    struct change *changes; /* that of seq is at seq - 1 */
    int64_t trimmed;        /* so many are no longer kept */
    int64_t latest;
    struct row mirror[KINDS][IDS];
};

static struct model model;
static PGconn *owner;
static PGconn *hosts[HOSTS];
static char cluster[TAG_DIGITS + 1];
/* What each host's program believes itself to be, known or not. */
static char own_incarnations[HOSTS][TAG_DIGITS + 1];

static uint64_t seed;
static uint64_t random_state;
static int64_t operation;
static char *operation_text;

_Noreturn static void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("seed %" PRIu64 ", operation %" PRId64 ": %.3000s\n  ", seed, operation,
           operation_text ? operation_text : "none");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    exit(1);
}

static void *must(void *allocated)
{
    if (!allocated)
        fail("no memory");
    return allocated;
}

/* splitmix64 */
static uint64_t random_bits(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static int random_below(int limit)
{
    return (int)(random_bits() % (uint64_t)limit);
}

static bool random_is(int percent)
{
    return random_below(100) < percent;
}

static void random_digits(char out[TAG_DIGITS + 1])
{
    snprintf(out, TAG_DIGITS + 1, "%016" PRIx64 "%016" PRIx64, random_bits(), random_bits());
}

/* A number as a text; valid until eight more were made. */
static const char *number_text(int64_t number)
{
    static char texts[8][24];
    static int next;
    char *text = texts[next++ % 8];
    snprintf(text, sizeof(texts[0]), "%" PRId64, number);
    return text;
}

static struct change *change_of(int64_t seq)
{
    return &model.changes[seq - 1];
}

/* --- Calls --- */

struct call {
    int host;
    const char *sql;
    int count;
    const char *parameters[PARAMETERS_MAX];
};

static void describe(const struct call *calls, int count)
{
    size_t size;
    free(operation_text);
    FILE *stream = must(open_memstream(&operation_text, &size));
    for (int i = 0; i < count; i++) {
        fprintf(stream, "%s%s: %s", i ? "; at the same moment " : "", host_names[calls[i].host],
                calls[i].sql);
        for (int j = 0; j < calls[i].count; j++)
            fprintf(stream, " $%d=%.700s", j + 1,
                    calls[i].parameters[j] ? calls[i].parameters[j] : "NULL");
    }
    fclose(stream);
}

/* The SQLSTATE of a result, "" if it is good. */
static const char *result_state(PGconn *connection, const PGresult *result)
{
    if (PQresultStatus(result) == PGRES_TUPLES_OK || PQresultStatus(result) == PGRES_COMMAND_OK)
        return "";
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (!state)
        fail("connection: %s", PQerrorMessage(connection));
    return state;
}

static void expect_state(PGconn *connection, const PGresult *result, const char *expected)
{
    const char *state = result_state(connection, result);
    if (strcmp(state, expected) != 0)
        fail("SQLSTATE must be '%s', and is '%s': %s", expected, state, PQerrorMessage(connection));
}

/* How often each answer was right: one that never comes proves nothing. */
static const char *const states[] = {"",      "SD010", "SD020", "SD021",
                                     "SD022", "SD023", "SD024", "SD025"};
enum { STATES = sizeof(states) / sizeof(states[0]) };
static int state_counts[STATES];

static void state_count(const char *state)
{
    for (int i = 0; i < STATES; i++)
        state_counts[i] += strcmp(states[i], state) == 0;
}

static PGresult *call_run(const struct call *call, const char *expected)
{
    describe(call, 1);
    PGresult *result = PQexecParams(hosts[call->host], call->sql, call->count, NULL,
                                    call->parameters, NULL, NULL, 0);
    expect_state(hosts[call->host], result, expected);
    state_count(expected);
    return result;
}

static PGresult *owner_run(const char *sql)
{
    PGresult *result = PQexec(owner, sql);
    expect_state(owner, result, "");
    return result;
}

static void owner_do(const char *sql)
{
    PQclear(owner_run(sql));
}

/* expected NULL: the cell must be NULL. */
static void expect_cell(const PGresult *result, int row, int column, const char *expected)
{
    const char *is = PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column);
    if (!is != !expected || (is && strcmp(is, expected) != 0))
        fail("row %d: %s must be %s, and is %s", row, PQfname(result, column),
             expected ? expected : "NULL", is ? is : "NULL");
}

static void expect_cells(const PGresult *result, int row, const char *const *expected, int count)
{
    for (int i = 0; i < count; i++)
        expect_cell(result, row, i, expected[i]);
}

/* --- The whole of it --- */

static void row_print(FILE *stream, const struct row *row)
{
    const char *separator = "";
    fprintf(stream, "{");
    for (int i = 0; i < FIELDS; i++)
        if (row->fields[i] != ABSENT) {
            fprintf(stream, "%s\"%c\": %d", separator, 'a' + i, row->fields[i]);
            separator = ", ";
        }
    fprintf(stream, "}");
}

static void expect_row_count(const PGresult *result, const char *table, int64_t expected)
{
    if (PQntuples(result) != expected)
        fail("%s must have %" PRId64 " rows, and has %d", table, expected, PQntuples(result));
}

static void compare_hosts(void)
{
    int row = 0;
    int count = 0;
    PGresult *result = owner_run("select name, incarnation, program from seedance.host "
                                 "where seen <= clock_timestamp() order by name");
    for (int i = 0; i < HOSTS; i++)
        count += model.hosts[i].is_there;
    expect_row_count(result, "host", count);
    for (int i = 0; i < HOSTS; i++)
        if (model.hosts[i].is_there)
            expect_cells(
                result, row++,
                (const char *[]){host_names[i], model.hosts[i].incarnation, model.hosts[i].program},
                3);
    PQclear(result);
}

static void compare_lease(void)
{
    PGresult *result = owner_run("select epoch, host, incarnation, renewals from seedance.lease");
    bool is_led = model.leader >= 0;
    expect_row_count(result, "lease", 1);
    expect_cells(
        result, 0,
        (const char *[]){number_text(model.epoch), is_led ? host_names[model.leader] : NULL,
                         is_led ? model.leader_incarnation : NULL, number_text(model.renewals)},
        4);
    PQclear(result);
}

static void compare_changes(void)
{
    PGresult *result = owner_run("select seq, epoch, tag, host, entry::text from seedance.change "
                                 "where made is not null order by seq");
    expect_row_count(result, "change", model.latest - model.trimmed);
    for (int64_t seq = model.trimmed + 1; seq <= model.latest; seq++) {
        const struct change *change = change_of(seq);
        expect_cells(result, (int)(seq - model.trimmed - 1),
                     (const char *[]){number_text(seq), number_text(change->epoch), change->tag,
                                      host_names[change->host], change->entry},
                     5);
    }
    PQclear(result);
}

static void compare_mirror(void)
{
    int row = 0;
    int count = 0;
    PGresult *result = owner_run("select kind, id, data::text from seedance.mirror "
                                 "order by kind collate \"C\", id");
    for (int kind = 0; kind < KINDS; kind++)
        for (int id = 0; id < IDS; id++)
            count += model.mirror[kind][id].is_there;
    expect_row_count(result, "mirror", count);
    for (int kind = 0; kind < KINDS; kind++)
        for (int id = 0; id < IDS; id++) {
            if (!model.mirror[kind][id].is_there)
                continue;
            char *data;
            size_t size;
            FILE *stream = must(open_memstream(&data, &size));
            row_print(stream, &model.mirror[kind][id]);
            fclose(stream);
            expect_cells(result, row++,
                         (const char *[]){kind_names[kind], number_text(ids[id]), data}, 3);
            free(data);
        }
    PQclear(result);
}

static void compare_all(void)
{
    compare_lease();
    compare_hosts();
    compare_changes();
    compare_mirror();
}

/* --- hello --- */

static const char *incarnation_of(int host)
{
    return model.hosts[host].is_there ? model.hosts[host].incarnation : "none";
}

/* Mostly the one that the database knows of this host. The result is valid until the next call. */
static const char *incarnation_choose(int host)
{
    static char other[TAG_DIGITS + 1];
    int choice = random_below(20);
    if (choice < 15)
        return incarnation_of(host);
    if (choice < 17)
        return own_incarnations[host];
    if (choice < 18)
        return incarnation_of(random_below(HOSTS));
    random_digits(other);
    return choice < 19 ? other : NULL;
}

static const char *place_of(int64_t seq, const char *tag)
{
    if (seq > model.latest)
        return "other";
    if (seq == 0 && model.trimmed == 0)
        return "same";
    if (seq <= model.trimmed)
        return seq == model.trimmed ? "edge" : "old";
    return tag && strcmp(change_of(seq)->tag, tag) == 0 ? "same" : "other";
}

static int64_t seq_choose(void)
{
    int choice = random_below(10);
    if (choice < 2 || model.latest == 0)
        return random_below(3);
    if (choice < 6)
        return (int64_t)(random_bits() % (uint64_t)(model.latest < 3 ? model.latest : 3)) +
               (model.latest < 3 ? 1 : model.latest - 2);
    if (choice < 7)
        return model.latest + 1 + random_below(3);
    if (choice < 8)
        return model.trimmed + random_below(2);
    return 1 + (int64_t)(random_bits() % (uint64_t)model.latest);
}

static void hello_refused(struct call *call)
{
    int choice = random_below(4);
    if (choice < 2)
        call->parameters[0] = choice ? "" : NULL;
    else if (choice < 3)
        call->parameters[3] = NULL;
    else
        call->parameters[4] = random_is(50) ? "-1" : NULL;
    PQclear(call_run(call, "SD010"));
}

static void hello(void)
{
    static int programs;
    int host = random_below(HOSTS);
    struct host *stored = &model.hosts[host];
    char incarnation[TAG_DIGITS + 1];
    char tag_buffer[TAG_DIGITS + 1];
    char program[16];
    /* A new program, or one that connects again. */
    if (random_is(60) || !own_incarnations[host][0])
        random_digits(incarnation);
    else
        snprintf(incarnation, sizeof(incarnation), "%s", own_incarnations[host]);
    const char *previous = random_is(15) ? NULL : incarnation_choose(host);
    snprintf(program, sizeof(program), "program %d", programs++ % 1000);
    int version = random_below(3);
    int64_t seq = seq_choose();
    const char *tag = NULL;
    random_digits(tag_buffer);
    if (seq > model.trimmed && seq <= model.latest && random_is(70))
        tag = change_of(seq)->tag;
    else if (random_is(80))
        tag = tag_buffer;
    struct call call = {
        .host = host,
        .sql = "select * from seedance.hello($1, $2, $3, $4, $5, $6)",
        .count = 6,
        .parameters = {incarnation, previous, program, number_text(version), number_text(seq), tag},
    };
    if (random_is(4)) {
        hello_refused(&call);
        return;
    }
    bool leads_elsewhere =
        model.leader == host && strcmp(model.leader_incarnation, incarnation) != 0;
    bool is_known = !previous
                        ? !leads_elsewhere
                        : !stored->is_there || strcmp(previous, stored->incarnation) == 0 ||
                              strcmp(incarnation, stored->incarnation) == 0 || seq > model.latest;
    PGresult *result = call_run(&call, "");
    bool is_led = model.leader >= 0;
    const char *can = version >= 1 ? "t" : "f";
    const char *expected[] = {cluster,
                              "1",
                              can,
                              can,
                              is_known ? "t" : "f",
                              number_text(model.epoch),
                              is_led ? host_names[model.leader] : NULL,
                              is_led ? model.leader_incarnation : NULL,
                              number_text(model.renewals),
                              number_text(model.latest),
                              place_of(seq, tag)};
    expect_row_count(result, "hello's result", 1);
    expect_cells(result, 0, expected, (int)(sizeof(expected) / sizeof(expected[0])));
    PQclear(result);
    memcpy(own_incarnations[host], incarnation, sizeof(incarnation));
    if (is_known) {
        stored->is_there = true;
        memcpy(stored->incarnation, incarnation, sizeof(incarnation));
        memcpy(stored->program, program, sizeof(program));
    }
}

/* --- take_lead --- */

/* A call, and what the model says of it. */
struct lead {
    char incarnation[TAG_DIGITS + 1];
    bool has_incarnation;
    char epoch[24];
    char renewals[24];
    struct call call;
};

/* is_wrong is how often, of a hundred, something in it does not fit. */
static void lead_choose(struct lead *lead, int host, int is_wrong)
{
    const char *incarnation = random_is(is_wrong) ? incarnation_choose(host) : incarnation_of(host);
    int64_t epoch = model.epoch + (random_is(is_wrong) ? random_below(3) - 1 : 0);
    int64_t renewals = model.renewals + (random_is(is_wrong) ? random_below(3) - 1 : 0);
    lead->has_incarnation = incarnation != NULL;
    snprintf(lead->incarnation, sizeof(lead->incarnation), "%s", incarnation ? incarnation : "");
    snprintf(lead->epoch, sizeof(lead->epoch), "%" PRId64, epoch);
    snprintf(lead->renewals, sizeof(lead->renewals), "%" PRId64, renewals);
    lead->call = (struct call){
        .host = host,
        .sql = "select seedance.take_lead($1, $2, $3)",
        .count = 3,
        .parameters = {incarnation ? lead->incarnation : NULL,
                       random_is(is_wrong / 10) ? NULL : lead->epoch,
                       random_is(is_wrong / 10) ? NULL : lead->renewals},
    };
}

static const char *lead_state(const struct lead *lead)
{
    const struct host *stored = &model.hosts[lead->call.host];
    if (!lead->has_incarnation || !stored->is_there ||
        strcmp(stored->incarnation, lead->incarnation) != 0)
        return "SD020";
    if (!lead->call.parameters[1] || strcmp(lead->epoch, number_text(model.epoch)) != 0 ||
        !lead->call.parameters[2] || strcmp(lead->renewals, number_text(model.renewals)) != 0)
        return "SD021";
    return "";
}

static void lead_apply(const struct lead *lead, const PGresult *result)
{
    model.epoch++;
    model.leader = lead->call.host;
    memcpy(model.leader_incarnation, lead->incarnation, sizeof(lead->incarnation));
    expect_cell(result, 0, 0, number_text(model.epoch));
}

static void take_lead(void)
{
    struct lead lead;
    lead_choose(&lead, random_below(HOSTS), 20);
    const char *state = lead_state(&lead);
    PGresult *result = call_run(&lead.call, state);
    if (!*state)
        lead_apply(&lead, result);
    PQclear(result);
}

/* --- push --- */

struct push {
    char incarnation[TAG_DIGITS + 1];
    bool has_incarnation;
    int64_t epoch;
    int64_t seq;
    char epoch_text[24];
    char seq_text[24];
    char *entries; /* NULL: the argument is NULL */
    bool is_array; /* the argument is an array */
    bool is_malformed;
    bool is_merge_refused;
    int count;
    char *stored[ENTRIES_MAX]; /* each as PostgreSQL writes it, without its tag */
    char tags[ENTRIES_MAX][TAG_DIGITS + 1];
    struct row mirror[KINDS][IDS]; /* after it */
    struct call call;
};

static const char *const malformed_entries[] = {
    "null",
    "1",
    "\"entry\"",
    "[]",
    "{}",
    "{\"rows\": []}",
    "{\"tag\": null, \"rows\": []}",
    "{\"tag\": 1, \"rows\": []}",
    "{\"tag\": \"0123456789abcdef0123456789abcde\", \"rows\": []}",
    "{\"tag\": \"0123456789abcdef0123456789abcdef0\", \"rows\": []}",
    "{\"tag\": \"0123456789ABCDEF0123456789abcdef\", \"rows\": []}",
    "{\"tag\": \"0123456789abcdef0123456789abcdef\\n\", \"rows\": []}",
    "{\"tag\": \"0123456789abcdef0123456789abcdef\"}",
    "{\"tag\": \"0123456789abcdef0123456789abcdef\", \"rows\": null}",
    "{\"tag\": \"0123456789abcdef0123456789abcdef\", \"rows\": {}}",
};

static const char *const malformed_rows[] = {
    "null",
    "{}",
    "[]",
    "[\"job\", 1]",
    "[\"job\", 1, {}, true, 1]",
    "[null, 1, {}]",
    "[1, 1, {}]",
    "[\"\", 1, {}]",
    "[\"Job\", 1, {}]",
    "[\"job; drop\", 1, {}]",
    "[\"job\", null, {}]",
    "[\"job\", \"1\", {}]",
    "[\"job\", 1.5, {}]",
    "[\"job\", 1e400, {}]",
    "[\"job\", 9223372036854775808, {}]",
    "[\"job\", -9223372036854775809, {}]",
    "[\"job\", 1, []]",
    "[\"job\", 1, 1]",
    "[\"job\", 1, \"data\"]",
    "[\"job\", 1, null, true]",
    "[\"job\", 1, {}, 1]",
    "[\"job\", 1, {}, null]",
    "[\"job\", 1, {}, \"true\"]",
};

#define CHOOSE(array) (array)[random_below((int)(sizeof(array) / sizeof((array)[0])))]

/* One with hundreds of entries would be wrong nearly always. */
static bool push_may_be_wrong(const struct push *push)
{
    return push->count < ENTRIES_MAX;
}

/* One row of an entry, applied to the push's mirror. */
static void push_row(struct push *push, FILE *out)
{
    int kind = random_below(KINDS);
    int id = random_below(IDS);
    int choice = random_below(10);
    bool has_partial = random_is(40);
    struct row *row = &push->mirror[kind][id];
    struct row data = {.is_there = true};
    for (int i = 0; i < FIELDS; i++)
        data.fields[i] = random_is(50) ? random_below(1000) : ABSENT;
    /* A merge into what is not there is to be seldom enough. */
    bool is_partial = choice < 4 && (row->is_there || (push_may_be_wrong(push) && random_is(10)));
    fprintf(out, "[\"%s\", %" PRId64 ", ", kind_names[kind], ids[id]);
    if (choice >= 8) {
        row->is_there = false;
        fprintf(out, "null");
    } else {
        row_print(out, &data);
        if (!is_partial)
            *row = data;
        else if (!row->is_there)
            push->is_merge_refused = true;
        for (int i = 0; is_partial && i < FIELDS; i++)
            if (data.fields[i] != ABSENT)
                row->fields[i] = data.fields[i];
    }
    fprintf(out, "%s]", is_partial ? ", true" : has_partial ? ", false" : "");
}

static void push_rows(struct push *push, FILE *out, int count)
{
    fprintf(out, "[");
    for (int i = 0; i < count; i++) {
        fprintf(out, "%s", i ? ", " : "");
        if (push_may_be_wrong(push) && random_below(200) == 0) {
            push->is_malformed = true;
            fprintf(out, "%s", CHOOSE(malformed_rows));
        } else {
            push_row(push, out);
        }
    }
    fprintf(out, "]");
}

static void push_entry(struct push *push, FILE *out, int number)
{
    size_t size;
    if (push_may_be_wrong(push) && random_below(100) == 0) {
        push->is_malformed = true;
        fprintf(out, "%s", CHOOSE(malformed_entries));
        return;
    }
    FILE *stored = must(open_memstream(&push->stored[number], &size));
    int note = random_below(100);
    bool is_begin = random_is(number == 0 ? 10 : push_may_be_wrong(push) ? 1 : 0);
    if (is_begin && number == 0)
        memset(push->mirror, 0, sizeof(push->mirror));
    push->is_malformed = push->is_malformed || (is_begin && number > 0);
    fprintf(stored, "{");
    if (note < 50)
        fprintf(stored, "\"note\": %d, ", note);
    fprintf(stored, "\"rows\": ");
    push_rows(push, stored, random_below(ROWS_MAX + 1));
    fprintf(stored, "%s}", is_begin ? ", \"begin\": true" : "");
    fclose(stored);
    random_digits(push->tags[number]);
    fprintf(out, "{\"tag\": \"%s\", %s", push->tags[number], push->stored[number] + 1);
}

static void push_choose(struct push *push, int host, int is_wrong)
{
    size_t size;
    *push = (struct push){.is_array = true, .epoch = model.epoch, .seq = model.latest};
    memcpy(push->mirror, model.mirror, sizeof(push->mirror));
    const char *incarnation = random_is(is_wrong) || model.leader < 0 ? incarnation_choose(host)
                                                                      : model.leader_incarnation;
    push->has_incarnation = incarnation != NULL;
    snprintf(push->incarnation, sizeof(push->incarnation), "%s", incarnation ? incarnation : "");
    if (random_is(is_wrong))
        push->epoch += random_below(3) - 1;
    if (random_is(is_wrong))
        push->seq = random_is(70) ? push->seq + random_below(3) - 1 : seq_choose();
    push->count = random_below(100) == 0 ? ENTRIES_MAX : random_below(4);
    FILE *out = must(open_memstream(&push->entries, &size));
    if (random_is(2)) {
        static const char *const others[] = {"null", "{}", "1", "\"[]\""};
        push->is_array = false;
        fprintf(out, "%s", CHOOSE(others));
    } else {
        fprintf(out, "[");
        for (int i = 0; i < push->count; i++) {
            fprintf(out, "%s", i ? ", " : "");
            push_entry(push, out, i);
        }
        fprintf(out, "]");
    }
    fclose(out);
    snprintf(push->epoch_text, sizeof(push->epoch_text), "%" PRId64, push->epoch);
    snprintf(push->seq_text, sizeof(push->seq_text), "%" PRId64, push->seq);
    bool has_entries = push->is_array || random_is(70);
    push->call = (struct call){
        .host = host,
        .sql = "select seedance.push($1, $2, $3, $4)",
        .count = 4,
        .parameters = {incarnation ? push->incarnation : NULL, push->epoch_text, push->seq_text,
                       has_entries ? push->entries : NULL},
    };
    if (random_is(is_wrong / 10))
        push->call.parameters[1 + random_below(2)] = NULL;
}

static void push_free(struct push *push)
{
    for (int i = 0; i < ENTRIES_MAX; i++)
        free(push->stored[i]);
    free(push->entries);
}

/* In the order of the questions. */
static const char *push_state(const struct push *push)
{
    if (!push->is_array)
        return "SD010";
    if (model.leader != push->call.host || !push->has_incarnation ||
        strcmp(model.leader_incarnation, push->incarnation) != 0 || !push->call.parameters[1] ||
        push->epoch != model.epoch)
        return "SD022";
    if (!push->call.parameters[2] || push->seq != model.latest)
        return "SD023";
    if (push->is_malformed)
        return "SD024";
    return push->is_merge_refused ? "SD025" : "";
}

static void changes_trim(void)
{
    for (int i = 0; i < TRIM_MAX; i++) {
        if (model.trimmed + 1 >= model.latest || !change_of(model.trimmed + 1)->is_old)
            return;
        model.trimmed++;
    }
}

static void push_apply(struct push *push, const PGresult *result)
{
    size_t count = (size_t)(model.latest + push->count);
    model.changes = must(realloc(model.changes, (count + 1) * sizeof(model.changes[0])));
    for (int i = 0; i < push->count; i++) {
        struct change *change = change_of(++model.latest);
        *change = (struct change){
            .epoch = model.epoch, .host = push->call.host, .entry = push->stored[i]};
        memcpy(change->tag, push->tags[i], sizeof(change->tag));
        push->stored[i] = NULL;
    }
    memcpy(model.mirror, push->mirror, sizeof(model.mirror));
    model.renewals++;
    changes_trim();
    expect_cell(result, 0, 0, number_text(model.latest));
}

static void push(void)
{
    static struct push random_push;
    int host = model.leader >= 0 && random_is(85) ? model.leader : random_below(HOSTS);
    push_choose(&random_push, host, 8);
    const char *state = push_state(&random_push);
    PGresult *result = call_run(&random_push.call, state);
    if (!*state)
        push_apply(&random_push, result);
    PQclear(result);
    push_free(&random_push);
}

/* --- Two at the same moment --- */

/* Waits until so many wait for a lock. */
static void wait_for_waiters(int count)
{
    for (int i = 0; i < 5000; i++) {
        PGresult *result = owner_run("select count(*) from pg_locks where not granted");
        int waiters = atoi(PQgetvalue(result, 0, 0));
        PQclear(result);
        if (waiters >= count)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    fail("%d hosts must wait for the lease, and do not", count);
}

static void call_send(const struct call *call)
{
    if (!PQsendQueryParams(hosts[call->host], call->sql, call->count, NULL, call->parameters, NULL,
                           NULL, 0))
        fail("send: %s", PQerrorMessage(hosts[call->host]));
}

static PGresult *call_receive(const struct call *call)
{
    PGresult *result = PQgetResult(hosts[call->host]);
    while (PQgetResult(hosts[call->host]))
        continue;
    return result;
}

/* The leader pushes, or somebody takes the lead, while another takes it. */
static void race(void)
{
    static struct push pushed;
    struct lead leads[2];
    bool is_push = model.leader >= 0 && random_is(50);
    int first = is_push ? model.leader : random_below(HOSTS);
    int second = (first + 1 + random_below(HOSTS - 1)) % HOSTS;
    lead_choose(&leads[1], second, 0);
    if (is_push)
        push_choose(&pushed, first, 0);
    else
        lead_choose(&leads[0], first, 0);
    struct call calls[2] = {is_push ? pushed.call : leads[0].call, leads[1].call};
    const char *state = is_push ? push_state(&pushed) : lead_state(&leads[0]);
    if (*state || *lead_state(&leads[1])) {
        if (is_push)
            push_free(&pushed);
        return; /* one of the two cannot win */
    }
    int sooner = random_below(2);
    describe(calls, 2);
    owner_do("begin");
    owner_do("select from seedance.lease for update");
    call_send(&calls[sooner]);
    wait_for_waiters(1);
    call_send(&calls[1 - sooner]);
    wait_for_waiters(2);
    owner_do("commit");
    PGresult *results[2] = {call_receive(&calls[0]), call_receive(&calls[1])};
    int winner = *result_state(hosts[first], results[0]) ? 1 : 0;
    expect_state(hosts[calls[winner].host], results[winner], "");
    if (winner == 1)
        lead_apply(&leads[1], results[1]);
    else if (is_push)
        push_apply(&pushed, results[0]);
    else
        lead_apply(&leads[0], results[0]);
    int loser = 1 - winner;
    expect_state(hosts[calls[loser].host], results[loser],
                 loser == 0 && is_push ? "SD022" : "SD021");
    PQclear(results[0]);
    PQclear(results[1]);
    if (is_push)
        push_free(&pushed);
}

/* --- Time --- */

/* Some changes in a row, or all, become too old to be kept. */
static void changes_age(void)
{
    char sql[160];
    if (model.latest == model.trimmed)
        return;
    int64_t kept = model.latest - model.trimmed;
    int64_t from = random_is(60) ? 0 : (int64_t)(random_bits() % (uint64_t)kept);
    int64_t to = from + (int64_t)(random_bits() % (uint64_t)(kept - from)) + 1;
    if (random_is(25))
        to = kept;
    snprintf(sql, sizeof(sql),
             "update seedance.change set made = made - interval '40 days' "
             "where seq > %" PRId64 " and seq <= %" PRId64,
             model.trimmed + from, model.trimmed + to);
    owner_do(sql);
    for (int64_t seq = model.trimmed + from + 1; seq <= model.trimmed + to; seq++)
        change_of(seq)->is_old = true;
}

/* --- All --- */

static PGconn *connect_as(const char *user, const char *password)
{
    const char *const keywords[] = {"user", "password", NULL};
    const char *const values[] = {user, password, NULL};
    PGconn *connection = PQconnectdbParams(keywords, values, 0);
    if (PQstatus(connection) != CONNECTION_OK)
        fail("%s", PQerrorMessage(connection));
    return connection;
}

static void start(void)
{
    owner = connect_as(NULL, NULL);
    owner_do("truncate seedance.host, seedance.change, seedance.mirror");
    owner_do("update seedance.lease set epoch = 0, renewals = 0, host = null, incarnation = null");
    PGresult *result = owner_run("select id from seedance.cluster");
    snprintf(cluster, sizeof(cluster), "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    model.leader = -1;
    for (int i = 0; i < HOSTS; i++)
        hosts[i] = connect_as(host_names[i], "host");
}

static void operate(void)
{
    int choice = random_below(1000);
    if (choice < 270)
        hello();
    else if (choice < 420)
        take_lead();
    else if (choice < 970)
        push();
    else if (choice < 996)
        race();
    else
        changes_age();
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: schema_model SEED OPERATIONS\n");
        return 2;
    }
    seed = strtoull(argv[1], NULL, 10);
    random_state = seed;
    int64_t operations = strtoll(argv[2], NULL, 10);
    start();
    for (operation = 1; operation <= operations; operation++) {
        operate();
        if (operation % COMPARE_EVERY == 0 || operation == operations)
            compare_all();
    }
    printf("seed %" PRIu64 ": %" PRId64 " operations; epoch %" PRId64 ", %" PRId64
           " changes, of which %" PRId64 " were trimmed\n",
           seed, operations, model.epoch, model.latest, model.trimmed);
    for (int i = 0; i < STATES; i++)
        printf("%s%s %d", i ? ", " : "  ", *states[i] ? states[i] : "good", state_counts[i]);
    printf("\n");
    for (int i = 0; i < STATES && operations >= 3000; i++)
        if (state_counts[i] == 0)
            fail("no operation ended with '%s'", states[i]);
    for (int i = 0; i < HOSTS; i++)
        PQfinish(hosts[i]);
    PQfinish(owner);
    for (int64_t i = 0; i < model.latest; i++)
        free(model.changes[i].entry);
    free(model.changes);
    free(operation_text);
    return 0;
}
