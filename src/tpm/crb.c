// The TPM's command-response buffer; see crb.h. Names are those of the profile's tables 33 to 46.
#include "tpm/crb.h"

#include <string.h>

#include "tpm/bytes.h"
#include "tpm/tis.h"

enum {
  LOC_STATE = 0x00,
  LOC_CTRL = 0x08,
  LOC_STS = 0x0c,
  INTF_ID = 0x30,
  INTF_ID_HIGH = 0x34,
  CTRL_REQ = 0x40,
  CTRL_STS = 0x44,
  CTRL_CANCEL = 0x48,
  CTRL_START = 0x4c,
  CMD_SIZE = 0x58,
  CMD_LADDR = 0x5c,
  CMD_HADDR = 0x60,
  RSP_SIZE = 0x64,
  RSP_LADDR = 0x68,
  RSP_HADDR = 0x6c,
  DATA_BUFFER = 0x80,
};

enum {
  STATE_ESTABLISHED = 1u << 0,
  STATE_ASSIGNED = 1u << 1,
  STATE_VALID = 1u << 7,

  CTRL_REQUEST = 1u << 0,
  CTRL_RELINQUISH = 1u << 1,
  CTRL_SEIZE = 1u << 2,
  CTRL_RESET_ESTABLISHED = 1u << 3,

  STS_GRANTED = 1u << 0,
  STS_SEIZED = 1u << 1,

  REQ_READY = 1u << 0,
  REQ_IDLE = 1u << 1,
};

#define COMMAND_NS    100000u // from CTRL_START to the answer
#define RC_CANCELED   0x909u
#define RC_SIZE_ERROR 0x142u

static void answer_code(struct crb *c, uint32_t code)
{
  const uint8_t resp[TPM_HEADER] = {0x80,
                                    0x01,
                                    0,
                                    0,
                                    0,
                                    TPM_HEADER,
                                    (uint8_t)(code >> 24),
                                    (uint8_t)(code >> 16),
                                    (uint8_t)(code >> 8),
                                    (uint8_t)code};
  memcpy(c->buffer, resp, sizeof resp);
  c->running = false;
}

static void execute(void *arg)
{
  struct crb *c = arg;
  uint8_t resp[TPM_BUFFER];
  uint32_t n = tpm_get32(c->buffer + 2);
  if (n < TPM_HEADER || n > CRB_BUFFER) {
    answer_code(c, RC_SIZE_ERROR);
    return;
  }
  size_t got = tpm_command(c->backend, c->active < TPM_LOCALITIES ? c->active : 0, c->buffer, n, resp);
  memcpy(c->buffer, resp, got < CRB_BUFFER ? got : CRB_BUFFER);
  c->running = false;
}

static void drop_command(struct crb *c)
{
  timer_cancel(&c->done);
  c->running = false;
  c->idle = true;
}

static void leave(struct crb *c)
{
  drop_command(c);
  c->active = CRB_NOBODY;
}

static void loc_ctrl(struct crb *c, unsigned l, uint32_t v)
{
  if ((v & CTRL_RELINQUISH) && c->active == l)
    leave(c);
  if ((v & CTRL_SEIZE) && (c->active == CRB_NOBODY || c->active < l)) {
    if (c->active != CRB_NOBODY)
      c->seized[c->active] = true;
    leave(c);
    c->active = (uint8_t)l;
    c->seized[l] = false;
  }
  if ((v & CTRL_REQUEST) && c->active == CRB_NOBODY) {
    c->active = (uint8_t)l;
    c->seized[l] = false;
  }
  if ((v & CTRL_RESET_ESTABLISHED) && c->active == l && l >= 3)
    c->backend->ops->reset_established(c->backend->self, l);
}

static uint32_t reg_read(struct crb *c, unsigned l, unsigned reg)
{
  enum {
    CRB_INTERFACE = 1,
    VERSION_1 = 1u << 4,
    CAP_LOCALITY = 1u << 8,
    CAP_IDLE_BYPASS = 1u << 9, // a write to the buffer leaves Idle, without CTRL_REQ; firmware relies on it
    CAP_CRB = 1u << 14,
    SELECTED_CRB = 1u << 17,
    LOCKED = 1u << 19,
    REVISION = 1u << 24
  };
  switch (reg) {
  case LOC_STATE: // established is active low, as in TIS
    return STATE_VALID | (c->backend->ops->established(c->backend->self) ? 0 : STATE_ESTABLISHED) |
           (c->active < TPM_LOCALITIES ? STATE_ASSIGNED | (uint32_t)c->active << 2 : 0);
  case LOC_STS:
    return (c->active == l ? STS_GRANTED : 0) | (c->seized[l] ? STS_SEIZED : 0);
  case INTF_ID:
    return CRB_INTERFACE | VERSION_1 | CAP_LOCALITY | CAP_IDLE_BYPASS | CAP_CRB | SELECTED_CRB | LOCKED |
           REVISION;
  case INTF_ID_HIGH:
    return c->did_vid;
  case CTRL_STS:
    return (c->error ? 1 : 0) | (c->idle ? 2 : 0);
  case CTRL_START:
    return c->running;
  case CMD_SIZE:
  case RSP_SIZE:
    return CRB_BUFFER;
  case CMD_LADDR:
  case RSP_LADDR:
    return (uint32_t)(TPM_BASE + ((uint64_t)l << 12) + DATA_BUFFER);
  default: // CTRL_REQ and CTRL_CANCEL are done at once
    return 0;
  }
}

