// FXSAVE, XSAVE, FNSAVE and their opposites; control instructions; masked moves, gathers and SSE4A.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bus/irq.h"
#include "cpu/fpu.h"
#include "cpu/host/host.h"
#include "cpu/insn/fpstate.h"
#include "cpu/mem.h"
#include "cpu/model.h"
#include "fake.h"
#include "native.h"

struct fixture {
  struct cpu *c;
  struct host_code *h;
  struct native n;
  struct model model;
  uint8_t *page;
  uint64_t seed;
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
  memset(f->page, 0, 8192);
  f->seed = 42;
  if (!f->h || !native_init(&f->n))
    return -1;
  f->model.xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_PKRU;
  f->model.word[FW_D1_EAX] = 7;
  f->c->model = &f->model;
  f->c->cr0 = CR0_PE | CR0_NE;
  f->c->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
  f->c->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
  f->c->mode = MODE_CS64 | MODE_FLAT;
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

static void random_x87(struct fixture *f)
{
  struct fxregs *x = &f->c->fx;
  x->fcw = 0x37f;
  x->fsw = rnd(f) & 0x7f00;
  x->ftw = rnd(f);
  for (int i = 0; i < 8; i++) {
    uint64_t v[2] = {rnd(f) & 1 ? rnd(f) : (rnd(f) & 1) << 63, rnd(f) & 0xffff};
    if (rnd(f) & 1)
      v[1] &= rnd(f) & 1 ? 0x8000 : 0x7fff;
    if (rnd(f) & 1)
      v[0] |= 1ull << 63;
    memcpy(x->st[i], v, 16);
  }
  for (int i = 0; i < 16; i++)
    for (int k = 0; k < 32; k += 8) {
      uint64_t v = rnd(f);
      memcpy(f->c->v[i] + k, &v, 8);
    }
}

// Runs an exec function with a memory operand at p.
static bool exec(struct fixture *f, insn_fn *fn, void *p, unsigned osz)
{
  struct op op = {.flags = p ? OPF_MEM : 0, .base = RBX * 8, .idx = REG_ZERO * 8, .ea = EA_64, .osz = osz};
  f->c->r[RBX] = (uintptr_t)p;
  f->c->faulted = false;
  fpu_enter(f->c);
  bool ok = fn(f->c, &op);
  fpu_leave(f->c);
  assert_int_equal(ok, !f->c->faulted);
  return ok;
}

static void native_copy(struct fixture *f)
{
  struct native_state *s = f->n.s;
  memcpy(&s->fx_in, &f->c->fx, sizeof s->fx_in);
  for (int i = 0; i < 16; i++)
    memcpy(s->fx_in.xmm[i], f->c->v[i], 16);
  memcpy(s->ymm_in, f->c->v, sizeof s->ymm_in);
  memcpy(s->gpr_in, f->c->r, sizeof s->gpr_in);
  s->fl_in = 0x202;
}

static void fxsave_stores_what_the_host_stores(void **state)
{
  struct fixture *f = *state;
  static const uint8_t fxsave64[] = {0x48, 0x0f, 0xae, 0x03};
  for (int t = 0; t < 200; t++) {
    random_x87(f);
    uint8_t *host = f->page + 1024;
    memset(f->page, 0, 1536);
    f->c->r[RBX] = (uintptr_t)host;
    native_copy(f);
    native_run(&f->n, fxsave64, sizeof fxsave64);
    assert_true(exec(f, x_fxsave64, f->page, 3));
    assert_memory_equal(f->page, host, 5);
    assert_memory_equal(f->page + 24, host + 24, 416 - 24);
  }
}

static void fxrstor_brings_back_what_fxsave_stored(void **state)
{
  struct fixture *f = *state;
  for (int t = 0; t < 50; t++) {
    struct fxregs before;
    uint8_t v[16][32];
    random_x87(f);
    f->c->fx.mxcsr = 0x1f80 | (rnd(f) & 0xe07f);
    for (int i = 0; i < 8; i++)
      memset(f->c->fx.st[i] + 10, 0, 6);
    before = f->c->fx;
    memcpy(v, f->c->v, sizeof v);
    assert_true(exec(f, x_fxsave64, f->page, 3));
    uint32_t mask = f->c->fx.mxcsr_mask;
    fpu_reset(f->c);
    memcpy(f->c->v, v, sizeof v);
    memset(f->c->v[3], 0, 16);
    f->c->fx.mxcsr_mask = mask;
    assert_true(exec(f, x_fxrstor64, f->page, 3));
    assert_memory_equal(&before, &f->c->fx, offsetof(struct fxregs, xmm));
    assert_memory_equal(v, f->c->v, sizeof v);
  }
}

static void fxrstor_refuses_reserved_mxcsr_bits_and_misalignment(void **state)
{
  struct fixture *f = *state;
  assert_true(exec(f, x_fxsave64, f->page, 3));
  f->page[24 + 2] = 2; // bit 17: misaligned SSE, which this model has not
  assert_false(exec(f, x_fxrstor64, f->page, 3));
  assert_int_equal(f->c->fault.vector, VEC_GP);
  f->c->fx.mxcsr_mask |= MXCSR_MM;
  assert_true(exec(f, x_fxrstor64, f->page, 3));
  assert_int_equal(f->c->fx.mxcsr, 0x21f80);
  assert_false(exec(f, x_fxrstor64, f->page + 8, 3));
  assert_int_equal(f->c->fault.vector, VEC_GP);
  f->c->cr0 |= CR0_TS;
  assert_false(exec(f, x_fxsave64, f->page, 3));
  assert_int_equal(f->c->fault.vector, VEC_NM);
}

static void fast_fxsave_leaves_xmm_alone(void **state)
{
  struct fixture *f = *state;
  random_x87(f);
  memset(f->page, 0xaa, 512);
  f->c->efer = EFER_FFXSR;
  assert_true(exec(f, x_fxsave64, f->page, 3));
  for (int i = 160; i < 512; i++)
    assert_int_equal(f->page[i], 0xaa);
  f->c->cpl = 3;
  assert_true(exec(f, x_fxsave64, f->page, 3));
  assert_memory_equal(f->page + 160, f->c->v[0], 16);
}

// The environment and registers, against the host's 32-bit format; pointers are the host's own.
static void fnsave_stores_what_the_host_stores(void **state)
{
  struct fixture *f = *state;
  static const uint8_t fnsave[] = {0xdd, 0x33};
  for (int t = 0; t < 200; t++) {
    random_x87(f);
    uint8_t *host = f->page + 1024;
    memset(f->page, 0, 2048);
    f->c->r[RBX] = (uintptr_t)host;
    native_copy(f);
    native_run(&f->n, fnsave, sizeof fnsave);
    assert_true(exec(f, x_fnsave, f->page, 2));
    assert_memory_equal(f->page, host, 12);
    assert_memory_equal(f->page + 28, host + 28, 80);
    assert_int_equal(f->c->fx.fcw, 0x37f);
    assert_int_equal(f->c->fx.fsw, 0);
    assert_int_equal(f->c->fx.ftw, 0);
  }
}

static void frstor_and_fldenv_load_what_the_host_loads(void **state)
{
  struct fixture *f = *state;
  static const uint8_t frstor[] = {0xdd, 0x23}, fldenv[] = {0xd9, 0x23};
  for (int t = 0; t < 400; t++) {
    random_x87(f);
    for (int i = 0; i < 108; i += 4) {
      uint32_t v = rnd(f);
      memcpy(f->page + i, &v, 4);
    }
    if (t & 2) // some registers empty
      memset(f->page + 8, 0xff, 1);
    f->c->r[RBX] = (uintptr_t)f->page;
    native_copy(f);
    native_run(&f->n, t & 1 ? frstor : fldenv, 2);
    assert_true(exec(f, t & 1 ? x_frstor : x_fldenv, f->page, 2));
    assert_int_equal(f->c->fx.fcw, f->n.s->fx_out.fcw);
    assert_int_equal(f->c->fx.fsw, f->n.s->fx_out.fsw);
    assert_int_equal(f->c->fx.ftw, f->n.s->fx_out.ftw);
    for (int i = 0; i < 8; i++)
      assert_memory_equal(f->c->fx.st[i], f->n.s->fx_out.st[i], 10);
  }
}

static void fnsave_in_16_bit_formats_can_be_restored(void **state)
{
  struct fixture *f = *state;
  for (int mode = 0; mode < 2; mode++)
    for (unsigned osz = 1; osz < 3; osz++) {
      f->c->cr0 = mode ? CR0_PE | CR0_NE : CR0_NE;
      f->c->mode = 0;
      random_x87(f);
      for (int i = 0; i < 8; i++)
        memset(f->c->fx.st[i] + 10, 0, 6);
      struct fxregs before = f->c->fx;
      before.fop = f->c->fx.fop = 0x5aa;
      f->c->fx.fip = 0x123400005678;
      f->c->fx.fdp = 0x234500006789;
      assert_true(exec(f, x_fnsave, f->page, osz));
      assert_true(exec(f, x_frstor, f->page, osz));
      assert_int_equal(f->c->fx.fsw, before.fsw);
      assert_int_equal(f->c->fx.ftw, before.ftw);
      assert_memory_equal(f->c->fx.st, before.st, 128);
      if (mode) {
        assert_int_equal(f->c->fx.fip, 0x123400005678);
        assert_int_equal(f->c->fx.fdp, 0x234500006789);
      } else { // linear, 20 bits in the short format
        assert_int_equal(f->c->fx.fip, 0x12340 + 0x5678);
        assert_int_equal(f->c->fx.fdp, 0x23450 + 0x6789);
      }
    }
}

static void fldcw_keeps_the_bits_that_the_host_keeps(void **state)
{
  struct fixture *f = *state;
  static const uint8_t fldcw[] = {0xd9, 0x2b};
  for (unsigned v = 0; v < 0x10000; v += 0x1f) {
    uint16_t w = v;
    memcpy(f->page, &w, 2);
    f->c->fx.fsw = 0;
    f->c->r[RBX] = (uintptr_t)f->page;
    native_copy(f);
    native_run(&f->n, fldcw, 2);
    assert_true(exec(f, x_fldcw, f->page, 1));
    assert_int_equal(f->c->fx.fcw, f->n.s->fx_out.fcw);
  }
}

static void pending_x87_exception_faults_at_the_next_waiting_instruction(void **state)
{
  struct fixture *f = *state;
  fpu_init(f->c);
  f->c->fx.fsw = FE_ZE;
  fpu_set_fcw(f->c, 0x37f & ~FE_ZE);
  assert_int_equal(f->c->fx.fsw, FE_ZE | FSW_ES | FSW_B);
  assert_false(exec(f, x_fwait, NULL, 0));
  assert_int_equal(f->c->fault.vector, VEC_MF);
  assert_false(exec(f, x_fldcw, f->page, 1));
  assert_int_equal(f->c->fault.vector, VEC_MF);
  assert_true(exec(f, x_fnstsw, f->page, 1)); // does not wait
  assert_true(exec(f, x_fnclex, NULL, 0));
  assert_int_equal(f->c->fx.fsw, 0);
  assert_true(exec(f, x_fwait, NULL, 0));
}

static unsigned ferr_level;
static void ferr_set(void *sink, int pin, int level)
{
  ferr_level = level;
}

static void without_ne_the_ferr_line_tells(void **state)
{
  struct fixture *f = *state;
  struct irq line = {.set = ferr_set};
  f->c->ferr = &line;
  f->c->cr0 = CR0_PE;
  fpu_init(f->c);
  f->c->fx.fsw = FE_IE;
  fpu_set_fcw(f->c, 0x37f & ~FE_IE);
  assert_false(exec(f, x_fwait, NULL, 0));
  assert_true(f->c->fault.freeze); // no exception: it waits for the interrupt
  assert_int_equal(ferr_level, 1);
  f->c->ignne_pin = true;
  assert_true(exec(f, x_fwait, NULL, 0));
  assert_true(exec(f, x_fnclex, NULL, 0));
  assert_int_equal(ferr_level, 0);
}

static void wait_obeys_mp_and_ts(void **state)
{
  struct fixture *f = *state;
  fpu_init(f->c);
  f->c->cr0 |= CR0_TS;
  assert_true(exec(f, x_fwait, NULL, 0));
  f->c->cr0 |= CR0_MP;
  assert_false(exec(f, x_fwait, NULL, 0));
  assert_int_equal(f->c->fault.vector, VEC_NM);
}

static void set_mask(struct fixture *f, uint64_t mask)
{
  f->c->r[RAX] = (uint32_t)mask;
  f->c->r[RDX] = mask >> 32;
}

static void xsave_and_xrstor_round_trip_in_every_form(void **state)
{
  struct fixture *f = *state;
  static insn_fn *const save[] = {x_xsave64, x_xsaveopt64, x_xsavec64};
  f->c->xcr0 = f->model.xcr0;
  for (int k = 0; k < 3; k++)
    for (unsigned mask = 0; mask < 8; mask++)
      for (int t = 0; t < 4; t++) {
        memset(f->page, 0, 1024);
        random_x87(f);
        for (int i = 0; i < 8; i++)
          memset(f->c->fx.st[i] + 10, 0, 6);
        if (t == 1)
          memset(f->c->v, 0, sizeof f->c->v);
        if (t == 2)
          for (int i = 0; i < 16; i++)
            memset(f->c->v[i] + 16, 0, 16);
        f->c->pkru = 0x55;
        f->c->fx.mxcsr = t == 3 ? MXCSR_RESET : 0x3f80;
        struct fxregs before = f->c->fx;
        uint8_t v[16][32];
        memcpy(v, f->c->v, sizeof v);
        set_mask(f, mask | XCR0_PKRU);
        assert_true(exec(f, save[k], f->page, 3));
        f->c->pkru = 1;
        memset(f->c->v, 0x11, sizeof v);
        f->c->fx.mxcsr = 0x5f80;
        set_mask(f, mask | XCR0_PKRU);
        assert_true(exec(f, x_xrstor64, f->page, 3));
        assert_int_equal(f->c->pkru, 0x55);
        if (mask & XCR0_X87)
          assert_memory_equal(before.st, f->c->fx.st, 128);
        bool mxcsr = k == 2 ? mask & XCR0_SSE : mask & (XCR0_SSE | XCR0_AVX);
        assert_int_equal(f->c->fx.mxcsr, mxcsr ? before.mxcsr : 0x5f80);
        for (int i = 0; i < 16; i++)
          for (int b = 0; b < 32; b++)
            assert_int_equal(f->c->v[i][b], mask & (b < 16 ? XCR0_SSE : XCR0_AVX) ? v[i][b] : 0x11);
      }
}

static void xrstor_refuses_bad_headers(void **state)
{
  struct fixture *f = *state;
  static const struct {
    unsigned at;
    uint8_t value;
  } bad[] = {{512, 8}, {512 + 7, 0x80}, {520, 1}, {528, 1}, {527, 0x40}, {26, 2}};
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
    memset(f->page, 0, 1024);
    set_mask(f, 7);
    assert_true(exec(f, x_xsave64, f->page, 3));
    assert_true(exec(f, x_xrstor64, f->page, 3));
    f->page[bad[i].at] = bad[i].value;
    assert_false(exec(f, x_xrstor64, f->page, 3));
    assert_int_equal(f->c->fault.vector, VEC_GP);
  }
  assert_false(exec(f, x_xsave64, f->page + 16, 3));
  assert_int_equal(f->c->fault.vector, VEC_GP);
}

