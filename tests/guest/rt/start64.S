// Start of 64-bit images: multiboot entry, long mode, vectors, the way to privilege 3.
        .section .multiboot, "a"
        .align 4
        .long 0x1badb002, 0, -0x1badb002

        .text
        .code32
        .globl rt_start
rt_start:
        cld
        mov %ebx, rt_multiboot
        mov $rt_stack_top, %esp
        // PML4[0] -> PDPT[0..3] -> 2048 pages of 2 MB; the one at 4 MB is for privilege 3 too
        movl $pdpt + 7, pml4
        mov $pd + 7, %eax
        mov $pdpt, %edi
        mov $4, %ecx
1:      mov %eax, (%edi)
        add $4096, %eax
        add $8, %edi
        loop 1b
        mov $0x83, %eax
        mov $pd, %edi
        mov $2048, %ecx
1:      cmp $2048 - 3 * 512, %ecx       // the last GB holds devices
        ja 2f
        or $0x18, %eax
2:      mov %eax, (%edi)
        add $0x200000, %eax
        add $8, %edi
        loop 1b
        orl $4, pd + 2 * 8
        mov $0x620, %eax                // PAE, OSFXSR, OSXMMEXCPT
        mov %eax, %cr4
        mov $pml4, %eax
        mov %eax, %cr3
        mov $0xc0000080, %ecx
        rdmsr
        or $0x900, %eax                 // LME, NXE
        wrmsr
        mov $0x80010033, %eax           // PG, WP, NE, ET, MP, PE
        mov %eax, %cr0
        lgdt gdt_pointer
        ljmp $0x08, $1f
        .code64
1:      mov $0x10, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        xor %eax, %eax
        mov %eax, %fs
        mov %eax, %gs
        call rt_main

        // Every vector in 16 bytes. Those without an error code push a 0 first.
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
common: push %rax
        push %rbx
        push %rcx
        push %rdx
        push %rbp
        push %rsi
        push %rdi
        push %r8
        push %r9
        push %r10
        push %r11
        push %r12
        push %r13
        push %r14
        push %r15
        mov %rsp, %rdi
        mov %rsp, %rbx
        and $-16, %rsp
        cld
        call rt_event
        mov %rbx, %rsp
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %r11
        pop %r10
        pop %r9
        pop %r8
        pop %rdi
        pop %rsi
        pop %rbp
        pop %rdx
        pop %rcx
        pop %rbx
        pop %rax
        add $16, %rsp
        iretq

        .globl rt_set
rt_set: mov %rbx, (%rdi)
        mov %rbp, 8(%rdi)
        mov %r12, 16(%rdi)
        mov %r13, 24(%rdi)
        mov %r14, 32(%rdi)
        mov %r15, 40(%rdi)
        mov %rsp, 48(%rdi)
        mov (%rsp), %rax
        mov %rax, 56(%rdi)
        xor %eax, %eax
        ret

        .globl rt_back
rt_back:
        mov $0x10, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov (%rdi), %rbx
        mov 8(%rdi), %rbp
        mov 16(%rdi), %r12
        mov 24(%rdi), %r13
        mov 32(%rdi), %r14
        mov 40(%rdi), %r15
        mov 48(%rdi), %rsp
        mov 56(%rdi), %rax
        mov %rax, (%rsp)
        push $2
        popf
        mov $1, %eax
        ret

        .globl user
user:   push $0x23
        push $rt_user_stack_top
        push $2
        push $0x2b
        push %rdi
        iretq

        .data
        .globl rt_multiboot
        .align 4
rt_multiboot: .long 0
        .align 16
        .globl gdt
gdt:    .quad 0
        .quad 0x00af9b000000ffff        // 08 code, 64 bits
        .quad 0x00cf93000000ffff        // 10 data
        .quad 0x00cffb000000ffff        // 18 code of privilege 3, 32 bits
        .quad 0x00cff3000000ffff        // 20 data of privilege 3
        .quad 0x00affb000000ffff        // 28 code of privilege 3, 64 bits
        .quad 0x00cf9b000000ffff        // 30 code, 32 bits
        .quad 0x00009b000000ffff        // 38 code, 16 bits
        .quad 0x000093000000ffff        // 40 data, 16 bits
        .fill 55, 8, 0                  // 48 TSS, 58 and on: free
        .globl gdt_pointer
gdt_pointer:
        .word 64 * 8 - 1
        .quad gdt

        .bss
        .align 4096
        .globl pml4
pml4:   .skip 4096
pdpt:   .skip 4096
pd:     .skip 4 * 4096
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
