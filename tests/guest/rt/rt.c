// The common part of the runtime: outcome, exceptions, descriptors, memory. See rt.h.
#include "rt.h"

enum { COM1 = 0x3f8, DEBUG_EXIT = 0xf4, PASSED = 0x10, FAILED = 0x11 };

void (*volatile handler[256])(struct frame *);
struct frame last;
word last_cr2;
struct jump_env rt_env;
volatile bool rt_armed;
struct tss tss;
extern uint8_t rt_vectors[], rt_user_stack_top[], rt_stack0_top[];

void print(const char *s)
{
  for (; *s; s++) {
    for (unsigned n = 0; !(inb(COM1 + 5) & 0x20) && n < 100000; n++)
      ;
    outb(COM1, (uint8_t)*s);
  }
}

void print_hex(uint64_t v)
{
  char s[17];
  for (int i = 15; i >= 0; i--, v >>= 4)
    s[i] = "0123456789abcdef"[v & 15];
  s[16] = 0;
  unsigned skip = 0;
  while (skip < 15 && s[skip] == '0')
    skip++;
  print(s + skip);
}

static void __attribute__((noreturn)) end(unsigned code)
{
  outl(DEBUG_EXIT, code);
  for (;;)
    asm volatile("cli; hlt");
}

void pass(void)
{
  print("PASS\n");
  end(PASSED);
}

void fail(const char *where, const char *what, uint64_t have, uint64_t want)
{
  print("FAIL ");
  print(where);
  print(": ");
  print(what);
  print(": ");
  print_hex(have);
  print(", should be ");
  print_hex(want);
  print("\nlast event: vector ");
  print_hex(last.vector);
  print(" error ");
  print_hex(last.error);
  print(" at ");
  print_hex(last.ip);
  print(" CR2 ");
  print_hex(last_cr2);
  print("\n");
  end(FAILED);
}

// From the vectors' common part.
void rt_event(struct frame *f)
{
  if (f->vector < 256 && handler[f->vector]) {
    handler[f->vector](f);
    return;
  }
  last = *f;
  last_cr2 = read_cr2();
  if (rt_armed) {
    rt_armed = false;
    rt_back(&rt_env);
  }
  fail("rt.c", "an event that nobody expected: vector", f->vector, NONE);
}

word idt_stub(unsigned vector)
{
  return (word)rt_vectors + vector * 16;
}

void idt_set(unsigned vector, word offset, unsigned selector, unsigned attr, unsigned ist)
{
  uint64_t low = (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)ist << 32 | (uint64_t)attr << 40 |
                 (uint64_t)(offset >> 16 & 0xffff) << 48;
#ifdef __x86_64__
  idt[2 * vector] = low;
  idt[2 * vector + 1] = offset >> 32;
#else
  idt[vector] = low;
#endif
}

uint64_t descriptor(uint32_t base, uint32_t limit, unsigned byte5, unsigned flag_bits)
{
  return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)byte5 << 40 |
         (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)flag_bits << 52 | (uint64_t)(base >> 24) << 56;
}

void *page_new(void)
{
  static word next = 16 << 20;
  uint64_t *p = (uint64_t *)next;
  next += 4096;
  for (unsigned i = 0; i < 512; i++)
    p[i] = 0;
  return p;
}

#ifdef __x86_64__
uint64_t *pt_entry(uint64_t va, unsigned level)
{
  uint64_t *table = (uint64_t *)(read_cr3() & ~0xfffull);
  for (unsigned l = 4;; l--) {
    uint64_t *e = &table[va >> (12 + 9 * (l - 1)) & 511];
    if (l == level)
      return e;
    if (!(*e & PT_P))
      *e = (uint64_t)page_new() | PT_P | PT_W | PT_U;
    table = (uint64_t *)(*e & 0xffffffffff000);
  }
}

void map(uint64_t va, uint64_t entry)
{
  *pt_entry(va, 1) = entry;
  invlpg(va);
}
#endif

static void load_tables(void)
{
  struct {
    uint16_t limit;
    word base;
  } __attribute__((packed)) d = {256 * 2 * sizeof(word) - 1, (word)idt};
  for (unsigned v = 0; v < 256; v++)
    idt_set(v, idt_stub(v), K_CODE, v == USER_DONE ? 0xee : 0x8e, 0);
  asm volatile("lidt %0" ::"m"(d));
  gdt[TSS_SEL / 8] = descriptor((uint32_t)(word)&tss, sizeof tss - 1, 0x89, 0);
#ifdef __x86_64__
  tss.rsp[0] = (word)rt_stack0_top;
#else
  tss.esp0 = (word)rt_stack0_top;
  tss.ss0 = K_DATA;
#endif
  tss.iomap = offsetof(struct tss, bitmap);
  for (unsigned i = 0; i < sizeof tss.bitmap; i++)
    tss.bitmap[i] = 0xff;
  asm volatile("ltr %w0" ::"r"(TSS_SEL));
}

void rt_main(void)
{
  outb(COM1 + 3, 3);
  outb(0x21, 0xff); // whoever started the image may have left a timer running
  outb(0xa1, 0xff);
  load_tables();
  test();
  pass();
}
