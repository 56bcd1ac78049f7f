// EVENTINJ delivers an event of each type before the first instruction, whatever masks or intercepts it; an
// event that cannot be is VMEXIT_INVALID. APM2 15.20.
#include "svm.h"

static struct vmcb *v;
static struct frame seen;
static volatile unsigned events;

static void on_event(struct frame *f)
{
  if (!events++)
    seen = *f;
}
CODE(32, code32, "vmmcall");
extern uint8_t body_at[];
static void body(void)
{
  asm volatile(".globl body_at; body_at: nop; nop; vmmcall");
}

static void inject(uint64_t event)
{
  events = 0;
  vmcb_entry(v, (void (*)(void))body_at);
  v->rflags = 2;
  v->nrip = v->rip + 1;
  v->eventinj = event | EV_VALID;
  v->exitintinfo = 0;
  if (run(v) != X_VMMCALL)
    fail(HERE, "an event", v->exitcode, event);
  CHECK_EQ(events, 1);
  CHECK_EQ(v->exitintinfo & EV_VALID, 0);
}

static void refused(uint64_t event)
{
  events = 0;
  vmcb_entry(v, (void (*)(void))body_at);
  v->eventinj = event | EV_VALID;
  if (run(v) != X_INVALID || events)
    fail(HERE, "an event that cannot be", v->exitcode, event);
}

static volatile unsigned order;
static void on_nested_nmi(struct frame *f)
{
  order = order << 4 | 1;
  if (order == 1)
    send_nmi(); // comes at once, as the injected one does not hold it back
  asm volatile("nop; nop");
  order = order << 4 | 2;
}

static void on_bad(struct frame *f)
{
  seen = *f;
  vmmcall();
}

void test(void)
{
  svm_on();
  v = vmcb_new();
  for (unsigned i = 0; i < 256; i++)
    handler[i] = on_event;
  // nothing masks or intercepts it
  v->exceptions = ~0u;
  intercept(v, X_SWINT);
  intercept(v, X_NMI);
  intercept(v, X_INTR);
  inject(EV_INTR | 0x41);
  CHECK_EQ(seen.vector, 0x41);
  CHECK_EQ(seen.ip, body_at);
  inject(EV_INTR | 0xff);
  CHECK_EQ(seen.vector, 0xff);
  inject(EV_INTR | 6); // any vector
  CHECK_EQ(seen.vector, 6);
  inject(EV_NMI | 0x77); // the vector is ignored
  CHECK_EQ(seen.vector, NMI);
  CHECK_EQ(seen.ip, body_at);
  inject(EV_EXCEPTION | UD);
  CHECK_EQ(seen.vector, UD);
  CHECK_EQ(seen.ip, body_at);
  inject(EV_EXCEPTION | GP | EV_ERROR | EV_CODE(0x1234));
  CHECK_EQ(seen.vector, GP);
  CHECK_EQ(seen.error, 0x1234);
  v->cr2 = 0xabc000;
  inject(EV_EXCEPTION | PF | EV_ERROR | EV_CODE(7));
  CHECK_EQ(seen.error, 7);
  CHECK_EQ(v->cr2, 0xabc000); // is the hypervisor's to set
  CHECK(!(seen.flags & 0x200));
  if (svm_has(SVM_NRIP)) { // the trap-like ones come back behind the instruction
    inject(EV_SOFT | 0x50);
    CHECK_EQ(seen.vector, 0x50);
    CHECK_EQ(seen.ip, body_at + 1);
    inject(EV_EXCEPTION | BP);
    CHECK_EQ(seen.vector, BP);
    CHECK_EQ(seen.ip, body_at + 1);
  }
  // the gate's privilege counts for INT n and INT3, not for the others
  v->cpl = 3;
  v->cs = (struct vseg){.selector = U_CODE, .attrib = 0xafb, .limit = ~0u};
  v->ss = (struct vseg){.selector = U_DATA, .attrib = 0xcf3, .limit = ~0u};
  handler[GP] = on_bad;
  handler[0x50] = on_bad;
  vmcb_entry(v, body);
  struct vmcb at3 = *v;
  v->eventinj = EV_VALID | EV_SOFT | 0x50;
  CHECK_EQ(run(v), X_EXCP + GP); // a second fault is intercepted
  CHECK_EQ(v->exitinfo1, 0x50 * 8 + 2);
  CHECK_EQ(v->exitintinfo, EV_VALID | EV_SOFT | 0x50);
  *v = at3;
  v->eventinj = EV_VALID | EV_EXCEPTION | BP;
  CHECK_EQ(run(v), X_EXCP + GP);
  CHECK_EQ(v->exitinfo1 & ~1ull, BP * 8 + 2);
  *v = at3;
  v->eventinj = EV_VALID | EV_INTR | 0x50;
  CHECK_EQ(run(v), X_VMMCALL);
  CHECK_EQ(seen.cs, U_CODE);
  handler[GP] = handler[0x50] = on_event;
  // what cannot be
  v = vmcb_new();
  static const uint16_t bad[] = {0x100, 0x141, 0x500, 0x600, 0x700, 0x706};
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
    refused(bad[i]);
  refused(EV_EXCEPTION | NMI);
  refused(EV_EXCEPTION | 15);
  refused(EV_EXCEPTION | 31);
  refused(EV_EXCEPTION | 32);
  refused(EV_EXCEPTION | 255);
  refused(EV_EXCEPTION | BR); // there is no BOUND in 64-bit mode
  inject(EV_INTR | 0x41);     // a refused one leaves nothing behind
  for (unsigned vector = OF; vector <= BR;
       vector++) { // in 32-bit code they can be; here there is no vector for them
    struct vmcb *w = vmcb_new();
    vmcb_protected32(w, code32);
    w->exceptions = 1 << GP;
    w->nrip = w->rip;
    w->eventinj = EV_VALID | EV_EXCEPTION | vector;
    CHECK_EQ(run(w), X_EXCP + GP);
    CHECK_EQ(w->exitintinfo & 0xffffffff, EV_VALID | EV_EXCEPTION | vector);
  }
  // without V nothing comes
  events = 0;
  vmcb_entry(v, body);
  v->eventinj = EV_EXCEPTION | UD;
  CHECK_EQ(run(v), X_VMMCALL);
  CHECK_EQ(events, 0);
  // an injected NMI does not block the next one
  lapic_on();
  handler[NMI] = on_nested_nmi;
  vmcb_entry(v, body);
  v->eventinj = EV_VALID | EV_NMI;
  CHECK_EQ(run(v), X_VMMCALL);
  CHECK_EQ(order, 0x1122);
}
