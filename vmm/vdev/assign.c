// Taking devices and giving them back, their interrupts, and what becomes of a device that the DEV refused.
// See assign.h; configuration space is in assign_config.c.
#include "vdev/assign.h"

#include "guest/guest.h"
#include "host/acpi.h"
#include "host/dev.h"
#include "host/lapic.h"
#include "host/pci.h"
#include "host/print.h"
#include "svm/npt.h"
#include "vdev/assign_config.h"

enum { FIRST_PIN = 16, LINES = 24 };

// Machine interrupts by line: how many of the devices on it have not yet been served.
static struct lock guard;
static unsigned unserved[LINES];

static const char *taken(const struct guest *g, uint16_t bdf)
{
  for (unsigned i = 0; i < CONFIG_GUESTS; i++)
    for (unsigned k = 0; k < guests[i].assign.count; k++) {
      uint16_t other = guests[i].assign.device[k].bdf;
      if (other == bdf)
        return "a device of its is given to a guest already";
      if (&guests[i] != g && other >> 3 == bdf >> 3)
        return "a device of its shares its slot, and so its protection domain, with a device of another "
               "guest";
    }
  return NULL;
}

static const char *map_memory(struct guest *g, const struct assigned *d)
{
  for (unsigned i = 0; i < BARS; i++) {
    const struct bar *b = &d->bar[i];
    if (!b->size || b->io)
      continue;
    if (!ALIGNED(b->base, PAGE_SIZE))
      return "a device of its shares a page of its memory with something else";
    for (unsigned k = 0; k < g->slots; k++)
      if (b->base < g->slot[k].gpa + g->slot[k].size && b->base + b->size > g->slot[k].gpa)
        return "its memory reaches into the addresses of its devices";
    if (g->n_cr3 && !npt_map(g, b->base, b->base, ALIGN_UP(b->size, PAGE_SIZE), PTE_W | PTE_PCD))
      return "there is not enough memory for its nested page tables";
  }
  return NULL;
}

static void route(const struct guest *g, const struct assigned *d)
{
  const struct acpi *a = acpi_get();
  if (!d->line || d->line >= 16)
    return;
  uint16_t flags = a->isa_flags[d->line];
  lock(&guard);
  ioapic_route(a->isa_gsi[d->line], (uint8_t)(VECTOR_GSI + d->line), g->vcpu[0]->cpu->apic_id,
               flags ? flags : 0xf, false);
  unlock(&guard);
}

static const char *take(struct guest *g, uint16_t bdf)
{
  struct assigned *d = &g->assign.device[g->assign.count];
  if (pci_read(bdf, PCI_ID, 2) == 0xffff)
    return "a device of its is not there";
  if (pci_read(bdf, PCI_HEADER, 1) & 0x7f)
    return "a device of its is a bridge";
  const char *wrong = taken(g, bdf);
  if (wrong)
    return wrong;
  *d = (struct assigned){.bdf = bdf, .line = (uint8_t)pci_read(bdf, PCI_LINE, 1)};
  d->pin = (uint8_t)(FIRST_PIN + (g->assign.count + 1) % 8);
  g->assign.count++;
  assign_probe(d);
  wrong = map_memory(g, d);
  if (!wrong && dev_on() && !dev_assign(bdf, g->assign.domain))
    wrong = "there is no DEV map left for its device";
  if (!wrong)
    route(g, d);
  return wrong;
}

static const char *make_domain(struct guest *g)
{
  if (!g->config->dev) {
    print("vmm: guest %s: dev = off: its devices reach all memory\n", g->name);
    if (!dev_on())
      return NULL;
  } else if (!dev_on()) {
    return "this machine has no DEV to hold its devices to its memory: say dev = off to do without";
  }
  g->assign.domain = dev_domain_new(g->node);
  if (!g->assign.domain)
    return "there is no protection domain left for its devices";
  if (!g->config->dev)
    dev_allow_all(g->assign.domain);
  for (unsigned i = 0; i < g->slots && g->config->dev; i++)
    if (g->slot[i].gpa == g->slot[i].hpa)
      dev_allow(g->assign.domain, g->slot[i].hpa, g->slot[i].size);
  return NULL;
}

const char *assign_devices(struct guest *g)
{
  const struct config_guest *c = g->config;
  const char *wrong = c->device_count ? make_domain(g) : NULL;
  for (unsigned i = 0; !wrong && i < c->device_count; i++)
    wrong = take(g, (uint16_t)c->devices[i]);
  return wrong;
}

void assign_reset(struct guest *g)
{
  for (unsigned i = 0; i < g->assign.count; i++) {
    uint16_t bdf = g->assign.device[i].bdf;
    pci_write(bdf, PCI_COMMAND, 2, pci_read(bdf, PCI_COMMAND, 2) & ~(uint32_t)PCI_CMD_MASTER);
    assign_eoi(g, g->assign.device[i].pin);
  }
}

void assign_release(struct guest *g)
{
  for (unsigned i = 0; i < g->assign.count; i++) {
    struct assigned *d = &g->assign.device[i];
    uint32_t command = pci_read(d->bdf, PCI_COMMAND, 2);
    pci_write(d->bdf, PCI_COMMAND, 2, (command & ~(uint32_t)PCI_CMD_MASTER) | PCI_CMD_NO_INTX);
    if (dev_on())
      dev_assign(d->bdf, 0);
    if (d->pending)
      assign_eoi(g, d->pin);
  }
  if (dev_on())
    dev_domain_free(g->assign.domain);
  g->assign = (struct assign){0};
}

