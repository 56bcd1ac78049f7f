// SKINIT; see skinit.h. The steps and their order are those of APM2 15.27.3 to 15.27.5; APM3, SKINIT.
//
// The processor reaches the northbridges and the TPM by special cycles on the bus only (bus.h). The header's
// values come from memory that nobody has checked: entry and length are 16 bits each and are taken as they
// are.
#include "cpu/svm/skinit.h"

#include "cpu/cpu.h"
#include "cpu/mem.h"
#include "cpu/model.h"
#include "cpu/msr.h"
#include "cpu/seg.h"
#include "cpu/smm.h"

#define SLB_SIZE UINT64_C(0x10000)

static enum txn_resp cycle(struct cpu *c, uint64_t addr, unsigned size, uint64_t value)
{
  struct txn t = {.addr = addr,
                  .size = size,
                  .requester = TXN_FROM_CPU + c->index,
                  .kind = TXN_WRITE,
                  .space = TXN_SPECIAL,
                  .node = c->node};
  return bus_access(c->bus, &t, &value);
}

static void harden(struct cpu *c)
{
  c->vm_cr |= VM_CR_DPD | VM_CR_R_INIT | VM_CR_DIS_A20M;
  c->gif = false;
  cpu_a20_update(c);
}

void skinit_startup(struct cpu *c)
{
  if (!c->launched)
    return;
  c->launched = false;
  harden(c);
  log_line(c->log, LOG_SKINIT, "skinit cpu%u: started by SIPI %02x with GIF 0\n", c->index, c->sipi_vector);
}

// The manual asks software to have them all in INIT. One that is not goes on as it was, outside of the
// launch.
static void mark_others(struct cpu *c)
{
  for (unsigned i = 0; i < c->cpus; i++) {
    struct cpu *o = c->all[i];
    if (!o || o == c)
      continue;
    o->launched = o->run == RUN_WAIT_SIPI || ((o->pending & PEND_INIT) && o->gif);
    if (!o->launched)
      log_line(c->log, LOG_SKINIT,
               "skinit cpu%u: not in INIT: it runs on, outside of the launch (APM2 15.27.8)\n", o->index);
  }
}

// INIT, but into flat 32-bit protected mode without paging. DS, ES, FS and GS keep what INIT gives: 16-bit
// segments.
static void reset(struct cpu *c, uint32_t slb)
{
  uint32_t held = c->pending;
  const struct op *at = c->at; // INIT comes between instructions, this in the middle of one
  cpu_init(c);
  c->pending = held;
  c->at = at;
  c->run = RUN_ON;
  c->cr0 |= CR0_PE;
  c->seg[SEG_CS] = (struct seg){.limit = 0xffffffff,
                                .sel = 0x08,
                                .attr = SEGA_P | SEGA_S | SEGA_DB | SEGA_G | TYPE_CODE | TYPE_R | TYPE_A};
  c->seg[SEG_SS] = (struct seg){
      .limit = 0xffffffff, .sel = 0x10, .attr = SEGA_P | SEGA_S | SEGA_DB | SEGA_G | TYPE_W | TYPE_A};
  c->r[RAX] = slb;
  c->r[RDX] = c->model->signature;
  c->r[RSP] = (uint32_t)(slb + SLB_SIZE);
  harden(c);
  cpu_changed(c);
}

// The TPM's answers do not matter to the processor; what nobody hears is lost.
static void measure(struct cpu *c, uint32_t slb, unsigned length)
{
  if (cycle(c, CYCLE_HASH_START, 1, 0) != TXN_OK)
    log_line(c->log, LOG_SKINIT, "skinit cpu%u: no TPM answers: the block is not measured\n", c->index);
  for (unsigned done = 0; done < length;) {
    unsigned n = length - done < 4 ? 1 : 4;
    cycle(c, CYCLE_HASH_DATA, n, phys_read(c, slb + done, n));
    done += n;
  }
  cycle(c, CYCLE_HASH_END, 1, 0);
}

void skinit_execute(struct cpu *c)
{
  uint32_t slb = (uint32_t)c->r[RAX] & 0xffff0000;
  log_line(c->log, LOG_SKINIT, "skinit cpu%u: EAX %08x, secure loader block %08x to %08llx\n", c->index,
           (uint32_t)c->r[RAX], slb, (unsigned long long)(slb + SLB_SIZE - 1));
  if (!c->bsp)
    log_line(c->log, LOG_SKINIT, "skinit cpu%u: not the boot processor (APM2 15.27.8)\n", c->index);
  mark_others(c);
  reset(c, slb);
  cycle(c, CYCLE_SL_DEV, 4, slb);
  uint32_t header = (uint32_t)phys_read(c, slb, 4);
  unsigned entry = header & 0xffff, length = header >> 16;
  log_line(c->log, LOG_SKINIT, "skinit cpu%u: devices are shut out; entry %04x, length %04x%s%s\n", c->index,
           entry, length, length < 4 ? ": the header is not measured" : "",
           entry >= length ? ": the entry is outside of what is measured" : "");
  measure(c, slb, length);
  c->next_ip = slb + entry;
  log_line(c->log, LOG_SKINIT, "skinit cpu%u: GIF 0, ESP %08x, jump to %08x\n", c->index, (uint32_t)c->r[RSP],
           (uint32_t)c->next_ip);
}
