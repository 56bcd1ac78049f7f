// pacifica-dma; see pacifica_dma.h and docs/pacifica-dma.md.
//
// A command runs on the virtual clock: a fixed delay, then pieces that do not cross a page of source or
// destination, at most PER_EVENT bytes an event. While it moves something its registers do not answer, so
// that a request to itself changes nothing.
#include "device/pacifica_dma.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bus/pci.h"
#include "device/place.h"

#define DELAY_NS  1000u
#define PAGE      4096u
#define PER_EVENT 16384u
#define MSI_BASE  UINT64_C(0xfee00000)
#define NO_UNIT   UINT64_MAX

struct function {
  struct pci_func pci;
  struct timer timer;
  uint32_t command, status, interrupt, length, pattern, fail_data, moved, aborts;
  uint64_t source, dest, data, fail_address;
  uint32_t at; // next byte of the command
  bool moving; // a transfer is under way
};

struct pacifica_dma {
  struct device device;
  unsigned functions;
  struct function function[8];
};

static void lower(struct function *f)
{
  f->interrupt = 0;
  pci_set_intx(&f->pci, 0);
}

static void finish(struct function *f, uint32_t why)
{
  f->status = (f->status & ~(uint32_t)PDMA_BUSY) | PDMA_DONE | why;
  if (!(f->command & PDMA_IRQ))
    return;
  f->interrupt = 1;
  f->moving = true; // the message may be for our own registers
  if (pci_msi_enabled(&f->pci))
    pci_msi(&f->pci, 0);
  else
    pci_set_intx(&f->pci, 1);
  f->moving = false;
}

// Notes the first failure. False: the command ends here.
static bool failed(struct function *f, uint32_t why, uint64_t addr, uint32_t data)
{
  if (!(f->status & (PDMA_ABORT | PDMA_MISMATCH))) {
    f->fail_address = addr;
    f->fail_data = data;
  }
  f->status |= why;
  f->aborts += why == PDMA_ABORT;
  return f->command & PDMA_CONTINUE;
}

static enum txn_resp request(struct function *f, uint8_t space, uint8_t kind, uint64_t addr, void *buf,
                             uint32_t len)
{
  const struct dma_port *p = &f->pci.dma;
  struct txn t = {.addr = addr,
                  .size = len,
                  .requester = p->requester,
                  .kind = kind,
                  .space = space,
                  .node = p->node,
                  .unit = p->unit};
  return p->transfer(p->fabric, &t, buf, len);
}

static uint8_t pattern(const struct function *f, uint32_t at)
{
  return (uint8_t)(f->pattern >> 8 * (at & 3));
}

static bool check(struct function *f, const uint8_t *have, const uint8_t *want, uint32_t n)
{
  for (uint32_t i = 0; i < n; i++) {
    uint8_t w = want ? want[i] : pattern(f, f->at + i);
    if (have[i] != w && !failed(f, PDMA_MISMATCH, f->source + f->at + i, have[i]))
      return false;
  }
  return true;
}

// The next n bytes, which lie within a page on either side. False: the command ends.
static bool piece(struct function *f, uint32_t n)
{
  uint8_t op = (uint8_t)f->command, from[PAGE], to[PAGE];
  uint64_t source = f->source + f->at, dest = f->dest + f->at;
  bool ok = true;
  if (op != PDMA_FILL && request(f, TXN_MEM, TXN_READ, source, from, n) != TXN_OK) {
    if (!failed(f, PDMA_ABORT, source, 0))
      return false;
    ok = false;
  }
  if (op == PDMA_COMPARE && request(f, TXN_MEM, TXN_READ, dest, to, n) != TXN_OK) {
    if (!failed(f, PDMA_ABORT, dest, 0))
      return false;
    ok = false;
  }
  if (!ok) // what could not be read is neither written nor compared
    return true;
  for (uint32_t i = 0; op == PDMA_FILL && i < n; i++)
    from[i] = pattern(f, f->at + i);
  if (op == PDMA_CHECK || op == PDMA_COMPARE) {
    if (!check(f, from, op == PDMA_COMPARE ? to : NULL, n))
      return false;
  } else if (request(f, TXN_MEM, TXN_WRITE, dest, from, n) != TXN_OK) {
    return failed(f, PDMA_ABORT, dest, 0);
  }
  f->moved += n;
  return true;
}

static uint32_t to_page_end(uint64_t addr)
{
  return PAGE - (uint32_t)(addr & (PAGE - 1));
}

static bool bulk(struct function *f)
{
  uint8_t op = (uint8_t)f->command;
  for (uint32_t budget = PER_EVENT; f->at < f->length && budget;) {
    uint32_t n = f->length - f->at < budget ? f->length - f->at : budget;
    uint32_t s = op == PDMA_FILL ? n : to_page_end(f->source + f->at);
    uint32_t d = op == PDMA_CHECK ? n : to_page_end(f->dest + f->at);
    n = n < s ? n : s;
    n = n < d ? n : d;
    if (!piece(f, n))
      return false;
    f->at += n;
    budget -= n;
  }
  return f->at < f->length;
}

