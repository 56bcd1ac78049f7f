// What post_run leaves: addresses for PCI devices, routed interrupts, RAM where the BIOS would be.
#include "fwtest.h"

#include "base/log.h"
#include "bus/pci.h"
#include "chipset/i440fx.h"
#include "firmware/post.h"

static uint64_t nothing_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  return 0x11;
}

static void nothing_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
}

static const struct bus_ops nothing = {.read = nothing_read, .write = nothing_write};

enum { DEVICES = 6 };

struct rig {
  struct log log;
  struct ram ram;
  struct bus bus;
  struct pci_bus pci;
  struct i440fx host;
  struct pci_func isa, pm, dev[DEVICES];
  struct board board;
};

static int setup(void **state)
{
  struct rig *r = calloc(1, sizeof *r);
  struct err e;
  assert_non_null(r);
  assert_true(ram_init(&r->ram, 4 << 20, &e));
  assert_true(bus_init(&r->bus, &r->ram, &r->log));
  uint64_t off = ram_alloc(&r->ram, 4 << 20);
  pci_bus_init(&r->pci, &r->bus, 0, 0);
  i440fx_init(&r->host, &r->bus, &r->pci, off, RAM_NONE, 0);
  pci_func_init(&r->isa, "isa", 0x8086, 0x7000, 0x060100, 0, r);
  memset(r->isa.wmask + 0x60, 0xff, 4);
  assert_true(pci_add(&r->pci, &r->isa, 1, 0, 0));
  pci_func_init(&r->pm, "pm", 0x8086, 0x7113, 0x068000, 0, r);
  memset(r->pm.wmask + 0x40, 0xff, 0xa0);
  assert_true(pci_add(&r->pci, &r->pm, 1, 3, 1));
  for (unsigned i = 0; i < DEVICES; i++) {
    struct pci_func *f = &r->dev[i];
    pci_func_init(f, "dev", 0x1af4, (uint16_t)(0x1000 + i), 0x010000, 0, r);
    pci_bar_io(f, 0, 64u << i, &nothing, r);
    pci_bar_mem(f, 1, 4096ull << (2 * i), false, false, &nothing, r);
    pci_bar_mem(f, 4, 16384, true, true, &nothing, r);
    assert_true(pci_add(&r->pci, f, (uint8_t)(2 + i), 0, 1));
  }
  r->board.ram_below_4g = 4 << 20;
  *state = r;
  return 0;
}

static int teardown(void **state)
{
  struct rig *r = *state;
  bus_free(&r->bus);
  ram_free(&r->ram);
  free(r);
  return 0;
}

static void check_bars(struct rig *r)
{
  uint64_t lowest = r->board.ram_below_4g > 0xe0000000 ? r->board.ram_below_4g : 0xe0000000;
  struct {
    uint64_t base, size;
    bool io;
  } seen[3 * DEVICES];
  unsigned n = 0;
  post_run(&r->bus, &r->board);
  for (unsigned i = 0; i < DEVICES; i++) {
    static const uint8_t bars[] = {0, 1, 4};
    assert_int_equal(pci_get_word(&r->dev[i], PCI_COMMAND) & 3, 3);
    for (unsigned j = 0; j < 3; j++, n++) {
      uint32_t v = pci_get_long(&r->dev[i], PCI_BAR0 + 4u * bars[j]);
      seen[n].io = v & 1;
      seen[n].base = v & (seen[n].io ? ~3u : ~15u);
      seen[n].size = r->dev[i].bar[bars[j]].size;
      assert_int_equal(seen[n].base % seen[n].size, 0);
      if (seen[n].io)
        assert_in_range(seen[n].base, 0xc000, 0x10000 - seen[n].size);
      else
        assert_in_range(seen[n].base, lowest, 0xfec00000 - seen[n].size);
      for (unsigned k = 0; k < n; k++)
        assert_true(seen[k].io != seen[n].io || seen[k].base + seen[k].size <= seen[n].base ||
                    seen[n].base + seen[n].size <= seen[k].base);
      uint64_t first, last;
      struct region *reg = bus_find(&r->bus, seen[n].io ? TXN_IO : TXN_MEM, seen[n].base, &first, &last);
      assert_ptr_equal(reg, &r->dev[i].bar[bars[j]].region);
    }
  }
}

static void every_bar_answers_where_it_says_and_alone(void **state)
{
  check_bars(*state);
}

static void bars_are_aligned_above_odd_amounts_of_ram(void **state)
{
  struct rig *r = *state;
  r->board.ram_below_4g = 0xe0003000;
  check_bars(r);
}

static void interrupt_lines_follow_the_slots(void **state)
{
  static const uint8_t irq[4] = {10, 10, 11, 11};
  struct rig *r = *state;
  post_run(&r->bus, &r->board);
  assert_memory_equal(r->isa.config + 0x60, irq, 4);
  assert_int_equal(r->pm.config[PCI_INTERRUPT_LINE], 9);
  for (unsigned i = 0; i < DEVICES; i++) // pin A of slot s is PIRQ (s - 1) mod 4
    assert_int_equal(r->dev[i].config[PCI_INTERRUPT_LINE], irq[(2 + i - 1) & 3]);
}

static void power_management_is_where_the_tables_say(void **state)
{
  struct rig *r = *state;
  post_run(&r->bus, &r->board);
  assert_int_equal(pci_get_long(&r->pm, 0x40), 0x601);
  assert_int_equal(r->pm.config[0x80], 1);
}

static void the_bios_area_is_ram(void **state)
{
  struct rig *r = *state;
  post_run(&r->bus, &r->board);
  for (uint64_t pa = 0xc0000; pa < 0x100000; pa += 0x4000) {
    struct txn t = {.addr = pa, .size = 4, .kind = TXN_WRITE, .space = TXN_MEM};
    uint64_t v = 0x12345678 + pa;
    assert_int_equal(bus_access(&r->bus, &t, &v), TXN_OK);
    t.kind = TXN_READ;
    v = 0;
    assert_int_equal(bus_access(&r->bus, &t, &v), TXN_OK);
    assert_int_equal(v, 0x12345678 + pa);
  }
}

static void bars_that_find_no_room_stay_off(void **state)
{
  struct rig *r = *state;
  r->board.ram_below_4g = 0xfe800000; // 4 MB are left
  post_run(&r->bus, &r->board);
  // The largest has all of it; the others got nothing, and none lies anywhere else.
  for (unsigned i = 0; i < DEVICES; i++) {
    uint32_t v = pci_get_long(&r->dev[i], PCI_BAR0 + 4) & ~15u;
    assert_int_equal(v, i == DEVICES - 1 ? 0xfe800000 : 0);
    assert_int_equal(pci_get_word(&r->dev[i], PCI_COMMAND) & PCI_COMMAND_MEMORY,
                     i == DEVICES - 1 ? PCI_COMMAND_MEMORY : 0);
  }
}

#define with_rig(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      with_rig(every_bar_answers_where_it_says_and_alone),
      with_rig(bars_are_aligned_above_odd_amounts_of_ram),
      with_rig(interrupt_lines_follow_the_slots),
      with_rig(power_management_is_where_the_tables_say),
      with_rig(the_bios_area_is_ram),
      with_rig(bars_that_find_no_room_stay_off),
  };
  return cmocka_run_group_tests_name("firmware: power-on work", tests, NULL, NULL);
}
