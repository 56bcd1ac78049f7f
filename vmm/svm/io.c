// Ports: which device has them, and the string forms. APM2 15.10.2.
#include "svm/exit.h"

#include "svm/mmio.h"
#include "svm/vcpu.h"
#include "svm/walk.h"

enum { TYPE_IN = 1, STR = 4, REP = 8 };

struct range {
  uint16_t first, last;
  uint8_t (*read)(struct guest *g, uint16_t port);
  void (*write)(struct guest *g, uint16_t port, uint8_t value);
};

static const struct range bytes[] = {
    {0x20, 0x21, vpic_read, vpic_write},     {0xa0, 0xa1, vpic_read, vpic_write},
    {0x4d0, 0x4d1, vpic_read, vpic_write},   {0x40, 0x43, vpit_read, vpit_write},
    {0x61, 0x61, vpit_read, vpit_write},     {0x70, 0x71, vrtc_read, vrtc_write},
    {0x3f8, 0x3ff, vuart_read, vuart_write},
};

static const struct range *find(uint16_t port)
{
  for (unsigned i = 0; i < COUNT(bytes); i++)
    if (port >= bytes[i].first && port <= bytes[i].last)
      return &bytes[i];
  return NULL;
}

static uint32_t in(struct vcpu *v, uint16_t port, unsigned size)
{
  struct guest *g = v->guest;
  uint32_t value = UINT32_MAX;
  const struct range *r = find(port);
  if (r) {
    for (unsigned i = size; i--;) {
      r = find((uint16_t)(port + i));
      value = value << 8 | (r ? r->read(g, (uint16_t)(port + i)) : 0xff);
    }
    return value;
  }
  if (port >= PM1A_EVT && port + size <= PM1A_EVT + 12u)
    return vpm_read(v, port, size);
  if (vpci_read(g, port, size, &value) || assign_in(g, port, size, &value))
    return value;
  return UINT32_MAX;
}

static void out(struct vcpu *v, uint16_t port, unsigned size, uint32_t value)
{
  struct guest *g = v->guest;
  if (find(port)) {
    for (unsigned i = 0; i < size; i++, value >>= 8) {
      const struct range *r = find((uint16_t)(port + i));
      if (r)
        r->write(g, (uint16_t)(port + i), (uint8_t)value);
    }
    return;
  }
  if (port >= PM1A_EVT && port + size <= PM1A_EVT + 12u) {
    vpm_write(v, port, size, value);
    return;
  }
  if ((port == RESET_CF9 && value & 4) || (port == 0x64 && (uint8_t)value == 0xfe) ||
      (port == 0x92 && value & 1)) {
    guest_reset(g);
    return;
  }
  if (!vpci_write(g, port, size, value))
    assign_out(g, port, size, value);
}

static uint64_t mask(unsigned size)
{
  return size == 8 ? UINT64_MAX : (1ull << 8 * size) - 1;
}

// INS and OUTS, up to a page's worth of rounds an exit.
static void string(struct vcpu *v, uint64_t info, uint16_t port, unsigned size)
{
  struct insn i;
  struct vmcb_save *s = &v->vmcb->save;
  bool is_in = info & TYPE_IN;
  uint8_t code[15];
  unsigned n = walk_fetch(v, code), seg = is_in ? (unsigned)SEG_ES : SEG_DS;
  for (unsigned k = 0; k < n && !(code[k] >= 0x6c && code[k] <= 0x6f); k++) {
    static const uint8_t prefix[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    for (unsigned p = 0; p < sizeof prefix && !is_in; p++)
      if (code[k] == prefix[p])
        seg = p;
  }
  unsigned width = info >> 9 & 1 ? 8 : info >> 8 & 1 ? 4 : 2;
  uint64_t limit = mask(width), step = s->rflags & 1 << 10 ? -(uint64_t)size : size, fault;
  uint64_t *index = &v->reg[is_in ? RDI : RSI];
  uint32_t error, user = s->cpl == 3 ? PF_U : 0;
  i = (struct insn){
      .base = (int8_t)(is_in ? RDI : RSI), .index = -1, .seg = (uint8_t)seg, .address_size = (uint8_t)width};
  for (unsigned round = 0; round < 1024 && (!(info & REP) || v->reg[RCX] & limit); round++) {
    uint32_t value = 0;
    uint64_t at = vcpu_operand(v, &i);
    if (is_in) {
      struct walk w; // the page must be there before the device is read
      if (!walk(v, at, user | PF_W, &w)) {
        vcpu_page_fault(v, at, w.error);
        return;
      }
      value = in(v, port, size);
    }
    if (!walk_copy(v, at, &value, size, user | (is_in ? PF_W : 0), &fault, &error)) {
      if (error == UINT32_MAX)
        guest_stop(v, "a string of port %x at %lx is not in memory", port, at);
      else
        vcpu_page_fault(v, fault, error);
      return;
    }
    if (!is_in)
      out(v, port, size, value);
    *index = (*index & ~limit) | ((*index + step) & limit);
    if (!(info & REP))
      break;
    v->reg[RCX] = (v->reg[RCX] & ~limit) | ((v->reg[RCX] - 1) & limit);
  }
  if (!(info & REP) || !(v->reg[RCX] & limit)) {
    vcpu_finish(v, v->vmcb->control.exitinfo2);
  }
}

void exit_io(struct vcpu *v)
{
  const struct vmcb_control *c = &v->vmcb->control;
  uint64_t info = c->exitinfo1;
  uint16_t port = (uint16_t)(info >> 16);
  unsigned size = info >> 4 & 7;
  if (info & STR) {
    string(v, info, port, size);
    return;
  }
  if (info & TYPE_IN) {
    uint32_t value = in(v, port, size);
    if (size == 4)
      v->reg[RAX] = value;
    else
      v->reg[RAX] = (v->reg[RAX] & ~mask(size)) | (value & mask(size));
  } else {
    out(v, port, size, (uint32_t)(v->reg[RAX] & mask(size)));
  }
  vcpu_finish(v, c->exitinfo2);
}
