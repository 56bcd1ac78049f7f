// With a filter count PAUSE exits when the counter is used up, which VMRUN loads; with a threshold only those
// count that follow each other closely. APM2 15.14.4.
#include "svm.h"

static struct vmcb *v;
static void g_pauses(void) // counts them in RBX; RCX: times to wait in between
{
  asm volatile(
      "xor %%ebx, %%ebx; mov $40, %%edx; 1: pause; inc %%ebx; mov %%rcx, %%rax; 2: dec %%rax; jns 2b;"
      "dec %%edx; jnz 1b; vmmcall" ::
          : "rax", "rbx", "rdx");
}

// How many went by before the exit; 40: no exit.
static unsigned passed(unsigned count, unsigned threshold, unsigned wait)
{
  v->pause_count = count;
  v->pause_threshold = threshold;
  regs.cx = wait;
  uint64_t code = guest(v, g_pauses);
  CHECK(code == X_PAUSE || code == X_VMMCALL);
  CHECK_EQ(code == X_PAUSE, regs.bx < 40);
  CHECK_EQ(v->pause_count, count); // the field is not written
  return regs.bx;
}

// The manual's table 15-7 has the counter go below zero, section 15.14.4 has it reach zero.
static bool about(unsigned have, unsigned count)
{
  return have == count || have + 1 == count;
}

void test(void)
{
  svm_on();
  v = vmcb_new();
  CHECK_EQ(passed(0, 0, 0), 40); // not intercepted
  intercept(v, X_PAUSE);
  CHECK_EQ(passed(0, 0, 0), 0);
  if (!svm_has(SVM_PAUSE)) {
    CHECK_EQ(passed(30, 0, 0), 0);
    return;
  }
  for (unsigned count = 1; count < 40; count += 6)
    CHECK(about(passed(count, 0, 0), count));
  CHECK_EQ(passed(100, 0, 0), 40);
  CHECK(about(passed(20, 0, 3000), 20)); // no threshold: distance does not matter
  // each VMRUN loads it
  CHECK(about(passed(10, 0, 0), 10));
  uint64_t before = regs.bx;
  CHECK_EQ(run(v), X_PAUSE);
  CHECK(about(regs.bx - before, 10));
  if (!svm_has(SVM_PAUSE_THRESHOLD))
    return;
  CHECK(about(passed(20, 0xffff, 0), 20));
  CHECK_EQ(passed(20, 100, 3000), 40); // each is the first again
  CHECK_EQ(passed(2, 100, 3000), 40);
}
