// Keyboard controller; see i8042.h.
//
// Invariant: after every public function the output buffer is filled if anybody has a byte for it, and the
// interrupt lines follow the buffer. Between two bytes a line is low, so that each byte is an edge.
#include "chipset/i8042.h"

#include <string.h>

enum {
  STATUS_FULL = 0x01,
  STATUS_SYSTEM = 0x04,
  STATUS_COMMAND = 0x08,
  STATUS_UNLOCKED = 0x10,
  STATUS_MOUSE = 0x20,

  CB_KEYBOARD_IRQ = 0x01,
  CB_MOUSE_IRQ = 0x02,
  CB_SYSTEM = 0x04,
  CB_KEYBOARD_OFF = 0x10,
  CB_MOUSE_OFF = 0x20,
  CB_TRANSLATE = 0x40,

  OUT_NO_RESET = 0x01,
  OUT_A20 = 0x02,
};

enum { FROM_CONTROLLER, FROM_KEYBOARD, FROM_MOUSE };

static void drive(struct i8042 *k)
{
  bool mouse = k->full && k->source == FROM_MOUSE, keyboard = k->full && !mouse;
  irq_set(&k->irq_keyboard, keyboard && (k->ram[0] & CB_KEYBOARD_IRQ));
  irq_set(&k->irq_mouse, mouse && (k->ram[0] & CB_MOUSE_IRQ));
}

static bool next_byte(struct i8042 *k)
{
  if (k->reply_waits) {
    k->reply_waits = false;
    k->data = k->reply;
    k->source = k->reply_source;
    return true;
  }
  uint8_t v;
  while (!(k->ram[0] & CB_KEYBOARD_OFF) && ps2_get(&k->keyboard.out, &v)) {
    if ((k->ram[0] & CB_TRANSLATE) && !ps2_translate(&k->released, v, &v))
      continue;
    k->data = v;
    k->source = FROM_KEYBOARD;
    return true;
  }
  if (!(k->ram[0] & CB_MOUSE_OFF) && ps2_get(&k->mouse.out, &v)) {
    k->data = v;
    k->source = FROM_MOUSE;
    return true;
  }
  return false;
}

static void update(struct i8042 *k)
{
  if (!k->full)
    k->full = next_byte(k);
  drive(k);
}

static void reply(struct i8042 *k, uint8_t v, uint8_t source)
{
  k->reply = v;
  k->reply_source = source;
  k->reply_waits = true;
}

static void set_outport(struct i8042 *k, uint8_t v)
{
  k->outport = v;
  irq_set(&k->a20, (v & OUT_A20) != 0);
  if (!(v & OUT_NO_RESET))
    irq_pulse(&k->reset);
}

static void set_command_byte(struct i8042 *k, uint8_t v)
{
  k->ram[0] = v;
  if (!(v & CB_TRANSLATE))
    k->released = false;
}

static void command(struct i8042 *k, uint8_t v)
{
  k->command = 0;
  if (v >= 0x20 && v < 0x40) {
    reply(k, k->ram[v - 0x20], FROM_CONTROLLER);
    return;
  }
  if (v >= 0xf0) { // pulse output lines that are 0 in the low bits
    if (!(v & OUT_NO_RESET))
      irq_pulse(&k->reset);
    return;
  }
  switch (v) {
  case 0xa7:
    set_command_byte(k, k->ram[0] | CB_MOUSE_OFF);
    break;
  case 0xa8:
    set_command_byte(k, k->ram[0] & ~CB_MOUSE_OFF);
    break;
  case 0xa9: // test of the mouse's interface: good
  case 0xab: // of the keyboard's
    reply(k, 0x00, FROM_CONTROLLER);
    break;
  case 0xaa: // self-test
    k->self_tested = true;
    set_command_byte(k, k->ram[0] | CB_SYSTEM);
    reply(k, 0x55, FROM_CONTROLLER);
    break;
  case 0xad:
    set_command_byte(k, k->ram[0] | CB_KEYBOARD_OFF);
    break;
  case 0xae:
    set_command_byte(k, k->ram[0] & ~CB_KEYBOARD_OFF);
    break;
  case 0xc0: // input port: not locked
    reply(k, 0x80, FROM_CONTROLLER);
    break;
  case 0xd0:
    reply(k, (uint8_t)(k->outport | (k->full ? k->source == FROM_MOUSE ? 0x20 : 0x10 : 0)), FROM_CONTROLLER);
    break;
  case 0xdd: // A20 off and on in one command
  case 0xdf:
    set_outport(k, (uint8_t)(v == 0xdf ? k->outport | OUT_A20 : k->outport & ~OUT_A20));
    break;
  case 0xe0: // test inputs
    reply(k, 0x00, FROM_CONTROLLER);
    break;
  case 0xd1:
  case 0xd2:
  case 0xd3:
  case 0xd4:
    k->command = v;
    break;
  default:
    if (v >= 0x60 && v < 0x80)
      k->command = v;
    break;
  }
}

