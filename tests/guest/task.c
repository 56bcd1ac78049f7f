// Task switches by JMP, CALL, IRET, INT through task gates and for double faults: what is saved, loaded,
// linked and marked busy. APM2 12.
#include "rt.h"

enum { T1 = GDT_FREE, GATE = GDT_FREE + 8 };

static struct tss other;
static uint8_t stack[4096] __attribute__((aligned(16)));
static volatile unsigned runs;
static volatile word seen_link, seen_flags, seen_error;

static void start(void (*ip)(void))
{
  for (unsigned i = 0; i < sizeof other; i++)
    ((volatile uint8_t *)&other)[i] = 0;
  other.cr3 = read_cr3();
  other.eip = (word)ip;
  other.eflags = 2;
  other.esp = (word)stack + sizeof stack;
  other.cs = K_CODE;
  other.ss = other.ds = other.es = K_DATA;
  other.ebx = 0x1234;
  other.iomap = sizeof other;
  gdt[T1 / 8] = descriptor((uint32_t)&other, sizeof other - 1, 0x89, 0);
}
static unsigned busy(unsigned sel)
{
  return gdt[sel / 8] >> 41 & 1;
}
static uint16_t tr(void)
{
  uint16_t v;
  asm volatile("str %0" : "=r"(v));
  return v;
}

static const struct {
  uint32_t off;
  uint16_t sel;
} __attribute__((packed)) to_task = {0, T1}, to_gate = {0, GATE}, back = {0, TSS_SEL};

static void body_call(void)
{
  for (;;) {
    runs++;
    seen_link = other.link;
    seen_flags = flags();
    CHECK_EQ(tr(), T1);
    asm volatile("iret");
  }
}
static void body_jmp(void)
{
  runs++;
  seen_flags = flags();
  asm volatile("ljmp *%0" ::"m"(back));
}
// The double fault's task: the error code is on its stack.
void df_body(void);
asm("df_body: pop seen_error; incl runs; pushf; andl $~0x4000, (%esp); popf; push $rt_env; call rt_back");

void test(void)
{
  word sp;
  asm volatile("" : "+m"(seen_error));
  // CALL and IRET
  start(body_call);
  asm volatile("mov %%esp, %0" : "=r"(sp));
  asm volatile("mov $0x77, %%ebx; lcall *%0" ::"m"(to_task) : "ebx", "memory");
  CHECK_EQ(runs, 1);
  CHECK_EQ(seen_link, TSS_SEL);
  CHECK_EQ(seen_flags & 0x4000, 0x4000); // NT
  CHECK_EQ(flags() & 0x4000, 0);
  CHECK_EQ(tr(), TSS_SEL);
  CHECK_EQ(busy(TSS_SEL), 1);
  CHECK_EQ(busy(T1), 0);
  CHECK_EQ(tss.ebx, 0x77); // the old task's registers were saved
  CHECK_EQ(tss.cs, K_CODE);
  CHECK(read_cr0() & 8); // TS
  asm volatile("clts");
  // it goes on behind its IRET
  asm volatile("lcall *%0" ::"m"(to_task) : "memory");
  CHECK_EQ(runs, 2);
  // JMP, no link, through a task gate
  gdt[GATE / 8] = (uint64_t)T1 << 16 | 0x85ull << 40;
  start(body_jmp);
  asm volatile("ljmp *%0" ::"m"(to_gate) : "memory");
  CHECK_EQ(runs, 3);
  CHECK_EQ(seen_flags & 0x4000, 0);
  CHECK_EQ(other.link, 0);
  CHECK_EQ(busy(T1), 0);
  // a task gate as interrupt
  start(body_call);
  idt_set(0x50, 0, T1, 0x85, 0);
  asm volatile("int $0x50" ::: "memory");
  CHECK_EQ(runs, 4);
  CHECK_EQ(seen_link, TSS_SEL);
  // what is refused
  gdt[T1 / 8] |= 2ull << 40; // busy
  CHECK_EQ(TRY(asm volatile("lcall *%0" ::"m"(to_task))), GP);
  CHECK_EQ(last.error, T1);
  gdt[T1 / 8] = descriptor((uint32_t)&other, 0x66, 0x89, 0); // too short
  CHECK_EQ(TRY(asm volatile("lcall *%0" ::"m"(to_task))), TS);
  CHECK_EQ(last.error, T1);
  gdt[T1 / 8] = descriptor((uint32_t)&other, 0x67, 0x09, 0);
  CHECK_EQ(TRY(asm volatile("lcall *%0" ::"m"(to_task))), NP);
  CHECK_EQ(last.error, T1);
  // a bad segment in the new task: #TS, in the new task
  start(body_call);
  other.ds = 0x1000;
  handler[TS] = NULL;
  CHECK_EQ(TRY(asm volatile("lcall *%0" ::"m"(to_task))), TS);
  CHECK_EQ(last.error, 0x1000);
  CHECK_EQ(last.ip, (word)body_call);
  CHECK_EQ(tr(), T1);
  gdt[TSS_SEL / 8] &= ~(2ull << 40);
  asm volatile("pushf; andl $~0x4000, (%%esp); popf; ltr %w0" ::"r"(TSS_SEL) : "cc");
  // the trap bit: a debug exception before the task's first instruction
  start(body_jmp);
  other.trap = 1;
  write_dr6(0);
  CHECK_EQ(TRY(asm volatile("ljmp *%0" ::"m"(to_task))), DB);
  CHECK(read_dr6() & 1 << 15);
  CHECK_EQ(last.ip, (word)body_jmp);
  gdt[TSS_SEL / 8] &= ~(2ull << 40);
  gdt[T1 / 8] &= ~(2ull << 40);
  asm volatile("ltr %w0" ::"r"(TSS_SEL));
  // double fault by a task of its own
  start(df_body);
  idt_set(DF, 0, T1, 0x85, 0);
  runs = 0;
  seen_error = 1;
  // PUSH below the limit of an expand-down stack: #SS, whose own pushes fail too
  gdt[GATE / 8] = descriptor(0, 0xffff, 0x97, 4);
  if (!rt_set(&rt_env))
    asm volatile("mov %w0, %%ss; mov $0x1000, %%esp; push %%eax" ::"r"(GATE));
  CHECK_EQ(runs, 1);
  CHECK_EQ(seen_error, 0);
}
