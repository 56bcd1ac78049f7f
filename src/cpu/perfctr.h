// Performance counters: four of 48 bits that count cycles and instructions, MPERF and APERF. APM2 13.2.
#ifndef CPU_PERFCTR_H
#define CPU_PERFCTR_H

#include <stdbool.h>
#include <stdint.h>

struct cpu;

#define PERFCTR_PLAIN 62 // offsets of MPERF and APERF are here and in the next place of plain_msr

// As msr_read and msr_write, for C001_0000h..C001_0007h.
bool perfctr_read(const struct cpu *c, uint32_t index, uint64_t *v);
bool perfctr_write(struct cpu *c, uint32_t index, uint64_t v);
// RDPMC; n = 0..3.
uint64_t perfctr_value(const struct cpu *c, unsigned n);
void perfctr_reset(struct cpu *c);

// MPERF, and APERF (actual).
uint64_t perfctr_fixed_read(const struct cpu *c, bool actual);
void perfctr_fixed_write(struct cpu *c, bool actual, uint64_t v);

#endif
