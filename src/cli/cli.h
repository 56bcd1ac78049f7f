// The command line: QEMU's options, turned into a struct config.
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdio.h>

#include "machine/config.h"

// Statuses of the program. The debug exit port gives odd ones.
enum {
  STATUS_OK = 0,
  STATUS_INPUT = 2,  // an option or a file is wrong; nothing ran, or a reset could not load it again
  STATUS_TRIPLE = 4, // triple fault with -no-reboot
};

struct cli {
  struct config config;
  bool done; // help or version was printed: nothing runs
  char drive_id[16];
};

struct option {
  const char *name; // without the dash
  const char *arg;  // what it takes, for help; NULL: nothing
  bool (*take)(struct cli *c, const char *value, struct err *e);
  const char *help; // NULL: not listed
};

// Ends with a row whose name is NULL.
extern const struct option options[];

// Fills c from the arguments; argv[0] is skipped. c must be initialised by cli_init.
void cli_init(struct cli *c);
void cli_free(struct cli *c);
bool cli_parse(struct cli *c, int argc, char **argv, struct err *e);
void cli_help(FILE *out);

// ---- options_machine.c ----
bool take_m(struct cli *c, const char *value, struct err *e);
bool take_smp(struct cli *c, const char *value, struct err *e);
bool take_node(struct cli *c, const char *value, struct err *e);
bool take_numa(struct cli *c, const char *value, struct err *e);
bool take_link(struct cli *c, const char *value, struct err *e);
bool take_cpu(struct cli *c, const char *value, struct err *e);
bool take_machine(struct cli *c, const char *value, struct err *e);
bool take_accel(struct cli *c, const char *value, struct err *e);
bool take_boot(struct cli *c, const char *value, struct err *e);
bool take_rtc(struct cli *c, const char *value, struct err *e);
bool take_icount(struct cli *c, const char *value, struct err *e);
bool take_clock(struct cli *c, const char *value, struct err *e);
bool take_limit(struct cli *c, const char *value, struct err *e);
bool take_global(struct cli *c, const char *value, struct err *e);
bool take_name(struct cli *c, const char *value, struct err *e);

// ---- options_io.c ----
bool take_drive(struct cli *c, const char *value, struct err *e);
bool take_hda(struct cli *c, const char *value, struct err *e);
bool take_hdb(struct cli *c, const char *value, struct err *e);
bool take_hdc(struct cli *c, const char *value, struct err *e);
bool take_hdd(struct cli *c, const char *value, struct err *e);
bool take_cdrom(struct cli *c, const char *value, struct err *e);
bool take_device(struct cli *c, const char *value, struct err *e);
bool take_chardev(struct cli *c, const char *value, struct err *e);
bool take_tpmdev(struct cli *c, const char *value, struct err *e);
bool take_serial(struct cli *c, const char *value, struct err *e);
bool take_monitor(struct cli *c, const char *value, struct err *e);
bool take_mon(struct cli *c, const char *value, struct err *e);
bool take_debugcon(struct cli *c, const char *value, struct err *e);
bool take_display(struct cli *c, const char *value, struct err *e);
bool take_vga(struct cli *c, const char *value, struct err *e);
bool take_netdev(struct cli *c, const char *value, struct err *e);
bool take_nic(struct cli *c, const char *value, struct err *e);
bool take_net(struct cli *c, const char *value, struct err *e);
bool take_d(struct cli *c, const char *value, struct err *e);

#endif
