// The runtime of the bare-metal tests: what an image may call. An image is one .c file with `void
// test(void)`; it passes by returning. -m64 images start in long mode, -m32 images in protected mode without
// paging; both with interrupts off and memory mapped one to one. They also run on silicon, from any multiboot
// loader; there COM1 tells the outcome.
#ifndef GUEST_RT_H
#define GUEST_RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io.h"

typedef unsigned long word; // as wide as a general register

void test(void);

// ---- outcome ----

void fail(const char *where, const char *what, uint64_t have, uint64_t want) __attribute__((noreturn));
void pass(void) __attribute__((noreturn));
void print(const char *s);
void print_hex(uint64_t v);

#define STR2(x) #x
#define STR(x)  STR2(x)
#define HERE    __FILE__ ":" STR(__LINE__)
#define CHECK(cond)                                                                                          \
  do {                                                                                                       \
    if (!(cond))                                                                                             \
      fail(HERE, #cond, 0, 1);                                                                               \
  } while (0)
#define CHECK_EQ(a, b)                                                                                       \
  do {                                                                                                       \
    uint64_t have_ = (uint64_t)(a), want_ = (uint64_t)(b);                                                   \
    if (have_ != want_)                                                                                      \
      fail(HERE, #a " is " #b, have_, want_);                                                                \
  } while (0)

// ---- exceptions and interrupts ----

struct frame {
#ifdef __x86_64__
  word r15, r14, r13, r12, r11, r10, r9, r8, di, si, bp, dx, cx, bx, ax;
#else
  word di, si, bp, unused, bx, dx, cx, ax;
#endif
  word vector, error;         // error is 0 for vectors without
  word ip, cs, flags, sp, ss; // -m32: sp and ss only if the privilege changed
};

enum {
  DE,
  DB,
  NMI,
  BP,
  OF,
  BR,
  UD,
  NM,
  DF,
  TS = 10,
  NP,
  SS,
  GP,
  PF,
  MF = 16,
  AC,
  MC,
  XF,
  USER_DONE = 0x80, // what user code ends with: int $0x80
  NONE = 0x100
};

extern void (*volatile handler[256])(struct frame *); // returns by IRET with the frame as it then is
extern struct frame last;                             // of the event that ended TRY
extern word last_cr2;

struct jump_env {
  word r[8];
};
int rt_set(struct jump_env *e) __attribute__((returns_twice));
void rt_back(struct jump_env *e) __attribute__((noreturn));
extern struct jump_env rt_env;
extern volatile bool rt_armed;

// Runs a statement; the vector of the exception that ended it, or NONE.
#define TRY(...)                                                                                             \
  ({                                                                                                         \
    last.vector = NONE;                                                                                      \
    if (!rt_set(&rt_env)) {                                                                                  \
      rt_armed = true;                                                                                       \
      __VA_ARGS__;                                                                                           \
      rt_armed = false;                                                                                      \
    }                                                                                                        \
    (unsigned)last.vector;                                                                                   \
  })

// Privilege 3 from `ip` on, with a stack of its own; ends by an exception or int $0x80. Never returns: use
// it inside TRY. Code and data that it touches are marked USER or USER_DATA.
void user(void (*ip)(void)) __attribute__((noreturn));
#define USER      __attribute__((section(".user.text"), noinline, used))
#define USER_DATA __attribute__((section(".user.data"), used))
#define USER_END  asm volatile("int $0x80")

// Vectors go here; every gate is an interrupt gate of privilege 0, but that of int $0x80.
void idt_set(unsigned vector, word offset, unsigned selector, unsigned attr, unsigned ist);
word idt_stub(unsigned vector);
extern uint64_t idt[];

// ---- segments ----

#ifdef __x86_64__
enum {
  K_CODE = 0x08,
  K_DATA = 0x10,
  U_CODE32 = 0x1b,
  U_DATA = 0x23,
  U_CODE = 0x2b,
  K_CODE32 = 0x30,
  K_CODE16 = 0x38,
  K_DATA16 = 0x40,
  TSS_SEL = 0x48,
  GDT_FREE = 0x58
};
struct tss {
  uint32_t reserved;
  uint64_t rsp[3], reserved2, ist[7], reserved3;
  uint16_t reserved4, iomap;
  uint8_t bitmap[8193];
} __attribute__((packed));
#else
enum {
  K_CODE = 0x08,
  K_DATA = 0x10,
  U_CODE = 0x1b,
  U_DATA = 0x23,
  K_CODE16 = 0x28,
  K_DATA16 = 0x30,
  TSS_SEL = 0x38,
  GDT_FREE = 0x40
};
struct tss {
  uint16_t link, pad0;
  uint32_t esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi, es, cs,
      ss, ds, fs, gs, ldt;
  uint16_t trap, iomap;
  uint8_t bitmap[8193];
} __attribute__((packed));
#endif
extern uint64_t gdt[];
extern struct tss tss;
// byte5: P, DPL, S, type; flags: G, D/B, L, AVL in bits 3:0
uint64_t descriptor(uint32_t base, uint32_t limit, unsigned byte5, unsigned flags);

// ---- memory ----

enum { PT_P = 1, PT_W = 2, PT_U = 4, PT_PWT = 8, PT_PCD = 16, PT_A = 32, PT_D = 64, PT_PS = 128, PT_G = 256 };
#define PT_NX (1ull << 63)
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16, PF_PK = 32 };

void *page_new(void); // 4 KB of zeros, from 16 MB on
#ifdef __x86_64__
// The entry that maps va at a level (1: 4 KB, 2: 2 MB, 3: 1 GB); tables above it are made, with P, W, U.
uint64_t *pt_entry(uint64_t va, unsigned level);
void map(uint64_t va, uint64_t entry); // 4 KB
#endif

// ---- the rest of the processor ----

#define GETTER(name, type)                                                                                   \
  static inline word read_##name(void)                                                                       \
  {                                                                                                          \
    word v;                                                                                                  \
    asm volatile("mov %%" #name ", %0" : "=r"(v)::"memory");                                                 \
    return v;                                                                                                \
  }                                                                                                          \
  static inline void write_##name(word v)                                                                    \
  {                                                                                                          \
    asm volatile("mov %0, %%" #name ::"r"(v) : "memory");                                                    \
  }
GETTER(cr0, word)
GETTER(cr2, word)
GETTER(cr3, word)
GETTER(cr4, word)
GETTER(dr0, word)
GETTER(dr1, word)
GETTER(dr6, word)
GETTER(dr7, word)
#ifdef __x86_64__
GETTER(cr8, word)
#endif

static inline uint64_t rdmsr(uint32_t n)
{
  uint32_t lo, hi;
  asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(n) : "memory");
  return lo | (uint64_t)hi << 32;
}
static inline void wrmsr(uint32_t n, uint64_t v)
{
  asm volatile("wrmsr" ::"c"(n), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}
static inline uint64_t rdtsc(void)
{
  uint32_t lo, hi;
  asm volatile("rdtsc" : "=a"(lo), "=d"(hi)::"memory");
  return lo | (uint64_t)hi << 32;
}
static inline void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
  asm volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(sub));
}
static inline void invlpg(uint64_t va)
{
  asm volatile("invlpg (%0)" ::"r"((word)va) : "memory");
}
static inline void sti(void)
{
  asm volatile("sti; nop" ::: "memory");
}
static inline void cli(void)
{
  asm volatile("cli" ::: "memory");
}
static inline word flags(void)
{
  word f;
  asm volatile("pushf; pop %0" : "=r"(f)::"memory");
  return f;
}

// ---- local APIC in xAPIC mode ----

#define LAPIC 0xfee00000u
enum {
  A_ID = 0x20,
  A_TPR = 0x80,
  A_PPR = 0xa0,
  A_EOI = 0xb0,
  A_SVR = 0xf0,
  A_ISR = 0x100,
  A_IRR = 0x200,
  A_ESR = 0x280,
  A_ICR = 0x300,
  A_ICR2 = 0x310,
  A_TIMER = 0x320,
  A_LINT0 = 0x350,
  A_INITIAL = 0x380,
  A_CURRENT = 0x390,
  A_DIVIDE = 0x3e0
};
static inline uint32_t apic_read(unsigned reg)
{
  return *(volatile uint32_t *)(word)(LAPIC + reg);
}
static inline void apic_write(unsigned reg, uint32_t v)
{
  *(volatile uint32_t *)(word)(LAPIC + reg) = v;
}
static inline void eoi(void)
{
  apic_write(A_EOI, 0);
}

#ifndef __x86_64__
struct real_regs {
  uint32_t ax, bx, cx, dx, si, di, flags;
};
// Runs 16-bit code in real mode; see real.S. Name it with CODE16.
void real(const void *code, unsigned size, struct real_regs *r);
// Defines code for real() by its text: name ... name_end; addresses of labels are as at 7000h with AT(label).
#define CODE16(name, text)                                                                                   \
  asm(".text\n.code16\n.globl " #name ", " #name "_end\n" #name ":\n.set ORG, " #name " - 0x7000\n" text     \
      "\n" #name "_end:\n.code32");                                                                          \
  extern uint8_t name[], name##_end[]
#define REAL(name, regs) real(name, (unsigned)(name##_end - name), regs)
#endif

#ifdef __x86_64__
// The multiboot information; where its bit 2 is set, the command line's address is at 16.
extern uint32_t rt_multiboot;
// Starts the processor with this APIC ID at fn, on a stack of its own and with this IDT, GDT and CR3. It may
// call CHECK, but not TRY.
void ap_start(unsigned apic_id, void (*fn)(void));
#endif

#endif
