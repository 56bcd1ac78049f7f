// Every ASID the processor has, each with a page of its own at one linear address: reads and writes reach the
// right page, entries stay until they are flushed, and a flush of one leaves all others. APM2 15.16.
//
// The reference is one number for each ASID: the page that its TLB entry names, or none. Accessed and dirty
// bits are set beforehand, because a write that must set one finds the page anew.
#include "stale.h"

enum { ASIDS = 100, NOT_THERE = 2 };
#define MARKED (PT_ALL | PT_A | PT_D)
static struct vmcb *vmcbs;
static uint64_t *entries[ASIDS], *pages[ASIDS][2];
static uint8_t kept[ASIDS], now[ASIDS]; // kept: 0, 1 or NOT_THERE
static unsigned last_asid;
static bool executed; // the pages are, instead of read and written

static uint32_t rng = 1;
static unsigned below(unsigned n)
{
  rng = rng * 1664525 + 1013904223;
  return (rng >> 8) % n;
}

static struct space space_of(unsigned asid)
{
  return (struct space){.v = &vmcbs[asid]};
}

static void look(unsigned asid, bool write)
{
  struct space s = space_of(asid);
  unsigned want = kept[asid] == NOT_THERE ? now[asid] : kept[asid];
  kept[asid] = want;
  if (executed) {
    CHECK_EQ(space_access(&s, 0, FETCH, VA + 8), X_VMMCALL);
    CHECK_EQ(s.v->rax, asid << 4 | want);
  } else if (write) {
    regs.bx = *pages[asid][want] ^ 0x10000;
    CHECK_EQ(space_access(&s, 0, WRITE, VA), X_VMMCALL);
    CHECK_EQ(*pages[asid][want], regs.bx);
  } else {
    CHECK_EQ(space_peek(&s, VA), *pages[asid][want]);
  }
}

static void step(bool by_asid)
{
  unsigned asid = 1 + below(last_asid);
  struct space s = space_of(asid);
  switch (below(by_asid ? 7 : 5)) {
  case 0:
  case 1:
    now[asid] ^= 1;
    *entries[asid] = (uint64_t)pages[asid][now[asid]] | MARKED;
    return;
  case 2:
    look(asid, true);
    return;
  case 3:
    invlpga(VA, asid);
    break;
  case 4:
    look(asid, false);
    return;
  case 5:
    enter(&s, TLB_ASID);
    break;
  default:
    enter(&s, TLB_ASID_NONGLOBAL);
  }
  kept[asid] = NOT_THERE;
}

static void test_one(bool nested)
{
  one = space_new(1, nested);
  for (uint64_t a = 0; nested && a < 64 << 20; a += 1 << 21)
    *(uint64_t *)tables_entry(&one.nested, a, 2) |= PT_A | PT_D;
  last_asid = svm_asids() - 1;
  if (last_asid >= ASIDS)
    last_asid = ASIDS - 1;
  vmcbs = pages_new(last_asid + 1);
  for (unsigned asid = 1; asid <= last_asid; asid++) {
    struct tables t = tables_new(4, 0);
    *(uint64_t *)t.root = *(uint64_t *)one.guest.root;
    vmcbs[asid] = *one.v;
    vmcbs[asid].asid = asid;
    vmcbs[asid].cr3 = t.root;
    entries[asid] = tables_entry(&t, VA, 1);
    for (unsigned i = 0; i < 2; i++) {
      pages[asid][i] = page_new();
      pages[asid][i][0] = asid << 4 | i;
      pages[asid][i][1] =
          0xb8 | (uint64_t)(asid << 4 | i) << 8 | VMMCALL_CODE << 40; // mov $.., %eax; vmmcall
    }
    *entries[asid] = (uint64_t)pages[asid][0] | MARKED;
    now[asid] = 0;
    kept[asid] = NOT_THERE;
  }
  flush_everything(&one);
  *(volatile uint64_t *)VA = 0x77; // the host's
  for (unsigned round = 0; round < 3; round++)
    for (unsigned asid = 1; asid <= last_asid; asid++)
      look(asid, round == 1);
  for (unsigned i = 0; i < 3000; i++)
    step(svm_has(SVM_FLUSH_ASID));
  for (unsigned asid = 1; asid <= last_asid; asid++)
    look(asid, false);
  CHECK_EQ(*(volatile uint64_t *)VA, 0x77);
  struct space s = space_of(1);
  enter(&s, TLB_ALL);
  for (unsigned asid = 1; asid <= last_asid; asid++) {
    kept[asid] = NOT_THERE;
    look(asid, false);
  }
}

void test(void)
{
  map(VA, (uint64_t)page_new() | PT_P | PT_W);
  both_pagings(test_one);
  executed = true;
  both_pagings(test_one);
}
