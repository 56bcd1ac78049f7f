// Running a virtual CPU: timers, events into it, the world switch, and the exit to its handler.
#include "host/lapic.h"
#include "svm/exit.h"
#include "svm/svm.h"
#include "svm/vcpu.h"

void svm_world_switch(uint64_t reg[16], uint64_t vmcb, uint64_t host_vmcb);

enum { TYPE_INTR = 0, TYPE_NMI = 2, TYPE_EXCEPTION = 3, TYPE_SOFTWARE = 4 };

static void inject(struct vcpu *v, unsigned type, uint8_t vector)
{
  v->vmcb->control.eventinj = EVENTINJ_VALID | type << EVENTINJ_TYPE_SHIFT | vector;
}

// Two exceptions, one while the other was delivered: a double fault, or the second alone. APM2 8.2.9
static bool contributory(unsigned vector)
{
  return vector == V_DE || (vector >= V_TS && vector <= V_GP);
}

static void raise(struct vcpu *v, uint8_t vector, bool has_error, uint32_t error)
{
  uint64_t first = v->vmcb->control.eventinj;
  unsigned was = first & EVENTINJ_VECTOR, type = first >> EVENTINJ_TYPE_SHIFT & 7;
  if (first & EVENTINJ_VALID && type == TYPE_EXCEPTION) {
    if (was == V_DF) {
      guest_stop(v, "triple fault: exception %u while a double fault was delivered", vector);
      return;
    }
    if ((contributory(was) && contributory(vector)) ||
        (was == V_PF && (vector == V_PF || contributory(vector))))
      vector = V_DF, has_error = true, error = 0;
  }
  inject(v, TYPE_EXCEPTION, vector);
  if (has_error)
    v->vmcb->control.eventinj |= EVENTINJ_EV | (uint64_t)error << 32;
}

void vcpu_fault(struct vcpu *v, uint8_t vector)
{
  raise(v, vector, false, 0);
}

void vcpu_fault_error(struct vcpu *v, uint8_t vector, uint32_t error)
{
  raise(v, vector, v->vmcb->save.cr0 & CR0_PE, error); // real mode pushes none
}

void vcpu_page_fault(struct vcpu *v, uint64_t linear, uint32_t error)
{
  v->vmcb->save.cr2 = linear;
  raise(v, V_PF, true, error);
}

// An event whose delivery the exit cut short is delivered again, unless the instruction that causes it will
// run again anyway: INT n, INT3, INTO. APM2 15.7.2
static void take_back(struct vcpu *v)
{
  uint64_t info = v->vmcb->control.exitintinfo;
  unsigned type = info >> EVENTINJ_TYPE_SHIFT & 7, vector = info & EVENTINJ_VECTOR;
  v->vmcb->control.eventinj = 0;
  if (!(info & EVENTINJ_VALID) || type == TYPE_SOFTWARE)
    return;
  if (type == TYPE_EXCEPTION && (vector == V_BP || vector == V_OF))
    return;
  v->vmcb->control.eventinj = info;
}

static void update(struct vcpu *v)
{
  uint64_t now = rdtsc();
  vpit_update(v->guest, now);
  vrtc_update(v->guest, now);
  vlapic_update(v, now);
}

// The vector that v would take now if it let interrupts in, or -1; with `take` it is taken.
static int interrupt(struct vcpu *v, bool take)
{
  if (vlapic_takes_pic(v) && v->guest->pic.output)
    return take ? vpic_acknowledge(v->guest) : 0;
  int vector = vlapic_pending(v);
  if (vector >= 0 && take)
    vlapic_acknowledge(v, (uint8_t)vector);
  return vector;
}

void vcpu_nmi_stepped(struct vcpu *v)
{
  v->nmi_step = false;
  v->vmcb->save.dr6 &= ~DR6_BS;
  if (v->nmi_tf) // the guest steps itself
    vcpu_fault(v, V_DB);
}

// Whether the next NMI may come. One that waits for the IRET of the last: that is stepped over.
static bool nmi_open(struct vcpu *v)
{
  struct vmcb_save *s = &v->vmcb->save;
  if (v->nmi_inside && v->nmi_iret && s->rip != v->nmi_rip)
    v->nmi_inside = v->nmi_iret = false;
  if (v->nmi_inside && v->nmi_iret && !v->nmi_step) {
    v->nmi_step = true;
    v->nmi_tf = s->rflags & RFLAGS_TF;
    s->rflags |= RFLAGS_TF;
  }
  return !v->nmi_inside;
}

