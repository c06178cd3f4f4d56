/*
 * The files of the mount that never change: README.txt and AGENTS.md at the root, and schema/ with
 * the JSON Schemas of what the program writes. They stand in texts/ beside this file, so that they
 * can be read, edited and installed as they are.
 */
#include "handle.h"

#include <stdio.h>
#include <string.h>

/* The assembler's .incbin, as in src/sim/clips.c: C has no #embed before C23. */
#define TEXT(symbol, path)                                                                         \
    __asm__(".pushsection .rodata\n"                                                               \
            ".global text_" #symbol "\ntext_" #symbol ":\n"                                        \
            ".incbin \"src/tree/texts/" path "\"\n"                                                \
            ".byte 0\n"                                                                            \
            ".popsection\n");                                                                      \
    extern const char text_##symbol[]

TEXT(readme, "README.txt");
TEXT(agents, "AGENTS.md");
TEXT(status_schema, "schema/status.schema.json");
TEXT(spend_schema, "schema/spend.schema.json");
TEXT(event_schema, "schema/event.schema.json");
TEXT(video_schema, "schema/video.schema.json");

/* The index of a file is part of its inode number: append new files at the end. */
static const struct schema {
    const char *name;
    const char *text;
} schemas[] = {
    {"status.schema.json", text_status_schema},
    {"spend.schema.json", text_spend_schema},
    {"event.schema.json", text_event_schema},
    {"video.schema.json", text_video_schema},
};

static int schemas_next(struct tree *tree UNUSED, const struct node *directory UNUSED,
                        struct node_child *child)
{
    size_t index = (size_t)(child->next - 2);
    if (index >= ARRAY_COUNT(schemas))
        return 0;
    child->node = (struct node){.ops = &schema_ops, .kind = NODE_SCHEMA, .id = (int64_t)index};
    child->next++;
    (void)snprintf(child->name, sizeof(child->name), "%s", schemas[index].name);
    return 1;
}

static int schema_get(struct tree *tree UNUSED, struct node *node)
{
    return (uint64_t)node->id < ARRAY_COUNT(schemas) ? 0 : -ESTALE;
}

static int text_render(struct tree *tree UNUSED, const struct node *node, struct buf *out)
{
    return buf_add_text(out, node->kind == NODE_README   ? text_readme
                             : node->kind == NODE_AGENTS ? text_agents
                                                         : schemas[node->id].text);
}

#define TEXT_OPS                                                                                   \
    .mode = S_IFREG | 0444, .entry_s = KEEP_LONG_S, .attr_s = KEEP_LONG_S, .render = text_render

const struct node_ops text_ops = {TEXT_OPS};
const struct node_ops schema_ops = {TEXT_OPS, .parent = NODE_SCHEMAS, .get = schema_get};
const struct node_ops schemas_ops = {DIRECTORY_OPS, .next = schemas_next};
