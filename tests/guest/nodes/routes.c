// Each routing table names one connected link for every other node. A route that software breaks is a master
// abort for a device's request, and ones for a configuration read; nothing else is touched, nothing hangs,
// and a route that is put back, or one round about, works. BKDG 31116: F0x40, F0x80, F0x98.
#include "nodes.h"

static unsigned way(unsigned node, unsigned to)
{
  return nb(node, 0, 0x40 + 4 * to) & 0x1ff;
}

static void set_way(unsigned node, unsigned to, unsigned v)
{
  nb_write(node, 0, 0x40 + 4 * to, (nb(node, 0, 0x40 + 4 * to) & ~0x1ffu) | v);
}

static volatile uint32_t *cell_of(unsigned node)
{
  return (volatile uint32_t *)(word)(dram_last(node) - 0x1fffff);
}

static void broken(unsigned from, unsigned to, unsigned v)
{
  struct dma d = dma_of(from), other = dma_of(to);
  volatile uint32_t *cell = cell_of(to), *mine = cell_of(from);
  unsigned was = way(from, to);
  *cell = 0x11111111;
  set_way(from, to, v);
  CHECK_EQ(way(from, to), v);
  CHECK_EQ(dma_write(d, (word)cell, 0x22222222), D_DONE | D_ABORT);
  CHECK_EQ(*cell, 0x11111111);
  d.reg[R_DATA] = 0;
  CHECK_EQ(dma_run(d, D_READ, (word)cell, 4), D_DONE | D_ABORT);
  CHECK_EQ(d.reg[R_DATA], ONES);
  CHECK_EQ(dma_write(d, (word)mine, 0x33333333), D_DONE); // its own node
  CHECK_EQ(*mine, 0x33333333);
  CHECK_EQ(dma_write(other, (word)cell, 0x44444444), D_DONE); // the owner's own device
  CHECK_EQ(*cell, 0x44444444);
  if (from == 0)
    CHECK_EQ(nb(to, 0, 0), ONES); // it cannot be asked either
  set_way(from, to, was);
  CHECK_EQ(dma_write(d, (word)cell, 0x22222222), D_DONE);
  CHECK_EQ(*cell, 0x22222222);
  CHECK_EQ(nb(to, 0, 0x60) & 7, to);
}

// A link of node 0 by which it does not send to `to`, as a way.
static unsigned another_way(unsigned n, unsigned to)
{
  for (unsigned i = 1; i < n; i++)
    if (way(0, i) != way(0, to))
      return way(0, i);
  return 0;
}

static void round_about(unsigned n)
{
  unsigned to = n / 2, was = way(0, to);
  set_way(0, to, another_way(n, to));
  CHECK(way(0, to) != was);
  CHECK_EQ(dma_write(dma_of(0), (word)cell_of(to), 0x55555555), D_DONE);
  CHECK_EQ(*cell_of(to), 0x55555555);
  CHECK_EQ(nb(to, 0, 0x60) & 7, to);
  set_way(0, to, was);
}

// Every other node sends it back towards node 0.
static void circle(unsigned n)
{
  unsigned to = n / 2, was[NODES_MAX];
  *cell_of(to) = 0x66666666;
  for (unsigned i = 0; i < n; i++)
    was[i] = way(i, to);
  for (unsigned i = 1; i < n; i++)
    if (i != to)
      set_way(i, to, way(i, 0));
  set_way(0, to, another_way(n, to));
  CHECK_EQ(nb(to, 0, 0), ONES);
  CHECK_EQ(dma_write(dma_of(0), (word)cell_of(to), 1), D_DONE | D_ABORT);
  CHECK_EQ(*cell_of(to), 0x66666666);
  for (unsigned i = 0; i < n; i++)
    if (i != to)
      set_way(i, to, was[i]);
  CHECK_EQ(nb(to, 0, 0x60) & 7, to);
}

void test(void)
{
  // Nowhere, itself, the I/O chain, no such link, all of them.
  static const unsigned ways[] = {0, 1, 2, 0x180, 0x1ff};
  unsigned n = nodes();
  allow_extended();
  for (unsigned from = 0; from < n; from++)
    for (unsigned to = 0; to < NODES_MAX; to++) {
      uint32_t v = nb(from, 0, 0x40 + 4 * to);
      unsigned w = v & 0x1ff;
      CHECK(w && !(w & (w - 1)));
      CHECK_EQ(v >> 9 & 0x1ff, w); // responses go the same way
      if (to == from || to >= n) {
        CHECK_EQ(w, 1);
        continue;
      }
      unsigned link = (unsigned)__builtin_ctz(w) - 1;
      CHECK(link < 4);
      CHECK_EQ(nb(from, 0, 0x98 + 0x20 * link) & 7, 3); // connected, initialised, coherent
    }
  for (unsigned i = 0; n > 1 && i < sizeof ways / sizeof ways[0]; i++) {
    broken(0, n - 1, ways[i]);
    broken(n - 1, n / 2 == n - 1 ? 0 : n / 2, ways[i]);
  }
  if (n > 2) {
    round_about(n);
    circle(n);
  }
}
