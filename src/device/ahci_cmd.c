// Commands of a port: the slot's header and FIS go to the drive's registers, data along the descriptors
// (AHCI 1.3.1, chapters 4 to 6); see ahci.h.
#include <stddef.h>

#include "device/ahci_int.h"

#define PRDS_PER_EVENT 1024u // small ones must not keep the host busy

enum { HEADER_SIZE = 32, FIS_AREA = 64, ACMD = 0x40, PRDT = 0x80, PRD_SIZE = 16 };
enum { FIS_H2D = 0x27, FIS_PIO = 0x5f, FIS_C = 0x80, FIS_I = 0x40, FIS_D = 0x20, PSFIS = 0x20 };
enum { CTL_SRST = 4 };

static struct ahci_port *port_of(struct ide_drive *d)
{
  return (struct ahci_port *)((char *)d->ch - offsetof(struct ahci_port, channel));
}

// ---- data ----------------------------------------------------------------------------------------------

// Sees that the current descriptor is at hand, and as many more as there is room for. ahead: only if nobody
// can tell that they were read.
static bool get_prds(struct ahci_port *p, bool ahead)
{
  uint32_t prd[AHCI_PRDS][4], n = p->prds - p->prd < AHCI_PRDS ? p->prds - p->prd : AHCI_PRDS;
  uint64_t addr = p->table + PRDT + (uint64_t)p->prd * PRD_SIZE;
  if (p->prd - p->prd_first < p->prds_read)
    return true;
  if (!dma_read_ahead(&p->hba->pci.dma, addr, prd, n * PRD_SIZE)) {
    n = 1;
    if (ahead || !ahci_read(p, addr, prd, PRD_SIZE))
      return false;
  }
  for (uint32_t i = 0; i < n; i++)
    p->range[i] = (struct dma_range){prd[i][0] | (uint64_t)prd[i][1] << 32, (prd[i][3] & 0x3fffff) + 1};
  p->prd_first = p->prd;
  p->prds_read = n;
  return true;
}

static const struct dma_range *current(const struct ahci_port *p)
{
  return &p->range[p->prd - p->prd_first];
}

// n bytes of the current descriptor were moved.
static void advance(struct ahci_port *p, uint32_t n)
{
  p->moved += n;
  p->prd_done += n;
  if (p->prd_done < current(p)->len)
    return;
  p->prd++;
  p->prd_done = 0;
}

static enum bm_result move(struct ide_drive *d, bool to_memory, uint32_t budget)
{
  struct ahci_port *p = port_of(d);
  while (d->buf_pos < d->buf_len) {
    if (p->prd == p->prds) { // more data than there is room for
      p->is |= IS_OFS;
      return BM_ABORTED;
    }
    if (p->prd_done == 0 && budget-- == 0)
      return BM_AGAIN;
    if (!get_prds(p, false))
      return BM_ABORTED;
    uint64_t addr = current(p)->addr + p->prd_done;
    uint32_t n = d->buf_len - d->buf_pos, left = current(p)->len - p->prd_done;
    n = n < left ? n : left;
    uint8_t *at = d->buf + d->buf_pos;
    if (!(to_memory ? ahci_write(p, addr, at, n) : ahci_read(p, addr, at, n)))
      return BM_ABORTED;
    d->buf_pos += n;
    advance(p, n);
  }
  return BM_DONE;
}

static bool link_direct(struct ide_drive *d, uint32_t *sectors, int *err)
{
  struct ahci_port *p = port_of(d);
  uint64_t want = (uint64_t)*sectors * BLK_SECTOR, have = 0;
  if (p->prd == p->prds || !get_prds(p, true))
    return false;
  struct dma_list l = {current(p), 0, p->prd_done, 0};
  while (l.ranges < p->prd_first + p->prds_read - p->prd && have < l.off + want)
    have += l.range[l.ranges++].len;
  have -= l.off;
  l.len = have < want ? have - have % BLK_SECTOR : want;
  if (l.len == 0 ||
      !blk_direct(d->blk, d->sector, &p->hba->pci.dma, d->dma_write ? TXN_READ : TXN_WRITE, &l, err, sectors))
    return false;
  for (uint64_t left = (uint64_t)*sectors * BLK_SECTOR, n; left; left -= n) {
    n = current(p)->len - p->prd_done;
    n = n < left ? n : left;
    advance(p, (uint32_t)n);
  }
  return true;
}

static enum bm_result link_move(struct ide_drive *d)
{
  return move(d, !d->dma_write, PRDS_PER_EVENT);
}

// A PIO setup FIS says what comes; intr: the driver is to know when it has come.
static bool pio_setup(struct ahci_port *p, const struct ide_drive *d, bool intr)
{
  uint32_t n = d->buf_len - d->buf_pos;
  const uint8_t fis[20] = {FIS_PIO,
                           (intr ? FIS_I : 0) | (d->pio_out ? 0 : FIS_D),
                           ATA_DRDY | ATA_DSC | ATA_DRQ,
                           d->error,
                           d->lba[0].cur,
                           d->lba[1].cur,
                           d->lba[2].cur,
                           d->select,
                           d->lba[0].prev,
                           d->lba[1].prev,
                           d->lba[2].prev,
                           0,
                           d->nsector.cur,
                           d->nsector.prev,
                           0,
                           ATA_DRDY | ATA_DSC,
                           (uint8_t)n,
                           (uint8_t)(n >> 8)};
  return !(p->cmd & CMD_FRE) || ahci_write(p, p->fb + PSFIS, fis, sizeof fis);
}

