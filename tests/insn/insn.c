// Instructions against the host CPU: random forms with random and edge-case operands, run natively, on
// pacifica's handlers and, where there is any, as the translator's host code; registers, flags, x87, MMX, SSE
// and AVX state, memory and faults must be the same.
//
//   insn [--cases N] [--seed S] [--only MNEMONIC] [--verbose]
//
// Ends with the number of cases and of mnemonics that were covered. What may differ stands in allowed[] with
// its reason.
#include <Zydis/Zydis.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cpu/decode.h"
#include "cpu/fpu.h"
#include "cpu/host/host.h"
#include "cpu/insn.h"
#include "cpu/model.h"
#include "cpu/tlb.h"
#include "engine/engine.h"
#include "engine/jit/jit.h"
#include "native.h"

#define BATCH 256

// ---- random numbers ----

static uint64_t rng_state;
static uint64_t rng(void)
{
  uint64_t z = rng_state += 0x9e3779b97f4a7c15ull;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return z ^ z >> 31;
}
static uint32_t below(uint32_t n)
{
  return (uint32_t)(rng() >> 32) % n;
}

static uint64_t edge(void)
{
  static const uint64_t e[] = {0,
                               1,
                               2,
                               0x7f,
                               0x80,
                               0xff,
                               0x7fff,
                               0x8000,
                               0xffff,
                               0x7fffffff,
                               0x80000000,
                               0xffffffff,
                               0x7fffffffffffffff,
                               0x8000000000000000,
                               0xffffffffffffffff,
                               0x10,
                               0x1f,
                               0x20,
                               0x3f,
                               0x40};
  switch (below(4)) {
  case 0:
    return e[below(sizeof e / sizeof *e)];
  case 1:
    return rng() >> below(64);
  default:
    return rng();
  }
}

struct generated {
  ZydisDecodedInstruction zi;
  ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
  unsigned at; // where in the watched memory the operand lies
};

// ---- what may differ ----

struct allowed {
  ZydisMnemonic mnemonic;
  uint32_t flags; // not compared
  const char *reason;
};
static const struct allowed allowed[] = {
    {ZYDIS_MNEMONIC_MUL, FL_SF | FL_ZF | FL_AF | FL_PF,
     "undefined (APM3); worked out in C, the old flags stay"},
    {ZYDIS_MNEMONIC_DIV, FL_ARITH, "undefined (APM3); worked out in C, the old flags stay"},
    {ZYDIS_MNEMONIC_IDIV, FL_ARITH, "undefined (APM3); worked out in C, the old flags stay"},
    {ZYDIS_MNEMONIC_BT, FL_OF | FL_SF | FL_AF | FL_PF, "undefined (APM3); only CF is written"},
    {ZYDIS_MNEMONIC_BTS, FL_OF | FL_SF | FL_AF | FL_PF, "undefined (APM3); only CF is written"},
    {ZYDIS_MNEMONIC_BTR, FL_OF | FL_SF | FL_AF | FL_PF, "undefined (APM3); only CF is written"},
    {ZYDIS_MNEMONIC_BTC, FL_OF | FL_SF | FL_AF | FL_PF, "undefined (APM3); only CF is written"},
    {ZYDIS_MNEMONIC_AAA, FL_OF | FL_SF | FL_ZF | FL_PF, "undefined (APM3)"},
    {ZYDIS_MNEMONIC_AAS, FL_OF | FL_SF | FL_ZF | FL_PF, "undefined (APM3)"},
    {ZYDIS_MNEMONIC_AAM, FL_OF | FL_AF | FL_CF, "undefined (APM3)"},
    {ZYDIS_MNEMONIC_AAD, FL_OF | FL_AF | FL_CF, "undefined (APM3)"},
    {ZYDIS_MNEMONIC_DAA, FL_OF, "undefined (APM3)"},
    {ZYDIS_MNEMONIC_DAS, FL_OF, "undefined (APM3)"},
};

