/*
 * s3_list: ListObjectsV2.
 *
 * What: prefix, start-after, continuation-token, max-keys and encoding-type=url. A delimiter is not
 * implemented, and refused.
 * Lifetime: none.
 * Errors: responses in XML.
 */
#ifndef SIM_S3_LIST_H
#define SIM_S3_LIST_H

#include "sim/object.h"
#include "sim/response.h"
#include "sim/s3_target.h"

/* Needs the lock of the table. */
void s3_list(const struct object_table *table, const char *bucket, const struct s3_target *target,
             struct response *out);

#endif
