/*
 * One row per option: its names, its argument, where its value goes and what --help says. Nothing
 * else in the program knows the names. scripts/packaging/options.awk makes the OPTIONS of the man
 * page and the completions of the shells from --help: an argument called FILE or DIR, or one that
 * lists its words between bars, is completed as such.
 */
#include "options.h"

#include "models.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/json.h"
#include "seedancefs/base/nearest.h"
#include "seedancefs/base/text.h"
#include "seedancefs/fuse/session.h"
#include "seedancefs/net/http.h"
#include "seedancefs/store/store.h"

#include <errno.h>
#include <fuse_opt.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_type {
    OPTION_TEXT,
    OPTION_PATH,
    OPTION_CONFIG,
    OPTION_SIZE,
    OPTION_NUMBER,
    OPTION_BUDGET,
    OPTION_ARCHIVE,
    OPTION_SECONDS,
    OPTION_SETTLE,
    OPTION_LEVEL,
    OPTION_FLAG,
    OPTION_FUSE,
    OPTION_HELP,
    OPTION_VERSION,
};

struct option_row {
    const char *name;
    char letter; /* 0: none */
    enum option_type type;
    size_t offset;
    const char *argument; /* NULL: none */
    const char *help;
};

#define FIELD(name) offsetof(struct options, name)

static const struct option_row option_rows[] = {
    {"api-url", 0, OPTION_TEXT, FIELD(api_url), "URL",
     "address of the service (default https://tokenhub.store/api/v1)"},
    {"api-key-file", 0, OPTION_PATH, FIELD(api_key_file), "FILE",
     "file with the API key; without it $TOKENHUB_API_KEY,\n"
     "or $CREDENTIALS_DIRECTORY/tokenhub-api-key"},
    {"data-dir", 0, OPTION_PATH, FIELD(data_directory), "DIR",
     "directory for jobs, files and videos (default\n"
     "$XDG_DATA_HOME/seedancefs or ~/.local/share/seedancefs)"},
    {"model", 0, OPTION_TEXT, FIELD(model), "MODEL",
     "model for prompts that name none (default " MODEL_DEFAULT_NAME ")"},
    {"models", 0, OPTION_PATH, FIELD(models_directory), "DIR",
     "more models, or other prices and limits: files in the\n"
     "format of the mount's models/MODEL.json"},
    {"config", 0, OPTION_CONFIG, FIELD(config), "FILE",
     "file with one option a line (budget 5/day), read again at\n"
     "SIGHUP; with - before its name it may be missing"},
    {"budget", 0, OPTION_BUDGET, FIELD(budget), "USD[/day|/month]",
     "never spend more than this, in all or per UTC day or month"},
    {"hold", 0, OPTION_FLAG, FIELD(is_hold_wanted), NULL,
     "send nothing before `submit` is written into the job's ctl,\n"
     "also of what waits to be sent now"},
    {"settle", 0, OPTION_SETTLE, FIELD(settle_ms), "SECONDS",
     "send a job's first request when nothing has been done in its\n"
     "directory for this long, so that copies of jobs are noticed\n"
     "(default 2, from 0 to 30)"},
    {"max-active", 0, OPTION_NUMBER, FIELD(active_max), "N",
     "submit a job only while fewer than N are under way"},
    {"max-file-size", 0, OPTION_SIZE, FIELD(max_file_bytes), "SIZE",
     "largest file of your own in a job (default 64M)"},
    {"archive", 0, OPTION_ARCHIVE, FIELD(archive), "expiry|always|never",
     "when to save whole videos: shortly before their URLs\n"
     "expire (default), when finished, or never by itself"},
    {"cache-size", 0, OPTION_SIZE, FIELD(cache_bytes_max), "SIZE",
     "keep at most this much of videos that can be fetched\n"
     "again (default: no limit while 5 % of the disk is free)"},
    {"upload-command", 0, OPTION_TEXT, FIELD(upload_command), "CMD",
     "how a video of your own gets an address: the command gets\n"
     "its path as an argument and prints an https:// address"},
    {"objects", 0, OPTION_TEXT, FIELD(objects), "S3-URL",
     "keep every video in a bucket: s3://BUCKET/PREFIX?\n"
     "endpoint=https://HOST&region=REGION"},
    {"objects-credentials", 0, OPTION_PATH, FIELD(objects_credentials), "FILE",
     "the bucket's keys, as in ~/.aws/credentials; without it\n"
     "$AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY"},
    {"share", 0, OPTION_TEXT, FIELD(share), "URL",
     "one tree on several hosts, by way of a database:\n"
     "postgresql://HOST1@DB/NAME (see docs/STUDIO.md)"},
    {"share-init", 0, OPTION_FLAG, FIELD(is_share_init), NULL,
     "prepare the database of --share, and end"},
    {"poll-interval", 0, OPTION_SECONDS, FIELD(poll_interval_ms), "SECONDS",
     "ask the service at this interval (fractions allowed)\n"
     "instead of the adaptive schedule"},
    {"setuid", 0, OPTION_TEXT, FIELD(user), "USER",
     "for root: mount, then run as USER, who owns the jobs;\n"
     "USER must be able to read the key file"},
    {"group", 0, OPTION_TEXT, FIELD(group), "GROUP",
     "members of GROUP may do what the owner may, also spend;\nothers see nothing, unless -o "
     "allow_other is given, too"},
    {"no-inotify", 0, OPTION_FLAG, FIELD(is_inotify_off), NULL,
     "raise no inotify events for what seedancefs changes"},
    {"allow-unknown", 0, OPTION_FLAG, FIELD(is_unknown_allowed), NULL,
     "send request fields that seedancefs does not know"},
    {"allow-core-dumps", 0, OPTION_FLAG, FIELD(is_core_allowed), NULL,
     "for debugging; a core dump holds the API key"},
    {"log-level", 0, OPTION_LEVEL, FIELD(log_level), "error|warn|info|debug",
     "how much to log (default info)"},
    {"foreground", 'f', OPTION_FLAG, FIELD(is_foreground), NULL,
     "stay in the foreground, log to standard error"},
    {"debug", 'd', OPTION_FLAG, FIELD(is_debug), NULL, "print every FUSE request; implies -f"},
    {"options", 'o', OPTION_FUSE, 0, "OPT,...",
     "FUSE mount options, and every option above\n"
     "written as name_with_underscores[=value]"},
    {"help", 'h', OPTION_HELP, 0, NULL, "show this help"},
    {"version", 'V', OPTION_VERSION, 0, NULL, "show the version, and those of the libraries"},
};

