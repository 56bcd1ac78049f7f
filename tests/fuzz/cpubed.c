// The CPU of fuzz_insn: made, filled from an input, run, looked at. See cpubed.h.
#include "cpubed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cpu/cr.h"
#include "cpu/fpu.h"
#include "cpu/host/host.h"
#include "cpu/lapic.h"
#include "cpu/model.h"
#include "cpu/seg.h"
#include "cpu/svm/svm.h"
#include "cpu/tlb_store.h"

static struct host_code *stubs;

const struct model *cpubed_model(unsigned n)
{
  static const char *const names[] = {"max", "family10h", "k8f"};
  static struct model *models[3];
  struct err e;
  n %= 3;
  if (!stubs)
    stubs = host_code_new(&e);
  if (!models[n])
    models[n] = model_parse(names[n], &e);
  if (!stubs || !models[n])
    abort();
  return models[n];
}

static uint64_t noise_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct cpubed *b = dev;
  return fuzz_random(&b->noise);
}

static void noise_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct cpubed *b = dev;
  b->noise += value ^ off;
}

static int noise_vector(void *arg)
{
  struct cpubed *b = arg;
  return (int)(fuzz_random(&b->noise) & 0xff);
}

static void noise_intr(void *arg, const struct intr_msg *m)
{
  struct cpubed *b = arg;
  lapic_deliver(b->all, 1, m);
}

static void map_changed(void *arg)
{
  struct cpubed *b = arg;
  if (b->cpu)
    tlb_map_changed(b->cpu);
}

struct cpubed *cpubed_new(const struct model *model)
{
  static const struct bus_ops noise = {.read = noise_read, .write = noise_write, .max_size = 8};
  static const struct bus_ops ports = {.read = noise_read, .write = noise_write, .max_size = 4};
  struct cpubed *b = calloc(1, sizeof *b);
  struct err e;
  if (!b || !ram_init(&b->ram, BED_RAM, &e) || !bus_init(&b->bus, &b->ram, &b->log))
    abort();
  b->log = (struct log){.items = getenv("FUZZ_LOG") ? LOG_INT | LOG_IN_ASM | LOG_MMU : 0, .out = stderr};
  clock_init(&b->clock);
  bus_map_ram(&b->bus, &b->memory, "ram", 0, BED_RAM, ram_alloc(&b->ram, BED_RAM), 0, false);
  bus_map_io(&b->bus, &b->device, "device", BED_DEVICE, 4096, &noise, b);
  bus_map_ports(&b->bus, &b->ports, "ports", 0, 0x10000, &ports, b);
  b->bus.map_changed = map_changed;
  b->bus.map_changed_arg = b;
  b->bus.intr = noise_intr;
  b->bus.intr_arg = b;
  host_code_reset(stubs);
  struct cpu_env env = {.bus = &b->bus,
                        .clock = &b->clock,
                        .log = &b->log,
                        .model = model,
                        .ns_shift = 4,
                        .tsc_hz = 2000000000u,
                        .all = b->all,
                        .cpus = 1,
                        .host = stubs};
  b->cpu = b->all[0] = cpu_new(&env, &e);
  if (!b->cpu)
    abort();
  b->cpu->intack = noise_vector;
  b->cpu->intack_arg = b;
  if (!engine_init(&b->engine, b->all, 1, &b->clock, &b->log, &b->ram, model, stubs, 4, &e))
    abort();
  return b;
}

void cpubed_translate(struct cpubed *b)
{
  struct err e;
  if (!engine_translate(&b->engine, 1, &e))
    abort();
}

void cpubed_free(struct cpubed *b)
{
  engine_free(&b->engine);
  b->clock.sooner = NULL;
  b->ram.written = NULL;
  cpu_free(b->cpu);
  bus_free(&b->bus);
  ram_free(&b->ram);
  clock_free(&b->clock);
  free(b);
}

void cpubed_run(struct cpubed *b, uint64_t n, uint64_t slice)
{
  unsigned waits = 0;
  b->engine.next_poll = 1ull << 62;
  while (engine_instructions(&b->engine) < n && waits < 16) {
    uint64_t at = engine_instructions(&b->engine);
    b->engine.limit = at + slice < n ? at + slice : n;
    enum engine_stop why = engine_run(&b->engine);
    FUZZ_REQUIRE(engine_instructions(&b->engine) <= b->engine.limit, "%llu instructions",
                 (unsigned long long)engine_instructions(&b->engine));
    if (why != ENGINE_IDLE && engine_instructions(&b->engine) > at)
      continue;
    waits++;
    if (b->cpu->run == RUN_SHUTDOWN || b->cpu->run == RUN_WAIT_SIPI)
      break;
    lapic_lint(b->cpu, waits & 1, 1);
    lapic_lint(b->cpu, waits & 1, 0);
  }
}

