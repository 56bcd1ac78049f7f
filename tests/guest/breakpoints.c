// Breakpoints on instructions, data and ports: when they come, what DR6 says, RF, GD, MOV SS. APM2 13.1.
#include "rt.h"

static volatile unsigned hits;
static word at, dr6_seen, flags_seen;
static volatile uint64_t data[2] __attribute__((aligned(16)));

static void on_db(struct frame *f)
{
  hits++;
  at = f->ip;
  dr6_seen = read_dr6();
  flags_seen = f->flags;
  write_dr6(0);
  f->flags |= 1 << 16; // RF
}

static volatile unsigned irqs;
static void on_irq(struct frame *f)
{
  irqs++;
  eoi();
}

static void set(word address, unsigned kind, unsigned len)
{
  write_dr7(0x400);
  write_dr0(address);
  write_dr7(0x400 | 2 | kind << 16 | len << 18);
  hits = 0;
}

enum { EXEC = 0, WRITE = 1, IO = 2, ACCESS = 3 };

void test(void)
{
  word here, after;
  handler[DB] = on_db;
  write_dr6(0);
  // before the instruction, once
  asm volatile(
      "lea 1f(%%rip), %%rax; mov %%rax, %%dr0; mov $0x402, %%eax; mov %%rax, %%dr7; xor %%ecx, %%ecx;"
      "1: inc %%ecx; lea 1b(%%rip), %0; mov %%ecx, %k1"
      : "=r"(here), "=r"(after)::"rax", "rcx", "cc");
  CHECK_EQ(hits, 1);
  CHECK_EQ(at, here);
  CHECK_EQ(after, 1);
  CHECK_EQ(dr6_seen & 0xf, 1);
  CHECK_EQ(flags_seen >> 16 & 1, 0);
  // the instruction after MOV SS: an instruction breakpoint is no trap, and comes
  hits = 0;
  asm volatile("lea 1f(%%rip), %%rax; mov %%rax, %%dr0; mov %%ss, %%eax; mov %%eax, %%ss; 1: nop" ::: "rax");
  CHECK_EQ(hits, 1);

  // the shadow of STI holds while breakpoints are armed
  apic_write(A_SVR, 0x1ff);
  handler[0x61] = on_irq;
  apic_write(A_ICR, 0x40061);
  asm volatile("sti; cli; nop");
  CHECK_EQ(irqs, 0);
  asm volatile("sti; nop; cli");
  CHECK_EQ(irqs, 1);

  // data: after the instruction
  set((word)data, WRITE, 2); // 8 bytes
  (void)data[0];
  CHECK_EQ(hits, 0);
  asm volatile("movb $1, 7(%1); 1: lea 1b(%%rip), %0" : "=r"(after) : "r"(data) : "memory");
  CHECK_EQ(hits, 1);
  CHECK_EQ(at, after);
  data[1] = 1;
  CHECK_EQ(hits, 1);
  asm volatile("movl $1, -2(%0)" ::"r"(data + 1) : "memory"); // overlaps
  CHECK_EQ(hits, 2);
  set((word)data, ACCESS, 0);
  (void)*(volatile uint8_t *)data;
  CHECK_EQ(hits, 1);
  (void)*((volatile uint8_t *)data + 1);
  CHECK_EQ(hits, 1);
  // REP: after the iteration that hits
  set((word)data + 2, WRITE, 0);
  word left;
  asm volatile("rep stosb; 1:" : "=c"(left) : "0"(8), "D"(data), "a"(0) : "memory");
  CHECK_EQ(hits, 1);
  CHECK_EQ(left, 0);
  // MOV SS from a watched place: the trap comes after the next instruction
  *(volatile uint16_t *)data = K_DATA;
  set((word)data, ACCESS, 1);
  asm volatile("mov %1, %%ss; nop; 1: lea 1b(%%rip), %0" : "=r"(after) : "m"(*(volatile uint16_t *)data));
  CHECK_EQ(hits, 1);
  CHECK_EQ(at, after);
  // an instruction that faults has not hit
  set((word)data, WRITE, 2);
  CHECK_EQ(TRY(asm volatile("lock cmpxchg16b %0"
                            : "+m"(*(volatile uint8_t *)((word)data + 8))::"rax", "rdx", "cc")),
           GP);
  CHECK_EQ(hits, 0);

  // ports, with CR4.DE
  write_cr4(read_cr4() | 8);
  set(0x80, IO, 0);
  outb(0x80, 0);
  CHECK_EQ(hits, 1);
  inb(0x81);
  CHECK_EQ(hits, 1);
  CHECK_EQ(TRY(asm volatile("mov %%dr4, %%rax" ::: "rax")), UD);
  write_cr4(read_cr4() & ~8ull);
  write_dr7(0x400);
  CHECK_EQ(TRY(asm volatile("mov %%dr4, %%rax" ::: "rax")), NONE);

  // general detect: a fault on MOV DR, and the handler finds it off
  handler[DB] = NULL;
  write_dr7(0x2400);
  CHECK_EQ(TRY(write_dr0(0)), DB);
  CHECK(read_dr6() & 1 << 13);
  CHECK_EQ(read_dr7(), 0x400);
  CHECK_EQ(TRY(write_dr6(1ull << 32)), GP);
  CHECK_EQ(TRY(write_dr7(1ull << 32)), GP);
}
