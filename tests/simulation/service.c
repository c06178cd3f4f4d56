/*
 * The service: how it handles a create, and what it says about a task. It keeps its own books; they
 * tell the oracle what was really spent.
 */
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TASKS_MAX = 512, TASK_RUN_MEDIAN_MS = 120 * 1000 };

struct task {
    char id[TASK_ID_BYTES];
    const struct attempt *attempt; /* NULL: a task of somebody else */
    int64_t runs_at_ms;            /* monotonic */
    int64_t ends_at_ms;
    const char *end; /* its final status */
    int64_t output_s;
    int64_t hidden_until_ms; /* 404 until then (monotonic) */
};

enum mood {
    GOOD,
    UNREACHABLE,
    KEY_REFUSED,
    ACCOUNT_REFUSED,
    QUOTA_USED_UP,
    TOO_FAST,
    BROKEN,
    MOODS
};

static struct {
    struct task tasks[TASKS_MAX];
    unsigned count;
    enum mood mood;
} service;

void service_reset(void)
{
    service.count = 0;
    service.mood = GOOD;
}

void service_heal(void)
{
    service.mood = GOOD;
    for (unsigned i = 0; i < service.count; i++)
        service.tasks[i].hidden_until_ms = 0;
}

void service_mood_change(void)
{
    static const char *const words[] = {"well",
                                        "unreachable",
                                        "refuses the key",
                                        "refuses the account",
                                        "has no quota left",
                                        "asks to wait",
                                        "is broken"};
    service.mood = world_chance(400) ? GOOD : (enum mood)world_pick(MOODS);
    world_say("service: %s", words[service.mood]);
}

bool service_is_reachable(void)
{
    return service.mood != UNREACHABLE;
}

/* --- tasks --- */

/* Roughly log-normal: two to the power of an almost normal number. */
static int64_t run_time_ms(void)
{
    int64_t tenths = 0;
    int64_t ms = TASK_RUN_MEDIAN_MS;
    for (int i = 0; i < 12; i++)
        tenths += (int64_t)world_pick(21) - 10;
    for (; tenths > 0 && ms < HOUR_MS; tenths--)
        ms = ms * 1072 / 1000;
    for (; tenths < 0 && ms > 2000; tenths++)
        ms = ms * 933 / 1000;
    return ms;
}

static struct task *task_make(const struct attempt *attempt, int64_t asked_s)
{
    static const char *const ends[] = {"succeeded", "succeeded", "succeeded", "succeeded",
                                       "failed",    "failed",    "cancelled", "expired"};
    if (service.count == TASKS_MAX)
        world_fail("more tasks than a seed can want");
    struct task *task = &service.tasks[service.count++];
    *task = (struct task){.attempt = attempt};
    task->runs_at_ms = world.clock.monotonic_ms + (int64_t)world_pick(30000);
    task->end = ends[world_pick(ARRAY_COUNT(ends))];
    task->output_s = 1 + (int64_t)world_pick((unsigned)asked_s);
    (void)snprintf(task->id, sizeof(task->id), "cgt-%u-%04x", service.count, world_pick(65536));
    task->ends_at_ms = task->runs_at_ms + run_time_ms();
    if (world_goes_wrong(world.mixture.strange_polls / 4))
        task->hidden_until_ms = world.clock.monotonic_ms + (int64_t)world_pick(60000);
    return task;
}

static const struct task *task_find(const char *id)
{
    for (unsigned i = 0; i < service.count; i++) {
        if (strcmp(service.tasks[i].id, id) == 0)
            return &service.tasks[i];
    }
    return NULL;
}

const char *service_task_any(bool is_ours)
{
    if (!is_ours)
        return task_make(NULL, 5)->id;
    return service.count ? service.tasks[world_pick(service.count)].id : NULL;
}

int64_t service_actual_s(const char *task_id)
{
    const struct task *task = task_find(task_id);
    bool is_done = task && world.clock.monotonic_ms >= task->ends_at_ms;
    return is_done && strcmp(task->end, "succeeded") == 0 ? task->output_s : -1;
}

/* --- responses --- */

struct refusal {
    int http_status;
    const char *code;
    enum meaning meaning; /* of a create */
};

/* Repeats docs/SEMANTICS.md, "Waiting, refusals and errors of the service". */
static const struct refusal refusals[] = {
    {400, "InvalidParameter", MEANS_REFUSED},
    {404, "ModelNotOpen", MEANS_REFUSED},
    {405, "", MEANS_REFUSED},
    {410, "", MEANS_REFUSED},
    {413, "", MEANS_REFUSED},
    {415, "", MEANS_REFUSED},
    {422, "Sensitive", MEANS_REFUSED},
    {401, "Unauthorized", MEANS_AGAIN},
    {402, "Balance", MEANS_AGAIN},
    {403, "Overdue", MEANS_AGAIN},
    {429, "RateLimit", MEANS_AGAIN},
    {429, "QuotaExceeded.Day", MEANS_AGAIN},
    {500, "Internal", MEANS_NOT_KNOWN},
    {502, "", MEANS_NOT_KNOWN},
    {503, "ServerBusy", MEANS_NOT_KNOWN},
    {504, "", MEANS_NOT_KNOWN},
    {408, "", MEANS_NOT_KNOWN},
    {302, "", MEANS_NOT_KNOWN},
    {308, "", MEANS_NOT_KNOWN},
    {418, "", MEANS_NOT_KNOWN},
};

