// The bus master of the PIIX3 IDE function (82371SB 2.7; SFF-8038i "Programming Interface for Bus Master
// IDE").
//
// A physical region descriptor is 8 bytes: address, byte count (0 is 64 KB), bit 31 of the last word ends
// the table. The table lies within 64 KB, so its address wraps there. All of it is read through the
// function's DMA port; whatever is refused ends the transfer with the error bit.
#include <string.h>

#include "device/ide_int.h"

#define PRDS_PER_EVENT 1024 // descriptors of two bytes each must not keep the host busy

void bm_reset(struct ide_channel *ch)
{
  ch->bm_cmd = ch->bm_status = 0;
  ch->bm_prdt = ch->prd_next = ch->prd_addr = ch->prd_left = 0;
  ch->prd_last = false;
}

// The drive on this channel that wants data moved, or NULL.
static struct ide_drive *waiting(struct ide_channel *ch)
{
  for (unsigned i = 0; i < 2; i++)
    if (ch->drive[i].dma_wait)
      return &ch->drive[i];
  return NULL;
}

// dma_wait stays set, and `after` keeps the step, until the bus master runs.
static void wait_for_start(struct ide_drive *d, void (*step)(struct ide_drive *))
{
  timer_cancel(&d->timer);
  d->after = step;
  d->dma_wait = true;
}

void bm_begin(struct ide_drive *d, uint64_t bytes, void (*step)(struct ide_drive *))
{
  d->buf_len = d->buf_pos = 0;
  d->dma_wait = false;
  ide_busy(d, bytes, step);
  d->status |= ATA_DRDY;
  if (!(d->ch->bm_status & BM_ACTIVE))
    wait_for_start(d, step);
}

static enum bm_result next_prd(struct ide_channel *ch)
{
  uint32_t prd[2];
  if (dma_read(&ch->ide->pci.dma, ch->prd_next, prd, sizeof prd) != TXN_OK)
    return BM_ABORTED;
  ch->prd_next = (ch->prd_next & ~0xffffu) | ((ch->prd_next + 8) & 0xffff);
  ch->prd_addr = prd[0] & ~1u;
  ch->prd_left = prd[1] & 0xfffe;
  if (ch->prd_left == 0)
    ch->prd_left = 65536;
  ch->prd_last = prd[1] >> 31;
  return BM_DONE;
}

enum bm_result bm_move(struct ide_drive *d)
{
  struct ide_channel *ch = d->ch;
  if (ch->link)
    return ch->link->move(d);
  const struct dma_port *port = &ch->ide->pci.dma;
  unsigned budget = PRDS_PER_EVENT;
  while (d->buf_pos < d->buf_len) {
    if (!(ch->bm_status & BM_ACTIVE))
      return BM_WAIT;
    if (ch->prd_left == 0) {
      if (budget-- == 0)
        return BM_AGAIN;
      if (next_prd(ch) != BM_DONE)
        return BM_ABORTED;
    }
    uint32_t n = d->buf_len - d->buf_pos;
    n = n < ch->prd_left ? n : ch->prd_left;
    uint8_t *at = d->buf + d->buf_pos;
    // The direction bit of the bus master does not follow the drive's: when they differ nothing useful moves.
    bool to_memory = ch->bm_cmd & BM_TO_MEMORY;
    if (to_memory == d->dma_write)
      return BM_ABORTED;
    if ((to_memory ? dma_write(port, ch->prd_addr, at, n) : dma_read(port, ch->prd_addr, at, n)) != TXN_OK)
      return BM_ABORTED;
    d->buf_pos += n;
    ch->prd_addr += n;
    ch->prd_left -= n;
    if (ch->prd_left == 0 && ch->prd_last)
      ch->bm_status &= ~BM_ACTIVE;
  }
  return BM_DONE;
}

bool bm_pause(struct ide_drive *d, enum bm_result r, void (*step)(struct ide_drive *))
{
  struct ide_channel *ch = d->ch;
  if (r == BM_AGAIN) {
    ide_busy(d, 0, step);
    return false;
  }
  if (r == BM_WAIT) { // the drive still wants to move data; the driver will notice, or start again
    wait_for_start(d, step);
    return false;
  }
  ch->bm_status = (ch->bm_status & ~BM_ACTIVE) | BM_ERROR;
  ide_done(d, ATA_ICRC | ATA_ABRT, true);
  return true;
}

static void write_command(struct ide_channel *ch, uint8_t v)
{
  bool was = ch->bm_cmd & BM_START;
  ch->bm_cmd = v & (BM_START | BM_TO_MEMORY);
  if (!(v & BM_START)) {
    ch->bm_status &= ~BM_ACTIVE;
    return;
  }
  if (was)
    return;
  ch->bm_status |= BM_ACTIVE;
  ch->prd_next = ch->bm_prdt;
  ch->prd_left = 0;
  ch->prd_last = false;
  struct ide_drive *d = waiting(ch);
  if (d && d->after) {
    d->dma_wait = false;
    ide_busy(d, d->buf_len ? d->buf_len : IDE_BUFFER / 4, d->after);
    d->status |= ATA_DRDY;
  }
}

static uint8_t read_byte(const struct ide_channel *ch, unsigned reg)
{
  switch (reg) {
  case 0:
    return ch->bm_cmd;
  case 2:
    return ch->bm_status;
  case 4:
  case 5:
  case 6:
  case 7:
    return (uint8_t)(ch->bm_prdt >> 8 * (reg - 4));
  default:
    return 0;
  }
}

static void write_byte(struct ide_channel *ch, unsigned reg, uint8_t v)
{
  switch (reg) {
  case 0:
    write_command(ch, v);
    break;
  case 2: // drive capabilities are kept; error and interrupt are cleared by writing 1
    ch->bm_status = (uint8_t)((ch->bm_status & ~0x60 & ~(v & (BM_ERROR | BM_INTR))) | (v & 0x60));
    break;
  case 4:
  case 5:
  case 6:
  case 7:
    ch->bm_prdt &= ~(0xffu << 8 * (reg - 4));
    ch->bm_prdt |= (uint32_t)v << 8 * (reg - 4);
    ch->bm_prdt &= ~3u;
    break;
  default:
    break;
  }
}

static uint64_t bm_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct ide *ide = dev;
  uint64_t v = 0;
  for (unsigned i = 0; i < size; i++)
    v |= (uint64_t)read_byte(&ide->ch[(off + i) >> 3 & 1], (off + i) & 7) << 8 * i;
  return v;
}

static void bm_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct ide *ide = dev;
  for (unsigned i = 0; i < size; i++)
    write_byte(&ide->ch[(off + i) >> 3 & 1], (off + i) & 7, (uint8_t)(value >> 8 * i));
}

const struct bus_ops bm_ops = {bm_read, bm_write, 1, 4};
