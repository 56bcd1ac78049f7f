// String instructions: MOVS STOS LODS CMPS SCAS, with REP. APM3 chapter 3.
//
// A repeated instruction works in runs: as many elements as lie in one page, then it ends its block and
// starts again, so interrupts and time go on between runs. Each run counts as an instruction: where it ends
// depends on addresses and devices alone, not on whether it could be made at once in plain RAM. rSI, rDI and
// rCX are written back after each run, so a fault leaves them at the element that faulted. MOVSD and CMPSD
// are also names of SSE2 instructions: those are not ours.
#include "cpu/insn/string.h"

#include "cpu/decode.h"
#include "cpu/insn/flags.h"
#include "cpu/mem.h"

#define RUN_MAX 4096 // elements in one go on the slow way

static uint64_t asz_mask(const struct op *op)
{
  return op->asz == 1 ? 0xffff : op->asz == 2 ? 0xffffffff : ~0ull;
}

static void bump(struct cpu *c, const struct op *op, unsigned reg, int64_t by)
{
  reg_set(c, reg * 8, op->asz, (reg_get(c, reg * 8, op->asz) + by) & asz_mask(op));
}

static int64_t step(const struct cpu *c, const struct op *op)
{
  return c->sysflags & FL_DF ? -(int64_t)(1u << op->osz) : (int64_t)(1u << op->osz);
}

static uint64_t address(struct cpu *c, const struct op *op, unsigned reg, unsigned seg, enum access acc)
{
  uint64_t off = reg_get(c, reg * 8, op->asz);
  if (likely((c->mode & (MODE_CS64 | MODE_LMSLE)) == MODE_CS64 && seg != SEG_FS && seg != SEG_GS))
    return off;
  return seg_linear(c, seg, off, 1u << op->osz, acc);
}

static uint64_t source(struct cpu *c, const struct op *op)
{
  return address(c, op, RSI, op->seg, ACC_READ);
}
static uint64_t target(struct cpu *c, const struct op *op, enum access acc)
{
  return address(c, op, RDI, SEG_ES, acc);
}

// ---- one element ----

static bool movs1(struct cpu *c, const struct op *op)
{
  uint64_t v, from = source(c, op);
  if (c->faulted || !op_load(c, op, from, 1u << op->osz, &v))
    return false;
  uint64_t to = target(c, op, ACC_WRITE);
  if (c->faulted || !op_store(c, op, to, 1u << op->osz, v))
    return false;
  bump(c, op, RSI, step(c, op));
  bump(c, op, RDI, step(c, op));
  return true;
}

static bool stos1(struct cpu *c, const struct op *op)
{
  uint64_t to = target(c, op, ACC_WRITE);
  if (c->faulted || !op_store(c, op, to, 1u << op->osz, c->r[RAX]))
    return false;
  bump(c, op, RDI, step(c, op));
  return true;
}

static bool lods1(struct cpu *c, const struct op *op)
{
  uint64_t v, from = source(c, op);
  if (c->faulted || !op_load(c, op, from, 1u << op->osz, &v))
    return false;
  reg_set(c, RAX * 8, op->osz, v);
  bump(c, op, RSI, step(c, op));
  return true;
}

static bool cmps1(struct cpu *c, const struct op *op)
{
  uint64_t a, b, from = source(c, op);
  if (c->faulted || !op_load(c, op, from, 1u << op->osz, &a))
    return false;
  uint64_t to = target(c, op, ACC_READ);
  if (c->faulted || !op_load(c, op, to, 1u << op->osz, &b))
    return false;
  flags_cmp(c, op->osz, a, b);
  bump(c, op, RSI, step(c, op));
  bump(c, op, RDI, step(c, op));
  return true;
}

static bool scas1(struct cpu *c, const struct op *op)
{
  uint64_t b, to = target(c, op, ACC_READ);
  if (c->faulted || !op_load(c, op, to, 1u << op->osz, &b))
    return false;
  flags_cmp(c, op->osz, reg_get(c, RAX * 8, op->osz), b);
  bump(c, op, RDI, step(c, op));
  return true;
}

// ---- runs ----

// Elements that may be done at once with plain host memory, ascending, before an address leaves its page.
static uint64_t room(uint64_t la, uint64_t n, unsigned osz)
{
  uint64_t fit = (0x1000 - (la & 0xfff)) >> osz;
  return fit < n ? fit : n;
}

// Whether addresses are plain: no wrap of the offset within a run, no segment limit in the way.
static bool plain(const struct cpu *c, const struct op *op)
{
  if (c->sysflags & (FL_DF | FL_TF))
    return false;
  if (c->mode & MODE_CS64)
    return op->asz == 3 && !(c->mode & MODE_LMSLE);
  return (c->mode & MODE_FLAT) && op->asz == 2 && op->seg != SEG_FS && op->seg != SEG_GS;
}

static uint64_t base_of(const struct cpu *c, const struct op *op)
{
  return op->seg == SEG_FS || op->seg == SEG_GS ? c->seg[op->seg].base : 0;
}

// Overlapping upwards: what was written is read again, element by element. The sizes are constants so that
// each element is one load and one store.
static void copy_up(uint8_t *d, const uint8_t *s, uint64_t n, unsigned osz)
{
  for (uint64_t i = 0; i < n; i++)
    switch (osz) {
    case 0:
      d[i] = s[i];
      break;
    case 1:
      memcpy(d + 2 * i, memcpy(&(uint16_t){0}, s + 2 * i, 2), 2);
      break;
    case 2:
      memcpy(d + 4 * i, memcpy(&(uint32_t){0}, s + 4 * i, 4), 4);
      break;
    default:
      memcpy(d + 8 * i, memcpy(&(uint64_t){0}, s + 8 * i, 8), 8);
    }
}

