// VMSAVE writes, and VMLOAD reads, just the registers that VMRUN leaves alone, hidden parts included, with
// bases made canonical. APM2 15.5.1, 15.5.2.
#include "svm.h"

enum { STAR = 0xc0000081, LSTAR, CSTAR, SFMASK };
enum { FS_BASE = 0xc0000100, GS_BASE, KERNEL_GS };

static const struct {
  unsigned at, size;
} saved[] = {{0x440, 32}, {0x470, 16}, {0x490, 16}, {0x600, 64}};

static bool is_saved(unsigned at)
{
  for (unsigned i = 0; i < sizeof saved / sizeof *saved; i++)
    if (at >= saved[i].at && at < saved[i].at + saved[i].size)
      return true;
  return false;
}

static unsigned sel_fs(void)
{
  unsigned s;
  asm volatile("mov %%fs, %0" : "=r"(s));
  return s;
}

void test(void)
{
  svm_on();
  uint8_t *page = page_new(), *host = page_new();
  struct vmcb *v = (struct vmcb *)page;
  vmsave(host);
  gdt[GDT_FREE / 8] = descriptor(0x12345678, 0xabcde, 0xf3, 0x5); // 32 bits, bytes, AVL
  asm volatile("mov %0, %%fs" ::"r"(GDT_FREE | 3));
  asm volatile("mov %0, %%gs" ::"r"(0));
  asm volatile("lldt %w0" ::"r"(0));
  wrmsr(GS_BASE, 0xffff800000001000);
  wrmsr(KERNEL_GS, 0x00007ffffffff000);
  wrmsr(STAR, 0x1111222233334444);
  wrmsr(LSTAR, 0xffffffff81000000);
  wrmsr(CSTAR, 0x0000123456789abc);
  wrmsr(SFMASK, 0x47700);
  wrmsr(0x174, 0x10);
  wrmsr(0x175, 0x1000);
  wrmsr(0x176, 0x2000);
  for (unsigned i = 0; i < 4096; i++)
    page[i] = 0xcc;
  vmsave(v);
  for (unsigned i = 0; i < 4096; i++)
    if (!is_saved(i) && page[i] != 0xcc)
      fail(HERE, "VMSAVE touched what is not its own", i, 0);
  CHECK_EQ(v->fs.selector, GDT_FREE | 3);
  CHECK_EQ(v->fs.attrib, 0x5f3);
  CHECK_EQ(v->fs.limit, 0xabcde);
  CHECK_EQ(v->fs.base, 0x12345678);
  CHECK_EQ(v->gs.selector, 0);
  CHECK_EQ(v->gs.attrib & 0x80, 0); // null: not present
  CHECK_EQ(v->gs.base, 0xffff800000001000);
  CHECK_EQ(v->tr.selector, TSS_SEL);
  CHECK_EQ(v->tr.attrib & 0x9f, 0x8b); // a busy TSS of 64-bit mode
  CHECK_EQ(v->tr.limit, sizeof tss - 1);
  CHECK_EQ(v->tr.base, &tss);
  CHECK_EQ(v->ldtr.attrib & 0x80, 0);
  CHECK_EQ(v->kernel_gs_base, 0x00007ffffffff000);
  CHECK_EQ(v->star, 0x1111222233334444);
  CHECK_EQ(v->lstar, 0xffffffff81000000);
  CHECK_EQ(v->cstar, 0x0000123456789abc);
  CHECK_EQ(v->sfmask, 0x47700);
  CHECK_EQ(v->sysenter_cs, 0x10);
  CHECK_EQ(v->sysenter_esp, 0x1000);
  CHECK_EQ(v->sysenter_eip, 0x2000);

  // other values come in; no descriptor table is looked at
  v->fs = (struct vseg){.selector = 0x777, .attrib = 0x093, .limit = 0x4321, .base = 0x800000001000};
  v->gs.base = 0x13000;
  v->tr.limit = 0x200;
  v->ldtr = (struct vseg){.selector = 0x50, .attrib = 0x082, .limit = 0x77, .base = 0x10000};
  v->kernel_gs_base = 0xffff7ffffffff000; // not canonical
  v->star = 5;
  v->lstar = 0x6000;
  v->cstar = 0x7000;
  v->sfmask = 0x300;
  v->sysenter_cs = 9;
  v->sysenter_esp = 0xa000;
  v->sysenter_eip = 0xb000;
  vmload(v);
  CHECK_EQ(sel_fs(), 0x777);
  CHECK_EQ(rdmsr(FS_BASE), 0xffff800000001000);
  CHECK_EQ(rdmsr(GS_BASE), 0x13000);
  CHECK_EQ(rdmsr(KERNEL_GS), 0x00007ffffffff000);
  CHECK_EQ(rdmsr(STAR), 5);
  CHECK_EQ(rdmsr(LSTAR), 0x6000);
  CHECK_EQ(rdmsr(CSTAR), 0x7000);
  CHECK_EQ(rdmsr(SFMASK), 0x300);
  CHECK_EQ(rdmsr(0x174), 9);
  CHECK_EQ(rdmsr(0x175), 0xa000);
  CHECK_EQ(rdmsr(0x176), 0xb000);
  unsigned tr, ldt;
  asm volatile("str %0" : "=r"(tr));
  asm volatile("sldt %0" : "=r"(ldt));
  CHECK_EQ(tr, TSS_SEL);
  CHECK_EQ(ldt, 0x50);
  // what came in goes out again
  struct vmcb *w = page_new();
  vmsave(w);
  CHECK_EQ(w->fs.attrib, 0x093);
  CHECK_EQ(w->fs.limit, 0x4321);
  CHECK_EQ(w->tr.limit, 0x200);
  CHECK_EQ(w->ldtr.base, 0x10000);
  CHECK_EQ(w->ldtr.limit, 0x77);
  vmload(host);
}
