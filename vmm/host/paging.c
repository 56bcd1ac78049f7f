// APM2 5.3. See paging.h.
#include "host/paging.h"

#include "host/memory.h"
#include "host/print.h"
#include "host/x86.h"

extern uint64_t pml4[512];
uint32_t host_cr3; // for ap_start

bool paging_has_1gb(void)
{
  return cpuid(0x80000000, 0).eax >= 0x80000001 && cpuid(0x80000001, 0).edx >> 26 & 1;
}

void paging_init(void)
{
  uint64_t *pdpt = ptr(memory_alloc(0, PAGE_SIZE, PAGE_SIZE, 4 * GB, false));
  uint64_t end = memory_top() > 4 * GB ? memory_top() : 4 * GB;
  if (!addr(pdpt))
    fatal("no memory for page tables");
  for (unsigned i = 0; i < 512; i++) {
    if (paging_has_1gb()) {
      pdpt[i] = i * GB | PTE_PS | PTE_W | PTE_P;
    } else if (i * GB < end) {
      uint64_t *pd = ptr(memory_alloc(0, PAGE_SIZE, PAGE_SIZE, 4 * GB, false));
      if (!addr(pd))
        fatal("no memory for page tables");
      for (unsigned k = 0; k < 512; k++)
        pd[k] = (i * GB + k * LARGE) | PTE_PS | PTE_W | PTE_P;
      pdpt[i] = addr(pd) | PTE_W | PTE_P;
    }
  }
  pml4[0] = addr(pdpt) | PTE_W | PTE_P;
  host_cr3 = (uint32_t)addr(pml4);
  write_cr3(host_cr3);
}