static uint32_t flags_compared(const struct generated *g, const struct test_case *t)
{
  ZydisMnemonic m = g->zi.mnemonic;
  uint32_t mask = FL_ARITH | FL_DF;
  // OF after a rotation by more than 1 is undefined (APM3): it stays as it was, since the host's is another
  // for a constant than for CL.
  if (m == ZYDIS_MNEMONIC_ROL || m == ZYDIS_MNEMONIC_ROR) {
    uint64_t n = g->zo[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? g->zo[1].imm.value.u : t->in.r[1];
    if ((n & (g->zo[0].size == 64 ? 63 : 31)) > 1)
      mask &= ~FL_OF;
  }
  if (m == ZYDIS_MNEMONIC_IMUL) // undefined as for MUL in the one-operand form; CF and OF always count
    mask &= ~(FL_SF | FL_ZF | FL_AF | FL_PF);
  for (unsigned i = 0; i < sizeof allowed / sizeof *allowed; i++)
    if (allowed[i].mnemonic == m)
      mask &= ~allowed[i].flags;
  return mask;
}

// Memory that is not compared: bytes of the operand. width: of the operand, 0: any.
struct unlike {
  ZydisMnemonic mnemonic;
  uint8_t width, from, to;
  const char *reason;
};
#define POINTERS "addresses and selectors of the last x87 instruction: when they are kept differs by vendor"
#define MASK     "MXCSR_MASK says what the model has, not the host"
static const struct unlike unlike[] = {
    {ZYDIS_MNEMONIC_FNSTENV, 16, 6, 14, POINTERS}, {ZYDIS_MNEMONIC_FNSTENV, 32, 12, 28, POINTERS},
    {ZYDIS_MNEMONIC_FNSAVE, 16, 6, 14, POINTERS},  {ZYDIS_MNEMONIC_FNSAVE, 32, 12, 28, POINTERS},
    {ZYDIS_MNEMONIC_FXSAVE, 0, 6, 24, POINTERS},   {ZYDIS_MNEMONIC_FXSAVE64, 0, 6, 24, POINTERS},
    {ZYDIS_MNEMONIC_FXSAVE, 0, 28, 32, MASK},      {ZYDIS_MNEMONIC_FXSAVE64, 0, 28, 32, MASK},
};

static bool compared(const struct generated *g, unsigned i)
{
  for (const struct unlike *u = unlike; u < unlike + sizeof unlike / sizeof *unlike; u++)
    if (u->mnemonic == g->zi.mnemonic && (!u->width || (u->width == 16) == (g->zi.operand_width == 16)) &&
        i >= g->at + u->from && i < g->at + u->to)
      return false;
  return true;
}

// After an unmasked SIMD exception. Pacifica's host runs with all exceptions masked, so that two things
// cannot be known: whether a result that overflows or underflows would be exact once its exponent is scaled
// (PE), and which flags the later steps of DPPS and DPPD would have left out.
static uint32_t mxcsr_compared(const struct generated *g, const struct state *host, int sig)
{
  if (!sig)
    return 0xffff;
  uint32_t mask = 0xffff, unmasked = host->mxcsr & ~(host->mxcsr >> 7) & 0x3f;
  if (unmasked & (FE_OE | FE_UE))
    mask &= ~FE_PE;
  switch (g->zi.mnemonic) {
  case ZYDIS_MNEMONIC_DPPS:
  case ZYDIS_MNEMONIC_DPPD:
  case ZYDIS_MNEMONIC_VDPPS:
  case ZYDIS_MNEMONIC_VDPPD:
    mask &= ~FE_ALL | unmasked;
    break;
  default:
    break;
  }
  return mask;
}

// ---- which instructions take part ----

static bool takes_part(const ZydisDecodedInstruction *zi)
{
  switch (zi->meta.category) {
  case ZYDIS_CATEGORY_SYSTEM:
  case ZYDIS_CATEGORY_SYSCALL:
  case ZYDIS_CATEGORY_SYSRET:
  case ZYDIS_CATEGORY_INTERRUPT:
  case ZYDIS_CATEGORY_COND_BR:
  case ZYDIS_CATEGORY_UNCOND_BR:
  case ZYDIS_CATEGORY_CALL:
  case ZYDIS_CATEGORY_RET:
  case ZYDIS_CATEGORY_IO:
  case ZYDIS_CATEGORY_IOSTRINGOP:
  case ZYDIS_CATEGORY_SEGOP:
  case ZYDIS_CATEGORY_XSAVE:
  case ZYDIS_CATEGORY_XSAVEOPT:
  case ZYDIS_CATEGORY_RDRAND:
  case ZYDIS_CATEGORY_RDSEED:
  case ZYDIS_CATEGORY_RDWRFSGS:
  case ZYDIS_CATEGORY_VTX:
  case ZYDIS_CATEGORY_CET:
  case ZYDIS_CATEGORY_PKU:
    return false;
  default:
    break;
  }
  switch (zi->mnemonic) {
  case ZYDIS_MNEMONIC_CPUID:
  case ZYDIS_MNEMONIC_RDPID:
  case ZYDIS_MNEMONIC_RDPRU:
  case ZYDIS_MNEMONIC_RDTSC:
  case ZYDIS_MNEMONIC_RDTSCP:
  case ZYDIS_MNEMONIC_POPF:
  case ZYDIS_MNEMONIC_POPFD:
  case ZYDIS_MNEMONIC_POPFQ:
  case ZYDIS_MNEMONIC_PUSHF:
  case ZYDIS_MNEMONIC_PUSHFD:
  case ZYDIS_MNEMONIC_PUSHFQ:
  case ZYDIS_MNEMONIC_UD0:
  case ZYDIS_MNEMONIC_UD1:
  case ZYDIS_MNEMONIC_UD2:
  case ZYDIS_MNEMONIC_INT1:
  case ZYDIS_MNEMONIC_INT3:
  case ZYDIS_MNEMONIC_INTO:
  case ZYDIS_MNEMONIC_BOUND:
  case ZYDIS_MNEMONIC_LAR:
  case ZYDIS_MNEMONIC_LSL:
  case ZYDIS_MNEMONIC_VERR:
  case ZYDIS_MNEMONIC_VERW:
  case ZYDIS_MNEMONIC_ARPL: // descriptors of the host
  case ZYDIS_MNEMONIC_LDS:
  case ZYDIS_MNEMONIC_LES:
  case ZYDIS_MNEMONIC_LFS:
  case ZYDIS_MNEMONIC_LGS:
  case ZYDIS_MNEMONIC_LSS:
  case ZYDIS_MNEMONIC_MOVNTSS:
  case ZYDIS_MNEMONIC_MOVNTSD:
  case ZYDIS_MNEMONIC_EXTRQ:
  case ZYDIS_MNEMONIC_INSERTQ: // SSE4A: not on Intel hosts; tests/unit/host has them
  case ZYDIS_MNEMONIC_CLZERO:
  case ZYDIS_MNEMONIC_MONITORX:
  case ZYDIS_MNEMONIC_MWAITX:
    return false;
  default:
    return true;
  }
}

// ---- generator ----

static ZydisDecoder decoders[2];
static const struct model *model;
static const char *only;

// Of these, chance alone would make few: ENTER, FLDENV, FNSTENV, FRSTOR, FNSAVE, FXSAVE, FXRSTOR.
static unsigned rare_opcode(uint8_t *b, bool wide)
{
  static const struct {
    uint8_t opcode[2], len, reg; // reg: of ModRM; 8: it has none
  } rare[] = {{{0xc8}, 1, 8}, {{0xd9}, 1, 4},       {{0xd9}, 1, 6},      {{0xdd}, 1, 4},
              {{0xdd}, 1, 6}, {{0x0f, 0xae}, 2, 0}, {{0x0f, 0xae}, 2, 1}};
  unsigned n = 0, k = below(sizeof rare / sizeof *rare);
  if (below(5) == 0)
    b[n++] = 0x66;
  if (wide && below(2))
    b[n++] = 0x40 | below(16);
  for (unsigned i = 0; i < rare[k].len; i++)
    b[n++] = rare[k].opcode[i];
  if (rare[k].reg < 8)
    b[n++] = below(3) << 6 | rare[k].reg << 3 | below(8);
  return n;
}

static unsigned random_bytes(uint8_t *b, bool wide)
{
  unsigned n = 0, kind = below(100);
  if (below(100) == 0) {
    n = rare_opcode(b, wide);
    while (n < 16)
      b[n++] = (uint8_t)rng();
    return n;
  }
  bool vex = kind >= 80;
  if (!vex) {
    unsigned p = below(100);
    if (p < 20)
      b[n++] = 0x66;
    else if (p < 32)
      b[n++] = 0xf2;
    else if (p < 44)
      b[n++] = 0xf3;
    if (below(40) == 0)
      b[n++] = 0xf0;
    if (below(40) == 0)
      b[n++] = 0x67;
    if (wide && below(100) < 60)
      b[n++] = 0x40 | below(16);
    if (kind >= 35)
      b[n++] = 0x0f;
    if (kind >= 70)
      b[n++] = kind < 76 ? 0x38 : 0x3a;
  } else if (below(3) == 0) {
    b[n++] = 0xc5;
    b[n++] = (uint8_t)rng() | (wide ? 0 : 0xc0);
  } else {
    b[n++] = 0xc4;
    b[n++] = ((uint8_t)rng() & 0xe0) | (1 + below(3)) | (wide ? 0 : 0xc0);
    b[n++] = (uint8_t)rng() | (wide ? 0 : 0x40);
  }
  while (n < 16)
    b[n++] = (uint8_t)rng();
  return n;
}

static int gpr(ZydisRegister r)
{
  ZydisRegisterClass k = ZydisRegisterGetClass(r);
  if (k != ZYDIS_REGCLASS_GPR32 && k != ZYDIS_REGCLASS_GPR64 && k != ZYDIS_REGCLASS_GPR16)
    return -1;
  return ZydisRegisterGetId(r);
}

static uint64_t float_bits(void)
{
  static const uint32_t f[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000,
                               0xff800000, 0x7fc00000, 0x7f800001, 0x00000001, 0x007fffff,
                               0x00800000, 0x7f7fffff, 0x4f000000, 0xcf000000, 0x4b000000};
  static const uint64_t d[] = {0,
                               1ull << 63,
                               0x3ff0000000000000,
                               0xbff0000000000000,
                               0x7ff0000000000000,
                               0xfff0000000000000,
                               0x7ff8000000000000,
                               0x7ff0000000000001,
                               1,
                               0x000fffffffffffff,
                               0x0010000000000000,
                               0x7fefffffffffffff,
                               0x43e0000000000000,
                               0xc3e0000000000000,
                               0x41e0000000000000};
  switch (below(5)) {
  case 0:
    return f[below(15)] | (uint64_t)f[below(15)] << 32;
  case 1:
    return d[below(15)];
  case 2: // of like magnitude
    return (rng() & 0x800fffffffffffff) | (0x3f0ull + below(32)) << 52;
  case 3:
    return (rng() & 0x807fffff807fffff) | (0x78ull + below(16)) << 23 | (0x78ull + below(16)) << 55;
  default:
    return edge();
  }
}

static void random_st(uint8_t *p)
{
  uint64_t m = rng() | 1ull << 63;
  uint16_t e = 0x3fff - 16 + below(32);
  switch (below(8)) {
  case 0:
    m = 0;
    e = 0;
    break;
  case 1:
    m = 1ull << 63;
    e = below(2) ? 0x7fff : 0x3fff;
    break;
  case 2:
    e = 0x7fff;
    break;
  case 3:
    m = rng() >> (1 + below(40));
    e = 0;
    break;
  case 4:
    m = rng();
    e = (uint16_t)rng();
    break;
  default:
    break;
  }
  e = (e & 0x7fff) | (below(2) ? 0x8000 : 0);
  memcpy(p, &m, 8);
  memcpy(p + 8, &e, 2);
  memset(p + 10, 0, 6);
}

static void random_state(struct state *s, bool wide)
{
  for (int i = 0; i < 16; i++) {
    s->r[i] = edge();
    if (!wide)
      s->r[i] = i < 8 ? (uint32_t)s->r[i] : 0;
  }
  s->flags = (uint32_t)rng() & FL_ARITH;
  if (below(8) == 0)
    s->flags |= FL_DF;
  s->mxcsr = 0x1f80 | below(4) << 13;
  if (below(8) == 0)
    s->mxcsr |= 1u << 15;
  if (below(8) == 0)
    s->mxcsr |= 1u << 6;
  if (below(10) == 0)
    s->mxcsr &= ~(1u << (7 + below(6)));
  static const uint8_t precisions[] = {0, 2, 3};
  s->fcw = 0x007f | below(4) << 10 | precisions[below(3)] << 8;
  if (below(10) == 0)
    s->fcw &= ~(1u << below(6));
  s->fsw = below(2) ? 0 : below(8) << 11 | (below(4) == 0 ? (uint32_t)rng() & 0x4700 : 0);
  s->ftw = below(3) == 0 ? (uint8_t)rng() : 0xff;
  for (int i = 0; i < 8; i++)
    random_st(s->st[i]);
  for (int i = 0; i < 16; i++)
    for (int k = 0; k < 4; k++) {
      uint64_t v = float_bits();
      memcpy(s->v[i] + 8 * k, &v, 8);
    }
  for (unsigned i = 0; i < WATCH_SIZE; i += 8) {
    uint64_t v = float_bits();
    memcpy(s->mem + i, &v, 8);
  }
}

// Points the registers of all memory operands into the window. False if that cannot be done.
static bool aim(struct generated *g, struct test_case *t)
{
  uint32_t set = 0;
  for (unsigned i = 0; i < g->zi.operand_count; i++) {
    const ZydisDecodedOperand *o = &g->zo[i];
    if (o->type != ZYDIS_OPERAND_TYPE_MEMORY || o->mem.type == ZYDIS_MEMOP_TYPE_AGEN)
      continue;
    int base = gpr(o->mem.base), index = gpr(o->mem.index);
    if (base < 0 || base == index || g->zi.address_width == 16)
      return false;
    if (g->zi.raw.modrm.rm == 4 && g->zi.raw.modrm.mod == 0 && (g->zi.raw.sib.base & 7) == 5)
      return false; // no base: cannot be aimed
    if (o->mem.segment == ZYDIS_REGISTER_FS || o->mem.segment == ZYDIS_REGISTER_GS)
      return false;
    uint64_t at = WINDOW_BASE + WATCH_FROM + 0x180 + below(32) * 4;
    if (below(10) < 7)
      at &= ~31ull;
    else
      at += below(16);
    if (set >> base & 1)
      continue;
    if (index >= 0) {
      if (set >> index & 1)
        return false;
      t->in.r[index] = below(4);
      set |= 1u << index;
      at -= t->in.r[index] * o->mem.scale;
    } else if (o->mem.index != ZYDIS_REGISTER_NONE) { // a vector of indices
      int v = ZydisRegisterGetId(o->mem.index);
      for (int k = 0; k < 4; k++) {
        uint64_t small = below(16);
        memcpy(t->in.v[v] + 8 * k, &small, 8);
      }
    }
    g->at = (unsigned)(at - WINDOW_BASE - WATCH_FROM + (index >= 0 ? t->in.r[index] * o->mem.scale : 0));
    if (o->mem.disp.has_displacement)
      at -= o->mem.disp.value;
    if (!t->wide || g->zi.address_width == 32)
      at = (uint32_t)at;
    t->in.r[base] = at;
    set |= 1u << base;
  }
  bool bits = g->zi.mnemonic == ZYDIS_MNEMONIC_BT || g->zi.mnemonic == ZYDIS_MNEMONIC_BTS ||
              g->zi.mnemonic == ZYDIS_MNEMONIC_BTR || g->zi.mnemonic == ZYDIS_MNEMONIC_BTC;
  if (bits && set && g->zo[1].type == ZYDIS_OPERAND_TYPE_REGISTER) {
    int r = gpr(g->zo[1].reg.value);
    if (r < 0 || (set >> r & 1))
      return false;
    t->in.r[r] = (uint64_t)((int64_t)below(1024) - 512);
    if (!t->wide)
      t->in.r[r] = (uint32_t)t->in.r[r];
  }
  if (g->zi.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE)) {
    if (set & 2)
      return false;
    t->in.r[1] = below(6);
  }
  return true;
}

