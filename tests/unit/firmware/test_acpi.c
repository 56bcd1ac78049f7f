// ACPI tables, placed directly and by the BIOS's script; the MP table.
#include "fwtest.h"

#include "firmware/smp.h"

static uint8_t sum(const uint8_t *p, size_t len)
{
  uint8_t s = 0;
  while (len--)
    s = (uint8_t)(s + *p++);
  return s;
}

static struct board numa_board(unsigned cpus, unsigned nodes)
{
  struct board b = {.ram_below_4g = 0x80000000, .ram_above_4g = 0x80000000, .cpus = cpus, .nodes = nodes};
  for (unsigned i = 0; i < cpus; i++)
    b.cpu[i] = (struct board_cpu){(uint8_t)i, (uint8_t)(i % nodes)};
  for (unsigned i = 0; i < nodes; i++)
    b.range[b.ranges++] = (struct board_range){i * 0x10000000ull, 0x10000000, (uint8_t)i};
  for (unsigned i = 1; i < nodes; i += 2)
    b.chain[b.chains++] = board_chain(i);
  b.pci64_base = 0x200000000;
  b.pci64_size = 0x1000000000;
  return b;
}

// Memory as seen from the tables: `mem` stands for the addresses from `base` on.
struct view {
  const uint8_t *mem;
  uint64_t base, len;
};

static const uint8_t *deref(const struct view *v, uint64_t pa)
{
  assert_true(pa >= v->base && pa - v->base < v->len);
  return v->mem + (pa - v->base);
}

// Finds a table through the XSDT and checks that the RSDT has the same.
static const uint8_t *find(const struct view *v, const uint8_t *rsdp, const char *sig)
{
  const uint8_t *rsdt = deref(v, get32(rsdp + 16)), *xsdt = deref(v, get64(rsdp + 24));
  assert_memory_equal(rsdt, "RSDT", 4);
  assert_memory_equal(xsdt, "XSDT", 4);
  assert_int_equal((get32(rsdt + 4) - 36) / 4, (get32(xsdt + 4) - 36) / 8);
  for (uint32_t i = 0; i < (get32(xsdt + 4) - 36) / 8; i++) {
    const uint8_t *t = deref(v, get64(xsdt + 36 + 8 * i));
    assert_int_equal(get64(xsdt + 36 + 8 * i), get32(rsdt + 36 + 4 * i));
    if (memcmp(t, sig, 4) == 0)
      return t;
  }
  return NULL;
}

// A table that the compiler made: granularity 0, first and last as in a resource descriptor of `size` bytes
// each.
static bool has_range(const uint8_t *table, unsigned size, uint32_t first, uint32_t last)
{
  uint8_t want[12] = {0};
  memcpy(want + size, &first, size);
  memcpy(want + 2 * size, &last, size);
  return memmem(table, get32(table + 4), want, 3ul * size) != NULL;
}

// The tables of I/O chains are those of the board's chains, with the board's numbers.
static void check_chains(const struct view *v, const uint8_t *rsdp, const struct board *b)
{
  const uint8_t *xsdt = deref(v, get64(rsdp + 24));
  unsigned chains = 0;
  for (uint32_t i = 0; i < (get32(xsdt + 4) - 36) / 8; i++) {
    const uint8_t *t = deref(v, get64(xsdt + 36 + 8 * i));
    if (memcmp(t, "SSDT", 4) != 0 || memcmp(t + 16, "CHAIN", 5) != 0)
      continue;
    const struct board_chain *c = &b->chain[chains++];
    assert_int_equal(t[21], '0' + c->node);
    assert_true(has_range(t, 2, c->first_bus, c->last_bus));
    assert_true(has_range(t, 2, c->io_base, c->io_base + c->io_size - 1));
    assert_true(has_range(t, 4, c->mem_base, c->mem_base + c->mem_size - 1));
  }
  assert_int_equal(chains, b->chains);
}