static void reg_write(struct crb *c, unsigned l, unsigned reg, uint32_t v)
{
  if (reg == LOC_CTRL) {
    loc_ctrl(c, l, v);
    return;
  }
  if (c->active != l || c->hashing)
    return;
  switch (reg) {
  case CTRL_REQ:
    if (c->running)
      break;
    if (v & REQ_READY)
      c->idle = false;
    else if (v & REQ_IDLE)
      c->idle = true;
    break;
  case CTRL_START:
    if ((v & 1) && !c->idle && !c->running) {
      c->running = true;
      timer_set(&c->done, clock_now(c->done.clock) + COMMAND_NS);
    }
    break;
  case CTRL_CANCEL:
    if ((v & 1) && c->running) {
      timer_cancel(&c->done);
      answer_code(c, RC_CANCELED);
    }
    break;
  default:
    break;
  }
}

static uint64_t read(void *dev, uint64_t off, unsigned size, const struct txn *txn)
{
  struct crb *c = dev;
  unsigned l = (unsigned)(off >> 12), reg = off & 0xfff;
  uint64_t v = 0;
  for (unsigned i = 0; i < size; i++) {
    unsigned at = (reg + i) & 0xfff;
    uint8_t b = 0xff;
    if (at < DATA_BUFFER)
      b = (uint8_t)(reg_read(c, l, at & ~3u) >> 8 * (at & 3));
    else if (c->active == l && !c->running)
      b = c->buffer[at - DATA_BUFFER];
    v |= (uint64_t)b << 8 * i;
  }
  return v;
}

static void write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *txn)
{
  struct crb *c = dev;
  unsigned l = (unsigned)(off >> 12), reg = off & 0xfff;
  for (unsigned i = 0; i < size;) {
    unsigned at = (reg + i) & 0xfff, shift = at & 3, n = 4 - shift < size - i ? 4 - shift : size - i;
    uint32_t v = (uint32_t)(value >> 8 * i), mask = n == 4 ? UINT32_MAX : (1u << 8 * n) - 1;
    if (at < DATA_BUFFER) {
      reg_write(c, l, at & ~3u, (v & mask) << 8 * shift);
    } else if (c->active == l && !c->running && !c->hashing) {
      c->idle = false;
      for (unsigned k = 0; k < n; k++)
        c->buffer[at - DATA_BUFFER + k] = (uint8_t)(v >> 8 * k);
    }
    i += n;
  }
}

enum txn_resp crb_special(struct crb *c, uint64_t cycle, unsigned size, uint64_t value)
{
  if (cycle == CYCLE_HASH_START) {
    if (c->active != CRB_NOBODY && c->active != 4)
      c->seized[c->active] = true;
    leave(c);
    c->active = 4;
  }
  if (!tpm_hash_cycle(c->backend, &c->hashing, cycle, size, value))
    return TXN_ABORT;
  if (cycle == CYCLE_HASH_END && c->active == 4)
    leave(c);
  return TXN_OK;
}

void crb_init(struct crb *c, struct bus *bus, struct clock *clock, const struct tpm_backend *b,
              uint32_t did_vid)
{
  static const struct bus_ops ops = {.read = read, .write = write, .min_size = 1, .max_size = 8};
  *c = (struct crb){.bus = bus, .backend = b, .did_vid = did_vid, .active = CRB_NOBODY, .idle = true};
  timer_init(&c->done, clock, execute, c);
  bus_map_io(bus, &c->region, "tpm-crb", TPM_BASE, (uint64_t)(TPM_LOCALITIES - 1) << 12, &ops, c);
}

void crb_reset(struct crb *c)
{
  leave(c);
  memset(c->seized, 0, sizeof c->seized);
  memset(c->buffer, 0, sizeof c->buffer);
  c->error = c->hashing = false;
}

void crb_free(struct crb *c)
{
  timer_cancel(&c->done);
  bus_unmap(c->bus, &c->region);
}
