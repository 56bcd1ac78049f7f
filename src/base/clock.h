// The virtual clock of a machine and its queue of events.
//
// Time is in nanoseconds since power-on and moves only when the engine moves it: with executed
// instructions, or to the next event when every CPU is halted. Guest-visible time comes from here
// alone, which is what makes a run repeatable. Events that are due at the same nanosecond fire in
// the order in which they were armed.
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_NEVER UINT64_MAX

struct clock;

struct timer {
  struct clock *clock;
  void (*fire)(void *arg); // may arm this timer again
  void *arg;
  uint64_t when; // ns, valid while armed
  uint64_t seq;
  size_t slot; // position in the queue + 1, 0: not armed
};

struct clock {
  uint64_t base; // ns at the start of the slice that a CPU is running, or now if none runs
  // Offset of the running CPU into its slice, ns; NULL between slices.
  uint64_t (*running)(void *arg);
  void *running_arg;
  // Called when the earliest event moves to before what it was, so that a running CPU can be
  // stopped in time; may be NULL.
  void (*sooner)(void *arg);
  void *sooner_arg;
  struct timer **queue; // a binary heap
  size_t count, room;
  uint64_t seq;
  uint64_t shown; // the latest that clock_shared gave
};

void clock_init(struct clock *c);
void clock_free(struct clock *c);

// Now, in ns since power-on; exact to the instruction while a CPU is running.
uint64_t clock_now(const struct clock *c);
// Now, as a counter that all CPUs share shows it: CPUs take turns of the same time, so one that comes later
// in a round may stand at a moment before what another has read; it reads that again.
uint64_t clock_shared(struct clock *c);
// When the next event is due, or CLOCK_NEVER.
uint64_t clock_next(const struct clock *c);
// Sets the time (never backwards) and fires, in order, all that is due. Only the engine calls it.
void clock_advance(struct clock *c, uint64_t to);

void timer_init(struct timer *t, struct clock *c, void (*fire)(void *), void *arg);
// Arms for an absolute time; a time that has passed fires at the next opportunity. Re-arming moves.
void timer_set(struct timer *t, uint64_t when);
void timer_cancel(struct timer *t);
static inline bool timer_armed(const struct timer *t)
{
  return t->slot != 0;
}

// a * b / c without overflow in the middle; c must not be 0.
static inline uint64_t muldiv64(uint64_t a, uint64_t b, uint64_t c)
{
  return (uint64_t)((unsigned __int128)a * b / c);
}

#endif
