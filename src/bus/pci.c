// PCI functions on a bus: identity, configuration accesses, BARs, interrupt pins (PCI Local Bus
// Specification 3.0, chapter 6). MSI and MSI-X are in pci_msi.c.
//
// Invariant: bar[n].active says that the BAR's region is in the map, at the address that config[] holds.
#include "bus/pci.h"

#include <string.h>

#include "bus/pci_msi.h"

// Below RAM (0) and devices at fixed addresses (1), so that a BAR cannot hide them.
#define PRIO_BAR (-1)

enum { BAR_ROM = 6 };

static unsigned bar_offset(int n)
{
  return n == BAR_ROM ? PCI_ROM_ADDRESS : PCI_BAR0 + 4 * (unsigned)n;
}

uint16_t pci_get_word(const struct pci_func *f, unsigned off)
{
  uint16_t v;
  memcpy(&v, f->config + off, sizeof v);
  return v;
}

uint32_t pci_get_long(const struct pci_func *f, unsigned off)
{
  uint32_t v;
  memcpy(&v, f->config + off, sizeof v);
  return v;
}

void pci_set_word(struct pci_func *f, unsigned off, uint16_t v)
{
  memcpy(f->config + off, &v, sizeof v);
}

void pci_set_long(struct pci_func *f, unsigned off, uint32_t v)
{
  memcpy(f->config + off, &v, sizeof v);
}

void pci_set_subsystem(struct pci_func *f, uint16_t vendor, uint16_t id)
{
  pci_set_word(f, PCI_SUBSYSTEM_VENDOR_ID, vendor);
  pci_set_word(f, PCI_SUBSYSTEM_ID, id);
}

static void set_wmask(struct pci_func *f, unsigned off, uint32_t mask, unsigned size)
{
  memcpy(f->wmask + off, &mask, size);
}

void pci_bus_init(struct pci_bus *pb, struct bus *bus, uint8_t number, uint8_t node)
{
  *pb = (struct pci_bus){.bus = bus, .number = number, .node = node};
}

// A function may not reach memory before software has made it a bus master.
static enum txn_resp master(void *arg, const struct txn *t, void *buf, uint64_t len)
{
  struct pci_func *f = arg;
  enum txn_resp resp = TXN_ABORT;
  if ((pci_get_word(f, PCI_COMMAND) & PCI_COMMAND_MASTER) && f->bus && f->bus->transfer) {
    resp = f->bus->transfer(f->bus->fabric, t, buf, len);
    if (resp == TXN_ABORT)
      pci_set_word(f, PCI_STATUS, pci_get_word(f, PCI_STATUS) | PCI_STATUS_REC_MASTER_ABORT);
  } else if (t->kind != TXN_WRITE) {
    memset(buf, 0xff, len);
  }
  return resp;
}

static bool master_direct(void *arg, const struct txn *t, const struct dma_list *l, struct dma_mover *m)
{
  const struct pci_func *f = arg;
  return (pci_get_word(f, PCI_COMMAND) & PCI_COMMAND_MASTER) && f->bus && f->bus->direct &&
         f->bus->direct(f->bus->fabric, t, l, m);
}

void pci_func_init(struct pci_func *f, const char *name, uint16_t vendor, uint16_t device,
                   uint32_t class_code, uint8_t revision, void *dev)
{
  *f = (struct pci_func){.name = name, .dev = dev};
  f->dma = (struct dma_port){.transfer = master, .direct = master_direct, .fabric = f};
  pci_set_word(f, PCI_VENDOR_ID, vendor);
  pci_set_word(f, PCI_DEVICE_ID, device);
  f->config[PCI_REVISION_ID] = revision;
  f->config[PCI_CLASS_PROG] = (uint8_t)class_code;
  pci_set_word(f, PCI_CLASS_DEVICE, (uint16_t)(class_code >> 8));
  set_wmask(f, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE | 0x140, 2); // parity, SERR
  f->w1cmask[PCI_STATUS + 1] = 0xf9;                                                   // error bits
  f->wmask[PCI_CACHE_LINE_SIZE] = 0xff;
  f->wmask[PCI_LATENCY_TIMER] = 0xff;
  f->wmask[PCI_INTERRUPT_LINE] = 0xff;
}

void pci_func_free(struct pci_func *f)
{
  pci_msix_free(f);
}

static void declare(struct pci_func *f, int n, uint64_t size, uint32_t type, uint8_t space)
{
  struct pci_bar *bar = &f->bar[n];
  unsigned off = bar_offset(n);
  bar->size = size;
  bar->region.name = f->name;
  bar->region.size = size;
  bar->region.prio = PRIO_BAR;
  bar->region.space = space;
  uint64_t mask = ~(size - 1);
  pci_set_long(f, off, type);
  set_wmask(f, off, (uint32_t)mask, 4);
  if (bar->wide)
    set_wmask(f, off + 4, (uint32_t)(mask >> 32), 4);
  if (n == BAR_ROM)
    f->wmask[off] |= 1; // ROM enable
  f->wmask[PCI_COMMAND] |= space == TXN_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
}

