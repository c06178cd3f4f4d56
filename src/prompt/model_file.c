/*
 * One row per member of models/MODEL.json, in the order in which the mount shows them: where it
 * stands, how it is read, checked and written, and where its value goes. First each member that the
 * file has is read by its row; then the rules between members are checked.
 *
 * No number of money passes through a double. The other decimals have three places at most, which
 * is checked, and are kept as whole thousandths.
 */
#include "model_file.h"

#include "check.h"

#include "seedancefs/base/err.h"
#include "seedancefs/base/nearest.h"
#include "seedancefs/base/text.h"

#include <stdio.h>
#include <string.h>

enum { NAMES_MAX = 32, NAMES_SIZE = 240 };

#define USD_PER_SECOND_MAX INT64_C(1000)

struct model_row;
typedef void row_read_fn(struct check *c, const struct model_row *row, const struct json *node,
                         void *place);
typedef void row_write_fn(struct json_writer *w, const struct model_row *row, const void *place);

struct row_kind {
    row_read_fn *read;
    row_write_fn *write;
};

struct model_row {
    const char *path;
    const struct row_kind *kind;
    size_t offset;     /* in struct model */
    int64_t min, max;  /* of a number; thousandths of a decimal */
    const char *fixed; /* the only value, as JSON; what else would be possible is not known here */
};

static void read_integer(struct check *c, const struct model_row *row, const struct json *node,
                         void *place)
{
    double number = 0;
    int64_t value = 0;
    if (!expect_type(c, node, row->path, JSON_NUMBER) || !json_number_get(node, &number))
        return;
    if (!json_int64_get(node, &value))
        problem_add(c, SEVERITY_ERROR, node, row->path, "integer",
                    "must be a whole number, but is %.15g.", number);
    else if (value < row->min || value > row->max)
        problem_add(c, SEVERITY_ERROR, node, row->path, "range",
                    "must be from %lld to %lld, but is %lld.", (long long)row->min,
                    (long long)row->max, (long long)value);
    else
        memcpy(place, &value, sizeof(value));
}

static void write_integer(struct json_writer *w, const struct model_row *row UNUSED,
                          const void *place)
{
    int64_t value;
    memcpy(&value, place, sizeof(value));
    json_write_int64(w, value);
}

static void read_decimal(struct check *c, const struct model_row *row, const struct json *node,
                         void *place)
{
    double number = 0;
    if (!expect_type(c, node, row->path, JSON_NUMBER) || !json_number_get(node, &number))
        return;
    double low = (double)row->min / 1000;
    double high = (double)row->max / 1000;
    if (!(number >= low && number <= high)) {
        problem_add(c, SEVERITY_ERROR, node, row->path, "range",
                    "must be from %.15g to %.15g, but is %.15g.", low, high, number);
        return;
    }
    int64_t value = (int64_t)(number * 1000 + 0.5);
    double rest = number * 1000 - (double)value;
    if (rest > 1e-6 || rest < -1e-6)
        problem_add(c, SEVERITY_ERROR, node, row->path, "value",
                    "must have at most three decimals, but is %.15g.", number);
    else
        memcpy(place, &value, sizeof(value));
}

static void write_decimal(struct json_writer *w, const struct model_row *row UNUSED,
                          const void *place)
{
    int64_t value;
    char text[32];
    memcpy(&value, place, sizeof(value));
    (void)snprintf(text, sizeof(text), "%.15g", (double)value / 1000);
    json_write_raw(w, text);
}

static void read_flag(struct check *c, const struct model_row *row, const struct json *node,
                      void *place)
{
    bool value = false;
    if (expect_type(c, node, row->path, JSON_BOOL) && json_bool_get(node, &value))
        memcpy(place, &value, sizeof(value));
}

static void write_flag(struct json_writer *w, const struct model_row *row UNUSED, const void *place)
{
    json_write_bool(w, *(const bool *)place);
}

/* What the mount says, and nobody can choose in a file. */
static void read_shown(struct check *c, const struct model_row *row, const struct json *node,
                       void *place UNUSED)
{
    (void)expect_type(c, node, row->path, JSON_BOOL);
}

