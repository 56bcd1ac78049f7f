// The engine: turns on the virtual clock, and events that no guest image can bring about by itself.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/err.h"
#include "cpu/host/host.h"
#include "cpu/mca.h"
#include "cpu/model.h"
#include "cpu/tlb.h"
#include "engine/engine.h"

#define RAM_SIZE (1u << 20)
#define CODE     0x1000
#define HANDLER  0x2000

struct bed {
  struct ram ram;
  struct bus bus;
  struct clock clock;
  struct log log;
  struct region region;
  struct model *model;
  struct host_code *host;
  struct cpu *cpu[2];
  struct engine engine;
};

// One or two CPUs in real mode at 0000:1000, interrupts off; all vectors lead to 0000:2000, where HLT stands.
static struct bed *bed_new(unsigned cpus)
{
  static struct bed bed;
  struct bed *b = &bed;
  struct err e;
  *b = (struct bed){0};
  assert_true(ram_init(&b->ram, RAM_SIZE, &e));
  ram_alloc(&b->ram, RAM_SIZE);
  b->log.out = stderr;
  assert_true(bus_init(&b->bus, &b->ram, &b->log));
  clock_init(&b->clock);
  bus_map_ram(&b->bus, &b->region, "ram", 0, RAM_SIZE, 0, 0, false);
  b->model = model_parse("family10h", &e);
  b->host = host_code_new(&e);
  for (unsigned i = 0; i < cpus; i++) {
    struct cpu_env env = {.bus = &b->bus,
                          .clock = &b->clock,
                          .log = &b->log,
                          .model = b->model,
                          .index = i,
                          .apic_id = i,
                          .ns_shift = 2,
                          .tsc_hz = 1000000000,
                          .all = b->cpu,
                          .cpus = cpus,
                          .host = b->host};
    b->cpu[i] = cpu_new(&env, &e);
    assert_non_null(b->cpu[i]);
    struct cpu *c = b->cpu[i];
    c->run = RUN_ON;
    c->seg[SEG_CS].sel = 0;
    c->seg[SEG_CS].base = 0;
    c->ip = CODE;
    c->r[RSP] = 0x8000;
    cpu_changed(c);
  }
  assert_true(engine_init(&b->engine, b->cpu, cpus, &b->clock, &b->log, &b->ram, b->model, b->host, 2, &e));
  for (unsigned v = 0; v < 256; v++)
    ram_write(&b->ram, v * 4, &(uint32_t){HANDLER}, 4);
  ram_write(&b->ram, HANDLER, "\xf4", 1);
  return b;
}

static void bed_free(struct bed *b)
{
  engine_free(&b->engine);
  for (unsigned i = 0; i < 2; i++)
    cpu_free(b->cpu[i]);
  host_code_free(b->host);
  model_free(b->model);
  bus_free(&b->bus);
  clock_free(&b->clock);
  ram_free(&b->ram);
}

static void code(struct bed *b, const char *bytes, unsigned n)
{
  ram_write(&b->ram, CODE, bytes, n);
}

static enum engine_stop run(struct bed *b, uint64_t limit)
{
  enum engine_stop s;
  b->engine.limit = limit;
  while ((s = engine_run(&b->engine)) == ENGINE_POLL)
    ;
  return s;
}

static void a_machine_check_is_delivered_between_instructions(void **state)
{
  struct bed *b = bed_new(1);
  struct cpu *c = b->cpu[0];
  code(b, "\xeb\xfe", 2); // jmp $
  c->cr4 |= CR4_MCE;
  c->mcg_ctl = 1;
  assert_int_equal(run(b, 100), ENGINE_LIMIT);
  mca_log(c, 0, MCI_VAL | MCI_UC | MCI_EN, 0, 0);
  run(b, 200);
  assert_int_equal(c->run, RUN_HALTED);
  assert_int_equal(c->ip, HANDLER + 1);
  uint16_t back;
  memcpy(&back, b->ram.mem + (c->r[RSP] & 0xffff), 2);
  assert_int_equal(back, CODE);
  assert_true(c->mcg_status & MCG_MCIP);
  bed_free(b);
}

