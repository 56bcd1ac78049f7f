// Vectors of the hypervisor itself. Exceptions 0 to 31 are the hypervisor's own faults, those from 32
// on interrupts; both go to trap(). APM2 8.9.
        .text
        .code64
        .align  16
        .globl  trap_vectors
trap_vectors:
        vector = 0
        .rept   256
        .align  16
        .if     !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
        push    $0
        .endif
        push    $vector
        jmp     common
        vector = vector + 1
        .endr
common: push    %rax
        push    %rcx
        push    %rdx
        push    %rsi
        push    %rdi
        push    %r8
        push    %r9
        push    %r10
        push    %r11
        mov     %rsp, %rdi                              // struct frame
        push    %rbx
        mov     %rsp, %rbx
        and     $-16, %rsp
        cld
        call    trap
        mov     %rbx, %rsp
        pop     %rbx
        pop     %r11
        pop     %r10
        pop     %r9
        pop     %r8
        pop     %rdi
        pop     %rsi
        pop     %rdx
        pop     %rcx
        pop     %rax
        add     $16, %rsp
        iretq
        .section .note.GNU-stack, ""