static void xsetbv_takes_only_what_the_model_has(void **state)
{
  struct fixture *f = *state;
  static const struct {
    uint64_t v;
    bool good;
  } t[] = {{1, true},  {3, true},  {7, true},    {0x207, true},
           {0, false}, {5, false}, {0xf, false}, {1ull << 63 | 1, false}};
  for (unsigned i = 0; i < sizeof t / sizeof *t; i++) {
    set_mask(f, t[i].v);
    f->c->r[RCX] = 0;
    assert_int_equal(exec(f, x_xsetbv, NULL, 0), t[i].good);
    if (t[i].good)
      assert_int_equal(f->c->xcr0, t[i].v);
  }
  f->c->r[RCX] = 1;
  set_mask(f, 1);
  assert_false(exec(f, x_xsetbv, NULL, 0));
  f->c->r[RCX] = 0;
  f->c->cpl = 3;
  assert_false(exec(f, x_xsetbv, NULL, 0));
  f->c->cr4 &= ~CR4_OSXSAVE;
  assert_false(exec(f, x_xgetbv, NULL, 0));
  assert_int_equal(f->c->fault.vector, VEC_UD);
}

static void ldmxcsr_checks_reserved_bits(void **state)
{
  struct fixture *f = *state;
  uint32_t v = 0x1f80 | 0x6000;
  memcpy(f->page, &v, 4);
  assert_true(exec(f, x_ldmxcsr, f->page, 2));
  assert_int_equal(f->c->fx.mxcsr, v);
  assert_true(exec(f, x_stmxcsr, f->page + 8, 2));
  assert_memory_equal(f->page + 8, &v, 4);
  v |= 1u << 16;
  memcpy(f->page, &v, 4);
  assert_false(exec(f, x_ldmxcsr, f->page, 2));
  assert_int_equal(f->c->fault.vector, VEC_GP);
}

