/*
 * What: the commands that users write into the `ctl` of a job.
 */
#ifndef SEEDANCEFS_JOB_CTL_H
#define SEEDANCEFS_JOB_CTL_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/buf.h"
#include "seedancefs/job/job.h"

/* Runs one command, a line of at most 511 bytes. -EINVAL: not a command, or not possible in this
 * state; -EBUSY: not possible while something goes on; other codes from what it does. Whatever
 * fails, job_ctl_render() says why. */
int job_ctl_run(struct job *job, const char *bytes, size_t len) NODISCARD;

/* Renders the content of `ctl`: a line for each command, and why the last one failed. */
int job_ctl_render(const struct job_detail *detail, struct buf *out) NODISCARD;

#endif
