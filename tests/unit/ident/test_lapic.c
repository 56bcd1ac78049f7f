// The local APIC: acceptance and priority, EOI, timer, messages between processors, x2APIC.
#include "bed.h"

#include "bus/bus.h"

enum {
  ID = 0x20,
  VERSION = 0x30,
  TPR = 0x80,
  PPR = 0xa0,
  EOI = 0xb0,
  LDR = 0xd0,
  DFR = 0xe0,
  SVR = 0xf0,
  ISR = 0x100,
  TMR = 0x180,
  IRR = 0x200,
  ESR = 0x280,
  ICR = 0x300,
  ICR_HIGH = 0x310,
  LVT_T = 0x320,
  LVT_L0 = 0x350,
  LVT_L1 = 0x360,
  LVT_E = 0x370,
  INITIAL = 0x380,
  CURRENT = 0x390,
  DIVIDE = 0x3e0,
  EXT_FEATURE = 0x400,
  EXT_CONTROL = 0x410,
  SPECIFIC_EOI = 0x420,
  IER = 0x480,
};

static uint32_t rd(struct bed *b, unsigned cpu, unsigned off)
{
  return lapic_mmio_read(b->cpu[cpu], off, 4);
}

static void wr(struct bed *b, unsigned cpu, unsigned off, uint32_t v)
{
  lapic_mmio_write(b->cpu[cpu], off, 4, v);
}

static struct bed *ready(const char *model, unsigned cpus)
{
  struct bed *b = bed_new(model, cpus);
  for (unsigned i = 0; i < cpus; i++)
    wr(b, i, SVR, 0x1ff);
  return b;
}

static void send(struct bed *b, unsigned n, uint32_t dest, uint8_t vector, unsigned delivery, bool logical)
{
  struct intr_msg m = {
      .dest = dest, .vector = vector, .delivery = delivery, .logical = logical, .assert_ = true};
  lapic_deliver(b->cpu, n, &m);
}

static bool pending(struct bed *b, unsigned cpu)
{
  bool p = b->cpu[cpu]->pending & PEND_INTR;
  assert_int_equal(p, lapic_has_interrupt(b->cpu[cpu]));
  return p;
}

// Vectors 20h.. that are requested on a CPU: 1 if `vector` is, and forgets it.
static bool got(struct bed *b, unsigned cpu, uint8_t vector)
{
  struct lapic *a = b->cpu[cpu]->lapic;
  bool r = a->irr[vector / 32] >> (vector % 32) & 1;
  a->irr[vector / 32] &= ~(1u << (vector % 32));
  return r;
}

static unsigned who(struct bed *b, unsigned cpus, uint8_t vector)
{
  unsigned r = 0;
  for (unsigned i = 0; i < cpus; i++)
    r |= (unsigned)got(b, i, vector) << i;
  return r;
}

static void nothing_is_accepted_while_disabled_by_software(void **state)
{
  struct bed *b = bed_new("family10h", 1);
  send(b, 1, 0, 0x40, 0, false);
  assert_false(pending(b, 0));
  assert_int_equal(rd(b, 0, SVR), 0xff);
  assert_int_equal(rd(b, 0, LVT_T), 0x10000);
  wr(b, 0, LVT_T, 0x30); // the mask stays
  assert_int_equal(rd(b, 0, LVT_T), 0x10030);
  wr(b, 0, SVR, 0x1ff);
  send(b, 1, 0, 0x40, 0, false);
  assert_true(pending(b, 0));
  bed_free(b);
}

static void the_highest_vector_comes_first_and_blocks_its_class(void **state)
{
  struct bed *b = ready("family10h", 1);
  send(b, 1, 0, 0x41, 0, false);
  send(b, 1, 0, 0x55, 0, false);
  assert_int_equal(lapic_ack(b->cpu[0]), 0x55);
  assert_int_equal(rd(b, 0, PPR), 0x50);
  assert_int_equal(rd(b, 0, ISR + 0x20), 1 << 0x15);
  assert_false(pending(b, 0)); // 41h is below
  send(b, 1, 0, 0x5f, 0, false);
  assert_false(pending(b, 0)); // the same class
  send(b, 1, 0, 0x60, 0, false);
  assert_int_equal(lapic_ack(b->cpu[0]), 0x60);
  wr(b, 0, EOI, 0);
  assert_false(pending(b, 0));
  wr(b, 0, EOI, 0);
  assert_int_equal(lapic_ack(b->cpu[0]), 0x5f);
  wr(b, 0, EOI, 0);
  assert_int_equal(lapic_ack(b->cpu[0]), 0x41);
  wr(b, 0, EOI, 0);
  wr(b, 0, EOI, 0); // with nothing in service: nothing
  assert_false(pending(b, 0));
  assert_int_equal(lapic_ack(b->cpu[0]), -1);
  assert_int_equal(b->eois, 0); // all edges
  bed_free(b);
}

