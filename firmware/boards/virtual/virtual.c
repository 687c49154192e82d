#include "virtual.h"

#include <string.h>

#include "files.h"

static uint8_t *flash_bytes;
static int flash_file, ring_file;
static uint64_t ring_words[(RING_BYTES(VIRTUAL_READINGS) + 7) / 8];
static uint8_t link_key[SESSION_KEY_BYTES];
static int has_link_key;

static const char *path_in(const virtual_settings *settings, const char *name)
{
    static char path[VIRTUAL_TEXT];
    size_t folder = strlen(settings->folder);

    memcpy(path, settings->folder, folder);
    path[folder] = '/';
    memcpy(path + folder + 1, name, strlen(name) + 1);
    return path;
}

static int flash_program(void *context, uint32_t offset, const uint8_t *bytes, uint32_t count)
{
    (void)context;
    if (offset % VIRTUAL_WORD_BYTES != 0 || count % VIRTUAL_WORD_BYTES != 0 || offset > VIRTUAL_FLASH_BYTES ||
        count > VIRTUAL_FLASH_BYTES - offset) {
        return -1;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (flash_bytes[offset + i] != 0xFF) {
            return -1; /* a word programs once between two erases */
        }
    }
    memcpy(flash_bytes + offset, bytes, count);
    return files_store(flash_file, offset, bytes, count);
}

static int flash_erase(void *context, uint32_t sector)
{
    uint32_t offset = sector * VIRTUAL_SECTOR_BYTES;

    (void)context;
    if (sector >= VIRTUAL_SECTORS) {
        return -1;
    }
    memset(flash_bytes + offset, 0xFF, VIRTUAL_SECTOR_BYTES);
    return files_store(flash_file, offset, flash_bytes + offset, VIRTUAL_SECTOR_BYTES);
}

static void ring_changed(void *context, size_t offset, size_t bytes)
{
    (void)context;
    (void)files_store(ring_file, (uint32_t)offset, (const uint8_t *)ring_words + offset, bytes);
}

static status_t give_key(void *context, uint8_t key[SESSION_KEY_BYTES])
{
    (void)context;
    memcpy(key, link_key, sizeof link_key);
    return has_link_key ? STATUS_OK : STATUS_SESSION_PROOF;
}

/* The virtual boards have their machine's entropy; a real one has a hardware generator. */
static void give_nonce(void *context, uint8_t nonce[SESSION_NONCE_BYTES])
{
    (void)context;
    (void)files_load("/dev/urandom", nonce, SESSION_NONCE_BYTES);
}

static void watchdog(void *context)
{
    (void)context;
}

const char *virtual_start(const virtual_settings *settings, uint8_t *flash, board_port *board)
{
    static slot_flash chip;
    static uint8_t image_keys[1][IMAGE_KEY_BYTES];

    flash_bytes = flash;
    memset(flash, 0xFF, VIRTUAL_FLASH_BYTES);
    flash_file = files_open(path_in(settings, "flash.bin"), flash, VIRTUAL_FLASH_BYTES);
    ring_file = files_open(path_in(settings, "ring.bin"), ring_words, sizeof ring_words);
    if (flash_file < 0 || ring_file < 0) {
        return "no files can be written in the folder";
    }
    has_link_key = files_load(path_in(settings, "key.bin"), link_key, sizeof link_key) == sizeof link_key;
    if (!has_link_key) {
        return "no key.bin of 32 bytes in the folder";
    }
    chip.base = flash;
    chip.sector_bytes = VIRTUAL_SECTOR_BYTES;
    chip.sectors = VIRTUAL_SECTORS;
    chip.word_bytes = VIRTUAL_WORD_BYTES;
    chip.program = flash_program;
    chip.erase = flash_erase;
    memset(board, 0, sizeof *board);
    memcpy(board->id, settings->id, sizeof board->id);
    board->watchdog = watchdog;
    board->sensor_waits = 1;
    board->key = give_key;
    board->nonce = give_nonce;
    board->ring_memory = (uint8_t *)ring_words;
    board->ring_bytes = sizeof ring_words;
    board->ring_changed = ring_changed;
    board->flash = &chip;
    board->image_keys = (const uint8_t(*)[IMAGE_KEY_BYTES])image_keys;
    board->image_key_count =
        files_load(path_in(settings, "public_key.bin"), image_keys[0], IMAGE_KEY_BYTES) == IMAGE_KEY_BYTES ? 1 : 0;
    board->test_ms = settings->test_ms;
    return NULL;
}
