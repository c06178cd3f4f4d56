#include "sim/scenario.h"

#include <stdlib.h>
#include <string.h>

enum {
    KINDS_OF_OBJECTS = KIND_OBJECT_PUT | KIND_OBJECT_GET | KIND_OBJECT_DELETE | KIND_OBJECT_LIST,
};

static const struct {
    const char *name;
    unsigned kinds;
    unsigned ports;
} kind_names[] = {
    {"create", KIND_CREATE, PORT_API},
    {"poll", KIND_POLL, PORT_API},
    {"video", KIND_VIDEO, PORT_MEDIA},
    {"cover", KIND_COVER, PORT_MEDIA},
    {"other", KIND_OTHER, PORT_API | PORT_MEDIA},
    {"connection", KIND_CONNECTION, PORT_API | PORT_MEDIA},
    {"object_put", KIND_OBJECT_PUT, PORT_API},
    {"object_get", KIND_OBJECT_GET, PORT_API},
    {"object_delete", KIND_OBJECT_DELETE, PORT_API},
    {"object_list", KIND_OBJECT_LIST, PORT_API},
    {"object", KINDS_OF_OBJECTS, PORT_API},
    {"api", KIND_CREATE | KIND_POLL | KIND_OTHER | KINDS_OF_OBJECTS, PORT_API},
    {"media", KIND_VIDEO | KIND_COVER | KIND_OTHER, PORT_MEDIA},
    {"any", KIND_CREATE | KIND_POLL | KIND_VIDEO | KIND_COVER | KIND_OTHER | KINDS_OF_OBJECTS,
     PORT_API | PORT_MEDIA},
};

static char *rule_kind(struct rule *rule, const cJSON *item)
{
    const char *name = cJSON_GetStringValue(item);
    for (size_t i = 0; name != NULL && i < ARRAY_COUNT(kind_names); i++) {
        if (strcmp(kind_names[i].name, name) == 0) {
            rule->kinds = kind_names[i].kinds;
            rule->ports &= kind_names[i].ports;
            return NULL;
        }
    }
    return mem_strdup("kind: create, poll, video, cover, other, connection, object, object_put, "
                      "object_get, object_delete, object_list, api, media or any");
}

static char *rule_port(struct rule *rule, const cJSON *item)
{
    const char *name = cJSON_GetStringValue(item);
    if (name != NULL && strcmp(name, "api") == 0)
        rule->ports &= PORT_API;
    else if (name != NULL && strcmp(name, "media") == 0)
        rule->ports &= PORT_MEDIA;
    else
        return mem_strdup("port: api or media");
    return NULL;
}

static char *rule_task(struct rule *rule, const cJSON *item)
{
    if (cJSON_IsString(item))
        rule->task_id = mem_strdup(item->valuestring);
    else if (cJSON_IsNumber(item) && item->valuedouble >= 1)
        rule->task_number = (uint64_t)item->valuedouble;
    else
        return mem_strdup("task: an id or a number from 1 on");
    return NULL;
}

static char *rule_number(struct rule *rule, const cJSON *item)
{
    const struct {
        const char *name;
        int64_t *target;
    } numbers[] = {
        {"n", &rule->n},         {"from", &rule->from},   {"to", &rule->to},
        {"every", &rule->every}, {"times", &rule->times},
    };
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        if (strcmp(numbers[i].name, item->string) != 0)
            continue;
        if (!cJSON_IsNumber(item) || item->valuedouble < 1 || item->valuedouble > 1e15)
            return mem_format("%s: a number from 1 on", item->string);
        *numbers[i].target = (int64_t)item->valuedouble;
        return NULL;
    }
    return mem_format("unknown field \"%s\"", item->string);
}

static char *rule_field(struct rule *rule, const cJSON *item)
{
    const char *name = item->string;
    if (strcmp(name, "kind") == 0)
        return rule_kind(rule, item);
    if (strcmp(name, "port") == 0)
        return rule_port(rule, item);
    if (strcmp(name, "task") == 0)
        return rule_task(rule, item);
    if (strcmp(name, "response") == 0)
        return change_parse(item, &rule->change);
    if (strcmp(name, "comment") == 0)
        return NULL;
    if (strcmp(name, "prompt_contains") == 0) {
        rule->prompt_contains = mem_strdup(cJSON_GetStringValue(item));
        return rule->prompt_contains != NULL ? NULL : mem_strdup("prompt_contains: a string");
    }
    if (strcmp(name, "key_contains") == 0) {
        rule->key_contains = mem_strdup(cJSON_GetStringValue(item));
        return rule->key_contains != NULL ? NULL : mem_strdup("key_contains: a string");
    }
    return rule_number(rule, item);
}

