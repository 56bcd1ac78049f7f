// A CPU with its engine, 256 KB of RAM, a device page and a device on every port, for fuzz_insn.
#ifndef FUZZ_CPUBED_H
#define FUZZ_CPUBED_H

#include "cpu/cpu.h"
#include "engine/engine.h"
#include "fuzz.h"

#define BED_RAM    0x40000u
#define BED_DEVICE 0x80000u // one page; around it is nothing

enum { // where things lie
  BED_IVT = 0x0000,
  BED_HANDLERS = 0x0800, // 16 of 32 bytes
  BED_GDT = 0x1000,
  BED_TSS = 0x1800, // TSS and, 400h behind, another
  BED_IDT = 0x2000,
  BED_LDT = 0x3000,
  BED_CODE = 0x6000,
  BED_STACK = 0x9000, // of each privilege level, growing down
  BED_TABLES = 0x10000,
  BED_DATA = 0x20000,
};

struct cpubed {
  struct ram ram;
  struct bus bus;
  struct region memory, device, ports;
  struct clock clock;
  struct log log;
  struct engine engine;
  struct cpu *cpu, *all[1];
  uint64_t noise; // what the devices answer
};

// What is made once and serves all beds: models and host stubs.
const struct model *cpubed_model(unsigned n);

struct cpubed *cpubed_new(const struct model *model);
void cpubed_free(struct cpubed *b);
// Its blocks become host code when they are entered.
void cpubed_translate(struct cpubed *b);

// Tables, registers and control state from the input; always a state that a guest could have made.
void cpubed_fill(struct cpubed *b, struct fuzz_in *in);

// Runs for n instructions, in slices of at most `slice`; a halted CPU is woken by an interrupt.
void cpubed_run(struct cpubed *b, uint64_t n, uint64_t slice);

// Ends the program if the CPU is in a state that the architecture does not have, or if its TLB leads out of
// RAM.
void cpubed_check(struct cpubed *b);
// Ends the program if two beds that were given the same input differ.
void cpubed_same(const struct cpubed *a, const struct cpubed *b);

#endif