static void link_pio(struct ide_drive *d, bool intr)
{
  struct ahci_port *p = port_of(d);
  void (*then)(struct ide_drive *) = d->drained;
  bool ok = pio_setup(p, d, intr);
  if (d->pio_out && d->command == 0xa0 && !p->packet_taken) { // the packet is part of the command
    p->packet_taken = true;
    ok = ok && (p->header[0] & HEADER_A) && ahci_read(p, p->table + ACMD, d->buf, d->buf_len - d->buf_pos);
    d->buf_pos = d->buf_len;
  } else {
    ok = ok && move(d, !d->pio_out, UINT32_MAX) == BM_DONE;
  }
  d->drained = NULL;
  d->status &= ~ATA_DRQ;
  if (!ok) {
    ide_done(d, ATA_ICRC | ATA_ABRT, true);
    return;
  }
  then(d); // may end the command: its interrupt finds PxCI as it is then
  if (intr)
    ahci_interrupt(p, IS_PSS);
}

// ---- the end of a command ------------------------------------------------------------------------------

// 6.2.2: after an error the port stops, and the slot stays in PxCI, until software clears ST.
static void halt(struct ahci_port *p, uint32_t is)
{
  p->halted = true;
  ahci_interrupt(p, is);
}

static void link_done(struct ide_drive *d, bool intr)
{
  struct ahci_port *p = port_of(d);
  if (p->slot < 0)
    return;
  uint64_t header = p->clb + (uint64_t)p->slot * HEADER_SIZE;
  bool ok = ahci_write(p, header + 4, &p->moved, sizeof p->moved);
  if (intr)
    ok = ahci_d2h(p, true) && ok;
  else
    ahci_taskfile(p);
  unsigned slot = (unsigned)p->slot;
  p->slot = -1;
  if (!ok || p->bus_error) {
    halt(p, IS_HBFS | (d->status & ATA_ERR ? IS_TFES : 0));
  } else if (d->status & ATA_ERR) {
    halt(p, IS_TFES | IS_DHRS);
  } else {
    p->ci &= ~(1u << slot);
    ahci_interrupt(p, intr ? IS_DHRS : 0);
    if (p->ci)
      ahci_later(p, IDE_DELAY_NS / 4);
  }
}

const struct ide_link ahci_link = {link_move, link_direct, link_pio, link_done};

// ---- the beginning -------------------------------------------------------------------------------------

static void load(struct ide_reg *r, uint8_t cur, uint8_t prev)
{
  r->cur = cur;
  r->prev = prev;
}

// A FIS without the C bit writes the control register.
static void control(struct ahci_port *p, const uint8_t *fis)
{
  struct ide_drive *d = &p->channel.drive[0];
  bool srst = fis[15] & CTL_SRST;
  p->ci &= ~(1u << p->slot);
  p->slot = -1;
  if (srst) {
    ide_drive_stop(d);
    d->status = ATA_BSY;
    p->tfd_status = p->header[0] & HEADER_R ? ATA_DRDY : ATA_BSY;
  } else if (p->srst) {
    ide_drive_reset(d, false);
    p->tfd_status = ATA_BSY;
    p->resetting = true;
    ahci_later(p, IDE_DELAY_NS);
  }
  p->srst = srst;
  if (p->ci && !p->resetting)
    ahci_later(p, IDE_DELAY_NS / 4);
}

static void start(struct ahci_port *p, const uint8_t *fis)
{
  struct ide_drive *d = &p->channel.drive[0];
  load(&d->feature, fis[3], fis[11]);
  load(&d->lba[0], fis[4], fis[8]);
  load(&d->lba[1], fis[5], fis[9]);
  load(&d->lba[2], fis[6], fis[10]);
  load(&d->nsector, fis[12], fis[13]);
  d->select = fis[7] & 0x4f;
  d->command = fis[2];
  d->error = 0;
  d->status = ATA_DRDY | ATA_DSC;
  p->tfd_status = ATA_BSY | ATA_DRDY;
  p->channel.bm_status = BM_ACTIVE;
  if (d->kind == IDE_CD && d->command == 0x08) { // DEVICE RESET
    ide_drive_reset(d, false);
    link_done(d, true);
  } else if (d->kind == IDE_HD)
    ata_command(d, d->command);
  else
    atapi_command(d, d->command);
}

static int pick(struct ahci_port *p)
{
  for (unsigned i = 0; i < AHCI_SLOTS; i++) {
    unsigned n = (p->next + i) % AHCI_SLOTS;
    if (p->ci >> n & 1) {
      p->next = (n + 1) % AHCI_SLOTS;
      return (int)n;
    }
  }
  return -1;
}

void ahci_next_command(struct ahci_port *p)
{
  uint8_t fis[FIS_AREA];
  if (p->slot >= 0 || p->halted || !(p->cmd & CMD_ST) || !ahci_present(p))
    return;
  p->slot = pick(p);
  if (p->slot < 0)
    return;
  p->bus_error = p->packet_taken = false;
  p->prd = p->prd_done = p->prds_read = p->moved = 0;
  if (!ahci_read(p, p->clb + (uint64_t)p->slot * HEADER_SIZE, p->header, sizeof p->header)) {
    p->slot = -1;
    halt(p, IS_HBFS);
    return;
  }
  p->prds = p->header[0] >> 16;
  p->table = (p->header[2] & ~0x7fu) | (uint64_t)p->header[3] << 32;
  if (!ahci_read(p, p->table, fis, sizeof fis)) {
    p->slot = -1;
    halt(p, IS_HBFS);
    return;
  }
  if (fis[0] != FIS_H2D || (fis[1] & 15)) { // nobody is behind a port multiplier
    p->slot = -1;
    halt(p, IS_HBFS);
  } else if (fis[1] & FIS_C) {
    start(p, fis);
  } else {
    control(p, fis);
  }
}
