// Calls from hot handlers into the slow paths of memory access that keep every register but rax.
//
// A handler that calls a C function must save what it needs in callee-saved registers, which costs a push, a pop
// and moves on its fast path. Through these thunks the handlers stay leaves: they are entered by `call` from inline
// assembly (cpu/mem.h) with the arguments in rdi, rsi, rdx, rcx and r8 and give back all of them. The vector
// registers are declared as clobbered there. Code that uses them is compiled with -mno-red-zone.

.macro thunk name, target
	.text
	.globl	\name
	.hidden	\name
	.type	\name, @function
	.p2align 4
\name:
	.cfi_startproc
	push	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset 6, -16
	mov	%rsp, %rbp
	.cfi_def_cfa_register 6
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	and	$-16, %rsp
	call	\target
	mov	-8(%rbp), %rcx
	mov	-16(%rbp), %rdx
	mov	-24(%rbp), %rsi
	mov	-32(%rbp), %rdi
	mov	-40(%rbp), %r8
	mov	-48(%rbp), %r9
	mov	-56(%rbp), %r10
	mov	-64(%rbp), %r11
	leave
	.cfi_def_cfa 7, 8
	ret
	.cfi_endproc
	.size	\name, . - \name
.endm

	thunk	cold_load, mem_load
	thunk	cold_load_rmw, mem_load_rmw
	thunk	cold_store, mem_store
	thunk	cold_linear, op_linear

	.section .note.GNU-stack, "", @progbits
