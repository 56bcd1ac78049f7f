// A processor with nothing but memory, made by hand, for the tests of paging: 64 MB of RAM, a ROM, a device.
#ifndef TEST_MMU_BED_H
#define TEST_MMU_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cpu/cr.h"
#include "cpu/except.h"
#include "cpu/mem.h"
#include "cpu/mmu.h"
#include "cpu/model.h"
#include "cpu/tlb.h"

#define MB (1024u * 1024u)

enum {
  P = 1,
  W = 2,
  U = 4,
  A = 0x20,
  D = 0x40,
  PS = 0x80,
  G = 0x100,
};
#define NX (1ull << 63)

enum {
  BED_RAM = 64 * MB,
  BED_TABLES = 1 * MB, // tables are made from here on, to 4 MB
  BED_DATA = 8 * MB,   // every 4 KB page holds its own address in its first 8 bytes
};
#define BED_NPF    0xff
#define BED_ROM    0xfff00000u
#define BED_DEVICE 0xe0000000u

enum paging { PAGING_2LEVEL, PAGING_PAE, PAGING_4LEVEL };

struct bed {
  struct ram ram;
  struct bus bus;
  struct log log;
  struct model model;
  struct cpu *c;
  struct region low, rom, device;
  enum paging paging;
  uint64_t next; // free page for a table
  // What was seen.
  unsigned stops; // cpu_stop_block
  unsigned device_reads, device_writes;
  uint64_t device_value;
  bool device_drops; // a write empties the views, as a change of the map does
  unsigned written;  // ram->written
  uint64_t written_off, written_len;
  uint64_t watched; // page with a watchpoint, or 0
  // Nested page faults: how many, and what the last one said. They leave c->fault.vector = BED_NPF.
  unsigned npfs;
  uint64_t npf_gpa, npf_error;
  enum paging host; // the mode of the nested tables
  uint64_t ncr3;
};

struct bed *bed_new(enum paging paging); // tables empty, paging on, CPL 0
void bed_free(struct bed *b);
uint64_t bed_space(struct bed *b); // a new empty set of tables: a value for CR3
// Maps a page of 1 << shift bytes in the tables at cr3; flags of the last level (P is added), upper levels P
// W U.
void bed_map(struct bed *b, uint64_t cr3, uint64_t la, uint64_t pa, unsigned shift, uint64_t flags);
// Physical address of the entry at a level (1: the page table), 0 if the tables do not reach that far.
uint64_t bed_entry(struct bed *b, uint64_t cr3, uint64_t la, unsigned level);
uint64_t bed_get(struct bed *b, uint64_t pa);
void bed_set(struct bed *b, uint64_t pa, uint64_t entry);
unsigned bed_levels(const struct bed *b);

void bed_cpl(struct bed *b, unsigned cpl);
void bed_mode(struct bed *b); // after changes of control registers by hand

// Accesses of 8 bytes; true if there was no fault. A fault is left in c->fault, c->faulted is cleared.
bool bed_read(struct bed *b, uint64_t la, uint64_t *v);
bool bed_write(struct bed *b, uint64_t la, uint64_t v);
bool bed_fetch(struct bed *b, uint64_t la, uint64_t *ram);
// Reads, and the value must be the address of the page that was meant.
#define assert_reads(b, la, pa)                                                                              \
  do {                                                                                                       \
    uint64_t v_ = 1;                                                                                         \
    assert_true(bed_read((b), (la), &v_));                                                                   \
    assert_int_equal(v_, (pa));                                                                              \
  } while (0)
#define assert_fault(b, la, code)                                                                            \
  do {                                                                                                       \
    uint64_t v_;                                                                                             \
    assert_false(bed_read((b), (la), &v_));                                                                  \
    assert_int_equal((b)->c->fault.vector, VEC_PF);                                                          \
    assert_int_equal((b)->c->fault.error, (code));                                                           \
    assert_int_equal((b)->c->fault.address, (la));                                                           \
  } while (0)

#endif
