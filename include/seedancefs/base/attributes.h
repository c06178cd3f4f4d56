/* What: the few compiler attributes the code uses, by a readable name. */
#ifndef SEEDANCEFS_BASE_ATTRIBUTES_H
#define SEEDANCEFS_BASE_ATTRIBUTES_H

#define NODISCARD __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_index)                                                     \
    __attribute__((format(printf, format_index, first_index)))
#define UNUSED __attribute__((unused))

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The struct that contains `member`, from a pointer to that member. */
#define CONTAINER_OF(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