static void check_all(const struct view *v, const uint8_t *rsdp, const struct board *b)
{
  assert_memory_equal(rsdp, "RSD PTR ", 8);
  assert_int_equal(sum(rsdp, 20), 0);
  assert_int_equal(sum(rsdp, 36), 0);
  const uint8_t *xsdt = deref(v, get64(rsdp + 24)), *rsdt = deref(v, get32(rsdp + 16));
  assert_int_equal(sum(xsdt, get32(xsdt + 4)), 0);
  assert_int_equal(sum(rsdt, get32(rsdt + 4)), 0);
  for (uint32_t i = 0; i < (get32(xsdt + 4) - 36) / 8; i++) {
    const uint8_t *t = deref(v, get64(xsdt + 36 + 8 * i));
    assert_int_equal(sum(t, get32(t + 4)), 0);
  }
  const uint8_t *fadt = find(v, rsdp, "FACP");
  assert_int_equal(get32(fadt + 4), 244);
  assert_int_equal(get32(fadt + 56), 0x600);
  assert_int_equal(get32(fadt + 40), get64(fadt + 140));
  const uint8_t *dsdt = deref(v, get32(fadt + 40)), *facs = deref(v, get32(fadt + 36));
  assert_memory_equal(dsdt, "DSDT", 4);
  assert_int_equal(sum(dsdt, get32(dsdt + 4)), 0);
  assert_memory_equal(facs, "FACS", 4);
  assert_int_equal(get32(fadt + 36) & 63, 0);

  const uint8_t *madt = find(v, rsdp, "APIC");
  unsigned lapics = 0, ioapics = 0, overrides = 0;
  for (uint32_t off = 44; off < get32(madt + 4); off += madt[off + 1]) {
    assert_true(madt[off + 1] >= 2);
    if (madt[off] == 0) {
      assert_int_equal(madt[off + 3], b->cpu[lapics].apic_id);
      lapics++;
    }
    ioapics += madt[off] == 1;
    overrides += madt[off] == 2;
  }
  assert_int_equal(lapics, b->cpus);
  assert_int_equal(ioapics, 1);
  assert_int_equal(overrides, 5);
  assert_non_null(find(v, rsdp, "SSDT"));
  check_chains(v, rsdp, b);
  assert_int_equal(find(v, rsdp, "HPET") != NULL, !b->no_hpet);

  const uint8_t *srat = find(v, rsdp, "SRAT"), *slit = find(v, rsdp, "SLIT");
  assert_int_equal(srat != NULL, b->nodes > 1);
  if (!srat)
    return;
  unsigned cpus = 0, ranges = 0;
  for (uint32_t off = 48; off < get32(srat + 4); off += srat[off + 1]) {
    if (srat[off] == 0) {
      assert_int_equal(srat[off + 3], b->cpu[cpus].apic_id);
      assert_int_equal(srat[off + 2], b->cpu[cpus++].node);
      continue;
    }
    assert_int_equal(get32(srat + off + 2), b->range[ranges].node);
    assert_int_equal(get64(srat + off + 16), b->range[ranges].size);
    assert_int_equal(get64(srat + off + 8), b->range[ranges++].base);
  }
  assert_int_equal(cpus, b->cpus);
  assert_int_equal(ranges, b->ranges);
  assert_int_equal(get64(slit + 36), b->nodes);
  assert_int_equal(slit[44], 10);
  assert_int_equal(slit[45], 20);
}

static void tables_are_sound_for_1_to_16_cpus_and_1_to_8_nodes(void **state)
{
  for (unsigned cpus = 1; cpus <= 16; cpus++)
    for (unsigned nodes = 1; nodes <= 8; nodes++) {
      struct board b = numa_board(cpus, nodes);
      struct acpi_image im;
      struct err e;
      uint8_t rsdp[36];
      b.no_hpet = cpus & 1;
      assert_true(acpi_build(&im, &b, &e));
      uint64_t base = acpi_direct_base(&b, &im);
      assert_int_equal(base + acpi_direct_size(&im), b.ram_below_4g);
      uint8_t *mem = malloc(im.len);
      acpi_place(&im, mem, base);
      acpi_rsdp(&im, rsdp, base);
      check_all(&(struct view){mem, base, im.len}, rsdp, &b);
      free(mem);
      acpi_free(&im);
    }
}

