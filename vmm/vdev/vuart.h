// A guest's serial port: a 16550A at 3F8h, interrupt line 4. National PC16550D data sheet.
#ifndef VDEV_VUART_H
#define VDEV_VUART_H

#include "host/types.h"

struct guest;

enum { UART_FIFO = 64 };

struct vuart {
  uint8_t ier, lcr, mcr, scratch, fcr, divisor[2];
  bool thre_pending; // the transmitter became empty, and nobody knows yet
  uint8_t fifo[UART_FIFO];
  unsigned head, count;
};

void vuart_reset(struct guest *g);
uint8_t vuart_read(struct guest *g, uint16_t port);
void vuart_write(struct guest *g, uint16_t port, uint8_t value);
// A byte for the guest; false if there is no room. With guard held.
bool vuart_input(struct guest *g, uint8_t c);

#endif