enum { OPTION_COUNT = (int)ARRAY_COUNT(option_rows), OPTION_CODE = 1000 };
_Static_assert(OPTION_COUNT <= 64, "each row has a bit");

static void models_print(FILE *out, const struct models *models)
{
    for (size_t i = 0; i < models_count(models); i++)
        (void)fprintf(out, "%s %s", i ? "," : "", models_at(models, i)->name);
}

static void help_print(FILE *out, const struct models *models)
{
    (void)fprintf(out, "Usage: seedancefs [OPTION]... MOUNTPOINT\n"
                       "Generate videos with ByteDance Seedance 2.0 by working with files.\n\n");
    for (size_t i = 0; i < ARRAY_COUNT(option_rows); i++) {
        const struct option_row *row = &option_rows[i];
        char left[64];
        (void)snprintf(left, sizeof(left), "%c%c%s --%s%s%s", row->letter ? '-' : ' ',
                       row->letter ? row->letter : ' ', row->letter ? "," : " ", row->name,
                       row->argument ? " " : "", row->argument ? row->argument : "");
        (void)fprintf(out, "  %-28s", left);
        if (strlen(left) >= 28) /* it would reach into the column of explanations */
            (void)fprintf(out, "\n  %-28s", "");
        for (const char *p = row->help; *p; p++) {
            (void)fputc(*p, out);
            if (*p == '\n')
                (void)fprintf(out, "  %-28s", "");
        }
        (void)fputc('\n', out);
    }
    (void)fprintf(out, "\nModels:");
    models_print(out, models);
    (void)fprintf(
        out, ".\nUnmount with: fusermount3 -u MOUNTPOINT\n"
             "SIGHUP makes it read the API key file and the file of options again, and open its\n"
             "log anew.\n"
             "Exit codes: 0 done, 1 failure while running, 2 wrong usage or "
             "configuration.\n");
}

