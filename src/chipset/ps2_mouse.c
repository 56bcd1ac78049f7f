// PS/2 mouse; see ps2.h.
#include "chipset/ps2.h"

enum { ACK = 0xfa, NAK = 0xfe };

static void send(struct ps2_mouse *m, uint8_t v)
{
  m->last = v;
  ps2_put(&m->out, v);
}

static void defaults(struct ps2_mouse *m)
{
  m->reporting = m->remote = m->wrap = m->scale2 = false;
  m->resolution = 2;
  m->rate = 100;
  m->command = 0;
  m->dx = m->dy = m->dz = 0;
}

void ps2_mouse_reset(struct ps2_mouse *m)
{
  *m = (struct ps2_mouse){0};
  defaults(m);
}

static int clamp(int v, int most)
{
  return v > most ? most : v < -most ? -most : v;
}

// One movement packet; what does not fit in it stays for the next.
static void packet(struct ps2_mouse *m)
{
  int x = clamp(m->dx, 255), y = clamp(m->dy, 255), z = clamp(m->dz, 7);
  if (ps2_room(&m->out) < 4)
    return;
  m->dx -= x;
  m->dy -= y;
  m->dz -= z;
  m->reported_buttons = m->buttons;
  send(m, (uint8_t)((m->buttons & 7) | 8 | (x < 0 ? 0x10 : 0) | (y < 0 ? 0x20 : 0)));
  send(m, (uint8_t)x);
  send(m, (uint8_t)y);
  if (m->id == 3)
    send(m, (uint8_t)z);
}

void ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int dz, uint8_t buttons)
{
  m->dx = clamp(m->dx + clamp(dx, 4096), 4096);
  m->dy = clamp(m->dy + clamp(dy, 4096), 4096);
  m->dz = m->id == 3 ? clamp(m->dz + clamp(dz, 64), 64) : 0;
  m->buttons = buttons & 7;
  if (!m->reporting || m->remote)
    return;
  while ((m->dx || m->dy || m->dz || m->buttons != m->reported_buttons) && ps2_room(&m->out) >= 16)
    packet(m);
}

static void set_rate(struct ps2_mouse *m, uint8_t v)
{
  if (m->rates[0] == 200 && m->rates[1] == 100 && v == 80)
    m->id = 3; // wheel
  m->rates[0] = m->rates[1];
  m->rates[1] = v;
  m->rate = v;
}

void ps2_mouse_command(struct ps2_mouse *m, uint8_t v)
{
  if (m->wrap && v != 0xec && v != 0xff) {
    send(m, v);
    return;
  }
  if (m->command) {
    if (m->command == 0xe8)
      m->resolution = v & 3;
    else
      set_rate(m, v);
    m->command = 0;
    send(m, ACK);
    return;
  }
  switch (v) {
  case 0xe6:
  case 0xe7:
    m->scale2 = v == 0xe7;
    send(m, ACK);
    break;
  case 0xe8:
  case 0xf3:
    m->command = v;
    send(m, ACK);
    break;
  case 0xe9: // status
    send(m, ACK);
    send(m, (uint8_t)(m->remote << 6 | m->reporting << 5 | m->scale2 << 4 | (m->buttons & 1) << 2 |
                      (m->buttons & 4) >> 1 | (m->buttons & 2) >> 1));
    send(m, m->resolution);
    send(m, m->rate);
    break;
  case 0xea:
    m->remote = false;
    send(m, ACK);
    break;
  case 0xeb: // read data
    send(m, ACK);
    packet(m);
    break;
  case 0xec:
  case 0xee:
    m->wrap = v == 0xee;
    send(m, ACK);
    break;
  case 0xf0:
    m->remote = true;
    send(m, ACK);
    break;
  case 0xf2:
    send(m, ACK);
    send(m, m->id);
    break;
  case 0xf4:
    m->reporting = true;
    m->dx = m->dy = m->dz = 0;
    send(m, ACK);
    break;
  case 0xf5:
    m->reporting = false;
    send(m, ACK);
    break;
  case 0xf6:
    defaults(m);
    send(m, ACK);
    break;
  case 0xfe:
    send(m, m->last);
    break;
  case 0xff:
    m->out.count = 0;
    defaults(m);
    m->id = 0;
    send(m, ACK);
    send(m, 0xaa);
    send(m, 0x00);
    break;
  default:
    send(m, NAK);
    break;
  }
}
