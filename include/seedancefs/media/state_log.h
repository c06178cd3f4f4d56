/* What: the state of what goes on, for the log (SIGUSR1). */
#ifndef SEEDANCEFS_MEDIA_STATE_LOG_H
#define SEEDANCEFS_MEDIA_STATE_LOG_H

struct media;

/* A line for each transfer under way. */
void media_state_log(const struct media *media);

#endif
