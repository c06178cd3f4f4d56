#include "seedancefs/base/ids.h"

#include <errno.h>
#include <stdlib.h>

int ids_add(struct ids *list, int64_t id)
{
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 64;
        int64_t *more = realloc(list->ids, room * sizeof(*more));
        if (!more)
            return -ENOMEM;
        list->ids = more;
        list->room = room;
    }
    list->ids[list->count++] = id;
    return 0;
}

static int id_compare(const void *a, const void *b)
{
    const int64_t *one = a;
    const int64_t *other = b;
    return *one < *other ? -1 : *one > *other;
}

void ids_sort(struct ids *list)
{
    size_t kept = 0;
    if (list->count > 0)
        qsort(list->ids, list->count, sizeof(*list->ids), id_compare);
    for (size_t i = 0; i < list->count; i++) {
        if (kept == 0 || list->ids[i] != list->ids[kept - 1])
            list->ids[kept++] = list->ids[i];
    }
    list->count = kept;
}

void ids_fini(struct ids *list)
{
    free(list->ids);
    *list = (struct ids){0};
}
