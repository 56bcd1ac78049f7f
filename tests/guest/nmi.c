// NMI: comes in spite of IF, on its own stack, is held back until IRET, and only one waits. APM2 8.2.3.
#include "rt.h"

static volatile unsigned count, inside;
static uint8_t stack[4096];

static void send(void)
{
  apic_write(A_ICR2, apic_read(A_ID));
  apic_write(A_ICR, 0x400);
  while (apic_read(A_ICR) & 0x1000)
    ;
  asm volatile("nop; nop");
}

static void on_nmi(struct frame *f)
{
  word sp;
  asm("mov %%rsp, %0" : "=r"(sp));
  CHECK(sp > (word)stack && sp < (word)stack + sizeof stack);
  CHECK_EQ(inside, 0);
  inside++;
  if (++count == 2) {
    send(); // waits
    send(); // is one with it
    CHECK_EQ(count, 2);
  }
  inside--;
}

static volatile unsigned breakpoints;
static void on_bp(struct frame *f)
{
  breakpoints++;
}

static void nmi_with_iret(struct frame *f)
{
  count++;
  if (count == 5) {
    asm volatile("int3"); // its IRET ends the blocking
    CHECK_EQ(breakpoints, 1);
    tss.ist[1] -= 1024; // the next one must not overwrite this frame
    send();
    tss.ist[1] += 1024;
    CHECK_EQ(count, 6);
  }
}

void test(void)
{
  apic_write(A_SVR, 0x1ff);
  tss.ist[1] = (word)stack + sizeof stack;
  idt_set(NMI, idt_stub(NMI), K_CODE, 0x8e, 2);
  handler[NMI] = on_nmi;
  cli();
  send();
  CHECK_EQ(count, 1);
  send();
  CHECK_EQ(count, 3);
  send();
  CHECK_EQ(count, 4);
  handler[NMI] = nmi_with_iret;
  handler[BP] = on_bp;
  send();
  CHECK_EQ(count, 6);
  // the halt ends
  apic_write(A_ICR2, apic_read(A_ID));
  apic_write(A_ICR, 0x400);
  asm volatile("nop");
  CHECK_EQ(count, 7);
}
