// Sets a linear mode by the registers of the VBE display interface and paints it; vbe.py looks at the screen.
#include "rt.h"

enum { ID, XRES, YRES, BPP, ENABLE, ON = 1, LINEAR = 0x40, WIDTH = 640, HEIGHT = 480 };

static void dispi(unsigned reg, uint16_t v)
{
  outw(0x1ce, (uint16_t)reg);
  outw(0x1cf, v);
}

static uint32_t config(unsigned slot, unsigned reg)
{
  outl(0xcf8, 0x80000000 | slot << 11 | reg);
  return inl(0xcfc);
}

void test(void)
{
  unsigned slot = 0;
  while (slot < 32 && config(slot, 0) != 0x11111234)
    slot++;
  CHECK(slot < 32);
  volatile uint32_t *frame = (void *)(word)(config(slot, 0x10) & ~15u);
  CHECK(frame && (config(slot, 4) & 2));
  dispi(ENABLE, 0);
  dispi(XRES, WIDTH);
  dispi(YRES, HEIGHT);
  dispi(BPP, 32);
  dispi(ENABLE, ON | LINEAR);
  for (unsigned y = 0; y < HEIGHT; y++)
    for (unsigned x = 0; x < WIDTH; x++)
      frame[y * WIDTH + x] = (x & 255) << 16 | (y & 255) << 8 | (x >> 8) << 4 | y >> 8;
  CHECK_EQ(frame[HEIGHT * WIDTH - 1], (639u & 255) << 16 | (479u & 255) << 8 | 2 << 4 | 1);
  print("painted\n");
  for (;;)
    asm volatile("cli; hlt");
}
