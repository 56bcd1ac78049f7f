// IN, OUT, INS and OUTS. APM1 3.8, APM2 12.2.4 (permissions).
//
// A device must see each access once: whatever can fault (permission, the destination's page) is checked
// before the port is touched. String forms write their registers back after each iteration.
#include "cpu/insn/portio.h"

#include "cpu/event.h"
#include "cpu/mem.h"
#include "cpu/seg.h"
#include "cpu/smm.h"
#include "cpu/svm/intercept.h"

// Iterations of a string instruction before the engine gets to look at interrupts and time.
#define RUN_MAX 4096

static bool port_check(struct cpu *c, uint16_t port, unsigned size)
{
  bool ok = true;
  if ((c->cr0 & CR0_PE) && (cpu_v86(c) || c->cpl > cpu_iopl(c)) && !task_io_allowed(c, port, size, &ok))
    return false;
  return ok || raise_gp(c, 0);
}

static void port_access(struct cpu *c, const struct op *op, uint16_t port, unsigned size, enum txn_kind kind,
                        bool string, uint64_t *v)
{
  bool smi = c->pending & PEND_SMI;
  struct txn t = {.addr = port,
                  .size = size,
                  .requester = TXN_FROM_CPU + c->index,
                  .kind = kind,
                  .space = TXN_IO,
                  .node = c->node};
  debug_check_io(c, port, size);
  bus_access(c->bus, &t, v);
  if (unlikely((c->pending & PEND_SMI) && !smi))
    smi_on_io(c, svm_io_info(c, op, port, size, kind == TXN_READ, string), c->r[RCX], c->r[RSI], c->r[RDI]);
}

static uint16_t port_of(const struct cpu *c, const struct op *op)
{
  return op->reg == RDX * 8 ? (uint16_t)c->r[RDX] : (uint8_t)op->imm;
}

bool x_in(struct cpu *c, const struct op *op)
{
  uint16_t port = port_of(c, op);
  uint64_t v = 0;
  if (!port_check(c, port, 1u << op->osz))
    return false;
  if (unlikely(c->guest) && !svm_io(c, op, port, 1u << op->osz, true, false))
    return false;
  port_access(c, op, port, 1u << op->osz, TXN_READ, false, &v);
  reg_set(c, RAX * 8, op->osz, v);
  return true;
}

bool x_out(struct cpu *c, const struct op *op)
{
  uint16_t port = port_of(c, op);
  uint64_t v = reg_get(c, RAX * 8, op->osz);
  if (!port_check(c, port, 1u << op->osz))
    return false;
  if (unlikely(c->guest) && !svm_io(c, op, port, 1u << op->osz, false, false))
    return false;
  port_access(c, op, port, 1u << op->osz, TXN_WRITE, false, &v);
  return true;
}

// ---- strings ----

static void advance(struct cpu *c, const struct op *op, unsigned reg)
{
  uint64_t step = 1u << op->osz;
  reg_set(c, reg * 8, op->asz, c->r[reg] + (c->sysflags & FL_DF ? -step : step));
}

static bool ins_one(struct cpu *c, const struct op *op, uint16_t port)
{
  unsigned size = 1u << op->osz;
  uint64_t v = 0, la = seg_linear(c, SEG_ES, reg_get(c, RDI * 8, op->asz), size, ACC_WRITE);
  if (c->faulted)
    return false;
  if (!tlb_hit(tlb_slot(c, la)->wtag, la, size) && !mem_probe_write(c, op, la, size))
    return false;
  port_access(c, op, port, size, TXN_READ, true, &v);
  return op_store(c, op, la, size, v);
}

static bool outs_one(struct cpu *c, const struct op *op, uint16_t port)
{
  unsigned size = 1u << op->osz;
  uint64_t v, la = seg_linear(c, op->seg, reg_get(c, RSI * 8, op->asz), size, ACC_READ);
  if (c->faulted || !op_load(c, op, la, size, &v))
    return false;
  port_access(c, op, port, size, TXN_WRITE, true, &v);
  return true;
}

static bool port_string(struct cpu *c, const struct op *op, unsigned reg,
                        bool (*one)(struct cpu *, const struct op *, uint16_t))
{
  uint16_t port = c->r[RDX];
  bool rep = op->flags & (OPF_REP | OPF_REPNE);
  uint64_t count = rep ? reg_get(c, RCX * 8, op->asz) : 1;
  if (!count)
    return true;
  if (!port_check(c, port, 1u << op->osz))
    return false;
  if (unlikely(c->guest) && !svm_io(c, op, port, 1u << op->osz, one == ins_one, true))
    return false;
  for (unsigned n = 0; n < RUN_MAX; n++) {
    if (!one(c, op, port))
      return false;
    advance(c, op, reg);
    if (!rep)
      return true;
    reg_set(c, RCX * 8, op->asz, --count);
    if (!count)
      return true;
    if (c->kicked || c->db_bits || (c->mode & MODE_STEP))
      break;
  }
  c->next_ip = c->ip; // goes on after the engine has looked around
  return true;
}

bool x_ins(struct cpu *c, const struct op *op)
{
  return port_string(c, op, RDI, ins_one);
}

bool x_outs(struct cpu *c, const struct op *op)
{
  return port_string(c, op, RSI, outs_one);
}
