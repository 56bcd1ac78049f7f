// The 16550A UART; see serial.h. Section numbers are those of the PC16550D data sheet (June 1995).
#include "device/serial.h"

#include <stdlib.h>
#include <string.h>

enum { // register offsets; DLAB selects the second meaning of 0 and 1
  RBR_THR = 0,
  IER = 1,
  IIR_FCR = 2,
  LCR = 3,
  MCR = 4,
  LSR = 5,
  MSR = 6,
  SCR = 7,
};

enum {
  IER_RDA = 1,
  IER_THRE = 2,
  IER_LINE = 4,
  IER_MODEM = 8,

  IIR_NONE = 1,
  IIR_MODEM = 0,
  IIR_THRE = 2,
  IIR_RDA = 4,
  IIR_LINE = 6,
  IIR_TIMEOUT = 12,
  IIR_FIFOS = 0xc0,

  FCR_ENABLE = 1,
  FCR_CLEAR_RX = 2,
  FCR_CLEAR_TX = 4,

  LCR_BREAK = 0x40,
  LCR_DLAB = 0x80,

  MCR_DTR = 1,
  MCR_RTS = 2,
  MCR_OUT1 = 4,
  MCR_OUT2 = 8,
  MCR_LOOP = 16,

  LSR_DR = 1,
  LSR_OE = 2,
  LSR_BI = 16,
  LSR_ERRORS = 0x1e,
  LSR_THRE = 0x20,
  LSR_TEMT = 0x40,
  LSR_FIFO_ERROR = 0x80,

  MSR_DCTS = 1,
  MSR_DDSR = 2,
  MSR_TERI = 4,
  MSR_DDCD = 8,
  MSR_CTS = 0x10,
  MSR_DSR = 0x20,
  MSR_RI = 0x40,
  MSR_DCD = 0x80,
};

#define TX_DELAY_NS 2000 // from a written character to the interrupt that asks for more

const uint16_t serial_com_base[4] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
const uint8_t serial_com_irq[4] = {4, 3, 4, 3};

