// One CPU with 1 MB of RAM, without an engine: tests set registers and tables and call the functions of
// cpu/ directly.
#ifndef SEG_RIG_H
#define SEG_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "cpu/event.h"
#include "cpu/mem.h"
#include "cpu/model.h"
#include "cpu/seg.h"
#include "cpu/tlb.h"

#define RAM_SIZE 0x100000u

enum { // where things lie
  AT_IVT = 0,
  AT_GDT = 0x1000,
  AT_IDT = 0x2000,
  AT_TSS = 0x3000,
  AT_TSS2 = 0x4000,
  AT_LDT = 0x5000,
  STACK0 = 0x8000,
  STACK1 = 0x9000,
  STACK3 = 0xa000,
  AT_PML4 = 0x10000,
  AT_PDPT = 0x11000,
  AT_PD = 0x12000,
};

enum { // selectors
  K_CODE = 0x08,
  K_DATA = 0x10,
  U_CODE = 0x1b,
  U_DATA = 0x23,
  K_TSS = 0x28,
  K_TSS2 = 0x30,
  K_CODE16 = 0x38,
  K_CODE64 = 0x40,
  U_CODE64 = 0x4b,
  K_LDT = 0x50,
  K_TSS64 = 0x60,
  K_FREE = 0x80,
  K_CODE1 = 0x91,
  K_DATA1 = 0x99,
};

struct rig {
  struct ram ram;
  struct bus bus;
  struct region region;
  struct clock clock;
  struct log log;
  struct model *model;
  struct cpu *c;
};

static inline void put(struct rig *r, uint32_t at, uint64_t v, unsigned size)
{
  memcpy(r->ram.mem + at, &v, size);
}
static inline uint64_t get(struct rig *r, uint32_t at, unsigned size)
{
  uint64_t v = 0;
  memcpy(&v, r->ram.mem + at, size);
  return v;
}

// attr as in struct seg; the limit is in units of the G bit.
static inline uint64_t desc(uint32_t base, uint32_t limit, unsigned attr)
{
  return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(attr & 0xff) << 40 |
         (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)(attr >> 8 & 15) << 52 | (uint64_t)(base >> 24) << 56;
}
static inline void set_desc(struct rig *r, uint16_t sel, uint64_t d)
{
  put(r, AT_GDT + (sel & 0xfff8), d, 8);
}
// A gate: type with P and DPL as byte 5 of the descriptor.
static inline uint64_t gate(uint16_t sel, uint32_t off, unsigned byte5, unsigned count)
{
  return (off & 0xffff) | (uint64_t)sel << 16 | (uint64_t)count << 32 | (uint64_t)byte5 << 40 |
         (uint64_t)(off >> 16) << 48;
}
static inline void set_gate(struct rig *r, unsigned vector, uint64_t g)
{
  put(r, AT_IDT + vector * 8, g, 8);
}
static inline void set_gate64(struct rig *r, unsigned vector, uint16_t sel, uint64_t off, unsigned byte5,
                              unsigned ist)
{
  put(r, AT_IDT + vector * 16, gate(sel, off, byte5, ist), 8);
  put(r, AT_IDT + vector * 16 + 8, off >> 32, 8);
}

static inline int rig_setup(void **state)
{
  struct rig *r = calloc(1, sizeof *r);
  struct err e;
  assert_true(ram_init(&r->ram, RAM_SIZE, &e));
  assert_int_equal(ram_alloc(&r->ram, RAM_SIZE), 0);
  assert_true(bus_init(&r->bus, &r->ram, &r->log));
  bus_map_ram(&r->bus, &r->region, "ram", 0, RAM_SIZE, 0, 0, false);
  clock_init(&r->clock);
  r->model = model_parse("max", &e);
  assert_non_null(r->model);
  struct cpu *c = r->c = aligned_alloc(64, (sizeof *c + 63) & ~63ul);
  memset(c, 0, sizeof *c);
  c->bus = &r->bus;
  c->ram = &r->ram;
  c->clock = &r->clock;
  c->log = &r->log;
  c->model = r->model;
  c->phys_mask = (1ull << 40) - 1;
  c->a20_mask = ~0ull;
  c->gif = true;
  c->cr0 = CR0_ET;
  c->dr7 = 0x400;
  c->dr6 = 0xffff0ff0;
  c->fx.fcw = 0x37f;
  c->fx.mxcsr = 0x1f80;
  cpu_set_arith(c, 0);
  for (unsigned i = 0; i < SEG_COUNT; i++)
    c->seg[i] = (struct seg){.limit = 0xffff, .attr = 0x93};
  c->idtr = (struct dtable){.base = AT_IVT, .limit = 0x3ff};
  assert_true(tlb_init(c, 4));
  tlb_set_context(c, 0, 0, false);
  c->r[RSP] = STACK0;
  cpu_mode_update(c);
  *state = r;
  return 0;
}