static void version_print(void)
{
    char curl[HTTP_VERSION_SIZE];
    http_library_version(curl);
    (void)printf("seedancefs %s\nlibfuse %s, %s, SQLite %s, cJSON %s\n", SEEDANCEFS_VERSION,
                 session_library_version(), curl, store_library_version(), json_library_version());
}

static int no_memory(void)
{
    (void)fprintf(stderr, "seedancefs: there is not enough memory for the options.\n");
    return -ENOMEM;
}

static int text_replace(char **place, const char *value)
{
    char *copy = strdup(value);
    if (!copy)
        return no_memory();
    free(*place);
    *place = copy;
    return 0;
}

static int text_parse(const char *text, void *out)
{
    return *text ? text_replace(out, text) : -EINVAL;
}

/* Paths are made absolute here, because the program leaves its directory when it goes to the
 * background. */
static int path_replace(char **place, const char *value)
{
    CLEANUP_FREE char *here = value[0] == '/' ? NULL : realpath(".", NULL);
    char *path = NULL;
    if (asprintf(&path, "%s%s%s", here ? here : "", here ? "/" : "", value) < 0)
        return no_memory();
    free(*place);
    *place = path;
    return 0;
}

static int path_parse(const char *text, void *out)
{
    return *text ? path_replace(out, text) : -EINVAL;
}

/* "-" before the path: the file may be missing. */
static int config_parse(const char *text, void *out)
{
    struct options *options = (struct options *)(void *)((char *)out - FIELD(config));
    options->is_config_optional = *text == '-';
    return path_parse(text + options->is_config_optional, out);
}

static int size_parse(const char *text, void *out)
{
    return text_size_parse(text, out) < 0 || *(int64_t *)out <= 0 ? -EINVAL : 0;
}

static int number_parse(const char *text, void *out)
{
    return size_parse(text, out) < 0 || *(int64_t *)out > 1000000 ? -EINVAL : 0;
}

/* Seconds, perhaps with a fraction, become milliseconds, without floating point. */
static int millis_parse(const char *text, int64_t least_ms, int64_t most_ms, int64_t *out)
{
    int64_t micros;
    int r = text_usd_parse(text, &micros); /* the same grammar: digits and up to six decimals */
    if (r < 0 || micros < least_ms * 1000 || micros > most_ms * 1000)
        return -EINVAL;
    *out = micros / 1000;
    return 0;
}

static int seconds_parse(const char *text, void *out)
{
    return millis_parse(text, 1, INT64_C(86400) * 1000, out);
}

static int settle_parse(const char *text, void *out)
{
    return millis_parse(text, 0, 30 * 1000, out);
}

static int word_index(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(word, words[i]) == 0)
            return (int)i;
    }
    return -EINVAL;
}

/* "12.50", "12.50/day", "300/month" */
static int budget_parse(const char *text, void *out)
{
    static const char *const suffixes[] = {
        [JOB_BUDGET_TOTAL] = "", [JOB_BUDGET_DAY] = "/day", [JOB_BUDGET_MONTH] = "/month"};
    struct job_budget *budget = out;
    char amount[TEXT_MONEY_SIZE] = "";
    size_t len = strcspn(text, "/");
    int period = word_index(text + len, suffixes, ARRAY_COUNT(suffixes));
    if (period < 0 || len >= sizeof(amount))
        return -EINVAL;
    memcpy(amount, text, len);
    budget->period = (enum job_budget_period)period;
    int r = text_usd_parse(amount, &budget->limit_usd_micros);
    return r == 0 && budget->limit_usd_micros == 0 ? -EINVAL : r;
}

static int archive_parse(const char *text, void *out)
{
    static const char *const words[] = {[TREE_ARCHIVE_EXPIRY] = "expiry",
                                        [TREE_ARCHIVE_ALWAYS] = "always",
                                        [TREE_ARCHIVE_NEVER] = "never"};
    int archive = word_index(text, words, ARRAY_COUNT(words));
    if (archive >= 0)
        *(enum tree_archive *)out = (enum tree_archive)archive;
    return archive < 0 ? archive : 0;
}

