// The common part of the SVM images; see svm.h.
#include "svm.h"

uint8_t guest_stack[16384] __attribute__((aligned(4096)));
struct guest_regs regs;
uint8_t *host_save;

// ---- the processor ----

static uint32_t leaf_a(unsigned reg)
{
  uint32_t r[4];
  cpuid(0x80000000, 0, r);
  if (r[0] < 0x8000000a)
    return 0;
  cpuid(0x8000000a, 0, r);
  return r[reg];
}

uint32_t svm_features(void)
{
  return leaf_a(3);
}

uint32_t svm_asids(void)
{
  return leaf_a(1);
}

void svm_need(uint32_t features)
{
  if (svm_has(features))
    return;
  print("this processor does not have it; ");
  pass();
}

void svm_on(void)
{
  uint32_t r[4];
  cpuid(0x80000001, 0, r);
  if (!(r[2] & 4)) {
    print("no SVM; ");
    pass();
  }
  wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
  host_save = page_new();
  wrmsr(MSR_HSAVE, (uint64_t)host_save);
}

// ---- VMCBs ----

void *pages_new(unsigned n)
{
  void *first = page_new();
  while (--n)
    page_new();
  return first;
}

static void flat(struct vseg *s, unsigned selector, unsigned attrib)
{
  *s = (struct vseg){.selector = selector, .attrib = attrib, .limit = 0xffffffff};
}

struct vmcb *vmcb_new(void)
{
  struct {
    uint16_t limit;
    uint64_t base;
  } __attribute__((packed)) d;
  struct vmcb *v = page_new();
  intercept(v, X_VMRUN);
  intercept(v, X_VMMCALL);
  v->asid = 1;
  v->iopm = (uint64_t)pages_new(3);
  v->msrpm = (uint64_t)pages_new(2);
  vmsave(v); // FS, GS, TR, LDTR, system-call registers
  flat(&v->cs, K_CODE, 0xa9b);
  flat(&v->ss, K_DATA, 0xc93);
  flat(&v->ds, K_DATA, 0xc93);
  flat(&v->es, K_DATA, 0xc93);
  asm volatile("sgdt %0" : "=m"(d));
  v->gdtr = (struct vseg){.limit = d.limit, .base = d.base};
  asm volatile("sidt %0" : "=m"(d));
  v->idtr = (struct vseg){.limit = d.limit, .base = d.base};
  v->efer = rdmsr(MSR_EFER);
  v->cr0 = read_cr0();
  v->cr3 = read_cr3();
  v->cr4 = read_cr4();
  v->dr6 = 0xffff0ff0;
  v->dr7 = 0x400;
  v->rflags = 2;
  v->g_pat = rdmsr(0x277);
  vmcb_entry(v, vmmcall);
  return v;
}

void vmcb_entry(struct vmcb *v, void (*fn)(void))
{
  v->rip = (uint64_t)fn;
  v->rsp = (uint64_t)guest_stack + sizeof guest_stack - 8; // as after a CALL
}

void vmcb_privileged(struct vmcb *v)
{
  flat(&v->cs, K_CODE, 0xa9b);
  flat(&v->ss, K_DATA, 0xc93);
  v->cpl = 0;
  v->rflags = 2;
}

static void unpaged(struct vmcb *v, const void *code)
{
  v->efer = EFER_SVME;
  v->cr0 = 0x11; // ET, PE
  v->cr4 = 0x600;
  v->rip = (uint64_t)code;
  v->rsp = (uint64_t)guest_stack + sizeof guest_stack - 8;
  v->idtr = (struct vseg){0};
}

void vmcb_protected32(struct vmcb *v, const void *code)
{
  unpaged(v, code);
  v->cs.attrib = 0xc9b;
}

void vmcb_protected16(struct vmcb *v, const void *code)
{
  unpaged(v, code);
  v->cs = (struct vseg){.selector = K_CODE16, .attrib = 0x9b, .limit = 0xffff, .base = (uint64_t)code};
  v->rip = 0;
}

void vmcb_real(struct vmcb *v, const void *code)
{
  unpaged(v, code);
  v->cr0 = 0x10;
  v->cs = (struct vseg){.selector = 0x1000, .attrib = 0x9b, .limit = 0xffff, .base = (uint64_t)code};
  v->ss = v->ds = v->es = (struct vseg){.attrib = 0x93, .limit = 0xffff, .base = (uint64_t)guest_stack};
  v->rip = 0;
  v->rsp = sizeof guest_stack - 8;
  v->idtr = (struct vseg){.limit = 0x3ff, .base = (uint64_t)guest_stack};
}

void vmcb_nested(struct vmcb *v)
{
  uint64_t *l4 = page_new(), *l3 = page_new(), *l2 = pages_new(4);
  l4[0] = (uint64_t)l3 | PT_P | PT_W | PT_U;
  for (unsigned i = 0; i < 4; i++)
    l3[i] = (uint64_t)(l2 + 512 * i) | PT_P | PT_W | PT_U;
  for (uint64_t i = 0; i < 2048; i++)
    l2[i] = i << 21 | PT_P | PT_W | PT_U | PT_PS;
  v->ncr3 = (uint64_t)l4;
  v->np |= NP_ENABLE;
}

void msrpm_set(struct vmcb *v, uint32_t msr, bool read, bool write)
{
  unsigned at = (msr & 0x1fff) * 2;
  at += msr >= 0xc0010000 ? 0x1000 * 8 : msr >= 0xc0000000 ? 0x800 * 8 : 0;
  uint8_t *b = (uint8_t *)v->msrpm + at / 8;
  *b = (*b & ~(3u << at % 8)) | (unsigned)(read | write << 1) << at % 8;
}

// ---- the world switch ----

uint64_t run(struct vmcb *v)
{
  clgi();
  svm_switch((uint64_t)v, &regs);
  stgi();
  return v->exitcode;
}

uint64_t run_if(struct vmcb *v)
{
  clgi();
  asm volatile("sti" ::: "memory");
  svm_switch((uint64_t)v, &regs);
  cli();
  stgi();
  return v->exitcode;
}

uint64_t run_own(struct vmcb *v)
{
  static uint8_t host[4096] __attribute__((aligned(4096)));
  clgi();
  vmsave(host);
  vmload(v);
  svm_switch((uint64_t)v, &regs);
  vmsave(v);
  vmload(host);
  stgi();
  return v->exitcode;
}

uint64_t guest(struct vmcb *v, void (*fn)(void))
{
  vmcb_entry(v, fn);
  return run(v);
}

// ---- events ----

void lapic_on(void)
{
  apic_write(A_SVR, 0x1ff);
}

void send_nmi(void)
{
  apic_write(A_ICR2, apic_read(A_ID));
  apic_write(A_ICR, 0x400);
  while (apic_read(A_ICR) & 0x1000)
    ;
}
