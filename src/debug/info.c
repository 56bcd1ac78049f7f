// The monitor's info commands.
#include <string.h>

#include "cpu/lapic.h"
#include "cpu/model.h"
#include "cpu/tlb.h"
#include "debug/info.h"
#include "debug/monitor.h"
#include "debug/pagetable.h"
#include "debug/regs.h"
#include "debug/stats.h"
#include "engine/jit/jit.h"
#include "machine/machine.h"

typedef unsigned long long ull;

static void registers(struct monitor_call *c)
{
  bool all = c->args && !strcmp(c->arg[0], "-a");
  for (unsigned i = 0; i < c->machine->cpus; i++) {
    if (!all && c->machine->cpu[i] != c->cpu)
      continue;
    fprintf(c->out, "\nCPU#%u\n", i);
    regs_print(c->out, c->machine->cpu[i]);
  }
}

static void mem(struct monitor_call *c)
{
  pagetable_print(c->out, c->cpu);
}

static void tlb_line(void *arg, const struct tlb_info *i)
{
  fprintf(arg, "%016llx: %016llx size %4lluK of %4lluK asid %u pcid %u %c%c%c%c%c pat %u key %u\n",
          (ull)i->la, (ull)i->pa, (ull)i->size >> 10, (ull)i->guest_size >> 10, i->asid, i->pcid,
          i->global ? 'G' : '-', i->user ? 'U' : '-', i->write ? 'W' : '-', i->nx ? 'N' : '-',
          i->dirty ? 'D' : '-', i->memtype, i->pkey);
}

static void tlb(struct monitor_call *c)
{
  struct tlb_stats s = tlb_stats(c->cpu);
  tlb_each(c->cpu, tlb_line, c->out);
  fprintf(c->out, "walks %llu, fills %llu, flushes %llu\n", (ull)s.walks, (ull)s.fills, (ull)s.flushes);
}

static void stats(struct monitor_call *c)
{
  for (unsigned i = 0; i < c->machine->cpus; i++)
    stats_print(c->out, c->machine->cpu[i]);
}

static void mtree(struct monitor_call *c)
{
  static const char *const spaces[] = {"memory", "I/O"}, *const kinds[] = {"i/o", "ram", "rom"};
  const struct bus *b = &c->machine->bus;
  for (unsigned s = 0; s < 2; s++) {
    fprintf(c->out, "address-space: %s\n", spaces[s]);
    for (size_t i = 0; i < b->flats[s]; i++) {
      const struct flat *f = &b->flat[s][i];
      if (f->region)
        fprintf(c->out, "  %016llx-%016llx (prio %d, %s): %s\n", (ull)f->first, (ull)f->last, f->region->prio,
                kinds[f->region->kind], f->region->name);
    }
  }
}

static void print_bar(FILE *out, const struct pci_func *f, unsigned i)
{
  const struct pci_bar *b = &f->bar[i];
  if (!b->size)
    return;
  ull base = b->active ? b->region.base : UINT64_MAX;
  fprintf(out, "      BAR%u: %s at 0x%llx [0x%llx].\n", i,
          b->io     ? "I/O"
          : b->wide ? "64 bit memory"
                    : "32 bit memory",
          base, b->active ? base + b->size - 1 : UINT64_MAX);
}

static void pci_one(struct monitor_call *c, const struct pci_bus *bus)
{
  for (unsigned devfn = 0; devfn < 256; devfn++) {
    const struct pci_func *f = bus->func[devfn];
    if (!f)
      continue;
    fprintf(c->out, "  Bus %2u, device %3u, function %u:\n    %s: PCI device %04x:%04x, class %02x%02x\n",
            bus->number, devfn >> 3, devfn & 7, f->name, pci_get_word(f, PCI_VENDOR_ID),
            pci_get_word(f, PCI_DEVICE_ID), f->config[PCI_CLASS_DEVICE + 1], f->config[PCI_CLASS_DEVICE]);
    if (f->config[PCI_INTERRUPT_PIN])
      fprintf(c->out, "      IRQ %u, pin %c\n", f->config[PCI_INTERRUPT_LINE],
              'A' + f->config[PCI_INTERRUPT_PIN] - 1);
    for (unsigned i = 0; i < 7; i++)
      print_bar(c->out, f, i);
  }
}

