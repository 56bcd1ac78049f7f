// What a secure loader finds: flat 32-bit protected mode, cleared registers, EAX the block, ESP its end,
// interrupts and GIF off, VM_CR hardened; x87 control and the MSRs of the rest are kept.
#include "launch.h"

enum { STAR = 0xc0000081, PAT = 0x277 };

static volatile unsigned nmis;

static void on_nmi(struct frame *f)
{
  nmis++;
}

void test(void)
{
  uint32_t id[4], slb = (uint32_t)(word)slb_new(0x123, 0x200);
  uint16_t control = 0x27f, control_after = 0;
  cpuid(1, 0, id);
  handler[NMI] = on_nmi;
  apic_write(A_SVR, 0x1ff);
  asm volatile("fldcw %0" ::"m"(control));
  wrmsr(STAR, 0x0123456789abcdef);
  write_cr4(read_cr4() | 1 << 3); // DE: a bit that INIT clears
  launch(slb | 0xabcd);           // the low 16 bits do not count
  CHECK_EQ(found.ax, slb);
  CHECK_EQ(found.dx, id[0]);
  CHECK_EQ(found.sp, slb + SLB_SIZE);
  CHECK_EQ(found.bx | found.cx | found.si | found.di | found.bp, 0);
  CHECK_EQ(found.ip, slb + 0x123 + 5);
  CHECK_EQ(found.flags & 0x3f7fd7, 2);
  CHECK_EQ(found.cr0 & 0x9fffffff, 0x11); // PE, ET; CD and NW as they were
  CHECK_EQ(found.cr3, 0);
  CHECK_EQ(found.cr4, 0);
  CHECK_EQ(found.efer_lo | found.efer_hi, 0);
  CHECK_EQ(found.cs, 0x08);
  CHECK_EQ(found.ss, 0x10);
  CHECK_EQ(found.ds | found.es | found.fs | found.gs, 0);
  CHECK_EQ(found.by_ds, 0x5ec0de);
  CHECK_EQ(found.by_ss, 0x5ec0de);
  CHECK_EQ(found.dr6, 0xffff0ff0);
  CHECK_EQ(found.dr7, 0x400);
  CHECK_EQ(found.vm_cr & 7, DPD | R_INIT | DIS_A20M);
  asm volatile("fnstcw %0" : "=m"(control_after));
  CHECK_EQ(control_after, control);
  CHECK_EQ(rdmsr(STAR), 0x0123456789abcdef);
  // GIF is 0: an NMI waits for STGI, which works without EFER.SVME.
  apic_write(A_SVR, 0x1ff);
  apic_write(A_ICR, 0x00040400); // NMI to itself
  for (unsigned i = 0; i < 1000; i++)
    asm volatile("pause");
  CHECK_EQ(nmis, 0);
  stgi();
  CHECK_EQ(nmis, 1);
  CHECK_EQ(rdmsr(VM_CR) & 7, DPD | R_INIT | DIS_A20M);
}
