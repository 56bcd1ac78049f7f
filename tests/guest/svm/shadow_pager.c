// Shadow paging: a hypervisor that intercepts CR0, CR3, INVLPG and #PF runs a guest that pages, by tables of
// its own. The guest sees its paging, its faults, its accessed and dirty bits. APM2 15.24 (without nested
// paging).
#include "npt.h"
#include "svm.h"

// The guest has 1 MB of memory and runs at 1000h. It leaves what it sees from RESULTS on.
#define AT      0x1000
#define IDT     0x2000
#define GDT     0x3000
#define PD1     0x10000
#define PT1     0x11000
#define PD2     0x12000
#define PT2     0x13000
#define PT0     0x14000
#define A       0x20000
#define B       0x21000
#define RESULTS 0x30000
CODE(32, pager_guest,
     "mov $0x10000, %eax; mov %eax, %cr3\n"
     "mov $0x80010011, %eax; mov %eax, %cr0; jmp 1f; 1:\n"
     "mov 0x400000, %ebx; mov %ebx, 0x30000\n" // 0: by the tables
     "movl $0x11, 0x400004\n"                  // a read-only page: #PF
     "mov 0x400004, %ebx; mov %ebx, 0x30010\n" // 4: the handler allowed it
     "mov 0x11000, %ebx; mov %ebx, 0x30014\n"  // 5: the entry: accessed, dirty
     "movl $0x21003, 0x11000; mov $0x400000, %eax; invlpg (%eax)\n"
     "mov 0x400000, %ebx; mov %ebx, 0x30018\n" // 6: another page
     "mov 0x11000, %ebx; mov %ebx, 0x3001c\n"  // 7: accessed, not dirty
     "mov 0x800004, %ebx; mov %ebx, 0x30020\n" // 8: no table: #PF
     "mov $0x12000, %eax; mov %eax, %cr3\n"
     "mov 0x400000, %ebx; mov %ebx, 0x30024\n" // 9: by other tables
     "mov %cr3, %eax; mov %eax, 0x30028\n"     // 10
     "mov %cr0, %eax; mov %eax, 0x3002c\n"     // 11
     "mov $0x11, %eax; mov %eax, %cr0\n"
     "mov 0x21000, %ebx; mov %ebx, 0x30030\n" // 12: no paging
     "vmmcall\n"
     "pager_fault: push %eax; mov %cr2, %eax; mov %eax, 0x30008\n" // 2: CR2
     "mov 4(%esp), %ebx; mov %ebx, 0x30004\n"                      // 1: error code
     "cmp $0x800000, %eax; jae 1f\n"
     "mov %ebx, 0x30034; mov %eax, 0x30038\n" // 13, 14: error code and CR2 of the first
     "orl $2, 0x11000; invlpg (%eax); jmp 2f\n"
     "1: movl $0x11007, 0x10008; invlpg (%eax)\n"
     "2: incl 0x3000c; pop %eax; add $4, %esp; iret\n"); // 3: number of faults
extern uint8_t pager_fault[];

static struct vmcb *v;
static uint8_t *memory;
static struct tables shadow;
static uint32_t guest_cr0, guest_cr3;
static unsigned fills, invalidations, loads;

static uint32_t *at(uint32_t gpa)
{
  CHECK(gpa < 1 << 20);
  return (uint32_t *)(memory + gpa);
}

static void shadow_empty(void)
{
  for (unsigned i = 0; i < 1024; i++)
    ((uint32_t *)shadow.root)[i] = 0;
  v->tlb_control = svm_has(SVM_FLUSH_ASID) ? TLB_ASID : TLB_ALL;
}

static void inject_fault(uint32_t error, uint32_t address)
{
  CHECK(!(v->exitintinfo & EV_VALID));
  v->cr2 = address;
  v->eventinj = EV_VALID | EV_EXCEPTION | EV_ERROR | PF | EV_CODE(error);
}

static void page_fault(void)
{
  uint32_t error = v->exitinfo1, address = v->exitinfo2, entry = (address & ~0xfffu) | PT_P | PT_W | PT_D;
  if (v->exitintinfo & EV_VALID) // the stack or the IDT had no shadow yet: once more
    v->eventinj = v->exitintinfo;
  if (guest_cr0 >> 31) {
    uint32_t *pde = at(guest_cr3 + (address >> 22) * 4);
    uint32_t *pte = *pde & PT_P ? at((*pde & ~0xfffu) + (address >> 12 & 1023) * 4) : NULL;
    if (!pte || !(*pte & PT_P)) {
      inject_fault(error & ~(uint32_t)PF_P, address);
      return;
    }
    if ((error & PF_W) && !(*pde & *pte & PT_W)) {
      inject_fault(error | PF_P, address);
      return;
    }
    *pde |= PT_A;
    *pte |= PT_A | (error & PF_W ? PT_D : 0);
    entry = *pte;
  }
  // a clean page stays read-only, so that the first write is seen
  bool write = (entry & PT_W) && (entry & PT_D);
  tables_map(&shadow, address, 1, (uint64_t)at(entry & ~0xfffu) | PT_P | (write ? PT_W : 0));
  fills++;
}