static const struct refusal mood_refusals[MOODS] = {
    [KEY_REFUSED] = {401, "Unauthorized", MEANS_AGAIN},
    [ACCOUNT_REFUSED] = {402, "Balance", MEANS_AGAIN},
    [QUOTA_USED_UP] = {429, "SetLimitExceeded", MEANS_AGAIN},
    [TOO_FAST] = {429, "RateLimit", MEANS_AGAIN},
    [BROKEN] = {503, "ServerBusy", MEANS_NOT_KNOWN},
};

static void refuse(const struct refusal *refusal, struct reply *out)
{
    static const char *const waits[] = {"",     "3",          "120",
                                        "-5",   "1000000000", "Mon, 01 Jan 2024 00:00:00 GMT",
                                        "soon", "0",          "Fri, 01 Jan 2100 00:00:00 GMT"};
    out->http_status = refusal->http_status;
    out->meaning = refusal->meaning;
    if (refusal->http_status == 429 || world_chance(100))
        (void)snprintf(out->retry_after, sizeof(out->retry_after), "%s",
                       waits[world_pick(ARRAY_COUNT(waits))]);
    if (world_chance(200))
        (void)snprintf(out->body, sizeof(out->body), "<html><h1>%d</h1>", refusal->http_status);
    else
        (void)snprintf(out->body, sizeof(out->body),
                       "{\"error\":{\"code\":\"%s\",\"message\":\"so it is\"}}", refusal->code);
}

/* Makes a 2xx response that cannot be understood; the program loses its task, if there is one. */
static void mangle(const char *task_id, struct reply *out)
{
    static const char *const formats[] = {
        "",
        "{}",
        "<html><body>%s</body></html>",
        "{\"id\":\"\",\"task\":\"%s\"}",
        "{\"id\":5,\"task\":\"%s\"}",
        "{\"id\":\"%s\"",
        "{\"id\":\"%s\"} and more",
        "{\"id\":\"a\",\"id\":\"%s\"}",
        "{\"id\":\"../%s\"}",
        "[\"%s\"]",
        "null",
    };
    const char *format = formats[world_pick(ARRAY_COUNT(formats))];
    const char *place = strstr(format, "%s");
    figure_add(FIGURE_MANGLED);
    out->http_status = world_chance(900) ? 200 : 204;
    out->meaning = MEANS_NOT_KNOWN;
    if (place)
        (void)snprintf(out->body, sizeof(out->body), "%.*s%s%s", (int)(place - format), format,
                       task_id, place + 2);
    else
        (void)snprintf(out->body, sizeof(out->body), "%s", format);
}

static int64_t number_in(const char *body, const char *key)
{
    const char *at = strstr(body, key);
    int64_t value = 0;
    return at && sscanf(at + strlen(key), "%" SCNd64, &value) == 1 ? value : -1;
}

/* What the request says of its videos; 15 s, if it says nothing. */
static int64_t input_s(const char *body)
{
    const char *at = strstr(body, "\"video_durations\":[");
    int64_t sum = 0;
    if (!at)
        return strstr(body, ",\"video_url") ? 15 : 0; /* not within the prompt itself */
    at = strchr(at, '[');
    while (*at && *at != ']') {
        char *end;
        sum += strtoll(at + 1, &end, 10);
        if (end == at + 1)
            world_fail("no lengths: %s", body);
        at = end;
    }
    return sum;
}

/* Implements the price list of the service's documentation. */
int64_t service_price_usd_micros(const char *body, int64_t seconds)
{
    bool is_fast = strstr(body, "doubao-seedance-2.0-fast") != NULL;
    bool is_small = strstr(body, "\"480p\"") != NULL;
    int64_t rate = is_fast ? (is_small ? 100000 : 160000) : (is_small ? 120000 : 200000);
    int64_t asked_s = number_in(body, "\"duration\":");
    if (asked_s < 4 || asked_s > 15)
        world_fail("a request without a length: %s", body);
    return rate * ((seconds >= 0 ? seconds : asked_s) + input_s(body));
}

