/*
 * When a name of a view last came or went, and how many jobs there are in each state. To follow
 * that, one byte of each job (view_mark) remembers in which views it stands.
 */
#include "tree_private.h"

enum { MARK_KNOWN = 0x80, MARK_VIDEO = 0x40, MARK_STATE = 0x3f };
_Static_assert((int)JOB_STATE_COUNT <= (int)MARK_STATE, "a state fits into the mark");

static unsigned char mark_of(const struct job *job)
{
    return (unsigned char)(MARK_KNOWN | (unsigned)job->state |
                           (output_is_there(job, MEDIA_VIDEO) ? MARK_VIDEO : 0));
}

/* Notes the time: the names that the mark stands for come or go now. */
static void mark_note_activity(struct tree *tree, unsigned char mark)
{
    int64_t now_ms = clock_wall_ms(tree->settings.clock);
    if (!(mark & MARK_KNOWN))
        return;
    tree->status_changed_ms[mark & MARK_STATE] = now_ms;
    if (mark & MARK_VIDEO)
        tree->videos_changed_ms = now_ms;
}

void views_begin(struct tree *tree)
{
    tree->videos_changed_ms = tree->born_ms;
    for (size_t i = 0; i < JOB_STATE_COUNT; i++)
        tree->status_changed_ms[i] = tree->born_ms;
    for (struct job *job = jobs_next(tree->settings.jobs, 0); job;
         job = jobs_next(tree->settings.jobs, job->id)) {
        job->view_mark = mark_of(job);
        tree->status_counts[job->state]++;
    }
}

void views_job_changed(struct tree *tree, struct job *job)
{
    unsigned char before = job->view_mark;
    unsigned char now = mark_of(job);
    if (before == now)
        return;
    job->view_mark = now;
    if ((before & ~MARK_VIDEO) == (now & ~MARK_VIDEO)) { /* only the video has come or gone */
        tree->videos_changed_ms = clock_wall_ms(tree->settings.clock);
        return;
    }
    if (before & MARK_KNOWN)
        tree->status_counts[before & MARK_STATE]--;
    else /* the job was created */
        tree->jobs_changed_ms = clock_wall_ms(tree->settings.clock);
    tree->status_counts[now & MARK_STATE]++;
    mark_note_activity(tree, before);
    mark_note_activity(tree, now);
}

void views_job_gone(struct tree *tree, struct job *job)
{
    if (job->view_mark & MARK_KNOWN)
        tree->status_counts[job->view_mark & MARK_STATE]--;
    mark_note_activity(tree, job->view_mark);
    job->view_mark = 0;
}

void views_name_changed(struct tree *tree, const struct job *job)
{
    mark_note_activity(tree, job->view_mark);
}
