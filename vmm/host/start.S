// From the boot loader to C. Multiboot 1 (spec 0.6.96) and 2 (spec 2.0) both enter in 32-bit protected mode
// without paging, with a magic number in EAX and the boot information's address in EBX. Here long mode is
// entered with the first 4 GB at their own addresses; paging.c makes the final tables.
        .set    CS64, 0x08
        .set    DS, 0x10
        .set    CS32, 0x18

        .section .multiboot, "a"
        .align  8
        .long   0x1badb002, 3, -(0x1badb002 + 3)        // modules on page boundaries; memory map
        .align  8
mb2:    .long   0xe85250d6, 0, mb2_end - mb2, -(0xe85250d6 + mb2_end - mb2)
        .word   6, 0                                    // tag: modules on page boundaries
        .long   8
        .word   0, 0
        .long   8
mb2_end:

        .text
        .code32
        .globl  start
start:  cli
        cld
        mov     %eax, %edi                              // main()'s arguments
        mov     %ebx, %esi
        mov     $stack_top, %esp
        movl    $pdpt + 3, pml4
        mov     $pd + 3, %eax
        mov     $pdpt, %edx
        mov     $4, %ecx
1:      mov     %eax, (%edx)
        add     $4096, %eax
        add     $8, %edx
        loop    1b
        mov     $0x83, %eax                             // present, writable, 2 MB
        mov     $pd, %edx
        mov     $2048, %ecx
1:      mov     %eax, (%edx)
        add     $0x200000, %eax
        add     $8, %edx
        loop    1b
        mov     $pml4, %eax
        call    long_mode
        ljmp    $CS64, $1f
        .code64
1:      mov     %edi, %edi
        mov     %esi, %esi
        call    main
1:      cli
        hlt
        jmp     1b

// Turns on paging by the tables at EAX. EDI, ESI are kept.
        .code32
long_mode:
        mov     %eax, %cr3
        mov     $0x620, %eax                            // PAE, OSFXSR, OSXMMEXCPT
        mov     %eax, %cr4
        mov     $0xc0000080, %ecx                       // EFER
        rdmsr
        or      $0x900, %eax                            // LME, NXE
        wrmsr
        mov     $0x80010033, %eax                       // PG, WP, NE, ET, MP, PE
        mov     %eax, %cr0
        lgdt    gdt_pointer
        mov     $DS, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        ret

// Where a STARTUP IPI brings the other CPUs, in real mode, after it was copied to 8000h.
        .globl  ap_start, ap_start_end, ap_stack, ap_argument
        .set    AP, 0x8000
        .code16
ap_start:
        cli
        xor     %ax, %ax
        mov     %ax, %ds
        lgdtl   AP + ap_gdt - ap_start
        mov     $0x11, %eax
        mov     %eax, %cr0
        ljmpl   $CS32, $ap_32
        .align  4
ap_gdt: .word   31
        .long   gdt
ap_start_end:
        .code32
ap_32:  mov     $DS, %eax
        mov     %eax, %ds
        mov     %eax, %ss
        mov     ap_stack, %esp
        mov     host_cr3, %eax
        call    long_mode
        ljmp    $CS64, $1f
        .code64
1:      mov     ap_stack, %rsp
        mov     ap_argument, %rdi
        call    cpu_main_ap
1:      cli
        hlt
        jmp     1b

        .data
        .align  16
gdt:    .quad   0
        .quad   0x00af9b000000ffff                      // 08 code, 64 bits
        .quad   0x00cf93000000ffff                      // 10 data
        .quad   0x00cf9b000000ffff                      // 18 code, 32 bits
gdt_pointer:
        .word   31
        .quad   gdt
        .align  8
ap_stack: .quad 0
ap_argument: .quad 0

        .bss
        .align  4096
        .globl  pml4
pml4:   .skip   4096
pdpt:   .skip   4096
pd:     .skip   4 * 4096
        .skip   16384
        .globl  stack_top
stack_top:
        .section .note.GNU-stack, ""
