// Northbridge functions; see northbridge.h. Registers are named as in the BKDG: FnxNN is function n, offset
// NN.
#include "chipset/northbridge.h"

#include <string.h>

enum {
  F0_ROUTING = 0x40,
  F0_NODE_ID = 0x60,
  F0_UNIT_ID = 0x64,
  F0_LINK_TRANSACTION = 0x68,
  F0_LINK_INIT = 0x6c,
  F0_LINKS = 0x80, // capability blocks of 20h bytes, one for each link

  F1_DRAM = 0x40,
  F1_MMIO = 0x80,
  F1_IO = 0xc0,
  F1_CONFIG = 0xe0,
  F1_HOLE = 0xf0,
  F1_VGA = 0xf4,
  F1_MORE_IO = 0x1c0, // of this machine: see northbridge.h
  F1_MORE_CONFIG = 0x1e0,

  MMIO_MAPS = 8,
  CHAIN_MAPS = 4, // for ports and for buses

  F3_MCA_CONTROL = 0x40,
  F3_MCA_CONFIG = 0x44,
  F3_MCA_STATUS = 0x48,
  F3_MCA_ADDRESS = 0x50,
  F3_SCRUB_RATE = 0x58,
  F3_SCRUB_ADDRESS = 0x5c,
  F3_NB_CONFIG = 0x88,
  F3_TEMPERATURE = 0xa4,
  F3_CLOCK = 0xd4,
  F3_THERMTRIP = 0xe4,
  F3_CAPABILITIES = 0xe8,
  F3_DEV = 0xf0, // header, function and index, data
  F3_DEV_END = 0xfc,
  F3_CPUID = 0xfc,

  READ_WRITE = 3, // enable bits of a map entry
};

#define CAP_HT     0x08
#define CELSIUS_40 40u

static void writable(struct pci_func *f, unsigned off, uint32_t mask)
{
  memcpy(f->wmask + off, &mask, sizeof mask);
}

// F0x40..5C: for each destination a bit for this node itself (0) or for the link (1 + n), for requests,
// responses and broadcasts.
static void routing(struct pci_func *f, const struct nb_map *m, unsigned node)
{
  unsigned response = m->family == NB_K8 ? 8 : 9, broadcast = 2 * response;
  const struct nb_node *n = &m->node[node];
  for (unsigned to = 0; to < NB_NODES; to++) {
    uint32_t way = to == node || to >= m->nodes ? 1 : 2u << n->route[to];
    uint32_t spread = to < m->nodes ? 1 | (uint32_t)n->spread[to] << 1 : 1;
    pci_set_long(f, F0_ROUTING + 4 * to, way | way << response | spread << broadcast);
    writable(f, F0_ROUTING + 4 * to, m->family == NB_K8 ? 0x000f0f0f : 0x07ffffff);
  }
}

// Capability, frequencies, and what is at the other end of a link.
static void link_block(struct pci_func *f, const struct nb_node *n, unsigned link, unsigned links)
{
  unsigned cap = F0_LINKS + 0x20 * link;
  bool up = n->peer[link] != NB_LINK_FREE, io = n->peer[link] == NB_LINK_IO;
  f->config[cap] = CAP_HT;
  f->config[cap + 1] = (uint8_t)(link + 1 < links ? cap + 0x20 : 0);
  pci_set_word(f, cap + 2, 0x2101);                       // host interface
  pci_set_long(f, cap + 4, up ? 0x11110020 : 0x11110050); // 16 bits wide; initialised, or end of chain
  pci_set_long(f, cap + 8, 0x80750000 | (up ? 0x0500 : 0) | 0x22);
  pci_set_long(f, cap + 0x14, io ? (uint32_t)n->chain.first_bus << 8 : 0);
  pci_set_long(f, cap + 0x18, up ? io ? 7 : 3 : 0); // connected, initialised, not coherent
}

static void function0(struct pci_func *f, const struct nb_map *m, unsigned node)
{
  routing(f, m, node);
  unsigned cpus = m->cpus ? m->cpus - 1 : 0, links = m->family == NB_K8 ? 3 : 4;
  pci_set_long(f, F0_NODE_ID, node | (m->nodes - 1) << 4 | (cpus & 0x1f) << 16);
  // Unit IDs: CPU 0 and 1, memory controller 2, host bridge 3; the link to the I/O hub is link 0.
  pci_set_long(f, F0_UNIT_ID, 0xe4);
  writable(f, F0_LINK_TRANSACTION, 0xffffffff);
  writable(f, F0_LINK_INIT, 0x000003f0);
  for (unsigned link = 0; link < links; link++)
    link_block(f, &m->node[node], link, links);
  f->config[PCI_CAPABILITY_LIST] = F0_LINKS;
  f->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
}