static void the_task_priority_is_cr8(void **state)
{
  struct bed *b = ready("family10h", 1);
  send(b, 1, 0, 0x65, 0, false);
  assert_true(pending(b, 0));
  lapic_set_tpr(b->cpu[0], 6);
  assert_false(pending(b, 0));
  assert_int_equal(rd(b, 0, TPR), 0x60);
  assert_int_equal(rd(b, 0, PPR), 0x60);
  wr(b, 0, TPR, 0x5f);
  assert_int_equal(b->cpu[0]->cr8, 5);
  assert_true(pending(b, 0));
  bed_free(b);
}

static void level_triggered_vectors_tell_the_ioapic_at_eoi(void **state)
{
  struct bed *b = ready("family10h", 1);
  struct intr_msg m = {.dest = 0, .vector = 0x71, .level = true, .assert_ = true};
  lapic_deliver(b->cpu, 1, &m);
  assert_int_equal(rd(b, 0, TMR + 0x30), 1 << 0x11);
  assert_int_equal(lapic_ack(b->cpu[0]), 0x71);
  assert_int_equal(b->eois, 0);
  wr(b, 0, EOI, 0);
  assert_int_equal(b->eois, 1);
  assert_int_equal(b->eoi_vector, 0x71);
  bed_free(b);
}

static int vector_of_pic(void *arg)
{
  struct bed *b = arg;
  lapic_lint(b->cpu[0], 0, 0);
  return 0x08;
}

static void the_pic_comes_through_lint0(void **state)
{
  struct bed *b = bed_new("family10h", 1);
  struct cpu *c = b->cpu[0];
  c->intack = vector_of_pic;
  c->intack_arg = b;
  lapic_lint(c, 0, 1);
  assert_false(pending(b, 0)); // masked after reset
  lapic_virtual_wire(c);
  assert_true(pending(b, 0));
  assert_int_equal(lapic_ack(c), 8);
  assert_false(pending(b, 0));
  lapic_lint(c, 0, 1);
  lapic_lint(c, 0, 0);
  assert_false(pending(b, 0)); // the PIC took it back
  lapic_lint(c, 1, 1);
  assert_true(c->pending & PEND_NMI);
  assert_true(msr_write(c, MSR_APIC_BASE, 0xfee00000)); // no APIC: the pins are INTR and NMI
  c->pending = 0;
  lapic_lint(c, 0, 1);
  assert_true(pending(b, 0));
  assert_int_equal(lapic_ack(c), 8);
  lapic_lint(c, 1, 0);
  lapic_lint(c, 1, 1);
  assert_true(c->pending & PEND_NMI);
  bed_free(b);
}

static void a_level_on_lint_is_raised_again_until_it_falls(void **state)
{
  struct bed *b = ready("family10h", 1);
  wr(b, 0, LVT_L1, 0x8045); // fixed, level
  lapic_lint(b->cpu[0], 1, 1);
  assert_int_equal(lapic_ack(b->cpu[0]), 0x45);
  assert_int_equal(rd(b, 0, LVT_L1), 0xc045);
  wr(b, 0, EOI, 0);
  assert_true(pending(b, 0));
  assert_int_equal(lapic_ack(b->cpu[0]), 0x45);
  lapic_lint(b->cpu[0], 1, 0);
  wr(b, 0, EOI, 0);
  assert_false(pending(b, 0));
  assert_int_equal(rd(b, 0, LVT_L1), 0x8045);
  bed_free(b);
}

