// What devices.c, drives.c and board_devices.c share.
#ifndef MACHINE_DEVICES_H
#define MACHINE_DEVICES_H

#include "machine/machine.h"

struct vga;

// A backend named as in -serial: "stdio", "chardev:ID" ...
struct chardev *machine_chardev(struct machine *m, const char *text, const char *id, struct err *e);
// The video adapter, or NULL.
struct vga *machine_vga(struct machine *m);

// -drive: opens all images and attaches those that have a place. Block devices live until drives_free.
bool drives_init(struct machine *m, struct err *e);
void drives_free(struct machine *m);
// For device_env: an image by its id, that no device uses.
struct blockdev *drives_find(void *machine, const char *id);
// Puts another disc into a CD-ROM drive.
bool drives_change_cd(struct machine *m, struct ide_drive *d, const char *path, struct err *e);

// Devices of -device that are chips of the board: isa-debug-exit, pc-testdev, isa-debugcon.
bool board_device(const char *name);
struct device *board_device_create(struct machine *m, struct opts *o, struct err *e);

#endif