static void a_machine_check_during_another_one_shuts_down(void **state)
{
  struct bed *b = bed_new(1);
  struct cpu *c = b->cpu[0];
  code(b, "\xeb\xfe", 2);
  c->cr4 |= CR4_MCE;
  c->mcg_ctl = 1;
  mca_log(c, 0, MCI_VAL | MCI_UC | MCI_EN, 0, 0);
  mca_log(c, 0, MCI_VAL | MCI_UC | MCI_EN, 0, 0);
  assert_int_equal(c->run, RUN_SHUTDOWN);
  bed_free(b);
}

static unsigned dice(uint64_t *seed, unsigned n)
{
  *seed = *seed * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(*seed >> 33) % n;
}

// A random instruction on registers other than SP, most of them 32-bit arithmetic; a load now and then.
static unsigned random_insn(uint64_t *seed, uint8_t *p)
{
  static const uint8_t pairs[] = {0x01, 0x09, 0x11, 0x19, 0x21, 0x29, 0x31, 0x39, 0x85, 0x89};
  static const uint8_t shifts[] = {0xc0, 0xc8, 0xe0, 0xe8, 0xf8};
  static const uint8_t regs[] = {0, 1, 2, 3, 5, 6, 7};
  uint8_t a = regs[dice(seed, 7)], b = regs[dice(seed, 7)];
  p[0] = 0x66;
  switch (dice(seed, 9)) {
  case 0: // INC, DEC
    p[1] = 0xff;
    p[2] = 0xc0 | dice(seed, 2) << 3 | a;
    return 3;
  case 1: // NEG, NOT
    p[1] = 0xf7;
    p[2] = 0xd0 | dice(seed, 2) << 3 | a;
    return 3;
  case 2:
  case 3:
    p[1] = 0xc1;
    p[2] = shifts[dice(seed, 5)] | a;
    p[3] = (uint8_t)(dice(seed, 2) ? 1 : dice(seed, 32));
    return 4;
  case 4:
    if (dice(seed, 4))
      break;
    p[0] = 0x9c; // PUSHF
    return 1;
  case 5: // CMOVcc, or a load
    if (dice(seed, 3)) {
      p[1] = 0x0f;
      p[2] = 0x40 | dice(seed, 16);
      p[3] = 0xc0 | a << 3 | b;
      return 4;
    }
    p[1] = 0x8b;
    p[2] = 0x06 | a << 3;
    p[3] = 0;
    p[4] = 3;
    return 5;
  default:
    break;
  }
  p[1] = pairs[dice(seed, sizeof pairs)];
  p[2] = 0xc0 | a << 3 | b;
  return 3;
}

struct outcome {
  uint64_t r[16];
  uint64_t flags;
  uint8_t stack[64];
};

// The program of `seed`, `step` instructions at a time, up to the HLT at its end.
static struct outcome outcome_of(uint64_t seed, unsigned step)
{
  struct bed *b = bed_new(1);
  struct cpu *c = b->cpu[0];
  uint8_t text[256];
  unsigned n = 0;
  for (unsigned i = 0; i < 30; i++)
    n += random_insn(&seed, text + n);
  text[n++] = 0xf4;
  ram_write(&b->ram, CODE, text, n);
  for (unsigned i = 0; i < 16; i++)
    if (i != RSP)
      c->r[i] = (uint32_t)(seed * (i + 3));
  for (uint64_t limit = step; c->run == RUN_ON; limit += step)
    run(b, limit);
  struct outcome o = {.flags = c->fl & 0xd501};
  memcpy(o.r, c->r, sizeof o.r);
  memcpy(o.stack, b->ram.mem + 0x8000 - sizeof o.stack, sizeof o.stack);
  bed_free(b);
  return o;
}

static void flags_are_the_same_in_blocks_and_by_single_instructions(void **state)
{
  for (uint64_t seed = 1; seed <= 300; seed++) {
    struct outcome whole = outcome_of(seed, 1000), single = outcome_of(seed, 1);
    assert_memory_equal(&whole, &single, sizeof whole);
  }
}

static void a_fault_in_a_block_shows_the_flags_before_it(void **state)
{
  struct bed *b = bed_new(1);
  struct cpu *c = b->cpu[0];
  code(b, "\x66\x29\xd2\x66\x8b\x1e\xfe\xff\x66\x39\xc8\xf4", 12); // sub edx,edx; mov ebx,[fffe]; cmp eax,ecx
  c->lah = 1;
  c->r[RDX] = 5;
  run(b, 100);
  assert_int_equal(c->ip, HANDLER + 1);
  uint16_t flags;
  memcpy(&flags, b->ram.mem + (c->r[RSP] & 0xffff) + 4, 2);
  assert_int_equal(flags & 0xd5, 0x44); // ZF and PF
  bed_free(b);
}

