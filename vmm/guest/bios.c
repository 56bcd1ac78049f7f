// See bios.h. INT 10h text, 11h, 12h, 13h disk, 15h memory, 16h keys, 19h, 1Ah ticks, and the timer's
// interrupt.
#include "guest/bios.h"

#include "guest/console.h"
#include "guest/load.h"
#include "svm/mmio.h"
#include "svm/vcpu.h"

enum { STUB = 4, BDA = 0x400, TICKS = BDA + 0x6c, SECTOR = 512, HEADS = 16, SECTORS = 63 };

void bios_install(struct guest *g)
{
  static const uint8_t stub[STUB] = {0x0f, 0x01, 0xd9, 0xcf}; // VMMCALL, IRET
  uint8_t *rom = guest_ptr(g, BIOS_BASE, 0x10000);
  uint16_t *table = guest_ptr(g, 0, 1024);
  memset(rom, 0xff, 0x10000);
  for (unsigned i = 0; i < 256; i++) {
    memcpy(rom + i * STUB, stub, STUB);
    table[i * 2] = (uint16_t)(i * STUB);
    table[i * 2 + 1] = BIOS_BASE >> 4;
  }
  uint8_t *bda = guest_ptr(g, BDA, 256);
  memset(bda, 0, 256);
  *(uint16_t *)bda = 0x3f8;
  *(uint16_t *)(bda + 0x0e) = LOW_END >> 4;
  *(uint16_t *)(bda + 0x13) = LOW_END / 1024;
  bda[0x49] = 3;
  bda[0x4a] = 80;
  bda[0x75] = 1;
}

// The caller's flags, which IRET will load, are the third word of the stack.
static uint16_t *flags(struct vcpu *v)
{
  const struct vmcb_save *s = &v->vmcb->save;
  uint16_t *f = guest_ptr(v->guest, s->ss.base + ((v->reg[RSP] + 4) & 0xffff), 2);
  static uint16_t nowhere;
  return f ? f : &nowhere;
}

static void carry(struct vcpu *v, bool set)
{
  uint16_t *f = flags(v);
  *f = (uint16_t)((*f & ~RFLAGS_CF) | (set ? RFLAGS_CF : 0));
}

static void set16(uint64_t *r, uint32_t value)
{
  *r = (*r & ~0xffffull) | (value & 0xffff);
}

static void set_ah(struct vcpu *v, uint8_t value)
{
  v->reg[RAX] = (v->reg[RAX] & ~0xff00ull) | (uint64_t)value << 8;
}

static void video(struct vcpu *v)
{
  switch (v->reg[RAX] >> 8 & 0xff) {
  case 0x0e:
    console_output(v->guest, (uint8_t)v->reg[RAX]);
    break;
  case 0x03:
    set16(&v->reg[RCX], 0x0607);
    set16(&v->reg[RDX], 0);
    break;
  case 0x0f:
    set16(&v->reg[RAX], 80 << 8 | 3);
    v->reg[RBX] &= ~0xff00ull;
    break;
  case 0x13:
    for (uint64_t i = 0; i < (v->reg[RCX] & 0xffff); i++) {
      const uint8_t *c = guest_ptr(v->guest, v->vmcb->save.es.base + ((v->reg[RBP] + i) & 0xffff), 1);
      if (c)
        console_output(v->guest, *c);
    }
    break;
  default:
    break;
  }
}

static uint8_t read_disk(struct vcpu *v, uint64_t lba, unsigned count, uint64_t to)
{
  enum { OK, BAD = 1, NOT_FOUND = 4 };
  const struct boot_disk *d = &v->guest->disk;
  uint64_t sectors = (d->size + SECTOR - 1) / SECTOR;
  if (lba >= sectors || count > sectors - lba)
    return NOT_FOUND;
  uint8_t *p = guest_ptr(v->guest, to, (uint64_t)count * SECTOR);
  if (!p)
    return BAD;
  uint64_t left = d->size - lba * SECTOR, n = (uint64_t)count * SECTOR;
  memset(p, 0, n);
  memcpy(p, ptr(d->at + lba * SECTOR), n < left ? n : left);
  return OK;
}

static void disk(struct vcpu *v)
{
  const struct boot_disk *d = &v->guest->disk;
  uint64_t sectors = (d->size + SECTOR - 1) / SECTOR, cylinders = sectors / (HEADS * SECTORS) + 1;
  uint32_t cx = v->reg[RCX] & 0xffff, dx = v->reg[RDX] & 0xffff;
  uint8_t status = 1;
  if ((dx & 0xff) == 0x80) {
    switch (v->reg[RAX] >> 8 & 0xff) {
    case 0x00:
      status = 0;
      break;
    case 0x02: {
      uint64_t lba =
          ((uint64_t)((cx >> 8) | (cx & 0xc0) << 2) * HEADS + (dx >> 8)) * SECTORS + (cx & 0x3f) - 1;
      status = read_disk(v, lba, v->reg[RAX] & 0xff, v->vmcb->save.es.base + (v->reg[RBX] & 0xffff));
      break;
    }
    case 0x08:
      cylinders = cylinders > 1023 ? 1023 : cylinders - 1;
      set16(&v->reg[RCX], (uint32_t)(cylinders << 8 | (cylinders >> 2 & 0xc0) | SECTORS));
      set16(&v->reg[RDX], (HEADS - 1) << 8 | 1);
      status = 0;
      break;
    case 0x41:
      if ((v->reg[RBX] & 0xffff) != 0x55aa)
        break;
      set16(&v->reg[RBX], 0xaa55);
      set16(&v->reg[RCX], 1);
      set_ah(v, 0x21);
      carry(v, false);
      return;
    case 0x42: {
      const uint8_t *p = guest_ptr(v->guest, v->vmcb->save.ds.base + (v->reg[RSI] & 0xffff), 16);
      if (!p)
        break;
      uint16_t count, offset, segment;
      uint64_t lba;
      memcpy(&count, p + 2, 2);
      memcpy(&offset, p + 4, 2);
      memcpy(&segment, p + 6, 2);
      memcpy(&lba, p + 8, 8);
      status = read_disk(v, lba, count, segment * 16u + offset);
      break;
    }
    default:
      break;
    }
  }
  set_ah(v, status);
  carry(v, status);
}

