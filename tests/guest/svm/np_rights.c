// An access needs the rights of both stages. The guest's tables are asked first and answer with #PF; for the
// nested ones every access is a user's, CR0.WP and CPL do not matter, and they answer with #NPF.
// APM2 15.25.5, 15.25.6.
#include "space.h"

static struct space s;
static uint64_t page;

enum { R = 1, W = 2, U = 4, NX = 8, ALL = W | U };

static uint64_t bits(unsigned rights)
{
  return PT_P | (rights & W ? PT_W : 0) | (rights & U ? PT_U : 0) | (rights & NX ? PT_NX : 0);
}

// The rights that stand in the entries of one level of each stage; all other levels allow everything.
static void one(unsigned cpl, enum access how, unsigned guest, unsigned nested)
{
  bool wp = s.v->cr0 & 1 << 16;
  bool may = (cpl == 0 || guest & U) && (how != WRITE || guest & W || (cpl == 0 && !wp)) &&
             (how != FETCH || !(guest & NX));
  bool nmay = (nested & U) && (how != WRITE || nested & W) && (how != FETCH || !(nested & NX));
  uint64_t kind = PF_P | (how == WRITE ? PF_W : how == FETCH ? PF_I : 0);
  s.v->tlb_control = flush_guest();
  uint64_t code = space_access(&s, cpl, how, VA + 0x120);
  uint64_t want = !may ? X_EXCP + PF : !nmay ? X_NPF : X_VMMCALL;
  if (code != want) {
    print("privilege ");
    print_hex(cpl);
    print(", access ");
    print_hex(how);
    print(", rights ");
    print_hex(guest);
    print(" and ");
    print_hex(nested);
    print(": ");
  }
  CHECK_EQ(code, want);
  if (!may) {
    CHECK_EQ(s.v->exitinfo1, kind | (cpl == 3 ? PF_U : 0));
    CHECK_EQ(s.v->exitinfo2, VA + 0x120);
  } else if (!nmay) {
    CHECK_EQ(s.v->exitinfo1, NPF_FINAL | PF_U | kind);
    CHECK_EQ(s.v->exitinfo2, GPA + 0x120);
  } else if (how == WRITE) {
    CHECK_EQ(*(uint64_t *)(page + 0x120), regs.bx);
  } else if (how == READ) {
    CHECK_EQ(s.v->rax, *(uint64_t *)(page + 0x120));
  }
}

static void all_accesses(unsigned guest, unsigned nested)
{
  *(uint64_t *)(page + 0x120) = VMMCALL_CODE;
  regs.bx = VMMCALL_CODE;
  for (unsigned i = 0; i < 2 * ACCESSES; i++)
    one(i & 1 ? 3 : 0, i / 2, guest, nested);
}

void test(void)
{
  svm_on();
  svm_need(SVM_NP);
  page = (uint64_t)page_new();
  s = space_new(1, true);
  for (unsigned wp = 0; wp < 2; wp++) {
    s.v->cr0 ^= 1 << 16;
    for (unsigned i = 0; i < 64; i++) {
      unsigned guest = (i & 7) << 1, nested = (i >> 3) << 1;
      space_map(&s, VA, GPA | bits(guest));
      space_nest(&s, GPA, page | bits(nested));
      all_accesses(guest, nested);
    }
  }
  space_map(&s, VA, GPA | bits(ALL));
  space_nest(&s, GPA, page | bits(ALL));
  // what one level of either stage refuses is refused
  for (unsigned level = 1; level <= 4; level++)
    for (unsigned i = 0; i < 8; i++) {
      uint64_t *e = tables_entry(&s.guest, VA, level), was = *e;
      *e = (was & 0xffffffffff000) | bits(i << 1);
      all_accesses(i << 1, ALL);
      *e = was;
      if (level == 4) // of the nested tables that one is the image's own too
        continue;
      e = tables_entry(&s.nested, GPA, level);
      was = *e;
      *e = (was & 0xffffffffff000) | bits(i << 1);
      all_accesses(ALL, i << 1);
      *e = was;
    }
  all_accesses(ALL, ALL);
}
