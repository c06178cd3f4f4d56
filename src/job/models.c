#include "seedancefs/job/models.h"

#include "seedancefs/prompt/model.h"

size_t jobs_model_count(void)
{
    return model_count();
}

const char *jobs_model_name(size_t index)
{
    return model_at(index)->name;
}

int jobs_model_render(size_t index, struct buf *out)
{
    model_render_json(model_at(index), out);
    return out->error;
}
