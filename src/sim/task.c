#include "sim/task.h"

#include "seedancefs/base/json.h"
#include "seedancefs/base/text.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PROMPT_KEPT_BYTES = 4096 };

/* The `purpose` argument of random_unit(). */
enum { DRAW_QUEUE = 1, DRAW_GENERATION, DRAW_FAILURE };

const char *task_status(const struct task *task, int64_t now_ms)
{
    if (now_ms < task->run_at_ms)
        return "queued";
    if (now_ms < task->done_at_ms)
        return "running";
    return task->fails ? "failed" : "succeeded";
}

struct task *task_find(struct task_table *table, const char *id)
{
    struct task *task = NULL;
    HASH_FIND_STR(table->by_id, id, task);
    return task;
}

static void task_count_prompt(struct task_table *table, struct task *task)
{
    struct same_prompt *same = NULL;
    HASH_FIND(hh, table->by_prompt, &task->prompt_hash, sizeof(task->prompt_hash), same);
    if (same == NULL) {
        same = mem_alloc(sizeof(*same));
        same->hash = task->prompt_hash;
        HASH_ADD(hh, table->by_prompt, hash, sizeof(same->hash), same);
    }
    same->count++;
    task->same_prompt = same;
}

/*
 * "cgt-20261123080000-7k2qx", the form of upstream's ids. The tail is the number times a constant
 * modulo 36^5. The constant is coprime to that, so no two tasks share an id.
 */
static void task_name(struct task *task)
{
    enum { TAIL = 60466176 };
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    time_t seconds = (time_t)(task->created_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    char stamp[16];
    if (strftime(stamp, sizeof(stamp), "%Y%m%d%H%M%S", &tm) == 0)
        stamp[0] = '\0';
    char tail[6] = {0};
    uint64_t left = task->number * 40503041u % TAIL;
    for (size_t i = 0; i < 5; i++, left /= 36)
        tail[i] = digits[left % 36];
    (void)snprintf(task->id, sizeof(task->id), "cgt-%s-%s", stamp, tail);
}

/* Cuts a prompt without breaking its UTF-8. */
static char *prompt_cut(const char *prompt)
{
    size_t len = strlen(prompt);
    if (len > PROMPT_KEPT_BYTES)
        for (len = PROMPT_KEPT_BYTES; len > 0 && ((unsigned char)prompt[len] & 0xc0) == 0x80;)
            len--;
    return mem_dup(prompt, len);
}

static void task_insert(struct task_table *table, struct task *task)
{
    if ((table->count & (table->count - 1)) == 0) { /* full at every power of two */
        size_t cap = table->count > 0 ? table->count * 2 : 1;
        struct task **grown = mem_alloc(cap * sizeof(struct task *));
        if (table->count > 0)
            memcpy(grown, table->by_number, table->count * sizeof(struct task *));
        free(table->by_number);
        table->by_number = grown;
    }
    table->by_number[table->count++] = task;
    HASH_ADD_STR(table->by_id, id, task);
    task_count_prompt(table, task);
}

static int task_save(const struct task_table *table, const struct task *task)
{
    if (table->data_fd < 0)
        return 0;
    char hash[17];
    struct buf line = SIM_BUF;
    struct json_writer w;
    (void)snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)task->prompt_hash);
    json_writer_init(&w, &line, JSON_COMPACT);
    json_write_object_begin(&w);
    json_write_member_string(&w, "id", task->id);
    json_write_member_int64(&w, "number", (int64_t)task->number);
    json_write_member_string(&w, "model", task->model);
    json_write_member_string(&w, "prompt", task->prompt);
    json_write_key(&w, "duration_s");
    char *seconds = mem_format("%.17g", task->duration_s);
    json_write_raw(&w, seconds);
    free(seconds);
    json_write_member_int64(&w, "created_ms", task->created_ms);
    json_write_member_int64(&w, "run_at_ms", task->run_at_ms);
    json_write_member_int64(&w, "done_at_ms", task->done_at_ms);
    json_write_member_bool(&w, "fails", task->fails);
    json_write_member_bool(&w, "has_cover", task->has_cover);
    json_write_member_int64(&w, "video_bytes", (int64_t)task->video.size);
    json_write_member_string(&w, "prompt_hash", hash);
    json_write_object_end(&w);
    (void)buf_add_char(&line, '\n');
    int r = file_append(table->data_fd, text_whole(&line), line.len);
    buf_fini(&line);
    return r;
}

