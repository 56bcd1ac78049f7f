// VMCB state caching: what stays when a clean bit is set. APM2 15.15.
#include "bed.h"

#include "cpu/except.h"

// mov rbx, cr3; mov rcx, cr2; mov rdx, dr7; hlt
static const uint8_t look[] = {0x0f, 0x20, 0xdb, 0x0f, 0x20, 0xd1, 0x0f, 0x21, 0xfa};

static struct bed *ready(const char *model)
{
  struct bed *b = bed_new(model, 1);
  bed_code(b, look, sizeof look);
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_HLT);
  b->v->save.rip = BED_GUEST;
  return b;
}

static void a_clean_field_keeps_its_old_value(void **state)
{
  struct bed *b = ready("max");
  b->v->save.cr2 = 0x1234;
  b->v->control.clean = CLEAN_CR2;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_HLT);
  assert_int_equal(b->c->r[RCX], 0);
  assert_int_equal(b->v->save.cr2, 0); // what #VMEXIT writes is what the guest had
  bed_free(b);
}

static void a_field_whose_bit_is_clear_is_loaded(void **state)
{
  struct bed *b = ready("max");
  b->v->save.cr2 = 0x1234;
  b->v->control.clean = ~(uint32_t)CLEAN_CR2;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_HLT);
  assert_int_equal(b->c->r[RCX], 0x1234);
  bed_free(b);
}

static void a_model_without_clean_bits_loads_all(void **state)
{
  struct bed *b = ready("family10h");
  b->v->save.cr2 = 0x1234;
  b->v->control.clean = ~0u;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_HLT);
  assert_int_equal(b->c->r[RCX], 0x1234);
  bed_free(b);
}

static void rip_and_flags_and_injection_are_never_cached(void **state)
{
  struct bed *b = ready("max");
  b->v->control.clean = ~0u;
  b->v->save.rip = BED_GUEST + sizeof look;
  b->v->save.rax = 0x77;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_HLT);
  assert_int_equal(b->v->save.rip, BED_GUEST + sizeof look);
  assert_int_equal(b->v->save.rax, 0x77);
  b->v->control.eventinj = EVENTINJ_VALID | EVENT_NMI << EVENTINJ_TYPE_SHIFT | 2;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_HLT);
  assert_int_equal(b->v->save.rip, BED_HANDLERS + 2 * 16);
  bed_free(b);
}

static void a_new_intercept_with_its_bit_set_is_not_seen(void **state)
{
  struct bed *b = ready("max");
  b->v->control.cr_intercepts = 1 << 3;
  b->v->control.clean = CLEAN_I;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_HLT);
  b->v->save.rip = BED_GUEST;
  b->v->control.clean = 0;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_CR0_READ + 3);
  bed_free(b);
}

static void what_the_guest_changed_is_what_the_cache_has(void **state)
{
  struct bed *b = ready("max");
  static const uint8_t set[] = {0x0f, 0x22, 0xd0}; // mov cr2, rax
  bed_code(b, set, sizeof set);
  b->v->save.rax = 0xabc;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_HLT);
  assert_int_equal(b->v->save.cr2, 0xabc);
  bed_code(b, look, sizeof look);
  b->v->save.rip = BED_GUEST;
  b->v->save.cr2 = 0;
  b->v->control.clean = CLEAN_CR2;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_HLT);
  assert_int_equal(b->c->r[RCX], 0xabc);
  bed_free(b);
}

static void each_vmcb_is_cached_by_its_address(void **state)
{
  struct bed *b = ready("max");
  struct vmcb *w = (struct vmcb *)(b->ram.mem + BED_VMCB2);
  w->save.cr2 = 0x5555;
  w->control.clean = ~0u; // the first run: nothing is cached
  assert_int_equal(bed_vmrun(b, BED_VMCB2), VMEXIT_HLT);
  assert_int_equal(b->c->r[RCX], 0x5555);
  b->v->save.cr2 = 0x1234; // and the first VMCB still is
  b->v->control.clean = CLEAN_CR2;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_HLT);
  assert_int_equal(b->c->r[RCX], 0);
  bed_free(b);
}

static void a_failed_vmrun_forgets(void **state)
{
  struct bed *b = ready("max");
  b->v->control.asid = 0;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_INVALID);
  b->v->control.asid = 1;
  b->v->save.cr2 = 0x1234;
  b->v->control.clean = ~0u;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_HLT);
  assert_int_equal(b->c->r[RCX], 0x1234);
  bed_free(b);
}

static void a_clean_field_that_became_illegal_is_not_checked(void **state)
{
  struct bed *b = ready("max");
  b->v->save.dr7 = 1ull << 40;
  b->v->control.clean = CLEAN_DRX;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_HLT);
  b->v->save.dr7 = 1ull << 40;
  b->v->control.clean = ~(uint32_t)CLEAN_DRX;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_INVALID);
  bed_free(b);
}

static void what_the_guest_made_illegal_is_checked_though_nobody_changed_it(void **state)
{
  struct bed *b = bed_new("max", 1);
  // mov ecx, EFER; rdmsr; and ah, ~10h (SVME); wrmsr
  static const uint8_t leave[] = {0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, 0x80, 0xe4, 0xef, 0x0f, 0x30};
  bed_code(b, leave, sizeof leave);
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_HLT);
  assert_int_equal(b->v->save.efer & EFER_SVME, 0);
  b->v->save.rip = BED_GUEST;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_INVALID);
  b->v->save.efer |= EFER_SVME;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_HLT);
  bed_free(b);
}

static void the_log_names_the_stale_field(void **state)
{
  struct bed *b = ready("max");
  char text[4096] = "";
  FILE *f = fmemopen(text, sizeof text, "w");
  b->log.out = f;
  b->log.items = LOG_VMRUN;
  b->v->save.cr3 = 0x5000;
  b->v->control.clean = CLEAN_CRX;
  assert_int_equal(bed_vmrun(b, BED_VMCB), VMEXIT_HLT);
  fflush(f);
  assert_non_null(strstr(text, "cr3 changed from 9000 to 5000 but clean bit 5 is set"));
  assert_null(strstr(text, "cr4 changed"));
  b->log.items = 0;
  fclose(f);
  bed_free(b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_clean_field_keeps_its_old_value),
      cmocka_unit_test(a_field_whose_bit_is_clear_is_loaded),
      cmocka_unit_test(a_model_without_clean_bits_loads_all),
      cmocka_unit_test(rip_and_flags_and_injection_are_never_cached),
      cmocka_unit_test(a_new_intercept_with_its_bit_set_is_not_seen),
      cmocka_unit_test(what_the_guest_changed_is_what_the_cache_has),
      cmocka_unit_test(each_vmcb_is_cached_by_its_address),
      cmocka_unit_test(a_failed_vmrun_forgets),
      cmocka_unit_test(a_clean_field_that_became_illegal_is_not_checked),
      cmocka_unit_test(what_the_guest_made_illegal_is_checked_though_nobody_changed_it),
      cmocka_unit_test(the_log_names_the_stale_field),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
