// Multiboot 1 and 2: headers, what the kernel is told, and what is refused.
#include "fwtest.h"

enum { SIZE = 0x400, HEADER = 0x80, MB1 = 0x1badb002 };
#define MB2 0xe85250d6u

// A flat image with address fields: the whole file from 1 MB on, 100h bytes of bss.
static void make1(uint8_t im[SIZE], uint32_t flags)
{
  for (unsigned i = 0; i < SIZE; i++)
    im[i] = (uint8_t)(i * 3);
  put32(im + HEADER, MB1);
  put32(im + HEADER + 4, flags);
  put32(im + HEADER + 8, -(MB1 + flags));
  put32(im + HEADER + 12, 0x100000 + HEADER);
  put32(im + HEADER + 16, 0x100000);
  put32(im + HEADER + 20, 0x100000 + SIZE);
  put32(im + HEADER + 24, 0x100000 + SIZE + 0x100);
  put32(im + HEADER + 28, 0x100000 + 0x100);
}

// The smallest ELF file around a multiboot header, which stands behind the program header.
static void make_elf(uint8_t im[SIZE], bool wide)
{
  memset(im, 0, SIZE);
  memcpy(im, "\177ELF", 4);
  im[4] = wide ? 2 : 1;
  im[5] = 1;
  put16(im + 16, 2);
  put16(im + 18, wide ? 62 : 3);
  uint8_t *ph = im + 64;
  if (wide) {
    put64(im + 24, 0x400100);
    put64(im + 32, 64);
    put16(im + 54, 56);
    put16(im + 56, 1);
    put64(ph + 8, 0);
    put64(ph + 24, 0x400000);
    put64(ph + 32, SIZE);
    put64(ph + 40, SIZE);
  } else {
    put32(im + 24, 0x400100);
    put32(im + 28, 64);
    put16(im + 42, 32);
    put16(im + 44, 1);
    put32(ph + 12, 0x400000);
    put32(ph + 16, SIZE);
    put32(ph + 20, SIZE);
  }
  put32(ph, 1);
  put32(im + HEADER, MB1);
  put32(im + HEADER + 4, 0);
  put32(im + HEADER + 8, -MB1);
}

static void address_fields_place_the_image(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make1(im, 0x10003);
  assert_true(boot(f, im, SIZE));
  assert_int_equal(f->st.mode, BOOT_PROTECTED32);
  assert_int_equal(f->st.rip, 0x100100);
  assert_int_equal(f->st.rax, 0x2badb002);
  assert_memory_equal(at(f, 0x100000), im, SIZE);
  for (unsigned i = 0; i < 0x100; i++)
    assert_int_equal(*at(f, 0x100000 + SIZE + i), 0);
  assert_int_equal(*at(f, 0x100000 + SIZE + 0x100), 0xcc);
}

static void load_end_0_means_the_whole_file(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make1(im, 0x10000);
  put32(im + HEADER + 20, 0);
  put32(im + HEADER + 24, 0);
  assert_true(boot(f, im, SIZE));
  assert_memory_equal(at(f, 0x100000), im, SIZE);
  assert_int_equal(*at(f, 0x100000 + SIZE), 0xcc);
}

static void elf_images_of_both_widths_start(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  for (int wide = 0; wide < 2; wide++) {
    make_elf(im, wide);
    assert_true(boot(f, im, SIZE));
    assert_string_equal(f->st.kind, "multiboot 1");
    assert_int_equal(f->st.mode, BOOT_PROTECTED32);
    assert_int_equal(f->st.rip, 0x400100);
  }
}