// ---- single instructions through host_select ----

// Decodes and runs; the registers of a memory operand are filled in as the decoder does it.
static bool run(struct fixture *f, const uint8_t *b, unsigned n, ZydisMachineMode width, uint32_t mode)
{
  ZydisDecoder d;
  ZydisDecodedInstruction zi;
  ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
  struct op ops[2] = {{.base = REG_ZERO * 8, .idx = REG_ZERO * 8, .asz = 3, .seg = SEG_DS}};
  ZydisDecoderInit(&d, width,
                   width == ZYDIS_MACHINE_MODE_LONG_64 ? ZYDIS_STACK_WIDTH_64 : ZYDIS_STACK_WIDTH_32);
  assert_true(ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, b, n, &zi, zo)));
  ops[0].len = zi.length;
  ops[0].row = zi.mnemonic;
  for (unsigned i = 0; i < zi.operand_count_visible; i++)
    if (zo[i].type == ZYDIS_OPERAND_TYPE_MEMORY) {
      ops[0].flags |= OPF_MEM;
      ops[0].base = ZydisRegisterGetId(zo[i].mem.base) * 8;
      ops[0].disp = zo[i].mem.disp.value;
      ops[0].shift = zo[i].mem.scale == 8 ? 3 : zo[i].mem.scale == 4 ? 2 : zo[i].mem.scale == 2 ? 1 : 0;
    }
  ops[1].fn = fake_end;
  assert_true(host_select(&ops[0], &zi, zo, f->h, mode));
  f->c->mode = mode;
  f->c->faulted = false;
  fpu_enter(f->c);
  ops[0].fn(f->c, ops);
  fpu_leave(f->c);
  return !f->c->faulted;
}
#define RUN(f, mode, ...)                                                                                    \
  run((f), (const uint8_t[]){__VA_ARGS__}, sizeof(uint8_t[]){__VA_ARGS__}, ZYDIS_MACHINE_MODE_LONG_64,       \
      MODE_CS64 | MODE_FLAT | (mode))

