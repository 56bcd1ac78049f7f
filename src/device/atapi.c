// The PACKET interface of a CD-ROM drive (ATA/ATAPI-6 chapters 8.24 and 9.8): how packets and data move.
// What the packets mean is in atapi_cmd.c.
//
// A reply lies in buf[0..total); PIO hands it over in pieces of at most the byte count limit that the host
// gave, DMA along the bus master's descriptors. A read that is longer than the buffer refills it.
#include <string.h>

#include "device/ide_int.h"

enum {           // the interrupt reason, in the sector count register
  REASON_CD = 1, // command, not data
  REASON_IO = 2, // to the host
};

static void end(struct ide_drive *d, uint8_t error)
{
  d->nsector.cur = REASON_IO | REASON_CD;
  d->atapi.blocks = 0;
  d->left = 0;
  if (d->atapi.dma)
    d->ch->bm_status &= ~(error ? BM_ACTIVE : 0);
  ide_done(d, error, true);
}

void atapi_ok(struct ide_drive *d)
{
  d->atapi.key = d->atapi.asc = d->atapi.ascq = 0;
  end(d, 0);
}

void atapi_check(struct ide_drive *d, uint8_t key, uint8_t asc, uint8_t ascq)
{
  d->atapi.key = key;
  d->atapi.asc = asc;
  d->atapi.ascq = ascq;
  end(d, (uint8_t)(key << 4 | ATA_ABRT));
}

// Loads as many blocks as fit into the buffer. d->left is the number of bytes in it not yet sent.
static bool refill(struct ide_drive *d)
{
  struct atapi *a = &d->atapi;
  uint32_t n = IDE_BUFFER / a->block_size;
  n = n < a->blocks ? n : a->blocks;
  for (uint32_t i = 0; i < n; i++)
    if (!atapi_load_block(d, a->lba + i, d->buf + i * a->block_size))
      return false;
  a->lba += n;
  a->blocks -= n;
  d->left = n * a->block_size;
  d->buf_pos = d->buf_len = 0;
  return true;
}

static void pio_taken(struct ide_drive *d);

static void pio_piece(struct ide_drive *d)
{
  uint32_t n = d->left < d->atapi.limit ? d->left : d->atapi.limit;
  d->nsector.cur = REASON_IO;
  d->lba[1].cur = (uint8_t)n;
  d->lba[2].cur = (uint8_t)(n >> 8);
  d->left -= n;
  ide_drq_in(d, n, pio_taken, true);
}

static void pio_next(struct ide_drive *d)
{
  if (d->left == 0 && d->atapi.blocks && !refill(d)) {
    atapi_check(d, 3, 0x11, 0); // medium error: unrecovered read error
    return;
  }
  if (d->left)
    pio_piece(d);
  else
    atapi_ok(d);
}

static void pio_taken(struct ide_drive *d)
{
  uint32_t next = d->left ? d->left : d->atapi.blocks ? IDE_BUFFER : 0;
  ide_busy(d, next < d->atapi.limit ? next : d->atapi.limit, pio_next);
}

static void dma_step(struct ide_drive *d)
{
  if (d->left == 0) {
    if (d->atapi.blocks && !refill(d)) {
      atapi_check(d, 3, 0x11, 0);
      return;
    }
    if (d->left == 0) {
      atapi_ok(d);
      return;
    }
  }
  d->buf_len = d->buf_pos + d->left;
  uint32_t before = d->buf_pos;
  enum bm_result r = bm_move(d);
  d->left -= d->buf_pos - before;
  if (r == BM_DONE)
    ide_busy(d, d->atapi.blocks ? IDE_BUFFER : 0, dma_step);
  else if (bm_pause(d, r, dma_step)) {
    d->atapi.key = 0x0b; // aborted command
    d->atapi.asc = 0x4b; // data phase error
    d->atapi.ascq = 0;
    d->atapi.blocks = 0;
    d->nsector.cur = REASON_IO | REASON_CD;
    d->error = 0xb0 | ATA_ABRT;
  }
}

static void start_data(struct ide_drive *d)
{
  if (d->atapi.dma) {
    // The bus master's descriptors may be ready or not; either way time passes first.
    if (d->ch->bm_status & BM_ACTIVE) {
      dma_step(d);
    } else {
      d->dma_write = false;
      uint32_t len = d->left;
      bm_begin(d, len, dma_step);
    }
  } else {
    pio_next(d);
  }
}

void atapi_reply(struct ide_drive *d, uint32_t len, uint32_t alloc)
{
  d->left = len < alloc ? len : alloc;
  d->atapi.blocks = 0;
  d->buf_pos = d->buf_len = 0;
  if (d->left)
    start_data(d);
  else
    atapi_ok(d);
}

