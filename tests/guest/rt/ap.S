// Application processors: from SIPI to a C function in long mode. 64-bit images only.
        .text
        .globl ap_trampoline, ap_trampoline_end
        .code16
ap_trampoline:                          // copied to 8000h
        cli
        xor %ax, %ax
        mov %ax, %ds
        lgdtl ap_gdt - ap_trampoline + 0x8000
        mov $0x33, %eax
        mov %eax, %cr0
        ljmpl $0x30, $ap_32 - ap_trampoline + 0x8000
        .code32
ap_32:  mov $0x10, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov ap_cr4, %eax
        mov %eax, %cr4
        mov $pml4, %eax
        mov %eax, %cr3
        mov $0xc0000080, %ecx
        rdmsr
        or $0x900, %eax
        wrmsr
        mov $0x80010033, %eax
        mov %eax, %cr0
        ljmp $0x08, $ap_64
        .align 4
ap_gdt: .word 64 * 8 - 1
        .long gdt
ap_trampoline_end:

        .code64
ap_64:  lidt ap_idt
        xor %eax, %eax
        mov %eax, %fs
        mov %eax, %gs
        mov $4096, %eax
        lock xadd %eax, ap_stacks
        lea ap_stack + 4096(%rax), %rsp
        call *ap_entry
1:      cli
        hlt
        jmp 1b

        .globl ap_start
ap_start:
        push %rbx
        mov %rsi, ap_entry
        mov %edi, %ebx
        mov %cr4, %rax
        mov %eax, ap_cr4
        sidt ap_idt
        mov $ap_trampoline, %rsi
        mov $0x8000, %edi
        mov $ap_trampoline_end - ap_trampoline, %ecx
        rep movsb
        mov $0xfee00300, %edx
        shl $24, %ebx
        mov %ebx, 0x10(%rdx)
        movl $0x4500, (%rdx)            // INIT
        mov $20000, %ecx                // 10 ms and more: reads of the delay port take 1 us on an ISA bus
1:      in $0x80, %al
        loop 1b
        mov %ebx, 0x10(%rdx)
        movl $0x4608, (%rdx)            // SIPI, 8000h
        pop %rbx
        ret

        .data
        .align 8
ap_entry: .quad 0
ap_stacks: .long 0
ap_cr4: .long 0
ap_idt: .word 0
        .quad 0
        .bss
        .align 16
ap_stack: .skip 16 * 4096
        .section .note.GNU-stack, ""
