// What comes in with VMRUN, and with events beside it: reasons of a refusal, flags that a mode does not have,
// what GIF holds back. APM2 15.5.1, 15.17.
#include "bed.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const uint8_t hlt[] = {0xf4};

static void a_refusal_for_the_page_directory_pointers_says_so(void **state)
{
  struct bed *b = bed_new("max", 1);
  char *text = NULL;
  size_t len;
  FILE *out = open_memstream(&text, &len);
  b->log = (struct log){.items = LOG_VMRUN, .out = out};
  bed_code(b, hlt, 1);
  b->v->save.efer = EFER_SVME;
  b->v->save.cs.attrib = 0xc9b;
  b->v->save.cr3 = BED_DATA;
  bed_put(b, BED_DATA, 0x1e7, 8);
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_INVALID);
  fclose(out);
  assert_non_null(strstr(text, "VMEXIT_INVALID: CR3 is 0xe000"));
  free(text);
  bed_free(b);
}

// Nobody could make a guest in long mode run as virtual-8086 code.
static void rflags_vm_counts_only_in_legacy_protected_mode(void **state)
{
  struct bed *b = bed_new("max", 1);
  bed_code(b, hlt, 1);
  b->v->save.rflags |= FL_VM;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_HLT);
  assert_int_equal(b->v->save.rip, BED_GUEST); // no handler's
  b->v->save.cr0 = CR0_ET;                     // real mode
  b->v->save.cr4 = 0;
  b->v->save.efer = EFER_SVME;
  b->v->save.cs = b->v->save.ss = (struct vmcb_seg){.base = BED_GUEST, .limit = 0xffff, .attrib = 0x9b};
  b->v->save.rip = 0;
  b->v->save.rflags = FL_VM | 2;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_HLT);
  assert_int_equal(b->v->save.rip, 0);
  bed_free(b);
}

static void the_upper_half_of_rip_counts_only_in_long_mode(void **state)
{
  struct bed *b = bed_new("max", 1);
  bed_code(b, hlt, 1);
  b->v->save.cr0 = CR0_PE | CR0_ET;
  b->v->save.cr4 = 0;
  b->v->save.efer = EFER_SVME;
  b->v->save.cs.attrib = 0xc9b;
  b->v->save.cs.limit = UINT32_MAX;
  b->v->save.rip = BED_GUEST | 1ull << 44;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_HLT);
  assert_int_equal(b->v->save.rip, BED_GUEST);
  bed_free(b);
}

// A machine whose only processor waits with GIF clear has nothing to do, whatever is pending.
static void a_halt_with_gif_clear_waits_for_nothing_that_gif_holds_back(void **state)
{
  static const uint32_t held[] = {PEND_NMI, PEND_SMI, PEND_INIT, PEND_MC, PEND_INTR};
  for (unsigned i = 0; i < sizeof held / sizeof held[0]; i++) {
    struct bed *b = bed_new("max", 1);
    bed_put(b, BED_HOST, 0xf4, 1);
    b->c->ip = BED_HOST;
    b->c->gif = false;
    cpu_set_flags(b->c, FL_IF | 2);
    b->c->pending |= held[i];
    alarm(20);
    bed_run(b, 100);
    alarm(0);
    assert_int_equal(b->c->ip, BED_HOST + 1);
    assert_int_equal(b->c->pending, held[i]);
    bed_free(b);
  }
}

static int vector(void *arg)
{
  return 0x40;
}

// Gates that leave IF set let an interrupt in before the first instruction of a handler.
static void what_an_nmi_leaves_open_comes_before_its_handler(void **state)
{
  struct bed *b = bed_new("max", 1);
  bed_put(b, BED_HOST, 0x9090, 2);
  bed_put(b, BED_IDT + VEC_NMI * 16 + 5, 0xef, 1); // a trap gate
  b->c->ip = BED_HOST;
  b->c->intack = vector;
  lapic_virtual_wire(b->c);
  lapic_lint(b->c, 0, 1);
  cpu_set_flags(b->c, FL_IF | 2);
  cpu_request(b->c, PEND_NMI);
  bed_run(b, 20);
  assert_int_equal(b->c->ip, BED_HANDLERS + 0x40 * 16 + 1);
  assert_int_equal(bed_get(b, b->c->r[RSP], 8), BED_HANDLERS + VEC_NMI * 16);
  bed_free(b);
}

