#include "poll_plan.h"

#include "seedancefs/base/number.h"

#include <math.h>

enum {
    INTERVAL_MIN_MS = 1000,
    INTERVAL_MAX_MS =
        30 * 1000, /* so that `running` is seen, and a surprise is not missed for long */
    INTERVAL_MAX_OLD_MS = 60 * 1000, /* of a task that is far over its time */
    INTERVALS_PER_AGE =
        80, /* an overdue task is polled a number of times that grows with log(age) */
    CLIENT_INTERVAL_MS = 5 * 1000, /* of the client whose number of polls is not exceeded */
    QUESTIONS_MIN = 8,             /* polls per task, however quick it is */
    STEPS = 256,
};

/* Measured by users: a 5 s clip takes 84 to 290 s, a 15 s clip about 170 s (API.md, Life of a
 * task). */
static const double prior_base_ms = 80 * 1000;
static const double prior_per_video_ms = 6;
static const double prior_sigma = 0.5;
/* The prior counts as this many samples, of the median and of the spread. */
static const double prior_weight = 2;
static const double prior_freedom = 4;
static const double sigma_min = 0.1;
static const double sigma_max = 1.0;
/* A share of the client's polls: the rate does not distribute the first and the last one. */
static const double question_share = 0.95;

static double normal_density(double z)
{
    return exp(-z * z / 2) / sqrt(2 * M_PI);
}

static double normal_tail(double z)
{
    return erfc(z * M_SQRT1_2) / 2;
}

/* ∫ sqrt(S f) dt of the log-normal law, in sqrt(ms), with the substitution z = (log t - median) /
 * sigma. */
static double bound_root(const struct poll_learned *learned)
{
    const double z_max = 7;
    const double step = 2 * z_max / STEPS;
    double sum = 0;
    for (int i = 0; i < STEPS; i++) {
        double z = -z_max + (i + 0.5) * step;
        double t = exp(learned->log_median + learned->log_sigma * z);
        sum += sqrt(normal_density(z) * normal_tail(z) * learned->log_sigma * t) * step;
    }
    return sum;
}

static void update_posterior(struct poll_learned *learned)
{
    double n = learned->weight;
    double apart = learned->mean_log_ms - learned->prior_log_ms;
    double all = prior_weight + n;
    learned->log_median = (prior_weight * learned->prior_log_ms + n * learned->mean_log_ms) / all;
    double squares = prior_freedom * prior_sigma * prior_sigma + learned->squares +
                     prior_weight * n / all * apart * apart;
    /* The median is not known exactly either: the law of the next task is wider by 1 / all. */
    double variance = squares / (prior_freedom + n) * (1 + 1 / all);
    learned->log_sigma = clamp_double(sqrt(variance), sigma_min, sigma_max);
    double mean_ms = exp(learned->log_median + learned->log_sigma * learned->log_sigma / 2);
    double questions = question_share * mean_ms / CLIENT_INTERVAL_MS;
    learned->rate_scale =
        (questions > QUESTIONS_MIN ? questions : QUESTIONS_MIN) / bound_root(learned);
}

void poll_learned_init(struct poll_learned *learned, int64_t duration_ms)
{
    *learned = (struct poll_learned){
        .prior_log_ms = log(prior_base_ms + prior_per_video_ms * (double)duration_ms)};
    learned->mean_log_ms = learned->prior_log_ms;
    update_posterior(learned);
}

void poll_learned_add(struct poll_learned *learned, int64_t generation_ms)
{
    /* One outlier (the machine slept, the service was stuck) must not widen the whole law. */
    const double outlier_sigmas = 4;
    double x = log((double)(generation_ms > 0 ? generation_ms : 1));
    x = clamp_double(x, learned->log_median - outlier_sigmas * learned->log_sigma,
                     learned->log_median + outlier_sigmas * learned->log_sigma);
    if (learned->weight >= POLL_LEARNED_MAX) {
        double kept = (POLL_LEARNED_MAX - 1) / learned->weight;
        learned->weight *= kept;
        learned->squares *= kept;
    }
    learned->weight += 1;
    double before = x - learned->mean_log_ms;
    learned->mean_log_ms += before / learned->weight;
    learned->squares += before * (x - learned->mean_log_ms);
    update_posterior(learned);
}

/* f / S, per millisecond. */
static double hazard(const struct poll_learned *learned, double age_ms)
{
    const double z_far = 6; /* from here on the quotient is its limit; the tail would underflow */
    double z = (log(age_ms) - learned->log_median) / learned->log_sigma;
    double quotient = z < z_far ? normal_density(z) / normal_tail(z) : z + 1 / z;
    return quotient / (learned->log_sigma * age_ms);
}

int64_t poll_plan_delay_ms(const struct poll_learned *learned, int64_t age_ms,
                           unsigned spread_permille)
{
    double age = age_ms > 1 ? (double)age_ms : 1;
    double min = clamp_double(age / INTERVALS_PER_AGE, INTERVAL_MIN_MS, INTERVAL_MAX_OLD_MS);
    double max = clamp_double(age / 20, INTERVAL_MAX_MS, INTERVAL_MAX_OLD_MS);
    double median = exp(learned->log_median);
    double step = (age > median ? age : median) / STEPS;
    double target = spread_permille / 1000.0;
    double expected = 0;
    double delay = 0;
    double added = 0;
    while (expected < target && delay < max) {
        added = learned->rate_scale * sqrt(hazard(learned, age + delay + step / 2)) * step;
        expected += added;
        delay += step;
    }
    if (expected > target) /* only a part of the last step was needed */
        delay -= step * (expected - target) / added;
    return (int64_t)clamp_double(delay, min, max);
}

int64_t poll_plan_left_ms(const struct poll_learned *learned, int64_t age_ms)
{
    const double age_max_ms = 1e12; /* longer than any task, and well within an int64 */
    double age = clamp_double((double)age_ms, 1, age_max_ms);
    double z = (log(age) - learned->log_median) / learned->log_sigma;
    const double z_max =
        30; /* the tail would underflow; from here on the share done stays the same */
    double near = clamp_double(z, -z_max, z_max);
    /* Finds the z beyond which half of the tail beyond `near` is left. From the middle of the law
     * on it is within 0.7. */
    double low = near > 0 ? near : 0;
    double high = low + 0.7;
    for (int i = 0; i < 40; i++) {
        double middle = (low + high) / 2;
        if (normal_tail(middle) > normal_tail(near) / 2)
            low = middle;
        else
            high = middle;
    }
    double half = z > z_max ? z + high - near : high;
    double end = exp(learned->log_median + learned->log_sigma * half);
    return (int64_t)clamp_double(end - age, 0, age_max_ms);
}