static void set64(struct fixture *f, unsigned reg, uint64_t lo, uint64_t hi)
{
  memcpy(f->c->v[reg], &lo, 8);
  memcpy(f->c->v[reg] + 8, &hi, 8);
}
static uint64_t get64(struct fixture *f, unsigned reg)
{
  uint64_t v;
  memcpy(&v, f->c->v[reg], 8);
  return v;
}

static void extrq_and_insertq_move_bit_fields(void **state)
{
  struct fixture *f = *state;
  set64(f, 1, 0xfedcba9876543210, 0);
  assert_true(RUN(f, 0, 0x66, 0x0f, 0x78, 0xc1, 12, 8)); // extrq xmm1, 12, 8
  assert_int_equal(get64(f, 1), 0x432);
  set64(f, 1, 0xfedcba9876543210, 0);
  set64(f, 2, 0x2010, 0);                         // length 16, position 32
  assert_true(RUN(f, 0, 0x66, 0x0f, 0x79, 0xca)); // extrq xmm1, xmm2
  assert_int_equal(get64(f, 1), 0xba98);
  set64(f, 1, 0xfedcba9876543210, 0);
  assert_true(RUN(f, 0, 0x66, 0x0f, 0x78, 0xc1, 0, 0)); // length 0 is 64
  assert_int_equal(get64(f, 1), 0xfedcba9876543210);
  set64(f, 3, 0xffff5a5a, 0);
  assert_true(RUN(f, 0, 0xf2, 0x0f, 0x78, 0xcb, 16, 24)); // insertq xmm1, xmm3, 16, 24
  assert_int_equal(get64(f, 1), 0xfedcba5a5a543210);
  set64(f, 3, 0xabcd, 0x0008);                    // length 8, position 0
  assert_true(RUN(f, 0, 0xf2, 0x0f, 0x79, 0xcb)); // insertq xmm1, xmm3
  assert_int_equal(get64(f, 1), 0xfedcba5a5a5432cd);
  f->c->r[RBX] = (uintptr_t)f->page;
  memset(f->page, 0, 16);
  assert_true(RUN(f, 0, 0xf3, 0x0f, 0x2b, 0x0b)); // movntss [rbx], xmm1
  assert_int_equal(*(uint64_t *)f->page, 0x5a5432cd);
  assert_true(RUN(f, 0, 0xf2, 0x0f, 0x2b, 0x0b)); // movntsd [rbx], xmm1
  assert_int_equal(*(uint64_t *)f->page, 0xfedcba5a5a5432cd);
}

