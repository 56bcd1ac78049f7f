// See walk.h. An entry is changed only by compare and exchange: the guest's other CPUs use the same tables.
#include "svm/walk.h"

#include "svm/svm.h"
#include "svm/vcpu.h"

enum { LEGACY_BITS = 10, BITS = 9 };

struct state {
  struct vcpu *v;
  uint32_t access;
  struct walk *w;
};

static uint64_t reserved_bits(const struct vcpu *v)
{
  return svm_features.reserved | (vcpu_efer(v) & EFER_NXE ? 0 : PTE_NX);
}

static bool fails(struct state *s, uint32_t why)
{
  bool nx = vcpu_efer(s->v) & EFER_NXE && vcpu_cr4(s->v) & CR4_PAE;
  uint32_t id = nx || vcpu_cr4(s->v) & CR4_SMEP ? PF_ID : 0;
  s->w->error = why | (s->access & (PF_W | PF_U)) | (s->access & id);
  return false;
}

// Rights of the whole walk against the access. APM2 5.6
static bool allowed(struct state *s)
{
  const struct walk *w = s->w;
  const struct vcpu *v = s->v;
  uint64_t cr4 = vcpu_cr4(v);
  if (s->access & PF_ID && w->nx)
    return false;
  if (s->access & PF_U)
    return w->u && (w->w || !(s->access & PF_W));
  if (s->access & PF_W && !w->w && vcpu_cr0(v) & CR0_WP)
    return false;
  if (!w->u)
    return true;
  if (s->access & PF_ID)
    return !(cr4 & CR4_SMEP);
  return !(cr4 & CR4_SMAP) || v->vmcb->save.rflags & RFLAGS_AC;
}

