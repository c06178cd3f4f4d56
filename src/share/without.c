/* In place of the rest of this layer, where the program is built without the header of libpq. */
#include "seedancefs/share/share.h"

#include <errno.h>
#include <stdio.h>

static int refuse(char why[static SHARE_WHY_SIZE])
{
    (void)snprintf(
        why, SHARE_WHY_SIZE,
        "this seedancefs was built without it: libpq was not there. Install libpq-dev, and "
        "build it again.");
    return -ENOSYS;
}

int share_new(const struct share_settings *settings UNUSED, struct share **out UNUSED,
              char why[static SHARE_WHY_SIZE])
{
    return refuse(why);
}

struct share *share_free(struct share *share UNUSED)
{
    return NULL;
}

void share_start(struct share *share UNUSED, bool can_lead UNUSED)
{
}

bool share_is_behind(const struct share *share UNUSED)
{
    return false;
}

void share_status_get(const struct share *share UNUSED, struct share_status *out)
{
    *out = (struct share_status){.why = ""};
}

int share_init(const char *url UNUSED, const struct secret *password UNUSED,
               char why[static SHARE_WHY_SIZE])
{
    return refuse(why);
}