static void information_has_memory_command_line_and_modules(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  char list[200], want[200];
  make1(im, 0x10003);
  write_file(f->initrd[0], "first", 5);
  write_file(f->initrd[1], "", 0);
  snprintf(list, sizeof list, "%s one,,two  three, %s", f->initrd[0], f->initrd[1]);
  f->rq.initrd = list;
  assert_true(boot(f, im, SIZE));
  const uint8_t *mbi = at(f, f->st.rbx);
  assert_int_equal(get32(mbi) & 0x24d, 0x24d);
  assert_int_equal(get32(mbi) & 0x1000, 0);
  assert_int_equal(get32(mbi + 4), 639);
  assert_int_equal(get32(mbi + 8) * 1024ull + 0x100000, e820_low_end(&f->st.map));
  snprintf(want, sizeof want, "%s %s", f->kernel, f->rq.append);
  assert_string_equal((const char *)at(f, get32(mbi + 16)), want);
  assert_string_equal((const char *)at(f, get32(mbi + 64)), "pacifica");
  assert_int_equal(get32(mbi + 20), 2);
  const uint8_t *mod = at(f, get32(mbi + 24));
  assert_int_equal(get32(mod) & 4095, 0);
  assert_true(get32(mod) >= 0x100000 + SIZE + 0x100);
  assert_int_equal(get32(mod + 4) - get32(mod), 5);
  assert_memory_equal(at(f, get32(mod)), "first", 5);
  snprintf(want, sizeof want, "%s one,two  three", f->initrd[0]);
  assert_string_equal((const char *)at(f, get32(mod + 8)), want);
  assert_int_equal(get32(mod + 20), get32(mod + 16));
  assert_string_equal((const char *)at(f, get32(mod + 24)), f->initrd[1]);

  const uint8_t *map = at(f, get32(mbi + 48)), *end = map + get32(mbi + 44);
  unsigned n = 0;
  for (; map < end; map += get32(map) + 4, n++) {
    assert_int_equal(get64(map + 4), f->st.map.entry[n].base);
    assert_int_equal(get64(map + 12), f->st.map.entry[n].size);
    assert_int_equal(get32(map + 20), f->st.map.entry[n].type);
  }
  assert_int_equal(n, f->st.map.count);
}

static void a_missing_module_is_named(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make1(im, 0x10003);
  f->rq.initrd = "/nonexistent/module arg";
  assert_false(boot(f, im, SIZE));
  assert_non_null(strstr(f->err.text, "/nonexistent/module:"));
  write_file(f->initrd[0], "x", 1);
  char list[100];
  snprintf(list, sizeof list, "%s, ,%s", f->initrd[0], f->initrd[0]);
  f->rq.initrd = list;
  assert_false(boot(f, im, SIZE));
  assert_non_null(strstr(f->err.text, "empty"));
}

static void what_multiboot_1_cannot_have_is_refused(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make1(im, 0x10008);
  assert_refused_with(f, im, SIZE, "unknown");
  make1(im, 3);
  assert_refused_with(f, im, SIZE, "neither ELF");
  static const struct {
    unsigned field;
    uint32_t value;
  } bad[] = {
      {12, 0},                   // header before load
      {12, 0x100000 + SIZE},     // header further in than it is
      {16, 0x200000},            // load after header
      {20, 0xfff00},             // end before begin
      {20, 0x100001 + SIZE},     // end outside the file
      {24, 0x100000 + SIZE - 1}, // bss ends inside the data
      {24, 0xffffffff},          // more than there is
      {28, 0xfffff},             // entry before
      {28, 0x100100 + SIZE},     // entry behind
  };
  for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    make1(im, 0x10000);
    put32(im + HEADER + bad[i].field, bad[i].value);
    assert_refused(f, im, SIZE);
  }
}

static void every_shorter_file_is_refused(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make1(im, 0x10000);
  for (size_t len = 0; len < SIZE; len++)
    assert_refused(f, im, len);
}

// Multiboot 2, flat, with tags appended by the tests.
static uint8_t *begin2(uint8_t im[SIZE])
{
  for (unsigned i = 0; i < SIZE; i++)
    im[i] = (uint8_t)(i * 5);
  put32(im + HEADER, MB2);
  put32(im + HEADER + 4, 0);
  uint8_t *p = im + HEADER + 16;
  put16(p, 2); // address tag
  put16(p + 2, 0);
  put32(p + 4, 24);
  put32(p + 8, 0x100000 + HEADER);
  put32(p + 12, 0x100000);
  put32(p + 16, 0x100000 + SIZE);
  put32(p + 20, 0x100000 + SIZE + 0x100);
  put16(p + 24, 3); // entry tag, padded to 16
  put16(p + 26, 0);
  put32(p + 28, 12);
  put32(p + 32, 0x100200);
  return p + 40;
}

static void end2(uint8_t *im, uint8_t *p)
{
  put16(p, 0);
  put16(p + 2, 0);
  put32(p + 4, 8);
  uint32_t len = (uint32_t)(p + 8 - (im + HEADER));
  put32(im + HEADER + 8, len);
  put32(im + HEADER + 12, -(MB2 + len));
}

