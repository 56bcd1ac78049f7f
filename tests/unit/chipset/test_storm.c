// The whole chipset on one bus, and a guest that means it no good: random accesses to every port and every
// register in memory, while time goes on. What is claimed: it ends, nothing is written outside (the
// sanitizers see to that), the number of events stays within what the floors of the timers allow, and a reset
// brings the board back to what it was.
#include "chiptest.h"

#include "chipset/fw_cfg.h"
#include "chipset/gsi.h"
#include "chipset/hpet.h"
#include "chipset/i440fx.h"
#include "chipset/i8042.h"
#include "chipset/ioapic.h"
#include "chipset/northbridge.h"
#include "chipset/pic.h"
#include "chipset/piix3.h"
#include "chipset/piix4pm.h"
#include "chipset/pit.h"
#include "chipset/rtc.h"
#include "fabric/fabric.h"

enum { ROM = 0x200000, ROM_SIZE = 0x20000, INTR = 31 };

struct board {
  struct bench b;
  struct region ram;
  struct fabric fabric;
  struct pci_bus pb;
  struct gsi gsi;
  struct pic pic;
  struct ioapic ioapic;
  struct pit pit;
  struct hpet hpet;
  struct rtc rtc;
  struct i440fx host;
  struct piix3 isa;
  struct piix4pm pm;
  struct i8042 kbc;
  struct fw_cfg fw;
  struct nb_map map;
  struct northbridge nb[2];
  uint32_t seed;
};

static void setup_board(struct board *x, uint32_t seed)
{
  memset(x, 0, sizeof *x);
  x->seed = seed;
  bench_init(&x->b);
  struct bus *bus = &x->b.bus;
  struct clock *clock = &x->b.clock;
  bus_map_ram(bus, &x->ram, "ram", 0, 0xa0000, 0, 0, false);
  fabric_init(&x->fabric, bus, 2);
  pci_bus_init(&x->pb, bus, 0, 0);
  gsi_init(&x->gsi);
  pic_init(&x->pic, bus, line(&x->b, INTR));
  ioapic_init(&x->ioapic, bus, 0);
  for (int i = 0; i < 16; i++)
    x->gsi.pic[i] = pic_line(&x->pic, i);
  for (int i = 0; i < GSI_LINES; i++)
    x->gsi.ioapic[i] = ioapic_line(&x->ioapic, i);
  pit_init(&x->pit, bus, clock, gsi_line(&x->gsi, GSI_ISA, 0));
  hpet_init(&x->hpet, bus, clock);
  for (unsigned i = 0; i < GSI_LINES; i++)
    x->hpet.line[i] = gsi_line(&x->gsi, GSI_HPET, i);
  x->hpet.legacy = (struct irq){.set = gsi_set_hpet_legacy, .sink = &x->gsi};
  rtc_init(&x->rtc, bus, clock, gsi_line(&x->gsi, GSI_ISA, 8), (struct irq){0}, 1000000000);
  i440fx_init(&x->host, bus, &x->pb, 0, ROM, ROM_SIZE);
  struct piix3_lines lines = {0};
  piix3_init(&x->isa, bus, clock, &x->pb, &x->gsi, &x->pit, &lines);
  x->host.reset_control_read = piix3_reset_control_read;
  x->host.reset_control_write = piix3_reset_control_write;
  x->host.reset_control_arg = &x->isa;
  piix4pm_init(&x->pm, bus, clock, &x->pb, gsi_line(&x->gsi, GSI_ACPI, 9), (struct irq){0}, (struct irq){0});
  x->isa.apm = piix4pm_apm;
  x->isa.apm_arg = &x->pm;
  i8042_init(&x->kbc, bus, gsi_line(&x->gsi, GSI_ISA, 1), gsi_line(&x->gsi, GSI_ISA, 12),
             piix3_a20_line(&x->isa), (struct irq){0});
  struct dma_port port = {.transfer = fabric_transfer, .fabric = &x->fabric};
  assert_true(fw_cfg_init(&x->fw, bus, &port));
  x->map = (struct nb_map){.family = NB_FAMILY10H, .nodes = 2, .cpus = 2};
  link_nodes(&x->map);
  for (uint8_t n = 0; n < 2; n++)
    nb_init(&x->nb[n], &x->pb, &x->map, n);
}

static void reset_board(struct board *x)
{
  gsi_reset(&x->gsi);
  pic_reset(&x->pic);
  ioapic_reset(&x->ioapic);
  pit_reset(&x->pit);
  hpet_reset(&x->hpet);
  rtc_reset(&x->rtc);
  i440fx_reset(&x->host);
  piix3_reset(&x->isa);
  piix4pm_reset(&x->pm);
  i8042_reset(&x->kbc);
  fw_cfg_reset(&x->fw);
  nb_reset(&x->nb[0]);
  nb_reset(&x->nb[1]);
}

static void drop(struct board *x)
{
  fw_cfg_free(&x->fw);
  piix4pm_free(&x->pm);
  rtc_free(&x->rtc);
  hpet_free(&x->hpet);
  pit_free(&x->pit);
  bench_free(&x->b);
}