// Cuts the number of elements to those of one run, 0 if the first one crosses a page. Returns the number of
// elements done: all of them, or 0 if they must go the slow way (or faulted).
static uint64_t movs_run(struct cpu *c, const struct op *op, uint64_t *run)
{
  uint64_t from = base_of(c, op) + reg_get(c, RSI * 8, op->asz), to = reg_get(c, RDI * 8, op->asz);
  uint64_t n = *run = room(to, room(from, *run, op->osz), op->osz);
  if (!n)
    return 0;
  uint64_t bytes = n << op->osz;
  // The target first: filling its slot cannot take the source's away (pointers stay good either way).
  uint8_t *d = mem_ptr(c, op, to, bytes, true);
  if (!d)
    return 0;
  const uint8_t *s = mem_ptr(c, op, from, bytes, false);
  if (!s)
    return 0;
  if (d > s && d < s + bytes)
    copy_up(d, s, n, op->osz);
  else
    memmove(d, s, bytes);
  bump(c, op, RSI, bytes);
  bump(c, op, RDI, bytes);
  return n;
}

static uint64_t stos_run(struct cpu *c, const struct op *op, uint64_t *run)
{
  uint64_t to = reg_get(c, RDI * 8, op->asz);
  uint64_t n = *run = room(to, *run, op->osz);
  if (!n)
    return 0;
  uint64_t bytes = n << op->osz, v = reg_get(c, RAX * 8, op->osz);
  uint8_t *d = mem_ptr(c, op, to, bytes, true);
  if (!d)
    return 0;
  if (op->osz == 0 || v == 0)
    memset(d, (int)v, bytes);
  else
    for (uint64_t i = 0; i < n; i++)
      memcpy(d + (i << op->osz), &v, 1u << op->osz);
  bump(c, op, RDI, bytes);
  return n;
}

typedef bool one_fn(struct cpu *c, const struct op *op);
typedef uint64_t run_fn(struct cpu *c, const struct op *op, uint64_t *n);

// until: 0, or the ZF value at which a REPE / REPNE ends + 1.
static bool repeat(struct cpu *c, const struct op *op, one_fn *one, run_fn *run, unsigned until)
{
  uint64_t n = reg_get(c, RCX * 8, op->asz);
  if (n == 0) {
    // The counter is written even so: with a 32-bit address size the upper half is cleared.
    reg_set(c, RCX * 8, op->asz, 0);
    return true;
  }
  uint64_t in_run = run && plain(c, op) ? n : 0, done = in_run ? run(c, op, &in_run) : 0;
  if (c->faulted) // the slow way raises it again at the element to which it belongs
    c->faulted = false;
  if (done) {
    n -= done;
    reg_set(c, RCX * 8, op->asz, n);
  } else {
    uint64_t limit = c->sysflags & FL_TF ? 1 : in_run ? in_run : RUN_MAX;
    for (uint64_t i = 0; i < limit && n; i++) {
      if (!one(c, op))
        return false;
      reg_set(c, RCX * 8, op->asz, --n);
      if (until && ((c->lah & 0x40) != 0) == until - 1)
        return true;
      if (unlikely(c->kicked || c->patched))
        break;
    }
  }
  if (n)
    c->next_ip = c->ip; // the instruction starts again
  return true;
}

static unsigned until(const struct op *op)
{
  return op->flags & OPF_REPNE ? 2 : 1;
}

static bool x_movs(struct cpu *c, const struct op *op)
{
  return movs1(c, op);
}
static bool x_rep_movs(struct cpu *c, const struct op *op)
{
  return repeat(c, op, movs1, movs_run, 0);
}
static bool x_stos(struct cpu *c, const struct op *op)
{
  return stos1(c, op);
}
static bool x_rep_stos(struct cpu *c, const struct op *op)
{
  return repeat(c, op, stos1, stos_run, 0);
}
static bool x_lods(struct cpu *c, const struct op *op)
{
  return lods1(c, op);
}
static bool x_rep_lods(struct cpu *c, const struct op *op)
{
  return repeat(c, op, lods1, NULL, 0);
}
static bool x_cmps(struct cpu *c, const struct op *op)
{
  return cmps1(c, op);
}
static bool x_rep_cmps(struct cpu *c, const struct op *op)
{
  return repeat(c, op, cmps1, NULL, until(op));
}
static bool x_scas(struct cpu *c, const struct op *op)
{
  return scas1(c, op);
}
static bool x_rep_scas(struct cpu *c, const struct op *op)
{
  return repeat(c, op, scas1, NULL, until(op));
}

static bool select_string(struct op *op, const struct op_source *s, insn_fn *once, insn_fn *rep)
{
  if (s->zi->meta.category != ZYDIS_CATEGORY_STRINGOP)
    return false;
  op->osz = s->zi->operand_width == 8    ? 0
            : s->zi->operand_width == 16 ? 1
            : s->zi->operand_width == 32 ? 2
                                         : 3;
  if ((s->mode & MODE_CS64) && op->seg != SEG_FS && op->seg != SEG_GS)
    op->seg = SEG_DS;
  bool repeated = op->flags & (OPF_REP | OPF_REPNE);
  op->ptr = repeated ? rep : once;
  op->fn = repeated ? op_exec_ptr_end : op_exec_ptr;
  return true;
}

#define SELECT(name)                                                                                         \
  bool select_##name(struct op *op, const struct op_source *s)                                               \
  {                                                                                                          \
    return select_string(op, s, x_##name, x_rep_##name);                                                     \
  }
SELECT(movs)
SELECT(stos)
SELECT(lods)
SELECT(cmps)
SELECT(scas)