static void read_fixed(struct check *c, const struct model_row *row, const struct json *node,
                       void *place UNUSED)
{
    struct buf found;
    struct json_writer w;
    buf_init(&found, MODEL_FILE_BYTES_MAX * 2);
    json_writer_init(&w, &found, JSON_COMPACT);
    json_write_node(&w, node);
    if (found.error)
        c->error = found.error;
    else if (strcmp(buf_text(&found), row->fixed) != 0)
        problem_add(c, SEVERITY_ERROR, node, row->path, "value",
                    "must be %s; seedancefs knows nothing else.", row->fixed);
    buf_fini(&found);
}

static void write_fixed(struct json_writer *w, const struct model_row *row,
                        const void *place UNUSED)
{
    json_write_raw(w, row->fixed);
}

/* The name is that of the file already. */
static void read_name(struct check *c, const struct model_row *row, const struct json *node,
                      void *place)
{
    const char *name = place;
    char text[SHOWN_SIZE];
    if (expect_type(c, node, row->path, JSON_STRING) && strcmp(json_text_get(node), name) != 0)
        problem_add(c, SEVERITY_ERROR, node, row->path, "value",
                    "must be \"%s\", the name of the file without .json, but is \"%s\".", name,
                    shown(json_text_get(node), text));
}

static void write_name(struct json_writer *w, const struct model_row *row UNUSED, const void *place)
{
    json_write_string(w, place);
}

/* Visible ASCII without what would have to be quoted: "720p", "16:9". */
static bool is_word(const char *text, size_t max)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] >= 0x7f || strchr("\"\\/,", text[i]))
            return false;
    }
    return len > 0 && len <= max && text[0] != '.';
}

static bool has_word(const char *const *words, const char *word)
{
    while (*words && strcmp(*words, word) != 0)
        words++;
    return *words != NULL;
}

/* The words of a list, as they are read and shown. */
static bool check_word(struct check *c, const struct json *at, const char *path, const char *word,
                       size_t index)
{
    char text[SHOWN_SIZE];
    if (!is_word(word, MODEL_WORD_MAX))
        problem_add(c, SEVERITY_ERROR, at, path, "value",
                    "\"%s\" cannot be a name here: 1 to %d visible characters without blanks and "
                    "quotes are expected, as in \"720p\".",
                    shown(word, text), MODEL_WORD_MAX);
    else if (index >= MODEL_WORDS_MAX)
        problem_add(c, SEVERITY_ERROR, at, path, "count", "has more than %d.", MODEL_WORDS_MAX);
    else
        return true;
    return false;
}

static void read_word(struct check *c, const struct model_row *row, const struct json *node,
                      void *place)
{
    const char *word = json_text_get(node);
    if (expect_type(c, node, row->path, JSON_STRING))
        memcpy(place, &word, sizeof(word));
}

static void write_word(struct json_writer *w, const struct model_row *row UNUSED, const void *place)
{
    const char *word;
    memcpy(&word, place, sizeof(word));
    json_write_string(w, word);
}

static void read_words(struct check *c, const struct model_row *row, const struct json *node,
                       void *place)
{
    const char **words = place;
    size_t count = 0;
    if (!expect_type(c, node, row->path, JSON_ARRAY))
        return;
    memset(words, 0, (MODEL_WORDS_MAX + 1) * sizeof(*words));
    JSON_FOR_EACH (item, node) {
        const char *word = json_text_get(item);
        if (!expect_type(c, item, row->path, JSON_STRING) ||
            !check_word(c, item, row->path, word, count))
            return;
        if (has_word(words, word))
            problem_add(c, SEVERITY_ERROR, item, row->path, "value", "has \"%s\" twice.", word);
        words[count++] = word;
    }
    if (count == 0)
        problem_add(c, SEVERITY_ERROR, node, row->path, "count", "is empty. Name at least one.");
}

static void write_words(struct json_writer *w, const struct model_row *row UNUSED,
                        const void *place)
{
    json_write_array_begin(w);
    for (const char *const *words = place; *words; words++)
        json_write_string(w, *words);
    json_write_array_end(w);
}