void pci_bar_io(struct pci_func *f, int n, unsigned size, const struct bus_ops *ops, void *dev)
{
  struct pci_bar *bar = &f->bar[n];
  bar->io = true;
  bar->region.kind = REGION_IO;
  bar->region.ops = ops;
  bar->region.dev = dev;
  declare(f, n, size, 1, TXN_IO);
}

static uint32_t memory_type(struct pci_bar *bar, bool wide, bool prefetch)
{
  bar->wide = wide;
  bar->prefetch = prefetch;
  return (wide ? 4 : 0) | (prefetch ? 8 : 0);
}

void pci_bar_mem(struct pci_func *f, int n, uint64_t size, bool wide, bool prefetch,
                 const struct bus_ops *ops, void *dev)
{
  struct pci_bar *bar = &f->bar[n];
  bar->region.kind = REGION_IO;
  bar->region.ops = ops;
  bar->region.dev = dev;
  declare(f, n, size, memory_type(bar, wide, prefetch), TXN_MEM);
}

void pci_bar_ram(struct pci_func *f, int n, uint64_t size, uint64_t ram_off, bool prefetch, bool rom)
{
  struct pci_bar *bar = &f->bar[n];
  bar->region.kind = rom ? REGION_ROM : REGION_RAM;
  bar->region.ram_off = ram_off;
  declare(f, n, size, n == BAR_ROM ? 0 : memory_type(bar, false, prefetch), TXN_MEM);
}

