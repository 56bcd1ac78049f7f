// The virtual machine control block. APM2 appendix B, tables B-1 (control area) and B-2 (state-save area).
//
// A VMCB is one 4 KB page of system-physical memory, aligned to 4 KB: control area at 0, state-save area at
// 400h. The same layout of the state-save area is used in the host save area (VM_HSAVE_PA).
#ifndef SVM_VMCB_H
#define SVM_VMCB_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

// clang-format off
struct __attribute__((packed)) vmcb_control {
  uint32_t cr_intercepts;        // 000h reads 15:0, writes 31:16
  uint32_t dr_intercepts;        // 004h reads 15:0, writes 31:16
  uint32_t exception_intercepts; // 008h by vector
  uint32_t intercepts[3];        // 00Ch vectors 3 to 5: exit codes 60h + bit, 80h + bit, A0h + bit
  uint8_t reserved018[0x3c - 0x18];
  uint16_t pause_threshold;      // 03Ch
  uint16_t pause_count;          // 03Eh
  uint64_t iopm_base_pa;         // 040h
  uint64_t msrpm_base_pa;        // 048h
  uint64_t tsc_offset;           // 050h
  uint32_t asid;                 // 058h
  uint8_t tlb_control;           // 05Ch
  uint8_t reserved05d[3];
  uint64_t vintr;                // 060h VINTR_*
  uint64_t interrupt_shadow;     // 068h bit 0 shadow, bit 1 guest interrupt mask
  uint64_t exitcode;             // 070h
  uint64_t exitinfo1;            // 078h
  uint64_t exitinfo2;            // 080h
  uint64_t exitintinfo;          // 088h
  uint64_t np_control;           // 090h NP_*
  uint64_t avic_apic_bar;        // 098h
  uint64_t ghcb;                 // 0A0h
  uint64_t eventinj;             // 0A8h EVENTINJ_*
  uint64_t n_cr3;                // 0B0h
  uint64_t virt_control;         // 0B8h LBR_VIRT, VIRT_VMLOAD
  uint32_t clean;                // 0C0h CLEAN_*
  uint32_t reserved0c4;
  uint64_t nrip;                 // 0C8h
  uint8_t bytes_fetched;         // 0D0h
  uint8_t instruction[15];       // 0D1h
  uint64_t avic_backing_page;    // 0E0h
  uint64_t reserved0e8;
  uint64_t avic_logical_table;   // 0F0h
  uint64_t avic_physical_table;  // 0F8h
  uint64_t reserved100;
  uint64_t vmsa_pointer;         // 108h
  uint8_t reserved110[0x400 - 0x110];
};

struct __attribute__((packed)) vmcb_seg {
  uint16_t selector;
  uint16_t attrib;
  uint32_t limit;
  uint64_t base;
};

struct __attribute__((packed)) vmcb_save {
  struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr; // 000h..09Fh
  uint8_t reserved0a0[0xcb - 0xa0];
  uint8_t cpl;             // 0CBh
  uint32_t reserved0cc;
  uint64_t efer;           // 0D0h
  uint8_t reserved0d8[0x148 - 0xd8];
  uint64_t cr4;            // 148h
  uint64_t cr3;            // 150h
  uint64_t cr0;            // 158h
  uint64_t dr7;            // 160h
  uint64_t dr6;            // 168h
  uint64_t rflags;         // 170h
  uint64_t rip;            // 178h
  uint8_t reserved180[0x1d8 - 0x180];
  uint64_t rsp;            // 1D8h
  uint64_t s_cet, ssp, isst_addr; // 1E0h
  uint64_t rax;            // 1F8h
  uint64_t star;           // 200h
  uint64_t lstar;          // 208h
  uint64_t cstar;          // 210h
  uint64_t sfmask;         // 218h
  uint64_t kernel_gs_base; // 220h
  uint64_t sysenter_cs;    // 228h
  uint64_t sysenter_esp;   // 230h
  uint64_t sysenter_eip;   // 238h
  uint64_t cr2;            // 240h
  uint8_t reserved248[0x268 - 0x248];
  uint64_t g_pat;          // 268h
  uint64_t debugctl;       // 270h
  uint64_t br_from;        // 278h
  uint64_t br_to;          // 280h
  uint64_t last_excp_from; // 288h
  uint64_t last_excp_to;   // 290h
  uint8_t reserved298[0x2e0 - 0x298];
  uint64_t spec_ctrl;      // 2E0h
  uint8_t reserved2e8[0xc00 - 0x2e8];
};

