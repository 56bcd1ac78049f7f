// NB_CFG is one register of a node's northbridge, seen by all its processors and at F3x88; its bit 46 opens
// extended offsets at CF8h for that node's processors only. MSR C001_0058 gives each processor a window to
// configuration space. BKDG 31116: MSRC001_001F, MSRC001_0058, F3x88, section 2.11.
#include "nodes.h"

#define WINDOW 0xd0000000ull

static volatile uint32_t *at(unsigned bus, unsigned device, unsigned function, unsigned off)
{
  return (volatile uint32_t *)(word)(WINDOW + (bus << 20 | device << 15 | function << 12 | off));
}

static volatile unsigned ready, wrong;
static volatile bool same_node;

static void ap(void)
{
  wrong += !(rdmsr(NB_CFG) & EXT_CFG) == same_node;
  wrong += (nb(0, 1, 0x100) != ONES) != same_node;
  wrong += *at(0, FIRST, 0, 0) != ONES; // the window is another processor's
  wrmsr(MMCFG, WINDOW | 8 << 2 | 1);
  wrong += *at(0, FIRST, 0, 0) != 0x12001022;
  wrmsr(MMCFG, 0);
  wrong += *at(0, FIRST, 0, 0) != ONES;
  ready = 1;
  for (;;)
    asm volatile("hlt");
}

static void ask(unsigned apic_id, bool near)
{
  ready = 0;
  same_node = near;
  ap_start(apic_id, ap);
  for (unsigned i = 0; i < 1000000 && !ready; i++)
    asm volatile("pause");
  CHECK_EQ(ready, 1);
  CHECK_EQ(wrong, 0);
}

void test(void)
{
  unsigned n = nodes();
  CHECK_EQ(nb(0, 1, 0x100), ONES);
  allow_extended();
  CHECK_EQ(nb(0, 3, 0x8c) >> 14 & 1, 1);
  CHECK(nb(0, 1, 0x100) != ONES);
  CHECK_EQ(config_read(0, 0, 0, 0x100), ONES); // a function that has none
  for (unsigned i = 1; i < n; i++)
    CHECK_EQ(nb(i, 3, 0x8c) >> 14 & 1, 0);
  nb_write(0, 3, 0x88, 0x00c0ffee);
  CHECK_EQ(rdmsr(NB_CFG), EXT_CFG | 0x00c0ffee);

  CHECK_EQ(*at(0, FIRST, 0, 0), ONES);
  wrmsr(MMCFG, WINDOW | 8 << 2 | 1);
  CHECK_EQ(rdmsr(MMCFG), WINDOW | 8 << 2 | 1);
  for (unsigned i = 0; i < n; i++) {
    struct dma d = dma_of(i);
    CHECK_EQ(*at(0, FIRST + i, 3, 0), 0x12031022);
    CHECK_EQ(*at(0, FIRST + i, 1, 0x1e0), nb(i, 1, 0x1e0));
    CHECK_EQ(*at(d.bus, d.device, 0, 0), 0x50441234);
    CHECK_EQ(*at(d.bus, d.device, 0, 0x100), ONES);
    *at(0, FIRST + i, 3, 0x58) = 0x15; // scrub rate
    CHECK_EQ(nb(i, 3, 0x58), 0x15);
    CHECK_EQ(*(volatile uint8_t *)at(0, FIRST + i, 0, 2), 0x00);
    CHECK_EQ(*((volatile uint16_t *)at(0, FIRST + i, 0, 0) + 1), 0x1200);
  }
  CHECK_EQ(*at(0xff, 31, 7, 0), ONES);
  if (cpus() > n)
    ask(1, true);
  if (n > 1)
    ask(1 << core_bits(), false);
  wrmsr(MMCFG, WINDOW | 1); // one bus
  CHECK_EQ(*at(0, FIRST, 0, 0), 0x12001022);
  CHECK_EQ(*at(1, 0, 0, 0), ONES);
  wrmsr(MMCFG, 0);
  CHECK_EQ(*at(0, FIRST, 0, 0), ONES);
}