static inline int rig_teardown(void **state)
{
  struct rig *r = *state;
  tlb_free(r->c);
  free(r->c);
  model_free(r->model);
  bus_free(&r->bus);
  ram_free(&r->ram);
  clock_free(&r->clock);
  free(r);
  return 0;
}

// What every protected-mode test starts with: a GDT, an empty IDT, a 32-bit TSS.
static inline void rig_tables(struct rig *r)
{
  struct cpu *c = r->c;
  set_desc(r, K_CODE, desc(0, 0xfffff, 0xc9a));
  set_desc(r, K_DATA, desc(0, 0xfffff, 0xc92));
  set_desc(r, U_CODE, desc(0, 0xfffff, 0xcfa));
  set_desc(r, U_DATA, desc(0, 0xfffff, 0xcf2));
  set_desc(r, K_TSS, desc(AT_TSS, 0x2067, 0x08b));
  set_desc(r, K_TSS2, desc(AT_TSS2, 0x67, 0x089));
  set_desc(r, K_CODE16, desc(0, 0xffff, 0x09a));
  set_desc(r, K_CODE64, desc(0, 0xfffff, 0xa9a));
  set_desc(r, U_CODE64, desc(0, 0xfffff, 0xafa));
  set_desc(r, K_LDT, desc(AT_LDT, 0xff, 0x082));
  set_desc(r, K_TSS64, desc(AT_TSS, 0x2067, 0x08b));
  set_desc(r, K_CODE1, desc(0, 0xfffff, 0xcba));
  set_desc(r, K_DATA1, desc(0, 0xfffff, 0xcb2));
  c->gdtr = (struct dtable){.base = AT_GDT, .limit = 0xff};
  c->idtr = (struct dtable){.base = AT_IDT, .limit = 0x7ff};
  c->tr = (struct seg){.base = AT_TSS, .limit = 0x2067, .sel = K_TSS, .attr = 0x8b};
  put(r, AT_TSS + 4, STACK0, 4);
  put(r, AT_TSS + 8, K_DATA, 4);
  put(r, AT_TSS + 12, STACK1, 4);
  put(r, AT_TSS + 16, K_DATA1, 4);
}

// 32-bit protected mode at a privilege level 0 or 3.
static inline void rig_protected(struct rig *r, unsigned cpl)
{
  struct cpu *c = r->c;
  rig_tables(r);
  c->cr0 |= CR0_PE;
  c->cpl = cpl;
  uint16_t code = cpl ? U_CODE : K_CODE, data = cpl ? U_DATA : K_DATA;
  c->seg[SEG_CS] = seg_from_desc(code, get(r, AT_GDT + (code & 0xfff8), 8) | 1ull << 40);
  struct seg d = seg_from_desc(data, get(r, AT_GDT + (data & 0xfff8), 8) | 1ull << 40);
  c->seg[SEG_SS] = c->seg[SEG_DS] = c->seg[SEG_ES] = c->seg[SEG_FS] = c->seg[SEG_GS] = d;
  c->r[RSP] = cpl ? STACK3 : STACK0;
  c->ip = 0x6000;
  c->next_ip = 0x6002;
  cpu_mode_update(c);
}

// Long mode with the first 2 MB mapped onto themselves, all accessible to all levels.
static inline void rig_long(struct rig *r, unsigned cpl)
{
  struct cpu *c = r->c;
  rig_protected(r, cpl);
  put(r, AT_PML4, AT_PDPT | 7, 8);
  put(r, AT_PDPT, AT_PD | 7, 8);
  put(r, AT_PD, 0xe7, 8);
  c->cr3 = AT_PML4;
  c->cr4 = CR4_PAE;
  c->efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
  c->cr0 |= CR0_PG | CR0_WP;
  uint16_t code = cpl ? U_CODE64 : K_CODE64;
  c->seg[SEG_CS] = seg_from_desc(code, get(r, AT_GDT + (code & 0xfff8), 8) | 1ull << 40);
  c->tr = (struct seg){.base = AT_TSS, .limit = 0x2067, .sel = K_TSS64, .attr = 0x8b};
  c->idtr.limit = 0xfff;
  put(r, AT_TSS + 4, STACK0, 8);    // RSP0
  put(r, AT_TSS + 0x24, STACK1, 8); // IST1
  tlb_flush_all(c);
  cpu_mode_update(c);
}

static inline void expect_fault(struct cpu *c, bool result, uint8_t vector, uint32_t error)
{
  assert_false(result);
  assert_true(c->faulted);
  assert_int_equal(c->fault.vector, vector);
  if (c->fault.has_error)
    assert_int_equal(c->fault.error, error);
}

#endif