static void read_price(struct check *c, const struct json *node, const char *path,
                       struct model_rate *rate)
{
    char text[SHOWN_SIZE];
    if (!expect_type(c, node, path, JSON_STRING))
        return;
    rate->resolution = json_key_get(node);
    int r = text_usd_parse(json_text_get(node), &rate->usd_micros_per_s);
    if (r == -EINVAL)
        problem_add(c, SEVERITY_ERROR, node, path, "value",
                    "must be the dollars for a second, as in \"0.20\", with at most six decimals, "
                    "but is \"%s\".",
                    shown(json_text_get(node), text));
    else if (r < 0 || rate->usd_micros_per_s > USD_PER_SECOND_MAX * 1000000)
        problem_add(c, SEVERITY_ERROR, node, path, "range",
                    "must be at most %lld dollars for a second.", (long long)USD_PER_SECOND_MAX);
    else if (rate->usd_micros_per_s == 0)
        problem_add(c, SEVERITY_ERROR, node, path, "range", "must be more than 0.");
}

static void read_prices(struct check *c, const struct model_row *row, const struct json *node,
                        void *place)
{
    struct model_rate *rates = place;
    size_t count = 0;
    if (!expect_type(c, node, row->path, JSON_OBJECT))
        return;
    memset(rates, 0, (MODEL_WORDS_MAX + 1) * sizeof(*rates));
    JSON_FOR_EACH (member, node) {
        char path[PATH_SIZE];
        path_join(path, row->path, json_key_get(member));
        if (!check_word(c, member, row->path, json_key_get(member), count))
            return;
        read_price(c, member, path, &rates[count++]);
    }
    if (count == 0)
        problem_add(c, SEVERITY_ERROR, node, row->path, "count",
                    "is empty. Give a price for each resolution, as in {\"720p\": \"0.20\"}.");
}

static void write_prices(struct json_writer *w, const struct model_row *row UNUSED,
                         const void *place)
{
    json_write_object_begin(w);
    for (const struct model_rate *rate = place; rate->resolution; rate++) {
        char usd[TEXT_MONEY_SIZE];
        text_usd(rate->usd_micros_per_s, usd);
        json_write_member_string(w, rate->resolution, usd);
    }
    json_write_object_end(w);
}

static const struct row_kind integer_row = {read_integer, write_integer},
                             decimal_row = {read_decimal, write_decimal},
                             flag_row = {read_flag, write_flag},
                             shown_row = {read_shown, write_flag},
                             fixed_row = {read_fixed, write_fixed},
                             name_row = {read_name, write_name}, word_row = {read_word, write_word},
                             words_row = {read_words, write_words},
                             prices_row = {read_prices, write_prices};

#define AT(member) offsetof(struct model, member)
#define FIXED(path, json)                                                                          \
    {                                                                                              \
        path, &fixed_row, 0, 0, 0, json                                                            \
    }
#define OTHER(path, kind, member)                                                                  \
    {                                                                                              \
        path, &kind##_row, AT(member), 0, 0, NULL                                                  \
    }
#define NUMBER(path, member, min, max)                                                             \
    {                                                                                              \
        path, &integer_row, AT(member), min, max, NULL                                             \
    }
#define DECIMAL(path, member, min, max)                                                            \
    {                                                                                              \
        path, &decimal_row, AT(member), (min)*1000LL, (max)*1000LL, NULL                           \
    }
#define SECONDS(path, member) DECIMAL(path, member, 0, 3600)
/* What each kind of media has, and what those with a picture have. */
#define MEDIA(name, kind, bytes)                                                                   \
    NUMBER("parameters." name ".max_count", media[kind].max_count, 0, 64),                         \
        FIXED("parameters." name ".local_files", "true"),                                          \
        NUMBER("parameters." name ".max_bytes", media[kind].max_bytes, 1, bytes)
#define PICTURE(name, kind)                                                                        \
    NUMBER("parameters." name ".min_pixels", media[kind].min_pixels, 1, 100000),                   \
        NUMBER("parameters." name ".max_pixels", media[kind].max_pixels, 1, 100000),               \
        DECIMAL("parameters." name ".min_ratio", media[kind].min_ratio_permille, 0, 1000),         \
        DECIMAL("parameters." name ".max_ratio", media[kind].max_ratio_permille, 0, 1000)

