// SYSCALL, SYSRET, SYSENTER, SWAPGS and FS/GS bases in long mode: registers, flags, selectors. APM2 6.1.
#include "rt.h"

enum { EFER = 0xc0000080, STAR = 0xc0000081, LSTAR, CSTAR, SFMASK, FS_BASE = 0xc0000100, GS_BASE, KERNEL_GS };

static word seen_cx, seen_r11, seen_flags, seen_cs, seen_ss, seen_sp;

USER static void user_syscall(void)
{
  asm volatile(
      "mov $0x5a5a, %%ebx; std; stc; syscall; 1: mov %%cs, %%esi; mov %%ss, %%edi; pushf; pop %%rdx; cld;"
      "int $0x80" ::
          : "memory");
}
USER static void user_sysret(void)
{
  asm volatile("sysretq");
  USER_END;
}
USER static void user_base(void)
{
  asm volatile("mov $0x12345678, %%eax; wrfsbase %%rax; rdfsbase %%rbx; int $0x80" ::: "rax", "rbx");
}

asm(".globl syscall_entry\n"
    "syscall_entry:\n"
    "mov %rcx, seen_cx(%rip); mov %r11, seen_r11(%rip); mov %rsp, seen_sp(%rip)\n"
    "mov %cs, %eax; mov %rax, seen_cs(%rip); mov %ss, %eax; mov %rax, seen_ss(%rip)\n"
    "mov %rsp, %rax; lea area_top(%rip), %rsp; pushf; pop seen_flags(%rip); mov %rax, %rsp\n"
    "sysretq\n"
    ".globl sysenter_entry\n"
    "sysenter_entry: mov %rsp, seen_sp(%rip); mov %cs, %eax; mov %rax, seen_cs(%rip)\n"
    "pushf; pop seen_flags(%rip); int $0x42\n"
    ".bss; .skip 256; area_top: .text");
void syscall_entry(void), sysenter_entry(void);

USER static void user_sysenter(void)
{
  asm volatile("sysenter");
}

void test(void)
{
  asm volatile(""
               : "+m"(seen_cx), "+m"(seen_r11), "+m"(seen_flags), "+m"(seen_cs), "+m"(seen_ss),
                 "+m"(seen_sp));
  wrmsr(STAR, (uint64_t)(U_CODE32 & ~3) << 48 | 3ull << 48 | (uint64_t)K_CODE << 32);
  wrmsr(LSTAR, (word)syscall_entry);
  wrmsr(SFMASK, 0x400);
  CHECK_EQ(TRY(user(user_syscall)), UD); // EFER.SCE
  wrmsr(EFER, rdmsr(EFER) | 1);
  CHECK_EQ(TRY(user(user_syscall)), USER_DONE);
  CHECK_EQ(seen_cs, K_CODE);
  CHECK_EQ(seen_ss, K_DATA);
  CHECK_EQ(seen_r11 & 0x401, 0x401);
  CHECK_EQ(seen_flags & 0x401, 1); // DF masked, CF not
  CHECK_EQ(last.cx, seen_cx);
  CHECK_EQ(last.bx, 0x5a5a);
  CHECK_EQ(last.si, U_CODE);
  CHECK_EQ(last.di, U_DATA);
  CHECK_EQ(last.dx & 0x401, 0x401); // back from R11
  CHECK_EQ(TRY(user(user_sysret)), GP);
  CHECK_EQ(TRY(wrmsr(LSTAR, 0x800000000000)), GP);
  uint32_t r[4];
  cpuid(0, 0, r);
  // AMD processors have no SYSENTER in long mode
  wrmsr(0x174, K_CODE);
  wrmsr(0x175, 0x200000);
  wrmsr(0x176, (word)sysenter_entry);
  if (r[1] == 0x68747541)
    CHECK_EQ(TRY(user(user_sysenter)), UD);
  // SWAPGS
  wrmsr(GS_BASE, 0x1111);
  wrmsr(KERNEL_GS, 0x2222);
  asm volatile("swapgs");
  CHECK_EQ(rdmsr(GS_BASE), 0x2222);
  CHECK_EQ(rdmsr(KERNEL_GS), 0x1111);
  CHECK_EQ(TRY(wrmsr(FS_BASE, 0x8000000000000000)), GP);
  // a selector loads 32 bits of base, a null selector none
  wrmsr(FS_BASE, 0x123456789000);
  asm volatile("mov %w0, %%fs" ::"r"(K_DATA));
  CHECK_EQ(rdmsr(FS_BASE), 0);
  // the instructions, when CR4 allows them
  CHECK_EQ(TRY(user(user_base)), UD);
  write_cr4(read_cr4() | 1 << 16);
  CHECK_EQ(TRY(user(user_base)), USER_DONE);
  CHECK_EQ(last.bx, 0x12345678);
  CHECK_EQ(rdmsr(FS_BASE), 0x12345678);
  CHECK_EQ(TRY(asm volatile("wrgsbase %0" ::"r"(0x8000000000000000))), GP);
  // data by FS
  static word there = 0x77;
  word v;
  wrmsr(FS_BASE, (word)&there - 0x100);
  asm volatile("mov %%fs:0x100, %0" : "=r"(v));
  CHECK_EQ(v, 0x77);
}
