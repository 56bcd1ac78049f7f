// What a hard disk says about itself, and its settings: IDENTIFY DEVICE and SET FEATURES
// (ATA/ATAPI-6 8.15, 8.46).
#include <string.h>

#include "device/ide_int.h"

static void word32(uint8_t *buf, unsigned n, uint32_t v)
{
  ide_word(buf, n, (uint16_t)v);
  ide_word(buf, n + 1, (uint16_t)(v >> 16));
}

void ata_identify(const struct ide_drive *d, uint8_t buf[512])
{
  uint64_t sectors = d->blk->sectors;
  uint64_t dc = sectors / (16 * 63);
  uint32_t current = d->cylinders * d->heads * d->spt;
  memset(buf, 0, 512);
  ide_word(buf, 0, 0x0040); // fixed disk
  ide_word(buf, 1, dc > 16383 ? 16383 : dc ? (uint16_t)dc : 1);
  ide_word(buf, 3, 16);
  ide_word(buf, 6, 63);
  ide_string(buf + 2 * 10, d->serial, 20);
  ide_string(buf + 2 * 23, d->firmware, 8);
  ide_string(buf + 2 * 27, d->model, 40);
  ide_word(buf, 47, 0x8010); // up to 16 sectors for the MULTIPLE commands
  ide_word(buf, 49, 0x0f00); // IORDY, LBA, DMA
  ide_word(buf, 50, 0x4000);
  ide_word(buf, 51, 0x0200); // PIO mode 2
  ide_word(buf, 53, 0x0007); // words 54-58, 64-70, 88 are valid
  ide_word(buf, 54, (uint16_t)d->cylinders);
  ide_word(buf, 55, (uint16_t)d->heads);
  ide_word(buf, 56, (uint16_t)d->spt);
  word32(buf, 57, current);
  ide_word(buf, 59, d->multiple ? (uint16_t)(0x100 | d->multiple) : 0);
  word32(buf, 60, sectors > 0x0fffffff ? 0x0fffffff : (uint32_t)sectors);
  uint16_t mw = 0x0007, ud = 0x003f;
  if ((d->xfer_mode & 0xf8) == 0x20)
    mw |= (uint16_t)(0x100u << (d->xfer_mode & 7));
  if ((d->xfer_mode & 0xf8) == 0x40)
    ud |= (uint16_t)(0x100u << (d->xfer_mode & 7));
  ide_word(buf, 63, mw);
  ide_word(buf, 64, 0x0003); // PIO modes 3 and 4
  for (unsigned i = 65; i <= 68; i++)
    ide_word(buf, i, 120);   // cycle times, ns
  ide_word(buf, 80, 0x0070); // ATA/ATAPI-4 to -6
  ide_word(buf, 82, 0x0028); // write cache, power management
  ide_word(buf, 83, 0x7400); // 48-bit, FLUSH CACHE, FLUSH CACHE EXT
  ide_word(buf, 84, 0x4040); // WRITE DMA FUA EXT
  ide_word(buf, 85, (uint16_t)(0x0008 | (d->write_cache ? 0x0020 : 0)));
  ide_word(buf, 86, 0x3400);
  ide_word(buf, 87, 0x4040);
  ide_word(buf, 88, ud);
  if (d->ch->link) {
    ide_word(buf, 76, 0x0006); // serial, 1.5 and 3 Gb/s, no queuing
    ide_word(buf, 93, 0);
  } else {
    ide_word(buf, 93,
             (uint16_t)(0x6001 | (d == &d->ch->drive[0] ? 0x000c : 0x0200))); // hardware reset result
  }
  uint64_t all = sectors;
  for (unsigned i = 0; i < 4; i++)
    ide_word(buf, 100 + i, (uint16_t)(all >> 16 * i));
  // Word 255: signature, and a checksum that makes the sum of all bytes zero.
  uint8_t sum = 0xa5;
  for (unsigned i = 0; i < 510; i++)
    sum += buf[i];
  buf[510] = 0xa5;
  buf[511] = (uint8_t)-sum;
}

bool ata_set_features(struct ide_drive *d)
{
  uint8_t mode = d->nsector.cur;
  switch (d->feature.cur) {
  case 0x02:
    d->write_cache = true;
    return true;
  case 0x82:
    d->write_cache = false;
    return d->kind == IDE_CD || blk_flush(d->blk) == 0;
  case 0x03: // transfer mode
    if (mode > 1 && !(mode >= 0x08 && mode <= 0x0c) && !(mode >= 0x20 && mode <= 0x22) &&
        !(mode >= 0x40 && mode <= 0x45))
      return false;
    d->xfer_mode = mode;
    return true;
  case 0x55: // read look-ahead off, on
  case 0xaa:
  case 0x66: // keep, or forget, settings over a software reset
  case 0xcc:
    return true;
  default:
    return false;
  }
}