static const struct model_row rows[] = {
    OTHER("model", name, name),
    OTHER("is_default", shown, is_default),
    FIXED("currency", "\"USD\""),
    OTHER("usd_per_second", prices, rates),
    FIXED("parameters.prompt.required", "true"),
    NUMBER("parameters.prompt.advised_words", advised_words, 1, 1000000),
    FIXED("parameters.duration.unit", "\"seconds\""),
    NUMBER("parameters.duration.min", duration_min_s, 1, 3600),
    NUMBER("parameters.duration.max", duration_max_s, 1, 3600),
    OTHER("parameters.duration.auto", flag, is_duration_auto),
    NUMBER("parameters.duration.default", duration_s, -1, 3600),
    OTHER("parameters.resolution.values", words, resolutions),
    OTHER("parameters.resolution.default", word, resolution),
    OTHER("parameters.aspect_ratio.values", words, aspect_ratios),
    OTHER("parameters.aspect_ratio.default", word, aspect_ratio),
    /* Images and sounds are part of the body, which has 64 MiB at most. */
    MEDIA("image_urls", PROMPT_IMAGE, PROMPT_BYTES_MAX),
    PICTURE("image_urls", PROMPT_IMAGE),
    MEDIA("video_urls", PROMPT_VIDEO, 1 << 30),
    NUMBER("parameters.video_urls.advised_bytes", media[PROMPT_VIDEO].advised_bytes, 1, 1 << 30),
    PICTURE("video_urls", PROMPT_VIDEO),
    DECIMAL("parameters.video_urls.min_fps", media[PROMPT_VIDEO].min_frames_per_1000_s, 1, 1000),
    DECIMAL("parameters.video_urls.max_fps", media[PROMPT_VIDEO].max_frames_per_1000_s, 1, 1000),
    SECONDS("parameters.video_urls.min_seconds", media[PROMPT_VIDEO].min_ms),
    SECONDS("parameters.video_urls.max_seconds", media[PROMPT_VIDEO].max_ms),
    MEDIA("audio_urls", PROMPT_AUDIO, PROMPT_BYTES_MAX),
    SECONDS("parameters.audio_urls.min_seconds", media[PROMPT_AUDIO].min_ms),
    SECONDS("parameters.audio_urls.max_seconds", media[PROMPT_AUDIO].max_ms),
    SECONDS("parameters.audio_urls.max_seconds_in_all", media[PROMPT_AUDIO].max_all_ms),
    FIXED("parameters.input_video_duration.unit", "\"seconds\""),
    SECONDS("parameters.input_video_duration.min", media[PROMPT_VIDEO].min_all_ms),
    SECONDS("parameters.input_video_duration.max", media[PROMPT_VIDEO].max_all_ms),
    OTHER("parameters.generate_audio.default", flag, generate_audio),
    OTHER("parameters.watermark.default", flag, watermark),
};

static const struct model_row *row_find(const char *path)
{
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (strcmp(rows[i].path, path) == 0)
            return &rows[i];
    }
    return NULL;
}

static const struct json *node_at(const struct json *root, const char *path)
{
    const struct json *node = root;
    while (node && *path) {
        char key[PATH_SIZE];
        size_t len = strcspn(path, ".");
        (void)snprintf(key, sizeof(key), "%.*s", (int)len, path);
        node = json_member_get(node, key);
        path += len + (path[len] == '.');
    }
    return node;
}

/* The rest of a row's path below `path`; NULL when it is elsewhere. */
static const char *below(const struct model_row *row, const char *path)
{
    size_t len = strlen(path);
    if (len == 0)
        return row->path;
    return strncmp(row->path, path, len) == 0 && row->path[len] == '.' ? row->path + len + 1 : NULL;
}

static bool is_object(const char *path)
{
    size_t i = 0;
    while (i < ARRAY_COUNT(rows) && !below(&rows[i], path))
        i++;
    return i < ARRAY_COUNT(rows);
}

