// The instruction table: one row per mnemonic.
//
// Interpreter, disassembly, statistics and intercepts read the same row. Families
// live in cpu/insn/*.c with their rows in cpu/insn/*.def, included by table.c. A row gives the function
// that executes any form of the instruction from its struct op; forms that are hot have handlers of their
// own, chosen by `select` when the block is built.
#ifndef CPU_INSN_H
#define CPU_INSN_H

#include "cpu/op.h"

// Executes one instruction. c->ip is the instruction's own pointer and c->next_ip the following one;
// branches write c->next_ip. Returns false if it raised an exception (raise_*()): then no architectural
// state may have changed, except where the manual says so. May keep anything across memory accesses.
typedef bool insn_fn(struct cpu *c, const struct op *op);

// Fills op->fn with a hot handler for this form and returns true, or returns false: op_exec will be used.
// `zi` and `zo` are the decoded instruction and operands (Zydis types).
struct op_source;
typedef bool insn_select(struct op *op, const struct op_source *src);

enum insn_flag {
  IF_END = 1u << 0,    // ends the block: branches, mode changes, anything that may change mode, interrupts,
                       // mapping, or that must see exact time (I/O, RDTSC); c->ip is then c->next_ip
  IF_PRIV = 1u << 1,   // #GP(0) if CPL != 0, before anything else (checked by op_exec)
  IF_LOCK = 1u << 2,   // LOCK is allowed with a memory destination
  IF_PROT = 1u << 3,   // #UD in real and virtual-8086 mode
  IF_X87 = 1u << 4,    // x87: #NM by CR0.EM/TS, #MF for a pending exception
  IF_HOST = 1u << 5,   // executed by host code (cpu/host)
  IF_NO64 = 1u << 6,   // #UD in 64-bit mode (Zydis refuses most of these already)
  IF_NOWAIT = 1u << 7, // x87 control instruction that does not check for pending exceptions
};

struct insn_row {
  insn_fn *exec;       // NULL: not implemented, #UD
  insn_select *select; // NULL: none
  uint16_t flags;
  uint8_t icpt; // SVM: exit code of the intercept (APM2 appendix C), 0: none or decided in exec
};

extern const struct insn_row insn_rows[];

// Handler for every row that has no hot handler: sets c->ip, c->next_ip, checks IF_PRIV and IF_PROT, calls
// exec; op_exec_end also ends the block. See exec.c.
void op_exec(struct cpu *c, const struct op *op);
void op_exec_end(struct cpu *c, const struct op *op);
// The same with the function in op->ptr, for mnemonics that stand for several instructions (MOV CR, PUSH FS).
void op_exec_ptr(struct cpu *c, const struct op *op);
void op_exec_ptr_end(struct cpu *c, const struct op *op);
void op_exec_ptr_priv_end(struct cpu *c, const struct op *op);
// Makes the running block stop after this op: a device was accessed, or code was overwritten. Called by
// slow memory accesses and whoever hits a watchpoint; the op itself completes.
void cpu_stop_block(struct cpu *c, const struct op *op);
void cpu_unpatch(struct cpu *c); // undoes it
// After a fault at c->at: c->ip is the faulting instruction, and what did not run is given back to c->left.
void cpu_unwind(struct cpu *c);
// Raises #UD; what undecodable or unavailable instructions become.
void op_ud(struct cpu *c, const struct op *op);
void op_nm(struct cpu *c, const struct op *op);
// Ends a block that was cut (page end, BLOCK_MAX): c->ip = this op's address.
void op_end(struct cpu *c, const struct op *op);
void op_end_go(struct cpu *c,
               const struct op *op); // the same, straight on: for blocks whose branches may link
// Takes the place of the op after a device access or a write to its own code: ends the block there.
void op_leave(struct cpu *c, const struct op *op);

#endif
