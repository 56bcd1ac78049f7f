// A disk whose first sector turns on protected mode without any tables and then faults: three times at once.
        .text
        .code16
        .globl  start
start:  cli
        xor     %ax, %ax
        mov     %ax, %ds
        mov     $0x7c00, %sp
        mov     $hello, %si
1:      lodsb
        test    %al, %al
        jz      2f
        mov     $0x0e, %ah
        int     $0x10
        jmp     1b
2:      lidtl   empty
        mov     $0xdead, %bx
        ud2
hello:  .asciz  "triple: begin\n"
empty:  .word   0
        .long   0
        .org    510
        .word   0xaa55
        .section .note.GNU-stack, ""
