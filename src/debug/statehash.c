// A hash of the machine's state; see statehash.h.
//
// The hash is a chain of multiplications over 64-bit words, good enough to see any difference and fast
// enough for gigabytes. It is no defence against somebody who looks for a collision.
#include "debug/statehash.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cpu/lapic.h"
#include "machine/machine.h"

#define PAGE 4096u

static uint64_t mix(uint64_t h, uint64_t v)
{
  h = (h ^ v) * 0x9e3779b97f4a7c15ull;
  return h ^ h >> 29;
}

static uint64_t mix_bytes(uint64_t h, const void *data, size_t len)
{
  const uint8_t *p = data;
  for (; len >= 8; p += 8, len -= 8) {
    uint64_t v;
    memcpy(&v, p, 8);
    h = mix(h, v);
  }
  uint64_t rest = 0;
  memcpy(&rest, p, len);
  return len ? mix(h, rest) : h;
}

static bool is_zero(const uint8_t *page)
{
  static const uint8_t zeros[PAGE];
  return memcmp(page, zeros, PAGE) == 0;
}

// Which of `count` pages from `page` on the host has given memory to; all of them if it does not say.
static void touched(int pagemap, const uint8_t *mem, uint64_t page, uint64_t count, uint64_t *entry)
{
  size_t want = count * sizeof *entry;
  off_t at = (off_t)(((uintptr_t)mem / PAGE + page) * sizeof *entry);
  if (pagemap < 0 || pread(pagemap, entry, want, at) != (ssize_t)want)
    memset(entry, 0xff, want);
}

static uint64_t hash_ram(const struct ram *r)
{
  enum { BATCH = 512 };
  uint64_t h = 1, pages = r->used / PAGE, entry[BATCH];
  int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  for (uint64_t p = 0; p < pages; p += BATCH) {
    uint64_t n = pages - p < BATCH ? pages - p : BATCH;
    touched(pagemap, r->mem, p, n, entry);
    for (uint64_t i = 0; i < n; i++) {
      const uint8_t *page = r->mem + (p + i) * PAGE;
      if (!(entry[i] >> 62) || is_zero(page)) // neither present nor swapped out
        continue;
      h = mix(h, p + i);
      h = mix_bytes(h, page, PAGE);
    }
  }
  if (pagemap >= 0)
    close(pagemap);
  return h;
}

static uint64_t mix_seg(uint64_t h, const struct seg *s)
{
  h = mix(h, s->base);
  return mix(h, (uint64_t)s->limit << 32 | (uint32_t)s->sel << 16 | s->attr);
}

static uint64_t hash_lapic(uint64_t h, const struct lapic *a)
{
  h = mix_bytes(h, a->isr, sizeof a->isr);
  h = mix_bytes(h, a->tmr, sizeof a->tmr);
  h = mix_bytes(h, a->irr, sizeof a->irr);
  h = mix_bytes(h, a->lvt, sizeof a->lvt);
  const uint64_t one[] = {a->id,  a->ldr,           a->dfr,    a->tpr,          a->svr,        a->esr,
                          a->icr, a->initial_count, a->divide, a->tsc_deadline, a->timer_start};
  return mix_bytes(h, one, sizeof one);
}

static uint64_t hash_cpu(uint64_t h, const struct cpu *c)
{
  h = mix_bytes(h, c->r, 16 * sizeof c->r[0]);
  const uint64_t one[] = {c->ip,
                          cpu_flags(c),
                          c->cpl,
                          c->run,
                          c->shadow,
                          c->pending,
                          c->cr0,
                          c->cr2,
                          c->cr3,
                          c->cr4,
                          c->cr8,
                          c->efer,
                          c->xcr0,
                          c->pkru,
                          c->dr6,
                          c->dr7,
                          c->gdtr.base,
                          c->gdtr.limit,
                          c->idtr.base,
                          c->idtr.limit,
                          c->star,
                          c->lstar,
                          c->cstar,
                          c->sfmask,
                          c->kernel_gs_base,
                          c->sysenter_cs,
                          c->sysenter_esp,
                          c->sysenter_eip,
                          c->pat,
                          c->apic_base,
                          c->mtrr_def_type,
                          c->tsc_offset,
                          c->tsc_aux,
                          c->tsc_adjust,
                          c->nmi_blocked,
                          c->gif,
                          c->guest,
                          c->vm_cr,
                          c->vm_hsave_pa,
                          c->in_smm,
                          c->smm_base,
                          c->smm_addr,
                          c->smm_mask,
                          c->instructions};
  h = mix_bytes(h, one, sizeof one);
  h = mix_bytes(h, c->dr, sizeof c->dr);
  h = mix_bytes(h, c->pdpte, sizeof c->pdpte);
  for (unsigned i = 0; i < SEG_COUNT; i++)
    h = mix_seg(h, &c->seg[i]);
  h = mix_seg(h, &c->ldtr);
  h = mix_seg(h, &c->tr);
  h = mix_bytes(h, c->v, sizeof c->v);
  h = mix_bytes(h, c->mtrr_fixed, sizeof c->mtrr_fixed);
  h = mix_bytes(h, c->mtrr_base, sizeof c->mtrr_base);
  h = mix_bytes(h, c->mtrr_mask, sizeof c->mtrr_mask);
  const struct fxregs *x = &c->fx;
  const uint64_t fpu[] = {x->fcw, x->fsw, x->ftw, x->fop, x->fip, x->fdp, x->mxcsr};
  h = mix_bytes(h, fpu, sizeof fpu);
  for (unsigned i = 0; i < 8; i++)
    h = mix_bytes(h, x->st[i], 10);
  return hash_lapic(h, c->lapic);
}

uint64_t statehash(struct machine *m)
{
  uint64_t h = hash_ram(&m->ram);
  for (unsigned i = 0; i < m->cpus; i++)
    h = hash_cpu(h, m->cpu[i]);
  h = mix(h, clock_now(&m->clock));
  return mix(h, engine_instructions(&m->engine));
}
