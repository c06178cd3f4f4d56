/*
 * video: the bytes of a task's mp4 file, computed from the offset.
 *
 * What: a clip whose moov atom is its last box, with a `free` box of pseudo-random bytes inserted
 * before the moov. Chunk offsets point into mdat, which is before the padding, so the file stays
 * playable at any size. The padding depends on the task's number: byte i of the box's content is
 * byte i%8 (little endian) of mix64(mix64(number) + i/8).
 * Lifetime: struct video is a value; it borrows the clip, which lives as long as the program.
 * Errors: -EINVAL for a file that is no such clip, -ERANGE for an impossible size.
 */
#ifndef SIM_VIDEO_H
#define SIM_VIDEO_H

#include "sim/util.h"

struct clip {
    const unsigned char *data;
    uint64_t size;
    uint64_t moov_at; /* also the length of the part before the padding */
};

struct video {
    const struct clip *clip;
    unsigned char pad_header[16];
    uint64_t pad_header_size; /* 0, 8 or 16 */
    uint64_t pad_size;        /* bytes after the header */
    uint64_t seed;
    uint64_t size;
};

/* Embedded clips, see tests/media/README.md. */
extern const unsigned char sim_cover_data[];
extern const uint64_t sim_cover_size;
size_t clip_embedded_count(void);
int clip_embedded(size_t index, struct clip *out) NODISCARD;

/* Finds the moov atom, which must be the last box. */
int clip_init(struct clip *out, const unsigned char *data, uint64_t size) NODISCARD;

/* size_bytes 0: the clip and a box of 1 KiB, so that any two tasks differ. */
int video_init(struct video *out, const struct clip *clip, uint64_t size_bytes,
               uint64_t task_number) NODISCARD;

/* Fills buf with the bytes [at, at + len), which must lie within the file. */
void video_read(const struct video *v, uint64_t at, unsigned char *buf, size_t len);

#endif
