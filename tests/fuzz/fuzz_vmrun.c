// VMRUN with any VMCB, host, permission maps and nested tables, and what the guest then does; RSM with any
// save area; SKINIT with any secure loader block. Promises: those of fuzz_insn, and besides that
// - a VMCB that a row of the checks table refuses gives VMEXIT_INVALID, no other does, and -d vmrun says why;
// - the host save area holds the host at VMRUN, and the host is that again after #VMEXIT;
// - EXITCODE is a code that the manual has;
// - SKINIT starts the loader where its header says, in the state that the manual gives.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cr.h"
#include "cpu/lapic.h"
#include "cpu/model.h"
#include "cpu/smm.h"
#include "cpu/svm/checks.h"
#include "vmbed.h"

enum { BUDGET = 150, AFTER = 200, ROUNDS = 4, AREA = 0xfe00 };
enum kind { KIND_VMRUN, KIND_RSM = 6, KIND_SKINIT, KINDS };

// What a host keeps over its guest, and what the guest must leave alone for that to be seen.
struct host {
  struct seg seg[4];
  struct dtable gdtr, idtr;
  uint64_t cr0, cr3, cr4, efer, rsp, rax, hsave;
  uint32_t flags;
  uint8_t code[16], tables[0x4000];
};

struct play {
  struct cpubed *b;
  uint64_t slice;
  FILE *log;        // of the bed that runs one by one
  unsigned reasons; // VMEXIT_INVALIDs that the log explained
  char last[64];    // the row of the last
  bool disturbed;   // something else may have run a guest, or changed what is looked at
  // Of the round:
  struct host host;
  unsigned vmcb;
  bool inside;       // the guest was seen
  bool meddled;      // with the host save area, while it ran
  uint64_t after;    // the host's next instruction
  bool plain, legal; // the VMCB is taken from memory as it is; no check refuses it
  const char *refused;
};

// ---- the log ----

static ssize_t log_write(void *cookie, const char *text, size_t len)
{
  struct play *p = cookie;
  const char *why = memmem(text, len, "VMEXIT_INVALID: ", 16);
  const char *id = why ? memmem(why, len - (size_t)(why - text), " (", 2) : NULL;
  if (id) {
    p->reasons++;
    snprintf(p->last, sizeof p->last, "%.*s", (int)strcspn(id + 2, ","), id + 2);
  }
  if (getenv("FUZZ_LOG"))
    fwrite(text, 1, len, stderr);
  return (ssize_t)len;
}

static void log_to(struct play *p)
{
  p->log = fopencookie(p, "w", (cookie_io_functions_t){.write = log_write});
  if (!p->log)
    abort();
  setvbuf(p->log, NULL, _IOLBF, 1024);
  p->b->log.out = p->log;
  p->b->log.items |= LOG_VMRUN;
}

// ---- a host and what it keeps ----

static const uint8_t segs[4] = {SEG_ES, SEG_CS, SEG_SS, SEG_DS};

static void note_host(struct play *p)
{
  const struct cpu *c = p->b->cpu;
  struct host *h = &p->host;
  *h = (struct host){.gdtr = c->gdtr,
                     .idtr = c->idtr,
                     .cr0 = c->cr0,
                     .cr3 = c->cr3,
                     .cr4 = c->cr4,
                     .efer = c->efer,
                     .rsp = c->r[RSP],
                     .rax = c->r[RAX],
                     .hsave = c->vm_hsave_pa,
                     .flags = cpu_flags(c) & ~(uint32_t)FL_RF};
  for (unsigned i = 0; i < 4; i++)
    h->seg[i] = c->seg[segs[i]];
  memcpy(h->code, p->b->ram.mem + VM_HOST, sizeof h->code);
  memcpy(h->tables, p->b->ram.mem + VM_TABLES, sizeof h->tables);
}

static const struct vmcb_save *save_area(const struct play *p)
{
  uint64_t pa = p->host.hsave & ~0xfffull;
  // Elsewhere it may lie over what the round is made of.
  if (p->b->cpu->vm_hsave_pa != p->host.hsave || (pa != VM_HSAVE && (pa < VM_MSRPM || pa >= BED_RAM)))
    return NULL;
  return &((const struct vmcb *)(p->b->ram.mem + pa))->save;
}

