/*
 * Users: they write, rename, remove, give commands and keep files open, and also do each
 * of these wrong.
 */
#include "disk.h"
#include "world.h"

#include "seedancefs/base/file.h"
#include "seedancefs/job/ctl.h"
#include "seedancefs/job/file.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The job layer's writes to users' files fail with the disk, too. The linker
 * inserts this (--wrap). */
int __real_file_write_full(int fd, const void *bytes, size_t len, int64_t offset);
int __wrap_file_write_full(int fd, const void *bytes, size_t len, int64_t offset);

int __wrap_file_write_full(int fd, const void *bytes, size_t len, int64_t offset)
{
    int r = disk_user_write();
    return r < 0 ? r : __real_file_write_full(fd, bytes, len, offset);
}

struct open_file {
    struct job_file *file; /* NULL: free */
    bool is_writer;
};

static struct open_file open_files[HANDLES];

void users_forget(void)
{
    memset(open_files, 0, sizeof(open_files));
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* The users' files are real ones. After a power cut some are shorter, or gone: this code does not
 * know whether they were synced, and nothing that was paid for may depend on them. */
void users_files_clean(bool is_power_cut)
{
    char path[DIRECTORY_BYTES + 8 + NAME_MAX + 2];
    struct dirent **entries = NULL;
    (void)snprintf(path, sizeof(path), "%s/files", world.directory);
    int count = scandir(path, &entries, is_visible, alphasort);
    for (int i = 0; i < count; i++) {
        (void)snprintf(path, sizeof(path), "%s/files/%s", world.directory, entries[i]->d_name);
        if (!is_power_cut || world_chance(100))
            (void)unlink(path);
        else if (world_chance(200))
            (void)!truncate(path, (off_t)world_pick(20));
        free(entries[i]);
    }
    free(entries);
}

static const char *any_name(void)
{
    static const char *const names[NAMES_MAX] = {"cat", "dog", "fox", "owl", "bee"};
    return names[world_pick(world.mixture.names)];
}

static struct job *any_job(void)
{
    return jobs_find(world.program.jobs, any_name());
}

static struct job_detail *detail_of(struct job *job)
{
    struct job_detail *detail;
    return job && job_detail_get(job, &detail) == 0 ? detail : NULL;
}

static struct job_file *any_file(void)
{
    struct job_detail *detail = detail_of(any_job());
    struct job_file *file = job_files_get(detail);
    for (unsigned skip = world_pick(3); file && file->next && skip > 0; skip--)
        file = file->next;
    return file && !file->is_unlinked ? file : NULL;
}

/* A prompt that names other jobs, perhaps itself, perhaps one that is not there. Lent until the next
 * one. */
static const char *link_text(void)
{
    static char text[256];
    static const char *const formats[] = {
        "{\"prompt\": \"x\", \"video_url\": \"../%s/output.mp4\"}",
        "{\"prompt\": \"x\", \"duration\": 4, \"video_urls\": [\"../%s/output.mp4\", "
        "\"../../videos/%s.mp4\"]}",
        "{\"prompt\": \"x\", \"first_frame\": \"../%s/last_frame.png\", \"last_frame\": "
        "\"../%s/first_frame.png\"}",
        "{\"prompt\": \"x\", \"first_frame\": \"../%s/last_frame.png\"}",
        "{\"prompt\": \"x\", \"video_url\": \"../%s/takes/1.mp4\"}",
        "{\"prompt\": \"x\", \"hold\": true, \"video_url\": \"../%s/output.mp4\"}",
    };
    const char *format = formats[world_pick(ARRAY_COUNT(formats))];
    const char *first = any_name();
    const char *second = any_name();
    char *at = text;
    for (const char *from = format; *from; from++) {
        if (strncmp(from, "%s", 2) == 0) {
            at = stpcpy(at, first);
            first = second;
            from++;
        } else {
            *at++ = *from;
        }
    }
    *at = '\0';
    return text;
}

static const char *any_text(void)
{
    static const char *const good[] = {
        "{\"prompt\": \"A cat surfing at sunset\"}",
        "{\"prompt\": \"a dog\", \"duration\": 10}",
        "{\"prompt\": \"a fox\", \"duration\": 4, \"resolution\": \"480p\"}",
        "{\"prompt\": \"an owl\", \"model\": \"doubao-seedance-2.0-fast\", \"duration\": 12}\n",
        "{\"prompt\": \"a bee\", \"duration\": 15}",
        "{\"prompt\": \"a hen\", \"hold\": true}",
        "{\"prompt\": \"a cow\", \"hold\": false}",
    };
    static const char *const bad[] = {"{\"prompt\": \"",
                                      "{\"prompt\": 5}",
                                      "",
                                      "}",
                                      "{\"prompt\": \"x\", \"duraton\": 5}",
                                      " \n"};
    if (world_chance(world.mixture.links))
        return link_text();
    return world_chance(800) ? good[world_pick(ARRAY_COUNT(good))]
                             : bad[world_pick(ARRAY_COUNT(bad))];
}

/* `echo text > jobs/NAME/file`: open or create, write, flush, release. */
static void write_file(struct job *job, const char *name, const char *text)
{
    struct job_detail *detail = detail_of(job);
    struct job_file *file = detail ? job_file_find(detail, name) : NULL;
    int r = detail ? 0 : -EIO;
    if (r == 0 && !file)
        r = job_file_create(job, name, 0644, &file);
    if (r == 0)
        r = job_file_open(file, true, true);
    world_say("user: writes %s/%s: %.40s: %d", job->name, name, text, r);
    if (r < 0)
        return;
    job_file_begin(file);
    (void)!job_file_write(file, text, strlen(text), 0);
    (void)!job_file_flush(file);
    job_file_close(file, true);
}

static void do_make(void)
{
    struct job *job;
    const char *name = any_name();
    bool is_provisional = world_chance(300);
    int r = is_provisional ? jobs_create_provisional(world.program.jobs, name, &job)
                           : jobs_create(world.program.jobs, name, &job);
    world_say("user: mkdir %s%s: %d", name, is_provisional ? " for a file" : "", r);
    /* Sometimes the user creates no file in it. */
    if (r == 0 && is_provisional && world_chance(900))
        write_file(job, JOB_PROMPT_NAME, any_text());
}

static void do_write(void)
{
    struct job *job = any_job();
    const char *name = world_chance(700)   ? JOB_PROMPT_NAME
                       : world_chance(500) ? JOB_PROMPT_TEXT_NAME
                                           : "tmp";
    bool is_plain = strcmp(name, JOB_PROMPT_TEXT_NAME) == 0 && world_chance(800);
    if (job)
        write_file(job, name, is_plain ? "A cat in plain text\n" : any_text());
    else
        do_make();
}

static void do_write_all(void)
{
    for (struct job *job = jobs_next(world.program.jobs, 0); job;
         job = jobs_next(world.program.jobs, job->id))
        write_file(job, JOB_PROMPT_NAME, any_text());
}

static void do_rename_file(void)
{
    static const char *const names[] = {JOB_PROMPT_NAME, JOB_PROMPT_NAME, JOB_PROMPT_TEXT_NAME,
                                        "tmp", "old"};
    struct job *to = any_job();
    struct job_file *file = any_file();
    if (!to || !file)
        return;
    bool is_here = world_chance(660);
    const char *name = names[world_pick(ARRAY_COUNT(names))];
    int r = job_file_rename(file, is_here ? file->job : to, name, world_chance(750));
    world_say("user: renames a file to %s: %d", name, r);
}

static void do_rename_job(void)
{
    struct job *job = any_job();
    const char *name = any_name();
    if (!job)
        return;
    int64_t id = job->id;
    int r = jobs_rename(job, name, world_chance(500));
    world_say("user: renames job %lld to %s: %d", (long long)id, name, r);
}

static void do_remove(void)
{
    struct job *job = any_job();
    bool is_over = job && job_state_class(job->state) == JOB_CLASS_FROZEN;
    if (!job || (!is_over && world_chance(750)))
        return;
    int64_t id = job->id;
    int r = jobs_remove(job);
    world_say("user: removes job %lld: %d", (long long)id, r);
}

static void do_unlink_or_truncate(void)
{
    struct job_file *file = any_file();
    if (!file)
        return;
    bool is_unlink = world_chance(400);
    int r = is_unlink ? job_file_unlink(file)
                      : job_file_truncate(file, world_chance(500) ? 0 : (int64_t)world_pick(50));
    world_say("user: %s a file: %d", is_unlink ? "removes" : "truncates", r);
}

static void open_file_close(struct open_file *it)
{
    struct open_file open_file = *it;
    it->file = NULL;
    if (!open_file.file)
        return;
    world_say("user: closes a file of job %lld", (long long)open_file.file->job->id);
    job_file_close(open_file.file, open_file.is_writer);
}

static void do_open_file(void)
{
    struct open_file *it = &open_files[world_pick(HANDLES)];
    const char *text = any_text();
    if (!it->file) {
        struct job_file *file = any_file();
        bool is_writer = world_chance(660);
        if (file && job_file_open(file, is_writer, is_writer && world_chance(500)) == 0)
            *it = (struct open_file){file, is_writer};
        world_say("user: opens a file");
    } else if (it->is_writer && world_chance(500)) {
        (void)!job_file_write(it->file, text, strlen(text), world_chance(250) ? 7 : 0);
        world_say("user: writes into an open file");
    } else if (world_chance(300)) {
        (void)!job_file_flush(it->file);
        world_say("user: flushes an open file");
    } else {
        open_file_close(it);
    }
}

static void command(struct job *job, const char *text)
{
    enum job_state before = job->state;
    world.is_commanding = true;
    int r = job_ctl_run(job, text, strlen(text));
    world.is_commanding = false;
    world_say("user: %s to job %lld (%s): %d", text, (long long)job->id, job_state_to_text(before),
              r);
    if (strcmp(text, "submit") == 0)
        oracle_ordered(job);
    if (r == 0 && strcmp(text, "retry") == 0)
        figure_add(FIGURE_RETRIED);
    if (r == 0 && strcmp(text, "take") == 0)
        figure_add(FIGURE_TAKES);
    if (r == 0 && strcmp(text, "edit") == 0)
        figure_add(FIGURE_EDITS);
    if (r == 0 && strncmp(text, "pick", 4) == 0)
        figure_add(FIGURE_PICKS);
    /* If the program died during this write, the oracle finds out later whether it is
     * on the disk. */
    if ((r == 0 || disk_is_dead()) && strncmp(text, "adopt ", 6) == 0)
        oracle_adopted(job, text + 6);
}

/* Adopts the right task more often than not, if there is one. */
static void do_adopt(struct job *job)
{
    char text[64];
    const char *id = "cgt-nobody-knows";
    const char *own = job->attempt_id ? oracle_attempt(job->attempt_id)->task_id : "";
    if (own[0] && world_chance(600))
        id = own;
    else if (world_chance(100))
        id = "no/id";
    else if (world_chance(800))
        id = service_task_any(world_chance(700));
    (void)snprintf(text, sizeof(text), "adopt %s", id ? id : "cgt-nobody-knows");
    command(job, text);
}

/* What a tool does that copies a job into this one. */
static void do_copy(void)
{
    struct job *job = world_chance(300) ? any_job() : NULL;
    if (!job)
        return;
    world_say("user: copies into job %lld", (long long)job->id);
    job_copy_seen(job);
    oracle_copied(job);
}

static void do_command(void)
{
    static const char *const texts[] = {"submit", "submit", "hold",    "refresh",
                                        "retry",  "retry",  "nonsense"};
    struct job *job = any_job();
    if (job && world_chance(350))
        do_adopt(job);
    else if (job)
        command(job, texts[world_pick(ARRAY_COUNT(texts))]);
}

/* Makes a finished job again, or goes back to what it had before. */
static void do_again(void)
{
    static const char *const texts[] = {"take", "edit", "pick 1", "pick 2", "pick 3"};
    struct jobs *jobs = world.program.jobs;
    for (struct job *job = jobs_next(jobs, 0); job; job = jobs_next(jobs, job->id)) {
        if (job->takes && world_chance(500)) {
            command(job, texts[world_pick(ARRAY_COUNT(texts))]);
            return;
        }
    }
}

static void do_sighup(void)
{
    if (world_chance(900))
        program_key_changed();
}

static void do_restart(void)
{
    if (world_chance(world.mixture.restarts * 10))
        program_stop();
}

void users_act(void)
{
    static void (*const acts[])(void) = {
        do_make,      do_make,    do_write,      do_write,       do_write,
        do_write,     do_command, do_command,    do_command,     do_open_file,
        do_open_file, do_remove,  do_rename_job, do_rename_file, do_unlink_or_truncate,
        do_write_all, do_sighup,  do_restart,    do_copy,        do_again,
        do_again,     do_again,
    };
    static void (*const again[])(void) = {do_again, do_again, do_again,   do_again, do_again,
                                          do_again, do_write, do_command, do_copy,  do_restart};
    if (!program_is_up() || world.program.is_ending)
        return;
    world.is_user_acting = true;
    if (world.is_again)
        again[world_pick(ARRAY_COUNT(again))]();
    else
        acts[world_pick(ARRAY_COUNT(acts))]();
    world.is_user_acting = false;
}

void users_leave(void)
{
    world.is_user_acting = true;
    for (unsigned i = 0; i < HANDLES; i++)
        open_file_close(&open_files[i]);
    world.is_user_acting = false;
}
