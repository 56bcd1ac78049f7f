// The architectural state of one virtual CPU, hot fields first.
//
// The struct is laid out for the engines: the general registers are at offset 0, so that a decoded
// op names a register by its byte offset from the struct's start (8-bit AH..BH: offset + 1), and all that
// the hot path touches lies within the first 512 bytes. Nothing here is private; every part of cpu/
// works on it. Devices never see it.
//
// Names follow AMD64 Architecture Programmer's Manual (APM) volume 2.
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/log.h"
#include "bus/bus.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

enum {
  RAX,
  RCX,
  RDX,
  RBX,
  RSP,
  RBP,
  RSI,
  RDI,
  R8,
  R9,
  R10,
  R11,
  R12,
  R13,
  R14,
  R15,
  REG_ZERO, // always 0: a missing base or index
  REG_IP,   // the instruction pointer (offset in CS) at which the running block starts
  REG_COUNT
};

enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT };

// Attributes as in a VMCB (APM2 appendix B): descriptor bits 47:40 in 7:0, bits 55:52 in 11:8.
enum {
  SEGA_TYPE = 0x00f,
  SEGA_S = 0x010,
  SEGA_DPL = 0x060,
  SEGA_P = 0x080,
  SEGA_AVL = 0x100,
  SEGA_L = 0x200,
  SEGA_DB = 0x400,
  SEGA_G = 0x800,
  SEGA_DPL_SHIFT = 5,
};

// A null selector loaded into a data register leaves attr = 0 (P clear): not usable.
struct seg {
  uint64_t base;
  uint32_t limit; // expanded: in bytes, inclusive
  uint16_t sel;
  uint16_t attr;
};

struct dtable {
  uint64_t base;
  uint16_t limit;
};

enum {
  FL_CF = 1u << 0,
  FL_PF = 1u << 2,
  FL_AF = 1u << 4,
  FL_ZF = 1u << 6,
  FL_SF = 1u << 7,
  FL_TF = 1u << 8,
  FL_IF = 1u << 9,
  FL_DF = 1u << 10,
  FL_OF = 1u << 11,
  FL_IOPL = 3u << 12,
  FL_NT = 1u << 14,
  FL_RF = 1u << 16,
  FL_VM = 1u << 17,
  FL_AC = 1u << 18,
  FL_VIF = 1u << 19,
  FL_VIP = 1u << 20,
  FL_ID = 1u << 21,
  FL_ARITH = FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF,
  FL_ALL = 0x3f7fd5,
};

enum {
  CR0_PE = 1u << 0,
  CR0_MP = 1u << 1,
  CR0_EM = 1u << 2,
  CR0_TS = 1u << 3,
  CR0_ET = 1u << 4,
  CR0_NE = 1u << 5,
  CR0_WP = 1u << 16,
  CR0_AM = 1u << 18,
  CR0_NW = 1u << 29,
  CR0_CD = 1u << 30,
};
#define CR0_PG (1u << 31)
enum {
  CR4_VME = 1u << 0,
  CR4_PVI = 1u << 1,
  CR4_TSD = 1u << 2,
  CR4_DE = 1u << 3,
  CR4_PSE = 1u << 4,
  CR4_PAE = 1u << 5,
  CR4_MCE = 1u << 6,
  CR4_PGE = 1u << 7,
  CR4_PCE = 1u << 8,
  CR4_OSFXSR = 1u << 9,
  CR4_OSXMMEXCPT = 1u << 10,
  CR4_UMIP = 1u << 11,
  CR4_FSGSBASE = 1u << 16,
  CR4_PCIDE = 1u << 17,
  CR4_OSXSAVE = 1u << 18,
  CR4_SMEP = 1u << 20,
  CR4_SMAP = 1u << 21,
  CR4_PKE = 1u << 22,
};
enum {
  EFER_SCE = 1u << 0,
  EFER_LME = 1u << 8,
  EFER_LMA = 1u << 10,
  EFER_NXE = 1u << 11,
  EFER_SVME = 1u << 12,
  EFER_LMSLE = 1u << 13,
  EFER_FFXSR = 1u << 14,
  EFER_TCE = 1u << 15,
  EFER_MCOMMIT = 1u << 17,
};

