/*
 * The table of the request's fields, and the check of each. Every rule is from the service's
 * documentation, "Request". Rules between fields are in check.c.
 */
#include "check.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { CHOICES_SIZE = 240 };

static field_check_fn check_text, check_model, check_duration, check_resolution, check_ratio,
    check_one, check_many, check_durations, check_input, check_flag;

/* A value that is always sent, and its member of struct check. */
#define VALUE(type, member) VALUE_##type, offsetof(struct check, member)

const struct field fields[] = {
    {"model", check_model, write_value, 0, VALUE(TEXT, model_name)},
    {"prompt", check_text, write_value, 0, VALUE(TEXT, text)},
    {"duration", check_duration, write_value, 0, VALUE(INTEGER, duration_s)},
    {"resolution", check_resolution, write_value, 0, VALUE(TEXT, resolution)},
    {"aspect_ratio", check_ratio, write_value, 0, VALUE(TEXT, aspect_ratio)},
    {"first_frame", check_frame, NULL, MEDIA_IMAGE, VALUE_NONE, 0},
    {"last_frame", check_frame, NULL, MEDIA_IMAGE, VALUE_NONE, 0},
    {"image_url", check_one, write_media, MEDIA_IMAGE, VALUE_NONE, 0},
    {"image_urls", check_many, write_media, MEDIA_IMAGE, VALUE_NONE, 0},
    {"video_url", check_one, write_media, MEDIA_VIDEO, VALUE_NONE, 0},
    {"video_urls", check_many, write_media, MEDIA_VIDEO, VALUE_NONE, 0},
    {"video_durations", check_durations, write_durations, 0, VALUE_NONE, 0},
    {"input_video_duration", check_input, write_plain, 0, VALUE_NONE, 0},
    {"audio_url", check_one, write_media, MEDIA_AUDIO, VALUE_NONE, 0},
    {"audio_urls", check_many, write_media, MEDIA_AUDIO, VALUE_NONE, 0},
    {"content", check_content, write_content, 0, VALUE_NONE, 0},
    {"generate_audio", check_flag, write_value, 0, VALUE(FLAG, generate_audio)},
    {"watermark", check_flag, write_value, 0, VALUE(FLAG, watermark)},
    {"hold", check_flag, NULL, 0, VALUE(OWN, hold)},
};

const size_t field_count = ARRAY_COUNT(fields);

const struct field *field_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    }
    return NULL;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static size_t count_words(const char *text)
{
    size_t words = 0;
    for (; *text; text++)
        words += !is_blank(text[0]) && (is_blank(text[1]) || text[1] == '\0');
    return words;
}

/* In UTF-8 the characters of these scripts begin with these two bytes: E1 84 to E1 87 (letters of
 * Hangul), E2 BA to E2 BF (radicals), E3 81 to ED 9F (kana, ideographs, Hangul), EF A4 to EF AB and F0
 * A0 to F0 B3 (more ideographs). E3 80, their punctuation, is left out. */
static size_t count_cjk(const char *text)
{
    static const unsigned ranges[][2] = {
        {0xe184, 0xe187}, {0xe2ba, 0xe2bf}, {0xe381, 0xed9f}, {0xefa4, 0xefab}, {0xf0a0, 0xf0b3}};
    size_t count = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        unsigned head = (unsigned)p[0] << 8 | p[1];
        for (size_t i = 0; i < ARRAY_COUNT(ranges); i++)
            count += head >= ranges[i][0] && head <= ranges[i][1];
    }
    return count;
}

/* Parameters that the service's older models take from the text of the prompt. */
static const struct {
    const char *word;
    const char *field;
} text_parameters[] = {
    {"--dur", "duration"},    {"--duration", "duration"},
    {"--rs", "resolution"},   {"--resolution", "resolution"},
    {"--rt", "aspect_ratio"}, {"--ratio", "aspect_ratio"},
    {"--wm", "watermark"},    {"--watermark", "watermark"},
    {"--fps", NULL},          {"--framespersecond", NULL},
    {"--frames", NULL},       {"--seed", NULL},
    {"--cf", NULL},           {"--camerafixed", NULL},
    {"--camera_fixed", NULL},
};

/* True when `word` stands in `text` by itself. */
static bool has_word(const char *text, const char *word)
{
    size_t len = strlen(word);
    for (const char *p = strcasestr(text, word); p; p = strcasestr(p + 1, word)) {
        if ((p == text || is_blank(p[-1])) && (p[len] == '\0' || p[len] == '=' || is_blank(p[len])))
            return true;
    }
    return false;
}

