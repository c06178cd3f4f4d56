/*
 * A commit may cost money, so it happens when the last writer is gone. It never happens at FLUSH,
 * because one open file gets several of them (`echo x > f` flushes before the data, a subshell once
 * per command, a killed writer after half a file). The kernel queues RELEASE before the writer's
 * close(2) returns.
 *
 * A write or a flush may only report. If no further byte can make the text right, the writer is
 * told at once. A text that merely lacks bytes is not an error until its last writer is gone.
 */
#include "seedancefs/job/draft.h"

#include "seedancefs/base/err.h"

enum { REPORT_BYTES_MAX = 256 * 1024 }; /* larger texts are checked only at close */

static bool is_verdict(int r)
{
    return r == -ERR_PROMPT_INVALID || r == -ERR_BUDGET;
}

int draft_error(const struct draft *draft)
{
    return draft->write_result ? draft->write_result : draft->flush_result;
}

static int draft_failed(struct draft *draft, int r)
{
    if (draft->is_dirty)
        draft->write_result = r;
    return r;
}

void draft_begin(struct draft *draft, int64_t end)
{
    draft->is_sequential = draft->writers == 1;
    draft->sequential_end = end;
}

int draft_write(struct draft *draft, const void *bytes, size_t len, int64_t offset)
{
    if (offset < 0 || len > (size_t)(INT64_MAX - offset))
        return draft_failed(draft, -EFBIG);
    int64_t end = offset + (int64_t)len;
    int r = draft->ops->begin(draft, end);
    if (r == 0)
        r = draft->ops->write(draft, bytes, len, offset);
    if (r < 0)
        return draft_failed(draft, r);
    draft->is_sequential = draft->is_sequential && offset == draft->sequential_end;
    draft->sequential_end = end;
    if (!draft->is_sequential || draft->writers != 1 || end > REPORT_BYTES_MAX)
        return 0;
    /* The bytes are written. A report that could not be made now is made at the close. */
    r = draft->ops->report(draft, false);
    return is_verdict(r) ? r : 0;
}

static void draft_reset(struct draft *draft)
{
    draft->is_dirty = draft->is_sequential = false;
    draft->write_result = draft->flush_result = 0;
}

int draft_truncate(struct draft *draft, int64_t size)
{
    int r = size < 0 ? -EFBIG : draft->ops->begin(draft, size);
    if (r == 0)
        r = draft->ops->resize(draft, size);
    if (r < 0)
        return draft_failed(draft, r);
    if (size == 0)
        draft->write_result = draft->flush_result = 0;
    draft->is_sequential = size == 0;
    draft->sequential_end = 0;
    if (draft->writers > 0)
        return 0;
    /* truncate(2) by path: no close will follow. */
    r = draft->ops->commit(draft);
    draft_reset(draft);
    return r;
}

int draft_flush(struct draft *draft)
{
    draft->flush_result = 0;
    if (!draft->is_dirty || draft->writers != 1)
        return 0;
    int r = draft->ops->report(draft, true);
    if (is_verdict(r))
        return r; /* the release will come to the same verdict */
    /* The commit happens at the release, which cannot report an error any more. */
    bool is_incomplete = r == -ERR_JSON_INCOMPLETE;
    if (r == 0 || is_incomplete)
        r = draft->ops->sync(draft);
    /* A writer that was told that its close failed will write again. The text must not be used
     * until then. */
    draft->flush_result = r;
    return r == 0 && is_incomplete ? -ERR_JSON_INCOMPLETE : r;
}

void draft_write_dropped(struct draft *draft, bool is_flush)
{
    if (is_flush)
        draft->flush_result = -ENOMEM;
    else
        draft->write_result = -ENOMEM;
}

void draft_close(struct draft *draft)
{
    if (--draft->writers > 0)
        return;
    if (draft->is_dirty)
        (void)draft->ops->commit(draft);
    draft_reset(draft);
}

void draft_abandon(struct draft *draft)
{
    draft->is_dirty = false;
    draft_close(draft);
}