enum vector {
  VEC_DE,
  VEC_DB,
  VEC_NMI,
  VEC_BP,
  VEC_OF,
  VEC_BR,
  VEC_UD,
  VEC_NM,
  VEC_DF,
  VEC_TS = 10,
  VEC_NP,
  VEC_SS,
  VEC_GP,
  VEC_PF,
  VEC_MF = 16,
  VEC_AC,
  VEC_MC,
  VEC_XF,
  VEC_CP = 21,
  VEC_HV = 28,
  VEC_VC,
  VEC_SX,
};

// What decoded code depends on besides its bytes: the second half of a block's key. cpu_mode_update
// recomputes it; whoever changes one of its inputs sets c->mode_stale (see cpu_changed).
enum mode_bit {
  MODE_CS64 = 1u << 0,   // 64-bit code
  MODE_CS32 = 1u << 1,   // default operand and address size 32 (neither: 16)
  MODE_SS32 = 1u << 2,   // stack pointer is ESP (64-bit mode: RSP regardless)
  MODE_FLAT = 1u << 3,   // CS, DS, ES, SS: base 0, limit 4 GB, readable and (but CS) writable
  MODE_NO_X87 = 1u << 4, // CR0.EM: x87 gives #NM
  MODE_TS = 1u << 5,     // CR0.TS: x87, MMX, SSE give #NM
  MODE_NO_SSE = 1u << 6, // CR4.OSFXSR clear or CR0.EM set: SSE gives #UD
  MODE_NO_AVX = 1u << 7, // CR4.OSXSAVE clear, XCR0 without AVX, or not protected mode: VEX gives #UD
  MODE_XMASK = 1u << 8,  // MXCSR has an unmasked exception: SSE must be checked after each op
  MODE_FMASK = 1u << 9,  // the x87 control word has an unmasked exception
  MODE_STEP = 1u << 10,  // blocks of one instruction
  MODE_LMSLE = 1u << 11, // 64-bit code at CPL 1..3 with EFER.LMSLE: the top 4 GB have segment limits
};

// Requests that come from outside of the instruction stream. The engine looks at them when
// c->left runs out; cpu_kick makes it run out.
enum pending {
  PEND_INTR = 1u << 0, // the local APIC or the PIC asks for an interrupt
  PEND_NMI = 1u << 1,
  PEND_SMI = 1u << 2,
  PEND_INIT = 1u << 3,
  PEND_SIPI = 1u << 4,
  PEND_STOP = 1u << 5,  // the engine must return to the machine
  PEND_RESET = 1u << 6, // this CPU must be reset
  PEND_MC = 1u << 7,
  PEND_VINTR = 1u << 8, // SVM: V_IRQ of the running guest
};

enum shadow {
  SHADOW_NONE,
  SHADOW_STI,    // holds back interrupts
  SHADOW_MOV_SS, // holds back interrupts and debug traps
};

enum run_state {
  RUN_ON,
  RUN_HALTED,    // HLT: until an interrupt
  RUN_MWAIT,     // MWAIT: until an interrupt or a write to the monitored line
  RUN_WAIT_SIPI, // after INIT on an application processor
  RUN_SHUTDOWN,  // triple fault: until reset
};

struct op;
struct block;
struct tlbe;
struct tlb;
struct lapic;
struct model;
struct svm;
struct host_code;

// An exception that an instruction raised and that waits for delivery.
struct fault {
  uint8_t vector;
  bool has_error;
  bool soft;   // INT n, INT3, INTO: the saved instruction pointer is after the instruction
  bool icebp;  // INT1
  bool freeze; // no exception: an x87 error that waits for an interrupt (FERR#)
  uint32_t error;
  uint64_t address; // CR2 for #PF; DR6 bits to set for #DB
};

// An event on its way to its handler, in the terms of EVENTINJ and EXITINTINFO (APM2 15.20).
struct event {
  uint8_t type; // enum event_type (except.h)
  uint8_t vector;
  bool has_error;
  bool soft; // raised by INT n, INT3 or INTO: the gate's DPL counts, and faults have EXT clear
  uint32_t error;
};

