// What the board chooses by itself. See board.h.
#include "firmware/board.h"

#include "firmware/bytes.h"

#define GB 0x40000000ull

struct board_chain board_chain(unsigned node)
{
  return (struct board_chain){.node = (uint8_t)node,
                              .first_bus = (uint8_t)(node * BOARD_CHAIN_BUSES),
                              .last_bus = (uint8_t)(node * BOARD_CHAIN_BUSES + BOARD_CHAIN_BUSES - 1),
                              .mem_base = BOARD_CHAIN_MEM + (node - 1) * BOARD_CHAIN_MEM_ONE,
                              .mem_size = BOARD_CHAIN_MEM_ONE,
                              .io_base = BOARD_CHAIN_IO + (node - 1) * BOARD_CHAIN_IO_ONE,
                              .io_size = BOARD_CHAIN_IO_ONE};
}

void board_default_pci64(struct board *b)
{
  b->pci64_base = align_up(4 * GB + b->ram_above_4g, 32 * GB);
  b->pci64_size = 64 * GB;
}
