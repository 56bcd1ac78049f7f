// The registers of an IDE channel and what both kinds of drives share; see ide.h.
#include "device/ide_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum { DATA, ERROR_FEATURE, NSECTOR, LBA0, LBA1, LBA2, SELECT, STATUS_COMMAND };

static struct ide_drive *selected(struct ide_channel *ch)
{
  return &ch->drive[ch->unit];
}

void ide_update_irq(struct ide_channel *ch)
{
  bool level = selected(ch)->intrq && !(ch->control & IDE_CTL_NIEN);
  if (level && !ch->line)
    ch->bm_status |= BM_INTR; // latched at the rising edge
  ch->line = level;
  irq_set(&ch->irq, level);
}

void ide_raise(struct ide_drive *d)
{
  if (d->ch->link)
    return;
  d->intrq = true;
  ide_update_irq(d->ch);
}

static void fire(void *arg)
{
  struct ide_drive *d = arg;
  void (*then)(struct ide_drive *) = d->after;
  d->after = NULL;
  if (then)
    then(d);
}

void ide_busy(struct ide_drive *d, uint64_t bytes, void (*then)(struct ide_drive *))
{
  d->status = (d->status & ~(ATA_DRQ | ATA_ERR | ATA_DF)) | ATA_BSY;
  d->after = then;
  timer_set(&d->timer, clock_now(d->timer.clock) + IDE_DELAY_NS + bytes);
}

static void drq(struct ide_drive *d, uint32_t pos, uint32_t end, void (*drained)(struct ide_drive *),
                bool intr)
{
  d->buf_pos = pos;
  d->buf_len = end;
  d->drained = drained;
  d->status = ATA_DRDY | ATA_DSC | ATA_DRQ;
  if (d->ch->link)
    d->ch->link->pio(d, intr);
  else if (intr)
    ide_raise(d);
}

void ide_drq_in(struct ide_drive *d, uint32_t len, void (*drained)(struct ide_drive *), bool intr)
{
  d->pio_out = false;
  drq(d, d->buf_pos, d->buf_pos + len, drained, intr);
}

void ide_drq_out(struct ide_drive *d, uint32_t len, void (*drained)(struct ide_drive *), bool intr)
{
  d->pio_out = true;
  drq(d, 0, len, drained, intr);
}

void ide_done(struct ide_drive *d, uint8_t error, bool intr)
{
  d->error = error;
  d->status = ATA_DRDY | ATA_DSC | (error ? ATA_ERR : 0);
  d->buf_len = d->buf_pos = 0;
  d->left = 0;
  d->dma_wait = false;
  d->drained = NULL;
  if (d->ch->link)
    d->ch->link->done(d, intr);
  else if (intr)
    ide_raise(d);
}

// ATA/ATAPI-6 9.12
void ide_signature(struct ide_drive *d)
{
  bool cd = d->kind == IDE_CD;
  d->nsector = (struct ide_reg){1, 0};
  d->lba[0] = (struct ide_reg){1, 0};
  d->lba[1] = (struct ide_reg){cd ? 0x14 : 0, 0};
  d->lba[2] = (struct ide_reg){cd ? 0xeb : 0, 0};
  d->select &= IDE_SELECT_DEV;
}

static void stop(struct ide_drive *d)
{
  timer_cancel(&d->timer);
  d->after = d->drained = NULL;
  d->buf_len = d->buf_pos = 0;
  d->left = 0;
  d->dma_wait = false;
  d->atapi.blocks = 0;
  d->intrq = false;
}

void ide_drive_stop(struct ide_drive *d)
{
  stop(d);
}

void ide_drive_reset(struct ide_drive *d, bool hard)
{
  if (d->kind == IDE_NONE)
    return;
  stop(d);
  ide_signature(d);
  d->error = 1; // the diagnostic code for "passed"
  d->status = d->kind == IDE_CD ? 0 : ATA_DRDY | ATA_DSC;
  if (d->kind == IDE_HD) {
    ata_geometry(d);
    d->multiple = 0;
  } else if (hard) {
    d->atapi.key = d->atapi.asc = d->atapi.ascq = 0;
    d->atapi.attention = true; // 29h/00h: power on or reset occurred
    d->atapi.att_asc = 0x29;
    d->atapi.att_ascq = 0;
    d->atapi.locked = false;
  }
  if (hard) {
    d->select = 0;
    d->write_cache = true;
    d->xfer_mode = 0x0c; // PIO 4
  }
}