static bool saved(const struct play *p)
{
  const struct vmcb_save *s = save_area(p);
  const struct host *h = &p->host;
  const struct vmcb_seg *seg[4] = {&s->es, &s->cs, &s->ss, &s->ds};
  for (unsigned i = 0; i < 4; i++)
    if (seg[i]->base != h->seg[i].base || seg[i]->limit != h->seg[i].limit ||
        seg[i]->selector != h->seg[i].sel || seg[i]->attrib != h->seg[i].attr)
      return false;
  return s->gdtr.base == h->gdtr.base && s->gdtr.limit == h->gdtr.limit && s->idtr.base == h->idtr.base &&
         s->idtr.limit == h->idtr.limit && s->cr0 == h->cr0 && s->cr3 == h->cr3 && s->cr4 == h->cr4 &&
         s->efer == h->efer && s->rsp == h->rsp && s->rax == h->rax && s->rflags == h->flags &&
         s->rip == p->after;
}

static void require_host(const struct play *p)
{
  const struct cpu *c = p->b->cpu;
  const struct host *h = &p->host;
  for (unsigned i = 0; i < 4; i++)
    FUZZ_REQUIRE(!memcmp(&c->seg[segs[i]], &h->seg[i], sizeof h->seg[i]), "segment %u", segs[i]);
  FUZZ_REQUIRE(c->gdtr.base == h->gdtr.base && c->gdtr.limit == h->gdtr.limit, "GDTR");
  FUZZ_REQUIRE(c->idtr.base == h->idtr.base && c->idtr.limit == h->idtr.limit, "IDTR");
  FUZZ_REQUIRE(c->cr0 == h->cr0 && c->cr3 == h->cr3 && c->cr4 == h->cr4 && c->efer == h->efer,
               "CR0 %llx CR3 %llx CR4 %llx EFER %llx", (unsigned long long)c->cr0, (unsigned long long)c->cr3,
               (unsigned long long)c->cr4, (unsigned long long)c->efer);
  FUZZ_REQUIRE(c->r[RSP] == h->rsp && c->r[RAX] == h->rax, "RSP %llx RAX %llx", (unsigned long long)c->r[RSP],
               (unsigned long long)c->r[RAX]);
  FUZZ_REQUIRE((cpu_flags(c) & ~(uint32_t)FL_RF) == h->flags, "flags %x", cpu_flags(c));
  FUZZ_REQUIRE(c->cpl == 0 && !c->gif && c->dr7 == 0x400, "CPL %u GIF %u DR7 %llx", c->cpl, c->gif,
               (unsigned long long)c->dr7);
  FUZZ_REQUIRE(c->ip == p->after + (c->run == RUN_HALTED), "ip %llx", (unsigned long long)c->ip);
}

// ---- a round ----

// Legacy PAE mode with page-directory pointers that cannot be loaded.
static bool pointers_bad(const struct cpubed *b, uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t efer)
{
  uint64_t at = cr3 & 0xffffffe0;
  if (!(cr0 & CR0_PG) || !(cr4 & CR4_PAE) || (efer & EFER_LME))
    return false;
  if (at > BED_RAM - 32)
    return true;
  for (unsigned i = 0; i < 4; i++) {
    uint64_t e;
    memcpy(&e, b->ram.mem + at + 8 * i, 8);
    if ((e & 1) && ((e & 0x1e6) || (e & ~b->cpu->phys_mask)))
      return true;
  }
  return false;
}

// What the manual says of a guest without nested paging; true if it may be so.
static bool guest_pointers_bad(const struct cpubed *b, const struct vmcb *v)
{
  const struct vmcb_save *g = &v->save;
  return !(v->control.np_control & NP_ENABLE) && pointers_bad(b, g->cr0, g->cr3, g->cr4, g->efer);
}