static void control_registers_forbid_at_decode_time(void **state)
{
  struct fixture *f = *state;
  static const struct {
    uint32_t mode;
    uint8_t x87, mmx, sse, vex; // expected vector, 0xff: runs
  } t[] = {{0, 0xff, 0xff, 0xff, 0xff},
           {MODE_TS, VEC_NM, VEC_NM, VEC_NM, VEC_NM},
           {MODE_NO_X87 | MODE_NO_SSE, VEC_NM, VEC_UD, VEC_UD, 0xff},
           {MODE_NO_SSE, 0xff, 0xff, VEC_UD, 0xff},
           {MODE_NO_AVX, 0xff, 0xff, 0xff, VEC_UD}};
  for (unsigned i = 0; i < sizeof t / sizeof *t; i++) {
    f->c->fault.vector = 0xff;
    RUN(f, t[i].mode, 0xd9, 0xe8); // fld1
    assert_int_equal(f->c->fault.vector, t[i].x87);
    f->c->fault.vector = 0xff;
    RUN(f, t[i].mode, 0x0f, 0xef, 0xc0); // pxor mm0, mm0
    assert_int_equal(f->c->fault.vector, t[i].mmx);
    f->c->fault.vector = 0xff;
    RUN(f, t[i].mode, 0x0f, 0x58, 0xc1); // addps xmm0, xmm1
    assert_int_equal(f->c->fault.vector, t[i].sse);
    if (!host_has(f->h, ZYDIS_ISA_SET_AVX))
      continue;
    f->c->fault.vector = 0xff;
    RUN(f, t[i].mode, 0xc5, 0xf0, 0x58, 0xc1); // vaddps xmm0, xmm1, xmm1
    assert_int_equal(f->c->fault.vector, t[i].vex);
  }
}

