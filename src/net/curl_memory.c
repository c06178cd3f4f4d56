#include "net/curl_memory.h"

#include <curl/curl.h>
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { RESERVE_BLOCKS = 32, RESERVE_BYTES = 512 };

/* Ordinary blocks of malloc(). libcurl's resolver allocates in threads of its own. */
static _Atomic(void *) reserve[RESERVE_BLOCKS];

static void *reserve_take(size_t size)
{
    void *memory = NULL;
    for (size_t i = 0; !memory && size <= RESERVE_BYTES && i < RESERVE_BLOCKS; i++)
        memory = atomic_exchange(&reserve[i], NULL);
    return memory;
}

/* False when the reserve has all its blocks. */
static bool reserve_give(void *memory)
{
    bool is_given = false;
    for (size_t i = 0; !is_given && i < RESERVE_BLOCKS; i++) {
        void *none = NULL;
        is_given = atomic_compare_exchange_strong(&reserve[i], &none, memory);
    }
    return is_given;
}

static void *reserved_malloc(size_t size)
{
    void *memory = malloc(size);
    return memory ? memory : reserve_take(size);
}

static void *reserved_calloc(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory || (size && count > SIZE_MAX / size))
        return memory;
    memory = reserve_take(count * size);
    return memory ? memset(memory, 0, count * size) : NULL;
}

static char *reserved_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = reserved_malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

static void wiped_free(void *memory)
{
    size_t usable = memory ? malloc_usable_size(memory) : 0;
    if (memory)
        explicit_bzero(memory, usable);
    if (usable < RESERVE_BYTES || usable > 2 * RESERVE_BYTES || !reserve_give(memory))
        free(memory);
}

/* realloc() would leave an unwiped copy when it moves, and an unwiped tail when it shrinks. */
static void *wiped_realloc(void *memory, size_t size)
{
    size_t usable = memory ? malloc_usable_size(memory) : 0;
    void *other = reserved_malloc(size);
    if (!other)
        return NULL;
    if (memory)
        memcpy(other, memory, usable < size ? usable : size);
    wiped_free(memory);
    return other;
}

int curl_memory_init(void)
{
    for (size_t i = 0; i < RESERVE_BLOCKS; i++) {
        void *memory = malloc(RESERVE_BYTES);
        if (!memory || !reserve_give(memory)) {
            free(memory);
            break;
        }
    }
    CURLcode code = curl_global_init_mem(CURL_GLOBAL_DEFAULT, reserved_malloc, wiped_free,
                                         wiped_realloc, reserved_strdup, reserved_calloc);
    return code == CURLE_OK ? 0 : -ENOMEM;
}