// A range in a pair of registers, base and limit: address bits 39:24 in 31:16 (DRAM), or 39:16 in 31:8.
static void range(struct pci_func *f, unsigned off, uint32_t mask, uint64_t first, uint64_t last,
                  unsigned node)
{
  pci_set_long(f, off, ((uint32_t)(first >> 8) & mask) | READ_WRITE);
  pci_set_long(f, off + 4, ((uint32_t)(last >> 8) & mask) | node);
}

static bool spans_hole(const struct nb_map *m, const struct nb_node *n)
{
  return m->hole_base && n->size && n->base < m->hole_base && n->base + n->size > UINT64_C(1) << 32;
}

static void set_extended(struct northbridge *nb, unsigned off, uint32_t v)
{
  memcpy(nb->extended + (off - 256), &v, sizeof v);
}

// The pair or register number k of the maps of ports and of buses.
static void chain_maps(struct northbridge *nb, unsigned k, const struct nb_chain *c, unsigned node)
{
  struct pci_func *f = &nb->func[1];
  uint32_t bus =
      (uint32_t)c->last_bus << 24 | (uint32_t)c->first_bus << 16 | node << 4 | READ_WRITE; // by link 0
  uint32_t first = c->io_size ? c->io_base | READ_WRITE : 0;
  uint32_t last = c->io_size ? ((c->io_base + c->io_size - 1) & 0x01fff000) | node : 0;
  if (k < CHAIN_MAPS) {
    pci_set_long(f, F1_CONFIG + 4 * k, bus);
    pci_set_long(f, F1_IO + 8 * k, first);
    pci_set_long(f, F1_IO + 8 * k + 4, last);
  } else if (nb->map.family != NB_K8) {
    set_extended(nb, F1_MORE_CONFIG + 4 * (k - CHAIN_MAPS), bus);
    set_extended(nb, F1_MORE_IO + 8 * (k - CHAIN_MAPS), first);
    set_extended(nb, F1_MORE_IO + 8 * (k - CHAIN_MAPS) + 4, last);
  }
}

static void function1(struct northbridge *nb)
{
  struct pci_func *f = &nb->func[1];
  const struct nb_map *m = &nb->map;
  memset(f->config + F1_DRAM, 0, sizeof f->config - F1_DRAM);
  memset(nb->extended, 0, sizeof nb->extended);
  for (unsigned n = 0; n < NB_NODES; n++) {
    if (n < m->nodes && m->node[n].size)
      range(f, F1_DRAM + 8 * n, 0xffff0000, m->node[n].base, m->node[n].base + m->node[n].size - 1, n);
    else
      pci_set_long(f, F1_DRAM + 8 * n + 4, n);
  }
  unsigned chains = 0, windows = 0;
  for (unsigned n = 0; n < m->nodes; n++) {
    const struct nb_chain *c = &m->node[n].chain;
    if (!c->present)
      continue;
    chain_maps(nb, chains++, c, n);
    if (c->mem_size)
      range(f, F1_MMIO + 8 * windows++, 0xffffff00, c->mem_base, c->mem_base + c->mem_size - 1, n);
  }
  if (m->mem64_size && windows < MMIO_MAPS && m->mem64_base + m->mem64_size <= UINT64_C(1) << 40)
    range(f, F1_MMIO + 8 * windows, 0xffffff00, m->mem64_base, m->mem64_base + m->mem64_size - 1, 0);
  pci_set_long(f, F1_VGA, 1); // A0000h to BFFFFh and its ports: node 0, link 0
  // The node with memory on both sides of the hole moves what lies above it up (BKDG 31116, 2.8.10).
  const struct nb_node *self = &m->node[nb->node];
  if (spans_hole(m, self)) {
    uint64_t offset = (UINT64_C(1) << 32) - m->hole_base + self->base;
    pci_set_long(f, F1_HOLE, ((uint32_t)m->hole_base & 0xff000000) | (uint32_t)((offset >> 16) & 0xff80) | 1);
  }
}