static void a_one_shot_counts_down_once(void **state)
{
  struct bed *b = ready("family10h", 1);
  wr(b, 0, LVT_T, 0xee);
  wr(b, 0, DIVIDE, 0xb); // by 1
  wr(b, 0, INITIAL, 10000);
  assert_int_equal(rd(b, 0, CURRENT), 10000);
  clock_advance(&b->clock, 4000);
  assert_int_equal(rd(b, 0, CURRENT), 6000);
  wr(b, 0, DIVIDE, 0); // by 2, from here
  clock_advance(&b->clock, 6000);
  assert_int_equal(rd(b, 0, CURRENT), 5000);
  clock_advance(&b->clock, 15999);
  assert_false(pending(b, 0));
  clock_advance(&b->clock, 16000);
  assert_int_equal(lapic_ack(b->cpu[0]), 0xee);
  assert_int_equal(rd(b, 0, CURRENT), 0);
  wr(b, 0, EOI, 0);
  clock_advance(&b->clock, 1000000);
  assert_false(pending(b, 0));
  wr(b, 0, LVT_T, 0x200ee); // periodic now, but it has ended
  assert_int_equal(rd(b, 0, CURRENT), 0);
  clock_advance(&b->clock, 2000000);
  assert_false(pending(b, 0));
  bed_free(b);
}

static void a_periodic_timer_repeats_and_changes_mode_in_its_stride(void **state)
{
  struct bed *b = ready("family10h", 1);
  wr(b, 0, DIVIDE, 0xb);
  wr(b, 0, LVT_T, 0x20040);
  wr(b, 0, INITIAL, 5000);
  for (unsigned i = 1; i <= 10; i++) {
    clock_advance(&b->clock, 5000 * i - 1);
    assert_false(pending(b, 0));
    clock_advance(&b->clock, 5000 * i);
    assert_int_equal(lapic_ack(b->cpu[0]), 0x40);
    wr(b, 0, EOI, 0);
  }
  clock_advance(&b->clock, 53000);
  assert_int_equal(rd(b, 0, CURRENT), 2000);
  wr(b, 0, LVT_T, 0x40); // one-shot
  assert_int_equal(rd(b, 0, CURRENT), 2000);
  wr(b, 0, LVT_T, 0x20040);
  assert_int_equal(rd(b, 0, CURRENT), 2000);
  wr(b, 0, LVT_T, 0x40);
  clock_advance(&b->clock, 55000);
  assert_int_equal(lapic_ack(b->cpu[0]), 0x40);
  assert_int_equal(rd(b, 0, CURRENT), 0);
  bed_free(b);
}

static void a_tiny_period_does_not_swamp_the_host(void **state)
{
  struct bed *b = ready("family10h", 1);
  wr(b, 0, DIVIDE, 0xb);
  wr(b, 0, LVT_T, 0x20040);
  wr(b, 0, INITIAL, 1);
  unsigned steps = 0;
  while (clock_next(&b->clock) <= 1000000) {
    clock_advance(&b->clock, clock_next(&b->clock));
    steps++;
  }
  assert_in_range(steps, 900, 1001);
  bed_free(b);
}

static void the_deadline_fires_when_the_tsc_reaches_it(void **state)
{
  struct bed *b = ready("max", 1);
  struct cpu *c = b->cpu[0];
  uint64_t v;
  assert_true(msr_write(c, MSR_TSC_DEADLINE, 500)); // not in this mode
  assert_true(msr_read(c, MSR_TSC_DEADLINE, &v));
  assert_int_equal(v, 0);
  wr(b, 0, LVT_T, 0x400ef);
  assert_true(msr_write(c, MSR_TSC_DEADLINE, 4000)); // at 2 GHz
  clock_advance(&b->clock, 1999);
  assert_false(pending(b, 0));
  clock_advance(&b->clock, 2000);
  assert_int_equal(lapic_ack(c), 0xef);
  wr(b, 0, EOI, 0);
  assert_true(msr_read(c, MSR_TSC_DEADLINE, &v));
  assert_int_equal(v, 0);
  assert_true(msr_write(c, MSR_TSC_DEADLINE, 4000)); // in the past: now
  assert_int_equal(lapic_ack(c), 0xef);
  wr(b, 0, EOI, 0);
  assert_true(msr_write(c, MSR_TSC_DEADLINE, 1000000));
  assert_true(msr_write(c, MSR_TSC, 999998)); // moves towards it
  clock_advance(&b->clock, 2001);
  assert_int_equal(lapic_ack(c), 0xef);
  wr(b, 0, EOI, 0);
  assert_true(msr_write(c, MSR_TSC_DEADLINE, UINT64_MAX));
  assert_true(msr_write(c, MSR_TSC_DEADLINE, 0));
  assert_false(timer_armed(&c->lapic->timer));
  bed_free(b);
}

