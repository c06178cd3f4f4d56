/*
 * Start, from the ground layer up: data directory, store, loop, HTTP, service, jobs, media, tree,
 * session. End in the opposite order, but the mount goes first, so that nobody waits for a program
 * that ends. After that the program waits for the response to a create that is under way, within
 * the create's own deadline: without the response a paid video would be `unknown`. A second signal
 * ends this wait, too.
 */
#include "daemon.h"

#include "config.h"
#include "data_directory.h"
#include "file_reader.h"
#include "inotify_emitter.h"
#include "key.h"
#include "mountpoint.h"
#include "notify.h"
#include "object_store.h"
#include "sharing.h"
#include "stderr_relay.h"
#include "unmounter.h"

#include "seedancefs/api/api.h"
#include "seedancefs/base/child.h"
#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/clock.h"
#include "seedancefs/base/descriptor.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/privileges.h"
#include "seedancefs/base/tools.h"
#include "seedancefs/fuse/inspector.h"
#include "seedancefs/fuse/session.h"
#include "seedancefs/job/jobs.h"
#include "seedancefs/job/state_log.h"
#include "seedancefs/media/media.h"
#include "seedancefs/media/state_log.h"
#include "seedancefs/net/http.h"
#include "seedancefs/net/loop.h"
#include "seedancefs/net/url.h"
#include "seedancefs/store/store.h"
#include "seedancefs/tree/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    REQUESTS_PER_TURN = 32,
    LOG_BYTES_MAX = 4 * 1024 * 1024, /* then the log is renamed, in place of the one before */
};

struct daemon {
    struct options *options;
    int ready_fd;
    bool is_ready;   /* the kernel has sent INIT */
    bool is_probing; /* the object store: the start is not announced yet */
    bool is_joining; /* the database of --share: the same */
    bool is_ending;
    bool is_unmounted; /* when the ending signal came, somebody had unmounted already */
    dev_t device;      /* of the mount */
    enum exit_code code;
    struct store *store;
    struct loop *loop;
    struct http *http;
    struct api *api;
    struct object_store object_store;
    struct sharing sharing;
    struct jobs *jobs;
    struct media *media;
    struct tree *tree;
    struct session *session;
    struct inotify_emitter *emitter;    /* NULL: no events for inotify */
    struct file_reader *key_reader;     /* NULL: the key came from elsewhere */
    struct file_reader *config_reader;  /* NULL: there is no --config */
    struct file_reader *objects_reader; /* NULL: there is no --objects-credentials */
    struct unmounter *unmounter;        /* NULL: the session unmounts */
    struct inspector *inspector;        /* NULL: callers cannot be inspected */
    struct loop_watch inspector_watch;
    struct tools *tools; /* NULL: no other programs are run */
    struct loop_watch tools_watch;
    struct loop_watch session_watch;
    struct loop_watch signal_watch;
    struct timer start_timer;
    struct timer backup_timer;     /* begins the next backup, or goes on with the present one */
    uint64_t backup_changes;       /* jobs_counts.changes of the last backup */
    uint64_t backup_changes_begun; /* the same of the present one */
    bool is_restored;              /* the data directory is a copy */
    struct data_directory data;
};

enum { BACKUP_EVERY_MS = 3600 * 1000 };

static const char disk_full[] =
    "the disk of the data directory is full. Make room there, or choose "
    "another with --data-dir DIR.";

static enum exit_code complain(const char *what, const char *why)
{
    (void)fprintf(stderr, "seedancefs: %s: %s\n", what, why);
    log_error("start.refused", "what=\"%s\" why=\"%s\"", what, why);
    notify_send("STATUS=%s: %s", what, why);
    return EXIT_CONFIGURATION;
}

static enum exit_code complain_err(const char *what, int r)
{
    char why[256];
    (void)snprintf(why, sizeof(why), "%s.", err_sentence(r));
    return complain(what, why);
}

/* The key must not get into a core dump, and other programs of the user must not attach to this
 * one. */