static void pci(struct monitor_call *c)
{
  for (const struct pci_bus *bus = &c->machine->pc.pci; bus; bus = bus->next)
    pci_one(c, bus);
}

static void qtree(struct monitor_call *c)
{
  fprintf(c->out,
          "bus: main-system-bus\n  i440fx, piix3, piix4pm, i8042, pit, rtc, hpet, pic, ioapic, fw_cfg\n");
  for (const struct device *d = c->machine->devices; d; d = d->next)
    fprintf(c->out, "  dev: %s, id \"%s\"\n", d->type, d->id ? d->id : "");
}

static void pic(struct monitor_call *c)
{
  const struct pc *pc = &c->machine->pc;
  for (unsigned i = 0; i < 2; i++) {
    const struct pic_chip *p = &pc->pic.chip[i];
    fprintf(c->out, "pic%u: irr=%02x imr=%02x isr=%02x base=%02x lines=%02x elcr=%02x\n", i, p->irr, p->imr,
            p->isr, p->base, p->lines, p->elcr);
  }
  fprintf(c->out, "ioapic id=%u select=%02x lines=%06x\n", pc->ioapic.id, pc->ioapic.select,
          pc->ioapic.lines);
  for (unsigned i = 0; i < IOAPIC_PINS; i++)
    fprintf(c->out, "  pin %2u %016llx%s\n", i, (ull)pc->ioapic.entry[i],
            pc->ioapic.entry[i] >> 16 & 1 ? " masked" : "");
}

static void print_bits(FILE *out, const char *name, const uint32_t *bits)
{
  fprintf(out, "%s:", name);
  for (unsigned v = 0; v < 256; v++)
    if (bits[v >> 5] >> (v & 31) & 1)
      fprintf(out, " %u", v);
  fprintf(out, "\n");
}

static void lapic(struct monitor_call *c)
{
  static const char *const lvt[] = {"timer", "thermal", "perf", "lint0", "lint1", "error"};
  const struct lapic *a = c->cpu->lapic;
  fprintf(c->out, "CPU#%u local APIC: base=%llx id=%x svr=%x tpr=%02x ldr=%x dfr=%x icr=%llx esr=%x\n",
          c->cpu->index, (ull)c->cpu->apic_base, a->id, a->svr, a->tpr, a->ldr, a->dfr, (ull)a->icr, a->esr);
  for (unsigned i = 0; i < LVT_COUNT; i++)
    fprintf(c->out, "  LVT %-8s %05x\n", lvt[i], a->lvt[i]);
  fprintf(c->out, "  timer: initial count %u, divider %x\n", a->initial_count, a->divide);
  print_bits(c->out, "  IRR", a->irr);
  print_bits(c->out, "  ISR", a->isr);
}

static void block(struct monitor_call *c)
{
  const struct ide *ide = c->machine->pc.ide;
  for (const struct drive *d = c->machine->drives; d; d = d->next)
    fprintf(c->out, "%s: %s (raw%s), %llu bytes; %llu reads, %llu writes, %llu flushes, %llu errors\n",
            d->blk->id ? d->blk->id : "(disc)", d->blk->path, d->blk->read_only ? ", read-only" : "",
            (ull)d->blk->bytes, (ull)d->blk->reads, (ull)d->blk->writes, (ull)d->blk->flushes,
            (ull)d->blk->errors);
  for (unsigned i = 0; i < 4; i++)
    if (ide->ch[i / 2].drive[i % 2].kind == IDE_CD)
      fprintf(c->out, "ide%u-cd%u: %s\n", i / 2, i % 2,
              ide->ch[i / 2].drive[i % 2].blk ? ide->ch[i / 2].drive[i % 2].blk->path : "[not inserted]");
  for (const struct device *d = c->machine->devices; d; d = d->next)
    if (!strcmp(d->type, "ide-cd") && d->id) {
      const struct ide_drive *cd = d->self;
      fprintf(c->out, "%s: %s\n", d->id, cd->blk ? cd->blk->path : "[not inserted]");
    }
}

