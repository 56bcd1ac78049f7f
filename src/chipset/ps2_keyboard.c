// PS/2 keyboard; see ps2.h. Scan codes: IBM PS/2 hardware interface technical reference.
#include <string.h>

#include "chipset/ps2.h"

enum { ACK = 0xfa, RESEND = 0xfe, SELF_TEST_GOOD = 0xaa, RELEASE = 0xf0, EXTENDED = 0xe0 };

struct key {
  const char *name;
  uint16_t code; // set 2; E000h: with the prefix E0h
};

static const struct key keys[] = {
    {"shift", 0x12},
    {"shift_r", 0x59},
    {"alt", 0x11},
    {"alt_r", 0xe011},
    {"ctrl", 0x14},
    {"ctrl_r", 0xe014},
    {"menu", 0xe02f},
    {"compose", 0xe02f},
    {"meta_l", 0xe01f},
    {"meta_r", 0xe027},
    {"esc", 0x76},
    {"1", 0x16},
    {"2", 0x1e},
    {"3", 0x26},
    {"4", 0x25},
    {"5", 0x2e},
    {"6", 0x36},
    {"7", 0x3d},
    {"8", 0x3e},
    {"9", 0x46},
    {"0", 0x45},
    {"minus", 0x4e},
    {"equal", 0x55},
    {"backspace", 0x66},
    {"tab", 0x0d},
    {"q", 0x15},
    {"w", 0x1d},
    {"e", 0x24},
    {"r", 0x2d},
    {"t", 0x2c},
    {"y", 0x35},
    {"u", 0x3c},
    {"i", 0x43},
    {"o", 0x44},
    {"p", 0x4d},
    {"bracket_left", 0x54},
    {"bracket_right", 0x5b},
    {"ret", 0x5a},
    {"a", 0x1c},
    {"s", 0x1b},
    {"d", 0x23},
    {"f", 0x2b},
    {"g", 0x34},
    {"h", 0x33},
    {"j", 0x3b},
    {"k", 0x42},
    {"l", 0x4b},
    {"semicolon", 0x4c},
    {"apostrophe", 0x52},
    {"grave_accent", 0x0e},
    {"backslash", 0x5d},
    {"z", 0x1a},
    {"x", 0x22},
    {"c", 0x21},
    {"v", 0x2a},
    {"b", 0x32},
    {"n", 0x31},
    {"m", 0x3a},
    {"comma", 0x41},
    {"dot", 0x49},
    {"slash", 0x4a},
    {"spc", 0x29},
    {"caps_lock", 0x58},
    {"f1", 0x05},
    {"f2", 0x06},
    {"f3", 0x04},
    {"f4", 0x0c},
    {"f5", 0x03},
    {"f6", 0x0b},
    {"f7", 0x83},
    {"f8", 0x0a},
    {"f9", 0x01},
    {"f10", 0x09},
    {"f11", 0x78},
    {"f12", 0x07},
    {"num_lock", 0x77},
    {"scroll_lock", 0x7e},
    {"kp_divide", 0xe04a},
    {"kp_multiply", 0x7c},
    {"asterisk", 0x7c},
    {"kp_subtract", 0x7b},
    {"kp_add", 0x79},
    {"kp_enter", 0xe05a},
    {"kp_decimal", 0x71},
    {"sysrq", 0x84},
    {"kp_0", 0x70},
    {"kp_1", 0x69},
    {"kp_2", 0x72},
    {"kp_3", 0x7a},
    {"kp_4", 0x6b},
    {"kp_5", 0x73},
    {"kp_6", 0x74},
    {"kp_7", 0x6c},
    {"kp_8", 0x75},
    {"kp_9", 0x7d},
    {"less", 0x61},
    {"print", 0xe07c},
    {"home", 0xe06c},
    {"pgup", 0xe07d},
    {"pgdn", 0xe07a},
    {"end", 0xe069},
    {"left", 0xe06b},
    {"up", 0xe075},
    {"down", 0xe072},
    {"right", 0xe074},
    {"insert", 0xe070},
    {"delete", 0xe071},
};

