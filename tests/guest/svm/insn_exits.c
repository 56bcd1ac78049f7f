// Each instruction with an intercept of its own exits with its code before it does anything, leaves RIP at
// itself and its successor in nRIP; and runs when it is not intercepted. APM2 15.9, 15.7.1, appendix C.
#include "svm.h"

static struct vmcb *v;
extern uint8_t done_at[];
static volatile unsigned got;
static uint8_t scratch[32] __attribute__((aligned(16)));

// A guest whose instruction stands between at_NAME and end_NAME.
#define G(name, before, insn, after)                                                                         \
  extern uint8_t at_##name[], end_##name[];                                                                  \
  static void g_##name(void)                                                                                 \
  {                                                                                                          \
    asm volatile(before "\n.globl at_" #name ", end_" #name "\nat_" #name ": " insn "\nend_" #name           \
                        ": " after "\nvmmcall" ::"m"(scratch)                                                \
                 : "rax", "rbx", "rcx", "rdx", "memory", "cc");                                              \
  }
G(sidt, "", "sidt %0", "")
G(sgdt, "", "sgdt %0", "")
G(sldt, "", "sldt %%eax", "")
G(str, "", "str %%eax", "")
G(lidt, "sidt %0", "lidt %0", "")
G(lgdt, "sgdt %0", "lgdt %0", "")
G(lldt, "xor %%eax, %%eax", "lldt %%ax", "")
G(ltr, "mov $0x60, %%eax", "ltr %%ax", "")
G(rdtsc, "", "rdtsc", "")
G(rdpmc, "xor %%ecx, %%ecx", "rdpmc", "")
G(pushf, "", "pushf", "pop %%rax")
G(popf, "push $2", "popf", "")
G(cpuid, "xor %%eax, %%eax", "cpuid", "")
G(rsm, "", "rsm", "")
G(iret,
  "mov %%rsp, %%rcx; mov %%ss, %%eax; push %%rax; push %%rcx; push $2; mov %%cs, %%eax; push %%rax;"
  "lea end_iret(%%rip), %%rax; push %%rax",
  "iretq", "")
G(swint, "", "int $0x60", "")
G(invd, "", "invd", "")
G(pause, "", "pause", "")
G(hlt, "", "hlt", "")
G(invlpg, "", "invlpg 0x1234", "")
G(invlpga, "xor %%eax, %%eax; mov $1, %%ecx", "invlpga %%rax, %%ecx", "")
G(vmrun, "xor %%eax, %%eax", "vmrun %%rax", "")
G(vmmcall, "", "vmmcall", "")
G(vmload, "xor %%eax, %%eax", "vmload %%rax", "")
G(vmsave, "xor %%eax, %%eax", "vmsave %%rax", "")
G(stgi, "", "stgi", "")
G(clgi, "", "clgi", "stgi")
G(skinit, "xor %%eax, %%eax", "skinit %%eax", "")
G(rdtscp, "", "rdtscp", "")
G(icebp, "", ".byte 0xf1", "")
G(wbinvd, "", "wbinvd", "")
G(wbnoinvd, "", ".byte 0xf3, 0x0f, 0x09", "")
G(monitor, "mov %%rsp, %%rax; xor %%ecx, %%ecx; xor %%edx, %%edx", "monitor", "")
G(mwait, "xor %%eax, %%eax; xor %%ecx, %%ecx", "mwait", "")
G(xsetbv, "xor %%ecx, %%ecx; xgetbv", "xsetbv", "")
G(rdpru, "xor %%ecx, %%ecx", ".byte 0x0f, 0x01, 0xfd", "")
G(invpcid, "movq $0, %0; movq $0, 8+%0; mov $2, %%eax", "invpcid %0, %%rax", "")
G(mcommit, "", ".byte 0xf3, 0x0f, 0x01, 0xfa", "")

enum {
  ALONE = 1,
  FAULTS = 2,
  MONITOR = 4,
  XSAVE = 8,
  TSCP = 16,
  RDPRU = 32,
  WBNOINVD = 64,
  INVPCID = 128,
  SKINIT = 256,
  MCOMMIT = 512
};
static const struct row {
  void (*fn)(void);
  uint8_t *at, *end;
  unsigned code, flags; // ALONE: is not run without the intercept. FAULTS: is #UD without it
} rows[] = {
#define R(name, code, flags)                                                                                 \
  {                                                                                                          \
    g_##name, at_##name, end_##name, code, flags                                                             \
  }
    R(sidt, X_IDTR_READ, 0),
    R(sgdt, X_GDTR_READ, 0),
    R(sldt, X_LDTR_READ, 0),
    R(str, X_TR_READ, 0),
    R(lidt, X_IDTR_WRITE, 0),
    R(lgdt, X_GDTR_WRITE, 0),
    R(lldt, X_LDTR_WRITE, 0),
    R(ltr, X_TR_WRITE, 0),
    R(rdtsc, X_RDTSC, 0),
    R(rdpmc, X_RDPMC, 0),
    R(pushf, X_PUSHF, 0),
    R(popf, X_POPF, 0),
    R(cpuid, X_CPUID, 0),
    R(rsm, X_RSM, FAULTS),
    R(iret, X_IRET, 0),
    R(swint, X_SWINT, 0),
    R(invd, X_INVD, ALONE),
    R(pause, X_PAUSE, 0),
    R(hlt, X_HLT, ALONE),
    R(invlpg, X_INVLPG, 0),
    R(invlpga, X_INVLPGA, 0),
    R(vmrun, X_VMRUN, ALONE),
    R(vmmcall, X_VMMCALL, ALONE),
    R(vmload, X_VMLOAD, ALONE),
    R(vmsave, X_VMSAVE, ALONE),
    R(stgi, X_STGI, 0),
    R(clgi, X_CLGI, 0),
    R(skinit, X_SKINIT, ALONE | SKINIT),
    R(rdtscp, X_RDTSCP, TSCP),
    R(icebp, X_ICEBP, 0),
    R(wbinvd, X_WBINVD, 0),
    R(wbnoinvd, X_WBINVD, WBNOINVD),
    R(monitor, X_MONITOR, MONITOR),
    R(mwait, X_MWAIT, ALONE | MONITOR),
    R(xsetbv, X_XSETBV, XSAVE),
    R(rdpru, X_RDPRU, RDPRU),
    R(invpcid, X_INVPCID, INVPCID),
    R(mcommit, X_MCOMMIT, MCOMMIT | ALONE),
};

