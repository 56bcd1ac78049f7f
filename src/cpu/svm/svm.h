// Secure Virtual Machine: the world switch and what stands between a guest and its host. APM2 chapter 15.
//
// An intercept is raised like an exception: svm_exit() notes the exit in c->svm, sets c->faulted, and
// whatever runs unwinds as for a fault; except_deliver then performs the #VMEXIT (svm_vmexit). So nothing of
// an intercepted instruction has happened, and c->ip is the instruction itself. Intercepts are folded into
// masks once per VMRUN; what is not intercepted costs a test of c->guest.
#ifndef CPU_SVM_SVM_H
#define CPU_SVM_SVM_H

#include "cpu/cpu.h"
#include "cpu/svm/exitcode.h"
#include "cpu/svm/vmcb.h"

#define SVM_NOT_IN_GUEST UINT64_MAX
#define SVM_NO_VMCB      UINT64_MAX // no physical address is that
struct svm_cached;
// Counted; a reset leaves it alone. An instruction that is intercepted is not executed; VMRUN is the host's.
struct svm_counts {
  uint64_t entries, exits;     // VMRUNs and #VMEXITs, those with VMEXIT_INVALID too
  uint64_t exit[SVM_SLOTS];    // by code, see exitcode.h
  uint64_t guest_instructions; // up to guest_since
  uint64_t guest_since;        // cpu_icount at the entry, or SVM_NOT_IN_GUEST
};

struct svm {
  // ---- valid while c->guest ----
  uint64_t vmcb_pa;  // stays after #VMEXIT: the VMCB that the masks below were folded from
  struct vmcb *vmcb; // host pointer to it in RAM
  uint32_t cr_intercepts, dr_intercepts, exception_intercepts;
  uint32_t intercepts[3];      // exit codes 60h, 80h, A0h + bit
  const uint8_t *iopm, *msrpm; // host pointers, or NULL: the map is not in RAM (all ones)
  uint64_t iopm_pa, msrpm_pa;
  uint64_t tsc_offset;
  uint16_t asid;
  bool np; // nested paging
  bool np_gmet, np_rogpt;
  bool invlpgb; // the guest may use INVLPGB and TLBSYNC
  uint64_t ncr3;
  uint64_t g_pat; // the guest's PAT with nested paging; cpu->pat stays the host's
  uint64_t vintr; // VINTR_*, current: V_TPR and V_IRQ change while the guest runs
  bool host_if;   // RFLAGS.IF of the host: with V_INTR_MASKING it masks physical interrupts
  bool vgif;      // virtual GIF enabled
  bool vnmi;      // virtual NMI enabled
  struct svm_host {
    uint64_t spec_ctrl;
    uint64_t lbr[5]; // DEBUGCTL and the last-branch registers, while the guest has its own
    bool trap;       // RFLAGS.TF was set at VMRUN
  } host, smm_host;  // smm_host: of the guest that SMM interrupted
  bool lbr_virt, virt_vmload;
  bool vmload_exits; // virtual VMLOAD was asked for and cannot be: it and VMSAVE exit
  uint16_t pause_count, pause_threshold;
  uint64_t pause_left, pause_last;
  // The paging mode in which the nested tables are walked: the host's registers at VMRUN.
  uint64_t host_cr0, host_cr4, host_efer;
  bool host_told; // RSM told of them, and nobody checked
  // ---- an exit on its way ----
  bool exiting;
  uint64_t exitcode, exitinfo1, exitinfo2;
  uint64_t exitintinfo;
  uint8_t bytes_fetched, bytes[15];
  // ---- MSRs that only SVM has ----
  uint64_t tsc_ratio; // C000_0104h, 8.32 fixed point; 1.0 after reset
  uint64_t key;       // C001_0118h
  // ---- VMCB state caching (clean.h) ----
  struct svm_cached *cached, *running;
  // ---- pages of VMCB and host save area, until the map changes (svm_map_changed) ----
  struct svm_page {
    uint64_t key; // address | 1
    void *at;
  } pages[2];
  // ---- statistics ----
  struct svm_counts count;
};

struct err;
bool svm_new(struct cpu *c, struct err *e);
void svm_free(struct cpu *c);
void svm_reset(struct cpu *c); // RESET#
void svm_leave(struct cpu *c); // INIT: forgets all but the MSRs
static inline void svm_map_changed(struct cpu *c)
{
  if (c->svm)
    c->svm->pages[0].key = c->svm->pages[1].key = 0;
}
// Instructions executed between VMRUN and #VMEXIT, up to now.
uint64_t svm_guest_instructions(const struct cpu *c);

// Raises the exit; returns false like raise_vec. The guest must be running.
bool svm_exit(struct cpu *c, uint64_t code, uint64_t info1, uint64_t info2);
// A nested page fault. error: EXITINFO1 (P, W, U, RSVD, I/D as in #PF; bit 32 final address, bit 33 table
// walk).
bool svm_exit_npf(struct cpu *c, uint64_t gpa, uint64_t error);
// Performs the exit that svm_exit noted; called by except_deliver.
void svm_vmexit(struct cpu *c);

// IRET in a guest opens it for the next virtual NMI. APM2 15.21.10
static inline void svm_iret(struct cpu *c)
{
  struct svm *s = c->svm;
  s->vintr &= ~VINTR_NMI_MASK;
  if (s->vintr & VINTR_NMI)
    cpu_request(c, PEND_VINTR);
}

// True if the exit code 60h..A4h is intercepted in the running guest.
static inline bool svm_intercepts(const struct svm *s, unsigned code)
{
  return s->intercepts[(code - 0x60) >> 5] >> (code & 31) & 1;
}
#define SVM_INTERCEPTED(c, code) ((c)->guest && svm_intercepts((c)->svm, (code)))

#endif
