// Events that hardware makes of signals: INIT and its redirection, machine checks that the host takes, x87
// errors without CR0.NE. APM2 15.12.18, 15.14.2, 15.21.8, 15.30.1, 15.30.2.
#include "bed.h"

#include "bus/irq.h"
#include "cpu/except.h"
#include "cpu/fpu.h"
#include "cpu/mca.h"

static const uint8_t loop[] = {0xeb, 0xfe};

static void start(struct bed *b)
{
  b->c->ip = BED_HOST;
  b->c->r[RAX] = BED_VMCB;
  bed_run(b, 20);
  assert_true(b->c->guest);
}

static struct bed *looping_host(void)
{
  struct bed *b = bed_new("max", 1);
  bed_put(b, BED_HOST, 0xfeeb, 2);
  b->c->ip = BED_HOST;
  return b;
}

// ---- INIT: the rows of table 15-12 ----

static void init_waits_for_gif(void **state)
{
  struct bed *b = looping_host();
  b->c->gif = false;
  b->c->vm_cr = VM_CR_R_INIT;
  cpu_request(b->c, PEND_INIT);
  bed_run(b, 10);
  assert_int_equal(b->c->ip, BED_HOST);
  assert_int_equal(b->c->pending & PEND_INIT, PEND_INIT);
  bed_free(b);
}

static void a_redirected_init_is_an_exception_of_the_host(void **state)
{
  struct bed *b = looping_host();
  b->c->vm_cr = VM_CR_R_INIT;
  cpu_request(b->c, PEND_INIT);
  bed_run(b, 10);
  assert_int_equal(b->c->ip, BED_HANDLERS + VEC_SX * 16 + 1);
  assert_int_equal(bed_get(b, b->c->r[RSP], 8), 1); // the error code
  assert_int_equal(bed_get(b, b->c->r[RSP] + 8, 8), BED_HOST);
  assert_int_equal(b->c->pending & PEND_INIT, 0);
  assert_int_equal(b->c->cr0 & CR0_PG, CR0_PG);
  bed_free(b);
}

static void init_that_is_not_redirected_resets(void **state)
{
  struct bed *b = looping_host();
  b->c->vm_cr = VM_CR_SVMDIS;
  cpu_request(b->c, PEND_INIT);
  bed_run(b, 1);
  assert_int_equal(b->c->cr0 & CR0_PE, 0);
  assert_int_equal(b->c->vm_cr, 0); // INIT clears SVMDIS if it is not locked
  bed_free(b);
}

static void the_intercept_of_init_comes_before_its_redirection(void **state)
{
  struct bed *b = bed_new("max", 1);
  bed_code(b, loop, sizeof loop);
  bed_intercept(b, VMEXIT_INIT);
  start(b);
  b->c->vm_cr = VM_CR_R_INIT;
  cpu_request(b->c, PEND_INIT);
  bed_run(b, 10);
  assert_int_equal(b->v->control.exitcode, VMEXIT_INIT);
  assert_int_equal(b->c->pending & PEND_INIT, PEND_INIT);
  // #VMEXIT has cleared GIF; it is taken, redirected, when that is set
  b->c->gif = true;
  cpu_kick(b->c);
  bed_run(b, 10);
  assert_int_equal(b->c->ip, BED_HANDLERS + VEC_SX * 16 + 1);
  bed_free(b);
}

static void a_redirected_init_in_a_guest_can_be_intercepted_as_an_exception(void **state)
{
  struct bed *b = bed_new("max", 1);
  bed_code(b, loop, sizeof loop);
  b->v->control.exception_intercepts = 1u << VEC_SX;
  start(b);
  b->c->vm_cr = VM_CR_R_INIT;
  cpu_request(b->c, PEND_INIT);
  bed_run(b, 10);
  assert_int_equal(b->v->control.exitcode, VMEXIT_EXCP0 + VEC_SX);
  assert_int_equal(b->v->control.exitinfo1, 1);
  bed_free(b);
}

// ---- machine checks ----

static void check(struct bed *b, const char *model, bool host, bool guest, uint64_t exit)
{
  b = bed_new(model, 1);
  bed_code(b, loop, sizeof loop);
  b->c->cr4 |= host ? CR4_MCE : 0;
  b->v->save.cr4 |= guest ? CR4_MCE : 0;
  b->c->mcg_ctl = 1;
  start(b);
  mca_log(b->c, 0, MCI_VAL | MCI_UC | MCI_EN, 0, 0);
  bed_run(b, 10);
  assert_int_equal(b->v->control.exitcode, exit);
  bed_free(b);
}