static void report_unknown(struct check *c, const struct json *member, const char *object,
                           const char *path)
{
    char names[NAMES_MAX][PATH_SIZE];
    const char *known[NAMES_MAX + 1] = {NULL};
    char list[NAMES_SIZE] = "";
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(rows) && count < NAMES_MAX; i++) {
        const char *rest = below(&rows[i], object);
        if (!rest)
            continue;
        (void)snprintf(names[count], PATH_SIZE, "%.*s", (int)strcspn(rest, "."), rest);
        if (has_word(known, names[count]))
            continue;
        size_t used = strlen(list);
        (void)snprintf(list + used, sizeof(list) - used, "%s%s", count ? ", " : "", names[count]);
        known[count] = names[count];
        count++;
    }
    const char *nearest = nearest_name(json_key_get(member), known);
    if (nearest)
        problem_add_at_key(c, SEVERITY_ERROR, member, path, "unknown-field",
                           "unknown member; did you mean \"%s\"?", nearest);
    else
        problem_add_at_key(c, SEVERITY_ERROR, member, path, "unknown-field",
                           "unknown member. Known here are %s.", list);
}

static void read_object(struct check *c, const struct json *object, const char *path,
                        struct model *model)
{
    JSON_FOR_EACH (member, object) {
        char inner[PATH_SIZE];
        path_join(inner, path, json_key_get(member));
        const struct model_row *row = row_find(inner);
        if (row)
            row->kind->read(c, row, member, (char *)model + row->offset);
        else if (!is_object(inner))
            report_unknown(c, member, path, inner);
        else if (expect_type(c, member, inner, JSON_OBJECT))
            read_object(c, member, inner, model);
    }
}

static void check_prices(struct check *c, struct model *model)
{
    static const char path[] = "parameters.resolution.values";
    const struct json *node = node_at(c->root, path);
    const char *priced[MODEL_WORDS_MAX + 1] = {NULL};
    for (size_t i = 0; model->rates[i].resolution; i++)
        priced[i] = model->rates[i].resolution;
    if (!node)
        memcpy(model->resolutions, priced, sizeof(priced));
    for (const char *const *word = model->resolutions; *word; word++) {
        if (!has_word(priced, *word))
            problem_add(c, SEVERITY_ERROR, node, path, "missing",
                        "\"%s\" has no price in usd_per_second.", *word);
    }
    for (const char *const *word = priced; *word; word++) {
        if (!has_word(model->resolutions, *word))
            problem_add(c, SEVERITY_ERROR, node, path, "missing",
                        "\"%s\" is missing, although usd_per_second has a price for it.", *word);
    }
}

/* A default that the file does not have is the documented one, if that is possible here. */
static void check_default(struct check *c, const char *path, const char *value, bool is_possible)
{
    const struct json *node = node_at(c->root, path);
    char text[SHOWN_SIZE];
    if (is_possible)
        return;
    if (node)
        problem_add(c, SEVERITY_ERROR, node, path, "value",
                    "%s is not among what the model accepts.", shown(value, text));
    else
        problem_add(c, SEVERITY_ERROR, c->root, path, "missing",
                    "is missing, and the usual %s is not among what the model accepts.", value);
}

static void check_defaults(struct check *c, struct model *model)
{
    char text[32];
    if (!node_at(c->root, "parameters.resolution.default") && !model->resolutions[1])
        model->resolution = model->resolutions[0];
    check_default(c, "parameters.resolution.default", model->resolution,
                  has_word(model->resolutions, model->resolution));
    check_default(c, "parameters.aspect_ratio.default", model->aspect_ratio,
                  has_word(model->aspect_ratios, model->aspect_ratio));
    (void)snprintf(text, sizeof(text), "%lld", (long long)model->duration_s);
    check_default(c, "parameters.duration.default", text,
                  model->duration_s < 0 ? model->is_duration_auto
                                        : model->duration_s >= model->duration_min_s &&
                                              model->duration_s <= model->duration_max_s);
}

