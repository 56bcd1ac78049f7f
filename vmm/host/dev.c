// See dev.h.
#include "host/dev.h"

#include "host/cpu.h"
#include "host/memory.h"
#include "host/pci.h"
#include "host/print.h"

enum { BASE_LO, BASE_HI, MAP, CAP, CR, ERR_STATUS, ERR_ADDR_LO, ERR_ADDR_HI };
enum {
  BASE_V = 1,
  BASE_P = 2,
  SIZE_SHIFT = 2,
  CR_ENABLE = 1,
  CR_INVALIDATE = 16,
  CR_SL = 32,
  NODES = 8,
  DOMAINS = 64,
  MAPS = 16
};
enum { UNIT_VALID = 0x20, ERR_VALID = 1u << 31, ERR_HAS_ADDRESS = 1 << 29, ERR_WRITE = 2 };

static struct {
  unsigned node;
  uint16_t bdf;
  uint8_t cap;
} bridge[NODES];
static unsigned bridges, domains, maps, size_code;
static uint64_t table[DOMAINS]; // 0: free; domain 0 is ours
static struct {
  bool used;
  uint8_t bus;
  struct {
    bool valid;
    uint8_t number, domain;
  } unit[2];
} map[MAPS];

static void set(unsigned b, unsigned function, unsigned index, uint32_t value)
{
  pci_write(bridge[b].bdf, bridge[b].cap + 4u, 4, function << 8 | index);
  pci_write(bridge[b].bdf, bridge[b].cap + 8u, 4, value);
}

static uint32_t get(unsigned b, unsigned function, unsigned index)
{
  pci_write(bridge[b].bdf, bridge[b].cap + 4u, 4, function << 8 | index);
  return pci_read(bridge[b].bdf, bridge[b].cap + 8u, 4);
}

static uint64_t table_size(void)
{
  return 128 * KB << size_code;
}

// Tables are cached by the northbridge: a change counts from here on.
static void invalidate(void)
{
  for (unsigned b = 0; b < bridges; b++) {
    set(b, CR, 0, CR_ENABLE | CR_INVALIDATE); // SL_DEV, SKINIT's own range, ends here too
    while (get(b, CR, 0) & CR_INVALIDATE)
      cpu_pause();
  }
}

static void set_base(unsigned domain, uint32_t flags)
{
  for (unsigned b = 0; b < bridges; b++) {
    set(b, BASE_LO, domain, 0);
    set(b, BASE_HI, domain, (uint32_t)(table[domain] >> 32));
    set(b, BASE_LO, domain, (uint32_t)table[domain] | size_code << SIZE_SHIFT | flags);
  }
}

static void find(void)
{
  for (unsigned n = 0; n < NODES; n++) {
    uint16_t bdf = (uint16_t)((0x18 + n) << 3 | 3);
    if ((pci_read(bdf, PCI_ID, 4) & 0xffff) != 0x1022)
      continue;
    uint8_t cap = (uint8_t)pci_read(bdf, PCI_CAPABILITIES, 1);
    if (cap < 0x40 || (pci_read(bdf, cap, 4) & 0x000700ff) != PCI_CAP_SECURE) // type 0: DEV
      continue;
    bridge[bridges].node = n;
    bridge[bridges].bdf = bdf;
    bridge[bridges++].cap = cap;
  }
}

bool dev_on(void)
{
  return bridges != 0;
}

void dev_init(void)
{
  find();
  if (!bridges)
    return;
  uint32_t cap = get(0, CAP, 0);
  domains = cap >> 8 & 0xff;
  maps = cap >> 16 & 0xff;
  domains = domains < DOMAINS ? domains : DOMAINS;
  maps = maps < MAPS ? maps : MAPS;
  while (4 * GB << size_code < memory_top())
    size_code++;
  table[0] = memory_alloc(0, table_size(), table_size(), 0, false);
  if (!table[0])
    fatal("no memory for the DEV's table");
  memset(ptr(table[0]), 0xff, table_size());
  set_base(0, BASE_V | BASE_P);
  invalidate();
  print("vmm: DEV on %u nodes: %u protection domains, %u maps\n", bridges, domains, maps);
}