void atapi_stream(struct ide_drive *d, uint32_t lba, uint32_t blocks, uint16_t block_size)
{
  d->atapi.lba = lba;
  d->atapi.blocks = blocks;
  d->atapi.block_size = block_size;
  d->left = 0;
  d->buf_pos = d->buf_len = 0;
  if (blocks)
    start_data(d);
  else
    atapi_ok(d);
}

static void packet_complete(struct ide_drive *d)
{
  memcpy(d->atapi.packet, d->buf, sizeof d->atapi.packet);
  d->buf_pos = d->buf_len = 0;
  ide_busy(d, 0, atapi_execute);
}

static void packet(struct ide_drive *d)
{
  struct atapi *a = &d->atapi;
  a->dma = d->feature.cur & 1;
  a->limit = (uint32_t)d->lba[2].cur << 8 | d->lba[1].cur;
  if (a->limit == 0 || a->limit == 0xffff)
    a->limit = 0xfffe;
  // An odd limit holds for the last piece only; pieces in between must be whole words.
  if (a->limit > 1)
    a->limit &= ~1u;
  d->dma_write = false;
  d->nsector.cur = REASON_CD;
  ide_drq_out(d, sizeof a->packet, packet_complete, false);
}

static void identify_sent(struct ide_drive *d)
{
  ide_done(d, 0, false);
}

static void identify(struct ide_drive *d)
{
  atapi_identify(d, d->buf);
  d->buf_pos = 0;
  ide_drq_in(d, 512, identify_sent, true);
}

static void complete(struct ide_drive *d)
{
  ide_done(d, 0, true);
}

static void reset_done(struct ide_drive *d)
{
  ide_drive_reset(d, false); // no interrupt
}

void atapi_command(struct ide_drive *d, uint8_t cmd)
{
  switch (cmd) {
  case 0x08: // DEVICE RESET
    ide_busy(d, 0, reset_done);
    break;
  case 0xa0:
    packet(d);
    break;
  case 0xa1: // IDENTIFY PACKET DEVICE
    ide_busy(d, 512, identify);
    break;
  case 0xef: // SET FEATURES
    if (ata_set_features(d))
      ide_busy(d, 0, complete);
    else
      ide_done(d, ATA_ABRT, true);
    break;
  case 0xe5: // CHECK POWER MODE: active
    d->nsector.cur = 0xff;
    ide_busy(d, 0, complete);
    break;
  case 0xe0: // STANDBY IMMEDIATE, IDLE IMMEDIATE, SLEEP
  case 0xe1:
  case 0xe6:
    ide_busy(d, 0, complete);
    break;
  case 0xec: // IDENTIFY DEVICE, READ SECTORS: aborted, and the signature shows what drive this is
  case 0x20:
    ide_signature(d);
    ide_done(d, ATA_ABRT, true);
    break;
  default:
    ide_done(d, ATA_ABRT, true);
    break;
  }
}

void atapi_identify(const struct ide_drive *d, uint8_t buf[512])
{
  memset(buf, 0, 512);
  ide_word(buf, 0, 0x85c0); // ATAPI, CD-ROM, removable, DRQ within 50 us, 12-byte packets
  ide_string(buf + 2 * 10, d->serial, 20);
  ide_string(buf + 2 * 23, d->firmware, 8);
  ide_string(buf + 2 * 27, d->model, 40);
  ide_word(buf, 49, 0x0f00); // IORDY, LBA, DMA
  ide_word(buf, 51, 0x0200);
  ide_word(buf, 53, 0x0006); // words 64-70, 88 are valid
  uint16_t mw = 0x0007, ud = 0x003f;
  if ((d->xfer_mode & 0xf8) == 0x20)
    mw |= (uint16_t)(0x100u << (d->xfer_mode & 7));
  if ((d->xfer_mode & 0xf8) == 0x40)
    ud |= (uint16_t)(0x100u << (d->xfer_mode & 7));
  ide_word(buf, 63, mw);
  ide_word(buf, 64, 0x0003);
  for (unsigned i = 65; i <= 68; i++)
    ide_word(buf, i, 120);
  ide_word(buf, 80, 0x0070);
  ide_word(buf, 82, 0x0210); // DEVICE RESET, PACKET
  ide_word(buf, 83, 0x4000);
  ide_word(buf, 84, 0x4000);
  ide_word(buf, 85, 0x0210);
  ide_word(buf, 87, 0x4000);
  ide_word(buf, 88, ud);
}
