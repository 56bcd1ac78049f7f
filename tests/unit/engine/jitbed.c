// The machines of test_jit.c; see jitbed.h.
#include "jitbed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cpu/host/host.h"
#include "cpu/model.h"
#include "cpu/seg.h"
#include "cpu/tlb.h"

#define P_P  1ull
#define P_W  2ull
#define P_U  4ull
#define P_AD 0x60ull
#define P_NX (1ull << 63)

static void need(bool ok, const char *what)
{
  if (ok)
    return;
  fprintf(stderr, "%s\n", what);
  abort();
}

static uint64_t device_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct jitbed *b = dev;
  b->heard = (b->heard ^ off ^ (uint64_t)size << 56) * 0x9e3779b97f4a7c15ull;
  return b->heard ^ b->heard >> 29;
}

static void device_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct jitbed *b = dev;
  b->heard = (b->heard + value + off * 3 + size) * 0xbf58476d1ce4e5b9ull;
}

static void put(struct jitbed *b, uint64_t at, uint64_t v, unsigned n)
{
  ram_write(&b->ram, at, &v, n);
}

void jitbed_map(struct jitbed *b, uint64_t la, uint64_t entry)
{
  put(b, JB_PT + (la >> 12) * 8, entry, 8);
}

static void tables(struct jitbed *b)
{
  put(b, JB_TABLES, (JB_TABLES + 0x1000) | P_P | P_W | P_U | P_AD, 8);
  put(b, JB_TABLES + 0x1000, (JB_TABLES + 0x2000) | P_P | P_W | P_U | P_AD, 8);
  put(b, JB_TABLES + 0x2000, JB_PT | P_P | P_W | P_U | P_AD, 8);
  for (uint64_t la = JB_IDT; la < JB_STACK0; la += 0x1000)
    jitbed_map(b, la, la | P_P | P_AD);
  jitbed_map(b, JB_STACK0, JB_STACK0 | P_P | P_W | P_AD | P_NX);
  for (uint64_t la = JB_CODE; la < JB_CODE + JB_CODE_PAGES * 0x1000; la += 0x1000)
    jitbed_map(b, la, la | P_P | P_W | P_U | P_AD);
  for (uint64_t la = JB_DATA; la < JB_END; la += 0x1000)
    jitbed_map(b, la, la | P_P | P_W | P_U | P_AD | P_NX);
  jitbed_map(b, JB_READONLY, JB_READONLY | P_P | P_U | P_AD | P_NX);
  jitbed_map(b, JB_MISSING, 0);
  jitbed_map(b, JB_DEVICE, JB_DEVICE_PA | P_P | P_W | P_U | P_AD | P_NX);
  jitbed_map(b, JB_DATA_ALIAS, JB_DATA | P_P | P_W | P_U | P_AD | P_NX);
  jitbed_map(b, JB_CODE_ALIAS, JB_CODE | P_P | P_W | P_U | P_AD);
  for (uint64_t v = 0; v < 256; v++) {
    uint64_t to = JB_HANDLERS + 16 * v;
    put(b, JB_IDT + 16 * v, (to & 0xffff) | 8ull << 16 | 0x8e01ull << 32 | to >> 16 << 48, 8); // IST 1
    put(b, to, 0xf4, 1);
  }
  put(b, JB_GDT + 8, 0x00af9b000000ffffull, 8);
  put(b, JB_GDT + 16, 0x00cf93000000ffffull, 8);
  put(b, JB_TSS + 4, JB_STACK0 + 0x1000, 8);    // RSP0
  put(b, JB_TSS + 0x24, JB_STACK0 + 0x1000, 8); // IST1
}

struct jitbed *jitbed_new(unsigned cpus, unsigned hot)
{
  static const struct bus_ops ops = {.read = device_read, .write = device_write, .max_size = 8};
  struct jitbed *b = calloc(1, sizeof *b);
  struct err e;
  need(b && ram_init(&b->ram, JB_RAM, &e), "no memory");
  ram_alloc(&b->ram, JB_RAM);
  b->log.out = stderr;
  bus_init(&b->bus, &b->ram, &b->log);
  clock_init(&b->clock);
  bus_map_ram(&b->bus, &b->region, "ram", 0, JB_RAM, 0, 0, false);
  bus_map_io(&b->bus, &b->device, "device", JB_DEVICE_PA, 0x1000, &ops, b);
  b->model = model_parse("max", &e);
  b->host = host_code_new(&e);
  need(b->model && b->host, "no model or no host code");
  b->cpus = cpus;
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
    need(b->cpu[i], "no CPU");
    memset(b->cpu[i]->r, 0, sizeof b->cpu[i]->r);
  }
  need(engine_init(&b->engine, b->cpu, cpus, &b->clock, &b->log, &b->ram, b->model, b->host, 2, &e),
       "no engine");
  need(!hot || engine_translate(&b->engine, hot, &e), "no translator");
  tables(b);
  for (unsigned i = 0; i < cpus; i++)
    jitbed_start(b, i, 0);
  return b;
}

