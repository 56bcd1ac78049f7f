// Multiboot entry of the launcher, and the instruction itself.
        .section .multiboot, "a"
        .align 4
        .long 0x1badb002, 0, -0x1badb002

        .text
        .globl start, skinit
start:  mov $stack_top, %esp
        push %ebx
        call launcher
1:      cli
        hlt
        jmp 1b

skinit: mov 4(%esp), %eax
        skinit

        .bss
        .align 16
stack:  .skip 16384
stack_top:
        .section .note.GNU-stack, ""
