// The wiring of the board; see pc.h.
#include <string.h>
#include <time.h>

#include "machine/machine.h"
#include "machine/mcbank.h"

#include "cpu/lapic.h"
#include "cpu/model.h"
#include "cpu/smm.h"
#include "cpu/tlb.h"
#include "machine/exclusion.h"

static void intr(void *arg, int pin, int level)
{
  struct machine *m = arg;
  lapic_lint(m->cpu[0], 0, level);
}

static void want(void *arg, int what, int level)
{
  if (level)
    machine_request(arg, (uint32_t)what);
}

static struct irq request_line(struct machine *m, enum machine_request what)
{
  return (struct irq){.set = want, .sink = m, .pin = (int)what};
}

// Address line 20: all CPUs see it, devices do not.
static void a20(void *arg, int pin, int level)
{
  struct machine *m = arg;
  for (unsigned i = 0; i < m->cpus; i++)
    cpu_a20m(m->cpu[i], !level);
}

static void ignne(void *arg, int pin, int level)
{
  struct machine *m = arg;
  m->cpu[0]->ignne_pin = level;
}

// SMI# goes to the boot processor: firmware gives only that one a handler of its own.
static void smi(void *arg, int pin, int level)
{
  struct machine *m = arg;
  if (level)
    cpu_request(m->cpu[0], PEND_SMI);
}

static void init_interrupts(struct machine *m)
{
  struct pc *pc = &m->pc;
  gsi_init(&pc->gsi);
  pic_init(&pc->pic, &m->bus, (struct irq){.set = intr, .sink = m});
  ioapic_init(&pc->ioapic, &m->bus, 0);
  for (int i = 0; i < 16; i++)
    pc->gsi.pic[i] = pic_line(&pc->pic, i);
  for (int i = 0; i < GSI_LINES; i++)
    pc->gsi.ioapic[i] = ioapic_line(&pc->ioapic, i);
}

static bool init_time(struct machine *m, struct err *e)
{
  struct pc *pc = &m->pc;
  // The date is an input of the run: without -rtc base= it is fixed, so that two runs are the same.
  int64_t start = 0;
  const char *base = m->config->rtc_base;
  if (!rtc_parse_base(base                             ? base
                      : m->config->clock == CLOCK_HOST ? "utc"
                                                       : "2026-01-01T00:00:00",
                      time(NULL), &start, e))
    return false;
  pit_init(&pc->pit, &m->bus, &m->clock, gsi_line(&pc->gsi, GSI_ISA, 0));
  if (m->config->no_pit) // what port 61h shows of it stays as after a reset
    bus_unmap(&m->bus, &pc->pit.ports);
  rtc_init(&pc->rtc, &m->bus, &m->clock, gsi_line(&pc->gsi, GSI_ISA, 8), (struct irq){0}, start);
  if (!m->config->no_hpet) {
    hpet_init(&pc->hpet, &m->bus, &m->clock);
    for (unsigned i = 0; i < GSI_LINES; i++)
      pc->hpet.line[i] = gsi_line(&pc->gsi, GSI_HPET, i);
    pc->hpet.legacy = (struct irq){.set = gsi_set_hpet_legacy, .sink = &pc->gsi};
  }
  return true;
}

static bool init_pci(struct machine *m, struct err *e)
{
  struct pc *pc = &m->pc;
  pci_bus_init(&pc->pci, &m->bus, 0, 0);
  pc->pci.transfer = fabric_transfer;
  pc->pci.direct = fabric_direct;
  pc->pci.fabric = &m->fabric;
  bool rom = m->bios.size != 0;
  i440fx_init(&pc->host, &m->bus, &pc->pci, m->low_off, rom ? m->bios.ram_off : RAM_NONE, m->bios.size);
  struct piix3_lines lines = {.a20 = {.set = a20, .sink = m},
                              .ignne = {.set = ignne, .sink = m},
                              .reset = request_line(m, WANT_RESET),
                              .cpu_reset = request_line(m, WANT_RESET)};
  piix3_init(&pc->piix3, &m->bus, &m->clock, &pc->pci, &pc->gsi, &pc->pit, &lines);
  pc->ferr = piix3_ferr_line(&pc->piix3);
  m->cpu[0]->ferr = &pc->ferr;
  pc->host.reset_control_read = piix3_reset_control_read;
  pc->host.reset_control_write = piix3_reset_control_write;
  pc->host.reset_control_arg = &pc->piix3;
  struct irq line[2] = {gsi_line(&pc->gsi, GSI_ISA, 14), gsi_line(&pc->gsi, GSI_ISA, 15)};
  pc->ide = ide_create(&pc->pci, 1 << 3 | 1, &m->clock, line, &m->log, e);
  if (!pc->ide)
    return false;
  piix4pm_init(&pc->pm, &m->bus, &m->clock, &pc->pci, gsi_line(&pc->gsi, GSI_ACPI, BOARD_SCI),
               (struct irq){.set = smi, .sink = m}, request_line(m, WANT_POWER_OFF));
  pc->piix3.apm = piix4pm_apm;
  pc->piix3.apm_arg = &pc->pm;
  nodes_attach(m);
  config_space_init(m);
  mcbank_init(m);
  return exclusion_init(m, e);
}

bool pc_init(struct machine *m, struct err *e)
{
  struct pc *pc = &m->pc;
  if (machine_has_bios(m)) {
    if (!bios_load(&m->bios, &m->ram, m->config->bios, e))
      return false;
    bios_map(&m->bios, &m->bus);
  }
  init_interrupts(m);
  if (!init_time(m, e) || !init_pci(m, e))
    return false;
  i8042_init(&pc->i8042, &m->bus, gsi_line(&pc->gsi, GSI_ISA, 1), gsi_line(&pc->gsi, GSI_ISA, 12),
             piix3_a20_line(&pc->piix3), request_line(m, WANT_RESET));
  struct dma_port port = {.transfer = fabric_transfer, .fabric = &m->fabric};
  if (!fw_cfg_init(&pc->fw_cfg, &m->bus, &port))
    return err_set(e, "out of memory");
  m->wanted = 0;
  return true;
}

void pc_reset(struct machine *m)
{
  struct pc *pc = &m->pc;
  gsi_reset(&pc->gsi);
  pic_reset(&pc->pic);
  ioapic_reset(&pc->ioapic);
  pit_reset(&pc->pit);
  rtc_reset(&pc->rtc);
  if (!m->config->no_hpet)
    hpet_reset(&pc->hpet);
  i440fx_reset(&pc->host);
  piix3_reset(&pc->piix3);
  ide_reset(pc->ide);
  piix4pm_reset(&pc->pm);
  nodes_reset(m);
  config_space_reset(m);
  exclusion_reset(m);
  i8042_reset(&pc->i8042);
  fw_cfg_reset(&pc->fw_cfg);
}

void pc_free(struct machine *m)
{
  struct pc *pc = &m->pc;
  if (!pc->ide)
    return; // the board was never finished; what came before it owns nothing
  fw_cfg_free(&pc->fw_cfg);
  piix4pm_free(&pc->pm);
  ide_free(pc->ide);
  if (!m->config->no_hpet)
    hpet_free(&pc->hpet);
  rtc_free(&pc->rtc);
  pit_free(&pc->pit);
}
