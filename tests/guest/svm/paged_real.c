// Paged real mode: with CR0.PE = 0 and CR0.PG = 1, as only VMRUN can make it, 16-bit code has the segments,
// vector table and interrupts of real mode, and its linear addresses go through the page tables. APM2 15.19.
#include "npt.h"
#include "svm.h"

// Labels are offsets in the segment 0700h, that is linear 7000h.
CODE(16, real_code,
     "p_move: mov 0x8000, %ax; mov %ax, 0x8002; hlt\n"
     "p_high: mov %fs:0x10, %ax; hlt\n"
     "p_missing: mov 0xa004, %ax; hlt\n"
     "p_write: mov %ax, 0xa006; hlt\n"
     "p_int: mov $1, %ax; int $0x21; add $0x100, %ax; hlt\n"
     "p_service: add $0x10, %ax; iret\n"
     "p_wait: sti; nop; cli; hlt\n"
     "p_irq: inc %ax; iret\n"
     "p_fault: hlt\n"
     "p_protect: lgdtl 0x8010; mov $0x80000011, %eax; mov %eax, %cr0; ljmpl $8, $0x7000 + p_32 - real_code\n"
     ".code32\n"
     "p_32: mov $0x10, %eax; mov %eax, %ds; mov 0x100000, %eax; hlt\n"
     ".code16");
extern uint8_t p_move[], p_high[], p_missing[], p_write[], p_int[], p_service[], p_wait[], p_irq[], p_fault[],
    p_protect[];
#define OFFSET(label) ((uint64_t)(label) - (uint64_t)real_code)

static struct vmcb *v;
static struct tables t;
static uint32_t wp;
static uint8_t *zero, *code, *data, *stack, *high; // what linear 0, 7000h, 8000h, 9000h, 100000h are

static uint16_t *word_at(uint8_t *page, unsigned off)
{
  return (uint16_t *)(page + off);
}

static void vector_set(unsigned vector, const uint8_t *label)
{
  *word_at(zero, 4 * vector) = OFFSET(label);
  *word_at(zero, 4 * vector + 2) = 0x700;
}

static void real_segment(struct vseg *s, unsigned selector, unsigned attrib)
{
  *s = (struct vseg){.selector = selector, .attrib = attrib, .limit = 0xffff, .base = selector << 4};
}

static uint64_t go(const uint8_t *label)
{
  v->cr0 = 0x80000010 | wp;
  v->efer = EFER_SVME;
  v->cr3 = t.root;
  v->cr4 = t.levels == 3 ? 0x20 : 0;
  real_segment(&v->cs, 0x700, 0x9b);
  real_segment(&v->ds, 0, 0x93);
  real_segment(&v->es, 0, 0x93);
  real_segment(&v->ss, 0x900, 0x93);
  real_segment(&v->fs, 0xffff, 0x93);
  v->idtr = (struct vseg){.limit = 0x3ff};
  v->rflags = 2;
  v->rip = OFFSET(label);
  v->rsp = 0x800;
  v->cpl = 0;
  v->rax = 0;
  v->tlb_control = TLB_ALL;
  return run_own(v);
}

static void accesses(void)
{
  *word_at(data, 0) = 0x1234;
  CHECK_EQ(go(p_move), X_HLT);
  CHECK_EQ(*word_at(data, 2), 0x1234);
  CHECK_EQ(v->cr0, 0x80000010);
  CHECK_EQ(entry_get(&t, tables_entry(&t, 0x8000, 1)) & (PT_A | PT_D), PT_A | PT_D);
  CHECK_EQ(entry_get(&t, tables_entry(&t, 0x7000, 1)) & (PT_A | PT_D), PT_A);
  *word_at(high, 0) = 0x5678; // FFFFh:0010h is above 1 MB
  CHECK_EQ(go(p_high), X_HLT);
  CHECK_EQ(v->rax & 0xffff, 0x5678);
}

