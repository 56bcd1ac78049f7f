// Host code for guest instructions: "the host CPU is the arithmetic unit".
//
// x87, MMX, SSE, AVX and some integer forms are executed by the host CPU on the guest's register values. For
// each distinct form a stub is made once: it loads the registers that the instruction reads from struct cpu,
// executes the instruction, and stores what it writes. Guest bytes never run: the instruction is encoded anew
// by Zydis with its memory operand replaced by [rsi], decoded again and compared before it is kept, and only
// instruction sets of an allow-list that the host has are taken. Stubs cannot fault: exceptions are masked
// (cpu/fpu.h), memory operands point to guest RAM that the TLB vouches for or to a buffer in struct cpu,
// aligned as the instruction needs it. Everything that depends on the host being an x86-64 lives in this
// folder and in fpu.c.
#ifndef CPU_HOST_HOST_H
#define CPU_HOST_HOST_H

#include <Zydis/Zydis.h>

#include "cpu/op.h"

struct err;
struct host_code; // the stubs of one machine, shared by its CPUs

struct host_code *host_code_new(struct err *e);
void host_code_free(struct host_code *h);
// True if there may be no room for another block's stubs: then all blocks must be dropped and
// host_code_reset called before the next one is decoded. There is always room for one block after it said
// false.
bool host_code_full(const struct host_code *h);
// Forgets all stubs; no op made before may run any more.
void host_code_reset(struct host_code *h);

// The host can execute instructions of this set (also: sets that are done in C, like SSE4A).
bool host_has(const struct host_code *h, ZydisISASet set);

// Chooses the handler of an instruction. The decoder has filled off, len, index, and for a memory operand
// base, idx, shift, disp, seg, ea, asz, OPF_MEM; reg, rm, osz, imm are overwritten. The caller checks that
// the CPU model has the instruction set. Returns false if there is no such thing here: #UD.
bool host_select(struct op *op, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo,
                 struct host_code *h, uint32_t mode);

#endif
