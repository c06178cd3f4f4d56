/*
 * Every file must be right: a price or a limit that is silently left out costs money. Files are read
 * in the order of their names, so that listings and messages do not depend on the disk. A file may
 * be a symbolic link, as in the mounted configuration of a container.
 */
#include "models.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct names {
    struct dirent **entries;
    int count;
};

static void names_fini(struct names *names)
{
    for (int i = 0; i < names->count; i++)
        free(names->entries[i]);
    free(names->entries);
}

/* Editors and tools put hidden files and others beside those that are meant. */
static int is_model(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".json") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Opening and reading never wait, should the name be that of a pipe. */
static int text_read(int directory_fd, const char *name, char text[static MODEL_FILE_BYTES_MAX + 1],
                     size_t *len)
{
    struct stat st;
    CLEANUP_CLOSE int fd = openat(directory_fd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    ssize_t n = file_read_full(fd, text, MODEL_FILE_BYTES_MAX + 1, 0);
    if (n < 0)
        return (int)n;
    *len = (size_t)n;
    return n > MODEL_FILE_BYTES_MAX ? -EFBIG : 0;
}

static void complain(const char *directory, const char *name, int r,
                     const struct prompt_report *report)
{
    CLEANUP(buf_fini) struct buf text = {.limit = 256 * 1024};
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    if (report->count > 0)
        prompt_report_render(report, path, &text);
    if (text.len > 0)
        (void)fprintf(stderr, "%s", buf_text(&text));
    else if (r == -E2BIG)
        (void)fprintf(stderr, "seedancefs: --models: with %s there are more than %d models.\n",
                      path, MODELS_MAX);
    else if (r == -EINVAL)
        (void)fprintf(stderr, "seedancefs: --models: %s is neither a file nor a link to one.\n",
                      path);
    else
        (void)fprintf(stderr, "seedancefs: --models: %s cannot be read: %s.\n", path,
                      err_sentence(r));
}

static int file_add(struct models *models, const char *directory, int directory_fd,
                    const char *name)
{
    CLEANUP(prompt_report_fini) struct prompt_report report = {0};
    CLEANUP_FREE char *text = malloc(MODEL_FILE_BYTES_MAX + 1);
    size_t len = 0;
    int r = text ? text_read(directory_fd, name, text, &len) : -ENOMEM;
    if (r == 0)
        r = models_add(models, name, text, len, &report);
    if (r < 0)
        complain(directory, name, r, &report);
    return r;
}

/* Goes on after a mistake, to say them all. */
static int files_add(struct models *models, const char *directory)
{
    CLEANUP(names_fini) struct names names = {0};
    CLEANUP_CLOSE int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int count = fd < 0 ? -1 : scandirat(fd, ".", &names.entries, is_model, by_name);
    if (count < 0) {
        int r = -errno;
        (void)fprintf(stderr, "seedancefs: --models %s: the directory cannot be read: %s.\n",
                      directory, err_sentence(r));
        return r;
    }
    names.count = count;
    int result = 0;
    for (int i = 0; i < count; i++) {
        int r = file_add(models, directory, fd, names.entries[i]->d_name);
        result = result == 0 ? r : result;
    }
    if (result < 0)
        (void)fprintf(stderr,
                      "seedancefs: --models %s: nothing is started with wrong prices or limits. "
                      "Correct what is said above, or take the file out of the directory.\n",
                      directory);
    return result;
}

int models_load(const char *directory, struct models **out)
{
    struct models *models = NULL;
    int r = models_new(&models);
    if (r < 0)
        (void)fprintf(stderr, "seedancefs: the models cannot be read: %s.\n", err_sentence(r));
    if (r == 0 && directory)
        r = files_add(models, directory);
    if (r < 0)
        models_free(models);
    else
        *out = models;
    return r;
}
