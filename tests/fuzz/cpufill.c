// The state with which fuzz_insn starts: a mode, tables that work in it, and what the input changes in them.
//
// Handlers of exceptions step over a byte and return, so that a run goes on through whatever the input says.
#include <stdlib.h>
#include <string.h>

#include "cpu/cr.h"
#include "cpu/fpu.h"
#include "cpu/lapic.h"
#include "cpu/model.h"
#include "cpu/msr.h"
#include "cpu/seg.h"
#include "cpu/tlb.h"
#include "cpubed.h"

enum fill_mode {
  FILL_REAL,
  FILL_UNREAL,
  FILL_V86,
  FILL_PM16,
  FILL_PM32,
  FILL_PAGE32,
  FILL_PAE,
  FILL_COMPAT16,
  FILL_COMPAT32,
  FILL_LONG,
  FILL_MODES
};

enum {             // selectors; + RPL
  SEL_CODE = 0x08, // 4 levels: + 20h * CPL
  SEL_DATA = 0x10,
  SEL_TSS = 0x88,
  SEL_TSS2 = 0x98,
  SEL_LDT = 0xa8,
  SEL_CODE16 = 0xb8,
  SEL_GATE = 0xc0,
  SEL_TASK = 0xd0,
  SEL_RANDOM = 0xe0, // up to 1F8h
};

struct fill {
  struct cpubed *b;
  struct cpu *c;
  uint8_t *ram;
  uint64_t noise;
  enum fill_mode mode;
  unsigned cpl;
};

static void put(struct fill *f, unsigned at, unsigned bytes, uint64_t v)
{
  memcpy(f->ram + at, &v, bytes);
}

static uint64_t rnd(struct fill *f)
{
  return fuzz_random(&f->noise);
}

static uint64_t desc(uint32_t base, uint32_t limit, unsigned attr)
{
  return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(attr & 0xff) << 40 |
         (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)(attr >> 8 & 15) << 52 | (uint64_t)(base >> 24) << 56;
}

static uint64_t gate(uint16_t sel, uint32_t off, unsigned type, unsigned dpl, unsigned count)
{
  return (off & 0xffff) | (uint64_t)sel << 16 | (uint64_t)(count & 31) << 32 |
         (uint64_t)(0x80 | dpl << 5 | type) << 40 | (uint64_t)(off >> 16) << 48;
}

static bool fill_long(const struct fill *f)
{
  return f->mode >= FILL_COMPAT16;
}

static void descriptors(struct fill *f)
{
  bool lng = f->mode == FILL_LONG, wide = f->mode != FILL_PM16 && f->mode != FILL_COMPAT16;
  for (unsigned i = 0; i < 64; i++) // any descriptor, of which most are present
    put(f, BED_GDT + i * 8, 8,
        rnd(f) & rnd(f) & ~0xff000000000000ffull ? rnd(f) | (uint64_t)(i & 7 ? 1 : 0) << 47 : 0);
  put(f, BED_GDT, 8, 0);
  for (unsigned l = 0; l < 4; l++) {
    unsigned code = 0x9b | l << 5 |
                    (lng    ? SEGA_L
                     : wide ? SEGA_DB
                            : 0),
             data = 0x93 | l << 5 | (wide ? SEGA_DB : 0);
    uint32_t limit = wide ? 0xfffff : 0xffff;
    put(f, BED_GDT + SEL_CODE + 0x20 * l, 8, desc(0, limit, code | (wide ? SEGA_G : 0)));
    put(f, BED_GDT + SEL_DATA + 0x20 * l, 8, desc(0, limit, data | (wide ? SEGA_G : 0)));
  }
  unsigned tss = fill_long(f) || rnd(f) & 3 ? SYS_TSS32 : SYS_TSS16;
  put(f, BED_GDT + SEL_TSS, 8, desc(BED_TSS, 0x3ff, 0x80 | tss | 2));
  put(f, BED_GDT + SEL_TSS + 8, 8, 0);
  put(f, BED_GDT + SEL_TSS2, 8, desc(BED_TSS + 0x400, 0x3ff, 0xe0 | tss));
  put(f, BED_GDT + SEL_TSS2 + 8, 8, 0);
  put(f, BED_GDT + SEL_LDT, 8, desc(BED_LDT, 0xff, 0x82));
  put(f, BED_GDT + SEL_LDT + 8, 8, 0);
  put(f, BED_GDT + SEL_CODE16, 8, desc(0, 0xffff, 0x9f));
  put(f, BED_GDT + SEL_GATE, 8,
      gate(SEL_CODE, BED_HANDLERS, fill_long(f) || wide ? SYS_CALL32 : SYS_CALL16, 3, 2));
  put(f, BED_GDT + SEL_GATE + 8, 8, 0);
  put(f, BED_GDT + SEL_TASK, 8, gate(SEL_TSS2, 0, SYS_TASK, 3, 0));
  for (unsigned i = 0; i < 32; i++)
    put(f, BED_LDT + i * 8, 8, rnd(f) | 1ull << 47);
}

