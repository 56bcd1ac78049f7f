// Which comes first, an intercept or an exception: table 15-7 of APM2 15.9, 15.10.2 and 15.11, row by row.
#include "bed.h"

#include "cpu/except.h"

enum {
  EX = VMEXIT_EXCP0,
  BAD = BED_GUARD, // an address that is not mapped
  NONE = 0,
};
#define CODE(...) {__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__})

struct row {
  const char *what;
  uint8_t code[12];
  uint8_t n;
  uint16_t icpt; // exit code 60h and up; or one of a CR or DR
  uint64_t exit; // expected
  uint8_t cpl;
  uint64_t rax, rbx, rcx, rdx, rsp; // rsp 0: as it is
  uint64_t cr4, efer, dr7;          // bits to set
  uint16_t icpt2;
  bool pgb; // the guest may use INVLPGB
};

// The memory operand is at [rbx].
static const struct row rows[] = {
    // control registers
    {"MOV CR0, NW without CD", CODE(0x0f, 0x22, 0xc0), VMEXIT_CR0_WRITE, EX + VEC_GP, .rax = 0xa0010031},
    {"MOV CR0, legal", CODE(0x0f, 0x22, 0xc0), VMEXIT_CR0_WRITE, VMEXIT_CR0_WRITE, .rax = 0x80010031},
    {"MOV CR0 at CPL 3", CODE(0x0f, 0x22, 0xc0), VMEXIT_CR0_WRITE, EX + VEC_GP, .cpl = 3, .rax = 0x80010031},
    {"MOV CR0, both intercepts", CODE(0x0f, 0x22, 0xc0), VMEXIT_CR0_WRITE, VMEXIT_CR0_WRITE,
     .rax = 0x80000031, .icpt2 = VMEXIT_CR0_SEL_WRITE},
    {"MOV CR0, WP, selective", CODE(0x0f, 0x22, 0xc0), VMEXIT_CR0_SEL_WRITE, VMEXIT_CR0_SEL_WRITE,
     .rax = 0x80000031},
    {"MOV CR0, TS, selective", CODE(0x0f, 0x22, 0xc0), VMEXIT_CR0_SEL_WRITE, VMEXIT_HLT, .rax = 0x80010039},
    {"MOV CR0, NW without CD, selective", CODE(0x0f, 0x22, 0xc0), VMEXIT_CR0_SEL_WRITE, EX + VEC_GP,
     .rax = 0xa0000031},
    {"LMSW of bad memory", CODE(0x0f, 0x01, 0x33), VMEXIT_CR0_WRITE, VMEXIT_CR0_WRITE, .rbx = BAD},
    {"LMSW of bad memory, selective", CODE(0x0f, 0x01, 0x33), VMEXIT_CR0_SEL_WRITE, VMEXIT_CR0_SEL_WRITE,
     .rbx = BAD},
    {"LMSW that changes nothing, selective", CODE(0x0f, 0x01, 0xf0), VMEXIT_CR0_SEL_WRITE,
     VMEXIT_CR0_SEL_WRITE, .rax = 0x31},
    {"LMSW at CPL 3", CODE(0x0f, 0x01, 0xf0), VMEXIT_CR0_WRITE, EX + VEC_GP, .cpl = 3},
    {"SMSW to bad memory", CODE(0x0f, 0x01, 0x23), VMEXIT_CR0_READ, VMEXIT_CR0_READ, .rbx = BAD},
    {"SMSW at CPL 3 with UMIP", CODE(0x0f, 0x01, 0xe0), VMEXIT_CR0_READ, EX + VEC_GP, .cpl = 3,
     .cr4 = CR4_UMIP},
    {"CLTS", CODE(0x0f, 0x06), VMEXIT_CR0_WRITE, VMEXIT_CR0_WRITE},
    {"CLTS, selective", CODE(0x0f, 0x06), VMEXIT_CR0_SEL_WRITE, VMEXIT_HLT},
    {"MOV CR3, reserved bit", CODE(0x0f, 0x22, 0xd8), VMEXIT_CR0_WRITE + 3, EX + VEC_GP, .rax = 1ull << 60},
    {"MOV CR3", CODE(0x0f, 0x22, 0xd8), VMEXIT_CR0_WRITE + 3, VMEXIT_CR0_WRITE + 3, .rax = BED_PML4},
    {"MOV CR4, reserved bit", CODE(0x0f, 0x22, 0xe0), VMEXIT_CR0_WRITE + 4, EX + VEC_GP, .rax = 1 << 30},
    {"MOV CR4 without PAE in long mode", CODE(0x0f, 0x22, 0xe0), VMEXIT_CR0_WRITE + 4, EX + VEC_GP, .rax = 0},
    {"MOV CR4", CODE(0x0f, 0x22, 0xe0), VMEXIT_CR0_WRITE + 4, VMEXIT_CR0_WRITE + 4, .rax = CR4_PAE},
    {"MOV CR5", CODE(0x0f, 0x22, 0xe8), VMEXIT_CR0_WRITE + 5, EX + VEC_UD},
    {"MOV from CR5", CODE(0x0f, 0x20, 0xe8), VMEXIT_CR0_READ + 5, EX + VEC_UD},
    {"MOV CR8, reserved bit", CODE(0x44, 0x0f, 0x22, 0xc0), VMEXIT_CR0_WRITE + 8, EX + VEC_GP, .rax = 0x10},
    {"MOV CR8", CODE(0x44, 0x0f, 0x22, 0xc0), VMEXIT_CR0_WRITE + 8, VMEXIT_CR0_WRITE + 8, .rax = 1},
    // debug registers
    {"MOV DR7, high bit", CODE(0x0f, 0x23, 0xf8), VMEXIT_DR0_WRITE + 7, EX + VEC_GP, .rax = 1ull << 32},
    {"MOV DR7", CODE(0x0f, 0x23, 0xf8), VMEXIT_DR0_WRITE + 7, VMEXIT_DR0_WRITE + 7, .rax = 0x400},
    {"MOV DR4 with DE", CODE(0x0f, 0x23, 0xe0), VMEXIT_DR0_WRITE + 4, EX + VEC_UD, .cr4 = CR4_DE},
    {"MOV from DR0 with GD", CODE(0x0f, 0x21, 0xc0), VMEXIT_DR0_READ, EX + VEC_DB, .dr7 = 1 << 13},
    {"MOV from DR0 at CPL 3", CODE(0x0f, 0x21, 0xc0), VMEXIT_DR0_READ, EX + VEC_GP, .cpl = 3},
    // descriptor tables
    {"LGDT of bad memory", CODE(0x0f, 0x01, 0x13), VMEXIT_GDTR_WRITE, VMEXIT_GDTR_WRITE, .rbx = BAD},
    {"LIDT of bad memory", CODE(0x0f, 0x01, 0x1b), VMEXIT_IDTR_WRITE, VMEXIT_IDTR_WRITE, .rbx = BAD},
    {"LGDT at CPL 3", CODE(0x0f, 0x01, 0x13), VMEXIT_GDTR_WRITE, EX + VEC_GP, .cpl = 3, .rbx = BED_DATA},
    {"SGDT to bad memory", CODE(0x0f, 0x01, 0x03), VMEXIT_GDTR_READ, VMEXIT_GDTR_READ, .rbx = BAD},
    {"SGDT at CPL 3", CODE(0x0f, 0x01, 0x03), VMEXIT_GDTR_READ, VMEXIT_GDTR_READ, .cpl = 3, .rbx = BED_DATA},
    {"SGDT at CPL 3 with UMIP", CODE(0x0f, 0x01, 0x03), VMEXIT_GDTR_READ, EX + VEC_GP, .cpl = 3,
     .rbx = BED_DATA, .cr4 = CR4_UMIP},
    {"SIDT at CPL 3 with UMIP", CODE(0x0f, 0x01, 0x0b), VMEXIT_IDTR_READ, EX + VEC_GP, .cpl = 3,
     .rbx = BED_DATA, .cr4 = CR4_UMIP},
    {"SLDT at CPL 3 with UMIP", CODE(0x0f, 0x00, 0xc0), VMEXIT_LDTR_READ, EX + VEC_GP, .cpl = 3,
     .cr4 = CR4_UMIP},
    {"STR at CPL 3 with UMIP", CODE(0x0f, 0x00, 0xc8), VMEXIT_TR_READ, EX + VEC_GP, .cpl = 3,
     .cr4 = CR4_UMIP},
    {"SLDT", CODE(0x0f, 0x00, 0xc0), VMEXIT_LDTR_READ, VMEXIT_LDTR_READ},
    {"STR", CODE(0x0f, 0x00, 0xc8), VMEXIT_TR_READ, VMEXIT_TR_READ},
    {"LLDT of bad memory", CODE(0x0f, 0x00, 0x13), VMEXIT_LDTR_WRITE, VMEXIT_LDTR_WRITE, .rbx = BAD},
    {"LTR at CPL 3", CODE(0x0f, 0x00, 0xd8), VMEXIT_TR_WRITE, EX + VEC_GP, .cpl = 3},
    {"LTR of a bad selector", CODE(0x0f, 0x00, 0xd8), VMEXIT_TR_WRITE, VMEXIT_TR_WRITE, .rax = 0xfff8},
    // counters
    {"RDTSC at CPL 3 with TSD", CODE(0x0f, 0x31), VMEXIT_RDTSC, EX + VEC_GP, .cpl = 3, .cr4 = CR4_TSD},
    {"RDTSC", CODE(0x0f, 0x31), VMEXIT_RDTSC, VMEXIT_RDTSC},
    {"RDTSCP at CPL 3 with TSD", CODE(0x0f, 0x01, 0xf9), VMEXIT_RDTSCP, EX + VEC_GP, .cpl = 3,
     .cr4 = CR4_TSD},
    {"RDTSCP", CODE(0x0f, 0x01, 0xf9), VMEXIT_RDTSCP, VMEXIT_RDTSCP},
    {"RDPMC at CPL 3", CODE(0x0f, 0x33), VMEXIT_RDPMC, EX + VEC_GP, .cpl = 3},
    {"RDPMC of no counter", CODE(0x0f, 0x33), VMEXIT_RDPMC, EX + VEC_GP, .rcx = 99},
    {"RDPMC", CODE(0x0f, 0x33), VMEXIT_RDPMC, VMEXIT_RDPMC},
    {"RDPRU at CPL 3 with TSD", CODE(0x0f, 0x01, 0xfd), VMEXIT_RDPRU, EX + VEC_UD, .cpl = 3, .cr4 = CR4_TSD},
    {"RDPRU", CODE(0x0f, 0x01, 0xfd), VMEXIT_RDPRU, VMEXIT_RDPRU},
    // what goes before all exceptions
    {"PUSHF onto a bad stack", CODE(0x9c), VMEXIT_PUSHF, VMEXIT_PUSHF, .rsp = BAD + 64},
    {"POPF from a bad stack", CODE(0x9d), VMEXIT_POPF, VMEXIT_POPF, .rsp = BAD},
    {"CPUID", CODE(0x0f, 0xa2), VMEXIT_CPUID, VMEXIT_CPUID},
    {"RSM outside of SMM", CODE(0x0f, 0xaa), VMEXIT_RSM, VMEXIT_RSM},
    {"RSM outside of SMM, not intercepted", CODE(0x0f, 0xaa), NONE, EX + VEC_UD},
    {"IRET from a bad stack", CODE(0x48, 0xcf), VMEXIT_IRET, VMEXIT_IRET, .rsp = BAD},
    {"INT n", CODE(0xcd, 0xff), VMEXIT_SWINT, VMEXIT_SWINT},
    {"VMMCALL at CPL 3", CODE(0x0f, 0x01, 0xd9), VMEXIT_VMMCALL, VMEXIT_VMMCALL, .cpl = 3},
    {"VMMCALL, not intercepted", CODE(0x0f, 0x01, 0xd9), NONE, EX + VEC_UD},
    {"ICEBP", CODE(0xf1), VMEXIT_ICEBP, VMEXIT_ICEBP},
    {"PAUSE", CODE(0xf3, 0x90), VMEXIT_PAUSE, VMEXIT_PAUSE, .cpl = 3},
    // what goes after #GP
    {"INVD at CPL 3", CODE(0x0f, 0x08), VMEXIT_INVD, EX + VEC_GP, .cpl = 3},
    {"INVD", CODE(0x0f, 0x08), VMEXIT_INVD, VMEXIT_INVD},
    {"WBINVD at CPL 3", CODE(0x0f, 0x09), VMEXIT_WBINVD, EX + VEC_GP, .cpl = 3},
    {"WBNOINVD", CODE(0xf3, 0x0f, 0x09), VMEXIT_WBINVD, VMEXIT_WBINVD},
    {"HLT at CPL 3", CODE(0xf4), VMEXIT_HLT, EX + VEC_GP, .cpl = 3},
    {"INVLPG at CPL 3", CODE(0x0f, 0x01, 0x3b), VMEXIT_INVLPG, EX + VEC_GP, .cpl = 3},
    {"INVLPG", CODE(0x0f, 0x01, 0x3b), VMEXIT_INVLPG, VMEXIT_INVLPG, .rbx = BAD},
    {"INVLPGA at CPL 3", CODE(0x0f, 0x01, 0xdf), VMEXIT_INVLPGA, EX + VEC_GP, .cpl = 3},
    {"INVLPGA", CODE(0x0f, 0x01, 0xdf), VMEXIT_INVLPGA, VMEXIT_INVLPGA},
    {"VMRUN at CPL 3", CODE(0x0f, 0x01, 0xd8), VMEXIT_VMRUN, EX + VEC_GP, .cpl = 3},
    {"VMRUN of an odd address", CODE(0x0f, 0x01, 0xd8), VMEXIT_VMRUN, EX + VEC_GP, .rax = 0x2001},
    {"VMRUN", CODE(0x0f, 0x01, 0xd8), VMEXIT_VMRUN, VMEXIT_VMRUN, .rax = 0x3000},
    {"VMLOAD of an odd address", CODE(0x0f, 0x01, 0xda), VMEXIT_VMLOAD, EX + VEC_GP, .rax = 0x2001},
    {"VMLOAD", CODE(0x0f, 0x01, 0xda), VMEXIT_VMLOAD, VMEXIT_VMLOAD, .rax = 0x3000},
    {"VMSAVE beyond memory", CODE(0x0f, 0x01, 0xdb), VMEXIT_VMSAVE, EX + VEC_GP, .rax = 1ull << 52},
    {"VMSAVE", CODE(0x0f, 0x01, 0xdb), VMEXIT_VMSAVE, VMEXIT_VMSAVE, .rax = 0x3000},
    {"STGI at CPL 3", CODE(0x0f, 0x01, 0xdc), VMEXIT_STGI, EX + VEC_GP, .cpl = 3},
    {"STGI", CODE(0x0f, 0x01, 0xdc), VMEXIT_STGI, VMEXIT_STGI},
    {"CLGI at CPL 3", CODE(0x0f, 0x01, 0xdd), VMEXIT_CLGI, EX + VEC_GP, .cpl = 3},
    {"CLGI", CODE(0x0f, 0x01, 0xdd), VMEXIT_CLGI, VMEXIT_CLGI},
    {"SKINIT at CPL 3", CODE(0x0f, 0x01, 0xde), VMEXIT_SKINIT, EX + VEC_GP, .cpl = 3},
    // waiting
    {"MONITOR with extensions", CODE(0x0f, 0x01, 0xc8), VMEXIT_MONITOR, EX + VEC_GP, .rax = BED_DATA,
     .rcx = 1},
    {"MONITOR of bad memory", CODE(0x0f, 0x01, 0xc8), VMEXIT_MONITOR, EX + VEC_PF, .rax = BAD},
    {"MONITOR at CPL 3", CODE(0x0f, 0x01, 0xc8), VMEXIT_MONITOR, EX + VEC_UD, .cpl = 3, .rax = BED_DATA},
    {"MONITOR", CODE(0x0f, 0x01, 0xc8), VMEXIT_MONITOR, VMEXIT_MONITOR, .rax = BED_DATA},
    {"MWAIT with bad extensions", CODE(0x0f, 0x01, 0xc9), VMEXIT_MWAIT, EX + VEC_GP, .rcx = 0x80},
    {"MWAIT, not armed", CODE(0x0f, 0x01, 0xc9), VMEXIT_MWAIT, VMEXIT_MWAIT,
     .icpt2 = VMEXIT_MWAIT_CONDITIONAL},
    {"MWAIT, not armed, conditional", CODE(0x0f, 0x01, 0xc9), VMEXIT_MWAIT_CONDITIONAL, VMEXIT_HLT},
    {"MWAIT, armed", CODE(0x0f, 0x01, 0xc8, 0x0f, 0x01, 0xc9), VMEXIT_MWAIT, VMEXIT_MWAIT_CONDITIONAL,
     .rax = BED_DATA, .icpt2 = VMEXIT_MWAIT_CONDITIONAL},
    // what goes before some
    {"XSETBV without OSXSAVE", CODE(0x0f, 0x01, 0xd1), VMEXIT_XSETBV, EX + VEC_UD},
    {"XSETBV at CPL 3", CODE(0x0f, 0x01, 0xd1), VMEXIT_XSETBV, VMEXIT_XSETBV, .cpl = 3, .cr4 = CR4_OSXSAVE},
    {"XSETBV of no register", CODE(0x0f, 0x01, 0xd1), VMEXIT_XSETBV, VMEXIT_XSETBV, .rcx = 9,
     .cr4 = CR4_OSXSAVE},
    {"INVPCID at CPL 3", CODE(0x66, 0x0f, 0x38, 0x82, 0x03), VMEXIT_INVPCID, EX + VEC_GP, .cpl = 3},
    {"INVPCID of a bad type", CODE(0x66, 0x0f, 0x38, 0x82, 0x03), VMEXIT_INVPCID, VMEXIT_INVPCID, .rax = 9,
     .rbx = BAD},
    {"INVLPGB at CPL 3", CODE(0x0f, 0x01, 0xfe), VMEXIT_INVLPGB, EX + VEC_GP, .cpl = 3, .pgb = true},
    {"INVLPGB, illegal", CODE(0x0f, 0x01, 0xfe), VMEXIT_INVLPGB, VMEXIT_INVLPGB, .rax = 0x800, .pgb = true,
     .icpt2 = VMEXIT_INVLPGB_ILLEGAL},
    {"INVLPGB, illegal, the intercept for it", CODE(0x0f, 0x01, 0xfe), VMEXIT_INVLPGB_ILLEGAL,
     VMEXIT_INVLPGB_ILLEGAL, .rax = 0x800, .pgb = true},
    {"INVLPGB, legal, the intercept for illegal ones", CODE(0x0f, 0x01, 0xfe), VMEXIT_INVLPGB_ILLEGAL,
     VMEXIT_HLT, .rax = 1, .pgb = true},
    {"INVLPGB, illegal, no intercept", CODE(0x0f, 0x01, 0xfe), NONE, EX + VEC_GP, .rax = 0x800, .pgb = true},
    {"INVLPGB that the guest may not use", CODE(0x0f, 0x01, 0xfe), NONE, EX + VEC_UD},
    {"TLBSYNC at CPL 3", CODE(0x0f, 0x01, 0xff), VMEXIT_TLBSYNC, EX + VEC_GP, .cpl = 3, .pgb = true},
    {"TLBSYNC", CODE(0x0f, 0x01, 0xff), VMEXIT_TLBSYNC, VMEXIT_TLBSYNC, .pgb = true},
    {"TLBSYNC that the guest may not use", CODE(0x0f, 0x01, 0xff), VMEXIT_TLBSYNC, EX + VEC_UD},
    {"MCOMMIT that EFER does not enable", CODE(0xf3, 0x0f, 0x01, 0xfa), VMEXIT_MCOMMIT, EX + VEC_UD},
    {"MCOMMIT", CODE(0xf3, 0x0f, 0x01, 0xfa), VMEXIT_MCOMMIT, VMEXIT_MCOMMIT, .cpl = 3, .efer = EFER_MCOMMIT},
    // ports and MSRs
    {"IN at CPL 3", CODE(0xec), VMEXIT_IOIO, EX + VEC_GP, .cpl = 3},
    {"IN", CODE(0xec), VMEXIT_IOIO, VMEXIT_IOIO},
    {"INS to bad memory", CODE(0x6c), VMEXIT_IOIO, VMEXIT_IOIO, .rdx = 0x80},
    {"RDMSR at CPL 3", CODE(0x0f, 0x32), VMEXIT_MSR, EX + VEC_GP, .cpl = 3},
    {"RDMSR of no register", CODE(0x0f, 0x32), VMEXIT_MSR, VMEXIT_MSR, .rcx = 0x1234},
    {"WRMSR of a bad value", CODE(0x0f, 0x30), VMEXIT_MSR, VMEXIT_MSR, .rcx = MSR_EFER, .rax = 1 << 30},
    // traps: the instruction is done, unless it faults
    {"WRMSR EFER, trap", CODE(0x0f, 0x30), VMEXIT_EFER_WRITE_TRAP, VMEXIT_EFER_WRITE_TRAP, .rcx = MSR_EFER,
     .rax = EFER_LME | EFER_LMA | EFER_SVME},
    {"WRMSR EFER, bad, trap", CODE(0x0f, 0x30), VMEXIT_EFER_WRITE_TRAP, EX + VEC_GP, .rcx = MSR_EFER,
     .rax = 1 << 30},
    {"MOV CR4, trap", CODE(0x0f, 0x22, 0xe0), VMEXIT_CR0_WRITE_TRAP + 4, VMEXIT_CR0_WRITE_TRAP + 4,
     .rax = CR4_PAE},
    {"MOV CR0, bad, trap", CODE(0x0f, 0x22, 0xc0), VMEXIT_CR0_WRITE_TRAP, EX + VEC_GP, .rax = 0xa0010031},
    {"CLTS, trap", CODE(0x0f, 0x06), VMEXIT_CR0_WRITE_TRAP, VMEXIT_CR0_WRITE_TRAP},
    {"LMSW, trap", CODE(0x0f, 0x01, 0xf0), VMEXIT_CR0_WRITE_TRAP, VMEXIT_CR0_WRITE_TRAP, .rax = 0x31},
};

