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

enum { VERSIONS = 3, TARGET = 3, ATTEMPTS = 12, KEPT = 16, SHOWN = 10, CHUNK = 1000, NEAR = 4, PAIR_MARGIN = 12 };

typedef struct {
    const char *name;
    uint32_t sector_bytes, sectors, word_bytes;
    int has_ecc;
    uint32_t model_bytes;
    long stride; /* 1: cuts at every operation; else near every erase and at every n-th program between */
} geometry;

typedef enum { END_CONFIRM, END_REVERT, END_WATCHDOG, ENDINGS } ending;

/* What the hub knows; it survives the board's power. */
typedef struct {
    uint32_t confirmed; /* version whose confirmation was answered or seen */
    uint32_t asked;     /* highest version that slot_confirm was called for */
    int armed;          /* an image was installed and has not been in test since */
    int tested;         /* the target has been in test */
    int done;
} knowledge;

typedef struct {
    flash_model chip;
    image_policy policy;
    slot_store slots;
    slot_image image;
    knowledge known;
    ending end;
    int is_carried;
    long swap_at; /* operation at which the last transfer was complete */
    const char *fault;
} board;

typedef struct {
    const char *name;
    void (*make)(board *b); /* NULL: erased */
    int has_pairs;          /* pairs of cuts are tried over this state */
    int is_carried;         /* the target is in the shadow before it is installed */
} earlier;

static uint8_t key[1][IMAGE_KEY_BYTES];
static uint8_t *images[VERSIONS + 1];
static uint32_t image_bytes[VERSIONS + 1];
static uint8_t image_hash[VERSIONS + 1][IMAGE_HASH_BYTES];
static long points, pairs, failures, boots, signatures;
static int is_first_enough; /* `power_cut first` ends at the first failure */

static void fault(board *b, const char *text)
{
    if (b->fault == NULL) {
        b->fault = text;
    }
}

/* ---- verifying ---- */

static void sha256(const uint8_t *bytes, size_t count, uint8_t *hash)
{
    br_sha256_context context;

    br_sha256_init(&context);
    br_sha256_update(&context, bytes, count);
    br_sha256_out(&context, hash);
}

/* As slot_verify_image: the answer of image_verify for version 0 and up, by hash, and then the lowest version. */
static status_t verify(const void *context, const uint8_t *bytes, size_t count, uint32_t lowest, image_view *view)
{
    static struct {
        uint8_t hash[IMAGE_HASH_BYTES];
        status_t status;
        image_view view;
    } kept[KEPT];
    static unsigned filled;
    board *b = (board *)(uintptr_t)context;
    uint8_t hash[IMAGE_HASH_BYTES];
    unsigned i = 0;

    if (flash_model_faults(&b->chip, bytes, IMAGE_HEADER_BYTES)) {
        fault(b, "an image's header is read where the flash cannot be read");
    }
    if (image_length(bytes, count, &count) != STATUS_OK) {
        return STATUS_IMAGE_TRUNCATED;
    }
    if (flash_model_faults(&b->chip, bytes, count)) {
        fault(b, "an image is read where the flash cannot be read");
    }
    sha256(bytes, count, hash);
    while (i < KEPT && i < filled && memcmp(kept[i].hash, hash, sizeof hash) != 0) {
        i++;
    }
    if (i == KEPT || i == filled) {
        i = filled++ % KEPT;
        memcpy(kept[i].hash, hash, sizeof hash);
        kept[i].status = image_verify(bytes, count, &b->policy, &kept[i].view);
        signatures++;
    }
    if (kept[i].status != STATUS_OK) {
        return kept[i].status;
    }
    *view = kept[i].view;
    return view->version < lowest ? STATUS_IMAGE_VERSION : STATUS_OK;
}

/* ---- the board, driven as by a hub and judged at each boot ---- */

static const uint8_t *slot_start(const board *b, uint32_t slot)
{
    return b->chip.bytes + 2 * b->chip.port.sector_bytes + slot * slot_bytes(&b->chip.port);
}

