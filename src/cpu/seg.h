// Segments: selectors, descriptors, and loading them in every mode. APM2 chapter 4.
//
// A descriptor is a uint64_t as it lies in memory; the attribute word of struct seg is made from its bits
// 47:40 and 55:52. Functions that return bool have raised the exception when they return false, with no
// architectural state changed.
#ifndef CPU_SEG_H
#define CPU_SEG_H

#include "cpu/cpu.h"

// System descriptor types, with SEGA_S clear.
enum {
  SYS_TSS16 = 1,
  SYS_LDT = 2,
  SYS_TSS16_BUSY = 3,
  SYS_CALL16 = 4,
  SYS_TASK = 5,
  SYS_INT16 = 6,
  SYS_TRAP16 = 7,
  SYS_TSS32 = 9,
  SYS_TSS32_BUSY = 11,
  SYS_CALL32 = 12,
  SYS_INT32 = 14,
  SYS_TRAP32 = 15,
};

// Type bits with SEGA_S set.
enum {
  TYPE_A = 1, // accessed
  TYPE_W = 2, // data: writable
  TYPE_R = 2, // code: readable
  TYPE_E = 4, // data: expand-down
  TYPE_C = 4, // code: conforming
  TYPE_CODE = 8,
};

static inline unsigned desc_type(uint64_t d)
{
  return d >> 40 & 0xf;
}
static inline bool desc_s(uint64_t d)
{
  return d >> 44 & 1;
}
static inline unsigned desc_dpl(uint64_t d)
{
  return d >> 45 & 3;
}
static inline bool desc_present(uint64_t d)
{
  return d >> 47 & 1;
}
static inline bool desc_l(uint64_t d)
{
  return d >> 53 & 1;
}
static inline bool desc_db(uint64_t d)
{
  return d >> 54 & 1;
}
static inline bool desc_code(uint64_t d)
{
  return desc_s(d) && (desc_type(d) & TYPE_CODE);
}
static inline bool desc_conforming(uint64_t d) // of a code segment
{
  return desc_type(d) & TYPE_C;
}
static inline bool desc_writable(uint64_t d) // a writable data segment
{
  return desc_s(d) && (desc_type(d) & (TYPE_CODE | TYPE_W)) == TYPE_W;
}
static inline uint32_t desc_base(uint64_t d)
{
  return (d >> 16 & 0xffffff) | (uint32_t)(d >> 56) << 24;
}
static inline uint16_t desc_attr(uint64_t d)
{
  return (d >> 40 & 0xff) | (d >> 44 & 0xf00);
}
static inline uint32_t desc_limit(uint64_t d)
{
  uint32_t l = (d & 0xffff) | (d >> 32 & 0xf0000);
  return d >> 55 & 1 ? l << 12 | 0xfff : l;
}
static inline bool sel_null(uint16_t sel)
{
  return (sel & 0xfffc) == 0;
}

// A linear address made from a base and an offset: outside long mode it wraps at 4 GB.
static inline uint64_t seg_wrap(const struct cpu *c, uint64_t la)
{
  return cpu_long(c) ? la : (uint32_t)la;
}

// Reads the descriptor that a selector names. Outside of its table: `vector` (#GP or #TS) with the selector.
bool desc_fetch(struct cpu *c, uint16_t sel, uint8_t vector, uint64_t *d);
// The same without an exception for a selector outside of the table: *ok tells (LAR, LSL, VERR, VERW).
bool desc_peek(struct cpu *c, uint16_t sel, uint64_t *d, bool *ok);
// The upper 8 bytes of a system descriptor in long mode; its type field must be 0. Otherwise as desc_fetch.
bool desc_fetch_upper(struct cpu *c, uint16_t sel, uint8_t vector, uint64_t *upper);
// Sets the accessed bit in memory and in *d if it is clear.
bool desc_accessed(struct cpu *c, uint16_t sel, uint64_t *d);
// Writes the busy bit of the TSS descriptor.
bool desc_set_busy(struct cpu *c, uint16_t sel, bool busy);