static void intercept(struct bed *b, unsigned code, bool none)
{
  if (none)
    return;
  if (code < VMEXIT_DR0_READ)
    b->v->control.cr_intercepts |= 1u << code;
  else if (code < VMEXIT_EXCP0)
    b->v->control.dr_intercepts |= 1u << (code - VMEXIT_DR0_READ);
  else
    bed_intercept(b, code);
}

static bool check(const struct row *r)
{
  struct bed *b = bed_new("max", 1);
  struct vmcb *v = b->v;
  struct cpu *c = b->c;
  bed_code(b, r->code, r->n);
  bed_cpl(b, r->cpl);
  bool reads_cr0 = !strncmp(r->what, "SMSW", 4);
  intercept(b, r->icpt, r->icpt == NONE && !reads_cr0);
  intercept(b, r->icpt2, !r->icpt2);
  v->control.exception_intercepts =
      1u << VEC_UD | 1u << VEC_GP | 1u << VEC_PF | 1u << VEC_DB | 1u << VEC_SS | 1u << VEC_NP;
  v->control.np_control = r->pgb ? NP_INVLPGB : 0;
  v->save.rax = r->rax;
  v->save.cr4 |= r->cr4;
  v->save.efer |= r->efer;
  v->save.dr7 |= r->dr7;
  if (r->rsp)
    v->save.rsp = r->rsp;
  c->r[RBX] = r->rbx;
  c->r[RCX] = r->rcx;
  c->r[RDX] = r->rdx;
  c->r[RDI] = BAD;
  uint64_t exit = bed_vmrun(b, BED_VMCB);
  if (exit != r->exit)
    print_error("%s: exit %llx, expected %llx\n", r->what, (unsigned long long)exit,
                (unsigned long long)r->exit);
  bed_free(b);
  return exit == r->exit;
}