static double draw(const struct options *options, const struct seconds_range *range,
                   uint64_t number, uint64_t purpose)
{
    return range->low + (range->high - range->low) * random_unit(options->seed, number, purpose);
}

int task_create(struct task_table *table, const struct create_request *request,
                struct task **task_out)
{
    const struct options *options = table->options;
    if (table->count >= TASKS_MAX)
        return -ERANGE;
    struct task *task = mem_alloc(sizeof(*task));
    task->number = table->count + 1;
    int r = options_video(options, task->number, request->video_bytes, &task->video);
    if (r < 0) {
        free(task);
        return r;
    }
    task->created_ms = clock_now_ms();
    task_name(task);
    double queue = draw(options, &options->queue, task->number, DRAW_QUEUE);
    double run = request->seconds >= 0
                     ? request->seconds
                     : draw(options, &options->generation, task->number, DRAW_GENERATION);
    task->run_at_ms = task->created_ms + (int64_t)(queue * 1000 / options->time_scale);
    task->done_at_ms = task->run_at_ms + (int64_t)(run * 1000 / options->time_scale);
    task->fails = request->fails ||
                  random_unit(options->seed, task->number, DRAW_FAILURE) < options->fail_rate;
    task->has_cover = !request->no_cover;
    task->model = mem_strdup(request->model);
    task->prompt = prompt_cut(request->prompt);
    task->prompt_hash = text_hash(request->prompt, strlen(request->prompt));
    task->duration_s = request->duration_s;
    r = task_save(table, task);
    if (r < 0) {
        free(task->model);
        free(task->prompt);
        free(task);
        return r;
    }
    task_insert(table, task);
    *task_out = task;
    return 0;
}

static double number_of(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

static const char *string_of(const cJSON *object, const char *name)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return s != NULL ? s : "";
}

static int task_load(struct task_table *table, const char *line)
{
    cJSON *object = cJSON_Parse(line);
    struct task *task = mem_alloc(sizeof(*task));
    task->number = (uint64_t)number_of(object, "number");
    int r = options_video(table->options, task->number, (uint64_t)number_of(object, "video_bytes"),
                          &task->video);
    const char *id = string_of(object, "id");
    if (r < 0 || task->number != table->count + 1 || *id == '\0' || strlen(id) >= TASK_ID_SIZE) {
        cJSON_Delete(object);
        free(task);
        return -EINVAL;
    }
    memcpy(task->id, id, strlen(id));
    task->model = mem_strdup(string_of(object, "model"));
    task->prompt = mem_strdup(string_of(object, "prompt"));
    task->prompt_hash = strtoull(string_of(object, "prompt_hash"), NULL, 16);
    task->duration_s = number_of(object, "duration_s");
    task->created_ms = (int64_t)number_of(object, "created_ms");
    task->run_at_ms = (int64_t)number_of(object, "run_at_ms");
    task->done_at_ms = (int64_t)number_of(object, "done_at_ms");
    task->fails = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, "fails"));
    task->has_cover = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, "has_cover"));
    cJSON_Delete(object);
    task_insert(table, task);
    return 0;
}

int task_table_init(struct task_table *table, const struct options *options)
{
    *table = (struct task_table){.options = options, .data_fd = -1};
    if (options->data_file == NULL)
        return 0;
    int fd = open(options->data_file, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    char *data = NULL;
    size_t len = 0;
    int r = file_read(options->data_file, (size_t)1 << 30, &data, &len);
    size_t kept = 0;
    while (r == 0 && kept < len) {
        char *line = data + kept;
        char *end = memchr(line, '\n', len - kept);
        if (end == NULL)
            break;
        *end = '\0';
        r = task_load(table, line);
        kept = (size_t)(end - data) + 1;
    }
    free(data);
    if (r == 0 && kept < len && ftruncate(fd, (off_t)kept) != 0)
        r = -errno;
    if (r < 0) {
        close(fd);
        return r;
    }
    table->data_fd = fd;
    return 0;
}
