// Turns, time and the reasons to stop; see engine.h.
#include "engine/engine.h"

#include "base/err.h"

#define QUANTUM 4096 // instructions: short against any time-out of a guest, long against the cost of a switch

static uint64_t running_ns(void *arg)
{
  struct engine *e = arg;
  struct cpu *c = e->running;
  return (cpu_icount(c) - c->instructions) << e->ns_shift;
}

// The round is to end at `when`, if that is before its end so far.
static void end_round(struct engine *e, uint64_t when)
{
  if (!e->running || when >= e->slice_end)
    return;
  struct cpu *c = e->running;
  uint64_t now = clock_now(e->clock);
  e->slice_end = when > now ? when : now;
  uint64_t n = (e->slice_end - e->clock->base + (1ull << e->ns_shift) - 1) >> e->ns_shift;
  int64_t cut = c->slice - (int64_t)n;
  if (cut <= 0)
    return;
  // The instructions that are cut off come off the end; a block that is running is not cut.
  int64_t have = c->left + c->stolen;
  if (cut > have)
    cut = have;
  c->slice -= cut;
  cpu_kick(c);
  c->stolen -= cut;
}

static void sooner(void *arg)
{
  struct engine *e = arg;
  end_round(e, clock_next(e->clock));
}

// A CPU that waited gets its turn after at most a quantum: rounds are long while one CPU runs alone.
static void woken(struct cpu *c)
{
  struct engine *e = c->engine;
  if (e->running != c)
    end_round(e, clock_now(e->clock) + (e->quantum << e->ns_shift));
}

bool engine_init(struct engine *e, struct cpu **cpus, unsigned count, struct clock *clock, struct log *log,
                 struct ram *ram, const struct model *model, struct host_code *host, uint32_t ns_shift,
                 struct err *err)
{
  *e = (struct engine){.cpus = cpus,
                       .count = count,
                       .clock = clock,
                       .log = log,
                       .ns_shift = ns_shift,
                       .quantum = QUANTUM,
                       .poll_every = 1000000};
  clock->sooner = sooner;
  clock->sooner_arg = e;
  for (unsigned i = 0; i < count; i++) {
    cpus[i]->engine = e;
    cpus[i]->woken = woken;
  }
  return code_init(&e->code, ram, model, host, cpus, count, err);
}

void engine_free(struct engine *e)
{
  code_free(&e->code);
}

uint64_t engine_instructions(const struct engine *e)
{
  uint64_t n = 0;
  for (unsigned i = 0; i < e->count; i++)
    n += e->cpus[i]->instructions;
  return n;
}

void engine_request_stop(struct engine *e)
{
  e->stop = true;
  if (e->running)
    cpu_request(e->running, PEND_STOP);
}

// Runs one CPU for up to n instructions from clock->base on; returns how many it executed.
static uint64_t turn(struct engine *e, struct cpu *c, uint64_t n)
{
  uint64_t before = c->instructions;
  e->running = c;
  e->clock->running = running_ns;
  e->clock->running_arg = e;
  interp_run(e, c, n);
  e->clock->running = NULL;
  e->running = NULL;
  return c->instructions - before;
}

enum engine_stop engine_run(struct engine *e)
{
  struct clock *k = e->clock;
  for (;;) {
    if (e->stop) {
      e->stop = false;
      return ENGINE_REQUEST;
    }
    clock_advance(k, k->base); // what is due now
    if (e->stop)
      continue;
    if (k->base >= e->next_poll) {
      e->next_poll = k->base + e->poll_every;
      return ENGINE_POLL;
    }
    unsigned able = 0;
    for (unsigned i = 0; i < e->count; i++)
      able += interp_runnable(e->cpus[i]);
    uint64_t next = clock_next(k);
    if (!able) {
      if (next == CLOCK_NEVER)
        return ENGINE_IDLE;
      if (next > e->next_poll && e->next_poll > k->base)
        next = e->next_poll;
      clock_advance(k, next);
      continue;
    }
    if (next > e->next_poll)
      next = e->next_poll;
    uint64_t n = next > k->base ? (next - k->base + (1ull << e->ns_shift) - 1) >> e->ns_shift : 1;
    if (able > 1 && n > e->quantum)
      n = e->quantum;
    if (e->limit) {
      uint64_t done = engine_instructions(e);
      if (done >= e->limit)
        return ENGINE_LIMIT;
      if (n > e->limit - done)
        n = e->limit - done;
    }
    e->slice_end = k->base + (n << e->ns_shift);
    uint64_t longest = 0;
    for (unsigned i = 0; i < e->count && !e->stop; i++) {
      struct cpu *c = e->cpus[i];
      if (!interp_runnable(c))
        continue;
      uint64_t room = (e->slice_end - k->base + (1ull << e->ns_shift) - 1) >> e->ns_shift;
      uint64_t done = turn(e, c, room ? room : 1);
      if (done > longest)
        longest = done;
    }
    // A round in which nobody got on takes time too: whatever holds a CPU, time does not stand still.
    if (!longest && !e->stop)
      longest = 1;
    clock_advance(k, k->base + (longest << e->ns_shift));
  }
}

void engine_step(struct engine *e, struct cpu *c)
{
  clock_advance(e->clock, e->clock->base);
  e->slice_end = e->clock->base + (1ull << e->ns_shift);
  if (interp_runnable(c)) {
    uint64_t n = turn(e, c, 1);
    clock_advance(e->clock, e->clock->base + (n << e->ns_shift));
  } else if (clock_next(e->clock) != CLOCK_NEVER) {
    clock_advance(e->clock, clock_next(e->clock));
  }
}
