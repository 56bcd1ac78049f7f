// The hypervisor causes no exceptions; one that comes all the same ends it with a line that says where.
// Interrupts only wake the run loop, which looks at everything anyway; those of devices go to their guest.
#include "host/trap.h"

#include "guest/console.h"
#include "host/cpu.h"
#include "host/lapic.h"
#include "host/print.h"
#include "vdev/assign.h"

struct frame {
  uint64_t r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax;
  uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

static struct __attribute__((packed)) {
  uint16_t offset0, selector, flags, offset16;
  uint32_t offset32, reserved;
} idt[256];

extern uint8_t trap_vectors[256][16];

void trap_init(void)
{
  for (unsigned i = 0; i < 256; i++) {
    uint64_t at = addr(trap_vectors[i]);
    idt[i].offset0 = (uint16_t)at;
    idt[i].selector = 0x08;
    idt[i].flags = 0x8e00; // interrupt gate
    idt[i].offset16 = (uint16_t)(at >> 16);
    idt[i].offset32 = (uint32_t)(at >> 32);
  }
}

void trap_load(void)
{
  struct __attribute__((packed)) {
    uint16_t limit;
    uint64_t base;
  } idtr = {sizeof idt - 1, addr(idt)};
  __asm__ volatile("lidt %0" : : "m"(idtr));
}

void trap(struct frame *f);
void trap(struct frame *f)
{
  if (f->vector < 32) {
    if (f->vector == V_NMI)
      return;
    fatal("exception %lu, error %lx, at %lx, CR2 %lx, RSP %lx, cpu %u", f->vector, f->error, f->rip,
          read_cr2(), f->rsp, this_cpu()->id);
  }
  switch (f->vector) {
  case VECTOR_SPURIOUS:
    return;
  case VECTOR_TIMER:
    this_cpu()->timer_at = UINT64_MAX;
    break;
  case VECTOR_SERIAL:
    console_input();
    break;
  default:
    if (f->vector >= VECTOR_GSI)
      assign_interrupt((unsigned)f->vector - VECTOR_GSI);
    break;
  }
  lapic_eoi();
}
