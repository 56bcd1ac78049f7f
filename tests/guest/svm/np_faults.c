// What a nested page fault says: where it was (EXITINFO2), and whether at an entry of the guest's tables or
// at the address of the access (EXITINFO1); in which order the faults of both stages come; reserved bits of
// the nested tables; nothing of the instruction has happened. APM2 15.25.6.
#include "space.h"

#define TABLES 0x5000000000ull

static struct space s;
static uint64_t page, tables[4]; // tables[i]: guest-physical, of level i
static uint64_t *entry[5];       // of the guest, for VA, by level

#define EXIT(code, info1, info2)                                                                             \
  do {                                                                                                       \
    CHECK_EQ(s.v->exitcode, code);                                                                           \
    CHECK_EQ(s.v->exitinfo1, info1);                                                                         \
    CHECK_EQ(s.v->exitinfo2, info2);                                                                         \
  } while (0)
#define NPF(error, gpa)     EXIT(X_NPF, error, gpa)
#define GUEST_PF(error, va) EXIT(X_EXCP + PF, error, va)

static uint64_t go(unsigned cpl, enum access how, uint64_t va)
{
  s.v->tlb_control = flush_guest();
  return space_access(&s, cpl, how, va);
}

// Where the walk for VA finds its entry of a level.
static uint64_t slot(unsigned level)
{
  return tables[level] + (VA >> (12 + 9 * (level - 1)) & 511) * 8;
}

static void at_tables(void)
{
  for (unsigned level = 3; level >= 1; level--) {
    uint64_t *n = tables_entry(&s.nested, tables[level], 1), was = *n;
    uint64_t *g = entry[level], gwas = *g;
    // the guest's table is not there: a write, though the access reads; and a user's
    *n = 0;
    *g = 0; // what stands in it does not matter
    go(0, READ, VA);
    NPF(NPF_TABLE | PF_U | PF_W, slot(level));
    go(3, WRITE, VA);
    NPF(NPF_TABLE | PF_U | PF_W, slot(level));
    go(0, FETCH, VA);
    CHECK_EQ(s.v->exitcode, X_NPF);
    CHECK_EQ(s.v->exitinfo1 & ~(uint64_t)PF_I, NPF_TABLE | PF_U | PF_W);
    // it is there: #PF, and nobody asks for the tables below
    *n = was;
    go(0, READ, VA + 0x18);
    GUEST_PF(0, VA + 0x18);
    go(3, WRITE, VA + 0x18);
    GUEST_PF(PF_U | PF_W, VA + 0x18);
    *g = gwas | 1ull << 51; // reserved
    go(0, READ, VA + 0x18);
    GUEST_PF(PF_P | PF_RSVD, VA + 0x18);
    *g = gwas;
    // read-only: an access to it counts as a write
    *n = was & ~(uint64_t)PT_W;
    go(0, READ, VA);
    NPF(NPF_TABLE | PF_P | PF_U | PF_W, slot(level));
    *n = was & ~(uint64_t)PT_U;
    go(0, READ, VA);
    NPF(NPF_TABLE | PF_P | PF_U | PF_W, slot(level));
    *n = was | 1ull << 51;
    go(0, READ, VA);
    NPF(NPF_TABLE | PF_P | PF_U | PF_W | PF_RSVD, slot(level));
    *n = was | PT_NX; // tables are not executed
    CHECK_EQ(go(0, READ, VA), X_VMMCALL);
    *n = was;
  }
}

static void order(void)
{
  // the page is in neither stage: the guest's comes first
  uint64_t *n = tables_entry(&s.nested, GPA, 1), *g = entry[1], was = *n, gwas = *g;
  *n = 0;
  *g = 0;
  go(0, WRITE, VA);
  GUEST_PF(PF_W, VA);
  // the guest refuses
  *g = gwas & ~(uint64_t)(PT_U | PT_W);
  go(3, READ, VA + 9);
  GUEST_PF(PF_P | PF_U, VA + 9);
  go(0, WRITE, VA + 9);
  GUEST_PF(PF_P | PF_W, VA + 9);
  *g = gwas | PT_NX;
  go(0, FETCH, VA + 9);
  GUEST_PF(PF_P | PF_I, VA + 9);
  // the guest allows
  *g = gwas;
  go(0, READ, VA + 9);
  NPF(NPF_FINAL | PF_U, GPA + 9);
  go(3, WRITE, VA + 0xff8);
  NPF(NPF_FINAL | PF_U | PF_W, GPA + 0xff8);
  go(0, FETCH, VA + 5);
  NPF(NPF_FINAL | PF_U | PF_I, GPA + 5);
  *n = was;
}