// The rules of APM2 15.5.1, 15.16, 15.20, 15.21.10 and 15.25.3, once more.
static bool illegal(const struct cpu *c, const struct vmcb *v)
{
  const struct vmcb_save *g = &v->save;
  const struct vmcb_control *k = &v->control;
  bool lm = (g->efer >> 8 & 1) && (g->cr0 >> 31 & 1), np = k->np_control & 1;
  uint64_t maps[2] = {k->iopm_base_pa & ~0xfffull, k->msrpm_base_pa & ~0xfffull}, top = c->phys_mask;
  if (!(g->efer >> 12 & 1) || (g->efer & ~(efer_allowed(c) | 0x1000)) || g->cr0 >> 32 || g->dr6 >> 32 ||
      g->dr7 >> 32 || (g->cr0 >> 29 & 3) == 1 || (g->cr3 & ~top) || (g->cr4 & ~cr4_allowed(c)))
    return true;
  if ((g->efer & 0x500) && !model_has(c->model, FEAT_LM))
    return true;
  if (lm && (!(g->cr4 & 0x20) || !(g->cr0 & 1) || (g->cs.attrib >> 9 & 3) == 3))
    return true;
  if (!(k->intercepts[1] & 1) || !k->asid || k->asid >= c->model->asids)
    return true;
  if (((k->intercepts[0] >> 27 & 1) && (maps[0] > top || top - maps[0] < 0x2001)) ||
      ((k->intercepts[0] >> 28 & 1) && (maps[1] > top || top - maps[1] < 0x2000)))
    return true;
  if (k->tlb_control > 7 || !((model_has(c->model, FEAT_FLUSHBYASID) ? 0x8b : 3) >> k->tlb_control & 1))
    return true;
  if ((k->vintr >> 26 & 1) && model_has(c->model, FEAT_VNMI) && !(k->intercepts[0] >> 1 & 1))
    return true;
  if (np && (!(c->cr0 >> 31 & 1) || (k->n_cr3 & ~top)))
    return true;
  for (unsigned i = 0; np && i < 64; i += 8)
    if ((g->g_pat >> i & 0xff) > 7 || (g->g_pat >> i & 0xfe) == 2)
      return true;
  unsigned type = k->eventinj >> 8 & 7, vector = k->eventinj & 0xff;
  if (!(k->eventinj >> 31 & 1) || type == 0 || type == 2 || type == 4)
    return false;
  bool into = (vector == 4 || vector == 5) && lm && (g->cs.attrib >> 9 & 1);
  return type != 3 || vector > 30 || vector == 2 || vector == 9 || vector == 15 ||
         (vector > 19 && vector < 30) || into;
}

static void start_round(struct play *p, struct fuzz_in *in)
{
  static const uint8_t before[4][3] = {
      {0x90, 0x90, 0x90}, {0x0f, 0x01, 0xda}, {0x0f, 0x01, 0xdb}, {0x0f, 0x01, 0xdf}};
  struct cpubed *b = p->b;
  struct cpu *c = b->cpu;
  unsigned how = (unsigned)fuzz_take(in, 1), events = how & 0x30 ? 0 : (unsigned)fuzz_take(in, 1);
  p->vmcb = how & 1;
  vm_change(b, in, VM_VMCB + 0x1000 * p->vmcb, 6);
  vm_poke(b, in, 3);
  if (!(how & 0xe)) // else the clean bits are what the input made them
    vm_vmcb(b, p->vmcb)->control.clean = 0;
  // VMLOAD, VMSAVE, INVLPGA or nothing; VMRUN; HLT.
  uint8_t code[7] = {0, 0, 0, 0x0f, 0x01, 0xd8, 0xf4};
  memcpy(code, before[how >> 6], 3);
  for (unsigned i = 0; i < sizeof code; i++)
    vm_put(b, VM_HOST + i, 1, code[i]);
  c->r[RAX] = VM_VMCB + 0x1000 * p->vmcb;
  if (events & 0x80)
    c->r[RAX] = vm_value(in, c->r[RAX]);
  if (events & 0x40)
    c->vm_hsave_pa = vm_value(in, c->vm_hsave_pa) & c->phys_mask & ~0xfffull;
  c->r[RCX] &= 3;
  c->ip = c->next_ip = VM_HOST;
  c->run = RUN_ON;
  p->after = VM_HOST + 6;
  if (events & 0xf)
    c->gif = false;
  if (events & 1)
    cpu_request(c, PEND_NMI);
  if (events & 2)
    lapic_lint(c, 0, 1);
  if (events & 4)
    cpu_request(c, PEND_SMI);
  if (events & 8)
    cpu_request(c, PEND_INIT);
  p->disturbed |= (events & 12) != 0;
  p->inside = p->meddled = false;
  note_host(p);
  const struct vmcb *v = vm_vmcb(b, p->vmcb);
  const struct svm_check *bad = svm_check(c, v, ~0u);
  p->refused = bad ? bad->id : NULL;
  FUZZ_REQUIRE(illegal(c, v) == (bad != NULL), "%s", bad ? bad->rule : "no rule");
  p->plain = !v->control.clean || !model_has(c->model, FEAT_VMCB_CLEAN);
  p->legal = !bad && !guest_pointers_bad(b, v);
}

