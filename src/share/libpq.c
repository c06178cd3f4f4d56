/*
 * libpq, loaded when it is asked for. Linked, it would bring Kerberos and LDAP into every mount, of hosts
 * that share nothing, too.
 */
#include "share_private.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

const struct libpq *libpq_load(char why[static SHARE_WHY_SIZE])
{
    static struct libpq functions;
    static const char *const names[] = {
#define X(name) "PQ" #name,
        LIBPQ_TABLE(X)
#undef X
    };
    static bool is_loaded;
    void *library = is_loaded ? NULL : dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
    if (!is_loaded && !library) {
        (void)snprintf(
            why, SHARE_WHY_SIZE,
            "the library of PostgreSQL cannot be loaded: %.200s. Install it: apt install "
            "libpq5.",
            dlerror());
        return NULL;
    }
    for (size_t i = 0; !is_loaded && i < sizeof(names) / sizeof(names[0]); i++) {
        void *function = dlsym(library, names[i]);
        if (!function) {
            (void)snprintf(why, SHARE_WHY_SIZE,
                           "the library of PostgreSQL is too old: it has no %s.", names[i]);
            return NULL;
        }
        memcpy((char *)&functions + i * sizeof(function), &function, sizeof(function));
    }
    is_loaded = true;
    return &functions;
}