static void judge(board *b, status_t status)
{
    uint32_t lowest = b->slots.record.lowest_version, version = b->image.view.version;

    if (lowest > b->known.asked) {
        fault(b, "the lowest version is ahead of every confirmation");
    }
    if (lowest < b->known.confirmed) {
        fault(b, "the lowest version is behind a confirmation");
    }
    if (status == STATUS_SLOT_EMPTY && b->known.confirmed == 0) {
        return;
    }
    if (status != STATUS_OK || version == 0 || version > VERSIONS || b->image.slot > 1) {
        fault(b, "no image to run after a confirmation");
    } else if (memcmp(slot_start(b, b->image.slot), images[version], image_bytes[version]) != 0) {
        fault(b, "the image that runs is not the one that was sent");
    } else if (b->image.state == SLOT_STATE_TEST && !b->known.armed) {
        fault(b, "an image in test is started a second time");
    } else if (b->image.state == SLOT_STATE_TEST && version < lowest) {
        fault(b, "an image in test is older than the confirmed one");
    } else if (b->image.state == SLOT_STATE_CONFIRMED &&
               (version != lowest || (version != b->known.confirmed && version != b->known.asked))) {
        fault(b, "the image that runs as confirmed never was");
    }
}

/* What is in the shadow at a boot: whole and sound, and nothing is written to find that out. */
static void judge_shadow(board *b)
{
    slot_image image;
    long operations = b->chip.operations;

    if (slot_shadow(&b->slots, &image) != STATUS_OK || b->chip.operations != operations) {
        fault(b, "an image in the shadow is not there any more");
    } else if (image.slot == b->image.slot || image.view.version > VERSIONS ||
               memcmp(slot_start(b, image.slot), images[image.view.version], image_bytes[image.view.version]) != 0) {
        fault(b, "the image in the shadow is not the one that was sent");
    }
}

static void boot(board *b)
{
    status_t status;

    boots++;
    memset(&b->slots, 0xA5, sizeof b->slots);
    memset(&b->image, 0xA5, sizeof b->image);
    status = slot_boot(&b->slots, &b->chip.port, verify, b, &b->image);
    judge(b, status);
    if (b->slots.record.phase == SLOT_PHASE_SHADOW && b->fault == NULL) {
        judge_shadow(b);
    }
    if (b->chip.violation != NULL) {
        fault(b, b->chip.violation);
    }
    if (b->image.state == SLOT_STATE_TEST) {
        b->known.armed = 0;
    }
    if (b->image.state == SLOT_STATE_TEST && b->image.view.version == TARGET) {
        b->known.tested = 1;
    }
    if (b->image.state == SLOT_STATE_CONFIRMED) {
        b->known.confirmed = b->image.view.version;
    }
}

/* Send bytes from where the board wants them to `stop`. */
static int send(board *b, uint32_t version, uint32_t stop)
{
    uint32_t next = 0, rewound = 0, before;
    status_t status = slot_install_begin(&b->slots, image_bytes[version], image_hash[version], &next);

    while (status == STATUS_OK && next < stop) {
        before = next;
        status = slot_install_write(&b->slots, next, images[version] + next, stop - next < CHUNK ? stop - next : CHUNK,
                                    &next);
        rewound += next <= before;
        if (rewound > 2) {
            break;
        }
    }
    if (status != STATUS_OK || rewound > 2) {
        fault(b, "a transfer is refused or does not get on");
    }
    return b->fault == NULL;
}

static void install(board *b, uint32_t version)
{
    slot_image image;

    if (!send(b, version, image_bytes[version])) {
        return;
    }
    b->swap_at = b->chip.operations;
    if (b->is_carried && slot_shadow(&b->slots, &image) != STATUS_OK) {
        fault(b, "a whole image is refused in the shadow");
    }
    b->known.armed = 1;
    if (slot_install_finish(&b->slots, &image) != STATUS_OK || image.view.version != version) {
        fault(b, "a whole image is refused");
    }
}