static void handlers(struct fill *f)
{
  // Steps over a byte; the same with an error code to take off; just returns.
  static const uint8_t step16[] = {0x55, 0x89, 0xe5, 0xff, 0x46, 0x02, 0x5d, 0xcf};
  static const uint8_t step32[] = {0xff, 0x04, 0x24, 0xcf}, step64[] = {0x48, 0xff, 0x04, 0x24, 0x48, 0xcf};
  static const uint8_t pop16[] = {0x83, 0xc4, 0x02}, pop32[] = {0x83, 0xc4, 0x04},
                       pop64[] = {0x48, 0x83, 0xc4, 0x08};
  unsigned width = fill_long(f) ? 2 : f->mode >= FILL_PM32 || f->mode == FILL_V86 ? 1 : 0;
  const uint8_t *step = width == 2 ? step64 : width ? step32 : step16;
  const uint8_t *pop = width == 2 ? pop64 : width ? pop32 : pop16;
  size_t step_len = width == 2 ? sizeof step64 : width ? sizeof step32 : sizeof step16;
  size_t pop_len = width == 2 ? 4 : 3;
  memcpy(f->ram + BED_HANDLERS, step, step_len);
  memcpy(f->ram + BED_HANDLERS + 32, pop, pop_len);
  memcpy(f->ram + BED_HANDLERS + 32 + pop_len, step, step_len);
  f->ram[BED_HANDLERS + 64] = width == 2 ? 0x48 : 0x90;
  f->ram[BED_HANDLERS + 65] = 0xcf;
}

static void vectors(struct fill *f)
{
  static const uint32_t with_error = 1u << VEC_DF | 1u << VEC_TS | 1u << VEC_NP | 1u << VEC_SS |
                                     1u << VEC_GP | 1u << VEC_PF | 1u << VEC_AC | 1u << VEC_CP;
  bool wide = f->mode >= FILL_PM32 || f->mode == FILL_V86;
  for (unsigned v = 0; v < 256; v++) {
    uint32_t to = BED_HANDLERS + (v >= 32 ? 64 : with_error >> v & 1 ? 32 : 0);
    if (f->mode <= FILL_UNREAL) {
      put(f, BED_IVT + v * 4, 4, (f->mode <= FILL_UNREAL && v < 32 ? BED_HANDLERS : to) & 0xffff);
      continue;
    }
    uint64_t g = gate(SEL_CODE, to, (wide ? SYS_INT32 : SYS_INT16) + (v & 1), v & 2 ? 3 : 0, 0);
    uint64_t odd = rnd(f);
    if (!(odd & 0x1f)) // one gate of 32 is anything
      g = rnd(f) | 1ull << 47;
    else if (!(odd & 0x3e0) && !fill_long(f))
      g = gate(SEL_TSS2, 0, SYS_TASK, 3, 0);
    else if (fill_long(f))
      g |= (uint64_t)(odd >> 10 & odd >> 13 & 7) << 32; // IST
    if (fill_long(f)) {
      put(f, BED_IDT + v * 16, 8, g);
      put(f, BED_IDT + v * 16 + 8, 8, odd >> 20 & 63 ? 0 : rnd(f));
    } else {
      put(f, BED_IDT + v * 8, 8, g);
    }
  }
}