static void go(struct play *p, unsigned budget)
{
  struct cpubed *b = p->b;
  struct cpu *c = b->cpu;
  uint64_t end = engine_instructions(&b->engine) + budget;
  b->engine.next_poll = 1ull << 62;
  for (unsigned waits = 0; engine_instructions(&b->engine) < end && waits < 8;) {
    uint64_t at = engine_instructions(&b->engine);
    b->engine.limit = at + p->slice < end ? at + p->slice : end;
    enum engine_stop why = engine_run(&b->engine);
    FUZZ_REQUIRE(engine_instructions(&b->engine) <= b->engine.limit, "%llu instructions",
                 (unsigned long long)engine_instructions(&b->engine));
    if (!p->inside && c->guest && p->slice == 1 && save_area(p) && !p->disturbed)
      FUZZ_REQUIRE(saved(p), "the host save area is not the host");
    p->inside |= c->guest;
    if (!c->guest && (c->run == RUN_HALTED || c->run == RUN_SHUTDOWN) && !interp_runnable(c))
      break;
    if (why != ENGINE_IDLE && engine_instructions(&b->engine) > at)
      continue;
    waits++;
    if (c->run == RUN_SHUTDOWN || c->run == RUN_WAIT_SIPI)
      break;
    lapic_lint(c, waits & 1, 1);
    lapic_lint(c, waits & 1, 0);
  }
}

static bool code_exists(uint64_t code)
{
  return code == VMEXIT_INVALID || code == VMEXIT_NPF || (code <= VMEXIT_TLBSYNC && svm_exit_name(code));
}

// Whether the host's own code and tables are as they were, so that what it does next is known.
static bool intact(const struct play *p)
{
  return !memcmp(p->host.code, p->b->ram.mem + VM_HOST, sizeof p->host.code) &&
         !memcmp(p->host.tables, p->b->ram.mem + VM_TABLES, sizeof p->host.tables);
}

static void check_round(struct play *p, uint64_t exits, uint64_t invalid, unsigned reasons)
{
  const struct cpu *c = p->b->cpu;
  const struct svm_counts *n = &c->svm->count;
  bool over = n->exits > exits && !c->guest, refused = n->exit[SLOT_INVALID] > invalid;
  uint64_t at = p->host.rax;
  bool reached = (at == VM_VMCB || at == VM_VMCB + 0x1000) && (p->host.hsave & ~0xfffull) < BED_RAM;
  bool fell = c->run == RUN_SHUTDOWN && !c->guest && n->exits == exits; // the host itself, before VMRUN
  if (p->log) {
    fflush(p->log);
    FUZZ_REQUIRE(p->reasons - reasons == n->exit[SLOT_INVALID] - invalid, "%u reasons for %llu refusals",
                 p->reasons - reasons, (unsigned long long)(n->exit[SLOT_INVALID] - invalid));
  }
  if (p->disturbed || p->meddled)
    return;
  if (reached && !fell && at == VM_VMCB + 0x1000 * p->vmcb && p->plain) {
    FUZZ_REQUIRE(!p->refused || refused, "%s lets it pass", p->refused);
    FUZZ_REQUIRE(!p->legal || !refused, "refused: %s", p->log ? p->last : "see the log");
  }
  if (p->refused && p->plain && refused && p->log && at == VM_VMCB + 0x1000 * p->vmcb)
    FUZZ_REQUIRE(!strcmp(p->last, p->refused), "%s, and the log says %s", p->refused, p->last);
  if (!over || !reached)
    return;
  uint64_t code = ((const struct vmcb *)(p->b->ram.mem + at))->control.exitcode;
  FUZZ_REQUIRE(code_exists(code), "EXITCODE %llx", (unsigned long long)code);
  FUZZ_REQUIRE((code == VMEXIT_INVALID) == refused, "EXITCODE %llx", (unsigned long long)code);
  const struct host *h = &p->host; // whose pointers may have gone bad in memory since it loaded them
  if (intact(p) && save_area(p) && (refused || saved(p)) &&
      !pointers_bad(p->b, h->cr0, h->cr3, h->cr4, h->efer)) {
    // The HLT may be one instruction too many.
    FUZZ_REQUIRE(c->run == RUN_HALTED || c->run == RUN_ON, "run %u after #VMEXIT %llx", c->run,
                 (unsigned long long)code);
    require_host(p);
  }
}