// What SeaBIOS does with the script, file by file.
struct file {
  const char *name;
  uint8_t *data;
  size_t len;
  uint64_t pa;
};

static struct file *file_of(struct file *files, const uint8_t *name)
{
  for (int i = 0; i < 2; i++)
    if (strcmp(files[i].name, (const char *)name) == 0)
      return &files[i];
  fail_msg("the script names %s", name);
  return NULL;
}

static void the_script_makes_the_same_tables_elsewhere(void **state)
{
  struct board b = numa_board(16, 8);
  struct acpi_image im;
  struct err e;
  uint8_t rsdp[36];
  size_t len;
  assert_true(acpi_build(&im, &b, &e));
  uint8_t *tables = malloc(im.len), *script = acpi_loader_script(&im, &len);
  acpi_place(&im, tables, 0);
  acpi_rsdp_unplaced(&im, rsdp);
  for (unsigned i = 0; i < im.sums; i++)
    tables[im.sum[i].at] = 0;
  struct file files[2] = {{ACPI_FILE_TABLES, tables, im.len, 0}, {ACPI_FILE_RSDP, rsdp, sizeof rsdp, 0}};
  assert_int_equal(len % 128, 0);
  for (uint8_t *p = script; p < script + len; p += 128) {
    struct file *f = file_of(files, p + 4);
    switch (get32(p)) {
    case 1:
      assert_int_equal(f->pa, 0);
      f->pa = p[64] == 2 ? 0xf5000 : 0x7ffe0000;
      assert_int_equal(f->pa & (get32(p + 60) - 1), 0);
      break;
    case 2: {
      struct file *to = file_of(files, p + 60);
      uint32_t off = get32(p + 116);
      uint8_t size = p[120];
      assert_true(f->pa && to->pa && (size == 4 || size == 8) && off + size <= f->len);
      uint64_t v = size == 8 ? get64(f->data + off) : get32(f->data + off);
      assert_true(v < to->len);
      v += to->pa;
      if (size == 8)
        put64(f->data + off, v);
      else
        put32(f->data + off, (uint32_t)v);
      break;
    }
    case 3: {
      uint32_t off = get32(p + 60), start = get32(p + 64), n = get32(p + 68);
      assert_true(off < f->len && start + n <= f->len);
      f->data[off] = (uint8_t)(f->data[off] - sum(f->data + start, n));
      break;
    }
    default:
      fail_msg("command %u", get32(p));
    }
  }
  check_all(&(struct view){tables, 0x7ffe0000, im.len}, rsdp, &b);
  free(script);
  free(tables);
  acpi_free(&im);
}

static void further_tables_are_linked_in(void **state)
{
  struct board b = numa_board(1, 1);
  struct acpi_image im;
  struct err e = {""};
  uint8_t extra[76] = "MCFG", rsdp[36];
  put32(extra + 4, sizeof extra);
  extra[70] = 0x77;
  b.tables = 1;
  b.table[0] = (struct board_table){extra, sizeof extra};
  assert_true(acpi_build(&im, &b, &e));
  uint8_t *mem = malloc(im.len);
  acpi_place(&im, mem, 0x1000000);
  acpi_rsdp(&im, rsdp, 0x1000000);
  struct view v = {mem, 0x1000000, im.len};
  check_all(&v, rsdp, &b);
  assert_int_equal(find(&v, rsdp, "MCFG")[70], 0x77);
  free(mem);
  acpi_free(&im);

  put32(extra + 4, sizeof extra + 1);
  assert_false(acpi_build(&im, &b, &e));
  assert_non_null(strstr(e.text, "MCFG"));
}

