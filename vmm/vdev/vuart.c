// See vuart.h. What the guest sends is out at once, so the transmitter is always empty.
#include "vdev/vuart.h"

#include "guest/console.h"
#include "guest/guest.h"

enum {
  IRQ = 4,
  IER_RX = 1,
  IER_TX = 2,
  LCR_DLAB = 0x80,
  MCR_LOOP = 0x10,
  FCR_ENABLE = 1,
  FCR_CLEAR_RX = 2,
  LSR_DR = 1,
  LSR_EMPTY = 0x60,
  IIR_NONE = 1,
  IIR_TX = 2,
  IIR_RX = 4,
  MSR_CONNECTED = 0xb0
};

void vuart_reset(struct guest *g)
{
  g->uart = (struct vuart){.divisor = {1, 0}};
}

static uint8_t cause(const struct vuart *u)
{
  if (u->ier & IER_RX && u->count)
    return IIR_RX;
  return u->ier & IER_TX && u->thre_pending ? IIR_TX : IIR_NONE;
}

static void update(struct guest *g)
{
  guest_line(g, IRQ, cause(&g->uart) != IIR_NONE);
}

bool vuart_input(struct guest *g, uint8_t c)
{
  struct vuart *u = &g->uart;
  if (u->count == UART_FIFO)
    return false;
  u->fifo[(u->head + u->count++) % UART_FIFO] = c;
  update(g);
  return true;
}

static uint8_t receive(struct vuart *u)
{
  if (!u->count)
    return 0;
  uint8_t c = u->fifo[u->head];
  u->head = (u->head + 1) % UART_FIFO;
  u->count--;
  return c;
}

uint8_t vuart_read(struct guest *g, uint16_t port)
{
  struct vuart *u = &g->uart;
  uint8_t v = 0;
  switch (port & 7) {
  case 0:
    if (u->lcr & LCR_DLAB)
      return u->divisor[0];
    v = receive(u);
    break;
  case 1:
    return u->lcr & LCR_DLAB ? u->divisor[1] : u->ier;
  case 2:
    v = cause(u);
    if (v == IIR_TX)
      u->thre_pending = false;
    v |= u->fcr & FCR_ENABLE ? 0xc0 : 0;
    break;
  case 3:
    return u->lcr;
  case 4:
    return u->mcr;
  case 5:
    return LSR_EMPTY | (u->count ? LSR_DR : 0);
  case 6: // in the loop the outputs are the inputs
    return u->mcr & MCR_LOOP ? (uint8_t)((u->mcr & 2) << 3 | (u->mcr & 1) << 5 | (u->mcr & 0xc) << 4)
                             : MSR_CONNECTED;
  default:
    return u->scratch;
  }
  update(g);
  return v;
}

void vuart_write(struct guest *g, uint16_t port, uint8_t value)
{
  struct vuart *u = &g->uart;
  switch (port & 7) {
  case 0:
    if (u->lcr & LCR_DLAB) {
      u->divisor[0] = value;
      return;
    }
    if (u->mcr & MCR_LOOP)
      vuart_input(g, value);
    else
      console_output(g, value);
    u->thre_pending = true;
    guest_line(g, IRQ, false); // the interrupt's next edge
    break;
  case 1:
    if (u->lcr & LCR_DLAB) {
      u->divisor[1] = value;
      return;
    }
    if (value & IER_TX && !(u->ier & IER_TX))
      u->thre_pending = true;
    u->ier = value & 0xf;
    break;
  case 2:
    u->fcr = value;
    if (value & FCR_CLEAR_RX)
      u->count = 0;
    break;
  case 3:
    u->lcr = value;
    return;
  case 4:
    u->mcr = value & 0x1f;
    return;
  case 7:
    u->scratch = value;
    return;
  default:
    return;
  }
  update(g);
}
