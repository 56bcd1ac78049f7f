// Two 8259A interrupt controllers; see pic.h.
//
// Invariant: after every public function the slave's output is on the master's input 2, and the
// master's is on the INTR line.
#include "chipset/pic.h"

enum { CASCADE = 2 };

static unsigned rank(const struct pic_chip *c, unsigned input)
{
  return (input - c->lowest - 1) & 7;
}

// The input of a set with the highest priority, or -1.
static int highest(const struct pic_chip *c, uint8_t set)
{
  for (unsigned i = 0; i < 8; i++) {
    unsigned input = (c->lowest + 1 + i) & 7;
    if (set & (1u << input))
      return (int)input;
  }
  return -1;
}

// The input that asks for service and is not held back by one in service, or -1.
static int request(const struct pic_chip *c, bool master)
{
  // In special mask mode every input that is not masked and not in service itself may interrupt.
  if (c->special_mask)
    return highest(c, c->irr & ~c->imr & ~c->isr);
  int input = highest(c, c->irr & ~c->imr);
  if (input < 0)
    return -1;
  uint8_t service = c->isr;
  // Special fully nested: the slave may interrupt its own service with something more urgent.
  if (master && c->nested && input == CASCADE)
    service &= (uint8_t) ~(1u << CASCADE);
  int busy = highest(c, service);
  return busy >= 0 && rank(c, (unsigned)busy) <= rank(c, (unsigned)input) ? -1 : input;
}

static void set_input(struct pic_chip *c, unsigned input, bool level)
{
  uint8_t bit = (uint8_t)(1u << input);
  if (c->elcr & bit) {
    c->irr = (uint8_t)(level ? c->irr | bit : c->irr & ~bit);
  } else if (level && !(c->lines & bit)) {
    c->irr |= bit;
  }
  c->lines = (uint8_t)(level ? c->lines | bit : c->lines & ~bit);
}

static void update(struct pic *p)
{
  struct pic_chip *master = &p->chip[0];
  bool slave = request(&p->chip[1], false) >= 0;
  // The slave's output stays as long as it has a request, so the request follows the level.
  uint8_t bit = 1u << CASCADE;
  master->irr = (uint8_t)(slave ? master->irr | bit : master->irr & ~bit);
  int level = request(master, true) >= 0;
  if (level != p->intr_level) {
    p->intr_level = level;
    irq_set(&p->intr, level);
  }
}

void pic_set(void *pic, int line, int level)
{
  struct pic *p = pic;
  if (line < 0 || line > 15 || line == CASCADE)
    return;
  set_input(&p->chip[line >> 3], (unsigned)line & 7, level != 0);
  update(p);
}

// Takes a request into service.
static void acknowledge(struct pic_chip *c, unsigned input)
{
  uint8_t bit = (uint8_t)(1u << input);
  if (c->auto_eoi) {
    if (c->rotate_aeoi)
      c->lowest = (uint8_t)input;
  } else {
    c->isr |= bit;
  }
  if (!(c->elcr & bit))
    c->irr &= (uint8_t)~bit;
}

static int take(struct pic *p, unsigned chip)
{
  struct pic_chip *c = &p->chip[chip];
  int input = request(c, chip == 0);
  if (input >= 0)
    acknowledge(c, (unsigned)input);
  return input;
}

int pic_intack(struct pic *p)
{
  int input = take(p, 0), vector;
  if (input == CASCADE && !p->chip[0].single) {
    int second = take(p, 1);
    vector = p->chip[1].base + (second < 0 ? 7 : second);
  } else {
    vector = p->chip[0].base + (input < 0 ? 7 : input);
  }
  update(p);
  return vector;
}

static void icw1(struct pic_chip *c, uint8_t v)
{
  c->irr &= c->elcr & c->lines; // edges are forgotten
  c->imr = 0;
  c->isr = 0;
  c->lowest = 7;
  c->special_mask = c->read_isr = c->poll = false;
  c->auto_eoi = c->rotate_aeoi = c->nested = false;
  c->need_icw4 = v & 1;
  c->single = v & 2;
  c->icw = 2;
}

