// Runs the virtual CPUs of a machine against its virtual clock.
//
// CPUs take turns in a fixed order. A round lasts until the next event of the clock, and with several CPUs
// at most a quantum; every CPU that can run executes the round's length in instructions, then time moves on.
// When no CPU can run, time jumps to the next event. So a run depends on nothing but its inputs.
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "cpu/cpu.h"
#include "engine/code.h"

enum engine_stop {
  ENGINE_REQUEST, // engine_stop was called
  ENGINE_IDLE,    // all CPUs wait and no event is due ever: only the outside can go on
  ENGINE_POLL,    // time for the machine to look at the outside world
  ENGINE_WAIT,    // paced: all CPUs wait, and engine.wait ns of the host's time should pass
  ENGINE_LIMIT,   // the instruction limit was reached, or can never be
};

struct engine {
  struct cpu **cpus;
  unsigned count;
  struct clock *clock;
  struct log *log;
  struct code code;
  struct cpu *running; // the CPU whose slice it is, or NULL
  uint64_t slice_end;  // ns: where the round ends
  uint64_t quantum;    // most instructions in a round with several running CPUs
  uint64_t vary;       // a number that changes with each such round
  // Stop when this many instructions were executed in all; 0: no limit. With a limit, a machine that waits
  // for what cannot come ends too.
  uint64_t limit;
  bool alone;    // nobody outside can wake the guest
  uint64_t busy; // ns: until when a CPU executed something
  // Idle time is skipped at once only as far as the credit goes, which execution renews and waiting buys.
  bool pace;
  uint64_t credit, most, wait; // ns; execution renews the credit up to `most`
  uint64_t poll_every;         // ns of virtual time between two ENGINE_POLL
  uint64_t next_poll;
  uint32_t ns_shift;
  bool stop;
};

bool engine_init(struct engine *e, struct cpu **cpus, unsigned count, struct clock *clock, struct log *log,
                 struct ram *ram, const struct model *model, struct host_code *host, uint32_t ns_shift,
                 struct err *err);
// Hot blocks become host code from now on: those that were entered `hot` times (1 or more).
bool engine_translate(struct engine *e, unsigned hot, struct err *err);
void engine_free(struct engine *e);

// Runs until something needs the machine's attention.
enum engine_stop engine_run(struct engine *e);
// Makes engine_run return ENGINE_REQUEST as soon as the running instruction is done.
void engine_request_stop(struct engine *e);
// Whether idle time is paced, and how much of it, in ns, the guest's work can pay for in advance.
#define ENGINE_CREDIT UINT64_C(5000000000) // plenty
void engine_pace(struct engine *e, bool on, uint64_t most);
// After ENGINE_WAIT: this much of the host's time went by.
void engine_waited(struct engine *e, uint64_t ns);
// Executes exactly one instruction (and events due before it) on one CPU; for the debugger.
void engine_step(struct engine *e, struct cpu *c);
// Instructions executed by all CPUs.
uint64_t engine_instructions(const struct engine *e);

// interp.c: runs one CPU until its slice is over or it stops running.
void interp_run(struct engine *e, struct cpu *c, uint64_t instructions);
// Whether a CPU has something to do: it runs, or an event that is pending would wake it.
bool interp_runnable(struct cpu *c);
// Whether a CPU that waits would hear an interrupt.
bool interp_hears(const struct cpu *c);

#endif