static const uint8_t *info_tag(struct fixture *f, uint32_t type)
{
  const uint8_t *info = at(f, f->st.rbx);
  uint32_t total = get32(info);
  assert_true(total % 8 == 0 && total < 65536);
  for (uint32_t off = 8; off < total; off += (uint32_t)align_up(get32(info + off + 4), 8)) {
    assert_true(get32(info + off + 4) >= 8);
    if (get32(info + off) == type)
      return info + off;
  }
  return NULL;
}

static void multiboot_2_tells_all_in_tags(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  char list[100];
  end2(im, begin2(im));
  write_file(f->initrd[0], "module", 6);
  snprintf(list, sizeof list, "%s its args", f->initrd[0]);
  f->rq.initrd = list;
  f->rq.vga_text = true;
  assert_true(boot(f, im, SIZE));
  assert_int_equal(f->st.rax, 0x36d76289);
  assert_int_equal(f->st.rip, 0x100200);
  assert_int_equal(f->st.rbx & 7, 0);
  assert_memory_equal(at(f, 0x100000), im, SIZE);
  assert_string_equal((const char *)info_tag(f, 1) + 8, f->rq.append);
  assert_string_equal((const char *)info_tag(f, 2) + 8, "pacifica");
  const uint8_t *mod = info_tag(f, 3);
  assert_memory_equal(at(f, get32(mod + 8)), "module", 6);
  assert_int_equal(get32(mod + 12) - get32(mod + 8), 6);
  assert_string_equal((const char *)mod + 16, "its args");
  const uint8_t *map = info_tag(f, 6);
  assert_int_equal(get32(map + 4), 16 + 24 * f->st.map.count);
  assert_int_equal(get64(map + 16), 0);
  assert_int_equal(get64(map + 24), f->st.map.entry[0].size);
  assert_memory_equal(info_tag(f, 14) + 8, at(f, 0xe0000), 20);
  assert_memory_equal(info_tag(f, 15) + 8, at(f, 0xe0000), 36);
  assert_int_equal(get64(info_tag(f, 8) + 8), 0xb8000);
  assert_non_null(info_tag(f, 0));
}

static void multiboot_2_requests_that_cannot_be_met_are_refused(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE], *p = begin2(im);
  put16(p, 1);
  put16(p + 2, 0);
  put32(p + 4, 16);
  put32(p + 8, 6);
  put32(p + 12, 11); // EFI system table
  end2(im, p + 16);
  assert_refused_with(f, im, SIZE, "type 11");
  put16(p + 2, 1); // optional
  assert_true(boot(f, im, SIZE));
  put16(p, 99);
  put16(p + 2, 0);
  assert_refused_with(f, im, SIZE, "tag 99");
}

static void broken_multiboot_2_headers_are_refused(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE], *p = begin2(im);
  end2(im, p);
  put32(im + HEADER + 20, 0); // a tag of size 0
  assert_refused_with(f, im, SIZE, "size 0");
  put32(im + HEADER + 20, 0xfffffff0);
  assert_refused_with(f, im, SIZE, "size 4294967280");
  p = begin2(im);
  end2(im, p);
  put16(p, 7); // no end
  assert_refused_with(f, im, SIZE, "no end tag");
  p = begin2(im);
  end2(im, p);
  put32(im + HEADER + 8, 0x7fffffff);
  put32(im + HEADER + 12, -(MB2 + 0x7fffffffu));
  assert_refused(f, im, SIZE);
  end2(im, begin2(im));
  put32(im + HEADER + 4, 4);
  put32(im + HEADER + 12, get32(im + HEADER + 12) - 4);
  assert_refused_with(f, im, SIZE, "architecture");
  end2(im, begin2(im));
  for (size_t len = 0; len < SIZE; len++)
    assert_refused(f, im, len);
  assert_true(boot(f, im, SIZE));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      with_fixture(address_fields_place_the_image),
      with_fixture(load_end_0_means_the_whole_file),
      with_fixture(elf_images_of_both_widths_start),
      with_fixture(information_has_memory_command_line_and_modules),
      with_fixture(a_missing_module_is_named),
      with_fixture(what_multiboot_1_cannot_have_is_refused),
      with_fixture(every_shorter_file_is_refused),
      with_fixture(multiboot_2_tells_all_in_tags),
      with_fixture(multiboot_2_requests_that_cannot_be_met_are_refused),
      with_fixture(broken_multiboot_2_headers_are_refused),
  };
  return cmocka_run_group_tests_name("firmware: multiboot", tests, NULL, NULL);
}
