// bzImage: what the boot protocol promises to the kernel, and what is refused.
#include "fwtest.h"

enum { SETUP = 3 * 512, KERNEL = 0x3000, SIZE = SETUP + KERNEL };

// A bzImage of protocol 2.15 that wants to be at 4 MB and needs 1 MB there.
static void make(uint8_t im[SIZE])
{
  memset(im, 0, SIZE);
  im[0x1f1] = 2;
  put32(im + 0x1f4, KERNEL / 16);
  put16(im + 0x1fe, 0xaa55);
  im[0x200] = 0xeb;
  im[0x201] = 0x6a;
  memcpy(im + 0x202, "HdrS", 4);
  put16(im + 0x206, 0x20f);
  im[0x211] = 1;
  put32(im + 0x214, 0x100000);
  put32(im + 0x22c, 0x7fffffff);
  put32(im + 0x230, 0x200000); // kernel_alignment
  im[0x234] = 1;               // relocatable
  im[0x235] = 21;              // min_alignment
  put32(im + 0x238, 255);
  put64(im + 0x258, 0x400000);
  put32(im + 0x260, 0x100000);
  for (unsigned i = 0; i < KERNEL; i++)
    im[SETUP + i] = (uint8_t)(i * 7 + 1);
}

static void it_starts_in_protected_mode_with_boot_params_in_rsi(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make(im);
  assert_true(boot(f, im, SIZE));
  assert_int_equal(f->st.mode, BOOT_PROTECTED32);
  assert_int_equal(f->st.rip, 0x400000);
  assert_int_equal(f->st.cs, 0x10);
  assert_int_equal(f->st.ds, 0x18);
  assert_int_equal(f->st.rbx | f->st.rbp | f->st.rdi, 0);
  assert_memory_equal(at(f, 0x400000), im + SETUP, KERNEL);
  assert_int_equal(get64(at(f, f->st.gdt_base + 0x10)), f->st.cs_desc);
  assert_int_equal(get64(at(f, f->st.gdt_base + 0x18)), f->st.ds_desc);

  const uint8_t *zp = at(f, f->st.rsi);
  assert_int_equal(get16(zp + 0x1fe), 0xaa55);
  assert_int_equal(get32(zp + 0x202), 0x53726448);
  assert_int_equal(zp[0x210], 0xff);
  assert_int_equal(get32(zp + 0x214), 0x400000);
  assert_string_equal((const char *)at(f, get32(zp + 0x228)), "console=ttyS0 a=b");
  assert_int_equal(get64(zp + 0x70), 0xe0000);
  assert_memory_equal(at(f, 0xe0000), "RSD PTR ", 8);
  assert_int_equal(zp[0x0f], 0);  // no text screen was announced
  assert_int_equal(zp[0x1ef], 0); // the sentinel
  assert_int_equal(get32(zp + 0x21c), 0);
}

static void e820_of_boot_params_is_the_machines(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make(im);
  assert_true(boot(f, im, SIZE));
  const uint8_t *zp = at(f, f->st.rsi);
  assert_int_equal(zp[0x1e8], f->st.map.count);
  for (unsigned i = 0; i < f->st.map.count; i++) {
    assert_int_equal(get64(zp + 0x2d0 + 20 * i), f->st.map.entry[i].base);
    assert_int_equal(get64(zp + 0x2d8 + 20 * i), f->st.map.entry[i].size);
    assert_int_equal(get32(zp + 0x2e0 + 20 * i), f->st.map.entry[i].type);
  }
}

static void text_mode_is_announced_when_it_is_there(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make(im);
  f->rq.vga_text = true;
  assert_true(boot(f, im, SIZE));
  const uint8_t *zp = at(f, f->st.rsi);
  assert_int_equal(zp[6], 3);
  assert_int_equal(zp[7], 80);
  assert_int_equal(zp[14], 25);
  assert_int_equal(zp[15], 1);
}

static void initrd_lies_high_and_below_initrd_addr_max(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE], rd[5000];
  make(im);
  memset(rd, 0x5a, sizeof rd);
  write_file(f->initrd[0], rd, sizeof rd);
  f->rq.initrd = f->initrd[0];
  assert_true(boot(f, im, SIZE));
  const uint8_t *zp = at(f, f->st.rsi);
  uint32_t pa = get32(zp + 0x218), len = get32(zp + 0x21c);
  assert_int_equal(len, sizeof rd);
  assert_int_equal(pa & 4095, 0);
  assert_memory_equal(at(f, pa), rd, sizeof rd);
  assert_true(pa > TEST_RAM - (1 << 20));
  assert_true(pa + len <= acpi_direct_base(&f->board, &f->acpi));

  put32(im + 0x22c, 0x00ffffff);
  assert_true(boot(f, im, SIZE));
  zp = at(f, f->st.rsi);
  assert_true(get32(zp + 0x218) + get32(zp + 0x21c) <= 0x1000000);
}

static void initrd_keeps_clear_of_the_kernels_init_size(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE], rd[4096] = {1};
  make(im);
  write_file(f->initrd[0], rd, sizeof rd);
  f->rq.initrd = f->initrd[0];
  put32(im + 0x22c, 0x7fffff); // 8 MB: room only below the kernel and above it
  put32(im + 0x260, 0x400000); // 4 to 8 MB are the kernel's
  assert_true(boot(f, im, SIZE));
  uint32_t pa = get32(at(f, f->st.rsi + 0x218));
  assert_int_equal(pa, 0x400000 - 4096);
}

static void a_kernel_that_does_not_fit_at_its_preferred_address_moves(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make(im);
  put64(im + 0x258, 0x40000000);
  assert_true(boot(f, im, SIZE));
  assert_int_equal(f->st.rip, 0x200000);
}

