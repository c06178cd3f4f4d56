#include "object_store.h"

#include "key.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/text.h"
#include "seedancefs/net/loop.h"
#include "seedancefs/net/url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROBE_DEADLINE_MS = 5 * 1000 };

static const char no_credentials[] =
    "there are no credentials for the object store: set AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY in the environment, or name a file with --objects-credentials FILE";

static int file_take(const char *path, const struct file_text *text,
                     struct objects_credentials *out, char why[static OBJECTS_WHY_SIZE])
{
    int r = text->result;
    if (r == 0)
        r = objects_credentials_parse(text->bytes, text->len, out);
    if (r == -EINVAL)
        (void)snprintf(why, OBJECTS_WHY_SIZE,
                       "%.256s: the lines aws_access_key_id = … and aws_secret_access_key = … are "
                       "expected, at its head or in the section [default]",
                       path);
    else if (r < 0)
        (void)snprintf(why, OBJECTS_WHY_SIZE,
                       "%.256s: the credentials of the object store cannot be read: %s", path,
                       err_sentence(r));
    else if (file_text_is_exposed(text))
        log_warn("objects.readable", "file=%s mode=%04o", path, (unsigned)text->mode & 07777);
    return r;
}

static int environment_take(struct objects_credentials *out, char why[static OBJECTS_WHY_SIZE])
{
    int id = secret_variable_take("AWS_ACCESS_KEY_ID", &out->key_id);
    int secret = secret_variable_take("AWS_SECRET_ACCESS_KEY", &out->secret);
    int token = secret_variable_take("AWS_SESSION_TOKEN", &out->token);
    if (id == 0 && secret == 0 && (token == 0 || token == -ENOENT))
        return 0;
    objects_credentials_fini(out);
    (void)snprintf(why, OBJECTS_WHY_SIZE, "%s",
                   id == -EINVAL || secret == -EINVAL || token == -EINVAL
                       ? "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN are "
                         "visible characters without blanks"
                       : no_credentials);
    return -EINVAL;
}

static int credentials_read(const char *path, struct objects_credentials *out,
                            char why[static OBJECTS_WHY_SIZE])
{
    struct objects_credentials unused = {0};
    char ignored[OBJECTS_WHY_SIZE];
    if (!path)
        return environment_take(out, why);
    struct file_text text;
    file_text_read(path, &text);
    int r = file_take(path, &text, out, why);
    explicit_bzero(&text, sizeof(text));
    (void)environment_take(&unused, ignored); /* for the wiping */
    objects_credentials_fini(&unused);
    return r;
}

int object_store_start(struct object_store *store, const struct object_store_settings *settings,
                       char why[static OBJECTS_WHY_SIZE])
{
    struct objects_place place = {0};
    struct objects_credentials credentials = {0};
    *store = (struct object_store){.loop = settings->loop};
    int r = objects_place_parse(settings->place, &place, why);
    if (r == 0)
        r = credentials_read(settings->credentials_file, &credentials, why);
    if (r == 0)
        return objects_new(settings->loop, settings->http, &place, &credentials, &store->objects);
    objects_place_fini(&place);
    return r;
}

static void probe_done(struct object_store *store, const char *why, bool is_final)
{
    object_store_probed_fn *on_probed = TAKE_POINTER(store->on_probed);
    timer_cancel(loop_timers(store->loop), &store->timer);
    if (on_probed)
        on_probed(store->context, why, is_final);
}

/* What nobody but the user can mend ends the program. A store that is away comes back. */
static void on_probe(void *context, int result, const char *why)
{
    char advised[OBJECTS_WHY_SIZE + 128];
    bool is_refused = result == -ERR_OBJECT_REFUSED;
    bool is_final = is_refused || result == -ERR_OBJECT_UNFIT || result == -ERR_URL_REFUSED;
    (void)snprintf(advised, sizeof(advised), "%s%s%s", why, text_full_stop(why),
                   is_refused ? " Check the bucket's name, its region, the credentials, and that "
                                "they may put and get objects there."
                              : "");
    probe_done(context, result < 0 ? advised : NULL, is_final);
}

static void on_deadline(void *context)
{
    probe_done(context, "it has not answered within five seconds.", false);
}

int object_store_probe(struct object_store *store, object_store_probed_fn *on_probed, void *context)
{
    store->on_probed = on_probed;
    store->context = context;
    int r = objects_probe(store->objects, store, on_probe);
    if (r == 0)
        timer_set(loop_timers(store->loop), &store->timer, PROBE_DEADLINE_MS, on_deadline, store);
    else
        store->on_probed = NULL;
    return r;
}

bool object_store_is_public(const struct object_store *store, const char *api_url)
{
    return store->objects && (!objects_is_loopback(store->objects) || url_is_loopback(api_url));
}

bool object_store_credentials_take(struct object_store *store, const char *path,
                                   const struct file_text *text)
{
    struct objects_credentials credentials = {0};
    char why[OBJECTS_WHY_SIZE];
    if (!text) {
        log_warn("objects.slow",
                 "file=%s why=\"it is still being read; the old ones are used meanwhile\"", path);
        return false;
    }
    if (file_take(path, text, &credentials, why) < 0) {
        log_warn("objects.kept", "file=%s why=\"%s\"", path, why);
        return false;
    }
    objects_credentials_set(store->objects, &credentials);
    log_info("objects.credentials", "file=%s", path);
    return true;
}

void object_store_stop(struct object_store *store)
{
    if (store->loop)
        timer_cancel(loop_timers(store->loop), &store->timer);
    store->on_probed = NULL;
    store->objects = objects_free(store->objects);
}
