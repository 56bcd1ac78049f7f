// What the tables say about the board: processors, nodes, memory, PCI windows.
//
// The machine fills this in once; the ACPI tables, the MP table, SMBIOS and the memory maps are all made
// from it, so they cannot disagree. Fixed addresses of the board (I/O APIC, HPET, power management) are
// constants here because the ASL names them too.
#ifndef FIRMWARE_BOARD_H
#define FIRMWARE_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOARD_CPUS   64
#define BOARD_NODES  8
#define BOARD_RANGES 32
#define BOARD_TABLES 8

#define BOARD_LAPIC     0xfee00000u
#define BOARD_IOAPIC    0xfec00000u
#define BOARD_HPET      0xfed00000u
#define BOARD_TPM       0xfed40000u
#define BOARD_PM_BASE   0x600u  // PM1a event block; control at +4, timer at +8
#define BOARD_GPE0      0xafe0u // 4 bytes
#define BOARD_SMI_CMD   0xb2u
#define BOARD_SCI       9
#define BOARD_PCI32_END 0xfec00000u // the 32-bit window ends where the I/O APIC begins

enum board_tpm { BOARD_TPM_NONE, BOARD_TPM_1_2, BOARD_TPM_FIFO, BOARD_TPM_CRB }; // the last two: TPM 2.0

struct board_cpu {
  uint8_t apic_id;
  uint8_t node;
};

struct board_range {
  uint64_t base, size;
  uint8_t node;
};

// What firmware gives to the I/O chain of a node other than 0, whose devices are on a bus of their own:
// buses, memory and ports. Node 0's chain has the rest.
#define BOARD_CHAIN_BUSES   0x20u
#define BOARD_CHAIN_MEM     0xe0000000u
#define BOARD_CHAIN_MEM_ONE 0x02000000u
#define BOARD_CHAIN_MEM_END (BOARD_CHAIN_MEM + (BOARD_NODES - 1) * BOARD_CHAIN_MEM_ONE)
#define BOARD_CHAIN_IO      0x3000u
#define BOARD_CHAIN_IO_ONE  0x1000u
#define BOARD_CHAIN_IO_END  (BOARD_CHAIN_IO + (BOARD_NODES - 1) * BOARD_CHAIN_IO_ONE)

struct board_chain {
  uint8_t node, first_bus, last_bus;
  uint32_t mem_base, mem_size, io_base, io_size;
};

// A further ACPI table, whole: signature and length are its own, the checksum is made anew.
struct board_table {
  const void *data;
  size_t len;
};

struct board {
  uint64_t ram_below_4g; // RAM at 0, including what the 640 KB hole hides
  uint64_t ram_above_4g; // RAM at 4 GB
  unsigned cpus;         // cpu[0] is the bootstrap processor
  struct board_cpu cpu[BOARD_CPUS];
  unsigned nodes;  // 1..8; SRAT and SLIT are made if there is more than one
  unsigned ranges; // memory by node
  struct board_range range[BOARD_RANGES];
  uint8_t distance[BOARD_NODES][BOARD_NODES]; // for SLIT; 0: 10 to itself, 20 to others
  unsigned chains;                            // that have devices, besides node 0's
  struct board_chain chain[BOARD_NODES];
  uint64_t pci64_base, pci64_size; // window for 64-bit BARs; size 0: none
  bool no_hpet;
  enum board_tpm tpm;
  unsigned tables;
  struct board_table table[BOARD_TABLES];
};

// The chain of a node, 1 to BOARD_NODES - 1.
struct board_chain board_chain(unsigned node);
// The window that the board uses when the machine has no wish of its own: 64 GB above RAM.
void board_default_pci64(struct board *b);

#endif
