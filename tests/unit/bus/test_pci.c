// PCI functions: configuration, BARs, INTx, MSI and MSI-X.
#include "bustest.h"

#include "bus/pci.h"

static const struct bus_ops ops = {.read = probe_read, .write = probe_write};

struct board {
  struct bench b;
  struct pci_bus pb;
  struct pci_func f;
  struct probe probe;
  int wire[4];
  struct {
    uint64_t addr;
    uint32_t data;
    uint16_t requester;
    unsigned count;
    enum txn_resp resp;
  } dma;
};

static void set_wire(void *sink, int pin, int level)
{
  ((struct board *)sink)->wire[pin] = level;
}

static enum txn_resp transfer(void *fabric, const struct txn *t, void *buf, uint64_t len)
{
  struct board *x = fabric;
  x->dma.addr = t->addr;
  x->dma.requester = (uint16_t)t->requester;
  x->dma.count++;
  if (t->kind == TXN_WRITE && len == 4)
    memcpy(&x->dma.data, buf, 4);
  return x->dma.resp;
}

static void setup_board(struct board *x)
{
  memset(x, 0, sizeof *x);
  bench_init(&x->b);
  pci_bus_init(&x->pb, &x->b.bus, 0, 0);
  x->pb.transfer = transfer;
  x->pb.fabric = x;
  for (int i = 0; i < 4; i++)
    x->pb.intx[i] = (struct irq){set_wire, x, i};
  pci_func_init(&x->f, "dev", 0x1234, 0x5678, 0x020000, 7, x);
}

static void drop(struct board *x)
{
  pci_func_free(&x->f);
  bench_free(&x->b);
}

static uint32_t rd(struct board *x, unsigned off, unsigned size)
{
  return pci_config_read(&x->pb, 0, x->f.devfn, off, size);
}

static void wr(struct board *x, unsigned off, unsigned size, uint32_t v)
{
  pci_config_write(&x->pb, 0, x->f.devfn, off, size, v);
}

static void the_header_reads_back_and_a_missing_function_reads_ones(void **state)
{
  struct board x;
  setup_board(&x);
  assert_true(pci_add(&x.pb, &x.f, 3, 1, 2));
  assert_int_equal(rd(&x, 0, 4), 0x56781234);
  assert_int_equal(rd(&x, 8, 4), 0x02000007);
  assert_int_equal(rd(&x, PCI_INTERRUPT_PIN, 1), 2);
  wr(&x, 0, 4, 0);
  assert_int_equal(rd(&x, 0, 4), 0x56781234);
  wr(&x, PCI_INTERRUPT_LINE, 1, 0x0b);
  assert_int_equal(rd(&x, PCI_INTERRUPT_LINE, 1), 0x0b);
  assert_int_equal(pci_config_read(&x.pb, 0, 4 << 3, 0, 2), 0xffff);
  assert_int_equal(pci_config_read(&x.pb, 9, x.f.devfn, 0, 4), 0xffffffff);
  struct pci_func other;
  pci_func_init(&other, "other", 1, 2, 0, 0, NULL);
  assert_false(pci_add(&x.pb, &other, 3, 1, 0));
  assert_true(pci_add(&x.pb, &other, 3, 0, 0));
  assert_int_equal(other.config[PCI_HEADER_TYPE] & 0x80, 0x80);
  assert_int_equal(pci_free_device(&x.pb, 3), 4);
  drop(&x);
}