static int level_parse(const char *text, void *out)
{
    return log_level_parse(text, out);
}

static int flag_parse(const char *text UNUSED, void *out)
{
    *(bool *)out = true;
    return 0;
}

/* How each kind of value is parsed, and what is said if that fails. */
static const struct {
    int (*parse)(const char *text, void *out);
    const char *rule;
    size_t size; /* of the value */
} option_types[] = {
    [OPTION_TEXT] = {text_parse, "it is empty", sizeof(char *)},
    [OPTION_PATH] = {path_parse, "it is empty", sizeof(char *)},
    [OPTION_CONFIG] = {config_parse, "it is empty", sizeof(char *)},
    [OPTION_SIZE] = {size_parse, "a size is a number with K, M, G or T", sizeof(int64_t)},
    [OPTION_NUMBER] = {number_parse, "a number from 1 to 1000000 is expected", sizeof(int64_t)},
    [OPTION_BUDGET] = {budget_parse,
                       "a budget is dollars above 0, as in 20, 7.50/day or 100/month "
                       "(to send nothing without your word: --hold)",
                       sizeof(struct job_budget)},
    [OPTION_ARCHIVE] = {archive_parse, "a policy is expiry, always or never",
                        sizeof(enum tree_archive)},
    [OPTION_SECONDS] = {seconds_parse, "an interval is from 0.001 to 86400 seconds",
                        sizeof(int64_t)},
    [OPTION_SETTLE] = {settle_parse, "from 0 to 30 seconds are possible", sizeof(int64_t)},
    [OPTION_LEVEL] = {level_parse, "a level is error, warn, info or debug", sizeof(enum log_level)},
    [OPTION_FLAG] = {flag_parse, NULL, sizeof(bool)},
};

static int option_apply(struct options *options, const struct option_row *row, const char *value,
                        char why[static OPTIONS_WHY_SIZE])
{
    int r = option_types[row->type].parse(value, (char *)options + row->offset);
    if (r < 0)
        (void)snprintf(why, OPTIONS_WHY_SIZE, "%s %s: %s", row->name, *value ? value : "''",
                       r == -ENOMEM ? "there is not enough memory" : option_types[row->type].rule);
    return r;
}

static uint64_t row_bit(const struct option_row *row)
{
    return UINT64_C(1) << (row - option_rows);
}

/* Of the command line. */
static int option_give(struct options *options, const struct option_row *row, const char *value)
{
    char why[OPTIONS_WHY_SIZE];
    int r = option_apply(options, row, value, why);
    options->given |= row_bit(row);
    if (r < 0)
        (void)fprintf(stderr, "seedancefs: --%s. See seedancefs --help.\n", why);
    return r;
}

static const char *row_nearest(const char *name)
{
    const char *names[OPTION_COUNT + 1] = {NULL};
    for (int i = 0; i < OPTION_COUNT; i++)
        names[i] = option_rows[i].name;
    return nearest_name(name, names);
}

int options_line_set(struct options *options, const char *name, const char *value,
                     char why[static OPTIONS_WHY_SIZE])
{
    const struct option_row *row = NULL;
    for (int i = 0; i < OPTION_COUNT && !row; i++)
        row = strcmp(option_rows[i].name, name) == 0 ? &option_rows[i] : NULL;
    const char *nearest = row ? NULL : row_nearest(name);
    const char *wrong = !row ? "there is no such option"
                        : row->type >= OPTION_FUSE || row->offset == FIELD(config)
                            ? "this option belongs on the command line"
                        : row->argument && !value ? "a value is missing"
                        : row->type == OPTION_PATH && *value != '/'
                            ? "in a file a path begins with /"
                        : !row->argument && value ? "it takes no value"
                                                  : NULL;
    if (wrong) {
        (void)snprintf(why, OPTIONS_WHY_SIZE, "%s: %s%s%s%s", name, wrong,
                       nearest ? "; did you mean " : "", nearest ? nearest : "",
                       nearest ? "?" : "");
        return -EINVAL;
    }
    options->configured |= row_bit(row);
    return option_apply(options, row, value ? value : "", why);
}

