// For images of a host without long mode: SVM switched on, paging as asked for, VMRUN. Guests of these images
// touch no register but EAX.
#ifndef GUEST_SVM_HOST32_H
#define GUEST_SVM_HOST32_H

#include "npt.h"

#define EFER_SVME_BIT 0x1000ull
enum { H_PSE = 0x10, H_PAE = 0x20 };
#define H_PG (1u << 31)

static uint64_t np_run(struct vmcb *v)
{
  asm volatile("clgi; vmrun %%eax; stgi" ::"a"(v) : "memory");
  return v->exitcode;
}

static struct vmcb *host32_on(void)
{
  uint32_t r[4];
  cpuid(0x80000001, 0, r);
  if (r[2] & 4)
    cpuid(0x8000000a, 0, r);
  else
    r[3] = 0;
  if (!(r[3] & 1)) {
    print("no nested paging; ");
    pass();
  }
  wrmsr(0xc0000080, rdmsr(0xc0000080) | EFER_SVME_BIT);
  wrmsr(0xc0010117, (word)page_new());
  struct vmcb *v = page_new();
  v->vector3 = 1u << (X_HLT - 0x60) | 1u << (X_SHUTDOWN - 0x60);
  v->vector4 = 1;
  v->exceptions = ~0u;
  v->asid = 1;
  v->np = NP_ENABLE;
  v->dr6 = 0xffff0ff0;
  v->dr7 = 0x400;
  v->g_pat = rdmsr(0x277);
  return v;
}

// Turns the host's paging on, everything one to one up to 64 MB; levels: 2, with 4 MB pages or without; or 3.
static void host32_paging(unsigned levels, bool large)
{
  struct tables t = tables_new(levels, 0);
  write_cr0(read_cr0() & ~H_PG);
  write_cr4(levels == 3 ? H_PAE : large ? H_PSE : 0);
  for (uint32_t a = 0; a < 64 << 20;)
    if (large) {
      tables_map(&t, a, 2, a | PT_ALL | PT_PS);
      a += levels == 3 ? 1 << 21 : 1 << 22;
    } else {
      tables_map(&t, a, 1, a | PT_ALL);
      a += 4096;
    }
  write_cr3(t.root);
  write_cr0(read_cr0() | H_PG);
}

#endif
