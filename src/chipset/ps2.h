// PS/2 keyboard and mouse: devices that take command bytes and queue up answer bytes for the keyboard
// controller. The keyboard speaks scan code set 2 (and set 1 on request), the mouse is a PS/2 mouse that
// turns into a wheel mouse by the known sequence of sample rates.
#ifndef CHIPSET_PS2_H
#define CHIPSET_PS2_H

#include <stdbool.h>
#include <stdint.h>

enum { PS2_QUEUE = 256 };

struct ps2_queue {
  uint8_t byte[PS2_QUEUE];
  unsigned head, count;
};

bool ps2_put(struct ps2_queue *q, uint8_t v); // false: full, dropped
bool ps2_get(struct ps2_queue *q, uint8_t *v);
static inline unsigned ps2_room(const struct ps2_queue *q)
{
  return PS2_QUEUE - q->count;
}

struct ps2_keyboard {
  struct ps2_queue out;
  bool scanning;
  uint8_t set;     // scan code set: 1 or 2
  uint8_t command; // that waits for its argument, 0: none
  uint8_t last;    // byte sent, for "resend"
  uint8_t leds;
};

void ps2_keyboard_reset(struct ps2_keyboard *k);
void ps2_keyboard_command(struct ps2_keyboard *k, uint8_t v);
// A key by its name in the monitor's sendkey command ("a", "ret", "ctrl", "f1" ...). False: no such name.
bool ps2_keyboard_key(struct ps2_keyboard *k, const char *name, bool down);
// Translation of one byte from set 2 to set 1. *released is the state: an F0h has been seen. False: the
// byte was a prefix that is swallowed.
bool ps2_translate(bool *released, uint8_t in, uint8_t *out);

struct ps2_mouse {
  struct ps2_queue out;
  bool reporting, remote, wrap, scale2;
  uint8_t resolution, rate, id;
  uint8_t rates[2]; // the last two rates, for the wheel sequence
  uint8_t command, last;
  int dx, dy, dz; // movement not reported yet
  uint8_t buttons, reported_buttons;
};

void ps2_mouse_reset(struct ps2_mouse *m);
void ps2_mouse_command(struct ps2_mouse *m, uint8_t v);
// Movement right, up, wheel down; buttons: 1 left, 2 right, 4 middle.
void ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int dz, uint8_t buttons);

#endif
