// The ends of blocks: branches, and the ways from block to block; see run.h.
//
// A block that is translated has an entry for other host code, which takes its instructions from the slice
// and makes it the running one; cpu.r[REG_IP] is its address by then. A branch within the page is a jump,
// which leads to an exit of its own until the block's link and the target's entry are there, and then to that
// entry (jit_link). Nobody knows who jumps to a block, so when it dies its entry is overwritten with a jump
// to a look-up (run_close). All other branches look into the jump cache.
#include "engine/jit/jit.h"
#include "engine/jit/run.h"

#define AT_BLOCK(field) ((int32_t)offsetof(struct block, field))

static void jmp_32(struct as *a, uint32_t by)
{
  as_8(a, 0xe9);
  as_32(a, by);
}

static void jmp_to(struct as *a, int64_t to_rx, const uint8_t *rx)
{
  jmp_32(a, (uint32_t)(rx - (a->p + to_rx + 5)));
}

static void ip_add(struct as *a, int64_t disp)
{
  if (!disp)
    return;
  as_rex(a, true, 0, H_NONE, CPU, false);
  as_8(a, 0x81);
  as_memory(a, 0, CPU, H_NONE, 0, AT_REG(REG_IP));
  as_32(a, (uint32_t)disp);
}

// Looks for the block at the address in rax and puts it into rsi; rcx and rax stay. Returns three jumps that
// are taken when it is not there.
struct misses {
  uint8_t *from[3];
};

static struct misses look(struct as *a)
{
  struct misses m;
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
  m.from[0] = as_jcc(a, CC_NZ);
  as_load(a, H_RDX, H_RSI, offsetof(struct jump, key));
  as_rm(a, true, 0x3b, H_RDX, CPU, AT(jump_key));
  m.from[1] = as_jcc(a, CC_NZ);
  as_load(a, H_RSI, H_RSI, offsetof(struct jump, block));
  as_rm(a, false, 0x80, 7, H_RSI, AT_BLOCK(dead));
  as_8(a, 0);
  m.from[2] = as_jcc(a, CC_NZ);
  return m;
}

static void go_native(struct as *a)
{
  as_rm(a, false, 0xff, 4, H_RSI, AT_BLOCK(native)); // jmp [rsi + native]
}

// ---- stubs ----

void run_stubs(struct as *a, int64_t to_rx, struct stubs *stubs)
{
  stubs->spent = a->p + to_rx;
  as_load(a, H_RAX, CPU, AT_REG(REG_IP));
  as_store(a, H_RAX, CPU, AT(ip));
  as_ret(a);

  stubs->lookup = a->p + to_rx;
  as_load(a, H_RAX, CPU, AT_REG(REG_IP));
  struct misses m = look(a);
  go_native(a);
  for (unsigned i = 0; i < 3; i++)
    as_here(a, m.from[i]);
  as_store(a, H_RAX, CPU, AT(ip));
  as_ret(a);

  stubs->enter = a->p + to_rx;
  as_rm(a, false, 0x0fb6, H_RCX, H_RSI, AT_BLOCK(count));
  as_load(a, H_RDX, CPU, AT(left));
  as_rr(a, true, 0x2b, H_RDX, H_RCX);
  uint8_t *spent = as_jcc(a, CC_S);
  as_store(a, H_RDX, CPU, AT(left));
  as_store(a, H_RSI, CPU, AT(block));
  as_ri(a, true, 0, H_RSI, AT_BLOCK(ops));
  as_rm(a, false, 0xff, 4, H_RSI, 0); // jmp [rsi]: ops[0].fn
  as_here(a, spent);
  jmp_to(a, to_rx, stubs->spent);
}

// sub or add [left], the block's instructions
static void count(const struct run *r, struct as *a, unsigned n)
{
  as_rex(a, true, 0, H_NONE, CPU, false);
  as_8(a, 0x83);
  as_memory(a, n, CPU, H_NONE, 0, AT(left));
  as_8(a, r->block->count);
}