static void reserved(void)
{
  for (unsigned level = 1; level <= 3; level++) {
    uint64_t *n = tables_entry(&s.nested, GPA, level), was = *n;
    *n = was | 1ull << 51;
    go(0, READ, VA + 0x30);
    NPF(NPF_FINAL | PF_P | PF_U | PF_RSVD, GPA + 0x30);
    go(3, WRITE, VA + 0x30);
    NPF(NPF_FINAL | PF_P | PF_U | PF_W | PF_RSVD, GPA + 0x30);
    *n = (was | 1ull << 51) & ~(uint64_t)PT_P; // not there: nothing in it is reserved
    go(0, READ, VA + 0x30);
    NPF(NPF_FINAL | PF_U, GPA + 0x30);
    if (level == 2) { // 2 MB: bits 20:13
      *n = PT_ALL | PT_PS | 1 << 13;
      go(0, READ, VA + 0x30);
      NPF(NPF_FINAL | PF_P | PF_U | PF_RSVD, GPA + 0x30);
    }
    *n = was;
  }
  uint64_t *n = tables_entry(&s.nested, GPA, 4);
  *n |= PT_PS;
  go(0, READ, VA);
  CHECK_EQ(s.v->exitcode, X_NPF); // the first one is that of the image's own code or tables
  CHECK_EQ(s.v->exitinfo1 & 0xf, PF_P | PF_U | PF_RSVD | (s.v->exitinfo1 & PF_W));
  *n &= ~(uint64_t)PT_PS;
  // the nested no-execute bit is reserved if the host has it off, whatever the guest has
  n = tables_entry(&s.nested, GPA, 1);
  *n |= PT_NX;
  wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~(1ull << 11));
  go(0, READ, VA);
  NPF(NPF_FINAL | PF_P | PF_U | PF_RSVD, GPA);
  *n &= ~PT_NX;
  *n &= ~(uint64_t)PT_P;
  go(0, FETCH, VA);
  NPF(NPF_FINAL | PF_U, GPA); // and fetches are not told apart
  *n |= PT_P | PT_NX;
  wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1 << 11);
  // on in the host, off in the guest
  s.v->efer &= ~(1ull << 11);
  CHECK_EQ(go(0, READ, VA), X_VMMCALL);
  go(0, FETCH, VA);
  NPF(NPF_FINAL | PF_P | PF_U | PF_I, GPA);
  s.v->efer |= 1 << 11;
  *n &= ~PT_NX;
}

// An access over two pages, the second of which is not there.
static void crossing(void)
{
  uint64_t *n = tables_entry(&s.nested, GPA + 0x1000, 1), was = *n;
  *(uint64_t *)(page + 0xff8) = 0x1111111111111111;
  regs.bx = ~0ull;
  *n = 0;
  go(0, WRITE, VA + 0xffc);
  NPF(NPF_FINAL | PF_U | PF_W, GPA + 0x1000);
  CHECK_EQ(*(uint64_t *)(page + 0xff8), 0x1111111111111111);
  CHECK_EQ(s.v->rip, space_write);
  *n = was;
  CHECK_EQ(run(s.v), X_VMMCALL); // again, and now it can
  CHECK_EQ(*(uint64_t *)(page + 0xff8), 0xffffffff11111111);
  CHECK_EQ(*(uint32_t *)(page + 0x1000), 0xffffffff);
  // instructions
  *(uint8_t *)(page + 0xfff) = 0x0f;
  *(uint16_t *)(page + 0x1000) = 0xd901;
  *n = 0;
  go(0, FETCH, VA + 0xfff);
  NPF(NPF_FINAL | PF_U | PF_I, GPA + 0x1000);
  CHECK_EQ(s.v->rip, VA + 0xfff);
  *n = was;
  CHECK_EQ(run(s.v), X_VMMCALL);
}

void test(void)
{
  svm_on();
  svm_need(SVM_NP);
  page = (uint64_t)pages_new(2);
  *(uint64_t *)page = VMMCALL_CODE;
  s = space_new(1, true);
  // the guest's tables for VA lie at guest-physical addresses of their own
  for (unsigned i = 3; i >= 1; i--)
    tables[i] = TABLES + 0x10000 * i;
  for (unsigned i = 0; i < 2; i++) {
    space_map(&s, VA + 4096 * i, (GPA + 4096 * i) | PT_ALL);
    space_nest(&s, GPA + 4096 * i, (page + 4096 * i) | PT_ALL);
  }
  for (unsigned i = 1; i <= 4; i++)
    entry[i] = tables_entry(&s.guest, VA, i);
  for (unsigned i = 1; i <= 3; i++) { // tables_entry() cannot follow the guest's any more
    space_nest(&s, tables[i], (*entry[i + 1] & 0xffffffffff000) | PT_ALL);
    *entry[i + 1] = tables[i] | PT_ALL;
  }
  CHECK_EQ(go(0, READ, VA), X_VMMCALL);
  at_tables();
  order();
  reserved();
  crossing();
}