static void network(struct monitor_call *c)
{
  for (const struct netdev *n = c->machine->netdevs.first; n; n = n->next)
    fprintf(c->out, "%s: %s, %s; %llu frames to the guest, %llu from it, %llu lost\n", n->id, n->kind,
            !n->attached                   ? "no adapter"
            : n->user.running(n->user.arg) ? "driver running"
                                           : "no driver",
            (ull)n->received, (ull)n->transmitted, (ull)n->dropped);
}

static void chardev(struct monitor_call *c)
{
  static const char *const kinds[] = {"null", "stdio", "file", "unix", "pty"};
  for (const struct chardev *d = c->machine->chardevs.first; d; d = d->next)
    fprintf(c->out, "%s: %s%s\n", d->id ? d->id : "(none)", kinds[d->kind], d->mux ? ", multiplexed" : "");
}

static void status(struct monitor_call *c)
{
  fprintf(c->out, "VM status: %s\n", c->machine->paused ? "paused" : "running");
}

static void cpus(struct monitor_call *c)
{
  static const char *const runs[] = {"running", "halted", "waiting (MWAIT)", "waiting for SIPI", "shut down"};
  for (unsigned i = 0; i < c->machine->cpus; i++) {
    const struct cpu *p = c->machine->cpu[i];
    fprintf(c->out, "%c CPU #%u: pc=0x%016llx %s, %llu instructions\n", p == c->cpu ? '*' : ' ', i,
            (ull)p->seg[SEG_CS].base + p->ip, runs[p->run], (ull)p->instructions);
  }
}

static void version(struct monitor_call *c)
{
  fprintf(c->out, "pacifica " PACIFICA_VERSION "\n");
}

static void name(struct monitor_call *c)
{
  if (c->machine->config->name)
    fprintf(c->out, "%s\n", c->machine->config->name);
}

static void clock(struct monitor_call *c)
{
  const struct machine *m = c->machine;
  fprintf(c->out, "virtual time %llu ns, %llu instructions, blocks built %llu, dropped %llu\n",
          (ull)clock_now(&m->clock), (ull)engine_instructions(&m->engine), (ull)m->engine.code.built,
          (ull)m->engine.code.dropped);
}

static void jit(struct monitor_call *c)
{
  const struct machine *m = c->machine;
  struct jit_stats s = jit_stats(m->engine.code.jit);
  if (!m->engine.code.jit)
    fprintf(c->out, "no block becomes host code (-accel interp)\n");
  else
    fprintf(c->out,
            "blocks translated %llu of %llu that were built, dropped %llu, all dropped %llu times\n"
            "instructions in them %llu, with host code %llu; host code %llu KB of %u KB\n",
            (ull)s.blocks, (ull)m->engine.code.built, (ull)m->engine.code.dropped,
            (ull)m->engine.code.emptied, (ull)s.ops, (ull)s.native, (ull)(s.bytes >> 10),
            (unsigned)JIT_ARENA >> 10);
}

const struct monitor_command monitor_info[] = {
    {"registers", NULL, "[-a]", "registers of the current CPU, or of all", registers},
    {"cpus", NULL, "", "the CPUs", cpus},
    {"mem", NULL, "", "what the page tables map", mem},
    {"tlb", NULL, "", "what the TLB holds", tlb},
    {"jit", NULL, "", "blocks that became host code", jit},
    {"stats", NULL, "", "what was counted: world switches, exits, page walks, the TLB", stats},
    {"mtree", NULL, "", "the address maps", mtree},
    {"pci", NULL, "", "PCI functions", pci},
    {"dev", NULL, "", "the Device Exclusion Vectors: maps, domains, what they exclude", info_dev},
    {"skinit", NULL, "", "the last secure launch", info_skinit},
    {"tpm", NULL, "", "the TPM's localities and PCRs", info_tpm},
    {"fabric", NULL, "", "nodes, links, routes and traffic", info_fabric},
    {"qtree", NULL, "", "devices", qtree},
    {"pic", "irq", "", "interrupt controllers", pic},
    {"lapic", NULL, "", "the current CPU's local APIC", lapic},
    {"block", NULL, "", "disk images", block},
    {"chardev", NULL, "", "character backends", chardev},
    {"network", NULL, "", "networks", network},
    {"status", NULL, "", "running or paused", status},
    {"version", NULL, "", "the version", version},
    {"name", NULL, "", "the name given by -name", name},
    {"clock", NULL, "", "virtual time and work done", clock},
    {NULL},
};