static void tasks(struct fill *f)
{
  for (unsigned i = 0; i < 0x800; i += 8)
    put(f, BED_TSS + i, 8, rnd(f) & rnd(f));
  uint32_t stack = BED_STACK;
  if (fill_long(f)) {
    for (unsigned i = 0; i < 3; i++)
      put(f, BED_TSS + 4 + 8 * i, 8, stack + 0x800 * (i + 1));
    for (unsigned i = 1; i < 8; i++)
      put(f, BED_TSS + 0x1c + 8 * i, 8, stack + 0x2000 + 0x200 * i);
    return;
  }
  for (unsigned t = 0; t < 2; t++) {
    unsigned at = BED_TSS + 0x400 * t;
    for (unsigned i = 0; i < 3; i++) {
      put(f, at + 4 + 8 * i, 4, stack + 0x800 * (i + 1));
      put(f, at + 8 + 8 * i, 4, (SEL_DATA + 0x20 * i) | i);
    }
    put(f, at + 0x1c, 4, BED_TABLES);
    put(f, at + 0x20, 4, BED_CODE + 0x100);
    put(f, at + 0x38, 4, stack + 0x4000);
    static const uint16_t sels[] = {SEL_DATA, SEL_CODE, SEL_DATA, SEL_DATA, SEL_DATA, SEL_DATA, SEL_LDT};
    for (unsigned i = 0; i < 7; i++)
      put(f, at + 0x48 + 4 * i, 4, sels[i]);
    put(f, at + 0x64, 4, 0x680000);
  }
}

// Identity for the first 2 MB, some pages of it changed at random, and the same once more in large pages
// above.
static void paging(struct fill *f)
{
  const unsigned t = BED_TABLES;
  bool pae = f->mode == FILL_PAE || fill_long(f);
  unsigned entry = pae ? 8 : 4, table = pae ? t + 0x3000 : t + 0x1000, n = pae ? 512 : 1024;
  for (unsigned i = 0; i < n; i++) {
    uint64_t e = (uint64_t)i << 12 | 0x67, odd = rnd(f);
    if (i >= 0x20 && !(odd & 7)) { // not where tables, code and stacks are
      static const uint64_t flips[] = {1,     2,    4,          0x20,         0x40,      0x80,
                                       0x100, 0x18, 1ull << 63, 0xfull << 59, 7ull << 9, 0};
      e ^= flips[odd >> 8 & 7] | flips[(odd >> 12 & 0xf) % 12];
      if (!(odd >> 16 & 7))
        e ^= (odd >> 24 & 0x3f) << 12;
      if (!(odd >> 40 & 31))
        e = rnd(f) | 1;
    }
    put(f, table + i * entry, entry, e);
  }
  if (!pae) {
    for (unsigned i = 0; i < 1024; i++)
      put(f, t + i * 4, 4, i == 0 ? table | 0x67 : i < 4 ? 0x1e7 : i >= 1020 ? rnd(f) : 0);
    return;
  }
  unsigned pd = fill_long(f) ? t + 0x2000 : t + 0x1000;
  for (unsigned i = 0; i < 512; i++)
    put(f, pd + i * 8, 8, i == 0 ? table | 0x67 : i < 4 ? 0x1e7 : i >= 508 ? rnd(f) : 0);
  if (!fill_long(f)) {
    for (unsigned i = 0; i < 4; i++)
      put(f, t + i * 8, 8, pd | 1);
    return;
  }
  for (unsigned i = 0; i < 512; i++) {
    put(f, t + 0x1000 + i * 8, 8, i == 0 ? pd | 0x67 : i == 1 ? 0xe7 : i >= 508 ? rnd(f) : 0);
    put(f, t + i * 8, 8, i == 0 || i == 511 ? (t + 0x1000) | 0x67 : i == 510 ? rnd(f) : 0);
  }
}

static uint64_t any_value(struct fill *f)
{
  static const uint64_t edges[] = {0,
                                   1,
                                   0xffffffffffffffff,
                                   0x7fffffffffffffff,
                                   0x8000000000000000,
                                   0xffff,
                                   0x10000,
                                   0x7fffffff,
                                   0x80000000,
                                   0xffffffff,
                                   0x100000000,
                                   0x00007ffffffffff8,
                                   0xffff800000000000,
                                   0xfee00000,
                                   0xfee00080,
                                   BED_DEVICE + 0xffc};
  uint64_t r = rnd(f);
  switch (r & 7) {
  case 0:
    return edges[r >> 8 & 15];
  case 1:
    return r >> (r >> 8 & 63);
  case 2:
    return BED_CODE + (r >> 8 & 0xfff);
  case 3:
    return (r >> 8 & 0x3f) << 12 | 0xff8 | (r >> 20 & 7); // the end of a page
  case 4:
    return (r >> 8 & 0x1ff) << 12 | (r >> 20 & 0xfff);
  default:
    return BED_DATA + (r >> 8 & 0x1ffff);
  }
}

