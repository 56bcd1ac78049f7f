// info dev: each node's Device Exclusion Vector: control, maps, domains, and what a domain's table excludes.
#include "debug/info.h"
#include "machine/machine.h"

typedef unsigned long long ull;

enum { PAGE = 4096, RANGES = 64 };

// The table as it stands in memory, over the addresses where the machine has RAM; the cache may know older
// bits.
static void print_ranges(FILE *out, const struct machine *m, const struct dev *d, unsigned domain)
{
  uint64_t end = m->high_size ? (UINT64_C(1) << 32) + m->high_size : m->low_size, from = 0;
  uint8_t bits[DEV_LINE];
  unsigned ranges = 0;
  bool excluded = false;
  for (uint64_t a = 0; a <= end && ranges < RANGES; a += PAGE) {
    unsigned page = a / PAGE % (8 * DEV_LINE);
    if (page == 0)
      dev_table_line(d, domain, a, bits);
    bool now = a < end && (bits[page / 8] >> page % 8 & 1);
    if (now && !excluded)
      from = a;
    if (!now && excluded) {
      fprintf(out, "      excluded %09llx-%09llx\n", (ull)from, (ull)a - 1);
      ranges++;
    }
    excluded = now;
  }
  if (ranges == RANGES)
    fprintf(out, "      ... more than %u ranges\n", RANGES);
  if (!ranges)
    fprintf(out, "      excludes nothing of RAM\n");
}

static void print_domain(FILE *out, const struct machine *m, const struct dev *d, unsigned i)
{
  uint32_t lo = d->base_lo[i];
  if (!(lo & DEV_BASE_VALID) && !d->denials[i])
    return;
  if (!(lo & DEV_BASE_VALID)) {
    fprintf(out, "    domain %u: unrestricted, denials %llu\n", i, (ull)d->denials[i]);
    return;
  }
  unsigned size = lo >> 2 & 0x1f;
  fprintf(out, "    domain %u: table at %llx, covers 2^%u bytes, beyond it %s, denials %llu\n", i,
          (ull)d->base_hi[i] << 32 | (lo & 0xfffff000), 32 + size,
          lo & DEV_BASE_PROTECT ? "denied" : "allowed", (ull)d->denials[i]);
  print_ranges(out, m, d, i);
}

static void print_maps(FILE *out, const struct dev *d)
{
  for (unsigned i = 0; i < d->model->maps; i++) {
    uint32_t v = d->map[i];
    if (v & 1u << 5)
      fprintf(out, "    map %u: bus %02x unit %u -> domain %u\n", i, v >> 12 & 0xff, v & 0x1f,
              v >> 20 & 0x3f);
    if (v & 1u << 11)
      fprintf(out, "    map %u: bus %02x unit %u -> domain %u\n", i, v >> 12 & 0xff, v >> 6 & 0x1f, v >> 26);
  }
}

static void print_error(FILE *out, const struct dev *d)
{
  static const char *const to[] = {"?", "DRAM", "MMIO", "?", "I/O", "configuration", "?", "?"};
  static const char *const kind[] = {"?", "read", "write", "read-modify-write"};
  if (d->status & DEV_ERR_VALID)
    fprintf(out, "    error: %s of %s at %llx%s\n", kind[d->status & 3], to[d->status >> 5 & 7],
            (ull)d->addr_hi << 32 | d->addr_lo, d->status & DEV_ERR_OVERFLOW ? ", and others after it" : "");
}

void info_dev(struct monitor_call *c)
{
  const struct machine *m = c->machine;
  if (!m->fabric.node[0].dev) {
    fprintf(c->out, "this processor has no Device Exclusion Vector\n");
    return;
  }
  for (unsigned n = 0; n < m->fabric.nodes; n++) {
    const struct dev *d = m->fabric.node[n].dev;
    fprintf(c->out, "node %u: DEV %s%s%s%s, checks %llu, table lines read %llu\n", n,
            d->cr & DEV_CR_ENABLE ? "on" : "off", d->cr & DEV_CR_IOSPEN ? ", I/O space blocked" : "",
            d->cr & DEV_CR_MCE ? ", machine checks" : "", d->cr & DEV_CR_SL_DEV ? ", SL_DEV" : "",
            (ull)d->checks, (ull)d->walks);
    if (d->cr & DEV_CR_SL_DEV)
      fprintf(c->out, "    secure loader block %09llx-%09llx\n", (ull)d->sl_base,
              (ull)(d->sl_base + DEV_SL_SIZE - 1));
    fprintf(c->out, "    denials: secure loader block %llu, I/O space %llu, configuration space %llu\n",
            (ull)d->sl_denials, (ull)d->io_denials, (ull)d->config_denials);
    print_maps(c->out, d);
    for (unsigned i = 0; i < d->model->domains; i++)
      print_domain(c->out, m, d, i);
    print_error(c->out, d);
  }
}
