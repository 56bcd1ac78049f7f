// See exitcode.h.
#include "cpu/svm/exitcode.h"

#define NAME(code) [VMEXIT_##code] = "VMEXIT_" #code
// clang-format off
#define EACH16(at, before, after)                                                                            \
  [(at) + 0] = before "0" after, [(at) + 1] = before "1" after, [(at) + 2] = before "2" after,               \
  [(at) + 3] = before "3" after, [(at) + 4] = before "4" after, [(at) + 5] = before "5" after,               \
  [(at) + 6] = before "6" after, [(at) + 7] = before "7" after, [(at) + 8] = before "8" after,               \
  [(at) + 9] = before "9" after, [(at) + 10] = before "10" after, [(at) + 11] = before "11" after,           \
  [(at) + 12] = before "12" after, [(at) + 13] = before "13" after, [(at) + 14] = before "14" after,         \
  [(at) + 15] = before "15" after
#define EXCP(v) [VMEXIT_EXCP0 + (v)] = "VMEXIT_EXCP" #v

static const char *const names[SLOT_NPF] = {
    EACH16(VMEXIT_CR0_READ, "VMEXIT_CR", "_READ"),
    EACH16(VMEXIT_CR0_WRITE, "VMEXIT_CR", "_WRITE"),
    EACH16(VMEXIT_DR0_READ, "VMEXIT_DR", "_READ"),
    EACH16(VMEXIT_DR0_WRITE, "VMEXIT_DR", "_WRITE"),
    EACH16(VMEXIT_EXCP0, "VMEXIT_EXCP", ""),
    EXCP(16), EXCP(17), EXCP(18), EXCP(19), EXCP(20), EXCP(21), EXCP(22), EXCP(23),
    EXCP(24), EXCP(25), EXCP(26), EXCP(27), EXCP(28), EXCP(29), EXCP(30), EXCP(31),
    NAME(INTR), NAME(NMI), NAME(SMI), NAME(INIT), NAME(VINTR), NAME(CR0_SEL_WRITE), NAME(IDTR_READ),
    NAME(GDTR_READ), NAME(LDTR_READ), NAME(TR_READ), NAME(IDTR_WRITE), NAME(GDTR_WRITE), NAME(LDTR_WRITE),
    NAME(TR_WRITE), NAME(RDTSC), NAME(RDPMC), NAME(PUSHF), NAME(POPF), NAME(CPUID), NAME(RSM), NAME(IRET),
    NAME(SWINT), NAME(INVD), NAME(PAUSE), NAME(HLT), NAME(INVLPG), NAME(INVLPGA), NAME(IOIO), NAME(MSR),
    NAME(TASK_SWITCH), NAME(FERR_FREEZE), NAME(SHUTDOWN), NAME(VMRUN), NAME(VMMCALL), NAME(VMLOAD),
    NAME(VMSAVE), NAME(STGI), NAME(CLGI), NAME(SKINIT), NAME(RDTSCP), NAME(ICEBP), NAME(WBINVD),
    NAME(MONITOR), NAME(MWAIT), NAME(MWAIT_CONDITIONAL), NAME(XSETBV), NAME(RDPRU), NAME(EFER_WRITE_TRAP),
    EACH16(VMEXIT_CR0_WRITE_TRAP, "VMEXIT_CR", "_WRITE_TRAP"),
    NAME(INVLPGB), NAME(INVLPGB_ILLEGAL), NAME(INVPCID), NAME(MCOMMIT), NAME(TLBSYNC),
};
// clang-format on

uint64_t svm_slot_code(unsigned slot)
{
  return slot < SLOT_NPF ? slot : slot == SLOT_NPF ? VMEXIT_NPF : VMEXIT_INVALID;
}

const char *svm_exit_name(uint64_t code)
{
  unsigned slot = svm_slot(code);
  return slot < SLOT_NPF ? names[slot] : slot == SLOT_NPF ? "VMEXIT_NPF" : "VMEXIT_INVALID";
}
