// A BIOS as ROM, its files, and guest memory on RAM cells.
#include "fwtest.h"

#include "base/log.h"
#include "bus/bus.h"
#include "firmware/bios.h"

static uint64_t peek(struct bus *b, uint64_t addr, unsigned size)
{
  struct txn t = {.addr = addr, .size = size, .kind = TXN_READ, .space = TXN_MEM};
  uint64_t v = 0;
  assert_int_equal(bus_access(b, &t, &v), TXN_OK);
  return v;
}

static void a_bios_is_rom_that_ends_at_4_gb(void **state)
{
  struct fixture *f = *state;
  static const uint32_t sizes[] = {0x10000, 0x20000, 0x40000, 0x400000};
  for (unsigned i = 0; i < 4; i++) {
    uint32_t size = sizes[i];
    uint8_t *im = malloc(size);
    struct log log = {0};
    struct ram ram;
    struct bus bus;
    struct bios bios;
    uint64_t need;
    for (uint32_t n = 0; n < size; n++)
      im[n] = (uint8_t)(n >> 8 ^ n * 11);
    write_file(f->kernel, im, size);
    assert_true(bios_size(f->kernel, &need, &f->err));
    assert_int_equal(need, size);
    assert_true(ram_init(&ram, 1 << 23, &f->err));
    assert_true(bus_init(&bus, &ram, &log));
    ram_alloc(&ram, 1 << 20);
    assert_true(bios_load(&bios, &ram, f->kernel, &f->err));
    bios_map(&bios, &bus);
    assert_int_equal(peek(&bus, 0xfffffff0, 4), get32(im + size - 16));
    assert_int_equal(peek(&bus, 0x100000000ull - size, 4), get32(im));
    struct txn t = {.addr = 0xfffffff0, .size = 4, .kind = TXN_WRITE, .space = TXN_MEM};
    uint64_t v = ~peek(&bus, 0xfffffff0, 4);
    bus_access(&bus, &t, &v);
    assert_int_equal(peek(&bus, 0xfffffff0, 4), get32(im + size - 16));
    bus_free(&bus);
    ram_free(&ram);
    free(im);
  }
}

static void a_bios_of_an_odd_size_is_refused(void **state)
{
  struct fixture *f = *state;
  static const uint32_t sizes[] = {0, 1, 0xffff, 0x10001, 0x18000, 0x410000};
  uint8_t *im = calloc(1, 0x410000);
  uint64_t need;
  for (unsigned i = 0; i < 6; i++) {
    write_file(f->kernel, im, sizes[i]);
    assert_false(bios_size(f->kernel, &need, &f->err));
    assert_non_null(strstr(f->err.text, f->kernel));
  }
  free(im);
  assert_false(bios_size("no-such-bios.bin", &need, &f->err));
  assert_non_null(strstr(f->err.text, "no-such-bios.bin"));
}

static const struct fw_file *named(const struct fw_files *f, const char *name)
{
  for (unsigned i = 0; i < f->count; i++)
    if (strcmp(f->file[i].name, name) == 0)
      return &f->file[i];
  return NULL;
}

static void the_bios_gets_its_files(void **state)
{
  struct fixture *f = *state;
  static const char *const order[] = {"/pci@i0cf8/ide@1,1/drive@0/disk@0", "/rom@x", NULL};
  struct fw_request rq = {.board = &f->board, .acpi = &f->acpi, .boot_paths = order, .smbios = true};
  struct fw_files fw;
  f->board.ram_above_4g = 0x40000000;
  assert_true(fw_files_build(&fw, &rq, &f->err));
  const struct fw_file *e = named(&fw, "etc/e820");
  assert_int_equal(e->len, 40);
  assert_int_equal(get64(e->data + 8), TEST_RAM);
  assert_int_equal(get32(e->data + 16), E820_RAM);
  assert_int_equal(get64(e->data + 20), 0x100000000);
  assert_int_equal(get64(e->data + 28), 0x40000000);
  assert_int_equal(get16(named(&fw, "etc/max-cpus")->data), 2);
  assert_int_equal(named(&fw, "etc/system-states")->len, 6);
  assert_string_equal((const char *)named(&fw, "bootorder")->data,
                      "/pci@i0cf8/ide@1,1/drive@0/disk@0\n/rom@x");
  assert_int_equal(named(&fw, ACPI_FILE_RSDP)->len, 36);
  assert_int_equal(named(&fw, ACPI_FILE_TABLES)->len, f->acpi.len);
  assert_int_equal(named(&fw, ACPI_FILE_SCRIPT)->len % 128, 0);
  const struct fw_file *anchor = named(&fw, "etc/smbios/smbios-anchor"),
                       *tables = named(&fw, "etc/smbios/smbios-tables");
  assert_int_equal(anchor->len, 31);
  assert_int_equal(get16(anchor->data + 0x16), tables->len);
  unsigned count = 0;
  for (size_t off = 0; off < tables->len; count++) { // structures end with two NULs behind their body
    off += tables->data[off + 1];
    while (tables->data[off] || tables->data[off + 1])
      off++;
    off += 2;
    assert_true(off <= tables->len);
  }
  assert_int_equal(count, get16(anchor->data + 0x1c));
  fw_files_free(&fw);
  f->board.ram_above_4g = 0;
}

static void writes_outside_ram_are_refused(void **state)
{
  struct fixture *f = *state;
  struct ram ram;
  assert_true(ram_init(&ram, 0x30000, &f->err));
  struct boot_ram br = {&ram, 0x10000, 0x10000, 0x20000, 0x10000, false};
  struct guest_mem m = boot_ram_mem(&br);
  assert_true(m.write(m.arg, 0xfffe, "ab", 2));
  assert_int_equal(ram.mem[0x1ffff], 'b');
  assert_false(m.write(m.arg, 0xffff, "ab", 2));
  assert_false(m.write(m.arg, 0x10000, "a", 1));
  assert_true(m.write(m.arg, 0x100000000ull, "cd", 2));
  assert_int_equal(ram.mem[0x20000], 'c');
  assert_false(m.write(m.arg, 0x10000ffffull, "cd", 2));
  assert_false(m.write(m.arg, UINT64_MAX, "cd", 2));
  assert_false(m.write(m.arg, 0, "cd", UINT64_MAX));
  assert_true(m.write(m.arg, 0, NULL, 0x10000));
  assert_int_equal(ram.mem[0x1ffff], 0);
  ram_free(&ram);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      with_fixture(a_bios_is_rom_that_ends_at_4_gb),
      with_fixture(a_bios_of_an_odd_size_is_refused),
      with_fixture(the_bios_gets_its_files),
      with_fixture(writes_outside_ram_are_refused),
  };
  return cmocka_run_group_tests_name("firmware: BIOS", tests, NULL, NULL);
}
