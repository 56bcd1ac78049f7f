// A port: its registers, the link to its device, resets (AHCI 1.3.1, sections 3.3, 5, 10.4); see ahci.h.
#include <string.h>

#include "device/ahci_int.h"

#define RESET_NS 1000000u // from the end of COMRESET to the signature

enum { FIS_D2H = 0x34, RFIS = 0x40, FIS_I = 0x40, FIS_SIZE = 20 };
enum { DET_MASK = 15, DET_RESET = 1, DET_OFF = 4, SSTS_LINK = 0x123 }; // established, 3 Gb/s, active
enum { SIG_ATA = 0x00000101 };
#define SIG_ATAPI 0xeb140101u
#define NO_SIG    0xffffffffu

void ahci_later(struct ahci_port *p, uint64_t ns)
{
  timer_set(&p->timer, clock_now(p->timer.clock) + ns);
}

void ahci_taskfile(struct ahci_port *p)
{
  const struct ide_drive *d = &p->channel.drive[0];
  p->tfd_status = d->status;
  p->tfd_error = d->error;
}

bool ahci_d2h(struct ahci_port *p, bool interrupt)
{
  const struct ide_drive *d = &p->channel.drive[0];
  ahci_taskfile(p);
  if (!(p->cmd & CMD_FRE))
    return true;
  const uint8_t fis[FIS_SIZE] = {FIS_D2H,        interrupt ? FIS_I : 0, d->status,      d->error,
                                 d->lba[0].cur,  d->lba[1].cur,         d->lba[2].cur,  d->select,
                                 d->lba[0].prev, d->lba[1].prev,        d->lba[2].prev, 0,
                                 d->nsector.cur, d->nsector.prev};
  return ahci_write(p, p->fb + RFIS, fis, sizeof fis);
}

// The command that runs, if any, is forgotten, by the device too.
static void abandon(struct ahci_port *p)
{
  if (ahci_present(p) && p->slot >= 0)
    ide_drive_stop(&p->channel.drive[0]);
  p->slot = -1;
}

static void signature(struct ahci_port *p)
{
  struct ide_drive *d = &p->channel.drive[0];
  p->resetting = false;
  p->sig = d->kind == IDE_CD ? SIG_ATAPI : SIG_ATA;
  p->bus_error = false;
  if (!ahci_d2h(p, false))
    ahci_interrupt(p, IS_HBFS);
  if (p->ci)
    ahci_later(p, IDE_DELAY_NS);
}

static void fire(void *arg)
{
  struct ahci_port *p = arg;
  if (p->resetting)
    signature(p);
  else
    ahci_next_command(p);
}

// The device starts again; its signature comes later.
static void restart(struct ahci_port *p, bool hard)
{
  abandon(p);
  if (!ahci_present(p))
    return;
  ide_drive_reset(&p->channel.drive[0], hard);
  p->tfd_status = ATA_BSY;
  p->tfd_error = 1;
  p->resetting = true;
  ahci_later(p, RESET_NS);
}

static void set_sctl(struct ahci_port *p, uint32_t v)
{
  unsigned was = p->sctl & DET_MASK, is = v & DET_MASK;
  p->sctl = v & 0xfff;
  if (is == was)
    return;
  if (is == DET_RESET || is == DET_OFF) {
    abandon(p);
    timer_cancel(&p->timer);
    p->resetting = false;
    p->sig = NO_SIG;
    p->tfd_status = 0x7f;
  } else if (is == 0 && ahci_present(p)) {
    p->serr |= SERR_X;
    restart(p, true);
  }
}

static void set_cmd(struct ahci_port *p, uint32_t v)
{
  uint32_t was = p->cmd;
  p->cmd = CMD_SUD | CMD_POD | (v & (CMD_ST | CMD_FRE | CMD_ATAPI | 0xc000000));
  if ((v & CMD_CLO) && !(was & CMD_ST))
    p->tfd_status &= (uint8_t) ~(ATA_BSY | ATA_DRQ);
  if ((was & CMD_ST) && !(v & CMD_ST)) {
    abandon(p);
    if (!p->resetting)
      timer_cancel(&p->timer);
    p->ci = 0;
    p->next = 0;
    p->halted = false;
  }
}

