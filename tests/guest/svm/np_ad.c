// Accessed and dirty bits of both stages. For the nested tables every reference to a guest's table is a
// write, so a table whose nested page is read-only cannot be used, whatever stands in it.
// APM2 15.25.5, 15.25.6.
#include "space.h"

enum { AD = PT_A | PT_D };
static struct space s;
static uint64_t *guest_entry[5], *nested_entry[5],
    *table_entry[4]; // by level; table_entry: of the guest's tables
static uint64_t page;

static void clear(void)
{
  for (unsigned i = 1; i <= 4; i++)
    *guest_entry[i] &= ~(uint64_t)AD;
  for (unsigned i = 1; i <= 3; i++) {
    *nested_entry[i] &= ~(uint64_t)AD;
    *table_entry[i] &= ~(uint64_t)AD;
  }
  s.v->tlb_control = flush_guest();
}

static void check(bool dirty)
{
  for (unsigned i = 2; i <= 4; i++)
    CHECK(*guest_entry[i] & PT_A);
  for (unsigned i = 2; i <= 3; i++)
    CHECK_EQ(*nested_entry[i] & AD, PT_A); // bit 6 of an upper level is not the processor's
  CHECK_EQ(*guest_entry[1] & AD, PT_A | (dirty ? PT_D : 0));
  CHECK_EQ(*nested_entry[1] & AD, PT_A | (dirty ? PT_D : 0));
  for (unsigned i = 1; i <= 3; i++)
    CHECK_EQ(*table_entry[i] & AD, AD); // an accessed bit was written there
}

static void marks(void)
{
  clear();
  CHECK_EQ(space_access(&s, 0, READ, VA), X_VMMCALL);
  check(false);
  // what was read is written now: the translation is there, but the dirty bits are to be set
  s.v->tlb_control = TLB_KEEP;
  CHECK_EQ(space_access(&s, 0, WRITE, VA), X_VMMCALL);
  check(true);
  clear();
  CHECK_EQ(space_access(&s, 3, WRITE, VA), X_VMMCALL);
  check(true);
  clear();
  CHECK_EQ(space_access(&s, 0, FETCH, VA), X_VMMCALL);
  check(false);
  // dirty in the guest's alone, then in the nested alone
  clear();
  *guest_entry[1] |= AD;
  CHECK_EQ(space_access(&s, 0, READ, VA), X_VMMCALL);
  CHECK_EQ(*nested_entry[1] & AD, PT_A);
  s.v->tlb_control = TLB_KEEP;
  CHECK_EQ(space_access(&s, 0, WRITE, VA), X_VMMCALL);
  CHECK_EQ(*nested_entry[1] & AD, AD);
  clear();
  *nested_entry[1] |= AD;
  CHECK_EQ(space_access(&s, 0, READ, VA), X_VMMCALL);
  CHECK_EQ(*guest_entry[1] & AD, PT_A);
  s.v->tlb_control = TLB_KEEP;
  CHECK_EQ(space_access(&s, 0, WRITE, VA), X_VMMCALL);
  CHECK_EQ(*guest_entry[1] & AD, AD);
}

// A fault of one stage leaves the page's own dirty bit alone.
static void refused(void)
{
  clear();
  *guest_entry[1] &= ~(uint64_t)PT_W;
  CHECK_EQ(space_access(&s, 0, WRITE, VA), X_EXCP + PF);
  CHECK(!(*guest_entry[1] & PT_D));
  CHECK(!(*nested_entry[1] & PT_D));
  *guest_entry[1] |= PT_W;
  clear();
  *nested_entry[1] &= ~(uint64_t)PT_W;
  CHECK_EQ(space_access(&s, 0, WRITE, VA), X_NPF);
  CHECK(!(*nested_entry[1] & PT_D));
  CHECK_EQ(space_access(&s, 0, READ, VA), X_VMMCALL);
  *nested_entry[1] |= PT_W;
}

static void read_only_tables(void)
{
  for (unsigned marked = 0; marked < 2; marked++)
    for (unsigned level = 1; level <= 3; level++) {
      clear();
      if (marked)
        for (unsigned i = 1; i <= 4; i++)
          *guest_entry[i] |= AD;
      *table_entry[level] &= ~(uint64_t)PT_W;
      CHECK_EQ(space_access(&s, 0, READ, VA), X_NPF);
      CHECK_EQ(s.v->exitinfo1, NPF_TABLE | PF_P | PF_W | PF_U);
      CHECK_EQ(s.v->exitinfo2 & ~0xfffull, (uint64_t)guest_entry[level] & ~0xfffull);
      if (!marked)
        CHECK(!(*guest_entry[level] & PT_A));
      // the hypervisor allows it, and the guest goes on
      *table_entry[level] |= PT_W;
      CHECK_EQ(run(s.v), X_VMMCALL);
    }
}

void test(void)
{
  svm_on();
  svm_need(SVM_NP);
  page = (uint64_t)page_new();
  *(uint64_t *)page = VMMCALL_CODE;
  regs.bx = VMMCALL_CODE;
  s = space_new(1, true);
  space_map(&s, VA, GPA | PT_ALL);
  space_nest(&s, GPA, page | PT_ALL);
  for (unsigned i = 1; i <= 4; i++) {
    guest_entry[i] = tables_entry(&s.guest, VA, i);
    nested_entry[i] = tables_entry(&s.nested, GPA, i);
  }
  // 4 KB pages of their own for the guest's tables: the image's own 2 MB page goes to pieces
  uint64_t *big = tables_entry(&s.nested, (uint64_t)guest_entry[1], 2), base = *big & 0xfffffffe00000;
  *big = 0;
  for (unsigned i = 0; i < 512; i++)
    space_nest(&s, base + 4096 * i, (base + 4096 * i) | PT_ALL);
  for (unsigned i = 1; i <= 3; i++)
    table_entry[i] = tables_entry(&s.nested, (uint64_t)guest_entry[i], 1);
  CHECK_EQ((uint64_t)guest_entry[3] >> 21, base >> 21);
  marks();
  refused();
  read_only_tables();
}