struct seg seg_from_desc(uint16_t sel, uint64_t d);
// Puts a checked code segment in place and sets the privilege level. sel gets cpl as its RPL.
void seg_set_cs(struct cpu *c, uint16_t sel, uint64_t d, unsigned cpl);
// As real and virtual-8086 mode load a segment register.
void seg_load_real(struct cpu *c, unsigned seg, uint16_t sel);
void seg_load_v86(struct cpu *c, unsigned seg, uint16_t sel);
// The null selector in a data segment register, or in SS in 64-bit mode.
void seg_load_null(struct cpu *c, unsigned seg, uint16_t sel);

// A data segment register or SS by an instruction, in the current mode.
bool seg_load(struct cpu *c, unsigned seg, uint16_t sel);
// Checks for a stack segment of privilege `cpl`, which is not current: `vector` for what is wrong with
// selector or descriptor, #SS if not present. Sets the accessed bit.
bool seg_check_stack(struct cpu *c, uint16_t sel, unsigned cpl, uint8_t vector, uint64_t *d);
// A data segment register by a task switch: errors are #TS.
bool seg_load_task(struct cpu *c, unsigned seg, uint16_t sel);
// LLDT and task switch: the vector for errors is #GP or #TS.
bool seg_load_ldt(struct cpu *c, uint16_t sel, uint8_t vector);
// LTR: sets the busy bit.
bool seg_load_tr(struct cpu *c, uint16_t sel);
// After a return to an outer privilege level: data segments that it may not use become null.
void seg_drop_inner(struct cpu *c);

// Checks of a target code segment against the rules for JMP and CALL without a gate.
bool seg_check_code(struct cpu *c, uint16_t sel, uint64_t d);
// The offset against the segment's limit, or canonical form for a 64-bit segment: #GP(0).
bool seg_check_ip(struct cpu *c, uint64_t cs_desc, uint64_t ip);

// True if len bytes at off lie within the segment's limit.
bool seg_within(const struct seg *s, uint64_t off, unsigned len);

// linear.c: the same for EFER.LMSLE in 64-bit mode, at a linear address.
bool seg_within64(const struct seg *s, uint64_t la, unsigned len);

// ---- stacks ----

// A stack other than the current one, or the current one before the instruction is committed.
struct stack {
  struct seg seg;
  bool wide;      // 64-bit: no base, no limit
  bool limited;   // wide, but EFER.LMSLE asks for the limit
  uint8_t cpl;    // with whose rights
  uint32_t error; // for #SS
  uint64_t sp;
  uint64_t mask;
};

static inline uint64_t seg_stack_mask(const struct cpu *c)
{
  return cpu_code64(c) ? UINT64_MAX : c->seg[SEG_SS].attr & SEGA_DB ? UINT32_MAX : UINT16_MAX;
}
// The current stack.
struct stack seg_stack(const struct cpu *c);
// A stack in segment s, to be used with the rights of cpl.
struct stack seg_stack_in(const struct seg *s, uint64_t sp, unsigned cpl, uint32_t error);
// A 64-bit stack.
struct stack seg_stack_wide(uint64_t sp, unsigned cpl);
bool seg_push(struct cpu *c, struct stack *s, unsigned size, uint64_t v);
bool seg_pop(struct cpu *c, struct stack *s, unsigned size, uint64_t *v);
// Adds to the pointer (RET imm). A 32-bit stack pointer clears the upper half of RSP, a 16-bit one leaves
// all above it.
static inline void seg_stack_skip(struct stack *s, uint64_t n)
{
  uint64_t kept = s->mask == UINT16_MAX ? s->sp & ~s->mask : 0;
  s->sp = kept | ((s->sp + n) & s->mask);
}
// Makes s.sp the stack pointer.
static inline void seg_stack_commit(struct cpu *c, const struct stack *s)
{
  c->r[RSP] = s->sp;
}

#endif
