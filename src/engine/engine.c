// Turns, time and the reasons to stop; see engine.h.
#include "engine/engine.h"

#include "base/err.h"
#include "engine/jit/jit.h"

#define QUANTUM 4096 // instructions: short against any time-out of a guest, long against the cost of a switch

// A machine with a limit whose CPUs hear nobody waits this long for something else, an NMI say.
#define PATIENCE 600000000000u

// Pacing: a guest at work waits far less than this many times the time that it executes, and one at a
// prompt far more.
#define CREDIT_RATE 16

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
                       .poll_every = 4000000,
                       .credit = ENGINE_CREDIT,
                       .most = ENGINE_CREDIT};
  clock->sooner = sooner;
  clock->sooner_arg = e;
  for (unsigned i = 0; i < count; i++) {
    cpus[i]->engine = e;
    cpus[i]->woken = woken;
  }
  return code_init(&e->code, ram, model, host, cpus, count, err);
}

bool engine_translate(struct engine *e, unsigned hot, struct err *err)
{
  e->code.jit = jit_new(&e->code.decoder, e->code.ram, hot, err);
  return e->code.jit != NULL;
}

void engine_free(struct engine *e)
{
  jit_free(e->code.jit);
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

// The length of a round with several CPUs. It varies: were it always the same, a CPU that takes a lock and
// gives it back in a loop could hold it at the end of each of its turns, and nobody else would ever get it.
static uint64_t quantum(struct engine *e)
{
  e->vary = e->vary * 6364136223846793005u + 1442695040888963407u;
  return e->quantum - ((e->vary >> 32) * (e->quantum / 4) >> 32);
}

// All CPUs wait until `next`: is there no way in which another instruction would be executed?
static bool hopeless(const struct engine *e, uint64_t next)
{
  for (unsigned i = 0; i < e->count && !e->alone; i++)
    if (interp_hears(e->cpus[i]))
      return false;
  return next == CLOCK_NEVER || next - e->busy > PATIENCE;
}

// Lets idle time go by until the next event or the next look outside. False: not before the host has waited.
static bool skip(struct engine *e, uint64_t next)
{
  struct clock *k = e->clock;
  uint64_t to = next > e->next_poll && e->next_poll > k->base ? e->next_poll : next;
  if (e->pace && to > k->base) {
    if (to - k->base > e->credit) {
      e->wait = next - k->base - e->credit;
      return false;
    }
    e->credit -= to - k->base;
  }
  clock_advance(k, to);
  return true;
}

void engine_pace(struct engine *e, bool on, uint64_t most)
{
  e->pace = on;
  if (most < e->most && e->credit > most)
    e->credit = most;
  e->most = most;
}

void engine_waited(struct engine *e, uint64_t ns)
{
  e->credit += ns < e->wait ? ns : e->wait;
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
    uint64_t executed = engine_instructions(e);
    if (e->limit && executed >= e->limit)
      return ENGINE_LIMIT;
    unsigned able = 0;
    for (unsigned i = 0; i < e->count; i++)
      able += interp_runnable(e->cpus[i]);
    uint64_t next = clock_next(k);
    if (!able) {
      if (e->limit && hopeless(e, next))
        return ENGINE_LIMIT;
      if (next == CLOCK_NEVER)
        return ENGINE_IDLE;
      if (!skip(e, next))
        return ENGINE_WAIT;
      continue;
    }
    if (next > e->next_poll)
      next = e->next_poll;
    uint64_t n = next > k->base ? (next - k->base + (1ull << e->ns_shift) - 1) >> e->ns_shift : 1;
    if (able > 1) {
      uint64_t most = quantum(e);
      if (n > most)
        n = most;
    }
    if (e->limit && n > e->limit - executed)
      n = e->limit - executed;
    e->slice_end = k->base + (n << e->ns_shift);
    uint64_t longest = 0;
    for (unsigned i = 0; i < e->count && !e->stop; i++) {
      struct cpu *c = e->cpus[i];
      if (!interp_runnable(c))
        continue;
      uint64_t room = (e->slice_end - k->base + (1ull << e->ns_shift) - 1) >> e->ns_shift;
      if (!room)
        room = 1;
      if (e->limit && room > e->limit - executed)
        room = e->limit - executed;
      uint64_t done = room ? turn(e, c, room) : 0;
      executed += done;
      if (done > longest)
        longest = done;
    }
    // A round in which nobody got on takes time too: whatever holds a CPU, time does not stand still.
    if (!longest && !e->stop)
      longest = 1;
    e->busy = k->base + (longest << e->ns_shift);
    if (e->credit < e->most) {
      uint64_t more = (longest << e->ns_shift) * CREDIT_RATE;
      e->credit = more < e->most - e->credit ? e->credit + more : e->most;
    }
    clock_advance(k, e->busy);
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
