// Memory as instructions see it: linear addresses, the fast path through the TLB view, and the slow path.
//
// A TLB view (struct tlbe[TLB_SIZE]) is what the current privilege and mode may do without asking:
// one compare decides. Entries that need anything more (device memory, a page with decoded code, a
// watched page, an access that crosses a page, a clean page about to be written) carry no tag for that kind
// of access and end in mem.c. Loads return the value; a fault is seen in c->faulted.
#ifndef CPU_MEM_H
#define CPU_MEM_H

#include <string.h>

#include "cpu/op.h"

// Values in guest memory, which stand at any address.
typedef uint8_t guest_u8;
typedef uint16_t __attribute__((aligned(1))) guest_u16;
typedef uint32_t __attribute__((aligned(1))) guest_u32;
typedef uint64_t __attribute__((aligned(1))) guest_u64;

#define TLB_BITS 12
#define TLB_SIZE (1u << TLB_BITS)
#define TLB_NONE UINT64_MAX // a tag that no access has

struct tlbe {
  uint64_t rtag; // linear page address (bits 11:0 zero) if reads may go fast, else TLB_NONE
  uint64_t wtag; // for writes
  uint64_t xtag; // for fetching code
  uintptr_t add; // host address = linear address + add
};

static inline struct tlbe *tlb_slot(const struct cpu *c, uint64_t la)
{
  return &c->tlb[la >> 12 & (TLB_SIZE - 1)];
}

// True if an access of `size` bytes at la lies in the page that the tag names: an access that crosses
// into the next page cannot match, because that page has another slot.
static inline bool tlb_hit(uint64_t tag, uint64_t la, unsigned size)
{
  return ((la + (size - 1)) & ~0xfffull) == tag;
}

// The slow path (mem.c): walks, faults, device accesses, crossings, code pages, watchpoints. size 1..8.
// On a fault c->faulted is set, c->fault filled, c->at = op.
uint64_t mem_load(struct cpu *c, const struct op *op, uint64_t la, unsigned size);
// The same, but the access is checked as a write (read-modify-write instructions fault as writes).
uint64_t mem_load_rmw(struct cpu *c, const struct op *op, uint64_t la, unsigned size);
void mem_store(struct cpu *c, const struct op *op, uint64_t la, unsigned size, uint64_t value);
// Any length up to 4096; all or nothing as far as faults go (both pages are checked first).
bool mem_read(struct cpu *c, const struct op *op, uint64_t la, void *buf, unsigned len);
bool mem_write(struct cpu *c, const struct op *op, uint64_t la, const void *buf, unsigned len);
// Checks that a write of len bytes at la would not fault (sets accessed and dirty bits), so that an
// instruction can be made restartable.
bool mem_probe_write(struct cpu *c, const struct op *op, uint64_t la, unsigned len);
// The same for a read (CLFLUSH and the like).
bool mem_probe_read(struct cpu *c, const struct op *op, uint64_t la, unsigned len);
// A host pointer to len bytes at la if they lie in one page of plain RAM that may be accessed fast
// after a possible fill, else NULL (with or without a fault: look at c->faulted). Valid until the next
// access.
void *mem_ptr(struct cpu *c, const struct op *op, uint64_t la, unsigned len, bool write);

// Accesses that the processor makes on its own (descriptor tables, TSS, IDT, stacks of other rings): with
// supervisor rights whatever the CPL, not subject to SMAP's AC.
bool sys_read(struct cpu *c, uint64_t la, void *buf, unsigned len);
bool sys_write(struct cpu *c, uint64_t la, const void *buf, unsigned len);
bool sys_probe_write(struct cpu *c, uint64_t la, unsigned len);
// With the rights of a given privilege level (pushes onto an inner stack during a transfer).
bool cpl_read(struct cpu *c, unsigned cpl, uint64_t la, void *buf, unsigned len);
bool cpl_write(struct cpu *c, unsigned cpl, uint64_t la, const void *buf, unsigned len);

// System-physical memory, through the bus as this CPU; no faults: what is not there reads all ones.
uint64_t phys_read(struct cpu *c, uint64_t pa, unsigned size);
void phys_write(struct cpu *c, uint64_t pa, unsigned size, uint64_t value);

// For the debugger: translates with the current tables without side effects; false if not mapped.
bool mem_debug_translate(struct cpu *c, uint64_t la, uint64_t *pa);
bool mem_debug_read(struct cpu *c, uint64_t la, void *buf, unsigned len);

// Translation for fetch: RAM offset of the byte at linear address la; RAM_NONE with c->faulted clear: not
// RAM (device memory); with c->faulted set: page fault.
uint64_t mem_fetch(struct cpu *c, uint64_t la);
// Fetches up to 15 bytes of an instruction at la that may cross a page or lie in device memory. Returns the
// number of bytes that could be fetched; if fewer than `want`, the fault for the missing byte is in c->fault
// (c->faulted set).
unsigned mem_fetch_bytes(struct cpu *c, uint64_t la, uint8_t *buf, unsigned want);

