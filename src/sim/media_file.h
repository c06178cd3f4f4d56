/*
 * media_file: what a file is, by its bytes.
 *
 * What: the type by magic bytes, the sides by the header of a PNG or JPEG, and everything else that
 * ffprobe can say, in a child, if it is installed. The simulator has code of its own for this, so
 * that it does not share a mistake with the program.
 * Lifetime: values only.
 * Errors: see media_file_probe().
 */
#ifndef SIM_MEDIA_FILE_H
#define SIM_MEDIA_FILE_H

#include "sim/util.h"

/* What ffprobe says; 0 and "" where it says nothing. */
struct media_probe {
    char codec[16]; /* of the first video or image stream */
    uint64_t width, height;
    double frames_per_s;
    double seconds;
};

/* "png", "jpeg", "gif", "webp", "tiff", "bmp", "heif", "wav", "mp3", "mp4"; NULL: something else. */
const char *media_file_type(const unsigned char *bytes, size_t len);

/* Returns false when the file is neither PNG nor JPEG, or its header does not tell. */
bool media_file_sides(const unsigned char *bytes, size_t len, uint64_t *width, uint64_t *height);

/* -ENOENT: no ffprobe, or it did not answer in time. -EINVAL: it cannot read the file. */
int media_file_probe(const unsigned char *bytes, size_t len, struct media_probe *out) NODISCARD;

#endif
