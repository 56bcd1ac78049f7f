// Faults name the instruction, carry the right error code, and leave registers as they were. APM2 8.2, 8.4.
#include "rt.h"

// The instruction at `label`, alone in a TRY, faulted: the saved pointer is its own.
#define FAULTS(vec, code, text, ...)                                                                         \
  do {                                                                                                       \
    word at_;                                                                                                \
    CHECK_EQ(TRY(asm volatile("lea 1f(%%rip), %%rdi; mov %%rdi, %0; mov $0x1111, %%esi; 1: " text            \
                              : "=m"(at_)                                                                    \
                              : __VA_ARGS__                                                                  \
                              : "rdi", "rsi", "memory", "cc")),                                              \
             vec);                                                                                           \
    CHECK_EQ(last.error, code);                                                                              \
    CHECK_EQ(last.ip, at_);                                                                                  \
    CHECK_EQ(last.si, 0x1111);                                                                               \
    CHECK_EQ(last.cs, K_CODE);                                                                               \
  } while (0)

static const uint64_t bad_pointer = 0x8000000000000000;
static struct {
  uint32_t off;
  uint16_t sel;
} __attribute__((packed)) far_free = {0, GDT_FREE}, far_data = {0, K_DATA}, far_outside = {0, 0x1000},
                          far_null = {0, 0};

static void selectors(void)
{
  gdt[GDT_FREE / 8] = descriptor(0, 0xfffff, 0x13, 0xc); // data, not present
  FAULTS(NP, GDT_FREE, "mov %w1, %%ds", "a"(GDT_FREE));
  FAULTS(SS, GDT_FREE, "mov %w1, %%ss", "a"(GDT_FREE));
  FAULTS(GP, 0x1000, "mov %w1, %%es", "a"(0x1000)); // beyond the limit
  FAULTS(GP, 0x1004, "mov %w1, %%es", "a"(0x1007)); // in an LDT that there is not; RPL is no part of it
  FAULTS(GP, K_CODE, "mov %w1, %%ss", "a"(K_CODE));
  FAULTS(GP, K_DATA, "mov %w1, %%ss", "a"(K_DATA | 3)); // RPL
  FAULTS(GP, 0, "lcall *%1", "m"(far_null));
  FAULTS(GP, K_DATA, "lcall *%1", "m"(far_data));
  FAULTS(GP, 0x1000, "ljmp *%1", "m"(far_outside));
  gdt[GDT_FREE / 8] = descriptor(0, 0xfffff, 0x1b, 0xa); // code, not present
  FAULTS(NP, GDT_FREE, "ljmp *%1", "m"(far_free));
  FAULTS(GP, K_DATA, "ltr %w1", "a"(K_DATA));
  FAULTS(GP, K_DATA, "lldt %w1", "a"(K_DATA));
}

static void interrupts(void)
{
  idt_set(0x40, idt_stub(0x40), K_CODE, 0x0e, 0); // not present
  FAULTS(NP, 0x40 * 8 + 2, "int $0x40", "a"(0));
  idt_set(0x40, idt_stub(0x40), K_CODE, 0x85, 0); // not a gate
  FAULTS(GP, 0x40 * 8 + 2, "int $0x40", "a"(0));
  idt_set(0x40, idt_stub(0x40), K_DATA, 0x8e, 0);
  FAULTS(GP, K_DATA, "int $0x40", "a"(0));
  idt_set(0x40, bad_pointer, K_CODE, 0x8e, 0);
  FAULTS(GP, 0, "int $0x40", "a"(0));
}

void test(void)
{
  FAULTS(UD, 0, "ud2", "a"(0));
  FAULTS(DE, 0, "div %%ecx", "a"(1), "d"(0), "c"(0));
  CHECK_EQ(last.ax, 1);
  FAULTS(DE, 0, "idiv %%cl", "a"(0x8000), "c"(0xff));
  FAULTS(GP, 0, "mov (%1), %%rsi", "r"(bad_pointer));
  FAULTS(GP, 0, "mov %1, %%cr0", "r"(1ull << 32 | read_cr0()));
  FAULTS(GP, 0, "mov %1, %%cr0", "r"(read_cr0() & ~1ull));    // PG without PE
  FAULTS(GP, 0, "mov %1, %%cr4", "r"(read_cr4() & ~0x20ull)); // PAE in long mode
  FAULTS(GP, 0, "mov %1, %%cr8", "r"(16ull));
  FAULTS(GP, 0, "wrmsr", "c"(0xc0000080), "a"(1 << 1), "d"(0)); // reserved bits of EFER
  FAULTS(GP, 0, "rdmsr", "c"(0x12345678));
  FAULTS(UD, 0, "mov %%cr5, %%rax", "a"(0));
  CHECK_EQ(TRY(asm volatile("push %%rbp; mov %0, %%rbp; mov (%%rbp), %%rax; pop %%rbp" ::"r"(bad_pointer)
                            : "rax")),
           SS);
  CHECK_EQ(last.error, 0);
  // a page fault in the middle of a string instruction: what is done stays done
  uint8_t *page = page_new();
  map(0x8000000000, (uint64_t)page | PT_P | PT_W);
  CHECK_EQ(TRY(asm volatile("rep stosb" ::"D"(0x8000000ff0), "c"(32), "a"(0x5a) : "memory")), PF);
  CHECK_EQ(last.cx, 16);
  CHECK_EQ(last.di, 0x8000001000);
  CHECK_EQ(last_cr2, 0x8000001000);
  CHECK_EQ(last.error, PF_W);
  CHECK_EQ(page[0xfff], 0x5a);
  CHECK(last.flags >> 16 & 1); // RF, so that an instruction breakpoint does not repeat
  // a write that crosses into the missing page writes nothing
  page[0xffc] = 7;
  CHECK_EQ(TRY(*(volatile uint64_t *)0x8000000ffc = 0), PF);
  CHECK_EQ(page[0xffc], 7);
  CHECK_EQ(last_cr2, 0x8000001000);
  interrupts();
  // PUSH to a page that is not there leaves RSP
  static uint8_t stack[4096];
  tss.ist[0] = (word)stack + sizeof stack;
  idt_set(PF, idt_stub(PF), K_CODE, 0x8e, 1);
  CHECK_EQ(TRY(asm volatile("mov %0, %%rsp; push %%rax" ::"r"(0x8000001008))), PF);
  CHECK_EQ(last.sp, 0x8000001008);
  gdt[GDT_FREE / 8] = 0;
  selectors();
}