// The frame of ENTER, and the frame that it copies from, stay in the window, but for one in eight.
static void aim_enter(struct test_case *t)
{
  t->in.r[5] = WINDOW_BASE + WATCH_FROM + 0x180 + below(64) * 4;
  if (below(8)) {
    t->bytes[t->len - 3] = below(256);
    t->bytes[t->len - 2] = 0;
  }
}

// Of FXRSTOR's image few would be taken if MXCSR's reserved bits were random.
static void tame_mxcsr(struct test_case *t, const struct generated *g)
{
  uint32_t v = (uint32_t)rng();
  v &= below(8) ? 0xffff : ~(1u << 17); // bit 17, misaligned SSE, is reserved on hosts of other vendors
  memcpy(t->in.mem + g->at + 24, &v, 4);
}

static void generate(struct test_case *t, struct generated *g)
{
  for (;;) {
    t->wide = below(4) != 0;
    random_bytes(t->bytes, t->wide);
    if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoders[t->wide], t->bytes, 15, &g->zi, g->zo)))
      continue;
    if (!model_allows(model, g->zi.meta.isa_set) || !takes_part(&g->zi))
      continue;
    if (only && strcmp(ZydisMnemonicGetString(g->zi.mnemonic), only) != 0)
      continue;
    bool special = false;
    for (unsigned i = 0; i < g->zi.operand_count_visible; i++)
      if (g->zo[i].type == ZYDIS_OPERAND_TYPE_REGISTER) {
        ZydisRegisterClass k = ZydisRegisterGetClass(g->zo[i].reg.value);
        special |= k == ZYDIS_REGCLASS_SEGMENT || k == ZYDIS_REGCLASS_CONTROL || k == ZYDIS_REGCLASS_DEBUG;
      }
    if (special)
      continue;
    t->len = g->zi.length;
    random_state(&t->in, t->wide);
    if (!aim(g, t))
      continue;
    if (g->zi.mnemonic == ZYDIS_MNEMONIC_ENTER)
      aim_enter(t);
    if (g->zi.mnemonic == ZYDIS_MNEMONIC_FXRSTOR || g->zi.mnemonic == ZYDIS_MNEMONIC_FXRSTOR64)
      tame_mxcsr(t, g);
    return;
  }
}

