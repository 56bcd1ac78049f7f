// The interrupt shadow of STI and MOV SS is saved when an exit falls into it, loaded by VMRUN, and holds back
// virtual and physical interrupts for one instruction. APM2 15.21.5.
#include "svm.h"

static struct vmcb *v;
static volatile unsigned order;
static uint64_t taken_at;

static void on_event(struct frame *f)
{
  order = order << 8 | f->vector;
  taken_at = f->ip;
  if (f->vector == 0x41)
    eoi();
}
extern uint8_t in_sti[], in_ss[], one[], two[];
static void g_sti(void)
{
  asm volatile("sti; .globl in_sti; in_sti: cpuid; nop; cli; vmmcall" ::: "rax", "rbx", "rcx", "rdx");
}
static void g_ss(void)
{
  asm volatile("mov %%ss, %%eax; mov %%eax, %%ss; .globl in_ss; in_ss: cpuid; nop; vmmcall" ::
                   : "rax", "rbx", "rcx", "rdx");
}
static void g_two(void)
{
  asm volatile(".globl one, two; one: nop; two: nop; vmmcall");
}

void test(void)
{
  svm_on();
  lapic_on();
  v = vmcb_new();
  handler[0x51] = handler[0x41] = on_event;
  // saved
  intercept(v, X_CPUID);
  v->shadow = 0;
  CHECK_EQ(guest(v, g_sti), X_CPUID);
  CHECK_EQ(v->rip, in_sti);
  CHECK_EQ(v->shadow & 1, 1);
  CHECK(v->rflags & 0x200);
  // restored: the instruction goes on in its shadow
  v->vintr = V_IRQ | V_PRIO(5) | V_VECTOR(0x51);
  pass_on(v, X_CPUID);
  CHECK_EQ(run(v), X_VMMCALL);
  CHECK_EQ(order, 0x51);
  CHECK_EQ(taken_at, in_sti + 2);
  CHECK_EQ(v->shadow & 1, 0);
  intercept(v, X_CPUID);
  v->vintr = 0;
  v->rflags = 0x202;
  CHECK_EQ(guest(v, g_ss), X_CPUID);
  CHECK_EQ(v->shadow & 1, 1);
  // skipped by the hypervisor: so is the shadow
  v->rip += 2;
  v->shadow = 0;
  v->vintr = V_IRQ | V_PRIO(5) | V_VECTOR(0x51);
  order = 0;
  CHECK_EQ(run(v), X_VMMCALL);
  CHECK_EQ(taken_at, in_ss + 2);
  // given by the hypervisor: for one instruction
  for (unsigned shadow = 0; shadow < 2; shadow++) {
    v->vintr = V_IRQ | V_PRIO(5) | V_VECTOR(0x51);
    v->rflags = 0x202;
    v->shadow = shadow;
    order = 0;
    CHECK_EQ(guest(v, g_two), X_VMMCALL);
    CHECK_EQ(order, 0x51);
    CHECK_EQ(taken_at, shadow ? two : one);
    CHECK_EQ(v->shadow & 1, 0);
  }
  // physical ones too, and their exits
  for (unsigned exits = 0; exits < 2; exits++)
    for (unsigned shadow = 0; shadow < 2; shadow++) {
      v->vintr = 0;
      v->rflags = 0x202;
      v->shadow = shadow;
      order = 0;
      if (exits)
        intercept(v, X_INTR);
      clgi();
      self_ipi(0x41);
      CHECK_EQ(guest(v, g_two), exits ? X_INTR : X_VMMCALL);
      if (exits)
        CHECK_EQ(v->rip, shadow ? two : one);
      else
        CHECK_EQ(taken_at, shadow ? two : one);
      asm volatile("sti; nop; cli");
      CHECK_EQ(order, 0x41);
    }
}
