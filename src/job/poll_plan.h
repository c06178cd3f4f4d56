/*
 * What: when to poll a task, and when it will be ready, learned from how long similar tasks took;
 * pure.
 *
 * The time that a task takes is approximately log-normal. Polling at the rate r(t) takes N = ∫ r S
 * dt polls and finds the end D = ∫ f / (2 r) dt late (f: density of the end, S: share of tasks that
 * have not ended). By Cauchy and Schwarz N x 2D >= (∫ sqrt(S f) dt)^2, and a rate proportional to
 * sqrt(f / S), the square root of the hazard, reaches that bound: few polls while no similar task
 * has ever been ready, many when most were. The number of polls is that of a client that polls
 * every five seconds.
 *
 * The estimate for a kind of task is a normal-inverse-gamma posterior over the logarithm of its
 * time: it starts from the service's documented times and moves to the observed ones.
 * Lifetime: plain structs. Errors: none.
 */
#ifndef SEEDANCEFS_JOB_POLL_PLAN_H
#define SEEDANCEFS_JOB_POLL_PLAN_H

#include <stdint.h>

/* The times of similar tasks: same model, resolution, and length of the video. */
struct poll_learned {
    double prior_log_ms;
    double weight;      /* samples seen; old ones fade beyond POLL_LEARNED_MAX */
    double mean_log_ms; /* of the samples */
    double squares;     /* sum of their squared distances from it */
    double log_median;  /* the present estimate */
    double log_sigma;
    double rate_scale; /* of sqrt(hazard), per sqrt(ms) */
};

enum { POLL_LEARNED_MAX = 100 };

/* Starts from the prior for videos of this length. */
void poll_learned_init(struct poll_learned *learned, int64_t duration_ms);

/* Adds a task that took `generation_ms` (> 0) from its start to its end. */
void poll_learned_add(struct poll_learned *learned, int64_t generation_ms);

/* Milliseconds until the next poll of a task that is `age_ms` old and was polled just now, and was
 * still active. `spread_permille` stretches the time (1000: as planned), so that tasks that began
 * together are not polled together. */
int64_t poll_plan_delay_ms(const struct poll_learned *learned, int64_t age_ms,
                           unsigned spread_permille);

/* Milliseconds that an active task of age `age_ms` will still take: half of the tasks that came to
 * this age took less, half took more. The share done, age / (age + left), grows with the age and
 * never reaches 1, however long the task takes: the hazard of the logarithm is that of the normal
 * law, which grows. */
int64_t poll_plan_left_ms(const struct poll_learned *learned, int64_t age_ms);

#endif
