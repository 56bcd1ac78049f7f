// The names of exit codes and their slots.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/svm/exitcode.h"

static void every_slot_has_a_code_and_a_name_of_its_own(void **state)
{
  for (unsigned i = 0; i < SVM_SLOTS; i++) {
    uint64_t code = svm_slot_code(i);
    assert_int_equal(svm_slot(code), i);
    const char *name = svm_exit_name(code);
    assert_non_null(name);
    assert_memory_equal(name, "VMEXIT_", 7);
    for (unsigned k = 0; k < i; k++)
      assert_string_not_equal(name, svm_exit_name(svm_slot_code(k)));
  }
}

// APM2 appendix C, written down again.
static void names_are_the_manuals(void **state)
{
  static const struct {
    uint64_t code;
    const char *name;
  } rows[] = {
      {0x00, "VMEXIT_CR0_READ"},       {0x08, "VMEXIT_CR8_READ"},
      {0x13, "VMEXIT_CR3_WRITE"},      {0x27, "VMEXIT_DR7_READ"},
      {0x30, "VMEXIT_DR0_WRITE"},      {0x4e, "VMEXIT_EXCP14"},
      {0x5f, "VMEXIT_EXCP31"},         {0x60, "VMEXIT_INTR"},
      {0x64, "VMEXIT_VINTR"},          {0x65, "VMEXIT_CR0_SEL_WRITE"},
      {0x6e, "VMEXIT_RDTSC"},          {0x72, "VMEXIT_CPUID"},
      {0x75, "VMEXIT_SWINT"},          {0x78, "VMEXIT_HLT"},
      {0x7b, "VMEXIT_IOIO"},           {0x7c, "VMEXIT_MSR"},
      {0x7f, "VMEXIT_SHUTDOWN"},       {0x80, "VMEXIT_VMRUN"},
      {0x81, "VMEXIT_VMMCALL"},        {0x87, "VMEXIT_RDTSCP"},
      {0x8d, "VMEXIT_XSETBV"},         {0x8f, "VMEXIT_EFER_WRITE_TRAP"},
      {0x94, "VMEXIT_CR4_WRITE_TRAP"}, {0xa2, "VMEXIT_INVPCID"},
      {0xa4, "VMEXIT_TLBSYNC"},        {0x400, "VMEXIT_NPF"},
      {UINT64_MAX, "VMEXIT_INVALID"},
  };
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
    assert_string_equal(svm_exit_name(rows[i].code), rows[i].name);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_slot_has_a_code_and_a_name_of_its_own),
      cmocka_unit_test(names_are_the_manuals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
