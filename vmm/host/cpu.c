// GDT, IDT, TSS, and the start of the other CPUs. See cpu.h.
#include "host/cpu.h"

#include "host/acpi.h"
#include "host/lapic.h"
#include "host/memory.h"
#include "host/print.h"
#include "host/trap.h"
#include "svm/sched.h"
#include "svm/svm.h"

struct cpu cpus[CPUS];
unsigned cpu_count;

extern uint8_t ap_start[], ap_start_end[];
extern uint64_t ap_stack, ap_argument;

enum { CODE = 0x08, TSS = 0x18, STACK = 16384 };

static void load_tables(struct cpu *c)
{
  uint64_t tss = addr(c->tss);
  c->gdt[1] = 0x00af9b000000ffff;
  c->gdt[2] = 0x00cf93000000ffff;
  c->gdt[3] = 0x0000890000000067 | (tss & 0xffffff) << 16 | (tss >> 24 & 0xff) << 56;
  c->gdt[4] = tss >> 32;
  struct __attribute__((packed)) {
    uint16_t limit;
    uint64_t base;
  } gdtr = {sizeof c->gdt - 1, addr(c->gdt)};
  __asm__ volatile("lgdt %0; ltr %w1" : : "m"(gdtr), "r"(TSS));
  trap_load();
  __asm__ volatile("mov %0, %%fs; mov %0, %%gs" : : "r"(0));
  wrmsr(MSR_GS_BASE, addr(c));
  c->self = c;
}

static void init(struct cpu *c)
{
  load_tables(c);
  lapic_init();
  if (cpuid(1, 0).ecx >> 26 & 1) { // XSAVE
    write_cr4(read_cr4() | CR4_OSXSAVE);
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    c->xcr0 = lo | (uint64_t)hi << 32;
    struct cpuid all = cpuid(0xd, 0);
    c->xcr0_all = all.eax | (uint64_t)all.edx << 32;
  }
}

void cpu_init_first(const struct acpi *a)
{
  uint32_t mine = cpuid(1, 0).ebx >> 24;
  cpu_count = a->cpu_count < CPUS ? a->cpu_count : CPUS;
  for (unsigned i = 0; i < cpu_count; i++) {
    cpus[i].id = i;
    cpus[i].apic_id = a->cpu[i].apic_id;
    cpus[i].node = a->cpu[i].node;
  }
  for (unsigned i = 1; i < cpu_count; i++) // the one that boots is number 0
    if (cpus[i].apic_id == mine) {
      cpus[i].apic_id = cpus[0].apic_id;
      cpus[0].apic_id = mine;
      unsigned node = cpus[i].node;
      cpus[i].node = cpus[0].node;
      cpus[0].node = node;
    }
  trap_init();
  init(&cpus[0]);
  lapic_calibrate();
  cpus[0].up = true;
}

void cpu_main_ap(struct cpu *c);
void cpu_main_ap(struct cpu *c)
{
  init(c);
  svm_enable(c);
  c->up = true;
  sched_run(c, false);
}

void cpu_start_others(void)
{
  memcpy(ptr(0x8000), ap_start, (size_t)(ap_start_end - ap_start));
  for (unsigned i = 1; i < cpu_count; i++) {
    struct cpu *c = &cpus[i];
    ap_stack = memory_alloc(c->node, STACK, PAGE_SIZE, 4 * GB, false) + STACK;
    ap_argument = addr(c);
    lapic_start_ap(c->apic_id);
    for (unsigned ms = 0; ms < 1000 && !c->up; ms++)
      delay_us(1000);
    if (!c->up)
      print("vmm: cpu %u (APIC %u) does not start; guests on it are not started\n", i, c->apic_id);
  }
}

void cpu_kick(struct cpu *c)
{
  if (c != this_cpu() && c->up)
    lapic_send(c->apic_id, VECTOR_KICK);
}
