// Handlers that stand between a block and the exec functions, and the ends of blocks; see insn.h.
#include "cpu/insn.h"

#include "cpu/svm/svm.h"

// Sets the stage for an exec function. Returns false if the instruction may not run at all.
static bool begin(struct cpu *c, const struct op *op, unsigned flags, unsigned icpt)
{
  c->at = op;
  c->ip = op_ip(c, op);
  c->next_ip = op_next_ip(c, op);
  if (unlikely(flags & (IF_PRIV | IF_PROT))) {
    if ((flags & IF_PROT) && !cpu_protected(c))
      return raise_ud(c);
    if ((flags & IF_PRIV) && c->cpl != 0)
      return raise_gp(c, 0);
  }
  if (unlikely(c->guest) && icpt && svm_intercepts(c->svm, icpt))
    return svm_exit(c, icpt, 0, 0);
  return true;
}

void op_exec(struct cpu *c, const struct op *op)
{
  const struct insn_row *row = &insn_rows[op->row];
  if (!begin(c, op, row->flags, row->icpt) || !row->exec(c, op))
    return;
  NEXT(c, op);
}

void op_exec_end(struct cpu *c, const struct op *op)
{
  const struct insn_row *row = &insn_rows[op->row];
  if (begin(c, op, row->flags, row->icpt) && row->exec(c, op))
    c->ip = c->next_ip;
}

void op_exec_ptr(struct cpu *c, const struct op *op)
{
  if (!begin(c, op, 0, 0) || !((insn_fn *)op->ptr)(c, op))
    return;
  NEXT(c, op);
}

void op_exec_ptr_end(struct cpu *c, const struct op *op)
{
  if (begin(c, op, 0, 0) && ((insn_fn *)op->ptr)(c, op))
    c->ip = c->next_ip;
}

void op_exec_ptr_priv_end(struct cpu *c, const struct op *op)
{
  if (begin(c, op, IF_PRIV, 0) && ((insn_fn *)op->ptr)(c, op))
    c->ip = c->next_ip;
}

void op_ud(struct cpu *c, const struct op *op)
{
  c->at = op;
  raise_ud(c);
}

void op_nm(struct cpu *c, const struct op *op)
{
  c->at = op;
  raise_vec(c, VEC_NM);
}

// The instruction was counted with its block but does not run now.
static void stop_at(struct cpu *c, const struct op *op)
{
  c->ip = op_ip(c, op);
  *(c->kicked ? &c->stolen : &c->left) += c->block->count - op->index;
}

void op_end(struct cpu *c, const struct op *op)
{
  c->ip = op_ip(c, op);
}

void op_leave(struct cpu *c, const struct op *op)
{
  cpu_unpatch(c);
  stop_at(c, op);
}

void cpu_stop_block(struct cpu *c, const struct op *op)
{
  if (!op)
    return;
  cpu_unpatch(c); // a branch that was the last in its block left it behind
  struct op *next = (struct op *)op + 1;
  c->patched = next;
  c->patched_fn = next->fn;
  next->fn = op_leave;
}

void cpu_unpatch(struct cpu *c)
{
  if (!c->patched)
    return;
  ((struct op *)c->patched)->fn = c->patched_fn;
  c->patched = NULL;
}

void cpu_unwind(struct cpu *c)
{
  stop_at(c, c->at);
}

uint64_t cpu_icount(const struct cpu *c)
{
  uint64_t done = c->slice - c->left - c->stolen;
  if (c->block) // the rest of the running block has been taken from left already
    done -= c->block->count - c->at->index;
  return c->instructions + done;
}