// The I/O instruction during which an SMI came, for SMM's save area and EXITINFO.
struct smi_io {
  bool valid;
  uint64_t info;               // as EXITINFO1 of IOIO
  uint64_t rip, rcx, rsi, rdi; // before it
};

// The registers of x87, MMX and the 128-bit halves, as FXSAVE lays them out (APM1 11.4.4).
struct fxregs {
  uint16_t fcw, fsw;
  uint8_t ftw, reserved;
  uint16_t fop;
  uint64_t fip, fdp;
  uint32_t mxcsr, mxcsr_mask;
  uint8_t st[8][16];
  uint8_t xmm[16][16];
  uint8_t rest[96];
};

#define JUMP_CACHE 16384
struct jump {
  uint64_t ip;
  uint64_t key; // c->jump_key at the time of entry
  struct block *block;
};

struct cpu {
  // ---- hot: reached from host code by short displacements ----
  uint64_t r[REG_COUNT];
  // Arithmetic flags as the host leaves them: LAHF (SF ZF 0 AF 0 PF 1 CF) above SETO (0 or 1).
  union {
    uint16_t fl;
    struct {
      uint8_t of, lah;
    };
  };
  uint16_t pad0;
  uint32_t sysflags;   // RFLAGS without FL_ARITH and bit 1
  int64_t left;        // instructions until the engine must look up; see cpu_kick
  struct tlbe *tlb;    // the view that data accesses at the current privilege use
  struct block *block; // running
  struct seg seg[SEG_COUNT];
  uint64_t next_ip;    // set by cpu_begin for instructions that go through exec functions
  uint64_t ip;         // instruction pointer, valid whenever no block is running
  const struct op *at; // the op that faulted or made a slow access
  bool faulted;        // fault holds an exception
  bool mode_stale;     // recompute mode, view and jump key before the next block
  uint8_t shadow;      // interrupt shadow on the coming instruction: enum shadow
  uint8_t shadow_next; // cast by the instruction that just ran
  uint8_t cpl;
  bool kicked;              // left was moved to stolen
  uint16_t jump_salt;       // by the ASID; see jump_slot
  uint32_t mode;            // enum mode_bit
  uint32_t pending;         // enum pending
  uint64_t jump_key;        // mode, TLB context and its generation in one word
  int64_t stolen;           // instructions taken from left by cpu_kick
  int64_t slice;            // left at the start of the slice
  const struct op *patched; // op whose handler was replaced by op_leave after a device access
  void (*patched_fn)(struct cpu *, const struct op *);

  // ---- vector registers ----
  alignas(32) uint8_t v[16][32];    // YMM0..15
  alignas(64) uint8_t host_buf[64]; // memory operands of host stubs that cannot point into RAM
  uint32_t host_mxcsr;              // what the host MXCSR was before fpu_enter
  alignas(16) struct fxregs fx;     // xmm[] here is unused: v is the truth; fcw and mxcsr are the guest's
  bool x87_live;                    // the host FPU holds the guest's x87 registers (fx.st, fsw, ftw stale)
  bool mxcsr_live;                  // the host MXCSR holds the guest's rounding bits and flags