static void physical_destinations_and_shorthands(void **state)
{
  struct bed *b = ready("family10h", 4);
  send(b, 4, 2, 0x40, 0, false);
  assert_int_equal(who(b, 4, 0x40), 4);
  send(b, 4, 0xff, 0x40, 0, false);
  assert_int_equal(who(b, 4, 0x40), 15);
  send(b, 4, 9, 0x40, 0, false);
  assert_int_equal(who(b, 4, 0x40), 0);
  wr(b, 1, ICR_HIGH, 3u << 24);
  wr(b, 1, ICR, 0x4040);
  assert_int_equal(who(b, 4, 0x40), 8);
  wr(b, 1, ICR, 0x44040);
  assert_int_equal(who(b, 4, 0x40), 2);
  wr(b, 1, ICR, 0x84040);
  assert_int_equal(who(b, 4, 0x40), 15);
  wr(b, 1, ICR, 0xc4040);
  assert_int_equal(who(b, 4, 0x40), 13);
  wr(b, 2, ID, 7u << 24);
  send(b, 4, 7, 0x40, 0, false);
  assert_int_equal(who(b, 4, 0x40), 4);
  bed_free(b);
}

static void logical_destinations_flat_and_cluster(void **state)
{
  struct bed *b = ready("family10h", 4);
  for (unsigned i = 0; i < 4; i++)
    wr(b, i, LDR, 1u << (24 + i));
  send(b, 4, 0x0a, 0x40, 0, true);
  assert_int_equal(who(b, 4, 0x40), 10);
  send(b, 4, 0xff, 0x40, 0, true);
  assert_int_equal(who(b, 4, 0x40), 15);
  for (unsigned i = 0; i < 4; i++) {
    wr(b, i, DFR, 0);
    wr(b, i, LDR, (i / 2 << 4 | 1u << (i % 2)) << 24);
  }
  assert_int_equal(rd(b, 0, DFR), 0x0fffffff);
  send(b, 4, 0x13, 0x40, 0, true);
  assert_int_equal(who(b, 4, 0x40), 12);
  send(b, 4, 0x02, 0x40, 0, true);
  assert_int_equal(who(b, 4, 0x40), 2);
  send(b, 4, 0xf1, 0x40, 0, true);
  assert_int_equal(who(b, 4, 0x40), 5);
  send(b, 4, 0x23, 0x40, 0, true);
  assert_int_equal(who(b, 4, 0x40), 0);
  bed_free(b);
}

static void lowest_priority_goes_to_one(void **state)
{
  struct bed *b = ready("family10h", 4);
  for (unsigned i = 0; i < 4; i++)
    wr(b, i, LDR, 1u << (24 + i));
  wr(b, 0, TPR, 0x50);
  wr(b, 1, TPR, 0x20);
  wr(b, 2, TPR, 0x20);
  wr(b, 3, SVR, 0xff); // disabled: cannot take it
  send(b, 4, 0xff, 0x60, 1, true);
  assert_int_equal(who(b, 4, 0x60), 2);
  send(b, 4, 0x05, 0x60, 1, true);
  assert_int_equal(who(b, 4, 0x60), 4);
  bed_free(b);
}