/* What can change while the program runs. */
static bool is_live(const struct option_row *row)
{
    static const size_t live[] = {FIELD(budget), FIELD(active_max), FIELD(is_hold_wanted),
                                  FIELD(archive), FIELD(log_level)};
    for (size_t i = 0; i < ARRAY_COUNT(live); i++) {
        if (row->type < OPTION_FUSE && row->offset == live[i])
            return true;
    }
    return false;
}

static bool is_equal(const struct option_row *row, const struct options *a, const struct options *b)
{
    const char *left = (const char *)a + row->offset;
    const char *right = (const char *)b + row->offset;
    if (row->type == OPTION_BUDGET) /* it has bytes between its members */
        return a->budget.limit_usd_micros == b->budget.limit_usd_micros &&
               a->budget.period == b->budget.period;
    if (row->type > OPTION_PATH)
        return memcmp(left, right, option_types[row->type].size) == 0;
    const char *left_text = *(char *const *)left;
    const char *right_text = *(char *const *)right;
    return !left_text || !right_text ? left_text == right_text : strcmp(left_text, right_text) == 0;
}

static void name_add(char list[static OPTIONS_WHY_SIZE], const char *name)
{
    size_t len = strlen(list);
    (void)snprintf(list + len, OPTIONS_WHY_SIZE - len, "%s%s", len ? " " : "", name);
}

void options_take(struct options *options, const struct options *fresh,
                  char changed[static OPTIONS_WHY_SIZE], char restart[static OPTIONS_WHY_SIZE])
{
    changed[0] = restart[0] = '\0';
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &option_rows[i];
        uint64_t configured = options->configured | fresh->configured;
        if (!(configured & row_bit(row)) || (options->given & row_bit(row)) ||
            is_equal(row, options, fresh))
            continue;
        name_add(is_live(row) ? changed : restart, row->name);
        if (is_live(row))
            memcpy((char *)options + row->offset, (const char *)fresh + row->offset,
                   option_types[row->type].size);
    }
    options->configured = fresh->configured;
}

const char *options_guess(const char *list)
{
    const char *guess = NULL;
    while (list && *list && !guess) {
        char name[64];
        size_t len = strcspn(list, ",");
        (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(list, ",="), list);
        guess = row_nearest(name);
        list += len + (list[len] == ',');
    }
    return guess;
}

/* True for "api_key_file=/etc/key" and the row "api-key-file". */
static bool is_row_named(const struct option_row *row, const char *option, size_t len)
{
    bool is_same = strlen(row->name) == len && row->type < OPTION_FUSE;
    for (size_t i = 0; i < len && is_same; i++)
        is_same = option[i] == (row->name[i] == '-' ? '_' : row->name[i]);
    return is_same;
}

static int fuse_option_add(struct options *options, const char *option)
{
    return fuse_opt_add_opt_escaped(&options->fuse_options, option) < 0 ? no_memory() : 0;
}

/* Applies one item of a list after -o. */
static int option_item_apply(void *context, const char *item, int key UNUSED,
                             struct fuse_args *kept UNUSED)
{
    struct options *options = context;
    size_t len = strcspn(item, "=");
    if (!*item || strncmp(item, "x-", 2) == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_COUNT(option_rows); i++) {
        const struct option_row *row = &option_rows[i];
        if (!is_row_named(row, item, len))
            continue;
        if (!row->argument == !item[len])
            return option_give(options, row, row->argument ? item + len + 1 : "") < 0 ? -1 : 0;
        (void)fprintf(stderr, "seedancefs: -o %s: %s.\n", item,
                      row->argument ? "a value is missing" : "it takes no value");
        return -1;
    }
    options->is_shared = options->is_shared || strcmp(item, "allow_other") == 0;
    return fuse_option_add(options, item) < 0 ? -1 : 0;
}

/* FUSE_OPT_KEY() has the offset -1U, which makes clang warn. */
#define IGNORED(name)                                                                              \
    {                                                                                              \
        (name), UINT32_MAX, FUSE_OPT_KEY_DISCARD                                                   \
    }

