// MWAIT exits with one code if the monitor is armed and with another if it is not; with the conditional
// intercept alone only where it would wait. APM2 15.9, table 15-7.
#include "svm.h"

static struct vmcb *v;
static volatile uint64_t line[8] __attribute__((aligned(64)));

extern uint8_t armed_at[], unarmed_at[];
static void g_armed(void)
{
  asm volatile("lea line(%%rip), %%rax; xor %%ecx, %%ecx; xor %%edx, %%edx; monitor; xor %%eax, %%eax;"
               ".globl armed_at; armed_at: mwait; vmmcall" ::
                   : "rax", "rcx", "rdx", "memory");
}
static void g_unarmed(void)
{
  asm volatile("lea line(%%rip), %%rax; xor %%ecx, %%ecx; xor %%edx, %%edx; monitor; incq (%%rax); mfence;"
               "xor %%eax, %%eax; .globl unarmed_at; unarmed_at: mwait; vmmcall" ::
                   : "rax", "rcx", "rdx", "memory");
}

static void exits(void (*fn)(void), unsigned which, uint64_t code, const uint8_t *at)
{
  pass_on(v, X_MWAIT);
  pass_on(v, X_MWAIT_ARMED);
  if (which & 1)
    intercept(v, X_MWAIT);
  if (which & 2)
    intercept(v, X_MWAIT_ARMED);
  CHECK_EQ(guest(v, fn), code);
  if (code != X_VMMCALL)
    CHECK_EQ(v->rip, at);
}

void test(void)
{
  uint32_t r[4];
  cpuid(1, 0, r);
  if (!(r[2] & 8)) {
    print("no MONITOR; ");
    return;
  }
  svm_on();
  v = vmcb_new();
  CHECK(line[0] == 0);
  exits(g_armed, 1, X_MWAIT, armed_at);
  exits(g_armed, 2, X_MWAIT_ARMED, armed_at);
  exits(g_armed, 3, X_MWAIT_ARMED, armed_at);
  exits(g_unarmed, 0, X_VMMCALL, 0);
  exits(g_unarmed, 1, X_MWAIT, unarmed_at);
  exits(g_unarmed, 2, X_VMMCALL, 0);
  exits(g_unarmed, 3, X_MWAIT, unarmed_at);
}
