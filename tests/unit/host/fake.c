// Stands in for the MMU, exceptions and the CPU model; see fake.h.
#include "fake.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/fpu.h"
#include "cpu/insn.h"
#include "cpu/mem.h"
#include "cpu/model.h"
#include "cpu/svm/svm.h"

bool svm_exit(struct cpu *c, uint64_t code, uint64_t info1, uint64_t info2)
{
  return false;
}

static uint64_t hole_from, hole_to;

struct cpu *fake_cpu(void)
{
  struct cpu *c = aligned_alloc(64, sizeof *c);
  memset(c, 0, sizeof *c);
  c->tlb = calloc(TLB_SIZE, sizeof *c->tlb);
  fake_tlb(c, NULL, false);
  fpu_reset(c);
  hole_from = hole_to = 0;
  return c;
}

void fake_free(struct cpu *c)
{
  free(c->tlb);
  free(c);
}

void fake_tlb(struct cpu *c, void *page, bool fast)
{
  for (unsigned i = 0; i < TLB_SIZE; i++)
    c->tlb[i] = (struct tlbe){TLB_NONE, TLB_NONE, TLB_NONE, 0};
  if (fast) {
    struct tlbe *e = tlb_slot(c, (uintptr_t)page);
    e->rtag = e->wtag = (uintptr_t)page & ~0xfffull;
  }
}

void fake_hole(uint64_t from, uint64_t to)
{
  hole_from = from;
  hole_to = to;
}

void fake_end(struct cpu *c, const struct op *op)
{
}

static bool reachable(struct cpu *c, uint64_t la, unsigned len)
{
  if (la < hole_to && la + len > hole_from)
    return raise_pf(c, la < hole_from ? hole_from : la, 0);
  return true;
}

bool raise_vec(struct cpu *c, uint8_t vector)
{
  c->faulted = true;
  c->fault = (struct fault){.vector = vector};
  return false;
}
bool raise_error(struct cpu *c, uint8_t vector, uint32_t error)
{
  raise_vec(c, vector);
  c->fault.has_error = true;
  c->fault.error = error;
  return false;
}
bool raise_pf(struct cpu *c, uint64_t address, uint32_t error)
{
  raise_error(c, VEC_PF, error);
  c->fault.address = address;
  return false;
}

bool mem_read(struct cpu *c, const struct op *op, uint64_t la, void *buf, unsigned len)
{
  if (!reachable(c, la, len))
    return false;
  memcpy(buf, (void *)la, len);
  return true;
}
bool mem_write(struct cpu *c, const struct op *op, uint64_t la, const void *buf, unsigned len)
{
  if (!reachable(c, la, len))
    return false;
  memcpy((void *)la, buf, len);
  return true;
}
bool mem_probe_write(struct cpu *c, const struct op *op, uint64_t la, unsigned len)
{
  return reachable(c, la, len);
}
uint64_t mem_load(struct cpu *c, const struct op *op, uint64_t la, unsigned size)
{
  uint64_t v = 0;
  mem_read(c, op, la, &v, size);
  return v;
}
void mem_store(struct cpu *c, const struct op *op, uint64_t la, unsigned size, uint64_t value)
{
  mem_write(c, op, la, &value, size);
}
uint64_t op_offset(const struct cpu *c, const struct op *op)
{
  return REG64(c, op->base) + (REG64(c, op->idx) << op->shift) + (int64_t)op->disp;
}
uint64_t seg_linear(struct cpu *c, unsigned seg, uint64_t offset, unsigned size, enum access acc)
{
  return offset;
}
uint64_t op_linear(struct cpu *c, const struct op *op, unsigned size, enum access acc)
{
  return op_offset(c, op);
}

void op_ud(struct cpu *c, const struct op *op)
{
  raise_ud(c);
}
void op_nm(struct cpu *c, const struct op *op)
{
  raise_vec(c, VEC_NM);
}

uint32_t xsave_offset(unsigned bit)
{
  return bit == 2 ? 576 : bit == 9 ? 832 : 0;
}
uint32_t xsave_component_size(unsigned bit)
{
  return bit == 2 ? 256 : bit == 9 ? 8 : 0;
}
uint64_t mem_load_rmw(struct cpu *c, const struct op *op, uint64_t la, unsigned size)
{
  return mem_load(c, op, la, size);
}
