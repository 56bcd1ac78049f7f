// A small machine without a CPU, for testing devices: memory, ports, a PCI bus, a clock moved by hand.
#ifndef TEST_BED_H
#define TEST_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "bus/bus.h"
#include "bus/pci.h"
#include "device/device.h"
#include "fabric/fabric.h"

#define BED_RAM (96u << 20) // for devices that have memory of their own

struct bed {
  struct ram ram;
  struct bus bus;
  struct region low; // RAM at 0
  uint64_t low_size;
  struct pci_bus pci;
  struct fabric fabric; // of requests without a buffer; of one node
  struct clock clock;
  struct log log;
  struct device_env env;
  int level[16];            // of ISA interrupt lines
  unsigned edges[16];       // rising edges seen
  unsigned messages;        // MSI writes
  uint32_t last_message;    // data of the last one
  unsigned config_requests; // of devices, for configuration space: refused
  char dir[64];             // temporary files
};

// Whether the fabric of a bed knows the way without a buffer (dma_direct). It does unless a test says no:
// bed_run_both_ways runs tests with and without.
extern bool bed_without_direct;
#define bed_run_both_ways(tests)                                                                             \
  (bed_without_direct = true, cmocka_run_group_tests_name("by buffer", tests, NULL, NULL)) +                 \
      (bed_without_direct = false, cmocka_run_group_tests_name("direct", tests, NULL, NULL))

// ram: bytes of guest memory at address 0.
void bed_init(struct bed *b, uint64_t ram);
void bed_free(struct bed *b);
struct irq bed_irq(struct bed *b, int n);
// Makes a file of `size` bytes in which each sector begins with its number; returns a static path.
const char *bed_image(struct bed *b, const char *name, uint64_t size);
const char *bed_path(struct bed *b, const char *name);

uint32_t bed_in(struct bed *b, uint16_t port, unsigned size);
void bed_out(struct bed *b, uint16_t port, unsigned size, uint32_t v);
uint64_t bed_read(struct bed *b, uint64_t addr, unsigned size);
void bed_write(struct bed *b, uint64_t addr, unsigned size, uint64_t v);
uint8_t *bed_mem(struct bed *b, uint64_t addr); // guest memory
uint32_t bed_config_read(struct bed *b, const struct pci_func *f, unsigned off, unsigned size);
void bed_config_write(struct bed *b, const struct pci_func *f, unsigned off, unsigned size, uint32_t v);
// Advances the clock by ns, firing what is due.
void bed_run(struct bed *b, uint64_t ns);
struct opts *bed_opts(const char *text); // a static one; implied key "driver"

#endif
