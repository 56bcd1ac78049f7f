// A machine with an engine, a host in 64-bit mode and one guest, for tests of SVM by unit.
//
// The host's code is VMRUN and HLT; the guest's is what the test writes to BED_GUEST. Memory is mapped one to
// one, for both, with one table; the guest's VMCB starts as a copy of the host's state at CPL 0.
#ifndef TEST_SVM_BED_H
#define TEST_SVM_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/err.h"
#include "cpu/host/host.h"
#include "cpu/insn.h"
#include "cpu/lapic.h"
#include "cpu/mem.h"
#include "cpu/model.h"
#include "cpu/msr.h"
#include "cpu/svm/world.h"
#include "cpu/tlb.h"
#include "engine/engine.h"

enum {
  BED_RAM = 4 << 20,
  BED_HSAVE = 0x1000,
  BED_VMCB = 0x2000,
  BED_VMCB2 = 0x3000,
  BED_MSRPM = 0x4000, // 2 pages, all ones
  BED_IOPM = 0x6000,  // 3 pages, all ones
  BED_PML4 = 0x9000,
  BED_PDPT = 0xa000,
  BED_PD = 0xb000,
  BED_IDT = 0xc000,
  BED_TSS = 0xd000,
  BED_DATA = 0xe000,
  BED_GUARD = 0x200000, // not mapped, to 400000h
  BED_HOST = 0x10000,
  BED_GUEST = 0x11000,
  BED_HANDLERS = 0x12000, // one HLT for each vector, 16 bytes apart
  BED_STACK = 0x20000,
  BED_GDT = 0x21000,
};

struct bed {
  struct ram ram;
  struct bus bus;
  struct clock clock;
  struct log log;
  struct region region;
  struct model *model;
  struct host_code *host;
  struct cpu *cpu[2];
  struct cpu *c; // cpu[0]
  unsigned cpus;
  struct engine engine;
  struct vmcb *v;     // at BED_VMCB
  struct region port; // for a test's own device
  unsigned smis;
};

struct bed *bed_new(const char *model, unsigned cpus);
void bed_free(struct bed *b);
void bed_host_state(struct cpu *c);                          // for a CPU that is to run beside the first
void bed_code(struct bed *b, const void *bytes, unsigned n); // of the guest
// Runs the host from its VMRUN of the VMCB at pa to its HLT; the exit code, 0 - 2 if it did not come there.
uint64_t bed_vmrun(struct bed *b, uint64_t pa);
// Up to so many instructions.
enum engine_stop bed_run(struct bed *b, uint64_t instructions);
void bed_intercept(struct bed *b, unsigned code); // 60h and up
void bed_cpl(struct bed *b, unsigned cpl);        // of the guest
void bed_put(struct bed *b, uint64_t pa, uint64_t v, unsigned size);
uint64_t bed_get(struct bed *b, uint64_t pa, unsigned size);

#endif