// ---- what must be so ----

static void check_view(const struct cpubed *b, const struct view *v)
{
  const struct ram *r = &b->ram;
  for (unsigned i = 0; i < TLB_SIZE; i++) {
    const struct tlbe *t = &v->hot[i];
    uint64_t tags[] = {t->rtag, t->wtag, t->xtag};
    for (unsigned k = 0; k < 3; k++) {
      if (tags[k] == TLB_NONE)
        continue;
      FUZZ_REQUIRE(!(tags[k] & 0xfff) && (tags[k] >> 12 & (TLB_SIZE - 1)) == i, "slot %u tag %llx", i,
                   (unsigned long long)tags[k]);
      uint64_t off = tags[k] + t->add - (uintptr_t)r->mem;
      FUZZ_REQUIRE(off < r->size && !(off & 0xfff), "slot %u leads to RAM offset %llx", i,
                   (unsigned long long)off);
      FUZZ_REQUIRE(k != 1 || ((r->flags[off >> 12] & (RAM_CODE | RAM_MONITOR | RAM_WTLB)) == RAM_WTLB),
                   "page %llx can be written fast, its flags are %x", (unsigned long long)off,
                   r->flags[off >> 12]);
    }
  }
}

static void check_segments(const struct cpu *c)
{
  FUZZ_REQUIRE(c->cpl <= 3 && (c->cr0 & CR0_PE || c->cpl == 0) && (!cpu_v86(c) || c->cpl == 3), "CPL %u",
               c->cpl);
  const struct seg *bases[] = {&c->seg[SEG_FS], &c->seg[SEG_GS], &c->ldtr, &c->tr};
  for (unsigned i = 0; i < 4; i++)
    FUZZ_REQUIRE(canonical(bases[i]->base), "base %u: %llx", i, (unsigned long long)bases[i]->base);
  for (unsigned i = 0; i < SEG_COUNT; i++)
    FUZZ_REQUIRE(!(c->seg[i].attr >> 12), "attributes %u: %x", i, c->seg[i].attr);
  FUZZ_REQUIRE(!(c->mode & MODE_CS64) || cpu_long(c), "64-bit code without long mode");
  FUZZ_REQUIRE(cpu_long(c) || c->ip <= UINT32_MAX, "ip %llx", (unsigned long long)c->ip);
}

static void check_control(const struct cpu *c)
{
  FUZZ_REQUIRE(!(c->cr0 >> 32) && (!(c->cr0 & CR0_PG) || (c->cr0 & CR0_PE) || c->guest), "CR0 %llx",
               (unsigned long long)c->cr0);
  FUZZ_REQUIRE(!(c->cr4 & ~cr4_allowed(c)), "CR4 %llx", (unsigned long long)c->cr4);
  FUZZ_REQUIRE(!(c->efer & ~efer_allowed(c)), "EFER %llx", (unsigned long long)c->efer);
  FUZZ_REQUIRE(!!(c->efer & EFER_LMA) == ((c->cr0 & CR0_PG) && (c->efer & EFER_LME)), "EFER %llx CR0 %llx",
               (unsigned long long)c->efer, (unsigned long long)c->cr0);
  FUZZ_REQUIRE(!cpu_long(c) || (c->cr4 & CR4_PAE), "long mode without PAE");
  FUZZ_REQUIRE(!(c->cr4 & CR4_PCIDE) || cpu_long(c) || c->guest,
               "PCIDE without long mode"); // no rule of VMRUN's
  FUZZ_REQUIRE(!(c->sysflags & ~(uint32_t)(FL_ALL & ~FL_ARITH)), "flags %x", c->sysflags);
  FUZZ_REQUIRE(c->of <= 1, "OF %u", c->of);
  FUZZ_REQUIRE(!(c->dr6 >> 32) && !(c->dr7 >> 32), "DR6 %llx DR7 %llx", (unsigned long long)c->dr6,
               (unsigned long long)c->dr7);
  FUZZ_REQUIRE(c->cr8 <= 15, "CR8 %llx", (unsigned long long)c->cr8);
  FUZZ_REQUIRE(!(c->fx.mxcsr & ~fpu_mxcsr_mask(c)), "MXCSR %x", c->fx.mxcsr);
  FUZZ_REQUIRE(c->xcr0 & XCR0_X87, "XCR0 %llx", (unsigned long long)c->xcr0);
}

