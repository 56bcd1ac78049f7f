// What the files of the IDE controller share among themselves; see ide.h.
#ifndef DEVICE_IDE_INT_H
#define DEVICE_IDE_INT_H

#include "device/ide.h"

#define IDE_DELAY_NS 20000 // of a command, to which one ns for each byte is added

enum {
  IDE_SELECT_DEV = 0x10,
  IDE_SELECT_LBA = 0x40,
  IDE_CTL_NIEN = 0x02,
  IDE_CTL_SRST = 0x04,
  IDE_CTL_HOB = 0x80,

  BM_START = 1,
  BM_TO_MEMORY = 8,
  BM_ACTIVE = 1,
  BM_ERROR = 2,
  BM_INTR = 4,
};

// ide.c
void ide_update_irq(struct ide_channel *ch);
void ide_raise(struct ide_drive *d);
// Goes busy and calls `then` after the fixed delay plus that of `bytes`.
void ide_busy(struct ide_drive *d, uint64_t bytes, void (*then)(struct ide_drive *));
// Offers, or asks for, buf_len bytes by PIO; `drained` is called after the last.
void ide_drq_in(struct ide_drive *d, uint32_t len, void (*drained)(struct ide_drive *), bool intr);
void ide_drq_out(struct ide_drive *d, uint32_t len, void (*drained)(struct ide_drive *), bool intr);
// Ends a command; error 0 is success.
void ide_done(struct ide_drive *d, uint8_t error, bool intr);
// Device registers after reset, diagnostic or an aborted identification.
void ide_signature(struct ide_drive *d);
void ide_drive_reset(struct ide_drive *d, bool hard);
void ide_drive_stop(struct ide_drive *d);                        // forgets the command in progress
void ide_string(uint8_t *words, const char *text, unsigned len); // pads, swaps bytes
static inline void ide_word(uint8_t *buf, unsigned n, uint16_t v)
{
  buf[2 * n] = (uint8_t)v;
  buf[2 * n + 1] = (uint8_t)(v >> 8);
}

// ata.c, ata_identify.c, atapi.c, atapi_cmd.c
void ata_command(struct ide_drive *d, uint8_t cmd);
void ata_identify(const struct ide_drive *d, uint8_t buf[512]);
bool ata_set_features(struct ide_drive *d);
void ata_geometry(struct ide_drive *d); // default translation
void atapi_command(struct ide_drive *d, uint8_t cmd);
void atapi_identify(const struct ide_drive *d, uint8_t buf[512]);
void atapi_execute(struct ide_drive *d);                             // the packet is complete
void atapi_reply(struct ide_drive *d, uint32_t len, uint32_t alloc); // buf holds len bytes
void atapi_stream(struct ide_drive *d, uint32_t lba, uint32_t blocks, uint16_t block_size);
void atapi_ok(struct ide_drive *d);
void atapi_check(struct ide_drive *d, uint8_t key, uint8_t asc, uint8_t ascq);
bool atapi_load_block(struct ide_drive *d, uint32_t lba, uint8_t *at);

// bmdma.c
// Starts a DMA command: `step` is called whenever data can move. Ends with ide_done or a wait.
void bm_begin(struct ide_drive *d, uint64_t bytes, void (*step)(struct ide_drive *));
// Moves buf[buf_pos..buf_len) along the descriptors and advances buf_pos.
enum bm_result bm_move(struct ide_drive *d);
// What to do after a bm_move that was not BM_DONE. Returns true if the transfer died (and the drive was
// told).
bool bm_pause(struct ide_drive *d, enum bm_result r, void (*step)(struct ide_drive *));
void bm_reset(struct ide_channel *ch);
extern const struct bus_ops bm_ops;

#endif
