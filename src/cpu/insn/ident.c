// CPUID, RDMSR and WRMSR, the counters, MONITOR and MWAIT, random numbers, and the instructions that are
// undefined on purpose. APM3 chapters 3 and 4.
#include "cpu/insn/ident.h"

#include "cpu/lapic.h"
#include "cpu/mem.h"
#include "cpu/model.h"
#include "cpu/msr.h"
#include "cpu/perfctr.h"
#include "cpu/svm/intercept.h"
#include "cpu/tlb.h"

enum { HWCR_MON_MWAIT_DIS = 1u << 9, HWCR_MON_MWAIT_USER = 1u << 10, LINE = 64 };

static void set32(struct cpu *c, unsigned r, uint32_t v)
{
  c->r[r] = v;
}

static void set_edx_eax(struct cpu *c, uint64_t v)
{
  set32(c, RAX, v);
  set32(c, RDX, v >> 32);
}

bool x_cpuid(struct cpu *c, const struct op *op)
{
  uint32_t out[4];
  cpuid(c, c->r[RAX], c->r[RCX], out);
  set32(c, RAX, out[0]);
  set32(c, RBX, out[1]);
  set32(c, RCX, out[2]);
  set32(c, RDX, out[3]);
  return true;
}

bool x_rdmsr(struct cpu *c, const struct op *op)
{
  uint64_t v;
  if (unlikely(c->guest) && !svm_msr(c, c->r[RCX], false))
    return false;
  if (!msr_read(c, c->r[RCX], &v))
    return raise_gp(c, 0);
  set_edx_eax(c, v);
  return true;
}

bool x_wrmsr(struct cpu *c, const struct op *op)
{
  if (unlikely(c->guest) && !svm_msr(c, c->r[RCX], true))
    return false;
  uint64_t v = c->r[RDX] << 32 | (uint32_t)c->r[RAX];
  if (!msr_write(c, c->r[RCX], v))
    return c->faulted ? false : raise_gp(c, 0);
  if (unlikely(c->guest) && (uint32_t)c->r[RCX] == MSR_EFER)
    return svm_write_trap(c, VMEXIT_EFER_WRITE_TRAP, v);
  return true;
}

// What the running program sees of the time stamp counter.
static uint64_t visible_tsc(const struct cpu *c)
{
  uint64_t tsc = cpu_tsc(c);
  return unlikely(c->guest) ? svm_tsc(c, tsc) : tsc;
}

// CR4.TSD keeps the time stamp counter from programs.
static bool tsc_forbidden(const struct cpu *c)
{
  return (c->cr4 & CR4_TSD) && c->cpl;
}

bool x_rdtsc(struct cpu *c, const struct op *op)
{
  if (tsc_forbidden(c))
    return raise_gp(c, 0);
  if (SVM_INTERCEPTED(c, VMEXIT_RDTSC))
    return svm_exit(c, VMEXIT_RDTSC, 0, 0);
  set_edx_eax(c, visible_tsc(c));
  return true;
}

bool x_rdtscp(struct cpu *c, const struct op *op)
{
  if (tsc_forbidden(c))
    return raise_gp(c, 0);
  if (SVM_INTERCEPTED(c, VMEXIT_RDTSCP))
    return svm_exit(c, VMEXIT_RDTSCP, 0, 0);
  set_edx_eax(c, visible_tsc(c));
  set32(c, RCX, c->tsc_aux);
  return true;
}

bool x_rdpid(struct cpu *c, const struct op *op)
{
  REG64(c, op->rm) = (uint32_t)c->tsc_aux;
  return true;
}

bool x_rdpmc(struct cpu *c, const struct op *op)
{
  uint32_t n = c->r[RCX];
  if ((c->cpl && !(c->cr4 & CR4_PCE)) || n > 3)
    return raise_gp(c, 0);
  if (SVM_INTERCEPTED(c, VMEXIT_RDPMC))
    return svm_exit(c, VMEXIT_RDPMC, 0, 0);
  set_edx_eax(c, perfctr_value(c, n));
  return true;
}

bool x_rdpru(struct cpu *c, const struct op *op)
{
  uint32_t n = c->r[RCX];
  if (tsc_forbidden(c))
    return raise_ud(c);
  if (SVM_INTERCEPTED(c, VMEXIT_RDPRU))
    return svm_exit(c, VMEXIT_RDPRU, 0, 0);
  set_edx_eax(c, n < 2 ? perfctr_fixed_read(c, n) : 0);
  cpu_set_arith(c, n < 2 ? FL_CF : 0);
  return true;
}

