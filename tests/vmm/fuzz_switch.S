// Into a piece of random code with random registers, and out of it by whatever vector.
        .text
        .globl  fuzz_run, fuzz_vectors, fuzz_regs
fuzz_run:
        mov     4(%esp), %eax
        mov     %eax, fuzz_code_at
        mov     $fuzz_regs, %esp
        popa
        mov     fuzz_regs + 12, %esp
        sti
        jmp     *fuzz_code_at
fuzz_vectors:
        mov     $0x18, %eax             // whatever the segments are
        mov     %eax, %ss
        mov     $fuzz_stack_top, %esp
        mov     %eax, %ds
        mov     %eax, %es
        cld
        mov     $0x20, %al
        out     %al, $0x20
        call    fuzz_next
        .data
        .align  16
fuzz_regs: .skip 32
fuzz_code_at: .long 0
        .bss
        .align  16
        .skip   8192
fuzz_stack_top:
        .section .note.GNU-stack, ""