static void init_and_startup_start_a_processor(void **state)
{
  struct bed *b = ready("family10h", 2);
  struct cpu *c = b->cpu[1];
  assert_int_equal(c->run, RUN_WAIT_SIPI);
  c->run = RUN_ON;
  wr(b, 0, ICR_HIGH, 1u << 24);
  wr(b, 0, ICR, 0x4600 | 0x12); // startup while it runs: lost
  assert_false(c->pending & PEND_SIPI);
  wr(b, 0, ICR, 0x8500); // INIT level de-assert: nothing
  assert_false(c->pending & PEND_INIT);
  wr(b, 0, ICR, 0xc500);
  assert_true(c->pending & PEND_INIT);
  wr(b, 0, ICR, 0x4600 | 0x12);
  assert_true(c->pending & PEND_SIPI);
  assert_int_equal(c->sipi_vector, 0x12);
  assert_false(b->cpu[0]->pending & (PEND_INIT | PEND_SIPI));
  cpu_init(c);
  assert_true(c->pending & PEND_SIPI); // came after the INIT
  assert_int_equal(c->run, RUN_WAIT_SIPI);
  wr(b, 0, ICR, 0xcc500); // all but self
  wr(b, 0, ICR, 0x8c500); // all: still not itself
  assert_false(b->cpu[0]->pending & PEND_INIT);
  bed_free(b);
}

static void nmi_and_smi_pass_without_vectors(void **state)
{
  struct bed *b = ready("family10h", 2);
  wr(b, 1, SVR, 0xff); // even disabled by software
  wr(b, 0, ICR_HIGH, 1u << 24);
  wr(b, 0, ICR, 0x4400);
  assert_true(b->cpu[1]->pending & PEND_NMI);
  wr(b, 0, ICR, 0x4200);
  assert_true(b->cpu[1]->pending & PEND_SMI);
  bed_free(b);
}

static void errors_are_latched_by_a_write(void **state)
{
  struct bed *b = ready("family10h", 1);
  wr(b, 0, LVT_E, 0x3f);
  wr(b, 0, ICR, 0x4403f & ~0x3fu); // vector 0 to itself
  assert_int_equal(rd(b, 0, ESR), 0);
  wr(b, 0, ESR, 0);
  assert_int_equal(rd(b, 0, ESR), 0x20);
  assert_int_equal(lapic_ack(b->cpu[0]), 0x3f);
  rd(b, 0, 0x10); // no such register
  wr(b, 0, ESR, 0);
  assert_int_equal(rd(b, 0, ESR), 0x80);
  wr(b, 0, LVT_E, 0x05); // an error whose interrupt is an error
  send(b, 1, 0, 3, 0, false);
  wr(b, 0, ESR, 0);
  assert_int_equal(rd(b, 0, ESR), 0x40);
  bed_free(b);
}

static void extended_registers_of_family10h(void **state)
{
  struct bed *b = ready("family10h", 1);
  assert_int_equal(rd(b, 0, VERSION), 0x80050010);
  assert_int_equal(rd(b, 0, EXT_FEATURE), 0x00040003);
  wr(b, 0, EXT_CONTROL, 3);
  wr(b, 0, IER + 0x20, ~2u); // 41h disabled
  send(b, 1, 0, 0x41, 0, false);
  assert_false(pending(b, 0));
  send(b, 1, 0, 0x35, 0, false);
  assert_int_equal(lapic_ack(b->cpu[0]), 0x35);
  wr(b, 0, IER + 0x20, ~0u);
  assert_int_equal(lapic_ack(b->cpu[0]), 0x41);
  wr(b, 0, SPECIFIC_EOI, 0x35);
  assert_int_equal(rd(b, 0, ISR + 0x10), 0);
  assert_int_equal(rd(b, 0, ISR + 0x20), 2);
  bed_free(b);
  b = ready("qemu64", 1);
  assert_int_equal(rd(b, 0, VERSION), 0x00050010);
  assert_int_equal(rd(b, 0, EXT_FEATURE), 0);
  bed_free(b);
}

