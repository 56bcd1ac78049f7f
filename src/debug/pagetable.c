// Walks the whole tree of page tables; see pagetable.h. APM2 chapter 5.
#include "debug/pagetable.h"

#include "cpu/cpu.h"

enum { P = 1, RW = 2, US = 4, PS = 0x80 };

struct range {
  FILE *out;
  struct cpu *c;
  uint64_t start, end; // of the range that is growing
  uint32_t rights;
  uint64_t lines;
};

#define LINES_MAX 100000 // a guest's tables may loop; what they can show is bounded

static uint64_t entry(struct cpu *c, uint64_t pa, unsigned size)
{
  struct txn t = {.addr = pa & c->phys_mask,
                  .size = size,
                  .requester = TXN_FROM_CPU + c->index,
                  .kind = TXN_READ,
                  .space = TXN_MEM,
                  .debug = true};
  uint64_t v;
  return bus_access(c->bus, &t, &v) == TXN_OK ? v : 0;
}

static void flush(struct range *r)
{
  if (r->start == r->end || r->lines >= LINES_MAX)
    return;
  r->lines++;
  int w = cpu_long(r->c) ? 16 : 8;
  fprintf(r->out, "%0*llx-%0*llx %0*llx %c%c%c\n", w, (unsigned long long)r->start, w,
          (unsigned long long)r->end, w, (unsigned long long)(r->end - r->start), r->rights & US ? 'u' : '-',
          'r', r->rights & RW ? 'w' : '-');
}

static void leaf(struct range *r, uint64_t la, uint64_t size, uint32_t rights)
{
  if (la == r->end && rights == r->rights && r->start != r->end) {
    r->end += size;
    return;
  }
  flush(r);
  *r = (struct range){r->out, r->c, la, la + size, rights, r->lines};
}

// A table of 512 entries of 8 bytes; shift: log2 of what an entry maps.
static void walk8(struct range *r, uint64_t table, uint64_t la, unsigned shift, uint32_t rights)
{
  for (uint64_t i = 0; i < 512 && r->lines < LINES_MAX; i++) {
    uint64_t e = entry(r->c, table + 8 * i, 8), at = la + (i << shift);
    if (shift == 39 && i >= 256)
      at |= 0xffff000000000000ull;
    uint32_t now = rights & (uint32_t)e;
    if (!(e & P))
      continue;
    if (shift == 12 || (shift <= 30 && (e & PS)))
      leaf(r, at, 1ull << shift, now & (RW | US));
    else
      walk8(r, e & 0xffffffffff000ull, at, shift - 9, now);
  }
}

static void walk4(struct range *r, uint64_t dir)
{
  for (uint64_t i = 0; i < 1024; i++) {
    uint32_t e = (uint32_t)entry(r->c, dir + 4 * i, 4);
    if (!(e & P))
      continue;
    if ((e & PS) && (r->c->cr4 & CR4_PSE)) {
      leaf(r, i << 22, 1u << 22, e & (RW | US));
      continue;
    }
    for (uint64_t j = 0; j < 1024; j++) {
      uint32_t pte = (uint32_t)entry(r->c, (e & 0xfffff000u) + 4 * j, 4);
      if (pte & P)
        leaf(r, i << 22 | j << 12, 1u << 12, e & pte & (RW | US));
    }
  }
}

void pagetable_print(FILE *out, struct cpu *c)
{
  struct range r = {.out = out, .c = c};
  if (!(c->cr0 & CR0_PG)) {
    fprintf(out, "PG disabled\n");
    return;
  }
  if (cpu_long(c)) {
    walk8(&r, c->cr3 & 0xffffffffff000ull, 0, 39, P | RW | US);
  } else if (c->cr4 & CR4_PAE) {
    for (uint64_t i = 0; i < 4; i++)
      if (c->pdpte[i] & P)
        walk8(&r, c->pdpte[i] & 0xffffffffff000ull, i << 30, 21, P | RW | US);
  } else {
    walk4(&r, c->cr3 & 0xfffff000u);
  }
  flush(&r);
  if (r.lines >= LINES_MAX)
    fprintf(out, "... more than %d ranges\n", LINES_MAX);
}