static void confirm(board *b)
{
    uint32_t version = b->image.view.version;

    b->known.asked = version > b->known.asked ? version : b->known.asked;
    if (slot_confirm(&b->slots) == STATUS_OK) {
        b->known.confirmed = version;
    } else {
        fault(b, "a confirmation is refused");
    }
}

static void restart_after_test(board *b)
{
    if (b->image.view.version == TARGET && b->end == END_CONFIRM) {
        confirm(b);
    } else if ((b->image.view.version != TARGET || b->end == END_REVERT) && slot_revert(&b->slots) != STATUS_OK) {
        fault(b, "a revert is refused");
    }
    /* END_WATCHDOG: the board hangs, and is started again */
}

/* To the end of the story from wherever the board is, as far as the power lasts. */
static void drive(board *b)
{
    for (int attempt = 0; attempt < ATTEMPTS && b->fault == NULL; attempt++) {
        boot(b);
        if (b->fault != NULL) {
            return;
        }
        if (b->image.state == SLOT_STATE_TEST) {
            restart_after_test(b);
            continue;
        }
        b->known.done = b->end == END_CONFIRM ? b->known.confirmed == TARGET : b->known.tested;
        if (b->known.done) {
            return;
        }
        install(b, TARGET);
    }
    fault(b, "the story does not come to its end");
}

/* Drive until power fails in operation `at`; -1: to the end. 1 if it failed. */
static int drive_until(board *b, long at, cut_kind kind)
{
    jmp_buf power;

    b->chip.operations = 0;
    b->chip.erase_count = 0;
    b->chip.cut_at = at;
    b->chip.cut = kind;
    b->chip.power = &power;
    b->swap_at = 0;
    if (setjmp(power) != 0) {
        b->chip.cut_at = -1;
        return 1;
    }
    drive(b);
    b->chip.cut_at = -1;
    return 0;
}

/* ---- earlier states ---- */

static void put(board *b, uint32_t version, int is_confirmed)
{
    boot(b);
    install(b, version);
    boot(b);
    if (is_confirmed) {
        confirm(b);
    }
    boot(b);
}

static void make_garbage(board *b)
{
    for (uint32_t i = 0; i < b->chip.total; i++) {
        b->chip.bytes[i] = (uint8_t)flash_model_random(&b->chip);
    }
    memset(b->chip.words, WORD_DONE, b->chip.total / b->chip.port.word_bytes);
}

static void make_first(board *b)
{
    put(b, 1, 1);
}

static void make_second(board *b)
{
    put(b, 1, 1);
    put(b, 2, 1);
}

static void make_reverted(board *b)
{
    put(b, 1, 1);
    put(b, 2, 0);
}

static void make_other_transfer(board *b)
{
    put(b, 1, 1);
    send(b, 2, image_bytes[2] * 2 / 3);
}

static void make_same_transfer(board *b)
{
    put(b, 1, 1);
    send(b, TARGET, image_bytes[TARGET] * 2 / 3);
}

static void make_installed(board *b)
{
    put(b, 1, 1);
    install(b, 2);
}

static void make_in_test(board *b)
{
    put(b, 1, 1);
    install(b, 2);
    boot(b);
}

static void make_other_shadow(board *b)
{
    slot_image image;

    put(b, 1, 1);
    send(b, 2, image_bytes[2]);
    if (slot_shadow(&b->slots, &image) != STATUS_OK) {
        fault(b, "a whole image is refused in the shadow");
    }
}

/* The journal's sector is full but for two places: it turns during what follows. */
static void make_full_journal(board *b)
{
    uint32_t block =
        (SLOT_RECORD_BYTES + b->chip.port.word_bytes - 1) / b->chip.port.word_bytes * b->chip.port.word_bytes;
    uint32_t version = 2, next;

    put(b, 1, 1);
    while (b->slots.next_record + 2 != b->chip.port.sector_bytes / block) {
        if (slot_install_begin(&b->slots, image_bytes[version], image_hash[version], &next) != STATUS_OK) {
            fault(b, "a transfer is refused");
        }
        version = 5 - version;
    }
}

