#include "seedancefs/media/state_log.h"

#include "media/item.h"

#include "seedancefs/base/log.h"

void media_state_log(const struct media *media)
{
    static const char *const purposes[] = {[TRANSFER_PROBE] = "probe",
                                           [TRANSFER_READ] = "read",
                                           [TRANSFER_ENDS] = "ends",
                                           [TRANSFER_BACKGROUND] = "background"};
    const struct transfer *transfer;
    DL_FOREACH (media->transfers, transfer) {
        bool is_held = transfer->is_paused || transfer->state == TRANSFER_HELD;
        log_info(
            "state.transfer", "kind=%s media=%lld bytes=%lld at=%lld end=%lld held=%d age_ms=%lld",
            purposes[transfer->purpose], (long long)transfer->item->key.id,
            (long long)transfer->gained, (long long)transfer->position, (long long)transfer->end,
            is_held, (long long)(media_now_ms(media) - transfer->began_ms));
    }
}
