/*
 * object: what the simulated object store keeps.
 *
 * What: a table of objects in the order of their keys, as bytes. An object is made once and never
 * changes: another PUT of its key makes another object.
 * Lifetime: objects live in memory and end with the program, also with --data. They are counted by
 * reference, so that a response can send one that has been replaced meanwhile. All functions but
 * object_new() need the simulator's lock.
 * Errors: none.
 */
#ifndef SIM_OBJECT_H
#define SIM_OBJECT_H

#include "sim/digest.h"
#include "sim/util.h"

enum { OBJECT_BYTES_MAX = 1 << 30, OBJECT_KEY_MAX = 1024 };

struct object {
    unsigned references;
    char *key;
    char *content_type;
    char *data; /* followed by a NUL */
    size_t len;
    unsigned char md5[MD5_SIZE];
    char md5_hex[MD5_HEX_SIZE];
    int64_t modified_ms;
    uint64_t puts; /* how many PUTs of the key were kept since it was last deleted */
};

struct object_table {
    struct object **sorted; /* by key, byte for byte */
    size_t count;
    size_t capacity;
};

/* With one reference. content_type NULL: the default. Takes the bytes, and leaves the buf empty. */
struct object *object_new(const char *key, const char *content_type, struct buf *bytes);
struct object *object_ref(struct object *object);
void object_unref(struct object *object); /* accepts NULL */

/* NULL: there is none. */
struct object *object_find(const struct object_table *table, const char *key);
/* Where the first key is that is not before `key`, or with is_after, that is behind it. */
size_t object_index(const struct object_table *table, const char *key, bool is_after);
/* Keeps the object, with a reference of the table's own, instead of one with the same key. */
void object_put(struct object_table *table, struct object *object);
/* False: there is none. */
bool object_remove(struct object_table *table, const char *key);
void object_remove_all(struct object_table *table);

#endif
