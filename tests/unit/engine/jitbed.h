// Two machines that are given the same: one with the translator, one without. For test_jit.c.
//
// 64-bit code with paging at any CPL; every exception leads to a HLT of its own on a stack of its own, so
// that what was delivered can be seen in memory and in the instruction pointer.
#ifndef TEST_JITBED_H
#define TEST_JITBED_H

#include "cpu/cpu.h"
#include "engine/engine.h"

#define JB_RAM 0x100000u

enum { // physical addresses; linear ones are the same unless said otherwise
  JB_TABLES = 0x1000,
  JB_PT = 0x4000, // of the first 2 MB
  JB_IDT = 0x8000,
  JB_GDT = 0x9000,
  JB_TSS = 0x9100,
  JB_HANDLERS = 0xa000, // 16 bytes a vector
  JB_STACK0 = 0xc000,   // one page, for exceptions
  JB_CODE = 0x10000,    // JB_CODE_PAGES, writable
  JB_DATA = 0x20000,    // two pages
  JB_READONLY = 0x22000,
  JB_MISSING = 0x23000,
  JB_DEVICE = 0x24000,     // leads to a device
  JB_DATA_ALIAS = 0x25000, // the first page of data
  JB_CODE_ALIAS = 0x26000, // the first page of code, may be executed too
  JB_DATA2 = 0x27000,
  JB_TARGETS = 0x28000, // addresses for branches by memory
  JB_STACK = 0x2a000,   // two pages
  JB_END = 0x2c000,
};
#define JB_CODE_PAGES 3u
#define JB_DEVICE_PA  0x800000u

struct jitbed {
  struct ram ram;
  struct bus bus;
  struct clock clock;
  struct log log;
  struct region region, device;
  struct model *model;
  struct host_code *host;
  struct cpu *cpu[2];
  struct engine engine;
  unsigned cpus;
  uint64_t heard; // by the device
};

// hot: see engine_translate; 0: no translator.
struct jitbed *jitbed_new(unsigned cpus, unsigned hot);
void jitbed_free(struct jitbed *b);

// Registers and control state anew: 64-bit code at JB_CODE with a CPL of 0 or 3. General registers stay, and
// so does the TLB unless control registers had been changed.
void jitbed_start(struct jitbed *b, unsigned cpu, unsigned cpl);
// The page table's entry for a linear address below 2 MB; the caller flushes the TLB.
void jitbed_map(struct jitbed *b, uint64_t la, uint64_t entry);

// NULL, or what is different between the CPUs or the memories. The text is static.
const char *jitbed_differ_cpu(const struct jitbed *a, const struct jitbed *b, unsigned cpu);
const char *jitbed_differ_memory(const struct jitbed *a, const struct jitbed *b);

#endif
