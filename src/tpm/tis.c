// The TPM's FIFO interface; see tis.h. Registers and bits have the names of the TIS specification,
// section 11.
#include "tpm/tis.h"

#include <string.h>

enum {
  ACCESS = 0x00,
  INT_ENABLE = 0x08,
  INT_VECTOR = 0x0c,
  INT_STATUS = 0x10,
  INTF_CAPABILITY = 0x14,
  STS = 0x18,
  DATA_FIFO = 0x24,
  INTERFACE_ID = 0x30,
  XDATA_FIFO = 0x80,
  XDATA_FIFO_END = 0xc0,
  DID_VID = 0xf00,
  RID = 0xf04,
};

enum {
  ACCESS_VALID = 1u << 7,
  ACCESS_ACTIVE = 1u << 5,
  ACCESS_SEIZED = 1u << 4,
  ACCESS_SEIZE = 1u << 3,
  ACCESS_PENDING = 1u << 2,
  ACCESS_REQUEST = 1u << 1,
  ACCESS_NOT_ESTABLISHED = 1u << 0,

  STS_VALID = 1u << 7,
  STS_READY = 1u << 6,
  STS_GO = 1u << 5,
  STS_DATA = 1u << 4,
  STS_EXPECT = 1u << 3,
  STS_SELF_TEST = 1u << 2,
  STS_RETRY = 1u << 1,
  STS_CANCEL = 1u << 24,
  STS_RESET_ESTABLISHED = 1u << 25,
  STS_FAMILY_2_0 = 1u << 26,

  INT_DATA = 1u << 0,
  INT_VALID = 1u << 1,
  INT_LOCALITY = 1u << 2,
  INT_READY = 1u << 7,
  INT_ALL = INT_DATA | INT_VALID | INT_LOCALITY | INT_READY,
  INT_POLARITY = 3u << 3,
};
#define INT_GLOBAL (1u << 31)

enum { BURST = 64 };
#define COMMAND_NS 100000u // from tpmGo to the answer

static struct tis_locality *current(struct tis *t)
{
  return t->active < TPM_LOCALITIES ? &t->loc[t->active] : NULL;
}

// ---- interrupts ----

static void update_line(struct tis *t)
{
  for (unsigned l = 0; l < TPM_LOCALITIES; l++) {
    const struct tis_locality *x = &t->loc[l];
    if (x->int_vector < TIS_LINES && x->int_vector)
      irq_set(&t->line[x->int_vector],
              (x->int_enable & INT_GLOBAL) && (x->int_status & x->int_enable & INT_ALL));
  }
}

static void interrupt(struct tis *t, uint32_t what)
{
  struct tis_locality *x = current(t);
  if (!x || !(x->int_enable & INT_GLOBAL) || !(x->int_enable & what))
    return;
  x->int_status |= what & x->int_enable;
  update_line(t);
}

// ---- localities ----

static void drop_command(struct tis *t)
{
  timer_cancel(&t->done);
  t->state = TIS_IDLE;
  t->fill = t->next = 0;
}

static void activate(struct tis *t, unsigned l)
{
  t->active = (uint8_t)l;
  t->loc[l].request = false;
}

static void relinquish(struct tis *t, unsigned l)
{
  t->loc[l].request = false;
  if (t->active != l)
    return;
  drop_command(t);
  t->active = TIS_NOBODY;
  for (unsigned i = TPM_LOCALITIES; i-- > 0;) {
    if (t->loc[i].request) {
      activate(t, i);
      interrupt(t, INT_LOCALITY);
      return;
    }
  }
}

static void seize(struct tis *t, unsigned l)
{
  if (t->active != TIS_NOBODY) {
    if (t->active >= l)
      return;
    t->loc[t->active].seized = true;
    drop_command(t);
  }
  activate(t, l);
}

static void access_write(struct tis *t, unsigned l, uint8_t v)
{
  if (v & ACCESS_ACTIVE)
    relinquish(t, l);
  if (v & ACCESS_SEIZED)
    t->loc[l].seized = false;
  if (v & ACCESS_SEIZE)
    seize(t, l);
  if (v & ACCESS_REQUEST) {
    if (t->active == TIS_NOBODY)
      activate(t, l);
    else if (t->active != l)
      t->loc[l].request = true;
  }
}

static uint8_t access_read(struct tis *t, unsigned l)
{
  uint8_t v = ACCESS_VALID;
  for (unsigned i = 0; i < TPM_LOCALITIES; i++)
    v |= i != l && t->loc[i].request ? ACCESS_PENDING : 0;
  return (uint8_t)(v | (t->active == l ? ACCESS_ACTIVE : 0) | (t->loc[l].seized ? ACCESS_SEIZED : 0) |
                   (t->loc[l].request ? ACCESS_REQUEST : 0) |
                   (t->backend->ops->established(t->backend->self) ? 0 : ACCESS_NOT_ESTABLISHED));
}

