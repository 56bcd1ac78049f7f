// What a BIOS leaves behind, for kernels that start without one: memory types and local APICs as virtual
// wires here, the chips by firmware/post.c.
#include "machine/machine.h"

#include "cpu/fpu.h"
#include "cpu/lapic.h"
#include "cpu/msr.h"
#include "cpu/smm.h"
#include "device/vga.h"
#include "firmware/post.h"
#include "machine/devices.h"

// BKDG: RAM is write-back by default; what is not RAM below 4 GB is uncached.
static void memory_types(const struct machine *m, struct cpu *c)
{
  static const uint32_t fixed[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
                                   0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
  enum { WB = 6, WP = 5, UC = 0 };
  for (unsigned i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
    uint64_t type = i < 2 ? WB : i == 2 ? UC : WP; // 0 to 9FFFF, A0000 to BFFFF, C0000 to FFFFF
    msr_write(c, fixed[i], type * 0x0101010101010101ull);
  }
  // From the end of RAM to 4 GB, in at most two pieces of a power of two.
  unsigned n = 0;
  for (uint64_t base = m->low_size <= 0x80000000u   ? 0x80000000u
                       : m->low_size <= 0xc0000000u ? 0xc0000000u
                                                    : 0xe0000000u;
       base < 1ull << 32 && n < 4; n++) {
    uint64_t size = base & -base;
    msr_write(c, MSR_MTRR_BASE0 + 2 * n, base | UC);
    msr_write(c, MSR_MTRR_BASE0 + 2 * n + 1, (c->phys_mask & ~(size - 1)) | 1u << 11);
    base += size;
  }
  msr_write(c, MSR_MTRR_DEF_TYPE, 0xc00 | WB);
  msr_write(c, MSR_TOP_MEM, m->low_size);
  if (m->high_size)
    msr_write(c, MSR_TOP_MEM2, (1ull << 32) + m->high_size);
  msr_write(c, MSR_SYSCFG,
            SYSCFG_MTRR_VAR_DRAM_EN | (m->high_size ? SYSCFG_TOM2_EN | SYSCFG_TOM2_FORCE_WB : 0));
}

// ExtINT comes through LINT0 and NMI through LINT1, as the MP specification's virtual wire mode has it.
static void virtual_wire(struct cpu *c)
{
  enum { SVR = 0xf0, LINT0 = 0x350, LINT1 = 0x360 };
  lapic_mmio_write(c, SVR, 4, 0x1ff);
  lapic_mmio_write(c, LINT0, 4, c->bsp ? 0x700 : 0x10700);
  lapic_mmio_write(c, LINT1, 4, 0x400);
}

// A handler that does nothing, in SMRAM: an SMI from an APIC must find one. Save areas 1 KB apart.
static void management_mode(struct machine *m, struct cpu *c)
{
  static const uint8_t rsm[] = {0x0f, 0xaa};
  uint32_t base = 0xa0000 + c->index * 0x400;
  ram_write(&m->ram, m->low_off + base + 0x8000, rsm, sizeof rsm);
  msr_write(c, MSR_SMM_BASE, base);
  msr_write(c, MSR_SMM_MASK, SMM_AVALID | 6 << 8); // write-back
}

void pc_setup(struct machine *m)
{
  post_run(&m->bus, &m->board);
  if (machine_vga(m))
    vga_set_text_mode(machine_vga(m));
  for (unsigned i = 0; i < m->cpus; i++) {
    memory_types(m, m->cpu[i]);
    virtual_wire(m->cpu[i]);
    fpu_init(m->cpu[i]);
    management_mode(m, m->cpu[i]);
  }
}
