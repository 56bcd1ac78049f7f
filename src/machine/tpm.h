// The machine's TPM: -tpmdev says which, -device tpm-tis or tpm-crb how the guest reaches it.
#ifndef MACHINE_TPM_H
#define MACHINE_TPM_H

#include <stdbool.h>
#include <stdio.h>

#include "bus/bus.h"
#include "firmware/board.h"

struct device;
struct err;
struct machine;
struct opts;
struct tpm_backend;

// -tpmdev: opens what it names. Before the devices.
bool tpm_init(struct machine *m, struct err *e);
// After them: a -tpmdev that no device uses is an error.
bool tpm_used(struct machine *m, struct err *e);
void tpm_end(struct machine *m); // after the devices are gone

bool tpm_device(const char *name);
struct device *tpm_device_create(struct machine *m, struct opts *o, struct err *e);

// For the ACPI tables.
enum board_tpm tpm_board(const struct machine *m);
// What a BIOS would have sent, for a machine without one.
void tpm_start_without_bios(struct machine *m);
// SKINIT's hash cycles; TXN_ABORT: there is no TPM.
enum txn_resp tpm_special(struct machine *m, const struct txn *t, uint64_t value);
// Who has the TPM, for the monitor.
void tpm_print_localities(const struct machine *m, FILE *out);
// NULL: none.
const struct tpm_backend *machine_tpm_backend(const struct machine *m);

#endif
