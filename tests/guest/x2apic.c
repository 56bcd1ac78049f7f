// x2APIC mode: registers as MSRs, 32-bit ID, self IPI, the ways between the modes. APM2 16.11 to 16.13.
#include "rt.h"

enum {
  BASE = 0x1b,
  EN = 1 << 11,
  EXTD = 1 << 10,
  X_ID = 0x802,
  X_VERSION = 0x803,
  X_TPR = 0x808,
  X_EOI = 0x80b,
  X_LDR = 0x80d,
  X_SVR = 0x80f,
  X_ICR = 0x830,
  X_SELF = 0x83f
};

static volatile unsigned count;

static void on_ipi(struct frame *f)
{
  count++;
  wrmsr(X_EOI, 0);
}

void test(void)
{
  uint32_t r[4];
  cpuid(1, 0, r);
  CHECK(r[2] >> 21 & 1);
  uint64_t base = rdmsr(BASE);
  uint32_t id = apic_read(A_ID) >> 24;
  CHECK_EQ(TRY(rdmsr(X_ID)), GP); // not in xAPIC mode
  CHECK_EQ(TRY(wrmsr(BASE, (base & ~(uint64_t)EN) | EXTD)), GP);
  apic_write(A_SVR, 0x1ff);
  wrmsr(BASE, base | EXTD);
  CHECK_EQ(rdmsr(X_ID), id);
  CHECK_EQ(rdmsr(X_LDR), (id >> 4) << 16 | 1u << (id & 15));
  CHECK_EQ(rdmsr(X_SVR), 0x1ff);
  CHECK_EQ(TRY(wrmsr(X_ID, 1)), GP);      // read only
  CHECK_EQ(TRY(wrmsr(X_EOI, 1)), GP);     // only 0
  CHECK_EQ(TRY(rdmsr(X_EOI)), GP);        // write only
  CHECK_EQ(TRY(rdmsr(0x831)), GP);        // ICR is one register
  CHECK_EQ(TRY(rdmsr(0x80e)), GP);        // no DFR
  CHECK_EQ(TRY(wrmsr(X_TPR, 0x100)), GP); // reserved bits
  CHECK_EQ(TRY(wrmsr(X_SELF, 0x100)), GP);
  handler[0x71] = on_ipi;
  wrmsr(X_SELF, 0x71);
  CHECK_EQ(count, 0);
  sti();
  CHECK_EQ(count, 1);
  wrmsr(X_ICR, (uint64_t)id << 32 | 0x71); // physical
  asm volatile("nop");
  CHECK_EQ(count, 2);
  wrmsr(X_ICR, (uint64_t)rdmsr(X_LDR) << 32 | 0x871); // logical
  asm volatile("nop");
  CHECK_EQ(count, 3);
  wrmsr(X_TPR, 0x70);
  CHECK_EQ(read_cr8(), 7);
  wrmsr(X_SELF, 0x71);
  asm volatile("nop");
  CHECK_EQ(count, 3);
  wrmsr(X_TPR, 0);
  asm volatile("nop");
  CHECK_EQ(count, 4);
  cli();
  CHECK_EQ(TRY(wrmsr(BASE, base)), GP); // only over "off"
  wrmsr(BASE, base & ~(uint64_t)(EN | EXTD));
  CHECK_EQ(TRY(rdmsr(X_ID)), GP);
  CHECK_EQ(TRY(wrmsr(BASE, base | EXTD)), GP);
  wrmsr(BASE, base);
  CHECK_EQ(apic_read(A_SVR), 0xff); // as after reset
}