static void function2(struct pci_func *f, const struct nb_map *m, unsigned node)
{
  uint64_t size = node < m->nodes ? m->node[node].size : 0;
  if (spans_hole(m, &m->node[node]))
    size -= (UINT64_C(1) << 32) - m->hole_base;
  if (size) { // one chip select that covers the node's memory
    uint32_t units = 1;
    while (((uint64_t)units << 27) < size && units < 0x200)
      units *= 2;
    pci_set_long(f, 0x40, 1);
    pci_set_long(f, 0x60, ((units - 1) << 19 & 0x1ff80000) | 0x3fe0);
  }
  pci_set_long(f, 0x90, 0x00010000);     // unbuffered, no ECC
  pci_set_long(f, 0x94, 0x00000008 | 2); // memory clock valid
}

static void function3(struct pci_func *f, const struct nb_map *m, unsigned node)
{
  writable(f, F3_MCA_CONTROL, 0xffffffff);
  writable(f, F3_MCA_CONFIG, 0xffbfffff); // bit 22: there is no ECC to be enabled
  writable(f, F3_MCA_STATUS, 0xffffffff);
  writable(f, F3_MCA_STATUS + 4, 0xffffffff);
  writable(f, F3_MCA_ADDRESS, 0xffffffff);
  writable(f, F3_MCA_ADDRESS + 4, 0xffffffff);
  writable(f, F3_SCRUB_RATE, 0x1f1f1f1f);
  writable(f, F3_SCRUB_ADDRESS, 0xffffffff);
  writable(f, F3_SCRUB_ADDRESS + 4, 0xffffffff);
  writable(f, F3_NB_CONFIG, 0xffffffff);
  writable(f, F3_NB_CONFIG + 4, 0xffffffff);
  unsigned cores = m->node[node].cpus ? m->node[node].cpus - 1 : 0;
  pci_set_long(f, F3_CAPABILITIES,
               (m->nodes > 1 ? 2 : 0) | (m->nodes > 2 ? 4 : 0) | 0x100 | (cores & 3) << 12 |
                   (cores & 4) << 13); // CmpCap
  if (m->family == NB_K8) {
    pci_set_long(f, F3_THERMTRIP, (49 + CELSIUS_40) << 16);
    writable(f, F3_THERMTRIP, 0x44); // which sensor
  } else {
    pci_set_long(f, F3_TEMPERATURE, CELSIUS_40 * 8 << 21);
    pci_set_long(f, F3_CPUID, m->signature);
  }
}

static void tell_router(struct northbridge *nb, unsigned to)
{
  uint32_t v = pci_get_long(&nb->func[0], F0_ROUTING + 4 * to);
  if (nb->router.set)
    nb->router.set(nb->router.opaque, nb->node, to, v & (nb->map.family == NB_K8 ? 0xf : 0x1ff));
}

static void function0_written(struct pci_func *f, unsigned off, unsigned size)
{
  unsigned to = (off - F0_ROUTING) / 4;
  if (off >= F0_ROUTING && to < NB_NODES)
    tell_router(f->dev, to);
}

void nb_set_router(struct northbridge *nb, const struct nb_router *router)
{
  nb->router = *router;
  nb->func[0].config_written = function0_written;
  for (unsigned to = 0; to < NB_NODES; to++)
    tell_router(nb, to);
}

uint64_t nb_config(const struct northbridge *nb)
{
  return (uint64_t)pci_get_long(&nb->func[3], F3_NB_CONFIG + 4) << 32 |
         pci_get_long(&nb->func[3], F3_NB_CONFIG);
}

void nb_set_config(struct northbridge *nb, uint64_t v)
{
  pci_set_long(&nb->func[3], F3_NB_CONFIG, (uint32_t)v);
  pci_set_long(&nb->func[3], F3_NB_CONFIG + 4, (uint32_t)(v >> 32));
}

// The doublewords of function 3 that live elsewhere. None is read or written in part of two of them: PCI
// accesses do not cross a doubleword.
enum behind { NOTHING, DEV, MCA };

static enum behind behind(const struct northbridge *nb, unsigned reg)
{
  if (reg >= F3_DEV && reg < F3_DEV_END)
    return nb->dev.read ? DEV : NOTHING;
  bool bank = reg == F3_MCA_CONTROL || (reg >= F3_MCA_STATUS && reg < F3_MCA_ADDRESS + 8);
  return bank && nb->mca.read ? MCA : NOTHING;
}

// 40h, 48h and 50h are the low halves.
static unsigned bank_reg(unsigned reg)
{
  return (reg - F3_MCA_CONTROL) / 8;
}