static const earlier states[] = {
    {"empty flash", NULL, 0, 0},
    {"garbage", make_garbage, 0, 0},
    {"one confirmed", make_first, 1, 0},
    {"both slots used", make_second, 1, 0},
    {"reverted", make_reverted, 0, 0},
    {"another transfer broken off", make_other_transfer, 0, 0},
    {"this transfer broken off", make_same_transfer, 0, 0},
    {"another image installed", make_installed, 0, 0},
    {"another image in test", make_in_test, 0, 0},
    {"journal nearly full", make_full_journal, 1, 0},
    {"another image in the shadow", make_other_shadow, 1, 0},
    {"one confirmed, by way of the shadow", make_first, 1, 1},
    {"journal nearly full, by way of the shadow", make_full_journal, 0, 1},
};

/* ---- cuts ---- */

static const char *const kinds[] = {"before", "after", "first half", "last half", "random bits", "weak"};
static const char *const endings[] = {"confirm", "revert", "watchdog"};

typedef struct {
    const geometry *shape;
    const earlier *state;
    ending end;
    knowledge known; /* before the run; the flash is kept in the chip */
} story;

static void report(const board *b, const story *s, long first, cut_kind first_kind, long second, cut_kind second_kind)
{
    if (b->fault == NULL || failures++ >= SHOWN) {
        return;
    }
    printf("%s, %s, %s: cut %s operation %ld", s->shape->name, s->state->name, endings[s->end], kinds[first_kind],
           first);
    if (second >= 0) {
        printf(", then %s operation %ld", kinds[second_kind], second);
    }
    printf(": %s\n", b->fault);
    if (is_first_enough) {
        exit(1);
    }
}

static void begin(board *b, const story *s)
{
    flash_model_restore(&b->chip);
    b->chip.violation = NULL;
    b->fault = NULL;
    b->known = s->known;
}

/* Cut twice: at `first`, and at `second` counted from the boot after it. 0 when that boot's run is over before. */
static int cut_twice(board *b, const story *s, long first, cut_kind first_kind, long second, cut_kind second_kind)
{
    begin(b, s);
    b->chip.random = (uint32_t)(first * 31 + second * 7 + (long)second_kind);
    drive_until(b, first, first_kind);
    if (!drive_until(b, second, second_kind)) {
        return 0;
    }
    pairs++;
    drive_until(b, -1, CUT_BEFORE);
    report(b, s, first, first_kind, second, second_kind);
    return 1;
}

static void cut_recovery(board *b, const story *s, long first, cut_kind first_kind, long swap, long length)
{
    for (long second = 0; second < length; second++) {
        /* In a long transfer the cuts between its start and its end were made one at a time already. */
        if (second > PAIR_MARGIN && second < swap - PAIR_MARGIN && s->shape->sectors != 15) {
            continue;
        }
        for (cut_kind kind = CUT_BEFORE; kind < CUT_KINDS; kind++) {
            if (!cut_twice(b, s, first, first_kind, second, kind)) {
                return;
            }
        }
    }
}

static void cut_once(board *b, const story *s, long at, cut_kind kind, int is_swap)
{
    long swap, length;

    begin(b, s);
    b->chip.random = (uint32_t)(at * 31 + (long)kind);
    points += drive_until(b, at, kind);
    drive_until(b, -1, CUT_BEFORE);
    swap = b->swap_at;
    length = b->chip.operations;
    report(b, s, at, kind, -1, CUT_BEFORE);
    if (is_swap && s->state->has_pairs && s->end == END_CONFIRM && s->shape->stride == 1) {
        cut_recovery(b, s, at, kind, swap, length);
    }
}