static bool play_round(struct play *p, struct fuzz_in *in)
{
  struct cpu *c = p->b->cpu;
  const struct svm_counts *n = &c->svm->count;
  start_round(p, in);
  uint64_t exits = n->exits, invalid = n->exit[SLOT_INVALID];
  unsigned reasons = p->reasons;
  unsigned meddle = (unsigned)fuzz_take(in, 1);
  if (meddle & 0x80) { // another processor, or a device, changes the save area while the guest runs
    go(p, 4 + (meddle & 15));
    if (c->guest) {
      vm_change(p->b, in, VM_HSAVE, 4);
      p->meddled = true; // the host may be anywhere, and run anything
    }
  }
  if (!(meddle & 0x80) || c->guest)
    go(p, BUDGET);
  check_round(p, exits, invalid, reasons);
  cpubed_check(p->b);
  return n->exits > exits && !c->guest && c->run == RUN_HALTED && !c->in_smm && !p->meddled && intact(p);
}

// ---- the other ways into a state ----

static void play_rsm(struct play *p, struct fuzz_in *in)
{
  static const uint32_t bases[] = {0x30000,    0x20000,    BED_RAM - 0x10000, BED_RAM - 0xff00,
                                   BED_DEVICE, 0xffff0000, 0x28000,           0x30080};
  // Doublewords of the save area that decide something. APM2 table 10-1
  static const uint16_t places[] = {0xfe10, 0xfe12, 0xfe14, 0xfe18, 0xfe22, 0xfe70, 0xfe78, 0xfe90, 0xfe92,
                                    0xfea0, 0xfec0, 0xfec8, 0xfec9, 0xfeca, 0xfed0, 0xfed8, 0xfee0, 0xfee8,
                                    0xfefc, 0xff00, 0xff20, 0xff28, 0xff30, 0xff38, 0xff40, 0xff48, 0xff50,
                                    0xff58, 0xff60, 0xff68, 0xff70, 0xff78, 0xffd8, 0xfff8};
  struct cpubed *b = p->b;
  struct cpu *c = b->cpu;
  unsigned how = (unsigned)fuzz_take(in, 1);
  vm_make_vmcb(b, in, 0);
  vm_change(b, in, VM_VMCB, 3);
  vm_make_nested(b, in, how >> 6, 4);
  c->smm_base = bases[how & 7];
  cpu_mode_update(c);
  smm_enter(c);
  uint64_t area = (uint64_t)c->smm_base + AREA;
  if (area + 0x200 <= BED_RAM) {
    if (how & 8) { // a guest was interrupted
      vm_put(b, area + 0xd8, 8, how & 16 ? 6 : 2);
      vm_put(b, area + 0xe0, 8, VM_VMCB);
    }
    for (unsigned k = (unsigned)fuzz_take(in, 1) & 7; k && in->left; k--) {
      uint64_t old, at = area + places[fuzz_take(in, 1) % (sizeof places / sizeof places[0])] - AREA;
      memcpy(&old, b->ram.mem + at, 8);
      vm_put(b, at, 8, vm_value(in, old));
    }
  }
  uint64_t handler = (uint64_t)c->smm_base + 0x8000;
  if (handler + 2 <= BED_RAM)
    vm_put(b, handler, 2, 0xaa0f); // RSM
  cpubed_run(b, AFTER, p->slice);
  cpubed_check(b);
}

