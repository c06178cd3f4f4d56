/*
 * What: guesses which name somebody meant who has mistyped one.
 * Lifetime: pure; the result is one of the candidates.
 */
#ifndef SEEDANCEFS_BASE_NEAREST_H
#define SEEDANCEFS_BASE_NEAREST_H

/* The candidate that is most like `name`, without regard to case, "-" and "_"; NULL: none is so like
 * it that the guess would help. NULL ends the candidates. */
const char *nearest_name(const char *name, const char *const *candidates);

#endif