// Sets bits in an entry that still is what was read; false: it changed, so the walk begins anew.
static bool mark(void *entry, uint64_t old, uint64_t bits, bool wide)
{
  if ((old & bits) == bits)
    return true;
  if (wide)
    return __atomic_compare_exchange_n((uint64_t *)entry, &old, old | bits, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
  uint32_t old32 = (uint32_t)old;
  return __atomic_compare_exchange_n((uint32_t *)entry, &old32, old32 | (uint32_t)bits, false,
                                     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

struct level {
  void *entry;
  uint64_t value;
};

enum result { DONE, FAULT, AGAIN };

static enum result finish(struct state *s, const struct level *level, unsigned n, bool wide)
{
  if (!allowed(s)) {
    fails(s, PF_P);
    return FAULT;
  }
  for (unsigned i = 0; i < n; i++) {
    uint64_t bits = i + 1 < n ? PTE_A : s->access & PF_W ? PTE_A | PTE_D : PTE_A;
    if (!mark(level[i].entry, level[i].value, bits, wide))
      return AGAIN;
  }
  s->w->dirty = level[n - 1].value & PTE_D || s->access & PF_W;
  return DONE;
}

static enum result walk32(struct state *s, uint64_t linear)
{
  struct level level[2];
  uint64_t table = vcpu_cr3(s->v) & 0xfffff000;
  struct walk *w = s->w;
  for (unsigned i = 0; i < 2; i++) {
    uint32_t *e = guest_ptr(s->v->guest, table + (linear >> (22 - i * LEGACY_BITS) & 0x3ff) * 4, 4);
    s->v->references++;
    uint32_t value = e ? __atomic_load_n(e, __ATOMIC_RELAXED) : 0;
    if (!(value & PTE_P)) {
      fails(s, 0);
      return FAULT;
    }
    level[i] = (struct level){e, value};
    w->w &= value >> 1 & 1;
    w->u &= value >> 2 & 1;
    if (i == 0 && value & PTE_PS && vcpu_cr4(s->v) & CR4_PSE) {
      w->shift = 22; // bits 39:32 of the address are bits 20:13
      w->gpa = (value & 0xffc00000) | (uint64_t)(value >> 13 & 0xff) << 32 | (linear & 0x3fffff);
      return finish(s, level, 1, false);
    }
    table = value & 0xfffff000;
  }
  w->shift = 12;
  w->gpa = table | (linear & 0xfff);
  return finish(s, level, 2, false);
}

static enum result walk64(struct state *s, uint64_t linear, bool four)
{
  struct level level[4];
  struct walk *w = s->w;
  uint64_t table = vcpu_cr3(s->v) & (four ? PTE_ADDR : 0xffffffe0), rsvd = reserved_bits(s->v);
  unsigned n = 0;
  for (unsigned shift = four ? 39 : 30;; shift -= BITS) {
    uint64_t *e =
        guest_ptr(s->v->guest, table + (linear >> shift & (shift == 30 && !four ? 3 : 0x1ff)) * 8, 8);
    s->v->references++;
    uint64_t value = e ? __atomic_load_n(e, __ATOMIC_RELAXED) : 0;
    if (!(value & PTE_P)) {
      fails(s, 0);
      return FAULT;
    }
    bool leaf = shift == 12 || (value & PTE_PS && shift < 39);
    uint64_t bad =
        rsvd | (shift == 39 ? PTE_PS : 0) | (leaf && shift > 12 ? ((1ull << shift) - 1) & ~0x1fffull : 0);
    if (shift == 30 && !four) { // PDPE of PAE: no rights, no accessed bit
      table = value & PTE_ADDR;
      continue;
    }
    if (value & bad) {
      fails(s, PF_P | PF_RSVD);
      return FAULT;
    }
    level[n++] = (struct level){e, value};
    w->w &= value >> 1 & 1;
    w->u &= value >> 2 & 1;
    w->nx |= value >> 63;
    if (leaf) {
      w->shift = shift;
      w->gpa = (value & PTE_ADDR & ~((1ull << shift) - 1)) | (linear & ((1ull << shift) - 1));
      return finish(s, level, n, true);
    }
    table = value & PTE_ADDR;
  }
}

bool walk(struct vcpu *v, uint64_t linear, uint32_t access, struct walk *w)
{
  struct state s = {v, access, w};
  enum result r;
  v->walks++;
  do {
    *w = (struct walk){.w = true, .u = true};
    if (!(vcpu_cr0(v) & CR0_PG)) {
      *w = (struct walk){.gpa = linear & UINT32_MAX, .shift = 32, .w = true, .u = true, .dirty = true};
      return true;
    }
    if (vcpu_efer(v) & EFER_LMA)
      r = walk64(&s, linear, true);
    else if (vcpu_cr4(v) & CR4_PAE)
      r = walk64(&s, linear & UINT32_MAX, false);
    else
      r = walk32(&s, linear & UINT32_MAX);
  } while (r == AGAIN);
  return r == DONE;
}

bool walk_copy(struct vcpu *v, uint64_t linear, void *data, unsigned len, uint32_t access, uint64_t *fault,
               uint32_t *error)
{
  uint8_t *p = data;
  while (len) {
    unsigned part = (unsigned)(PAGE_SIZE - (linear & (PAGE_SIZE - 1)));
    part = part < len ? part : len;
    struct walk w;
    *fault = linear;
    if (!walk(v, linear, access, &w)) {
      *error = w.error;
      return false;
    }
    uint8_t *at = guest_ptr(v->guest, w.gpa, part);
    if (!at) {
      *error = UINT32_MAX;
      return false;
    }
    if (access & PF_W)
      memcpy(at, p, part);
    else
      memcpy(p, at, part);
    linear += part;
    p += part;
    len -= part;
  }
  return true;
}

unsigned walk_fetch(struct vcpu *v, uint8_t bytes[15])
{
  const struct vmcb_save *s = &v->vmcb->save;
  uint64_t linear = vcpu_long(v) ? s->rip : (s->cs.base + s->rip) & UINT32_MAX, fault;
  uint32_t error, access = s->cpl == 3 ? PF_ID | PF_U : PF_ID;
  unsigned first = (unsigned)(PAGE_SIZE - (linear & (PAGE_SIZE - 1)));
  if (first > 15)
    first = 15;
  if (!walk_copy(v, linear, bytes, first, access, &fault, &error))
    return 0;
  if (first < 15 && walk_copy(v, linear + first, bytes + first, 15 - first, access, &fault, &error))
    return 15;
  return first;
}
