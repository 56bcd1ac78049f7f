// See vioapic.h.
#include "vdev/vioapic.h"

#include "guest/guest.h"

enum {
  MASKED = 1 << 16,
  LEVEL = 1 << 15,
  REMOTE_IRR = 1 << 14,
  LOGICAL = 1 << 11,
  ID = 0,
  VERSION = 1,
  ARBITRATION = 2,
  TABLE = 0x10
};

void vioapic_reset(struct guest *g)
{
  g->ioapic = (struct vioapic){0};
  for (unsigned i = 0; i < IOAPIC_PINS; i++)
    g->ioapic.entry[i] = MASKED;
}

static void send(struct guest *g, unsigned pin)
{
  uint64_t *e = &g->ioapic.entry[pin];
  if (*e & MASKED || (*e & LEVEL && *e & REMOTE_IRR))
    return;
  if (*e & LEVEL)
    *e |= REMOTE_IRR;
  vlapic_message(g, *e >> 8 & 7, (uint8_t)*e, (uint8_t)(*e >> 56), *e & LOGICAL, *e & LEVEL);
}

static void set_pin(struct guest *g, unsigned pin, bool level)
{
  struct vioapic *a = &g->ioapic;
  bool was = a->lines >> pin & 1;
  a->lines = (a->lines & ~(1u << pin)) | (uint32_t)level << pin;
  if (level && (!was || a->entry[pin] & LEVEL))
    send(g, pin);
}

void guest_line(struct guest *g, unsigned line, bool level)
{
  if (line < 16)
    vpic_line(g, line, level);
  set_pin(g, line ? line : 2, level);
}

void vioapic_eoi(struct guest *g, uint8_t vector)
{
  for (unsigned i = 0; i < IOAPIC_PINS; i++) {
    uint64_t *e = &g->ioapic.entry[i];
    if ((uint8_t)*e != vector || !(*e & LEVEL))
      continue;
    *e &= ~(uint64_t)REMOTE_IRR;
    assign_eoi(g, i);
    if (g->ioapic.lines >> i & 1)
      send(g, i);
  }
}

uint32_t vioapic_read(struct guest *g, uint32_t offset)
{
  const struct vioapic *a = &g->ioapic;
  if (offset == 0)
    return a->select;
  if (offset != 0x10)
    return 0;
  if (a->select == ID)
    return a->id;
  if (a->select == ARBITRATION)
    return a->id;
  if (a->select == VERSION)
    return 0x11 | (IOAPIC_PINS - 1) << 16;
  unsigned pin = (a->select - TABLE) / 2;
  if (a->select < TABLE || pin >= IOAPIC_PINS)
    return 0;
  return (uint32_t)(a->entry[pin] >> (a->select & 1 ? 32 : 0));
}

void vioapic_write(struct guest *g, uint32_t offset, uint32_t value)
{
  struct vioapic *a = &g->ioapic;
  if (offset == 0) {
    a->select = value & 0xff;
    return;
  }
  if (offset != 0x10)
    return;
  if (a->select == ID) {
    a->id = value & 0x0f000000;
    return;
  }
  unsigned pin = (a->select - TABLE) / 2;
  if (a->select < TABLE || pin >= IOAPIC_PINS)
    return;
  uint64_t *e = &a->entry[pin];
  if (a->select & 1)
    *e = (*e & UINT32_MAX) | (uint64_t)(value & 0xff000000) << 32;
  else
    *e = (*e & ~0xffffffffull) | (value & 0x1afff) | (*e & REMOTE_IRR);
  if (!(*e & LEVEL))
    *e &= ~(uint64_t)REMOTE_IRR;
  if (*e & LEVEL && a->lines >> pin & 1)
    send(g, pin);
}
