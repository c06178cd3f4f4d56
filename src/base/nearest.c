#include "seedancefs/base/nearest.h"

#include "seedancefs/base/number.h"

#include <string.h>

enum { NAME_COMPARED_MAX = 48 };

static char folded(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c == '-' ? '_' : c;
}

/* Optimal string alignment: insertions, deletions, changes, and swapped neighbours count 1 each. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][NAME_COMPARED_MAX + 1];
    size_t len = strlen(b);
    for (size_t j = 0; j <= len; j++)
        rows[0][j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t *row = rows[i % 3];
        const size_t *before = rows[(i + 2) % 3];
        const size_t *earlier = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= len; j++) {
            size_t change = folded(a[i - 1]) != folded(b[j - 1]);
            row[j] = min_size(min_size(before[j], row[j - 1]) + 1, before[j - 1] + change);
            if (i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) &&
                folded(a[i - 2]) == folded(b[j - 1]))
                row[j] = min_size(row[j], earlier[j - 2] + 1);
        }
    }
    return rows[strlen(a) % 3][len];
}

const char *nearest_name(const char *name, const char *const *candidates)
{
    size_t len = strlen(name);
    if (len == 0 || len > NAME_COMPARED_MAX)
        return NULL;
    /* At most one slip in three characters, and at most three in all: beyond that a guess
     * misleads. */
    size_t best = len < 3 ? 0 : len < 9 ? len / 3 : 3;
    const char *nearest = NULL;
    for (; *candidates; candidates++) {
        size_t d = distance(name, *candidates);
        if (d <= best && (!nearest || d < best)) {
            best = d;
            nearest = *candidates;
        }
    }
    return nearest;
}
