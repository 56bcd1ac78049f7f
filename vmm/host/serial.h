// The machine's serial ports (16550 at 3F8h and 2F8h): the hypervisor's console and a guest's own line.
#ifndef HOST_SERIAL_H
#define HOST_SERIAL_H

#include "host/types.h"

#define COM1 0x3f8
#define COM2 0x2f8

void serial_init(uint16_t port);
bool serial_present(uint16_t port);
// To the console, COM1; a line feed becomes carriage return and line feed.
void serial_write(const char *text, size_t n);
// A byte as it is, to any port.
void serial_put(uint16_t port, uint8_t c);
// The next byte that came, or -1.
int serial_get(uint16_t port);

#endif
