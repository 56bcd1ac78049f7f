// Runs single instructions on the host CPU, in this process, from a given state of registers and memory.
//
// A batch runs inside of the SIGTRAP handler's returns: each case ends at an INT3, whose handler takes the
// state out of the signal frame and puts the next case in.
#ifndef TESTS_INSN_NATIVE_H
#define TESTS_INSN_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

#define WINDOW_BASE 0x10000000ull // data that instructions reach; guard pages around it
#define WINDOW_SIZE 0x1000u
#define WATCH_FROM  0x600u // the part that is filled and compared
#define WATCH_SIZE  0x400u
#define CODE_BASE   0x20000000ull

struct state {
  uint64_t r[16]; // in encoding order
  uint64_t ip;    // relative to the instruction
  uint32_t flags; // arithmetic flags and DF
  uint32_t mxcsr;
  uint16_t fcw, fsw;
  uint8_t ftw;       // abridged, as in FXSAVE
  uint8_t st[8][16]; // ST0..ST7, 10 bytes each
  uint8_t v[16][32];
  uint8_t mem[WATCH_SIZE];
};

struct test_case {
  uint8_t bytes[16];
  uint8_t len;
  bool wide; // 64-bit code, else 32-bit
  struct state in, out;
  int signal; // 0: completed
  uint64_t fault_address;
};

// Prepares the mappings and handlers. Returns false if the fixed addresses are taken.
bool native_init(void);
// Runs each case and fills in out and signal.
void native_run(struct test_case *cases, unsigned n);

#endif
