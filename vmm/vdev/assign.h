// PCI devices that a guest has for itself. They appear on its bus 0, device 1 and on, at the addresses that
// they have; of their capabilities MSI and MSI-X are hidden, so they interrupt by pin, through the guest's
// I/O APIC. The DEV keeps them to the guest's memory.
#ifndef VDEV_ASSIGN_H
#define VDEV_ASSIGN_H

#include "host/types.h"

struct guest;

enum { ASSIGNED = 8, BARS = 6 };

struct bar {
  uint64_t base, size; // size 0: none
  bool io;
  uint32_t low_bits; // type and prefetch
  bool high;         // the upper half of the one before
  bool sizing;       // the guest wrote all ones, to learn the size
};

struct assigned {
  uint16_t bdf;
  uint8_t line;       // of the machine: its Interrupt Line
  uint8_t pin;        // of the guest's I/O APIC
  uint8_t guest_line; // Interrupt Line as the guest set it
  bool pending;       // the guest has not yet served it; the machine's line is masked
  struct bar bar[BARS];
  uint8_t next[64]; // capabilities that are shown: where the next one is, by the offset / 4 of each
  bool hidden[64];  // registers of capabilities that are not
};

struct assign {
  unsigned count, domain;
  struct assigned device[ASSIGNED];
};

// By the configuration, after memory was made; NULL, or what is wrong.
const char *assign_devices(struct guest *g);
// Its devices are no bus masters any more.
void assign_reset(struct guest *g);
void assign_release(struct guest *g);
uint32_t assign_config_read(struct guest *g, unsigned n, unsigned reg, unsigned size);
void assign_config_write(struct guest *g, unsigned n, unsigned reg, unsigned size, uint32_t value);
bool assign_in(struct guest *g, uint16_t port, unsigned size, uint32_t *value);
bool assign_out(struct guest *g, uint16_t port, unsigned size, uint32_t value);
// The real address of a page of its devices' memory, or 0.
uint64_t assign_memory(const struct guest *g, uint64_t gpa);
// An interrupt of the machine's line came. No lock may be held.
void assign_interrupt(unsigned line);
// The guest ended the interrupt of that pin. With guard held.
void assign_eoi(struct guest *g, unsigned pin);
bool assign_any(void);
// Looks for requests that the DEV refused; stops the guest whose device it was. From the first CPU's run
// loop.
void assign_watch(void);

#endif
