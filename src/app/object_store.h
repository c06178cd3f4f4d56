/*
 * What: the object store of --objects: its credentials, and whether it can be used. Credentials come
 * from --objects-credentials, else from $AWS_ACCESS_KEY_ID, $AWS_SECRET_ACCESS_KEY and
 * $AWS_SESSION_TOKEN. Never from an argument.
 * Lifetime: object_store_start() .. object_store_stop(), while loop and http exist. The probe runs in
 * the loop, because the mount has to answer meanwhile.
 * Errors: what is wrong is said on standard error and in the log.
 */
#ifndef SEEDANCEFS_APP_OBJECT_STORE_H
#define SEEDANCEFS_APP_OBJECT_STORE_H

#include "file_reader.h"

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/timer.h"
#include "seedancefs/objects/objects.h"

#include <stdbool.h>

struct http;
struct loop;

/* `why` is what is wrong; NULL: nothing. If it is not final, the store cannot be asked now, and is
 * asked again before something is put there. */
typedef void object_store_probed_fn(void *context, const char *why, bool is_final);

struct object_store {
    struct objects *objects; /* NULL: there is none */
    struct loop *loop;
    struct timer timer;
    object_store_probed_fn *on_probed; /* NULL: it was called */
    void *context;
};

struct object_store_settings {
    struct loop *loop;
    struct http *http;
    const char *place;            /* of --objects */
    const char *credentials_file; /* NULL: from the environment */
};

/* Reads the credentials, and wipes the variables. -EINVAL and a sentence in `why`; -ENOMEM. */
int object_store_start(struct object_store *store, const struct object_store_settings *settings,
                       char why[static OBJECTS_WHY_SIZE]) NODISCARD;

/* Calls on_probed once, within five seconds, and not from within. */
int object_store_probe(struct object_store *store, object_store_probed_fn *on_probed,
                       void *context) NODISCARD;

/* Whether a service at this address can read addresses in it. */
bool object_store_is_public(const struct object_store *store, const char *api_url);

/* New credentials, from the file. False: it has the old ones still. */
bool object_store_credentials_take(struct object_store *store, const char *path,
                                   const struct file_text *text);

void object_store_stop(struct object_store *store);

#endif