void jitbed_free(struct jitbed *b)
{
  engine_free(&b->engine);
  for (unsigned i = 0; i < b->cpus; i++)
    cpu_free(b->cpu[i]);
  host_code_free(b->host);
  model_free(b->model);
  bus_free(&b->bus);
  clock_free(&b->clock);
  ram_free(&b->ram);
  free(b);
}

void jitbed_start(struct jitbed *b, unsigned cpu, unsigned cpl)
{
  struct cpu *c = b->cpu[cpu];
  unsigned dpl = cpl << SEGA_DPL_SHIFT;
  const uint64_t cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
  const uint64_t cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT, efer = EFER_LME | EFER_LMA | EFER_NXE;
  if (c->cr0 != cr0 || c->cr3 != JB_TABLES || c->cr4 != cr4 || c->efer != efer)
    tlb_flush_all(c);
  c->cr0 = cr0;
  c->cr3 = JB_TABLES;
  c->cr4 = cr4;
  c->efer = efer;
  c->cr2 = c->dr6 = c->db_bits = c->pending = 0;
  c->dr7 = 0x400;
  memset(c->dr, 0, sizeof c->dr);
  for (unsigned i = 0; i < SEG_COUNT; i++)
    c->seg[i] = (struct seg){.limit = ~0u, .sel = 0x10, .attr = (uint16_t)(0xc93 | dpl)};
  c->seg[SEG_CS] = (struct seg){.limit = ~0u, .sel = (uint16_t)(8 | cpl), .attr = (uint16_t)(0xa9b | dpl)};
  c->cpl = (uint8_t)cpl;
  c->gdtr = (struct dtable){JB_GDT, 0x2f};
  c->idtr = (struct dtable){JB_IDT, 0xfff};
  c->tr = (struct seg){.base = JB_TSS, .limit = 0x67, .sel = 0x20, .attr = 0x8b};
  c->ldtr = (struct seg){0};
  c->run = RUN_ON;
  c->shadow = c->shadow_next = SHADOW_NONE;
  c->faulted = false;
  c->nmi_blocked = false;
  c->instructions = 0;
  c->ip = c->next_ip = JB_CODE;
  c->debugctl = 0;
  cpu_set_flags(c, 2);
  tlb_set_context(c, 0, 0, true);
  cpu_changed(c);
}

#define WORD(field)                                                                                          \
  if (x->field != y->field) {                                                                                \
    snprintf(text, sizeof text, #field " is %#llx, with the translator %#llx", (unsigned long long)x->field, \
             (unsigned long long)y->field);                                                                  \
    return text;                                                                                             \
  }

const char *jitbed_differ_cpu(const struct jitbed *a, const struct jitbed *b, unsigned cpu)
{
  static char text[160];
  const struct cpu *x = a->cpu[cpu], *y = b->cpu[cpu];
  WORD(instructions)
  WORD(ip)
  WORD(run)
  for (unsigned i = 0; i < REG_COUNT - 1; i++)
    if (x->r[i] != y->r[i]) {
      static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8",
                                          "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "zero"};
      snprintf(text, sizeof text, "%s is %#llx, with the translator %#llx", names[i],
               (unsigned long long)x->r[i], (unsigned long long)y->r[i]);
      return text;
    }
  if (cpu_flags(x) != cpu_flags(y)) {
    snprintf(text, sizeof text, "flags are %#x, with the translator %#x", cpu_flags(x), cpu_flags(y));
    return text;
  }
  WORD(fl)
  WORD(cr2)
  WORD(dr6)
  WORD(dr7)
  WORD(cpl)
  WORD(cr0)
  WORD(cr3)
  WORD(cr4)
  WORD(shadow)
  WORD(pending)
  WORD(faulted)
  WORD(fault.vector)
  WORD(fault.error)
  WORD(fault.address)
  WORD(stat_exceptions)
  WORD(seg[SEG_FS].base)
  WORD(seg[SEG_GS].base)
  if (memcmp(x->v, y->v, sizeof x->v) != 0)
    return "vector registers differ";
  if (a->heard != b->heard)
    return "the device saw other accesses";
  return NULL;
}

const char *jitbed_differ_memory(const struct jitbed *a, const struct jitbed *b)
{
  static char text[96];
  const uint8_t *x = a->ram.mem, *y = b->ram.mem;
  if (memcmp(x, y, JB_END) == 0)
    return NULL;
  unsigned i = 0;
  while (x[i] == y[i])
    i++;
  snprintf(text, sizeof text, "memory at %#x is %#x, with the translator %#x", i, x[i], y[i]);
  return text;
}