static void bars_are_sized_and_decoded_only_while_enabled(void **state)
{
  struct board x;
  setup_board(&x);
  pci_bar_mem(&x.f, 0, 0x1000, false, false, &ops, &x.probe);
  pci_bar_io(&x.f, 1, 0x20, &ops, &x.probe);
  pci_bar_mem(&x.f, 2, 0x10000, true, true, &ops, &x.probe);
  assert_true(pci_add(&x.pb, &x.f, 3, 0, 1));
  wr(&x, 0x10, 4, 0xffffffff);
  wr(&x, 0x14, 4, 0xffffffff);
  wr(&x, 0x18, 4, 0xffffffff);
  wr(&x, 0x1c, 4, 0xffffffff);
  assert_int_equal(rd(&x, 0x10, 4), 0xfffff000);
  assert_int_equal(rd(&x, 0x14, 4), 0xffffffe1);
  assert_int_equal(rd(&x, 0x18, 4), 0xffff000c);
  assert_int_equal(rd(&x, 0x1c, 4), 0xffffffff);
  wr(&x, 0x10, 4, 0xe0000000);
  wr(&x, 0x14, 4, 0xc000);
  wr(&x, 0x18, 4, 0x20000);
  wr(&x, 0x1c, 4, 8);
  assert_int_equal(get(&x.b.bus, TXN_MEM, 0xe0000004, 1), 0xff);
  wr(&x, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
  assert_int_equal(get(&x.b.bus, TXN_MEM, 0xe0000004, 1), 4);
  assert_int_equal(get(&x.b.bus, TXN_MEM, UINT64_C(0x800020006), 1), 6);
  assert_int_equal(get(&x.b.bus, TXN_IO, 0xc003, 1), 0xff);
  wr(&x, PCI_COMMAND, 2, PCI_COMMAND_IO);
  assert_int_equal(get(&x.b.bus, TXN_IO, 0xc003, 1), 3);
  assert_int_equal(get(&x.b.bus, TXN_MEM, 0xe0000004, 1), 0xff);
  wr(&x, 0x14, 4, 0xd000);
  assert_int_equal(get(&x.b.bus, TXN_IO, 0xc003, 1), 0xff);
  assert_int_equal(get(&x.b.bus, TXN_IO, 0xd01f, 1), 0x1f);
  pci_func_reset(&x.f);
  assert_int_equal(get(&x.b.bus, TXN_IO, 0xd01f, 1), 0xff);
  assert_int_equal(rd(&x, 0x10, 4), 0);
  assert_int_equal(rd(&x, 0x14, 4), 1);
  drop(&x);
}

static void a_bar_that_is_being_sized_decodes_nothing(void **state)
{
  struct board x;
  setup_board(&x);
  pci_bar_mem(&x.f, 0, 0x1000, false, false, &ops, &x.probe);
  pci_bar_io(&x.f, 1, 0x20, &ops, &x.probe);
  assert_true(pci_add(&x.pb, &x.f, 3, 0, 1));
  wr(&x, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
  get(&x.b.bus, TXN_MEM, 0, 4); // nor does address 0
  get(&x.b.bus, TXN_IO, 0, 4);
  wr(&x, 0x10, 4, 0xffffffff);
  wr(&x, 0x14, 4, 0xffffffff);
  get(&x.b.bus, TXN_MEM, 0xfffffff0, 4);
  get(&x.b.bus, TXN_IO, 0xfffc, 4);
  wr(&x, 0x14, 4, 0xfff0);
  get(&x.b.bus, TXN_IO, 0xfffc, 4);
  assert_int_equal(x.probe.calls, 0);
  drop(&x);
}

static void a_bar_hides_neither_ram_nor_fixed_ports(void **state)
{
  struct board x;
  struct region ram = {0}, port = {0};
  struct probe fixed = {0};
  setup_board(&x);
  bus_map_ram(&x.b.bus, &ram, "ram", 0, 0x100000, 0, 0, false);
  bus_map_ports(&x.b.bus, &port, "fixed", 0x60, 1, &ops, &fixed);
  pci_bar_mem(&x.f, 0, 0x1000, false, false, &ops, &x.probe);
  pci_bar_io(&x.f, 1, 0x100, &ops, &x.probe);
  assert_true(pci_add(&x.pb, &x.f, 3, 0, 1));
  wr(&x, PCI_COMMAND, 2, 3);
  wr(&x, 0x10, 4, 0x1000);
  put(&x.b.bus, TXN_MEM, 0x1000, 4, 0x12345678);
  assert_int_equal(x.b.ram.mem[0x1000], 0x78);
  wr(&x, 0x14, 4, 0x100);
  get(&x.b.bus, TXN_IO, 0x60, 1);
  assert_int_equal(fixed.calls, 1);
  assert_int_equal(x.probe.calls, 0);
  drop(&x);
}

static void wires_are_swizzled_shared_and_can_be_cut_off(void **state)
{
  struct board x;
  struct pci_func g;
  setup_board(&x);
  pci_func_init(&g, "g", 1, 2, 0, 0, NULL);
  assert_true(pci_add(&x.pb, &x.f, 3, 0, 1)); // wire 3
  assert_true(pci_add(&x.pb, &g, 2, 0, 2));   // wire 3
  pci_set_intx(&x.f, 1);
  assert_int_equal(x.wire[3], 1);
  assert_int_equal(rd(&x, PCI_STATUS, 2) & PCI_STATUS_INTX, PCI_STATUS_INTX);
  pci_set_intx(&g, 1);
  pci_set_intx(&x.f, 0);
  assert_int_equal(x.wire[3], 1);
  pci_set_intx(&g, 0);
  assert_int_equal(x.wire[3], 0);
  pci_set_intx(&x.f, 1);
  wr(&x, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
  assert_int_equal(x.wire[3], 0);
  wr(&x, PCI_COMMAND, 2, 0);
  assert_int_equal(x.wire[3], 1);
  drop(&x);
}

static void dma_needs_bus_mastering_and_records_a_master_abort(void **state)
{
  struct board x;
  uint32_t v = 0;
  setup_board(&x);
  assert_true(pci_add(&x.pb, &x.f, 3, 0, 1));
  assert_int_equal(dma_read(&x.f.dma, 0x1000, &v, 4), TXN_ABORT);
  assert_int_equal(v, 0xffffffff);
  assert_int_equal(x.dma.count, 0);
  wr(&x, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
  assert_int_equal(dma_read(&x.f.dma, 0x1000, &v, 4), TXN_OK);
  assert_int_equal(x.dma.count, 1);
  assert_int_equal(x.dma.requester, 3 << 3);
  x.dma.resp = TXN_ABORT;
  dma_write(&x.f.dma, 0x1000, &v, 4);
  assert_int_equal(rd(&x, PCI_STATUS, 2) & PCI_STATUS_REC_MASTER_ABORT, PCI_STATUS_REC_MASTER_ABORT);
  wr(&x, PCI_STATUS, 2, PCI_STATUS_REC_MASTER_ABORT);
  assert_int_equal(rd(&x, PCI_STATUS, 2) & PCI_STATUS_REC_MASTER_ABORT, 0);
  drop(&x);
}

static void msi_is_a_write_of_the_device(void **state)
{
  struct board x;
  setup_board(&x);
  pci_add_msi(&x.f);
  assert_true(pci_add(&x.pb, &x.f, 3, 0, 1));
  unsigned cap = rd(&x, PCI_CAPABILITY_LIST, 1);
  assert_int_equal(rd(&x, cap, 1), 5);
  pci_msi(&x.f, 0);
  assert_int_equal(x.dma.count, 0);
  wr(&x, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
  wr(&x, cap + 4, 4, 0xfee01004);
  wr(&x, cap + 12, 2, 0x4131);
  wr(&x, cap + 2, 2, 1);
  assert_true(pci_msi_enabled(&x.f));
  pci_msi(&x.f, 0);
  assert_int_equal(x.dma.addr, 0xfee01004);
  assert_int_equal(x.dma.data, 0x4131);
  pci_msi(&x.f, 1);
  assert_int_equal(x.dma.count, 1);
  pci_func_reset(&x.f);
  assert_false(pci_msi_enabled(&x.f));
  drop(&x);
}

static void masked_msix_vectors_are_pending_until_unmasked(void **state)
{
  struct board x;
  setup_board(&x);
  assert_false(pci_add_msix(&x.f, 4, 129));
  assert_true(pci_add_msix(&x.f, 4, 3));
  assert_true(pci_add(&x.pb, &x.f, 3, 0, 1));
  unsigned cap = rd(&x, PCI_CAPABILITY_LIST, 1);
  assert_int_equal(rd(&x, cap, 1), 0x11);
  assert_int_equal(rd(&x, cap + 2, 2), 2);
  wr(&x, 0x20, 4, 0xe0000000);
  wr(&x, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
  struct bus *b = &x.b.bus;
  put(b, TXN_MEM, 0xe0000010, 4, 0xfee02000);
  put(b, TXN_MEM, 0xe0000018, 4, 0x55);
  wr(&x, cap + 2, 2, 0xc000);
  put(b, TXN_MEM, 0xe000001c, 4, 0);
  pci_msi(&x.f, 1);
  assert_int_equal(x.dma.count, 0);
  assert_int_equal(get(b, TXN_MEM, 0xe0000800, 4), 2);
  wr(&x, cap + 2, 2, 0x8000);
  assert_int_equal(x.dma.count, 1);
  assert_int_equal(x.dma.addr, 0xfee02000);
  assert_int_equal(x.dma.data, 0x55);
  assert_int_equal(get(b, TXN_MEM, 0xe0000800, 4), 0);
  put(b, TXN_MEM, 0xe000001c, 4, 1);
  pci_msi(&x.f, 1);
  assert_int_equal(x.dma.count, 1);
  put(b, TXN_MEM, 0xe000001c, 4, 0);
  assert_int_equal(x.dma.count, 2);
  pci_msi(&x.f, 3); // there is no such vector
  assert_int_equal(x.dma.count, 2);
  put(b, TXN_MEM, 0xe0000030, 4, 1); // behind the table
  assert_int_equal(get(b, TXN_MEM, 0xe0000030, 4), 0);
  drop(&x);
}

static void capabilities_follow_each_other_without_overlap(void **state)
{
  struct board x;
  setup_board(&x);
  assert_int_equal(pci_add_cap(&x.f, 0x09, 18, 0), 0x40);
  assert_int_equal(pci_add_cap(&x.f, 0x01, 8, 0), 0x54);
  assert_int_equal(pci_add_cap(&x.f, 0x0f, 16, 0xf0), 0xf0);
  assert_int_equal(pci_add_cap(&x.f, 0x01, 8, 0), 0);
  assert_int_equal(x.f.config[0x41], 0x54);
  assert_int_equal(x.f.config[0x55], 0xf0);
  assert_int_equal(x.f.config[0xf1], 0);
  drop(&x);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_header_reads_back_and_a_missing_function_reads_ones),
      cmocka_unit_test(bars_are_sized_and_decoded_only_while_enabled),
      cmocka_unit_test(a_bar_that_is_being_sized_decodes_nothing),
      cmocka_unit_test(a_bar_hides_neither_ram_nor_fixed_ports),
      cmocka_unit_test(wires_are_swizzled_shared_and_can_be_cut_off),
      cmocka_unit_test(dma_needs_bus_mastering_and_records_a_master_abort),
      cmocka_unit_test(msi_is_a_write_of_the_device),
      cmocka_unit_test(masked_msix_vectors_are_pending_until_unmasked),
      cmocka_unit_test(capabilities_follow_each_other_without_overlap),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
