// What the files of the e1000 share; see e1000.h. Names are those of the manual, chapter 13.
#ifndef DEVICE_E1000_INT_H
#define DEVICE_E1000_INT_H

#include "device/e1000.h"

enum {
  R_CTRL = 0x0000,
  R_STATUS = 0x0008,
  R_EECD = 0x0010,
  R_EERD = 0x0014,
  R_MDIC = 0x0020,
  R_ICR = 0x00c0,
  R_ITR = 0x00c4,
  R_ICS = 0x00c8,
  R_IMS = 0x00d0,
  R_IMC = 0x00d8,
  R_RCTL = 0x0100,
  R_TCTL = 0x0400,
  R_PBA = 0x1000,
  R_RDBAL = 0x2800,
  R_RDBAH = 0x2804,
  R_RDLEN = 0x2808,
  R_RDH = 0x2810,
  R_RDT = 0x2818,
  R_TDBAL = 0x3800,
  R_TDBAH = 0x3804,
  R_TDLEN = 0x3808,
  R_TDH = 0x3810,
  R_TDT = 0x3818,
  R_STATS = 0x4000, // to 40FC: cleared by reading
  R_GPRC = 0x4074,
  R_BPRC = 0x4078,
  R_MPRC = 0x407c,
  R_GPTC = 0x4080,
  R_GORCL = 0x4088,
  R_GOTCL = 0x4090,
  R_TPR = 0x40d0,
  R_TPT = 0x40d4,
  R_STATS_END = 0x4100,
  R_RXCSUM = 0x5000,
  R_MTA = 0x5200,
  R_RAL = 0x5400,
  R_VFTA = 0x5600,

  CTRL_SLU = 0x40,
  CTRL_RST = 0x4000000,
  STATUS_LINK = 0x83, // full duplex, link up, 1000 Mb/s

  RCTL_EN = 2,
  RCTL_UPE = 8,
  RCTL_MPE = 0x10,
  RCTL_BAM = 0x8000,
  RCTL_VFE = 0x40000,
  RCTL_BSEX = 0x2000000,
  RCTL_SECRC = 0x4000000,
  TCTL_EN = 2,

  ICR_TXDW = 1,
  ICR_TXQE = 2,
  ICR_LSC = 4,
  ICR_RXDMT0 = 0x10,
  ICR_RXT0 = 0x80,
  ICR_MDAC = 0x200,
};
#define CTRL_PHY_RST 0x80000000u

static inline uint32_t *e1000_reg(struct e1000 *d, unsigned off)
{
  return &d->reg[off / 4];
}
static inline uint32_t e1000_get(const struct e1000 *d, unsigned off)
{
  return d->reg[off / 4];
}

// e1000.c
void e1000_cause(struct e1000 *d, uint32_t bits); // sets bits of ICR
void e1000_count(struct e1000 *d, unsigned stat, uint32_t n);
bool e1000_read_mem(struct e1000 *d, uint64_t addr, void *buf, uint32_t len);
bool e1000_write_mem(struct e1000 *d, uint64_t addr, const void *buf, uint32_t len);
// A ring: entries of 16 bytes; false: it has none, or head or tail lie outside.
struct e1000_ring {
  uint64_t base;
  uint32_t entries, head, tail;
};
bool e1000_ring(const struct e1000 *d, unsigned base, struct e1000_ring *r);

// e1000_eeprom.c
void e1000_eeprom_init(struct e1000 *d);
uint32_t e1000_eecd_read(const struct e1000 *d);
void e1000_eecd_write(struct e1000 *d, uint32_t v);
uint32_t e1000_eerd(const struct e1000 *d, uint32_t v);
void e1000_phy_reset(struct e1000 *d);
uint32_t e1000_mdic(struct e1000 *d, uint32_t v);

// e1000_rx.c
extern const struct net_user e1000_net;
void e1000_rx_fire(void *arg);

// e1000_tx.c
void e1000_tx_fire(void *arg);
void e1000_tx_start(struct e1000 *d);
void e1000_tx_reset(struct e1000 *d);

#endif
