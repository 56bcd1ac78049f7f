// ACPI power management.
#include "chiptest.h"

#include "chipset/piix4pm.h"

enum { BASE = 0x600, SCI = 9, SMI = 1, OFF = 2 };

struct board {
  struct bench b;
  struct pci_bus pb;
  struct piix4pm pm;
};

static void setup_board(struct board *x)
{
  memset(x, 0, sizeof *x);
  bench_init(&x->b);
  pci_bus_init(&x->pb, &x->b.bus, 0, 0);
  piix4pm_init(&x->pm, &x->b.bus, &x->b.clock, &x->pb, line(&x->b, SCI), line(&x->b, SMI), line(&x->b, OFF));
}

static void drop(struct board *x)
{
  piix4pm_free(&x->pm);
  bench_free(&x->b);
}

static void config(struct board *x, unsigned off, unsigned size, uint32_t v)
{
  pci_config_write(&x->pb, 0, 1 << 3 | 3, off, size, v);
}

static void firmware_places_the_registers(void **state)
{
  struct board x;
  setup_board(&x);
  assert_int_equal(get(&x.b, TXN_IO, BASE + 8, 4), 0xffffffff);
  config(&x, 0x40, 4, BASE | 1);
  assert_int_equal(get(&x.b, TXN_IO, BASE + 8, 4), 0xffffffff);
  config(&x, 0x80, 1, 1);
  assert_int_equal(get(&x.b, TXN_IO, BASE + 8, 4), 0);
  config(&x, 0x40, 4, 0xb001);
  assert_int_equal(get(&x.b, TXN_IO, BASE + 8, 4), 0xffffffff);
  assert_int_equal(get(&x.b, TXN_IO, 0xb008, 4), 0);
  assert_int_equal(pci_config_read(&x.pb, 0, 1 << 3 | 3, 0x40, 4), 0xb001);
  // SeaBIOS takes bit 25 for "system-management mode is set up".
  assert_int_equal(pci_config_read(&x.pb, 0, 1 << 3 | 3, 0x58, 4), 0);
  piix4pm_reset(&x.pm);
  assert_int_equal(get(&x.b, TXN_IO, 0xb008, 4), 0xffffffff);
  drop(&x);
}

static void the_timer_counts_24_bits_at_3579545_hz(void **state)
{
  struct board x;
  setup_board(&x);
  piix4pm_set_base(&x.pm, BASE);
  run_ns(&x.b, 1000000000);
  assert_int_equal(get(&x.b, TXN_IO, BASE + 8, 4), 3579545);
  run_ns(&x.b, UINT64_C(9000000000));
  assert_int_equal(get(&x.b, TXN_IO, BASE + 8, 4), 35795450 & 0xffffff);
  drop(&x);
}

static void an_overflow_interrupts_when_it_may(void **state)
{
  struct board x;
  setup_board(&x);
  piix4pm_set_base(&x.pm, BASE);
  put(&x.b, TXN_IO, BASE + 2, 2, 1);
  piix4pm_apm(&x.pm, PIIX4PM_ACPI_ENABLE);
  assert_int_equal(get(&x.b, TXN_IO, BASE + 4, 2) & 1, 1);
  uint64_t turn = muldiv64(1 << 23, 1000000000, PIIX4PM_TIMER_HZ);
  run_ns(&x.b, turn - 1);
  assert_int_equal(x.b.wire[SCI].level, 0);
  run_ns(&x.b, 2);
  assert_int_equal(x.b.wire[SCI].level, 1);
  assert_int_equal(get(&x.b, TXN_IO, BASE, 2), 1);
  put(&x.b, TXN_IO, BASE, 2, 1);
  assert_int_equal(x.b.wire[SCI].level, 0);
  run_ns(&x.b, turn + 2);
  assert_int_equal(x.b.wire[SCI].level, 1);
  drop(&x);
}

static void the_power_button_is_an_event(void **state)
{
  struct board x;
  setup_board(&x);
  piix4pm_set_base(&x.pm, BASE);
  put(&x.b, TXN_IO, BASE + 2, 2, 0x100);
  piix4pm_power_button(&x.pm);
  assert_int_equal(x.b.wire[SCI].level, 0);
  piix4pm_apm(&x.pm, PIIX4PM_ACPI_ENABLE);
  assert_int_equal(x.b.wire[SCI].level, 1);
  put(&x.b, TXN_IO, BASE + 1, 1, 1); // byte access
  assert_int_equal(x.b.wire[SCI].level, 0);
  piix4pm_apm(&x.pm, PIIX4PM_ACPI_DISABLE);
  assert_int_equal(get(&x.b, TXN_IO, BASE + 4, 2) & 1, 0);
  drop(&x);
}

static void the_apm_port_raises_smi_if_both_enables_are_set(void **state)
{
  struct board x;
  setup_board(&x);
  piix4pm_set_base(&x.pm, BASE);
  piix4pm_apm(&x.pm, 0);
  assert_int_equal(x.b.wire[SMI].rises, 0);
  config(&x, 0x58, 4, 1 << 25);
  piix4pm_apm(&x.pm, 0);
  assert_int_equal(x.b.wire[SMI].rises, 0);
  put(&x.b, TXN_IO, BASE + 0x28, 4, 1);
  piix4pm_apm(&x.pm, 0);
  assert_int_equal(x.b.wire[SMI].rises, 1);
  drop(&x);
}

static void soft_off_pulses_the_line(void **state)
{
  struct board x;
  setup_board(&x);
  piix4pm_set_base(&x.pm, BASE);
  put(&x.b, TXN_IO, BASE + 4, 2, 0x2401); // another sleeping state
  assert_int_equal(x.b.wire[OFF].rises, 0);
  put(&x.b, TXN_IO, BASE + 4, 2, 0x2001);
  assert_int_equal(x.b.wire[OFF].rises, 1);
  assert_int_equal(get(&x.b, TXN_IO, BASE + 4, 2), 1);
  drop(&x);
}

static void nobody_answers_on_the_smbus(void **state)
{
  struct board x;
  setup_board(&x);
  config(&x, 0x90, 4, 0xb101);
  config(&x, 0xd2, 1, 1);
  put(&x.b, TXN_IO, 0xb104, 1, 0xa1);
  put(&x.b, TXN_IO, 0xb102, 1, 0x48);
  assert_int_equal(in8(&x.b, 0xb100), 4);
  out8(&x.b, 0xb100, 0xff);
  assert_int_equal(in8(&x.b, 0xb100), 0);
  drop(&x);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(firmware_places_the_registers),
      cmocka_unit_test(the_timer_counts_24_bits_at_3579545_hz),
      cmocka_unit_test(an_overflow_interrupts_when_it_may),
      cmocka_unit_test(the_power_button_is_an_event),
      cmocka_unit_test(the_apm_port_raises_smi_if_both_enables_are_set),
      cmocka_unit_test(soft_off_pulses_the_line),
      cmocka_unit_test(nobody_answers_on_the_smbus),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
