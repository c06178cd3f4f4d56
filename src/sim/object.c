#include "sim/object.h"

#include <stdlib.h>
#include <string.h>

struct object *object_new(const char *key, const char *content_type, struct buf *bytes)
{
    struct object *object = mem_alloc(sizeof(*object));
    object->references = 1;
    object->key = mem_strdup(key);
    object->content_type = mem_strdup(content_type != NULL ? content_type : "binary/octet-stream");
    object->len = bytes->len;
    object->data = text_take(bytes);
    digest_md5(object->data, object->len, object->md5);
    digest_hex(object->md5, sizeof(object->md5), object->md5_hex);
    return object;
}

struct object *object_ref(struct object *object)
{
    object->references++;
    return object;
}

void object_unref(struct object *object)
{
    if (object == NULL || --object->references > 0)
        return;
    free(object->key);
    free(object->content_type);
    free(object->data);
    free(object);
}

size_t object_index(const struct object_table *table, const char *key, bool is_after)
{
    size_t low = 0;
    size_t high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(table->sorted[middle]->key, key);
        if (order < 0 || (order == 0 && is_after))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct object *object_find(const struct object_table *table, const char *key)
{
    size_t i = object_index(table, key, false);
    return i < table->count && strcmp(table->sorted[i]->key, key) == 0 ? table->sorted[i] : NULL;
}

static void table_insert(struct object_table *table, size_t at, struct object *object)
{
    if (table->count == table->capacity) {
        size_t capacity = table->capacity > 0 ? 2 * table->capacity : 64;
        struct object **grown = mem_alloc(capacity * sizeof(struct object *));
        for (size_t i = 0; i < table->count; i++)
            grown[i] = table->sorted[i];
        free(table->sorted);
        table->sorted = grown;
        table->capacity = capacity;
    }
    for (size_t i = table->count++; i > at; i--)
        table->sorted[i] = table->sorted[i - 1];
    table->sorted[at] = object;
}

void object_put(struct object_table *table, struct object *object)
{
    size_t at = object_index(table, object->key, false);
    struct object *old = object_find(table, object->key);
    object->modified_ms = clock_now_ms();
    object->puts = old != NULL ? old->puts + 1 : 1;
    (void)object_ref(object);
    if (old == NULL) {
        table_insert(table, at, object);
        return;
    }
    table->sorted[at] = object;
    object_unref(old);
}

bool object_remove(struct object_table *table, const char *key)
{
    struct object *object = object_find(table, key);
    if (object == NULL)
        return false;
    for (size_t i = object_index(table, key, true); i < table->count; i++)
        table->sorted[i - 1] = table->sorted[i];
    table->count--;
    object_unref(object);
    return true;
}

void object_remove_all(struct object_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        object_unref(table->sorted[i]);
    table->count = 0;
}
