/* What the virtual boards share: settings, a flash chip and the ring's memory in files, a sensor that speaks lines.
 *
 * Settings are words "name=value": folder (with key.bin, public_key.bin and what the board writes: flash.bin and
 * ring.bin), id, hub and port, test_ms, sensor (native only). */
#ifndef EDGELOOP_VIRTUAL_H
#define EDGELOOP_VIRTUAL_H

#include <stddef.h>
#include <stdint.h>

#include "board.h"

enum {
    VIRTUAL_READINGS = 2048, /* two weeks at one reading in ten minutes */
    VIRTUAL_SECTOR_BYTES = 4096,
    VIRTUAL_SECTORS = 64,
    VIRTUAL_FLASH_BYTES = VIRTUAL_SECTOR_BYTES * VIRTUAL_SECTORS,
    VIRTUAL_WORD_BYTES = 32, /* a word is programmed once between two erases, as on the STM32H7 */
    VIRTUAL_TEXT = 200
};

typedef struct {
    char folder[VIRTUAL_TEXT];
    char sensor[VIRTUAL_TEXT];
    char id[SESSION_ID_BYTES + 1];
    uint8_t hub[4];
    uint16_t port;
    int64_t test_ms;
} virtual_settings;

/* 0, or -1 with the reason in `*reason`: a word that is not known or has no valid value. */
int virtual_set(virtual_settings *settings, const char *word, const char **reason);
void virtual_defaults(virtual_settings *settings);

/* Fill in all of `board` that does not depend on the machine; NULL, or why it cannot start. `flash` has
 * VIRTUAL_FLASH_BYTES. */
const char *virtual_start(const virtual_settings *settings, uint8_t *flash, board_port *board);

/* One character of the sensor's lines "time_ms,microcelsius\n"; 1 when a reading is complete. Other lines are left
 * out. */
typedef struct {
    char line[40];
    size_t length;
} sensor_line;
int sensor_line_add(sensor_line *state, char character, ring_reading *reading);

#endif