// ---- commands ----

// The length that a command says it has, once its header is there.
static uint32_t declared(const struct tis *t)
{
  const uint8_t *p = t->buffer + 2;
  if (t->fill < TPM_HEADER)
    return TPM_HEADER;
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool expects(const struct tis *t)
{
  return (t->state == TIS_RECEPTION || t->state == TIS_READY) && t->fill < declared(t) &&
         t->fill < TPM_BUFFER;
}

static void execute(void *arg)
{
  struct tis *t = arg;
  uint8_t resp[TPM_BUFFER];
  t->fill =
      (uint32_t)tpm_command(t->backend, t->active < TPM_LOCALITIES ? t->active : 0, t->buffer, t->fill, resp);
  memcpy(t->buffer, resp, t->fill);
  t->next = 0;
  t->state = TIS_COMPLETION;
  interrupt(t, INT_DATA | INT_VALID);
}

static void command_ready(struct tis *t)
{
  bool aborted = t->state == TIS_EXECUTION;
  drop_command(t);
  if (aborted) // to Idle: software asks once more
    return;
  t->state = TIS_READY; // from Completion too, without a stop in Idle: firmware waits for it
  interrupt(t, INT_READY);
}

static void sts_write(struct tis *t, unsigned l, uint32_t v)
{
  if (t->active != l || t->hashing)
    return;
  if (t->backend->version == TPM_2_0) {
    if ((v & STS_CANCEL) && t->state == TIS_EXECUTION) // it is over at once
      drop_command(t);
    if ((v & STS_RESET_ESTABLISHED) && l >= 3)
      t->backend->ops->reset_established(t->backend->self, l);
  }
  if (v & STS_READY) {
    command_ready(t);
  } else if ((v & STS_GO) && t->state == TIS_RECEPTION && !expects(t)) {
    t->state = TIS_EXECUTION;
    timer_set(&t->done, clock_now(t->done.clock) + COMMAND_NS);
  } else if ((v & STS_RETRY) && t->state == TIS_COMPLETION) {
    t->next = 0;
  }
}

static uint32_t sts_read(struct tis *t, unsigned l)
{
  uint32_t v = t->backend->version == TPM_2_0 ? STS_FAMILY_2_0 : 0, burst = BURST;
  if (t->active != l)
    return UINT32_MAX;
  v |= STS_VALID | STS_SELF_TEST;
  switch (t->state) {
  case TIS_READY:
    v |= STS_READY;
    break;
  case TIS_RECEPTION:
    v |= expects(t) ? STS_EXPECT : 0;
    break;
  case TIS_COMPLETION:
    v |= t->next < t->fill ? STS_DATA : 0;
    if (t->next < t->fill && t->fill - t->next < burst)
      burst = t->fill - t->next;
    break;
  default:
    burst = 0;
  }
  return v | burst << 8;
}

static void fifo_write(struct tis *t, unsigned l, uint8_t v)
{
  if (t->active != l || t->hashing || !expects(t))
    return;
  t->state = TIS_RECEPTION;
  t->buffer[t->fill++] = v;
  if (!expects(t))
    interrupt(t, INT_VALID);
}

static uint8_t fifo_read(struct tis *t, unsigned l)
{
  if (t->active != l || t->state != TIS_COMPLETION || t->next >= t->fill)
    return 0xff;
  return t->buffer[t->next++];
}

// ---- registers ----

static bool is_fifo(unsigned reg)
{
  return (reg >= DATA_FIFO && reg < DATA_FIFO + 4) || (reg >= XDATA_FIFO && reg < XDATA_FIFO_END);
}

static uint32_t capability(const struct tis *t)
{
  enum { LEVEL_HIGH = 1u << 3, LEGACY = 0, TIS_1_3 = 2u << 28, PTP = 3u << 28, SIZE_64 = 3u << 9 };
  return INT_ALL | LEVEL_HIGH | (t->backend->version == TPM_2_0 ? PTP | SIZE_64 : TIS_1_3);
}

static uint32_t interface_id(const struct tis *t)
{
  enum { FIFO = 0, CAP_FIFO = 1u << 13, CAP_LOCALITY = 1u << 8, TIS_1_3 = 0xf };
  return t->backend->version == TPM_2_0 ? FIFO | CAP_LOCALITY | CAP_FIFO : UINT32_MAX;
}

static uint32_t reg_read(struct tis *t, unsigned l, unsigned reg)
{
  const struct tis_locality *x = &t->loc[l];
  switch (reg) {
  case ACCESS:
    return access_read(t, l);
  case INT_ENABLE:
    return x->int_enable;
  case INT_VECTOR:
    return x->int_vector;
  case INT_STATUS:
    return x->int_status;
  case INTF_CAPABILITY:
    return capability(t);
  case STS:
    return sts_read(t, l);
  case INTERFACE_ID:
    return interface_id(t);
  case DID_VID:
    return t->did_vid;
  case RID:
    return 1;
  default:
    return UINT32_MAX;
  }
}

static uint64_t read(void *dev, uint64_t off, unsigned size, const struct txn *txn)
{
  struct tis *t = dev;
  unsigned l = (unsigned)(off >> 12), reg = off & 0xfff;
  uint64_t v = 0;
  for (unsigned i = 0; i < size; i++) {
    unsigned at = (reg + i) & 0xfff;
    uint8_t b = is_fifo(at) ? fifo_read(t, l) : (uint8_t)(reg_read(t, l, at & ~3u) >> 8 * (at & 3));
    v |= (uint64_t)b << 8 * i;
  }
  return v;
}

// The bytes of a register that a write does not reach keep their value (INT_ENABLE), or do nothing.
static void reg_write(struct tis *t, unsigned l, unsigned reg, uint32_t v, uint32_t mask)
{
  struct tis_locality *x = &t->loc[l];
  switch (reg) {
  case ACCESS:
    access_write(t, l, (uint8_t)(v & mask));
    break;
  case INT_ENABLE:
    if (t->active != l)
      break;
    x->int_enable = ((x->int_enable & ~mask) | (v & mask)) & (INT_GLOBAL | INT_POLARITY | INT_ALL);
    update_line(t);
    break;
  case INT_VECTOR:
    if (t->active != l || !(mask & 0xff))
      break;
    if (x->int_vector)
      irq_set(&t->line[x->int_vector], 0);
    x->int_vector = v & 0xf;
    update_line(t);
    break;
  case INT_STATUS:
    if (t->active != l)
      break;
    x->int_status &= ~(v & mask);
    update_line(t);
    break;
  case STS:
    sts_write(t, l, v & mask);
    break;
  default:
    break;
  }
}

static void write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *txn)
{
  struct tis *t = dev;
  unsigned l = (unsigned)(off >> 12), reg = off & 0xfff;
  for (unsigned i = 0; i < size;) {
    unsigned at = (reg + i) & 0xfff, shift = at & 3, n = 4 - shift < size - i ? 4 - shift : size - i;
    uint32_t v = (uint32_t)(value >> 8 * i), mask = n == 4 ? UINT32_MAX : (1u << 8 * n) - 1;
    if (is_fifo(at)) {
      for (unsigned k = 0; k < n; k++)
        fifo_write(t, l, (uint8_t)(v >> 8 * k));
    } else {
      reg_write(t, l, at & ~3u, v << 8 * shift, mask << 8 * shift);
    }
    i += n;
  }
}

