// The ends of blocks: branches, and going on into the next block as cpu/insn/hot.h does it; see run.h.
#include "engine/jit/run.h"

#define AT_BLOCK(field) ((int32_t)offsetof(struct block, field))

// Into the block in rsi, whose instructions are taken from the slice; what is left of that is in rdx when it does
// not suffice.
static uint8_t *spend(struct as *a)
{
  as_rm(a, false, 0x0fb6, H_RCX, H_RSI, AT_BLOCK(count));
  as_load(a, H_RDX, CPU, AT(left));
  as_rr(a, true, 0x2b, H_RDX, H_RCX);
  return as_jcc(a, CC_S);
}

static void enter(struct as *a)
{
  as_store(a, H_RSI, CPU, AT(block));
  as_ri(a, true, 0, H_RSI, AT_BLOCK(ops));
  as_rm(a, false, 0xff, 4, H_RSI, 0); // jmp [rsi]: ops[0].fn
}

// The instruction pointer where the block starts + disp, in `reg`.
static void ip_plus(struct as *a, unsigned reg, int64_t disp)
{
  as_load(a, reg, CPU, AT_REG(REG_IP));
  if (disp)
    as_lea(a, true, reg, reg, H_NONE, 0, (int32_t)disp);
}

static void leave_at(struct as *a)
{
  as_store(a, H_RAX, CPU, AT(ip));
  as_ret(a);
}

// To the block's start + disp, through the block's own link.
static void go_direct_to(struct run *r, int64_t disp, unsigned slot)
{
  struct as *a = &r->as;
#if OP_CHAIN
  if (disp == 0 && r->entry) { // a loop of one block
    as_load(a, H_RDX, CPU, AT(left));
    as_ri(a, true, 5, H_RDX, r->block->count);
    run_exit(r, as_jcc(a, CC_S), EXIT_SPENT, NULL, slot, 0);
    as_store(a, H_RDX, CPU, AT(left));
    as_8(a, 0xe9);
    as_32(a, (uint32_t)(r->entry - (a->p + 4)));
    return;
  }
  as_load(a, H_RSI, CPU, AT(block));
  as_load(a, H_RSI, H_RSI, AT_BLOCK(next) + (int32_t)(slot * sizeof(struct block *)));
  as_rr(a, true, 0x85, H_RSI, H_RSI);
  run_exit(r, as_jcc(a, CC_Z), EXIT_UNLINKED, NULL, slot, (int32_t)disp);
  as_rm(a, false, 0x80, 7, H_RSI, AT_BLOCK(dead));
  as_8(a, 0);
  run_exit(r, as_jcc(a, CC_NZ), EXIT_UNLINKED, NULL, slot, (int32_t)disp);
  run_exit(r, spend(a), EXIT_SPENT, NULL, slot, (int32_t)disp);
  as_store(a, H_RDX, CPU, AT(left));
  as_rex(a, true, 0, H_NONE, CPU, false); // add [ip], disp
  as_8(a, 0x81);
  as_memory(a, 0, CPU, H_NONE, 0, AT_REG(REG_IP));
  as_32(a, (uint32_t)disp);
  enter(a);
#else
  ip_plus(a, H_RAX, disp);
  leave_at(a);
#endif
}

// Looks for the block at the address in rax and puts it into rsi. What is not there, is dead, or has an address
// that is not canonical is left to the op's handler: nothing has been changed yet. rcx stays.
static void find(struct run *r, const struct jit_op *n)
{
#if OP_CHAIN
  struct as *a = &r->as;
  _Static_assert(sizeof(struct jump) == 24, "8 times 3");
  as_mov(a, H_RDX, H_RAX);
  as_shift(a, true, 5, H_RDX, 12);
  as_rr(a, false, 0x33, H_RDX, H_RAX);
  as_rm(a, false, 0x0fb7, H_RSI, CPU, AT(jump_salt));
  as_rr(a, false, 0x33, H_RDX, H_RSI);
  as_ri(a, false, 4, H_RDX, JUMP_CACHE - 1);
  as_lea(a, true, H_RDX, H_RDX, H_RDX, 1, 0);
  as_lea(a, true, H_RSI, CPU, H_RDX, 3, AT(jumps));
  as_rm(a, true, 0x3b, H_RAX, H_RSI, offsetof(struct jump, ip));
  run_exit(r, as_jcc(a, CC_NZ), EXIT_HANDLER, n, 0, 0);
  as_load(a, H_RDX, H_RSI, offsetof(struct jump, key));
  as_rm(a, true, 0x3b, H_RDX, CPU, AT(jump_key));
  run_exit(r, as_jcc(a, CC_NZ), EXIT_HANDLER, n, 0, 0);
  as_load(a, H_RSI, H_RSI, offsetof(struct jump, block));
  as_rm(a, false, 0x80, 7, H_RSI, AT_BLOCK(dead));
  as_8(a, 0);
  run_exit(r, as_jcc(a, CC_NZ), EXIT_HANDLER, n, 0, 0);
#endif
}

