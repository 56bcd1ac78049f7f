// The rest of a CPU, as little of it as these tests need: linear addresses are host addresses.
#ifndef TEST_FAKE_H
#define TEST_FAKE_H

#include "base/err.h"
#include "cpu/op.h"

struct cpu *fake_cpu(void);
void fake_free(struct cpu *c);
// The TLB knows the page, or nothing (fast = false): then accesses go through mem_read and mem_write.
void fake_tlb(struct cpu *c, void *page, bool fast);
// Accesses to this range fault with #PF, slow ones that is.
void fake_hole(uint64_t from, uint64_t to);
void fake_end(struct cpu *c, const struct op *op);

#endif
