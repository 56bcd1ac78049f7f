// What comes first, an instruction's intercept or its exception: a row for each instruction, privilege and
// condition. APM2 15.9, table 15-7.
#include "svm.h"

static struct vmcb *v;
extern uint8_t rt_user_stack_top[];
USER_DATA static uint64_t value;

#define U(name, text)                                                                                        \
  USER static void u_##name(void)                                                                            \
  {                                                                                                          \
    asm volatile("mov value(%%rip), %%rcx; mov %%rcx, %%rax; xor %%edx, %%edx; " text "; int $0x80" ::       \
                     : "rax", "rbx", "rcx", "rdx", "memory");                                                \
  }
U(rdtsc, "rdtsc")
U(rdtscp, "rdtscp")
U(rdpmc, "rdpmc")
U(rdpru, ".byte 0x0f, 0x01, 0xfd")
U(pushf, "mov $0x8000000008, %%rsp; pushf") // nothing is mapped there
U(popf, "mov $0x8000000008, %%rsp; popf")
U(iret, "mov $0x8000000008, %%rsp; iretq")
U(swint, "int $0x60")
U(rsm, "rsm")
U(invd, "invd")
U(wbinvd, "wbinvd")
U(hlt, "hlt")
U(invlpg, "invlpg (%%rax)")
U(invlpga, "invlpga %%rax, %%ecx")
U(invpcid, "invpcid (%%rax), %%rax")
U(vmrun, "vmrun %%rax")
U(vmload, "vmload %%rax")
U(vmsave, "vmsave %%rax")
U(vmmcall, "vmmcall")
U(stgi, "stgi")
U(clgi, "clgi")
U(monitor, "xor %%ecx, %%ecx; monitor")
U(monitor_ext, "mov $1, %%ecx; lea value(%%rip), %%rax; monitor")
U(mwait, "xor %%ecx, %%ecx; mwait")
U(mwait_ext, "mov $0x10, %%ecx; mwait")
U(xsetbv, "mov $1, %%ecx; xor %%eax, %%eax; xsetbv")
U(lgdt, "lgdt (%%rax)")
U(lidt, "lidt (%%rax)")
U(lldt, "lldt (%%rax)")
U(ltr, "ltr (%%rax)")
U(sgdt, "sgdt (%%rax)")
U(sidt, "sidt (%%rax)")
U(sldt, "sldt (%%rax)")
U(str, "str (%%rax)")
U(rcr0, "mov %%cr0, %%rax")
U(wcr0, "mov %%rax, %%cr0")
U(wcr3, "mov %%rax, %%cr3")
U(wcr4, "mov %%rax, %%cr4")
U(wcr8, "mov %%rax, %%cr8")
U(rcr5, ".byte 0x0f, 0x20, 0xe8")
U(clts, "clts")
U(lmsw, "lmsw (%%rax)")
U(smsw, "smsw (%%rax)")
U(rdr, "mov %%dr3, %%rax")
U(cpuid, "cpuid")
U(pause, "pause")
U(icebp, ".byte 0xf1")

enum {
  CPL3 = 1,
  TSD = 2,
  UMIP = 4,
  PCE = 8,
  NEEDS_MONITOR = 16,
  NEEDS_PCID = 32,
  NEEDS_RDPRU = 64,
  NEEDS_XSAVE = 128,
  NEEDS_UMIP = 256 | UMIP,
  NEEDS_TSCP = 512
};
#define NOWHERE 0x8000000000ull
#define WILD    0x8000000000000000ull