struct __attribute__((packed)) vmcb {
  struct vmcb_control control;
  struct vmcb_save save;
};

// clang-format on

#define VMCB_AT(part, field, offset) static_assert(offsetof(struct part, field) == (offset), #field)
VMCB_AT(vmcb_control, pause_threshold, 0x3c);
VMCB_AT(vmcb_control, iopm_base_pa, 0x40);
VMCB_AT(vmcb_control, asid, 0x58);
VMCB_AT(vmcb_control, vintr, 0x60);
VMCB_AT(vmcb_control, exitcode, 0x70);
VMCB_AT(vmcb_control, np_control, 0x90);
VMCB_AT(vmcb_control, eventinj, 0xa8);
VMCB_AT(vmcb_control, n_cr3, 0xb0);
VMCB_AT(vmcb_control, clean, 0xc0);
VMCB_AT(vmcb_control, nrip, 0xc8);
VMCB_AT(vmcb_control, instruction, 0xd1);
VMCB_AT(vmcb_control, avic_physical_table, 0xf8);
VMCB_AT(vmcb_control, vmsa_pointer, 0x108);
VMCB_AT(vmcb_save, tr, 0x90);
VMCB_AT(vmcb_save, cpl, 0xcb);
VMCB_AT(vmcb_save, efer, 0xd0);
VMCB_AT(vmcb_save, cr4, 0x148);
VMCB_AT(vmcb_save, rip, 0x178);
VMCB_AT(vmcb_save, rsp, 0x1d8);
VMCB_AT(vmcb_save, rax, 0x1f8);
VMCB_AT(vmcb_save, sysenter_eip, 0x238);
VMCB_AT(vmcb_save, cr2, 0x240);
VMCB_AT(vmcb_save, g_pat, 0x268);
VMCB_AT(vmcb_save, last_excp_to, 0x290);
VMCB_AT(vmcb_save, spec_ctrl, 0x2e0);
VMCB_AT(vmcb, save, 0x400);
static_assert(sizeof(struct vmcb) == 0x1000, "a VMCB is one page");

// VINTR, offset 060h. APM2 15.21.
#define VINTR_TPR          0xffull
#define VINTR_IRQ          (1ull << 8)
#define VINTR_GIF          (1ull << 9)
#define VINTR_NMI          (1ull << 11)
#define VINTR_NMI_MASK     (1ull << 12)
#define VINTR_PRIO_SHIFT   16
#define VINTR_IGN_TPR      (1ull << 20)
#define VINTR_MASKING      (1ull << 24)
#define VINTR_GIF_ENABLE   (1ull << 25)
#define VINTR_NMI_ENABLE   (1ull << 26)
#define VINTR_AVIC         (1ull << 31)
#define VINTR_VECTOR_SHIFT 32

// Offset 090h.
#define NP_ENABLE  1ull
#define NP_SEV     2ull
#define NP_SEV_ES  4ull
#define NP_GMET    8ull
#define NP_SSS     0x10ull
#define NP_VTE     0x20ull
#define NP_ROGPT   0x40ull // guest page tables are read for write without a fault on them
#define NP_INVLPGB 0x80ull

// Offset 0B8h.
#define VIRT_LBR    1ull
#define VIRT_VMLOAD 2ull

// EVENTINJ and EXITINTINFO. APM2 15.20.
#define EVENTINJ_VECTOR     0xffull
#define EVENTINJ_TYPE_SHIFT 8
#define EVENTINJ_EV         (1ull << 11)
#define EVENTINJ_VALID      (1ull << 31)