// Where the BAR decodes, or UINT64_MAX if it does not. Address 0, and the all ones of sizing, decode
// nothing.
static uint64_t bar_address(const struct pci_func *f, int n)
{
  const struct pci_bar *bar = &f->bar[n];
  uint16_t command = pci_get_word(f, PCI_COMMAND);
  uint64_t addr = pci_get_long(f, bar_offset(n));
  if (!bar->size || !(command & (bar->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
    return UINT64_MAX;
  if (n == BAR_ROM && !(addr & 1))
    return UINT64_MAX;
  if (bar->wide)
    addr |= (uint64_t)pci_get_long(f, bar_offset(n) + 4) << 32;
  addr &= ~(bar->size - 1);
  uint64_t top = bar->io ? 0x10000 : bar->wide ? UINT64_C(1) << 52 : UINT64_C(1) << 32;
  if (addr == 0 || addr >= top - bar->size)
    return UINT64_MAX;
  return addr;
}

static void update_bars(struct pci_func *f)
{
  struct bus *bus = f->bus ? f->bus->bus : NULL;
  if (!bus)
    return;
  bus_begin(bus);
  for (int n = 0; n <= BAR_ROM; n++) {
    struct pci_bar *bar = &f->bar[n];
    uint64_t addr = bar_address(f, n);
    if (bar->active ? addr == bar->region.base : addr == UINT64_MAX)
      continue;
    bus_unmap(bus, &bar->region);
    bar->active = addr != UINT64_MAX;
    if (bar->active) {
      bar->region.base = addr;
      bus_map(bus, &bar->region);
    }
  }
  bus_commit(bus);
}

uint8_t pci_add_cap(struct pci_func *f, uint8_t id, unsigned size, unsigned at)
{
  unsigned last = PCI_CAPABILITY_LIST, off = 0x40;
  // A new one goes behind the highest.
  for (unsigned p = f->config[last], n = 0; p && n < 48; p = f->config[p + 1], n++) {
    last = p + 1;
    if (p >= off)
      off = p + f->cap_size[p / 4];
  }
  if (at)
    off = at;
  off = (off + 3) & ~3u;
  if (off + size > sizeof f->config)
    return 0;
  f->cap_size[off / 4] = (uint8_t)size;
  f->config[last] = (uint8_t)off;
  f->config[off] = id;
  f->config[off + 1] = 0;
  f->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
  return (uint8_t)off;
}

bool pci_add(struct pci_bus *pb, struct pci_func *f, uint8_t device, uint8_t function, uint8_t pin)
{
  if (device > 31 || function > 7 || pb->func[device << 3 | function])
    return false;
  f->bus = pb;
  f->devfn = (uint8_t)(device << 3 | function);
  f->config[PCI_INTERRUPT_PIN] = pin;
  f->dma.requester = (uint16_t)(pb->number << 8 | f->devfn);
  f->dma.node = pb->node;
  f->dma.unit = device; // HyperTransport: what is on a chain has its unit ID as its device number
  pb->func[f->devfn] = f;
  // Function 0 says whether there are more.
  struct pci_func *first = pb->func[device << 3];
  for (unsigned i = 1; first && i < 8; i++) {
    if (pb->func[device << 3 | i])
      first->config[PCI_HEADER_TYPE] |= 0x80;
  }
  return true;
}

int pci_free_device(const struct pci_bus *pb, int from)
{
  for (int device = from; device < 32; device++) {
    bool taken = false;
    for (int i = 0; i < 8; i++)
      taken |= pb->func[device << 3 | i] != NULL;
    if (!taken)
      return device;
  }
  return -1;
}

static void update_intx(struct pci_func *f)
{
  int level = f->intx_level && !(pci_get_word(f, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE);
  unsigned pin = f->config[PCI_INTERRUPT_PIN];
  struct pci_bus *pb = f->bus;
  if (level == f->intx_wire || !pb || pin == 0)
    return;
  f->intx_wire = level;
  unsigned wire = (pin - 1 + (f->devfn >> 3)) & 3;
  pb->intx_count[wire] += level ? 1 : -1;
  irq_set(&pb->intx[wire], pb->intx_count[wire] != 0);
}

void pci_set_intx(struct pci_func *f, int level)
{
  f->intx_level = level != 0;
  f->config[PCI_STATUS] =
      (uint8_t)((f->config[PCI_STATUS] & ~PCI_STATUS_INTX) | (level ? PCI_STATUS_INTX : 0));
  update_intx(f);
}

void pci_remove(struct pci_func *f)
{
  struct pci_bus *pb = f->bus;
  if (pb) {
    pci_set_intx(f, 0);
    bus_begin(pb->bus);
    for (int n = 0; n <= BAR_ROM; n++)
      bus_unmap(pb->bus, &f->bar[n].region);
    bus_commit(pb->bus);
    pb->func[f->devfn] = NULL;
    f->bus = NULL;
  }
  pci_func_free(f);
}

static struct pci_func *find(struct pci_bus *buses, uint8_t bus, uint8_t devfn)
{
  for (struct pci_bus *pb = buses; pb; pb = pb->next) {
    if (pb->number == bus)
      return pb->func[devfn];
  }
  return NULL;
}

uint32_t pci_config_read(struct pci_bus *buses, uint8_t bus, uint8_t devfn, unsigned off, unsigned size)
{
  struct pci_func *f = find(buses, bus, devfn);
  uint32_t v = size >= 4 ? UINT32_MAX : (1u << (8 * size)) - 1;
  if (f && f->extended && off >= sizeof f->config && off < 4096 && size <= 4096 - off && size <= 4) {
    v = 0;
    memcpy(&v, f->extended + (off - sizeof f->config), size);
    return v;
  }
  if (!f || off >= sizeof f->config || size > sizeof f->config - off || size > 4)
    return v;
  if (f->config_read)
    f->config_read(f, off, size);
  v = 0;
  memcpy(&v, f->config + off, size);
  return v;
}

static bool touches(unsigned off, unsigned size, unsigned first, unsigned len)
{
  return off < first + len && first < off + size;
}

void pci_config_write(struct pci_bus *buses, uint8_t bus, uint8_t devfn, unsigned off, unsigned size,
                      uint32_t value)
{
  struct pci_func *f = find(buses, bus, devfn);
  if (!f || off >= sizeof f->config || size > sizeof f->config - off || size > 4)
    return;
  for (unsigned i = 0; i < size; i++) {
    uint8_t v = (uint8_t)(value >> (8 * i)), *c = &f->config[off + i];
    uint8_t w = f->wmask[off + i];
    *c = (uint8_t)((*c & ~w) | (v & w));
    *c &= (uint8_t) ~(v & f->w1cmask[off + i]);
  }
  if (touches(off, size, PCI_COMMAND, 2) || touches(off, size, PCI_BAR0, 24) ||
      touches(off, size, PCI_ROM_ADDRESS, 4))
    update_bars(f);
  if (touches(off, size, PCI_COMMAND, 2))
    update_intx(f);
  pci_msi_written(f);
  if (f->config_written)
    f->config_written(f, off, size);
}

void pci_func_reset(struct pci_func *f)
{
  pci_set_intx(f, 0);
  pci_set_word(f, PCI_COMMAND, 0);
  f->config[PCI_STATUS + 1] &= (uint8_t)~f->w1cmask[PCI_STATUS + 1];
  f->config[PCI_CACHE_LINE_SIZE] = 0;
  f->config[PCI_LATENCY_TIMER] = 0;
  f->config[PCI_INTERRUPT_LINE] = 0;
  for (int n = 0; n <= BAR_ROM; n++) {
    for (unsigned i = 0; f->bar[n].size && i < (f->bar[n].wide ? 8 : 4); i++)
      f->config[bar_offset(n) + i] &= (uint8_t)~f->wmask[bar_offset(n) + i];
  }
  update_bars(f);
  pci_msi_reset(f);
}
