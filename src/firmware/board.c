// What the board chooses by itself. See board.h.
#include "firmware/board.h"

#include "firmware/bytes.h"

#define GB 0x40000000ull

void board_default_pci64(struct board *b)
{
  b->pci64_base = align_up(4 * GB + b->ram_above_4g, 32 * GB);
  b->pci64_size = 64 * GB;
}
