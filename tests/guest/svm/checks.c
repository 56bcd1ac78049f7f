// Each state that VMRUN must refuse gives VMEXIT_INVALID and runs no instruction of the guest; the nearest
// state that it must accept runs. A row each. APM2 15.5.1.
#include "svm.h"

static struct vmcb *v, legal;
static volatile unsigned ran;
static uint32_t *flat_pd; // 4 MB pages one to one
static uint64_t *pdpt;    // PAE paging, one to one

static void body(void)
{
  ran++;
  vmmcall();
}
CODE(16, code16, "vmmcall");
CODE(32, code32, "vmmcall");

static void begin(void)
{
  uint32_t asid = v->asid;
  *v = legal;
  v->asid = asid;
  ran = 0;
}

#define ILLEGAL(...)                                                                                         \
  do {                                                                                                       \
    begin();                                                                                                 \
    __VA_ARGS__;                                                                                             \
    v->exitcode = v->exitinfo1 = 0x1234;                                                                     \
    if (run(v) != X_INVALID || ran)                                                                          \
      fail(HERE, "illegal: " #__VA_ARGS__, v->exitcode, X_INVALID);                                          \
  } while (0)
#define LEGAL(...)                                                                                           \
  do {                                                                                                       \
    begin();                                                                                                 \
    __VA_ARGS__;                                                                                             \
    if (run(v) != X_VMMCALL)                                                                                 \
      fail(HERE, "legal: " #__VA_ARGS__, v->exitcode, X_VMMCALL);                                            \
  } while (0)

static void paged32(struct vmcb *g) // protected mode with two-level paging
{
  vmcb_protected32(g, code32);
  g->cr0 |= 0x80000000;
  g->cr4 |= 0x10; // PSE
  g->cr3 = (uint64_t)flat_pd;
  g->tlb_control = TLB_ALL;
}
static void pae(struct vmcb *g)
{
  vmcb_protected32(g, code32);
  g->cr0 |= 0x80000000;
  g->cr4 |= 0x20;
  g->cr3 = (uint64_t)pdpt;
  g->tlb_control = TLB_ALL;
}

static void registers(uint64_t beyond)
{
  LEGAL();
  ILLEGAL(v->efer &= ~EFER_SVME);
  ILLEGAL(v->cr0 |= 1 << 29); // NW without CD
  LEGAL(v->cr0 |= 3ull << 29);
  LEGAL(v->cr0 |= 1ull << 30);
  ILLEGAL(v->cr0 |= 1ull << 32);
  ILLEGAL(v->cr0 |= 1ull << 63);
  ILLEGAL(v->cr3 |= 1ull << 63);
  ILLEGAL(v->cr3 |= 1ull << 52);
  ILLEGAL(v->cr3 |= beyond);
  LEGAL(v->cr3 |= 0x18); // PWT, PCD
  for (unsigned bit = 24; bit < 64; bit++)
    ILLEGAL(v->cr4 |= 1ull << bit);
  ILLEGAL(v->cr4 |= 1 << 13); // VMX, SMX: another vendor's
  ILLEGAL(v->cr4 |= 1 << 14);
  LEGAL(v->cr4 |= 0x10c); // TSD, DE, PCE
  ILLEGAL(v->dr6 |= 1ull << 32);
  ILLEGAL(v->dr6 |= 1ull << 63);
  LEGAL(v->dr6 = 0xffff4ff0);
  ILLEGAL(v->dr7 |= 1ull << 32);
  ILLEGAL(v->dr7 |= 1ull << 63);
  LEGAL(v->dr7 = 0x455);
  ILLEGAL(v->efer |= 1 << 1);
  ILLEGAL(v->efer |= 1 << 7);
  ILLEGAL(v->efer |= 1 << 9);
  for (unsigned bit = 32; bit < 64; bit++)
    ILLEGAL(v->efer |= 1ull << bit);
  LEGAL(v->efer |= 1);             // SCE
  LEGAL(v->efer &= ~(1ull << 10)); // LMA follows from the others
}

static void modes(void)
{
  // EFER.LME, CR0.PG without CR4.PAE; without PG it is legal, and without LME
  ILLEGAL(v->cr4 &= ~0x20ull);
  LEGAL(vmcb_protected32(v, code32); v->efer |= 0x100);
  LEGAL(paged32(v));
  ILLEGAL(paged32(v); v->efer |= 0x100);
  // EFER.LME, CR0.PG without CR0.PE; without LME it is paged real mode
  ILLEGAL(v->cr0 &= ~1ull);
  LEGAL(vmcb_real(v, code16));
  LEGAL(vmcb_real(v, code16); v->cr0 |= 0x80000000; v->cr4 |= 0x10; v->cr3 = (uint64_t)flat_pd;
        v->tlb_control = TLB_ALL);
  // CS.L with CS.D in long mode
  ILLEGAL(v->cs.attrib |= 0x400);
  LEGAL(v->cs.attrib = 0xc9b); // compatibility mode
  LEGAL(vmcb_protected32(v, code32); v->cs.attrib = 0xe9b);
  // PAE paging: the four pointers are loaded
  LEGAL(pae(v));
  pdpt[3] |= 2; // reserved
  ILLEGAL(pae(v));
  pdpt[3] &= ~1ull; // not present: not looked at
  LEGAL(pae(v));
  pdpt[3] = (pdpt[3] & ~2ull) | 1;
}

static void control(uint64_t beyond)
{
  ILLEGAL(pass_on(v, X_VMRUN));
  ILLEGAL(intercept(v, X_IOIO); v->iopm = beyond);
  ILLEGAL(intercept(v, X_IOIO); v->iopm = beyond - 0x1000);
  ILLEGAL(intercept(v, X_IOIO); v->iopm = beyond - 0x2000); // three bits lie beyond
  LEGAL(intercept(v, X_IOIO); v->iopm = beyond - 0x4000);
  LEGAL(intercept(v, X_IOIO); v->iopm |= 0xfff); // the low 12 bits are ignored
  ILLEGAL(intercept(v, X_MSR); v->msrpm = beyond);
  ILLEGAL(intercept(v, X_MSR); v->msrpm = beyond - 0x1000);
  LEGAL(intercept(v, X_MSR); v->msrpm = beyond - 0x3000);
  LEGAL(intercept(v, X_MSR); v->msrpm |= 0xfff);
  uint32_t asid = v->asid;
  ILLEGAL(v->asid = 0);
  LEGAL(v->asid = svm_asids() - 1);
  v->asid = asid;
  // not the guest's business: an instruction pointer outside of its limit, or not canonical
  begin();
  vmcb_protected32(v, code32);
  v->cs.limit = 0xfff;
  v->exceptions = 1 << GP;
  CHECK_EQ(run(v), X_EXCP + GP);
  begin();
  v->rip = 1ull << 47;
  v->exceptions = 1 << GP;
  CHECK_EQ(run(v), X_EXCP + GP);
  CHECK_EQ(v->rip, 1ull << 47);
}

void test(void)
{
  uint32_t r[4];
  cpuid(0x80000008, 0, r);
  uint64_t beyond = 1ull << (r[0] & 0xff);
  svm_on();
  v = vmcb_new();
  vmcb_entry(v, body);
  legal = *v;
  flat_pd = page_new();
  uint64_t *pd = page_new();
  for (unsigned i = 0; i < 16; i++) {
    flat_pd[i] = i << 22 | PT_P | PT_W | PT_PS;
    pd[i] = i << 21 | PT_P | PT_W | PT_PS;
  }
  pdpt = page_new();
  for (unsigned i = 0; i < 4; i++)
    pdpt[i] = (uint64_t)pd | PT_P;
  registers(beyond);
  modes();
  control(beyond);
}
