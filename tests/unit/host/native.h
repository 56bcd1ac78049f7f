// The reference of these tests: the host CPU, running the guest's own bytes.
#ifndef TEST_NATIVE_H
#define TEST_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

// As FXSAVE64 has it. (cpu/cpu.h and signal.h do not go together.)
struct native_fx {
  uint16_t fcw, fsw;
  uint8_t ftw, reserved;
  uint16_t fop;
  uint64_t fip, fdp;
  uint32_t mxcsr, mxcsr_mask;
  uint8_t st[8][16];
  uint8_t xmm[16][16];
  uint8_t rest[96];
};

struct native_state {
  struct native_fx fx_in, fx_out;
  uint8_t ymm_in[16][32], ymm_out[16][32];
  uint64_t gpr_in[16], gpr_out[16];
  uint64_t fl_in, fl_out;
  uint64_t save_rsp;
  uint32_t avx, mxcsr_default;
};

struct native {
  uint8_t *code;
  struct native_state *s;
  bool trapped; // SIGFPE: fx_out.mxcsr is from the time of the exception
};

bool native_init(struct native *n);
void native_free(struct native *n);
// Runs the instruction on s->*_in and leaves s->*_out.
void native_run(struct native *n, const uint8_t *insn, unsigned len);

#endif
