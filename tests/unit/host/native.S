// Runs one instruction natively between a full load and a full save of the registers. The text is copied to
// memory that is writable and executable; everything is addressed relative to RIP, so all 16 registers are the
// instruction's. Layout of the data: struct native_state in native.h.
  .intel_syntax noprefix
  .text
  .globl native_begin, native_hole, native_after, native_state, native_end
  .balign 64
native_begin:
  push rbx
  push rbp
  push r12
  push r13
  push r14
  push r15
  mov [rip + save_rsp], rsp
  fxrstor64 [rip + fx_in]
  cmp byte ptr [rip + avx], 0
  je 1f
  .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
  vmovups ymm\i, [rip + ymm_in + 32 * \i]
  .endr
1:
  push qword ptr [rip + fl_in]
  popfq
  mov rax, [rip + gpr_in + 0]
  mov rcx, [rip + gpr_in + 8]
  mov rdx, [rip + gpr_in + 16]
  mov rbx, [rip + gpr_in + 24]
  mov rsp, [rip + gpr_in + 32]
  mov rbp, [rip + gpr_in + 40]
  mov rsi, [rip + gpr_in + 48]
  mov rdi, [rip + gpr_in + 56]
  .irp i, 8, 9, 10, 11, 12, 13, 14, 15
  mov r\i, [rip + gpr_in + 8 * \i]
  .endr
native_hole:
  .fill 16, 1, 0x90
native_after:
  mov [rip + gpr_out + 0], rax
  mov [rip + gpr_out + 8], rcx
  mov [rip + gpr_out + 16], rdx
  mov [rip + gpr_out + 24], rbx
  mov [rip + gpr_out + 32], rsp
  mov [rip + gpr_out + 40], rbp
  mov [rip + gpr_out + 48], rsi
  mov [rip + gpr_out + 56], rdi
  .irp i, 8, 9, 10, 11, 12, 13, 14, 15
  mov [rip + gpr_out + 8 * \i], r\i
  .endr
  mov rsp, [rip + save_rsp]
  pushfq
  pop qword ptr [rip + fl_out]
  fxsave64 [rip + fx_out]
  cmp byte ptr [rip + avx], 0
  je 2f
  .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
  vmovups [rip + ymm_out + 32 * \i], ymm\i
  .endr
  vzeroupper
2:
  fninit
  ldmxcsr [rip + mxcsr_default]
  cld
  pop r15
  pop r14
  pop r13
  pop r12
  pop rbp
  pop rbx
  ret
  .balign 64
native_state:
fx_in:
  .fill 512
fx_out:
  .fill 512
ymm_in:
  .fill 512
ymm_out:
  .fill 512
gpr_in:
  .fill 128
gpr_out:
  .fill 128
fl_in:
  .quad 0
fl_out:
  .quad 0
save_rsp:
  .quad 0
avx:
  .long 0
mxcsr_default:
  .long 0x1f80
native_end:
  .section .note.GNU-stack, "", @progbits
