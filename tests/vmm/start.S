// Multiboot entry of the bare images; the header comes first.
        .text
        .align  4
        .long   0x1badb002, 0, -0x1badb002
        .globl  start
start:  mov     $stack_top, %esp
        push    %ebx
        call    run
1:      cli
        hlt
        jmp     1b
        .bss
        .align  16
        .skip   8192
stack_top:
        .section .note.GNU-stack, ""
