/* What: the state of what goes on, for the log (SIGUSR1). */
#ifndef SEEDANCEFS_JOB_STATE_LOG_H
#define SEEDANCEFS_JOB_STATE_LOG_H

struct jobs;

/* How many jobs are in which state, then a line for each of the active ones, of the first 1,000, and
 * for each call under way. */
void jobs_state_log(struct jobs *jobs);

#endif