static void check_text(struct check *c, const struct field *field, const struct json *node)
{
    if (!expect_type(c, node, field->name, JSON_STRING))
        return;
    c->text = json_text_get(node);
    size_t words = count_words(c->text);
    if (words == 0)
        problem_add(c, SEVERITY_ERROR, node, field->name, "missing",
                    "is empty. Describe the video.");
    if (words > (size_t)c->rules->advised_words)
        problem_add(c, SEVERITY_WARNING, node, field->name, "length",
                    "has %zu words; the service advises at most %lld, and may overlook the rest.",
                    words, (long long)c->rules->advised_words);
    size_t characters = count_cjk(c->text);
    if (characters > PROMPT_CJK_MAX)
        problem_add(c, SEVERITY_WARNING, node, field->name, "length",
                    "has %zu Chinese, Japanese or Korean characters; the service advises at most "
                    "%d, and may overlook the rest.",
                    characters, PROMPT_CJK_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(text_parameters); i++) {
        const char *own = text_parameters[i].field;
        if (has_word(c->text, text_parameters[i].word))
            problem_add(c, SEVERITY_WARNING, node, field->name, "parameter",
                        "contains \"%s\", which the service may take for a parameter.%s%s%s",
                        text_parameters[i].word, own ? " Use the field \"" : "", own ? own : "",
                        own ? "\" instead." : "");
    }
}

static void check_model(struct check *c, const struct field *field, const struct json *node)
{
    (void)expect_type(c, node, field->name, JSON_STRING); /* check_init() has chosen it */
}

static bool is_duration(const struct model *rules, double seconds)
{
    bool is_auto = seconds == -1 && rules->is_duration_auto; /* exactly so */
    return is_auto ||
           (seconds >= (double)rules->duration_min_s && seconds <= (double)rules->duration_max_s);
}

static const char *auto_words(const struct model *rules)
{
    return rules->is_duration_auto ? ", or -1 for a length that the model chooses" : "";
}

static void check_duration(struct check *c, const struct field *field, const struct json *node)
{
    double number = 0;
    if (!expect_type(c, node, field->name, JSON_NUMBER) || !json_number_get(node, &number))
        return;
    if (!is_duration(c->rules, number))
        problem_add(c, SEVERITY_ERROR, node, field->name, "range",
                    "must be from %lld to %lld seconds%s, but is %.15g. Choose a duration in "
                    "between; longer videos are made of several jobs.",
                    (long long)c->rules->duration_min_s, (long long)c->rules->duration_max_s,
                    auto_words(c->rules), number);
    else if (!json_int64_get(node, &c->duration_s))
        problem_add(c, SEVERITY_ERROR, node, field->name, "integer",
                    "must be a whole number of seconds, but is %.15g. The service makes whole "
                    "seconds only.",
                    number);
}

static bool has_choice(const char *const *choices, const char *text)
{
    while (*choices && strcmp(*choices, text) != 0)
        choices++;
    return *choices != NULL;
}

static void list_choices(const char *const *choices, char list[static CHOICES_SIZE])
{
    list[0] = '\0';
    for (size_t i = 0; choices[i]; i++) {
        size_t used = strlen(list);
        (void)snprintf(list + used, CHOICES_SIZE - used, "%s\"%s\"",
                       i == 0           ? ""
                       : choices[i + 1] ? ", "
                                        : " or ",
                       choices[i]);
    }
}

void check_defaults_fit(struct check *c)
{
    const struct model *rules = c->rules;
    char list[CHOICES_SIZE];
    const struct {
        const char *name;
        const char *value;
        const char *const *choices;
        bool is_checked;
    } words[] = {
        {"resolution", c->resolution, rules->resolutions, true},
        {"aspect_ratio", c->aspect_ratio, rules->aspect_ratios, !c->settings->allow_unknown},
    };
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (!words[i].is_checked || json_member_get(c->root, words[i].name) ||
            has_choice(words[i].choices, words[i].value))
            continue;
        list_choices(words[i].choices, list);
        problem_add(c, SEVERITY_ERROR, c->root, words[i].name, "value",
                    "is \"%s\" in defaults.json, but %s takes %s. Give this prompt one of its own.",
                    words[i].value, rules->name, list);
    }
    if (!json_member_get(c->root, "duration") && !is_duration(rules, (double)c->duration_s))
        problem_add(c, SEVERITY_ERROR, c->root, "duration", "range",
                    "is %lld in defaults.json, but %s takes %lld to %lld seconds%s. Give this "
                    "prompt one of its own.",
                    (long long)c->duration_s, rules->name, (long long)rules->duration_min_s,
                    (long long)rules->duration_max_s, auto_words(rules));
}

/* The word of the node, if it is one of `choices`; NULL after a problem was added. */
static const char *check_choice(struct check *c, const struct field *field, const struct json *node,
                                const char *const *choices, enum severity severity)
{
    if (!expect_type(c, node, field->name, JSON_STRING))
        return NULL;
    const char *text = json_text_get(node);
    char list[CHOICES_SIZE];
    if (has_choice(choices, text))
        return text;
    list_choices(choices, list);
    char word[SHOWN_SIZE];
    if (severity == SEVERITY_WARNING)
        problem_add(c, severity, node, field->name, "value",
                    "the service's documentation names %s, but not \"%s\"; it is sent unchanged, "
                    "because unknown values are allowed.",
                    list, shown(text, word));
    else
        problem_add(c, severity, node, field->name, "value", "must be %s, but is \"%s\".", list,
                    shown(text, word));
    return severity == SEVERITY_WARNING ? text : NULL;
}

