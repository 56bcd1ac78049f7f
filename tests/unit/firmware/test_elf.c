// ELF images, with a PVH note and without.
#include "fwtest.h"

enum { CODE_OFF = 0x200, CODE_LEN = 0x100, BSS = 0x300, NOTE_OFF = 0x180, SIZE = CODE_OFF + CODE_LEN };

struct ph {
  uint32_t type;
  uint64_t off, vaddr, paddr, filesz, memsz, align;
};

static void put_ph(uint8_t *im, bool wide, unsigned i, struct ph h)
{
  if (wide) {
    uint8_t *p = im + 64 + 56 * i;
    put32(p, h.type);
    put64(p + 8, h.off);
    put64(p + 16, h.vaddr);
    put64(p + 24, h.paddr);
    put64(p + 32, h.filesz);
    put64(p + 40, h.memsz);
    put64(p + 48, h.align);
  } else {
    uint8_t *p = im + 52 + 32 * i;
    put32(p, h.type);
    put32(p + 4, (uint32_t)h.off);
    put32(p + 8, (uint32_t)h.vaddr);
    put32(p + 12, (uint32_t)h.paddr);
    put32(p + 16, (uint32_t)h.filesz);
    put32(p + 20, (uint32_t)h.memsz);
    put32(p + 28, (uint32_t)h.align);
  }
}

// One segment at 2 MB with its entry 16 bytes in, and, if wanted, a note with the PVH entry.
static void make(uint8_t im[SIZE], bool wide, bool pvh)
{
  memset(im, 0, SIZE);
  memcpy(im, "\177ELF", 4);
  im[4] = wide ? 2 : 1;
  im[5] = im[6] = 1;
  put16(im + 16, 2);
  put16(im + 18, wide ? 62 : 3);
  if (wide) {
    put64(im + 24, 0x200010);
    put64(im + 32, 64);
    put16(im + 54, 56);
    put16(im + 56, pvh ? 2 : 1);
  } else {
    put32(im + 24, 0x200010);
    put32(im + 28, 52);
    put16(im + 42, 32);
    put16(im + 44, pvh ? 2 : 1);
  }
  put_ph(im, wide, 0, (struct ph){1, CODE_OFF, 0xffffffff80200000, 0x200000, CODE_LEN, BSS, 0x1000});
  put_ph(im, wide, 1, (struct ph){4, NOTE_OFF, 0, 0, 20 + 24, 0, 4});
  // Another note stands before it.
  put32(im + NOTE_OFF, 4);
  put32(im + NOTE_OFF + 4, 4);
  put32(im + NOTE_OFF + 8, 1);
  memcpy(im + NOTE_OFF + 12, "GNU", 4);
  put32(im + NOTE_OFF + 20, 4);
  put32(im + NOTE_OFF + 24, 8);
  put32(im + NOTE_OFF + 28, 18);
  memcpy(im + NOTE_OFF + 32, "Xen", 4);
  put64(im + NOTE_OFF + 36, 0x200020);
  memset(im + CODE_OFF, 0x90, CODE_LEN);
}

static void elf32_starts_in_flat_protected_mode(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make(im, false, false);
  assert_true(boot(f, im, SIZE));
  assert_int_equal(f->st.mode, BOOT_PROTECTED32);
  assert_int_equal(f->st.rip, 0x200010);
  assert_memory_equal(at(f, 0x200000), im + CODE_OFF, CODE_LEN);
  for (unsigned i = CODE_LEN; i < BSS; i++)
    assert_int_equal(*at(f, 0x200000 + i), 0);
  assert_int_equal(*at(f, 0x200000 + BSS), 0xcc);
}

