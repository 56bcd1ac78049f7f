// The 16550 of kvmclient: registers, FIFO mode as Linux's driver expects it, the interrupt. PC16550D data
// sheet.
//
// Transmission takes no time: THR is always empty. Output is written out in lines.
#ifndef KVMSERIAL_H
#define KVMSERIAL_H

#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

struct serial {
  uint8_t ier, lcr, mcr, scr, fcr, dll, dlm;
  bool thre; // "transmitter empty" waits to be told
  uint8_t in[256];
  uint8_t in_head, in_tail;
  uint8_t out[256];
  unsigned out_count;
  bool level;
  void (*irq)(void *of, bool level);
  void *of;
};

static void serial_init(struct serial *s, void (*irq)(void *of, bool level), void *of)
{
  *s = (struct serial){.dll = 1, .irq = irq, .of = of};
}

static void serial_flush(struct serial *s)
{
  for (unsigned at = 0; at < s->out_count;) {
    ssize_t n = write(1, s->out + at, s->out_count - at);
    if (n <= 0)
      break;
    at += n;
  }
  s->out_count = 0;
}

static void serial_put(struct serial *s, uint8_t byte)
{
  s->out[s->out_count++] = byte;
  if (byte == '\n' || s->out_count == sizeof s->out)
    serial_flush(s);
}

static bool serial_ready(const struct serial *s)
{
  return s->in_head != s->in_tail;
}

// Interrupt identification, in order of priority.
static uint8_t serial_iir(const struct serial *s)
{
  if ((s->ier & 1) && serial_ready(s))
    return 4;
  if ((s->ier & 2) && s->thre)
    return 2;
  return 1;
}

static void serial_update(struct serial *s)
{
  bool level = serial_iir(s) != 1;
  if (level != s->level) {
    s->level = level;
    s->irq(s->of, level);
  }
}

static void serial_receive(struct serial *s, uint8_t byte)
{
  if ((uint8_t)(s->in_head + 1) != s->in_tail)
    s->in[s->in_head++] = byte;
  serial_update(s);
}

static uint8_t serial_read(struct serial *s, unsigned reg)
{
  uint8_t v = 0;
  switch (reg) {
  case 0:
    if (s->lcr & 0x80)
      return s->dll;
    if (serial_ready(s))
      v = s->in[s->in_tail++];
    break;
  case 1:
    return s->lcr & 0x80 ? s->dlm : s->ier;
  case 2:
    v = serial_iir(s);
    if (v == 2)
      s->thre = false;
    v |= s->fcr & 1 ? 0xc0 : 0;
    break;
  case 3:
    return s->lcr;
  case 4:
    return s->mcr;
  case 5:
    return 0x60 | serial_ready(s);
  case 6: // loopback: the outputs come back; else DCD, DSR and CTS are on
    return s->mcr & 0x10 ? (s->mcr & 1) << 5 | (s->mcr & 2) << 3 | (s->mcr & 0xc) << 4 : 0xb0;
  default:
    return s->scr;
  }
  serial_update(s);
  return v;
}

static void serial_write(struct serial *s, unsigned reg, uint8_t value)
{
  switch (reg) {
  case 0:
    if (s->lcr & 0x80) {
      s->dll = value;
      return;
    }
    if (!(s->mcr & 0x10))
      serial_put(s, value);
    // A new interrupt for each write: the line goes down and up again, for controllers that look at edges.
    s->thre = false;
    serial_update(s);
    s->thre = true;
    break;
  case 1:
    if (s->lcr & 0x80) {
      s->dlm = value;
      return;
    }
    if ((value & 2) && !(s->ier & 2))
      s->thre = true;
    if (!(value & 2) && s->out_count) // the driver has nothing more to send: a prompt without a newline
      serial_flush(s);
    s->ier = value & 15;
    break;
  case 2:
    s->fcr = value;
    if (value & 2)
      s->in_tail = s->in_head;
    break;
  case 3:
    s->lcr = value;
    break;
  case 4:
    s->mcr = value;
    break;
  case 7:
    s->scr = value;
    break;
  }
  serial_update(s);
}

#endif
