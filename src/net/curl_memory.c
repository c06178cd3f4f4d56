#include "net/curl_memory.h"

#include <curl/curl.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void wiped_free(void *memory)
{
    if (memory)
        explicit_bzero(memory, malloc_usable_size(memory));
    free(memory);
}

/* realloc() would leave an unwiped copy when it moves, and an unwiped tail when it shrinks. */
static void *wiped_realloc(void *memory, size_t size)
{
    size_t usable = memory ? malloc_usable_size(memory) : 0;
    void *other = malloc(size);
    if (!other)
        return NULL;
    if (memory)
        memcpy(other, memory, usable < size ? usable : size);
    wiped_free(memory);
    return other;
}

int curl_memory_init(void)
{
    CURLcode code = curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wiped_free, wiped_realloc,
                                         strdup, calloc);
    return code == CURLE_OK ? 0 : -ENOMEM;
}