/* libfuse takes the list apart, so "\," in it means the same as for every FUSE filesystem. */
static int option_list_apply(struct options *options, char *list)
{
    /* mount(8) reads these itself, and passes them on to mount helpers. */
    static const struct fuse_opt ignored[] = {
        IGNORED("rw"),       IGNORED("auto"),  IGNORED("noauto"),  IGNORED("user"),
        IGNORED("nouser"),   IGNORED("users"), IGNORED("_netdev"), IGNORED("nofail"),
        IGNORED("defaults"), FUSE_OPT_END};
    char name[] = "", option[] = "-o";
    char *argv[] = {name, option, list, NULL};
    struct fuse_args arguments = FUSE_ARGS_INIT(3, argv);
    int r = fuse_opt_parse(&arguments, options, ignored, option_item_apply);
    fuse_opt_free_args(&arguments);
    return r;
}

/* `user_home` is of the user to switch to, because the environment belongs to somebody else; NULL:
 * no switch. */
static int data_directory_default(struct options *options, const char *user_home)
{
    const char *base = user_home ? NULL : getenv("XDG_DATA_HOME");
    const char *home = user_home ? user_home : getenv("HOME");
    bool has_base = base && base[0] == '/';
    if (!has_base && (!home || home[0] != '/')) {
        (void)fprintf(stderr, "seedancefs: neither $XDG_DATA_HOME nor $HOME is set: choose a "
                              "directory for jobs and videos with --data-dir DIR.\n");
        return -EINVAL;
    }
    char *path = NULL;
    if (asprintf(&path, "%s%s/seedancefs", has_base ? base : home,
                 has_base ? "" : "/.local/share") < 0)
        return no_memory();
    options->data_directory = path;
    return 0;
}

static int user_find(struct options *options, const char **home)
{
    const struct passwd *entry = getpwnam(options->user);
    if (!entry) {
        (void)fprintf(stderr, "seedancefs: --setuid %s: there is no such user.\n", options->user);
        return -EINVAL;
    }
    options->user_id = entry->pw_uid;
    options->group_id = entry->pw_gid;
    *home = entry->pw_dir;
    return 0;
}

/* The kernel lets nobody else in without allow_other; the modes then leave out who is no member. */
static int group_find(struct options *options)
{
    const struct group *entry = getgrnam(options->group);
    if (!entry) {
        (void)fprintf(stderr, "seedancefs: --group %s: there is no such group.\n", options->group);
        return -EINVAL;
    }
    options->group_shared = entry->gr_gid;
    return options->is_shared ? 0 : fuse_option_add(options, "allow_other");
}

/* mount(8) puts the source of its table before the mount point. There is no real source, so it must
 * be one of two words. The kernel shows it, and `mount -a` compares it. */
static int source_take(struct options *options, int argc, char **argv)
{
    static const char *const sources[] = {"seedancefs", "", "none"};
    for (size_t i = 0; optind + 2 == argc && i < ARRAY_COUNT(sources); i++) {
        if (strcmp(argv[optind], sources[i]) != 0)
            continue;
        optind++;
        return i < 2 ? 0 : fuse_option_add(options, "fsname=none");
    }
    return 0;
}

int options_complete(struct options *options, int argc, char **argv)
{
    int r = source_take(options, argc, argv);
    if (r < 0)
        return r;
    if (optind + 1 != argc) {
        (void)fprintf(stderr, "seedancefs: %s. See seedancefs --help.\n",
                      optind >= argc ? "the mount point is missing"
                                     : "only one mount point can be given");
        return -EINVAL;
    }
    r = models_load(options->models_directory, &options->models);
    if (r < 0)
        return r;
    if (!models_find(options->models, options->model) && !options->is_unknown_allowed) {
        (void)fprintf(stderr, "seedancefs: --model %s: unknown; the models are", options->model);
        models_print(stderr, options->models);
        (void)fprintf(stderr, ". (--allow-unknown sends others, too.)\n");
        return -EINVAL;
    }
    const char *user_home = NULL;
    r = path_replace(&options->mountpoint, argv[optind]);
    if (r == 0 && options->user)
        r = user_find(options, &user_home);
    if (r == 0 && options->group)
        r = group_find(options);
    if (r == 0 && !options->data_directory)
        r = data_directory_default(options, user_home);
    options->is_foreground = options->is_foreground || options->is_debug;
    return r;
}