// ---- pacifica's side ----

#define RAM_SIZE   (1u << 20)
#define RAM_TABLES 0x1000u
#define RAM_WINDOW 0x10000u
#define RAM_CODES  0x20000u // a page: code for the translator ends where it ends

struct side {
  struct ram ram;
  struct bus bus;
  struct clock clock;
  struct log log;
  struct region region;
  struct host_code *host;
  struct cpu *cpu;
  struct cpu *all[1];
  struct engine engine;
};

static void table(struct side *s, uint64_t at, unsigned index, uint64_t entry)
{
  ram_write(&s->ram, at + 8 * index, &entry, 8);
}

static bool side_init(struct side *s, struct err *e)
{
  if (!ram_init(&s->ram, RAM_SIZE, e))
    return false;
  ram_alloc(&s->ram, RAM_SIZE);
  s->log = (struct log){.out = stderr};
  bus_init(&s->bus, &s->ram, &s->log);
  clock_init(&s->clock);
  bus_map_ram(&s->bus, &s->region, "ram", 0, RAM_SIZE, 0, 0, false);
  s->host = host_code_new(e);
  if (!s->host)
    return false;
  struct cpu_env env = {.bus = &s->bus,
                        .clock = &s->clock,
                        .log = &s->log,
                        .model = model,
                        .ns_shift = 4,
                        .tsc_hz = 1000000000,
                        .all = s->all,
                        .cpus = 1,
                        .host = s->host};
  s->cpu = s->all[0] = cpu_new(&env, e);
  if (!s->cpu)
    return false;
  if (!engine_init(&s->engine, s->all, 1, &s->clock, &s->log, &s->ram, model, s->host, 4, e) ||
      !engine_translate(&s->engine, 1, e))
    return false;
  table(s, RAM_TABLES, 0, (RAM_TABLES + 0x1000) | 7);
  table(s, RAM_TABLES + 0x1000, 0, (RAM_TABLES + 0x2000) | 7);
  table(s, RAM_TABLES + 0x2000, WINDOW_BASE >> 21, (RAM_TABLES + 0x3000) | 7);
  table(s, RAM_TABLES + 0x3000, WINDOW_BASE >> 12 & 511, RAM_WINDOW | 7);
  return true;
}