// ---- MONITOR and MWAIT ----

static bool monitor(struct cpu *c, const struct op *op)
{
  uint64_t offset = op->asz == 3 ? c->r[RAX] : op->asz == 2 ? (uint32_t)c->r[RAX] : (uint16_t)c->r[RAX];
  if ((uint32_t)c->r[RCX]) // no extensions are defined
    return raise_gp(c, 0);
  uint64_t la = seg_linear(c, op->seg, offset, 1, ACC_READ);
  if (c->faulted)
    return false;
  uint64_t byte;
  if (!op_load(c, op, la, 1, &byte)) // as a load of one byte it may fault, and sets the accessed bit
    return false;
  if (SVM_INTERCEPTED(c, VMEXIT_MONITOR))
    return svm_exit(c, VMEXIT_MONITOR, 0, 0);
  c->monitor_armed = false;
  uint8_t *p = mem_ptr(c, op, la, 1, false);
  if (c->faulted)
    return false;
  if (!p) // device memory: nobody would see a write
    return true;
  uint64_t off = (uint64_t)(p - c->ram->mem);
  c->monitor_addr = off & ~(uint64_t)(LINE - 1);
  c->monitor_armed = true;
  c->ram->flags[off >> 12] |= RAM_MONITOR;
  for (unsigned i = 0; i < c->cpus; i++) {
    if (c->all[i])
      tlb_protect_ram(c->all[i], off & ~0xfffull);
  }
  return true;
}

static bool mwait(struct cpu *c, uint32_t extensions)
{
  if ((uint32_t)c->r[RCX] & ~extensions)
    return raise_gp(c, 0);
  // The conditional intercept is for those that would wait.
  if (SVM_INTERCEPTED(c, VMEXIT_MWAIT_CONDITIONAL) && c->monitor_armed)
    return svm_exit(c, VMEXIT_MWAIT_CONDITIONAL, 0, 0);
  if (SVM_INTERCEPTED(c, VMEXIT_MWAIT))
    return svm_exit(c, VMEXIT_MWAIT, 0, 0);
  if (!c->monitor_armed)
    return true;
  c->mwait_break = c->r[RCX] & 1;
  timer_cancel(&c->lapic->mwaitx);
  uint32_t limit = c->r[RBX];
  if ((c->r[RCX] & 2) && limit) // at most so many ticks of the TSC
    timer_set(&c->lapic->mwaitx, tsc_when(c, cpu_tsc(c) + limit));
  c->run = RUN_MWAIT;
  return true;
}

// Outside of the kernel only if HWCR allows it.
static bool monitor_undefined(const struct cpu *c)
{
  return (c->hwcr & HWCR_MON_MWAIT_DIS) || (c->cpl && !(c->hwcr & HWCR_MON_MWAIT_USER));
}

bool x_monitor(struct cpu *c, const struct op *op)
{
  return monitor_undefined(c) ? raise_ud(c) : monitor(c, op);
}

bool x_monitorx(struct cpu *c, const struct op *op)
{
  return monitor(c, op);
}

bool x_mwait(struct cpu *c, const struct op *op)
{
  return monitor_undefined(c) ? raise_ud(c) : mwait(c, 1);
}

bool x_mwaitx(struct cpu *c, const struct op *op)
{
  return mwait(c, 3);
}

// Stores reach memory at once, and none was lost.
bool x_mcommit(struct cpu *c, const struct op *op)
{
  if (!(c->efer & EFER_MCOMMIT))
    return raise_ud(c);
  if (SVM_INTERCEPTED(c, VMEXIT_MCOMMIT))
    return svm_exit(c, VMEXIT_MCOMMIT, 0, 0);
  cpu_set_arith(c, 0);
  return true;
}

bool x_pause(struct cpu *c, const struct op *op)
{
  return !unlikely(c->guest) || svm_pause(c);
}

// ---- random numbers: splitmix64, so that the same inputs give the same run ----

bool x_rdrand(struct cpu *c, const struct op *op)
{
  uint64_t z = c->rng += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  reg_set(c, op->rm, op->osz, z ^ z >> 31);
  cpu_set_arith(c, FL_CF);
  return true;
}

bool x_ud(struct cpu *c, const struct op *op)
{
  return raise_ud(c);
}
