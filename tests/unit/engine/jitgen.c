// Random programs; see jitgen.h.
//
// Some registers point into data and are seldom written, so that most accesses find memory; the others are
// anybody's. What may fault does so now and then.
#include "jitgen.h"

#include <string.h>

#include "jitbed.h"

uint64_t jitgen_random(struct jitgen *g)
{
  uint64_t z = g->rng += 0x9e3779b97f4a7c15ull;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return z ^ z >> 31;
}

unsigned jitgen_below(struct jitgen *g, unsigned n)
{
  return (unsigned)((jitgen_random(g) >> 32) * n >> 32);
}

#define below(n) jitgen_below(g, n)

static void put(struct jitgen *g, uint64_t v, unsigned n)
{
  memcpy(g->code + g->len, &v, n);
  g->len += n;
}

// ---- operands ----

static const uint8_t pointers[] = {RBX, RBP, RSI, R12, R13};
static const uint8_t indexes[] = {RDI, R14};
static const uint8_t others[] = {RAX, RCX, RDX, R8, R9, R10, R11, R15};

static unsigned source(struct jitgen *g)
{
  return below(16);
}
static unsigned target(struct jitgen *g)
{
  return below(20) ? others[below(sizeof others)] : below(16);
}

static uint64_t value(struct jitgen *g)
{
  static const uint64_t edges[] = {0,      1,          0x7f,       0x80,       0xff,       0x7fff,
                                   0x8000, 0xffff,     0x7fffffff, 0x80000000, 0xffffffff, 1ull << 63,
                                   ~0ull,  ~0ull >> 1, 2,          0x3f};
  switch (below(3)) {
  case 0:
    return edges[below(16)];
  case 1:
    return jitgen_random(g) >> below(64);
  default:
    return jitgen_random(g);
  }
}

// Linear addresses: most of them data.
static uint64_t place(struct jitgen *g)
{
  unsigned k = below(200);
  if (k < 140)
    return JB_DATA + 0x100 + below(0x1e00);
  if (k < 160) // crosses from one page of data into the other
    return JB_DATA + 0x1000 - below(8);
  if (k < 170)
    return JB_DATA_ALIAS + below(0x1000);
  if (k < 180)
    return JB_DATA2 + below(0xff8);
  if (k < 188)
    return JB_DEVICE + below(0xff8);
  if (k < 192)
    return JB_CODE_ALIAS + (g->at - JB_CODE + below(JITGEN_CODE_MOST)) % 0xff8;
  if (k < 194)
    return g->at + below(g->len + 64);
  if (k < 196)
    return JB_DATA + 0x2000 - below(8); // into the page that can only be read
  if (k < 198)
    return JB_READONLY + below(0xff8);
  return JB_MISSING + below(0xff8);
}

struct rm {
  bool memory;
  unsigned reg;        // no memory
  int base, index;     // -1: none
  unsigned scale, seg; // seg: its prefix, or 0
  bool rip, narrow;    // narrow: a 32-bit address
  int64_t disp;        // rip: the linear address
};

static struct rm any_memory(struct jitgen *g)
{
  struct rm m = {.memory = true, .base = -1, .index = -1};
  unsigned k = below(100);
  if (k < 12) {
    m.rip = true;
    m.disp = (int64_t)place(g);
    return m;
  }
  if (k < 18) {
    m.disp = (int64_t)place(g);
    return m;
  }
  if (k < 22) {
    m.seg = 0x65;
    m.disp = (int64_t)(place(g) - g->gs);
    return m;
  }
  k = below(100);
  m.base = k < 88 ? pointers[below(sizeof pointers)] : k < 98 ? RSP : (int)below(16);
  if (below(12) == 0)
    m.seg = below(3) ? 0x64 : 0x2e; // FS, or one that means nothing
  m.narrow = below(40) == 0;
  switch (below(4)) {
  case 0:
    m.disp = (int8_t)below(256);
    break;
  case 1:
    if (m.base != RSP)
      m.disp = (int64_t)(place(g) - g->r[m.base]);
    break;
  default:
    break;
  }
  if (below(3) == 0) {
    k = below(100);
    m.index = k < 95 ? indexes[below(sizeof indexes)] : (int)below(16);
    m.scale = below(4);
    if (m.index == RSP)
      m.index = -1;
  }
  return m;
}

static struct rm any_rm(struct jitgen *g, bool written)
{
  if (below(5) < 2)
    return any_memory(g);
  return (struct rm){.reg = written ? target(g) : source(g)};
}

// ---- instructions ----