void run_entry(struct run *r)
{
  struct as *a = &r->as;
  r->entry = a->p + r->to_rx;
  as_imm64(a, H_RSI, (uintptr_t)r->block); // this is where run_close writes: 5 bytes or more
  count(r, a, 5);
  run_exit(r, as_jcc(a, CC_S), EXIT_SPENT, NULL, 0);
  as_store(a, H_RSI, CPU, AT(block));
}

void run_close(uint8_t *entry, int64_t to_rx, const struct stubs *stubs)
{
  struct as a = {entry};
  jmp_to(&a, to_rx, stubs->lookup);
}

// ---- branches ----

static int64_t behind(const struct jit_op *n)
{
  return n->op->off + n->op->len;
}

// To the block's start + disp.
static void go_direct_to(struct run *r, int64_t disp, unsigned slot)
{
  struct as *a = &r->as;
#if OP_CHAIN
  int64_t in_page = (int64_t)(r->block->ram & 0xfff) + disp;
  if (disp == 0) {
    jmp_to(a, r->to_rx, r->entry);
  } else if (in_page >= 0 && in_page <= 0xfff) {
    ip_add(a, disp);
    jmp_32(a, 0);
    run_exit(r, a->p, EXIT_LINK, NULL, slot);
  } else {
    as_load(a, H_RAX, CPU, AT_REG(REG_IP));
    as_lea(a, true, H_RAX, H_RAX, H_NONE, 0, (int32_t)disp);
    struct misses m = look(a);
    for (unsigned i = 0; i < 3; i++)
      run_exit(r, m.from[i], EXIT_UNLINKED, NULL, slot);
    as_store(a, H_RAX, CPU, AT_REG(REG_IP));
    go_native(a);
  }
#else
  ip_add(a, disp);
  as_load(a, H_RAX, CPU, AT_REG(REG_IP));
  as_store(a, H_RAX, CPU, AT(ip));
  as_ret(a);
#endif
}

// Finds the block at the address in rax. What is not there, or has an address that is not canonical, is left
// to the op's handler: nothing has been changed yet.
static void find(struct run *r, const struct jit_op *n)
{
  struct misses m = look(&r->as);
  for (unsigned i = 0; i < 3; i++)
    run_exit(r, m.from[i], EXIT_HANDLER, n, 0);
}

// To the address in rax, whose block is in rsi.
static void go_found(struct run *r)
{
  as_store(&r->as, H_RAX, CPU, AT_REG(REG_IP));
  go_native(&r->as);
}

// The target of an indirect JMP or CALL, in rax.
static void target(struct run *r, const struct jit_op *n)
{
  if (n->zo[0].type == ZYDIS_OPERAND_TYPE_MEMORY) {
    struct place from = run_access(r, n, JIT_OPERAND);
    as_load(&r->as, H_RAX, from.base, from.disp);
  } else {
    as_mov(&r->as, H_RAX, run_get(r, (unsigned)jit_guest_reg(&n->zo[0])));
  }
}

