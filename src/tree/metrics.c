/*
 * metrics: counters and gauges in the Prometheus text format (version 0.0.4), for programs that
 * collect such files (node_exporter's textfile collector, a small web server). Each family is
 * written whole, with its HELP and TYPE, and always with the same labels, because series that come
 * and go would break rates. Counters start again with the program, as start_time_seconds says;
 * amounts of money come from the store.
 *
 * A look at the file changes it, because requests are counted. Values are padded with blanks, which
 * the format allows, so that at least the size stays the same between stat(2) and read(2). The
 * file's time is that of its last opening, so that archivers do not find it changed while they read
 * it.
 *
 * The views count the jobs of each state. The store is asked for the sum over all attempts only if
 * something was written there since the last time.
 */
#include "tree_private.h"

#include "seedancefs/base/child.h"
#include "seedancefs/base/descriptor.h"
#include "seedancefs/base/number.h"
#include "seedancefs/base/text.h"
#include "seedancefs/objects/objects.h"

#include <stdio.h>
#include <sys/statvfs.h>

enum metric_type { METRIC_COUNTER, METRIC_GAUGE };

static const char *const type_words[] = {[METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge"};

static void family(struct buf *out, const char *name, enum metric_type type, const char *help)
{
    buf_addf(out, "# HELP seedancefs_%s %s\n# TYPE seedancefs_%s %s\n", name, help, name,
             type_words[type]);
}

static void one(struct buf *out, const char *name, enum metric_type type, const char *help,
                int64_t value)
{
    family(out, name, type, help);
    buf_addf(out, "seedancefs_%s %" METRIC_PAD "lld\n", name, (long long)value);
}

static void usd(struct buf *out, const char *name, const char *labels, int64_t usd_micros)
{
    char text[TEXT_MONEY_SIZE];
    text_usd(usd_micros, text);
    buf_addf(out, "seedancefs_%s%s %" METRIC_PAD "s\n", name, labels, text);
}

static void add_oldest(const struct tree *tree, struct buf *out)
{
    struct jobs_waits waits;
    int64_t now_ms = clock_wall_ms(tree->settings.clock);
    jobs_waits_get(tree->settings.jobs, &waits);
    family(out, "jobs_oldest_seconds", METRIC_GAUGE,
           "How long ago the oldest request was accepted whose job has this status; 0: there is "
           "none.");
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        if (job_state_class((enum job_state)i) != JOB_CLASS_ACTIVE)
            continue;
        int64_t age_ms = waits.intent_ms[i] ? max_int64(now_ms - waits.intent_ms[i], 0) : 0;
        buf_addf(out, "seedancefs_jobs_oldest_seconds{status=\"%s\"} %" METRIC_PAD "lld\n",
                 job_state_to_text((enum job_state)i), (long long)(age_ms / 1000));
    }
}

static void add_jobs(const struct tree *tree, struct buf *out)
{
    const struct jobs_counts *counts = jobs_counts_get(tree->settings.jobs);
    family(out, "jobs", METRIC_GAUGE, "Existing jobs, by status.");
    for (int i = 0; i < JOB_STATE_COUNT; i++)
        buf_addf(out, "seedancefs_jobs{status=\"%s\"} %" METRIC_PAD "lld\n",
                 job_state_to_text((enum job_state)i), (long long)tree->status_counts[i]);
    add_oldest(tree, out);
    family(out, "transitions_total", METRIC_COUNTER, "Changes of a job's status, by the new one.");
    for (int i = 0; i < JOB_STATE_COUNT; i++)
        buf_addf(out, "seedancefs_transitions_total{status=\"%s\"} %" METRIC_PAD "llu\n",
                 job_state_to_text((enum job_state)i), (unsigned long long)counts->transitions[i]);
    one(out, "attempts_accepted_total", METRIC_COUNTER,
        "Requests accepted to be sent, including retries.", (int64_t)counts->accepted);
    one(out, "creates_sent_total", METRIC_COUNTER,
        "Paid requests of which a byte may have been sent.",
        (int64_t)counts->transitions[JOB_SUBMITTING]);
    one(out, "polls_total", METRIC_COUNTER, "Polls: requests that ask about a task.",
        (int64_t)counts->polls);
    one(out, "polls_failed_total", METRIC_COUNTER,
        "Polls that had no response, or one that does not say how the task is doing.",
        (int64_t)counts->polls_failed);
    one(out, "creates_active", METRIC_GAUGE, "Paid requests under way now.",
        (int64_t)counts->creates_active);
    one(out, "polls_active", METRIC_GAUGE, "Polls under way now.", (int64_t)counts->polls_active);
    one(out, "gate_closed", METRIC_GAUGE,
        "1 while nothing is sent because the service refused the key, the account or a quota.",
        counts->is_gate_closed);
}

static int add_money(struct tree *tree, struct buf *out)
{
    static const char *const classes[] = {"settled", "reserved", "at_risk", "held", "waiting"};
    struct job_budget_state budget;
    int64_t sums[SPEND_SUMS];
    int r = spend_sums_get(tree, sums);
    if (r == 0)
        r = spend_budget_get(tree, &budget);
    if (r < 0)
        return r;
    family(out, "spend_usd", METRIC_GAUGE,
           "What all attempts cost: settled, reserved while under way, or at risk; and what held "
           "and waiting jobs would cost.");
    for (size_t i = 0; i < SPEND_SUMS; i++) {
        char labels[64];
        (void)snprintf(labels, sizeof(labels), "{class=\"%s\"}", classes[i]);
        usd(out, "spend_usd", labels, sums[i]);
    }
    if (budget.budget.limit_usd_micros == 0)
        return 0;
    int64_t left = budget.budget.limit_usd_micros - budget.used_usd_micros;
    family(out, "budget_limit_usd", METRIC_GAUGE, "The budget (of the current period).");
    usd(out, "budget_limit_usd", "", budget.budget.limit_usd_micros);
    family(out, "budget_used_usd", METRIC_GAUGE,
           "The part of the budget that is settled, "
           "reserved or at risk.");
    usd(out, "budget_used_usd", "", budget.used_usd_micros);
    family(out, "budget_left_usd", METRIC_GAUGE, "The part of the budget that is left.");
    usd(out, "budget_left_usd", "", left > 0 ? left : 0);
    struct jobs_waits waits;
    jobs_waits_get(tree->settings.jobs, &waits);
    one(out, "budget_waiting_jobs", METRIC_GAUGE,
        "Jobs that wait because the budget does not allow their requests.", waits.for_budget);
    return 0;
}

static void add_media(const struct tree *tree, struct buf *out)
{
    struct media_counts counts;
    media_counts_get(tree->settings.media, &counts);
    one(out, "media_fetched_bytes_total", METRIC_COUNTER,
        "Bytes of videos and covers that came from the media host.", counts.fetched_bytes);
    one(out, "media_served_bytes_total", METRIC_COUNTER,
        "Bytes of videos and covers returned to readers.", counts.served_bytes);
    one(out, "media_requests_total", METRIC_COUNTER,
        "Requests (GET) to the media host, including repeated attempts.", counts.requests);
    one(out, "media_transfers_active", METRIC_GAUGE, "Transfers from the media host now.",
        counts.transfers_active);
    one(out, "media_reads_failed_total", METRIC_COUNTER,
        "Reads of videos and covers that ended with an error.", counts.reads_failed);
    one(out, "cache_bytes", METRIC_GAUGE, "Bytes of videos and covers on disk.",
        counts.cache_bytes);
    const struct jobs_counts *jobs = jobs_counts_get(tree->settings.jobs);
    one(out, "videos_save_failing", METRIC_GAUGE,
        "Videos that could not be saved at the last attempt, and are tried again.",
        archive_failing_count(tree));
    one(out, "videos_lost_total", METRIC_COUNTER,
        "Videos that the service does not have any more and that are not wholly on disk.",
        (int64_t)jobs->videos_lost);
    one(out, "videos_damaged_total", METRIC_COUNTER,
        "Videos of which damage on the disk was found that was not known before.",
        (int64_t)jobs->videos_damaged);
}

/* The families are always there, because series that come and go would break rates. */
static void add_objects(const struct tree *tree, struct buf *out)
{
    struct objects_counts counts = {0};
    if (tree->settings.objects)
        objects_counts_get(tree->settings.objects, &counts);
    one(out, "object_puts_total", METRIC_COUNTER, "Objects that were put into the object store.",
        counts.puts);
    one(out, "object_put_bytes_total", METRIC_COUNTER, "Their bytes.", counts.put_bytes);
    one(out, "object_failures_total", METRIC_COUNTER,
        "Requests to the object store that have failed, without reads of videos.", counts.failures);
    one(out, "videos_upload_failing", METRIC_GAUGE,
        "Videos that could not be put into the object store at the last attempt, and are tried "
        "again.",
        archive_uploads_failing_count(tree));
}

static void add_sharing(const struct tree *tree, struct buf *out)
{
    struct tree_sharing sharing = {.is_leading = false};
    if (tree->settings.sharing_get)
        sharing = tree->settings.sharing_get(tree->settings.sharing_context);
    one(out, "share_leads", METRIC_GAUGE, "1: this host leads the tree that several share.",
        sharing.is_leading);
    one(out, "share_seq", METRIC_GAUGE, "The last entry of their log that is here and there.",
        sharing.seq);
    one(out, "share_entries_total", METRIC_COUNTER, "Entries that were pushed there or fetched.",
        (int64_t)sharing.entries);
    one(out, "share_silent_seconds", METRIC_GAUGE,
        "Since when the database of the shared tree does not answer; 0: it does.",
        sharing.silent_ms / 1000);
}

/* What the program needs of the machine. */
static void add_resources(const struct tree *tree, struct buf *out)
{
    struct statvfs disk;
    struct descriptor_use descriptors;
    if (fstatvfs(tree->settings.directory_fd, &disk) < 0)
        memset(&disk, 0, sizeof(disk)); /* no part of 0 bytes is free, nor in use */
    descriptor_use_get(&descriptors);
    one(out, "disk_bytes", METRIC_GAUGE, "Size of the disk with the data directory; 0: not known.",
        (int64_t)(disk.f_blocks * disk.f_frsize));
    one(out, "disk_free_bytes", METRIC_GAUGE,
        "Bytes on that disk that the program can use; 0 also: not known.",
        (int64_t)(disk.f_bavail * disk.f_frsize));
    one(out, "open_files", METRIC_GAUGE, "Files of the mount that are open.", tree->handles_count);
    one(out, "descriptors", METRIC_GAUGE,
        "Descriptors that the program has open: the lowest free number.",
        (int64_t)descriptors.count);
    one(out, "descriptors_limit", METRIC_GAUGE, "Descriptors that it may have open.",
        (int64_t)(descriptors.limit < INT64_MAX ? descriptors.limit : INT64_MAX));
    one(out, "helpers_ended", METRIC_GAUGE,
        "Processes of the program that have ended before it, and whose work it does without.",
        child_ended_count());
}

int metrics_render(struct tree *tree, const struct node *node UNUSED, struct buf *out)
{
    family(out, "build_info", METRIC_GAUGE, "The program's version.");
    buf_addf(out, "seedancefs_build_info{version=\"%s\"} 1\n", SEEDANCEFS_VERSION);
    family(out, "start_time_seconds", METRIC_GAUGE, "When the program started, in Unix time.");
    buf_addf(out, "seedancefs_start_time_seconds %lld.%03lld\n", (long long)(tree->born_ms / 1000),
             (long long)(tree->born_ms % 1000));
    add_jobs(tree, out);
    int r = add_money(tree, out);
    add_media(tree, out);
    add_objects(tree, out);
    add_sharing(tree, out);
    add_resources(tree, out);
    if (tree->add_metrics)
        tree->add_metrics(tree->add_metrics_context, out);
    return r < 0 ? r : out->error;
}

void tree_metrics_set(struct tree *tree, tree_metrics_fn *fn, void *context)
{
    tree->add_metrics = fn;
    tree->add_metrics_context = context;
}