static void bytes_behind_an_undefined_opcode_may_make_it_an_instruction(void **state)
{
  struct bed *b = bed_new(1);
  struct cpu *c = b->cpu[0];
  code(b, "\xc6\x06\x06\x10\xc0\xfe\x18\xf4", 8); // mov byte [1006h], c0h; fe 18 becomes inc al; hlt
  run(b, 100);
  assert_int_equal(c->ip, CODE + 8);
  assert_int_equal(c->r[RAX] & 0xff, 1);
  ram_write(&b->ram, CODE + 6, "\x18", 1);
  c->run = RUN_ON;
  c->ip = CODE + 5;
  run(b, 200);
  assert_int_equal(c->ip, HANDLER + 1);    // #UD
  ram_write(&b->ram, CODE + 6, "\xc0", 1); // by a device
  c->run = RUN_ON;
  c->ip = CODE + 5;
  run(b, 300);
  assert_int_equal(c->ip, CODE + 8);
  bed_free(b);
}

static void the_limit_is_exact(void **state)
{
  struct bed *b = bed_new(1);
  code(b, "\x90\x90\x90\xeb\xfb", 5);
  for (unsigned n = 1; n < 20; n++) {
    assert_int_equal(run(b, n), ENGINE_LIMIT);
    assert_int_equal(engine_instructions(&b->engine), n);
    assert_int_equal(b->cpu[0]->ip, CODE + n % 4);
  }
  bed_free(b);
}

static void the_limit_counts_the_instructions_of_all_cpus(void **state)
{
  struct bed *b = bed_new(2);
  code(b, "\x90\x90\x90\xeb\xfb", 5);
  for (unsigned n = 1; n < 40; n += 3) {
    assert_int_equal(run(b, n), ENGINE_LIMIT);
    assert_int_equal(engine_instructions(&b->engine), n);
  }
  bed_free(b);
}

static void what_comes_at_the_limit_is_delivered_after_it(void **state)
{
  struct bed *b = bed_new(1);
  struct cpu *c = b->cpu[0];
  code(b, "\x90\x90\xeb\xfc", 4);
  c->sysflags |= FL_TF; // a trap after each instruction, and HLT in its handler
  cpu_changed(c);
  assert_int_equal(run(b, 1), ENGINE_LIMIT);
  assert_int_equal(engine_instructions(&b->engine), 1);
  assert_int_equal(c->ip, CODE + 1);
  assert_int_equal(run(b, 2), ENGINE_LIMIT);
  assert_int_equal(engine_instructions(&b->engine), 2);
  assert_int_equal(c->ip, HANDLER);
  bed_free(b);
}

static void a_trap_of_a_halt_comes_after_the_limit(void **state)
{
  struct bed *b = bed_new(1);
  struct cpu *c = b->cpu[0];
  code(b, "\xf4", 1);
  c->sysflags |= FL_TF;
  cpu_changed(c);
  run(b, 1);
  assert_int_equal(c->run, RUN_HALTED);
  run(b, 2);
  assert_int_equal(c->run, RUN_ON);
  assert_int_equal(c->ip, HANDLER);
  bed_free(b);
}

static void a_watchpoint_hit_on_the_way_into_a_shutdown_does_not_lead_out_of_it(void **state)
{
  struct bed *b = bed_new(1);
  struct cpu *c = b->cpu[0];
  code(b, "\x90\xeb\xfd", 3);
  c->sysflags |= FL_TF;
  c->r[RSP] = 5;    // flags and CS are pushed, the third word would be at ffff
  c->dr[0] = 3;     // where the flags go
  c->dr7 = 0x50401; // 2 bytes, writes
  cpu_changed(c);
  tlb_flush_all(c);
  run(b, 1000);
  assert_int_equal(c->run, RUN_SHUTDOWN);
  assert_int_equal(c->stat_exceptions, 3); // #DB, #SS, #DF
  bed_free(b);
}

