// The run of a machine: slices of the engine, and between them the outside world; see machine.h.
#include "machine/machine.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

#define FDS_MAX        1024
#define NETWORK_CREDIT 1000000u // ns

static uint64_t host_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void machine_request(struct machine *m, uint32_t what)
{
  m->wanted |= what;
  if (m->engine_ready)
    engine_request_stop(&m->engine);
}

// Looks at signals and at what people type. timeout in ns; UINT64_MAX: until something happens.
static void look_outside(struct machine *m, uint64_t timeout)
{
  struct pollfd fds[FDS_MAX];
  unsigned n = chardev_poll_fds(&m->chardevs, fds, FDS_MAX - 1);
  if (m->signal_fd >= 0)
    fds[n] = (struct pollfd){.fd = m->signal_fd, .events = POLLIN};
  unsigned net = n + (m->signal_fd >= 0);
  unsigned total = net + netdevs_poll_fds(&m->netdevs, fds + net, FDS_MAX - net, &timeout);
  struct timespec t = {.tv_sec = (time_t)(timeout / 1000000000u), .tv_nsec = (long)(timeout % 1000000000u)};
  int ready = ppoll(fds, total, timeout == UINT64_MAX ? NULL : &t, NULL);
  if (ready < 0)
    return;
  netdevs_poll(&m->netdevs, fds + net); // a network's own timers run out without an event, too
  if (ready == 0)
    return;
  if (m->signal_fd >= 0 && fds[n].revents)
    machine_request(m, WANT_QUIT);
  chardev_poll(&m->chardevs, fds, n);
  if (m->on_look)
    m->on_look(m->look_arg);
}

// -clock host: how far the virtual clock is ahead of the host's, in ns.
static uint64_t ahead(const struct machine *m)
{
  uint64_t virt = clock_now(&m->clock) - m->virtual_start, host = host_ns() - m->host_start;
  return virt > host ? virt - host : 0;
}

static void tie_clocks(struct machine *m)
{
  m->host_start = host_ns();
  m->virtual_start = clock_now(&m->clock);
}

static void pace(struct machine *m)
{
  uint64_t lead;
  while (!m->wanted && (lead = ahead(m)) > 0)
    look_outside(m, lead);
}

// What the engine may do with idle time. A guest that waits at its prompt skips from one tick of its clock to
// the next for ever, and a core of the host with it; so when somebody is there to end that, idle time that
// goes on takes as long as it says, in poll(). The guest cannot tell: its clock jumps in any case.
static void set_pace(struct machine *m)
{
  bool network = netdevs_running(&m->netdevs);
  m->engine.alone = !chardevs_open(&m->chardevs) && !m->netdevs.first;
  bool pace = m->config->clock != CLOCK_HOST && (network || chardevs_interactive(&m->chardevs));
  // A network answers in the host's time: no guest's timeout may run out before.
  engine_pace(&m->engine, pace, network ? NETWORK_CREDIT : ENGINE_CREDIT);
}

static bool finish(struct machine *m, enum machine_end end)
{
  m->end = end;
  return false;
}

static bool restart(struct machine *m)
{
  struct err e;
  if (m->config->boot_once[0]) // that was the start before
    firmware_cmos(m, false);
  if (machine_reset(m, &e))
    return true;
  m->trouble = e;
  return finish(m, END_BROKEN);
}

static struct cpu *shut_down(const struct machine *m)
{
  for (unsigned i = 0; i < m->cpus; i++)
    if (m->cpu[i]->run == RUN_SHUTDOWN)
      return m->cpu[i];
  return NULL;
}

// A CPU in shutdown: on a PC the board answers with a reset.
static bool triple_fault(struct machine *m, struct cpu *c)
{
  m->culprit = c->index;
  if (m->on_trouble)
    m->on_trouble(m->hook_arg, m, c, "triple fault");
  return m->config->no_reboot ? finish(m, END_TRIPLE_FAULT) : restart(m);
}

// Does what parts asked for. False: the machine has ended.
static bool serve(struct machine *m)
{
  uint32_t wanted = m->wanted;
  m->wanted = 0;
  if (wanted & WANT_LOOK)
    look_outside(m, 0);
  if (wanted & WANT_QUIT)
    return finish(m, END_QUIT);
  if (wanted & WANT_EXIT)
    return finish(m, END_EXIT);
  if (wanted & WANT_POWER_OFF) {
    if (!m->config->no_shutdown)
      return finish(m, END_POWER_OFF);
    m->paused = true;
    return true;
  }
  if (wanted & WANT_RESET)
    return m->config->no_reboot ? finish(m, END_RESET) : restart(m);
  struct cpu *down = shut_down(m);
  return !down || triple_fault(m, down);
}

static enum machine_end loop(struct machine *m)
{
  tie_clocks(m);
  m->end = END_NONE;
  for (;;) {
    if (!serve(m))
      return m->end;
    if (m->paused) {
      look_outside(m, UINT64_MAX);
      tie_clocks(m);
      continue;
    }
    set_pace(m);
    switch (engine_run(&m->engine)) {
    case ENGINE_REQUEST:
      break;
    case ENGINE_IDLE:
      if (m->wanted || shut_down(m))
        break;
      look_outside(m, UINT64_MAX);
      tie_clocks(m);
      break;
    case ENGINE_POLL:
      look_outside(m, 0);
      if (m->config->clock == CLOCK_HOST)
        pace(m);
      break;
    case ENGINE_WAIT: {
      uint64_t from = host_ns();
      look_outside(m, m->engine.wait);
      engine_waited(&m->engine, host_ns() - from);
      break;
    }
    case ENGINE_LIMIT:
      finish(m, END_LIMIT);
      return m->end;
    }
  }
}

enum machine_end machine_run(struct machine *m)
{
  uint64_t start = host_ns();
  enum machine_end end = loop(m);
  m->host_run += host_ns() - start;
  return end;
}

void machine_stop(struct machine *m)
{
  m->paused = true;
}

void machine_cont(struct machine *m)
{
  m->paused = false;
}

void machine_step(struct machine *m, struct cpu *c)
{
  engine_step(&m->engine, c);
}