// To the address in rax, whose block find() has put into rsi.
static void go_found(struct run *r)
{
  struct as *a = &r->as;
#if OP_CHAIN
  run_exit(r, spend(a), EXIT_SPENT_AT, NULL, 0, 0);
  as_store(a, H_RDX, CPU, AT(left));
  as_store(a, H_RAX, CPU, AT_REG(REG_IP));
  enter(a);
#else
  leave_at(a);
#endif
}

static int64_t behind(const struct jit_op *n)
{
  return n->op->off + n->op->len;
}

static bool by_memory(const struct jit_op *n)
{
  return n->zo[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
}

// The target of an indirect JMP or CALL, in rax.
static void target(struct run *r, const struct jit_op *n)
{
  if (by_memory(n)) {
    run_operand(r, n, 8, false);
    as_load(&r->as, H_RAX, H_RCX, 0);
  } else {
    as_mov(&r->as, H_RAX, run_get(r, (unsigned)jit_guest_reg(&n->zo[0])));
  }
}

static void jmp(struct run *r, const struct jit_op *n)
{
  if (n->zo[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
    go_direct_to(r, n->op->imm, 0);
    return;
  }
#if OP_CHAIN
  target(r, n);
  find(r, n);
  go_found(r);
#else
  run_handler(r, n);
#endif
}

static void jcc(struct run *r, const struct jit_op *n)
{
  run_flags_in(r);
  uint8_t *taken = as_jcc(&r->as, n->zi.opcode & 15);
  go_direct_to(r, behind(n), 1);
  as_here(&r->as, taken);
  go_direct_to(r, n->op->imm, 0);
}

static void call(struct run *r, const struct jit_op *n)
{
  struct as *a = &r->as;
  bool direct = n->zo[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
#if !OP_CHAIN
  if (!direct) {
    run_handler(r, n);
    return;
  }
#endif
  if (!direct) {
    target(r, n);
    find(r, n);
    as_mov(a, H_R11, H_RAX); // the next lines change rax and rdx
  }
  r->pinned = 0;
  unsigned sp = run_get(r, RSP);
  run_address(r, n, sp, -8, 8, true);
  ip_plus(a, H_RAX, behind(n));
  as_store(a, H_RAX, H_RCX, 0);
  as_lea(a, true, sp, sp, H_NONE, 0, -8);
  run_wrote(r, RSP);
  if (direct) {
    go_direct_to(r, n->op->imm, 0);
  } else {
    as_mov(a, H_RAX, H_R11);
    go_found(r);
  }
}

static void ret(struct run *r, const struct jit_op *n)
{
#if OP_CHAIN
  struct as *a = &r->as;
  unsigned sp = run_get(r, RSP);
  run_address(r, n, sp, 0, 8, false);
  as_load(a, H_RAX, H_RCX, 0);
  find(r, n);
  as_lea(a, true, sp, sp, H_NONE, 0, 8 + (uint16_t)n->op->imm);
  run_wrote(r, RSP);
  go_found(r);
#else
  run_handler(r, n);
#endif
}

void run_jump(struct run *r, const struct jit_op *n)
{
  r->pinned = 0;
  switch (n->kind) {
  case JIT_JMP:
    jmp(r, n);
    break;
  case JIT_JCC:
    jcc(r, n);
    break;
  case JIT_CALL:
    call(r, n);
    break;
  default:
    ret(r, n);
    break;
  }
}

void run_end(struct run *r, const struct op *terminator)
{
  go_direct_to(r, terminator->off, 1);
}

void run_handler(struct run *r, const struct jit_op *n)
{
  struct as *a = &r->as;
  as_imm64(a, H_RSI, (uintptr_t)n->op);
  as_imm64(a, H_RAX, (uintptr_t)n->handler);
  as_jmp_reg(a, H_RAX);
}

void run_exits(struct run *r)
{
  struct as *a = &r->as;
  for (unsigned i = 0; i < r->exit_count; i++) {
    const struct run_exit *x = &r->exits[i];
    as_here(a, x->from);
    // Those that follow and go the same way share it.
    while (i + 1 < r->exit_count && r->exits[i + 1].kind == x->kind && r->exits[i + 1].op == x->op &&
           r->exits[i + 1].disp == x->disp && r->exits[i + 1].slot == x->slot)
      as_here(a, r->exits[++i].from);
    switch (x->kind) {
    case EXIT_HANDLER:
      run_handler(r, x->op);
      break;
    case EXIT_UNLINKED:
      ip_plus(a, H_RSI, x->disp);
      as_imm64(a, H_RDX, x->slot);
      as_imm64(a, H_RAX, (uintptr_t)go_unlinked);
      as_jmp_reg(a, H_RAX);
      break;
    case EXIT_SPENT:
      ip_plus(a, H_RAX, x->disp);
      leave_at(a);
      break;
    case EXIT_SPENT_AT:
      leave_at(a);
      break;
    }
  }
  r->exit_count = 0;
}
