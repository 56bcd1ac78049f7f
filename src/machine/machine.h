// A machine: the one place that knows all parts, puts them together, and runs them.
//
// machine_new builds, machine_run runs until the machine ends or a signal or the monitor ends it,
// machine_free takes all of it down. Parts ask for what must not happen in the middle of an instruction
// (reset, power-off) by machine_request; it happens between slices.
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include "base/clock.h"
#include "base/log.h"
#include "bus/bus.h"
#include "bus/ram.h"
#include "cpu/cpu.h"
#include "device/chardev.h"
#include "device/device.h"
#include "device/net.h"
#include "engine/engine.h"
#include "fabric/fabric.h"
#include "firmware/acpi.h"
#include "firmware/bios.h"
#include "firmware/board.h"
#include "firmware/boot.h"
#include "machine/bootorder.h"
#include "machine/config.h"
#include "machine/config_space.h"
#include "machine/launch.h"
#include "machine/nodes.h"
#include "machine/pc.h"

enum machine_end {
  END_NONE,
  END_POWER_OFF,
  END_EXIT,         // the debug exit port; machine.status is what it said
  END_TRIPLE_FAULT, // with -no-reboot
  END_RESET,        // with -no-reboot
  END_QUIT,         // the monitor, Ctrl-a x, or a signal
  END_LIMIT,        // -limit
  END_BROKEN,       // an image could not be loaded again at a reset; machine.trouble says why
};

enum machine_request {
  WANT_RESET = 1,
  WANT_POWER_OFF = 2,
  WANT_EXIT = 4,
  WANT_QUIT = 8,
  WANT_LOOK = 16, // a network has something for the outside
};

struct drive {
  struct blockdev *blk;
  struct drive *next;
};

struct machine {
  const struct config *config; // outlives the machine
  struct log log;
  struct ram ram;
  struct clock clock;
  struct bus bus;
  struct fabric fabric;
  struct model *model;
  struct host_code *host;
  struct cpu *cpu[CONFIG_CPUS];
  unsigned cpus;
  struct engine engine;
  bool engine_ready;
  struct pc pc;
  struct nodes nodes;
  struct config_space config_space;
  // Memory (memory.c).
  uint64_t low_size, high_size; // of RAM, in bytes
  uint64_t low_off, high_off;   // RAM offsets
  struct region low_region[2], high_region;
  struct bios bios;
  // Firmware (boot.c).
  struct board board;
  struct acpi_image acpi;
  // Devices (devices.c).
  struct chardevs chardevs;
  struct netdevs netdevs;
  struct device *devices;
  struct machine_tpm *tpm; // tpm.c; NULL: none
  struct launch launch;    // the last SKINIT
  struct drive *drives;
  struct bootorder bootorder;
  struct device_env env;
  // The run.
  uint32_t wanted; // mask of enum machine_request
  bool paused;
  enum machine_end end;
  int status;                         // of END_EXIT
  unsigned culprit;                   // of END_TRIPLE_FAULT: the CPU
  struct err trouble;                 // of END_BROKEN
  uint64_t host_start, virtual_start; // -clock host: two moments that are the same
  uint64_t host_run;                  // ns of host time that machine_run took
  // Hooks of the floors above; all may be NULL.
  void (*on_trouble)(void *arg, struct machine *m, struct cpu *c, const char *what); // triple fault, reset
  void *hook_arg;
  void (*on_look)(void *arg); // inputs were looked at; a connection may have come or gone
  void *look_arg;
  int signal_fd; // readable: a signal asks the machine to end; -1: none
};

// c must outlive the machine. NULL with the error set on failure.
struct machine *machine_new(const struct config *c, struct err *e);
void machine_free(struct machine *m);

enum machine_end machine_run(struct machine *m);
void machine_request(struct machine *m, uint32_t what);
// Now: only between slices.
bool machine_reset(struct machine *m, struct err *e);
// Whether it starts from the BIOS, not from a file that -kernel or -slb names.
static inline bool machine_has_bios(const struct machine *m)
{
  return !m->config->kernel && !m->config->slb;
}
// For the monitor, between slices.
void machine_stop(struct machine *m);
void machine_cont(struct machine *m);
void machine_step(struct machine *m, struct cpu *c);

// ---- inside machine/ ----

bool memory_init(struct machine *m, struct err *e);
bool cpus_init(struct machine *m, struct err *e);
void cpus_free(struct machine *m);
bool firmware_init(struct machine *m, struct err *e);
// What a setup program would have left in CMOS memory; once: the boot order is that of -boot once=.
void firmware_cmos(struct machine *m, bool once);
// After every reset: puts the kernel into memory and the processor at its entry. fresh: RAM is zero still.
bool firmware_start(struct machine *m, bool fresh, struct err *e);
bool devices_init(struct machine *m, struct err *e);
void devices_reset(struct machine *m);
void devices_free(struct machine *m);

#endif