// size: log2 of the operand's bytes. imm: bytes of the constant that follows (which counts for RIP). flags:
enum { F_LOCK = 1, F_WIDE = 2 }; // F_WIDE: 64 bits without REX.W
static void insn(struct jitgen *g, unsigned size, unsigned opcode, unsigned reg, const struct rm *m,
                 unsigned imm, unsigned flags)
{
  bool sib = m->memory && !m->rip && (m->index >= 0 || m->base < 0 || (m->base & 7) == RSP);
  unsigned rex = (reg >> 3 & 1) << 2;
  if (size == 3 && !(flags & F_WIDE))
    rex |= 8;
  if (m->memory)
    rex |= (m->index >= 0 ? (unsigned)m->index >> 3 : 0) << 1 | (m->base >= 0 ? (unsigned)m->base >> 3 : 0);
  else
    rex |= m->reg >> 3;
  if ((flags & F_LOCK) && m->memory && below(8) == 0)
    put(g, 0xf0, 1);
  if (size == 1)
    put(g, 0x66, 1);
  if (m->seg)
    put(g, m->seg, 1);
  if (m->narrow)
    put(g, 0x67, 1);
  if (rex || (size == 0 && below(4)) || below(30) == 0)
    put(g, 0x40 | rex, 1);
  if (opcode > 0xff)
    put(g, opcode >> 8, 1);
  put(g, opcode, 1);
  unsigned r = (reg & 7) << 3;
  if (!m->memory) {
    put(g, 0xc0 | r | (m->reg & 7), 1);
    return;
  }
  if (m->rip) {
    put(g, r | 5, 1);
    put(g, (uint64_t)m->disp - (g->at + g->len + 4 + imm), 4);
    return;
  }
  unsigned mod = m->base < 0                                        ? 0
                 : m->disp == 0 && (m->base & 7) != RBP && below(4) ? 0
                 : m->disp == (int8_t)m->disp && below(8)           ? 1
                                                                    : 2;
  unsigned base = m->base < 0 ? RBP : (unsigned)m->base & 7;
  put(g, mod << 6 | r | (sib ? 4 : base), 1);
  if (sib)
    put(g, m->scale << 6 | (m->index < 0 ? 4u : (unsigned)m->index & 7) << 3 | base, 1);
  put(g, (uint64_t)m->disp, mod == 1 ? 1 : mod == 2 || m->base < 0 ? 4 : 0);
}

static unsigned any_size(struct jitgen *g)
{
  static const uint8_t sizes[] = {0, 1, 2, 2, 2, 3, 3, 3};
  return sizes[below(8)];
}
static unsigned imm_size(unsigned size)
{
  return size == 3 ? 4 : 1u << size;
}

static void alu(struct jitgen *g)
{
  unsigned size = any_size(g), op = below(8), wide = size > 0;
  struct rm m = any_rm(g, true);
  unsigned lock = op == 7 ? 0 : F_LOCK;
  switch (below(4)) {
  case 0:
    insn(g, size, op << 3 | wide, source(g), &m, 0, lock);
    break;
  case 1:
    insn(g, size, op << 3 | 2 | wide, target(g), &m, 0, 0);
    break;
  case 2: // AL, AX, EAX, RAX
    if (size == 1)
      put(g, 0x66, 1);
    if (size == 3)
      put(g, 0x48, 1);
    put(g, op << 3 | 4 | wide, 1);
    put(g, value(g), imm_size(size));
    break;
  default: {
    bool small = wide && below(2);
    unsigned n = small ? 1 : imm_size(size);
    insn(g, size, small ? 0x83 : 0x80 | wide, op, &m, n, lock);
    put(g, value(g), n);
  }
  }
}

static void test(struct jitgen *g)
{
  unsigned size = any_size(g);
  struct rm m = any_rm(g, false);
  if (below(2)) {
    insn(g, size, 0x84 | (size > 0), source(g), &m, 0, 0);
  } else if (below(3) == 0) {
    if (size == 1)
      put(g, 0x66, 1);
    if (size == 3)
      put(g, 0x48, 1);
    put(g, 0xa8 | (size > 0), 1);
    put(g, value(g), imm_size(size));
  } else {
    insn(g, size, 0xf6 | (size > 0), below(2), &m, imm_size(size), 0);
    put(g, value(g), imm_size(size));
  }
}

