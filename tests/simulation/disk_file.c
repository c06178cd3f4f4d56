/*
 * A file has two images: `cache`, which reads see, and `durable`, which is certain to survive a
 * power cut. Writes and truncations change the cache at once and are added to a list. A sync
 * applies the list to the durable image; a power cut applies a part of it.
 */
#include "disk_private.h"

#include <stdlib.h>
#include <string.h>

enum { SECTOR_BYTES = 512 };

static void image_reserve(struct image *image, size_t len)
{
    if (len <= image->capacity)
        return;
    size_t capacity = image->capacity ? image->capacity : 16384;
    while (capacity < len)
        capacity *= 2;
    image->bytes = realloc(image->bytes, capacity);
    if (!image->bytes)
        abort();
    image->capacity = capacity;
}

static void image_resize(struct image *image, size_t len)
{
    image_reserve(image, len);
    if (len > image->len)
        memset(image->bytes + image->len, 0, len - image->len);
    image->len = len;
}

static void image_write(struct image *image, size_t offset, const void *bytes, size_t len)
{
    if (offset + len > image->len)
        image_resize(image, offset + len);
    memcpy(image->bytes + offset, bytes, len);
}

void image_copy(struct image *to, const struct image *from)
{
    image_reserve(to, from->len);
    to->len = from->len;
    if (from->len)
        memcpy(to->bytes, from->bytes, from->len);
}

struct file *file_new(void)
{
    struct file *file = calloc(1, sizeof(*file));
    if (!file)
        abort();
    return file;
}

struct file *file_ref(struct file *file)
{
    if (file)
        file->references++;
    return file;
}

void file_unref(struct file *file)
{
    if (!file || --file->references > 0)
        return;
    free(file->cache.bytes);
    free(file->durable.bytes);
    free(file->data.bytes);
    free(file->changes);
    free(file);
}

void file_change(struct file *file, const struct change *change, const void *bytes)
{
    if (file->count == file->capacity) {
        file->capacity = file->capacity ? file->capacity * 2 : 64;
        file->changes = realloc(file->changes, file->capacity * sizeof(*file->changes));
        if (!file->changes)
            abort();
    }
    file->changes[file->count] = *change;
    file->changes[file->count++].at = file->data.len;
    if (change->is_truncation) {
        image_resize(&file->cache, (size_t)change->offset);
        return;
    }
    image_write(&file->data, file->data.len, bytes, change->len);
    image_write(&file->cache, (size_t)change->offset, bytes, change->len);
}

static void file_changes_drop(struct file *file)
{
    file->count = 0;
    file->data.len = 0;
}

void file_sync(struct file *file)
{
    for (size_t i = 0; i < file->count; i++) {
        const struct change *change = &file->changes[i];
        if (change->is_truncation)
            image_resize(&file->durable, (size_t)change->offset);
        else
            image_write(&file->durable, (size_t)change->offset, file->data.bytes + change->at,
                        change->len);
    }
    file_changes_drop(file);
}

static bool is_kept(enum keeping keeping)
{
    switch (keeping) {
    case KEEP_NONE:
        return false;
    case KEEP_SOME:
        return world_chance(500);
    case KEEP_MAX:
        return world_chance(930);
    case KEEP_ALL:
    case KEEP_FIRST:
    case KEEPINGS:
        break;
    }
    return true;
}

void file_sync_partly(struct file *file, enum keeping keeping)
{
    size_t most = keeping == KEEP_FIRST ? world_pick((unsigned)file->count + 1) : file->count;
    for (size_t i = 0; i < most; i++) {
        const struct change *change = &file->changes[i];
        size_t offset = (size_t)change->offset;
        if (change->is_truncation) {
            if (is_kept(keeping))
                image_resize(&file->durable, offset);
            continue;
        }
        bool is_whole = keeping != KEEP_FIRST || i + 1 < most;
        size_t end = offset + (is_whole ? change->len : world_pick((unsigned)change->len + 1));
        for (size_t from = offset; from < end;) {
            size_t to = (from / SECTOR_BYTES + 1) * SECTOR_BYTES;
            to = to < end ? to : end;
            if (is_kept(keeping))
                image_write(&file->durable, from, file->data.bytes + change->at + (from - offset),
                            to - from);
            from = to;
        }
        /* Keeps the new length without its bytes. */
        if (keeping == KEEP_SOME && end > file->durable.len && world_chance(300))
            image_resize(&file->durable, end);
    }
    file_changes_drop(file);
}

bool file_is_clean(struct file *file)
{
    if (file->count > 0)
        return false;
    if (file->is_doubtful && (file->cache.len != file->durable.len ||
                              memcmp(file->cache.bytes, file->durable.bytes, file->cache.len) != 0))
        return false;
    file->is_doubtful = false;
    return true;
}