static void intercepts_and_exceptions_come_in_the_manuals_order(void **state)
{
  unsigned wrong = 0;
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
    wrong += !check(&rows[i]);
  assert_int_equal(wrong, 0);
}

static void a_trap_tells_the_value_and_the_next_instruction(void **state)
{
  struct bed *b = bed_new("max", 1);
  static const uint8_t mov[] = {0x0f, 0x22, 0xe0};
  bed_code(b, mov, sizeof mov);
  bed_intercept(b, VMEXIT_CR0_WRITE_TRAP + 4);
  b->v->save.rax = CR4_PAE | CR4_PGE;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_CR0_WRITE_TRAP + 4);
  assert_int_equal(b->v->control.exitinfo1, CR4_PAE | CR4_PGE);
  assert_int_equal(b->v->save.cr4, CR4_PAE | CR4_PGE);
  assert_int_equal(b->v->save.rip, BED_GUEST + 3);
  bed_free(b);
}

static void decode_assists_are_there_only_where_offered(void **state)
{
  static const char *const model[] = {"max", "family10h"};
  static const uint8_t mov[] = {0x0f, 0x22, 0xc3}; // mov cr0, rbx
  for (unsigned i = 0; i < 2; i++) {
    struct bed *b = bed_new(model[i], 1);
    bed_code(b, mov, sizeof mov);
    bed_intercept(b, VMEXIT_CR0_SEL_WRITE);
    b->c->r[RBX] = 0x80000031;
    assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_CR0_SEL_WRITE);
    assert_int_equal(b->v->control.exitinfo1, i ? 0 : 1ull << 63 | 3);
    bed_free(b);
  }
}

