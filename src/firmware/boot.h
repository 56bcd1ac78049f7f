// Starting a system without BIOS: the loaders, what they are asked and what they answer.
//
// boot_load puts a kernel, its modules and the tables that it looks for into guest memory and says with
// which registers the bootstrap processor starts. The machine applies the answer to its CPU. After a
// reset of the guest the machine calls boot_load again. Nothing here knows a CPU or a device; memory is
// reached through struct guest_mem alone.
//
// Which loader takes a file is found out from its content, in this order: multiboot 1, multiboot 2, ELF
// with a PVH note, other ELF, Linux bzImage. A secure loader block is taken as one without a look.
#ifndef FIRMWARE_BOOT_H
#define FIRMWARE_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "firmware/board.h"
#include "firmware/e820.h"

// Guest-physical memory. data == NULL writes zeros. Returns false if any byte of the range is not RAM.
// E0000-FFFFF must be writable RAM here: the shadow that post_run opens.
struct guest_mem {
  bool (*write)(void *arg, uint64_t pa, const void *data, uint64_t len);
  void *arg;
};

struct acpi_image;

struct boot_request {
  const char *kernel;
  bool slb;           // it is a secure loader block, to be started by SKINIT
  const char *initrd; // QEMU's: one file; for multiboot "file arg,file2 arg2", a comma as ",,"; or NULL
  const char *append; // or NULL
  const struct board *board;
  const struct acpi_image *acpi; // NULL: no tables (then there is still the MP table)
  bool vga_text;                 // the machine has put the VGA adapter into mode 3 (80 x 25 text)
  const uint8_t *seed;           // bytes for Linux' random number generator, or NULL
  unsigned seed_len;
  struct guest_mem mem;
};

enum boot_mode { BOOT_PROTECTED32, BOOT_LONG64 };

// How the bootstrap processor starts. What is not listed is as after reset; interrupts are off. Segment
// registers are loaded from the descriptors given, which are also in the GDT in guest memory. Its local APIC
// is in virtual-wire mode, as a BIOS leaves it (MP Specification 1.4, section 3.6.2.2): SVR 10Fh, LINT0 700h
// (ExtINT), LINT1 400h (NMI). The chips are prepared by post_run (post.h).
struct boot_state {
  enum boot_mode mode;
  const char *kind; // "Linux bzImage", for messages
  uint64_t size;    // of the file, in bytes
  uint64_t rip;
  uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
  uint64_t rflags, cr0, cr3, cr4, efer;
  uint64_t gdt_base;
  uint16_t gdt_limit;
  uint16_t cs, ds, tr; // ds is for DS, ES, FS, GS and SS
  uint64_t cs_desc, ds_desc;
  uint64_t tr_desc; // a 32-bit TSS, busy, base 0, limit 67h
  struct e820 map;  // what the guest was told
};

bool boot_load(const struct boot_request *rq, struct boot_state *st, struct err *e);

// A guest_mem on the machine's RAM cells: RAM below 4 GB begins at RAM offset low_off, RAM above 4 GB at
// high_off. fresh: all cells are zero still, writing zeros costs nothing.
struct ram;
struct boot_ram {
  struct ram *ram;
  uint64_t low_off, low_size, high_off, high_size;
  bool fresh;
};
struct guest_mem boot_ram_mem(struct boot_ram *br);

#endif