static void check_resolution(struct check *c, const struct field *field, const struct json *node)
{
    const char *choice = check_choice(c, field, node, c->rules->resolutions, SEVERITY_ERROR);
    if (choice)
        c->resolution = choice;
}

static void check_ratio(struct check *c, const struct field *field, const struct json *node)
{
    const char *choice =
        check_choice(c, field, node, c->rules->aspect_ratios,
                     c->settings->allow_unknown ? SEVERITY_WARNING : SEVERITY_ERROR);
    if (choice)
        c->aspect_ratio = choice;
}

static void check_one(struct check *c, const struct field *field, const struct json *node)
{
    c->counts[field->kind]++;
    mode_add(c, (enum role)(ROLE_IMAGE + (int)field->kind), field->kind, node, field->name);
    if (json_type_get(node) == JSON_ARRAY)
        problem_add(c, SEVERITY_ERROR, node, field->name, "type",
                    "takes one address. For several, use \"%s\".", media_rules[field->kind].many);
    else
        check_media(c, field->kind, node, field->name);
}

static void check_many(struct check *c, const struct field *field, const struct json *node)
{
    int64_t max_count = c->rules->media[field->kind].max_count;
    if (!expect_type(c, node, field->name, JSON_ARRAY))
        return;
    size_t count = json_child_count(node);
    c->counts[field->kind] += count;
    mode_add(c, (enum role)(ROLE_IMAGE + (int)field->kind), field->kind, node, field->name);
    if (count == 0)
        problem_add(c, SEVERITY_ERROR, node, field->name, "count",
                    "is empty. Put addresses into it, or leave the field out.");
    else if (count > (size_t)max_count)
        problem_add(c, SEVERITY_ERROR, node, field->name, "count",
                    "has %zu addresses; the service accepts at most %lld.", count,
                    (long long)max_count);
    size_t index = 0;
    JSON_FOR_EACH (item, node) {
        char path[PATH_SIZE];
        (void)snprintf(path, sizeof(path), "%s[%zu]", field->name, index++);
        check_media(c, field->kind, item, path);
    }
}

/* A number of seconds, as milliseconds, rounded up; -1 after a problem was added. */
static int64_t check_seconds(struct check *c, const struct json *node, const char *path,
                             int64_t min_ms, int64_t max_ms)
{
    double number = 0;
    if (!expect_type(c, node, path, JSON_NUMBER) || !json_number_get(node, &number))
        return -1;
    if (number < (double)min_ms / 1000 || number > (double)max_ms / 1000) {
        problem_add(c, SEVERITY_ERROR, node, path, "range",
                    "must be from %g to %g seconds, but is %.15g. The service accepts no other "
                    "input videos.",
                    (double)min_ms / 1000, (double)max_ms / 1000, number);
        return -1;
    }
    int64_t ms = (int64_t)(number * 1000);
    /* As a double, a decimal like 2.3 is slightly off; that must not add a millisecond. */
    return (double)ms < number * 1000 - 1e-6 ? ms + 1 : ms;
}

static void check_durations(struct check *c, const struct field *field, const struct json *node)
{
    const struct model_media *rules = &c->rules->media[MEDIA_VIDEO];
    if (!expect_type(c, node, field->name, JSON_ARRAY))
        return;
    int64_t sum_ms = 0;
    bool is_good = true;
    size_t index = 0;
    JSON_FOR_EACH (item, node) {
        char path[PATH_SIZE];
        (void)snprintf(path, sizeof(path), "%s[%zu]", field->name, index++);
        int64_t ms = check_seconds(c, item, path, rules->min_ms, rules->max_ms);
        is_good = is_good && ms >= 0;
        sum_ms += ms;
    }
    if (!is_good)
        return;
    c->durations_ms = sum_ms;
    if (sum_ms > rules->max_all_ms)
        problem_add(c, SEVERITY_ERROR, node, field->name, "range",
                    "come to %g seconds; the service accepts %g seconds of input video in all.",
                    (double)sum_ms / 1000, (double)rules->max_all_ms / 1000);
}

static void check_input(struct check *c, const struct field *field, const struct json *node)
{
    const struct model_media *rules = &c->rules->media[MEDIA_VIDEO];
    c->input_ms = check_seconds(c, node, field->name, rules->min_all_ms, rules->max_all_ms);
}

static void check_flag(struct check *c, const struct field *field, const struct json *node)
{
    if (expect_type(c, node, field->name, JSON_BOOL))
        (void)json_bool_get(node, (void *)((char *)c + field->offset));
}