// A 32-bit guest without paging that jumps to a TSS descriptor of its GDT.
static uint64_t task_switch(uint64_t descriptor, uint64_t *info2)
{
  static const uint8_t jump[] = {0xea, 0, 0, 0, 0, 0x30, 0};
  struct bed *b = bed_new("max", 1);
  bed_code(b, jump, sizeof jump);
  bed_put(b, BED_GDT + 0x30, descriptor, 8);
  b->v->save.cs.attrib = 0xc9b;
  b->v->save.efer = EFER_SVME;
  b->v->save.cr0 = CR0_PE | CR0_ET;
  b->v->save.cr4 = 0;
  b->v->control.exception_intercepts = 1u << VEC_NP | 1u << VEC_GP | 1u << VEC_TS;
  bed_intercept(b, VMEXIT_TASK_SWITCH);
  uint64_t exit = bed_vmrun(b, BED_VMCB);
  *info2 = b->v->control.exitinfo2;
  bed_free(b);
  return exit;
}

static void a_task_switch_is_intercepted_after_the_checks_of_its_tss(void **state)
{
  uint64_t info2, present = 1ull << 47, tss = 9ull << 40 | (uint64_t)BED_DATA << 16;
  assert_int_equal(task_switch(tss | present | 0x67, &info2), VMEXIT_TASK_SWITCH);
  assert_int_equal(info2, 1ull << 38); // a far jump
  assert_int_equal(task_switch(tss | 0x67, &info2), EX + VEC_NP);
  assert_int_equal(task_switch(tss | present | 0x20, &info2), EX + VEC_TS); // its limit is too small
  assert_int_equal(task_switch(tss | 2ull << 40 | present | 0x67, &info2), EX + VEC_GP); // busy
}

static void the_tsc_ratio_counts_for_mperf_in_a_guest_only(void **state)
{
  static const uint8_t rdmsr[] = {0x0f, 0x32};
  struct bed *b = bed_new("max", 1);
  bed_code(b, rdmsr, sizeof rdmsr);
  msr_write(b->c, MSR_TSC_RATIO, 0);
  b->c->r[RCX] = MSR_MPERF;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_HLT);
  assert_int_equal(b->v->save.rax, 0);
  uint64_t v;
  assert_true(msr_read(b->c, MSR_MPERF, &v));
  assert_true(v > 0);
  bed_free(b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(intercepts_and_exceptions_come_in_the_manuals_order),
      cmocka_unit_test(a_trap_tells_the_value_and_the_next_instruction),
      cmocka_unit_test(decode_assists_are_there_only_where_offered),
      cmocka_unit_test(a_task_switch_is_intercepted_after_the_checks_of_its_tss),
      cmocka_unit_test(the_tsc_ratio_counts_for_mperf_in_a_guest_only),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
