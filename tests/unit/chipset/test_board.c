// Host bridge, ISA bridge, interrupt wiring, and the ports for tests.
#include "chiptest.h"

#include "chipset/debugport.h"
#include "chipset/gsi.h"
#include "chipset/i440fx.h"
#include "chipset/piix3.h"
#include "chipset/testdev.h"

enum { A20 = 28, RESET = 29, CPU_RESET = 30, ROM = 0x200000, ROM_SIZE = 0x40000 };

struct board {
  struct bench b;
  struct pci_bus pb;
  struct gsi gsi;
  struct pit pit;
  struct i440fx host;
  struct piix3 isa;
  struct pci_func dev;
};

static void setup_board(struct board *x)
{
  memset(x, 0, sizeof *x);
  bench_init(&x->b);
  struct piix3_lines lines = {line(&x->b, A20), line(&x->b, RESET), line(&x->b, CPU_RESET)};
  memset(x->b.ram.mem + ROM, 0xbb, ROM_SIZE);
  pci_bus_init(&x->pb, &x->b.bus, 0, 0);
  gsi_init(&x->gsi);
  for (int i = 0; i < GSI_LINES; i++)
    x->gsi.ioapic[i] = line(&x->b, i);
  pit_init(&x->pit, &x->b.bus, &x->b.clock, (struct irq){0});
  i440fx_init(&x->host, &x->b.bus, &x->pb, 0, ROM, ROM_SIZE);
  piix3_init(&x->isa, &x->b.bus, &x->b.clock, &x->pb, &x->gsi, &x->pit, &lines);
  x->host.reset_control_read = piix3_reset_control_read;
  x->host.reset_control_write = piix3_reset_control_write;
  x->host.reset_control_arg = &x->isa;
  pci_func_init(&x->dev, "dev", 0x1234, 0x5678, 0, 0, NULL);
  pci_add(&x->pb, &x->dev, 3, 0, 1);
}

static void drop(struct board *x)
{
  pit_free(&x->pit);
  bench_free(&x->b);
}

static void address(struct board *x, unsigned device, unsigned function, unsigned off)
{
  put(&x->b, TXN_IO, 0xcf8, 4, 0x80000000u | device << 11 | function << 8 | off);
}

static uint32_t config(struct board *x, unsigned device, unsigned off)
{
  address(x, device, 0, off & 0xfc);
  return (uint32_t)get(&x->b, TXN_IO, 0xcfc, 4);
}

static void set_byte(struct board *x, unsigned device, unsigned off, unsigned v)
{
  address(x, device, 0, off & 0xfc);
  put(&x->b, TXN_IO, 0xcfc + (off & 3), 1, v);
}

static void configuration_space_is_reached_by_byte_word_and_dword(void **state)
{
  struct board x;
  setup_board(&x);
  assert_int_equal(config(&x, 0, 0), 0x12378086);
  assert_int_equal(config(&x, 0, 0x2c), 0x11001af4);
  assert_int_equal(config(&x, 1, 0), 0x70008086);
  address(&x, 1, 0, 0);
  assert_int_equal(get(&x.b, TXN_IO, 0xcfe, 2), 0x7000);
  assert_int_equal(get(&x.b, TXN_IO, 0xcfd, 1), 0x80);
  assert_int_equal(config(&x, 9, 0), 0xffffffff);
  assert_int_equal(get(&x.b, TXN_IO, 0xcf8, 4), 0x80000000u | 9 << 11);
  put(&x.b, TXN_IO, 0xcf8, 4, 0x00000800); // not enabled
  assert_int_equal(get(&x.b, TXN_IO, 0xcfc, 4), 0xffffffff);
  put(&x.b, TXN_IO, 0xcf8, 4, 0x81000000); // an extended register
  assert_int_equal(get(&x.b, TXN_IO, 0xcfc, 4), 0xffffffff);
  drop(&x);
}

static void the_bios_lies_below_one_megabyte_until_ram_takes_its_place(void **state)
{
  struct board x;
  setup_board(&x);
  x.b.ram.mem[ROM + ROM_SIZE - 16] = 0xea; // reset vector
  assert_int_equal(get(&x.b, TXN_MEM, 0xffff0, 1), 0xea);
  assert_int_equal(get(&x.b, TXN_MEM, 0xe0000, 1), 0xbb);
  assert_int_equal(get(&x.b, TXN_MEM, 0xdffff, 1), 0xff);
  put(&x.b, TXN_MEM, 0xf0000, 1, 0x11);
  assert_int_equal(get(&x.b, TXN_MEM, 0xf0000, 1), 0xbb);
  set_byte(&x, 0, 0x59, 0x20); // writes only
  put(&x.b, TXN_MEM, 0xf0000, 4, 0x44332211);
  assert_int_equal(get(&x.b, TXN_MEM, 0xf0000, 1), 0xbb);
  set_byte(&x, 0, 0x59, 0x10); // reads only
  assert_int_equal(get(&x.b, TXN_MEM, 0xf0000, 4), 0x44332211);
  put(&x.b, TXN_MEM, 0xf0000, 1, 0x99);
  assert_int_equal(get(&x.b, TXN_MEM, 0xf0000, 1), 0x11);
  set_byte(&x, 0, 0x59, 0x30);
  put(&x.b, TXN_MEM, 0xf0000, 1, 0x99);
  assert_int_equal(get(&x.b, TXN_MEM, 0xf0000, 1), 0x99);
  drop(&x);
}