static void mov(struct jitgen *g)
{
  unsigned size = any_size(g);
  struct rm m = any_rm(g, true);
  switch (below(8)) {
  case 0:
  case 1:
    insn(g, size, 0x88 | (size > 0), source(g), &m, 0, 0);
    break;
  case 2:
  case 3:
    insn(g, size, 0x8a | (size > 0), target(g), &m, 0, 0);
    break;
  case 4:
    insn(g, size, 0xc6 | (size > 0), 0, &m, imm_size(size), 0);
    put(g, value(g), imm_size(size));
    break;
  case 5:
    if (below(6) == 0) { // a whole address
      if (size == 1)
        put(g, 0x66, 1);
      if (size == 3)
        put(g, 0x48, 1);
      put(g, 0xa0 | below(2) << 1 | (size > 0), 1);
      put(g, place(g), 8);
      break;
    } // else as the next one
    // fallthrough
  default: {
    unsigned r = target(g);
    if (size == 1)
      put(g, 0x66, 1);
    if (size == 3 || r >= 8 || size == 0)
      put(g, 0x40 | (size == 3) << 3 | r >> 3, 1);
    put(g, (size ? 0xb8 : 0xb0) | (r & 7), 1);
    put(g, value(g), 1u << size);
  }
  }
}

static void extend(struct jitgen *g)
{
  static const unsigned ops[] = {0x0fb6, 0x0fb7, 0x0fbe, 0x0fbf, 0x63};
  struct rm m = any_rm(g, false);
  insn(g, 1 + below(3), ops[below(5)], target(g), &m, 0, 0);
}

static void lea(struct jitgen *g)
{
  struct rm m = any_memory(g);
  if (m.base >= 0 && below(2))
    m.base = (int)source(g);
  insn(g, 1 + below(3), 0x8d, target(g), &m, 0, 0);
}

static void unary(struct jitgen *g)
{
  unsigned size = any_size(g), k = below(32);
  struct rm m = any_rm(g, true);
  if (k < 18)
    insn(g, size, 0xfe | (size > 0), below(2), &m, 0, F_LOCK);
  else if (k < 28)
    insn(g, size, 0xf6 | (size > 0), 2 + below(2), &m, 0, F_LOCK);
  else
    insn(g, size, 0xf6 | (size > 0), k < 31 ? 4 + below(2) : 6 + below(2), &m, 0, 0);
}

static void imul(struct jitgen *g)
{
  unsigned size = 1 + below(3);
  struct rm m = any_rm(g, false);
  switch (below(3)) {
  case 0:
    insn(g, size, 0x0faf, target(g), &m, 0, 0);
    break;
  case 1:
    insn(g, size, 0x6b, target(g), &m, 1, 0);
    put(g, value(g), 1);
    break;
  default:
    insn(g, size, 0x69, target(g), &m, imm_size(size), 0);
    put(g, value(g), imm_size(size));
  }
}

static void shift(struct jitgen *g)
{
  static const uint8_t counts[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255};
  unsigned size = any_size(g), ext = below(8);
  struct rm m = any_rm(g, true);
  switch (below(4)) {
  case 0:
    insn(g, size, 0xd0 | (size > 0), ext, &m, 0, 0);
    break;
  case 1:
    if (below(2)) { // a count of which more is known: mov cl, imm
      put(g, 0xb1, 1);
      put(g, counts[below(16)], 1);
    }
    insn(g, size, 0xd2 | (size > 0), ext, &m, 0, 0);
    break;
  default:
    insn(g, size, 0xc0 | (size > 0), ext, &m, 1, 0);
    put(g, counts[below(16)], 1);
  }
}

static void by_condition(struct jitgen *g)
{
  struct rm m = any_rm(g, true);
  if (below(2))
    insn(g, 1 + below(3), 0x0f40 | below(16), target(g), &m, 0, 0);
  else
    insn(g, 0, 0x0f90 | below(16), below(8), &m, 0, 0);
}

static void exchange(struct jitgen *g)
{
  unsigned size = any_size(g), r = target(g);
  struct rm m = any_rm(g, true);
  if (below(3)) {
    insn(g, size, 0x86 | (size > 0), below(4) || m.memory ? target(g) : m.reg, &m, 0, F_LOCK);
    return;
  }
  if (size == 1)
    put(g, 0x66, 1);
  put(g, 0x40 | (size == 3) << 3 | r >> 3, 1);
  put(g, 0x90 | (r & 7), 1);
}