static void apic_base_allows_only_the_steps_of_the_manual(void **state)
{
  struct bed *b = bed_new("max", 1);
  struct cpu *c = b->cpu[0];
  enum { OFF = 0, X = 0x800, X2 = 0xc00, BAD = 0x400 };
  static const struct {
    uint16_t from, to;
    bool ok;
  } rows[] = {{X, X, 1},     {X, BAD, 0},  {X, X2, 1},  {X2, X, 0},  {X2, BAD, 0}, {X2, OFF, 1},
              {OFF, BAD, 0}, {OFF, X2, 0}, {OFF, X, 1}, {X, OFF, 1}, {OFF, OFF, 1}};
  uint16_t at = X;
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(at, rows[i].from);
    assert_int_equal(msr_write(c, MSR_APIC_BASE, 0xfee00100 | rows[i].to), rows[i].ok);
    if (rows[i].ok)
      at = rows[i].to;
    assert_int_equal(c->apic_base, 0xfee00100 | at);
  }
  bed_free(b);
  b = bed_new("family10h", 1);
  assert_false(msr_write(b->cpu[0], MSR_APIC_BASE, 0xfee00d00));
  assert_true(lapic_mmio_hit(b->cpu[0], 0xfee00fff));
  assert_true(msr_write(b->cpu[0], MSR_APIC_BASE, 0xfed40900));
  assert_false(lapic_mmio_hit(b->cpu[0], 0xfee00030));
  assert_true(lapic_mmio_hit(b->cpu[0], 0xfed40030));
  bed_free(b);
}

static void x2apic_registers_are_msrs_with_reserved_bits(void **state)
{
  struct bed *b = bed_new("max,vendor=GenuineIntel", 4);
  uint64_t v;
  for (unsigned i = 0; i < 4; i++)
    assert_true(msr_write(b->cpu[i], MSR_APIC_BASE, 0xfee00d00));
  struct cpu *c = b->cpu[3];
  assert_false(lapic_mmio_hit(c, 0xfee00000));
  static const uint8_t ro[] = {0x02, 0x03, 0x0a, 0x0d, 0x10, 0x17, 0x18, 0x1f, 0x20, 0x27, 0x39};
  static const uint8_t rw[] = {0x08, 0x0f, 0x30, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x3e};
  static const uint8_t wo[] = {0x0b, 0x3f};
  static const uint8_t none[] = {0x00, 0x01, 0x04, 0x09, 0x0c, 0x0e, 0x2f,
                                 0x31, 0x3a, 0x40, 0x41, 0x48, 0x50, 0xff};
  for (unsigned i = 0; i < sizeof ro; i++) {
    assert_true(msr_read(c, MSR_X2APIC + ro[i], &v));
    assert_false(msr_write(c, MSR_X2APIC + ro[i], 0));
  }
  for (unsigned i = 0; i < sizeof rw; i++) {
    assert_true(msr_read(c, MSR_X2APIC + rw[i], &v));
    assert_true(msr_write(c, MSR_X2APIC + rw[i], v));
    if (rw[i] != 0x30)
      assert_false(msr_write(c, MSR_X2APIC + rw[i], UINT64_MAX));
  }
  for (unsigned i = 0; i < sizeof wo; i++) {
    assert_false(msr_read(c, MSR_X2APIC + wo[i], &v));
    assert_true(msr_write(c, MSR_X2APIC + wo[i], 0));
    assert_false(msr_write(c, MSR_X2APIC + wo[i], 0x100));
  }
  for (unsigned i = 0; i < sizeof none; i++) {
    assert_false(msr_read(c, MSR_X2APIC + none[i], &v));
    assert_false(msr_write(c, MSR_X2APIC + none[i], 0));
  }
  assert_true(msr_write(c, MSR_X2APIC + 0x28, 0));
  assert_false(msr_write(c, MSR_X2APIC + 0x28, 1));
  assert_true(msr_read(c, MSR_X2APIC + 0x0d, &v));
  assert_int_equal(v, 8); // cluster 0, bit 3
  bed_free(b);
}

static void x2apic_sends_to_clusters_everybody_and_itself(void **state)
{
  struct bed *b = bed_new("max", 4);
  for (unsigned i = 0; i < 4; i++) {
    assert_true(msr_write(b->cpu[i], MSR_APIC_BASE, 0xfee00d00));
    assert_true(msr_write(b->cpu[i], MSR_X2APIC + 0x0f, 0x1ff));
  }
  struct cpu *c = b->cpu[0];
  assert_true(msr_write(c, MSR_X2APIC + 0x30, 0x200004040));
  assert_int_equal(who(b, 4, 0x40), 4);
  assert_true(msr_write(c, MSR_X2APIC + 0x30, 0xffffffff00004040));
  assert_int_equal(who(b, 4, 0x40), 15);
  assert_true(msr_write(c, MSR_X2APIC + 0x30, 0x600004840)); // logical: bits 1 and 2 of cluster 0
  assert_int_equal(who(b, 4, 0x40), 6);
  assert_true(msr_write(c, MSR_X2APIC + 0x30, 0x1000600004840)); // cluster 1: nobody
  assert_int_equal(who(b, 4, 0x40), 0);
  assert_true(msr_write(c, MSR_X2APIC + 0x3f, 0xf1));
  assert_int_equal(lapic_ack(c), 0xf1);
  assert_true(msr_write(c, MSR_X2APIC + 0x0b, 0));
  cpu_init(b->cpu[1]); // INIT leaves the mode
  assert_true(b->cpu[1]->apic_base & APIC_BASE_EXTD);
  bed_free(b);
}

