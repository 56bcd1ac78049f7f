// A task switch exits once its TSS has been checked, and says which one it is, what caused it, the error
// code, and RF as it would be saved. APM2 15.14.1.
#include "svm.h"

static struct vmcb *v;
static uint32_t *tss_from, *tss_to;
static uint64_t *idt32;
enum { TO = 0x60, GATE = 0x68, SMALL = 0x70, ABSENT = 0x78 };

CODE(32, c_jmp, "ljmp $0x60, $0; vmmcall");
CODE(32, c_call, "lcall $0x60, $0; vmmcall");
CODE(32, c_gate, "lcall $0x68, $0; vmmcall");
CODE(32, c_iret, "pushf; orl $0x4000, (%esp); popf; iret; vmmcall");
CODE(32, c_int, "int $0x50; vmmcall");
CODE(32, c_ud, "ud2; vmmcall");
CODE(32, c_gp, "mov $0x7f8, %eax; mov %eax, %ds; vmmcall");
CODE(32, c_small, "ljmp $0x70, $0; vmmcall");
CODE(32, c_absent, "ljmp $0x78, $0; vmmcall");
CODE(32, c_data, "ljmp $0x10, $0; vmmcall");

#define INFO_IRET (1ull << 36)
#define INFO_JMP  (1ull << 38)
#define INFO_CODE (1ull << 44)
#define INFO_RF   (1ull << 48)

static void prepare(const void *code)
{
  vmcb_protected32(v, code);
  v->idtr = (struct vseg){.limit = 0x7ff, .base = (uint64_t)idt32};
  v->tr = (struct vseg){.selector = TSS_SEL, .attrib = 0x8b, .limit = 0x67, .base = (uint64_t)tss_from};
  v->rflags = 2;
  gdt[TO / 8] = descriptor((uint32_t)(uint64_t)tss_to, 0x67, 0x89, 0);
}
static void exits(const void *code, uint64_t info)
{
  prepare(code);
  CHECK_EQ(run_own(v), X_TASK);
  CHECK_EQ(v->exitinfo1 & 0xffff, TO);
  uint64_t known = INFO_IRET | INFO_JMP | INFO_CODE | INFO_RF | (info & INFO_CODE ? 0xffffffff : 0);
  CHECK_EQ(v->exitinfo2 & known, info);
  CHECK_EQ(v->tr.selector, TSS_SEL);
}

void test(void)
{
  svm_on();
  v = vmcb_new();
  tss_from = page_new();
  tss_to = page_new();
  idt32 = page_new();
  tss_from[0] = TO; // the link
  gdt[GATE / 8] = (uint64_t)TO << 16 | 0x8500ull << 32;
  gdt[SMALL / 8] = descriptor((uint32_t)(uint64_t)tss_to, 0x66, 0x89, 0);
  gdt[ABSENT / 8] = descriptor((uint32_t)(uint64_t)tss_to, 0x67, 0x09, 0);
  idt32[0x50] = idt32[UD] = idt32[GP] = idt32[0x41] = (uint64_t)TO << 16 | 0x8500ull << 32;
  intercept(v, X_TASK);
  exits(c_jmp, INFO_JMP);
  exits(c_call, 0);
  CHECK_EQ(v->rip, c_call);
  exits(c_gate, 0);
  exits(c_int, 0);
  exits(c_ud, INFO_RF); // a fault is restarted with RF
  CHECK_EQ(v->exitintinfo & 0xffffffff, EV_VALID | EV_EXCEPTION | UD);
  exits(c_gp, INFO_RF | INFO_CODE | 0x7f8);
  CHECK_EQ(v->exitintinfo, EV_VALID | EV_EXCEPTION | GP | EV_ERROR | EV_CODE(0x7f8));
  prepare(c_iret);
  gdt[TO / 8] |= 2ull << 40; // busy
  CHECK_EQ(run_own(v), X_TASK);
  CHECK_EQ(v->exitinfo1 & 0xffff, TO);
  CHECK_EQ(v->exitinfo2 & (INFO_IRET | INFO_JMP | INFO_CODE), INFO_IRET);
  // what is wrong with the TSS comes first
  v->exceptions = 1 << GP | 1 << NP | 1 << TS;
  prepare(c_small);
  CHECK_EQ(run_own(v), X_EXCP + TS);
  CHECK_EQ(v->exitinfo1, SMALL);
  prepare(c_absent);
  CHECK_EQ(run_own(v), X_EXCP + NP);
  prepare(c_data);
  CHECK_EQ(run_own(v), v->exitcode); // data is no task
  CHECK_EQ(v->exitcode, X_EXCP + GP);
  prepare(c_jmp);
  gdt[TO / 8] |= 2ull << 40; // busy
  CHECK_EQ(run_own(v), X_EXCP + GP);
  CHECK_EQ(v->exitinfo1, TO);
}
