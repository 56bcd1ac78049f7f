// From protected to real mode and back. 32-bit images only. The code to run is copied to 0:7000h; it begins
// with DS, ES, FS, GS, SS = 0, SP = 6ff0h and the registers of struct real_regs, and ends with a near RET.
        .set THUNK, 0x6000
        .set REGS, 0x5f00
        .text
        .globl real
real:   pusha                           // real(code, size, regs)
        mov 36(%esp), %esi
        mov 40(%esp), %ecx
        mov $0x7000, %edi
        rep movsb
        mov $thunk, %esi
        mov $thunk_end - thunk, %ecx
        mov $THUNK, %edi
        rep movsb
        mov 44(%esp), %esi
        mov $7, %ecx
        mov $REGS, %edi
        rep movsl
        mov %esp, real_esp
        sidt real_idt
        lidt thunk_ivt
        ljmp $0x28, $THUNK

        .code16
thunk:  mov $0x30, %ax
        mov %ax, %ds
        mov %ax, %es
        mov %ax, %ss
        mov %ax, %fs
        mov %ax, %gs
        mov %cr0, %eax
        and $0x7ffffffe, %eax
        mov %eax, %cr0
        ljmp $0, $1f - thunk + THUNK
1:      xor %ax, %ax
        mov %ax, %ds
        mov %ax, %es
        mov %ax, %ss
        mov %ax, %fs
        mov %ax, %gs
        mov $0x6ff2, %sp
        mov REGS, %eax
        mov REGS + 4, %ebx
        mov REGS + 8, %ecx
        mov REGS + 12, %edx
        mov REGS + 16, %esi
        mov REGS + 20, %edi
        push $2f - thunk + THUNK
        ljmp $0, $0x7000
2:      mov %eax, %cs:REGS
        mov %ebx, %cs:REGS + 4
        mov %ecx, %cs:REGS + 8
        mov %edx, %cs:REGS + 12
        mov %esi, %cs:REGS + 16
        mov %edi, %cs:REGS + 20
        cli
        xor %ax, %ax
        mov %ax, %ss
        mov $0x6ff2, %sp
        pushfl
        popl %cs:REGS + 24
        lgdtl %cs:thunk_gdt - thunk + THUNK
        mov %cr0, %eax
        or $1, %eax
        mov %eax, %cr0
        ljmpl $0x08, $back
thunk_gdt:
        .word 64 * 8 - 1
        .long gdt
thunk_end:

        .code32
back:   mov $0x10, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        xor %eax, %eax
        mov %eax, %fs
        mov %eax, %gs
        mov real_esp, %esp
        lidt real_idt
        cld
        mov $REGS, %esi
        mov 44(%esp), %edi
        mov $7, %ecx
        rep movsl
        popa
        ret

        .data
thunk_ivt:
        .word 0x3ff
        .long 0
real_idt: .word 0
        .long 0
real_esp: .long 0
        .section .note.GNU-stack, ""
