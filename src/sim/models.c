#include "sim/models.h"

#include "seedancefs/base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MODELS_MAX = 64, FILE_BYTES_MAX = 1 << 20 };

static const char *const documented[] = {"doubao-seedance-2.0", "doubao-seedance-2.0-fast"};
static const char documented_text[] = "{\"usd_per_second\": {\"480p\": \"\", \"720p\": \"\"}}";
static const char ratios[] =
    "[\"adaptive\", \"16:9\", \"9:16\", \"1:1\", \"4:3\", \"3:4\", \"21:9\"]";

static struct model models[MODELS_MAX];
static size_t model_count;

#define AT(member) offsetof(struct model, member)

/* A clip is one frame longer than its duration, so that lengths have some slack where they are used. */
static const struct {
    const char *object;
    const char *member;
    size_t offset;
    double preset;
} numbers[] = {
    {"duration", "min", AT(duration_min), 4},
    {"duration", "max", AT(duration_max), 15},
    {"duration", "default", AT(duration_default), 5},
    {"image_urls", "max_count", AT(media[INPUT_IMAGE].count_max), 9},
    {"image_urls", "max_bytes", AT(media[INPUT_IMAGE].bytes_max), (30 << 20) - 1},
    {"image_urls", "min_pixels", AT(media[INPUT_IMAGE].side_min), 300},
    {"image_urls", "max_pixels", AT(media[INPUT_IMAGE].side_max), 6000},
    {"image_urls", "min_ratio", AT(media[INPUT_IMAGE].ratio_min), 0.4},
    {"image_urls", "max_ratio", AT(media[INPUT_IMAGE].ratio_max), 2.5},
    {"video_urls", "max_count", AT(media[INPUT_VIDEO].count_max), 3},
    {"video_urls", "max_bytes", AT(media[INPUT_VIDEO].bytes_max), 200 << 20},
    {"video_urls", "min_pixels", AT(media[INPUT_VIDEO].side_min), 300},
    {"video_urls", "max_pixels", AT(media[INPUT_VIDEO].side_max), 6000},
    {"video_urls", "min_ratio", AT(media[INPUT_VIDEO].ratio_min), 0.4},
    {"video_urls", "max_ratio", AT(media[INPUT_VIDEO].ratio_max), 2.5},
    {"video_urls", "min_fps", AT(media[INPUT_VIDEO].rate_min), 24},
    {"video_urls", "max_fps", AT(media[INPUT_VIDEO].rate_max), 60},
    {"video_urls", "min_seconds", AT(media[INPUT_VIDEO].seconds_min), 2},
    {"video_urls", "max_seconds", AT(media[INPUT_VIDEO].seconds_max), 15},
    {"input_video_duration", "max", AT(media[INPUT_VIDEO].seconds_sum_max), 15},
    {"audio_urls", "max_count", AT(media[INPUT_AUDIO].count_max), 3},
    {"audio_urls", "max_bytes", AT(media[INPUT_AUDIO].bytes_max), 15 << 20},
    {"audio_urls", "min_seconds", AT(media[INPUT_AUDIO].seconds_min), 2},
    {"audio_urls", "max_seconds", AT(media[INPUT_AUDIO].seconds_max), 15},
    {"audio_urls", "max_seconds_in_all", AT(media[INPUT_AUDIO].seconds_sum_max), 15},
};

static const cJSON *parameter(const cJSON *root, const char *object, const char *member)
{
    const cJSON *parameters = cJSON_GetObjectItemCaseSensitive(root, "parameters");
    return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(parameters, object),
                                            member);
}

const struct model *model_find(const char *name)
{
    for (size_t i = 0; name != NULL && i < model_count; i++)
        if (strcmp(models[i].name, name) == 0)
            return &models[i];
    return NULL;
}

/* The tree is kept as long as the program runs. A model of this name is replaced. */
static int model_add(const char *name, const char *text)
{
    const cJSON *root = cJSON_Parse(text);
    const cJSON *prices = cJSON_GetObjectItemCaseSensitive(root, "usd_per_second");
    const cJSON *listed = parameter(root, "aspect_ratio", "values");
    size_t place = 0;
    while (place < model_count && strcmp(models[place].name, name) != 0)
        place++;
    if (!cJSON_IsObject(prices) || place == MODELS_MAX)
        return -EINVAL;
    struct model *model = &models[place];
    *model = (struct model){.name = name,
                            .tree = root,
                            .is_auto = cJSON_IsTrue(parameter(root, "duration", "auto")),
                            .resolutions = prices,
                            .ratios = listed != NULL ? listed : cJSON_Parse(ratios)};
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        const cJSON *item = parameter(root, numbers[i].object, numbers[i].member);
        double *out = (void *)((char *)model + numbers[i].offset);
        *out = cJSON_IsNumber(item) ? item->valuedouble : numbers[i].preset;
    }
    model_count += place == model_count;
    return 0;
}

static int file_add(const char *directory, const char *name)
{
    CLEANUP_FREE char *path = mem_format("%s/%s", directory, name);
    CLEANUP_FREE char *text = NULL;
    size_t len = 0;
    int r = file_read(path, FILE_BYTES_MAX, &text, &len);
    if (r == 0)
        r = model_add(mem_dup(name, strlen(name) - strlen(".json")), text);
    if (r < 0)
        fprintf(stderr, "seedance-sim: %s: %s\n", path, strerror(-r));
    return r;
}

int models_load(const char *directory)
{
    for (size_t i = 0; i < ARRAY_COUNT(documented); i++)
        (void)!model_add(documented[i], documented_text);
    DIR *listing = directory != NULL ? opendir(directory) : NULL;
    int r = directory != NULL && listing == NULL ? -errno : 0;
    if (r < 0)
        fprintf(stderr, "seedance-sim: %s: %s\n", directory, strerror(-r));
    const struct dirent *entry;
    while (r == 0 && listing != NULL && (entry = readdir(listing)) != NULL) {
        size_t len = strlen(entry->d_name);
        if (entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".json") == 0)
            r = file_add(directory, entry->d_name);
    }
    if (listing != NULL)
        (void)closedir(listing);
    return r;
}
