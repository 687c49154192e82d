#include "store.h"

#include "limits.h"
#include "nn/nn.h"

static void set_policy(image_policy *policy, const board_port *board)
{
    policy->keys = board->image_keys;
    policy->key_count = board->image_key_count;
    policy->firmware_version = FIRMWARE_VERSION;
    policy->lowest_version = 0;
    policy->model_types = 1u << NN_FLOAT32 | 1u << NN_INT8 | 1u << NN_INT16X8;
    policy->arena_bytes = MODEL_ARENA_BYTES;
    policy->buffer_bytes = MODEL_BUFFER_BYTES;
}

status_t store_start(store *s, const board_port *board, slot_image *image)
{
    set_policy(&s->policy, board);
    image->state = SLOT_STATE_NONE;
    image->slot = SLOT_NONE;
    return slot_boot(&s->slots, board->flash, slot_verify_image, &s->policy, image);
}

status_t store_begin(store *s, uint32_t bytes, const uint8_t sha256[32], uint32_t *resume)
{
    return slot_install_begin(&s->slots, bytes, sha256, resume);
}

status_t store_write(store *s, uint32_t offset, const uint8_t *bytes, size_t count, uint32_t *next)
{
    return slot_install_write(&s->slots, offset, bytes, count, next);
}

uint32_t store_received(const store *s)
{
    return s->slots.record.phase == SLOT_PHASE_RECEIVING ? s->slots.received : 0;
}

status_t store_install(store *s, slot_image *image)
{
    return slot_install_finish(&s->slots, image);
}

status_t store_shadow(store *s, slot_image *image)
{
    return slot_shadow(&s->slots, image);
}

status_t store_confirm(store *s)
{
    return slot_confirm(&s->slots);
}

status_t store_revert(store *s)
{
    return slot_revert(&s->slots);
}

slot_phase store_phase(const store *s)
{
    return (slot_phase)s->slots.record.phase;
}

uint32_t store_lowest_version(const store *s)
{
    return s->slots.record.lowest_version;
}