  // ---- the rest of the architecture ----
  uint64_t cr0, cr2, cr3, cr4, cr8; // cr8: mirror of the local APIC's TPR >> 4
  uint64_t pdpte[4];                // PAE paging: loaded with CR3
  uint64_t efer, xcr0;
  uint32_t pkru;
  uint64_t dr[4], dr6, dr7;
  struct dtable gdtr, idtr;
  struct seg ldtr, tr;
  uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
  uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
  uint64_t pat;
  uint64_t apic_base;
  uint64_t mtrr_def_type, mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];
  uint64_t syscfg, top_mem, top_mem2, hwcr, iorr_base[2], iorr_mask[2];
  uint64_t mcg_status, mcg_ctl, mc_ctl[8], mc_status[8], mc_addr[8], mc_misc[8];
  uint64_t debugctl, last_branch_from, last_branch_to, last_int_from, last_int_to;
  uint64_t tsc_offset; // added to the clock's TSC
  uint64_t tsc_aux, tsc_adjust;
  uint64_t spec_ctrl, misc_enable;
  uint64_t vm_cr, vm_hsave_pa;
  uint64_t ignne;                    // MSR: stands for the pin if HWCR.IgnneEm is set
  bool launched;                     // was in INIT while another processor executed SKINIT; see svm/skinit.h
  uint64_t perf_ctl[4], perf_ctr[4]; // msr.c: perf_ctr of a counter that counts is relative to its source
  uint64_t plain_msr[64];            // msr.c: registers that only keep what is written
  uint64_t rng;                      // state of RDRAND and RDSEED; the board may seed it

  struct fault fault;
  struct event event; // what is being delivered, while `delivering`
  uint8_t run;        // enum run_state
  bool nmi_blocked;   // from NMI delivery to IRET
  bool gif;           // global interrupt flag (SVM); 1 after reset
  bool guest;         // between VMRUN and #VMEXIT
  bool in_smm;
  bool smm_ranges; // some physical addresses mean something else than the map says: see smm.h
  bool smm_nmi;    // nmi_blocked when SMM_CTL entered SMM
  bool a20m;       // the line A20M#: see a20_mask
  uint32_t smm_base;
  uint64_t smm_addr, smm_mask, smm_key;
  struct smi_io smi_io;
  uint8_t sipi_vector;
  bool delivering;       // an event is being delivered: faults combine (#DF)
  bool trap_tf;          // TF was set when the instruction started: #DB after it
  bool rf_clear;         // RF is cleared after the instruction that runs
  uint64_t db_bits;      // DR6 bits of data and I/O breakpoints hit by the running instruction
  uint64_t monitor_addr; // RAM offset of the line armed by MONITOR
  bool monitor_armed;
  bool mwait_break; // MWAIT with ECX bit 0: interrupts end it even if RFLAGS.IF is clear

  // ---- identity and surroundings ----
  unsigned index; // 0 .. n-1
  uint32_t apic_id;
  uint8_t node;
  bool bsp;
  const struct model *model;
  struct tlb *tlbs;       // cpu/tlb.h
  struct lapic *lapic;    // cpu/lapic.h
  struct svm *svm;        // cpu/svm/svm.h
  struct host_code *host; // cpu/host: code for forms that the host executes; shared by all CPUs
  struct bus *bus;
  struct ram *ram;
  struct clock *clock;
  struct log *log;
  uint64_t phys_mask; // physical address bits of the model, as a mask
  uint64_t a20_mask;  // ~0, or ~(1 << 20) while A20 is masked: cpu_a20_update
  uint32_t ns_shift;  // one instruction takes 1 << ns_shift ns of virtual time
  uint64_t tsc_hz;
  // Asks the interrupt controller outside for the vector of an ExtINT (PIC); -1: none.
  int (*intack)(void *arg);
  void *intack_arg;
  const struct cpu_chip *chip; // the northbridge of its node; NULL: none, its MSRs are plain
  void *chip_arg;
  struct irq *ferr; // legacy FPU error line, or NULL
  bool ignne_pin;   // IGNNE#, from the chip that FERR# goes to
  // All CPUs of the machine, for IPIs, shootdowns of decoded code, MONITOR.
  struct cpu **all;
  unsigned cpus;
  void *engine;                 // whoever runs this CPU
  void (*woken)(struct cpu *c); // the engine's: a CPU that did not run may have got a reason to
  // Statistics that are always on.
  uint64_t instructions; // retired before the current slice
  uint64_t stat_exceptions, stat_interrupts;

  struct jump jumps[JUMP_CACHE];
};

_Static_assert(offsetof(struct cpu, r) == 0, "ops name registers by offset from the struct");
_Static_assert(offsetof(struct cpu, v) <= 512, "the hot part stays within reach");

// ---- flags ----

static inline uint32_t cpu_flags(const struct cpu *c)
{
  return c->sysflags | 2u | (c->lah & 0xd5u) | (uint32_t)c->of << 11;
}

