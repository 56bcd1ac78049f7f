// The e1000 as a PCI function: registers and interrupts; see e1000.h.
#include "device/e1000.h"

#include <stdlib.h>
#include <string.h>

#include "device/e1000_int.h"
#include "device/place.h"
#include "device/virtio_net.h"

enum { BAR_MEM = 0x20000, BAR_IO = 64, IOADDR = 0, IODATA = 4 };

bool e1000_read_mem(struct e1000 *d, uint64_t addr, void *buf, uint32_t len)
{
  d->busy = true;
  bool ok = dma_read(&d->pci.dma, addr, buf, len) == TXN_OK;
  d->busy = false;
  return ok;
}

bool e1000_write_mem(struct e1000 *d, uint64_t addr, const void *buf, uint32_t len)
{
  d->busy = true;
  bool ok = dma_write(&d->pci.dma, addr, buf, len) == TXN_OK;
  d->busy = false;
  return ok;
}

bool e1000_ring(const struct e1000 *d, unsigned base, struct e1000_ring *r)
{
  r->base = (e1000_get(d, base) & ~15u) | (uint64_t)e1000_get(d, base + 4) << 32;
  r->entries = e1000_get(d, base + (R_RDLEN - R_RDBAL)) / 16;
  r->head = e1000_get(d, base + (R_RDH - R_RDBAL));
  r->tail = e1000_get(d, base + (R_RDT - R_RDBAL));
  return r->entries && r->head < r->entries && r->tail < r->entries;
}

void e1000_count(struct e1000 *d, unsigned stat, uint32_t n)
{
  *e1000_reg(d, stat) += n;
}

// ---- interrupts ----------------------------------------------------------------------------------------

// 13.4.18: at least ITR * 256 ns lie between two interrupts.
static void update(struct e1000 *d)
{
  bool want = e1000_get(d, R_ICR) & e1000_get(d, R_IMS);
  uint64_t now = clock_now(d->itr_timer.clock),
           from = d->last_interrupt + e1000_get(d, R_ITR) * UINT64_C(256);
  if (want == d->level)
    return;
  if (want && e1000_get(d, R_ITR) && d->last_interrupt && now < from) {
    timer_set(&d->itr_timer, from);
    return;
  }
  d->level = want;
  if (want)
    d->last_interrupt = now;
  pci_set_intx(&d->pci, want);
}

static void itr_fire(void *arg)
{
  update(arg);
}

void e1000_cause(struct e1000 *d, uint32_t bits)
{
  *e1000_reg(d, R_ICR) |= bits;
  update(d);
}

// ---- registers -----------------------------------------------------------------------------------------

static void reset(struct e1000 *d)
{
  timer_cancel(&d->rx_timer);
  timer_cancel(&d->itr_timer);
  e1000_tx_reset(d);
  memset(d->reg, 0, sizeof d->reg);
  d->rx_broken = false;
  d->last_interrupt = 0;
  d->eeprom.in = d->eeprom.count = 0;
  e1000_phy_reset(d);
  *e1000_reg(d, R_CTRL) = 0x241; // full duplex, link up, 1000 Mb/s
  *e1000_reg(d, R_PBA) = 0x00100030;
  // The EEPROM's address is the first of the filters.
  memcpy(e1000_reg(d, R_RAL), d->mac, 6);
  *e1000_reg(d, R_RAL + 4) |= 0x80000000u;
  update(d);
}

static const struct {
  uint16_t first, last;
} plain[] = {
    // registers that only hold what was written
    {0x18, 0x18},     {0x28, 0x30},     {0x38, 0x38},     {0x170, 0x170},   {0x410, 0x410},
    {0x458, 0x458},   {0xe00, 0xe00},   {0x1000, 0x1000}, {0x2160, 0x2168}, {0x2800, 0x2804},
    {0x2820, 0x282c}, {0x2c00, 0x2c00}, {0x3800, 0x3804}, {0x3820, 0x3830}, {0x5000, 0x5000},
    {0x5200, 0x547c}, {0x5600, 0x5820}, {0x5838, 0x5838},
};

static bool holds(unsigned off)
{
  for (unsigned i = 0; i < sizeof plain / sizeof plain[0]; i++)
    if (off >= plain[i].first && off <= plain[i].last)
      return true;
  return false;
}

static uint32_t reg_read(struct e1000 *d, unsigned off)
{
  uint32_t v = off < E1000_REGS ? e1000_get(d, off) : 0;
  switch (off) {
  case R_STATUS:
    return STATUS_LINK;
  case R_EECD:
    return e1000_eecd_read(d);
  case R_ICR: // reading acknowledges
    *e1000_reg(d, R_ICR) = 0;
    update(d);
    return v;
  case R_ICS:
  case R_IMC:
    return 0;
  default:
    break;
  }
  if (off >= R_STATS && off < R_STATS_END)
    *e1000_reg(d, off) = 0;
  return v;
}

static void write_ctrl(struct e1000 *d, uint32_t v)
{
  bool was_up = e1000_get(d, R_CTRL) & CTRL_SLU;
  if (v & CTRL_RST) {
    reset(d);
    return;
  }
  *e1000_reg(d, R_CTRL) = v & ~CTRL_PHY_RST;
  if (v & CTRL_PHY_RST)
    e1000_phy_reset(d);
  if ((v & CTRL_PHY_RST) || ((v & CTRL_SLU) && !was_up))
    e1000_cause(d, ICR_LSC);
}

