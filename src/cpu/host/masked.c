// Instructions whose elements are accessed one by one: gathers, masked moves; and VZEROALL, VZEROUPPER.
//
// Only elements that the mask selects may fault. A gather that faults keeps the elements it has, their mask
// cleared, and can be restarted; masked moves change nothing if any element faults. APM4, AVX2 gathers.
#include <string.h>

#include "cpu/fpu.h"
#include "cpu/host/code.h"
#include "cpu/insn.h"
#include "cpu/mem.h"

// ---- gathers: op->reg: destination; op->rm: mask; imm: what Zydis said of the elements ----

union gather {
  int64_t imm;
  struct {
    uint8_t index;      // vector register
    uint8_t index_size; // bytes: 4 or 8
    uint8_t size;       // of an element
    uint8_t count;
    uint8_t bytes; // of the destination
  };
};

// The linear address of an element. The index goes through r[REG_IP], which no vector operand can name.
static uint64_t gather_la(struct cpu *c, const struct op *op, int64_t index, unsigned size)
{
  struct op o = *op;
  uint64_t ip = c->r[REG_IP];
  o.idx = REG_IP * 8;
  c->r[REG_IP] = index;
  uint64_t la = op_ea(c, &o, size, ACC_READ);
  c->r[REG_IP] = ip;
  c->at = op;
  return la;
}

static bool gather(struct cpu *c, const struct op *op)
{
  union gather g = {.imm = op->imm};
  uint8_t *dst = c->v[op->reg], *mask = c->v[op->rm];
  for (unsigned i = 0; i < g.count; i++) {
    if (!(mask[i * g.size + g.size - 1] & 0x80))
      continue;
    int64_t index = 0;
    if (g.index_size == 4) {
      int32_t x;
      memcpy(&x, c->v[g.index] + i * 4, 4);
      index = x;
    } else {
      memcpy(&index, c->v[g.index] + i * 8, 8);
    }
    uint64_t v, la = gather_la(c, op, index, g.size);
    if (c->faulted || !op_load(c, op, la, g.size, &v))
      return false;
    memcpy(dst + i * g.size, &v, g.size);
    memset(mask + i * g.size, 0, g.size);
  }
  memset(mask, 0, 32);
  memset(dst + g.bytes, 0, 32 - g.bytes);
  return true;
}

static void op_gather(struct cpu *c, const struct op *op)
{
  c->at = op;
  c->ip = op_ip(c, op);
  if (!gather(c, op))
    return;
  NEXT(c, op);
}

// ---- masked moves ----

// The linear address of the element `at` bytes from the operand's start, if it may be accessed. Elements are
// accesses of their own: each counts against the limit, and for the form of its address.
static uint64_t element_la(struct cpu *c, const struct op *op, unsigned at, unsigned size, enum access acc)
{
  uint64_t la;
  if (op->ea == EA_SLOW) {
    la = seg_linear(c, op->seg, op_offset(c, op) + at, size, acc);
    c->at = op;
    return la;
  }
  la = op_ea(c, op, size, acc) + at;
  return c->mode & MODE_CS64 ? la : (uint32_t)la;
}

// ---- VMASKMOV, VPMASKMOV: op->reg: data; op->rm: mask; imm: element size | vector size << 8 ----

static bool mask_load(struct cpu *c, const struct op *op)
{
  unsigned size = op->imm & 0xff, bytes = op->imm >> 8 & 0xff;
  uint8_t out[32] = {0};
  for (unsigned i = 0; i < bytes; i += size) {
    uint64_t v;
    if (!(c->v[op->rm][i + size - 1] & 0x80))
      continue;
    uint64_t la = element_la(c, op, i, size, ACC_READ);
    if (c->faulted || !op_load(c, op, la, size, &v))
      return false;
    memcpy(out + i, &v, size);
  }
  memcpy(c->v[op->reg], out, 32);
  return true;
}

// Every address is looked at before the first element is written.
static bool mask_store(struct cpu *c, const struct op *op)
{
  unsigned size = op->imm & 0xff, bytes = op->imm >> 8 & 0xff;
  uint64_t la[8] = {0};
  for (unsigned i = 0; i < bytes; i += size) {
    if (!(c->v[op->rm][i + size - 1] & 0x80))
      continue;
    la[i / size] = element_la(c, op, i, size, ACC_WRITE);
    if (c->faulted || !mem_probe_write(c, op, la[i / size], size))
      return false;
  }
  for (unsigned i = 0; i < bytes; i += size) {
    uint64_t v = 0;
    memcpy(&v, c->v[op->reg] + i, size);
    if ((c->v[op->rm][i + size - 1] & 0x80) && !op_store(c, op, la[i / size], size, v))
      return false;
  }
  return true;
}

static void op_mask_load(struct cpu *c, const struct op *op)
{
  c->at = op;
  c->ip = op_ip(c, op);
  if (!mask_load(c, op))
    return;
  NEXT(c, op);
}

static void op_mask_store(struct cpu *c, const struct op *op)
{
  c->at = op;
  c->ip = op_ip(c, op);
  if (!mask_store(c, op))
    return;
  NEXT(c, op);
}

// ---- MASKMOVDQU, MASKMOVQ: to seg:[rDI], byte by byte ----

static bool mask_bytes(struct cpu *c, const struct op *op, const uint8_t *data, const uint8_t *mask,
                       unsigned n)
{
  uint64_t la[16] = {0};
  for (unsigned i = 0; i < n; i++) {
    if (!(mask[i] & 0x80))
      continue;
    la[i] = element_la(c, op, i, 1, ACC_WRITE);
    if (c->faulted || !mem_probe_write(c, op, la[i], 1))
      return false;
  }
  for (unsigned i = 0; i < n; i++)
    if ((mask[i] & 0x80) && !op_store(c, op, la[i], 1, data[i]))
      return false;
  return true;
}