static char *rule_parse(struct rule *rule, const cJSON *object)
{
    *rule = (struct rule){.ports = PORT_API | PORT_MEDIA};
    rule->change.cut_after_bytes = -1;
    rule->change.flip_byte_at = -1;
    rule->change.accept = true;
    if (!cJSON_IsObject(object))
        return mem_strdup("an object is needed");
    const cJSON *item;
    cJSON_ArrayForEach(item, object)
    {
        char *problem = rule_field(rule, item);
        if (problem != NULL)
            return problem;
    }
    if (rule->kinds == 0)
        return mem_strdup("kind is missing");
    bool connects = rule->kinds == KIND_CONNECTION;
    if (rule->change.stage == STAGE_CONNECT && !connects)
        return mem_strdup("\"connect\" needs the kind connection");
    if (connects && rule->change.stage != STAGE_CONNECT && rule->change.fault != FAULT_NONE)
        return mem_strdup("the kind connection needs the stage \"connect\"");
    if (rule->change.stage == STAGE_REQUEST && rule->prompt_contains != NULL)
        return mem_strdup("at \"request\" the prompt is not known yet");
    bool is_of_objects = (rule->kinds & KINDS_OF_OBJECTS) != 0;
    if (!is_of_objects && rule->key_contains != NULL)
        return mem_strdup("key_contains needs a kind of objects");
    if (!is_of_objects && (rule->change.lost || rule->change.ignore_condition))
        return mem_strdup("lost, ignore_condition and versioned need a kind of objects");
    return NULL;
}

struct scenario *scenario_new_empty(void)
{
    struct scenario *s = mem_alloc(sizeof(*s));
    s->references = 1;
    return s;
}

struct scenario *scenario_parse(const char *json, char **problem_out)
{
    cJSON *root = cJSON_ParseWithOpts(json, NULL, true);
    const cJSON *rules = cJSON_GetObjectItemCaseSensitive(root, "rules");
    if (!cJSON_IsArray(rules)) {
        *problem_out = mem_strdup(root == NULL ? "not JSON" : "{\"rules\":[…]} is needed");
        cJSON_Delete(root);
        return NULL;
    }
    struct scenario *s = scenario_new_empty();
    s->rules = mem_alloc((size_t)cJSON_GetArraySize(rules) * sizeof(struct rule));
    char *problem = NULL;
    const cJSON *item;
    cJSON_ArrayForEach(item, rules)
    {
        problem = rule_parse(&s->rules[s->rule_count++], item);
        if (problem != NULL)
            break;
    }
    cJSON_Delete(root);
    if (problem == NULL)
        return s;
    *problem_out = mem_format("rule %zu: %s", s->rule_count - 1, problem);
    free(problem);
    scenario_unref(s);
    return NULL;
}

struct scenario *scenario_ref(struct scenario *s)
{
    s->references++;
    return s;
}

void scenario_unref(struct scenario *s)
{
    if (s == NULL || --s->references > 0)
        return;
    for (size_t i = 0; i < s->rule_count; i++) {
        free(s->rules[i].task_id);
        free(s->rules[i].prompt_contains);
        free(s->rules[i].key_contains);
        change_fini(&s->rules[i].change);
    }
    free(s->rules);
    free(s);
}

static bool rule_is_concerned(const struct rule *rule, const struct subject *subject)
{
    if ((rule->kinds & (unsigned)subject->kind) == 0 ||
        (rule->ports & (unsigned)subject->port) == 0)
        return false;
    if (rule->task_id != NULL &&
        (subject->task_id == NULL || strcmp(rule->task_id, subject->task_id) != 0))
        return false;
    if (rule->task_number != 0 && rule->task_number != subject->task_number)
        return false;
    if (rule->key_contains != NULL &&
        (subject->key == NULL || strstr(subject->key, rule->key_contains) == NULL))
        return false;
    return rule->prompt_contains == NULL ||
           (subject->prompt != NULL && strstr(subject->prompt, rule->prompt_contains) != NULL);
}

static bool rule_is_due(const struct rule *rule)
{
    int64_t seen = (int64_t)rule->seen;
    return (rule->n == 0 || seen == rule->n) && seen >= rule->from &&
           (rule->to == 0 || seen <= rule->to) && (rule->every == 0 || seen % rule->every == 0) &&
           (rule->times == 0 || (int64_t)rule->fired < rule->times);
}

const struct rule *scenario_match(struct scenario *s, const struct subject *subject, bool early)
{
    struct rule *winner = NULL;
    for (size_t i = 0; i < s->rule_count; i++) {
        struct rule *rule = &s->rules[i];
        if ((rule->change.stage == STAGE_REQUEST) != early || !rule_is_concerned(rule, subject))
            continue;
        rule->seen++;
        if (winner == NULL && rule_is_due(rule)) {
            winner = rule;
            rule->fired++;
        }
    }
    if (winner == NULL || !early)
        return winner;
    for (size_t i = 0; i < s->rule_count; i++) /* later rules are not asked about this connection */
        if (s->rules[i].change.stage != STAGE_REQUEST && rule_is_concerned(&s->rules[i], subject))
            s->rules[i].seen++;
    return winner;
}
