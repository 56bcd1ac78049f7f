// Power management; see piix4pm.h.
#include "chipset/piix4pm.h"

#include <string.h>

enum {
  PMBA = 0x40,
  DEVACTB = 0x58,
  APMC_EN = 0x02, // bit 25 of DEVACTB
  PMREGMISC = 0x80,
  SMBBA = 0x90,
  SMBHSTCFG = 0xd2,

  PM_STATUS = 0x00,
  PM_ENABLE = 0x02,
  PM_CONTROL = 0x04,
  PM_TIMER = 0x08,
  PM_GLOBAL = 0x28, // global control
  SMI_EN = 0x01,
  PM_SIZE = 64,

  STATUS_TIMER = 0x0001,
  STATUS_GLOBAL = 0x0020,
  STATUS_POWER_BUTTON = 0x0100,
  STATUS_RTC = 0x0400,
  STATUS_ALL = 0x8521, // and resume, bit 15
  ENABLE_ALL = 0x0521,
  CONTROL_SCI = 0x0001,
  CONTROL_TYPE = 0x1c00,
  CONTROL_SLEEP = 0x2000, // write only
  CONTROL_ALL = 0x1c07,

  SMB_STATUS = 0,
  SMB_CONTROL = 2,
  SMB_SIZE = 16,
  SMB_INTR = 0x02,
  SMB_DEVICE_ERROR = 0x04,
  SMB_START = 0x40,
};

#define NS UINT64_C(1000000000)

static uint64_t timer_ticks(const struct piix4pm *p)
{
  return muldiv64(clock_now(p->clock), PIIX4PM_TIMER_HZ, NS);
}

// The status bit comes up whenever bit 23 of the timer turns.
static uint64_t turns(const struct piix4pm *p)
{
  return timer_ticks(p) >> 23;
}

static void update(struct piix4pm *p)
{
  if (turns(p) != p->overflows) {
    p->overflows = turns(p);
    p->pm1_status |= STATUS_TIMER;
  }
  bool gpe = (p->gpe_status[0] & p->gpe_enable[0]) || (p->gpe_status[1] & p->gpe_enable[1]);
  bool event = (p->pm1_status & p->pm1_enable & ENABLE_ALL) || gpe;
  irq_set(&p->sci, event && (p->pm1_control & CONTROL_SCI));
  if ((p->pm1_enable & STATUS_TIMER) && !(p->pm1_status & STATUS_TIMER))
    timer_set(&p->timer, muldiv64((p->overflows + 1) << 23, NS, PIIX4PM_TIMER_HZ) + 1);
  else
    timer_cancel(&p->timer);
}

static void fire(void *arg)
{
  update(arg);
}

void piix4pm_power_button(struct piix4pm *p)
{
  p->pm1_status |= STATUS_POWER_BUTTON;
  update(p);
}

void piix4pm_apm(void *piix4pm, uint8_t v)
{
  struct piix4pm *p = piix4pm;
  if (v == PIIX4PM_ACPI_ENABLE)
    p->pm1_control |= CONTROL_SCI;
  else if (v == PIIX4PM_ACPI_DISABLE)
    p->pm1_control &= (uint16_t)~CONTROL_SCI;
  update(p);
  if ((p->func.config[DEVACTB + 3] & APMC_EN) && (p->other[PM_GLOBAL] & SMI_EN))
    irq_pulse(&p->smi);
}

static void write_control(struct piix4pm *p, uint16_t v)
{
  p->pm1_control = v & CONTROL_ALL;
  // Type 0 is soft-off; the others are sleeping states that this board does not have.
  if ((v & CONTROL_SLEEP) && !(v & CONTROL_TYPE))
    irq_pulse(&p->power_off);
}

static uint64_t pm_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct piix4pm *p = dev;
  uint8_t reg[PM_SIZE + 8];
  update(p);
  memcpy(reg, p->other, PM_SIZE);
  memcpy(reg + PM_STATUS, &p->pm1_status, 2);
  memcpy(reg + PM_ENABLE, &p->pm1_enable, 2);
  memcpy(reg + PM_CONTROL, &p->pm1_control, 2);
  uint32_t count = timer_ticks(p) & 0xffffff;
  memcpy(reg + PM_TIMER, &count, 4);
  uint64_t v = 0;
  memcpy(&v, reg + off, size);
  return v;
}

// A register of 16 bits of which an access may write one byte.
static uint16_t merge(uint16_t was, uint64_t reg, uint64_t off, unsigned size, uint64_t value)
{
  for (unsigned i = 0; i < size; i++) {
    if (off + i == reg)
      was = (uint16_t)((was & 0xff00) | (value >> (8 * i) & 0xff));
    else if (off + i == reg + 1)
      was = (uint16_t)((was & 0x00ff) | (value >> (8 * i) & 0xff) << 8);
  }
  return was;
}

static bool touches(uint64_t reg, uint64_t off, unsigned size)
{
  return off <= reg + 1 && off + size > reg;
}

static void pm_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct piix4pm *p = dev;
  update(p);
  if (touches(PM_STATUS, off, size))
    p->pm1_status &= (uint16_t) ~(merge(0, PM_STATUS, off, size, value) & STATUS_ALL);
  if (touches(PM_ENABLE, off, size))
    p->pm1_enable = merge(p->pm1_enable, PM_ENABLE, off, size, value) & ENABLE_ALL;
  if (touches(PM_CONTROL, off, size))
    write_control(p, merge(p->pm1_control, PM_CONTROL, off, size, value));
  if (off >= 0x0c) // status bits of general purpose have no sources; the rest is kept
    memcpy(p->other + off, &value, off + size <= PM_SIZE ? size : PM_SIZE - off);
  memset(p->other + 0x0c, 0, 2);
  update(p);
}

