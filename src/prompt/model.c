#include "seedancefs/prompt/model.h"

#include "model_file.h"

#include "seedancefs/base/number.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The assembler's .incbin, as in src/sim/clips.c: C has no #embed before C23. */
#define EMBED(symbol, file)                                                                        \
    __asm__(".pushsection .rodata\n"                                                               \
            ".global " symbol "\n" symbol ":\n"                                                    \
            ".incbin \"src/prompt/models/" file "\"\n"                                             \
            ".byte 0\n"                                                                            \
            ".popsection\n")

EMBED("model_file_default", "doubao-seedance-2.0.json");
EMBED("model_file_fast", "doubao-seedance-2.0-fast.json");
extern const char model_file_default[];
extern const char model_file_fast[];

struct entry {
    struct model model;
    struct json_document *document; /* lends the model's texts */
};

struct models {
    struct entry base; /* what files leave out; says all of it itself */
    struct entry *entries[MODELS_MAX];
    size_t count;
};

static struct entry *entry_free(struct entry *entry)
{
    if (entry)
        json_document_free(entry->document);
    free(entry);
    return NULL;
}

struct models *models_free(struct models *models)
{
    if (!models)
        return NULL;
    for (size_t i = 0; i < models->count; i++)
        entry_free(models->entries[i]);
    json_document_free(models->base.document);
    free(models);
    return NULL;
}

int models_new(struct models **out)
{
    static const struct {
        const char *name;
        const char *text;
    } files[] = {{MODEL_DEFAULT_NAME ".json", model_file_default},
                 {"doubao-seedance-2.0-fast.json", model_file_fast}};
    struct prompt_report report;
    struct models *models = calloc(1, sizeof(*models));
    if (!models)
        return -ENOMEM;
    prompt_report_init(&report);
    int r = model_parse(files[0].name, files[0].text, strlen(files[0].text), &models->base.model,
                        &models->base.document, &report);
    for (size_t i = 0; i < ARRAY_COUNT(files) && r == 0; i++)
        r = models_add(models, files[i].name, files[i].text, strlen(files[i].text), &report);
    prompt_report_fini(&report);
    if (r < 0)
        models_free(models);
    else
        *out = models;
    return r;
}

static size_t place_find(const struct models *models, const char *name)
{
    size_t i = 0;
    while (i < models->count && strcmp(models->entries[i]->model.name, name) != 0)
        i++;
    return i;
}

int models_add(struct models *models, const char *file_name, const char *text, size_t len,
               struct prompt_report *report)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return -ENOMEM;
    entry->model = models->base.model;
    int r = model_parse(file_name, text, len, &entry->model, &entry->document, report);
    size_t place = r == 0 ? place_find(models, entry->model.name) : 0;
    if (r == 0 && place == MODELS_MAX)
        r = -E2BIG;
    if (r < 0) {
        entry_free(entry);
        return r;
    }
    if (place < models->count)
        entry_free(models->entries[place]);
    else
        models->count++;
    models->entries[place] = entry;
    return 0;
}

size_t models_count(const struct models *models)
{
    return models->count;
}

const struct model *models_at(const struct models *models, size_t index)
{
    return index < models->count ? &models->entries[index]->model : NULL;
}

const struct model *models_find(const struct models *models, const char *name)
{
    return models_at(models, place_find(models, name));
}

const struct model *models_rules(const struct models *models, const char *name)
{
    const struct model *model = name ? models_find(models, name) : NULL;
    return model ? model : models_find(models, MODEL_DEFAULT_NAME);
}

/* 0 when the model does not have this resolution. */
static int64_t model_rate(const struct model *model, const char *resolution)
{
    for (const struct model_rate *rate = model->rates; rate->resolution; rate++) {
        if (strcmp(rate->resolution, resolution) == 0)
            return rate->usd_micros_per_s;
    }
    return 0;
}

static int64_t dearest_rate(const struct models *models)
{
    int64_t dearest = 0;
    for (size_t i = 0; i < models->count; i++) {
        const struct model_rate *rate = models->entries[i]->model.rates;
        for (; rate->resolution; rate++)
            dearest = max_int64(dearest, rate->usd_micros_per_s);
    }
    return dearest;
}

int64_t models_estimate_usd_micros(const struct models *models, const struct model *model,
                                   const char *resolution, int64_t output_ms,
                                   int64_t input_video_ms)
{
    int64_t rate = model ? model_rate(model, resolution) : dearest_rate(models);
    if (rate == 0 || output_ms < 0 || input_video_ms < 0)
        return -EINVAL;
    int64_t all_ms;
    int64_t product;
    if (__builtin_add_overflow(output_ms, input_video_ms, &all_ms) ||
        __builtin_mul_overflow(all_ms, rate, &product) || product > INT64_MAX - 999)
        return -ERANGE;
    return (product + 999) / 1000;
}
