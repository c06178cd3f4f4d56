#include "seedancefs/job/models.h"

#include "job_private.h"

#include <string.h>

size_t jobs_model_count(const struct jobs *jobs)
{
    return models_count(jobs->settings.models);
}

const char *jobs_model_name(const struct jobs *jobs, size_t index)
{
    return models_at(jobs->settings.models, index)->name;
}

int jobs_model_render(const struct jobs *jobs, size_t index, struct buf *out)
{
    const struct model *model = models_at(jobs->settings.models, index);
    const char *name = jobs->default_model ? jobs->default_model : MODEL_DEFAULT_NAME;
    model_render_json(model, strcmp(model->name, name) == 0, out);
    return out->error;
}

const struct model *job_rules(const struct job *job)
{
    return models_rules(job->jobs->settings.models, job->detail->attempt.model);
}

/* The price of a second that the estimate was made of, rounded down: it is made of whole seconds,
 * but for the lengths of input videos, and rounded up by less than a micro-dollar. 0: none was. */
static int64_t accepted_rate(const struct store_attempt *attempt)
{
    int64_t all_ms = attempt->duration_ms / 1000 * 1000 + attempt->input_video_ms;
    bool is_known = all_ms > 0 && attempt->estimated_usd_micros > 0 &&
                    attempt->estimated_usd_micros < INT64_MAX / 1000;
    return is_known ? attempt->estimated_usd_micros * 1000 / all_ms : 0;
}

int64_t job_attempt_cost(const struct jobs *jobs, const struct store_attempt *attempt,
                         int64_t output_ms, int64_t input_video_ms)
{
    const struct models *models = jobs->settings.models;
    const struct model *model = models_find(models, attempt->model);
    int64_t rate = accepted_rate(attempt);
    int64_t all_ms = 0;
    int64_t product = 0;
    int64_t cost =
        models_estimate_usd_micros(models, model, attempt->resolution, output_ms, input_video_ms);
    /* A task costs what its request was accepted at, whatever the prices are now. */
    bool is_priced = !attempt->task_id && model && cost >= 0;
    if (is_priced || rate == 0 || output_ms < 0 || input_video_ms < 0)
        return cost;
    if (__builtin_add_overflow(output_ms, input_video_ms, &all_ms) ||
        __builtin_mul_overflow(all_ms, rate, &product) || product > INT64_MAX - 999)
        return -ERANGE;
    return (product + 999) / 1000;
}