static void stack(struct jitgen *g)
{
  struct rm m = any_memory(g);
  unsigned r = source(g), k = below(20);
  if (below(20) == 0)
    put(g, 0x66, 1);
  if (k < 6) {
    if (r >= 8)
      put(g, 0x41, 1);
    put(g, 0x50 | (r & 7), 1);
  } else if (k < 12) {
    r = below(15) ? target(g) : RSP;
    if (r >= 8)
      put(g, 0x41, 1);
    put(g, 0x58 | (r & 7), 1);
  } else if (k < 14) {
    put(g, 0x6a, 1);
    put(g, value(g), 1);
  } else if (k < 15) {
    put(g, 0x68, 1); // with 66: the rest is code
    put(g, value(g), 4);
  } else if (k < 17) {
    insn(g, 3, 0xff, 6, &m, 0, below(2) ? F_WIDE : 0);
  } else if (k < 18) {
    insn(g, 3, 0x8f, 0, &m, 0, F_WIDE);
  } else if (k < 19) {
    put(g, 0xc9, 1); // LEAVE
  } else {
    put(g, 0xc8, 1); // ENTER
    put(g, below(64), 3);
  }
}

static void converts(struct jitgen *g)
{
  unsigned size = 1 + below(3), r = target(g);
  if (size == 1)
    put(g, 0x66, 1);
  if (below(2)) {
    if (size == 3)
      put(g, 0x48, 1);
    put(g, 0x98 | below(2), 1); // CBW family, CWD family
    return;
  }
  put(g, 0x40 | (size == 3) << 3 | r >> 3, 1); // BSWAP
  put(g, 0x0f, 1);
  put(g, 0xc8 | (r & 7), 1);
}

// Those that are nearly all left to handlers, in the middle of runs.
static void rest(struct jitgen *g)
{
  static const uint8_t single[] = {0x9c, 0x9e, 0x9f, 0xf5, 0xf8, 0xf9, 0xfc, 0x90, 0x9b};
  static const unsigned bits[] = {0x0fa3, 0x0fab, 0x0fb3, 0x0fbb};
  unsigned size = 1 + below(3);
  struct rm m = any_rm(g, true);
  switch (below(12)) {
  case 0:
  case 1:
  case 2:
    put(g, single[below(sizeof single)], 1);
    break;
  case 3:
    insn(g, size, bits[below(4)], indexes[below(2)], &m, 0, 0);
    break;
  case 4:
    insn(g, size, 0x0fba, 4 + below(4), &m, 1, 0);
    put(g, value(g), 1);
    break;
  case 5:
    insn(g, size, 0x0fc1, target(g), &m, 0, F_LOCK);
    break;
  case 6:
    insn(g, size, 0x0fb1, source(g), &m, 0, F_LOCK);
    break;
  case 7:
    insn(g, size, below(2) ? 0x0fa4 : 0x0fac, source(g), &m, 1, 0);
    put(g, value(g), 1);
    break;
  case 8:
    insn(g, size, 0x0f1f, 0, &m, 0, 0);
    break;
  case 9:
    insn(g, 1, below(2) ? 0x0f6f : 0x0f7f, below(16), &m, 0, 0); // MOVDQA, which may be misaligned
    break;
  case 10:
    insn(g, size, 0x0fbc | below(2), target(g), &m, 0, 0);
    break;
  default:
    insn(g, 2, 0x0f10 | below(2), below(16), &m, 0, 0); // MOVUPS
  }
}

static void any_insn(struct jitgen *g)
{
  static void (*const kinds[])(struct jitgen *) = {
      alu,          alu,          alu,      alu,   alu,   test,     mov,  mov,   mov,
      mov,          extend,       lea,      lea,   unary, unary,    imul, shift, shift,
      by_condition, by_condition, exchange, stack, stack, converts, rest};
  kinds[below(sizeof kinds / sizeof kinds[0])](g);
}

// ---- branches ----

static void fix(struct jitgen *g, unsigned size, unsigned block)
{
  g->fix[g->fixes].pos = g->len;
  g->fix[g->fixes].size = size;
  g->fix[g->fixes++].block = block;
  put(g, 0, size == 8 ? 4 : size);
}

static void short_branch(struct jitgen *g, unsigned opcode, unsigned block)
{
  put(g, opcode, 1);
  fix(g, 1, block);
}

// LEA r, [rip + block]
static unsigned address(struct jitgen *g, unsigned block)
{
  unsigned r = others[below(sizeof others)];
  put(g, 0x48 | r >> 3 << 2, 1);
  put(g, 0x8d, 1);
  put(g, 5 | (r & 7) << 3, 1);
  fix(g, 4, block);
  return r;
}

static void by_register(struct jitgen *g, unsigned r, unsigned ext)
{
  if (r >= 8)
    put(g, 0x41, 1);
  put(g, 0xff, 1);
  put(g, 0xc0 | ext << 3 | (r & 7), 1);
}

