// The Device Exclusion Vector of the northbridges: which pages the devices of a protection domain may not
// touch. APM2 15.24; BKDG 31116, F3xF0 to F3xF8.
//
// All nodes are programmed alike: the check is made by the one to which a device is attached, wherever the
// memory is. Domain 0, that of every device that was given to nobody, excludes everything.
#ifndef HOST_DEV_H
#define HOST_DEV_H

#include "host/types.h"

struct dev_error {
  unsigned node;
  bool write, has_address;
  uint64_t address;
};

// Finds the northbridges that have a DEV and turns them on. Early: a secure loader that started us left its
// own table, in memory that is ours to use now.
void dev_init(void);
bool dev_on(void);
// Devices reach everything from now on.
void dev_off(void);
// A domain in which everything is excluded, with its table near the node; 0: none is left.
unsigned dev_domain_new(unsigned node);
void dev_domain_free(unsigned domain);
// Opens a range of memory to the domain, or, with `all`, everything.
void dev_allow(unsigned domain, uint64_t base, uint64_t size);
void dev_allow_all(unsigned domain);
// Puts the devices of a slot (a HyperTransport unit: bus and device number) into a domain; 0 takes them out.
// False: no map register is left.
bool dev_assign(uint16_t bdf, unsigned domain);
// The next request that was refused since; false: none.
bool dev_refused(struct dev_error *e);

#endif
