// See npt.h. All accesses through nested tables are user accesses, so every entry has U.
#include "svm/npt.h"

#include "guest/guest.h"
#include "host/paging.h"

static bool map_one(struct guest *g, uint64_t gpa, uint64_t entry, unsigned shift)
{
  uint64_t *table = ptr(g->n_cr3);
  for (unsigned at = 39;; at -= 9) {
    uint64_t *e = &table[gpa >> at & 0x1ff];
    if (at == shift) {
      *e = entry;
      return true;
    }
    if (!*e) {
      uint64_t fresh = guest_table(g);
      if (!fresh)
        return false;
      *e = fresh | PTE_P | PTE_W | PTE_U;
    }
    table = ptr(*e & PTE_ADDR);
  }
}

bool npt_map(struct guest *g, uint64_t gpa, uint64_t hpa, uint64_t size, uint64_t flags)
{
  flags |= PTE_P | PTE_U | PTE_A | PTE_D;
  for (uint64_t end = gpa + size, step; gpa < end; gpa += step, hpa += step) {
    unsigned shift = 12;
    if (paging_has_1gb() && ALIGNED(gpa | hpa, GB) && end - gpa >= GB)
      shift = 30;
    else if (ALIGNED(gpa | hpa, LARGE) && end - gpa >= LARGE)
      shift = 21;
    step = 1ull << shift;
    if (!map_one(g, gpa, hpa | flags | (shift > 12 ? PTE_PS : 0), shift))
      return false;
  }
  return true;
}