static void data(struct i8042 *k, uint8_t v)
{
  uint8_t waiting = k->command;
  k->command = 0;
  switch (waiting) {
  case 0: // sending to the keyboard switches it on
    set_command_byte(k, k->ram[0] & ~CB_KEYBOARD_OFF);
    ps2_keyboard_command(&k->keyboard, v);
    break;
  case 0xd1:
    set_outport(k, v);
    break;
  case 0xd2:
    reply(k, v, FROM_KEYBOARD);
    break;
  case 0xd3:
    reply(k, v, FROM_MOUSE);
    break;
  case 0xd4:
    set_command_byte(k, k->ram[0] & ~CB_MOUSE_OFF);
    ps2_mouse_command(&k->mouse, v);
    break;
  case 0x60:
    set_command_byte(k, v);
    break;
  default: // 61h..7Fh
    k->ram[waiting & 31] = v;
    break;
  }
}

static uint64_t data_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct i8042 *k = dev;
  uint8_t v = k->data;
  k->full = false;
  drive(k);
  update(k);
  return v;
}

static void data_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct i8042 *k = dev;
  k->last_was_command = false;
  data(k, (uint8_t)value);
  update(k);
}

static uint64_t status_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct i8042 *k = dev;
  unsigned v = STATUS_UNLOCKED;
  if (k->full)
    v |= STATUS_FULL | (k->source == FROM_MOUSE ? STATUS_MOUSE : 0);
  if (k->ram[0] & CB_SYSTEM || k->self_tested)
    v |= STATUS_SYSTEM;
  if (k->last_was_command)
    v |= STATUS_COMMAND;
  return v;
}

static void command_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct i8042 *k = dev;
  k->last_was_command = true;
  command(k, (uint8_t)value);
  update(k);
}

static const struct bus_ops data_ops = {.read = data_read, .write = data_write, .max_size = 1};
static const struct bus_ops command_ops = {.read = status_read, .write = command_write, .max_size = 1};

void i8042_init(struct i8042 *k, struct bus *bus, struct irq irq_keyboard, struct irq irq_mouse,
                struct irq a20, struct irq reset)
{
  *k = (struct i8042){.irq_keyboard = irq_keyboard, .irq_mouse = irq_mouse, .a20 = a20, .reset = reset};
  bus_map_ports(bus, &k->data_port, "i8042-data", 0x60, 1, &data_ops, k);
  bus_map_ports(bus, &k->command_port, "i8042-command", 0x64, 1, &command_ops, k);
  i8042_reset(k);
}

void i8042_reset(struct i8042 *k)
{
  ps2_keyboard_reset(&k->keyboard);
  ps2_mouse_reset(&k->mouse);
  memset(k->ram, 0, sizeof k->ram);
  k->ram[0] = CB_KEYBOARD_IRQ | CB_MOUSE_IRQ;
  k->command = 0;
  k->last_was_command = k->self_tested = k->released = k->full = k->reply_waits = false;
  k->data = 0;
  k->outport = 0xc0 | OUT_NO_RESET | OUT_A20;
  irq_set(&k->a20, 1);
  drive(k);
}

bool i8042_key(struct i8042 *k, const char *name, bool down)
{
  bool known = ps2_keyboard_key(&k->keyboard, name, down);
  update(k);
  return known;
}

bool i8042_sendkey(struct i8042 *k, const char *combination)
{
  enum { MOST = 8, NAME = 16 };
  char name[MOST][NAME];
  unsigned n = 0;
  struct ps2_keyboard trial;
  ps2_keyboard_reset(&trial);
  for (const char *p = combination; *p;) {
    size_t len = strcspn(p, "-");
    if (n == MOST || len == 0 || len >= NAME)
      return false;
    memcpy(name[n], p, len);
    name[n][len] = 0;
    if (!ps2_keyboard_key(&trial, name[n], true))
      return false;
    n++;
    p += len;
    if (*p && !*++p)
      return false;
  }
  if (n == 0)
    return false;
  for (unsigned i = 0; i < n; i++)
    i8042_key(k, name[i], true);
  while (n--)
    i8042_key(k, name[n], false);
  return true;
}

void i8042_mouse(struct i8042 *k, int dx, int dy, int dz, uint8_t buttons)
{
  ps2_mouse_move(&k->mouse, dx, dy, dz, buttons);
  update(k);
}