static void side_modes(struct side *s, bool wide)
{
  struct cpu *c = s->cpu;
  c->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_PG;
  c->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
  c->cr3 = RAM_TABLES;
  c->efer = EFER_LME | EFER_LMA | EFER_SCE;
  c->xcr0 = 7;
  c->cpl = 3;
  for (int i = 0; i < SEG_COUNT; i++)
    c->seg[i] = (struct seg){.limit = 0xffffffff, .sel = 0x2b, .attr = 0xcf3};
  c->seg[SEG_CS] = (struct seg){.limit = 0xffffffff, .sel = 0x33, .attr = wide ? 0xafb : 0xcfb};
  cpu_changed(c);
}

static int signal_of(uint8_t vector)
{
  switch (vector) {
  case VEC_DE:
  case VEC_MF:
  case VEC_XF:
    return SIGFPE;
  case VEC_UD:
    return SIGILL;
  case VEC_AC:
    return SIGBUS;
  default:
    return SIGSEGV;
  }
}

static void side_set(struct side *s, const struct test_case *t)
{
  struct cpu *c = s->cpu;
  side_modes(s, t->wide);
  memcpy(c->r, t->in.r, sizeof t->in.r);
  cpu_set_flags(c, FL_IF | t->in.flags);
  c->fx.fcw = t->in.fcw;
  c->fx.fsw = t->in.fsw;
  c->fx.ftw = t->in.ftw;
  c->fx.mxcsr = t->in.mxcsr;
  memcpy(c->fx.st, t->in.st, sizeof t->in.st);
  memcpy(c->v, t->in.v, sizeof t->in.v);
  ram_write(&s->ram, RAM_WINDOW + WATCH_FROM, t->in.mem, WATCH_SIZE);
  cpu_mode_update(c);
}