void ide_string(uint8_t *words, const char *text, unsigned len)
{
  bool end = false;
  for (unsigned i = 0; i < len; i++) {
    end = end || text[i] == 0;
    words[i ^ 1] = end ? ' ' : (uint8_t)text[i];
  }
}

static void soft_reset_done(struct ide_drive *d)
{
  ide_drive_reset(d, false);
}

static void write_control(struct ide_channel *ch, uint8_t v)
{
  bool was = ch->control & IDE_CTL_SRST;
  ch->control = v;
  for (unsigned i = 0; i < 2; i++) {
    struct ide_drive *d = &ch->drive[i];
    if (d->kind == IDE_NONE)
      continue;
    if (v & IDE_CTL_SRST) {
      stop(d);
      d->status = ATA_BSY;
    } else if (was) {
      ide_busy(d, 0, soft_reset_done);
    }
  }
  if (was && !(v & IDE_CTL_SRST))
    ch->unit = 0;
  ide_update_irq(ch);
}

static void write_both(struct ide_channel *ch, unsigned reg, uint8_t v)
{
  // A busy drive or one with data waiting ignores its registers (ATA/ATAPI-6 6.2).
  for (unsigned i = 0; i < 2; i++) {
    struct ide_drive *d = &ch->drive[i];
    if (d->status & (ATA_BSY | ATA_DRQ))
      continue;
    struct ide_reg *r = reg == ERROR_FEATURE ? &d->feature
                        : reg == NSECTOR     ? &d->nsector
                                             : &d->lba[reg - LBA0];
    r->prev = r->cur;
    r->cur = v;
  }
}

static void diagnostic_done(struct ide_drive *d)
{
  struct ide_channel *ch = d->ch;
  for (unsigned i = 0; i < 2; i++)
    ide_drive_reset(&ch->drive[i], false);
  ch->unit = 0;
  ide_raise(&ch->drive[ch->drive[0].kind == IDE_NONE]);
}

static void write_command(struct ide_channel *ch, uint8_t v)
{
  struct ide_drive *d = selected(ch);
  if (ch->control & IDE_CTL_SRST)
    return;
  if (v == 0x90) { // EXECUTE DEVICE DIAGNOSTIC: both drives, whichever is selected
    struct ide_drive *lead = &ch->drive[ch->drive[0].kind == IDE_NONE];
    if (lead->kind == IDE_NONE)
      return;
    for (unsigned i = 0; i < 2; i++)
      stop(&ch->drive[i]);
    ide_update_irq(ch);
    ide_busy(lead, 0, diagnostic_done);
    return;
  }
  if (d->kind == IDE_NONE)
    return;
  bool busy = d->status & (ATA_BSY | ATA_DRQ);
  if (busy && !(v == 0x08 && d->kind == IDE_CD)) // DEVICE RESET may interrupt a command
    return;
  d->intrq = false;
  ide_update_irq(ch);
  d->command = v;
  d->error = 0;
  d->status &= ~(ATA_ERR | ATA_DF);
  if (d->kind == IDE_HD) {
    ata_command(d, v);
  } else {
    if (v == 0x08)
      stop(d);
    atapi_command(d, v);
  }
}

static bool ready(const struct ide_drive *d, bool out)
{
  return (d->status & ATA_DRQ) && d->drained && d->pio_out == out && d->buf_pos < d->buf_len;
}

static void data_moved(struct ide_drive *d)
{
  if (d->buf_pos < d->buf_len)
    return;
  void (*then)(struct ide_drive *) = d->drained;
  d->drained = NULL;
  d->status &= ~ATA_DRQ;
  then(d);
}

static uint32_t data_read(struct ide_drive *d, unsigned size)
{
  uint32_t v = 0;
  if (!ready(d, false))
    return 0;
  for (unsigned i = 0; i < size && d->buf_pos < d->buf_len; i++)
    v |= (uint32_t)d->buf[d->buf_pos++] << 8 * i;
  data_moved(d);
  return v;
}

static void data_write(struct ide_drive *d, unsigned size, uint32_t v)
{
  if (!ready(d, true))
    return;
  for (unsigned i = 0; i < size && d->buf_pos < d->buf_len; i++)
    d->buf[d->buf_pos++] = (uint8_t)(v >> 8 * i);
  data_moved(d);
}

