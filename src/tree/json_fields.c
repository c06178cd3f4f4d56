/* Members of status.json and spend.json whose value may be unknown; such a value is written as
 * null. */
#include "tree_private.h"

#include "seedancefs/base/json.h"
#include "seedancefs/base/text.h"

void write_time(struct json_writer *w, const char *key, int64_t wall_ms)
{
    char text[TEXT_TIME_SIZE];
    if (wall_ms > 0)
        text_time_rfc3339(wall_ms, text);
    json_write_member_string(w, key, wall_ms > 0 ? text : NULL);
}

void write_usd(struct json_writer *w, const char *key, int64_t usd_micros)
{
    char text[TEXT_MONEY_SIZE];
    if (usd_micros >= 0)
        text_usd(usd_micros, text);
    json_write_member_string(w, key, usd_micros >= 0 ? text : NULL);
}

void write_number(struct json_writer *w, const char *key, int64_t value)
{
    json_write_key(w, key);
    if (value < 0)
        json_write_null(w);
    else
        json_write_int64(w, value);
}