static void side_get(struct side *s, struct state *out, int *sig)
{
  struct cpu *c = s->cpu;
  *sig = 0;
  out->ip = 0;
  if (c->faulted) {
    *sig = signal_of(c->fault.vector);
    c->faulted = false;
  } else {
    out->ip = c->ip - CODE_BASE;
  }
  memcpy(out->r, c->r, sizeof out->r);
  out->flags = cpu_flags(c) & (FL_ARITH | FL_DF);
  out->fcw = c->fx.fcw;
  out->fsw = c->fx.fsw;
  out->ftw = c->fx.ftw;
  out->mxcsr = c->fx.mxcsr;
  memcpy(out->st, c->fx.st, sizeof out->st);
  memcpy(out->v, c->v, sizeof out->v);
  memcpy(out->mem, s->ram.mem + RAM_WINDOW + WATCH_FROM, WATCH_SIZE);
}

// Executes a block. Repeated string instructions start anew until they are done.
static void side_execute(struct side *s, struct block *b)
{
  struct cpu *c = s->cpu;
  c->faulted = false;
  fpu_enter(c);
  for (int again = 0; again < 1000; again++) {
    c->r[REG_IP] = c->ip = CODE_BASE;
    c->block = b;
    c->left = 0;
    jit_enter(c, b->ops);
    cpu_unpatch(c);
    if (c->faulted || c->ip != CODE_BASE)
      break;
  }
  fpu_leave(c);
  c->block = NULL;
  c->left = 0;
}

