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

static void cpus_take_equal_turns(void **state)
{
  struct bed *b = bed_new(2);
  code(b, "\x40\xeb\xfd", 3); // inc ax; jmp
  run(b, 100000);
  int64_t a = b->cpu[0]->instructions, z = b->cpu[1]->instructions;
  assert_true(a - z <= (int64_t)b->engine.quantum && z - a <= (int64_t)b->engine.quantum);
  bed_free(b);
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
      cmocka_unit_test(the_limit_is_exact),
      cmocka_unit_test(cpus_take_equal_turns),
      cmocka_unit_test(an_event_comes_at_its_instruction),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
