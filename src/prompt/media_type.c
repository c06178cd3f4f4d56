#include "media_type.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* A file matches if it has all bytes of `magic` at `offset`, and of `second`, if there is one, at
 * `second_offset`. */
static const struct {
    struct media_type type;
    size_t offset;
    const char *magic;
    size_t magic_len;
    size_t second_offset;
    const char *second;
} signatures[] = {
    {{MEDIA_IMAGE, "image/png"}, 0, "\x89PNG\r\n\x1a\n", 8, 0, ""},
    {{MEDIA_IMAGE, "image/jpeg"}, 0, "\xff\xd8\xff", 3, 0, ""},
    {{MEDIA_IMAGE, "image/gif"}, 0, "GIF8", 4, 5, "a"},
    {{MEDIA_IMAGE, "image/webp"}, 0, "RIFF", 4, 8, "WEBP"},
    {{MEDIA_IMAGE, "image/tiff"}, 0, "II*\0", 4, 0, ""},
    {{MEDIA_IMAGE, "image/tiff"}, 0, "MM\0*", 4, 0, ""},
    {{MEDIA_IMAGE, "image/heic"}, 4, "ftyp", 4, 8, "heic"},
    {{MEDIA_IMAGE, "image/heic"}, 4, "ftyp", 4, 8, "heix"},
    {{MEDIA_IMAGE, "image/heic"}, 4, "ftyp", 4, 8, "hevc"},
    {{MEDIA_IMAGE, "image/heic"}, 4, "ftyp", 4, 8, "hevx"},
    {{MEDIA_IMAGE, "image/heif"}, 4, "ftyp", 4, 8, "mif1"},
    {{MEDIA_IMAGE, "image/heif"}, 4, "ftyp", 4, 8, "msf1"},
    {{MEDIA_AUDIO, "audio/wav"}, 0, "RIFF", 4, 8, "WAVE"},
    {{MEDIA_AUDIO, "audio/mp3"}, 0, "ID3", 3, 0, ""},
    {{MEDIA_VIDEO, "video/mp4"}, 4, "ftyp", 4, 0, ""},
    {{MEDIA_IMAGE, "image/bmp"}, 0, "BM", 2, 0, ""},
};

static const struct media_type mp3 = {MEDIA_AUDIO, "audio/mp3"};

static bool has_at(const unsigned char *bytes, size_t len, size_t offset, const char *magic,
                   size_t magic_len)
{
    return magic_len == 0 ||
           (offset + magic_len <= len && memcmp(bytes + offset, magic, magic_len) == 0);
}

/* True for an MPEG audio frame of layer III without an ID3 tag before it (ISO 11172-3, 2.4.1.3):
 * eleven set bits, the layer, and neither the bad bit rate nor the reserved sampling rate. */
static bool is_mp3_frame(const unsigned char *bytes, size_t len)
{
    return len >= 3 && bytes[0] == 0xff && (bytes[1] & 0xe0) == 0xe0 && (bytes[1] & 0x06) == 0x02 &&
           (bytes[2] & 0xf0) != 0xf0 && (bytes[2] & 0x0c) != 0x0c;
}

const struct media_type *media_type_detect(const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < ARRAY_COUNT(signatures); i++) {
        if (has_at(bytes, len, signatures[i].offset, signatures[i].magic,
                   signatures[i].magic_len) &&
            has_at(bytes, len, signatures[i].second_offset, signatures[i].second,
                   strlen(signatures[i].second)))
            return &signatures[i].type;
    }
    return is_mp3_frame(bytes, len) ? &mp3 : NULL;
}

const char *media_type_list(enum reference_kind kind)
{
    static const char *const lists[MEDIA_KINDS] = {
        [MEDIA_IMAGE] = "jpeg, png, webp, bmp, tiff, gif, heic or heif",
        [MEDIA_VIDEO] = "mp4 or mov",
        [MEDIA_AUDIO] = "wav or mp3",
    };
    return lists[kind];
}
