// The other processors are in INIT during the launch; on SIPI they come up with GIF = 0 and VM_CR hardened.
// One that was not in INIT goes on untouched.
#include "launch.h"

static volatile unsigned turns, nmis, started;
static volatile uint32_t vm_cr;
static volatile bool open, taken_before_stgi;

static void on_nmi(struct frame *f)
{
  nmis++;
}

static void spin(void)
{
  for (;;)
    turns++;
}

static void note(void)
{
  vm_cr = (uint32_t)rdmsr(VM_CR);
  started++;
  while (!open)
    asm volatile("pause");
  taken_before_stgi = nmis != 0;
  wrmsr(EFER, rdmsr(EFER) | EFER_SVME);
  stgi();
  started++;
}

static void plain(void)
{
  vm_cr = (uint32_t)rdmsr(VM_CR);
  started++;
}

static void wait(volatile unsigned *what, unsigned value)
{
  for (unsigned i = 0; i < 1000000 && *what < value; i++)
    asm volatile("pause");
  CHECK(*what >= value);
}

void test(void)
{
  handler[NMI] = on_nmi;
  ap_start(1, spin);
  wait(&turns, 10);
  // Not in INIT: it runs on through a launch.
  launch((uint32_t)(word)slb_new(4, 64));
  unsigned now = turns;
  wait(&turns, now + 10);
  stgi();
  ap_start(1, plain);
  wait(&started, 1);
  CHECK_EQ(vm_cr & 7, 0);
  started = 0;
  // In INIT: marked by the launch.
  apic_write(A_SVR, 0x1ff);
  apic_write(A_ICR, 0x000c4500); // INIT to all but itself
  for (unsigned i = 0; i < 100000; i++)
    asm volatile("pause");
  launch((uint32_t)(word)slb_new(4, 64));
  ap_start(1, note);
  wait(&started, 1);
  CHECK_EQ(vm_cr & 7, DPD | R_INIT | DIS_A20M);
  apic_write(A_ICR2, 1 << 24);
  apic_write(A_ICR, 0x4400); // NMI
  for (unsigned i = 0; i < 100000; i++)
    asm volatile("pause");
  open = true;
  wait(&started, 2);
  CHECK(!taken_before_stgi);
  wait(&nmis, 1);
}