static void a_kernel_that_needs_more_ram_is_refused(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make(im);
  put32(im + 0x260, TEST_RAM);
  assert_refused_with(f, im, SIZE, "-m");
  put32(im + 0x260, 0xffffffff);
  assert_refused_with(f, im, SIZE, "-m");
}

static void a_kernel_that_cannot_move_is_loaded_at_1_mb(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make(im);
  im[0x234] = 0;
  assert_true(boot(f, im, SIZE));
  assert_int_equal(f->st.rip, 0x100000);
}

static void seed_is_a_setup_data_node(void **state)
{
  struct fixture *f = *state;
  static const uint8_t seed[32] = {1, 2, 3};
  uint8_t im[SIZE];
  make(im);
  f->rq.seed = seed;
  f->rq.seed_len = sizeof seed;
  assert_true(boot(f, im, SIZE));
  const uint8_t *node = at(f, get64(at(f, f->st.rsi + 0x250)));
  assert_int_equal(get64(node), 0);
  assert_int_equal(get32(node + 8), 9);
  assert_int_equal(get32(node + 12), sizeof seed);
  assert_memory_equal(node + 16, seed, sizeof seed);
}

static void protocol_2_01_gets_its_command_line_the_old_way(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make(im);
  put16(im + 0x206, 0x201);
  assert_true(boot(f, im, SIZE));
  assert_int_equal(f->st.rsi, 0x90000);
  assert_int_equal(get16(at(f, 0x90020)), 0xa33f);
  assert_string_equal((const char *)at(f, 0x90000 + get16(at(f, 0x90022))), "console=ttyS0 a=b");
}

static void a_zimage_and_older_things_are_refused(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make(im);
  im[0x211] = 0;
  assert_refused_with(f, im, SIZE, "zImage");
  make(im);
  im[0x202] = 'h';
  assert_refused_with(f, im, SIZE, "setup header");
  make(im);
  put16(im + 0x206, 0x400);
  assert_refused_with(f, im, SIZE, "protocol 4.00");
  make(im);
  im[0x1fe] = 0;
  assert_refused_with(f, im, SIZE, "neither");
}

static void a_bad_setup_header_is_refused(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make(im);
  im[0x201] = 0x20; // too short for 2.15
  assert_refused_with(f, im, SIZE, "setup header");
  make(im);
  im[0x201] = 0xff; // longer than boot_params has room
  assert_refused_with(f, im, SIZE, "setup header");
  make(im);
  im[0x235] = 0;
  put32(im + 0x230, 0x300000);
  assert_refused_with(f, im, SIZE, "power of two");
  make(im);
  im[0x235] = 0;
  put32(im + 0x230, 0);
  assert_refused_with(f, im, SIZE, "power of two");
}

static void a_command_line_that_is_too_long_is_refused(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  char text[257];
  make(im);
  memset(text, 'x', 256);
  text[256] = 0;
  f->rq.append = text;
  assert_refused_with(f, im, SIZE, "255");
  text[255] = 0;
  assert_true(boot(f, im, SIZE));
}

static void every_shorter_file_is_refused(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make(im);
  for (size_t len = 0; len < 0x2a0; len++)
    assert_refused(f, im, len);
  for (size_t len = 0x2a0; len <= SIZE - 16; len += 97)
    assert_refused_with(f, im, len, "cut short");
  assert_refused_with(f, im, SIZE - 16, "cut short");
  assert_true(boot(f, im, SIZE));
}

static void any_field_may_have_any_value(void **state)
{
  static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
  struct fixture *f = *state;
  uint8_t im[SIZE];
  for (unsigned off = 0x1f1; off < 0x26c; off++)
    for (unsigned v = 0; v < sizeof values; v++) {
      make(im);
      im[off] = values[v];
      if (!boot(f, im, SIZE))
        assert_true(f->err.text[0]);
      else
        assert_true(f->st.rip >= 0x100000 && f->st.rip < TEST_RAM);
    }
}

static void a_missing_file_is_named(void **state)
{
  struct fixture *f = *state;
  uint8_t im[SIZE];
  make(im);
  f->rq.initrd = "/nonexistent/initrd";
  assert_false(boot(f, im, SIZE));
  assert_non_null(strstr(f->err.text, "/nonexistent/initrd"));
  f->rq.kernel = "/tmp";
  assert_false(boot_load(&f->rq, &f->st, &f->err));
  assert_non_null(strstr(f->err.text, "/tmp"));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      with_fixture(it_starts_in_protected_mode_with_boot_params_in_rsi),
      with_fixture(e820_of_boot_params_is_the_machines),
      with_fixture(text_mode_is_announced_when_it_is_there),
      with_fixture(initrd_lies_high_and_below_initrd_addr_max),
      with_fixture(initrd_keeps_clear_of_the_kernels_init_size),
      with_fixture(a_kernel_that_does_not_fit_at_its_preferred_address_moves),
      with_fixture(a_kernel_that_needs_more_ram_is_refused),
      with_fixture(a_kernel_that_cannot_move_is_loaded_at_1_mb),
      with_fixture(seed_is_a_setup_data_node),
      with_fixture(protocol_2_01_gets_its_command_line_the_old_way),
      with_fixture(a_zimage_and_older_things_are_refused),
      with_fixture(a_bad_setup_header_is_refused),
      with_fixture(a_command_line_that_is_too_long_is_refused),
      with_fixture(every_shorter_file_is_refused),
      with_fixture(any_field_may_have_any_value),
      with_fixture(a_missing_file_is_named),
  };
  return cmocka_run_group_tests_name("firmware: Linux", tests, NULL, NULL);
}