static uint32_t draw(struct board *x)
{
  x->seed = x->seed * 1664525 + 1013904223;
  return x->seed >> 8;
}

// An address where something answers, mostly.
static uint64_t target(struct board *x, enum txn_space *space)
{
  static const uint16_t ports[] = {0x20,  0x40,  0x60,  0x70,  0x90,   0xa0,  0xb0, 0xe8,
                                   0x4d0, 0x510, 0xcf8, 0xcfc, 0xafe0, 0x600, 0x608};
  static const uint32_t memory[] = {0xfec00000, 0xfed00000, 0xfed00100, 0xc0000, 0xfec00010};
  *space = draw(x) % 4 ? TXN_IO : TXN_MEM;
  if (*space == TXN_IO)
    return draw(x) % 8 ? ports[draw(x) % (sizeof ports / sizeof *ports)] + draw(x) % 16 : draw(x) & 0xffff;
  return memory[draw(x) % (sizeof memory / sizeof *memory)] + draw(x) % (draw(x) % 4 ? 0x60 : 0x10000);
}

static void step(struct board *x)
{
  enum txn_space space;
  unsigned size = 1u << draw(x) % 4;
  if (draw(x) % 4 == 0) { // a PCI register, as software would
    uint32_t device = draw(x) % 3 ? draw(x) % 2 : 0x18 + draw(x) % 2;
    put(&x->b, TXN_IO, 0xcf8, 4, 0x80000000u | device << 11 | draw(x) % 5 << 8 | (draw(x) & 0xfc));
  }
  if (draw(x) % 64 == 0)
    piix4pm_set_base(&x->pm, 0x600);
  if (draw(x) % 16 == 0) { // bytes for the mouse, and somebody who moves it and types
    out8(&x->b, 0x64, 0xd4);
    out8(&x->b, 0x60, draw(x) % 2 ? 0xe6 + draw(x) % 26 : draw(x));
    i8042_mouse(&x->kbc, (int)(draw(x) % 512) - 256, (int)(draw(x) % 512) - 256, (int)(draw(x) % 4),
                draw(x) & 7);
    i8042_key(&x->kbc, draw(x) % 2 ? "a" : "delete", draw(x) % 2);
  }
  uint64_t addr = target(x, &space);
  if (space == TXN_IO && size == 8)
    size = 4;
  // fw_cfg may fill all RAM with zeros on request; not at each step here.
  if (space == TXN_IO && addr >= 0x514 && addr < 0x51c && draw(x) % 64)
    return;
  if (draw(x) % 2)
    put(&x->b, space, addr, size, (uint64_t)draw(x) << 32 ^ draw(x) << 8 ^ draw(x));
  else
    get(&x->b, space, addr, size);
  if (x->b.wire[INTR].level && draw(x) % 2)
    assert_in_range(pic_intack(&x->pic), 0, 255);
}

static void no_sequence_of_accesses_breaks_the_chipset(void **state)
{
  static struct board x;
  for (uint32_t seed = 1; seed <= 4; seed++) {
    setup_board(&x, seed);
    for (unsigned i = 0; i < 60000; i++) {
      step(&x);
      if (i % 16)
        continue;
      // Each of the seven timers has a floor of 1 us or more.
      uint64_t until = x.b.clock.base + draw(&x) % 50000;
      unsigned events = 0;
      while (clock_next(&x.b.clock) <= until) {
        clock_advance(&x.b.clock, clock_next(&x.b.clock));
        assert_in_range(++events, 0, 7 * 60);
      }
      clock_advance(&x.b.clock, until);
    }
    reset_board(&x);
    assert_int_equal(get(&x.b, TXN_MEM, 0xe0000, 4), 0);
    assert_int_equal(get(&x.b, TXN_IO, 0x600, 4), 0xffffffff);
    assert_int_equal(in8(&x.b, 0x21), 0xff);
    assert_true(get(&x.b, TXN_MEM, HPET_BASE, 8) == UINT64_C(0x009896808086a201));
    run_ns(&x.b, 5000000000);
    assert_true(clock_next(&x.b.clock) == CLOCK_NEVER); // nothing is armed
    drop(&x);
  }
}

static void the_same_accesses_give_the_same_answers(void **state)
{
  static struct board x[2];
  setup_board(&x[0], 77);
  setup_board(&x[1], 77);
  for (unsigned i = 0; i < 20000; i++) {
    for (unsigned k = 0; k < 2; k++) {
      step(&x[k]);
      run_ns(&x[k].b, 700);
    }
    assert_int_equal(get(&x[0].b, TXN_IO, 0x40 + i % 3, 1), get(&x[1].b, TXN_IO, 0x40 + i % 3, 1));
    assert_int_equal(in8(&x[0].b, 0x71), in8(&x[1].b, 0x71));
    assert_true(get(&x[0].b, TXN_MEM, 0xfed000f0, 8) == get(&x[1].b, TXN_MEM, 0xfed000f0, 8));
    assert_int_equal(x[0].b.messages, x[1].b.messages);
  }
  drop(&x[0]);
  drop(&x[1]);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_sequence_of_accesses_breaks_the_chipset),
      cmocka_unit_test(the_same_accesses_give_the_same_answers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
