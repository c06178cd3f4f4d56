/* schema.sql as it stands beside this file, so that a person can read it and give it to psql. */
#include "share_private.h"

/* The assembler's .incbin, as in src/tree/texts.c. */
__asm__(".pushsection .rodata\n"
        ".global share_schema_sql\n"
        "share_schema_sql:\n"
        ".incbin \"src/share/schema.sql\"\n"
        ".byte 0\n"
        ".popsection\n");
