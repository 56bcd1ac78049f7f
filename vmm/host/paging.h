// The hypervisor's own page tables: all physical addresses, at themselves.
#ifndef HOST_PAGING_H
#define HOST_PAGING_H

#include "host/types.h"

// Before: the first 4 GB, by start.S. After: 512 GB by pages of 1 GB where the CPU has them, else RAM's end
// and at least 4 GB by pages of 2 MB. Memory types come from the MTRRs.
void paging_init(void);
bool paging_has_1gb(void);

#endif
