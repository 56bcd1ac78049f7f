// Each processor has a TLB of its own: what one flushes stays in the other's, for the same guest and ASID;
// only INVLPGB reaches all. Needs two processors. APM2 15.16, 5.5.
#include "stale.h"

static void (*volatile order)(void);
static volatile unsigned done;

static void ap(void)
{
  wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
  wrmsr(MSR_HSAVE, (uint64_t)page_new());
  done = 1;
  for (;;) {
    while (!order)
      asm volatile("pause");
    order();
    order = NULL;
    done++;
  }
}

// On the other processor, while this one waits.
static void there(void (*fn)(void))
{
  unsigned before = done;
  order = fn;
  for (unsigned i = 0; i < 1000000 && done == before; i++)
    asm volatile("pause");
  CHECK_EQ(done, before + 1);
}

static volatile char seen;
static void look_(void)
{
  seen = (char)space_peek(&one, LOCAL);
}
static void flush_all(void)
{
  enter(&one, TLB_ALL);
}
static void flush_asid(void)
{
  enter(&one, TLB_ASID);
}
static void guest_invlpg(void)
{
  invlpg(LOCAL);
  vmmcall();
}
static void flush_in_guest(void)
{
  CHECK_EQ(guest(one.v, guest_invlpg), X_VMMCALL);
}
static void invlpga_one(void)
{
  invlpga(LOCAL, 1);
}
static void nothing(void)
{
}

static uint64_t pgb_rax, pgb_edx;
static void broadcast(void)
{
  asm volatile(".byte 0x0f, 0x01, 0xfe\n.byte 0x0f, 0x01, 0xff" // INVLPGB, TLBSYNC
               ::"a"(pgb_rax),
               "c"(0), "d"(pgb_edx)
               : "memory");
}

static uint64_t *entry, pages[2];
static void arm(void)
{
  *entry = pages[0];
  flush_all();
  there(flush_all);
  look_();
  CHECK_EQ(seen, 'o');
  there(look_);
  CHECK_EQ(seen, 'o');
  *entry = pages[1];
}

// What this processor sees, and the other one.
static void are(const char *where, char here, char other)
{
  look_();
  if (seen != here)
    fail(where, "this processor sees", seen, here);
  there(look_);
  if (seen != other)
    fail(where, "the other processor sees", seen, other);
}
#define ARE(here, other) are(HERE, here, other)

static void test_one(bool nested)
{
  one = space_new(1, nested);
  entry = tables_entry(&one.guest, LOCAL, 1);
  for (unsigned i = 0; i < 2; i++) {
    char *p = page_new();
    *p = i ? 'n' : 'o';
    pages[i] = (uint64_t)p | PT_ALL;
  }
  static void (*const ways[])(void) = {flush_all, flush_asid, flush_in_guest, invlpga_one};
  arm();
  ARE('o', 'o');
  for (unsigned i = 0; i < sizeof ways / sizeof ways[0]; i++) {
    if (ways[i] == flush_asid && !svm_has(SVM_FLUSH_ASID))
      continue;
    arm();
    ways[i]();
    ARE('n', 'o');
    arm();
    there(ways[i]);
    ARE('o', 'n');
  }
  uint32_t r[4];
  cpuid(0x80000008, 0, r);
  if (!(r[1] >> 3 & 1))
    return;
  enum { BY_VA = 1, BY_PCID = 2, BY_ASID = 4, GLOBALS = 8 };
  static const struct {
    uint64_t rax;
    unsigned asid;
    char want;
  } rows[] = {{LOCAL | BY_VA | BY_ASID, 1, 'n'},
              {LOCAL | BY_VA | BY_ASID, 2, 'o'},
              {GLOBAL | BY_VA | BY_ASID, 1, 'o'},
              {BY_ASID, 1, 'n'},
              {BY_ASID | GLOBALS, 1, 'n'},
              {BY_ASID | GLOBALS, 2, 'o'},
              {BY_ASID | GLOBALS, 0, 'o'},
              {GLOBALS, 0, 'n'},
              {LOCAL | BY_VA, 0, 'n'},
              {GLOBAL | BY_VA | GLOBALS, 0, 'o'},
              {BY_PCID | BY_ASID, 1, 'n'},
              {BY_PCID | BY_ASID, 2, 'o'},
              {BY_PCID, 0, 'n'},
              {0, 0, 'n'}};
  for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    pgb_rax = rows[i].rax;
    pgb_edx = rows[i].asid;
    arm();
    broadcast();
    ARE(rows[i].want, rows[i].want);
    arm();
    there(broadcast);
    ARE(rows[i].want, rows[i].want);
  }
}

void test(void)
{
  svm_on();
  ap_start(1, ap);
  for (unsigned i = 0; i < 1000000 && !done; i++)
    asm volatile("pause");
  CHECK_EQ(done, 1);
  there(nothing);
  both_pagings(test_one);
}