/* "….min_pixels" and "….max_pixels", and so on. */
static void check_pairs(struct check *c, const struct model *model)
{
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char path[PATH_SIZE];
        int64_t min;
        int64_t max;
        (void)snprintf(path, sizeof(path), "%s", rows[i].path);
        char *name = strrchr(path, '.');
        if (!name || strncmp(name, ".min", 4) != 0)
            continue;
        memcpy(name, ".max", 4);
        const struct json *node = node_at(c->root, path);
        memcpy(&min, (const char *)model + rows[i].offset, sizeof(min));
        memcpy(&max, (const char *)model + row_find(path)->offset, sizeof(max));
        if (min > max)
            problem_add(c, SEVERITY_ERROR, node ? node : node_at(c->root, rows[i].path), path,
                        "range", "is less than %s.", strrchr(rows[i].path, '.') + 1);
    }
}

/* NAME.json */
static int read_file_name(struct check *c, const char *file_name, struct model *model)
{
    size_t len = strlen(file_name);
    size_t name_len = len > strlen(".json") ? len - strlen(".json") : 0;
    if (name_len > 0 && name_len <= MODEL_NAME_MAX && strcmp(file_name + name_len, ".json") == 0) {
        memcpy(model->name, file_name, name_len);
        model->name[name_len] = '\0';
        if (is_word(model->name, MODEL_NAME_MAX))
            return 0;
    }
    problem_add(c, SEVERITY_ERROR, NULL, "", "value",
                "the name of the file must be MODEL.json, where MODEL is the name that the service "
                "knows: up to %d visible characters without blanks, quotes and commas.",
                MODEL_NAME_MAX);
    return c->error ? c->error : -ERR_PROMPT_INVALID;
}

int model_parse(const char *file_name, const char *text, size_t len, struct model *model,
                struct json_document **document, struct prompt_report *report)
{
    struct check c = {.report = report};
    struct json_document *parsed = NULL;
    report_clear(report);
    int r = read_file_name(&c, file_name, model);
    if (r == 0)
        r = document_parse(text, len, "{\"usd_per_second\": {\"720p\": \"0.20\"}}", &parsed,
                           report);
    if (r < 0)
        return r == -ERR_JSON_INCOMPLETE ? -ERR_PROMPT_INVALID : r;
    c.root = json_document_root(parsed);
    read_object(&c, c.root, "", model);
    if (!json_member_get(c.root, "usd_per_second"))
        problem_add(&c, SEVERITY_ERROR, c.root, "usd_per_second", "missing",
                    "is missing. Give a price for each resolution, as in {\"720p\": \"0.20\"}.");
    if (report->errors == 0) {
        check_prices(&c, model);
        check_pairs(&c, model);
    }
    if (report->errors == 0)
        check_defaults(&c, model);
    r = c.error ? c.error : report->errors > 0 ? -ERR_PROMPT_INVALID : 0;
    report_sort(report);
    if (r < 0)
        json_document_free(parsed);
    else
        *document = parsed;
    return r;
}

/* Closes the objects in which the one path is and the other is not, and opens the others. */
static void write_way(struct json_writer *w, const char *from, const char *to)
{
    size_t common = 0;
    for (size_t i = 0; from[i] && from[i] == to[i]; i++)
        common = from[i] == '.' ? i + 1 : common;
    for (const char *dot = strchr(from + common, '.'); dot; dot = strchr(dot + 1, '.'))
        json_write_object_end(w);
    for (const char *name = to + common; strchr(name, '.'); name = strchr(name, '.') + 1) {
        char key[PATH_SIZE];
        (void)snprintf(key, sizeof(key), "%.*s", (int)strcspn(name, "."), name);
        json_write_key(w, key);
        json_write_object_begin(w);
    }
}

void model_render_json(const struct model *model, bool is_default, struct buf *out)
{
    struct json_writer w;
    struct model shown = *model;
    const char *before = "";
    shown.is_default = is_default;
    json_writer_init(&w, out, JSON_PRETTY);
    json_write_object_begin(&w);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *dot = strrchr(rows[i].path, '.');
        write_way(&w, before, rows[i].path);
        json_write_key(&w, dot ? dot + 1 : rows[i].path);
        rows[i].kind->write(&w, &rows[i], (const char *)&shown + rows[i].offset);
        before = rows[i].path;
    }
    write_way(&w, before, "");
    json_write_object_end(&w);
    (void)buf_add_char(out, '\n');
}