static void elf64_starts_in_long_mode_with_4_gb_mapped_one_to_one(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make(im, true, false);
  assert_true(boot(f, im, SIZE));
  assert_int_equal(f->st.mode, BOOT_LONG64);
  assert_int_equal(f->st.efer, 0x500);
  assert_int_equal(f->st.cs_desc >> 53 & 3, 1); // L set, D clear
  for (uint64_t va = 0; va < 0x100000000ull; va += 0x12345000) {
    uint64_t e = get64(at(f, f->st.cr3));
    e = get64(at(f, (e & ~4095ull) + (va >> 30) * 8));
    e = get64(at(f, (e & ~4095ull) + (va >> 21 & 511) * 8));
    assert_int_equal(e & 0x83, 0x83);
    assert_int_equal(e & ~0x1fffffull, va & ~0x1fffffull);
  }
  const uint8_t *zp = at(f, f->st.rsi);
  assert_int_equal(get32(zp + 0x202), 0x53726448);
  assert_string_equal((const char *)at(f, get32(zp + 0x228)), f->rq.append);
}

static void a_virtual_entry_is_taken_to_its_segment(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make(im, true, false);
  put64(im + 24, 0xffffffff80200030);
  assert_true(boot(f, im, SIZE));
  assert_int_equal(f->st.rip, 0x200030);
  put64(im + 24, 0x300000);
  assert_refused_with(f, im, SIZE, "entry");
}

static void the_pvh_note_wins_over_e_entry(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE], rd[100];
  memset(rd, 7, sizeof rd);
  write_file(f->initrd[0], rd, sizeof rd);
  f->rq.initrd = f->initrd[0];
  for (int wide = 0; wide < 2; wide++) {
    make(im, wide, true);
    assert_true(boot(f, im, SIZE));
    assert_int_equal(f->st.mode, BOOT_PROTECTED32);
    assert_int_equal(f->st.rip, 0x200020);
    assert_int_equal(f->st.cr0 & 0x80000001, 1);
    const uint8_t *si = at(f, f->st.rbx);
    assert_int_equal(get32(si), 0x336ec578);
    assert_int_equal(get32(si + 4), 1);
    assert_int_equal(get32(si + 12), 1);
    const uint8_t *mod = at(f, get64(si + 16));
    assert_memory_equal(at(f, get64(mod)), rd, sizeof rd);
    assert_int_equal(get64(mod + 8), sizeof rd);
    assert_string_equal((const char *)at(f, get64(si + 24)), f->rq.append);
    assert_int_equal(get64(si + 32), 0xe0000);
    assert_int_equal(get32(si + 48), f->st.map.count);
    const uint8_t *map = at(f, get64(si + 40));
    assert_int_equal(get64(map + 8), f->st.map.entry[0].size);
    assert_int_equal(get32(map + 16), E820_RAM);
  }
}

static void a_pvh_entry_outside_the_image_is_refused(void **state)
{
  struct fixture *f = *state;
  static const uint64_t bad[] = {0, 0x1fffff, 0x200000 + BSS, 0x100200020, UINT64_MAX};
  uint8_t im[SIZE];
  for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    make(im, true, true);
    put64(im + NOTE_OFF + 36, bad[i]);
    assert_refused_with(f, im, SIZE, "PVH entry");
  }
}

static void a_broken_note_is_no_note(void **state)
{
  struct fixture *f = *state;
  static const uint32_t sizes[] = {0, 5, 0x1000, 0x7fffffff, 0xfffffffe, 0xffffffff};
  for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
    for (unsigned field = 0; field < 2; field++) {
      uint8_t im[SIZE];
      make(im, true, true);
      put32(im + NOTE_OFF + 20 + 4 * field, sizes[i]);
      assert_true(boot(f, im, SIZE));
      assert_int_equal(f->st.rip, 0x200010);
    }
}

static void files_for_other_machines_are_refused(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make(im, true, false);
  put16(im + 18, 183);
  assert_refused_with(f, im, SIZE, "machine 183");
  make(im, true, false);
  im[5] = 2;
  assert_refused_with(f, im, SIZE, "big-endian");
  make(im, true, false);
  im[4] = 3;
  assert_refused_with(f, im, SIZE, "class");
  make(im, true, false);
  put16(im + 16, 1);
  assert_refused_with(f, im, SIZE, "not an executable");
}