// A timer that never ends, as a PIT's.
struct ticker {
  struct timer t;
  struct clock *clock;
  struct cpu *wake; // by an interrupt that it does not take; NULL: nobody
  uint64_t count;
};
static void tick(void *arg)
{
  struct ticker *k = arg;
  k->count++;
  if (k->wake)
    cpu_request(k->wake, PEND_NMI);
  timer_set(&k->t, clock_now(k->clock) + 4000000);
}
static void start_ticks(struct ticker *k, struct bed *b, struct cpu *wake)
{
  *k = (struct ticker){.clock = &b->clock, .wake = wake};
  timer_init(&k->t, &b->clock, tick, k);
  timer_set(&k->t, 4000000);
}

static void a_machine_that_halts_for_good_ends_by_its_limit(void **state)
{
  struct ticker k;
  struct bed *b = bed_new(2);
  code(b, "\xf4", 1);
  start_ticks(&k, b, NULL);
  assert_int_equal(run(b, 1000), ENGINE_LIMIT);
  assert_int_equal(engine_instructions(&b->engine), 2);
  timer_cancel(&k.t); // nothing is due ever
  assert_int_equal(run(b, 1000), ENGINE_LIMIT);
  bed_free(b);
}

static void a_halt_that_an_interrupt_may_end_is_no_reason_to_end(void **state)
{
  struct bed *b = bed_new(1);
  code(b, "\xfb\xf4", 2); // sti; hlt
  assert_int_equal(run(b, 1000), ENGINE_IDLE);
  b->engine.alone = true;
  assert_int_equal(run(b, 1000), ENGINE_LIMIT);
  bed_free(b);
}

// Until the ticker has come so often: how long the host was asked to wait.
static uint64_t waited(struct bed *b, const struct ticker *k, uint64_t ticks)
{
  uint64_t sum = 0;
  while (k->count < ticks) {
    if (engine_run(&b->engine) == ENGINE_WAIT) {
      sum += b->engine.wait;
      engine_waited(&b->engine, b->engine.wait);
    }
  }
  return sum;
}

static void idle_time_is_paced_once_there_is_much_of_it(void **state)
{
  struct ticker k;
  struct bed *b = bed_new(1);
  code(b, "\xf4\xeb\xfd", 3); // hlt; jmp
  ram_write(&b->ram, HANDLER, "\xcf", 1);
  start_ticks(&k, b, b->cpu[0]);
  engine_pace(&b->engine, true, ENGINE_CREDIT);
  uint64_t first = waited(b, &k, 1000); // 4 s
  assert_int_equal(first, 0);
  uint64_t then = waited(b, &k, 11000);
  assert_in_range(then, 38500000000, 40000000000);
  uint64_t n = engine_instructions(&b->engine), now = clock_now(&b->clock);
  bed_free(b);

  b = bed_new(1); // the guest sees no difference
  code(b, "\xf4\xeb\xfd", 3);
  ram_write(&b->ram, HANDLER, "\xcf", 1);
  start_ticks(&k, b, b->cpu[0]);
  assert_int_equal(waited(b, &k, 11000), 0);
  assert_int_equal(engine_instructions(&b->engine), n);
  assert_int_equal(clock_now(&b->clock), now);
  bed_free(b);
}

static void a_guest_at_work_is_not_paced(void **state)
{
  struct ticker k;
  struct bed *b = bed_new(1);
  code(b, "\xb9\x50\xc3\xe2\xfe\xf4\xeb\xf8", 8); // mov cx, 50000; loop $; hlt; jmp
  ram_write(&b->ram, HANDLER, "\xcf", 1);
  start_ticks(&k, b, b->cpu[0]);
  engine_pace(&b->engine, true, ENGINE_CREDIT);
  assert_int_equal(waited(b, &k, 3000), 0); // 0.25 ms in 4 ms
  bed_free(b);
}

// As with a network, whose answers no guest's timeout may overtake: what was waited for is not lost although
// it is more than the guest may have in advance.
static void with_little_credit_idle_time_takes_as_long_as_it_says(void **state)
{
  struct ticker k;
  struct bed *b = bed_new(1);
  uint64_t sum = 0;
  code(b, "\xf4\xeb\xfd", 3); // hlt; jmp
  ram_write(&b->ram, HANDLER, "\xcf", 1);
  start_ticks(&k, b, b->cpu[0]);
  for (unsigned i = 0; i < 2000 && k.count < 100; i++) {
    engine_pace(&b->engine, true, 1000000);
    if (engine_run(&b->engine) == ENGINE_WAIT) {
      sum += b->engine.wait;
      engine_waited(&b->engine, b->engine.wait);
    }
  }
  assert_int_equal(k.count, 100);
  assert_in_range(sum, 398000000, 400000000);
  bed_free(b);
}