static uint8_t status(struct ide_channel *ch)
{
  const struct ide_drive *d = selected(ch), *o = &ch->drive[!ch->unit];
  if (d->kind == IDE_NONE)
    return o->kind == IDE_NONE ? 0xff : 0; // the other drive answers for it
  return d->status;
}

static uint8_t reg_read(struct ide_channel *ch, unsigned reg)
{
  struct ide_drive *d = selected(ch);
  bool hob = ch->control & IDE_CTL_HOB;
  const struct ide_reg *r;
  if (d->kind == IDE_NONE)
    return status(ch);
  switch (reg) {
  case ERROR_FEATURE:
    return d->error;
  case NSECTOR:
    r = &d->nsector;
    break;
  case SELECT:
    return (uint8_t)((d->select & 0x4f) | 0xa0 | (ch->unit ? IDE_SELECT_DEV : 0));
  case STATUS_COMMAND:
    if (d->intrq) {
      d->intrq = false;
      ide_update_irq(ch);
    }
    return status(ch);
  default:
    r = &d->lba[reg - LBA0];
    break;
  }
  return hob ? r->prev : r->cur;
}

static void reg_write(struct ide_channel *ch, unsigned reg, uint8_t v)
{
  ch->control &= ~IDE_CTL_HOB; // any write to the command block clears it
  switch (reg) {
  case SELECT:
    for (unsigned i = 0; i < 2; i++)
      if (!(ch->drive[i].status & (ATA_BSY | ATA_DRQ)))
        ch->drive[i].select = v;
    ch->unit = v >> 4 & 1;
    ide_update_irq(ch);
    break;
  case STATUS_COMMAND:
    write_command(ch, v);
    break;
  default:
    write_both(ch, reg, v);
    break;
  }
}

static uint64_t cmd_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct ide_channel *ch = dev;
  if (off == DATA)
    return data_read(selected(ch), size);
  uint64_t v = 0;
  for (unsigned i = 0; i < size; i++)
    v |= (uint64_t)(off + i < 8 ? reg_read(ch, (unsigned)off + i) : 0xff) << 8 * i;
  return v;
}

static void cmd_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct ide_channel *ch = dev;
  if (off == DATA) {
    data_write(selected(ch), size, (uint32_t)value);
    return;
  }
  for (unsigned i = 0; i < size && off + i < 8; i++)
    reg_write(ch, (unsigned)off + i, (uint8_t)(value >> 8 * i));
}

// Alternate status and device control: does not acknowledge the interrupt.
static uint64_t ctl_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  return status(dev);
}

static void ctl_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  write_control(dev, (uint8_t)value);
}

static const struct bus_ops cmd_ops = {cmd_read, cmd_write, 1, 4};
static const struct bus_ops ctl_ops = {ctl_read, ctl_write, 1, 1};

static void channel_reset(struct ide_channel *ch)
{
  for (unsigned i = 0; i < 2; i++)
    ide_drive_reset(&ch->drive[i], true);
  ch->unit = 0;
  ch->control = 0;
  bm_reset(ch);
  ide_update_irq(ch);
}

void ide_reset(struct ide *ide)
{
  pci_func_reset(&ide->pci);
  // IDETIM: both channels decode their legacy ports. On a board the firmware sets bit 15; a kernel that
  // is loaded without firmware expects it set.
  pci_set_word(&ide->pci, 0x40, 0x8000);
  pci_set_word(&ide->pci, 0x42, 0x8000);
  for (unsigned i = 0; i < 2; i++)
    channel_reset(&ide->ch[i]);
}

static void reset_device(struct device *d)
{
  ide_reset(d->self);
}

static void free_device(struct device *d)
{
  ide_free(d->self);
}