uint64_t assign_memory(const struct guest *g, uint64_t gpa)
{
  for (unsigned i = 0; i < g->assign.count; i++)
    for (unsigned k = 0; k < BARS; k++) {
      const struct bar *b = &g->assign.device[i].bar[k];
      if (b->size && !b->io && gpa >= b->base && gpa - b->base < ALIGN_UP(b->size, PAGE_SIZE))
        return gpa;
    }
  return 0;
}

static bool has_port(const struct guest *g, uint16_t port, unsigned size)
{
  for (unsigned i = 0; i < g->assign.count; i++)
    for (unsigned k = 0; k < BARS; k++) {
      const struct bar *b = &g->assign.device[i].bar[k];
      if (b->io && port >= b->base && port + size <= b->base + b->size)
        return true;
    }
  return false;
}

bool assign_in(struct guest *g, uint16_t port, unsigned size, uint32_t *value)
{
  if (!has_port(g, port, size))
    return false;
  *value = size == 1 ? in8(port) : size == 2 ? in16(port) : in32(port);
  return true;
}

bool assign_out(struct guest *g, uint16_t port, unsigned size, uint32_t value)
{
  if (!has_port(g, port, size))
    return false;
  if (size == 1)
    out8(port, (uint8_t)value);
  else if (size == 2)
    out16(port, (uint16_t)value);
  else
    out32(port, value);
  return true;
}

static bool asserts(const struct assigned *d)
{
  return pci_read(d->bdf, PCI_STATUS, 2) & PCI_STAT_INTX &&
         !(pci_read(d->bdf, PCI_COMMAND, 2) & PCI_CMD_NO_INTX);
}

// The line is masked until every guest with a device on it that asks for service has given it.
void assign_interrupt(unsigned line)
{
  if (line >= 16)
    return;
  lock(&guard);
  ioapic_mask(acpi_get()->isa_gsi[line], true);
  unserved[line]++; // ourselves, until all were looked at
  unlock(&guard);
  for (unsigned i = 0; i < CONFIG_GUESTS; i++) {
    struct guest *g = &guests[i];
    if (!g->assign.count)
      continue;
    lock(&g->guard);
    for (unsigned k = 0; k < g->assign.count; k++) {
      struct assigned *d = &g->assign.device[k];
      if (d->line != line || d->pending || !asserts(d))
        continue;
      d->pending = true;
      __atomic_fetch_add(&unserved[line], 1, __ATOMIC_SEQ_CST);
      guest_line(g, d->pin, true);
    }
    unlock(&g->guard);
  }
  assign_served(line);
}

void assign_served(unsigned line)
{
  lock(&guard);
  if (!__atomic_sub_fetch(&unserved[line], 1, __ATOMIC_SEQ_CST))
    ioapic_mask(acpi_get()->isa_gsi[line], false);
  unlock(&guard);
}

void assign_eoi(struct guest *g, unsigned pin)
{
  for (unsigned i = 0; i < g->assign.count; i++) {
    struct assigned *d = &g->assign.device[i];
    if (d->pin != pin || !d->pending)
      continue;
    d->pending = false;
    guest_line(g, pin, false);
    assign_served(d->line);
  }
}

bool assign_any(void)
{
  for (unsigned i = 0; i < CONFIG_GUESTS; i++)
    if (guests[i].assign.count)
      return true;
  return false;
}

// Which device it was shows in its status register: it received a master abort.
void assign_watch(void)
{
  struct dev_error e;
  while (dev_refused(&e)) {
    bool found = false;
    for (unsigned i = 0; i < CONFIG_GUESTS; i++)
      for (unsigned k = 0; k < guests[i].assign.count; k++) {
        struct guest *g = &guests[i];
        uint16_t bdf = g->assign.device[k].bdf;
        if (!(pci_read(bdf, PCI_STATUS, 2) & PCI_STAT_MASTER_ABORT))
          continue;
        pci_write(bdf, PCI_COMMAND, 2, pci_read(bdf, PCI_COMMAND, 2) & ~(uint32_t)PCI_CMD_MASTER);
        pci_write(bdf, PCI_STATUS, 2, PCI_STAT_MASTER_ABORT);
        found = true;
        lock(&g->guard);
        if (g->state == GUEST_RUNNING || g->state == GUEST_PAUSED)
          guest_stop(g->vcpu[0], "its device %02x:%02x.%x was refused a %s at %lx by the DEV of node %u",
                     bdf >> 8, bdf >> 3 & 31, bdf & 7, e.write ? "write" : "read", e.address, e.node);
        else // it was quicker than this look
          print("vmm: guest %s, stopped: its device %02x:%02x.%x was refused a %s at %lx by the DEV of node "
                "%u\n",
                g->name, bdf >> 8, bdf >> 3 & 31, bdf & 7, e.write ? "write" : "read", e.address, e.node);
        unlock(&g->guard);
      }
    if (!found)
      print("vmm: the DEV of node %u refused a %s at %lx by a device of no guest\n", e.node,
            e.write ? "write" : "read", e.address);
  }
}