static void side_run(struct side *s, const struct test_case *t, struct state *out, int *sig)
{
  if (host_code_full(s->host))
    host_code_reset(s->host);
  side_set(s, t);
  struct {
    struct block b;
    struct op ops[4];
  } k = {0};
  k.b.mode = s->cpu->mode | MODE_STEP;
  decode_block(&s->engine.code.decoder, &k.b, t->bytes, t->len, 1);
  side_execute(s, &k.b);
  side_get(s, out, sig);
}

// The same as a block that is hot. False: there is no host code for this instruction.
static bool side_translated(struct side *s, const struct test_case *t, struct state *out, int *sig)
{
  uint64_t at = RAM_CODES + 0x1000 - t->len, before = jit_stats(s->engine.code.jit).native;
  if (!t->wide)
    return false;
  side_set(s, t);
  ram_write(&s->ram, at, t->bytes, t->len);
  struct block *b = code_get(&s->engine.code, at, s->cpu->mode, &s->log, CODE_BASE);
  if (!b || b->count != 1)
    return false;
  side_execute(s, b);
  side_get(s, out, sig);
  return jit_stats(s->engine.code.jit).native > before;
}

// ---- comparison ----

static void complain(const struct test_case *t, const char *what, const char *fmt, uint64_t here,
                     uint64_t there)
{
  char text[128];
  decode_text(t->wide ? MODE_CS64 : MODE_CS32, CODE_BASE, t->bytes, t->len, text, sizeof text);
  printf("%s (%s-bit)", text, t->wide ? "64" : "32");
  for (unsigned i = 0; i < t->len; i++)
    printf(" %02x", t->bytes[i]);
  printf(": %s ", what);
  printf(fmt, here, there);
  printf("\n");
}

static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                      "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

#define DIFF "is %#" PRIx64 ", host has %#" PRIx64