void dev_off(void)
{
  for (unsigned b = 0; b < bridges; b++)
    set(b, CR, 0, 0);
  if (bridges)
    print("vmm: DEV off\n");
  bridges = 0;
}

unsigned dev_domain_new(unsigned node)
{
  for (unsigned d = 1; d < domains; d++) {
    if (table[d])
      continue;
    table[d] = memory_alloc(node, table_size(), table_size(), 0, false);
    if (!table[d])
      return 0;
    memset(ptr(table[d]), 0xff, table_size());
    set_base(d, BASE_V | BASE_P);
    return d;
  }
  return 0;
}

void dev_domain_free(unsigned domain)
{
  if (!domain)
    return;
  set_base(domain, 0);
  invalidate();
  memory_free(table[domain], table_size());
  table[domain] = 0;
}

void dev_allow(unsigned domain, uint64_t base, uint64_t size)
{
  uint8_t *bits = ptr(table[domain]);
  for (uint64_t page = base / PAGE_SIZE; page < (base + size) / PAGE_SIZE; page++)
    bits[page / 8] &= (uint8_t) ~(1u << page % 8);
  invalidate();
}

void dev_allow_all(unsigned domain)
{
  set_base(domain, 0);
  invalidate();
}

static void write_map(unsigned m)
{
  uint32_t v = (uint32_t)map[m].bus << 12;
  for (unsigned u = 0; u < 2; u++)
    if (map[m].unit[u].valid)
      v |= (map[m].unit[u].number | UNIT_VALID) << 6 * u | (uint32_t)map[m].unit[u].domain << (20 + 6 * u);
  for (unsigned b = 0; b < bridges; b++)
    set(b, MAP, m, v);
  invalidate();
}

// Units on the chain of a bus are the device numbers on it.
bool dev_assign(uint16_t bdf, unsigned domain)
{
  uint8_t bus = (uint8_t)(bdf >> 8), unit = bdf >> 3 & 31;
  unsigned free_map = maps, free_unit = 0;
  for (unsigned m = 0; m < maps; m++)
    for (unsigned u = 0; u < 2; u++) {
      bool ours = map[m].used && map[m].bus == bus;
      if (ours && map[m].unit[u].valid && map[m].unit[u].number == unit) {
        map[m].unit[u].domain = (uint8_t)domain;
        map[m].unit[u].valid = domain;
        map[m].used = map[m].unit[0].valid || map[m].unit[1].valid;
        write_map(m);
        return true;
      }
      if ((!map[m].used || (ours && !map[m].unit[u].valid)) && free_map == maps)
        free_map = m, free_unit = u;
    }
  if (!domain)
    return true;
  if (free_map == maps)
    return false;
  map[free_map].used = true;
  map[free_map].bus = bus;
  map[free_map].unit[free_unit].valid = true;
  map[free_map].unit[free_unit].number = unit;
  map[free_map].unit[free_unit].domain = (uint8_t)domain;
  write_map(free_map);
  return true;
}

bool dev_refused(struct dev_error *e)
{
  for (unsigned b = 0; b < bridges; b++) {
    uint32_t status = get(b, ERR_STATUS, 0);
    if (!(status & ERR_VALID))
      continue;
    *e = (struct dev_error){
        .node = bridge[b].node, .write = status & ERR_WRITE, .has_address = status & ERR_HAS_ADDRESS};
    e->address = get(b, ERR_ADDR_LO, 0) | (uint64_t)(get(b, ERR_ADDR_HI, 0) & 0xffff) << 32;
    set(b, ERR_STATUS, 0, 0);
    return true;
  }
  return false;
}
