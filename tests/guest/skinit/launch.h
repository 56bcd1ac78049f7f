// What the images about SKINIT share: a secure loader block whose code notes what it finds, goes back to long
// mode and returns to the caller as if SKINIT had been a call.
#ifndef GUEST_LAUNCH_H
#define GUEST_LAUNCH_H

#include "rt.h"

#define SLB_SIZE  0x10000u
#define VM_CR     0xc0010114u
#define EFER      0xc0000080u
#define EFER_SVME (1ull << 12)
enum { DPD = 1, R_INIT = 2, DIS_A20M = 4 };

// What the block found. launch.S knows the offsets.
struct found {
  uint32_t ax, bx, cx, dx, si, di, bp, sp;         // 00
  uint32_t flags, cr0, cr3, cr4, efer_lo, efer_hi; // 20
  uint32_t cs, ss, ds, es, fs, gs;                 // 38
  uint32_t dr6, dr7;                               // 50
  uint32_t vm_cr;                                  // 58
  uint32_t by_ds, by_ss;                           // 5C: a word below 64 KB read through DS and through SS
  uint32_t ip;                                     // 64: where the block ran
};
extern volatile struct found found;

// 64 KB aligned to 64 KB, with a header (entry, length) and the code that notes and returns at `entry`.
uint8_t *slb_new(unsigned entry, unsigned length);
void launch(uint32_t eax); // executes SKINIT; returns with GIF = 0

static inline void stgi(void)
{
  asm volatile("stgi" ::: "memory");
}
static inline void clgi(void)
{
  asm volatile("clgi" ::: "memory");
}
static inline void skinit(uint32_t eax)
{
  asm volatile("skinit" : "+a"(eax)::"memory");
}

#endif