static void getopt_tables_fill(struct option *longs, char *shorts)
{
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &option_rows[i];
        longs[i] = (struct option){row->name, row->argument ? required_argument : no_argument, NULL,
                                   OPTION_CODE + i};
        if (!row->letter)
            continue;
        *shorts++ = row->letter;
        if (row->argument)
            *shorts++ = ':';
    }
    *shorts = '\0';
    longs[OPTION_COUNT] = (struct option){0};
}

static const struct option_row *row_of(int code)
{
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (code == OPTION_CODE + i || (option_rows[i].letter && code == option_rows[i].letter))
            return &option_rows[i];
    }
    return NULL;
}

/*
 * mount(8) calls the program itself if the program has the name mount.fuse.seedancefs. Otherwise it
 * calls mount.fuse3, which would first switch to the user of setuid=. mount(8) documents
 * "/sbin/mount.TYPE SOURCE DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE.SUBTYPE]". There -f
 * means that the mount is only tried out; the others mean nothing here. This removes them from the
 * arguments. True: nothing shall be mounted.
 */
bool options_mount_arguments_take(int *argc, char **argv)
{
    const char *name = strrchr(argv[0], '/');
    bool is_fake = false;
    int kept = 1;
    if (strncmp(name ? name + 1 : argv[0], "mount.", 6) != 0)
        return false;
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "-f") == 0)
            is_fake = true;
        else if (strcmp(argv[i], "-t") == 0)
            i++;
        else if (strcmp(argv[i], "-s") != 0 && strcmp(argv[i], "-n") != 0 &&
                 strcmp(argv[i], "-v") != 0)
            argv[kept++] = argv[i];
    }
    argv[kept] = NULL;
    *argc = kept;
    return is_fake;
}

int options_init(struct options *options)
{
    *options = (struct options){
        .max_file_bytes = INT64_C(64) << 20, .settle_ms = 2000, .log_level = LOG_INFO};
    int r = text_replace(&options->api_url, "https://tokenhub.store/api/v1");
    return r < 0 ? r : text_replace(&options->model, MODEL_DEFAULT_NAME);
}

/* getopt has said what is wrong; this says what was perhaps meant. */
static void unknown_explain(const char *word)
{
    char name[64];
    bool is_long = optopt == 0 && strncmp(word, "--", 2) == 0;
    (void)snprintf(name, sizeof(name), "%.*s", is_long ? (int)strcspn(word + 2, "=") : 0, word + 2);
    const char *nearest = is_long ? row_nearest(name) : NULL;
    if (nearest)
        (void)fprintf(stderr, "seedancefs: did you mean --%s?\n", nearest);
    (void)fprintf(stderr, "See seedancefs --help.\n");
}

enum options_result options_arguments_apply(struct options *options, int argc, char **argv)
{
    struct option longs[OPTION_COUNT + 1];
    char shorts[2 * OPTION_COUNT + 1];
    int code;
    getopt_tables_fill(longs, shorts);
    optind = 1;
    while ((code = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        const struct option_row *row = row_of(code);
        if (!row) {
            unknown_explain(argv[optind - 1]);
            return OPTIONS_WRONG;
        }
        if (row->type == OPTION_HELP) {
            if (models_load(options->models_directory, &options->models) < 0)
                return OPTIONS_WRONG;
            help_print(stdout, options->models);
            return OPTIONS_DONE;
        }
        if (row->type == OPTION_VERSION) {
            version_print();
            return OPTIONS_DONE;
        }
        int r = row->type == OPTION_FUSE ? option_list_apply(options, optarg)
                                         : option_give(options, row, optarg ? optarg : "");
        if (r < 0)
            return OPTIONS_WRONG;
    }
    return OPTIONS_RUN;
}

void options_fini(struct options *options)
{
    free(options->config);
    free(options->mountpoint);
    free(options->api_url);
    free(options->api_key_file);
    free(options->data_directory);
    free(options->model);
    free(options->models_directory);
    models_free(options->models);
    free(options->upload_command);
    free(options->objects);
    free(options->objects_credentials);
    free(options->share);
    free(options->user);
    free(options->group);
    free(options->fuse_options);
    *options = (struct options){0};
}
