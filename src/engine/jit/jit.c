// Hot blocks and their host code; see jit.h.
#include "engine/jit/jit.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "engine/engine.h"
#include "engine/jit/run.h"

// Both mappings of a page count as resident. The one for writing is dropped (its contents are the file's, and
// stay) after so many blocks.
enum { DROP_EVERY = 256, COLD = JIT_ARENA / 2 };

struct jit {
  uint8_t *rw, *rx;   // one memory, mapped twice: nothing is writable and executable at one address
  size_t used, first; // first: behind the stubs
  size_t cold;        // the second half is for what runs seldom
  struct stubs stubs;
  bool full;
  unsigned hot;
  const struct decoder *decoder;
  struct ram *ram;
  struct jit_stats stats;
  // The block that is being translated.
  struct run run;
  struct jit_op ops[BLOCK_MAX];
  struct jit_group groups[JIT_GROUPS];
  op_fn *fns[BLOCK_MAX + 1]; // handlers of runs, or NULL
};

static int64_t to_rx(const struct jit *j)
{
  return (int64_t)((uintptr_t)j->rx - (uintptr_t)j->rw);
}

static size_t align(size_t n)
{
  return (n + 15) & ~(size_t)15;
}

struct jit *jit_new(const struct decoder *d, struct ram *ram, unsigned hot, struct err *e)
{
  struct jit *j = calloc(1, sizeof *j);
  if (!j) {
    err_set(e, "no memory for the translator");
    return NULL;
  }
  j->decoder = d;
  j->ram = ram;
  j->hot = hot;
  j->rw = j->rx = MAP_FAILED;
  int fd = memfd_create("pacifica-jit", MFD_CLOEXEC);
  if (fd >= 0 && ftruncate(fd, JIT_ARENA) == 0) {
    j->rw = mmap(NULL, JIT_ARENA, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    j->rx = mmap(NULL, JIT_ARENA, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  }
  int why = errno;
  if (fd >= 0)
    close(fd);
  if (j->rw == MAP_FAILED || j->rx == MAP_FAILED) {
    err_set(e, "cannot map memory for host code: %s; allow executable mappings of memfd for this program",
            strerror(why));
    jit_free(j);
    return NULL;
  }
  struct as a = {j->rw};
  run_stubs(&a, to_rx(j), &j->stubs);
  j->used = j->first = align((size_t)(a.p - j->rw));
  j->cold = COLD;
  return j;
}

void jit_free(struct jit *j)
{
  if (!j)
    return;
  if (j->rw != MAP_FAILED)
    munmap(j->rw, JIT_ARENA);
  if (j->rx != MAP_FAILED)
    munmap(j->rx, JIT_ARENA);
  free(j);
}

bool jit_full(const struct jit *j)
{
  return j->full;
}

void jit_reset(struct jit *j)
{
  unsigned a, b, c, d;
  j->used = j->first;
  j->cold = COLD;
  j->full = false;
  // Code that is written at another address than it runs at needs a serializing instruction.
  __cpuid(0, a, b, c, d);
  (void)a, (void)b, (void)c, (void)d;
}

struct jit_stats jit_stats(const struct jit *j)
{
  struct jit_stats s = {0};
  if (j) {
    s = j->stats;
    s.bytes = j->used + j->cold - COLD;
  }
  return s;
}

// ---- translation ----

// Decodes the block's instructions once more. What does not decode as it did keeps its handler.
static void decode_again(struct jit *j, const struct block *b)
{
  const uint8_t *code = j->ram->mem + b->ram;
  for (unsigned i = 0; i < b->count; i++) {
    struct jit_op *n = &j->ops[i];
    n->op = &b->ops[i];
    n->bytes = code + n->op->off;
    n->handler = i ? b->ops[i].fn : b->first;
    unsigned avail = b->bytes - n->op->off;
    // LOCK MOV CR0 does not, nor what became #UD.
    if (ZYAN_FAILED(ZydisDecoderDecodeFull(&j->decoder->z[2], n->bytes, avail, &n->zi, n->zo)) ||
        n->zi.length != n->op->len)
      n->zi.encoding = ZYDIS_INSTRUCTION_ENCODING_VEX; // no encoding that is translated
    jit_classify(n);
  }
  do
    jit_group(j->ops, b->count, j->groups);
  while (!jit_liveness(j->ops, b->count));
}

static void *runs_at(struct jit *j, const uint8_t *rw)
{
  return (void *)(uintptr_t)(rw + to_rx(j));
}

// One run from op `i` on; returns the op behind it.
static unsigned run_from(struct jit *j, struct block *b, unsigned i)
{
  struct run *r = &j->run;
  r->as.p = j->rw + j->used;
  r->cold.p = j->rw + j->cold;
  r->to_rx = to_rx(j);
  r->stubs = &j->stubs;
  r->block = b;
  r->groups = j->groups;
  run_begin(r);
  if (i == 0) {
    run_entry(r);
    b->native = r->entry;
  }
  j->fns[i] = (op_fn *)runs_at(j, r->as.p);
  for (; i < b->count && j->ops[i].kind != JIT_HANDLER; i++) {
    j->stats.native++;
    if (j->ops[i].kind >= JIT_JMP) {
      run_jump(r, &j->ops[i]);
      i++;
      goto done;
    }
    run_op(r, &j->ops[i]);
  }
  if (i < b->count)
    run_handler(r, &j->ops[i++]);
  else
    run_end(r, &b->ops[b->count]);
done:
  run_exits(r);
  j->used = align((size_t)(r->as.p - j->rw));
  j->cold = (size_t)(r->cold.p - j->rw);
  return i;
}

static void translate(struct jit *j, struct block *b)
{
  if (j->used + JIT_BLOCK_MOST > COLD || j->cold + JIT_BLOCK_MOST > JIT_ARENA) {
    j->full = true;
    return;
  }
  decode_again(j, b);
  memset(j->fns, 0, sizeof j->fns);
  for (unsigned i = 0; i < b->count;) {
    if (i && j->ops[i].kind == JIT_HANDLER)
      i++;
    else
      i = run_from(j, b, i);
  }
  // All at once: a handler that is called from host code is the one that was there before.
  for (unsigned i = 0; i < b->count; i++)
    if (j->fns[i])
      b->ops[i].fn = j->fns[i];
  j->stats.blocks++;
  j->stats.ops += b->count;
  if (j->stats.blocks % DROP_EVERY == 0)
    madvise(j->rw, JIT_ARENA, MADV_DONTNEED);
}

void jit_link(struct cpu *c, struct block *b, uint8_t *jump)
{
  struct jit *j = ((struct engine *)c->engine)->code.jit;
  if (b->native != j->stubs.enter) {
    uint32_t by = (uint32_t)((uintptr_t)b->native - (uintptr_t)(jump + to_rx(j)));
    memcpy(jump - 4, &by, 4);
  }
  return enter_block(c, b, c->r[REG_IP]);
}

void jit_kill(struct jit *j, struct block *b)
{
  if (b->native != j->stubs.enter)
    run_close((uint8_t *)(uintptr_t)b->native - to_rx(j), to_rx(j), &j->stubs);
  b->native = j->stubs.enter;
}

// ---- heat ----

// In place of the first op's handler until the block is hot.
static void warm(struct cpu *c, const struct op *op)
{
  struct block *b = c->block;
  if (unlikely(--b->heat == 0)) {
    b->ops[0].fn = b->first;
    translate(((struct engine *)c->engine)->code.jit, b);
    return b->ops[0].fn(c, op);
  }
  return b->first(c, op);
}

void jit_watch(struct jit *j, struct block *b)
{
  b->native = j->stubs.enter;
  if ((b->mode & (MODE_CS64 | MODE_STEP | MODE_LMSLE)) != MODE_CS64 || b->ram == RAM_NONE)
    return;
  b->first = b->ops[0].fn;
  b->heat = j->hot;
  b->ops[0].fn = warm;
}