// A dynamic launch takes the TPM from whoever has it, and leaves it to nobody. TIS 1.3, 11.3.10 to 11.3.12.
enum txn_resp tis_special(struct tis *t, uint64_t cycle, unsigned size, uint64_t value)
{
  if (cycle == CYCLE_HASH_START) {
    if (t->active != TIS_NOBODY && t->active != 4)
      t->loc[t->active].seized = true;
    drop_command(t);
    activate(t, 4);
  }
  if (!tpm_hash_cycle(t->backend, &t->hashing, cycle, size, value))
    return TXN_ABORT;
  if (cycle == CYCLE_HASH_END && t->active == 4)
    relinquish(t, 4);
  return TXN_OK;
}

void tis_init(struct tis *t, struct bus *bus, struct clock *clock, const struct tpm_backend *b,
              uint32_t did_vid)
{
  static const struct bus_ops ops = {.read = read, .write = write, .min_size = 1, .max_size = 4};
  *t = (struct tis){.bus = bus, .backend = b, .did_vid = did_vid, .active = TIS_NOBODY};
  timer_init(&t->done, clock, execute, t);
  bus_map_io(bus, &t->region, "tpm-tis", TPM_BASE, (uint64_t)(TPM_LOCALITIES - 1) << 12, &ops, t);
}

void tis_reset(struct tis *t)
{
  for (unsigned l = 0; l < TPM_LOCALITIES; l++) {
    if (t->loc[l].int_vector)
      irq_set(&t->line[t->loc[l].int_vector], 0);
    t->loc[l] = (struct tis_locality){0};
  }
  drop_command(t);
  t->active = TIS_NOBODY;
  t->hashing = false;
}

void tis_free(struct tis *t)
{
  timer_cancel(&t->done);
  bus_unmap(t->bus, &t->region);
}
