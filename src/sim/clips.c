/*
 * The embedded clips and the cover. The paths are relative to the top of the repository, where the
 * compiler runs. C has no #embed before C23, but the assembler has .incbin.
 */
#include "sim/video.h"

#include <errno.h>

#define EMBED(symbol, path)                                                                        \
    __asm__(".pushsection .rodata\n"                                                               \
            ".balign 8\n"                                                                          \
            ".global " #symbol "_data\n" #symbol "_data:\n"                                        \
            ".incbin \"" path "\"\n"                                                               \
            ".L" #symbol "_end:\n"                                                                 \
            ".byte 0\n"                                                                            \
            ".balign 8\n"                                                                          \
            ".global " #symbol "_size\n" #symbol "_size:\n"                                        \
            ".quad .L" #symbol "_end - " #symbol "_data\n"                                         \
            ".popsection\n");                                                                      \
    extern const unsigned char symbol##_data[];                                                    \
    extern const uint64_t symbol##_size

EMBED(sim_landscape, "tests/media/landscape.mp4");
EMBED(sim_portrait, "tests/media/portrait.mp4");
EMBED(sim_mandelbrot, "tests/media/mandelbrot.mp4");
EMBED(sim_cover, "tests/media/cover.jpg");

static const struct {
    const unsigned char *data;
    const uint64_t *size;
} embedded[] = {
    {sim_landscape_data, &sim_landscape_size},
    {sim_portrait_data, &sim_portrait_size},
    {sim_mandelbrot_data, &sim_mandelbrot_size},
};

size_t clip_embedded_count(void)
{
    return ARRAY_COUNT(embedded);
}

int clip_embedded(size_t index, struct clip *out)
{
    if (index >= ARRAY_COUNT(embedded))
        return -ERANGE;
    return clip_init(out, embedded[index].data, *embedded[index].size);
}
