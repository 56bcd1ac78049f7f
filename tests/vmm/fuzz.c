// A guest that executes random instructions in ring 0: pieces of 24 bytes, many of them with an instruction
// that makes an exit somewhere in them, with random registers. Every exception and interrupt ends a piece.
// What the pieces do to this image itself is up to them: if it dies, the hypervisor says why and starts it
// again. `seed=` begins a sequence; `paging=1` turns on paging.
#include "bare.h"

extern uint32_t fuzz_regs[8], fuzz_vectors;
void fuzz_run(void *code) __attribute__((noreturn));
void fuzz_next(void) __attribute__((noreturn));

static struct {
  uint16_t low, selector, flags, high;
} idt[256];
static uint32_t pd[1024] __attribute__((aligned(4096)));
static uint64_t gdt[4];
static uint8_t code[4096] __attribute__((aligned(4096)));
static uint32_t state, rounds, paging;

static uint32_t random(void)
{
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

// Instructions with exits of their own, and prefixes.
static const uint8_t spice[][4] = {
    {2, 0x0f, 0xa2},
    {2, 0x0f, 0x30},
    {2, 0x0f, 0x32},
    {2, 0x0f, 0x33},
    {3, 0x0f, 0x01, 0xd9},
    {3, 0x0f, 0x01, 0xd8},
    {3, 0x0f, 0x01, 0xdc},
    {3, 0x0f, 0x01, 0xdd},
    {3, 0x0f, 0x01, 0xde},
    {3, 0x0f, 0x01, 0xdf},
    {3, 0x0f, 0x01, 0xd1},
    {3, 0x0f, 0x20, 0xc0},
    {3, 0x0f, 0x22, 0xe0},
    {3, 0x0f, 0x22, 0xd8},
    {3, 0x0f, 0x22, 0xc0},
    {2, 0x0f, 0x22},
    {2, 0x0f, 0x20},
    {2, 0x0f, 0x06},
    {3, 0x0f, 0x01, 0x38},
    {3, 0x0f, 0x01, 0xf0},
    {2, 0x0f, 0x01},
    {1, 0xec},
    {1, 0xee},
    {1, 0xef},
    {1, 0xed},
    {1, 0x6c},
    {1, 0x6f},
    {2, 0xf3, 0x6d},
    {2, 0xf3, 0x6e},
    {1, 0xf4},
    {2, 0x0f, 0x08},
    {1, 0xfb},
    {1, 0xcd},
    {2, 0x89, 0x01},
    {2, 0x8b, 0x02},
    {3, 0xf3, 0xab, 0x90},
    {3, 0xf3, 0xa5, 0x90},
    {2, 0x81, 0x03},
    {1, 0xcf},
    {1, 0xea},
};
// Values that mean something: devices, registers, edges.
static const uint32_t values[] = {
    0xfee00000, 0xfee00300, 0xfee00380, 0xfec00000, 0xfec00010, 0x20,       0x43,      0x40,
    0x3f8,      0x3fb,      0xcf8,      0xcfc,      0x70,       0x71,       0x61,      0x600,
    0xc0000080, 0x1b,       0x277,      0xc0010114, 0xc0010117, 0x80000011, 0xfffffff, 0xffffffff,
    0x80000000, 0,          1,          0x100000,   0xf0000,    0xe0000000, 0xa0000,   0x10};

// Data ends with the memory, mostly: without, nearly every piece would end at an address where nobody is.
static void tables(void)
{
  gdt[2] = 0x00cf9b000000ffff;
  gdt[3] = paging || !(random() & 15) ? 0x00cf93000000ffff : 0x00c0930000000fff;
  for (unsigned i = 0; i < 256; i++) {
    uint32_t at = (uint32_t)(uintptr_t)&fuzz_vectors;
    idt[i].low = (uint16_t)at;
    idt[i].selector = 0x10;
    idt[i].flags = 0x8e00;
    idt[i].high = (uint16_t)(at >> 16);
  }
  struct {
    uint16_t limit;
    uint32_t base;
  } __attribute__((packed)) gdtr = {31, (uint32_t)(uintptr_t)gdt},
                            idtr = {sizeof idt - 1, (uint32_t)(uintptr_t)idt};
  __asm__ volatile("lgdt %0; lidt %1; ljmp $0x10, $1f; 1: mov %2, %%ds; mov %2, %%es; mov %2, %%ss"
                   :
                   : "m"(gdtr), "m"(idtr), "r"(0x18));
  __asm__ volatile("mov %0, %%fs; mov %0, %%gs" : : "r"(0x18));
}

static void mode(void)
{
  __asm__ volatile("mov %0, %%cr0" : : "r"(0x11));
  if (!paging)
    return;
  for (uint32_t i = 0; i < 1024; i++)
    pd[i] = (i >= 0x3fb ? i : i ? 1 + i % 3 : 0) << 22 | 0x87; // devices as they are, all else within 16 MB
  __asm__ volatile("mov %0, %%cr4; mov %1, %%cr3; mov %2, %%cr0" : : "r"(0x10), "r"(pd), "r"(0x80010011));
}

// A tick each 55 ms ends pieces that do not end by themselves.
static void timer(void)
{
  static const uint8_t writes[][2] = {{0x20, 0x11}, {0x21, 0x20}, {0x21, 4},    {0x21, 3},
                                      {0x43, 0x34}, {0x40, 0},    {0x40, 0x40}, {0x21, 0xfe}};
  for (unsigned i = 0; i < sizeof writes / 2; i++)
    out8(writes[i][0], writes[i][1]);
}

void fuzz_next(void)
{
  tables();
  mode();
  timer();
  if (!(++rounds & 0xff))
    say("fuzz: 256 pieces\n");
  uint8_t *p = code;
  for (unsigned i = 0; i < 24; i++)
    p[i] = (uint8_t)(random() >> 8);
  for (unsigned n = random() & 3; n; n--) {
    const uint8_t *s = spice[random() % (sizeof spice / sizeof *spice)];
    unsigned at = random() % 18;
    for (unsigned k = 0; k < s[0]; k++)
      p[at + k] = s[1 + k];
  }
  p[24] = 0x0f, p[25] = 0x0b;
  for (unsigned i = 0; i < 8; i++)
    fuzz_regs[i] = random() & 1 ? values[random() % (sizeof values / sizeof *values)] : random();
  if (random() & 1)
    fuzz_regs[3] = (uint32_t)(uintptr_t)code + 2048; // a stack that works
  fuzz_run(code);
}

void run(const struct multiboot *info)
{
  uint32_t low;
  __asm__ volatile("rdtsc" : "=a"(low) : : "edx");
  state = (argument(info, "seed=", 1) * 2654435761u ^ low) | 1;
  paging = argument(info, "paging=", 0);
  say("fuzz: begin\n");
  fuzz_next();
}
