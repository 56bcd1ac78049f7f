// Start of 32-bit images: multiboot entry, vectors, the way to privilege 3. Paging stays off.
        .section .multiboot, "a"
        .align 4
        .long 0x1badb002, 0, -0x1badb002

        .text
        .globl rt_start
rt_start:
        cld
        mov $rt_stack_top, %esp
        lgdt gdt_pointer
        ljmp $0x08, $1f
1:      mov $0x10, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        xor %eax, %eax
        mov %eax, %fs
        mov %eax, %gs
        call rt_main

        .align 16
        .globl rt_vectors
rt_vectors:
        vector = 0
        .rept 256
        .align 16
        .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 30)
        push $0
        .endif
        push $vector
        jmp common
        vector = vector + 1
        .endr
common: pusha
        mov $0x10, %eax
        mov %ds, %ebx                   // outside of the frame, which the handler sees
        mov %es, %esi
        mov %eax, %ds
        mov %eax, %es
        mov %esp, %ebp
        push %ebp
        cld
        call rt_event
        mov %ebp, %esp
        mov %ebx, %ds
        mov %esi, %es
        popa
        add $8, %esp
        iret

        .globl rt_set
rt_set: mov 4(%esp), %edx
        mov %ebx, (%edx)
        mov %ebp, 4(%edx)
        mov %esi, 8(%edx)
        mov %edi, 12(%edx)
        mov %esp, 16(%edx)
        mov (%esp), %eax
        mov %eax, 20(%edx)
        xor %eax, %eax
        ret

        .globl rt_back
rt_back:
        mov 4(%esp), %edx
        mov $0x10, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov (%edx), %ebx
        mov 4(%edx), %ebp
        mov 8(%edx), %esi
        mov 12(%edx), %edi
        mov 16(%edx), %esp
        mov 20(%edx), %eax
        mov %eax, (%esp)
        push $2
        popf
        mov $1, %eax
        ret

        .globl user
user:   mov 4(%esp), %edx
        mov $0x23, %eax
        mov %eax, %ds
        mov %eax, %es
        push $0x23
        push $rt_user_stack_top
        push $2
        push $0x1b
        push %edx
        iret

        .data
        .align 16
        .globl gdt
gdt:    .quad 0
        .quad 0x00cf9b000000ffff        // 08 code
        .quad 0x00cf93000000ffff        // 10 data
        .quad 0x00cffb000000ffff        // 18 code of privilege 3
        .quad 0x00cff3000000ffff        // 20 data of privilege 3
        .quad 0x00009b000000ffff        // 28 code, 16 bits
        .quad 0x000093000000ffff        // 30 data, 16 bits
        .fill 57, 8, 0                  // 38 TSS, 40 and on: free
        .globl gdt_pointer
gdt_pointer:
        .word 64 * 8 - 1
        .long gdt

        .bss
        .align 4096
        .globl idt
idt:    .skip 4096
        .skip 16384
rt_stack_top:
        .skip 8192
        .globl rt_stack0_top
rt_stack0_top:

        .section .user.data, "aw"
        .align 4096
        .skip 8192
        .globl rt_user_stack_top
rt_user_stack_top:
        .section .note.GNU-stack, ""
