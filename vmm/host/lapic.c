// See lapic.h.
#include "host/lapic.h"

#include "host/acpi.h"
#include "host/print.h"
#include "host/x86.h"

enum {
  ID = 0x20,
  TPR = 0x80,
  EOI = 0xb0,
  SVR = 0xf0,
  ICR_LO = 0x300,
  ICR_HI = 0x310,
  LVT_TIMER = 0x320,
  LVT_LINT0 = 0x350,
  LVT_LINT1 = 0x360,
  TIMER_INITIAL = 0x380,
  TIMER_CURRENT = 0x390,
  TIMER_DIVIDE = 0x3e0
};
enum {
  MASKED = 1 << 16,
  DELIVERY_PENDING = 1 << 12,
  LEVEL_ASSERT = 1 << 14,
  INIT = 5 << 8,
  STARTUP = 6 << 8,
  NMI = 4 << 8
};

static uint64_t base, tsc_per_second, timer_per_second;
static volatile uint32_t *ioapic;
static uint32_t first_gsi, pins;

static uint32_t get(unsigned reg)
{
  return *(volatile uint32_t *)ptr(base + reg);
}

static void set(unsigned reg, uint32_t v)
{
  *(volatile uint32_t *)ptr(base + reg) = v;
}

uint64_t tsc_hz(void)
{
  return tsc_per_second;
}

uint32_t lapic_id(void)
{
  return get(ID) >> 24;
}

void lapic_eoi(void)
{
  set(EOI, 0);
}

void lapic_init(void)
{
  enum { ENABLE = 1 << 11, X2APIC = 1 << 10 };
  uint64_t msr = rdmsr(MSR_APIC_BASE);
  if (msr & X2APIC)
    fatal("the firmware left the local APIC in x2APIC mode");
  base = msr & PTE_ADDR;
  wrmsr(MSR_APIC_BASE, msr | ENABLE);
  set(TPR, 0);
  set(SVR, 0x100 | VECTOR_SPURIOUS);
  set(LVT_LINT0, MASKED);
  set(LVT_LINT1, NMI);
  set(TIMER_DIVIDE, 0xb); // by 1
  set(LVT_TIMER, VECTOR_TIMER);
  set(TIMER_INITIAL, 0);
}

// Counter 2 of the 8254 counts 1/100 s in mode 0; its output shows in bit 5 of port 61h.
void lapic_calibrate(void)
{
  enum { HZ = 1193182, COUNT = HZ / 100 };
  out8(0x61, (in8(0x61) & 0xfc) | 1);
  out8(0x43, 0xb0);
  out8(0x42, COUNT & 0xff);
  set(TIMER_INITIAL, UINT32_MAX);
  uint64_t start = rdtsc();
  out8(0x42, COUNT >> 8);
  while (!(in8(0x61) & 0x20))
    ;
  uint64_t ticks = UINT32_MAX - get(TIMER_CURRENT);
  tsc_per_second = (rdtsc() - start) * 100;
  timer_per_second = ticks * 100;
  set(TIMER_INITIAL, 0);
  out8(0x61, in8(0x61) & 0xfc);
}

void lapic_timer(uint64_t tsc)
{
  uint64_t now = rdtsc(), count = 0;
  if (tsc <= now)
    count = 1;
  else if (tsc != UINT64_MAX)
    count = tsc - now > tsc_per_second ? timer_per_second
                                       : mul_div(tsc - now, timer_per_second, tsc_per_second) + 1;
  set(TIMER_INITIAL, count > UINT32_MAX ? UINT32_MAX : (uint32_t)count);
}

static void icr(uint32_t apic_id, uint32_t command)
{
  set(ICR_HI, apic_id << 24);
  set(ICR_LO, command);
  while (get(ICR_LO) & DELIVERY_PENDING)
    cpu_pause();
}

void lapic_send(uint32_t apic_id, uint8_t vector)
{
  icr(apic_id, vector | LEVEL_ASSERT);
}

void delay_us(unsigned us)
{
  uint64_t end = rdtsc() + tsc_per_second / 1000000 * us;
  while (rdtsc() < end)
    cpu_pause();
}

void lapic_start_ap(uint32_t apic_id)
{
  icr(apic_id, INIT | LEVEL_ASSERT);
  delay_us(10000);
  for (unsigned i = 0; i < 2; i++) {
    icr(apic_id, STARTUP | LEVEL_ASSERT | 0x08);
    delay_us(200);
  }
}

static void pin(uint32_t n, uint32_t hi, uint32_t lo)
{
  ioapic[0] = 0x10 + n * 2;
  ioapic[4] = MASKED;
  ioapic[0] = 0x11 + n * 2;
  ioapic[4] = hi;
  ioapic[0] = 0x10 + n * 2;
  ioapic[4] = lo;
}

void ioapic_init(const struct acpi *a)
{
  ioapic = ptr(a->ioapic);
  first_gsi = a->ioapic_gsi;
  ioapic[0] = 1;
  pins = (ioapic[4] >> 16 & 0xff) + 1;
  for (uint32_t i = 0; i < pins; i++)
    pin(i, 0, MASKED);
}

void ioapic_route(uint32_t gsi, uint8_t vector, uint32_t apic_id, uint16_t flags, bool masked)
{
  if (gsi < first_gsi || gsi - first_gsi >= pins)
    return;
  bool low = (flags & 3) == 3, level = (flags >> 2 & 3) == 3;
  pin(gsi - first_gsi, apic_id << 24,
      vector | (uint32_t)low << 13 | (uint32_t)level << 15 | (masked ? MASKED : 0));
}

void ioapic_mask(uint32_t gsi, bool masked)
{
  if (gsi < first_gsi || gsi - first_gsi >= pins)
    return;
  ioapic[0] = 0x10 + (gsi - first_gsi) * 2;
  ioapic[4] = (ioapic[4] & ~(uint32_t)MASKED) | (masked ? MASKED : 0);
}
