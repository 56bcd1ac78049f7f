// Calls from hot handlers into the slow paths of memory access that keep every register but rax.
//
// A handler that calls a C function must save what it needs in callee-saved registers, which costs a push, a pop
// and moves on its fast path. Through these thunks the handlers stay leaves: they are entered by `call` from inline
// assembly (cpu/mem.h) with the arguments in rdi, rsi, rdx, rcx and r8 and give back all of them. The vector
// registers are declared as clobbered there. Code that uses them is compiled with -mno-red-zone.

#include "cpu/thunk.inc"

	thunk	thunk_load, mem_load
	thunk	thunk_load_rmw, mem_load_rmw
	thunk	thunk_store, mem_store
	thunk	thunk_linear, op_linear

	.section .note.GNU-stack, "", @progbits