static void run_story(board *b, const story *s)
{
    uint8_t *is_near;
    long swap, length;

    begin(b, s);
    drive_until(b, -1, CUT_BEFORE);
    report(b, s, -1, CUT_BEFORE, -1, CUT_BEFORE);
    swap = b->swap_at;
    length = b->chip.operations;
    is_near = flash_model_memory((size_t)length);
    for (long at = 0; at < length; at++) {
        is_near[at] = s->shape->stride == 1 || at % s->shape->stride == 0 || at < NEAR || at >= swap - NEAR;
    }
    for (int i = 0; i < b->chip.erase_count; i++) {
        for (long at = b->chip.erases[i] - NEAR; at <= b->chip.erases[i] + NEAR; at++) {
            if (at >= 0 && at < length) {
                is_near[at] = 1;
            }
        }
    }
    /* Up to the swap the other endings are the same story. */
    for (long at = s->end == END_CONFIRM ? 0 : swap; at < length; at++) {
        for (cut_kind kind = CUT_BEFORE; is_near[at] && kind < CUT_KINDS; kind++) {
            cut_once(b, s, at, kind, at >= swap);
        }
    }
    free(is_near);
}

/* ---- geometries ---- */

static const geometry geometries[] = {
    {"STM32H745, 128 kB sectors, 32-byte words", 131072, 8, 32, 1, 900, 1},
    {"STM32H745, image of two sectors", 131072, 8, 32, 1, 140000, 509},
    {"NOR, 4 kB sectors, bytes", 4096, 10, 1, 0, 9000, 1},
    {"odd, 240-byte sectors, 12-byte words", 240, 15, 12, 1, 900, 1},
};

static void load_images(const char *vectors, const geometry *shape)
{
    for (uint32_t version = 1; version <= VERSIONS; version++) {
        images[version] = pattern_image(vectors, shape->model_bytes, version, &image_bytes[version]);
        sha256(images[version], image_bytes[version], image_hash[version]);
    }
}

static void run_state(const geometry *shape, const earlier *state)
{
    static board b;
    story s = {shape, state, END_CONFIRM, {0, 0, 0, 0, 0}};

    memset(&b, 0, sizeof b);
    flash_model_open(&b.chip, shape->sector_bytes, shape->sectors, shape->word_bytes, shape->has_ecc);
    b.policy = (image_policy){(const uint8_t(*)[IMAGE_KEY_BYTES])key, 1, UINT32_MAX, 0, 7, UINT32_MAX, UINT32_MAX};
    if (state->make != NULL) {
        state->make(&b);
    }
    report(&b, &s, -1, CUT_BEFORE, -1, CUT_BEFORE);
    flash_model_keep(&b.chip);
    s.known = b.known;
    s.known.tested = 0;
    b.is_carried = state->is_carried;
    for (s.end = END_CONFIRM; s.end < ENDINGS; s.end++) {
        b.end = s.end;
        run_story(&b, &s);
    }
    flash_model_close(&b.chip);
}

int main(int count, char **arguments)
{
    char *vectors = vectors_read(VECTORS_FOLDER "/image.json");
    clock_t start = clock();
    long points_before, pairs_before;

    is_first_enough = count > 1 && strcmp(arguments[1], "first") == 0;
    vectors_bytes(vectors, "key", key[0], sizeof key[0]);
    for (size_t g = 0; g < sizeof geometries / sizeof *geometries; g++) {
        points_before = points;
        pairs_before = pairs;
        load_images(vectors, &geometries[g]);
        for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
            run_state(&geometries[g], &states[i]);
        }
        for (uint32_t version = 1; version <= VERSIONS; version++) {
            free(images[version]);
        }
        printf("%-42s %7ld cuts %7ld pairs of cuts\n", geometries[g].name, points - points_before,
               pairs - pairs_before);
    }
    printf("power cuts: %ld points, %ld failures; %ld boots, %ld signatures checked, %.1f s\n", points + pairs,
           failures, boots, signatures, (double)(clock() - start) / CLOCKS_PER_SEC);
    return failures != 0 || points + pairs < 10000;
}
