// A disk whose first sector says hello, then echoes keys; q switches the machine off, r resets it.
        .text
        .code16
        .globl  start
start:  xor     %ax, %ax
        mov     %ax, %ds
        mov     $hello, %si
1:      lodsb
        test    %al, %al
        jz      2f
        mov     $0x0e, %ah
        int     $0x10
        jmp     1b
2:      mov     $0, %ah
        int     $0x16
        cmp     $'q', %al
        je      off
        cmp     $'r', %al
        je      reset
        mov     $0x0e, %ah
        int     $0x10
        jmp     2b
off:    mov     $0x604, %dx
        mov     $0x3400, %ax
        out     %ax, %dx
reset:  mov     $0xcf9, %dx
        mov     $6, %al
        out     %al, %dx
1:      hlt
        jmp     1b
hello:  .asciz  "wait: ready\n"
        .org    510
        .word   0xaa55
        .section .note.GNU-stack, ""
