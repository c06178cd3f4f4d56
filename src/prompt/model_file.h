/*
 * What: the format of models/MODEL.json, read strictly: what is written wrong, or not known, is a
 * mistake with a place, because a wrong price or limit costs money.
 * Lifetime: the model's texts are lent by the document.
 * Errors: -ERR_PROMPT_INVALID (the report says why), -ENOMEM.
 */
#ifndef SEEDANCEFS_PROMPT_MODEL_FILE_H
#define SEEDANCEFS_PROMPT_MODEL_FILE_H

#include "seedancefs/base/json.h"
#include "seedancefs/prompt/model.h"

/* `model` has what the file may leave out. It is undefined on failure; there is no document then. */
int model_parse(const char *file_name, const char *text, size_t len, struct model *model,
                struct json_document **document, struct prompt_report *report) NODISCARD;

#endif