static void ocw2(struct pic_chip *c, uint8_t v)
{
  uint8_t service = c->special_mask ? c->isr & ~c->imr : c->isr;
  int input = v & 7;
  switch (v >> 5) {
  case 0: // rotate in automatic EOI mode: clear
    c->rotate_aeoi = false;
    break;
  case 1: // non-specific EOI
  case 5: // and rotate
    input = highest(c, service);
    if (input >= 0) {
      c->isr &= (uint8_t) ~(1u << input);
      if (v >> 5 == 5)
        c->lowest = (uint8_t)input;
    }
    break;
  case 3: // specific EOI
    c->isr &= (uint8_t) ~(1u << input);
    break;
  case 4: // rotate in automatic EOI mode: set
    c->rotate_aeoi = true;
    break;
  case 6: // set priority
    c->lowest = (uint8_t)input;
    break;
  case 7: // rotate on specific EOI
    c->isr &= (uint8_t) ~(1u << input);
    c->lowest = (uint8_t)input;
    break;
  default: // 2: no operation
    break;
  }
}

static void ocw3(struct pic_chip *c, uint8_t v)
{
  if (v & 0x40)
    c->special_mask = v & 0x20;
  c->poll = v & 4;
  if (v & 2)
    c->read_isr = v & 1;
}

static void pic_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct pic *p = dev;
  struct pic_chip *c = &p->chip[t->addr >= 0xa0];
  uint8_t v = (uint8_t)value;
  if (off == 0) {
    if (v & 0x10)
      icw1(c, v);
    else if (v & 8)
      ocw3(c, v);
    else
      ocw2(c, v);
  } else if (c->icw == 2) {
    c->base = v & 0xf8;
    c->icw = !c->single ? 3 : c->need_icw4 ? 4 : 0;
  } else if (c->icw == 3) { // who is cascaded where is wired
    c->icw = c->need_icw4 ? 4 : 0;
  } else if (c->icw == 4) {
    c->auto_eoi = v & 2;
    c->nested = v & 0x10;
    c->icw = 0;
  } else {
    c->imr = v;
  }
  update(p);
}

static uint64_t pic_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct pic *p = dev;
  unsigned chip = t->addr >= 0xa0;
  struct pic_chip *c = &p->chip[chip];
  if (c->poll) { // the read is the acknowledge
    c->poll = false;
    int input = take(p, chip);
    update(p);
    return input < 0 ? 0 : 0x80u | (unsigned)input;
  }
  if (off == 1)
    return c->imr;
  return c->read_isr ? c->isr : c->irr;
}

static uint64_t elcr_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  return ((struct pic *)dev)->chip[off].elcr;
}

static void elcr_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct pic *p = dev;
  struct pic_chip *c = &p->chip[off];
  uint8_t was = c->elcr;
  c->elcr = (uint8_t)value & (off ? 0xde : 0xf8); // timer, keyboard, cascade, RTC and FPU are edges
  uint8_t now_level = c->elcr & ~was;
  c->irr = (uint8_t)((c->irr & ~now_level) | (c->lines & now_level));
  c->irr &= (uint8_t) ~(was & ~c->elcr); // a level is no edge
  update(p);
}

static const struct bus_ops pic_ops = {.read = pic_read, .write = pic_write, .max_size = 1};
static const struct bus_ops elcr_ops = {.read = elcr_read, .write = elcr_write, .max_size = 1};

void pic_init(struct pic *p, struct bus *bus, struct irq intr)
{
  *p = (struct pic){.intr = intr};
  bus_map_ports(bus, &p->ports[0], "pic0", 0x20, 2, &pic_ops, p);
  bus_map_ports(bus, &p->ports[1], "pic1", 0xa0, 2, &pic_ops, p);
  bus_map_ports(bus, &p->elcr_ports, "elcr", 0x4d0, 2, &elcr_ops, p);
  pic_reset(p);
}

void pic_reset(struct pic *p)
{
  for (unsigned i = 0; i < 2; i++) {
    uint8_t lines = p->chip[i].lines; // the wires keep what their sources drive
    p->chip[i] = (struct pic_chip){.lines = lines, .lowest = 7, .imr = 0xff};
  }
  p->intr_level = 1; // so that the line is driven low
  update(p);
}
