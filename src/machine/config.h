// What a machine is to be: the options of the command line, checked for form but not yet acted upon.
//
// Strings are owned by the configuration. What belongs to a part (a drive's cache mode, a device's
// properties) stays text here and is read by that part, so that each key is known in one place.
#ifndef MACHINE_CONFIG_H
#define MACHINE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define CONFIG_CPUS    16
#define CONFIG_RAM_MAX (64ull << 30)

struct text_list {
  char **item;
  unsigned count;
};

// Adds a copy; false: no memory.
bool text_list_add(struct text_list *l, const char *text);
void text_list_free(struct text_list *l);

#define CONFIG_NODES 8
#define CONFIG_LINKS (CONFIG_NODES * (CONFIG_NODES - 1) / 2)

// A processor with its northbridge, its memory, and the chain of devices behind it.
struct config_node {
  bool given;    // by -node or -numa
  uint32_t cpus; // mask; 0: an equal share
  uint64_t mem;  // bytes; 0: an equal share
};

struct config_link {
  uint8_t a, b;
};

enum clock_kind { CLOCK_VIRTUAL, CLOCK_HOST };

struct config {
  // What runs.
  char *kernel, *initrd, *append, *bios;
  char *slb; // a secure loader block, instead of a kernel
  char *cpu; // NULL: the default model
  unsigned cpus;
  uint64_t ram_size;
  bool ram_given, cpus_given; // by -m, by -smp
  // Nodes.
  unsigned nodes; // 0: as many as node[] gives, or one
  struct config_node node[CONFIG_NODES];
  unsigned links; // 0: the default topology
  struct config_link link[CONFIG_LINKS];
  // Parts. Each text is what follows the option, in its syntax.
  struct text_list drives;   // -drive, and -hda, -cdrom ... written as such
  struct text_list devices;  // -device
  struct text_list chardevs; // -chardev
  struct text_list tpmdevs;  // -tpmdev
  struct text_list serials;  // -serial; "none" takes a place
  struct text_list netdevs;  // -netdev
  struct text_list nics;     // -nic
  struct text_list monitors; // -monitor, or "chardev:ID" for -mon
  char *debugcon;
  bool serial_given, monitor_given;
  bool nodefaults, nographic, vga_none, snapshot;
  bool no_hpet, no_pit;
  // Booting.
  char boot_order[8];
  char boot_once[8];
  bool boot_menu;
  // Time.
  enum clock_kind clock;
  unsigned ns_shift;
  unsigned jit_hot; // entries until a block becomes host code; 0: never
  char *rtc_base;
  uint64_t limit; // instructions; 0: none
  // Behaviour.
  bool no_reboot, no_shutdown, paused;
  bool state_hash;
  char *name;
  uint32_t log_items;
  char *log_file;
  char *stats_file; // -stats
};

#define CONFIG_JIT_HOT  24
#define CONFIG_NS_SHIFT 2 // 4 ns for an instruction: see docs/command-line.md

void config_init(struct config *c);
void config_free(struct config *c);
// Shares out CPUs and memory among the nodes, and checks what was given: afterwards `nodes` is 1 to
// CONFIG_NODES and each node has CPUs and memory. Before the machine is made.
bool config_nodes(struct config *c, struct err *e);
// Replaces an owned string.
bool config_set(char **slot, const char *text);

#endif
