// The list of devices that -device knows: what -device help prints, and how each is made.
#ifndef DEVICE_CATALOG_H
#define DEVICE_CATALOG_H

#include <stdio.h>

#include "device/device.h"

struct catalog_prop {
  const char *name, *type, *help; // type as in "on/off", "number", "string"
};

struct catalog_device {
  const char *name, *alias, *bus, *help;
  const struct catalog_prop *props; // ends with a row whose name is NULL
  // NULL: made by another floor; the machine looks at the name.
  struct device *(*create)(const struct device_env *env, struct opts *props, struct err *e);
};

// Ends with a row whose name is NULL.
extern const struct catalog_device catalog[];

const struct catalog_device *catalog_find(const char *name);  // by name or alias
void catalog_list(FILE *out);                                 // -device help
void catalog_help(const struct catalog_device *d, FILE *out); // -device NAME,help

// Makes what -device says; the implied key of props is "driver". The id is taken from it, and a property
// that nobody knows is an error. Rows without create are refused here.
struct device *device_create(const struct device_env *env, struct opts *props, struct err *e);

#endif
