// The head of the secure loader block: its header, and the way from SKINIT's state to C. Position-independent: the block
// runs wherever it was put, at any multiple of 64 KB below 4 GB.
        .section .head, "ax"
        .code32
        .word entry - 0
        .word slb_length                // by the linker script: all of the image is measured

// EAX is the block, ESP its end; CS and SS are flat, the other segments are not yet.
        .globl entry, enter
entry:  mov %eax, %ebp
        lea gdt(%ebp), %ecx
        mov %ecx, %ss:gdt_pointer + 2(%ebp)
        lgdt %ss:gdt_pointer(%ebp)
        mov $0x10, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %fs
        mov %eax, %gs
        mov %eax, %ss
        lea 1f(%ebp), %ecx
        push $0x08
        push %ecx
        lret
1:      push %ebp
        call loader                     // comes back only if something is wrong
        cli
2:      hlt
        jmp 2b

// enter(entry, multiboot): the next stage, as a multiboot loader would start it; the launch ends with STGI.
enter:  mov 4(%esp), %ecx
        mov 8(%esp), %ebx
        mov $0x2badb002, %eax
        cli
        stgi
        jmp *%ecx

        .align 8
gdt:    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
        .word 3 * 8 - 1
        .long 0
        .section .note.GNU-stack, ""
