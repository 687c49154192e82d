/* Power cuts at every write: install, confirm, revert and the watchdog's revert, over every earlier state of the flash.
 *
 * A board is driven as a hub drives it: boot, transfer, restart, confirm. Each run is repeated with power failing
 * before, after and inside each program and each erase; then the board boots again and goes on, and is judged at every
 * boot. Where the images change roles, power fails a second time while the board recovers from the first.
 *
 * Images are verified by image_verify, whose answer is kept by the SHA-256 of the whole image: the hash is computed
 * over what lies in flash at every boot, the signature of the same bytes is checked once. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bearssl_hash.h"
#include "flash_model.h"
#include "pattern_image.h"

enum { VERSIONS = 3, TARGET = 3, ATTEMPTS = 30, KEPT = 16, SHOWN = 10, CHUNK = 1000, PAIR_MARGIN = 10 };

typedef struct {
    const char *name;
    uint32_t sector_bytes, sectors, word_bytes;
    int has_ecc;
    uint32_t model_bytes;
    long stride; /* 1: cuts at every operation; else at each one near an erase, and at every n-th between */
} geometry;

typedef enum { END_CONFIRM, END_REVERT, END_WATCHDOG } ending;

/* What the hub knows; it survives the board's power. */
typedef struct {
    uint32_t confirmed; /* version whose confirmation was answered or seen */
    uint32_t asked;     /* highest version that slot_confirm was called for */
    int armed;          /* an image was installed and has not been in test since */
    int tested;         /* the target has been in test */
    uint32_t started;   /* version whose transfer was begun last */
} knowledge;

typedef struct {
    const geometry *shape;
    flash_model chip;
    image_policy policy;
    slot_store slots;
    slot_image image;
    knowledge known;
    ending end;
    long swap_at; /* operation at which the last transfer was complete */
    const char *fault;
} board;

typedef struct {
    const char *name;
    void (*make)(board *b);
} state;

static char *vectors;
static uint8_t key[1][IMAGE_KEY_BYTES];
static uint8_t *images[VERSIONS + 1];
static uint32_t image_bytes[VERSIONS + 1];
static uint8_t image_hash[VERSIONS + 1][IMAGE_HASH_BYTES];
static long points, pairs, failures, boots;
static int stop_at_first;

/* ---- verifying ---- */

static void sha256(const uint8_t *bytes, size_t count, uint8_t *hash)
{
    br_sha256_context context;

    br_sha256_init(&context);
    br_sha256_update(&context, bytes, count);
    br_sha256_out(&context, hash);
}

static void fault(board *b, const char *text)
{
    if (b->fault == NULL)
        b->fault = text;
}

static status_t verify(const void *context, const uint8_t *bytes, size_t count, uint32_t lowest, image_view *view)
{
    static struct {
        uint8_t hash[IMAGE_HASH_BYTES];
        status_t status;
        image_view view;
    } kept[KEPT];
    static unsigned used, next;
    const board *b = context;
    uint8_t hash[IMAGE_HASH_BYTES];
    status_t status;
    unsigned i;

    if (flash_model_faults(&b->chip, bytes, IMAGE_HEADER_BYTES) || image_length(bytes, count, &count) != STATUS_OK)
        return STATUS_IMAGE_TRUNCATED;
    if (flash_model_faults(&b->chip, bytes, count)) {
        fault((board *)(uintptr_t)b, "an image is read where the flash cannot be read");
        return STATUS_IMAGE_TRUNCATED;
    }
    sha256(bytes, count, hash);
    for (i = 0; i < used && memcmp(kept[i].hash, hash, sizeof hash) != 0; i++)
        ;
    if (i == used) {
        status = slot_verify_image(&b->policy, bytes, count, 0, view);
        i = next++ % KEPT;
        used = used < KEPT ? used + 1 : KEPT;
        memcpy(kept[i].hash, hash, sizeof hash);
        kept[i].status = status;
        kept[i].view = *view;
    }
    if (kept[i].status != STATUS_OK)
        return kept[i].status;
    *view = kept[i].view;
    view->model = bytes + get_model_offset(bytes);
    return view->version < lowest ? STATUS_IMAGE_VERSION : STATUS_OK;
}

/* ---- the board, driven as by a hub and judged at each boot ---- */

static void judge_image(board *b)
{
    const image_view *view = &b->image.view;
    const uint8_t *bytes = view->model - get_model_offset(view->model - 0);

    (void)bytes;
}

static void boot(board *b)
{
    status_t status;
    uint32_t lowest, version;

    boots++;
    memset(&b->slots, 0xA5, sizeof b->slots);
    status = slot_boot(&b->slots, &b->chip.port, verify, b, &b->image);
    lowest = b->slots.record.lowest_version;
    if (lowest > b->known.asked)
        fault(b, "the lowest version is ahead of every confirmation");
    if (lowest < b->known.confirmed)
        fault(b, "the lowest version is behind a confirmation");
    if (status == STATUS_SLOT_EMPTY && b->known.confirmed == 0)
        return;
    if (status != STATUS_OK) {
        fault(b, "no image to run after a confirmation");
        return;
    }
    judge_image(b);
    version = b->image.view.version;
    if (b->image.state == SLOT_STATE_TEST) {
        if (!b->known.armed)
            fault(b, "an image in test is started a second time");
        b->known.armed = 0;
        b->known.tested |= version == TARGET;
    } else {
        if (version != lowest || (version != b->known.confirmed && version != b->known.asked))
            fault(b, "the image that runs as confirmed never was");
        b->known.confirmed = version;
    }
}