// 8.6: in loopback the modem control outputs come back as the modem status inputs.
static uint8_t msr_high(const struct serial *s)
{
  if (!(s->mcr & MCR_LOOP))
    return s->msr_lines;
  return (s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
         (s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static unsigned trigger(const struct serial *s)
{
  static const uint8_t level[4] = {1, 4, 8, 14};
  return s->fcr & FCR_ENABLE ? level[s->fcr >> 6] : 1;
}

// 8.5: the pending interrupt of the highest priority.
static uint8_t pending(const struct serial *s)
{
  if ((s->ier & IER_LINE) && s->lsr_errors)
    return IIR_LINE;
  if ((s->ier & IER_RDA) && s->count >= trigger(s))
    return IIR_RDA;
  if ((s->ier & IER_RDA) && s->timeout)
    return IIR_TIMEOUT;
  if ((s->ier & IER_THRE) && s->thre)
    return IIR_THRE;
  if ((s->ier & IER_MODEM) && s->msr_delta)
    return IIR_MODEM;
  return IIR_NONE;
}

static void update(struct serial *s)
{
  irq_set(&s->irq, pending(s) != IIR_NONE && (s->mcr & MCR_OUT2));
}

// The time of four characters (8.4.1) at 1.8432 MHz / 16 / divisor; the clock gets a floor because the
// divisor is the guest's.
static uint64_t four_chars(const struct serial *s)
{
  unsigned bits = 1 + 5 + (s->lcr & 3) + 1 + (s->lcr >> 3 & 1) + (s->lcr >> 2 & 1);
  unsigned div = s->divisor ? s->divisor : 1;
  return muldiv64(4ull * bits * div * 16, 1000000000, 1843200) + 1000;
}

static void arm_timeout(struct serial *s)
{
  s->timeout = false;
  if ((s->fcr & FCR_ENABLE) && s->count)
    timer_set(&s->rx, clock_now(s->rx.clock) + four_chars(s));
  else
    timer_cancel(&s->rx);
}

static void rx_fire(void *arg)
{
  struct serial *s = arg;
  s->timeout = s->count != 0;
  update(s);
}

static void tx_fire(void *arg)
{
  struct serial *s = arg;
  s->thre = true;
  update(s);
}

static unsigned room(const struct serial *s)
{
  unsigned depth = s->fcr & FCR_ENABLE ? sizeof s->fifo : 1;
  return s->count < depth ? depth - s->count : 0;
}

static void put(struct serial *s, uint8_t byte)
{
  if (!room(s)) {
    s->lsr_errors |= LSR_OE;
    if (!(s->fcr & FCR_ENABLE)) // 8.4: without FIFOs the new character replaces the old
      s->fifo[s->head] = byte;
  } else {
    s->fifo[(s->head + s->count++) % sizeof s->fifo] = byte;
  }
}

// The line is deaf in loopback; what arrives waits in the backend's queue.
static size_t can_receive(void *arg)
{
  const struct serial *s = arg;
  return s->mcr & MCR_LOOP ? 0 : room(s);
}

static void receive(void *arg, const uint8_t *buf, size_t len)
{
  struct serial *s = arg;
  for (size_t i = 0; i < len; i++)
    put(s, buf[i]);
  arm_timeout(s);
  update(s);
}

static void receive_break(void *arg)
{
  struct serial *s = arg;
  if (s->mcr & MCR_LOOP)
    return;
  put(s, 0);
  s->lsr_errors |= LSR_BI;
  arm_timeout(s);
  update(s);
}

static uint8_t read_rbr(struct serial *s)
{
  uint8_t v = s->fifo[s->head];
  if (s->count) {
    s->count--;
    s->head = (s->head + 1) % sizeof s->fifo;
  }
  arm_timeout(s);
  chardev_kick(s->chr, s->user);
  return v;
}

static void write_thr(struct serial *s, uint8_t v)
{
  if (s->mcr & MCR_LOOP) {
    put(s, v);
    arm_timeout(s);
  } else {
    chardev_write(s->chr, &v, 1);
  }
  // Nobody can tell when it became empty while the interrupt is off: a polled console costs no events.
  s->thre = !(s->ier & IER_THRE);
  if (!s->thre && !timer_armed(&s->tx))
    timer_set(&s->tx, clock_now(s->tx.clock) + TX_DELAY_NS);
}

static void write_fcr(struct serial *s, uint8_t v)
{
  bool toggled = (v ^ s->fcr) & FCR_ENABLE;
  if (!(v & FCR_ENABLE)) // 8.4: the other bits count only together with the enable bit
    v = 0;
  if (toggled || (v & FCR_CLEAR_RX)) {
    s->count = 0;
    s->timeout = false;
    timer_cancel(&s->rx);
  }
  s->fcr = v & 0xc9;
  chardev_kick(s->chr, s->user);
}

static void write_mcr(struct serial *s, uint8_t v)
{
  uint8_t before = msr_high(s);
  s->mcr = v & 0x1f;
  uint8_t after = msr_high(s);
  uint8_t changed = before ^ after;
  s->msr_delta |= (changed & MSR_CTS ? MSR_DCTS : 0) | (changed & MSR_DSR ? MSR_DDSR : 0) |
                  (changed & MSR_DCD ? MSR_DDCD : 0) |
                  (before & ~after & MSR_RI ? MSR_TERI : 0); // trailing edge
  chardev_kick(s->chr, s->user);
}

static uint64_t serial_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct serial *s = dev;
  uint8_t v = 0xff;
  switch (off) {
  case RBR_THR:
    if (s->lcr & LCR_DLAB)
      return s->divisor & 0xff;
    if (t->debug)
      return s->fifo[s->head];
    v = read_rbr(s);
    break;
  case IER:
    return s->lcr & LCR_DLAB ? s->divisor >> 8 : s->ier;
  case IIR_FCR:
    v = pending(s);
    if (v == IIR_THRE && !t->debug)
      s->thre = false;
    v |= s->fcr & FCR_ENABLE ? IIR_FIFOS : 0;
    break;
  case LCR:
    return s->lcr;
  case MCR:
    return s->mcr;
  case LSR:
    v = LSR_THRE | LSR_TEMT | s->lsr_errors | (s->count ? LSR_DR : 0);
    if ((s->fcr & FCR_ENABLE) && (s->lsr_errors & LSR_BI))
      v |= LSR_FIFO_ERROR;
    if (!t->debug)
      s->lsr_errors = 0;
    break;
  case MSR:
    v = msr_high(s) | s->msr_delta;
    if (!t->debug)
      s->msr_delta = 0;
    break;
  case SCR:
    return s->scr;
  }
  if (!t->debug)
    update(s);
  return v;
}

static void serial_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct serial *s = dev;
  uint8_t v = (uint8_t)value;
  switch (off) {
  case RBR_THR:
    if (s->lcr & LCR_DLAB)
      s->divisor = (s->divisor & 0xff00) | v;
    else
      write_thr(s, v);
    break;
  case IER:
    if (s->lcr & LCR_DLAB) {
      s->divisor = (uint16_t)((s->divisor & 0xff) | v << 8);
    } else {
      // Enabling the transmitter interrupt while the transmitter is empty raises it (8.5, table IV).
      if (!(s->ier & IER_THRE) && (v & IER_THRE)) {
        s->thre = true;
        timer_cancel(&s->tx);
      }
      s->ier = v & 0x0f;
    }
    break;
  case IIR_FCR:
    write_fcr(s, v);
    break;
  case LCR:
    s->lcr = v;
    break;
  case MCR:
    write_mcr(s, v);
    break;
  case SCR:
    s->scr = v;
    break;
  default: // LSR and MSR: factory test, ignored
    break;
  }
  update(s);
}

static const struct bus_ops serial_ops = {serial_read, serial_write, 1, 1};

void serial_reset(struct serial *s)
{
  timer_cancel(&s->tx);
  timer_cancel(&s->rx);
  s->ier = s->fcr = s->mcr = s->scr = 0;
  s->lcr = 0;
  s->lsr_errors = s->msr_delta = 0;
  s->divisor = 12; // 9600 baud, as a BIOS leaves it
  s->head = s->count = 0;
  s->thre = s->timeout = false;
  s->msr_lines = s->chr ? MSR_CTS | MSR_DSR | MSR_DCD : 0;
  update(s);
}

bool serial_init(struct serial *s, struct bus *bus, struct clock *clock, uint16_t base, struct irq irq,
                 struct chardev *chr, struct err *e)
{
  *s = (struct serial){.bus = bus, .irq = irq, .chr = chr, .user = -1};
  if (chr) {
    struct char_user u = {can_receive, receive, receive_break, s};
    s->user = chardev_attach(chr, &u);
    if (s->user < 0)
      return err_set(e, "character device '%s' is already in use", chr->id ? chr->id : "");
  }
  timer_init(&s->tx, clock, tx_fire, s);
  timer_init(&s->rx, clock, rx_fire, s);
  bus_map_ports(bus, &s->region, "serial", base, 8, &serial_ops, s);
  serial_reset(s);
  return true;
}

void serial_free(struct serial *s)
{
  timer_cancel(&s->tx);
  timer_cancel(&s->rx);
  bus_unmap(s->bus, &s->region);
  if (s->chr)
    chardev_detach(s->chr, s->user);
  free(s->device.id);
  s->device.id = NULL;
}

static void device_reset_serial(struct device *d)
{
  serial_reset(d->self);
}

static void device_free_serial(struct device *d)
{
  struct serial *s = d->self;
  serial_free(s);
  free(s);
}

struct device *serial_create(const struct device_env *env, struct opts *props, struct err *e)
{
  uint64_t index = 0, base = 0, irq = 0;
  const char *name = opts_get(props, "chardev");
  if (!opts_u64(props, "index", &index, e))
    return NULL;
  if (index > 3) {
    err_set(e, "isa-serial: index=%llu is not 0 to 3", (unsigned long long)index);
    return NULL;
  }
  base = serial_com_base[index];
  irq = serial_com_irq[index];
  if (!opts_u64(props, "iobase", &base, e) || !opts_u64(props, "irq", &irq, e))
    return NULL;
  if (base > 0xfff8 || irq > 15) {
    err_set(e, "isa-serial: iobase must be at most 0xfff8 and irq at most 15");
    return NULL;
  }
  struct chardev *chr = name && env->chardev ? env->chardev(env->arg, name) : NULL;
  if (name && !chr) {
    err_set(e, "isa-serial: there is no -chardev with id=%s", name);
    return NULL;
  }
  struct serial *s = calloc(1, sizeof *s);
  if (!s) {
    err_set(e, "out of memory");
    return NULL;
  }
  struct irq line = env->isa_irq ? env->isa_irq(env->arg, (int)irq) : (struct irq){0};
  if (!serial_init(s, env->bus, env->clock, (uint16_t)base, line, chr, e)) {
    free(s);
    return NULL;
  }
  s->device = (struct device){
      .type = "isa-serial", .reset = device_reset_serial, .free = device_free_serial, .self = s};
  return &s->device;
}
