// Debug registers: instruction, data and I/O breakpoints, MOV DR. APM2 13.1.
//
// Data breakpoints cost nothing where there are none: mem.c gives a watched page no fast tags, so every
// access to it comes by debug_check_data.
#include "cpu/debug.h"

#include "cpu/except.h"
#include "cpu/insn/system.h"
#include "cpu/seg.h"
#include "cpu/svm/intercept.h"
#include "cpu/tlb.h"

enum { BP_EXEC = 0, BP_WRITE = 1, BP_IO = 2, BP_ACCESS = 3 };
enum { DR6_BD = 1u << 13, DR7_GD = 1u << 13, DR7_ENABLED = 0xff };

static inline bool bp_on(const struct cpu *c, unsigned n)
{
  return c->dr7 >> (n * 2) & 3;
}
static inline unsigned bp_kind(const struct cpu *c, unsigned n)
{
  return c->dr7 >> (16 + n * 4) & 3;
}
static inline unsigned bp_len(const struct cpu *c, unsigned n)
{
  static const uint8_t len[] = {1, 2, 8, 4};
  return len[c->dr7 >> (18 + n * 4) & 3];
}

bool debug_has_fetch_breakpoints(const struct cpu *c)
{
  if (likely(!(c->dr7 & DR7_ENABLED)))
    return false;
  for (unsigned n = 0; n < 4; n++)
    if (bp_on(c, n) && bp_kind(c, n) == BP_EXEC)
      return true;
  return false;
}

bool debug_check_fetch(struct cpu *c)
{
  return !c->gif || debug_check_vmrun(c); // without GIF they are lost. APM2 15.17
}

bool debug_check_vmrun(struct cpu *c)
{
  if (!(c->dr7 & DR7_ENABLED) || (c->sysflags & FL_RF))
    return true;
  uint64_t bits = 0;
  uint64_t la = cpu_code64(c) ? c->ip : seg_wrap(c, c->seg[SEG_CS].base + c->ip);
  for (unsigned n = 0; n < 4; n++)
    if (bp_on(c, n) && bp_kind(c, n) == BP_EXEC && c->dr[n] == la)
      bits |= 1u << n;
  // db_bits: data breakpoints of the MOV SS before this instruction
  return !bits || raise_db(c, bits | c->db_bits);
}

static bool overlaps(uint64_t bp, unsigned bp_bytes, uint64_t at, unsigned bytes)
{
  bp &= ~(uint64_t)(bp_bytes - 1);
  return at - bp < bp_bytes || bp - at < bytes;
}

static void hit(struct cpu *c, uint64_t bits)
{
  c->db_bits |= bits;
  cpu_kick(c);
}

void debug_check_data(struct cpu *c, uint64_t la, unsigned len, bool write)
{
  uint64_t bits = 0;
  if (!(c->dr7 & DR7_ENABLED) || !c->gif)
    return;
  for (unsigned n = 0; n < 4; n++) {
    unsigned kind = bp_kind(c, n);
    if (bp_on(c, n) && (kind == BP_ACCESS || (kind == BP_WRITE && write)) &&
        overlaps(c->dr[n], bp_len(c, n), la, len))
      bits |= 1u << n;
  }
  if (bits)
    hit(c, bits);
}

bool debug_page_watched(const struct cpu *c, uint64_t la)
{
  if (likely(!(c->dr7 & DR7_ENABLED)))
    return false;
  for (unsigned n = 0; n < 4; n++)
    if (bp_on(c, n) && (bp_kind(c, n) & 1) && (c->dr[n] ^ la) >> 12 == 0)
      return true;
  return false;
}

void debug_check_io(struct cpu *c, uint16_t port, unsigned len)
{
  uint64_t bits = 0;
  if (likely(!(c->dr7 & DR7_ENABLED)) || !(c->cr4 & CR4_DE) || !c->gif)
    return;
  for (unsigned n = 0; n < 4; n++)
    if (bp_on(c, n) && bp_kind(c, n) == BP_IO && overlaps(c->dr[n], bp_len(c, n), port, len))
      bits |= 1u << n;
  if (bits)
    hit(c, bits);
}

// ---- MOV DR ----

// The register that is meant, or -1: then #UD or #DB was raised.
static int dr_number(struct cpu *c, const struct op *op)
{
  unsigned n = op->reg;
  if (n > 7 || ((n == 4 || n == 5) && (c->cr4 & CR4_DE))) {
    raise_ud(c);
    return -1;
  }
  if (c->dr7 & DR7_GD) {
    raise_db(c, DR6_BD);
    return -1;
  }
  return n == 4 || n == 5 ? n + 2 : n;
}

bool x_mov_from_dr(struct cpu *c, const struct op *op)
{
  int n = dr_number(c, op);
  if (n < 0)
    return false;
  if (unlikely(c->guest) && !svm_mov_dr(c, op->reg, false, op->rm / 8))
    return false;
  uint64_t v = n < 4 ? c->dr[n] : n == 6 ? c->dr6 : c->dr7;
  reg_set(c, op->rm, cpu_code64(c) ? 3 : 2, v);
  return true;
}

void debug_set_dr7(struct cpu *c, uint64_t v)
{
  uint64_t old = c->dr7;
  c->dr7 = (v & 0xffff23ffu) | DR7_FIXED;
  if ((old | c->dr7) & DR7_ENABLED) {
    tlb_drop_views(c);
    cpu_changed(c);
  }
}

bool x_mov_to_dr(struct cpu *c, const struct op *op)
{
  int n = dr_number(c, op);
  if (n < 0)
    return false;
  uint64_t v = reg_get(c, op->rm, cpu_code64(c) ? 3 : 2);
  if (n >= 6 && v >> 32)
    return raise_gp(c, 0);
  if (unlikely(c->guest) && !svm_mov_dr(c, op->reg, true, op->rm / 8))
    return false;
  if (n == 7) {
    debug_set_dr7(c, v);
  } else if (n == 6) {
    c->dr6 = (v & 0xe00f) | DR6_FIXED;
  } else {
    c->dr[n] = v;
    if (c->dr7 & DR7_ENABLED)
      tlb_drop_views(c);
  }
  return true;
}
