/* Random names that never come twice. */
#include "share_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

void tag_draw(char out[static STORE_UID_SIZE])
{
    unsigned char bytes[(STORE_UID_SIZE - 1) / 2];
    /* For so few bytes it does not fail once the kernel's generator is ready: getrandom(2). */
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        abort();
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}
