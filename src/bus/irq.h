// An interrupt line: a wire with a level, from a source to a sink.
#ifndef BUS_IRQ_H
#define BUS_IRQ_H

#include <stddef.h>

struct irq {
  void (*set)(void *sink, int pin, int level); // level 0 or 1; called with repeated levels too
  void *sink;
  int pin;
};

// A line that is not connected (set == NULL) may be driven.
static inline void irq_set(const struct irq *line, int level)
{
  if (line->set)
    line->set(line->sink, line->pin, level);
}

static inline void irq_pulse(const struct irq *line)
{
  irq_set(line, 1);
  irq_set(line, 0);
}

#endif
