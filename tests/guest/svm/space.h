// Guests with tables of their own: a space is a VMCB with page tables, and with nested ones if so asked. Both
// map the image one to one (the guest's by the host's tables), and what the image maps itself: linear
// addresses from VA on, guest-physical ones from GPA on.
#ifndef GUEST_SVM_SPACE_H
#define GUEST_SVM_SPACE_H

#include "npt.h"
#include "svm.h"

#define VA  0x8000000000ull
#define GPA 0x4000000000ull

struct space {
  struct vmcb *v;
  struct tables guest, nested; // nested.levels is 0 without nested paging
};

static inline struct space space_new(unsigned asid, bool nested)
{
  struct space s = {.v = vmcb_new(), .guest = tables_new(4, 0)};
  s.v->asid = asid;
  s.v->exceptions = ~0u;
  intercept(s.v, X_SHUTDOWN);
  *(uint64_t *)s.guest.root = *(uint64_t *)(read_cr3() & ~0xfffull);
  s.v->cr3 = s.guest.root;
  if (nested) {
    vmcb_nested(s.v);
    s.nested = (struct tables){4, s.v->ncr3, 0};
  }
  return s;
}

static inline void space_map(struct space *s, uint64_t va, uint64_t entry)
{
  tables_map(&s->guest, va, 1, entry);
}
static inline void space_nest(struct space *s, uint64_t gpa, uint64_t entry)
{
  tables_map(&s->nested, gpa, 1, entry);
}

// The narrowest TLB_CONTROL that this processor has.
static inline uint8_t flush_guest(void)
{
  return svm_has(SVM_FLUSH_ASID) ? TLB_ASID : TLB_ALL;
}

// ---- one access ----

enum access { READ, WRITE, FETCH, ACCESSES };
asm(".section .user.text, \"ax\"\n"
    "space_read: mov (%rax), %rax; vmmcall\n"
    "space_write: mov %rbx, (%rax); vmmcall\n"
    "space_fetch: jmp *%rax\n"
    ".text");
extern uint8_t space_read[], space_write[], space_fetch[];
#define VMMCALL_CODE 0xd9010full // what a page to be executed begins with

// An instruction of the guest that makes the access and, if it may, ends with VMMCALL: the exit code. It
// reads into v->rax and writes regs.bx.
static inline uint64_t space_access(struct space *s, unsigned cpl, enum access how, uint64_t va)
{
  struct vmcb *v = s->v;
  v->cpl = cpl;
  v->cs.attrib = 0xa9b | cpl << 5;
  v->ss.attrib = 0xc93 | cpl << 5;
  v->rip = (uint64_t)(how == READ ? space_read : how == WRITE ? space_write : space_fetch);
  v->rax = va;
  return run(v);
}

static inline uint64_t space_peek(struct space *s, uint64_t va)
{
  CHECK_EQ(space_access(s, 0, READ, va), X_VMMCALL);
  return s->v->rax;
}

#endif