static unsigned missing(void)
{
  uint32_t r[4];
  unsigned m = 0;
  cpuid(1, 0, r);
  m |= r[2] & 1 << 3 ? 0 : MONITOR;
  m |= r[2] & 1 << 26 ? 0 : XSAVE;
  cpuid(0x80000001, 0, r);
  m |= r[3] & 1 << 27 ? 0 : TSCP;
  m |= r[2] & 1 << 12 ? 0 : SKINIT;
  cpuid(0x80000000, 0, r);
  r[1] = 0;
  if (r[0] >= 0x80000008)
    cpuid(0x80000008, 0, r);
  m |= r[1] & 1 << 4 ? 0 : RDPRU;
  m |= r[1] & 1 << 9 ? 0 : WBNOINVD;
  m |= r[1] & 1 << 8 ? 0 : MCOMMIT;
  cpuid(0, 0, r);
  uint32_t max = r[0];
  cpuid(7, 0, r);
  m |= max >= 7 && r[1] & 1 << 10 ? 0 : INVPCID;
  return m;
}

static void prepare(const struct row *row)
{
  struct vmcb *fresh = page_new();
  struct vmcb saved = *v;
  *fresh = saved;
  v = fresh;
  v->vector3 = v->vector4 = v->vector5 = 0;
  v->exceptions = 0;
  intercept(v, X_VMRUN);
  intercept(v, X_VMMCALL);
  v->rflags = 2;
  v->eventinj = 0;
  vmcb_entry(v, row->fn);
  gdt[0x60 / 8] = descriptor((uint32_t)(uint64_t)&tss, 0x67, 0x89, 0);
  gdt[0x68 / 8] = 0;
}

static void on_event(struct frame *f)
{
  got = f->vector;
  if (f->vector == UD)
    f->ip += 2;
}

void test(void)
{
  svm_on();
  unsigned lacks = missing();
  v = vmcb_new();
  if (!(lacks & XSAVE)) {
    write_cr4(read_cr4() | 1 << 18);
    v->cr4 |= 1 << 18;
  }
  handler[UD] = handler[0x60] = handler[DB] = on_event;
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    const struct row *r = &rows[i];
    if (r->flags & lacks)
      continue;
    prepare(r);
    intercept(v, r->code);
    if (r->flags & MCOMMIT)
      v->efer |= 1 << 17;
    v->nrip = 0x7777;
    uint64_t flags = v->rflags;
    run(v);
    if (v->exitcode != r->code)
      fail(HERE, "the exit code is the instruction's", v->exitcode, r->code);
    if (v->rip != (uint64_t)r->at)
      fail(HERE, "RIP is the instruction's", v->exitcode, r->code);
    if (svm_has(SVM_NRIP) && v->nrip != (uint64_t)r->end)
      fail(HERE, "nRIP is its successor's, by exit code", v->exitcode, r->code);
    CHECK_EQ((v->rflags ^ flags) & 0x200, 0);
    if (r->flags & ALONE)
      continue;
    prepare(r);
    got = 0;
    if (r->fn == g_ltr)
      run_own(v);
    else
      run(v);
    if (v->exitcode != X_VMMCALL)
      fail(HERE, "it runs without its intercept", v->exitcode, r->code);
    if (r->flags & FAULTS)
      CHECK_EQ(got, UD);
    if (r->code == X_SWINT)
      CHECK_EQ(got, 0x60);
    if (r->code == X_ICEBP)
      CHECK_EQ(got, DB);
  }
  // #DB's intercept is not ICEBP's, and the other way round
  const struct row icebp = R(icebp, X_ICEBP, 0);
  prepare(&icebp);
  v->exceptions = 1 << DB;
  got = 0;
  CHECK_EQ(run(v), X_VMMCALL);
  CHECK_EQ(got, DB);
  // what the hypervisor skips is skipped
  const struct row skip = R(cpuid, X_CPUID, 0);
  prepare(&skip);
  intercept(v, X_CPUID);
  CHECK_EQ(run(v), X_CPUID);
  v->rax = 0x1234;
  CHECK_EQ(run_past(v, 2), X_VMMCALL);
  CHECK_EQ(v->rax, 0x1234);
}
