// RAM: how many cells there are and where they appear.
//
// Cells 0 .. low_size are the RAM below 4 GB, then come those above; behind them lie the cells of ROMs and
// of video memory. Physical A0000h to FFFFFh belongs to the video adapter and to the host bridge.
#include "machine/machine.h"

#define MB      (1ull << 20)
#define GB      (1ull << 30)
#define LOW_MAX (0xe0000000ull)
#define LOW_WITH_HIGH                                                                                        \
  (0xc0000000ull)              // with more RAM than LOW_MAX: as much room for devices as QEMU's board leaves
#define OTHER_CELLS (288 * MB) // ROMs, video memory: address space only

bool memory_init(struct machine *m, struct err *e)
{
  uint64_t size = m->config->ram_size;
  if (!ram_init(&m->ram, size + OTHER_CELLS, e))
    return false;
  if (!bus_init(&m->bus, &m->ram, &m->log))
    return err_set(e, "out of memory");
  m->low_size = size < LOW_MAX ? size : LOW_WITH_HIGH;
  m->high_size = size - m->low_size;
  m->low_off = ram_alloc(&m->ram, m->low_size);
  m->high_off = m->high_size ? ram_alloc(&m->ram, m->high_size) : RAM_NONE;
  bus_begin(&m->bus);
  bus_map_ram(&m->bus, &m->low_region[0], "ram-640k", 0, 0xa0000, m->low_off, 0, false);
  bus_map_ram(&m->bus, &m->low_region[1], "ram-low", MB, m->low_size - MB, m->low_off + MB, 0, false);
  if (m->high_size)
    bus_map_ram(&m->bus, &m->high_region, "ram-high", 4 * GB, m->high_size, m->high_off, 0, false);
  bus_commit(&m->bus);
  return true;
}