static void cpus_take_equal_turns(void **state)
{
  struct bed *b = bed_new(2);
  code(b, "\x40\xeb\xfd", 3); // inc ax; jmp
  run(b, 100000);
  int64_t a = b->cpu[0]->instructions, z = b->cpu[1]->instructions;
  assert_true(a - z <= (int64_t)b->engine.quantum && z - a <= (int64_t)b->engine.quantum);
  bed_free(b);
}

static void a_cpu_that_holds_a_lock_most_of_the_time_does_not_keep_it_from_others(void **state)
{
  // One CPU gives the lock back for one instruction of 16, for ever; the other one halts once it has it.
  static const char holder[] = "\xc6\x06\x00\x30\x00"                      // again: mov byte [3000h], 0
                               "\xf0\x0f\xba\x2e\x00\x30\x00"              // lock bts word [3000h], 0
                               "\x72\xf2"                                  // jc again
                               "\x90\x90\x90\x90\x90\x90\x90\x90"          // 12 nops
                               "\x90\x90\x90\x90\xeb\xe4";                 // jmp again
  static const char waiter[] = "\xf0\x0f\xba\x2e\x00\x30\x00\x72\xf7\xf4"; // again: lock bts; jc; hlt
  for (unsigned phase = 0; phase < 16; phase += 3) {
    struct bed *b = bed_new(2);
    ram_write(&b->ram, CODE, holder, sizeof holder - 1);
    ram_write(&b->ram, 0x1800, waiter, sizeof waiter - 1);
    ram_write(&b->ram, 0x3000, "\x01", 1);
    b->cpu[0]->ip = phase < 12 ? CODE + 14 + phase : CODE;
    b->cpu[1]->ip = 0x1800;
    run(b, 1000000);
    assert_int_equal(b->cpu[1]->run, RUN_HALTED);
    bed_free(b);
  }
}

static void fire(void *arg)
{
  struct bed *b = arg;
  b->cpu[0]->r[RBX] = b->cpu[0]->r[RAX];
}

static void an_event_comes_at_its_instruction(void **state)
{
  struct bed *b = bed_new(1);
  struct timer t;
  code(b, "\x40\xeb\xfd", 3); // ax counts every second instruction
  timer_init(&t, &b->clock, fire, b);
  timer_set(&t, 1000 * 4); // after 1000 instructions of 4 ns
  run(b, 5000);
  assert_int_equal(b->cpu[0]->r[RBX], 500);
  bed_free(b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_machine_check_is_delivered_between_instructions),
      cmocka_unit_test(a_machine_check_during_another_one_shuts_down),
      cmocka_unit_test(flags_are_the_same_in_blocks_and_by_single_instructions),
      cmocka_unit_test(a_fault_in_a_block_shows_the_flags_before_it),
      cmocka_unit_test(bytes_behind_an_undefined_opcode_may_make_it_an_instruction),
      cmocka_unit_test(the_limit_is_exact),
      cmocka_unit_test(the_limit_counts_the_instructions_of_all_cpus),
      cmocka_unit_test(what_comes_at_the_limit_is_delivered_after_it),
      cmocka_unit_test(a_trap_of_a_halt_comes_after_the_limit),
      cmocka_unit_test(a_watchpoint_hit_on_the_way_into_a_shutdown_does_not_lead_out_of_it),
      cmocka_unit_test(a_machine_that_halts_for_good_ends_by_its_limit),
      cmocka_unit_test(a_halt_that_an_interrupt_may_end_is_no_reason_to_end),
      cmocka_unit_test(idle_time_is_paced_once_there_is_much_of_it),
      cmocka_unit_test(a_guest_at_work_is_not_paced),
      cmocka_unit_test(with_little_credit_idle_time_takes_as_long_as_it_says),
      cmocka_unit_test(cpus_take_equal_turns),
      cmocka_unit_test(a_cpu_that_holds_a_lock_most_of_the_time_does_not_keep_it_from_others),
      cmocka_unit_test(an_event_comes_at_its_instruction),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