static void each_segment_has_its_own_switch(void **state)
{
  struct board x;
  setup_board(&x);
  set_byte(&x, 0, 0x5b, 0x03); // C8000h
  put(&x.b, TXN_MEM, 0xc8000, 1, 0x5a);
  assert_int_equal(get(&x.b, TXN_MEM, 0xc8000, 1), 0x5a);
  assert_int_equal(get(&x.b, TXN_MEM, 0xcc000, 1), 0xff);
  assert_int_equal(get(&x.b, TXN_MEM, 0xc7fff, 1), 0xff);
  i440fx_open_shadow(&x.host);
  put(&x.b, TXN_MEM, 0xefffe, 4, 0x12345678);
  assert_int_equal(get(&x.b, TXN_MEM, 0xefffe, 4), 0x12345678);
  i440fx_reset(&x.host);
  assert_int_equal(get(&x.b, TXN_MEM, 0xefffe, 4), 0xbbbbbbbb);
  assert_int_equal(get(&x.b, TXN_MEM, 0xc8000, 1), 0xff);
  drop(&x);
}

static void smram_opens_and_locks(void **state)
{
  struct board x;
  setup_board(&x);
  assert_int_equal(get(&x.b, TXN_MEM, 0xa0000, 1), 0xff);
  set_byte(&x, 0, 0x72, 0x4a);
  put(&x.b, TXN_MEM, 0xa0000, 1, 0x77);
  assert_int_equal(get(&x.b, TXN_MEM, 0xa0000, 1), 0x77);
  set_byte(&x, 0, 0x72, 0x1a);
  assert_int_equal(get(&x.b, TXN_MEM, 0xa0000, 1), 0xff);
  set_byte(&x, 0, 0x72, 0x4a);
  assert_int_equal(get(&x.b, TXN_MEM, 0xa0000, 1), 0xff);
  assert_true(x.host.bus->smram.on);
  assert_int_equal(x.host.bus->smram.ram_off, 0xa0000);
  drop(&x);
}

static void pirqs_reach_the_interrupt_that_is_programmed(void **state)
{
  struct board x;
  setup_board(&x);
  pci_set_intx(&x.dev, 1); // device 3, INTA: PIRQC
  for (unsigned i = 0; i < GSI_LINES; i++)
    assert_int_equal(x.b.wire[i].level, 0);
  set_byte(&x, 1, 0x62, 11);
  assert_int_equal(x.b.wire[11].level, 1);
  set_byte(&x, 1, 0x62, 10);
  assert_int_equal(x.b.wire[11].level, 0);
  assert_int_equal(x.b.wire[10].level, 1);
  pci_set_intx(&x.dev, 0);
  assert_int_equal(x.b.wire[10].level, 0);
  set_byte(&x, 1, 0x62, 0x8f);
  assert_int_equal(config(&x, 1, 0x60) >> 16 & 0xff, 0x8f);
  drop(&x);
}

static void a_line_is_high_while_any_source_drives_it(void **state)
{
  struct board x;
  setup_board(&x);
  struct irq isa = gsi_line(&x.gsi, GSI_ISA, 9), pci = gsi_line(&x.gsi, GSI_PCI, 9);
  irq_set(&isa, 1);
  irq_set(&pci, 1);
  irq_set(&isa, 0);
  assert_int_equal(x.b.wire[9].level, 1);
  irq_set(&pci, 0);
  assert_int_equal(x.b.wire[9].level, 0);
  struct irq timer = gsi_line(&x.gsi, GSI_ISA, 0);
  irq_set(&timer, 1);
  assert_int_equal(x.b.wire[2].level, 1);
  assert_int_equal(x.b.wire[0].rises, 0);
  gsi_set_hpet_legacy(&x.gsi, 0, 1);
  assert_int_equal(x.b.wire[2].level, 0);
  drop(&x);
}

static void a20_is_on_while_either_gate_asks_for_it(void **state)
{
  struct board x;
  setup_board(&x);
  struct irq keyboard = piix3_a20_line(&x.isa);
  assert_int_equal(x.b.wire[A20].level, 1);
  irq_set(&keyboard, 0);
  assert_int_equal(x.b.wire[A20].level, 0);
  out8(&x.b, 0x92, 2);
  assert_int_equal(x.b.wire[A20].level, 1);
  assert_int_equal(in8(&x.b, 0x92), 2);
  drop(&x);
}