// READ and WRITE in one of the three spaces, and MESSAGE.
static void single(struct function *f)
{
  uint8_t op = (uint8_t)f->command;
  bool write = op == PDMA_WRITE || op == PDMA_IO_WRITE || op == PDMA_CONFIG_WRITE || op == PDMA_MESSAGE;
  uint8_t space = op == PDMA_IO_READ || op == PDMA_IO_WRITE           ? TXN_IO
                  : op == PDMA_CONFIG_READ || op == PDMA_CONFIG_WRITE ? TXN_CONFIG
                                                                      : TXN_MEM;
  uint64_t addr = write ? f->dest : f->source, v = write ? f->data : 0;
  uint32_t len = f->length;
  if (op == PDMA_MESSAGE) {
    addr = MSI_BASE | (f->dest & 0xffffc);
    v = f->pattern;
    len = 4;
  }
  if (request(f, space, write ? TXN_WRITE : TXN_READ, addr, &v, len) == TXN_OK)
    f->moved = len;
  else
    failed(f, PDMA_ABORT, addr, 0);
  if (!write)
    f->data = v;
}

static void step(void *arg)
{
  struct function *f = arg;
  uint8_t op = (uint8_t)f->command;
  bool more = false;
  f->moving = true;
  if (op <= PDMA_COMPARE)
    more = bulk(f);
  else
    single(f);
  f->moving = false;
  if (more)
    timer_set(&f->timer, clock_now(f->timer.clock) + PER_EVENT);
  else
    finish(f, 0);
}

static bool wraps(uint64_t addr, uint32_t len)
{
  return addr > UINT64_MAX - len;
}

static bool possible(const struct function *f)
{
  uint8_t op = (uint8_t)f->command;
  uint32_t n = f->length;
  uint64_t addr = op == PDMA_IO_WRITE || op == PDMA_CONFIG_WRITE ? f->dest : f->source;
  switch (op) {
  case PDMA_COPY:
  case PDMA_COMPARE:
    return n && n <= PDMA_MOST && !wraps(f->source, n) && !wraps(f->dest, n);
  case PDMA_FILL:
    return n && n <= PDMA_MOST && !wraps(f->dest, n);
  case PDMA_CHECK:
    return n && n <= PDMA_MOST && !wraps(f->source, n);
  case PDMA_READ:
    return n && n <= 8 && !wraps(f->source, n);
  case PDMA_WRITE:
    return n && n <= 8 && !wraps(f->dest, n);
  case PDMA_IO_READ:
  case PDMA_IO_WRITE: // naturally aligned, as on the link
    return (n == 1 || n == 2 || n == 4) && !(addr & (n - 1)) && addr < 0x10000;
  case PDMA_CONFIG_READ:
  case PDMA_CONFIG_WRITE:
    return (n == 1 || n == 2 || n == 4) && !(addr & (n - 1)) && addr < 0x1000000;
  case PDMA_MESSAGE:
    return true;
  default:
    return false;
  }
}

static void start(struct function *f, uint32_t command)
{
  if (f->status & PDMA_BUSY)
    return;
  f->command = command & (0xff | PDMA_IRQ | PDMA_CONTINUE);
  f->status = PDMA_BUSY;
  f->at = f->moved = f->aborts = f->fail_data = 0;
  f->fail_address = 0;
  if (possible(f))
    timer_set(&f->timer, clock_now(f->timer.clock) + DELAY_NS);
  else
    finish(f, PDMA_BAD);
}

static uint32_t half(uint64_t v, uint64_t off)
{
  return (uint32_t)(off & 4 ? v >> 32 : v);
}

static void set_half(uint64_t *reg, uint64_t off, uint32_t v)
{
  *reg = off & 4 ? (uint32_t)*reg | (uint64_t)v << 32 : (*reg & ~UINT64_C(0xffffffff)) | v;
}

static uint64_t reg_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct function *f = dev;
  const struct dma_port *p = &f->pci.dma;
  if (f->moving)
    return UINT64_MAX;
  switch (off) {
  case PDMA_ID:
    return PDMA_IDENTITY;
  case PDMA_COMMAND:
    return f->command;
  case PDMA_STATUS:
    return f->status;
  case PDMA_INTERRUPT:
    return f->interrupt;
  case PDMA_SOURCE:
  case PDMA_SOURCE + 4:
    return half(f->source, off);
  case PDMA_DEST:
  case PDMA_DEST + 4:
    return half(f->dest, off);
  case PDMA_LENGTH:
    return f->length;
  case PDMA_PATTERN:
    return f->pattern;
  case PDMA_DATA:
  case PDMA_DATA + 4:
    return half(f->data, off);
  case PDMA_FAIL_ADDRESS:
  case PDMA_FAIL_ADDRESS + 4:
    return half(f->fail_address, off);
  case PDMA_FAIL_DATA:
    return f->fail_data;
  case PDMA_MOVED:
    return f->moved;
  case PDMA_ABORTS:
    return f->aborts;
  case PDMA_REQUESTER:
    return p->requester | (uint32_t)(p->unit & 31) << 16 | (uint32_t)(p->node & 7) << 24;
  case PDMA_LIMIT:
    return PDMA_MOST;
  default:
    return 0;
  }
}