static void later(struct timer *t)
{
  if (!timer_armed(t))
    timer_set(t, clock_now(t->clock) + 2000);
}

static void reg_write(struct e1000 *d, unsigned off, uint32_t v)
{
  switch (off) {
  case R_CTRL:
    write_ctrl(d, v);
    break;
  case R_EECD:
    e1000_eecd_write(d, v);
    break;
  case R_EERD:
    *e1000_reg(d, off) = e1000_eerd(d, v);
    break;
  case R_MDIC:
    *e1000_reg(d, off) = e1000_mdic(d, v);
    break;
  case R_ITR:
    *e1000_reg(d, off) = v & 0xffff;
    break;
  case R_ICR: // writing 1 acknowledges, too
    *e1000_reg(d, R_ICR) &= ~v;
    update(d);
    break;
  case R_ICS:
    e1000_cause(d, v);
    break;
  case R_IMS:
    *e1000_reg(d, R_IMS) |= v;
    update(d);
    break;
  case R_IMC:
    *e1000_reg(d, R_IMS) &= ~v;
    update(d);
    break;
  case R_RCTL:
    *e1000_reg(d, off) = v;
    later(&d->rx_timer);
    break;
  case R_TCTL:
    *e1000_reg(d, off) = v;
    e1000_tx_start(d);
    break;
  case R_RDLEN:
  case R_TDLEN:
    *e1000_reg(d, off) = v & 0xfff80;
    break;
  case R_RDH:
  case R_TDH:
    *e1000_reg(d, off) = v & 0xffff;
    break;
  case R_RDT:
    *e1000_reg(d, off) = v & 0xffff;
    later(&d->rx_timer);
    break;
  case R_TDT:
    *e1000_reg(d, off) = v & 0xffff;
    e1000_tx_start(d);
    break;
  default:
    if (holds(off))
      *e1000_reg(d, off) = v;
    break;
  }
}

static uint64_t mem_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct e1000 *d = dev;
  return d->busy ? UINT64_MAX : reg_read(d, (unsigned)off);
}

static void mem_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct e1000 *d = dev;
  if (!d->busy)
    reg_write(d, (unsigned)off, (uint32_t)value);
}

// Two ports lead to all registers (13.3).
static uint64_t io_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct e1000 *d = dev;
  if (d->busy)
    return UINT64_MAX;
  return off == IOADDR ? d->ioaddr : off == IODATA ? reg_read(d, d->ioaddr & (BAR_MEM - 4)) : 0;
}

static void io_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct e1000 *d = dev;
  if (d->busy)
    return;
  if (off == IOADDR)
    d->ioaddr = (uint32_t)value;
  else if (off == IODATA)
    reg_write(d, d->ioaddr & (BAR_MEM - 4), (uint32_t)value);
}

static const struct bus_ops mem_ops = {mem_read, mem_write, 4, 4};
static const struct bus_ops io_ops = {io_read, io_write, 4, 4};

// ---- life ----------------------------------------------------------------------------------------------

static void device_reset_e1000(struct device *dev)
{
  struct e1000 *d = dev->self;
  reset(d);
  d->ioaddr = 0;
  pci_func_reset(&d->pci);
}

static void device_free_e1000(struct device *dev)
{
  struct e1000 *d = dev->self;
  timer_cancel(&d->rx_timer);
  timer_cancel(&d->itr_timer);
  timer_cancel(&d->tx.timer);
  netdev_detach(d->net);
  pci_remove(&d->pci);
  free(d->tx.packet);
  free(d->device.id);
  free(d);
}

struct device *e1000_device(const struct device_env *env, struct opts *props, struct err *e)
{
  unsigned slot, function;
  struct netdev *net = adapter_netdev(env, props, "e1000", e);
  opts_get(props, "bootindex"); // there is no boot ROM
  opts_get(props, "romfile");
  if (!net || !place_pci(env, props, "e1000", 3, &slot, &function, e))
    return NULL;
  struct e1000 *d = calloc(1, sizeof *d);
  if (!d || !(d->tx.packet = malloc(E1000_PACKET))) {
    free(d);
    err_set(e, "out of memory");
    return NULL;
  }
  d->net = net;
  timer_init(&d->rx_timer, env->clock, e1000_rx_fire, d);
  timer_init(&d->itr_timer, env->clock, itr_fire, d);
  timer_init(&d->tx.timer, env->clock, e1000_tx_fire, d);
  pci_func_init(&d->pci, "e1000", 0x8086, 0x100e, 0x020000, 2, d);
  pci_set_subsystem(&d->pci, 0x8086, 0x001e);
  pci_bar_mem(&d->pci, 0, BAR_MEM, false, false, &mem_ops, d);
  pci_bar_io(&d->pci, 2, BAR_IO, &io_ops, d);
  if (!netdev_mac(env->netdevs, props, d->mac, e) ||
      (!pci_add(env->pci, &d->pci, (uint8_t)slot, (uint8_t)function, 1) &&
       !err_set(e, "e1000: PCI address %02x.%x is taken", slot, function))) {
    free(d->tx.packet);
    free(d);
    return NULL;
  }
  e1000_eeprom_init(d);
  net_crc_init(&d->crc);
  reset(d);
  struct net_user user = e1000_net;
  user.arg = d;
  netdev_attach(net, &user);
  d->device =
      (struct device){.type = "e1000", .reset = device_reset_e1000, .free = device_free_e1000, .self = d};
  return &d->device;
}
