/*
 * A file of --models: what is accepted is accepted again in the form in which models/ shows it, and
 * means the same; and a request that leaves all to it can be sent and has a price.
 */
#include "fuzz.h"

#include "seedancefs/base/err.h"
#include "seedancefs/prompt/model.h"

enum { RENDERED_MAX = 1 << 20 };

static void require_report(int r, const struct prompt_report *report)
{
    FUZZ_REQUIRE(r == 0 || r == -ERR_PROMPT_INVALID, "result %d", r);
    FUZZ_REQUIRE((r == 0) == (report->errors == 0), "result %d with %zu errors", r, report->errors);
    for (size_t i = 0; i < report->count; i++) {
        fuzz_require_line(report->problems[i].sentence, "sentence");
        fuzz_require_line(report->problems[i].field, "field");
        FUZZ_REQUIRE(report->problems[i].line > 0, "no place: %s", report->problems[i].sentence);
    }
}

/* The request with this duration; 0: with none. */
static int64_t request_price(const struct models *models, long long duration_s)
{
    const struct prompt_settings settings = {.models = models, .default_model = "new"};
    struct prompt_report report;
    struct prompt *prompt = NULL;
    char text[128];
    int len = duration_s
                  ? snprintf(text, sizeof(text), "{\"prompt\":\"x\",\"duration\":%lld}", duration_s)
                  : snprintf(text, sizeof(text), "{\"prompt\":\"x\"}");
    prompt_report_init(&report);
    int r = prompt_check(text, (size_t)len, &settings, &prompt, &report);
    int64_t price = r == 0 ? prompt->estimate_usd_micros : -1;
    FUZZ_REQUIRE(r == 0 || r == -ERR_PROMPT_INVALID, "result %d", r);
    prompt_free(prompt);
    prompt_report_fini(&report);
    return price;
}

static void require_requests(const struct models *models)
{
    const struct model *model = models_find(models, "new");
    int64_t longest = request_price(models, model->duration_max_s);
    FUZZ_REQUIRE(request_price(models, 0) > 0, "a request without a price");
    FUZZ_REQUIRE(longest > 0, "a longest request without a price");
    FUZZ_REQUIRE(request_price(models, model->duration_max_s + 1) == -1, "longer than the longest");
    FUZZ_REQUIRE(request_price(models, -1) == (model->is_duration_auto ? longest : -1),
                 "an open length costs something else than the longest");
}

static void require_again(struct models *models)
{
    struct prompt_report report;
    struct buf first;
    struct buf second;
    buf_init(&first, RENDERED_MAX);
    buf_init(&second, RENDERED_MAX);
    prompt_report_init(&report);
    model_render_json(models_find(models, "new"), false, &first);
    int r = models_add(models, "new.json", buf_text(&first), first.len, &report);
    FUZZ_REQUIRE(r == 0, "refused as it is shown: %s: %s",
                 report.count ? report.problems[0].sentence : "", buf_text(&first));
    model_render_json(models_find(models, "new"), false, &second);
    FUZZ_REQUIRE(first.error == 0 && strcmp(buf_text(&first), buf_text(&second)) == 0,
                 "another model:\n%s\n%s", buf_text(&first), buf_text(&second));
    prompt_report_fini(&report);
    buf_fini(&first);
    buf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct models *models = NULL;
    struct prompt_report report;
    char *text = fuzz_bytes(data, size);
    FUZZ_REQUIRE(models_new(&models) == 0, "no models");
    prompt_report_init(&report);
    int r = models_add(models, "new.json", text, size, &report);
    require_report(r, &report);
    if (r == 0) {
        require_requests(models);
        require_again(models);
        require_requests(models);
    }
    prompt_report_fini(&report);
    models_free(models);
    free(text);
    return 0;
}