static void legacy_sse_operands_must_be_aligned_unless_mxcsr_says_otherwise(void **state)
{
  struct fixture *f = *state;
  f->c->r[RBX] = (uintptr_t)f->page + 4;
  for (int fast = 0; fast < 2; fast++) {
    fake_tlb(f->c, f->page, fast);
    f->c->fx.mxcsr = MXCSR_RESET;
    assert_false(RUN(f, 0, 0x0f, 0x58, 0x03)); // addps xmm0, [rbx]
    assert_int_equal(f->c->fault.vector, VEC_GP);
    assert_false(RUN(f, 0, 0x0f, 0x28, 0x03)); // movaps xmm0, [rbx]
    assert_false(RUN(f, 0, 0x0f, 0x29, 0x03)); // movaps [rbx], xmm0
    assert_true(RUN(f, 0, 0x0f, 0x10, 0x03));  // movups xmm0, [rbx]
    f->c->fx.mxcsr = MXCSR_RESET | MXCSR_MM;
    set64(f, 0, 0, 0);
    static const float one[4] = {1, 2, 3, 4};
    memcpy(f->page + 4, one, 16);
    assert_true(RUN(f, 0, 0x0f, 0x58, 0x03));
    assert_memory_equal(f->c->v[0], one, 16);
    assert_true(RUN(f, 0, 0x0f, 0x29, 0x03));
  }
}

static void bmi_is_undefined_in_real_mode(void **state)
{
  struct fixture *f = *state;
  static const uint8_t andn[] = {0xc4, 0xe2, 0x70, 0xf2, 0xc2}; // andn eax, ecx, edx
  if (!host_has(f->h, ZYDIS_ISA_SET_BMI1))
    skip();
  f->c->r[RCX] = 0xff;
  f->c->r[RDX] = 0xabcd;
  f->c->r[RAX] = ~0ull;
  assert_true(run(f, andn, 5, ZYDIS_MACHINE_MODE_LEGACY_32, MODE_CS32));
  assert_int_equal(f->c->r[RAX], 0xab00);
  f->c->cr0 &= ~CR0_PE;
  assert_false(run(f, andn, 5, ZYDIS_MACHINE_MODE_LEGACY_32, MODE_CS32));
  assert_int_equal(f->c->fault.vector, VEC_UD);
}

