// The cache of decoded code; see code.h.
#include "engine/code.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/err.h"
#include "cpu/host/host.h"
#include "cpu/tlb.h"
#include "engine/jit/jit.h"

static void *reserve(size_t bytes)
{
  void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

static size_t page_count(const struct code *k)
{
  return k->ram->size >> 12;
}

bool code_init(struct code *k, struct ram *ram, const struct model *model, struct host_code *host,
               struct cpu **cpus, unsigned count, struct err *e)
{
  *k = (struct code){.ram = ram, .cpus = cpus, .count = count};
  decoder_init(&k->decoder, model, host);
  k->arena = reserve(CODE_ARENA);
  k->buckets = reserve(CODE_BUCKETS * sizeof *k->buckets);
  k->pages = reserve(page_count(k) * sizeof *k->pages);
  k->granules = reserve(page_count(k) * sizeof *k->granules);
  k->build = malloc(sizeof(struct block) + (BLOCK_MAX + 1) * sizeof(struct op));
  if (!k->arena || !k->buckets || !k->pages || !k->granules || !k->build) {
    code_free(k);
    return err_set(e, "no memory for the code cache; free some memory or lower -m");
  }
  ram->written = code_written;
  ram->written_arg = k;
  return true;
}

void code_free(struct code *k)
{
  if (k->arena)
    munmap(k->arena, CODE_ARENA);
  if (k->buckets)
    munmap(k->buckets, CODE_BUCKETS * sizeof *k->buckets);
  if (k->pages)
    munmap(k->pages, page_count(k) * sizeof *k->pages);
  if (k->granules)
    munmap(k->granules, page_count(k) * sizeof *k->granules);
  free(k->build);
  *k = (struct code){0};
}

static unsigned bucket(uint64_t ram_off, uint32_t mode)
{
  uint64_t h = (ram_off ^ (uint64_t)mode << 40) * 0x9e3779b97f4a7c15ull;
  return h >> (64 - CODE_BUCKET_BITS);
}

void code_empty(struct code *k)
{
  for (size_t at = 0; at < k->used;) {
    struct block *b = (struct block *)(k->arena + at);
    b->dead = true;
    if (b->ram != RAM_NONE) {
      size_t page = b->ram >> 12;
      k->pages[page] = NULL;
      k->granules[page] = 0;
      k->ram->flags[page] &= ~RAM_CODE;
    }
    at += sizeof *b + b->op_count * sizeof(struct op);
  }
  k->used = 0;
  memset(k->buckets, 0, CODE_BUCKETS * sizeof *k->buckets);
  memset(k->scratch, 0, sizeof k->scratch);
  for (unsigned i = 0; i < k->count; i++) {
    memset(k->cpus[i]->jumps, 0, sizeof k->cpus[i]->jumps);
    k->cpus[i]->block = NULL;
    k->cpus[i]->at = NULL;
  }
  k->emptied++;
}

// Copies the block under construction into the arena; NULL if that is full.
static struct block *keep(struct code *k)
{
  struct block *t = k->build;
  unsigned ops = 0;
  while (t->ops[ops].index < t->count || t->ops[ops].off < t->bytes)
    ops++;
  ops++; // the terminator
  size_t size = sizeof *t + ops * sizeof(struct op);
  if (k->used + size > CODE_ARENA)
    return NULL;
  struct block *b = (struct block *)(k->arena + k->used);
  k->used += size;
  memcpy(b, t, size);
  b->op_count = ops;
  k->built++;
  return b;
}

// Empties everything, host stubs included. No block is running when code is looked up.
static void make_room(struct code *k)
{
  code_empty(k);
  host_code_reset(k->decoder.host);
  if (k->jit)
    jit_reset(k->jit);
}

static bool full(const struct code *k)
{
  return host_code_full(k->decoder.host) || (k->jit && jit_full(k->jit));
}

static void mark_code(struct code *k, struct block *b)
{
  size_t page = b->ram >> 12;
  uint8_t *flags = &k->ram->flags[page];
  if (*flags & RAM_WTLB) {
    for (unsigned i = 0; i < k->count; i++)
      tlb_protect_ram(k->cpus[i], b->ram & ~0xfffull);
    *flags &= ~RAM_WTLB;
  }
  *flags |= RAM_CODE;
  unsigned first = (b->ram & 0xfff) >> 6, last = ((b->ram & 0xfff) + b->extent - 1) >> 6;
  for (unsigned g = first; g <= last; g++)
    k->granules[page] |= 1ull << g;
  b->page = k->pages[page];
  k->pages[page] = b;
}

static void log_block(struct code *k, const struct block *b, struct log *log, uint64_t ip)
{
  const uint8_t *bytes = k->ram->mem + b->ram;
  for (unsigned at = 0; at < b->bytes;) {
    char text[128];
    unsigned n = decode_text(b->mode, ip + at, bytes + at, b->bytes - at, text, sizeof text);
    log_line(log, LOG_IN_ASM, "0x%016llx:  %s\n", (unsigned long long)ip + at, n ? text : "(bad)");
    at += n ? n : 1;
  }
  log_line(log, LOG_IN_ASM, "\n");
}

struct block *code_get(struct code *k, uint64_t ram_off, uint32_t mode, struct log *log, uint64_t ip)
{
  unsigned h = bucket(ram_off, mode);
  for (struct block *b = k->buckets[h]; b; b = b->hash)
    if (b->ram == ram_off && b->mode == mode)
      return b;
  unsigned avail = 0x1000 - (ram_off & 0xfff);
  for (int again = 0; again < 2; again++) {
    if (full(k))
      make_room(k);
    *k->build = (struct block){.ram = ram_off, .mode = mode};
    decode_block(&k->decoder, k->build, k->ram->mem + ram_off, avail, mode & MODE_STEP ? 1 : BLOCK_MAX);
    if (k->build->count == 0)
      return NULL;
    struct block *b = keep(k);
    if (b) {
      b->hash = k->buckets[h];
      k->buckets[h] = b;
      mark_code(k, b);
      if (k->jit)
        jit_watch(k->jit, b);
      if (log_on(log, LOG_IN_ASM))
        log_block(k, b, log, ip);
      return b;
    }
    make_room(k);
  }
  return NULL;
}

struct block *code_from_bytes(struct code *k, const uint8_t *bytes, unsigned avail, uint32_t mode,
                              bool *too_long)
{
  *too_long = false;
  unsigned h = mode;
  for (unsigned i = 0; i < avail && i < 4; i++)
    h = h * 31 + bytes[i];
  struct scratch *s = &k->scratch[h % CODE_SCRATCH];
  if (s->block && s->mode == mode && s->len <= avail && memcmp(s->bytes, bytes, s->len) == 0)
    return s->block;
  for (int again = 0; again < 2; again++) {
    if (full(k))
      make_room(k);
    *k->build = (struct block){.ram = RAM_NONE, .mode = mode};
    enum decode_status st = decode_block(&k->decoder, k->build, bytes, avail, 1);
    if (k->build->count == 0) {
      *too_long = st == DECODE_LONG;
      return NULL;
    }
    struct block *b = keep(k);
    if (b) {
      *s = (struct scratch){.mode = mode, .len = (uint8_t)b->extent, .block = b};
      memcpy(s->bytes, bytes, b->extent);
      return b;
    }
    make_room(k);
  }
  return NULL;
}

static void unhash(struct code *k, struct block *b)
{
  struct block **p = &k->buckets[bucket(b->ram, b->mode)];
  while (*p && *p != b)
    p = &(*p)->hash;
  if (*p)
    *p = b->hash;
}

static void written_page(struct code *k, size_t page, unsigned from, unsigned to)
{
  uint64_t mask = ~0ull << (from >> 6) & ~0ull >> (63 - (to >> 6));
  if (!(k->granules[page] & mask))
    return;
  uint64_t left = 0;
  for (struct block **p = &k->pages[page]; *p;) {
    struct block *b = *p;
    unsigned first = b->ram & 0xfff, last = first + b->extent - 1;
    if (first <= to && last >= from) {
      b->dead = true;
      if (k->jit)
        jit_kill(k->jit, b);
      unhash(k, b);
      *p = b->page;
      k->dropped++;
    } else {
      left |= ~0ull << (first >> 6) & ~0ull >> (63 - (last >> 6));
      p = &b->page;
    }
  }
  k->granules[page] = left;
  if (!left)
    k->ram->flags[page] &= ~RAM_CODE;
}

// A CPU in MWAIT whose line was written goes on.
static void wake_monitors(struct code *k, uint64_t off, uint64_t len)
{
  for (unsigned i = 0; i < k->count; i++) {
    struct cpu *c = k->cpus[i];
    if (!c->monitor_armed || off >= c->monitor_addr + 64 || off + len <= c->monitor_addr)
      continue;
    c->monitor_armed = false;
    if (c->run != RUN_MWAIT)
      continue;
    c->woken(c);
    c->run = RUN_ON;
  }
}

void code_written(void *code, uint64_t off, uint64_t len)
{
  struct code *k = code;
  for (uint64_t at = off, end = off + len; at < end;) {
    size_t page = at >> 12;
    uint64_t next = (at | 0xfff) + 1;
    uint64_t to = next < end ? next : end;
    if (k->ram->flags[page] & RAM_CODE)
      written_page(k, page, at & 0xfff, (to - 1) & 0xfff);
    if (k->ram->flags[page] & RAM_MONITOR)
      wake_monitors(k, at, to - at);
    at = to;
  }
}