static void direct_boot_puts_tables_where_the_map_says(void **state)
{
  struct fixture *f = *state;
  static const uint8_t elf[] = {0x7f, 'E', 'L', 'F'};
  boot(f, elf, sizeof elf); // refused, but by then memory is laid out
  check_all(&(struct view){f->ram, 0, TEST_RAM}, at(f, 0xe0000), &f->board);
  uint64_t base = acpi_direct_base(&f->board, &f->acpi);
  const struct e820 *m = &f->st.map;
  bool nvs = false, acpi = false;
  for (unsigned i = 0; i < m->count; i++) {
    nvs |= m->entry[i].type == E820_NVS && m->entry[i].base == base && m->entry[i].size == 4096;
    acpi |= m->entry[i].type == E820_ACPI && m->entry[i].base == base + 4096 &&
            m->entry[i].base + m->entry[i].size == TEST_RAM;
  }
  assert_true(nvs && acpi);
  // The 1st megabyte: EBDA, conventional memory, an IRET behind every vector.
  assert_int_equal(get16(at(f, 0x40e)), 0x9fc0);
  assert_int_equal(get16(at(f, 0x413)), 639);
  for (unsigned i = 0; i < 256; i++) {
    const uint8_t *code = at(f, get16(at(f, 4 * i + 2)) * 16u + get16(at(f, 4 * i)));
    unsigned n = 0;
    while (n < 18 && code[n] != 0xcf)
      n++;
    assert_int_equal(code[n], 0xcf);
    assert_int_equal(n > 0, (i >= 8 && i < 16) || (i >= 0x70 && i < 0x78)); // acknowledged first
  }
  assert_memory_equal(at(f, 0xf1000), "_SM_", 4);
  assert_int_equal(sum(at(f, 0xf1000), 31), 0);
  assert_int_equal(sum(at(f, 0xf1010), 15), 0);
}

static void the_mp_table_lists_processors_and_interrupts(void **state)
{
  for (unsigned cpus = 1; cpus <= BOARD_CPUS; cpus++) {
    struct board b = {.ram_below_4g = 1 << 27, .cpus = cpus, .nodes = 1};
    uint8_t mp[SMP_MAX];
    for (unsigned i = 0; i < cpus; i++)
      b.cpu[i].apic_id = (uint8_t)(i * 2);
    unsigned len = smp_build(&b, 0xf0000, mp);
    assert_true(len <= SMP_MAX);
    assert_memory_equal(mp, "_MP_", 4);
    assert_int_equal(sum(mp, 16), 0);
    assert_int_equal(get32(mp + 4), 0xf0010);
    const uint8_t *t = mp + 16;
    assert_memory_equal(t, "PCMP", 4);
    assert_int_equal(get16(t + 4) + 16, len);
    assert_int_equal(sum(t, get16(t + 4)), 0);
    unsigned n[5] = {0}, off = 44, entries = 0;
    for (; off < get16(t + 4); off += t[off] == 0 ? 20 : 8, entries++) {
      assert_true(t[off] < 5);
      if (t[off] == 0)
        assert_int_equal(t[off + 1], n[0] * 2);
      n[t[off]]++;
    }
    assert_int_equal(off, get16(t + 4));
    assert_int_equal(entries, get16(t + 34));
    assert_int_equal(n[0], cpus);
    assert_int_equal(n[2], 1);
    assert_int_equal(n[3], 16); // 15 ISA interrupts and the 8259
    assert_int_equal(n[4], 2);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tables_are_sound_for_1_to_16_cpus_and_1_to_8_nodes),
      cmocka_unit_test(the_script_makes_the_same_tables_elsewhere),
      cmocka_unit_test(further_tables_are_linked_in),
      with_fixture(direct_boot_puts_tables_where_the_map_says),
      cmocka_unit_test(the_mp_table_lists_processors_and_interrupts),
  };
  return cmocka_run_group_tests_name("firmware: ACPI", tests, NULL, NULL);
}