static uint32_t cmd(const struct ahci_port *p)
{
  uint32_t running = (p->cmd & CMD_FRE ? CMD_FR : 0) | (p->cmd & CMD_ST ? CMD_CR : 0);
  return p->cmd | running | (p->slot > 0 ? (uint32_t)p->slot << 8 : 0);
}

static uint32_t status(const struct ahci_port *p)
{
  unsigned det = p->sctl & DET_MASK;
  return !ahci_present(p) || det == DET_OFF ? 0 : det == DET_RESET ? 1 : SSTS_LINK;
}

uint32_t ahci_port_read(struct ahci_port *p, unsigned reg)
{
  switch (reg) {
  case PX_CLB:
    return (uint32_t)p->clb;
  case PX_CLBU:
    return (uint32_t)(p->clb >> 32);
  case PX_FB:
    return (uint32_t)p->fb;
  case PX_FBU:
    return (uint32_t)(p->fb >> 32);
  case PX_IS:
    return p->is;
  case PX_IE:
    return p->ie;
  case PX_CMD:
    return cmd(p);
  case PX_TFD:
    return p->tfd_status | (uint32_t)p->tfd_error << 8;
  case PX_SIG:
    return p->sig;
  case PX_SSTS:
    return status(p);
  case PX_SCTL:
    return p->sctl;
  case PX_SERR:
    return p->serr;
  case PX_CI:
    return p->ci;
  default:
    return 0;
  }
}

static void set_half(uint64_t *reg, unsigned off, uint32_t v)
{
  *reg = off & 4 ? (uint32_t)*reg | (uint64_t)v << 32 : (*reg & ~UINT64_C(0xffffffff)) | v;
}

void ahci_port_write(struct ahci_port *p, unsigned reg, uint32_t v)
{
  switch (reg) {
  case PX_CLB:
  case PX_CLBU:
    set_half(&p->clb, reg, reg == PX_CLB ? v & ~0x3ffu : v);
    break;
  case PX_FB:
  case PX_FBU:
    set_half(&p->fb, reg, reg == PX_FB ? v & ~0xffu : v);
    break;
  case PX_IS:
    p->is &= ~(v & IS_WRITABLE);
    break;
  case PX_IE:
    p->ie = v & IE_MASK;
    break;
  case PX_CMD:
    set_cmd(p, v);
    break;
  case PX_SCTL:
    set_sctl(p, v);
    break;
  case PX_SERR:
    p->serr &= ~(v & SERR_ALL);
    break;
  case PX_CI:
    if (p->cmd & CMD_ST) {
      p->ci |= v;
      if (p->ci && p->slot < 0 && !timer_armed(&p->timer))
        ahci_later(p, IDE_DELAY_NS / 4);
    }
    break;
  default:
    break;
  }
  p->is = (p->is & ~(uint32_t)IS_PCS) | (p->serr & SERR_X ? IS_PCS : 0);
}

void ahci_port_init(struct ahci_port *p, struct ahci *h, unsigned index)
{
  p->hba = h;
  p->index = index;
  p->slot = -1;
  p->channel.link = &ahci_link;
  p->channel.drive[0].ch = p->channel.drive[1].ch = &p->channel;
  timer_init(&p->timer, h->clock, fire, p);
  ide_drive_timer(&p->channel.drive[0], h->clock);
}

void ahci_port_reset(struct ahci_port *p)
{
  abandon(p);
  timer_cancel(&p->timer);
  p->clb = p->fb = 0;
  p->is = p->ie = p->sctl = p->serr = p->ci = 0;
  p->cmd = CMD_SUD | CMD_POD;
  p->sig = NO_SIG;
  p->next = 0;
  p->halted = p->resetting = p->srst = p->bus_error = false;
  p->tfd_status = 0x7f;
  p->tfd_error = 0;
  if (!ahci_present(p))
    return;
  // The drive has had its time: firmware that looks at once finds it there.
  ide_drive_reset(&p->channel.drive[0], true);
  p->serr = SERR_X;
  p->is = IS_PCS;
  signature(p);
}
