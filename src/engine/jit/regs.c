// Registers and flags of a run; see run.h.
#include "engine/jit/run.h"

// Handlers that are not entered by a jump have something of their own in the registers that C functions keep.
static const uint8_t pool[] = {H_R8,  H_R9,  H_R10,
#if OP_CHAIN
                               H_RBX, H_RBP, H_R12, H_R13,
                               H_R14, H_R15
#endif
};
enum { POOL = sizeof pool / sizeof pool[0] };

void run_begin(struct run *r)
{
  memset(r->host, -1, sizeof r->host);
  memset(r->guest, -1, sizeof r->guest);
  r->flags = false;
  r->pinned = r->held = r->freed = 0;
  r->unseen = r->unstored = 0;
  r->turn = 0;
}

// A free host register, or one whose guest register is not needed now.
static unsigned take(struct run *r)
{
  unsigned busy = r->pinned | r->held, h = H_NONE;
  for (unsigned i = 0; i < POOL && h == H_NONE; i++)
    if (r->guest[pool[i]] < 0 && !(busy >> pool[i] & 1))
      h = pool[i];
  while (h == H_NONE) {
    unsigned candidate = pool[r->turn++ % POOL];
    if (!(busy >> candidate & 1))
      h = candidate;
  }
  if (r->guest[h] >= 0) {
    unsigned g = (unsigned)r->guest[h];
    if (r->unstored >> g & 1)
      as_store(&r->as, h, CPU, AT_REG(g));
    r->unstored &= ~(1u << g);
    r->host[g] = -1;
  }
  r->guest[h] = -1;
  return h;
}

void run_next(struct run *r, const struct jit_op *n)
{
  r->unseen = n->unseen;
  r->held &= (uint16_t)~r->freed;
  r->pinned = r->freed = 0;
}

unsigned run_claim(struct run *r)
{
  unsigned h = take(r);
  r->held |= (uint16_t)(1u << h);
  return h;
}

unsigned run_def(struct run *r, unsigned guest)
{
  unsigned h;
  if (r->host[guest] >= 0) {
    h = (unsigned)r->host[guest];
  } else {
    h = take(r);
    r->guest[h] = (int8_t)guest;
    r->host[guest] = (int8_t)h;
  }
  r->pinned |= (uint16_t)(1u << h);
  return h;
}

unsigned run_get(struct run *r, unsigned guest)
{
  bool there = r->host[guest] >= 0;
  unsigned h = run_def(r, guest);
  if (!there)
    as_load(&r->as, h, CPU, AT_REG(guest));
  return h;
}

void run_wrote(struct run *r, unsigned guest)
{
  if (r->unseen >> guest & 1) {
    r->unstored |= 1u << guest;
    return;
  }
  r->unstored &= ~(1u << guest);
  as_store(&r->as, (unsigned)r->host[guest], CPU, AT_REG(guest));
}

// struct cpu has the flags as LAHF and SETO leave them: 0x7f + 1 overflows, 0x7f + 0 does not.
void run_flags_in(struct run *r)
{
  if (r->flags)
    return;
  as_rm(&r->as, false, 0x0fb7, H_RAX, CPU, AT(fl));
  as_8(&r->as, 0x04); // add al, 0x7f
  as_8(&r->as, 0x7f);
  as_8(&r->as, 0x9e); // sahf
  r->flags = true;
}

void run_flags_out(struct run *r)
{
  as_8(&r->as, 0x9f);                                       // lahf
  as_bytes(&r->as, (const uint8_t[]){0x0f, 0x90, 0xc0}, 3); // seto al
  as_8(&r->as, 0x66);
  as_rm(&r->as, false, 0x89, H_RAX, CPU, AT(fl));
}

void run_exit(struct run *r, uint8_t *from, enum exit_kind kind, const struct jit_op *op, unsigned slot)
{
  r->exits[r->exit_count++] = (struct run_exit){.kind = kind, .from = from, .op = op, .slot = slot};
}