static void resets_are_told_apart(void **state)
{
  struct board x;
  setup_board(&x);
  out8(&x.b, 0x92, 1);
  assert_int_equal(x.b.wire[CPU_RESET].rises, 1);
  out8(&x.b, 0xcf9, 2);
  assert_int_equal(in8(&x.b, 0xcf9), 2);
  assert_int_equal(x.b.wire[RESET].rises, 0);
  out8(&x.b, 0xcf9, 6);
  assert_int_equal(x.b.wire[RESET].rises, 1);
  out8(&x.b, 0xcf9, 4);
  assert_int_equal(x.b.wire[CPU_RESET].rises, 2);
  drop(&x);
}

static void port_61_gates_counter_2_and_shows_its_output(void **state)
{
  struct board x;
  setup_board(&x);
  out8(&x.b, 0x43, 0xb0); // counter 2, mode 0
  out8(&x.b, 0x42, 0xa9);
  out8(&x.b, 0x42, 0x04); // 1193: 1 ms
  out8(&x.b, 0x61, 1);
  assert_int_equal(in8(&x.b, 0x61) & 0x21, 0x01);
  run_ns(&x.b, 1001000);
  assert_int_equal(in8(&x.b, 0x61) & 0x21, 0x21);
  unsigned turn = in8(&x.b, 0x61) & 0x10;
  run_ns(&x.b, 15085);
  assert_int_not_equal(in8(&x.b, 0x61) & 0x10, turn);
  drop(&x);
}

struct ended {
  int status;
  char text[8];
  unsigned n;
  uint64_t flushed;
};

static void take_status(void *arg, int status)
{
  ((struct ended *)arg)->status = status;
}

static void take_char(void *arg, uint8_t c)
{
  struct ended *e = arg;
  e->text[e->n++ & 7] = (char)c;
}

static void take_flush(void *arg, uint64_t addr)
{
  ((struct ended *)arg)->flushed = addr;
}

static void the_debug_ports_do_what_tests_expect(void **state)
{
  struct board x;
  static struct testdev t;
  struct debugcon con = {0};
  struct debugexit quit = {0};
  struct ended e = {0};
  setup_board(&x);
  memset(&t, 0, sizeof t);
  debugcon_init(&con, &x.b.bus, 0x402, take_char, &e);
  debugexit_init(&quit, &x.b.bus, 0xf4, 4, take_status, &e);
  testdev_init(&t, &x.b.bus, &x.gsi, take_flush, &e);
  assert_int_equal(in8(&x.b, 0x402), 0xe9);
  out8(&x.b, 0x402, 'h');
  assert_string_equal(e.text, "h");
  put(&x.b, TXN_IO, 0xf4, 4, 0x10);
  assert_int_equal(e.status, 33);
  put(&x.b, TXN_IO, 0xe0, 4, 0x12345678);
  assert_int_equal(get(&x.b, TXN_IO, 0xe2, 2), 0x1234);
  put(&x.b, TXN_IO, 0xe4, 4, 0x5678);
  assert_int_equal(e.flushed, 0x5000);
  out8(&x.b, 0x200e, 1);
  assert_int_equal(x.b.wire[14].level, 1);
  out8(&x.b, 0x200e, 0);
  assert_int_equal(x.b.wire[14].level, 0);
  put(&x.b, TXN_MEM, 0xff00fff8, 8, UINT64_C(0x1122334455667788));
  assert_true(get(&x.b, TXN_MEM, 0xff00fff8, 8) == UINT64_C(0x1122334455667788));
  drop(&x);
}

static void any_access_to_any_port_is_survived(void **state)
{
  struct board x;
  uint32_t seed = 9;
  setup_board(&x);
  for (unsigned i = 0; i < 200000; i++) {
    seed = seed * 1103515245 + 12345;
    unsigned port = i & 1 ? 0xcf8 + (seed >> 16 & 7) : seed >> 16 & 0xff, size = 1u << (seed >> 28 & 3);
    if (size == 8)
      size = 4;
    seed = seed * 1103515245 + 12345;
    put(&x.b, TXN_IO, port, size, seed | (i % 3 ? 0x80000000u : 0));
    get(&x.b, TXN_IO, port, size);
    if (i % 16 == 0)
      run_ns(&x.b, seed >> 20);
  }
  i440fx_reset(&x.host);
  assert_int_equal(config(&x, 0, 0), 0x12378086);
  drop(&x);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(configuration_space_is_reached_by_byte_word_and_dword),
      cmocka_unit_test(the_bios_lies_below_one_megabyte_until_ram_takes_its_place),
      cmocka_unit_test(each_segment_has_its_own_switch),
      cmocka_unit_test(smram_opens_and_locks),
      cmocka_unit_test(pirqs_reach_the_interrupt_that_is_programmed),
      cmocka_unit_test(a_line_is_high_while_any_source_drives_it),
      cmocka_unit_test(a20_is_on_while_either_gate_asks_for_it),
      cmocka_unit_test(resets_are_told_apart),
      cmocka_unit_test(port_61_gates_counter_2_and_shows_its_output),
      cmocka_unit_test(the_debug_ports_do_what_tests_expect),
      cmocka_unit_test(any_access_to_any_port_is_survived),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