void cpubed_check(struct cpubed *b)
{
  const struct cpu *c = b->cpu;
  FUZZ_REQUIRE(c->r[REG_ZERO] == 0, "%llx", (unsigned long long)c->r[REG_ZERO]);
  FUZZ_REQUIRE(!c->faulted && !c->delivering && !c->patched && !c->x87_live && !c->mxcsr_live,
               "between slices");
  FUZZ_REQUIRE(c->run <= RUN_SHUTDOWN && c->shadow <= SHADOW_MOV_SS, "run %u shadow %u", c->run, c->shadow);
  check_segments(c);
  if (c->run != RUN_SHUTDOWN) // which may be because they could not be loaded
    check_control(c);
  const struct tlb *t = c->tlbs;
  for (unsigned i = 0; i < t->contexts_used; i++)
    for (unsigned v = 0; v < VIEWS; v++)
      if (t->context[i].view[v].ready && t->context[i].drop != DROP_ALL)
        check_view(b, &t->context[i].view[v]);
}

#define SAME(field)                                                                                          \
  FUZZ_REQUIRE(!memcmp(&x->field, &y->field, sizeof x->field), "%llx in blocks, %llx one by one",            \
               (unsigned long long)*(const uint8_t *)&x->field,                                              \
               (unsigned long long)*(const uint8_t *)&y->field)
#define SAME_WORD(field)                                                                                     \
  FUZZ_REQUIRE(x->field == y->field, "%llx in blocks, %llx one by one", (unsigned long long)x->field,        \
               (unsigned long long)y->field)

void cpubed_same(const struct cpubed *a, const struct cpubed *b)
{
  const struct cpu *x = a->cpu, *y = b->cpu;
  SAME_WORD(instructions);
  SAME_WORD(clock->base);
  SAME_WORD(ip);
  for (unsigned i = 0; i < 16; i++)
    SAME_WORD(r[i]);
  FUZZ_REQUIRE(cpu_flags(x) == cpu_flags(y), "%x in blocks, %x one by one", cpu_flags(x), cpu_flags(y));
  for (unsigned i = 0; i < SEG_COUNT; i++)
    SAME(seg[i]);
  SAME_WORD(run);
  SAME_WORD(cpl);
  SAME_WORD(shadow);
  SAME_WORD(pending);
  SAME_WORD(cr0);
  SAME_WORD(cr2);
  SAME_WORD(cr3);
  SAME_WORD(cr4);
  SAME_WORD(cr8);
  SAME_WORD(efer);
  SAME_WORD(dr6);
  SAME_WORD(dr7);
  SAME_WORD(pkru);
  SAME_WORD(xcr0);
  SAME(dr);
  SAME(v);
  SAME_WORD(fx.fcw);
  SAME_WORD(fx.fsw);
  SAME_WORD(fx.ftw);
  SAME_WORD(fx.mxcsr);
  SAME(fx.st);
  SAME_WORD(gdtr.base);
  SAME_WORD(idtr.base);
  SAME(ldtr);
  SAME(tr);
  SAME(star);
  SAME(plain_msr);
  SAME_WORD(tsc_offset);
  SAME_WORD(gif);
  SAME_WORD(guest);
  SAME_WORD(in_smm);
  SAME_WORD(nmi_blocked);
  SAME_WORD(smm_base);
  SAME_WORD(vm_cr);
  SAME_WORD(vm_hsave_pa);
  SAME_WORD(svm->vmcb_pa);
  SAME_WORD(svm->count.entries);
  SAME(svm->count.exit);
  FUZZ_REQUIRE(!x->guest || x->svm->vintr == y->svm->vintr, "VINTR");
  SAME_WORD(stat_exceptions);
  SAME_WORD(stat_interrupts);
  FUZZ_REQUIRE(a->noise == b->noise, "the devices saw other accesses");
  for (unsigned i = 0; i < BED_RAM; i++)
    FUZZ_REQUIRE(a->ram.mem[i] == b->ram.mem[i], "at %x: %x in blocks, %x one by one", i, a->ram.mem[i],
                 b->ram.mem[i]);
}