static bool same(const struct test_case *t, const struct generated *g, const struct state *o, int sig)
{
  const struct state *h = &t->out;
  if (sig != t->signal) {
    complain(t, "signal", DIFF, sig, t->signal);
    return false;
  }
  if (o->ip != h->ip) {
    complain(t, "instruction pointer", DIFF, o->ip, h->ip);
    return false;
  }
  unsigned regs = t->wide ? 16 : 8;
  for (unsigned i = 0; i < regs; i++)
    if (o->r[i] != h->r[i]) {
      complain(t, names[i], DIFF, o->r[i], h->r[i]);
      return false;
    }
  uint32_t mask = sig ? FL_DF : flags_compared(g, t);
  if ((o->flags ^ h->flags) & mask) {
    complain(t, "flags", DIFF, o->flags & mask, h->flags & mask);
    return false;
  }
  if ((o->mxcsr ^ h->mxcsr) & mxcsr_compared(g, h, sig)) {
    complain(t, "mxcsr", DIFF, o->mxcsr, h->mxcsr);
    return false;
  }
  if (o->fcw != h->fcw || o->fsw != h->fsw || o->ftw != h->ftw) {
    complain(t, "x87 control, status, tags", DIFF, (uint64_t)o->fcw << 32 | o->fsw << 8 | o->ftw,
             (uint64_t)h->fcw << 32 | h->fsw << 8 | h->ftw);
    return false;
  }
  for (int i = 0; i < 8; i++)
    if (memcmp(o->st[i], h->st[i], 10) != 0) {
      char what[16];
      snprintf(what, sizeof what, "st%d", i);
      uint64_t a, b;
      memcpy(&a, o->st[i], 8);
      memcpy(&b, h->st[i], 8);
      complain(t, what, DIFF, a, b);
      return false;
    }
  for (int i = 0; i < 16; i++)
    if (memcmp(o->v[i], h->v[i], 32) != 0) {
      char what[24];
      int k = 0;
      while (memcmp(o->v[i] + 8 * k, h->v[i] + 8 * k, 8) == 0)
        k++;
      snprintf(what, sizeof what, "ymm%d[%d]", i, k);
      uint64_t a, b;
      memcpy(&a, o->v[i] + 8 * k, 8);
      memcpy(&b, h->v[i] + 8 * k, 8);
      complain(t, what, DIFF, a, b);
      return false;
    }
  for (unsigned i = 0; i < WATCH_SIZE; i++)
    if (o->mem[i] != h->mem[i] && compared(g, i)) {
      char what[24];
      snprintf(what, sizeof what, "memory +%#x", i);
      complain(t, what, DIFF, o->mem[i], h->mem[i]);
      return false;
    }
  return true;
}

static uint64_t number(const char *s)
{
  return strtoull(s, NULL, 0);
}

int main(int argc, char **argv)
{
  uint64_t cases = 100000, seed = 1, wrong = 0, translated = 0;
  bool verbose = false;
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--cases") && i + 1 < argc)
      cases = number(argv[++i]);
    else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
      seed = number(argv[++i]);
    else if (!strcmp(argv[i], "--only") && i + 1 < argc)
      only = argv[++i];
    else if (!strcmp(argv[i], "--verbose"))
      verbose = true;
    else {
      fprintf(stderr, "usage: insn [--cases N] [--seed S] [--only MNEMONIC] [--verbose]\n");
      return 2;
    }
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  static struct side side;
  static struct test_case batch[BATCH];
  static struct generated gen[BATCH];
  static uint64_t seen[ZYDIS_MNEMONIC_MAX_VALUE + 1], bad[ZYDIS_MNEMONIC_MAX_VALUE + 1];
  struct err e;
  model = model_parse("max", &e);
  if (!model || !native_init() || !side_init(&side, &e)) {
    fprintf(stderr, "insn: %s\n", e.text);
    return 2;
  }
  ZydisDecoderInit(&decoders[0], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
  ZydisDecoderInit(&decoders[1], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  for (int i = 0; i < 2; i++) {
    ZydisDecoderEnableMode(&decoders[i], ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
    ZydisDecoderEnableMode(&decoders[i], ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
    ZydisDecoderEnableMode(&decoders[i], ZYDIS_DECODER_MODE_KNC, ZYAN_FALSE);
  }
  rng_state = seed;
  for (uint64_t done = 0; done < cases;) {
    unsigned n = cases - done < BATCH ? (unsigned)(cases - done) : BATCH;
    for (unsigned i = 0; i < n; i++)
      generate(&batch[i], &gen[i]);
    native_run(batch, n);
    for (unsigned i = 0; i < n; i++) {
      struct state out;
      int sig;
      ZydisMnemonic m = gen[i].zi.mnemonic;
      side_run(&side, &batch[i], &out, &sig);
      seen[m]++;
      bool ok = (bad[m] >= 3 && !verbose) || same(&batch[i], &gen[i], &out, sig);
      if (ok && side_translated(&side, &batch[i], &out, &sig)) {
        translated++;
        ok = (bad[m] >= 3 && !verbose) || same(&batch[i], &gen[i], &out, sig);
        if (!ok)
          printf("(as host code)\n");
      }
      bad[m] += !ok;
      wrong += !ok;
    }
    done += n;
  }
  unsigned covered = 0, failing = 0;
  for (unsigned m = 0; m <= ZYDIS_MNEMONIC_MAX_VALUE; m++) {
    covered += seen[m] != 0;
    failing += bad[m] != 0;
  }
  printf("%" PRIu64 " cases, seed %" PRIu64 ", %" PRIu64
         " of them by host code too, %u mnemonics, %u of them differ\n",
         cases, seed, translated, covered, failing);
  return wrong != 0;
}