static void play_skinit(struct play *p, struct fuzz_in *in)
{
  static const uint32_t blocks[] = {
      0,          0x10000,    0x20000,    0x30000,    BED_RAM, BED_DEVICE & 0xffff0000,
      0xfee00000, 0xfed40000, 0xffff0000, 0x7fff0000, 0xa0000, 0xc0000};
  struct cpubed *b = p->b;
  struct cpu *c = b->cpu;
  unsigned how = (unsigned)fuzz_take(in, 1);
  vm_make_host(b, how >> 6);
  uint64_t slb = how & 0x20 ? fuzz_take(in, 4) : blocks[(how & 15) % 12] | fuzz_take(in, 1);
  uint32_t header = (uint32_t)fuzz_take(in, 4);
  c->r[RAX] = slb;
  slb &= 0xffff0000;
  vm_poke(b, in, 7);
  if (slb < BED_RAM)
    vm_put(b, slb, 4, header);
  vm_put(b, VM_HOST, 3, 0xde010f);
  bool seen =
      slb < BED_RAM && (slb != 0x10000 || header % 0x10000 < 4); // the instruction did not change the header
  if (slb < BED_RAM)
    memcpy(&header, b->ram.mem + slb, 4);
  b->engine.next_poll = 1ull << 62;
  b->engine.limit = 1;
  engine_run(&b->engine);
  if (!(how & 0x20) && seen) {
    FUZZ_REQUIRE(c->ip == slb + (header & 0xffff), "ip %llx, header %x", (unsigned long long)c->ip, header);
    FUZZ_REQUIRE(c->r[RAX] == slb && c->r[RSP] == slb + 0x10000 && c->r[RDX] == c->model->signature,
                 "EAX %llx ESP %llx EDX %llx", (unsigned long long)c->r[RAX], (unsigned long long)c->r[RSP],
                 (unsigned long long)c->r[RDX]);
    FUZZ_REQUIRE(!c->gif && !c->efer && c->cr0 == (CR0_PE | CR0_ET) + (c->cr0 & (CR0_CD | CR0_NW)),
                 "GIF %u EFER %llx CR0 %llx", c->gif, (unsigned long long)c->efer,
                 (unsigned long long)c->cr0);
  }
  cpubed_run(b, AFTER, p->slice);
  cpubed_check(b);
}

static enum txn_resp special(void *arg, const struct txn *t, uint64_t *value)
{
  struct cpubed *b = arg;
  b->noise += t->addr ^ *value ^ t->size;
  return b->noise & 1 ? TXN_OK : TXN_ABORT;
}

// ---- both beds ----

static void begin(struct play *p, const struct model *model, struct fuzz_in *in)
{
  p->b = cpubed_new(model);
  p->b->bus.special = special;
  p->b->bus.special_arg = p->b;
  if (p->slice == 1)
    log_to(p);
  else
    cpubed_translate(p->b);
  cpubed_fill(p->b, in);
}

