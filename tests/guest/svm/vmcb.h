// The virtual machine control block as the tests know it, written down from the manual alone (APM2 appendix
// B, tables B-1 and B-2; exit codes: appendix C), so that a wrong offset or number elsewhere shows.
#ifndef GUEST_SVM_VMCB_H
#define GUEST_SVM_VMCB_H

#include <stddef.h>
#include <stdint.h>

// clang-format off
struct vseg {
  uint16_t selector, attrib; // attrib: descriptor bits 55:52 and 47:40
  uint32_t limit;
  uint64_t base;
};

// Each field stands at the offset that its name's table row gives; see the assertions below.
struct vmcb {
  // control area
  uint16_t cr_read, cr_write;         // 000h 002h
  uint16_t dr_read, dr_write;         // 004h 006h
  uint32_t exceptions;                // 008h by vector
  uint32_t vector3, vector4, vector5; // 00Ch 010h 014h
  uint8_t pad018[0x3c - 0x18];
  uint16_t pause_threshold;           // 03Ch
  uint16_t pause_count;               // 03Eh
  uint64_t iopm, msrpm;               // 040h 048h
  uint64_t tsc_offset;                // 050h
  uint32_t asid;                      // 058h
  uint8_t tlb_control;                // 05Ch
  uint8_t pad05d[3];
  uint64_t vintr;                     // 060h
  uint64_t shadow;                    // 068h
  uint64_t exitcode;                  // 070h
  uint64_t exitinfo1, exitinfo2;      // 078h 080h
  uint64_t exitintinfo;               // 088h
  uint64_t np;                        // 090h
  uint64_t avic_bar, ghcb;            // 098h 0A0h
  uint64_t eventinj;                  // 0A8h
  uint64_t ncr3;                      // 0B0h
  uint64_t virt;                      // 0B8h
  uint32_t clean;                     // 0C0h
  uint32_t pad0c4;
  uint64_t nrip;                      // 0C8h
  uint8_t bytes_fetched, bytes[15];   // 0D0h
  uint8_t pad0e0[0x400 - 0xe0];
  // state-save area
  struct vseg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr; // 400h
  uint8_t pad4a0[0x4cb - 0x4a0];
  uint8_t cpl;                        // 4CBh
  uint32_t pad4cc;
  uint64_t efer;                      // 4D0h
  uint8_t pad4d8[0x548 - 0x4d8];
  uint64_t cr4, cr3, cr0;             // 548h 550h 558h
  uint64_t dr7, dr6;                  // 560h 568h
  uint64_t rflags, rip;               // 570h 578h
  uint8_t pad580[0x5d8 - 0x580];
  uint64_t rsp;                       // 5D8h
  uint8_t pad5e0[0x5f8 - 0x5e0];
  uint64_t rax;                       // 5F8h
  uint64_t star, lstar, cstar, sfmask; // 600h
  uint64_t kernel_gs_base;            // 620h
  uint64_t sysenter_cs, sysenter_esp, sysenter_eip; // 628h
  uint64_t cr2;                       // 640h
  uint8_t pad648[0x668 - 0x648];
  uint64_t g_pat;                     // 668h
  uint64_t dbgctl, br_from, br_to, int_from, int_to; // 670h
  uint8_t pad698[0x6e0 - 0x698];
  uint64_t spec_ctrl;                 // 6E0h
  uint8_t pad6e8[0x1000 - 0x6e8];
};
// clang-format on

#define AT(field, offset) _Static_assert(offsetof(struct vmcb, field) == (offset), #field)
AT(vector3, 0x00c);
AT(pause_threshold, 0x03c);
AT(iopm, 0x040);
AT(asid, 0x058);
AT(vintr, 0x060);
AT(exitcode, 0x070);
AT(np, 0x090);
AT(eventinj, 0x0a8);
AT(virt, 0x0b8);
AT(nrip, 0x0c8);
AT(bytes_fetched, 0x0d0);
AT(es, 0x400);
AT(gdtr, 0x460);
AT(tr, 0x490);
AT(cpl, 0x4cb);
AT(efer, 0x4d0);
AT(cr4, 0x548);
AT(rip, 0x578);
AT(rsp, 0x5d8);
AT(rax, 0x5f8);
AT(kernel_gs_base, 0x620);
AT(cr2, 0x640);
AT(g_pat, 0x668);
AT(int_to, 0x690);
AT(spec_ctrl, 0x6e0);
_Static_assert(sizeof(struct vmcb) == 0x1000, "one page");
#undef AT

