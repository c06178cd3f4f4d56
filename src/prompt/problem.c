#include "check.h"

#include "seedancefs/base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void prompt_report_init(struct prompt_report *report)
{
    *report = (struct prompt_report){0};
}

void prompt_report_fini(struct prompt_report *report)
{
    free(report->problems);
    *report = (struct prompt_report){0};
}

void report_clear(struct prompt_report *report)
{
    report->count = 0;
    report->errors = 0;
    report->warnings = 0;
}

/* The place for one more problem. If the list is full, an error replaces the last warning. */
static struct prompt_problem *place_take(struct prompt_report *report, bool is_warning)
{
    if (report->count < PROMPT_PROBLEMS_MAX)
        return &report->problems[report->count++];
    for (size_t i = report->count; i > 0 && !is_warning; i--) {
        if (report->problems[i - 1].is_warning)
            return &report->problems[i - 1];
    }
    return NULL;
}

int report_add(struct prompt_report *report, const struct prompt_problem *problem)
{
    if (!report->problems) {
        report->problems = calloc(PROMPT_PROBLEMS_MAX, sizeof(*report->problems));
        if (!report->problems)
            return -ENOMEM;
    }
    struct prompt_problem *place = place_take(report, problem->is_warning);
    if (place)
        *place = *problem;
    if (problem->is_warning)
        report->warnings++;
    else
        report->errors++;
    return 0;
}

int report_one(struct prompt_report *report, const char *rule, const struct json_error *place,
               const char *sentence, int code)
{
    struct prompt_problem problem = {.rule = rule};
    if (place) {
        problem.line = place->line;
        problem.column = place->column;
    }
    (void)snprintf(problem.sentence, sizeof(problem.sentence), "%s", sentence);
    int r = report_add(report, &problem);
    return r < 0 ? r : code;
}

static bool is_behind(const struct prompt_problem *a, const struct prompt_problem *b)
{
    return a->line != b->line ? a->line > b->line : a->column > b->column;
}

void report_sort(struct prompt_report *report)
{
    for (size_t i = 1; i < report->count; i++) {
        struct prompt_problem moved = report->problems[i];
        size_t j = i;
        for (; j > 0 && is_behind(&report->problems[j - 1], &moved); j--)
            report->problems[j] = report->problems[j - 1];
        report->problems[j] = moved;
    }
}

static void render_problem(const struct prompt_problem *problem, const char *file_name,
                           struct buf *out)
{
    (void)buf_addf(out, "%s: ", file_name);
    if (problem->line > 0)
        (void)buf_addf(out, "line %u, column %u: ", problem->line, problem->column);
    if (problem->is_warning)
        (void)buf_add_text(out, "warning: ");
    if (problem->field[0])
        (void)buf_addf(out, "%s: ", problem->field);
    (void)buf_addf(out, "%s\n", problem->sentence);
}

void prompt_report_render(const struct prompt_report *report, const char *file_name,
                          struct buf *out)
{
    for (int warnings = 0; warnings <= 1; warnings++) {
        for (size_t i = 0; i < report->count; i++) {
            if (report->problems[i].is_warning == (warnings == 1))
                render_problem(&report->problems[i], file_name, out);
        }
    }
    if (report->errors + report->warnings > report->count)
        (void)buf_addf(out, "%s: and %zu more.\n", file_name,
                       report->errors + report->warnings - report->count);
}

static void problem_addv(struct check *c, struct prompt_problem *problem, const char *path,
                         const char *rule, const char *format, va_list arguments) PRINTF_LIKE(5, 0);

/* Names make sentences long: one that was cut ends with a whole character. */
static void sentence_cut(char *sentence)
{
    size_t len = strlen(sentence);
    size_t last = len;
    while (last > 0 && ((unsigned char)sentence[--last] & 0xc0) == 0x80)
        continue;
    if (len > 0 && text_utf8_step(sentence + last, len - last) < 0)
        sentence[last] = '\0';
}

static void problem_addv(struct check *c, struct prompt_problem *problem, const char *path,
                         const char *rule, const char *format, va_list arguments)
{
    problem->rule = rule;
    (void)snprintf(problem->field, sizeof(problem->field), "%s", path);
    if (vsnprintf(problem->sentence, sizeof(problem->sentence), format, arguments) >=
        (int)sizeof(problem->sentence))
        sentence_cut(problem->sentence);
    int r = report_add(c->report, problem);
    if (r < 0 && c->error == 0)
        c->error = r;
}

void problem_add(struct check *c, enum severity severity, const struct json *at, const char *path,
                 const char *rule, const char *format, ...)
{
    struct prompt_problem problem = {.is_warning = severity == SEVERITY_WARNING};
    if (at)
        json_position(at, &problem.line, &problem.column);
    va_list arguments;
    va_start(arguments, format);
    problem_addv(c, &problem, path, rule, format, arguments);
    va_end(arguments);
}

void problem_add_at_key(struct check *c, enum severity severity, const struct json *member,
                        const char *path, const char *rule, const char *format, ...)
{
    struct prompt_problem problem = {.is_warning = severity == SEVERITY_WARNING};
    json_key_position(member, &problem.line, &problem.column);
    va_list arguments;
    va_start(arguments, format);
    problem_addv(c, &problem, path, rule, format, arguments);
    va_end(arguments);
}

const char *shown(const char *text, char out[static SHOWN_SIZE])
{
    size_t used = 0;
    size_t code_points = 0;
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if ((byte & 0xc0) != 0x80 && ++code_points > 40) {
            memcpy(out + used, "…", sizeof("…"));
            return out;
        }
        out[used++] = byte < 0x20 || byte == 0x7f ? ' ' : *text;
    }
    out[used] = '\0';
    return out;
}

void path_join(char out[static PATH_SIZE], const char *base, const char *key)
{
    char text[SHOWN_SIZE];
    int len = snprintf(out, PATH_SIZE, "%s%s%s", base, base[0] ? "." : "", shown(key, text));
    if (len < PATH_SIZE)
        return;
    /* Never cuts a code point in half. */
    size_t cut = PATH_SIZE - 1;
    while (cut > 0 && ((unsigned char)out[cut - 1] & 0xc0) == 0x80)
        cut--;
    if (cut > 0 && (unsigned char)out[cut - 1] >= 0xc0)
        cut--;
    out[cut] = '\0';
}

bool expect_type(struct check *c, const struct json *node, const char *path, enum json_type type)
{
    enum json_type found = json_type_get(node);
    if (found == type)
        return true;
    const char *advice = "";
    if (found == JSON_NULL)
        advice = " Leave the field out instead.";
    else if (found == JSON_STRING && (type == JSON_NUMBER || type == JSON_BOOL))
        advice = " Write it without the quotes.";
    else if (found == JSON_NUMBER && type == JSON_STRING)
        advice = " Put it in double quotes.";
    else if (found == JSON_STRING && type == JSON_ARRAY)
        advice = " Put it in square brackets.";
    problem_add(c, SEVERITY_ERROR, node, path, "type", "must be %s, but is %s.%s",
                json_type_name(type), json_type_name(found), advice);
    return false;
}
