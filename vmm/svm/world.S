// The world switch: into the guest by VMRUN, and out of it by #VMEXIT to the next instruction. APM2 15.5, 15.6.
//
//   void svm_world_switch(uint64_t regs[16], uint64_t vmcb, uint64_t host_vmcb);
//
// VMRUN switches RAX, RSP, RIP, RFLAGS, control registers and most segments; VMLOAD and VMSAVE switch the rest
// of the segments and the MSRs of SYSCALL and SYSENTER; the general registers are ours to switch. GIF is 0 on
// both sides of VMRUN, so no interrupt sees half a world. RFLAGS.IF must be 1 at VMRUN: with V_INTR_MASKING it is
// the mask for physical interrupts while the guest runs.
        .text
        .code64
        .globl  svm_world_switch
svm_world_switch:
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        push    %rdx                    // host_vmcb
        push    %rdi                    // regs
        mov     %rsi, %rax
        clgi
        sti
        vmload  %rax
        mov     1*8(%rdi), %rcx
        mov     2*8(%rdi), %rdx
        mov     3*8(%rdi), %rbx
        mov     5*8(%rdi), %rbp
        mov     6*8(%rdi), %rsi
        mov     8*8(%rdi), %r8
        mov     9*8(%rdi), %r9
        mov     10*8(%rdi), %r10
        mov     11*8(%rdi), %r11
        mov     12*8(%rdi), %r12
        mov     13*8(%rdi), %r13
        mov     14*8(%rdi), %r14
        mov     15*8(%rdi), %r15
        mov     7*8(%rdi), %rdi
        vmrun   %rax
        vmsave  %rax
        xchg    %rdi, (%rsp)            // regs; the guest's RDI on the stack
        mov     %rcx, 1*8(%rdi)
        mov     %rdx, 2*8(%rdi)
        mov     %rbx, 3*8(%rdi)
        mov     %rbp, 5*8(%rdi)
        mov     %rsi, 6*8(%rdi)
        mov     %r8, 8*8(%rdi)
        mov     %r9, 9*8(%rdi)
        mov     %r10, 10*8(%rdi)
        mov     %r11, 11*8(%rdi)
        mov     %r12, 12*8(%rdi)
        mov     %r13, 13*8(%rdi)
        mov     %r14, 14*8(%rdi)
        mov     %r15, 15*8(%rdi)
        pop     %rax
        mov     %rax, 7*8(%rdi)
        pop     %rax
        vmload  %rax
        cli
        stgi
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        ret
        .section .note.GNU-stack, ""
