// Firmware configuration device.
#include "chiptest.h"

#include <endian.h>

#include "chipset/fw_cfg.h"
#include "fabric/fabric.h"

struct board {
  struct bench b;
  struct fabric fabric;
  struct region ram;
  struct fw_cfg f;
};

static void setup_board(struct board *x)
{
  memset(x, 0, sizeof *x);
  bench_init(&x->b);
  fabric_init(&x->fabric, &x->b.bus, 1);
  bus_map_ram(&x->b.bus, &x->ram, "ram", 0, 1 << 20, 0, 0, false);
  struct dma_port port = {.transfer = fabric_transfer, .fabric = &x->fabric};
  assert_true(fw_cfg_init(&x->f, &x->b.bus, &port));
}

static void drop(struct board *x)
{
  fw_cfg_free(&x->f);
  bench_free(&x->b);
}

static void choose(struct board *x, unsigned key)
{
  put(&x->b, TXN_IO, 0x510, 2, key);
}

static void read_bytes(struct board *x, void *out, unsigned n)
{
  for (unsigned i = 0; i < n; i++)
    ((uint8_t *)out)[i] = (uint8_t)in8(&x->b, 0x511);
}

static void dma(struct board *x, uint32_t control, uint32_t length, uint64_t address)
{
  uint32_t head[2] = {htobe32(control), htobe32(length)};
  address = htobe64(address);
  memcpy(x->b.ram.mem + 0x100, head, 8);
  memcpy(x->b.ram.mem + 0x108, &address, 8);
  put(&x->b, TXN_IO, 0x514, 4, 0);
  put(&x->b, TXN_IO, 0x518, 4, htobe32(0x100));
}

static uint32_t result(struct board *x)
{
  uint32_t v;
  memcpy(&v, x->b.ram.mem + 0x100, 4);
  return be32toh(v);
}

static void the_signature_and_the_features_are_there(void **state)
{
  struct board x;
  char text[5] = "";
  setup_board(&x);
  choose(&x, FW_CFG_SIGNATURE);
  read_bytes(&x, text, 4);
  assert_string_equal(text, "QEMU");
  assert_int_equal(in8(&x.b, 0x511), 0); // behind the end
  choose(&x, FW_CFG_ID);
  assert_int_equal(in8(&x.b, 0x511), 3);
  assert_int_equal(be32toh((uint32_t)get(&x.b, TXN_IO, 0x514, 4)), 0x51454d55);
  assert_int_equal(be32toh((uint32_t)get(&x.b, TXN_IO, 0x518, 4)), 0x20434647);
  choose(&x, 0x7777);
  assert_int_equal(in8(&x.b, 0x511), 0);
  drop(&x);
}

static void files_are_listed_and_replaced(void **state)
{
  struct board x;
  uint8_t dir[4 + 2 * 64];
  char text[4] = "";
  setup_board(&x);
  assert_true(fw_cfg_add_file(&x.f, "etc/one", "abc", 3));
  assert_true(fw_cfg_add_file(&x.f, "etc/two", "", 0));
  assert_true(fw_cfg_add_file(&x.f, "etc/one", "xy", 2));
  choose(&x, FW_CFG_FILE_DIR);
  read_bytes(&x, dir, sizeof dir);
  assert_int_equal(dir[3], 2);
  assert_int_equal(dir[7], 2); // size
  assert_string_equal((char *)dir + 12, "etc/one");
  assert_string_equal((char *)dir + 64 + 12, "etc/two");
  unsigned key = (unsigned)dir[8] << 8 | dir[9];
  assert_true(key >= FW_CFG_FILE_FIRST);
  choose(&x, key);
  read_bytes(&x, text, 3);
  assert_string_equal(text, "xy");
  char longname[80];
  memset(longname, 'n', sizeof longname - 1);
  longname[79] = 0;
  assert_false(fw_cfg_add_file(&x.f, longname, "", 0));
  longname[55] = 0;
  assert_true(fw_cfg_add_file(&x.f, longname, "", 0));
  drop(&x);
}

static void numbers_are_little_endian(void **state)
{
  struct board x;
  uint64_t v;
  setup_board(&x);
  assert_true(fw_cfg_add_u64(&x.f, FW_CFG_RAM_SIZE, UINT64_C(0x123456789a)));
  assert_true(fw_cfg_add_u16(&x.f, FW_CFG_NB_CPUS, 4));
  choose(&x, FW_CFG_RAM_SIZE);
  read_bytes(&x, &v, 8);
  assert_true(v == UINT64_C(0x123456789a));
  choose(&x, FW_CFG_NB_CPUS);
  assert_int_equal(in8(&x.b, 0x511), 4);
  drop(&x);
}

static void dma_selects_skips_reads_and_fills_with_zeros(void **state)
{
  struct board x;
  setup_board(&x);
  fw_cfg_add_bytes(&x.f, 0x30, "0123456789", 10);
  memset(x.b.ram.mem + 0x2000, 0xee, 32);
  dma(&x, 0x30 << 16 | 8 | 4, 3, 0);
  assert_int_equal(result(&x), 0);
  dma(&x, 2, 4, 0x2000);
  assert_int_equal(result(&x), 0);
  assert_memory_equal(x.b.ram.mem + 0x2000, "3456\xee", 5);
  dma(&x, 2, 6, 0x2000);
  assert_memory_equal(x.b.ram.mem + 0x2000, "789\0\0\0\xee", 7);
  drop(&x);
}

static void dma_to_nowhere_and_writes_are_errors(void **state)
{
  struct board x;
  setup_board(&x);
  dma(&x, 8 | 2, 4, UINT64_C(1) << 40);
  assert_int_equal(result(&x), 1);
  dma(&x, 8 | 16, 4, 0x2000);
  assert_int_equal(result(&x), 1);
  dma(&x, 8 | 2, 0xffffffff, 0xff000); // ends where the RAM does
  assert_int_equal(result(&x), 1);
  put(&x.b, TXN_IO, 0x514, 4, 0xffffffff); // a request that cannot be read
  put(&x.b, TXN_IO, 0x518, 4, 0);
  assert_int_equal(x.f.dma_high, 0);
  drop(&x);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_signature_and_the_features_are_there),
      cmocka_unit_test(files_are_listed_and_replaced),
      cmocka_unit_test(numbers_are_little_endian),
      cmocka_unit_test(dma_selects_skips_reads_and_fills_with_zeros),
      cmocka_unit_test(dma_to_nowhere_and_writes_are_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
