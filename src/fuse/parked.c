/* Writes to the log which requests wait (SIGUSR1). */
#include "fuse_private.h"

#include "seedancefs/base/log.h"

int64_t session_now_ms(const struct session *session)
{
    return clock_monotonic_ms(session->settings.timers->clock);
}

void parked_state_log(const struct session *session, const char *kind, fuse_ino_t ino,
                      int64_t began_ms)
{
    log_info("state.parked", "kind=%s inode=%llu age_ms=%lld", kind, (unsigned long long)ino,
             (long long)(session_now_ms(session) - began_ms));
}
