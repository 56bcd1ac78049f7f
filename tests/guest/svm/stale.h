// What a TLB keeps: a spot is a page of the host's or of a guest's whose translation is in the TLB while the
// tables say something else by now. After some operation the spots tell what it has removed: 'o' is the old
// page, 'n' the new one.
//
// A real TLB may evict an entry at any time. What must be 'n' is a rule of the architecture; 'o' is one of
// this project, and on silicon it is what one sees when so few pages are used.
#ifndef GUEST_SVM_STALE_H
#define GUEST_SVM_STALE_H

#include "space.h"

struct spot {
  struct space *s; // NULL: the host
  uint64_t va;
  uint64_t *entry; // the one that changes
  uint64_t old_page, new_page;
};

enum { SPOTS = 16 };
static struct spot spots[SPOTS];
static unsigned spot_count;
static bool spot_code; // the pages are executed instead of read

// bits: PT_G, PT_NX ...
static inline void spot_host(uint64_t va, uint64_t bits)
{
  uint64_t *old_page = page_new(), *new_page = page_new();
  *old_page = 'o';
  *new_page = 'n';
  if (spot_code) { // mov $'o', %eax; ret or vmmcall
    *old_page = 'o' << 8 | 0xb8 | 0xc3ull << 40;
    *new_page = 'n' << 8 | 0xb8 | 0xc3ull << 40;
  }
  bits |= PT_P | PT_W;
  spots[spot_count++] =
      (struct spot){NULL, va, pt_entry(va, 1), (uint64_t)old_page | bits, (uint64_t)new_page | bits};
}

static inline void spot_guest(struct space *s, uint64_t va, uint64_t bits)
{
  spot_host(va, bits);
  spots[spot_count - 1].s = s;
  if (spot_code)
    for (unsigned i = 0; i < 2; i++) {
      uint64_t page = i ? spots[spot_count - 1].new_page : spots[spot_count - 1].old_page;
      *(uint64_t *)(page & 0xffffffffff000) += (VMMCALL_CODE - 0xc3) << 40;
    }
  spots[spot_count - 1].entry = tables_entry(&s->guest, va, 1);
}

// The nested entry is the one that changes.
static inline void spot_nested(struct space *s, uint64_t va, uint64_t gpa, uint64_t bits)
{
  spot_host(va, 0);
  struct spot *p = &spots[spot_count - 1];
  p->s = s;
  space_map(s, va, gpa | PT_ALL | bits);
  p->entry = tables_entry(&s->nested, gpa, 1);
  p->old_page |= PT_U;
  p->new_page |= PT_U;
}

static inline char spot_look(const struct spot *p)
{
  if (spot_code && !p->s) {
    uint32_t v;
    asm volatile("call *%1" : "=a"(v) : "r"(p->va) : "memory");
    return (char)v;
  }
  if (spot_code) {
    CHECK_EQ(space_access(p->s, 0, FETCH, p->va), X_VMMCALL);
    return (char)p->s->v->rax;
  }
  return p->s ? (char)space_peek(p->s, p->va) : *(volatile char *)p->va;
}

static inline void flush_everything(struct space *s)
{
  s->v->tlb_control = TLB_ALL;
  CHECK_EQ(guest(s->v, vmmcall), X_VMMCALL);
  s->v->tlb_control = TLB_KEEP;
}

// Brings all spots into the TLB with their old pages and changes the tables.
static inline void spots_arm(struct space *s)
{
  for (unsigned i = 0; i < spot_count; i++)
    *spots[i].entry = spots[i].old_page;
  flush_everything(s);
  for (unsigned i = 0; i < 3 * spot_count; i++)
    CHECK_EQ(spot_look(&spots[i / 3]), 'o');
  for (unsigned i = 0; i < spot_count; i++)
    *spots[i].entry = spots[i].new_page;
}

// '?' takes either.
static inline void spots_check(const char *where, const char *want)
{
  char have[SPOTS + 1];
  bool right = true;
  for (unsigned i = 0; i < spot_count; i++)
    have[i] = spot_look(&spots[i]);
  have[spot_count] = 0;
  for (unsigned i = 0; i < spot_count; i++)
    right &= have[i] == want[i] || (want[i] == '?' && (have[i] == 'o' || have[i] == 'n'));
  if (right && !want[spot_count])
    return;
  print(have);
  print(" should be ");
  print(want);
  fail(where, " what the TLB holds", 0, 1);
}
#define SPOTS_ARE(want) spots_check(HERE, want)

// After the statement the spots are ...; s: any space.
#define LEAVES(s, want, ...)                                                                                 \
  do {                                                                                                       \
    spots_arm(s);                                                                                            \
    __VA_ARGS__;                                                                                             \
    SPOTS_ARE(want);                                                                                         \
  } while (0)

// Runs the guest with a TLB_CONTROL of its own.
static inline void enter(struct space *s, unsigned control)
{
  s->v->tlb_control = control;
  s->v->cpl = 0;
  s->v->cs.attrib = 0xa9b;
  s->v->ss.attrib = 0xc93;
  CHECK_EQ(guest(s->v, vmmcall), X_VMMCALL);
  s->v->tlb_control = TLB_KEEP;
}

enum { CR4_PGE = 0x80, CR4_PCIDE = 1 << 17 };

// Two guests with the same linear addresses, and the host with them too: each has a page that is not global
// and one that is.
static struct space one, two;
#define LOCAL  (VA + 0x1000)
#define GLOBAL (VA + 0x2000)
// The order of the spots.
//                  host one two: each not global, global
#define NOTHING "oooooo"

static inline void two_guests(bool nested)
{
  spot_count = 0;
  write_cr4(read_cr4() | CR4_PGE);
  one = space_new(1, nested);
  two = space_new(2, nested);
  spot_host(LOCAL, 0);
  spot_host(GLOBAL, PT_G);
  spot_guest(&one, LOCAL, 0);
  spot_guest(&one, GLOBAL, PT_G);
  spot_guest(&two, LOCAL, 0);
  spot_guest(&two, GLOBAL, PT_G);
}

// Runs fn with shadow and nested paging, as far as the processor has it.
static inline void both_pagings(void (*fn)(bool nested))
{
  svm_on();
  fn(false);
  if (svm_has(SVM_NP))
    fn(true);
}

#endif