static void jmp(struct run *r, const struct jit_op *n)
{
  if (n->zo[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
    go_direct_to(r, n->op->imm, 0);
  } else if (OP_CHAIN) {
    target(r, n);
    find(r, n);
    go_found(r);
  } else {
    run_handler(r, n);
  }
}

static void jcc(struct run *r, const struct jit_op *n)
{
  run_flags_in(r);
  uint8_t *taken = as_jcc(&r->as, n->zi.opcode & 15);
  go_direct_to(r, behind(n), 1);
  as_here(&r->as, taken);
  go_direct_to(r, n->op->imm, 0);
}

// The return address, in rax, on the stack.
static void push_ip(struct run *r, const struct jit_op *n, struct place to)
{
  struct as *a = &r->as;
  unsigned sp = run_get(r, RSP);
  as_load(a, H_RAX, CPU, AT_REG(REG_IP));
  as_lea(a, true, H_RAX, H_RAX, H_NONE, 0, (int32_t)behind(n));
  as_store(a, H_RAX, to.base, to.disp);
  as_lea(a, true, sp, sp, H_NONE, 0, -8);
  run_wrote(r, RSP);
}

static void call(struct run *r, const struct jit_op *n)
{
  struct as *a = &r->as;
  if (n->zo[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
    push_ip(r, n, run_access(r, n, JIT_STACK));
    go_direct_to(r, n->op->imm, 0);
  } else if (OP_CHAIN) {
    target(r, n);
    find(r, n);
    as_mov(a, H_R11, H_RAX); // the next line changes rax
    push_ip(r, n, run_access(r, n, JIT_STACK));
    as_mov(a, H_RAX, H_R11);
    go_found(r);
  } else {
    run_handler(r, n);
  }
}

static void ret(struct run *r, const struct jit_op *n)
{
  struct as *a = &r->as;
  if (!OP_CHAIN) {
    run_handler(r, n);
    return;
  }
  struct place from = run_access(r, n, JIT_STACK);
  as_load(a, H_RAX, from.base, from.disp);
  find(r, n);
  unsigned sp = run_get(r, RSP);
  as_lea(a, true, sp, sp, H_NONE, 0, 8 + (uint16_t)n->op->imm);
  run_wrote(r, RSP);
  go_found(r);
}

void run_jump(struct run *r, const struct jit_op *n)
{
  run_next(r, n);
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

static void on_with(struct as *a, const struct jit_op *n)
{
  as_imm64(a, H_RSI, (uintptr_t)n->op);
  as_imm64(a, H_RAX, (uintptr_t)n->handler);
  as_jmp_reg(a, H_RAX);
}

void run_handler(struct run *r, const struct jit_op *n)
{
  on_with(&r->as, n);
}

// ---- exits ----

static void unlinked(struct as *a, unsigned slot)
{
  as_mov(a, H_RSI, H_RAX);
  as_imm64(a, H_RDX, slot);
  as_imm64(a, H_RAX, (uintptr_t)go_unlinked);
  as_jmp_reg(a, H_RAX);
}

// Through the block's own link; jit_link makes the jump at `from` lead to the target from now on if it can.
static void link(struct run *r, uint8_t *from, unsigned slot)
{
  struct as *a = &r->cold;
  as_imm64(a, H_RSI, (uintptr_t)&r->block->next[slot]);
  as_load(a, H_RSI, H_RSI, 0);
  as_rr(a, true, 0x85, H_RSI, H_RSI);
  uint8_t *none = as_jcc(a, CC_Z);
  as_rm(a, false, 0x80, 7, H_RSI, AT_BLOCK(dead));
  as_8(a, 0);
  uint8_t *dead = as_jcc(a, CC_NZ);
  as_imm64(a, H_RDX, (uintptr_t)from);
  as_imm64(a, H_RAX, (uintptr_t)jit_link);
  as_jmp_reg(a, H_RAX);
  as_here(a, none);
  as_here(a, dead);
  as_load(a, H_RAX, CPU, AT_REG(REG_IP));
  unlinked(a, slot);
}

static bool same(const struct run_exit *x, const struct run_exit *y)
{
  return x->kind == y->kind && x->op == y->op && x->slot == y->slot && x->kind != EXIT_LINK;
}

void run_exits(struct run *r)
{
  struct as *a = &r->cold;
  for (unsigned i = 0; i < r->exit_count; i++) {
    const struct run_exit *x = &r->exits[i];
    as_here(a, x->from);
    while (i + 1 < r->exit_count && same(x, &r->exits[i + 1])) // they go the same way
      as_here(a, r->exits[++i].from);
    switch (x->kind) {
    case EXIT_HANDLER:
      on_with(a, x->op);
      break;
    case EXIT_LINK:
      link(r, x->from, x->slot);
      break;
    case EXIT_UNLINKED:
      unlinked(a, x->slot);
      break;
    case EXIT_SPENT:
      count(r, a, 0);
      jmp_to(a, r->to_rx, r->stubs->spent);
      break;
    }
  }
  r->exit_count = 0;
}
