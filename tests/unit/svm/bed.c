// The bed of bed.h.
#include "bed.h"

#include "cpu/event.h"
#include "cpu/seg.h"

void bed_put(struct bed *b, uint64_t pa, uint64_t v, unsigned size)
{
  ram_write(&b->ram, pa, &v, size);
}

uint64_t bed_get(struct bed *b, uint64_t pa, unsigned size)
{
  uint64_t v = 0;
  memcpy(&v, b->ram.mem + pa, size);
  return v;
}

static struct seg flat(uint16_t sel, uint16_t attr)
{
  return (struct seg){.limit = UINT32_MAX, .sel = sel, .attr = attr};
}

void bed_host_state(struct cpu *c)
{
  c->cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE | CR0_WP;
  c->cr3 = BED_PML4;
  c->cr4 = CR4_PAE | CR4_OSFXSR;
  c->efer = EFER_LME | EFER_LMA | EFER_SVME | EFER_NXE;
  c->seg[SEG_CS] = flat(0x08, 0xa9b);
  for (unsigned i = 0; i < SEG_COUNT; i++)
    if (i != SEG_CS)
      c->seg[i] = flat(0x10, 0xc93);
  c->gdtr = (struct dtable){.base = BED_GDT, .limit = 0x4f};
  c->idtr = (struct dtable){.base = BED_IDT, .limit = 0xfff};
  c->tr = (struct seg){.base = BED_TSS, .limit = 0x67, .sel = 0x28, .attr = 0x8b};
  c->vm_hsave_pa = BED_HSAVE;
  c->r[RSP] = BED_STACK;
  c->cpl = 0;
  cpu_set_flags(c, 2);
  c->gif = true;
  c->run = RUN_ON;
  tlb_flush_all(c);
  cpu_mode_update(c);
}

static void tables(struct bed *b)
{
  bed_put(b, BED_PML4, BED_PDPT | 7, 8);
  bed_put(b, BED_PDPT, BED_PD | 7, 8);
  bed_put(b, BED_PD, 0xe7, 8);
  bed_put(b, BED_PD + 16, 0xe7 | 0x200000, 8); // the second half of RAM again, at 4 MB
  for (unsigned v = 0; v < 256; v++) {
    uint64_t at = BED_HANDLERS + v * 16;
    bed_put(b, BED_IDT + v * 16, (at & 0xffff) | 0x08 << 16 | 0xeeull << 40 | at >> 16 << 48, 8);
    bed_put(b, BED_IDT + v * 16 + 8, 0, 8);
    bed_put(b, at, 0xf4, 1);
  }
  bed_put(b, BED_GDT + 0x08, 0x00af9b000000ffff, 8);
  bed_put(b, BED_GDT + 0x10, 0x00cf93000000ffff, 8);
  bed_put(b, BED_GDT + 0x18, 0x00affb000000ffff, 8);
  bed_put(b, BED_GDT + 0x20, 0x00cff3000000ffff, 8);
  bed_put(b, BED_TSS + 4, BED_STACK - 0x800, 8);
  bed_put(b, BED_TSS + 0x66, 0xffff, 2); // no map of ports
  memset(b->ram.mem + BED_MSRPM, 0xff, 0x2000);
  memset(b->ram.mem + BED_IOPM, 0xff, 0x3000);
  bed_put(b, BED_HOST, 0xf4d8010f, 4); // vmrun; hlt
}

static struct vmcb_seg vseg(uint16_t sel, uint16_t attr)
{
  return (struct vmcb_seg){.selector = sel, .attrib = attr, .limit = UINT32_MAX};
}