static void op_maskmovdqu(struct cpu *c, const struct op *op)
{
  c->at = op;
  c->ip = op_ip(c, op);
  if (!mask_bytes(c, op, c->v[op->reg], c->v[op->rm], 16))
    return;
  NEXT(c, op);
}

static uint64_t mmx_get(unsigned n)
{
  uint64_t v = 0;
  switch (n & 7) {
#define GET(k)                                                                                               \
  case k:                                                                                                    \
    __asm__ volatile("movq %%mm" #k ", %0" : "=m"(v));                                                       \
    break;
    GET(0)
    GET(1)
    GET(2)
    GET(3)
    GET(4)
    GET(5)
    GET(6)
    GET(7)
#undef GET
  }
  return v;
}

static bool maskmovq(struct cpu *c, const struct op *op)
{
  if (!fpu_wait(c))
    return false;
  fpu_need(c);
  uint64_t data = mmx_get(op->reg), mask = mmx_get(op->rm);
  return mask_bytes(c, op, (const uint8_t *)&data, (const uint8_t *)&mask, 8);
}

static void op_maskmovq(struct cpu *c, const struct op *op)
{
  c->at = op;
  c->ip = op_ip(c, op);
  if (!maskmovq(c, op))
    return;
  NEXT(c, op);
}

// ---- VZEROALL, VZEROUPPER ----

static void op_vzero(struct cpu *c, const struct op *op)
{
  unsigned n = c->mode & MODE_CS64 ? 16 : 8, from = op->imm;
  for (unsigned i = 0; i < n; i++)
    memset(c->v[i] + from, 0, 32 - from);
  NEXT(c, op);
}

static op_fn *select_gather(struct op *op, const ZydisDecodedOperand *zo, unsigned size, unsigned index_size)
{
  unsigned dst = zo[0].size / 8,
           index = ZydisRegisterGetClass(zo[1].mem.index) == ZYDIS_REGCLASS_YMM ? 32 : 16;
  unsigned by_index = index / index_size, by_dst = dst / size;
  union gather g = {.imm = 0};
  g.index = ZydisRegisterGetId(zo[1].mem.index);
  g.index_size = index_size;
  g.size = size;
  g.count = by_index < by_dst ? by_index : by_dst;
  g.bytes = g.count * size; // what is above becomes 0
  op->reg = ZydisRegisterGetId(zo[0].reg.value);
  op->rm = ZydisRegisterGetId(zo[2].reg.value);
  if (g.index == op->reg || g.index == op->rm || op->reg == op->rm)
    return op_ud;
  op->idx = REG_ZERO * 8;
  op->imm = g.imm;
  return op_gather;
}

static op_fn *select_mask(struct op *op, const ZydisDecodedOperand *zo, unsigned size)
{
  bool store = zo[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
  const ZydisDecodedOperand *data = &zo[store ? 2 : 0];
  op->reg = ZydisRegisterGetId(data->reg.value);
  op->rm = ZydisRegisterGetId(zo[1].reg.value);
  op->imm = size | (ZydisRegisterGetClass(data->reg.value) == ZYDIS_REGCLASS_YMM ? 32 : 16) << 8;
  return store ? op_mask_store : op_mask_load;
}

static op_fn *select_rdi(struct op *op, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo,
                         op_fn *fn)
{
  int regs[2] = {0, 0};
  for (unsigned i = 0, n = 0; i < zi->operand_count && n < 2; i++)
    if (zo[i].type == ZYDIS_OPERAND_TYPE_REGISTER && zo[i].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
      regs[n++] = ZydisRegisterGetId(zo[i].reg.value);
  op->reg = regs[0];
  op->rm = regs[1];
  op->base = RDI * 8;
  op->idx = REG_ZERO * 8;
  op->shift = 0;
  op->disp = 0;
  op->ea = EA_SLOW;
  return fn;
}

op_fn *masked_select(struct op *op, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo)
{
  switch (zi->mnemonic) {
  case ZYDIS_MNEMONIC_VGATHERDPS:
  case ZYDIS_MNEMONIC_VPGATHERDD:
    return select_gather(op, zo, 4, 4);
  case ZYDIS_MNEMONIC_VGATHERDPD:
  case ZYDIS_MNEMONIC_VPGATHERDQ:
    return select_gather(op, zo, 8, 4);
  case ZYDIS_MNEMONIC_VGATHERQPS:
  case ZYDIS_MNEMONIC_VPGATHERQD:
    return select_gather(op, zo, 4, 8);
  case ZYDIS_MNEMONIC_VGATHERQPD:
  case ZYDIS_MNEMONIC_VPGATHERQQ:
    return select_gather(op, zo, 8, 8);
  case ZYDIS_MNEMONIC_VMASKMOVPS:
  case ZYDIS_MNEMONIC_VPMASKMOVD:
    return select_mask(op, zo, 4);
  case ZYDIS_MNEMONIC_VMASKMOVPD:
  case ZYDIS_MNEMONIC_VPMASKMOVQ:
    return select_mask(op, zo, 8);
  case ZYDIS_MNEMONIC_MASKMOVDQU:
  case ZYDIS_MNEMONIC_VMASKMOVDQU:
    return select_rdi(op, zi, zo, op_maskmovdqu);
  case ZYDIS_MNEMONIC_MASKMOVQ:
    return select_rdi(op, zi, zo, op_maskmovq);
  case ZYDIS_MNEMONIC_VZEROALL:
    op->imm = 0;
    return op_vzero;
  case ZYDIS_MNEMONIC_VZEROUPPER:
    op->imm = 16;
    return op_vzero;
  default:
    return NULL;
  }
}
