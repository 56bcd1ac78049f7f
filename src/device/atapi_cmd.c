// The packets that a CD-ROM drive understands (MMC-3, SPC-2); how they travel is in atapi.c.
//
// The medium is a disc with one session and one data track, its blocks of 2048 bytes those of the image.
#include <string.h>

#include "device/ide_int.h"

#define CD_BLOCK 2048u

enum { NOT_READY = 2, ILLEGAL = 5, ATTENTION = 6 };
enum { EVENT_NONE = 0, EVENT_EJECT = 1, EVENT_NEW = 2, EVENT_REMOVED = 3 };

static uint32_t be16(const uint8_t *p)
{
  return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t be32(const uint8_t *p)
{
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put16(uint8_t *p, uint32_t v)
{
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
  put16(p, v >> 16);
  put16(p + 2, v);
}

static void put_msf(uint8_t *p, uint32_t lba)
{
  uint32_t f = lba + 150;
  p[0] = (uint8_t)(f / 75 / 60);
  p[1] = (uint8_t)(f / 75 % 60);
  p[2] = (uint8_t)(f % 75);
}

// Either form of address: bytes 0, minute, second, frame, or a block number.
static void put_addr(uint8_t *p, uint32_t lba, bool msf)
{
  if (msf) {
    p[0] = 0;
    put_msf(p + 1, lba);
  } else {
    put32(p, lba);
  }
}

static bool medium(const struct ide_drive *d)
{
  return d->blk && !d->atapi.tray_open;
}

static uint32_t disc_blocks(const struct ide_drive *d)
{
  uint64_t n = d->blk ? (d->blk->sectors + 3) / 4 : 0;
  return n > 0x7fffffff ? 0x7fffffff : (uint32_t)n;
}

static void bad_field(struct ide_drive *d)
{
  atapi_check(d, ILLEGAL, 0x24, 0);
}

bool atapi_load_block(struct ide_drive *d, uint32_t lba, uint8_t *at)
{
  if (!medium(d) || lba >= disc_blocks(d))
    return false;
  uint8_t *data = at;
  if (d->atapi.block_size != CD_BLOCK) { // a raw sector of mode 1 (ECMA-130 14.1)
    memset(at, 0, d->atapi.block_size);
    memset(at + 1, 0xff, 10);
    put_msf(at + 12, lba);
    for (int i = 12; i < 15; i++)
      at[i] = (uint8_t)(at[i] / 10 % 16 << 4 | at[i] % 10);
    at[15] = 1;
    data = at + 16;
  }
  uint64_t first = (uint64_t)lba * 4, left = d->blk->sectors - first;
  uint32_t n = left < 4 ? (uint32_t)left : 4;
  memset(data + n * BLK_SECTOR, 0, CD_BLOCK - n * BLK_SECTOR);
  return blk_read(d->blk, first, data, n) == 0;
}

static void inquiry(struct ide_drive *d)
{
  const uint8_t *c = d->atapi.packet;
  uint8_t *b = d->buf;
  if (c[1] & 3) { // no vital product data
    bad_field(d);
    return;
  }
  memset(b, 0, 36);
  b[0] = 5;    // CD-ROM
  b[1] = 0x80; // removable
  b[3] = 0x21; // ATAPI, response format 1
  b[4] = 31;
  memset(b + 8, ' ', 28);
  memcpy(b + 8, "PACIFICA", 8);
  memcpy(b + 16, d->model, strnlen(d->model, 16));
  memcpy(b + 32, d->firmware, strnlen(d->firmware, 4));
  atapi_reply(d, 36, c[4]);
}

static void request_sense(struct ide_drive *d)
{
  struct atapi *a = &d->atapi;
  uint8_t *b = d->buf;
  if (a->attention && !a->key) { // reported here if nothing else is
    a->key = ATTENTION;
    a->asc = a->att_asc;
    a->ascq = a->att_ascq;
    a->attention = false;
  }
  memset(b, 0, 18);
  b[0] = 0x70;
  b[2] = a->key;
  b[7] = 10;
  b[12] = a->asc;
  b[13] = a->ascq;
  a->key = a->asc = a->ascq = 0;
  atapi_reply(d, 18, a->packet[4]);
}

static void read_blocks(struct ide_drive *d, uint32_t lba, uint32_t count, uint16_t block_size)
{
  uint32_t blocks = disc_blocks(d);
  if (lba > blocks || count > blocks - lba)
    atapi_check(d, ILLEGAL, 0x21, 0); // address out of range
  else
    atapi_stream(d, lba, count, block_size);
}

static void read_cd(struct ide_drive *d)
{
  const uint8_t *c = d->atapi.packet;
  uint32_t lba = be32(c + 2), count = (uint32_t)c[6] << 16 | be16(c + 7);
  unsigned type = c[1] >> 2 & 7;
  if (c[0] == 0xb9) { // READ CD MSF
    uint32_t from = (c[3] * 60u + c[4]) * 75 + c[5], to = (c[6] * 60u + c[7]) * 75 + c[8];
    if (from < 150 || to < from) {
      bad_field(d);
      return;
    }
    lba = from - 150;
    count = to - from;
  }
  if (type > 2 || c[10] & 7) { // only mode 1, without subchannels
    atapi_check(d, ILLEGAL, 0x64, 0);
    return;
  }
  switch (c[9] & 0xf8) {
  case 0x00:
    read_blocks(d, lba, 0, CD_BLOCK); // nothing is asked for
    break;
  case 0x10: // user data
    read_blocks(d, lba, count, CD_BLOCK);
    break;
  case 0xf8: // all of it
    read_blocks(d, lba, count, 2352);
    break;
  default:
    bad_field(d);
    break;
  }
}

static void read_capacity(struct ide_drive *d)
{
  put32(d->buf, disc_blocks(d) - 1);
  put32(d->buf + 4, CD_BLOCK);
  atapi_reply(d, 8, 8);
}

static void track(uint8_t *b, uint8_t number, uint32_t lba, bool msf)
{
  memset(b, 0, 8);
  b[1] = 0x14; // data track
  b[2] = number;
  put_addr(b + 4, lba, msf);
}

// MMC-3 6.25, formats 0 (TOC), 1 (sessions) and 2 (raw)
static void read_toc(struct ide_drive *d)
{
  const uint8_t *c = d->atapi.packet;
  uint8_t *b = d->buf;
  bool msf = c[1] & 2;
  unsigned format = c[2] & 15, alloc = be16(c + 7), len = 4;
  if (format == 0)
    format = c[9] >> 6; // the older place
  memset(b, 0, 64);
  b[2] = b[3] = 1;
  if (format == 0) {
    if (c[6] > 1 && c[6] != 0xaa) {
      bad_field(d);
      return;
    }
    if (c[6] <= 1) {
      track(b + len, 1, 0, msf);
      len += 8;
    }
    track(b + len, 0xaa, disc_blocks(d), msf);
    len += 8;
  } else if (format == 1) {
    track(b + len, 1, 0, msf);
    len += 8;
  } else if (format == 2) {
    static const uint8_t point[4] = {0xa0, 0xa1, 0xa2, 1};
    for (int i = 0; i < 4; i++, len += 11) {
      uint8_t *e = b + len;
      e[0] = 1;
      e[1] = 0x14;
      e[3] = point[i];
      if (i < 2)
        e[8] = 1; // first, last track
      else
        put_msf(e + 8, i == 2 ? disc_blocks(d) : 0);
    }
  } else {
    bad_field(d);
    return;
  }
  put16(b, len - 2);
  atapi_reply(d, len, alloc);
}

static void mode_sense(struct ide_drive *d)
{
  const uint8_t *c = d->atapi.packet;
  uint8_t *b = d->buf;
  unsigned page = c[2] & 0x3f, control = c[2] >> 6, len = 8;
  bool all = page == 0x3f, changeable = control == 1;
  if (control == 3) {
    atapi_check(d, ILLEGAL, 0x39, 0); // saved values are not kept
    return;
  }
  memset(b, 0, 256);
  b[2] = !d->blk ? 0x70 : d->atapi.tray_open ? 0x71 : 0x01;
  if (all || page == 0x01) { // error recovery
    b[len] = 0x01;
    b[len + 1] = 6;
    b[len + 3] = changeable ? 0 : 5; // retries
    len += 8;
  }
  if (all || page == 0x0e) { // audio control
    b[len] = 0x0e;
    b[len + 1] = 14;
    len += 16;
  }
  if (all || page == 0x2a) { // capabilities (MMC-3 5.5.10)
    uint8_t *p = b + len;
    p[0] = 0x2a;
    p[1] = 0x14;
    if (!changeable) {
      p[2] = 0x3b;                                        // reads CD-R, CD-RW, DVD
      p[4] = 0x70;                                        // mode 2, multi-session
      p[6] = (uint8_t)(0x29 | (d->atapi.locked ? 2 : 0)); // tray, eject, lock
      put16(p + 8, 706);                                  // 4x
      put16(p + 12, 512);
      put16(p + 14, 706);
    }
    len += 22;
  }
  if (len == 8) {
    bad_field(d);
    return;
  }
  put16(b, len - 2);
  atapi_reply(d, len, be16(c + 7));
}

static void start_stop(struct ide_drive *d)
{
  const uint8_t *c = d->atapi.packet;
  struct atapi *a = &d->atapi;
  bool start = c[4] & 1, load = c[4] & 2;
  if (load && !start) {
    if (a->locked) {
      atapi_check(d, ILLEGAL, 0x53, 2); // medium removal prevented
      return;
    }
    if (!a->tray_open)
      a->event = EVENT_EJECT;
    a->tray_open = true;
  } else if (load && a->tray_open) {
    a->tray_open = false;
    if (d->blk) {
      a->event = EVENT_NEW;
      a->attention = true;
      a->att_asc = 0x28; // medium may have changed
      a->att_ascq = 0;
    }
  }
  atapi_ok(d);
}

// MMC-3 5.3: profile list, core, morphing, removable medium, random read, CD or DVD read
static void get_configuration(struct ide_drive *d)
{
  const uint8_t *c = d->atapi.packet;
  uint8_t *b = d->buf;
  bool dvd = disc_blocks(d) > 450000;
  unsigned type = c[1] & 3, from = be16(c + 2), len = 8;
  uint16_t profile = !medium(d) ? 0 : dvd ? 0x10 : 0x08;
  memset(b, 0, 128);
  put16(b + 6, profile);
#define FEATURE(number, flags, size)                                                                         \
  ((type == 2 ? from == (number) : from <= (number)) &&                                                      \
   (put16(b + len, number), b[len + 2] = (flags), b[len + 3] = (size), len += 4 + (size), true))
  if (FEATURE(0x0000, 3, 8)) {
    put16(b + len - 8, 0x10);
    b[len - 6] = profile == 0x10;
    put16(b + len - 4, 0x08);
    b[len - 2] = profile == 0x08;
  }
  if (FEATURE(0x0001, 11, 8)) {
    put32(b + len - 8, 2); // ATAPI
    b[len - 4] = 1;
  }
  if (FEATURE(0x0002, 7, 4))
    b[len - 4] = 1;
  if (FEATURE(0x0003, 3, 4))
    b[len - 4] = 0x29; // tray, eject, lock
  if (profile && FEATURE(0x0010, 1, 8)) {
    put32(b + len - 8, CD_BLOCK);
    put16(b + len - 4, dvd ? 16 : 1);
  }
  if (profile == 0x08)
    (void)FEATURE(0x001e, 1, 4);
  if (profile == 0x10)
    (void)FEATURE(0x001f, 1, 0);
#undef FEATURE
  put32(b, len - 4);
  atapi_reply(d, len, be16(c + 7));
}

static void get_event_status(struct ide_drive *d)
{
  const uint8_t *c = d->atapi.packet;
  uint8_t *b = d->buf;
  memset(b, 0, 8);
  if (!(c[1] & 1)) { // asynchronous notification
    bad_field(d);
    return;
  }
  b[3] = 0x10; // media events are supported
  if (!(c[4] & 0x10)) {
    put16(b, 2);
    b[2] = 0x80; // no class of those that were asked for
    atapi_reply(d, 4, be16(c + 7));
    return;
  }
  put16(b, 6);
  b[2] = 4;
  b[4] = d->atapi.event;
  b[5] = (uint8_t)((d->atapi.tray_open ? 1 : 0) | (medium(d) ? 2 : 0));
  d->atapi.event = EVENT_NONE;
  atapi_reply(d, 8, be16(c + 7));
}

static void read_disc_info(struct ide_drive *d)
{
  uint8_t *b = d->buf;
  if (d->atapi.packet[1] & 7) {
    bad_field(d);
    return;
  }
  memset(b, 0, 34);
  put16(b, 32);
  b[2] = 0x0e; // complete, finalized
  b[3] = b[4] = b[5] = b[6] = 1;
  b[7] = 0x20; // unrestricted use
  memset(b + 16, 0xff, 8);
  atapi_reply(d, 34, be16(d->atapi.packet + 7));
}

static void mechanism_status(struct ide_drive *d)
{
  memset(d->buf, 0, 8);
  d->buf[1] = d->atapi.tray_open ? 0x10 : 0;
  d->buf[5] = 1; // one slot
  put16(d->buf + 6, 0);
  atapi_reply(d, 8, be16(d->atapi.packet + 8));
}

static void read_subchannel(struct ide_drive *d)
{
  memset(d->buf, 0, 4);
  d->buf[1] = 0x15; // no audio status
  atapi_reply(d, 4, be16(d->atapi.packet + 7));
}

static void prevent_allow(struct ide_drive *d)
{
  d->atapi.locked = d->atapi.packet[4] & 1;
  atapi_ok(d);
}

static void read_10(struct ide_drive *d)
{
  read_blocks(d, be32(d->atapi.packet + 2), be16(d->atapi.packet + 7), CD_BLOCK);
}

static void read_12(struct ide_drive *d)
{
  read_blocks(d, be32(d->atapi.packet + 2), be32(d->atapi.packet + 6), CD_BLOCK);
}

static void seek(struct ide_drive *d)
{
  if (be32(d->atapi.packet + 2) >= disc_blocks(d))
    atapi_check(d, ILLEGAL, 0x21, 0);
  else
    atapi_ok(d);
}

enum { NEEDS_MEDIUM = 1, PASSES_ATTENTION = 2 };

static const struct {
  uint8_t code, flags;
  void (*run)(struct ide_drive *d);
} commands[] = {
    {0x00, NEEDS_MEDIUM, atapi_ok}, // TEST UNIT READY
    {0x03, PASSES_ATTENTION, request_sense},
    {0x12, PASSES_ATTENTION, inquiry},
    {0x1b, 0, start_stop},
    {0x1e, 0, prevent_allow},
    {0x25, NEEDS_MEDIUM, read_capacity},
    {0x28, NEEDS_MEDIUM, read_10},
    {0x2b, NEEDS_MEDIUM, seek},
    {0x42, NEEDS_MEDIUM, read_subchannel},
    {0x43, NEEDS_MEDIUM, read_toc},
    {0x46, PASSES_ATTENTION, get_configuration},
    {0x4a, PASSES_ATTENTION, get_event_status},
    {0x51, NEEDS_MEDIUM, read_disc_info},
    {0x5a, 0, mode_sense},
    {0xa8, NEEDS_MEDIUM, read_12},
    {0xb9, NEEDS_MEDIUM, read_cd},
    {0xbb, 0, atapi_ok}, // SET CD SPEED
    {0xbd, 0, mechanism_status},
    {0xbe, NEEDS_MEDIUM, read_cd},
};

void atapi_execute(struct ide_drive *d)
{
  struct atapi *a = &d->atapi;
  for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++) {
    if (commands[i].code != a->packet[0])
      continue;
    if (a->attention && !(commands[i].flags & PASSES_ATTENTION)) {
      a->attention = false;
      atapi_check(d, ATTENTION, a->att_asc, a->att_ascq);
    } else if ((commands[i].flags & NEEDS_MEDIUM) && !medium(d)) {
      atapi_check(d, NOT_READY, 0x3a, a->tray_open ? 2 : 1);
    } else {
      commands[i].run(d);
    }
    return;
  }
  atapi_check(d, ILLEGAL, 0x20, 0); // no such command
}

bool ide_change_medium(struct ide_drive *d, struct blockdev *blk, bool force, struct err *e)
{
  struct atapi *a = &d->atapi;
  if (d->kind != IDE_CD)
    return err_set(e, "this drive's medium cannot be changed: it is not a CD drive");
  if (a->locked && !force)
    return err_set(e, "the guest has locked the CD drive; eject it in the guest, or force it");
  if (d->blk)
    d->blk->attached = false;
  d->blk = blk;
  a->tray_open = false;
  a->event = blk ? EVENT_NEW : EVENT_REMOVED;
  if (blk) {
    blk->attached = true;
    a->attention = true;
    a->att_asc = 0x28;
    a->att_ascq = 0;
  }
  return true;
}