static const struct row {
  const char *what;
  void (*fn)(void);
  unsigned flags;
  uint64_t value;
  unsigned code; // that comes
} rows[] = {
    // at privilege 3
    {"RDTSC with TSD", u_rdtsc, CPL3 | TSD, 0, X_EXCP + GP},
    {"RDTSC", u_rdtsc, CPL3, 0, X_RDTSC},
    {"RDTSC with TSD at CPL 0", u_rdtsc, TSD, 0, X_RDTSC},
    {"RDTSCP with TSD", u_rdtscp, CPL3 | TSD | NEEDS_TSCP, 0, X_EXCP + GP},
    {"RDTSCP", u_rdtscp, CPL3 | NEEDS_TSCP, 0, X_RDTSCP},
    {"RDPMC without PCE", u_rdpmc, CPL3, 0, X_EXCP + GP},
    {"RDPMC with PCE", u_rdpmc, CPL3 | PCE, 0, X_RDPMC},
    {"RDPMC of no counter", u_rdpmc, 0, 0x1000, X_EXCP + GP},
    {"RDPRU with TSD", u_rdpru, CPL3 | TSD | NEEDS_RDPRU, 0, X_EXCP + UD},
    {"RDPRU", u_rdpru, CPL3 | NEEDS_RDPRU, 0, X_RDPRU},
    {"PUSHF onto nothing", u_pushf, CPL3, 0, X_PUSHF},
    {"POPF from nothing", u_popf, CPL3, 0, X_POPF},
    {"IRET from nothing", u_iret, CPL3, 0, X_IRET},
    {"INT n through a gate of privilege 0", u_swint, CPL3, 0, X_SWINT},
    {"RSM outside of SMM", u_rsm, CPL3, 0, X_RSM},
    {"CPUID", u_cpuid, CPL3, 0, X_CPUID},
    {"PAUSE", u_pause, CPL3, 0, X_PAUSE},
    {"ICEBP", u_icebp, CPL3, 0, X_ICEBP},
    {"INVD at CPL 3", u_invd, CPL3, 0, X_EXCP + GP},
    {"INVD", u_invd, 0, 0, X_INVD},
    {"WBINVD at CPL 3", u_wbinvd, CPL3, 0, X_EXCP + GP},
    {"HLT at CPL 3", u_hlt, CPL3, 0, X_EXCP + GP},
    {"INVLPG at CPL 3", u_invlpg, CPL3, 0, X_EXCP + GP},
    {"INVLPG of nothing", u_invlpg, 0, NOWHERE, X_INVLPG},
    {"INVLPGA at CPL 3", u_invlpga, CPL3, 0, X_EXCP + GP},
    {"INVPCID at CPL 3", u_invpcid, CPL3 | NEEDS_PCID, NOWHERE, X_EXCP + GP},
    {"INVPCID of a wrong kind, from nothing", u_invpcid, NEEDS_PCID, NOWHERE, X_INVPCID},
    {"VMRUN at CPL 3", u_vmrun, CPL3, 0, X_EXCP + GP},
    {"VMRUN of a crooked address", u_vmrun, 0, 1, X_EXCP + GP},
    {"VMRUN", u_vmrun, 0, 0x5000, X_VMRUN},
    {"VMLOAD at CPL 3", u_vmload, CPL3, 0, X_EXCP + GP},
    {"VMLOAD of a crooked address", u_vmload, 0, 1, X_EXCP + GP},
    {"VMLOAD beyond memory", u_vmload, 0, WILD, X_EXCP + GP},
    {"VMLOAD", u_vmload, 0, 0x5000, X_VMLOAD},
    {"VMSAVE at CPL 3", u_vmsave, CPL3, 0, X_EXCP + GP},
    {"VMSAVE of a crooked address", u_vmsave, 0, 1, X_EXCP + GP},
    {"VMSAVE", u_vmsave, 0, 0x5000, X_VMSAVE},
    {"VMMCALL at CPL 3", u_vmmcall, CPL3, 0, X_VMMCALL},
    {"STGI at CPL 3", u_stgi, CPL3, 0, X_EXCP + GP},
    {"CLGI at CPL 3", u_clgi, CPL3, 0, X_EXCP + GP},
    {"MONITOR of nothing", u_monitor, NEEDS_MONITOR, NOWHERE, X_EXCP + PF},
    {"MONITOR with an extension", u_monitor_ext, NEEDS_MONITOR, 0, X_EXCP + GP},
    {"MWAIT with an extension", u_mwait_ext, NEEDS_MONITOR, 0, X_EXCP + GP},
    {"MWAIT", u_mwait, NEEDS_MONITOR, 0, X_MWAIT},
    {"XSETBV of no register", u_xsetbv, NEEDS_XSAVE, 0, X_XSETBV},
    {"LGDT at CPL 3", u_lgdt, CPL3, 0, X_EXCP + GP},
    {"LGDT from nothing", u_lgdt, 0, NOWHERE, X_GDTR_WRITE},
    {"LIDT at CPL 3", u_lidt, CPL3, 0, X_EXCP + GP},
    {"LIDT from nothing", u_lidt, 0, NOWHERE, X_IDTR_WRITE},
    {"LLDT at CPL 3", u_lldt, CPL3, 0, X_EXCP + GP},
    {"LLDT from nothing", u_lldt, 0, NOWHERE, X_LDTR_WRITE},
    {"LTR at CPL 3", u_ltr, CPL3, 0, X_EXCP + GP},
    {"LTR from nothing", u_ltr, 0, NOWHERE, X_TR_WRITE},
    {"SGDT with UMIP", u_sgdt, CPL3 | NEEDS_UMIP, 0, X_EXCP + GP},
    {"SGDT to nothing", u_sgdt, CPL3, NOWHERE, X_GDTR_READ},
    {"SIDT with UMIP", u_sidt, CPL3 | NEEDS_UMIP, 0, X_EXCP + GP},
    {"SIDT to nothing", u_sidt, CPL3, NOWHERE, X_IDTR_READ},
    {"SLDT with UMIP", u_sldt, CPL3 | NEEDS_UMIP, 0, X_EXCP + GP},
    {"SLDT to nothing", u_sldt, CPL3, NOWHERE, X_LDTR_READ},
    {"STR with UMIP", u_str, CPL3 | NEEDS_UMIP, 0, X_EXCP + GP},
    {"STR to nothing", u_str, CPL3, NOWHERE, X_TR_READ},
    {"MOV from CR0 at CPL 3", u_rcr0, CPL3, 0, X_EXCP + GP},
    {"MOV to CR0 at CPL 3", u_wcr0, CPL3, 0, X_EXCP + GP},
    {"MOV to CR0 of PG without PE", u_wcr0, 0, 0x80000000, X_EXCP + GP},
    {"MOV to CR0 of NW without CD", u_wcr0, 0, 0xa0010033, X_EXCP + GP},
    {"MOV to CR0 of a high bit", u_wcr0, 0, WILD, X_EXCP + GP},
    {"MOV to CR0", u_wcr0, 0, 0x80010033, X_CR_WRITE},
    {"MOV to CR3 of a reserved bit", u_wcr3, 0, 1ull << 62, X_EXCP + GP},
    {"MOV to CR3", u_wcr3, 0, 0x5000, X_CR_WRITE + 3},
    {"MOV to CR4 of a reserved bit", u_wcr4, 0, 1ull << 40, X_EXCP + GP},
    {"MOV to CR4 without PAE", u_wcr4, 0, 0, X_EXCP + GP},
    {"MOV to CR4", u_wcr4, 0, 0x620, X_CR_WRITE + 4},
    {"MOV to CR8 of a reserved bit", u_wcr8, 0, 0x10, X_EXCP + GP},
    {"MOV to CR8", u_wcr8, 0, 3, X_CR_WRITE + 8},
    {"MOV from CR5", u_rcr5, 0, 0, X_EXCP + UD},
    {"CLTS at CPL 3", u_clts, CPL3, 0, X_EXCP + GP},
    {"LMSW at CPL 3", u_lmsw, CPL3, 0, X_EXCP + GP},
    {"LMSW from nothing", u_lmsw, 0, NOWHERE, X_CR_WRITE},
    {"SMSW with UMIP", u_smsw, CPL3 | NEEDS_UMIP, 0, X_EXCP + GP},
    {"SMSW to nothing", u_smsw, CPL3, NOWHERE, X_CR_READ},
    {"MOV from DR3 at CPL 3", u_rdr, CPL3, 0, X_EXCP + GP},
};

