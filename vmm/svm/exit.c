// The table of exits. See exit.h.
#include "svm/exit.h"

#include "guest/bios.h"
#include "svm/mmio.h"
#include "svm/vcpu.h"
#include "svm/walk.h"

static void nothing(struct vcpu *v)
{
}

// Instructions of SVM and others that the guest's CPU does not have.
static void undefined(struct vcpu *v)
{
  vcpu_fault(v, V_UD);
}

// What was intercepted only so that interrupts have their turn.
static void reflect_db(struct vcpu *v)
{
  if (v->nmi_step) {
    vcpu_nmi_stepped(v);
    return;
  }
  vcpu_fault(v, V_DB);
}

static void reflect_ac(struct vcpu *v)
{
  vcpu_fault_error(v, V_AC, 0);
}

static void skip(struct vcpu *v)
{
  vcpu_skip(v);
}

static void halt(struct vcpu *v)
{
  vcpu_skip(v);
  if (v->vmcb->control.eventinj & EVENTINJ_VALID) // single-stepped
    return;
  v->halted = true;
  if (v->vmcb->save.rflags & RFLAGS_IF || v->nmi)
    return;
  for (unsigned i = 0; i < v->guest->vcpu_count; i++) {
    struct vcpu *other = v->guest->vcpu[i];
    if (!other->wait_sipi && (!other->halted || other->vmcb->save.rflags & RFLAGS_IF))
      return;
  }
  guest_stop(v, "halted with interrupts off");
}

static void shutdown(struct vcpu *v)
{
  guest_stop(v, "triple fault (shutdown)");
}

static void invalid(struct vcpu *v)
{
  guest_stop(v, "VMRUN refuses its state");
}

static void rdpmc(struct vcpu *v)
{
  vcpu_fault_error(v, V_GP, 0);
}

static void iret(struct vcpu *v)
{
  v->nmi_iret = true;
  v->nmi_rip = v->vmcb->save.rip;
  v->vmcb->control.intercepts[0] &= ~(1u << (VMEXIT_IRET - 0x60));
}

static void task_priority(struct vcpu *v)
{
  struct insn i;
  if (!vcpu_decode(v, &i) || i.op != INSN_MOV_TO_CR) {
    guest_stop(v, "a write of CR8 at %lx cannot be read", v->vmcb->save.rip);
    return;
  }
  if (v->reg[i.base] & ~0xfull) {
    vcpu_fault_error(v, V_GP, 0);
    return;
  }
  v->lapic.tpr = (uint32_t)v->reg[i.base] << 4;
  vcpu_advance(v, i.length);
}

void exit_vmmcall(struct vcpu *v)
{
  if (!bios_call(v))
    vcpu_fault(v, V_UD);
}

void exit_npf(struct vcpu *v)
{
  const struct vmcb_control *c = &v->vmcb->control;
  if (c->exitinfo1 >> 33 & 1) {
    guest_stop(v, "its page tables lie at %lx, which is not memory", c->exitinfo2);
    return;
  }
  mmio_access(v, c->exitinfo2, (uint32_t)c->exitinfo1 & (PF_W | PF_ID));
}

void exit_page_fault(struct vcpu *v)
{
  shadow_fault(v, v->vmcb->control.exitinfo2, (uint32_t)v->vmcb->control.exitinfo1);
}

struct exit {
  const char *name;
  void (*handle)(struct vcpu *v);
};

// clang-format off
static const struct exit exits[EXIT_COUNTERS] = {
    [VMEXIT_CR0_READ] = {"read of CR0", exit_cr},
    [VMEXIT_CR0_READ + 3] = {"read of CR3", exit_cr},
    [VMEXIT_CR0_READ + 4] = {"read of CR4", exit_cr},
    [VMEXIT_CR0_WRITE] = {"write of CR0", exit_cr},
    [VMEXIT_CR0_WRITE + 3] = {"write of CR3", exit_cr},
    [VMEXIT_CR0_WRITE + 4] = {"write of CR4", exit_cr},
    [VMEXIT_CR0_WRITE + 8] = {"write of CR8", task_priority},
    [VMEXIT_EXCP0 + V_DB] = {"#DB", reflect_db},
    [VMEXIT_EXCP0 + V_PF] = {"#PF", exit_page_fault},
    [VMEXIT_EXCP0 + V_AC] = {"#AC", reflect_ac},
    [VMEXIT_INTR] = {"interrupt", nothing}, // taken in vcpu_run
    [VMEXIT_NMI] = {"NMI", nothing},
    [VMEXIT_INIT] = {"INIT", nothing},
    [VMEXIT_VINTR] = {"interrupt window", nothing},
    [VMEXIT_RDPMC] = {"RDPMC", rdpmc},
    [VMEXIT_CPUID] = {"CPUID", exit_cpuid},
    [VMEXIT_RSM] = {"RSM", undefined},
    [VMEXIT_IRET] = {"IRET", iret},
    [VMEXIT_INVD] = {"INVD", skip},
    [VMEXIT_HLT] = {"HLT", halt},
    [VMEXIT_INVLPG] = {"INVLPG", exit_invlpg},
    [VMEXIT_INVLPGA] = {"INVLPGA", undefined},
    [VMEXIT_IOIO] = {"port", exit_io},
    [VMEXIT_MSR] = {"MSR", exit_msr},
    [VMEXIT_SHUTDOWN] = {"shutdown", shutdown},
    [VMEXIT_VMRUN] = {"VMRUN", undefined},
    [VMEXIT_VMMCALL] = {"VMMCALL", exit_vmmcall},
    [VMEXIT_VMLOAD] = {"VMLOAD", undefined},
    [VMEXIT_VMSAVE] = {"VMSAVE", undefined},
    [VMEXIT_STGI] = {"STGI", undefined},
    [VMEXIT_CLGI] = {"CLGI", undefined},
    [VMEXIT_SKINIT] = {"SKINIT", undefined},
    [VMEXIT_MONITOR] = {"MONITOR", undefined},
    [VMEXIT_MWAIT] = {"MWAIT", undefined},
    [VMEXIT_RDPRU] = {"RDPRU", undefined},
    [VMEXIT_INVPCID] = {"INVPCID", undefined},
    [VMEXIT_XSETBV] = {"XSETBV", exit_xsetbv},
    [EXIT_NPF] = {"nested page fault", exit_npf},
    [EXIT_OTHER] = {"other", invalid},
};
// clang-format on

const char *exit_name(unsigned counter)
{
  return exits[counter].name ? exits[counter].name : "?";
}

void exit_handle(struct vcpu *v)
{
  uint64_t code = v->vmcb->control.exitcode;
  unsigned counter = code == VMEXIT_NPF ? EXIT_NPF : code < EXIT_NPF ? (unsigned)code : EXIT_OTHER;
  v->exits[counter]++;
  if (exits[counter].handle)
    exits[counter].handle(v);
  else
    guest_stop(v, "exit %lx, which was not asked for", code);
}
