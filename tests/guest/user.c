// What privilege 3 may do: privileged instructions, ports by IOPL and bitmap, CR4's TSD, PCE and UMIP,
// alignment checks. APM2 4.9, 12.2.4, 8.2.17.
#include "rt.h"

#define U(name, text)                                                                                        \
  USER static void name(void)                                                                                \
  {                                                                                                          \
    asm volatile(text "; int $0x80");                                                                        \
  }
U(u_hlt, "hlt")
U(u_cli, "cli")
U(u_clts, "clts")
U(u_invd, "invd")
U(u_wbinvd, "wbinvd")
U(u_invlpg, "invlpg (%rax)")
U(u_rdmsr, "mov $0x10, %ecx; rdmsr")
U(u_cr, "mov %cr0, %rax")
U(u_dr, "mov %dr7, %rax")
U(u_lgdt, "lgdt -64(%rsp)")
U(u_lmsw, "lmsw %ax")
U(u_swapgs, "swapgs")
U(u_sgdt, "sgdt -64(%rsp)")
U(u_sidt, "sidt -64(%rsp)")
U(u_sldt, "sldt %eax")
U(u_str, "str %eax")
U(u_smsw, "smsw %eax")
U(u_rdtsc, "rdtsc")
U(u_rdpmc, "xor %ecx, %ecx; rdpmc")
U(u_in, "mov $0x80, %edx; in %dx, %al")
U(u_in_word, "mov $0x80, %edx; in %dx, %ax")
U(u_popf, "pushf; orl $0x3200, (%rsp); popf; pushf; pop %rbx")
U(u_sti, "sti; pushf; pop %rbx; cli")
U(u_aligned,
  "pushf; orl $0x40000, (%rsp); popf; mov -64(%rsp), %rax; mov -63(%rsp), %al; movups -64(%rsp), %xmm0")
U(u_unaligned, "pushf; orl $0x40000, (%rsp); popf; mov -63(%rsp), %eax")
U(u_unaligned_sse, "pushf; orl $0x40000, (%rsp); popf; movups -60(%rsp), %xmm0")
U(u_unaligned_no_ac, "mov -63(%rsp), %eax")

#define RUNS(f) CHECK_EQ(TRY(user(f)), USER_DONE)
#define FAULTS(f)                                                                                            \
  do {                                                                                                       \
    CHECK_EQ(TRY(user(f)), GP);                                                                              \
    CHECK_EQ(last.error, 0);                                                                                 \
  } while (0)

// int $0x80 comes with TF, IF and IOPL as user code left them; a frame made by hand sets IOPL.
static void __attribute__((noreturn)) with_iopl3(void (*ip)(void))
{
  extern uint8_t rt_user_stack_top[];
  asm volatile("push %0; push %1; push $0x3002; push %2; push %3; iretq" ::"i"(U_DATA),
               "r"(rt_user_stack_top), "i"(U_CODE), "r"(ip));
  __builtin_unreachable();
}

void test(void)
{
  enum { TSD = 4, PCE = 1 << 8, UMIP = 1 << 11, AM = 1 << 18 };
  FAULTS(u_hlt);
  FAULTS(u_cli);
  FAULTS(u_clts);
  FAULTS(u_invd);
  FAULTS(u_wbinvd);
  FAULTS(u_invlpg);
  FAULTS(u_rdmsr);
  FAULTS(u_cr);
  FAULTS(u_dr);
  FAULTS(u_lgdt);
  FAULTS(u_lmsw);
  FAULTS(u_swapgs);
  RUNS(u_sgdt);
  RUNS(u_sidt);
  RUNS(u_sldt);
  RUNS(u_str);
  RUNS(u_smsw);
  uint32_t r[4];
  cpuid(7, 0, r);
  if (r[2] >> 2 & 1) {
    write_cr4(read_cr4() | UMIP);
    FAULTS(u_sgdt);
    FAULTS(u_sidt);
    FAULTS(u_sldt);
    FAULTS(u_str);
    FAULTS(u_smsw);
    write_cr4(read_cr4() & ~(word)UMIP);
  }
  RUNS(u_rdtsc);
  write_cr4(read_cr4() | TSD);
  FAULTS(u_rdtsc);
  write_cr4(read_cr4() & ~(word)TSD);
  FAULTS(u_rdpmc);
  write_cr4(read_cr4() | PCE);
  RUNS(u_rdpmc);
  // ports
  FAULTS(u_in);
  tss.bitmap[0x80 / 8] = 0xfe;
  RUNS(u_in);
  FAULTS(u_in_word); // the second byte's bit
  tss.bitmap[0x80 / 8] = 0xfc;
  RUNS(u_in_word);
  tss.bitmap[0x80 / 8] = 0xff;
  CHECK_EQ(TRY(with_iopl3(u_in)), USER_DONE);
  CHECK_EQ(TRY(with_iopl3(u_sti)), USER_DONE);
  CHECK(last.bx & 0x200);
  RUNS(u_popf); // keeps IF and IOPL, without a fault
  CHECK_EQ(last.bx & 0x3200, 0);
  // alignment: CR0.AM, RFLAGS.AC and privilege 3 together
  RUNS(u_unaligned);
  write_cr0(read_cr0() | AM);
  RUNS(u_unaligned_no_ac);
  RUNS(u_aligned);
  CHECK_EQ(TRY(user(u_unaligned)), AC);
  CHECK_EQ(last.error, 0);
  CHECK_EQ(TRY(user(u_unaligned_sse)), AC);
  word v;
  asm volatile("pushf; orl $0x40000, (%%rsp); popf; mov -63(%%rsp), %0; pushf; andl $~0x40000, (%%rsp); popf"
               : "=r"(v)::"memory", "cc");
}
