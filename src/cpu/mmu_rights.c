// What an access may do with a page, by what the tables say of it; see mmu.h. APM2 5.6, 15.25.7, 15.25.13.
#include "cpu/mmu.h"
#include "cpu/svm/svm.h"

bool mmu_two_stages(const struct cpu *c)
{
  return c->guest && c->svm->np;
}

enum walk_kind mmu_walk_kind(const struct cpu *c)
{
  return !c->guest ? WALK_HOST : c->svm->np ? WALK_NESTED : WALK_SHADOW;
}

// Every access is a user's access for the nested tables. With GMET (15.25.13) the U bit speaks of execution
// only: set, the guest may execute the page at CPL 3, clear, at CPL 0 to 2.
unsigned mmu_nested_denied(const struct cpu *c, enum tlb_view view, unsigned perm)
{
  unsigned denied = 0;
  if (perm & PERM_NESTED_RO)
    denied |= MMU_W;
  if (perm & PERM_NESTED_NX)
    denied |= MMU_X;
  bool super = perm & PERM_NESTED_SUPER;
  if (!c->svm->np_gmet)
    return super ? MMU_R | MMU_W | MMU_X : denied;
  return super == (view == VIEW_USER) ? denied | MMU_X : denied;
}

unsigned mmu_table_rights(const struct cpu *c, enum tlb_view view, unsigned perm, unsigned pkey, unsigned *pk)
{
  unsigned rights = 0, denied = 0;
  if (pk)
    *pk = 0;
  if (!(c->cr0 & CR0_PG))
    return MMU_R | MMU_W | MMU_X;
  bool wp = c->cr0 & CR0_WP;
  if (view == VIEW_USER) {
    if (!(perm & PERM_USER))
      return 0;
    rights = MMU_R | (perm & PERM_WRITE ? MMU_W : 0) | MMU_X;
  } else {
    if (!(perm & PERM_USER) || !(c->cr4 & CR4_SMAP) || view == VIEW_SUPER_AC)
      rights = MMU_R | (perm & PERM_WRITE || !wp ? MMU_W : 0);
    if (!(perm & PERM_USER) || !(c->cr4 & CR4_SMEP))
      rights |= MMU_X;
  }
  if (perm & PERM_NX)
    rights &= ~MMU_X;
  if ((c->cr4 & CR4_PKE) && (c->efer & EFER_LMA) && (perm & PERM_USER)) {
    unsigned key = c->pkru >> (2 * pkey) & 3;
    if (key & 1)
      denied = MMU_R | MMU_W;
    else if ((key & 2) && (view == VIEW_USER || wp))
      denied = MMU_W;
    if (pk)
      *pk = denied;
  }
  return rights & ~denied;
}

unsigned mmu_rights(const struct cpu *c, enum tlb_view view, unsigned perm, unsigned pkey)
{
  unsigned rights = mmu_table_rights(c, view, perm, pkey, NULL);
  if (unlikely(mmu_two_stages(c)))
    rights &= ~mmu_nested_denied(c, view, perm);
  return rights;
}

uint32_t mmu_error(const struct cpu *c, enum tlb_view view, unsigned need)
{
  uint32_t e = view == VIEW_USER ? PF_USER : 0;
  if (need & MMU_W)
    e |= PF_WRITE;
  if ((need & MMU_X) && (((c->efer & EFER_NXE) && (c->cr4 & CR4_PAE)) || (c->cr4 & CR4_SMEP)))
    e |= PF_FETCH;
  return e;
}
