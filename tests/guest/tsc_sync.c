// No processor reads a time stamp that lies before one that another processor has read. Needs -smp 4.
#include "rt.h"

enum { CPUS = 4, READS = 20000 };

static volatile unsigned lock, here, done, warps;
static volatile uint64_t latest;

static void reads(void)
{
  __atomic_add_fetch(&here, 1, __ATOMIC_SEQ_CST);
  while (here < CPUS)
    asm volatile("pause");
  for (unsigned i = 0; i < READS; i++) {
    while (__atomic_exchange_n(&lock, 1, __ATOMIC_SEQ_CST))
      asm volatile("pause");
    uint64_t now = rdtsc();
    if (now < latest)
      warps++;
    latest = now;
    __atomic_store_n(&lock, 0, __ATOMIC_SEQ_CST);
  }
  __atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
}

void test(void)
{
  for (unsigned i = 1; i < CPUS; i++)
    ap_start(i, reads);
  reads();
  while (done < CPUS)
    asm volatile("pause");
  CHECK_EQ(warps, 0);
}
