// See memory.h. Large pieces come from the top of a node, so that low memory stays for what needs it.
#include "host/memory.h"

#include "host/acpi.h"
#include "host/boot.h"
#include "host/print.h"
#include "host/x86.h"

enum { PIECES = 512 };

struct piece {
  uint64_t base, end;
  unsigned node;
};

static struct piece piece[PIECES];
static unsigned pieces;
static uint64_t top;
static const struct acpi *nodes;
static struct lock guard;

static void insert(unsigned at, struct piece p)
{
  if (pieces == PIECES)
    fatal("free memory is in more than %u pieces", PIECES);
  memmove(&piece[at + 1], &piece[at], (pieces - at) * sizeof *piece);
  piece[at] = p;
  pieces++;
}

static void drop(unsigned at)
{
  pieces--;
  memmove(&piece[at], &piece[at + 1], (pieces - at) * sizeof *piece);
}

// Makes [base, end) free, joining it with what is free beside it.
static void give(uint64_t base, uint64_t end, unsigned node)
{
  unsigned at = 0;
  while (at < pieces && piece[at].base < base)
    at++;
  if (at && piece[at - 1].end == base && piece[at - 1].node == node)
    piece[--at].end = end;
  else
    insert(at, (struct piece){base, end, node});
  if (at + 1 < pieces && piece[at].end == piece[at + 1].base && piece[at + 1].node == node) {
    piece[at].end = piece[at + 1].end;
    drop(at + 1);
  }
}

// Takes [base, end) out of what is free, wherever it lies.
static void take(uint64_t base, uint64_t end)
{
  for (unsigned i = 0; i < pieces; i++) {
    struct piece p = piece[i];
    if (end <= p.base || base >= p.end)
      continue;
    drop(i);
    if (end < p.end)
      insert(i, (struct piece){end, p.end, p.node});
    if (base > p.base)
      insert(i, (struct piece){p.base, base, p.node});
    else
      i--;
  }
}

// A range of RAM may lie on several nodes.
static void add(uint64_t base, uint64_t end)
{
  while (base < end) {
    uint64_t part = end;
    for (unsigned i = 0; i < nodes->memory_count; i++) {
      if (nodes->memory[i].base > base && nodes->memory[i].base < part)
        part = nodes->memory[i].base;
      if (nodes->memory[i].end > base && nodes->memory[i].end < part)
        part = nodes->memory[i].end;
    }
    give(base, part, acpi_node_of(nodes, base));
    base = part;
  }
}

void memory_init(const struct boot *b, const struct acpi *a)
{
  extern char image_start[], image_end[];
  nodes = a;
  for (unsigned i = 0; i < b->ram_count; i++) {
    add(b->ram[i].base, b->ram[i].end);
    if (b->ram[i].end > top)
      top = b->ram[i].end;
  }
  take(0, MB);
  take(addr(image_start), ALIGN_UP(addr(image_end), PAGE_SIZE));
  for (unsigned i = 0; i < b->module_count; i++)
    take(ALIGN_DOWN(b->module[i].start, PAGE_SIZE), ALIGN_UP(b->module[i].end, PAGE_SIZE));
}

static uint64_t from_node(unsigned node, uint64_t size, uint64_t align, uint64_t limit)
{
  for (unsigned i = pieces; i-- > 0;) {
    const struct piece *p = &piece[i];
    uint64_t end = limit && limit < p->end ? limit : p->end;
    if (p->node != node || end <= p->base || end - p->base < size)
      continue;
    uint64_t at = ALIGN_DOWN(end - size, align);
    if (at < p->base)
      continue;
    take(at, at + size);
    return at;
  }
  return 0;
}

uint64_t memory_alloc(unsigned node, uint64_t size, uint64_t align, uint64_t limit, bool strict)
{
  size = ALIGN_UP(size, PAGE_SIZE);
  lock(&guard);
  uint64_t pa = from_node(node, size, align, limit);
  for (unsigned n = 0; !pa && !strict && n < nodes->node_count; n++)
    pa = from_node(n, size, align, limit);
  unlock(&guard);
  if (pa)
    memset(ptr(pa), 0, size);
  return pa;
}

void memory_free(uint64_t pa, uint64_t size)
{
  if (!pa)
    return;
  lock(&guard);
  add(pa, pa + ALIGN_UP(size, PAGE_SIZE));
  unlock(&guard);
}

uint64_t memory_left(unsigned node)
{
  uint64_t sum = 0;
  lock(&guard);
  for (unsigned i = 0; i < pieces; i++)
    if (piece[i].node == node)
      sum += piece[i].end - piece[i].base;
  unlock(&guard);
  return sum;
}

uint64_t memory_top(void)
{
  return top;
}