// ---- linear addresses ----

enum access { ACC_READ, ACC_WRITE, ACC_RW };

// The general way, with segment limit, type and canonical checks (#GP or #SS). size in bytes of the
// access. Returns 0 with c->faulted set on a fault.
uint64_t op_linear(struct cpu *c, const struct op *op, unsigned size, enum access acc);
// offset within a segment to linear, with all checks; used by strings, stack, far transfers.
uint64_t seg_linear(struct cpu *c, unsigned seg, uint64_t offset, unsigned size, enum access acc);
// An address of the stack that is not canonical: #SS for the op.
void stack_refused(struct cpu *c, const struct op *op);
// The offset part alone (LEA).
uint64_t op_offset(const struct cpu *c, const struct op *op);

static inline uint64_t op_ea(struct cpu *c, const struct op *op, unsigned size, enum access acc)
{
  uint64_t a = REG64(c, op->base) + (REG64(c, op->idx) << op->shift) + (int64_t)op->disp;
  if (likely(op->ea == EA_64))
    return a;
  if (op->ea == EA_SEG64)
    return a + c->seg[op->seg].base;
  if (op->ea == EA_A32)
    return (uint32_t)a;
  return op_linear(c, op, size, acc);
}

static inline bool canonical(uint64_t la)
{
  return (uint64_t)((int64_t)(la << 16) >> 16) == la;
}

// ---- the slow path from within handlers, keeping registers (cold.S) ----

#define COLD_CLOBBERS                                                                                        \
  "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",   \
      "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

static inline uint64_t cold_load(struct cpu *c, const struct op *op, uint64_t la, unsigned size)
{
  uint64_t v;
  __asm__ volatile("call thunk_load" : "=a"(v) : "D"(c), "S"(op), "d"(la), "c"(size) : COLD_CLOBBERS);
  return v;
}
static inline uint64_t cold_load_rmw(struct cpu *c, const struct op *op, uint64_t la, unsigned size)
{
  uint64_t v;
  __asm__ volatile("call thunk_load_rmw" : "=a"(v) : "D"(c), "S"(op), "d"(la), "c"(size) : COLD_CLOBBERS);
  return v;
}
static inline void cold_store(struct cpu *c, const struct op *op, uint64_t la, unsigned size, uint64_t value)
{
  register uint64_t r8 __asm__("r8") = value;
  uint64_t ignored;
  __asm__ volatile("call thunk_store"
                   : "=a"(ignored)
                   : "D"(c), "S"(op), "d"(la), "c"(size), "r"(r8)
                   : COLD_CLOBBERS);
}
static inline uint64_t cold_linear(struct cpu *c, const struct op *op, unsigned size, enum access acc)
{
  uint64_t v;
  __asm__ volatile("call thunk_linear" : "=a"(v) : "D"(c), "S"(op), "d"(size), "c"(acc) : COLD_CLOBBERS);
  return v;
}

// For handlers: leaves the handler if the address faults.
#define EA(c, op, size, acc, la)                                                                             \
  do {                                                                                                       \
    (la) = REG64((c), (op)->base) + (REG64((c), (op)->idx) << (op)->shift) + (int64_t)(op)->disp;            \
    if (unlikely((op)->ea != EA_64)) {                                                                       \
      if ((op)->ea == EA_A32) {                                                                              \
        (la) = (uint32_t)(la);                                                                               \
      } else if ((op)->ea == EA_SEG64) {                                                                     \
        (la) += (c)->seg[(op)->seg].base;                                                                    \
      } else {                                                                                               \
        (la) = cold_linear((c), (op), (size), (acc));                                                        \
        if (unlikely((c)->faulted))                                                                          \
          return;                                                                                            \
      }                                                                                                      \
    }                                                                                                        \
  } while (0)

// ---- the fast path, for handlers: LOAD and STORE leave the handler on a fault ----