static void turning_the_apic_off_forgets_all_but_the_priority(void **state)
{
  struct bed *b = ready("family10h", 1);
  wr(b, 0, TPR, 0x30);
  wr(b, 0, ID, 9u << 24);
  wr(b, 0, LVT_T, 0x20040);
  wr(b, 0, INITIAL, 100000);
  send(b, 1, 9, 0x80, 0, false);
  assert_true(pending(b, 0));
  assert_true(msr_write(b->cpu[0], MSR_APIC_BASE, 0xfee00100));
  assert_false(pending(b, 0));
  assert_int_equal(clock_next(&b->clock), CLOCK_NEVER);
  lapic_set_tpr(b->cpu[0], 4);
  assert_true(msr_write(b->cpu[0], MSR_APIC_BASE, 0xfee00900));
  assert_int_equal(rd(b, 0, TPR), 0x40);
  assert_int_equal(rd(b, 0, ID), 0);
  assert_int_equal(rd(b, 0, SVR), 0xff);
  bed_free(b);
}

static void odd_accesses_are_harmless(void **state)
{
  struct bed *b = ready("max", 2);
  for (unsigned off = 0; off < 0x1000; off++) {
    for (unsigned size = 1; size <= 8; size *= 2) {
      lapic_mmio_read(b->cpu[0], off, size);
      lapic_mmio_write(b->cpu[0], off, size, 0xffffffffffffffff);
      lapic_mmio_write(b->cpu[0], off, size, 0);
    }
  }
  assert_int_equal(lapic_mmio_read(b->cpu[0], VERSION + 2, 1), 5);
  assert_int_equal(lapic_mmio_read(b->cpu[0], VERSION + 4, 4), 0);
  clock_advance(&b->clock, 1000000); // whatever was armed
  bed_free(b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_is_accepted_while_disabled_by_software),
      cmocka_unit_test(the_highest_vector_comes_first_and_blocks_its_class),
      cmocka_unit_test(the_task_priority_is_cr8),
      cmocka_unit_test(level_triggered_vectors_tell_the_ioapic_at_eoi),
      cmocka_unit_test(the_pic_comes_through_lint0),
      cmocka_unit_test(a_level_on_lint_is_raised_again_until_it_falls),
      cmocka_unit_test(a_one_shot_counts_down_once),
      cmocka_unit_test(a_periodic_timer_repeats_and_changes_mode_in_its_stride),
      cmocka_unit_test(a_tiny_period_does_not_swamp_the_host),
      cmocka_unit_test(the_deadline_fires_when_the_tsc_reaches_it),
      cmocka_unit_test(physical_destinations_and_shorthands),
      cmocka_unit_test(logical_destinations_flat_and_cluster),
      cmocka_unit_test(lowest_priority_goes_to_one),
      cmocka_unit_test(init_and_startup_start_a_processor),
      cmocka_unit_test(nmi_and_smi_pass_without_vectors),
      cmocka_unit_test(errors_are_latched_by_a_write),
      cmocka_unit_test(extended_registers_of_family10h),
      cmocka_unit_test(apic_base_allows_only_the_steps_of_the_manual),
      cmocka_unit_test(x2apic_registers_are_msrs_with_reserved_bits),
      cmocka_unit_test(x2apic_sends_to_clusters_everybody_and_itself),
      cmocka_unit_test(turning_the_apic_off_forgets_all_but_the_priority),
      cmocka_unit_test(odd_accesses_are_harmless),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
