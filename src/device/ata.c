// Commands of an ATA hard disk (ATA/ATAPI-6, T13/1410D chapter 8); see ide.h.
#include <errno.h>
#include <string.h>

#include "device/ide_int.h"

// ---- addresses -----------------------------------------------------------------------------------

void ata_geometry(struct ide_drive *d)
{
  uint64_t c = d->blk->sectors / (16 * 63);
  d->heads = 16;
  d->spt = 63;
  d->cylinders = c > 16383 ? 16383 : c ? (unsigned)c : 1;
}

// Reads address and count from the registers. False: no such address in the current translation.
static bool get_address(struct ide_drive *d, bool ext)
{
  d->lba48 = ext;
  d->lba_mode = ext || (d->select & IDE_SELECT_LBA);
  if (ext) {
    uint64_t a = 0;
    for (int i = 2; i >= 0; i--)
      a = a << 8 | d->lba[i].prev;
    for (int i = 2; i >= 0; i--)
      a = a << 8 | d->lba[i].cur;
    d->sector = a;
    d->left = (uint32_t)d->nsector.prev << 8 | d->nsector.cur;
    d->left = d->left ? d->left : 65536;
    return true;
  }
  d->left = d->nsector.cur ? d->nsector.cur : 256;
  uint32_t head = d->select & 15, cyl = (uint32_t)d->lba[2].cur << 8 | d->lba[1].cur;
  if (d->lba_mode) {
    d->sector = head << 24 | cyl << 8 | d->lba[0].cur;
    return true;
  }
  if (head >= d->heads || d->lba[0].cur == 0 || d->lba[0].cur > d->spt || cyl >= d->cylinders)
    return false;
  d->sector = ((uint64_t)cyl * d->heads + head) * d->spt + d->lba[0].cur - 1;
  return true;
}

// The registers hold the address of the last sector, or of the one that failed.
static void put_address(struct ide_drive *d, uint64_t a)
{
  if (d->lba48) {
    for (int i = 0; i < 3; i++) {
      d->lba[i].cur = (uint8_t)(a >> 8 * i);
      d->lba[i].prev = (uint8_t)(a >> (24 + 8 * i));
    }
  } else if (d->lba_mode) {
    for (int i = 0; i < 3; i++)
      d->lba[i].cur = (uint8_t)(a >> 8 * i);
    d->select = (uint8_t)((d->select & 0xf0) | (a >> 24 & 15));
  } else {
    uint64_t cyl = a / d->spt / d->heads;
    d->lba[0].cur = (uint8_t)(a % d->spt + 1);
    d->lba[1].cur = (uint8_t)cyl;
    d->lba[2].cur = (uint8_t)(cyl >> 8);
    d->select = (uint8_t)((d->select & 0xf0) | (a / d->spt % d->heads));
  }
}

static void abort_command(struct ide_drive *d)
{
  ide_done(d, ATA_ABRT, true);
}

// An error of the host's disk: uncorrectable data for a read, device fault for a write.
static void fail(struct ide_drive *d, int err, bool write)
{
  put_address(d, d->sector);
  if (err == -EINVAL) {
    ide_done(d, ATA_IDNF | ATA_ABRT, true);
  } else {
    ide_done(d, write ? ATA_ABRT : ATA_UNC, true);
    if (write)
      d->status |= ATA_DF;
  }
}

static void finish(struct ide_drive *d, bool intr)
{
  put_address(d, d->sector - 1);
  d->nsector.cur = 0;
  ide_done(d, 0, intr);
}

// ---- PIO -----------------------------------------------------------------------------------------

static void pio_read(struct ide_drive *d);
static void pio_write(struct ide_drive *d);

static uint32_t block_size(const struct ide_drive *d)
{
  return d->left < d->block ? d->left : d->block;
}

// After sectors were written: what must not stay in the cache is flushed.
static int written(struct ide_drive *d)
{
  return d->fua || !d->write_cache ? blk_flush(d->blk) : 0;
}

static int write_sectors(struct ide_drive *d, uint32_t n)
{
  int r = blk_write(d->blk, d->sector, d->buf, n);
  return r ? r : written(d);
}

static void pio_read_taken(struct ide_drive *d)
{
  uint32_t n = block_size(d);
  d->sector += n;
  d->left -= n;
  if (d->left)
    ide_busy(d, (uint64_t)block_size(d) * BLK_SECTOR, pio_read);
  else
    finish(d, false); // no interrupt after the last block was read
}

static void pio_read(struct ide_drive *d)
{
  uint32_t n = block_size(d);
  int r = blk_read(d->blk, d->sector, d->buf, n);
  d->buf_pos = 0;
  if (r)
    fail(d, r, false);
  else
    ide_drq_in(d, n * BLK_SECTOR, pio_read_taken, true);
}

