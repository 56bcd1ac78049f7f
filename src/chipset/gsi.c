// Global system interrupts; see gsi.h.
#include "chipset/gsi.h"

void gsi_init(struct gsi *g)
{
  *g = (struct gsi){0};
}

static void drive(struct gsi *g, unsigned line)
{
  uint32_t level = g->level[line];
  if (g->hpet_legacy && (line == 0 || line == 8))
    level &= ~(1u << GSI_ISA);
  if (line < 16 && line != 2)
    irq_set(&g->pic[line], level != 0);
  // Pin 2 is the timer's; ISA interrupt 2 does not exist, so pin 0 is nobody's.
  if (line != 2)
    irq_set(&g->ioapic[line ? line : 2], level != 0);
}

static void set(void *sink, int pin, int level)
{
  struct gsi *g = sink;
  unsigned line = (unsigned)pin & 31, source = (unsigned)pin >> 5;
  if (line >= GSI_LINES)
    return;
  if (level)
    g->level[line] |= 1u << source;
  else
    g->level[line] &= ~(1u << source);
  drive(g, line);
}

struct irq gsi_line(struct gsi *g, enum gsi_source source, unsigned line)
{
  return (struct irq){.set = set, .sink = g, .pin = (int)(source << 5 | line)};
}

void gsi_set_hpet_legacy(void *sink, int pin, int level)
{
  struct gsi *g = sink;
  g->hpet_legacy = level != 0;
  drive(g, 0);
  drive(g, 8);
}

void gsi_reset(struct gsi *g)
{
  g->hpet_legacy = false;
  for (unsigned line = 0; line < GSI_LINES; line++) {
    g->level[line] = 0;
    drive(g, line);
  }
}
