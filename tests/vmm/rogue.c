// A guest that breaks out: by the device pacifica-dma, which it was given, it writes at every page that is
// not its own, from 0 to the end that `to=` names, or only in `from=` to `to=`, and as often as `times=` says
// (all hexadecimal). docs/pacifica-dma.md has the registers.
#include "bare.h"

enum { COMMAND = 1, STATUS, DEST = 6, LENGTH = 8, DATA = 10, WRITE = 6, BUSY = 1, ABORT = 4, PAGE = 4096 };

static uint32_t config_read(unsigned slot, unsigned reg)
{
  out32(0xcf8, 1u << 31 | slot << 11 | reg);
  return in32(0xcfc);
}

static bool own(const struct multiboot *info, uint32_t page)
{
  for (uint32_t at = info->mmap_addr; at < info->mmap_addr + info->mmap_length;) {
    const struct mmap *m = (const void *)(uintptr_t)at;
    if (m->base >= 0x100000 && page >= m->base && page < m->base + m->length)
      return true;
    at += m->size + 4;
  }
  return false;
}

static bool writes(volatile uint32_t *reg, uint32_t to)
{
  reg[DEST] = to;
  reg[DEST + 1] = 0;
  reg[LENGTH] = 4;
  reg[DATA] = 0x0bad0bad;
  reg[COMMAND] = WRITE;
  while (reg[STATUS] & BUSY)
    ;
  return !(reg[STATUS] & ABORT);
}

void run(const struct multiboot *info)
{
  unsigned slot = 1;
  while (slot < 9 && config_read(slot, 0) != 0x50441234)
    slot++;
  if (slot == 9) {
    say("rogue: no device\n");
    off();
  }
  out32(0xcf8, 1u << 31 | slot << 11 | 4);
  out32(0xcfc, 6); // memory, bus master
  volatile uint32_t *reg = (volatile uint32_t *)(uintptr_t)(config_read(slot, 0x10) & ~15u);
  uint32_t mine = 0;
  for (uint32_t at = 0; !mine && at < 0xe0000000; at += PAGE)
    mine = own(info, at) ? at + 0x200000 : 0;
  say(writes(reg, mine) && *(volatile uint32_t *)(uintptr_t)mine == 0x0bad0bad
          ? "rogue: reaches its own memory\n"
          : "rogue: does not reach its own memory\n");
  uint32_t done = 0, refused = 0, to = argument(info, "to=", 0x40000000);
  for (uint32_t times = argument(info, "times=", 1); times; times--)
    for (uint32_t at = argument(info, "from=", 0); at < to; at += PAGE)
      if (!own(info, at))
        *(writes(reg, at + 0x800) ? &done : &refused) += 1;
  say("rogue: written ");
  say_hex(done);
  say(" refused ");
  say_hex(refused);
  say("\n");
  off();
}
