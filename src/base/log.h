// What the machine tells about itself while it runs: the items of the option -d.
//
// One struct log belongs to one machine. An item that is off costs one load and one test at the
// place where it would be printed. The output never reaches the guest.
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum log_item {
  LOG_IN_ASM = 1u << 0,       // each block of guest code when it is decoded
  LOG_INT = 1u << 1,          // exceptions and interrupts as they are delivered
  LOG_CPU_RESET = 1u << 2,    // state of a CPU at reset
  LOG_GUEST_ERRORS = 1u << 3, // what the guest does that no hardware would accept
  LOG_MMU = 1u << 4,          // page walks that fault, flushes
  LOG_IO = 1u << 5,           // port and memory-mapped device accesses
  LOG_UNIMP = 1u << 6,        // what real hardware has and this machine has not
  LOG_VMRUN = 1u << 7,        // world switches, and why a VMRUN failed
  LOG_DEV = 1u << 8,          // requests of devices that the Device Exclusion Vector denied
  LOG_SKINIT = 1u << 9,       // secure launches, step by step
};

struct log {
  uint32_t items; // mask of enum log_item
  FILE *out;      // stderr, or the file of -D
};

struct log_name {
  const char *name; // as in -d
  uint32_t item;
  const char *help;
};
// Ends with a row whose name is NULL.
extern const struct log_name log_names[];

static inline bool log_on(const struct log *l, uint32_t item)
{
  return __builtin_expect((l->items & item) != 0, 0);
}

// Prints one line to the log if the item is on. The caller gives the newline.
void log_line(struct log *l, uint32_t item, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

struct err;
// Parses "int,mmu,io" into a mask of items; an unknown name is an error that lists the known ones.
bool log_parse(const char *text, uint32_t *items, struct err *e);

#endif