// Set 2 to set 1, as the 8042 in the keyboard controller does it.
static const uint8_t to_set1[128] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

bool ps2_translate(bool *released, uint8_t in, uint8_t *out)
{
  if (in == RELEASE) {
    *released = true;
    return false;
  }
  uint8_t v = in < 0x80 ? to_set1[in] : in == 0x83 ? 0x41 : in == 0x84 ? 0x54 : in;
  // Prefixes and answers are not keys: no release bit belongs to them.
  *out = *released ? v | 0x80 : v;
  if (in != EXTENDED)
    *released = false;
  return true;
}

static void send(struct ps2_keyboard *k, uint8_t v)
{
  k->last = v;
  ps2_put(&k->out, v);
}

static void defaults(struct ps2_keyboard *k)
{
  k->set = 2;
  k->command = 0;
  k->leds = 0;
}

void ps2_keyboard_reset(struct ps2_keyboard *k)
{
  *k = (struct ps2_keyboard){.scanning = true};
  defaults(k);
}

static void argument(struct ps2_keyboard *k, uint8_t v)
{
  uint8_t command = k->command;
  k->command = 0;
  switch (command) {
  case 0xed: // LEDs
    k->leds = v & 7;
    send(k, ACK);
    break;
  case 0xf0: // scan code set: 0 asks
    if (v > 2) {
      send(k, RESEND);
      break;
    }
    send(k, ACK);
    if (v == 0)
      send(k, k->set);
    else
      k->set = v;
    break;
  default: // typematic rate: keys here do not repeat by themselves
    send(k, ACK);
    break;
  }
}

void ps2_keyboard_command(struct ps2_keyboard *k, uint8_t v)
{
  if (k->command && v < 0xed) {
    argument(k, v);
    return;
  }
  k->command = 0;
  switch (v) {
  case 0xed:
  case 0xf0:
  case 0xf3:
    k->command = v;
    send(k, ACK);
    break;
  case 0xee: // echo
    send(k, 0xee);
    break;
  case 0xf2: // identify
    send(k, ACK);
    send(k, 0xab);
    send(k, 0x83);
    break;
  case 0xf4:
  case 0xf5:
  case 0xf6:
    k->out.count = 0;
    if (v != 0xf4)
      defaults(k);
    k->scanning = v != 0xf5;
    send(k, ACK);
    break;
  case 0xfe:
    send(k, k->last);
    break;
  case 0xff:
    k->out.count = 0;
    defaults(k);
    k->scanning = true;
    send(k, ACK);
    send(k, SELF_TEST_GOOD);
    break;
  default:
    send(k, RESEND);
    break;
  }
}

// A scan code goes out whole or not at all.
static void scan(struct ps2_keyboard *k, const uint8_t *code, unsigned n)
{
  if (ps2_room(&k->out) < n)
    return;
  bool released = false;
  for (unsigned i = 0; i < n; i++) {
    uint8_t v = code[i];
    if (k->set == 2 || ps2_translate(&released, code[i], &v))
      send(k, v);
  }
}

bool ps2_keyboard_key(struct ps2_keyboard *k, const char *name, bool down)
{
  static const uint8_t pause[] = {0xe1, 0x14, 0x77, 0xe1, RELEASE, 0x14, RELEASE, 0x77};
  if (strcmp(name, "pause") == 0) {
    if (down && k->scanning)
      scan(k, pause, sizeof pause);
    return true;
  }
  for (unsigned i = 0; i < sizeof keys / sizeof *keys; i++) {
    if (strcmp(keys[i].name, name) != 0)
      continue;
    uint8_t code[3];
    unsigned n = 0;
    if (keys[i].code >> 8)
      code[n++] = EXTENDED;
    if (!down)
      code[n++] = RELEASE;
    code[n++] = (uint8_t)keys[i].code;
    if (k->scanning)
      scan(k, code, n);
    return true;
  }
  return false;
}