static void reg_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct function *f = dev;
  uint32_t v = (uint32_t)value;
  if (f->moving)
    return;
  if (off == PDMA_INTERRUPT) {
    if (v & 1)
      lower(f);
    return;
  }
  if (f->status & PDMA_BUSY) // a command keeps what it was given
    return;
  switch (off) {
  case PDMA_COMMAND:
    start(f, v);
    break;
  case PDMA_STATUS:
    f->status &= ~v;
    break;
  case PDMA_SOURCE:
  case PDMA_SOURCE + 4:
    set_half(&f->source, off, v);
    break;
  case PDMA_DEST:
  case PDMA_DEST + 4:
    set_half(&f->dest, off, v);
    break;
  case PDMA_LENGTH:
    f->length = v;
    break;
  case PDMA_PATTERN:
    f->pattern = v;
    break;
  case PDMA_DATA:
  case PDMA_DATA + 4:
    set_half(&f->data, off, v);
    break;
  default:
    break;
  }
}

static const struct bus_ops ops = {.read = reg_read, .write = reg_write, .min_size = 4, .max_size = 4};

static void reset(struct device *d)
{
  struct pacifica_dma *p = d->self;
  for (unsigned i = 0; i < p->functions; i++) {
    struct function *f = &p->function[i];
    timer_cancel(&f->timer);
    lower(f);
    pci_func_reset(&f->pci);
    f->command = f->status = f->length = f->pattern = f->fail_data = f->moved = f->aborts = 0;
    f->source = f->dest = f->data = f->fail_address = 0;
    f->moving = false;
  }
}

static void release(struct device *d)
{
  struct pacifica_dma *p = d->self;
  for (unsigned i = 0; i < p->functions; i++) {
    timer_cancel(&p->function[i].timer);
    pci_remove(&p->function[i].pci);
  }
  free(p->device.id);
  free(p);
}

// Puts function i on the bus.
static bool add(struct pacifica_dma *p, const struct device_env *env, unsigned slot, unsigned function,
                uint64_t unit)
{
  struct function *f = &p->function[p->functions];
  timer_init(&f->timer, env->clock, step, f);
  pci_func_init(&f->pci, "pacifica-dma", PDMA_VENDOR, PDMA_DEVICE, 0x088000, 1, f); // other system peripheral
  pci_set_subsystem(&f->pci, PDMA_VENDOR, PDMA_DEVICE);
  pci_bar_mem(&f->pci, 0, PDMA_BAR_SIZE, false, false, &ops, f);
  pci_add_msi(&f->pci);
  if (!pci_add(env->pci, &f->pci, (uint8_t)slot, (uint8_t)function, (uint8_t)(1 + function % 4)))
    return false;
  if (unit != NO_UNIT)
    f->pci.dma.unit = (uint8_t)unit;
  p->functions++;
  return true;
}

struct device *pacifica_dma_device(const struct device_env *env, struct opts *props, struct err *e)
{
  unsigned slot, function;
  uint64_t functions = 1, unit = NO_UNIT;
  if (!opts_u64(props, "functions", &functions, e) || !opts_u64(props, "unit", &unit, e))
    return NULL;
  if (functions < 1 || functions > 8 || (unit != NO_UNIT && unit > 31)) {
    err_set(e, "pacifica-dma: functions must be 1 to 8, unit 0 to 31");
    return NULL;
  }
  if (!place_pci(env, props, "pacifica-dma", 3, &slot, &function, e))
    return NULL;
  if (function + functions > 8) {
    err_set(e, "pacifica-dma: functions=%u from function %u on are more than eight", (unsigned)functions,
            function);
    return NULL;
  }
  struct pacifica_dma *p = calloc(1, sizeof *p);
  if (!p) {
    err_set(e, "out of memory");
    return NULL;
  }
  p->device = (struct device){.type = "pacifica-dma", .reset = reset, .free = release, .self = p};
  for (unsigned i = 0; i < functions; i++)
    if (!add(p, env, slot, function + i, unit)) {
      err_set(e, "pacifica-dma: PCI address %02x.%x is taken", slot, function + i);
      release(&p->device);
      return NULL;
    }
  return &p->device;
}