static void secure(const struct options *options)
{
    if (options->is_core_allowed) {
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* the switch to another user has cleared it */
        return;
    }
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* With O_NONBLOCK neither opening nor writing waits, should somebody have put a FIFO there. */
static int log_file_open(int directory_fd)
{
    static const int flags =
        O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    int fd = openat(directory_fd, DATA_DIRECTORY_LOG, flags, 0600);
    return fd < 0 ? -errno : fd;
}

/* A log that was moved away (S-LOG-4) has another file in its place, or none: nothing is renamed.
 * Otherwise, proof for the file that the rename replaces: only this function makes
 * seedancefs.log.old, from an older log, and S-LOG-2 promises that one of these is kept. */
static int log_put_aside(const void *context, int log_fd)
{
    const struct data_directory *data = context;
    struct stat log;
    struct stat named;
    if (fstat(log_fd, &log) < 0)
        return -errno;
    if (fstatat(data->fd, DATA_DIRECTORY_LOG, &named, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? log_file_open(data->fd) : -errno;
    bool is_log = log.st_dev == named.st_dev && log.st_ino == named.st_ino;
    if (is_log && renameat(data->fd, DATA_DIRECTORY_LOG, data->fd, DATA_DIRECTORY_LOG ".old") < 0)
        return -errno;
    return log_file_open(data->fd);
}

static int log_open(const struct options *options, const struct data_directory *data)
{
    if (options->is_foreground)
        return 0; /* as it is since the start */
    int fd = log_file_open(data->fd);
    if (fd < 0)
        return fd;
    log_configure(options->log_level, fd);
    log_rotation_set(LOG_BYTES_MAX, log_put_aside, data);
    return 0;
}

/* At SIGHUP, because logrotate and the like have moved the log away. The name is looked up in the
 * data directory that is open, wherever that is now. Standard error cannot be opened anew: only who
 * started the program knows what it is. */
static void log_reopen(const struct daemon *daemon)
{
    if (daemon->options->is_foreground)
        return;
    int fd = log_file_open(daemon->data.fd);
    if (fd < 0)
        log_warn("log.kept",
                 "file=%s/" DATA_DIRECTORY_LOG " error=%s why=\"it cannot be opened; "
                 "the log continues in the file before it\"",
                 daemon->options->data_directory, err_name(fd));
    else
        log_file_replace(fd);
}

static enum exit_code data_start(struct daemon *daemon)
{
    const char *base = daemon->options->data_directory;
    struct data_directory_refusal refusal;
    int r = data_directory_open(base, &daemon->data, &refusal);
    if (r < 0 && refusal.why[0])
        return complain(refusal.what, refusal.why);
    if (r == 0)
        r = log_open(daemon->options, &daemon->data);
    if (r == 0)
        return EXIT_DONE;
    if (r == -ENOSPC || r == -EDQUOT)
        return complain(base, disk_full);
    char why[512];
    (void)snprintf(why, sizeof(why),
                   "the data directory cannot be written to: %s. Make it writable for this user, "
                   "or choose another with --data-dir DIR.",
                   err_sentence(r));
    return complain(base, why);
}

static enum exit_code store_start(struct daemon *daemon)
{
    const char *base = daemon->options->data_directory;
    int r = store_open(daemon->data.fd, base, &daemon->store);
    bool is_replica = r == 0 && store_role_get(daemon->store) == STORE_REPLICA;
    if (r == 0 && store_role_get(daemon->store) != STORE_ALONE && !daemon->options->share)
        return complain(base, "it is that of a host that shares a tree with others. Say so with "
                              "--share URL, or choose another with --data-dir DIR.");
    if (r == 0 && !is_replica) /* of which nothing is ever sent */
        r = store_witness_check(daemon->store, clock_wall_ms(clock_system()), &daemon->is_restored);
    if (r == -ENOSPC && daemon->store)
        r = 0; /* the same is found at the next start */
    if (r == 0 && daemon->is_restored)
        log_warn("data.restored", "data=%s", base);
    if (r == 0)
        return EXIT_DONE;
    static const struct {
        int r;
        const char *why;
    } rows[] = {
        {-ERR_STORE_LOCKED,
         "another seedancefs uses this data directory. Unmount that one first, or "
         "choose another with --data-dir DIR."},
        {-ERR_STORE_VERSION,
         "its jobs.sqlite was written by a newer seedancefs. Use that version, or "
         "choose another directory with --data-dir DIR."},
        {-ERR_STORE_CORRUPT,
         "its jobs.sqlite is damaged. Put a backup in its place, or move it away "
         "and take over your tasks with: echo 'adopt TASK_ID' > ctl"},
        {-ENOSPC, disk_full},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (r == rows[i].r)
            return complain(base, rows[i].why);
    }
    return complain_err(base, r);
}

/* The real path of `path`, or of the nearest directory above it that exists. The caller owns it. */
static char *existing_realpath(const char *path)
{
    CLEANUP_FREE char *copy = strdup(path);
    char *real = NULL;
    char *slash;
    while (copy && !(real = realpath(copy, NULL)) && (slash = strrchr(copy, '/')) && slash != copy)
        *slash = '\0';
    return real;
}

static bool is_in_mountpoint(const struct options *options, const char *path)
{
    CLEANUP_FREE char *mount = realpath(options->mountpoint, NULL);
    CLEANUP_FREE char *real = existing_realpath(path);
    size_t len = mount ? strlen(mount) : 0;
    return mount && real && strncmp(real, mount, len) == 0 &&
           (real[len] == '/' || real[len] == '\0');
}

/* The mount would hide a place inside it, and reading it would wait for this program itself. */
static enum exit_code places_check(const struct options *options)
{
    if (is_in_mountpoint(options, options->data_directory))
        return complain(options->data_directory,
                        "the data directory lies inside the mount point. Choose another "
                        "with --data-dir DIR.");
    if (options->api_key_file && is_in_mountpoint(options, options->api_key_file))
        return complain(options->api_key_file,
                        "the key file lies inside the mount point. Choose another "
                        "with --api-key-file FILE.");
    if (options->objects_credentials && is_in_mountpoint(options, options->objects_credentials))
        return complain(options->objects_credentials,
                        "the file of credentials lies inside the mount point. Choose another with "
                        "--objects-credentials FILE.");
    if (options->config && is_in_mountpoint(options, options->config))
        return complain(options->config, "the file of options lies inside the mount point. Choose "
                                         "another with --config FILE.");
    return EXIT_DONE;
}

/* A host without a key follows. */
static enum exit_code key_start(struct daemon *daemon)
{
    struct secret key = {0};
    int r = key_read(daemon->options->api_key_file, &key);
    int set = r == 0 ? api_key_set(daemon->api, &key) : 0;
    secret_fini(&key);
    if (set < 0)
        return complain_err("the API key", set);
    if (r == -ENOENT && !daemon->options->api_key_file && daemon->options->share)
        return EXIT_DONE;
    if (r == -ENOENT && !daemon->options->api_key_file)
        return complain("no API key", "give one with --api-key-file FILE, or in the environment "
                                      "variable TOKENHUB_API_KEY.");
    return r < 0 ? EXIT_CONFIGURATION : EXIT_DONE; /* key_read() has said why */
}

/* Also called when there is no new key: jobs that wait because of the key or the account try
 * again. */
static void on_key(void *context, const struct secret *key)
{
    struct daemon *daemon = context;
    int r = secret_is_set(key) ? api_key_set(daemon->api, key) : -ENOENT;
    if (r == 0)
        log_info("key.changed", "file=%s", daemon->options->api_key_file);
    else if (r != -ENOENT)
        log_warn("key.kept", "error=%s", err_name(r));
    jobs_key_changed(daemon->jobs);
}

static void on_key_text(void *context, const struct file_text *text)
{
    struct daemon *daemon = context;
    struct secret key = {0};
    const char *path = daemon->options->api_key_file;
    if (!text)
        log_warn("key.slow",
                 "file=%s why=\"it is still being read; the old key is used meanwhile\"", path);
    else if (key_text_take(path, text, &key) < 0)
        log_warn("key.kept", "why=\"the new one cannot be used\"");
    on_key(daemon, &key);
    secret_fini(&key);
}

static void key_reload(struct daemon *daemon)
{
    const struct secret none = {0};
    if (daemon->key_reader && file_reader_start(daemon->key_reader) == 0)
        return;
    log_info("key.kept", "why=\"%s\"",
             daemon->key_reader ? "the process that reads the file has ended: start again"
                                : "it came from the environment");
    on_key(daemon, &none);
}

/* Takes the credentials from the environment, after the processes have been forked that may need them:
 * an upload command. */
static enum exit_code objects_start(struct daemon *daemon)
{
    const struct options *options = daemon->options;
    const struct object_store_settings settings = {.loop = daemon->loop,
                                                   .http = daemon->http,
                                                   .place = options->objects,
                                                   .credentials_file =
                                                       options->objects_credentials};
    char why[OBJECTS_WHY_SIZE] = "";
    if (!options->objects && options->objects_credentials)
        return complain("--objects-credentials", "it is of no use without --objects.");
    if (!options->objects)
        return EXIT_DONE;
    int r = object_store_start(&daemon->object_store, &settings, why);
    return r == 0        ? EXIT_DONE
           : why[0] == 0 ? complain_err("--objects", r)
                         : complain("--objects", why);
}

/* Before anything of the store is shown: what may become a replica is not written to. */
static enum exit_code sharing_begin(struct daemon *daemon)
{
    char why[SHARE_WHY_SIZE] = "";
    const struct sharing_settings settings = {.loop = daemon->loop,
                                              .store = daemon->store,
                                              .files_fd = daemon->data.files_fd,
                                              .url = daemon->options->share};
    if (!daemon->options->share)
        return EXIT_DONE;
    if (!daemon->options->objects)
        return complain("--share",
                        "it needs a place for the videos that all hosts reach: --objects "
                        "S3-URL.");
    int r = sharing_open(&daemon->sharing, &settings, why);
    return r == 0 ? EXIT_DONE : why[0] ? complain("--share", why) : complain_err("--share", r);
}

static void on_credentials_text(void *context, const struct file_text *text)
{
    struct daemon *daemon = context;
    if (object_store_credentials_take(&daemon->object_store, daemon->options->objects_credentials,
                                      text))
        jobs_uploads_forget(daemon->jobs);
}

static void credentials_start_reload(const struct daemon *daemon)
{
    if (daemon->objects_reader && file_reader_start(daemon->objects_reader) < 0)
        log_error("objects.kept",
                  "file=%s why=\"the process that reads it has ended: start again\"",
                  daemon->options->objects_credentials);
}

/* What the options say that can change while the program runs. */
static void options_apply(struct daemon *daemon)
{
    const struct options *options = daemon->options;
    log_level_set(options->log_level);
    jobs_limits_set(daemon->jobs, &options->budget, (unsigned)options->active_max);
    jobs_hold_set(daemon->jobs, options->is_hold_wanted);
    tree_options_changed(daemon->tree, options->archive);
}

static void on_config_text(void *context, const struct file_text *text)
{
    struct daemon *daemon = context;
    struct options *options = daemon->options;
    struct config_news news;
    if (!text) {
        log_warn("config.slow", "file=%s why=\"it is still being read; nothing changes meanwhile\"",
                 options->config);
        return;
    }
    bool had_budget = options->budget.limit_usd_micros != 0;
    int r = config_reload(text, options, &news);
    if (r < 0) {
        log_error("config.kept", "file=%s why=\"%s\"", options->config, news.why);
        notify_send("STATUS=%s", news.why);
        return;
    }
    log_info("config.read", "file=%s changed=\"%s\"", options->config, news.changed);
    if (had_budget && options->budget.limit_usd_micros == 0)
        log_warn("config.budget", "file=%s why=\"it names no budget any more: there is none now\"",
                 options->config);
    if (news.restart[0])
        log_warn("config.restart", "file=%s options=\"%s\" why=\"they change at the next start\"",
                 options->config, news.restart);
    options_apply(daemon);
}

static void config_start_reload(struct daemon *daemon)
{
    if (daemon->config_reader && file_reader_start(daemon->config_reader) < 0)
        log_error("config.kept", "file=%s why=\"the process that reads it has ended: start again\"",
                  daemon->options->config);
}

static enum exit_code network_start(struct daemon *daemon)
{
    int r = loop_new(clock_system(), &daemon->loop);
    if (r == 0)
        r = http_new(daemon->loop, &daemon->http);
    if (r < 0)
        return complain_err("network", r);
    const char *url = daemon->options->api_url;
    r = api_new(daemon->http, clock_system(), url, &daemon->api);
    if (r == 0)
        return EXIT_DONE;
    char shown[1024];
    url_redact(url, shown, sizeof(shown));
    return r == -ERR_URL_REFUSED
               ? complain(shown, "--api-url takes an https:// address (http:// for this machine's "
                                 "own loopback addresses only), without user name and password.")
               : complain_err(shown, r);
}

static int layers_start(struct daemon *daemon)
{
    const struct options *options = daemon->options;
    struct timers *timers = loop_timers(daemon->loop);
    uint64_t seed = 0;
    (void)!getrandom(&seed, sizeof(seed), 0);
    char shown[1024];
    url_redact(options->api_url, shown, sizeof(shown));
    struct jobs_settings jobs = {.timers = timers,
                                 .clock = clock_system(),
                                 .store = daemon->store,
                                 .api = daemon->api,
                                 .tools = daemon->tools,
                                 .data_directory = options->data_directory,
                                 .directory_fd = daemon->data.fd,
                                 .files_fd = daemon->data.files_fd,
                                 .models = options->models,
                                 .default_model = options->model,
                                 .object_store = daemon->object_store.objects
                                                     ? objects_id(daemon->object_store.objects)
                                                     : NULL,
                                 .api_name = shown,
                                 .is_unknown_allowed = options->is_unknown_allowed,
                                 .is_hold_wanted = options->is_hold_wanted,
                                 .is_restored = daemon->is_restored,
                                 .budget = options->budget,
                                 .active_max = (unsigned)options->active_max,
                                 .poll_interval_ms = options->poll_interval_ms,
                                 .settle_ms = options->settle_ms,
                                 .file_bytes_max = options->max_file_bytes,
                                 .random_seed = seed};
    tree_job_hooks_fill(&daemon->tree, &jobs.hooks);
    int r = jobs_new(&jobs, &daemon->jobs);
    if (r < 0)
        return r;
    struct media_settings media = {.loop = daemon->loop,
                                   .http = daemon->http,
                                   .directory_fd = daemon->data.media_fd,
                                   .cache_bytes_max = options->cache_bytes_max,
                                   .is_loopback_allowed = url_is_loopback(options->api_url)};
    tree_media_hooks_fill(&daemon->tree, &media.hooks);
    r = media_new(&media, &daemon->media);
    if (r < 0)
        return r;
    struct tree_settings tree = {
        .jobs = daemon->jobs,
        .store = daemon->store,
        .media = daemon->media,
        .objects = daemon->object_store.objects,
        .is_store_public = object_store_is_public(&daemon->object_store, options->api_url),
        .timers = timers,
        .clock = clock_system(),
        .tools = daemon->tools,
        .frames_fd = daemon->data.frames_fd,
        .directory_fd = daemon->data.fd,
        .data_directory = options->data_directory,
        .archive = options->archive,
        .is_shared = options->is_shared,
        .is_changed_elsewhere = options->share != NULL,
        .sharing_get = options->share ? sharing_get : NULL,
        .sharing_context = &daemon->sharing,
        .group = options->group ? &options->group_shared : NULL,
        .event_context = &daemon->emitter,
        .on_tree_event = daemon->emitter ? emitter_add : NULL};
    return tree_new(&tree, &daemon->tree);
}

static void on_emit(void *context, const char *path, enum tree_event kind)
{
    const struct daemon *daemon = context;
    uint64_t parent = 0;
    if (!daemon->session)
        return;
    const char *name = path ? tree_path_split(daemon->tree, path, &parent) : NULL;
    session_emitter_set(daemon->session, emitter_pid(daemon->emitter));
    session_raising_set(daemon->session, parent, name,
                        kind == TREE_EVENT_GONE || kind == TREE_EVENT_DIRECTORY_GONE);
}

/*
 * Starts the helper processes. They are forked before the program has the key, because they would
 * have a copy of it, and before the mount exists. media/ has one more.
 */
static int helpers_start(struct daemon *daemon)
{
    const struct options *options = daemon->options;
    int r = 0;
    const struct file_reader_settings key = {"seedancefs-key", options->api_key_file, on_key_text,
                                             daemon};
    const struct file_reader_settings config = {"seedancefs-conf", options->config, on_config_text,
                                                daemon};
    const struct file_reader_settings credentials = {"seedancefs-s3", options->objects_credentials,
                                                     on_credentials_text, daemon};
    if (credentials.path)
        r = file_reader_new(daemon->loop, &credentials, &daemon->objects_reader);
    if (r == 0 && key.path)
        r = file_reader_new(daemon->loop, &key, &daemon->key_reader);
    if (r == 0 && config.path)
        r = file_reader_new(daemon->loop, &config, &daemon->config_reader);
    /* If a service manager has lent the right to mount, the service manager unmounts. */
    if (r == 0 && privileges_has(CAP_SYS_ADMIN) && (geteuid() == 0 || options->user))
        r = unmounter_new(options->mountpoint, &daemon->unmounter);
    return r;
}

/* Everything else works without it. */
static void emitter_start(struct daemon *daemon)
{
    const struct options *options = daemon->options;
    int r = options->is_inotify_off
                ? 0
                : emitter_new(daemon->loop, options->mountpoint, on_emit, daemon, &daemon->emitter);
    if (r < 0)
        log_warn("emitter.refused", "error=%s", err_name(r));
}

static void on_inspection(void *context, short revents UNUSED)
{
    struct daemon *daemon = context;
    if (inspector_process(daemon->inspector) < 0)
        loop_watch_remove(daemon->loop, &daemon->inspector_watch);
}

static void inspector_stop(struct daemon *daemon)
{
    if (daemon->inspector_watch.fn)
        loop_watch_remove(daemon->loop, &daemon->inspector_watch);
    daemon->inspector = inspector_free(daemon->inspector);
}

/* Forked before the program has the key, and before the mount exists, like the emitter. */
static void inspector_start(struct daemon *daemon)
{
    int r = inspector_new(loop_timers(daemon->loop), &daemon->inspector);
    if (r == 0) {
        daemon->inspector_watch = (struct loop_watch){.fd = inspector_fd(daemon->inspector),
                                                      .events = POLLIN,
                                                      .fn = on_inspection,
                                                      .context = daemon};
        r = loop_watch_add(daemon->loop, &daemon->inspector_watch);
    }
    if (r == 0)
        return;
    log_warn("inspector.refused", "error=%s", err_name(r));
    inspector_stop(daemon);
}

static void on_tools(void *context, short revents UNUSED)
{
    struct daemon *daemon = context;
    tools_dispatch(daemon->tools);
    if (tools_fd(daemon->tools) < 0)
        loop_watch_remove(daemon->loop, &daemon->tools_watch);
}

static void tools_stop(struct daemon *daemon)
{
    if (daemon->tools_watch.fn)
        loop_watch_remove(daemon->loop, &daemon->tools_watch);
    daemon->tools = tools_free(daemon->tools);
}

/* Forked before the program has the key, like the others. Everything else works without it. */
static void tools_start_helper(struct daemon *daemon)
{
    /* The variable is for tests, which hide the programs or put others in their place. */
    const struct tools_settings settings = {.upload_command = daemon->options->upload_command,
                                            .search_path = getenv("SEEDANCEFS_TOOLS_PATH")};
    int r = tools_new(&settings, &daemon->tools);
    if (r == 0) {
        daemon->tools_watch = (struct loop_watch){
            .fd = tools_fd(daemon->tools), .events = POLLIN, .fn = on_tools, .context = daemon};
        r = loop_watch_add(daemon->loop, &daemon->tools_watch);
    }
    if (r == 0)
        return;
    log_warn("tools.refused", "error=%s", err_name(r));
    tools_stop(daemon);
}

static void daemon_end(struct daemon *daemon)
{
    daemon->is_ending = true;
    loop_stop(daemon->loop);
}

static void backup_later(struct daemon *daemon);

/* Some pages in each turn of the loop. */
static void backup_step(void *context)
{
    struct daemon *daemon = context;
    int r = store_backup_step(daemon->store);
    if (r == 0) {
        timer_set(loop_timers(daemon->loop), &daemon->backup_timer, 0, backup_step, daemon);
        return;
    }
    if (r < 0)
        log_error("backup.failed", "error=%s", err_name(r));
    else
        log_info("backup.made", "file=%s/" STORE_BACKUP_NAME, daemon->options->data_directory);
    if (r > 0)
        daemon->backup_changes = daemon->backup_changes_begun;
    backup_later(daemon);
}

static void backup_begin(struct daemon *daemon)
{
    int r = store_backup_begin(daemon->store);
    if (r == -EALREADY)
        return;
    daemon->backup_changes_begun = jobs_counts_get(daemon->jobs)->changes;
    if (r == 0) {
        timer_set(loop_timers(daemon->loop), &daemon->backup_timer, 0, backup_step, daemon);
        return;
    }
    log_error("backup.failed", "error=%s", err_name(r));
    backup_later(daemon);
}

/* A change since the last one is worth another one. */
static void backup_due(void *context)
{
    struct daemon *daemon = context;
    if (jobs_counts_get(daemon->jobs)->changes != daemon->backup_changes)
        backup_begin(daemon);
    else
        backup_later(daemon);
}

static void backup_later(struct daemon *daemon)
{
    timer_set(loop_timers(daemon->loop), &daemon->backup_timer, BACKUP_EVERY_MS, backup_due,
              daemon);
}

static void jobs_begin(void *context)
{
    struct daemon *daemon = context;
    /* Of a replica nothing is sent or asked: the host that leads does. */
    if (store_role_get(daemon->store) != STORE_REPLICA) {
        jobs_start(daemon->jobs);
        backup_later(daemon);
    }
    tree_start(daemon->tree);
}

/* The mount answers, and the object store can be used. From here on errors go to the log. */
static void announce(struct daemon *daemon)
{
    timer_set(loop_timers(daemon->loop), &daemon->start_timer, 0, jobs_begin, daemon);
    notify_send("READY=1\nSTATUS=Mounted on %s, %zu jobs.", daemon->options->mountpoint,
                jobs_count(daemon->jobs));
    if (daemon->ready_fd < 0)
        return;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null >= 0 && fd <= STDERR_FILENO; fd++)
        (void)dup2(null, fd);
    if (null > STDERR_FILENO)
        (void)close(null);
    (void)!chdir("/");
    (void)!write(daemon->ready_fd, "", 1);
    (void)close(daemon->ready_fd);
}

/* The kernel has sent INIT. */
static void on_ready(void *context)
{
    struct daemon *daemon = context;
    daemon->is_ready = true;
    emitter_begin(daemon->emitter, daemon->device);
    if (!daemon->is_probing && !daemon->is_joining)
        announce(daemon);
}

static void on_objects_probed(void *context, const char *why, bool is_final)
{
    struct daemon *daemon = context;
    daemon->is_probing = false;
    if (why && !is_final)
        (void)fprintf(stderr,
                      "seedancefs: warning: the object store cannot be used at the moment, and is "
                      "tried again: %s\n",
                      why);
    if (why && is_final) {
        daemon->code = complain("--objects", why);
        daemon_end(daemon);
    } else if (daemon->is_ready && !daemon->is_joining) {
        announce(daemon);
    }
}

/* A tree that others change without this host, or that it may change no more, is worse than none. */
static void on_joined(void *context, const char *why, bool is_final)
{
    struct daemon *daemon = context;
    bool was_joining = daemon->is_joining;
    daemon->is_joining = false;
    if (why && !is_final)
        (void)fprintf(stderr, "seedancefs: warning: %s\n", why);
    if (why && is_final) {
        daemon->code = complain("--share", why);
        daemon_end(daemon);
    } else if (was_joining && daemon->is_ready && !daemon->is_probing) {
        announce(daemon);
    }
}

/* Once the privileges are given up: it uses the network. The mount answers meanwhile. */
static enum exit_code objects_probe_start(struct daemon *daemon)
{
    if (!daemon->object_store.objects)
        return EXIT_DONE;
    int r = object_store_probe(&daemon->object_store, on_objects_probed, daemon);
    daemon->is_probing = r == 0;
    return r < 0 ? complain_err("--objects", r) : EXIT_DONE;
}

static void on_session(void *context, short revents UNUSED)
{
    struct daemon *daemon = context;
    int r = session_process(daemon->session, REQUESTS_PER_TURN);
    if (r < 0) {
        log_error("mount.broken", "error=%s", err_name(r));
        daemon->code = EXIT_FAILED;
        daemon_end(daemon);
    } else if (session_is_ended(daemon->session)) {
        log_info("mount.gone", "mountpoint=%s", daemon->options->mountpoint);
        daemon_end(daemon);
    }
}

/* SIGUSR1: writes to the log what is going on, one line each, without secrets. */
static void state_log(const struct daemon *daemon)
{
    const struct timers *timers = loop_timers(daemon->loop);
    jobs_state_log(daemon->jobs);
    media_state_log(daemon->media);
    if (daemon->session)
        session_state_log(daemon->session);
    log_info("state.timers", "count=%zu next_ms=%lld", timers->count,
             (long long)timers_next_ms(timers));
    child_state_log();
}

static void on_signal(void *context, short revents UNUSED)
{
    struct daemon *daemon = context;
    struct signalfd_siginfo info;
    while (read(daemon->signal_watch.fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP)
            log_reopen(daemon); /* first, so that no line about it is in the old file */
        log_info("signal.caught", "signal=%u", info.ssi_signo);
        if (info.ssi_signo == SIGHUP) {
            config_start_reload(daemon);
            credentials_start_reload(daemon);
            key_reload(daemon);
        } else if (info.ssi_signo == SIGUSR1)
            state_log(daemon);
        else if (info.ssi_signo == SIGUSR2)
            backup_begin(daemon);
        else
            daemon_end(daemon);
        if (daemon->is_ending && daemon->device) {
            dev_t device = mountpoint_device_get(daemon->options->mountpoint);
            daemon->is_unmounted = device != 0 && device != daemon->device;
        }
    }
}

static int watches_add(struct daemon *daemon)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigaddset(&signals, SIGUSR1);
    (void)sigaddset(&signals, SIGUSR2);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
        return -errno;
    int fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    daemon->signal_watch =
        (struct loop_watch){.fd = fd, .events = POLLIN, .fn = on_signal, .context = daemon};
    daemon->session_watch = (struct loop_watch){
        .fd = session_fd(daemon->session), .events = POLLIN, .fn = on_session, .context = daemon};
    int r = loop_watch_add(daemon->loop, &daemon->signal_watch);
    return r < 0 ? r : loop_watch_add(daemon->loop, &daemon->session_watch);
}

/* After this the program uses the network. Helper processes do what still needs a capability. */
static enum exit_code daemon_privileges_drop(const struct daemon *daemon)
{
    const char *base = daemon->options->data_directory;
    int r = privileges_drop(0);
    if (r == 0 && daemon->unmounter)
        r = privileges_seal();
    if (r < 0)
        return complain_err("the privileges cannot be given up", r);
    if (access(base, W_OK | X_OK) == 0)
        return EXIT_DONE;
    return complain(base,
                    "root cannot reach the data directory without the privileges that it gives up "
                    "once it has mounted, because it is in a directory of another user. Choose "
                    "another with --data-dir DIR, or run as that user with -o setuid=USER.");
}

/* libfuse has said which one it is. */
static enum exit_code fuse_option_complain(const struct options *options)
{
    char why[256];
    const char *guess = options_guess(options->fuse_options);
    if (!guess)
        return complain("-o", "an option is not known to FUSE.");
    (void)snprintf(why, sizeof(why), "an option is not known to FUSE; did you mean %s?", guess);
    return complain("-o", why);
}

static enum exit_code session_start(struct daemon *daemon)
{
    const struct options *options = daemon->options;
    struct session_settings settings = {.tree = daemon->tree,
                                        .timers = loop_timers(daemon->loop),
                                        .inspector = daemon->inspector,
                                        .options = options->fuse_options,
                                        .group = options->group ? &options->group_shared : NULL,
                                        .is_debug = options->is_debug,
                                        .context = daemon,
                                        .on_ready = on_ready};
    int r = session_new(&settings, &daemon->session);
    if (r < 0)
        return r == -EINVAL ? fuse_option_complain(options) : complain_err("-o", r);
    session_emitter_set(daemon->session, emitter_pid(daemon->emitter));
    r = session_mount(daemon->session, options->mountpoint);
    if (r < 0) {
        (void)complain(options->mountpoint, mountpoint_failure_get());
        return EXIT_FAILED;
    }
    daemon->device = mountpoint_device_get(options->mountpoint);
    r = watches_add(daemon);
    return r < 0 ? complain_err(options->mountpoint, r) : daemon_privileges_drop(daemon);
}

static void mount_end(struct daemon *daemon)
{
    bool is_ours = daemon->unmounter && daemon->session && session_disconnect(daemon->session);
    daemon->session = session_free(daemon->session);
    int r = is_ours ? unmounter_unmount(daemon->unmounter, daemon->device) : 0;
    if (r < 0)
        log_warn("mount.left", "mountpoint=%s error=%s", daemon->options->mountpoint, err_name(r));
    daemon->unmounter = unmounter_free(daemon->unmounter);
}

static void daemon_stop(struct daemon *daemon)
{
    if (daemon->is_ready)
        notify_send("STOPPING=1\nSTATUS=Unmounting.");
    if (daemon->session_watch.fn)
        loop_watch_remove(daemon->loop, &daemon->session_watch);
    if (daemon->jobs)
        jobs_stop(daemon->jobs);
    mount_end(daemon);
    daemon->emitter = emitter_free(daemon->emitter);
    daemon->key_reader = file_reader_free(daemon->key_reader);
    daemon->config_reader = file_reader_free(daemon->config_reader);
    daemon->objects_reader = file_reader_free(daemon->objects_reader);
    inspector_stop(daemon);
    /* If somebody had unmounted before the signal came, the end was requested twice: do not wait.
     * The program may notice an unmount only a moment later, because the emitter still holds the
     * mount: see inotify_emitter.c. */
    daemon->is_ending = daemon->is_unmounted;
    while (daemon->jobs && jobs_is_submitting(daemon->jobs) && !daemon->is_ending) {
        log_info("stop.waits", "why=\"a request is being submitted\"");
        notify_send("STATUS=Waiting for the response to a request that is being submitted.");
        if (loop_run_once(daemon->loop, 1000) < 0)
            break;
    }
    if (daemon->loop) {
        timer_cancel(loop_timers(daemon->loop), &daemon->start_timer);
        timer_cancel(loop_timers(daemon->loop), &daemon->backup_timer);
    }
    sharing_finish(&daemon->sharing);
    sharing_close(&daemon->sharing);
    if (daemon->tree)
        tree_stop(daemon->tree);
    daemon->media = media_free(daemon->media);
    daemon->tree = tree_free(daemon->tree);
    daemon->jobs = jobs_free(daemon->jobs);
    daemon->api = api_free(daemon->api);
    object_store_stop(&daemon->object_store);
    daemon->http = http_free(daemon->http);
    tools_stop(daemon);
    if (daemon->signal_watch.fn) {
        loop_watch_remove(daemon->loop, &daemon->signal_watch);
        (void)close(daemon->signal_watch.fd);
    }
    daemon->loop = loop_free(daemon->loop);
    if (daemon->store)
        store_backup_end(daemon->store);
    daemon->store = store_close(daemon->store);
    data_directory_close(&daemon->data);
}

static enum exit_code daemon_start(struct daemon *daemon)
{
    enum exit_code code = mountpoint_prepare(daemon->options->mountpoint);
    if (code == EXIT_DONE)
        code = places_check(daemon->options);
    if (code == EXIT_DONE)
        code = data_start(daemon);
    if (code == EXIT_DONE)
        code = network_start(daemon);
    int r = code == EXIT_DONE ? helpers_start(daemon) : 0;
    if (r < 0)
        code = complain_err("a process cannot be started", r);
    if (code == EXIT_DONE) {
        emitter_start(daemon);
        inspector_start(daemon);
        tools_start_helper(daemon);
    }
    if (code == EXIT_DONE)
        code = objects_start(daemon);
    if (code == EXIT_DONE)
        code = store_start(daemon);
    if (code == EXIT_DONE)
        code = sharing_begin(daemon);
    if (code != EXIT_DONE)
        return code;
    r = layers_start(daemon);
    if (r < 0)
        return complain_err(daemon->options->data_directory, r);
    code = key_start(daemon);
    if (code == EXIT_DONE)
        code = session_start(daemon);
    if (code == EXIT_DONE)
        code = objects_probe_start(daemon);
    if (code == EXIT_DONE && daemon->sharing.share) {
        daemon->is_joining = true;
        sharing_start(&daemon->sharing, daemon->jobs, api_has_key(daemon->api), on_joined, daemon);
    }
    return code;
}

/* $JOURNAL_STREAM names the journal's socket by its device and inode: systemd.exec(5). */
static bool is_stderr_journal(void)
{
    struct stat st;
    char text[64];
    const char *stream = getenv("JOURNAL_STREAM");
    if (!stream || fstat(STDERR_FILENO, &st) < 0)
        return false;
    (void)snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return strcmp(text, stream) == 0;
}

enum exit_code daemon_run(struct options *options, int ready_fd)
{
    struct daemon daemon = {
        .options = options,
        .ready_fd = ready_fd,
        .data = DATA_DIRECTORY_CLOSED,
        .backup_changes = UINT64_MAX /* what an earlier run has changed may be in none */
    };
    secure(options);
    (void)!descriptor_limit_raise(); /* on failure the limit stays as it is */
    bool is_journal = options->is_foreground && is_stderr_journal();
    int r = options->is_foreground ? stderr_relay_start() : 0;
    if (r < 0)
        return complain_err("a process cannot be started", r);
    notify_init();
    (void)umask(077);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGUSR1, SIG_IGN); /* until the loop handles it, as the next */
    (void)signal(SIGUSR2, SIG_IGN);
    /* In the background the log is a file of the data directory, which is not open yet. */
    log_configure(options->log_level, options->is_foreground ? STDERR_FILENO : -1);
    if (is_journal)
        log_priorities_add();
    daemon.code = daemon_start(&daemon);
    if (daemon.code == EXIT_DONE) {
        log_info("start", "version=%s mountpoint=%s data=%s jobs=%zu", SEEDANCEFS_VERSION,
                 options->mountpoint, options->data_directory, jobs_count(daemon.jobs));
        r = loop_run(daemon.loop);
        if (r < 0) {
            log_error("loop.broken", "error=%s", err_name(r));
            daemon.code = EXIT_FAILED;
        }
    }
    daemon_stop(&daemon);
    log_info("stop", "code=%d", (int)daemon.code);
    stderr_relay_stop();
    return daemon.code;
}
