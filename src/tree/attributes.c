/*
 * Extended attributes, for programs that know files but not our status.json (file managers, search
 * tools, find -xattr): user.seedance.* of a job's directory and of its video, read only. A value
 * that is not known has no attribute.
 *
 * All other names: ENODATA in the namespace `user`, where something could be; EOPNOTSUPP in the
 * others. The difference matters: ls asks for the access control list of every file, but stops
 * asking a filesystem that says EOPNOTSUPP.
 */
#include "tree_private.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A prompt may have megabytes, but an attribute on most filesystems only some kilobytes. Longer
 * values are cut, because copying with attributes would fail there. */
enum { ATTRIBUTE_BYTES_MAX = 1024 };

static const char prefix[] = "user.seedance.";
static const char user_prefix[] = "user.";
static const char cut_mark[] = "…";

/* A user who may not read the prompt must not see that there is one. */
static bool can_read_prompt(const struct tree *tree, struct job *job,
                            const struct tree_caller *caller)
{
    mode_t mode = 0400 | job_readers_get(job);
    return caller->uid == 0 || (node_mode_bits(tree, mode, caller) & R_OK) != 0;
}

/* `attempt`: the one that made the video, or the job's; its id is 0 when there is none. */
typedef int attribute_fn(struct job *job, const struct store_attempt *attempt, struct buf *out);

static int add_task_id(struct job *job UNUSED, const struct store_attempt *attempt, struct buf *out)
{
    return attempt->task_id ? buf_add_text(out, attempt->task_id) : -ENODATA;
}

static int add_status(struct job *job, const struct store_attempt *attempt UNUSED, struct buf *out)
{
    return buf_add_text(out, job_state_to_text(job->state));
}

static int add_model(struct job *job UNUSED, const struct store_attempt *attempt, struct buf *out)
{
    return attempt->id ? buf_add_text(out, attempt->model) : -ENODATA;
}

static int add_prompt(struct job *job, const struct store_attempt *attempt, struct buf *out)
{
    enum { PROMPT_BYTES_MAX = 64 * 1024 * 1024 };
    CLEANUP(buf_fini) struct buf text = {.limit = PROMPT_BYTES_MAX};
    CLEANUP(buf_fini) struct buf shown = {.limit = PROMPT_BYTES_MAX};
    int r = attempt->id ? jobs_prompt_get(job->jobs, attempt->id, &text) : -ENODATA;
    if (r == 0)
        r = text_add_shown(&shown, buf_text(&text), text.len);
    if (r < 0)
        return r;
    if (shown.len <= ATTRIBUTE_BYTES_MAX)
        return buf_add(out, buf_text(&shown), shown.len);
    buf_add(out, buf_text(&shown),
            text_cut(buf_text(&shown), ATTRIBUTE_BYTES_MAX - (sizeof(cut_mark) - 1)));
    return buf_add_text(out, cut_mark);
}

static int add_cost(struct job *job UNUSED, const struct store_attempt *attempt, struct buf *out)
{
    char usd[TEXT_MONEY_SIZE];
    if (attempt->id == 0)
        return -ENODATA;
    text_usd(attempt->actual_usd_micros >= 0 ? attempt->actual_usd_micros
                                             : attempt->estimated_usd_micros,
             usd);
    return buf_add_text(out, usd);
}

static const struct {
    const char *name;
    attribute_fn *add;
} attributes[] = {
    {"task_id", add_task_id}, {"status", add_status}, {"model", add_model},
    {"prompt", add_prompt},   {"cost", add_cost},
};

static int attempt_get(const struct node *node, const struct store_attempt **out)
{
    struct job_detail *detail;
    struct store_attempt *made = NULL;
    int r =
        node->take ? job_take_attempt_get(node->take, &made) : job_detail_get(node->job, &detail);
    if (r == 0)
        *out = made ? made : job_attempt_get(detail);
    return r;
}

static int attribute_add(struct tree *tree, const struct node *node,
                         const struct store_attempt *attempt, size_t index,
                         const struct tree_caller *caller, struct buf *out)
{
    if (attributes[index].add == add_prompt && !can_read_prompt(tree, node->job, caller))
        return -ENODATA;
    return attributes[index].add(node->job, attempt, out);
}

int tree_xattr_get(struct tree *tree, uint64_t ino, const char *name,
                   const struct tree_caller *caller, struct buf *out)
{
    struct node node;
    const struct store_attempt *attempt;
    int r = node_get(tree, ino, &node);
    if (r < 0)
        return r;
    if (strncmp(name, user_prefix, strlen(user_prefix)) != 0)
        return -EOPNOTSUPP;
    if (!node.ops->has_xattrs || strncmp(name, prefix, strlen(prefix)) != 0)
        return -ENODATA;
    r = attempt_get(&node, &attempt);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_COUNT(attributes); i++) {
        if (strcmp(attributes[i].name, name + strlen(prefix)) == 0)
            return attribute_add(tree, &node, attempt, i, caller, out);
    }
    return -ENODATA;
}

int tree_xattr_list(struct tree *tree, uint64_t ino, const struct tree_caller *caller,
                    struct buf *out)
{
    struct node node;
    const struct store_attempt *attempt;
    int r = node_get(tree, ino, &node);
    if (r < 0 || !node.ops->has_xattrs)
        return r;
    r = attempt_get(&node, &attempt);
    for (size_t i = 0; i < ARRAY_COUNT(attributes) && r == 0; i++) {
        CLEANUP(buf_fini) struct buf value = {.limit = out->limit};
        int found = attribute_add(tree, &node, attempt, i, caller, &value);
        if (found == -ENODATA)
            continue;
        buf_add_text(out, prefix);
        buf_add(out, attributes[i].name, strlen(attributes[i].name) + 1);
        r = found < 0 ? found : out->error;
    }
    return r;
}

/* Accepts our attributes and changes nothing, as for modes and times (see tree_setattr()). A file
 * that has them was copied from here: mv, rsync -X and tar set them again when they bring it back,
 * and rsync -X removes those that its source does not have. None of them should see an error. */
int tree_xattr_set(struct tree *tree, uint64_t ino, const char *name,
                   const struct tree_caller *caller)
{
    struct node node;
    int r = node_get(tree, ino, &node);
    if (r == 0 && strncmp(name, prefix, strlen(prefix)) != 0)
        r = -EOPNOTSUPP;
    if (r == 0 && caller->uid != 0 && !node_is_owner(tree, caller))
        r = -EPERM;
    return r;
}
