// The way into a chain of ops. Handlers are C functions and keep the registers that they must; host code of
// blocks uses them all, so they are saved here, once for the whole chain.
	.text
	.globl	jit_enter
	.hidden	jit_enter
	.type	jit_enter, @function
	.p2align 4
jit_enter:
	.cfi_startproc
	push	%rbx
	.cfi_def_cfa_offset 16
	.cfi_offset 3, -16
	push	%rbp
	.cfi_def_cfa_offset 24
	.cfi_offset 6, -24
	push	%r12
	.cfi_def_cfa_offset 32
	.cfi_offset 12, -32
	push	%r13
	.cfi_def_cfa_offset 40
	.cfi_offset 13, -40
	push	%r14
	.cfi_def_cfa_offset 48
	.cfi_offset 14, -48
	push	%r15
	.cfi_def_cfa_offset 56
	.cfi_offset 15, -56
	sub	$8, %rsp
	.cfi_def_cfa_offset 64
	call	*(%rsi)
	add	$8, %rsp
	.cfi_def_cfa_offset 56
	pop	%r15
	.cfi_def_cfa_offset 48
	pop	%r14
	.cfi_def_cfa_offset 40
	pop	%r13
	.cfi_def_cfa_offset 32
	pop	%r12
	.cfi_def_cfa_offset 24
	pop	%rbp
	.cfi_def_cfa_offset 16
	pop	%rbx
	.cfi_def_cfa_offset 8
	ret
	.cfi_endproc
	.size	jit_enter, . - jit_enter

	.section .note.GNU-stack, "", @progbits
