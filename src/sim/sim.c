#include "sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum { SCENARIO_BYTES_MAX = 64 << 20 };

char *sim_set_scenario(struct sim *sim, const char *json)
{
    char *problem = NULL;
    struct scenario *scenario = scenario_parse(json, &problem);
    if (scenario == NULL)
        return problem;
    pthread_mutex_lock(&sim->lock);
    scenario_unref(sim->scenario);
    sim->scenario = scenario;
    pthread_mutex_unlock(&sim->lock);
    return NULL;
}

char *sim_load_scenario(struct sim *sim, const char *path)
{
    char *json = NULL;
    size_t len = 0;
    int r = file_read(path, SCENARIO_BYTES_MAX, &json, &len);
    char *problem = r < 0 ? mem_strdup(strerror(-r)) : sim_set_scenario(sim, json);
    free(json);
    return problem;
}
