// The Device Exclusion Vector of one node: what keeps a device's requests out of memory that is not its own.
//
// Registers as in BKDG publication 31116, F3xF0 to F3xF8_x7, and APM volume 2 section 15.24. A table has one
// bit for each 4 KB page of system-physical memory: 1 denies reads and writes. Tables are cached by lines,
// and a line that was read once is believed until DEVINV, so that a missing invalidation shows. CPUs are
// never checked.
#ifndef FABRIC_DEV_H
#define FABRIC_DEV_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"

struct clock;

enum { DEV_DOMAINS = 8, DEV_MAPS = 4 };

// F3xF8_x0, DEV_BASE_LO
#define DEV_BASE_VALID   1u
#define DEV_BASE_PROTECT 2u

// F3xF8_x4, DEV_CR
#define DEV_CR_ENABLE     (1u << 0)
#define DEV_CR_MEMCLR_DIS (1u << 1) // no effect
#define DEV_CR_IOSPEN     (1u << 2)
#define DEV_CR_MCE        (1u << 3)
#define DEV_CR_INV        (1u << 4) // done at once: always reads 0
#define DEV_CR_SL_DEV     (1u << 5)
#define DEV_CR_WALK_PROBE (1u << 6) // no effect: there are no caches to probe

// F3xF8_x5, DEV_ERR_STATUS
#define DEV_ERR_VALID      (1u << 31)
#define DEV_ERR_OVERFLOW   (1u << 30)
#define DEV_ERR_ADDR_VALID (1u << 29)
enum dev_err_dest { DEV_DEST_DRAM = 1, DEV_DEST_MMIO = 2, DEV_DEST_IO = 4, DEV_DEST_CONFIG = 5 };

#define DEV_SL_SIZE UINT64_C(0x10000) // bytes from the secure loader's base

// What a processor family has.
struct dev_model {
  uint8_t domains;      // <= DEV_DOMAINS
  uint8_t maps;         // <= DEV_MAPS
  uint8_t address_bits; // of a table's base: 40 or 48
  uint8_t reset_cr;     // DEV_CR after reset
};
extern const struct dev_model dev_model_k8, dev_model_family10h;

// Why a request was denied; the number of the protection domain for those that a table denied.
enum dev_reason { DEV_BY_TABLE, DEV_BY_RANGE, DEV_BY_SL_DEV, DEV_BY_IOSPEN, DEV_BY_CONFIG };

struct dev_line;

struct dev {
  struct bus *bus;
  const struct clock *clock;
  const struct dev_model *model;
  uint8_t node;
  bool active; // some check is to be made: the one bit that a request costs while DEV is off
  bool mapped; // some map register names a unit
  uint32_t select, cr, status, addr_lo, addr_hi;
  uint32_t base_lo[DEV_DOMAINS], base_hi[DEV_DOMAINS], map[DEV_MAPS];
  uint64_t sl_base; // of the secure loader block
  // Cached lines of the tables, a hash with open addressing; empty until the first walk.
  struct dev_line *line;
  uint32_t lines, used;
  struct dev_line *last;
  // Reports an error to the northbridge's machine check bank; may be NULL.
  void (*machine_check)(void *arg, uint8_t node, bool write, bool io, uint64_t addr);
  void *machine_check_arg;
  // Counted: requests checked, table lines read, requests denied.
  uint64_t checks, walks, denials[DEV_DOMAINS], sl_denials, io_denials, config_denials;
};

void dev_init(struct dev *d, const struct dev_model *model, struct bus *bus, const struct clock *clock,
              uint8_t node);
void dev_free(struct dev *d);
// Reset of the board. A cold one also clears the error registers.
void dev_reset(struct dev *d, bool cold);

// The capability's doublewords: reg is F0h (header), F4h (function and index), F8h (data).
uint32_t dev_read(void *dev, unsigned reg);
void dev_write(void *dev, unsigned reg, uint32_t v);

// SKINIT's cycle: shuts all devices out of base .. base + 64 KB, and out of the I/O space.
void dev_protect_loader(struct dev *d, uint64_t base);

// The protection domain of a requester.
unsigned dev_domain(const struct dev *d, unsigned bus, unsigned unit);

// Whether the request may go on at `addr` (t->addr is where it starts); *last is the last address, of this
// page or before, for which the answer holds. Counts nothing and reports nothing.
bool dev_allows(struct dev *d, const struct txn *t, uint64_t addr, uint64_t *last, enum dev_reason *why);
// Counts, logs and reports a request that was denied at `addr`.
void dev_deny(struct dev *d, const struct txn *t, uint64_t addr, uint64_t len, enum dev_reason why);

// What a domain's table says now of the 2 MB around addr, one bit for each page, the cache left alone: for
// the monitor.
enum { DEV_LINE = 64 };
void dev_table_line(const struct dev *d, unsigned domain, uint64_t addr, uint8_t bits[DEV_LINE]);

#endif