static void step(uint64_t exit)
{
  v->tlb_control = TLB_KEEP;
  switch (exit) {
  case X_EXCP + PF:
    page_fault();
    return;
  case X_CR_WRITE + 0:
    guest_cr0 = v->rax;
    shadow_empty();
    break;
  case X_CR_WRITE + 3:
    guest_cr3 = v->rax;
    loads++;
    shadow_empty();
    break;
  case X_CR_READ + 0:
    v->rax = guest_cr0;
    break;
  case X_CR_READ + 3:
    v->rax = guest_cr3;
    break;
  case X_INVLPG:
    if (svm_has(SVM_DECODE))
      CHECK_EQ(v->exitinfo1, v->rax);
    tables_map(&shadow, v->rax, 1, 0);
    invlpga(v->rax, v->asid);
    invalidations++;
    break;
  default:
    CHECK_EQ(exit, X_VMMCALL);
  }
  if (svm_has(SVM_NRIP))
    CHECK_EQ(v->nrip, v->rip + 3);
  v->rip += 3; // all of these are as long
}

static void load(void)
{
  memory = pages_new(256);
  for (unsigned i = 0; i < (unsigned)(pager_guest_end - pager_guest); i++)
    memory[AT + i] = pager_guest[i];
  uint64_t fault = AT + (uint64_t)(pager_fault - pager_guest);
  *(uint64_t *)(memory + IDT + 8 * PF) = (fault & 0xffff) | 8 << 16 | 0x8eull << 40;
  *(uint64_t *)(memory + GDT + 8) = descriptor(0, 0xfffff, 0x9b, 0xc);
  *(uint64_t *)(memory + GDT + 16) = descriptor(0, 0xfffff, 0x93, 0xc);
  for (unsigned i = 0; i < 256; i++)
    *at(PT0 + 4 * i) = i << 12 | PT_P | PT_W;
  *at(PD1) = *at(PD2) = PT0 | PT_P | PT_W;
  *at(PD1 + 4) = PT1 | PT_ALL;
  *at(PD2 + 4) = PT2 | PT_ALL;
  *at(PT1) = A | PT_P;
  *at(PT2) = A | PT_P;
  *at(A) = 0xaaaa;
  *at(B) = 0xbbbb;
  *at(B + 4) = 0xb4b4;
}

void test(void)
{
  svm_on();
  load();
  v = vmcb_new();
  vmcb_protected32(v, (void *)AT);
  shadow = tables_new(2, 0);
  guest_cr0 = 0x11;
  v->cr0 = 0x80010011; // the guest is paged from the start, and WP is on
  v->cr4 = 0;
  v->cr3 = shadow.root;
  v->rsp = 0x8000;
  v->cs.selector = 8;
  v->ss.selector = v->ds.selector = 0x10;
  v->idtr = (struct vseg){.base = IDT, .limit = 0x7ff};
  v->gdtr = (struct vseg){.base = GDT, .limit = 0x17};
  v->exceptions = 1 << PF;
  v->cr_read = v->cr_write = 1 << 0 | 1 << 3;
  intercept(v, X_INVLPG);
  intercept(v, X_SHUTDOWN);
  v->tlb_control = TLB_ALL;
  uint64_t exit;
  unsigned exits = 0;
  while ((exit = run(v)) != X_VMMCALL && exits++ < 1000)
    step(exit);
  CHECK_EQ(exit, X_VMMCALL);
  static const uint32_t want[] = {0xaaaa,   0,
                                  0x800004, 2,
                                  0x11,     A | PT_P | PT_W | PT_A | PT_D,
                                  0xbbbb,   B | PT_P | PT_W | PT_A,
                                  0xb4b4,   0xaaaa,
                                  PD2,      0x80010011,
                                  0xbbbb,   PF_P | PF_W,
                                  0x400004};
  for (unsigned i = 0; i < sizeof want / sizeof want[0]; i++)
    CHECK_EQ(*at(RESULTS + 4 * i), want[i]);
  CHECK_EQ(*at(PD1 + 4) & PT_A, PT_A);
  CHECK_EQ(loads, 2);
  CHECK_EQ(invalidations, 3);
  CHECK(fills > 10);
  CHECK_EQ(read_cr0() >> 31, 1);
}
