/*
 * What: what the files of the fuse layer share.
 *   session.c  start, mounting, the queue of requests, end
 *   ops.c      one thin function per operation
 *   lookups.c  lookups, and those that wait until their caller is inspected
 *   flushes.c  flushes, and those that wait until it is known whether they are the last
 *   opens.c    opens, and those that wait until their file is made
 *   reads.c    reads, and those that must wait
 *   xattrs.c   extended attributes
 *   metrics.c  numbers of requests and errors
 *   polls.c    poll(2)
 *   reply.c    the caller, the handle, and the reply
 *   dropped_requests.c  requests for which libfuse had no memory
 *   caller.c   what the thread behind a request is doing
 *   inspector.c  the process that looks into a caller's memory
 */
#ifndef SEEDANCEFS_FUSE_PRIVATE_H
#define SEEDANCEFS_FUSE_PRIVATE_H

#include "seedancefs/fuse/session.h"
#include "seedancefs/tree/tree.h"

#include <fuse_lowlevel.h>

struct request;
struct lookup;
struct opening;
struct flush;
struct poller;

struct session {
    struct session_settings settings;
    struct fuse_session *fuse;
    struct fuse_buf buffer;
    bool is_mounted;
    bool is_request_taken;    /* the present request has come to its operation */
    struct request *requests; /* parked reads */
    struct lookup *lookups;   /* parked lookups */
    struct opening *openings; /* parked opens */
    struct flush *flushes;    /* parked flushes */
    struct poller *pollers;   /* handles by which the kernel wakes pollers */
    pid_t emitter;            /* 0: none; see session_emitter_set() */
    uint64_t raising_parent;
    const char *raising;
    bool is_raising_gone;
    uint64_t requests_count[64]; /* by the number of the operation */
    uint64_t errors_count[134];  /* by errno */
};

extern const struct fuse_lowlevel_ops session_ops;

/* The one place where an error is turned into an errno, logged and replied. It also replies success
 * (0). */
void reply_error(fuse_req_t req, const char *operation, int r);

void reply_entry(fuse_req_t req, const char *operation, int r, const struct tree_entry *entry);
struct fuse_entry_param entry_param(const struct tree_entry *entry);

struct session *session_of(fuse_req_t req);
struct tree *tree_of(fuse_req_t req);
/* The caller of a request: a pointer that is valid for one call. */
#define CALLER(req)                                                                                \
    (&(const struct tree_caller){fuse_req_ctx(req)->uid, fuse_req_ctx(req)->gid, is_member(req)})
bool is_member(fuse_req_t req);
/* Whether the caller may list a directory (R_OK) or look for names in it (X_OK): everybody may, unless
 * there is a group that may do more than others. */
int directory_check(fuse_req_t req, fuse_ino_t ino, int mask);
bool is_emitter(fuse_req_t req);
struct tree_handle *handle_of(const struct fuse_file_info *fi);

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void file_info_fill(struct fuse_file_info *fi, const struct tree_open_result *opened);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);

/* metrics.c: see there. */
void metrics_begin(struct session *session);
void metrics_end(struct session *session);
void metrics_request(struct session *session, const void *request, size_t len);
void metrics_error(struct session *session, int r);

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
                 int flags);
void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* For session_state_log(): one line about a request that has waited since `began_ms`
 * (monotonic). */
void parked_state_log(const struct session *session, const char *kind, fuse_ino_t ino,
                      int64_t began_ms);
int64_t session_now_ms(const struct session *session);
void flushes_state_log(const struct session *session);
void opens_state_log(const struct session *session);
void reads_state_log(const struct session *session);
void lookups_state_log(const struct session *session);
void polls_state_log(const struct session *session);

void op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph);
void poll_wake(void *waker);
void poll_drop(void *waker);

/* dropped_requests.c: the kind of a kernel's request, and its handle. */
enum dropped_kind { DROPPED_NOTHING, DROPPED_WRITE, DROPPED_FLUSH, DROPPED_RELEASE };
enum dropped_kind dropped_request_kind(const void *request, size_t len, uint64_t *handle);

/* Replies -ENOTCONN to every parked open, read, or lookup. */
void opens_end(struct session *session);
void reads_end(struct session *session);
void lookups_end(struct session *session);
/* Replies success to every parked flush: the release has the verdict. */
void flushes_end(struct session *session);

#endif