static struct seg from_table(struct fill *f, uint16_t sel)
{
  uint64_t d;
  memcpy(&d, f->ram + BED_GDT + (sel & 0xfff8), 8);
  return (struct seg){.base = desc_base(d), .limit = desc_limit(d), .sel = sel, .attr = desc_attr(d)};
}

static void segments(struct fill *f)
{
  struct cpu *c = f->c;
  if (f->mode <= FILL_UNREAL || f->mode == FILL_V86) {
    for (unsigned i = 0; i < SEG_COUNT; i++) {
      uint16_t sel = i == SEG_CS || i == SEG_SS || rnd(f) & 3 ? 0 : (uint16_t)rnd(f);
      c->seg[i] = (struct seg){.base = (uint64_t)sel << 4,
                               .limit = f->mode == FILL_UNREAL && i != SEG_CS ? ~0u : 0xffff,
                               .sel = sel,
                               .attr = f->mode == FILL_V86 ? 0xf3
                                       : i == SEG_CS       ? 0x9b
                                                           : 0x93};
    }
  } else {
    uint16_t code = (uint16_t)((SEL_CODE + 0x20 * f->cpl) | f->cpl),
             data = (uint16_t)((SEL_DATA + 0x20 * f->cpl) | f->cpl);
    for (unsigned i = 0; i < SEG_COUNT; i++)
      c->seg[i] = from_table(f, i == SEG_CS ? code : data);
  }
  c->cpl = (uint8_t)f->cpl;
  c->gdtr = (struct dtable){BED_GDT, 0x1ff};
  c->idtr = f->mode <= FILL_UNREAL ? (struct dtable){BED_IVT, 0x3ff} : (struct dtable){BED_IDT, 0xfff};
  if (f->mode > FILL_UNREAL) {
    c->tr = from_table(f, SEL_TSS);
    c->ldtr = from_table(f, SEL_LDT);
  }
}

// Control registers that fit together: paging modes decide some bits, the input the others.
static void control(struct fill *f, uint64_t bits)
{
  struct cpu *c = f->c;
  static const uint32_t cr0_free = CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM;
  uint64_t cr0 = CR0_ET | ((uint32_t)(bits ^ bits << 16) & cr0_free);
  if (bits & 1u << 9) // most of the time with floating point
    cr0 &= ~(uint64_t)(CR0_EM | CR0_TS);
  uint64_t cr4 = (bits >> 16 & cr4_allowed(c) & ~(uint64_t)(CR4_PAE | CR4_PCIDE)) |
                 (bits >> 9 & 1 ? cr4_allowed(c) & (CR4_OSFXSR | CR4_OSXSAVE | CR4_OSXMMEXCPT) : 0);
  uint64_t efer = bits >> 48 & efer_allowed(c) & (EFER_SCE | EFER_NXE | EFER_FFXSR | EFER_LMSLE | EFER_SVME);
  if (f->mode > FILL_UNREAL)
    cr0 |= CR0_PE;
  if (f->mode >= FILL_PAGE32 || (f->mode == FILL_V86 && bits >> 40 & 1))
    cr0 |= CR0_PG;
  if (f->mode >= FILL_PAE)
    cr4 |= CR4_PAE;
  if (fill_long(f)) {
    efer |= EFER_LME | EFER_LMA;
    cr4 |= bits >> 16 & cr4_allowed(c) & CR4_PCIDE;
  }
  c->cr0 = cr0;
  c->cr3 = BED_TABLES;
  c->cr4 = cr4;
  c->efer = efer;
  if (f->mode == FILL_PAE && !pdpte_load(c, c->cr3))
    abort();
  if ((cr4 & CR4_OSXSAVE) && model_has(c->model, FEAT_AVX) && bits >> 41 & 1)
    c->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
  if (bits >> 42 & 1)
    c->pkru = (uint32_t)rnd(f);
  if (bits >> 43 & 1) { // breakpoints
    for (unsigned i = 0; i < 4; i++)
      c->dr[i] = i & 1 ? BED_CODE + (rnd(f) & 31)
                 : i   ? BED_STACK + 0x3ff0 + (rnd(f) & 31)
                       : (uint32_t)any_value(f);
    c->dr7 = 0x400 | (rnd(f) & 0xffff23ff);
  }
}

