// A few CPUs on an empty bus, and a clock that the test moves.
#ifndef TESTS_IDENT_BED_H
#define TESTS_IDENT_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "cpu/cpu.h"
#include "cpu/lapic.h"
#include "cpu/model.h"
#include "cpu/msr.h"

#define BED_CPUS 4
#define BED_HZ   2000000000u

struct bed {
  struct ram ram;
  struct bus bus;
  struct clock clock;
  struct log log;
  struct model *model;
  struct cpu *cpu[BED_CPUS];
  int eois;
  uint8_t eoi_vector;
};

struct bed *bed_new(const char *model, unsigned cpus);
void bed_free(struct bed *b);

#endif
