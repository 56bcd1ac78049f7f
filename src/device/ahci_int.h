// What the files of the AHCI controller share; see ahci.h. Names are those of AHCI 1.3.1, chapter 3.
#ifndef DEVICE_AHCI_INT_H
#define DEVICE_AHCI_INT_H

#include "device/ahci.h"
#include "device/ide_int.h"

enum { // generic host control
  HBA_CAP = 0x00,
  HBA_GHC = 0x04,
  HBA_IS = 0x08,
  HBA_PI = 0x0c,
  HBA_VS = 0x10,
  HBA_PORTS = 0x100, // + 80h for each
  HBA_PORT_SIZE = 0x80,
  HBA_SIZE = 0x1000,

  GHC_HR = 1,
  GHC_IE = 2,
};
#define GHC_AE 0x80000000u

enum { // port registers
  PX_CLB = 0x00,
  PX_CLBU = 0x04,
  PX_FB = 0x08,
  PX_FBU = 0x0c,
  PX_IS = 0x10,
  PX_IE = 0x14,
  PX_CMD = 0x18,
  PX_TFD = 0x20,
  PX_SIG = 0x24,
  PX_SSTS = 0x28,
  PX_SCTL = 0x2c,
  PX_SERR = 0x30,
  PX_SACT = 0x34,
  PX_CI = 0x38,
};

enum { // PxCMD
  CMD_ST = 1,
  CMD_SUD = 2,
  CMD_POD = 4,
  CMD_CLO = 8,
  CMD_FRE = 0x10,
  CMD_FR = 0x4000,
  CMD_CR = 0x8000,
  CMD_ATAPI = 0x1000000,
};

enum { // PxIS
  IS_DHRS = 1,
  IS_PSS = 2,
  IS_PCS = 0x40,
  IS_OFS = 0x1000000,
  IS_HBFS = 0x20000000,
  IS_TFES = 0x40000000,
  IS_WRITABLE = IS_DHRS | IS_PSS | IS_OFS | IS_HBFS | IS_TFES,
};
#define IE_MASK  0x7dc000ffu
#define SERR_X   0x04000000u // DIAG: exchanged
#define SERR_ALL 0x07ff0f03u

enum { // command header, word 0
  HEADER_A = 0x20,
  HEADER_R = 0x100,
};

// ahci.c
void ahci_interrupt(struct ahci_port *p, uint32_t is); // sets bits of PxIS
bool ahci_read(struct ahci_port *p, uint64_t addr, void *buf, uint32_t len);
bool ahci_write(struct ahci_port *p, uint64_t addr, const void *buf, uint32_t len);

// ahci_port.c
uint32_t ahci_port_read(struct ahci_port *p, unsigned reg);
void ahci_port_write(struct ahci_port *p, unsigned reg, uint32_t v);
void ahci_port_init(struct ahci_port *p, struct ahci *h, unsigned index);
void ahci_port_reset(struct ahci_port *p); // of the whole controller
static inline bool ahci_present(const struct ahci_port *p)
{
  return p->channel.drive[0].kind != IDE_NONE;
}
// The device's registers, as a register FIS in memory and in PxTFD.
bool ahci_d2h(struct ahci_port *p, bool interrupt);
void ahci_taskfile(struct ahci_port *p);
void ahci_later(struct ahci_port *p, uint64_t ns);

// ahci_cmd.c
extern const struct ide_link ahci_link;
void ahci_next_command(struct ahci_port *p);

#endif
