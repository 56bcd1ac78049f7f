// See vpic.h. Fixed priorities; the second chip hangs on line 2 of the first.
#include "vdev/vpic.h"

#include "svm/vcpu.h"

enum { ICW1 = 0x10, ICW4_NEEDED = 1, OCW3 = 0x08, CASCADE = 1 << 2 };

// The line to be served: the lowest that waits, is not masked, and below any that is being served.
static int serve(const struct vpic_chip *c)
{
  uint8_t waiting = c->irr & (uint8_t)~c->imr;
  if (!waiting)
    return -1;
  int line = __builtin_ctz(waiting);
  return c->isr && __builtin_ctz(c->isr) <= line ? -1 : line;
}

static void update(struct guest *g)
{
  struct vpic_chip *first = &g->pic.chip[0];
  if (serve(&g->pic.chip[1]) >= 0)
    first->irr |= CASCADE;
  else
    first->irr &= (uint8_t)~CASCADE;
  bool output = serve(first) >= 0;
  if (output && !g->pic.output && g->vcpu_count)
    vcpu_wake(g->vcpu[0]);
  g->pic.output = output;
}

void vpic_reset(struct guest *g)
{
  g->pic = (struct vpic){.chip = {{.base = 8, .imr = 0xff}, {.base = 0x70, .imr = 0xff}}};
}

void vpic_line(struct guest *g, unsigned line, bool level)
{
  struct vpic_chip *c = &g->pic.chip[line / 8];
  uint8_t bit = (uint8_t)(1 << line % 8);
  if (level && (!(c->lines & bit) || c->elcr & bit))
    c->irr |= bit;
  if (!level && c->elcr & bit)
    c->irr &= (uint8_t)~bit;
  c->lines = level ? c->lines | bit : c->lines & (uint8_t)~bit;
  update(g);
}

static uint8_t acknowledge(struct vpic_chip *c, int line)
{
  uint8_t bit = (uint8_t)(1 << line);
  if (!(c->elcr & bit))
    c->irr &= (uint8_t)~bit;
  if (!c->auto_eoi)
    c->isr |= bit;
  return (uint8_t)(c->base + line);
}

uint8_t vpic_acknowledge(struct guest *g)
{
  struct vpic_chip *first = &g->pic.chip[0], *second = &g->pic.chip[1];
  int line = serve(first), line2 = serve(second);
  uint8_t vector = (uint8_t)(first->base + 7); // nobody: spurious
  if (line >= 0) {
    vector = acknowledge(first, line);
    if (line == 2)
      vector = line2 < 0 ? (uint8_t)(second->base + 7) : acknowledge(second, line2);
  }
  update(g);
  return vector;
}

static void end(struct guest *g, unsigned chip, unsigned line)
{
  struct vpic_chip *c = &g->pic.chip[chip];
  c->isr &= (uint8_t) ~(1 << line);
  if (c->lines & c->elcr & 1 << line)
    c->irr |= (uint8_t)(1 << line);
}

static void command(struct guest *g, unsigned chip, uint8_t value)
{
  struct vpic_chip *c = &g->pic.chip[chip];
  if (value & ICW1) {
    uint8_t lines = c->lines, elcr = c->elcr;
    *c = (struct vpic_chip){.lines = lines, .elcr = elcr, .icw = 2, .wants_icw4 = value & ICW4_NEEDED};
  } else if (value & OCW3) {
    c->poll = value & 4;
    if (value & 2)
      c->read_isr = value & 1;
  } else if (value & 0x20) { // end of interrupt, specific or of the highest
    if (value & 0x40)
      end(g, chip, value & 7);
    else if (c->isr)
      end(g, chip, (unsigned)__builtin_ctz(c->isr));
  }
}

static void data(struct vpic_chip *c, uint8_t value)
{
  switch (c->icw) {
  case 2:
    c->base = value & 0xf8;
    c->icw = 3;
    break;
  case 3:
    c->icw = c->wants_icw4 ? 4 : 0;
    break;
  case 4:
    c->auto_eoi = value & 2;
    c->icw = 0;
    break;
  default:
    c->imr = value;
  }
}

void vpic_write(struct guest *g, uint16_t port, uint8_t value)
{
  if (port >= 0x4d0) {
    g->pic.chip[port & 1].elcr = value & (port & 1 ? 0xde : 0xf8);
  } else {
    unsigned chip = port >= 0xa0;
    if (port & 1)
      data(&g->pic.chip[chip], value);
    else
      command(g, chip, value);
  }
  update(g);
}

uint8_t vpic_read(struct guest *g, uint16_t port)
{
  if (port >= 0x4d0)
    return g->pic.chip[port & 1].elcr;
  struct vpic_chip *c = &g->pic.chip[port >= 0xa0];
  if (port & 1)
    return c->imr;
  if (c->poll) {
    c->poll = false;
    int line = serve(c);
    if (line < 0)
      return 0;
    acknowledge(c, line);
    update(g);
    return (uint8_t)(0x80 | line);
  }
  return c->read_isr ? c->isr : c->irr;
}