static uint32_t read_behind(const struct northbridge *nb, unsigned reg)
{
  if (behind(nb, reg) == DEV)
    return nb->dev.read(nb->dev.opaque, reg);
  return (uint32_t)(nb->mca.read(nb->mca.opaque, nb->node, bank_reg(reg)) >> (reg & 4) * 8);
}

static void write_behind(const struct northbridge *nb, unsigned reg, uint32_t v)
{
  if (behind(nb, reg) == DEV) {
    nb->dev.write(nb->dev.opaque, reg, v);
    return;
  }
  unsigned n = bank_reg(reg), shift = (reg & 4) * 8;
  uint64_t old = nb->mca.read(nb->mca.opaque, nb->node, n);
  nb->mca.write(nb->mca.opaque, nb->node, n, (old & ~(UINT64_C(0xffffffff) << shift)) | (uint64_t)v << shift);
}

static void function3_read(struct pci_func *f, unsigned off, unsigned size)
{
  unsigned reg = off & ~3u;
  if (behind(f->dev, reg))
    pci_set_long(f, reg, read_behind(f->dev, reg));
}

// What a narrow write leaves out keeps its value.
static void function3_written(struct pci_func *f, unsigned off, unsigned size)
{
  unsigned reg = off & ~3u;
  if (!behind(f->dev, reg))
    return;
  uint32_t v = read_behind(f->dev, reg);
  memcpy((uint8_t *)&v + (off & 3), f->config + off, size);
  write_behind(f->dev, reg, v);
}

void nb_set_dev(struct northbridge *nb, const struct nb_dev *dev)
{
  struct pci_func *f = &nb->func[3];
  nb->dev = *dev;
  f->config[PCI_CAPABILITY_LIST] = F3_DEV;
  f->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
  memset(f->wmask + F3_DEV, 0xff, F3_DEV_END - F3_DEV); // what was written; reads ask again
}

void nb_set_mca(struct northbridge *nb, const struct nb_mca *mca)
{
  nb->mca = *mca;
}

void nb_set_map(struct northbridge *nb, const struct nb_map *map)
{
  nb->map = *map;
  function0(&nb->func[0], map, nb->node);
  function1(nb);
  function2(&nb->func[2], map, nb->node);
}

void nb_init(struct northbridge *nb, struct pci_bus *pb, const struct nb_map *map, uint8_t node)
{
  static const char *const names[NB_FUNCTIONS] = {"nb-ht", "nb-map", "nb-dram", "nb-misc", "nb-link"};
  static const uint8_t nothing[NB_EXTENDED];
  *nb = (struct northbridge){.functions = map->family == NB_K8 ? 4 : 5, .node = node};
  for (unsigned i = 0; i < nb->functions; i++) {
    struct pci_func *f = &nb->func[i];
    uint16_t device = (uint16_t)((map->family == NB_K8 ? 0x1100 : 0x1200) + i);
    pci_func_init(f, names[i], 0x1022, device, 0x060000, 0, nb);
    memset(f->wmask, 0, sizeof f->wmask); // none of the usual header bits exist
    f->config[PCI_HEADER_TYPE] = 0x80;
    if (map->family != NB_K8)
      f->extended = i == 1 ? nb->extended : nothing;
  }
  nb_set_map(nb, map);
  function3(&nb->func[3], map, node);
  nb->func[3].config_read = function3_read;
  nb->func[3].config_written = function3_written;
  for (unsigned i = 0; i < nb->functions; i++)
    pci_add(pb, &nb->func[i], (uint8_t)(0x18 + node), (uint8_t)i, 0);
  nb_reset(nb);
}

void nb_reset(struct northbridge *nb)
{
  for (unsigned i = 0; i < nb->functions; i++) {
    struct pci_func *f = &nb->func[i];
    for (unsigned off = 0x40; off < sizeof f->config; off++)
      f->config[off] &= (uint8_t)~f->wmask[off];
  }
  // As firmware leaves it: routes, APIC IDs of eight bits.
  routing(&nb->func[0], &nb->map, nb->node);
  for (unsigned to = 0; to < NB_NODES; to++)
    tell_router(nb, to);
  pci_set_long(&nb->func[0], F0_LINK_TRANSACTION, 0x0f0000 | 0x8000);
  if (nb->map.family == NB_K8)
    pci_set_long(&nb->func[3], F3_THERMTRIP, (49 + CELSIUS_40) << 16);
}
