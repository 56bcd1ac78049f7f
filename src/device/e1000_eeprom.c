// What the e1000 reaches by wire: its EEPROM, a 93C46 of 64 words (5.6, 13.4.3), and the PHY, a Marvell
// 88E1011 (13.4.7); see e1000.h. The link is up, at 1000 Mb/s and full duplex, and negotiation is done at
// once.
#include <string.h>

#include "device/e1000_int.h"

enum {
  EECD_SK = 1,
  EECD_CS = 2,
  EECD_DI = 4,
  EECD_DO = 8,
  EECD_REQ = 0x40,
  EECD_GNT = 0x80,
  EECD_PRES = 0x100
};
enum { EERD_START = 1, EERD_DONE = 0x10 };
enum { READ_BITS = 9, READ_OPCODE = 6 }; // start bit, two of the opcode, six of the address

enum { MDIC_WRITE = 1, MDIC_READ = 2, PHY_ADDRESS = 1, MDIC_INTERRUPT = 0x20000000, MDIC_READY = 0x10000000 };
#define MDIC_ERROR 0x40000000u

enum { PHY_CTRL = 0, PHY_STATUS = 1, PHY_ID1 = 2, PHY_ID2 = 3, PHY_LPA = 5, PHY_1000T_STATUS = 10 };
enum { PHY_EXT_STATUS = 15, PHY_SPEC_STATUS = 17 };

void e1000_eeprom_init(struct e1000 *d)
{
  uint16_t *w = d->eeprom.word, sum = 0xbaba;
  for (unsigned i = 0; i < 3; i++)
    w[i] = (uint16_t)(d->mac[2 * i] | d->mac[2 * i + 1] << 8);
  w[0x0a] = 0x4408; // initialization control 1
  w[0x0b] = 0x001e; // subsystem and device identity
  w[0x0c] = 0x8086;
  w[0x0d] = 0x100e;
  w[0x0e] = 0x8086;
  w[0x0f] = 0x3040; // initialization control 2: pause both ways
  w[0x3f] = 0;
  for (unsigned i = 0; i < 0x3f; i++)
    sum = (uint16_t)(sum - w[i]);
  w[0x3f] = sum;
}

uint32_t e1000_eecd_read(const struct e1000 *d)
{
  uint32_t v = e1000_get(d, R_EECD) & (EECD_SK | EECD_CS | EECD_DI | EECD_REQ | 0x30);
  return v | EECD_PRES | (v & EECD_REQ ? EECD_GNT : 0) | (d->eeprom.data_out ? EECD_DO : 0);
}

static void rising_clock(struct e1000_eeprom *m, bool in)
{
  if (m->count >= READ_BITS) {
    m->data_out = m->out >> 15;
    m->out = (uint16_t)(m->out << 1);
  } else if (in || m->count) { // the start bit is a 1
    m->in = m->in << 1 | in;
    if (++m->count == READ_BITS) {
      m->out = m->in >> 6 == READ_OPCODE ? m->word[m->in & 63] : 0xffff;
      m->data_out = false;
    }
  }
}

void e1000_eecd_write(struct e1000 *d, uint32_t v)
{
  struct e1000_eeprom *m = &d->eeprom;
  *e1000_reg(d, R_EECD) = v;
  if (!(v & EECD_CS)) {
    m->in = m->count = 0;
    m->data_out = true; // ready
  } else if ((v & EECD_SK) && !m->clock) {
    rising_clock(m, v & EECD_DI);
  }
  m->clock = v & EECD_SK;
}

uint32_t e1000_eerd(const struct e1000 *d, uint32_t v)
{
  if (!(v & EERD_START))
    return v & 0xff00;
  uint32_t addr = v >> 8 & 0xff;
  return (uint32_t)(addr < 64 ? d->eeprom.word[addr] : 0xffff) << 16 | addr << 8 | EERD_DONE;
}

void e1000_phy_reset(struct e1000 *d)
{
  static const struct {
    uint8_t reg;
    uint16_t v;
  } init[] = {{PHY_CTRL, 0x1140},
              {PHY_STATUS, 0x796d},
              {PHY_ID1, 0x0141},
              {PHY_ID2, 0x0c20},
              {4, 0x0de1},
              {PHY_LPA, 0x45e1},
              {6, 0x0001},
              {9, 0x0e00},
              {PHY_1000T_STATUS, 0x7c00},
              {PHY_EXT_STATUS, 0x3000},
              {16, 0x0360},
              {PHY_SPEC_STATUS, 0xac08},
              {20, 0x0d60}};
  memset(d->phy, 0, sizeof d->phy);
  for (unsigned i = 0; i < sizeof init / sizeof init[0]; i++)
    d->phy[init[i].reg] = init[i].v;
}

static void phy_write(struct e1000 *d, unsigned reg, uint16_t v)
{
  switch (reg) {
  case PHY_CTRL:
    if (v & 0x8000) // reset
      e1000_phy_reset(d);
    else
      d->phy[reg] = v & 0x7dff; // restarting the negotiation is done
    if (v & 0x8200)
      e1000_cause(d, ICR_LSC);
    break;
  case PHY_STATUS:
  case PHY_ID1:
  case PHY_ID2:
  case PHY_LPA:
  case PHY_1000T_STATUS:
  case PHY_EXT_STATUS:
  case PHY_SPEC_STATUS:
    break;
  default:
    d->phy[reg] = v;
    break;
  }
}

uint32_t e1000_mdic(struct e1000 *d, uint32_t v)
{
  unsigned op = v >> 26 & 3, address = v >> 21 & 31, reg = v >> 16 & 31;
  uint32_t result = (v & ~(MDIC_ERROR | 0xffffu)) | MDIC_READY;
  if (op == MDIC_WRITE && address == PHY_ADDRESS) {
    phy_write(d, reg, (uint16_t)v);
    result |= v & 0xffff;
  } else if (op == MDIC_READ && address == PHY_ADDRESS) {
    result |= d->phy[reg];
  } else {
    result |= MDIC_ERROR | 0xffff;
  }
  if (v & MDIC_INTERRUPT)
    e1000_cause(d, ICR_MDAC);
  return result;
}
