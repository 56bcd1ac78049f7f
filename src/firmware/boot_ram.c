// Guest memory on the machine's RAM cells. See boot.h.
#include "bus/ram.h"
#include "firmware/boot.h"

static bool fits(uint64_t off, uint64_t len, uint64_t size)
{
  return off <= size && len <= size - off;
}

static bool ram_mem_write(void *arg, uint64_t pa, const void *data, uint64_t len)
{
  static const uint8_t zeros[4096];
  struct boot_ram *br = arg;
  uint64_t at;
  if (fits(pa, len, br->low_size))
    at = br->low_off + pa;
  else if (pa >= 0x100000000ull && fits(pa - 0x100000000ull, len, br->high_size))
    at = br->high_off + (pa - 0x100000000ull);
  else
    return false;
  if (!fits(at, len, br->ram->size))
    return false;
  if (data) {
    ram_write(br->ram, at, data, len);
    return true;
  }
  if (br->fresh)
    return true;
  while (len) {
    uint64_t n = len < sizeof zeros ? len : sizeof zeros;
    ram_write(br->ram, at, zeros, n);
    at += n;
    len -= n;
  }
  return true;
}

struct guest_mem boot_ram_mem(struct boot_ram *br)
{
  return (struct guest_mem){ram_mem_write, br};
}
