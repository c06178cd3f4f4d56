/*
 * Which jobs need what other jobs make. A link is an input of a job's present attempt; both ends
 * know it, by id, so that renaming changes nothing. The links are in memory, those of each job that
 * has any, so that a transition costs nothing where there are none, and looks only at the jobs that
 * need this one. Nothing here recurses: chains are as long as users make them.
 */
#include "job_private.h"

#include "seedancefs/base/log.h"
#include "seedancefs/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct job_links *links_find(const struct job *job)
{
    struct job_links *links;
    HASH_FIND(by_id, job->jobs->links, &job->id, sizeof(job->id), links);
    return links;
}

static int links_make(struct jobs *jobs, int64_t id, struct job_links **out)
{
    struct job_links *links;
    HASH_FIND(by_id, jobs->links, &id, sizeof(id), links);
    if (!links) {
        links = calloc(1, sizeof(*links));
        if (!links)
            return -ENOMEM;
        links->job_id = id;
        HASH_ADD(by_id, jobs->links, job_id, sizeof(links->job_id), links);
        if (!TABLE_HAS(links, by_id)) {
            free(links);
            return -ENOMEM;
        }
    }
    *out = links;
    return 0;
}

static void links_drop_empty(struct jobs *jobs, struct job_links *links)
{
    if (links->needs || links->needed_by)
        return;
    HASH_DELETE(by_id, jobs->links, links);
    free(links);
}

static void needs_drop(struct jobs *jobs, struct job_link **needs)
{
    struct job_link *link;
    struct job_link *next;
    LL_FOREACH_SAFE (*needs, link, next) {
        DL_DELETE2(link->on->needed_by, link, on_prev, on_next);
        links_drop_empty(jobs, link->on);
        free(link);
    }
    *needs = NULL;
}

static int link_add(struct job *job, const struct store_input *row, struct job_link **needs)
{
    struct job_links *on;
    struct job_link *link = calloc(1, sizeof(*link));
    int r = link ? links_make(job->jobs, row->job_id, &on) : -ENOMEM;
    if (r < 0) {
        free(link);
        return r;
    }
    *link = (struct job_link){.job = job, .on = on, .take_id = row->take_id};
    DL_APPEND2(on->needed_by, link, on_prev, on_next);
    LL_APPEND(*needs, link);
    return 0;
}

/* Makes the links of the job's present attempt. */
static int needs_read(struct job *job, struct job_link **needs)
{
    CLEANUP(job_inputs_fini) struct job_inputs inputs = {0};
    int r = job_inputs_get(job, job->attempt_id, &inputs);
    for (size_t i = 0; i < inputs.count && r == 0; i++) {
        if (inputs.rows[i].job_id != 0)
            r = link_add(job, &inputs.rows[i], needs);
    }
    if (r < 0)
        needs_drop(job->jobs, needs);
    return r;
}

int job_links_read(struct job *job)
{
    struct job_link *needs = NULL;
    struct job_links *links;
    job->are_links_unread = false;
    int r = job->attempt_id && !job->is_removed ? needs_read(job, &needs) : 0;
    if (r == 0 && needs)
        r = links_make(job->jobs, job->id, &links);
    if (r < 0) {
        log_warn("links.unread", "job=%s error=%s", job->name, err_name(r));
        needs_drop(job->jobs, &needs);
        job->are_links_unread = true;
        return r;
    }
    links = links_find(job);
    if (links) {
        needs_drop(job->jobs, &links->needs);
        links->needs = needs;
        links_drop_empty(job->jobs, links);
    }
    return 0;
}

static int links_load(void *context, int64_t job_id)
{
    struct job *job = jobs_get(context, job_id);
    if (job)
        (void)job_links_read(job); /* else it says so, and is not sent */
    return 0;
}

int jobs_links_load(struct jobs *jobs)
{
    return store_input_each(jobs->settings.store, links_load, jobs);
}

void jobs_links_free(struct jobs *jobs)
{
    struct job_links *links;
    struct job_links *next;
    HASH_ITER (by_id, jobs->links, links, next) {
        struct job_link *link;
        struct job_link *after;
        LL_FOREACH_SAFE (links->needs, link, after) {
            free(link);
        }
        HASH_DELETE(by_id, jobs->links, links);
        free(links);
    }
}

static bool is_ended(enum job_state state)
{
    return state == JOB_REJECTED || state >= JOB_FAILED;
}

/* The take that the user has ordered this with. */
static int64_t expected_id(int64_t take_id, const struct job *on)
{
    return take_id ? take_id : on->takes->id;
}

