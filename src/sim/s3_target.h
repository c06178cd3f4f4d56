/*
 * s3_target: the target of a request to the object store, taken apart.
 *
 * What: "/seedance/a%20b?X-Amz-Date=…" becomes the path "/seedance/a b" and a list of decoded
 * parameters. uri_encode() writes such text as AWS Signature Version 4 wants it.
 * Lifetime: s3_target_parse() fills it, s3_target_fini() frees it; zeroed is valid and empty.
 * Errors: -EINVAL.
 */
#ifndef SIM_S3_TARGET_H
#define SIM_S3_TARGET_H

#include "sim/util.h"

struct s3_parameter {
    char *name;
    char *value; /* "" without '=' */
};

struct s3_target {
    char *path;
    struct s3_parameter *parameters; /* in the order of the request */
    size_t parameter_count;
};

/* uri as received. -EINVAL: a '%' without two digits, or what it gives is NUL or no UTF-8. The
 * target is then empty. */
int s3_target_parse(const char *uri, struct s3_target *out) NODISCARD;
void s3_target_fini(struct s3_target *target);

/* The first parameter of this name; NULL: none. */
const char *s3_target_get(const struct s3_target *target, const char *name);

/* Leaves A-Z a-z 0-9 - . _ ~ as they are, and '/' if it is of a path (docs.aws.amazon.com, "Create a
 * signed AWS API request"). */
void uri_encode(struct buf *out, const char *text, bool is_path);

#endif
