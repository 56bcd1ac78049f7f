// The way into a secure loader block and back; see launch.h.
        .globl slb_code, slb_code_end, launch, found

        .code32
        .text
slb_code:                               // copied to SLB + entry
        call 1f
1:      pop %ss:found + 0x64
        push $noted
        ret
slb_code_end:

// Flat 32-bit protected mode without paging, on the block's stack. Only CS and SS can be used.
noted:  mov %eax, %ss:found + 0x00
        mov %ebx, %ss:found + 0x04
        mov %ecx, %ss:found + 0x08
        mov %edx, %ss:found + 0x0c
        mov %esi, %ss:found + 0x10
        mov %edi, %ss:found + 0x14
        mov %ebp, %ss:found + 0x18
        mov %esp, %ss:found + 0x1c
        pushf
        pop %ss:found + 0x20
        mov %cr0, %eax
        mov %eax, %ss:found + 0x24
        mov %cr3, %eax
        mov %eax, %ss:found + 0x28
        mov %cr4, %eax
        mov %eax, %ss:found + 0x2c
        mov $0xc0000080, %ecx
        rdmsr
        mov %eax, %ss:found + 0x30
        mov %edx, %ss:found + 0x34
        mov %cs, %eax
        mov %eax, %ss:found + 0x38
        mov %ss, %eax
        mov %eax, %ss:found + 0x3c
        mov %ds, %eax
        mov %eax, %ss:found + 0x40
        mov %es, %eax
        mov %eax, %ss:found + 0x44
        mov %fs, %eax
        mov %eax, %ss:found + 0x48
        mov %gs, %eax
        mov %eax, %ss:found + 0x4c
        mov %dr6, %eax
        mov %eax, %ss:found + 0x50
        mov %dr7, %eax
        mov %eax, %ss:found + 0x54
        mov $0xc0010114, %ecx
        rdmsr
        mov %eax, %ss:found + 0x58
        movl $0x5ec0de, %ss:0x6000
        mov %ds:0x6000, %eax
        mov %eax, %ss:found + 0x5c
        mov %ss:0x6000, %eax
        mov %eax, %ss:found + 0x60

        lgdt %ss:saved_gdt
        mov $0x10, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov saved_cr4, %eax
        mov %eax, %cr4
        mov saved_cr3, %eax
        mov %eax, %cr3
        mov $0xc0000080, %ecx
        mov saved_efer, %eax
        and $~0x400, %eax               // LMA is the processor's
        xor %edx, %edx
        wrmsr
        mov $0x80010033, %eax
        mov %eax, %cr0
        ljmp $0x08, $back

        .code64
back:   xor %eax, %eax
        mov %eax, %fs
        mov %eax, %gs
        lidt saved_idt
        mov saved_sp, %rsp
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %rbp
        pop %rbx
        ret

launch: push %rbx
        push %rbp
        push %r12
        push %r13
        push %r14
        push %r15
        mov %rsp, saved_sp
        sgdt saved_gdt
        sidt saved_idt
        mov %cr3, %rax
        mov %eax, saved_cr3
        mov %cr4, %rax
        mov %eax, saved_cr4
        mov $0xc0000080, %ecx
        rdmsr
        mov %eax, saved_efer
        mov %edi, %eax
        // something in every register, so that what SKINIT clears can be seen
        mov $0x11111111, %ebx
        mov $0x22222222, %ecx
        mov $0x33333333, %edx
        mov $0x44444444, %esi
        mov $0x55555555, %edi
        mov $0x66666666, %ebp
        skinit

        .data
        .align 8
saved_sp: .quad 0
saved_cr3: .long 0
saved_cr4: .long 0
saved_efer: .long 0
saved_gdt: .skip 10
saved_idt: .skip 10
        .align 4
found:  .skip 0x68
        .section .note.GNU-stack, ""
