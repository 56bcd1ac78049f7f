// The few BIOS services that a boot sector asks for. Each interrupt vector points to a VMMCALL and an IRET in
// ROM; the service itself is done here.
#ifndef GUEST_BIOS_H
#define GUEST_BIOS_H

#include "host/types.h"

struct guest;
struct vcpu;

// Vector table, BIOS data area, and the stubs.
void bios_install(struct guest *g);
// Whether the VMMCALL at CS:IP is one of the stubs; if so the service is done.
bool bios_call(struct vcpu *v);
void bios_key(struct guest *g, uint8_t c);

#endif