static void page_faults(void)
{
  void *e = tables_entry(&t, 0xa000, 1);
  entry_set(&t, e, 0);
  v->exceptions = 1 << PF;
  CHECK_EQ(go(p_missing), X_EXCP + PF);
  CHECK_EQ(v->exitinfo1, 0);
  CHECK_EQ(v->exitinfo2, 0xa004);
  CHECK_EQ(v->rip, OFFSET(p_missing));
  *word_at(high, 4) = 0x77;
  entry_set(&t, e, (uint64_t)high | PT_P);
  CHECK_EQ(run_own(v), X_HLT);
  CHECK_EQ(v->rax & 0xffff, 0x77);
  // a read-only page
  CHECK_EQ(go(p_write), X_HLT);
  wp = 1 << 16;
  CHECK_EQ(go(p_write), X_EXCP + PF);
  CHECK_EQ(v->exitinfo1, PF_P | PF_W);
  wp = 0;
  entry_set(&t, e, 0);
  CHECK_EQ(go(p_write), X_EXCP + PF);
  CHECK_EQ(v->exitinfo1, PF_W);
  // not intercepted: through the vector table, and there is no error code
  v->exceptions = 0;
  v->cr2 = 0;
  CHECK_EQ(go(p_missing), X_HLT);
  CHECK_EQ(v->rip, OFFSET(p_fault));
  CHECK_EQ(v->cr2, 0xa004);
  CHECK_EQ(v->rsp & 0xffff, 0x800 - 6);
  CHECK_EQ(*word_at(stack, 0x800 - 6), OFFSET(p_missing));
  CHECK_EQ(*word_at(stack, 0x800 - 4), 0x700);
}

static void interrupts(void)
{
  CHECK_EQ(go(p_int), X_HLT);
  CHECK_EQ(v->rax & 0xffff, 0x111);
  CHECK_EQ(v->rsp & 0xffff, 0x800);
  CHECK_EQ(*word_at(stack, 0x800 - 4), 0x700);
  // virtual and injected ones
  v->vintr = V_IRQ | V_PRIO(15) | V_IGN_TPR | V_MASKING | V_VECTOR(0x30);
  CHECK_EQ(go(p_wait), X_HLT);
  CHECK_EQ(v->rax & 0xffff, 1);
  CHECK(!(v->vintr & V_IRQ));
  v->vintr = 0;
  v->eventinj = EV_VALID | EV_INTR | 0x30;
  CHECK_EQ(go(p_wait), X_HLT);
  CHECK_EQ(v->rax & 0xffff, 1);
  // the vector table is paged too
  void *e = tables_entry(&t, 0, 1);
  uint64_t was = entry_get(&t, e);
  entry_set(&t, e, 0);
  v->exceptions = 1 << PF;
  CHECK_EQ(go(p_int), X_EXCP + PF);
  CHECK_EQ(v->exitinfo2, 4 * 0x21);
  CHECK_EQ(v->exitintinfo & 0xffffffff, EV_VALID | EV_SOFT | 0x21);
  CHECK_EQ(v->rsp & 0xffff, 0x800);
  entry_set(&t, e, was);
  v->exceptions = 0;
}

static void protect(void)
{
  *word_at(data, 0x10) = 0x17; // the GDT at 8020h
  *(uint32_t *)(data + 0x12) = 0x8020;
  *(uint64_t *)(data + 0x28) = descriptor(0, 0xfffff, 0x9b, 0xc);
  *(uint64_t *)(data + 0x30) = descriptor(0, 0xfffff, 0x93, 0xc);
  *(uint32_t *)high = 0xabcdef01;
  CHECK_EQ(go(p_protect), X_HLT);
  CHECK_EQ(v->rax, 0xabcdef01);
  CHECK_EQ(v->cr0, 0x80000011);
  CHECK_EQ(v->cs.selector, 8);
  // a hypervisor that keeps the switch to itself sees it
  v->cr_write = 1;
  CHECK_EQ(go(p_protect), X_CR_WRITE);
  v->cr_write = 0;
}

static void all(unsigned levels)
{
  uint8_t **const pages[] = {&zero, &code, &data, &stack, &high};
  static const uint32_t at[] = {0, 0x7000, 0x8000, 0x9000, 0x100000};
  t = tables_new(levels, 0);
  for (unsigned i = 0; i < 5; i++) {
    *pages[i] = page_new();
    tables_map(&t, at[i], 1, (uint64_t)*pages[i] | PT_P | PT_W);
  }
  for (unsigned i = 0; i < (unsigned)(real_code_end - real_code); i++)
    code[i] = real_code[i];
  vector_set(0x21, p_service);
  vector_set(0x30, p_irq);
  vector_set(PF, p_fault);
  accesses();
  page_faults();
  interrupts();
  protect();
}

void test(void)
{
  svm_on();
  v = vmcb_new();
  intercept(v, X_HLT);
  intercept(v, X_SHUTDOWN);
  all(2);
  all(3);
  if (svm_has(SVM_NP)) {
    vmcb_nested(v);
    all(2);
  }
}
