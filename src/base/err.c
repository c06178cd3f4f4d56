#include "seedancefs/base/err.h"

#include <stddef.h>
#include <string.h>

enum { ERRNO_MAX = 4095 }; /* of the kernel: MAX_ERRNO of linux/err.h */

struct err_row {
    const char *name;
    const char *sentence;
    int errno_value;
    bool retry;
};

static const struct err_row err_rows[] = {
#define X(name, errno_value, retry, sentence) {#name, sentence, errno_value, retry},
    ERR_TABLE(X)
#undef X
};

static const struct err_row *err_row_get(int r)
{
    if (r >= -ERR_BASE || r <= -ERR_END)
        return NULL;
    return &err_rows[-r - ERR_BASE - 1];
}

int err_errno(int r)
{
    const struct err_row *row = err_row_get(r);
    if (row)
        return row->errno_value;
    if (r >= 0)
        return 0;
    return r > -ERR_BASE ? -r : EIO;
}

const char *err_name(int r)
{
    const struct err_row *row = err_row_get(r);
    if (row)
        return row->name;
    const char *name = r < 0 && r > -ERR_BASE ? strerrorname_np(-r) : NULL;
    return name ? name : r >= 0 ? "OK" : "UNKNOWN";
}

int err_parse(const char *name)
{
    for (int code = ERR_BASE + 1; code < ERR_END; code++) {
        if (strcmp(err_name(-code), name) == 0)
            return -code;
    }
    for (int code = 1; code <= ERRNO_MAX; code++) {
        if (strcmp(err_name(-code), name) == 0)
            return -code;
    }
    return 0;
}

const char *err_sentence(int r)
{
    const struct err_row *row = err_row_get(r);
    if (row)
        return row->sentence;
    if (r >= 0)
        return "no error";
    const char *sentence = r > -ERR_BASE ? strerrordesc_np(-r) : NULL;
    return sentence ? sentence : "an unknown error";
}

bool err_is_retryable(int r)
{
    const struct err_row *row = err_row_get(r);
    return row ? row->retry : r == -EINTR || r == -EAGAIN;
}

bool err_is_network(int r)
{
    return r <= -ERR_HTTP_CONNECT && r >= -ERR_URL_REFUSED;
}