static void pio_write_filled(struct ide_drive *d)
{
  ide_busy(d, (uint64_t)block_size(d) * BLK_SECTOR, pio_write);
}

static void pio_write(struct ide_drive *d)
{
  uint32_t n = block_size(d);
  int r = write_sectors(d, n);
  if (r) {
    fail(d, r, true);
    return;
  }
  d->sector += n;
  d->left -= n;
  if (d->left)
    ide_drq_out(d, block_size(d) * BLK_SECTOR, pio_write_filled, true);
  else
    finish(d, true);
}

// ---- DMA -----------------------------------------------------------------------------------------

static uint32_t dma_chunk(const struct ide_drive *d)
{
  uint32_t most = IDE_BUFFER / BLK_SECTOR;
  return d->left < most ? d->left : most;
}

// How many bytes the next event moves, if all goes well: its delay goes by that.
static uint64_t event_bytes(const struct ide_drive *d)
{
  const struct ide_link *link = d->ch->link;
  uint64_t most = link && link->direct ? IDE_DIRECT : IDE_BUFFER, left = (uint64_t)d->left * BLK_SECTOR;
  return left < most ? left : most;
}

static void dma_failed(struct ide_drive *d, int err)
{
  d->ch->bm_status &= ~BM_ACTIVE;
  fail(d, err, d->dma_write);
}

static void dma_step(struct ide_drive *d);

static void dma_done(struct ide_drive *d, uint32_t n)
{
  d->sector += n;
  d->left -= n;
  d->buf_len = d->buf_pos = 0;
  if (d->left)
    ide_busy(d, event_bytes(d), dma_step);
  else
    finish(d, true);
}

// One event without the buffer. False: it takes the buffer.
static bool dma_direct_step(struct ide_drive *d)
{
  const struct ide_link *link = d->ch->link;
  uint32_t n = (uint32_t)(event_bytes(d) / BLK_SECTOR);
  int err;
  if (!link || !link->direct || !link->direct(d, &n, &err))
    return false;
  if (err)
    d->sector += n; // the one that failed
  else if (d->dma_write)
    err = written(d);
  if (err)
    dma_failed(d, err);
  else
    dma_done(d, n);
  return true;
}

// One event: loads or fills a buffer and moves it along the descriptors.
static void dma_step(struct ide_drive *d)
{
  uint32_t n = dma_chunk(d);
  if (d->buf_len == 0) { // a new chunk
    if (dma_direct_step(d))
      return;
    int r = d->dma_write ? 0 : blk_read(d->blk, d->sector, d->buf, n);
    if (r) {
      dma_failed(d, r);
      return;
    }
    d->buf_len = n * BLK_SECTOR;
    d->buf_pos = 0;
  }
  enum bm_result m = bm_move(d);
  if (m != BM_DONE) {
    bm_pause(d, m, dma_step);
    return;
  }
  int r = d->dma_write ? write_sectors(d, n) : 0;
  if (r)
    dma_failed(d, r);
  else
    dma_done(d, n);
}

// ---- commands without data -----------------------------------------------------------------------

static void complete(struct ide_drive *d)
{
  ide_done(d, 0, true);
}

static void flush(struct ide_drive *d)
{
  if (blk_flush(d->blk)) {
    ide_done(d, ATA_ABRT, true);
    d->status |= ATA_DF;
  } else {
    ide_done(d, 0, true);
  }
}

static void send_buffer_end(struct ide_drive *d)
{
  ide_done(d, 0, false);
}

static void identify(struct ide_drive *d)
{
  ata_identify(d, d->buf);
  d->buf_pos = 0;
  ide_drq_in(d, 512, send_buffer_end, true);
}

static void set_features(struct ide_drive *d)
{
  if (ata_set_features(d))
    ide_done(d, 0, true);
  else
    abort_command(d);
}

static void verify(struct ide_drive *d)
{
  // The image is read for its errors alone, a buffer at a time.
  uint32_t n = dma_chunk(d);
  int r = blk_read(d->blk, d->sector, d->buf, n);
  if (r) {
    fail(d, r, false);
    return;
  }
  d->sector += n;
  d->left -= n;
  if (d->left)
    ide_busy(d, 0, verify);
  else
    finish(d, true);
}

static void read_native_max(struct ide_drive *d, bool ext)
{
  uint64_t max = d->blk->sectors - 1;
  d->lba48 = ext;
  d->lba_mode = ext || (d->select & IDE_SELECT_LBA);
  if (!ext && max > 0x0fffffff)
    max = 0x0fffffff;
  if (!d->lba_mode) {
    uint64_t chs = (uint64_t)d->cylinders * d->heads * d->spt - 1;
    max = max < chs ? max : chs;
  }
  put_address(d, max);
  ide_busy(d, 0, complete);
}