// Sets the arithmetic flags from an RFLAGS image.
static inline void cpu_set_arith(struct cpu *c, uint32_t f)
{
  c->lah = (f & 0xd5u) | 2u;
  c->of = f >> 11 & 1;
}

// Sets all of RFLAGS and whatever depends on it (interrupt window, SMAP view, alignment checks).
void cpu_set_flags(struct cpu *c, uint32_t f);

static inline bool cpu_cf(const struct cpu *c)
{
  return c->lah & 1;
}

// ---- modes ----

static inline bool cpu_long(const struct cpu *c)
{
  return c->efer & EFER_LMA;
}
static inline bool cpu_code64(const struct cpu *c)
{
  return c->mode & MODE_CS64;
}
static inline bool cpu_protected(const struct cpu *c) // protected, not virtual-8086
{
  return (c->cr0 & CR0_PE) && !(c->sysflags & FL_VM);
}
static inline bool cpu_v86(const struct cpu *c)
{
  return (c->sysflags & FL_VM) != 0;
}
static inline unsigned cpu_iopl(const struct cpu *c)
{
  return c->sysflags >> 12 & 3;
}

// To be called after a change of CS, SS, DS or ES attributes, CPL, CR0, CR4, EFER, XCR0, RFLAGS.AC/VM,
// MXCSR or FCW masks: mode, TLB view and jump key are recomputed before the next block.
static inline void cpu_changed(struct cpu *c)
{
  c->mode_stale = true;
}
void cpu_mode_update(struct cpu *c);

// ---- time and attention ----

// Makes the engine look at c->pending at the end of the running block. May be called at any time from
// the thread that runs the machine.
static inline void cpu_kick(struct cpu *c)
{
  c->stolen += c->left;
  c->left = 0;
  c->kicked = true;
}
static inline void cpu_request(struct cpu *c, uint32_t what)
{
  c->pending |= what;
  cpu_kick(c);
  if (c->run != RUN_ON && c->woken)
    c->woken(c);
}

// Retired instructions, exact also in the middle of a block provided c->at names the running op
// (exec functions and slow accesses see to that).
uint64_t cpu_icount(const struct cpu *c);
// The time stamp counter as RDTSC gives it to a host (without SVM's offset).
uint64_t cpu_tsc(const struct cpu *c);

// ---- exceptions: all return false, so that `return raise_gp(c, 0)` reads well ----

bool raise_vec(struct cpu *c, uint8_t vector); // without error code
bool raise_error(struct cpu *c, uint8_t vector, uint32_t error);
bool raise_pf(struct cpu *c, uint64_t address, uint32_t error);
bool raise_db(struct cpu *c, uint64_t dr6_bits); // fault-like #DB
static inline bool raise_gp(struct cpu *c, uint32_t error)
{
  return raise_error(c, VEC_GP, error);
}
static inline bool raise_ud(struct cpu *c)
{
  return raise_vec(c, VEC_UD);
}

// ---- life ----

// What two MSRs are to the chip around the CPU: NB_CFG is a register of its northbridge, and the base of
// memory-mapped configuration space is decoded there.
struct cpu_chip {
  uint64_t (*nb_config)(void *arg, const struct cpu *c);
  void (*set_nb_config)(void *arg, const struct cpu *c, uint64_t v);
  void (*set_mmcfg)(void *arg, const struct cpu *c, uint64_t v);
};

struct cpu_env {
  struct bus *bus;
  struct clock *clock;
  struct log *log;
  const struct model *model;
  unsigned index;
  uint32_t apic_id;
  uint8_t node;
  uint32_t ns_shift;
  uint64_t tsc_hz;
  struct cpu **all;
  unsigned cpus;
  struct host_code *host;
  unsigned tlb_contexts; // address spaces whose views are kept; 0: as the model says
};
struct err;
struct cpu *cpu_new(const struct cpu_env *env, struct err *e);
void cpu_free(struct cpu *c);
void cpu_reset(struct cpu *c); // power-on or RESET#; APM2 table 14-1
void cpu_init(struct cpu *c);  // INIT: keeps caches, FPU, MTRRs, TSC; APs go to RUN_WAIT_SIPI

#endif
