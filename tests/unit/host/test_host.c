// Instructions that the host executes for the guest, against the host executing the guest's bytes.
//
// Every encoding of every allowed instruction set is tried: registers, memory that the TLB has, memory that
// it has not; with exceptions masked and unmasked. Not compared here: gathers and masked moves (their
// addresses lie in registers), SSE4A (no Intel host has it), control instructions (test_fpstate).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/fpu.h"
#include "cpu/host/host.h"
#include "cpu/mem.h"
#include "fake.h"
#include "native.h"

struct fixture {
  struct cpu *c;
  struct host_code *h;
  struct native n;
  ZydisDecoder d;
  uint8_t *page; // memory operands lie here
  uint64_t seed;
  unsigned times; // as many rounds
  bool tried[ZYDIS_MNEMONIC_MAX_VALUE + 1];
  unsigned cases, mnemonics, traps, faults;
};

static uint64_t rnd(struct fixture *f)
{
  f->seed ^= f->seed << 13;
  f->seed ^= f->seed >> 7;
  f->seed ^= f->seed << 17;
  return f->seed * 0x2545f4914f6cdd1dull;
}

static int setup(void **state)
{
  struct fixture *f = calloc(1, sizeof *f);
  struct err e;
  f->c = fake_cpu();
  f->h = host_code_new(&e);
  f->page = aligned_alloc(4096, 8192);
  // More by hand: SEED=n TIMES=n test_host_host
  const char *seed = getenv("SEED"), *times = getenv("TIMES");
  f->seed = 0x123456789abcdefull ^ (seed ? strtoull(seed, NULL, 0) << 20 : 0);
  f->times = times ? atoi(times) : 1;
  if (!f->h || !native_init(&f->n))
    return -1;
  ZydisDecoderInit(&f->d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  *state = f;
  return 0;
}

static int teardown(void **state)
{
  struct fixture *f = *state;
  native_free(&f->n);
  host_code_free(f->h);
  fake_free(f->c);
  free(f->page);
  free(f);
  return 0;
}

// Values that floating-point units find interesting, and plain noise.
static void fill_floats(struct fixture *f, uint8_t *p, unsigned n)
{
  static const uint32_t s[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
                               0x7fc00000, 0x7fa00000, 1,          0x007fffff, 0x00800000, 0x7f7fffff,
                               0x4b000001, 0x3f000000, 0x34000000, 0xcf000000};
  static const uint64_t d[] = {0,
                               1ull << 63,
                               0x3ff0000000000000,
                               0xbff8000000000000,
                               0x7ff0000000000000,
                               0xfff0000000000000,
                               0x7ff8000000000000,
                               0x7ff4000000000000,
                               1,
                               0x000fffffffffffff,
                               0x0010000000000000,
                               0x7fefffffffffffff,
                               0x41e0000000000000,
                               0x36a0000000000001,
                               0x47efffffe0000001,
                               0x3ca0000000000000};
  for (unsigned i = 0; i < n; i += 8) {
    uint64_t v = rnd(f);
    switch (rnd(f) & 3) {
    case 0:
      v = s[v & 15] | (uint64_t)s[v >> 4 & 15] << 32;
      break;
    case 1:
      v = d[v & 15];
      break;
    case 2:
      v = 0x3f8000003f800000 ^ (v & 0x00ff0fff80ffffff);
      break;
    default:
      break;
    }
    memcpy(p + i, &v, n - i < 8 ? n - i : 8);
  }
}

static void fill_x87(struct fixture *f, uint8_t *st)
{
  static const uint16_t e[] = {0,      0x3fff, 0x7fff, 0x4000, 0x3ffe, 1,
                               0x7ffe, 0x403e, 0x43fe, 0x3c01, 0x407e, 0x3f81};
  static const uint64_t m[] = {
      0, 1ull << 63,         0xc000000000000000, 0xffffffffffffffff, 0xa000000000000000,
      1, 0x8000000000000001, 0x8000008000000000};
  uint64_t man = rnd(f) & 1 ? m[rnd(f) & 7] : rnd(f) | 1ull << 63;
  uint16_t ex = rnd(f) % 3 ? e[rnd(f) % 12] : 0x3fc0 + rnd(f) % 0x80;
  ex |= rnd(f) & 1 ? 0x8000 : 0;
  memset(st, 0, 16);
  memcpy(st, &man, 8);
  memcpy(st + 8, &ex, 2);
}

static void randomise(struct fixture *f, uint32_t mxcsr, uint16_t fcw)
{
  struct cpu *c = f->c;
  struct native_state *s = f->n.s;
  for (int i = 0; i < 16; i++) {
    c->r[i] = rnd(f) & 1 ? rnd(f) : rnd(f) & 0xff;
    fill_floats(f, c->v[i], 32);
  }
  fill_floats(f, f->page, 128);
  c->r[RBX] = (uintptr_t)f->page;
  c->sysflags = 0;
  c->lah = (rnd(f) & 0xd5) | 2;
  c->of = rnd(f) & 1;
  memset(&c->fx, 0, sizeof c->fx);
  c->fx.mxcsr_mask = 0xffff;
  c->fx.mxcsr = mxcsr;
  c->fx.fcw = fcw;
  c->fx.fsw = (rnd(f) & 0x7f00) | (rnd(f) & 3 ? 0 : rnd(f) & fcw & 0x3f);
  c->fx.ftw = rnd(f) & 3 ? 0xff : rnd(f);
  for (int i = 0; i < 8; i++)
    fill_x87(f, c->fx.st[i]);
  memcpy(&s->fx_in, &c->fx, sizeof s->fx_in);
  for (int i = 0; i < 16; i++)
    memcpy(s->fx_in.xmm[i], c->v[i], 16);
  memcpy(s->ymm_in, c->v, sizeof c->v);
  memcpy(s->gpr_in, c->r, sizeof s->gpr_in);
  s->fl_in = cpu_flags(c) | 0x200;
}

static bool skipped(const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo)
{
  for (unsigned i = 0; i < zi->operand_count; i++) {
    if (zo[i].type != ZYDIS_OPERAND_TYPE_MEMORY)
      continue;
    if (zo[i].mem.type != ZYDIS_MEMOP_TYPE_MEM || zo[i].mem.base != ZYDIS_REGISTER_RBX ||
        zo[i].mem.index != ZYDIS_REGISTER_NONE || zo[i].mem.disp.has_displacement || zo[i].size > 512)
      return true;
  }
  return zi->meta.isa_set == ZYDIS_ISA_SET_SSE4A;
}

static void report(const uint8_t *b, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo,
                   const char *what)
{
  ZydisFormatter z;
  char text[96];
  ZydisFormatterInit(&z, ZYDIS_FORMATTER_STYLE_INTEL);
  ZydisFormatterFormatInstruction(&z, zi, zo, zi->operand_count_visible, text, sizeof text, 0, NULL);
  fprintf(stderr, "%s:", text);
  for (unsigned i = 0; i < zi->length; i++)
    fprintf(stderr, " %02x", b[i]);
  fail_msg("%s differs", what);
}

// One instruction on one random state. Returns false if it is none of ours.
static bool compare(struct fixture *f, const uint8_t *b, uint32_t mxcsr, uint16_t fcw)
{
  ZydisDecodedInstruction zi;
  ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
  struct cpu *c = f->c;
  struct native_state *s = f->n.s;
  struct op ops[2] = {{.len = 0}};
  if (ZYAN_FAILED(ZydisDecoderDecodeFull(&f->d, b, 15, &zi, zo)) || skipped(&zi, zo))
    return false;
  uint32_t mode = MODE_CS64 | MODE_FLAT;
  if ((mxcsr & MXCSR_MASKS) != MXCSR_MASKS)
    mode |= MODE_XMASK;
  if ((fcw & FE_ALL) != FE_ALL)
    mode |= MODE_FMASK;
  c->mode = mode;
  c->cr0 = CR0_PE | CR0_NE;
  c->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
  ops[0].len = zi.length;
  ops[0].row = zi.mnemonic;
  ops[0].ea = EA_64;
  ops[0].base = ops[0].idx = REG_ZERO * 8;
  for (unsigned i = 0; i < zi.operand_count_visible; i++)
    if (zo[i].type == ZYDIS_OPERAND_TYPE_MEMORY) {
      ops[0].flags |= OPF_MEM;
      ops[0].base = RBX * 8;
    }
  ops[1].fn = fake_end;
  if ((mode & MODE_XMASK) && zi.mnemonic == ZYDIS_MNEMONIC_VCVTPS2PH) // run.c: exact but tiny halves
    return false;
  if (!host_select(&ops[0], &zi, zo, f->h, mode))
    return false;
  if (host_code_full(f->h))
    host_code_reset(f->h);
  f->mnemonics += !f->tried[zi.mnemonic];
  f->tried[zi.mnemonic] = true;
  f->cases++;

  randomise(f, mxcsr, fcw);
  uint8_t before[128], ours[128];
  memcpy(before, f->page, 128);
  c->faulted = false;
  fake_tlb(c, f->page, rnd(f) & 1);
  fpu_enter(c);
  ops[0].fn(c, ops);
  fpu_leave(c);
  bool faulted = c->faulted;
  memcpy(ours, f->page, 128);
  memcpy(f->page, before, 128);
  native_run(&f->n, b, zi.length);

  if (faulted != f->n.trapped)
    report(b, &zi, zo, faulted ? "a fault that the host has not" : "a missing fault");
  if (faulted) {
    f->faults++;
    if (c->fault.vector != VEC_XF)
      report(b, &zi, zo, "vector");
  }
  if (memcmp(ours, f->page, 128))
    report(b, &zi, zo, "memory");
  if (memcmp(c->r, s->gpr_out, sizeof s->gpr_out))
    report(b, &zi, zo, "general register");
  if ((cpu_flags(c) ^ s->fl_out) & FL_ARITH)
    report(b, &zi, zo, "flag");
  for (int i = 0; i < 16; i++)
    if (memcmp(c->v[i], s->avx ? s->ymm_out[i] : s->fx_out.xmm[i], s->avx ? 32 : 16))
      report(b, &zi, zo, "vector register");
  // What run.c says of PE. Dot products stop after the step that raised an exception; here all steps run.
  uint32_t loose = faulted && (c->fx.mxcsr & ~(mxcsr >> 7) & (FE_OE | FE_UE)) ? FE_PE : 0;
  if (faulted && (zi.mnemonic == ZYDIS_MNEMONIC_DPPS || zi.mnemonic == ZYDIS_MNEMONIC_DPPD ||
                  zi.mnemonic == ZYDIS_MNEMONIC_VDPPS || zi.mnemonic == ZYDIS_MNEMONIC_VDPPD))
    loose = FE_ALL;
  if ((c->fx.mxcsr ^ s->fx_out.mxcsr) & ~loose) {
    fprintf(stderr, "%x, host %x, before %x\n", c->fx.mxcsr, s->fx_out.mxcsr, mxcsr);
    report(b, &zi, zo, "MXCSR");
  }
  if (c->fx.fsw != s->fx_out.fsw) {
    fprintf(stderr, "%04x, host %04x, before %04x, fcw %04x\n", c->fx.fsw, s->fx_out.fsw, s->fx_in.fsw, fcw);
    report(b, &zi, zo, "FSW");
  }
  if (c->fx.ftw != s->fx_out.ftw || c->fx.fcw != s->fx_out.fcw)
    report(b, &zi, zo, "FTW or FCW");
  for (int i = 0; i < 8; i++)
    if (memcmp(c->fx.st[i], s->fx_out.st[i], 10))
      report(b, &zi, zo, "x87 register");
  return true;
}

static uint32_t random_mxcsr(struct fixture *f, bool masked)
{
  uint32_t m = rnd(f) & (MXCSR_RC | MXCSR_FZ | MXCSR_DAZ);
  m |= masked ? MXCSR_MASKS | (rnd(f) & MXCSR_FLAGS) : rnd(f) & MXCSR_MASKS;
  return m;
}

static uint16_t random_fcw(struct fixture *f, bool masked)
{
  static const uint16_t pc[] = {0, 0x200, 0x300};
  uint16_t v = (rnd(f) & 0xc00) | pc[rnd(f) % 3] | 0x40;
  return v | (masked ? FE_ALL : rnd(f) & FE_ALL);
}

static void try(struct fixture *f, uint8_t *b, bool masked)
{
  compare(f, b, random_mxcsr(f, masked), random_fcw(f, masked));
}

// All opcodes of the three maps, with each prefix; mem: ModRM is [rbx].
static void legacy(struct fixture *f, bool masked, unsigned rounds)
{
  static const uint8_t prefixes[] = {0, 0x66, 0xf2, 0xf3};
  for (unsigned map = 0; map < 3; map++)
    for (unsigned p = 0; p < 4; p++)
      for (unsigned op = 0; op < 256; op++)
        for (unsigned k = 0; k < rounds * f->times; k++) {
          uint8_t b[16] = {0};
          unsigned n = 0;
          if (prefixes[p])
            b[n++] = prefixes[p];
          if (rnd(f) & 1)
            b[n++] = 0x40 | (rnd(f) & (k & 1 ? 12 : 13)); // REX, with B for registers only
          b[n++] = 0x0f;
          if (map)
            b[n++] = map == 1 ? 0x38 : 0x3a;
          b[n++] = op;
          b[n++] = k & 1 ? 0x03 | (rnd(f) & 0x38) : 0xc0 | (rnd(f) & 0x3f);
          b[n++] = rnd(f);
          b[n++] = rnd(f);
          try(f, b, masked);
        }
}

static void vex(struct fixture *f, bool masked, unsigned rounds)
{
  for (unsigned map = 1; map < 4; map++)
    for (unsigned pp = 0; pp < 8; pp++) // L, pp
      for (unsigned op = 0; op < 256; op++)
        for (unsigned k = 0; k < rounds * f->times; k++) {
          bool mem = k & 1;
          uint8_t b[16] = {0xc4,
                           map | (rnd(f) & 0x80) | 0x40 | (mem ? 0x20 : rnd(f) & 0x20),
                           pp | (rnd(f) & 0x80) | (k & 2 ? 0x78 : rnd(f) & 0x78),
                           op,
                           mem ? 0x03 | (rnd(f) & 0x38) : 0xc0 | (rnd(f) & 0x3f),
                           rnd(f),
                           0};
          try(f, b, masked);
        }
}

static void x87(struct fixture *f, bool masked, unsigned rounds)
{
  for (unsigned op = 0xd8; op <= 0xdf; op++)
    for (unsigned m = 0; m < 256; m++)
      for (unsigned k = 0; k < rounds * f->times; k++) {
        uint8_t b[16] = {op, m};
        if (m >= 0xc0 || (m & 7) == 3)
          try(f, b, masked);
      }
}

static void legacy_simd_and_integer_forms_equal_the_host(void **state)
{
  struct fixture *f = *state;
  legacy(f, true, 24);
  print_message("%u cases, %u mnemonics\n", f->cases, f->mnemonics);
  assert_true(f->mnemonics > 270);
}

static void vex_forms_equal_the_host(void **state)
{
  struct fixture *f = *state;
  if (!f->n.s->avx)
    skip();
  vex(f, true, 16);
  print_message("%u cases, %u mnemonics\n", f->cases, f->mnemonics);
  assert_true(f->mnemonics > 270);
}

static void x87_forms_equal_the_host(void **state)
{
  struct fixture *f = *state;
  x87(f, true, 40);
  print_message("%u cases, %u mnemonics\n", f->cases, f->mnemonics);
  assert_true(f->mnemonics > 70);
}

static void unmasked_simd_exceptions_equal_the_host(void **state)
{
  struct fixture *f = *state;
  legacy(f, false, 16);
  if (f->n.s->avx)
    vex(f, false, 12);
  print_message("%u cases, %u faults\n", f->cases, f->faults);
  assert_true(f->faults > 1000);
}

static void unmasked_x87_exceptions_equal_the_host(void **state)
{
  struct fixture *f = *state;
  x87(f, false, 60);
  print_message("%u cases\n", f->cases);
  assert_true(f->cases > 20000);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(legacy_simd_and_integer_forms_equal_the_host, setup, teardown),
      cmocka_unit_test_setup_teardown(vex_forms_equal_the_host, setup, teardown),
      cmocka_unit_test_setup_teardown(x87_forms_equal_the_host, setup, teardown),
      cmocka_unit_test_setup_teardown(unmasked_simd_exceptions_equal_the_host, setup, teardown),
      cmocka_unit_test_setup_teardown(unmasked_x87_exceptions_equal_the_host, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
