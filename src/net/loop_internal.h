/*
 * What: the interface between loop.c and http.c. The loop owns curl's multi handle and decides when
 * curl runs; http.c owns the transfers in it.
 */
#ifndef SEEDANCEFS_NET_LOOP_INTERNAL_H
#define SEEDANCEFS_NET_LOOP_INTERNAL_H

#include "seedancefs/net/loop.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

struct loop_transfer_hooks {
    void *context;
    /* Before the next wait, when loop_transfers_wake() was called: curl may be called in here. */
    void (*prepare)(void *context);
    /* curl has done what there was to do for now. */
    void (*performed)(void *context);
    /* A transfer in the multi handle has ended. */
    void (*completed)(void *context, CURL *easy, CURLcode code);
};

/* One set of hooks per loop: -EBUSY when there is one already. NULL removes them. */
int loop_transfer_hooks_set(struct loop *loop, const struct loop_transfer_hooks *hooks) NODISCARD;

CURLM *loop_multi(struct loop *loop);

/* To be called with every handle added to (+1) or removed from (-1) the multi handle. */
void loop_transfer_count_add(struct loop *loop, int delta);

/* Asks for hooks->prepare and a run of curl before the loop waits again. */
void loop_transfers_wake(struct loop *loop);

/* True while curl is on the stack: curl_multi_* must not be called then. */
bool loop_is_in_curl(const struct loop *loop);
void loop_is_in_curl_set(struct loop *loop, bool is_in_curl);

/* How often a wait has returned, and how often curl_multi_perform() ran; for tests. */
uint64_t loop_pass_count(const struct loop *loop);
uint64_t loop_perform_count(const struct loop *loop);

#endif