static void guest_state(struct bed *b, struct vmcb *v)
{
  const struct cpu *c = b->c;
  memset(v, 0, sizeof *v);
  v->control.asid = 1;
  v->control.msrpm_base_pa = BED_MSRPM;
  v->control.iopm_base_pa = BED_IOPM;
  v->control.intercepts[1] = 1;                            // VMRUN
  v->control.intercepts[0] = 1u << (VMEXIT_SHUTDOWN & 31); // so that no test ends in a shutdown
  v->control.intercepts[0] |= 1u << (VMEXIT_HLT & 31);     // the end of handlers
  v->save.cs = vseg(0x08, 0xa9b);
  v->save.ss = v->save.ds = v->save.es = vseg(0x10, 0xc93);
  v->save.gdtr = (struct vmcb_seg){.limit = 0x4f, .base = BED_GDT};
  v->save.idtr = (struct vmcb_seg){.limit = 0xfff, .base = BED_IDT};
  v->save.cr0 = c->cr0;
  v->save.cr3 = c->cr3;
  v->save.cr4 = c->cr4;
  v->save.efer = c->efer;
  v->save.dr6 = 0xffff0ff0;
  v->save.dr7 = 0x400;
  v->save.rflags = 2;
  v->save.rip = BED_GUEST;
  v->save.rsp = BED_STACK - 0x100;
  v->save.g_pat = 0x0007040600070406;
}

struct bed *bed_new(const char *model, unsigned cpus)
{
  static struct bed bed;
  struct bed *b = &bed;
  struct err e;
  *b = (struct bed){.cpus = cpus};
  assert_true(ram_init(&b->ram, BED_RAM, &e));
  ram_alloc(&b->ram, BED_RAM);
  b->log.out = stderr;
  assert_true(bus_init(&b->bus, &b->ram, &b->log));
  clock_init(&b->clock);
  bus_map_ram(&b->bus, &b->region, "ram", 0, BED_RAM, 0, 0, false);
  b->model = model_parse(model, &e);
  assert_non_null(b->model);
  b->host = host_code_new(&e);
  for (unsigned i = 0; i < cpus; i++) {
    struct cpu_env env = {.bus = &b->bus,
                          .clock = &b->clock,
                          .log = &b->log,
                          .model = b->model,
                          .index = i,
                          .apic_id = i,
                          .ns_shift = 2,
                          .tsc_hz = 1000000000,
                          .all = b->cpu,
                          .cpus = cpus,
                          .host = b->host};
    b->cpu[i] = cpu_new(&env, &e);
    assert_non_null(b->cpu[i]);
  }
  b->c = b->cpu[0];
  assert_true(engine_init(&b->engine, b->cpu, cpus, &b->clock, &b->log, &b->ram, b->model, b->host, 2, &e));
  tables(b);
  bed_host_state(b->c);
  b->v = (struct vmcb *)(b->ram.mem + BED_VMCB);
  guest_state(b, b->v);
  guest_state(b, (struct vmcb *)(b->ram.mem + BED_VMCB2));
  return b;
}

void bed_free(struct bed *b)
{
  engine_free(&b->engine);
  for (unsigned i = 0; i < b->cpus; i++)
    cpu_free(b->cpu[i]);
  host_code_free(b->host);
  model_free(b->model);
  bus_free(&b->bus);
  clock_free(&b->clock);
  ram_free(&b->ram);
}

void bed_code(struct bed *b, const void *bytes, unsigned n)
{
  ram_write(&b->ram, BED_GUEST, bytes, n);
  bed_put(b, BED_GUEST + n, 0xf4, 1);
}

enum engine_stop bed_run(struct bed *b, uint64_t instructions)
{
  enum engine_stop s;
  b->engine.limit = engine_instructions(&b->engine) + instructions;
  while ((s = engine_run(&b->engine)) == ENGINE_POLL)
    ;
  return s;
}

uint64_t bed_vmrun(struct bed *b, uint64_t pa)
{
  struct cpu *c = b->c;
  c->ip = BED_HOST;
  c->r[RAX] = pa;
  c->run = RUN_ON;
  c->gif = true;
  bed_run(b, 1000);
  if (c->guest || c->run != RUN_HALTED || c->ip != BED_HOST + 4)
    return UINT64_MAX - 1;
  return bed_get(b, pa + offsetof(struct vmcb_control, exitcode), 8);
}

void bed_intercept(struct bed *b, unsigned code)
{
  b->v->control.intercepts[(code - 0x60) >> 5] |= 1u << (code & 31);
}

void bed_cpl(struct bed *b, unsigned cpl)
{
  b->v->save.cpl = cpl;
  b->v->save.cs = vseg(cpl ? 0x1b : 0x08, cpl ? 0xafb : 0xa9b);
  b->v->save.ss = vseg(cpl ? 0x23 : 0x10, cpl ? 0xcf3 : 0xc93);
}