static void set_translation(struct ide_drive *d)
{
  unsigned spt = d->nsector.cur, heads = (d->select & 15) + 1u;
  if (spt == 0 || spt > 63) {
    abort_command(d);
    return;
  }
  uint64_t c = d->blk->sectors / (heads * spt);
  d->heads = heads;
  d->spt = spt;
  d->cylinders = c > 65535 ? 65535 : c ? (unsigned)c : 1;
  ide_done(d, 0, true);
}

static void set_multiple(struct ide_drive *d)
{
  unsigned n = d->nsector.cur;
  if (n > 16 || (n & (n - 1))) {
    abort_command(d);
    return;
  }
  d->multiple = n;
  ide_done(d, 0, true);
}

// ---- dispatch ------------------------------------------------------------------------------------

enum { READ, WRITE, READ_DMA, WRITE_DMA, VERIFY };

static void start_io(struct ide_drive *d, int how, bool ext, bool multiple)
{
  bool write = how == WRITE || how == WRITE_DMA;
  if ((multiple && !d->multiple) || !get_address(d, ext)) {
    ide_done(d, multiple && !d->multiple ? ATA_ABRT : ATA_IDNF, true);
    return;
  }
  if (!blk_in_bounds(d->blk, d->sector, d->left)) {
    fail(d, -EINVAL, write);
    return;
  }
  d->block = multiple ? d->multiple : 1;
  switch (how) {
  case READ:
    ide_busy(d, (uint64_t)block_size(d) * BLK_SECTOR, pio_read);
    break;
  case WRITE:
    ide_drq_out(d, block_size(d) * BLK_SECTOR, pio_write_filled, false); // no interrupt for the first block
    break;
  case READ_DMA:
  case WRITE_DMA:
    d->dma_write = write;
    bm_begin(d, event_bytes(d), dma_step);
    break;
  default:
    ide_busy(d, 0, verify);
    break;
  }
}

void ata_command(struct ide_drive *d, uint8_t cmd)
{
  d->fua = false;
  switch (cmd) {
  case 0x20: // READ SECTORS
  case 0x21:
  case 0x24: // READ SECTORS EXT
    start_io(d, READ, cmd == 0x24, false);
    break;
  case 0xc4: // READ MULTIPLE
  case 0x29: // READ MULTIPLE EXT
    start_io(d, READ, cmd == 0x29, true);
    break;
  case 0x30: // WRITE SECTORS
  case 0x31:
  case 0x34: // WRITE SECTORS EXT
    start_io(d, WRITE, cmd == 0x34, false);
    break;
  case 0xce: // WRITE MULTIPLE FUA EXT
    d->fua = true;
    start_io(d, WRITE, true, true);
    break;
  case 0xc5: // WRITE MULTIPLE
  case 0x39: // WRITE MULTIPLE EXT
    start_io(d, WRITE, cmd == 0x39, true);
    break;
  case 0xc8: // READ DMA
  case 0xc9:
  case 0x25: // READ DMA EXT
    start_io(d, READ_DMA, cmd == 0x25, false);
    break;
  case 0x3d: // WRITE DMA FUA EXT
    d->fua = true;
    start_io(d, WRITE_DMA, true, false);
    break;
  case 0xca: // WRITE DMA
  case 0xcb:
  case 0x35: // WRITE DMA EXT
    start_io(d, WRITE_DMA, cmd == 0x35, false);
    break;
  case 0x40: // READ VERIFY SECTORS
  case 0x41:
  case 0x42: // READ VERIFY SECTORS EXT
    start_io(d, VERIFY, cmd == 0x42, false);
    break;
  case 0xec: // IDENTIFY DEVICE
    ide_busy(d, 512, identify);
    break;
  case 0xe7: // FLUSH CACHE
  case 0xea: // FLUSH CACHE EXT
    ide_busy(d, 0, flush);
    break;
  case 0xef:
    ide_busy(d, 0, set_features);
    break;
  case 0xf8:
    read_native_max(d, false);
    break;
  case 0x27:
    read_native_max(d, true);
    break;
  case 0x91: // INITIALIZE DEVICE PARAMETERS
    set_translation(d);
    break;
  case 0xc6:
    set_multiple(d);
    break;
  case 0xe5: // CHECK POWER MODE: active
  case 0x98:
    d->nsector.cur = 0xff;
    ide_busy(d, 0, complete);
    break;
  case 0xe0: // STANDBY and IDLE, their IMMEDIATE forms, SLEEP
  case 0xe1:
  case 0xe2:
  case 0xe3:
  case 0xe6:
  case 0x94:
  case 0x95:
  case 0x96:
  case 0x97:
  case 0x99:
  case 0x70: // SEEK
    ide_busy(d, 0, complete);
    break;
  default:
    if ((cmd & 0xf0) == 0x10) // RECALIBRATE
      ide_busy(d, 0, complete);
    else
      abort_command(d);
    break;
  }
}
