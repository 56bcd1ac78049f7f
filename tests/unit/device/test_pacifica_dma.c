// pacifica-dma: what each operation does, and what it says when it cannot.
#include "bed.h"

#include <stdlib.h>
#include <string.h>

#include "device/pacifica_dma.h"

enum { BAR = 0xe0000000, RAM = 4 << 20 };
#define NOWHERE UINT64_C(0x100000000000)

struct fixture {
  struct bed bed;
  struct device *dev;
  struct pci_func *pci;
};

static void open(struct fixture *f, const char *props)
{
  struct err e;
  bed_init(&f->bed, RAM);
  f->dev = pacifica_dma_device(&f->bed.env, bed_opts(props), &e);
  assert_non_null(f->dev);
  f->pci = f->bed.pci.func[3 << 3];
  assert_non_null(f->pci);
  bed_config_write(&f->bed, f->pci, 0x10, 4, BAR);
  bed_config_write(&f->bed, f->pci, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void stop(struct fixture *f)
{
  device_free(f->dev);
  bed_free(&f->bed);
}

static uint32_t get(struct fixture *f, unsigned reg)
{
  return (uint32_t)bed_read(&f->bed, BAR + reg, 4);
}

static uint64_t get64(struct fixture *f, unsigned reg)
{
  return get(f, reg) | (uint64_t)get(f, reg + 4) << 32;
}

static void set(struct fixture *f, unsigned reg, uint32_t v)
{
  bed_write(&f->bed, BAR + reg, 4, v);
}

static void set64(struct fixture *f, unsigned reg, uint64_t v)
{
  set(f, reg, (uint32_t)v);
  set(f, reg + 4, (uint32_t)(v >> 32));
}

static uint32_t run(struct fixture *f, uint32_t command, uint64_t source, uint64_t dest, uint32_t len)
{
  set64(f, PDMA_SOURCE, source);
  set64(f, PDMA_DEST, dest);
  set(f, PDMA_LENGTH, len);
  set(f, PDMA_COMMAND, command);
  bed_run(&f->bed, 100000000);
  return get(f, PDMA_STATUS);
}

static void says_what_it_is(void **state)
{
  struct fixture f;
  open(&f, "x");
  assert_int_equal(bed_config_read(&f.bed, f.pci, 0, 4), 0x50441234);
  assert_int_equal(get(&f, PDMA_ID), PDMA_IDENTITY);
  assert_int_equal(get(&f, PDMA_LIMIT), PDMA_MOST);
  assert_int_equal(get(&f, PDMA_REQUESTER), (uint32_t)f.pci->dma.unit << 16 | 3 << 3);
  assert_int_equal(bed_read(&f.bed, BAR + 2, 2), 0x5044);
  stop(&f);
}

static void copies_fills_checks_and_compares(void **state)
{
  struct fixture f;
  open(&f, "x");
  for (unsigned i = 0; i < 100000; i++)
    *bed_mem(&f.bed, 0x10001 + i) = (uint8_t)(i * 7 + (i >> 8));
  assert_int_equal(run(&f, PDMA_COPY, 0x10001, 0x80ffe, 100000), PDMA_DONE);
  assert_memory_equal(bed_mem(&f.bed, 0x10001), bed_mem(&f.bed, 0x80ffe), 100000);
  assert_int_equal(get(&f, PDMA_MOVED), 100000);
  assert_int_equal(run(&f, PDMA_COMPARE, 0x10001, 0x80ffe, 100000), PDMA_DONE);
  *bed_mem(&f.bed, 0x80ffe + 70000) ^= 1;
  uint8_t is = *bed_mem(&f.bed, 0x10001 + 70000);
  assert_int_equal(run(&f, PDMA_COMPARE, 0x10001, 0x80ffe, 100000), PDMA_DONE | PDMA_MISMATCH);
  assert_int_equal(get64(&f, PDMA_FAIL_ADDRESS), 0x10001 + 70000);
  assert_int_equal(get(&f, PDMA_FAIL_DATA), is);
  set(&f, PDMA_PATTERN, 0x44332211);
  assert_int_equal(run(&f, PDMA_FILL, 0, 0x3003, 10000), PDMA_DONE);
  assert_int_equal(*bed_mem(&f.bed, 0x3002), 0);
  assert_int_equal(*bed_mem(&f.bed, 0x3003), 0x11);
  assert_int_equal(*bed_mem(&f.bed, 0x3003 + 9999), 0x44);
  assert_int_equal(*bed_mem(&f.bed, 0x3003 + 10000), 0);
  assert_int_equal(run(&f, PDMA_CHECK, 0x3003, 0, 10000), PDMA_DONE);
  assert_int_equal(run(&f, PDMA_CHECK, 0x3003, 0, 10001), PDMA_DONE | PDMA_MISMATCH);
  assert_int_equal(get64(&f, PDMA_FAIL_ADDRESS), 0x3003 + 10000);
  stop(&f);
}

static void reads_and_writes_single_values(void **state)
{
  struct fixture f;
  open(&f, "x");
  set64(&f, PDMA_DATA, UINT64_C(0x8877665544332211));
  assert_int_equal(run(&f, PDMA_WRITE, 0, 0x5ffd, 7), PDMA_DONE);
  assert_int_equal(bed_read(&f.bed, 0x5ffd, 8), UINT64_C(0x0077665544332211));
  assert_int_equal(run(&f, PDMA_READ, 0x5ffe, 0, 3), PDMA_DONE);
  assert_int_equal(get64(&f, PDMA_DATA), 0x443322);
  stop(&f);
}

static void nobody_there_is_an_abort_with_its_address(void **state)
{
  struct fixture f;
  open(&f, "x");
  assert_int_equal(run(&f, PDMA_READ, NOWHERE, 0, 8), PDMA_DONE | PDMA_ABORT);
  assert_true(get64(&f, PDMA_DATA) == UINT64_MAX);
  assert_true(get64(&f, PDMA_FAIL_ADDRESS) == NOWHERE);
  assert_int_equal(get(&f, PDMA_MOVED), 0);
  assert_int_equal(run(&f, PDMA_WRITE, 0, NOWHERE + 4, 8), PDMA_DONE | PDMA_ABORT);
  // Of a long one the first page that is not there is told, and nothing is done behind it.
  assert_int_equal(run(&f, PDMA_FILL, 0, RAM - 0x1800, 0x4000), PDMA_DONE | PDMA_ABORT);
  assert_int_equal(get64(&f, PDMA_FAIL_ADDRESS), RAM);
  assert_int_equal(get(&f, PDMA_MOVED), 0x1800);
  assert_int_equal(get(&f, PDMA_ABORTS), 1);
  assert_int_equal(run(&f, PDMA_FILL | PDMA_CONTINUE, 0, RAM - 0x1800, 0x4000), PDMA_DONE | PDMA_ABORT);
  assert_int_equal(get(&f, PDMA_ABORTS), 3);
  assert_int_equal(get64(&f, PDMA_FAIL_ADDRESS), RAM);
  // What could not be read is not written.
  memset(bed_mem(&f.bed, 0x8000), 0x55, 4096);
  assert_int_equal(run(&f, PDMA_COPY | PDMA_CONTINUE, NOWHERE, 0x8000, 4096), PDMA_DONE | PDMA_ABORT);
  assert_int_equal(*bed_mem(&f.bed, 0x8000), 0x55);
  bed_config_write(&f.bed, f.pci, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
  assert_int_equal(run(&f, PDMA_READ, 0x1000, 0, 4), PDMA_DONE | PDMA_ABORT);
  stop(&f);
}

static void what_cannot_be_is_refused_and_does_nothing(void **state)
{
  struct fixture f;
  open(&f, "x");
  assert_int_equal(run(&f, 0, 0, 0, 4), PDMA_DONE | PDMA_BAD);
  assert_int_equal(run(&f, PDMA_OPS, 0, 0, 4), PDMA_DONE | PDMA_BAD);
  assert_int_equal(run(&f, PDMA_COPY, 0, 0x1000, 0), PDMA_DONE | PDMA_BAD);
  assert_int_equal(run(&f, PDMA_COPY, 0, 0x1000, PDMA_MOST + 1), PDMA_DONE | PDMA_BAD);
  assert_int_equal(run(&f, PDMA_COPY, 0, 0x1000, PDMA_MOST), PDMA_DONE);
  assert_int_equal(run(&f, PDMA_FILL, 0, UINT64_MAX - 0xfff, 0x1001), PDMA_DONE | PDMA_BAD);
  assert_int_equal(run(&f, PDMA_READ, 0, 0, 9), PDMA_DONE | PDMA_BAD);
  assert_int_equal(run(&f, PDMA_IO_READ, 0x61, 0, 2), PDMA_DONE | PDMA_BAD);
  assert_int_equal(run(&f, PDMA_IO_WRITE, 0, 0x10000, 1), PDMA_DONE | PDMA_BAD);
  assert_int_equal(run(&f, PDMA_CONFIG_READ, 0x1000000, 0, 4), PDMA_DONE | PDMA_BAD);
  stop(&f);
}

static uint64_t port_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  *(uint32_t *)dev = t->requester;
  return 0xa5;
}

static void port_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  *(uint32_t *)dev = (uint32_t)value;
}

static void ports_and_configuration_are_asked_as_such(void **state)
{
  static const struct bus_ops ops = {port_read, port_write, 1, 4};
  struct fixture f;
  struct region r = {0};
  uint32_t seen = 0;
  open(&f, "x");
  bus_map_ports(&f.bed.bus, &r, "test", 0x300, 4, &ops, &seen);
  assert_int_equal(run(&f, PDMA_IO_READ, 0x300, 0, 1), PDMA_DONE);
  assert_int_equal(get64(&f, PDMA_DATA), 0xa5);
  assert_int_equal(seen, 3 << 3);
  set64(&f, PDMA_DATA, 0x12345678);
  assert_int_equal(run(&f, PDMA_IO_WRITE, 0, 0x300, 4), PDMA_DONE);
  assert_int_equal(seen, 0x12345678);
  assert_int_equal(run(&f, PDMA_IO_READ, 0x310, 0, 1), PDMA_DONE | PDMA_ABORT);
  assert_int_equal(run(&f, PDMA_CONFIG_READ, 3 << 11, 0, 4), PDMA_DONE | PDMA_ABORT);
  assert_int_equal(f.bed.config_requests, 1);
  bus_unmap(&f.bed.bus, &r);
  stop(&f);
}

static void the_end_interrupts_by_pin_or_message(void **state)
{
  struct fixture f;
  open(&f, "x");
  run(&f, PDMA_FILL, 0, 0x1000, 4);
  assert_int_equal(get(&f, PDMA_INTERRUPT), 0);
  run(&f, PDMA_FILL | PDMA_IRQ, 0, 0x1000, 4);
  assert_int_equal(get(&f, PDMA_INTERRUPT), 1);
  assert_int_equal(f.bed.level[8 + 3], 1); // device 3, pin A
  set(&f, PDMA_INTERRUPT, 1);
  assert_int_equal(f.bed.level[8 + 3], 0);
  uint8_t cap = f.pci->msi_cap;
  bed_config_write(&f.bed, f.pci, cap + 4u, 4, 0xfee00000);
  bed_config_write(&f.bed, f.pci, cap + 12u, 2, 0x41);
  bed_config_write(&f.bed, f.pci, cap + 2u, 2, 1);
  run(&f, PDMA_FILL | PDMA_IRQ, 0, 0x1000, 4);
  assert_int_equal(f.bed.messages, 1);
  assert_int_equal(f.bed.last_message, 0x41);
  assert_int_equal(f.bed.level[8 + 3], 0);
  set(&f, PDMA_PATTERN, 0x4032);
  assert_int_equal(run(&f, PDMA_MESSAGE, 0, 0x3000, 0), PDMA_DONE);
  assert_int_equal(f.bed.messages, 2);
  assert_int_equal(f.bed.last_message, 0x4032);
  stop(&f);
}

static void a_request_to_its_own_registers_changes_nothing(void **state)
{
  struct fixture f;
  open(&f, "x");
  set(&f, PDMA_PATTERN, 0x01010101);
  run(&f, PDMA_FILL | PDMA_IRQ, 0, 0x1000, 4);
  uint32_t s = run(&f, PDMA_FILL, 0, BAR, 0x40);
  assert_int_equal(get(&f, PDMA_INTERRUPT), 1); // the 1 written there did not acknowledge
  assert_int_equal(s, PDMA_DONE);
  assert_int_equal(get(&f, PDMA_COMMAND), PDMA_FILL);
  assert_int_equal(get(&f, PDMA_LENGTH), 0x40);
  bed_run(&f.bed, 1000000);
  assert_int_equal(get(&f, PDMA_STATUS), PDMA_DONE);
  stop(&f);
}

static void a_command_keeps_what_it_was_given_until_it_ends(void **state)
{
  struct fixture f;
  open(&f, "x");
  set64(&f, PDMA_DEST, 0x1000);
  set(&f, PDMA_LENGTH, 0x8000);
  set(&f, PDMA_PATTERN, 0x01010101);
  set(&f, PDMA_COMMAND, PDMA_FILL);
  assert_int_equal(get(&f, PDMA_STATUS), PDMA_BUSY);
  set64(&f, PDMA_DEST, 0x20000);
  set(&f, PDMA_COMMAND, PDMA_CHECK);
  bed_run(&f.bed, 2000);
  assert_int_equal(get(&f, PDMA_STATUS), PDMA_BUSY);
  bed_run(&f.bed, 1000000);
  assert_int_equal(get(&f, PDMA_STATUS), PDMA_DONE);
  assert_int_equal(*bed_mem(&f.bed, 0x8fff), 1);
  assert_int_equal(*bed_mem(&f.bed, 0x20000), 0);
  set(&f, PDMA_COMMAND, PDMA_FILL);
  device_reset(f.dev); // ends it
  assert_int_equal(f.bed.clock.count, 0);
  stop(&f);
}

static void functions_are_requesters_of_their_own(void **state)
{
  struct fixture f;
  open(&f, "x,functions=3,unit=9");
  for (unsigned i = 0; i < 3; i++) {
    const struct pci_func *p = f.bed.pci.func[3 << 3 | i];
    assert_non_null(p);
    bed_config_write(&f.bed, p, 0x10, 4, BAR + 0x10000 * i);
    bed_config_write(&f.bed, p, PCI_COMMAND, 2, 6);
    assert_int_equal(bed_read(&f.bed, BAR + 0x10000 * i + PDMA_REQUESTER, 4), 9 << 16 | 3 << 3 | i);
  }
  assert_int_equal(bed_config_read(&f.bed, f.pci, PCI_HEADER_TYPE, 1), 0x80);
  struct err e;
  assert_null(pacifica_dma_device(&f.bed.env, bed_opts("x,functions=9"), &e));
  assert_null(pacifica_dma_device(&f.bed.env, bed_opts("x,addr=4.6,functions=3"), &e));
  stop(&f);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(says_what_it_is),
      cmocka_unit_test(copies_fills_checks_and_compares),
      cmocka_unit_test(reads_and_writes_single_values),
      cmocka_unit_test(nobody_there_is_an_abort_with_its_address),
      cmocka_unit_test(what_cannot_be_is_refused_and_does_nothing),
      cmocka_unit_test(ports_and_configuration_are_asked_as_such),
      cmocka_unit_test(the_end_interrupts_by_pin_or_message),
      cmocka_unit_test(a_request_to_its_own_registers_changes_nothing),
      cmocka_unit_test(a_command_keeps_what_it_was_given_until_it_ends),
      cmocka_unit_test(functions_are_requesters_of_their_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