static void bad_branch(struct jitgen *g)
{
  unsigned r = others[below(sizeof others)];
  switch (below(5)) {
  case 0: // UD2, INT3
    put(g, below(2) ? 0x0b0f : 0x90cc, 2);
    break;
  case 1: // as far as it goes
    put(g, 0xe8 | below(2), 1);
    put(g, below(2) ? 0x7fffffff - below(64) : 0x80000000 + below(64), 4);
    break;
  case 2:
    put(g, 0x800f | below(16) << 8, 2);
    put(g, 0x7fffffff - below(64), 4);
    break;
  default: // an address that is not canonical
    put(g, 0x48 | r >> 3, 1);
    put(g, 0xb8 | (r & 7), 1);
    put(g, 0x800000000000 << below(16), 8);
    if (below(2)) {
      by_register(g, r, 2 + below(2) * 2);
    } else {
      if (r >= 8)
        put(g, 0x41, 1);
      put(g, 0x50 | (r & 7), 1);
      put(g, 0xc3, 1);
    }
  }
}

static void branch(struct jitgen *g, unsigned block)
{
  unsigned k = below(24);
  struct rm slot = {
      .memory = true, .base = -1, .index = -1, .rip = below(2), .disp = JB_TARGETS + 8 * (int)block};
  switch (k) {
  case 0:
    short_branch(g, 0xeb, block);
    break;
  case 1:
    put(g, 0xe9, 1);
    fix(g, 4, block);
    break;
  case 2:
    put(g, 0xe8, 1);
    fix(g, 4, block);
    break;
  case 3:
    by_register(g, address(g, block), 4);
    break;
  case 4:
    by_register(g, address(g, block), 2);
    break;
  case 5:
  case 6: // the address is pushed; RET, or RET and some bytes
    put(g, 0x68, 1);
    fix(g, 8, block);
    put(g, k == 5 ? 0xc3 : 0xc2, 1);
    if (k == 6)
      put(g, below(4) * 8, 2);
    break;
  case 7:
    insn(g, 3, 0xff, 4, &slot, 0, F_WIDE);
    break;
  case 8:
    insn(g, 3, 0xff, 2, &slot, 0, F_WIDE);
    break;
  case 9:
    short_branch(g, 0xe0 | below(4), block); // LOOPcc, JRCXZ
    break;
  case 10: // nothing: into the next block
    break;
  case 11:
    if (below(2))
      bad_branch(g);
    break;
  case 12:
  case 13:
  case 14:
    put(g, 0x800f | below(16) << 8, 2);
    fix(g, 4, block);
    break;
  default:
    short_branch(g, 0x70 | below(16), block);
  }
}

static void resolve(struct jitgen *g)
{
  for (unsigned i = 0; i < g->fixes; i++) {
    unsigned size = g->fix[i].size, pos = g->fix[i].pos;
    int64_t to = g->start[g->fix[i].block], v = to - (int64_t)(pos + (size == 8 ? 4 : size));
    if (size == 8)
      v = (int64_t)g->at + to;
    if (size == 1 && v != (int8_t)v)
      v = 0;
    memcpy(g->code + pos, &v, size == 8 ? 4 : size);
  }
}

void jitgen_program(struct jitgen *g, uint64_t seed, uint64_t at)
{
  *g = (struct jitgen){.rng = seed * 0xd1342543de82ef95ull, .at = at, .fs = 0x48, .gs = JB_DATA};
  unsigned blocks = 1 + below(JITGEN_BLOCKS);
  for (unsigned i = 0; i < 16; i++)
    g->r[i] = value(g);
  for (unsigned i = 0; i < sizeof pointers; i++)
    g->r[pointers[i]] = JB_DATA + 0x400 + below(0x1800);
  for (unsigned i = 0; i < sizeof indexes; i++)
    g->r[indexes[i]] = below(64);
  g->r[RSP] = JB_STACK + 0x1000 + 8 * below(0x100);
  if (below(16) == 0)
    g->r[RSP] += below(8); // misaligned, and where it crosses pages
  if (below(4) == 0)
    g->r[RCX] = below(70);
  for (unsigned b = 0; b < blocks; b++) {
    g->start[b] = g->len;
    unsigned k = below(20), count = k < 14 ? below(12) : k < 19 ? below(30) : 40 + below(15);
    for (unsigned i = 0; i < count && g->len < JITGEN_CODE_MOST - 256; i++)
      any_insn(g);
    branch(g, below(3) ? below(blocks + 1) : b);
  }
  for (unsigned b = blocks; b <= JITGEN_BLOCKS; b++)
    g->start[b] = g->len;
  put(g, 0xf4, 1);
  for (unsigned i = 0; i < JITGEN_TARGETS; i++)
    g->targets[i] = i <= JITGEN_BLOCKS ? at + g->start[i] : value(g);
  resolve(g);
}
