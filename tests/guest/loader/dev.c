// The Device Exclusion Vector of every node: BKDG 31116, F3xF0 to F3xF8_x7.
#include "../rt/config.h"
#include "slb.h"

enum { TABLE_SIZE = 0x20000, MAX_NODES = 8 };
enum { BASE_LO, BASE_HI, MAP, CAP, CR };
enum { VALID = 1, PROTECT = 2, ENABLE = 1, INVALIDATE = 16 };

static void set(unsigned node, unsigned fn, unsigned index, uint32_t v)
{
  config_write(0, 0x18 + node, 3, 0xf4, fn << 8 | index);
  config_write(0, 0x18 + node, 3, 0xf8, v);
}

static uint32_t get(unsigned node, unsigned fn)
{
  config_write(0, 0x18 + node, 3, 0xf4, fn << 8);
  return config_read(0, 0x18 + node, 3, 0xf8);
}

static bool excluded(uint32_t page, const struct range *r, unsigned n, uint32_t table)
{
  uint32_t a = page << 12, last = a + 0xfff;
  if (last >= table && a < table + TABLE_SIZE)
    return true;
  for (unsigned i = 0; i < n; i++) {
    if (last >= r[i].start && a < r[i].end)
      return true;
  }
  return false;
}

static uint8_t byte(uint32_t i, const struct range *r, unsigned n, uint32_t table)
{
  uint8_t v = 0;
  for (unsigned k = 0; k < 8; k++)
    v |= (uint8_t)(excluded(i * 8 + k, r, n, table) << k);
  return v;
}

bool dev_protect(uint8_t *table, const struct range *r, unsigned n)
{
  unsigned nodes = (config_read(0, 0x18, 0, 0x60) >> 4 & 7) + 1;
  for (uint32_t i = 0; i < TABLE_SIZE; i++)
    table[i] = byte(i, r, n, (uint32_t)table);
  for (unsigned node = 0; node < nodes; node++) {
    unsigned maps = get(node, CAP) >> 16 & 0xff;
    for (unsigned i = 0; i < maps; i++) // every unit is in domain 0
      set(node, MAP, i, 0);
    set(node, BASE_HI, 0, 0);
    set(node, BASE_LO, 0, (uint32_t)table | VALID | PROTECT);
    // SL_DEV stays as it is until the table stands everywhere.
    set(node, CR, 0, get(node, CR) | ENABLE | INVALIDATE);
    while (get(node, CR) & INVALIDATE)
      ;
  }
  // Until now the table itself stood open. From now on it does not.
  for (uint32_t i = 0; i < TABLE_SIZE; i++) {
    if (table[i] != byte(i, r, n, (uint32_t)table))
      return false;
  }
  for (unsigned node = 0; node < nodes; node++)
    set(node, CR, 0, ENABLE | INVALIDATE);
  return true;
}