static void masked_moves_fault_only_for_what_they_touch(void **state)
{
  struct fixture *f = *state;
  if (!host_has(f->h, ZYDIS_ISA_SET_AVX))
    skip();
  uint8_t *p = f->page + 4096 - 16;
  for (int i = 0; i < 32; i++)
    p[i] = i + 1;
  fake_hole((uintptr_t)f->page + 4096, (uintptr_t)f->page + 8192);
  f->c->r[RBX] = (uintptr_t)p;
  memset(f->c->v[2], 0, 32);
  f->c->v[2][3] = f->c->v[2][11] = 0x80;
  memset(f->c->v[1], 0x77, 32);
  assert_true(RUN(f, 0, 0xc4, 0xe2, 0x6d, 0x2c, 0x0b)); // vmaskmovps ymm1, ymm2, [rbx]
  static const uint8_t want[32] = {1, 2, 3, 4, 0, 0, 0, 0, 9, 10, 11, 12};
  assert_memory_equal(f->c->v[1], want, 32);
  memset(f->c->v[1], 0x55, 32);
  f->c->v[2][31] = 0x80;
  assert_false(RUN(f, 0, 0xc4, 0xe2, 0x6d, 0x2c, 0x0b));
  assert_int_equal(f->c->fault.vector, VEC_PF);
  assert_int_equal(f->c->v[1][0], 0x55);
  assert_false(RUN(f, 0, 0xc4, 0xe2, 0x6d, 0x2e, 0x0b)); // vmaskmovps [rbx], ymm2, ymm1
  assert_int_equal(p[0], 1);
  f->c->v[2][31] = 0;
  assert_true(RUN(f, 0, 0xc4, 0xe2, 0x6d, 0x2e, 0x0b));
  static const uint8_t stored[16] = {0x55, 0x55, 0x55, 0x55, 5,  6,  7,  8,
                                     0x55, 0x55, 0x55, 0x55, 13, 14, 15, 16};
  assert_memory_equal(p, stored, 16);

  f->c->r[RDI] = (uintptr_t)p;
  memset(f->c->v[2], 0, 32);
  f->c->v[2][1] = 0x80;
  assert_true(RUN(f, 0, 0x66, 0x0f, 0xf7, 0xca)); // maskmovdqu xmm1, xmm2
  assert_int_equal(p[0], 0x55);
  assert_int_equal(p[1], 0x55);
  assert_int_equal(p[4], 5);
}

static void gathers_keep_what_they_have_when_they_fault(void **state)
{
  struct fixture *f = *state;
  if (!host_has(f->h, ZYDIS_ISA_SET_AVX2))
    skip();
  uint32_t *p = (uint32_t *)(f->page + 4096 - 64);
  for (int i = 0; i < 32; i++)
    p[i] = 100 + i;
  static const int32_t index[8] = {1, 15, -2, 3, 4, 16, 6, 7};
  f->c->r[RBX] = (uintptr_t)p;
  memcpy(f->c->v[3], index, 32);
  memset(f->c->v[2], 0xff, 32);
  memset(f->c->v[1], 0, 32);
  p[-2] = 98;
  fake_hole((uintptr_t)f->page + 4096, (uintptr_t)f->page + 8192);
  assert_false(RUN(f, 0, 0xc4, 0xe2, 0x6d, 0x90, 0x0c, 0x9b)); // vpgatherdd ymm1, [rbx+ymm3*4], ymm2
  assert_int_equal(f->c->fault.vector, VEC_PF);
  assert_int_equal(f->c->fault.address, (uintptr_t)f->page + 4096);
  uint32_t *dst = (uint32_t *)f->c->v[1], *mask = (uint32_t *)f->c->v[2];
  static const uint32_t part[8] = {101, 115, 98, 103, 104};
  assert_memory_equal(dst, part, 32);
  assert_int_equal(mask[4], 0);
  assert_int_equal(mask[5], ~0u);
  fake_hole(0, 0);
  assert_true(RUN(f, 0, 0xc4, 0xe2, 0x6d, 0x90, 0x0c, 0x9b));
  static const uint32_t all[8] = {101, 115, 98, 103, 104, 116, 106, 107};
  assert_memory_equal(dst, all, 32);
  for (int i = 0; i < 8; i++)
    assert_int_equal(mask[i], 0);
}

