// A host with PAE paging gets its page-directory pointers anew at each #VMEXIT; if one is illegal by then the
// processor shuts down, which resets the machine. The image knows by a byte of CMOS memory that it comes from
// there. APM2 15.6.
#include "svm.h"

enum { PLACE = 0x72, MARK = 0xa5 };
static uint64_t pdpt[4] __attribute__((aligned(4096), used));
static struct vmcb *good __attribute__((used)), *bad __attribute__((used));
static uint32_t enter[2] __attribute__((used));

CODE(32, guest_good, "vmmcall");
CODE(32, guest_bad, "orl $2, pdpt+16; vmmcall");
// The host in 32-bit mode. It never comes back.
CODE(32, host32,
     "mov $0x10, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %ss;"
     "mov %cr0, %eax; and $0x7fffffff, %eax; mov %eax, %cr0;"
     "mov $0xc0000080, %ecx; rdmsr; and $~0x100, %eax; wrmsr;"
     "mov $pdpt, %eax; mov %eax, %cr3;"
     "mov %cr0, %eax; or $0x80000000, %eax; mov %eax, %cr0;"
     "mov good, %eax; clgi; vmrun %eax; mov good, %eax; cmpl $0x81, 0x70(%eax); jne 1f;" // the host goes on
     "mov $0x72, %al; out %al, $0x70; mov $0xa5, %al; out %al, $0x71;"
     "mov bad, %eax; vmrun %eax;"
     "1: mov $0xf4, %edx; mov $0x11, %eax; out %eax, %dx; 2: jmp 2b");

static uint8_t cmos(void)
{
  outb(0x70, PLACE);
  return inb(0x71);
}

void test(void)
{
  svm_on();
  if (cmos() == MARK) {
    outb(0x71, 0);
    return;
  }
  uint64_t *pd = page_new();
  for (unsigned i = 0; i < 32; i++)
    pd[i] = i << 21 | PT_P | PT_W | PT_PS;
  for (unsigned i = 0; i < 4; i++)
    pdpt[i] = (uint64_t)pd | PT_P;
  good = vmcb_new();
  bad = vmcb_new();
  vmcb_protected32(good, guest_good);
  vmcb_protected32(bad, guest_bad);
  enter[0] = (uint32_t)(uint64_t)host32;
  enter[1] = K_CODE32;
  asm volatile("ljmp *enter");
  fail(HERE, "the host is in 32-bit mode", 0, 1);
}
