// What the images of this folder share: a hypervisor small enough to see through. A guest is a function of
// the image that runs in the host's address space on a stack of its own, unless the image says otherwise; it
// may use all that rt.h has, TRY and CHECK too, as IDT, GDT and TSS are the host's. It ends with vmmcall().
#ifndef GUEST_SVM_H
#define GUEST_SVM_H

#include "rt.h"
#include "vmcb.h"

// ---- the processor ----

#define MSR_EFER      0xc0000080u
#define MSR_VM_CR     0xc0010114u
#define MSR_IGNNE     0xc0010115u
#define MSR_SMM_CTL   0xc0010116u
#define MSR_HSAVE     0xc0010117u
#define MSR_SVM_KEY   0xc0010118u
#define MSR_TSC_RATIO 0xc0000104u
#define EFER_SVME     (1ull << 12)

// CPUID Fn8000_000A EDX
enum {
  SVM_NP = 1 << 0,
  SVM_LBR = 1 << 1,
  SVM_LOCK = 1 << 2,
  SVM_NRIP = 1 << 3,
  SVM_TSC_RATIO = 1 << 4,
  SVM_CLEAN = 1 << 5,
  SVM_FLUSH_ASID = 1 << 6,
  SVM_DECODE = 1 << 7,
  SVM_PAUSE = 1 << 10,
  SVM_PAUSE_THRESHOLD = 1 << 12,
  SVM_VMLOAD = 1 << 15,
  SVM_GIF = 1 << 16,
  SVM_GMET = 1 << 17,
  SVM_SPEC_CTRL = 1 << 20,
  SVM_ROGPT = 1 << 21,
  SVM_VNMI = 1 << 25,
};
uint32_t svm_features(void);
static inline bool svm_has(uint32_t features)
{
  return (svm_features() & features) == features;
}
// Ends the image as passed, saying so, on a processor that lacks one of the features it is about.
void svm_need(uint32_t features);
uint32_t svm_asids(void);

// Sets EFER.SVME and the host save area; ends the image on a processor without SVM.
void svm_on(void);
extern uint8_t *host_save; // the host save area

// ---- VMCBs ----

void *pages_new(unsigned n); // n pages in a row, of zeros
extern uint8_t guest_stack[16384];

// A VMCB for 64-bit code of privilege 0 that shares paging, descriptor tables and TSS with the host. VMRUN
// and VMMCALL are intercepted. ASID 1, nothing flushed (each has its own page; the guests of one image that
// map differently take their own ASIDs). Both permission maps are there and let everything pass.
struct vmcb *vmcb_new(void);
void vmcb_entry(struct vmcb *v, void (*fn)(void)); // RIP, and RSP at the top of guest_stack
void vmcb_privileged(struct vmcb *v);              // 64-bit code of privilege 0 again, flags cleared
// Turns it into one without paging: 32-bit or 16-bit protected mode (flat; with the descriptors of svm.S's
// own GDT if it loads segments), or real mode with CS at the code: then labels are relative to it. No IDT.
void vmcb_protected32(struct vmcb *v, const void *code);
void vmcb_protected16(struct vmcb *v, const void *code);
void vmcb_real(struct vmcb *v, const void *code);
// A nested page table that maps the first 4 GB one to one with 2 MB pages, everything allowed; switched on.
void vmcb_nested(struct vmcb *v);

static inline void intercept(struct vmcb *v, unsigned code) // 60h and above
{
  (&v->vector3)[(code - 0x60) / 32] |= 1u << code % 32;
}
static inline void pass_on(struct vmcb *v, unsigned code)
{
  (&v->vector3)[(code - 0x60) / 32] &= ~(1u << code % 32);
}
static inline uint8_t *vmcb_iopm(const struct vmcb *v)
{
  return (uint8_t *)v->iopm;
}
static inline void iopm_set(struct vmcb *v, unsigned port, bool on) // up to port 10002h
{
  uint8_t *b = vmcb_iopm(v) + port / 8;
  *b = (*b & ~(1u << port % 8)) | (unsigned)on << port % 8;
}
// The MSR must be in one of the three ranges.
void msrpm_set(struct vmcb *v, uint32_t msr, bool read, bool write);

// ---- the world switch ----

// The guest's registers but RAX, RSP, as they go in and come out.
struct guest_regs {
  uint64_t bx, cx, dx, si, di, bp, r8, r9, r10, r11, r12, r13, r14, r15;
};
extern struct guest_regs regs;

void svm_switch(uint64_t vmcb_pa, struct guest_regs *r); // VMRUN and nothing else; GIF is 0 afterwards
uint64_t run(struct vmcb *v);                            // CLGI, VMRUN, STGI; the exit code
uint64_t run_if(struct vmcb *v);                         // the same with RFLAGS.IF of the host set
uint64_t
run_own(struct vmcb *v); // VMLOAD before and VMSAVE after it: the guest has FS, GS, TR, LDTR of its own
uint64_t guest(struct vmcb *v, void (*fn)(void)); // vmcb_entry and run
// The same with interrupts off, no interrupt shadow, and this virtual interrupt state.
static inline uint64_t guest_vintr(struct vmcb *v, void (*fn)(void), uint64_t vintr)
{
  v->rflags = 2;
  v->shadow = 0;
  v->vintr = vintr;
  return guest(v, fn);
}
// Goes on behind the instruction that was intercepted.
static inline uint64_t run_past(struct vmcb *v, unsigned length)
{
  v->rip += length;
  return run(v);
}

// ---- instructions ----

static inline void vmmcall(void)
{
  asm volatile("vmmcall" ::: "memory");
}
static inline void stgi(void)
{
  asm volatile("stgi" ::: "memory");
}
static inline void clgi(void)
{
  asm volatile("clgi" ::: "memory");
}
static inline void vmload(const void *pa)
{
  asm volatile("vmload %%rax" ::"a"(pa) : "memory");
}
static inline void vmsave(void *pa)
{
  asm volatile("vmsave %%rax" ::"a"(pa) : "memory");
}
static inline void vmrun(const void *pa) // of what does not get into a guest
{
  asm volatile("vmrun %%rax" ::"a"(pa) : "memory");
}
static inline void invlpga(uint64_t va, uint32_t asid)
{
  asm volatile("invlpga %%rax, %%ecx" ::"a"(va), "c"(asid) : "memory");
}

// ---- events ----

static inline void self_ipi(uint8_t vector)
{
  apic_write(A_ICR, 0x40000 | vector);
  while (apic_read(A_ICR) & 0x1000)
    ;
}
void send_nmi(void); // to this processor
void lapic_on(void);

// Code in another mode than the image's, by its text. name .. name_end; labels count from name with
// OFF(label).
#define CODE(bits, name, text)                                                                               \
  asm(".text\n.align 16\n.code" #bits "\n.globl " #name ", " #name "_end\n" #name ":\n" text "\n" #name      \
      "_end:\n.code64");                                                                                     \
  extern uint8_t name[], name##_end[]

#endif
