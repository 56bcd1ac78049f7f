// Decode assists: INVLPG's linear address, INT n's vector, INVPCID's descriptor and kind, and the bytes of an
// instruction whose data faulted: 15 of them, or as many as could be fetched; none for a fetch. APM2 15.8.
#include "svm.h"

#define VA 0x8000000000ull
static struct vmcb *v;
#define G(name, text)                                                                                        \
  static void g_##name(void)                                                                                 \
  {                                                                                                          \
    asm volatile(text "; vmmcall" ::: "rax", "rbx", "memory");                                               \
  }
G(abs, "invlpg 0x12345678")
G(index, "mov $0x123456789000, %%rax; mov $0x10, %%ebx; invlpg 8(%%rax,%%rbx,4)")
G(gs, "invlpg %%gs:0x1000")
G(a32, "mov $0xffffffff80001000, %%rax; invlpg 0x10(%%eax)")
G(int_ff, "int $0xff")
G(int_3, ".byte 0xcd, 3")

static void clear_bytes(void)
{
  v->bytes_fetched = 0x77;
  for (unsigned i = 0; i < 15; i++)
    v->bytes[i] = 0x77;
}
static void bytes(const uint8_t *at, unsigned n)
{
  CHECK_EQ(v->bytes_fetched, n);
  for (unsigned i = 0; i < n; i++)
    CHECK_EQ(v->bytes[i], at[i]);
}
static uint64_t go(uint64_t rip)
{
  clear_bytes();
  vmcb_entry(v, (void (*)(void))rip);
  return run(v);
}

void test(void)
{
  svm_need(SVM_DECODE);
  svm_on();
  v = vmcb_new();
  intercept(v, X_INVLPG);
  intercept(v, X_SWINT);
  CHECK_EQ(guest(v, g_abs), X_INVLPG);
  CHECK_EQ(v->exitinfo1, 0x12345678);
  CHECK_EQ(guest(v, g_index), X_INVLPG);
  CHECK_EQ(v->exitinfo1, 0x123456789048);
  wrmsr(0xc0000101, 0x7000000000);
  CHECK_EQ(guest(v, g_gs), X_INVLPG);
  CHECK_EQ(v->exitinfo1, 0x7000001000);
  wrmsr(0xc0000101, 0);
  CHECK_EQ(guest(v, g_a32), X_INVLPG);
  CHECK_EQ(v->exitinfo1, 0x80001010);
  CHECK_EQ(guest(v, g_int_ff), X_SWINT);
  CHECK_EQ(v->exitinfo1, 0xff);
  CHECK_EQ(guest(v, g_int_3), X_SWINT);
  CHECK_EQ(v->exitinfo1, 3);

  // mov (%rax), %eax, with bytes of known values behind it
  uint8_t *page = pages_new(2);
  for (unsigned i = 0; i < 0x2000; i++)
    page[i] = i * 7 + 1;
  map(VA, (uint64_t)page | PT_P | PT_W);
  v->exceptions = 1 << PF;
  v->rax = 0x9000000000;
  page[0x100] = 0x8b;
  page[0x101] = 0x00;
  CHECK_EQ(go(VA + 0x100), X_EXCP + PF);
  bytes(page + 0x100, 15);
  // at the end of the page: the next one is missing
  for (unsigned n = 2; n < 18; n++) {
    uint64_t off = 0x1000 - n;
    page[off] = 0x8b;
    page[off + 1] = 0x00;
    CHECK_EQ(go(VA + off), X_EXCP + PF);
    CHECK_EQ(v->exitinfo2, 0x9000000000);
    bytes(page + off, n < 15 ? n : 15);
    page[off] = page[off + 1] = 0x90;
  }
  // and there
  map(VA + 0x1000, (uint64_t)page + 0x1000 + PT_P + PT_W);
  page[0xffc] = 0x8b;
  page[0xffd] = 0x00;
  CHECK_EQ(go(VA + 0xffc), X_EXCP + PF);
  bytes(page + 0xffc, 15);
  // a fetch has none
  CHECK_EQ(go(0x9000000000), X_EXCP + PF);
  CHECK_EQ(v->bytes_fetched, 0);
  // nor have other exits
  v->exceptions = 1 << GP;
  v->rax = 0x8000000000000000;
  CHECK_EQ(go(VA + 0xffc), X_EXCP + GP);
  CHECK_EQ(v->bytes_fetched, 0);
  // the code segment's limit ends them too
  static uint8_t code32[32] = {0xa1, 0, 0, 0, 0xf0}; // mov 0xf0000000, %eax
  uint32_t *pd = page_new();
  for (unsigned i = 0; i < 16; i++)
    pd[i] = i << 22 | PT_P | PT_W | PT_PS;
  struct vmcb *w = vmcb_new();
  vmcb_protected32(w, code32);
  w->cr0 |= 0x80000000;
  w->cr4 |= 0x10;
  w->cr3 = (uint64_t)pd;
  w->asid = 2;
  w->exceptions = 1 << PF;
  w->cs.base = (uint64_t)code32;
  w->cs.limit = 8;
  w->rip = 0;
  CHECK_EQ(run(w), X_EXCP + PF);
  CHECK_EQ(w->bytes_fetched, 9);
  CHECK_EQ(w->bytes[0], 0xa1);
  if (!svm_has(SVM_NP))
    return;
  // nested page faults
  v = vmcb_new();
  v->rax = VA + 0x2000;
  map(VA + 0x2000, (6ull << 30) | PT_P | PT_W); // guest-physical memory that the nested table lacks
  vmcb_nested(v);
  page[0x200] = 0x8b;
  page[0x201] = 0x00;
  CHECK_EQ(go(VA + 0x200), X_NPF);
  bytes(page + 0x200, 15);
  CHECK_EQ(go(VA + 0x2000), X_NPF);
  CHECK_EQ(v->bytes_fetched, 0);
}