static void registers(struct fill *f)
{
  struct cpu *c = f->c;
  for (unsigned i = 0; i < 16; i++)
    c->r[i] = any_value(f);
  c->r[RSP] = BED_STACK + 0x4000;
  if (!(rnd(f) & 15))
    c->r[RSP] = any_value(f);
  if (!fill_long(f))
    for (unsigned i = 0; i < 16; i++)
      c->r[i] = (uint32_t)c->r[i];
  if (rnd(f) & 1)
    c->r[RAX] &= ~0xfffull;               // a VMCB
  c->r[RCX] &= rnd(f) & 7 ? 0x1f : ~0ull; // counts of REP
  for (unsigned i = 0; i < sizeof c->v; i++)
    ((uint8_t *)c->v)[i] = (uint8_t)rnd(f);
  for (unsigned i = 0; i < sizeof c->fx.st; i++)
    ((uint8_t *)c->fx.st)[i] = i % 16 < 10 ? (uint8_t)rnd(f) : 0;
  c->star = (uint64_t)(SEL_CODE | (SEL_CODE + 0x40) << 16) << 32 | BED_CODE;
  c->lstar = c->cstar = BED_CODE + 0x40;
  c->sfmask = (uint32_t)rnd(f);
  c->sysenter_cs = SEL_CODE;
  c->sysenter_esp = BED_STACK;
  c->sysenter_eip = BED_CODE + 0x80;
}

void cpubed_fill(struct cpubed *b, struct fuzz_in *in)
{
  struct fill f = {.b = b, .c = b->cpu, .ram = b->ram.mem};
  struct cpu *c = b->cpu;
  f.mode = fuzz_take(in, 1) % FILL_MODES;
  unsigned how = (unsigned)fuzz_take(in, 1);
  uint32_t flags = (uint32_t)fuzz_take(in, 4);
  uint64_t bits = fuzz_take(in, 8);
  f.noise = b->noise = fuzz_take(in, 8);
  if (fill_long(&f) && !model_has(c->model, FEAT_LM))
    f.mode = FILL_PAE;
  f.cpl = f.mode <= FILL_UNREAL ? 0 : f.mode == FILL_V86 ? 3 : how >> 1 & 3;
  for (unsigned i = BED_CODE; i < BED_RAM; i += 8)
    put(&f, i, 8, rnd(&f) & 1 ? any_value(&f) : rnd(&f));
  descriptors(&f);
  handlers(&f);
  tasks(&f);
  vectors(&f);
  paging(&f);
  control(&f, bits);
  segments(&f);
  registers(&f);
  cpu_set_flags(c, (flags & FL_ALL & ~(uint32_t)FL_VM) | (f.mode == FILL_V86 ? FL_VM : 0));
  fpu_init(c);
  c->fx.fcw = how & 8 ? 0x37f : (uint16_t)(rnd(&f) & 0x1f3f) | 0x40;
  c->fx.ftw = how & 16 ? 0 : (uint8_t)rnd(&f);
  c->fx.mxcsr = how & 32 ? 0x1f80 : (uint32_t)rnd(&f) & 0xffff & fpu_mxcsr_mask(c);
  if (how & 64)
    lapic_virtual_wire(c);
  // Bytes that the input puts where it wants.
  for (unsigned n = fuzz_take(in, 1) & 31; n && in->left; n--) {
    unsigned at = (unsigned)fuzz_take(in, 3) % (BED_RAM - 8), bytes = 1 + (unsigned)fuzz_take(in, 1) % 8;
    put(&f, at, bytes, fuzz_take(in, bytes));
  }
  c->ip = c->next_ip = BED_CODE;
  if (how & 128) // code that crosses a page
    c->ip = c->next_ip = BED_CODE + 0xff9;
  unsigned length = 0;
  while (length < 0x800 && in->left)
    f.ram[c->ip + length++] = (uint8_t)fuzz_take(in, 1);
  if (how & 1) { // round and round: a JMP to the start
    bool narrow = f.mode <= FILL_PM16 || f.mode == FILL_COMPAT16;
    put(&f, (unsigned)c->ip + length, 1, 0xe9);
    put(&f, (unsigned)c->ip + length + 1, narrow ? 2 : 4, -(uint64_t)(length + (narrow ? 3 : 5)));
  }
  tlb_set_context(c, 0, c->cr4 & CR4_PCIDE ? c->cr3 & 0xfff : 0, false);
  tlb_flush_all(c);
  cpu_changed(c);
}
