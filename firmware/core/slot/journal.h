/* The journal: sectors 0 and 1 of a slot_flash, filled with records in turn. */
#ifndef EDGELOOP_SLOT_JOURNAL_H
#define EDGELOOP_SLOT_JOURNAL_H

#include "slot/slot.h"

/* The bytes at an offset of the flash; 0, or not 0 where they cannot be read. */
int flash_read(const slot_flash *flash, uint32_t offset, uint8_t *bytes, uint32_t count);

/* Program and read back: STATUS_SLOT_FLASH unless the flash then holds these bytes. */
status_t flash_program(const slot_flash *flash, uint32_t offset, const uint8_t *bytes, uint32_t count);

/* 1 if every byte is there and reads as erased. */
int flash_is_blank(const slot_flash *flash, uint32_t offset, uint32_t count);

/* Bytes that are programmed at a time: 32, or the next multiple of a word. */
uint32_t flash_block(const slot_flash *flash);

/* Find the newest record, or the one of an empty flash. */
void journal_open(slot_store *s);

/* Append a record, which then is the store's; on an error the one before it stays. */
status_t journal_append(slot_store *s, const slot_record *record);

#endif