static void the_host_takes_machine_checks_of_a_guest_that_does_not(void **state)
{
  check(NULL, "max", true, false, VMEXIT_EXCP0 + VEC_MC);
  check(NULL, "max", false, false, VMEXIT_SHUTDOWN);
  check(NULL, "max", true, true, VMEXIT_HLT); // the guest's own handler
  check(NULL, "max,-host-mce-override", true, false, VMEXIT_SHUTDOWN);
}

// ---- x87 errors ----

// 0 / 0 with all exceptions unmasked, then an instruction that waits, then HLT.
static const uint8_t divide[] = {
    0xdb, 0xe3,                         // fninit
    0x6a, 0x00, 0xd9, 0x2c, 0x24,       // push 0; fldcw [rsp]
    0xd9, 0xee, 0xd9, 0xee, 0xde, 0xf9, // fldz; fldz; fdivp
    0x9b,                               // fwait
};

static void set_wire(void *sink, int pin, int level)
{
  *(int *)sink = level;
}

static struct bed *with_x87(uint64_t clear)
{
  struct bed *b = bed_new("max", 1);
  bed_code(b, divide, sizeof divide);
  b->v->save.cr0 &= ~clear;
  return b;
}

static void with_ne_an_error_is_an_exception(void **state)
{
  struct bed *b = with_x87(0);
  b->v->control.exception_intercepts = 1u << VEC_MF;
  bed_intercept(b, VMEXIT_FERR_FREEZE);
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_EXCP0 + VEC_MF);
  bed_free(b);
}

static void without_ne_the_freeze_is_intercepted_at_the_waiting_instruction(void **state)
{
  struct bed *b = with_x87(CR0_NE);
  int wire = 0;
  struct irq line = {.set = set_wire, .sink = &wire};
  b->c->ferr = &line;
  bed_intercept(b, VMEXIT_FERR_FREEZE);
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_FERR_FREEZE);
  assert_int_equal(b->v->save.rip, BED_GUEST + sizeof divide - 1);
  assert_int_equal(wire, 1);
  b->c->ferr = NULL;
  bed_free(b);
}

static void without_the_intercept_the_processor_stands_still(void **state)
{
  struct bed *b = with_x87(CR0_NE);
  assert_int_equal(bed_vmrun(b, BED_VMCB), UINT64_MAX - 1);
  assert_true(b->c->guest);
  assert_int_equal(b->c->run, RUN_HALTED);
  assert_int_equal(b->c->ip, BED_GUEST + sizeof divide - 1);
  cpu_request(b->c, PEND_NMI); // an interrupt goes on from there
  bed_run(b, 10);
  assert_int_equal(b->v->control.exitcode, VMEXIT_HLT);
  assert_int_equal(b->v->save.rip, BED_HANDLERS + 2 * 16);
  bed_free(b);
}

static void ignne_lets_it_go_on(void **state)
{
  for (unsigned way = 0; way < 2; way++) { // the pin, the MSR
    struct bed *b = with_x87(CR0_NE);
    bed_intercept(b, VMEXIT_FERR_FREEZE);
    b->c->ignne_pin = !way;
    if (way) {
      msr_write(b->c, MSR_HWCR, b->c->hwcr | HWCR_IGNNE_EM);
      assert_true(msr_write(b->c, MSR_IGNNE, 1));
      assert_false(msr_write(b->c, MSR_IGNNE, 2));
    }
    assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_HLT);
    assert_int_equal(b->v->save.rip, BED_GUEST + sizeof divide);
    bed_free(b);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(init_waits_for_gif),
      cmocka_unit_test(a_redirected_init_is_an_exception_of_the_host),
      cmocka_unit_test(init_that_is_not_redirected_resets),
      cmocka_unit_test(the_intercept_of_init_comes_before_its_redirection),
      cmocka_unit_test(a_redirected_init_in_a_guest_can_be_intercepted_as_an_exception),
      cmocka_unit_test(the_host_takes_machine_checks_of_a_guest_that_does_not),
      cmocka_unit_test(with_ne_an_error_is_an_exception),
      cmocka_unit_test(without_ne_the_freeze_is_intercepted_at_the_waiting_instruction),
      cmocka_unit_test(without_the_intercept_the_processor_stands_still),
      cmocka_unit_test(ignne_lets_it_go_on),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
