// Intercepts with conditions of their own; see intercept.h.
#include "cpu/svm/intercept.h"

#include "cpu/cr.h"
#include "cpu/mem.h"
#include "cpu/model.h"

static uint64_t assist(const struct cpu *c, unsigned gpr)
{
  return model_has(c->model, FEAT_DECODEASSISTS) ? 1ull << 63 | gpr : 0;
}

bool svm_mov_cr(struct cpu *c, unsigned n, bool write, unsigned gpr)
{
  if (!(c->svm->cr_intercepts >> (n + (write ? 16 : 0)) & 1))
    return true;
  return svm_exit(c, (write ? VMEXIT_CR0_WRITE : VMEXIT_CR0_READ) + n, assist(c, gpr), 0);
}

bool svm_cr0_selective(struct cpu *c, uint64_t value, unsigned gpr)
{
  uint64_t changed = (value ^ c->cr0) & CR0_KNOWN & ~(uint64_t)(CR0_TS | CR0_MP | CR0_ET);
  if (!svm_intercepts(c->svm, VMEXIT_CR0_SEL_WRITE) || !changed)
    return true;
  return svm_exit(c, VMEXIT_CR0_SEL_WRITE, assist(c, gpr), 0);
}

bool svm_clts(struct cpu *c)
{
  return !(c->svm->cr_intercepts >> 16 & 1) || svm_exit(c, VMEXIT_CR0_WRITE, 0, 0);
}

bool svm_lmsw(struct cpu *c)
{
  return svm_clts(c) &&
         (!svm_intercepts(c->svm, VMEXIT_CR0_SEL_WRITE) || svm_exit(c, VMEXIT_CR0_SEL_WRITE, 0, 0));
}

bool svm_mov_dr(struct cpu *c, unsigned n, bool write, unsigned gpr)
{
  if (!(c->svm->dr_intercepts >> (n + (write ? 16 : 0)) & 1))
    return true;
  uint64_t info = model_has(c->model, FEAT_DECODEASSISTS) ? gpr : 0;
  return svm_exit(c, (write ? VMEXIT_DR0_WRITE : VMEXIT_DR0_READ) + n, info, 0);
}

// A byte of a permission map. What is not in RAM denies.
static uint8_t map_byte(struct cpu *c, uint64_t base, unsigned at)
{
  return phys_read(c, base + at, 1);
}

uint64_t svm_io_info(const struct cpu *c, const struct op *op, uint16_t port, unsigned size, bool in,
                     bool string)
{
  uint64_t info = (uint64_t)port << 16 | (in ? 1 : 0) | size << 4 | (1u << op->asz) << 6;
  if (string) {
    info |= 4;
    if (op->flags & (OPF_REP | OPF_REPNE))
      info |= 8;
    if (model_has(c->model, FEAT_DECODEASSISTS))
      info |= (uint64_t)(in ? SEG_ES : op->seg) << 10;
  }
  return info;
}

bool svm_io(struct cpu *c, const struct op *op, uint16_t port, unsigned size, bool in, bool string)
{
  if (!svm_intercepts(c->svm, VMEXIT_IOIO))
    return true;
  // A bit for each port that the access touches, three more bits after the last port for accesses that run
  // over.
  unsigned bits = map_byte(c, c->svm->iopm_pa, port / 8) | map_byte(c, c->svm->iopm_pa, port / 8 + 1) << 8;
  if (!(bits >> (port & 7) & ((1u << size) - 1)))
    return true;
  return svm_exit(c, VMEXIT_IOIO, svm_io_info(c, op, port, size, in, string), c->next_ip);
}

// APM2 15.11: two bits for each MSR of three ranges; all others are intercepted.
bool svm_msr(struct cpu *c, uint32_t msr, bool write)
{
  if (!svm_intercepts(c->svm, VMEXIT_MSR))
    return true;
  unsigned at;
  if (msr < 0x2000)
    at = 2 * msr;
  else if (msr - 0xc0000000u < 0x2000)
    at = 0x800 * 8 + 2 * (msr - 0xc0000000u);
  else if (msr - 0xc0010000u < 0x2000)
    at = 0x1000 * 8 + 2 * (msr - 0xc0010000u);
  else
    return svm_exit(c, VMEXIT_MSR, write, 0);
  at += write;
  if (!(map_byte(c, c->svm->msrpm_pa, at / 8) >> (at & 7) & 1))
    return true;
  return svm_exit(c, VMEXIT_MSR, write, 0);
}

// APM2 15.14.4: the filter lets PAUSEs by until the counter is used up; with a threshold, only PAUSEs that
// follow each other closely count.
bool svm_pause(struct cpu *c)
{
  struct svm *s = c->svm;
  if (!svm_intercepts(s, VMEXIT_PAUSE))
    return true;
  if (s->pause_count && model_has(c->model, FEAT_PAUSEFILTER)) {
    if (s->pause_threshold && model_has(c->model, FEAT_PFTHRESHOLD)) {
      uint64_t now = cpu_tsc(c);
      if (s->pause_last && now - s->pause_last > s->pause_threshold)
        s->pause_left = s->pause_count;
      s->pause_last = now;
    }
    if (s->pause_left) {
      s->pause_left--;
      return true;
    }
  }
  return svm_exit(c, VMEXIT_PAUSE, 0, 0);
}

bool svm_write_trap(struct cpu *c, enum vmexit code, uint64_t value)
{
  if (!svm_intercepts(c->svm, code))
    return true;
  return svm_exit(c, code, value, 0);
}

uint64_t svm_scale(const struct cpu *c, uint64_t ticks)
{
  uint64_t ratio = c->svm->tsc_ratio;
  if (ratio == 1ull << 32 || !model_has(c->model, FEAT_TSC_SCALE))
    return ticks;
  return (uint64_t)((unsigned __int128)ticks * ratio >> 32);
}

uint64_t svm_tsc(const struct cpu *c, uint64_t tsc)
{
  return svm_scale(c, tsc) + c->svm->tsc_offset;
}
