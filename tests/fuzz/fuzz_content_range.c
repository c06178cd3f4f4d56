/* Content-Range of the media host, against the same rule as a regular expression and
 * strtoumax(). */
#include "fuzz.h"

#include "media/content_range.h"

#include <errno.h>
#include <inttypes.h>
#include <regex.h>

static regex_t shape;

int LLVMFuzzerInitialize(int *argc UNUSED, char ***argv UNUSED)
{
    return regcomp(&shape, "^bytes ([0-9]+)-([0-9]+)/([0-9]+)$", REG_EXTENDED | REG_ICASE);
}

/* False for what does not fit into an int64. */
static bool number_at(const char *text, const regmatch_t *match, int64_t *out)
{
    errno = 0;
    uintmax_t value = strtoumax(text + match->rm_so, NULL, 10);
    *out = (int64_t)value;
    return errno == 0 && value <= INT64_MAX;
}

static bool is_acceptable(const char *text, struct content_range *range)
{
    regmatch_t found[4];
    return regexec(&shape, text, 4, found, 0) == 0 && number_at(text, &found[1], &range->first) &&
           number_at(text, &found[2], &range->last) && number_at(text, &found[3], &range->total) &&
           range->first <= range->last && range->last < range->total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct content_range expected = {0};
    struct content_range range = {-7, -7, -7};
    char *text = fuzz_text(data, size);
    int r = content_range_parse(text, &range);
    FUZZ_REQUIRE((r == 0) == is_acceptable(text, &expected), "result %d for \"%s\"", r, text);
    if (r == 0)
        FUZZ_REQUIRE(range.first == expected.first && range.last == expected.last &&
                         range.total == expected.total,
                     "other numbers than \"%s\"", text);
    else
        FUZZ_REQUIRE(r == -EBADMSG && range.first == -7 && range.last == -7 && range.total == -7,
                     "touched on failure (%d)", r);
    free(text);
    return 0;
}