static uint64_t gpe_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct piix4pm *p = dev;
  return off < 2 ? p->gpe_status[off] : p->gpe_enable[off - 2];
}

static void gpe_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct piix4pm *p = dev;
  if (off < 2)
    p->gpe_status[off] &= (uint8_t)~value;
  else
    p->gpe_enable[off - 2] = (uint8_t)value;
  update(p);
}

static uint64_t smbus_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  return ((struct piix4pm *)dev)->smb[off];
}

static void smbus_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct piix4pm *p = dev;
  uint8_t v = (uint8_t)value;
  if (off == SMB_STATUS) {
    p->smb[off] &= (uint8_t)~v;
  } else if (off == SMB_CONTROL) {
    p->smb[off] = v & (uint8_t)~SMB_START;
    if (v & SMB_START) // nobody acknowledges the address
      p->smb[SMB_STATUS] = SMB_DEVICE_ERROR;
  } else {
    p->smb[off] = v;
  }
}

static const struct bus_ops pm_ops = {.read = pm_read, .write = pm_write, .max_size = 4};
static const struct bus_ops gpe_ops = {.read = gpe_read, .write = gpe_write, .max_size = 1};
static const struct bus_ops smbus_ops = {.read = smbus_read, .write = smbus_write, .max_size = 1};

// Regions that software places lie below those at fixed ports.
static void place(struct piix4pm *p, struct region *r, const char *name, unsigned base, unsigned size,
                  const struct bus_ops *ops)
{
  if (r->mapped && r->base == base)
    return;
  bus_begin(p->bus);
  bus_unmap(p->bus, r);
  if (base) {
    *r = (struct region){
        .name = name, .base = base, .size = size, .kind = REGION_IO, .space = TXN_IO, .ops = ops, .dev = p};
    bus_map(p->bus, r);
  }
  bus_commit(p->bus);
}

static void update_regions(struct piix4pm *p)
{
  const struct pci_func *f = &p->func;
  bool pm = f->config[PMREGMISC] & 1, smbus = f->config[SMBHSTCFG] & 1;
  place(p, &p->pm, "acpi-pm", pm ? pci_get_word(f, PMBA) & 0xffc0 : 0, PM_SIZE, &pm_ops);
  place(p, &p->smbus, "smbus", smbus ? pci_get_word(f, SMBBA) & 0xfff0 : 0, SMB_SIZE, &smbus_ops);
}

static void config_written(struct pci_func *f, unsigned off, unsigned size)
{
  update_regions(f->dev);
}

void piix4pm_init(struct piix4pm *p, struct bus *bus, struct clock *clock, struct pci_bus *pb, struct irq sci,
                  struct irq smi, struct irq power_off)
{
  *p = (struct piix4pm){.bus = bus, .clock = clock, .sci = sci, .smi = smi, .power_off = power_off};
  struct pci_func *f = &p->func;
  timer_init(&p->timer, clock, fire, p);
  pci_func_init(f, "piix4pm", 0x8086, 0x7113, 0x068000, 3, p);
  pci_set_subsystem(f, 0x1af4, 0x1100);
  pci_set_word(f, PCI_STATUS, 0x0280);
  f->wmask[PCI_COMMAND] |= PCI_COMMAND_IO;
  f->wmask[PMBA] = 0xc0;
  f->wmask[PMBA + 1] = 0xff;
  memset(f->wmask + 0x44, 0xff, 0x38); // device resources and activity: kept
  f->wmask[PMREGMISC] = 1;
  f->wmask[SMBBA] = 0xf0;
  f->wmask[SMBBA + 1] = 0xff;
  f->wmask[SMBHSTCFG] = 0x0f;
  memset(f->wmask + SMBHSTCFG + 1, 0xff, 3);
  f->config_written = config_written;
  pci_add(pb, f, 1, 3, 1);
  bus_map_ports(bus, &p->gpe, "acpi-gpe", PIIX4PM_GPE_BASE, 4, &gpe_ops, p);
  piix4pm_reset(p);
}

void piix4pm_reset(struct piix4pm *p)
{
  struct pci_func *f = &p->func;
  pci_func_reset(f);
  for (unsigned i = 0x40; i < 0x100; i++)
    f->config[i] &= (uint8_t)~f->wmask[i];
  f->config[PMBA] |= 1;
  f->config[SMBBA] |= 1;
  f->config[PCI_INTERRUPT_LINE] = 9;
  f->wmask[PCI_INTERRUPT_LINE] = 0; // the SCI is wired to interrupt 9
  update_regions(p);
  p->pm1_status = p->pm1_enable = p->pm1_control = 0;
  p->overflows = turns(p);
  memset(p->other, 0, sizeof p->other);
  memset(p->smb, 0, sizeof p->smb);
  memset(p->gpe_status, 0, 2);
  memset(p->gpe_enable, 0, 2);
  update(p);
}

void piix4pm_free(struct piix4pm *p)
{
  timer_cancel(&p->timer);
}

void piix4pm_set_base(struct piix4pm *p, uint16_t base)
{
  pci_set_word(&p->func, PMBA, (base & 0xffc0) | 1);
  p->func.config[PMREGMISC] |= 1;
  p->func.config[PCI_COMMAND] |= PCI_COMMAND_IO;
  update_regions(p);
}
