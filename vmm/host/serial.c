// Output waits for the transmitter; input is polled when its interrupt came (IRQ 4, 3). See serial.h.
#include "host/serial.h"

#include "host/x86.h"

enum {
  DATA = 0,
  IER = 1,
  FCR = 2,
  LCR = 3,
  MCR = 4,
  LSR = 5,
  SCRATCH = 7,
  LSR_DR = 1,
  LSR_THRE = 0x20,
  LCR_DLAB = 0x80
};

static struct lock console;

bool serial_present(uint16_t port)
{
  out8(port + SCRATCH, 0x5a);
  return in8(port + SCRATCH) == 0x5a;
}

void serial_init(uint16_t port)
{
  out8(port + IER, 0);
  out8(port + LCR, LCR_DLAB);
  out8(port + DATA, 1); // 115200 baud
  out8(port + IER, 0);
  out8(port + LCR, 3); // 8 bits, no parity
  out8(port + FCR, 7);
  out8(port + MCR, 0xb); // DTR, RTS, and OUT2, which lets the interrupt through
  out8(port + IER, 1);
}

void serial_put(uint16_t port, uint8_t c)
{
  for (unsigned i = 0; i < 1000000 && !(in8(port + LSR) & LSR_THRE); i++)
    cpu_pause();
  out8(port + DATA, c);
}

void serial_write(const char *text, size_t n)
{
  lock(&console);
  for (size_t i = 0; i < n; i++) {
    if (text[i] == '\n')
      serial_put(COM1, '\r');
    serial_put(COM1, (uint8_t)text[i]);
  }
  unlock(&console);
}

int serial_get(uint16_t port)
{
  return in8(port + LSR) & LSR_DR ? in8(port + DATA) : -1;
}