static enum job_needs need_get(const struct job_link *link)
{
    struct job *on = jobs_get(link->job->jobs, link->on->job_id);
    if (!on)
        return JOB_NEEDS_REMOVED;
    if (on->picked)
        return expected_id(link->take_id, on) == on->picked->id ? JOB_NEEDS_MET : JOB_NEEDS_CHANGED;
    return is_ended(on->state) ? JOB_NEEDS_ENDED : JOB_NEEDS_WAIT;
}

/* The values of the enum are in the order of what matters most. */
static enum job_needs needs_get(struct job *job, const struct job_link **which, unsigned *count)
{
    const struct job_links *links = links_find(job);
    const struct job_link *link;
    enum job_needs worst = JOB_NEEDS_MET;
    *count = 0;
    LL_FOREACH (links ? links->needs : NULL, link) {
        enum job_needs need = need_get(link);
        *count += need != JOB_NEEDS_MET;
        if (need > worst) {
            worst = need;
            *which = link;
        }
    }
    return worst;
}

enum job_needs job_needs_get(struct job *job)
{
    const struct job_link *which;
    unsigned count;
    if (job->are_links_unread && job_links_read(job) < 0)
        return JOB_NEEDS_UNREAD;
    return needs_get(job, &which, &count);
}

/* The path by which the prompt names a job that is not there any more. */
static void path_add(struct job *job, int64_t on_id, struct buf *out)
{
    CLEANUP(job_inputs_fini) struct job_inputs inputs = {0};
    int r = job_inputs_get(job, job->attempt_id, &inputs);
    for (size_t i = 0; i < inputs.count && r == 0; i++) {
        if (inputs.rows[i].job_id != on_id)
            continue;
        buf_addf(out, "\"%s\"", inputs.rows[i].path);
        return;
    }
    buf_add_text(out, "an input");
}

enum job_needs job_needs_to_text(struct job *job, struct buf *out)
{
    const struct job_link *which = NULL;
    unsigned count;
    enum job_needs needs = needs_get(job, &which, &count);
    const struct job *on = which ? jobs_get(job->jobs, which->on->job_id) : NULL;
    const char *name = on ? on->name : "";
    switch (needs) {
    case JOB_NEEDS_MET:
    case JOB_NEEDS_UNREAD:
        break;
    case JOB_NEEDS_WAIT:
        buf_addf(out, "Waits for %s (%s)", name, on ? job_state_to_text(on->state) : "");
        if (count > 1)
            buf_addf(out, " and %u more", count - 1);
        buf_add_text(out, ".");
        break;
    case JOB_NEEDS_CHANGED:
        buf_addf(out, "%s has another video now", name);
        if (on && on->takes && on->takes->next)
            buf_addf(out, " (take %lld)", (long long)on->picked->number);
        buf_add_text(out, ", so this job was not sent.");
        break;
    case JOB_NEEDS_ENDED:
        buf_addf(out, "%s has no video (%s), so this job was not sent.", name,
                 on ? job_state_to_text(on->state) : "");
        break;
    case JOB_NEEDS_REMOVED:
        path_add(job, which->on->job_id, out);
        buf_add_text(out, " is gone, because its job was removed, so this job was not sent.");
        break;
    }
    return needs;
}

/* What a waiting job needs has come, or will not come, or is another one. */
static void need_changed(struct job_link *link)
{
    struct job *job = link->job;
    if (job->are_links_unread) /* its timer reads them; that frees links, also the caller's next */
        return;
    /* Before the start, and where others do the work, nothing is sent. */
    bool is_unsent = job->state == JOB_WAITING && !job->is_removed && job->jobs->is_started;
    if (is_unsent && need_get(link) != JOB_NEEDS_WAIT)
        job->jobs->look_again(job);
    else
        jobs_changed(job);
}

void job_source_changed(struct job *job)
{
    const struct job_links *links = links_find(job);
    struct job_link *link;
    struct job_link *next;
    if (!links)
        return;
    DL_FOREACH_SAFE2(links->needed_by, link, next, on_next)
    {
        need_changed(link);
    }
}

/*
 * Goes from `from` along what unsent jobs need, breadth first. The queue runs through the nodes, so
 * that it needs no memory. Returns the node of `to`, from which `via` leads back; NULL: it is not
 * there.
 */
static struct job_links *search(struct jobs *jobs, struct job_links *from, int64_t to)
{
    unsigned visit = ++jobs->links_visit;
    struct job_links *last = from;
    from->visit = visit;
    from->via = from->queued = NULL;
    for (struct job_links *at = from; at; at = at->queued) {
        const struct job *job = jobs_get(jobs, at->job_id);
        const struct job_link *link;
        if (at->job_id == to)
            return at;
        if (!job || (job->state != JOB_WAITING && job->state != JOB_HELD))
            continue;
        LL_FOREACH (at->needs, link) {
            enum job_needs need = need_get(link);
            if (link->on->visit == visit || (need != JOB_NEEDS_WAIT && need != JOB_NEEDS_ENDED))
                continue;
            link->on->visit = visit;
            link->on->via = at;
            link->on->queued = NULL;
            last->queued = link->on;
            last = link->on;
        }
    }
    return NULL;
}