static const char *task_make_for(struct attempt *attempt, const char *body)
{
    struct task *task = task_make(attempt, number_in(body, "\"duration\":"));
    figure_add(FIGURE_TASKS);
    if (++attempt->tasks > 1)
        world_fail("attempt %" PRId64 " has made a second task", attempt->id);
    memcpy(attempt->task_id, task->id, sizeof(attempt->task_id));
    return task->id;
}

void service_create(struct attempt *attempt, const char *body, struct reply *out)
{
    const struct mixture *m = &world.mixture;
    const struct refusal *refusal = NULL;
    *out = (struct reply){.http_status = 200, .meaning = MEANS_TASK};
    figure_add(FIGURE_ARRIVED);
    attempt->arrived++;
    if (attempt->arrived > attempt->sends)
        world_fail("attempt %" PRId64 " has arrived more often than it was sent", attempt->id);
    if (service.mood > UNREACHABLE)
        refusal = &mood_refusals[service.mood];
    else if (world_goes_wrong(m->refused))
        refusal = &refusals[world_pick(ARRAY_COUNT(refusals))];
    const char *task_id = NULL;
    /* There may be a task although the error does not say so. */
    if (!refusal || (refusal->meaning == MEANS_NOT_KNOWN && world_chance(500)))
        task_id = task_make_for(attempt, body);
    if (refusal)
        refuse(refusal, out);
    else if (world_goes_wrong(m->mangled))
        mangle(task_id, out);
    else
        (void)snprintf(out->body, sizeof(out->body),
                       "{\"id\":\"%s\",\"object\":\"video.generation.task\",\"status\":\"%s\","
                       "\"created\":1795420800}",
                       task_id, world_chance(900) ? "queued" : "running");
    attempt->is_answered_well = out->meaning == MEANS_TASK;
    world_say("service: attempt %" PRId64 " arrives: HTTP %d %.60s", attempt->id, out->http_status,
              out->body);
}

struct date {
    char text[24];
};

/* Of an address that is signed now. */
static struct date date_now(void)
{
    struct date date;
    struct tm tm;
    time_t now = (time_t)(world.clock.wall_ms / 1000);
    if (!gmtime_r(&now, &tm) || strftime(date.text, sizeof(date.text), "%Y%m%dT%H%M%SZ", &tm) == 0)
        date.text[0] = '\0';
    return date;
}

static void task_render(const struct task *task, const char *id, const char *status,
                        struct reply *out)
{
    if (strcmp(status, "succeeded") == 0 && !world_goes_wrong(world.mixture.strange_polls / 4))
        (void)snprintf(out->body, sizeof(out->body),
                       "{\"id\":\"%s\",\"status\":\"succeeded\",\"data\":[{\"video_url\":"
                       "\"https://media.example/%s.mp4?X-Tos-Date=%s&"
                       "X-Tos-Expires=86400&X-Tos-Signature=5ecret\",\"cover_image_url\":\"\"}],"
                       "\"usage\":{\"video_duration\":%" PRId64 "}}",
                       id, id, date_now().text, task->output_s);
    else if (strcmp(status, "failed") == 0)
        (void)snprintf(out->body, sizeof(out->body),
                       "{\"id\":\"%s\",\"status\":\"failed\",\"error\":{\"code\":\"Moderation\","
                       "\"message\":\"no\"}}",
                       id);
    else
        (void)snprintf(out->body, sizeof(out->body), "{\"id\":\"%s\",\"status\":\"%s\"}", id,
                       status);
}

static const char *task_status(const struct task *task)
{
    int64_t now_ms = world.clock.monotonic_ms;
    return now_ms >= task->ends_at_ms   ? task->end
           : now_ms >= task->runs_at_ms ? "running"
                                        : "queued";
}

/* Outdated replies of another server behind the same name, and other nonsense. */
static void response_strangely(const struct task *task, struct reply *out)
{
    switch (world_pick(6)) {
    case 0:
        task_render(task, task->id, "queued", out);
        return;
    case 1:
        task_render(task, task->id, "dreaming", out);
        return;
    case 2:
        task_render(task, "cgt-another", task_status(task), out);
        return;
    case 3:
        mangle(task->id, out);
        return;
    default:
        refuse(&refusals[world_pick(ARRAY_COUNT(refusals))], out);
    }
}

void service_ask(const char *task_id, struct reply *out)
{
    const struct task *task = task_find(task_id);
    static const struct refusal missing = {404, "NotFound", MEANS_REFUSED};
    *out = (struct reply){.http_status = 200};
    figure_add(FIGURE_POLLS);
    if (service.mood > UNREACHABLE)
        refuse(&mood_refusals[service.mood], out);
    else if (!task || world.clock.monotonic_ms < task->hidden_until_ms)
        refuse(&missing, out);
    else if (world_goes_wrong(world.mixture.strange_polls))
        response_strangely(task, out);
    else
        task_render(task, task->id, task_status(task), out);
    world_say("service: %s is asked for: HTTP %d %.60s", task_id, out->http_status, out->body);
}