// APM2 4.12.2. The address is mapped nowhere: where no limit is in the way, that is what ends the guest.
static void efer_lmsle_of_a_vmcb_gives_its_guest_limits(void **state)
{
  enum { GP = VMEXIT_EXCP0 + VEC_GP, SS = VMEXIT_EXCP0 + VEC_SS, PF = VMEXIT_EXCP0 + VEC_PF };
  static const uint8_t load[] = {0x48, 0xc7, 0xc0, 0xf0, 0xff, 0xff, 0xff, 0x48, 0x8b, 0x18}; // rbx = [-16]
  static const uint8_t push[] = {0x48, 0xc7, 0xc4, 0xf0, 0xff, 0xff, 0xff, 0x50};             // push there
  static const struct {
    unsigned cpl;
    bool lmsle, stack, wide;
    uint64_t exit;
  } rows[] = {{3, false, false, false, PF}, {3, true, false, false, GP}, {3, false, false, false, PF},
              {0, true, false, false, PF},  {3, true, false, true, PF},  {3, true, true, false, SS},
              {3, false, true, false, PF},  {3, true, true, true, PF},   {0, true, true, false, PF}};
  struct bed *b = bed_new("max", 1);
  b->v->control.exception_intercepts = 1 << VEC_GP | 1 << VEC_SS | 1 << VEC_PF;
  for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    bed_cpl(b, rows[i].cpl);
    bed_code(b, rows[i].stack ? push : load, rows[i].stack ? sizeof push : sizeof load);
    uint64_t efer = EFER_SVME | EFER_LME | EFER_LMA | (rows[i].lmsle ? EFER_LMSLE : 0);
    b->v->save.efer = efer;
    b->v->save.ds.attrib = 0xcf3;
    b->v->save.ds.limit = b->v->save.ss.limit = rows[i].wide ? UINT32_MAX : 0x7fffffff;
    b->v->save.rip = BED_GUEST;
    assert_int_equal(bed_vmrun(b, BED_VMCB), rows[i].exit);
    assert_int_equal(b->v->save.efer, efer);
    assert_int_equal(b->v->control.exitinfo1, rows[i].exit == PF ? b->v->control.exitinfo1 : 0);
    assert_int_equal(b->c->efer & EFER_LMSLE, 0);
    assert_int_equal(b->c->mode & MODE_LMSLE, 0);
  }
  bed_free(b);
}

// Whoever changes the host save area while a guest runs gets a shutdown, not a processor in a state that is
// none.
static void a_host_in_an_impossible_state_is_not_loaded(void **state)
{
  static const uint8_t loop[] = {0xeb, 0xfe};
  static const struct {
    unsigned offset;
    uint64_t flip;
  } rows[] = {
      {offsetof(struct vmcb_save, efer), EFER_LMA}, {offsetof(struct vmcb_save, efer), 1ull << 40},
      {offsetof(struct vmcb_save, cr0), CR0_NW},    {offsetof(struct vmcb_save, cr0), 1ull << 32},
      {offsetof(struct vmcb_save, cr4), 1u << 31},  {offsetof(struct vmcb_save, cr4), CR4_PAE},
  };
  for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct bed *b = bed_new("max", 1);
    bed_code(b, loop, sizeof loop);
    bed_intercept(b, VMEXIT_NMI);
    b->c->ip = BED_HOST;
    b->c->r[RAX] = BED_VMCB;
    bed_run(b, 20);
    assert_true(b->c->guest);
    uint64_t at = BED_HSAVE + offsetof(struct vmcb, save) + rows[i].offset;
    bed_put(b, at, bed_get(b, at, 8) ^ rows[i].flip, 8);
    cpu_request(b->c, PEND_NMI);
    bed_run(b, 20);
    assert_int_equal(b->c->run, RUN_SHUTDOWN);
    assert_int_equal(b->v->control.exitcode, VMEXIT_NMI);
    bed_free(b);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_refusal_for_the_page_directory_pointers_says_so),
      cmocka_unit_test(rflags_vm_counts_only_in_legacy_protected_mode),
      cmocka_unit_test(a_halt_with_gif_clear_waits_for_nothing_that_gif_holds_back),
      cmocka_unit_test(efer_lmsle_of_a_vmcb_gives_its_guest_limits),
      cmocka_unit_test(the_upper_half_of_rip_counts_only_in_long_mode),
      cmocka_unit_test(a_host_in_an_impossible_state_is_not_loaded),
      cmocka_unit_test(what_an_nmi_leaves_open_comes_before_its_handler),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