// What is waiting is delivered, or, if the guest is not open for it, an exit is asked for when it is.
static void deliver(struct vcpu *v)
{
  struct vmcb_control *c = &v->vmcb->control;
  bool busy = c->eventinj & EVENTINJ_VALID, shadow = c->interrupt_shadow & 1;
  c->vintr = VINTR_MASKING | v->lapic.tpr >> 4;
  c->intercepts[0] &= ~(1u << (VMEXIT_VINTR - 0x60));
  if (v->nmi && !busy && !shadow && nmi_open(v)) {
    inject(v, TYPE_NMI, V_NMI);
    c->intercepts[0] |= 1u << (VMEXIT_IRET - 0x60); // its end
    v->nmi--;
    v->nmi_inside = true;
    busy = true;
  }
  if (interrupt(v, false) < 0)
    return;
  if (!busy && !shadow && v->vmcb->save.rflags & RFLAGS_IF) {
    inject(v, TYPE_INTR, (uint8_t)interrupt(v, true));
    if (interrupt(v, false) < 0)
      return;
  }
  c->vintr |= VINTR_IRQ | 0xfull << VINTR_PRIO_SHIFT | VINTR_IGN_TPR;
  c->intercepts[0] |= 1u << (VMEXIT_VINTR - 0x60);
}

// INIT and STARTUP that other CPUs of the guest sent. APM2 14.1.4, 16.5
static void start(struct vcpu *v)
{
  lock(&v->guest->guard);
  int page = v->lapic.sipi;
  if (v->lapic.init) {
    uint64_t base = v->lapic.base;
    vcpu_reset(v);
    v->lapic.base = base;
    v->lapic.sipi = page;
  }
  if (v->wait_sipi && page >= 0)
    vcpu_real_mode(v, (uint16_t)(page << 8), 0);
  v->lapic.sipi = -1;
  unlock(&v->guest->guard);
}

bool vcpu_runnable(struct vcpu *v)
{
  struct guest *g = v->guest;
  if (g->state != GUEST_RUNNING || g->reset)
    return false;
  if (v->lapic.init || v->lapic.sipi >= 0)
    start(v);
  if (v->wait_sipi)
    return false;
  if (!v->halted)
    return true;
  lock(&g->guard);
  update(v);
  if (v->nmi || (v->vmcb->save.rflags & RFLAGS_IF && interrupt(v, false) >= 0))
    v->halted = false;
  unlock(&g->guard);
  return !v->halted;
}

uint64_t vcpu_deadline(struct vcpu *v)
{
  uint64_t at = v->lapic.deadline;
  if (v->guest->state != GUEST_RUNNING || v->wait_sipi)
    return UINT64_MAX;
  if (!v->number) {
    at = v->guest->pit.deadline < at ? v->guest->pit.deadline : at;
    at = v->guest->rtc.deadline < at ? v->guest->rtc.deadline : at;
  }
  return at;
}

void vcpu_wake(struct vcpu *v)
{
  cpu_kick(v->cpu);
}

static uint8_t flush(struct vcpu *v)
{
  if (!v->guest->config->asid || !v->asid)
    return TLB_ALL;
  if (!v->flush)
    return TLB_NOTHING;
  return svm_features.flush_by_asid ? TLB_GUEST : TLB_ALL;
}

void vcpu_run(struct vcpu *v)
{
  struct guest *g = v->guest;
  struct vmcb *b = v->vmcb;
  lock(&g->guard);
  update(v);
  deliver(v);
  unlock(&g->guard);

  b->control.tlb_control = flush(v);
  b->control.clean = 0;
  v->flush = false;
  b->save.rax = v->reg[RAX];
  b->save.rsp = v->reg[RSP];
  uint64_t before = rdtsc();
  svm_world_switch(v->reg, addr(b), v->cpu->host_vmcb);
  v->guest_tsc += rdtsc() - before;
  v->reg[RAX] = b->save.rax;
  v->reg[RSP] = b->save.rsp;
  v->runs++;

  lock(&g->guard);
  take_back(v);
  exit_handle(v);
  unlock(&g->guard);
  if (b->control.exitcode == VMEXIT_INTR)
    cpu_window();
}