// Every gather, against the host.
static void gathers_equal_the_host(void **state)
{
  struct fixture *f = *state;
  if (!host_has(f->h, ZYDIS_ISA_SET_AVX2))
    skip();
  for (unsigned op = 0x90; op < 0x94; op++)
    for (unsigned k = 0; k < 4; k++) // W, L
      for (int t = 0; t < 50; t++) {
        uint8_t b[] = {0xc4, 0xe2, 0x69 | (k & 1 ? 0x80 : 0) | (k & 2 ? 4 : 0), op, 0x0c, 0x1b};
        random_x87(f);
        for (int i = 0; i < 512; i++)
          f->page[i] = rnd(f);
        for (int i = 0; i < 8; i++) {
          int32_t v = rnd(f) & 255;
          if (op & 1)
            v = i & 1 ? 0 : v;
          memcpy(f->c->v[3] + i * 4, &v, 4);
        }
        f->c->r[RBX] = (uintptr_t)f->page;
        native_copy(f);
        native_run(&f->n, b, sizeof b);
        assert_true(run(f, b, sizeof b, ZYDIS_MACHINE_MODE_LONG_64, MODE_CS64 | MODE_FLAT));
        for (int i = 1; i < 4; i++)
          assert_memory_equal(f->c->v[i], f->n.s->ymm_out[i], 32);
      }
}

static void exceptions_leave_pointers_to_the_instruction(void **state)
{
  struct fixture *f = *state;
  fpu_init(f->c);
  f->c->r[REG_IP] = 0x401000;
  f->c->r[RBX] = (uintptr_t)f->page;
  assert_true(RUN(f, 0, 0xdd, 0x03)); // fld qword [rbx]
  assert_int_equal(f->c->fx.fip, 0x401000);
  assert_int_equal(f->c->fx.fdp, (uintptr_t)f->page);
  assert_int_equal(f->c->fx.fop, 0x503);
}

static void equal_forms_share_a_stub_and_a_full_arena_can_be_emptied(void **state)
{
  struct fixture *f = *state;
  ZydisDecoder d;
  ZydisDecodedInstruction zi;
  ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
  struct op a = {.len = 0}, b;
  ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  unsigned made = 0;
  for (unsigned i = 0; i < 4 << 16 && !host_code_full(f->h); i++, made++) {
    uint8_t code[] = {0x66, 0x40 | (i >> 14 & 4) | (i >> 17 & 1), 0x0f, 0x70, 0xc0 | (i >> 8 & 0x3f), i};
    if (i & 1 << 14) // shufps
      memmove(code, code + 1, 5), code[2] = 0xc6, code[4] = i;
    assert_true(ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, code, sizeof code, &zi, zo)));
    assert_true(host_select(&a, &zi, zo, f->h, MODE_CS64));
    assert_true(host_select(&b, &zi, zo, f->h, MODE_CS64));
    assert_ptr_equal(a.ptr, b.ptr);
  }
  assert_true(host_code_full(f->h));
  assert_true(made > 20000);
  host_code_reset(f->h);
  assert_false(host_code_full(f->h));
  set64(f, 1, 5, 6);
  set64(f, 2, 7, 8);
  assert_true(RUN(f, 0, 0x66, 0x0f, 0xd4, 0xca)); // paddq xmm1, xmm2
  assert_int_equal(get64(f, 1), 12);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
      T(fxsave_stores_what_the_host_stores),
      T(fxrstor_brings_back_what_fxsave_stored),
      T(fxrstor_refuses_reserved_mxcsr_bits_and_misalignment),
      T(fast_fxsave_leaves_xmm_alone),
      T(fnsave_stores_what_the_host_stores),
      T(frstor_and_fldenv_load_what_the_host_loads),
      T(fnsave_in_16_bit_formats_can_be_restored),
      T(fldcw_keeps_the_bits_that_the_host_keeps),
      T(pending_x87_exception_faults_at_the_next_waiting_instruction),
      T(without_ne_the_ferr_line_tells),
      T(wait_obeys_mp_and_ts),
      T(xsave_and_xrstor_round_trip_in_every_form),
      T(xrstor_refuses_bad_headers),
      T(xsetbv_takes_only_what_the_model_has),
      T(ldmxcsr_checks_reserved_bits),
      T(extrq_and_insertq_move_bit_fields),
      T(control_registers_forbid_at_decode_time),
      T(legacy_sse_operands_must_be_aligned_unless_mxcsr_says_otherwise),
      T(bmi_is_undefined_in_real_mode),
      T(masked_moves_fault_only_for_what_they_touch),
      T(gathers_keep_what_they_have_when_they_fault),
      T(gathers_equal_the_host),
      T(exceptions_leave_pointers_to_the_instruction),
      T(equal_forms_share_a_stub_and_a_full_arena_can_be_emptied),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
