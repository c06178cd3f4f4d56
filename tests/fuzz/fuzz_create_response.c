/*
 * The raw body of a 2xx that answers a create. Either it names a task whose id can stand in a path,
 * or it is no task; reading what was kept a second time, after a crash, says the same.
 */
#include "response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct api_task task;
    struct api_task again;
    char *body = fuzz_bytes(data, size);
    int r = response_decode(body, size, &task);
    FUZZ_REQUIRE(response_decode(body, size, &again) == r, "read twice, two results");
    if (r == 0) {
        require_same_text(task.id, again.id);
        require_same_text(task.video_url, again.video_url);
        FUZZ_REQUIRE(task.status == again.status, "read twice, two states");
    }
    response_error_check(body, size);
    api_task_fini(&task);
    api_task_fini(&again);
    free(body);

    /* The whole input as an id. */
    char *id = fuzz_text(data, size);
    if (api_task_id_check(id) == 0)
        require_id(id);
    free(id);
    return 0;
}