static void memory(struct vcpu *v)
{
  struct e820 map[8];
  unsigned n = load_e820(v->guest, map), i = (unsigned)v->reg[RBX];
  const struct slot *s = &v->guest->slot[0];
  uint64_t high = (s->size - MB) / KB;
  carry(v, false);
  switch (v->reg[RAX] & 0xffff) {
  case 0xe820: {
    uint8_t *to = guest_ptr(v->guest, v->vmcb->save.es.base + (v->reg[RDI] & 0xffff), sizeof *map);
    if ((uint32_t)v->reg[RDX] != 0x534d4150 || i >= n || !to)
      break;
    memcpy(to, &map[i], sizeof *map);
    v->reg[RAX] = 0x534d4150;
    v->reg[RBX] = i + 1 < n ? i + 1 : 0;
    v->reg[RCX] = sizeof *map;
    return;
  }
  case 0xe801:
    set16(&v->reg[RAX], (uint32_t)(high > 15 * KB ? 15 * KB : high));
    set16(&v->reg[RBX], (uint32_t)(high > 15 * KB ? (high - 15 * KB) / 64 : 0));
    set16(&v->reg[RCX], (uint32_t)v->reg[RAX]);
    set16(&v->reg[RDX], (uint32_t)v->reg[RBX]);
    return;
  case 0x2400:
  case 0x2401:
  case 0x2402:
  case 0x2403:
    set16(&v->reg[RAX], 1); // A20 is on
    return;
  default:
    if ((v->reg[RAX] >> 8 & 0xff) == 0x88) {
      set16(&v->reg[RAX], (uint32_t)(high > 0xffff ? 0xffff : high));
      return;
    }
  }
  set_ah(v, 0x86);
  carry(v, true);
}

// False: there is no key yet, so the call is made again when one came.
static bool keys(struct vcpu *v)
{
  struct guest *g = v->guest;
  unsigned function = v->reg[RAX] >> 8 & 0xef;
  uint16_t *f = flags(v);
  if (function > 1) {
    set16(&v->reg[RAX], 0);
    return true;
  }
  if (function == 1)
    *f = (uint16_t)((*f & ~RFLAGS_ZF) | (g->key_count ? 0 : RFLAGS_ZF));
  if (!g->key_count && function == 0) {
    v->vmcb->save.rflags |= RFLAGS_IF;
    v->halted = true;
    return false;
  }
  if (g->key_count)
    set16(&v->reg[RAX], g->keys[0]);
  if (function == 0)
    memmove(g->keys, g->keys + 1, --g->key_count);
  return true;
}

void bios_key(struct guest *g, uint8_t c)
{
  if (g->key_count == sizeof g->keys)
    return;
  g->keys[g->key_count++] = c;
  g->vcpu[0]->halted = false;
  vcpu_wake(g->vcpu[0]);
}

bool bios_call(struct vcpu *v)
{
  const struct vmcb_save *s = &v->vmcb->save;
  struct guest *g = v->guest;
  if (!g->config->boot[0] || vcpu_cr0(v) & CR0_PE || s->cs.base != BIOS_BASE || s->rip >= 256 * STUB ||
      s->rip % STUB)
    return false;
  unsigned vector = (unsigned)s->rip / STUB;
  uint32_t *ticks = guest_ptr(g, TICKS, 4);
  switch (vector) {
  case 0x08:
    ++*ticks;
    vpic_write(g, 0x20, 0x20);
    break;
  case 0x10:
    video(v);
    break;
  case 0x11:
    set16(&v->reg[RAX], 0x0221);
    break;
  case 0x12:
    set16(&v->reg[RAX], LOW_END / 1024);
    break;
  case 0x13:
    disk(v);
    break;
  case 0x15:
    memory(v);
    break;
  case 0x16:
    if (!keys(v))
      return true;
    break;
  case 0x18:
  case 0x19:
    guest_stop(v, "INT %xh: it has nothing more to start", vector);
    return true;
  case 0x1a:
    if (!(v->reg[RAX] >> 8 & 0xff)) {
      set16(&v->reg[RCX], *ticks >> 16);
      set16(&v->reg[RDX], *ticks);
      v->reg[RAX] &= ~0xffull;
    }
    carry(v, v->reg[RAX] >> 8 & 0xff);
    break;
  default:
    if (vector < 8) {
      guest_stop(v, "exception %u in real mode, and nobody to handle it", vector);
      return true;
    }
    if (vector < 0x10 || (vector >= 0x70 && vector < 0x78)) {
      if (vector >= 0x70)
        vpic_write(g, 0xa0, 0x20);
      vpic_write(g, 0x20, 0x20);
    }
  }
  vcpu_advance(v, 3);
  return true;
}