static unsigned missing(void)
{
  uint32_t r[4];
  unsigned m = 0;
  cpuid(1, 0, r);
  m |= r[2] & 1 << 3 ? 0 : NEEDS_MONITOR;
  m |= r[2] & 1 << 26 ? 0 : NEEDS_XSAVE;
  cpuid(0x80000001, 0, r);
  m |= r[3] & 1 << 27 ? 0 : NEEDS_TSCP;
  cpuid(0x80000008, 0, r);
  m |= r[1] & 1 << 4 ? 0 : NEEDS_RDPRU;
  cpuid(0, 0, r);
  bool seven = r[0] >= 7;
  cpuid(7, 0, r);
  m |= seven && r[1] & 1 << 10 ? 0 : NEEDS_PCID;
  m |= seven && r[2] & 1 << 2 ? 0 : 256;
  return m;
}

void test(void)
{
  svm_on();
  unsigned lacks = missing();
  v = vmcb_new();
  if (!(lacks & NEEDS_XSAVE))
    v->cr4 |= 1 << 18;
  uint64_t cr4 = v->cr4;
  v->vector3 = 0xffffffe0; // all instructions; FERR and the events apart
  v->vector3 &= ~(1u << 27 | 1u << 28 | 1u << 29 | 1u << 30);
  v->vector4 = 0x7fff & ~(1u << 12);
  v->vector5 = 1 << 2;
  v->cr_read = v->cr_write = v->dr_read = v->dr_write = 0xffff;
  pass_on(v, X_CR0_SEL);
  v->exceptions = ~(1u << NMI);
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    const struct row *r = &rows[i];
    if (r->flags & lacks & ~15u)
      continue;
    bool user = r->flags & CPL3;
    vmcb_privileged(v);
    vmcb_entry(v, r->fn);
    if (user) {
      v->cs = (struct vseg){.selector = U_CODE, .attrib = 0xafb, .limit = ~0u};
      v->ss = (struct vseg){.selector = U_DATA, .attrib = 0xcf3, .limit = ~0u};
      v->cpl = 3;
      v->rsp = (uint64_t)rt_user_stack_top;
    }
    v->cr4 = cr4 | (r->flags & TSD ? 4 : 0) | (r->flags & UMIP ? 0x800 : 0) | (r->flags & PCE ? 0x100 : 0);
    value = r->value;
    run(v);
    if (v->exitcode != r->code)
      fail(HERE, r->what, v->exitcode, r->code);
  }
}