static void end(struct play *p)
{
  cpubed_free(p->b);
  if (p->log)
    fclose(p->log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
  static struct play both[2];
  struct fuzz_in in = {data, len};
  const struct model *model = cpubed_model((unsigned)fuzz_take(&in, 1));
  enum kind kind = fuzz_take(&in, 1) % KINDS;
  size_t n = (size_t)fuzz_take(&in, 1) * 2;
  struct fuzz_in rest = {in.at + (n < in.left ? n : in.left), in.left - (n < in.left ? n : in.left)};
  in.left -= rest.left;
  struct fuzz_in start = in;
  for (unsigned i = 0; i < 2; i++) {
    struct fuzz_in mine = rest, own = start;
    struct play *p = &both[i];
    *p = (struct play){.slice = i ? BUDGET : 1};
    begin(p, model, &mine);
    if (kind == KIND_RSM) {
      play_rsm(p, &own);
    } else if (kind == KIND_SKINIT) {
      play_skinit(p, &own);
    } else {
      enum vm_host mode = fuzz_take(&own, 1) % VM_HOSTS;
      if (mode == VM_LONG && !model_has(model, FEAT_LM))
        mode = VM_PAE;
      vm_make_vmcb(p->b, &own, 0);
      vm_make_vmcb(p->b, &own, 1);
      vm_make_nested(p->b, &own, mode, 6);
      vm_make_host(p->b, mode);
    }
    in = own;
  }
  bool on = kind < KIND_RSM;
  cpubed_same(both[1].b, both[0].b);
  for (unsigned r = 0; r < ROUNDS && on; r++) {
    struct fuzz_in mine[2] = {in, in};
    on = play_round(&both[0], &mine[0]);
    play_round(&both[1], &mine[1]);
    cpubed_same(both[1].b, both[0].b);
    in = mine[0];
  }
  end(&both[0]);
  end(&both[1]);
  return 0;
}

// Guests' code that leads to exits of many kinds, or to none.
static const char *const codes[] = {
    "\x90\x0f\xa2\xf4",                                                     // CPUID, HLT
    "\x0f\x01\xd9\xf4",                                                     // VMMCALL
    "\xe4\x60\xe6\x80\xed\x6c\xf3\x6e\xf4",                                 // ports
    "\x0f\x32\x0f\x30\x0f\x31\x0f\x33\xf4",                                 // RDMSR, WRMSR, RDTSC, RDPMC
    "\x0f\x20\xc0\x0f\x22\xc0\x0f\x20\xe0\x0f\x22\xe0\x0f\x22\xd8\x0f\x06", // CRs, CLTS
    "\x8b\x03\x89\x03\x01\x03\xf3\xa4\xf3\xab",                             // memory
    "\xcd\x80\xcc\xce\xf1\x0f\x0b\xcf", // INT n, INT3, INTO, INT1, UD2, IRET
    "\x0f\x01\xd8\x0f\x01\xda\x0f\x01\xdb\x0f\x01\xdc\x0f\x01\xdd\x0f\x01\xdf\x0f\x01\xde", // SVM
    "\x0f\x01\xf8\x0f\x01\x3b\x0f\x01\xc8\x0f\x01\xc9\xf3\x90\x0f\x08", // INVLPG, MONITOR, MWAIT, PAUSE
    "\xfb\xf4\xfa\x9c\x9d\xeb\xfe",                                     // STI, HLT, CLI, PUSHF, POPF
    "\x0f\x00\xd8\x0f\x00\xd0\x0f\x01\x13\x0f\x01\x1b\xea\x00\x00\x00\x00\xd0\x00", // LTR, LLDT, a task
    "\xeb\xfe",
};

size_t fuzz_seed(unsigned n, uint8_t *buf)
{
  enum { MODES = 10, CODES = sizeof codes / sizeof codes[0], PART = 80 };
  struct fuzz_out out = {buf, 0};
  uint64_t noise = n;
  unsigned code = n % CODES;
  if (n >= 4 * MODES * CODES)
    return 0;
  fuzz_put(&out, 1, n / 5); // model
  fuzz_put(&out, 1, n % 16 == 15 ? KIND_SKINIT : n % 16 == 14 ? KIND_RSM : KIND_VMRUN);
  fuzz_put(&out, 1, PART / 2);
  size_t from = out.len;
  fuzz_put(&out, 1, n / 3);          // host mode
  for (unsigned i = 0; i < 2; i++) { // VMCBs: half of them with nested paging
    fuzz_put(&out, 1, (n & 1 ? 0x20 : 0) | (fuzz_random(&noise) & 0xdf & (n & 2 ? 0xff : 0x1f)));
    fuzz_put(&out, 4, n);
  }
  fuzz_put(&out, 1, n % 7 ? 0 : 1); // changed nested entries
  while (out.len < from + PART)
    fuzz_put(&out, 1, n & 8 ? fuzz_random(&noise) : 0);
  out.len = from + PART;
  fuzz_put(&out, 1, n % MODES);                 // the guest: see cpubed_fill
  fuzz_put(&out, 1, n / MODES % 4 << 1);        // CPL
  fuzz_put(&out, 4, 0x00010200);                // flags
  fuzz_put(&out, 8, 0x200 | (uint64_t)n << 40); // control bits
  fuzz_put(&out, 8, n * 77);                    // noise
  fuzz_put(&out, 1, 0);
  for (unsigned k = 0; k < 2; k++) {
    const char *s = codes[(code + k * 5) % CODES];
    for (size_t i = 0, l = code == 10 && !k ? 19 : strlen(s); i < l; i++)
      fuzz_put(&out, 1, (uint8_t)s[i]);
  }
  return out.len;
}