static void segments_must_lie_in_ram_and_apart(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  struct ph h = {1, CODE_OFF, 0x200000, 0x200000, CODE_LEN, CODE_LEN, 0};
  static const uint64_t bad[] = {0xa0000,  0x9fb00,    0xf0000,     TEST_RAM - 0x80,
                                 TEST_RAM, 0xfee00000, 0x100000000, UINT64_MAX - 0x80};
  for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    make(im, true, false);
    h.paddr = bad[i];
    if (bad[i] == 0x9fb00)
      h.memsz = 0x200;
    put_ph(im, true, 0, h);
    h.memsz = CODE_LEN;
    put64(im + 24, h.vaddr);
    assert_refused(f, im, SIZE);
  }
  make(im, true, true);
  put_ph(im, true, 1, (struct ph){1, CODE_OFF, 0, 0x200000 + BSS - 1, 16, 16, 0});
  assert_refused_with(f, im, SIZE, "overlaps");
  put_ph(im, true, 1, (struct ph){1, CODE_OFF, 0, 0x200000 + BSS, 16, 16, 0});
  assert_true(boot(f, im, SIZE));
}

static void boot_information_keeps_clear_of_the_image(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make(im, true, false);
  put_ph(im, true, 0, (struct ph){1, CODE_OFF, 0x10000, 0x10000, CODE_LEN, 0x10000, 0});
  put64(im + 24, 0x10000);
  assert_true(boot(f, im, SIZE));
  assert_true(f->st.rsi >= 0x20000 && f->st.cr3 >= 0x20000 && f->st.gdt_base >= 0x20000);
  assert_memory_equal(at(f, 0x10000), im + CODE_OFF, CODE_LEN);
}

static void sizes_that_lie_are_refused(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make(im, true, false);
  put_ph(im, true, 0, (struct ph){1, CODE_OFF, 0, 0x200000, CODE_LEN, CODE_LEN - 1, 0});
  assert_refused_with(f, im, SIZE, "more bytes in the file");
  put_ph(im, true, 0, (struct ph){1, CODE_OFF, 0, 0x200000, CODE_LEN, UINT64_MAX, 0});
  assert_refused(f, im, SIZE);
  put_ph(im, true, 0, (struct ph){1, UINT64_MAX, 0, 0x200000, CODE_LEN, CODE_LEN, 0});
  assert_refused_with(f, im, SIZE, "cut short");
  make(im, true, false);
  put16(im + 56, 0);
  assert_refused_with(f, im, SIZE, "nothing to load");
  put16(im + 56, 0xffff);
  assert_refused_with(f, im, SIZE, "program headers");
  make(im, true, false);
  put16(im + 54, 8);
  assert_refused_with(f, im, SIZE, "too small");
}

static void every_shorter_file_is_refused(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  for (int kind = 0; kind < 4; kind++) {
    make(im, kind & 1, kind & 2);
    for (size_t len = 0; len < SIZE; len++)
      assert_refused(f, im, len);
    assert_true(boot(f, im, SIZE));
  }
}

static void any_field_may_have_any_value(void **state)
{
  static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
  struct fixture *f = *state;
  uint8_t im[SIZE];
  for (unsigned off = 4; off < NOTE_OFF + 44; off++)
    for (unsigned v = 0; v < sizeof values; v++) {
      make(im, off & 1, true);
      im[off] = values[v];
      if (!boot(f, im, SIZE))
        assert_true(f->err.text[0]);
    }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      with_fixture(elf32_starts_in_flat_protected_mode),
      with_fixture(elf64_starts_in_long_mode_with_4_gb_mapped_one_to_one),
      with_fixture(a_virtual_entry_is_taken_to_its_segment),
      with_fixture(the_pvh_note_wins_over_e_entry),
      with_fixture(a_pvh_entry_outside_the_image_is_refused),
      with_fixture(a_broken_note_is_no_note),
      with_fixture(files_for_other_machines_are_refused),
      with_fixture(segments_must_lie_in_ram_and_apart),
      with_fixture(boot_information_keeps_clear_of_the_image),
      with_fixture(sizes_that_lie_are_refused),
      with_fixture(every_shorter_file_is_refused),
      with_fixture(any_field_may_have_any_value),
  };
  return cmocka_run_group_tests_name("firmware: ELF", tests, NULL, NULL);
}