struct ide *ide_create(struct pci_bus *pb, uint8_t devfn, struct clock *clock, const struct irq irq[2],
                       struct log *log, struct err *e)
{
  static const uint16_t cmd_port[2] = {0x1f0, 0x170}, ctl_port[2] = {0x3f6, 0x376};
  struct ide *ide = calloc(1, sizeof *ide);
  if (!ide) {
    err_set(e, "out of memory");
    return NULL;
  }
  ide->clock = clock;
  ide->log = log;
  ide->device = (struct device){.type = "piix3-ide", .reset = reset_device, .free = free_device, .self = ide};
  pci_func_init(&ide->pci, "piix3-ide", 0x8086, 0x7010, 0x010180, 0, ide);
  ide->pci.wmask[0x40] = ide->pci.wmask[0x41] = ide->pci.wmask[0x42] = ide->pci.wmask[0x43] = 0xff;
  pci_bar_io(&ide->pci, 4, 16, &bm_ops, ide);
  if (!pci_add(pb, &ide->pci, devfn >> 3, devfn & 7, 0)) {
    err_set(e, "the place %02x.%x for the IDE controller is taken", devfn >> 3, devfn & 7u);
    free(ide);
    return NULL;
  }
  for (unsigned i = 0; i < 2; i++) {
    struct ide_channel *ch = &ide->ch[i];
    ch->ide = ide;
    ch->irq = irq[i];
    for (unsigned u = 0; u < 2; u++) {
      ch->drive[u].ch = ch;
      timer_init(&ch->drive[u].timer, clock, fire, &ch->drive[u]);
    }
    bus_map_ports(pb->bus, &ch->cmd, "ide", cmd_port[i], 8, &cmd_ops, ch);
    bus_map_ports(pb->bus, &ch->ctl, "ide-control", ctl_port[i], 1, &ctl_ops, ch);
  }
  ide_reset(ide);
  return ide;
}

void ide_free(struct ide *ide)
{
  for (unsigned i = 0; i < 2; i++) {
    struct ide_channel *ch = &ide->ch[i];
    bus_unmap(ide->pci.bus->bus, &ch->cmd);
    bus_unmap(ide->pci.bus->bus, &ch->ctl);
    for (unsigned u = 0; u < 2; u++) {
      ide_drive_free(&ch->drive[u]);
    }
  }
  pci_remove(&ide->pci);
  free(ide->device.id);
  free(ide);
}

static void set_text(char *to, size_t size, const char *text, const char *other)
{
  snprintf(to, size, "%s", text ? text : other);
}

void ide_drive_timer(struct ide_drive *d, struct clock *clock)
{
  timer_init(&d->timer, clock, fire, d);
}

void ide_drive_free(struct ide_drive *d)
{
  timer_cancel(&d->timer);
  if (d->blk)
    d->blk->attached = false;
  free(d->buf);
  free(d->device.id);
}

bool ide_drive_init(struct ide_drive *d, enum ide_kind kind, struct blockdev *blk,
                    const struct ide_props *props, const char *place, unsigned number, struct err *e)
{
  static const struct ide_props none;
  const struct ide_props *p = props ? props : &none;
  if (kind == IDE_HD && !blk)
    return err_set(e, "%s: a hard disk needs a drive", place);
  if (kind == IDE_HD && blk->read_only)
    return err_set(e, "%s: an IDE disk cannot be read-only; use snapshot=on, or virtio", blk->path);
  d->buf = calloc(1, IDE_BUFFER);
  if (!d->buf)
    return err_set(e, "out of memory");
  char serial[21];
  snprintf(serial, sizeof serial, "PC%05u", number);
  set_text(d->model, sizeof d->model, p->model, kind == IDE_CD ? "PACIFICA DVD-ROM" : "PACIFICA HARDDISK");
  set_text(d->serial, sizeof d->serial, p->serial, serial);
  set_text(d->firmware, sizeof d->firmware, p->version, "1.0");
  d->kind = kind;
  d->blk = blk;
  if (blk)
    blk->attached = true;
  ide_drive_reset(d, true);
  return true;
}

bool ide_attach(struct ide *ide, unsigned channel, unsigned unit, enum ide_kind kind, struct blockdev *blk,
                const struct ide_props *props, struct err *e)
{
  char place[24];
  if (channel > 1 || unit > 1)
    return err_set(e, "ide.%u unit %u does not exist: there are two channels with two drives", channel, unit);
  struct ide_drive *d = &ide->ch[channel].drive[unit];
  if (d->kind != IDE_NONE)
    return err_set(e, "ide.%u unit %u is taken", channel, unit);
  snprintf(place, sizeof place, "ide.%u unit %u", channel, unit);
  return ide_drive_init(d, kind, blk, props, place, channel * 2 + unit + 1, e);
}

int ide_free_place(const struct ide *ide)
{
  for (int i = 0; i < 4; i++)
    if (ide->ch[i / 2].drive[i % 2].kind == IDE_NONE)
      return i;
  return -1;
}