#define LOAD(c, op, bits, var, la)                                                                           \
  do {                                                                                                       \
    uint64_t la_ = (la);                                                                                     \
    const struct tlbe *e_ = tlb_slot((c), la_);                                                              \
    if (likely(tlb_hit(e_->rtag, la_, (bits) / 8))) {                                                        \
      (var) = *(const guest_u##bits *)(la_ + e_->add);                                                       \
    } else {                                                                                                 \
      (var) = (uint##bits##_t)cold_load((c), (op), la_, (bits) / 8);                                         \
      if (unlikely((c)->faulted))                                                                            \
        return;                                                                                              \
    }                                                                                                        \
  } while (0)

#define STORE(c, op, bits, la, val)                                                                          \
  do {                                                                                                       \
    uint64_t la_ = (la);                                                                                     \
    const struct tlbe *e_ = tlb_slot((c), la_);                                                              \
    if (likely(tlb_hit(e_->wtag, la_, (bits) / 8))) {                                                        \
      *(guest_u##bits *)(la_ + e_->add) = (val);                                                             \
    } else {                                                                                                 \
      cold_store((c), (op), la_, (bits) / 8, (val));                                                         \
      if (unlikely((c)->faulted))                                                                            \
        return;                                                                                              \
    }                                                                                                        \
  } while (0)

// To the stack, for handlers whose op->seg is another operand's: an address that is not canonical is told
// apart here.
#define STACK_STORE(c, op, bits, la, val)                                                                    \
  do {                                                                                                       \
    uint64_t sp_ = (la);                                                                                     \
    const struct tlbe *e_ = tlb_slot((c), sp_);                                                              \
    if (likely(tlb_hit(e_->wtag, sp_, (bits) / 8))) {                                                        \
      *(guest_u##bits *)(sp_ + e_->add) = (val);                                                             \
    } else {                                                                                                 \
      if (unlikely(!canonical(sp_) || !canonical(sp_ + (bits) / 8 - 1)))                                     \
        return stack_refused((c), (op));                                                                     \
      cold_store((c), (op), sp_, (bits) / 8, (val));                                                         \
      if (unlikely((c)->faulted))                                                                            \
        return;                                                                                              \
    }                                                                                                        \
  } while (0)

// Read-modify-write: the load asks for the right to write, so that it alone can fault with nothing changed.
// The store puts the flags back should it fault all the same.
#define RMW_LOAD(c, op, bits, var, la)                                                                       \
  do {                                                                                                       \
    uint64_t la_ = (la);                                                                                     \
    const struct tlbe *e_ = tlb_slot((c), la_);                                                              \
    if (likely(tlb_hit(e_->wtag, la_, (bits) / 8))) {                                                        \
      (var) = *(const guest_u##bits *)(la_ + e_->add);                                                       \
    } else {                                                                                                 \
      (var) = (uint##bits##_t)cold_load_rmw((c), (op), la_, (bits) / 8);                                     \
      if (unlikely((c)->faulted))                                                                            \
        return;                                                                                              \
    }                                                                                                        \
  } while (0)

#define RMW_STORE(c, op, bits, la, val, old_fl)                                                              \
  do {                                                                                                       \
    uint64_t la_ = (la);                                                                                     \
    const struct tlbe *e_ = tlb_slot((c), la_);                                                              \
    if (likely(tlb_hit(e_->wtag, la_, (bits) / 8))) {                                                        \
      *(guest_u##bits *)(la_ + e_->add) = (val);                                                             \
    } else {                                                                                                 \
      cold_store((c), (op), la_, (bits) / 8, (val));                                                         \
      if (unlikely((c)->faulted)) {                                                                          \
        (c)->fl = (old_fl);                                                                                  \
        return;                                                                                              \
      }                                                                                                      \
    }                                                                                                        \
  } while (0)

// For exec functions that return bool.
static inline bool op_load(struct cpu *c, const struct op *op, uint64_t la, unsigned size, uint64_t *v)
{
  const struct tlbe *e = tlb_slot(c, la);
  if (likely(tlb_hit(e->rtag, la, size))) {
    *v = 0;
    memcpy(v, (const void *)(la + e->add), size);
    return true;
  }
  *v = mem_load(c, op, la, size);
  return !c->faulted;
}
static inline bool op_store(struct cpu *c, const struct op *op, uint64_t la, unsigned size, uint64_t v)
{
  const struct tlbe *e = tlb_slot(c, la);
  if (likely(tlb_hit(e->wtag, la, size))) {
    memcpy((void *)(la + e->add), &v, size);
    return true;
  }
  mem_store(c, op, la, size, v);
  return !c->faulted;
}

// The r/m operand of an instruction, register or memory.
static inline bool rm_get(struct cpu *c, const struct op *op, unsigned osz, uint64_t *v)
{
  if (!(op->flags & OPF_MEM)) {
    *v = reg_get(c, op->rm, osz);
    return true;
  }
  uint64_t la = op_ea(c, op, 1u << osz, ACC_READ);
  return !c->faulted && op_load(c, op, la, 1u << osz, v);
}
static inline bool rm_set(struct cpu *c, const struct op *op, unsigned osz, uint64_t v)
{
  if (!(op->flags & OPF_MEM)) {
    reg_set(c, op->rm, osz, v);
    return true;
  }
  uint64_t la = op_ea(c, op, 1u << osz, ACC_WRITE);
  return !c->faulted && op_store(c, op, la, 1u << osz, v);
}

#endif
