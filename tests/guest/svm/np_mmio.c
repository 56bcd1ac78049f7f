// What an access reaches is decided by the system-physical address: the local APIC answers where the nested
// tables lead to it, and nowhere else. APM2 15.25, 16.3.1.
#include "space.h"

void test(void)
{
  svm_on();
  svm_need(SVM_NP);
  uint64_t *page = page_new();
  struct space s = space_new(1, true);
  lapic_on();
  // the APIC at another guest-physical address
  space_map(&s, VA, GPA | PT_ALL | PT_PCD | PT_PWT);
  space_nest(&s, GPA, LAPIC | PT_ALL | PT_PCD | PT_PWT);
  CHECK_EQ(space_access(&s, 0, READ, VA + 0x30), X_VMMCALL);
  CHECK_EQ((uint32_t)s.v->rax, apic_read(0x30));
  apic_write(A_TPR, 0x20);
  CHECK_EQ(space_access(&s, 0, READ, VA + A_TPR), X_VMMCALL);
  CHECK_EQ((uint32_t)s.v->rax, 0x20);
  apic_write(A_TPR, 0);
  // RAM at the APIC's own address
  space_map(&s, VA + 0x1000, LAPIC | PT_ALL);
  tables_map(&s.nested, LAPIC, 2, 0);
  space_nest(&s, LAPIC, (uint64_t)page | PT_ALL);
  s.v->tlb_control = flush_guest();
  page[0x30 / 8] = 0x123456789abcdef;
  CHECK_EQ(space_peek(&s, VA + 0x1030), 0x123456789abcdef);
  s.v->tlb_control = TLB_KEEP;
  regs.bx = 0x1111222233334444;
  CHECK_EQ(space_access(&s, 0, WRITE, VA + 0x1000 + A_TPR), X_VMMCALL);
  CHECK_EQ(page[A_TPR / 8], regs.bx);
  CHECK_EQ(apic_read(A_TPR), 0);
  // nothing at the address that the guest believes in
  space_nest(&s, LAPIC, 0);
  s.v->tlb_control = flush_guest();
  CHECK_EQ(space_access(&s, 0, READ, VA + 0x1030), X_NPF);
  CHECK_EQ(s.v->exitinfo2, LAPIC + 0x30);
  // low bits of N_CR3 are no part of the address
  s.v->ncr3 |= 0x18;
  s.v->tlb_control = flush_guest();
  CHECK_EQ((uint32_t)space_peek(&s, VA + 0x30), apic_read(0x30));
}
