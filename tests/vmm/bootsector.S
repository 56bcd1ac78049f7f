// A disk that starts in real mode and goes to protected mode, two-level paging, PAE, long mode, and back to real mode
// by itself; it says each by a line on the serial port and at the end switches the machine off by ACPI's register.
// Its BIOS calls: INT 10h, INT 13h by CHS and by LBA, INT 15h E820, INT 1Ah; and it waits for the timer's interrupt.
        .text
        .code16
        .globl  start
start:  cli
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     $0x7c00, %sp
        ljmp    $0, $1f
1:      sti
        cld
        mov     %dl, drive
        mov     $hello, %si
        call    teletype
        mov     $0x0201, %ax            // sector 2 by CHS
        mov     $0x0002, %cx
        mov     $0, %dh
        mov     drive, %dl
        mov     $0x7e00, %bx
        int     $0x13
        jc      broken
        mov     $packet, %si            // the rest by LBA
        mov     $0x42, %ah
        mov     drive, %dl
        int     $0x13
        jc      broken
        jmp     second
broken: mov     $bad, %si
        call    teletype
1:      cli
        hlt
        jmp     1b

teletype:
        lodsb
        test    %al, %al
        jz      1f
        mov     $0x0e, %ah
        int     $0x10
        jmp     teletype
1:      ret

hello:  .asciz  "boot: real mode\n"
bad:    .asciz  "boot: the disk cannot be read\n"
drive:  .byte   0
        .align  4
packet: .byte   16, 0
        .word   6, 0x8000, 0
        .quad   2
        .org    510
        .word   0xaa55

// Sector 2 and on, at 7E00h.
second: xor     %ebx, %ebx
        xor     %ebp, %ebp
1:      mov     $0xe820, %eax
        mov     $0x534d4150, %edx
        mov     $20, %ecx
        mov     $0x600, %di
        int     $0x15
        jc      broken
        inc     %ebp
        test    %ebx, %ebx
        jnz     1b
        cmp     $4, %ebp
        jne     broken
        mov     $0, %ah
        int     $0x1a
        mov     %dx, %bp
1:      hlt                             // three ticks
        mov     $0, %ah
        int     $0x1a
        sub     %bp, %dx
        cmp     $3, %dx
        jb      1b
        mov     $ticks, %si
        call    teletype
        cli
        lgdtl   gdtr
        mov     %cr0, %eax
        or      $1, %al
        mov     %eax, %cr0
        ljmpl   $0x08, $protected

// A line to the UART. esi: text; uses eax, edx. The same bytes in 32-bit and 64-bit code.
        .code32
say:    mov     $0x3f8, %edx
1:      lodsb
        test    %al, %al
        jz      2f
        out     %al, %dx
        jmp     1b
2:      ret

protected:
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     $t_protected, %esi
        call    say
        // two levels: 4 MB pages at 0, and at 400000h a table whose page 0 is 9000h
        mov     $0x100000, %edi
        mov     $0x4000, %ecx
        xor     %eax, %eax
        rep     stosl
        movl    $0x83, 0x100000
        movl    $0x101007, 0x100004
        movl    $0x9007, 0x101000
        mov     %cr4, %eax
        or      $0x10, %eax
        mov     %eax, %cr4
        mov     $0x100000, %eax
        mov     %eax, %cr3
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        movl    $0x12345678, 0x400000   // the table's page, and the accessed and dirty bits that this sets
        cmpl    $0x12345678, 0x9000
        jne     fail
        testl   $0x40, 0x101000
        jz      fail
        movl    $0xa007, 0x101000       // another page, after INVLPG
        invlpg  0x400000
        movl    $0x87654321, 0x400000
        cmpl    $0x87654321, 0xa000
        jne     fail
        cmpl    $0x12345678, 0x9000
        jne     fail
        // privilege 0 may write to a page without W while CR0.WP is 0, and not else
        movl    $0xa001, 0x101000
        invlpg  0x400000
        movl    $0x11111111, 0x400000
        cmpl    $0x11111111, 0xa000
        jne     fail
        mov     $t_legacy, %esi
        call    say
        mov     %cr0, %eax
        and     $0x7fffffff, %eax
        mov     %eax, %cr0
        // PAE: 2 MB pages at 0, and a table at 200000h
        movl    $0x103001, 0x102000
        movl    $0x83, 0x103000
        movl    $0x104003, 0x103008
        movl    $0xb003, 0x104000
        mov     %cr4, %eax
        or      $0x20, %eax
        mov     %eax, %cr4
        mov     $0x102000, %eax
        mov     %eax, %cr3
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        movl    $0x55aa55aa, 0x200000
        cmpl    $0x55aa55aa, 0xb000
        jne     fail
        mov     $t_pae, %esi
        call    say
        mov     %cr0, %eax
        and     $0x7fffffff, %eax
        mov     %eax, %cr0
        // long mode: the PDPT is at 105000h and points to the same directory
        movl    $0x105007, 0x106000
        movl    $0x103007, 0x105000
        mov     $0x106000, %eax
        mov     %eax, %cr3
        mov     $0xc0000080, %ecx
        rdmsr
        or      $0x100, %eax
        wrmsr
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        mov     $t_compat, %esi
        call    say
        ljmp    $0x18, $long

fail:   mov     $t_fail, %esi
        call    say
1:      cli
        hlt
        jmp     1b

        .code64
long:   mov     $t_long, %esi
        call    say
        mov     $0x0123456789abcdef, %rax
        mov     %rax, 0x200000
        cmp     %rax, 0xb000
        jne     fail64
        mov     $0xc0000080, %ecx
        rdmsr
        test    $0x400, %eax            // LMA
        jz      fail64
        pushq   $0x08
        pushq   $leave
        lretq
fail64: mov     $t_fail, %esi
        call    say
1:      cli
        hlt
        jmp     1b

        .code32
leave:  mov     %cr0, %eax              // out of long mode, and all the way back
        and     $0x7fffffff, %eax
        mov     %eax, %cr0
        mov     $0xc0000080, %ecx
        rdmsr
        and     $~0x100, %eax
        wrmsr
        ljmp    $0x20, $sixteen
        .code16
sixteen:
        mov     $0x28, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     %cr0, %eax
        and     $0xfe, %al
        mov     %eax, %cr0
        ljmp    $0, $1f
1:      xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     $0x7c00, %sp
        sti
        mov     $back, %si
        call    teletype
        mov     $0x604, %dx             // S5
        mov     $0x3400, %ax
        out     %ax, %dx
1:      hlt
        jmp     1b

ticks:  .asciz  "boot: ticks in real mode\n"
back:   .asciz  "boot: real mode again\n"
t_protected: .asciz "boot: protected mode\n"
t_legacy: .asciz "boot: two levels of paging\n"
t_pae:  .asciz  "boot: PAE\n"
t_compat: .asciz "boot: compatibility mode\n"
t_long: .asciz  "boot: long mode\n"
t_fail: .asciz  "boot: FAILED\n"
        .align  8
gdt:    .quad   0
        .quad   0x00cf9b000000ffff      // 08 code, 32 bits
        .quad   0x00cf93000000ffff      // 10 data
        .quad   0x00af9b000000ffff      // 18 code, 64 bits
        .quad   0x00009b000000ffff      // 20 code, 16 bits
        .quad   0x000093000000ffff      // 28 data, 16 bits
gdtr:   .word   47
        .long   gdt
        .org    4096 - 1
        .byte   0
        .section .note.GNU-stack, ""