// Exit codes. 60h to 7Fh are the bits of vector3, 80h to 9Fh of vector4, A0h on of vector5.
enum {
  X_CR_READ = 0x00,
  X_CR_WRITE = 0x10,
  X_DR_READ = 0x20,
  X_DR_WRITE = 0x30,
  X_EXCP = 0x40,
  X_INTR = 0x60,
  X_NMI = 0x61,
  X_SMI = 0x62,
  X_INIT = 0x63,
  X_VINTR = 0x64,
  X_CR0_SEL = 0x65,
  X_IDTR_READ = 0x66,
  X_GDTR_READ = 0x67,
  X_LDTR_READ = 0x68,
  X_TR_READ = 0x69,
  X_IDTR_WRITE = 0x6a,
  X_GDTR_WRITE = 0x6b,
  X_LDTR_WRITE = 0x6c,
  X_TR_WRITE = 0x6d,
  X_RDTSC = 0x6e,
  X_RDPMC = 0x6f,
  X_PUSHF = 0x70,
  X_POPF = 0x71,
  X_CPUID = 0x72,
  X_RSM = 0x73,
  X_IRET = 0x74,
  X_SWINT = 0x75,
  X_INVD = 0x76,
  X_PAUSE = 0x77,
  X_HLT = 0x78,
  X_INVLPG = 0x79,
  X_INVLPGA = 0x7a,
  X_IOIO = 0x7b,
  X_MSR = 0x7c,
  X_TASK = 0x7d,
  X_FERR = 0x7e,
  X_SHUTDOWN = 0x7f,
  X_VMRUN = 0x80,
  X_VMMCALL = 0x81,
  X_VMLOAD = 0x82,
  X_VMSAVE = 0x83,
  X_STGI = 0x84,
  X_CLGI = 0x85,
  X_SKINIT = 0x86,
  X_RDTSCP = 0x87,
  X_ICEBP = 0x88,
  X_WBINVD = 0x89,
  X_MONITOR = 0x8a,
  X_MWAIT = 0x8b,
  X_MWAIT_ARMED = 0x8c,
  X_XSETBV = 0x8d,
  X_RDPRU = 0x8e,
  X_EFER_TRAP = 0x8f,
  X_CR_TRAP = 0x90,
  X_INVLPGB = 0xa0,
  X_INVLPGB_ILLEGAL = 0xa1,
  X_INVPCID = 0xa2,
  X_MCOMMIT = 0xa3,
  X_TLBSYNC = 0xa4,
  X_NPF = 0x400,
};
#define X_INVALID (~0ull)

// VINTR, 060h
#define V_TPR        0xffull
#define V_IRQ        (1ull << 8)
#define V_GIF        (1ull << 9)
#define V_NMI        (1ull << 11)
#define V_NMI_MASK   (1ull << 12)
#define V_PRIO(p)    ((uint64_t)(p) << 16)
#define V_IGN_TPR    (1ull << 20)
#define V_MASKING    (1ull << 24)
#define V_GIF_ENABLE (1ull << 25)
#define V_NMI_ENABLE (1ull << 26)
#define V_VECTOR(v)  ((uint64_t)(v) << 32)
// 090h
#define NP_ENABLE 1ull
#define NP_GMET   8ull
// 0B8h
#define VIRT_LBR    1ull
#define VIRT_VMLOAD 2ull
// EVENTINJ, EXITINTINFO
#define EV_INTR      0x000ull
#define EV_NMI       0x200ull
#define EV_EXCEPTION 0x300ull
#define EV_SOFT      0x400ull
#define EV_ERROR     0x800ull // an error code is to be pushed: bits 63:32
#define EV_VALID     0x80000000ull
#define EV_CODE(e)   ((uint64_t)(e) << 32)
// TLB_CONTROL
enum { TLB_KEEP = 0, TLB_ALL = 1, TLB_ASID = 3, TLB_ASID_NONGLOBAL = 7 };

#endif
