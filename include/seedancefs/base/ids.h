/*
 * What: a list of ids that grows, in order and each once after ids_sort().
 * Lifetime: a zeroed struct is an empty list; ids_fini() frees it.
 * Errors: -ENOMEM, and the list is as it was.
 */
#ifndef SEEDANCEFS_BASE_IDS_H
#define SEEDANCEFS_BASE_IDS_H

#include "seedancefs/base/attributes.h"

#include <stddef.h>
#include <stdint.h>

struct ids {
    int64_t *ids;
    size_t count;
    size_t room;
};

int ids_add(struct ids *list, int64_t id) NODISCARD;
void ids_sort(struct ids *list);
void ids_fini(struct ids *list);

#endif