// VMCB clean bits. APM2 15.15.3. A set bit: the processor may use what it cached.
enum vmcb_clean {
  CLEAN_I = 1 << 0,    // intercepts, TSC offset, pause filter
  CLEAN_IOPM = 1 << 1, // permission map addresses
  CLEAN_ASID = 1 << 2,
  CLEAN_TPR = 1 << 3, // V_TPR .. V_INTR_VECTOR
  CLEAN_NP = 1 << 4,  // nested paging
  CLEAN_CRX = 1 << 5, // CR0, CR3, CR4, EFER
  CLEAN_DRX = 1 << 6,
  CLEAN_DT = 1 << 7,  // GDT, IDT
  CLEAN_SEG = 1 << 8, // CS DS SS ES, CPL
  CLEAN_CR2 = 1 << 9,
  CLEAN_LBR = 1 << 10,
  CLEAN_AVIC = 1 << 11,
  CLEAN_CET = 1 << 12,
};

// TLB_CONTROL. APM2 15.16.2.
enum tlb_control { TLB_NOTHING = 0, TLB_ALL = 1, TLB_GUEST = 3, TLB_GUEST_NONGLOBAL = 7 };

// Exit codes. APM2 appendix C.
enum vmexit {
  VMEXIT_CR0_READ = 0x00,
  VMEXIT_CR0_WRITE = 0x10,
  VMEXIT_DR0_READ = 0x20,
  VMEXIT_DR0_WRITE = 0x30,
  VMEXIT_EXCP0 = 0x40,
  VMEXIT_INTR = 0x60,
  VMEXIT_NMI,
  VMEXIT_SMI,
  VMEXIT_INIT,
  VMEXIT_VINTR,
  VMEXIT_CR0_SEL_WRITE,
  VMEXIT_IDTR_READ,
  VMEXIT_GDTR_READ,
  VMEXIT_LDTR_READ,
  VMEXIT_TR_READ,
  VMEXIT_IDTR_WRITE,
  VMEXIT_GDTR_WRITE,
  VMEXIT_LDTR_WRITE,
  VMEXIT_TR_WRITE,
  VMEXIT_RDTSC,
  VMEXIT_RDPMC,
  VMEXIT_PUSHF,
  VMEXIT_POPF,
  VMEXIT_CPUID,
  VMEXIT_RSM,
  VMEXIT_IRET,
  VMEXIT_SWINT,
  VMEXIT_INVD,
  VMEXIT_PAUSE,
  VMEXIT_HLT,
  VMEXIT_INVLPG,
  VMEXIT_INVLPGA,
  VMEXIT_IOIO,
  VMEXIT_MSR,
  VMEXIT_TASK_SWITCH,
  VMEXIT_FERR_FREEZE,
  VMEXIT_SHUTDOWN,
  VMEXIT_VMRUN = 0x80,
  VMEXIT_VMMCALL,
  VMEXIT_VMLOAD,
  VMEXIT_VMSAVE,
  VMEXIT_STGI,
  VMEXIT_CLGI,
  VMEXIT_SKINIT,
  VMEXIT_RDTSCP,
  VMEXIT_ICEBP,
  VMEXIT_WBINVD,
  VMEXIT_MONITOR,
  VMEXIT_MWAIT,
  VMEXIT_MWAIT_CONDITIONAL,
  VMEXIT_XSETBV,
  VMEXIT_RDPRU,
  VMEXIT_EFER_WRITE_TRAP,
  VMEXIT_CR0_WRITE_TRAP = 0x90,
  VMEXIT_INVLPGB = 0xa0,
  VMEXIT_INVLPGB_ILLEGAL,
  VMEXIT_INVPCID,
  VMEXIT_MCOMMIT,
  VMEXIT_TLBSYNC,
  VMEXIT_NPF = 0x400,
};
#define VMEXIT_INVALID UINT64_MAX

#endif