/* "a → b → c → a", of which a long middle is left out. */
static void circle_write(struct jobs *jobs, struct job_links *end, const struct job *job,
                         struct buf *out)
{
    enum { SHOWN = 5 };
    size_t length = 0;
    for (const struct job_links *at = end; at; at = at->via)
        length++;
    buf_add_text(out, job->name);
    for (size_t i = length; i > 0; i--) { /* from the far end of `via`, which is where it began */
        const struct job_links *at = end;
        if (length > 2 * SHOWN && i < length - SHOWN && i > SHOWN) {
            if (i == SHOWN + 1)
                buf_add_text(out, " → …");
            continue;
        }
        for (size_t back = 1; back < i; back++)
            at = at->via;
        const struct job *there = jobs_get(jobs, at->job_id);
        buf_addf(out, " → %s", there ? there->name : "?");
    }
}

bool job_is_circle(struct job *job, struct job *on, struct buf *out)
{
    struct job_links *from = links_find(on);
    if (job == on) {
        buf_addf(out, "%s → %s", job->name, on->name);
        return true;
    }
    const struct job_links *own = links_find(job);
    if (!from || !own || !own->needed_by) /* nobody waits for the job */
        return false;
    struct job_links *end = search(job->jobs, from, job->id);
    if (end)
        circle_write(job->jobs, end, job, out);
    return end != NULL;
}

void job_followers_get(struct job *job, struct job_followers *out)
{
    struct jobs *jobs = job->jobs;
    unsigned visit = ++jobs->links_visit;
    struct job_links *first = links_find(job);
    struct job_links *last = first;
    *out = (struct job_followers){0};
    if (!first || job->picked)
        return;
    first->visit = visit;
    first->queued = NULL;
    for (struct job_links *at = first; at; at = at->queued) {
        const struct job_link *link;
        DL_FOREACH2 (at->needed_by, link, on_next) {
            struct job *follower = link->job;
            struct job_links *node = links_find(follower);
            struct job_detail *detail;
            if (follower->state != JOB_WAITING || !node || node->visit == visit ||
                job_detail_get(follower, &detail) < 0)
                continue;
            node->visit = visit;
            node->queued = NULL;
            last->queued = node;
            last = node;
            out->count++;
            out->usd_micros += detail->attempt.estimated_usd_micros;
        }
    }
}

void job_depends_on_each(const struct job *job, job_each_fn *fn, void *context)
{
    const struct job_links *links = links_find(job);
    const struct job_link *link;
    const struct job_link *before;
    LL_FOREACH (links ? links->needs : NULL, link) {
        const struct job *on = jobs_get(job->jobs, link->on->job_id);
        LL_SEARCH_SCALAR(links->needs, before, on, link->on);
        if (on && before == link)
            fn(context, on);
    }
}

void job_needed_by_each(const struct job *job, job_each_fn *fn, void *context)
{
    const struct job_links *links = links_find(job);
    const struct job_link *link;
    DL_FOREACH2 (links ? links->needed_by : NULL, link, on_next) {
        /* The links of one job stand together. */
        if (link == links->needed_by || link->on_prev->job != link->job)
            fn(context, link->job);
    }
}

static bool is_other_take(struct jobs *jobs, int64_t job_id, int64_t take_id)
{
    const struct job *on = job_id ? jobs_get(jobs, job_id) : NULL;
    return on && on->picked && on->picked->id != expected_id(take_id, on);
}

bool job_inputs_are_changed(struct job *job)
{
    const struct job_links *links = links_find(job);
    const struct job_link *link;
    bool is_changed = false;
    if (!job->picked)
        return false;
    if (job->picked->id == job->attempt_id) {
        LL_FOREACH (links ? links->needs : NULL, link) {
            is_changed = is_changed || is_other_take(job->jobs, link->on->job_id, link->take_id);
        }
        return is_changed;
    }
    CLEANUP(job_inputs_fini) struct job_inputs inputs = {0};
    int r = job_inputs_get(job, job->picked->id, &inputs);
    for (size_t i = 0; i < inputs.count && r == 0; i++)
        is_changed =
            is_changed || is_other_take(job->jobs, inputs.rows[i].job_id, inputs.rows[i].take_id);
    return is_changed;
}
