// The guest of nest.h.
#include "nest.h"

#include <stdlib.h>
#include <string.h>

uint64_t nest_space(struct bed *b)
{
  enum paging own = b->paging;
  uint64_t old = b->ncr3;
  b->paging = b->host;
  b->ncr3 = bed_space(b);
  b->paging = own;
  for (uint64_t gpa = 0; gpa < 4 * MB; gpa += 4096)
    nest_map(b, gpa, gpa, 12, W | U);
  uint64_t made = b->ncr3;
  b->ncr3 = old;
  return made;
}

struct bed *nest_new(unsigned guest, enum paging host)
{
  struct bed *b = bed_new(guest == UNPAGED ? PAGING_2LEVEL : (enum paging)guest);
  struct cpu *c = b->c;
  struct svm *s = c->svm = calloc(1, sizeof *s);
  assert_non_null(s);
  b->host = host;
  s->np = true;
  s->g_pat = c->pat;
  s->host_cr0 = CR0_PE | CR0_PG;
  s->host_cr4 = host == PAGING_2LEVEL ? CR4_PSE : CR4_PAE;
  s->host_efer = host == PAGING_2LEVEL ? 0 : host == PAGING_PAE ? EFER_NXE : EFER_NXE | EFER_LME | EFER_LMA;
  s->ncr3 = b->ncr3 = nest_space(b);
  memset(c->pdpte, 0, sizeof c->pdpte); // nobody loads them
  if (guest == UNPAGED)
    c->cr0 &= ~(uint64_t)CR0_PG;
  nest_enter(b, 1);
  return b;
}

void nest_free(struct bed *b)
{
  free(b->c->svm);
  bed_free(b);
}

void nest_enter(struct bed *b, uint16_t asid)
{
  b->c->guest = true;
  b->c->svm->asid = asid;
  tlb_set_context(b->c, asid, 0, true);
  bed_mode(b);
}

void nest_leave(struct bed *b)
{
  b->c->guest = false;
  tlb_set_context(b->c, 0, 0, true);
  bed_mode(b);
}

void nest_map(struct bed *b, uint64_t gpa, uint64_t pa, unsigned shift, uint64_t flags)
{
  enum paging own = b->paging;
  b->paging = b->host;
  bed_map(b, b->ncr3, gpa, pa, shift, flags);
  b->paging = own;
}

uint64_t nest_entry(struct bed *b, uint64_t gpa, unsigned level)
{
  enum paging own = b->paging;
  b->paging = b->host;
  uint64_t at = bed_entry(b, b->ncr3, gpa, level);
  b->paging = own;
  return at;
}

uint64_t nest_get(struct bed *b, uint64_t gpa, unsigned level)
{
  uint64_t e = 0;
  memcpy(&e, b->ram.mem + nest_entry(b, gpa, level), b->host == PAGING_2LEVEL ? 4 : 8);
  return e;
}

void nest_set(struct bed *b, uint64_t gpa, unsigned level, uint64_t entry)
{
  memcpy(b->ram.mem + nest_entry(b, gpa, level), &entry, b->host == PAGING_2LEVEL ? 4 : 8);
}

unsigned nest_access(struct bed *b, char access, uint64_t la)
{
  uint64_t v;
  bool ok = access == 'r' ? bed_read(b, la, &v) : access == 'w' ? bed_write(b, la, 1) : bed_fetch(b, la, &v);
  return ok ? 0 : b->c->fault.vector;
}
