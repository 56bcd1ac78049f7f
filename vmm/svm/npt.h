// Nested page tables: the guest's memory, by pages of 2 MB (1 GB) where it is so aligned. APM2 15.25.
#ifndef SVM_NPT_H
#define SVM_NPT_H

#include "host/types.h"

struct guest;

// Adds a mapping; false if the guest's pages for tables are used up.
bool npt_map(struct guest *g, uint64_t gpa, uint64_t hpa, uint64_t size, uint64_t flags);

#endif
