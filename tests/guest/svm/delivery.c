// What happens while an event is on its way to its handler: intercepts are tested before faults combine,
// EXITINTINFO names the event that was being delivered, and EVENTINJ of the same value completes it.
// APM2 15.7.2, 15.7.3.
#include "svm.h"

#define VA 0x8000000000ull
static struct vmcb *v;
static uint64_t *own_idt;
static volatile unsigned taken;

static void g_gp(void)
{
  asm volatile("mov $0x7f8, %%eax; mov %%eax, %%ds" ::: "eax");
}
static volatile unsigned got;
static void g_try_gp(void)
{
  got = TRY(g_gp());
  vmmcall();
}
static void gate(unsigned vector, bool present, unsigned selector)
{
  idt_set(vector, idt_stub(vector), selector, present ? 0x8e : 0x0e, 0);
  own_idt[2 * vector] = idt[2 * vector];
  own_idt[2 * vector + 1] = idt[2 * vector + 1];
  idt_set(vector, idt_stub(vector), K_CODE, 0x8e, 0);
}

static void combine(void)
{
  const uint64_t first = EV_VALID | EV_EXCEPTION | GP | EV_ERROR | EV_CODE(0x7f8);
  gate(GP, false, K_CODE);
  // #GP, and its gate is not there: #NP
  v->exceptions = 1 << NP | 1 << DF;
  CHECK_EQ(guest(v, g_gp), X_EXCP + NP);
  CHECK_EQ(v->exitinfo1, GP * 8 + 3);
  CHECK_EQ(v->exitintinfo, first);
  // together they are a double fault
  v->exceptions = 1 << DF;
  CHECK_EQ(guest(v, g_gp), X_EXCP + DF);
  CHECK_EQ(v->exitintinfo, first);
  v->exceptions = 0;
  CHECK_EQ(guest(v, g_try_gp), X_VMMCALL);
  CHECK_EQ(got, DF);
  CHECK_EQ(last.error, 0);
  // #GP in the delivery of #GP: #DF; in whose delivery there is #NP
  gate(GP, true, 0x7f8);
  gate(DF, false, K_CODE);
  v->exceptions = 1 << NP;
  CHECK_EQ(guest(v, g_gp), X_EXCP + NP);
  CHECK_EQ(v->exitinfo1, DF * 8 + 3);
  CHECK_EQ(v->exitintinfo, EV_VALID | EV_EXCEPTION | DF | EV_ERROR);
  // three are a shutdown
  v->exceptions = 0;
  intercept(v, X_SHUTDOWN);
  CHECK_EQ(guest(v, g_gp), X_SHUTDOWN);
  gate(GP, true, K_CODE);
  gate(DF, true, K_CODE);
}

extern uint8_t at_int[], at_int3[], at_ud[], at_icebp[], at_irq[], at_nmi[];
static void g_int(void)
{
  asm volatile(".globl at_int; at_int: int $0x50; vmmcall");
}
static void g_int3(void)
{
  asm volatile(".globl at_int3; at_int3: int3; vmmcall");
}
static void g_ud(void)
{
  asm volatile(".globl at_ud; at_ud: ud2; vmmcall");
}
static void g_icebp(void)
{
  asm volatile(".globl at_icebp; at_icebp: .byte 0xf1; vmmcall");
}
static void g_irq(void)
{
  asm volatile("sti; nop; .globl at_irq; at_irq: vmmcall");
}
static void g_nmi(void)
{
  asm volatile(".globl at_nmi; at_nmi: vmmcall");
}
static void on_event(struct frame *f)
{
  taken = f->vector;
  if (f->vector == 0x41)
    eoi();
  if (f->vector == UD)
    f->ip += 2;
}

static const struct {
  void (*fn)(void);
  uint8_t *at;
  uint64_t info;
  unsigned length;
} rows[] = {
    {g_int, at_int, EV_SOFT | 0x50, 2},  {g_int3, at_int3, EV_EXCEPTION | BP, 1},
    {g_ud, at_ud, EV_EXCEPTION | UD, 0}, {g_icebp, at_icebp, EV_EXCEPTION | DB, 0},
    {g_irq, at_irq, EV_INTR | 0x41, 0},  {g_nmi, at_nmi, EV_NMI | NMI, 0},
};

static void pend(unsigned i)
{
  if (rows[i].fn == g_irq)
    self_ipi(0x41);
  if (rows[i].fn == g_nmi)
    send_nmi();
}

// The IDT's page is missing; the exit tells which event it was for. Then the page comes, and the event is
// injected.
static void interrupted(uint64_t code, uint64_t fault_at, void (*repair)(bool))
{
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    unsigned vector = rows[i].info & 0xff;
    repair(false);
    v->rflags = 2;
    vmcb_entry(v, rows[i].fn);
    clgi();
    pend(i);
    svm_switch((uint64_t)v, &regs);
    stgi();
    CHECK_EQ(v->exitcode, code);
    CHECK_EQ(v->exitinfo2, fault_at + vector * 16);
    CHECK_EQ(v->exitintinfo & 0xffffffff, EV_VALID | rows[i].info);
    CHECK_EQ(v->rip, rows[i].at);
    if (svm_has(SVM_NRIP))
      CHECK_EQ(v->nrip, 0);
    repair(true);
    if (rows[i].fn == g_icebp)
      continue; // cannot be injected as what it was (APM2 15.20)
    v->eventinj = v->exitintinfo;
    v->nrip = v->rip + rows[i].length;
    taken = NONE;
    CHECK_EQ(run(v), X_VMMCALL);
    CHECK_EQ(taken, vector);
    v->eventinj = 0;
  }
}

static void repair_page(bool there)
{
  map(VA, there ? (uint64_t)own_idt | PT_P | PT_W : 0);
  v->tlb_control = TLB_ALL;
}
static uint64_t *nested_entry;
static void repair_nested(bool there)
{
  *nested_entry = there ? (uint64_t)own_idt | PT_P | PT_W | PT_U : 0;
  v->tlb_control = TLB_ALL;
}

void test(void)
{
  svm_on();
  lapic_on();
  v = vmcb_new();
  own_idt = page_new();
  for (unsigned i = 0; i < 512; i++)
    own_idt[i] = idt[i];
  v->idtr.base = (uint64_t)own_idt;
  combine();
  handler[0x50] = handler[BP] = handler[UD] = handler[DB] = handler[0x41] = handler[NMI] = on_event;
  v = vmcb_new();
  v->idtr.base = VA;
  v->exceptions = 1 << PF;
  interrupted(X_EXCP + PF, VA, repair_page);
  if (!svm_has(SVM_NP))
    return;
  // the same with a guest-physical page that is missing
  const uint64_t gpa = 5ull << 30;
  map(VA, gpa | PT_P | PT_W);
  v->exceptions = 0;
  vmcb_nested(v);
  uint64_t *l3 = (uint64_t *)(*(uint64_t *)v->ncr3 & ~0xfffull), *l2 = page_new(), *l1 = page_new();
  l3[5] = (uint64_t)l2 | PT_P | PT_W | PT_U;
  l2[0] = (uint64_t)l1 | PT_P | PT_W | PT_U;
  nested_entry = l1;
  interrupted(X_NPF, gpa, repair_nested);
}
