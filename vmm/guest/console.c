// See console.h.
#include "guest/console.h"

#include "guest/guest.h"
#include "host/print.h"
#include "host/serial.h"

enum { LINE = 256, RING = 256, ESCAPE = 1, ALL = CONFIG_GUESTS };

static struct {
  char text[LINE];
  unsigned len;
} line[CONFIG_GUESTS];

static volatile unsigned shown = ALL; // whose output, or all
static unsigned chosen;               // whose input
static bool escape;
static volatile bool work;
// What the interrupt took and the run loop has not yet seen.
static volatile uint8_t ring[RING];
static volatile unsigned head, tail;

static void show_line(struct guest *g)
{
  unsigned n = g->number;
  if (line[n].len)
    print("%s| %s\n", g->name, line[n].text);
  line[n].len = 0;
}

void console_reset(struct guest *g)
{
  line[g->number].len = 0;
}

void console_end(struct guest *g)
{
  if (line[g->number].len && shown == ALL)
    show_line(g);
}

void console_output(struct guest *g, uint8_t c)
{
  unsigned n = g->number;
  if (g->config->com2) {
    serial_put(COM2, c);
    return;
  }
  if (shown == n) {
    serial_put(COM1, c);
    return;
  }
  if (c == '\n' && !line[n].len && shown == ALL)
    print("%s|\n", g->name);
  else if (c == '\n' || line[n].len == LINE - 1) {
    if (shown == ALL)
      show_line(g);
    line[n].len = 0;
  }
  if (c != '\n' && c != '\r') {
    line[n].text[line[n].len++] = (char)c;
    line[n].text[line[n].len] = 0;
  }
}

void console_input(void)
{
  for (int c; (c = serial_get(COM1)) >= 0;) {
    if (head - tail < RING)
      ring[head++ % RING] = (uint8_t)c;
    work = true;
  }
}

bool console_work(void)
{
  return work;
}

void console_request(void)
{
  work = true;
  cpu_kick(&cpus[0]);
}

static void list(void)
{
  for (unsigned i = 0; i < CONFIG_GUESTS; i++)
    if (guests[i].state != GUEST_NONE)
      guest_show(&guests[i]);
}

static void choose(unsigned n)
{
  if (n != ALL && guests[n].state == GUEST_NONE) {
    print("vmm: there is no guest %u\n", n);
    return;
  }
  if (n != ALL)
    chosen = n;
  print("vmm: console of %s\n", n == ALL ? "all guests" : guests[n].name);
  shown = n;
}

static void key(uint8_t c)
{
  struct guest *g = &guests[chosen];
  bool have = g->state != GUEST_NONE;
  switch (c) {
  case 'l':
    list();
    return;
  case 'a':
    choose(ALL);
    return;
  case 's':
    if (g->state == GUEST_RUNNING)
      guest_pause(g);
    else if (g->state == GUEST_PAUSED)
      guest_continue(g);
    break;
  case 'r':
    if (have)
      guest_reset(g);
    return;
  case 'd':
    if (have)
      guest_destroy(g);
    return;
  case 'x':
    if (have)
      guest_show_exits(g);
    return;
  default:
    if (c >= '0' && c <= '9') {
      choose(c - '0');
      return;
    }
    print("vmm: keys after Ctrl-a: 0 to 9 a guest's console, a all, l list, s stop and go on, r reset, d "
          "destroy, x exits; "
          "Ctrl-a itself for the guest\n");
    return;
  }
  if (have)
    guest_show(g);
}

void console_attend(void)
{
  work = false;
  while (tail != head) {
    uint8_t c = ring[tail++ % RING];
    if (escape) {
      escape = false;
      if (c != ESCAPE) {
        key(c);
        continue;
      }
    } else if (c == ESCAPE) {
      escape = true;
      continue;
    }
    struct guest *g = &guests[chosen];
    if (g->state == GUEST_NONE)
      continue;
    lock(&g->guard);
    guest_input(g, c);
    unlock(&g->guard);
  }
}
