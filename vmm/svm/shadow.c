// See shadow.h.
#include "svm/shadow.h"

#include "host/memory.h"
#include "svm/mmio.h"
#include "svm/vcpu.h"
#include "svm/walk.h"

enum { PML4, PAE_PDPT, PAE_PD, FIRST = PAE_PD + 4 };

static uint64_t *page(const struct shadow *s, unsigned n)
{
  return ptr(s->arena + n * PAGE_SIZE);
}

// Below 4 GB, because CR3 has 32 bits outside of long mode.
bool shadow_init(struct vcpu *v, unsigned pages)
{
  struct shadow *s = &v->shadow;
  s->arena = memory_alloc(v->cpu->node, pages * PAGE_SIZE, PAGE_SIZE, 4 * GB, false);
  s->pages = pages;
  s->used = FIRST;
  if (!s->arena)
    return false;
  for (unsigned i = 0; i < 4; i++)
    page(s, PAE_PDPT)[i] = addr(page(s, PAE_PD + i)) | PTE_P;
  return true;
}

void shadow_free(struct vcpu *v)
{
  memory_free(v->shadow.arena, v->shadow.pages * PAGE_SIZE);
  v->shadow.arena = 0;
}

uint64_t shadow_root(struct vcpu *v)
{
  return addr(page(&v->shadow, v->efer & EFER_LMA ? PML4 : PAE_PDPT));
}

void shadow_flush(struct vcpu *v)
{
  struct shadow *s = &v->shadow;
  if (!s->arena)
    return;
  memset(page(s, PML4), 0, PAGE_SIZE);
  if (!(v->efer & EFER_LMA) || !(v->vmcb->save.efer & EFER_LMA))
    memset(page(s, PAE_PD), 0, 4 * PAGE_SIZE);
  s->used = FIRST;
  s->split_from = UINT64_MAX;
  s->split_to = 0;
  s->flushes++;
  v->flush = true;
}

// Where the entry of level `shift` (21 or 12) for the address is; tables on the way are made if `make`. NULL:
// there is none, or, with `make`, no page is left.
static uint64_t *find(struct vcpu *v, uint64_t linear, unsigned shift, bool make)
{
  struct shadow *s = &v->shadow;
  bool four = v->efer & EFER_LMA;
  uint64_t *table = four ? page(s, PML4) : page(s, PAE_PD + (linear >> 30 & 3));
  for (unsigned at = four ? 39 : 21;; at -= 9) {
    uint64_t *e = &table[linear >> at & 0x1ff];
    if (at == shift)
      return e;
    if (!(*e & PTE_P) || *e & PTE_PS) {
      if (!make || s->used == s->pages)
        return NULL;
      uint64_t *fresh = page(s, s->used++);
      memset(fresh, 0, PAGE_SIZE);
      *e = addr(fresh) | PTE_P | PTE_W | PTE_U;
    }
    table = ptr(*e & PTE_ADDR);
  }
}

static void invalidate(struct vcpu *v, uint64_t linear)
{
  if (v->asid && !v->flush)
    __asm__ volatile("invlpga %0, %1" : : "a"(linear), "c"(v->asid) : "memory");
}

void shadow_drop(struct vcpu *v, uint64_t linear)
{
  struct shadow *s = &v->shadow;
  s->drops++;
  if (linear >= s->split_from && linear < s->split_to) {
    shadow_flush(v);
    return;
  }
  uint64_t *e = find(v, linear, 21, false);
  if (e && *e & PTE_P && !(*e & PTE_PS))
    e = find(v, linear, 12, false);
  if (e)
    *e = 0;
  invalidate(v, linear);
}

// Enters a translation that an access of the kind may use. Rights are the guest's, with two exceptions: a
// page that is not dirty is not writable, so that the first write comes here and D is set; and a page that
// privilege 0 writes against its rights because CR0.WP is 0 belongs to privilege 0 alone, until privilege 3
// asks for it.
static void enter(struct vcpu *v, uint64_t linear, uint32_t access, const struct walk *w, uint64_t real)
{
  uint64_t offset = w->gpa & (LARGE - 1), large_gpa = w->gpa - offset;
  const uint8_t *whole = w->shift > 12 ? guest_ptr(v->guest, large_gpa, LARGE) : NULL;
  bool large = whole && ALIGNED(addr(whole), LARGE);
  uint64_t *e = find(v, linear, large ? 21 : 12, true);
  if (!e) {
    shadow_flush(v);
    e = find(v, linear, large ? 21 : 12, true);
  }
  bool against = access & PF_W && !w->w;
  uint64_t rights = PTE_P | PTE_A | PTE_D | (w->nx ? PTE_NX : 0);
  rights |= against || (w->w && w->dirty) ? PTE_W : 0;
  rights |= w->u && !against ? PTE_U : 0;
  uint64_t old = *e;
  *e = rights | (large ? addr(whole) | PTE_PS : real);
  if (old & PTE_P)
    invalidate(v, linear);
  if (w->shift > (large ? 21u : 12u) && w->shift < 32) {
    uint64_t from = ALIGN_DOWN(linear, 1ull << w->shift), to = from + (1ull << w->shift);
    v->shadow.split_from = from < v->shadow.split_from ? from : v->shadow.split_from;
    v->shadow.split_to = to > v->shadow.split_to ? to : v->shadow.split_to;
  }
  v->shadow.fills++;
}

void shadow_fault(struct vcpu *v, uint64_t linear, uint32_t error)
{
  uint32_t access = error & (PF_W | PF_U | PF_ID);
  struct walk w;
  if (!walk(v, linear, access, &w)) {
    v->shadow.faults++;
    vcpu_page_fault(v, linear, w.error);
    return;
  }
  uint64_t page = ALIGN_DOWN(w.gpa, PAGE_SIZE), real = addr(guest_ptr(v->guest, page, PAGE_SIZE));
  if (!real && assign_memory(v->guest, page))
    real = page | PTE_PCD;
  if (real)
    enter(v, linear, access, &w, real);
  else
    mmio_access(v, w.gpa, access);
}
