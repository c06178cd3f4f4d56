#include "sim/video.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

enum { DEFAULT_PAD_BYTES = 1024, BOX_HEADER = 8, LONG_BOX_HEADER = 16 };

static uint64_t read_big_endian(const unsigned char *p, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

static void write_big_endian(unsigned char *p, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        p[i] = (unsigned char)(v >> (8 * (bytes - 1 - i)));
}

int clip_init(struct clip *out, const unsigned char *data, uint64_t size)
{
    uint64_t at = 0;
    while (size - at >= BOX_HEADER) {
        uint64_t box = read_big_endian(data + at, 4);
        if (box == 1 && size - at >= LONG_BOX_HEADER)
            box = read_big_endian(data + at + 8, 8);
        else if (box == 0)
            box = size - at;
        if (box < BOX_HEADER || box > size - at)
            return -EINVAL;
        if (memcmp(data + at + 4, "moov", 4) == 0) {
            if (at + box != size || at == 0)
                return -EINVAL;
            *out = (struct clip){.data = data, .size = size, .moov_at = at};
            return 0;
        }
        at += box;
    }
    return -EINVAL;
}

int video_init(struct video *out, const struct clip *clip, uint64_t size_bytes,
               uint64_t task_number)
{
    if (size_bytes == 0)
        size_bytes = clip->size + BOX_HEADER + DEFAULT_PAD_BYTES;
    if (size_bytes < clip->size)
        return -ERANGE;
    struct video v = {.clip = clip, .seed = mix64(task_number), .size = size_bytes};
    uint64_t box = size_bytes - clip->size;
    if (box > 0 && box < BOX_HEADER)
        return -ERANGE;
    if (box > UINT32_MAX) {
        write_big_endian(v.pad_header, 1, 4);
        write_big_endian(v.pad_header + 8, box, 8);
        v.pad_header_size = LONG_BOX_HEADER;
    } else if (box > 0) {
        write_big_endian(v.pad_header, box, 4);
        v.pad_header_size = BOX_HEADER;
    }
    memcpy(v.pad_header + 4, "free", 4);
    v.pad_size = box - v.pad_header_size;
    *out = v;
    return 0;
}

static void pad_read(uint64_t seed, uint64_t at, unsigned char *buf, size_t len)
{
    uint64_t word = at / 8;
    size_t skip = (size_t)(at % 8);
    while (len > 0) {
        uint64_t bytes = htole64(mix64(seed + word++));
        if (skip == 0 && len >= 8) {
            memcpy(buf, &bytes, 8);
            buf += 8;
            len -= 8;
            continue;
        }
        size_t n = 8 - skip < len ? 8 - skip : len;
        memcpy(buf, (const unsigned char *)&bytes + skip, n);
        buf += n;
        len -= n;
        skip = 0;
    }
}

void video_read(const struct video *v, uint64_t at, unsigned char *buf, size_t len)
{
    const struct {
        uint64_t size;
        const unsigned char *data; /* NULL: the padding */
    } parts[] = {
        {v->clip->moov_at, v->clip->data},
        {v->pad_header_size, v->pad_header},
        {v->pad_size, NULL},
        {v->clip->size - v->clip->moov_at, v->clip->data + v->clip->moov_at},
    };
    for (size_t i = 0; i < ARRAY_COUNT(parts) && len > 0; i++) {
        if (at >= parts[i].size) {
            at -= parts[i].size;
            continue;
        }
        uint64_t left = parts[i].size - at;
        size_t n = left < len ? (size_t)left : len;
        if (parts[i].data != NULL)
            memcpy(buf, parts[i].data + at, n);
        else
            pad_read(v->seed, at, buf, n);
        buf += n;
        len -= n;
        at = 0;
    }
}
