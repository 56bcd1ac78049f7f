// An AHCI controller with six SATA ports, as the Intel ICH9 has it (8086:2922; AHCI 1.3.1).
//
// Disks and CD-ROM drives are those of ide.h: a port hands a command FIS to a drive's registers and moves its
// data along the command's descriptors (struct ide_link). One command a port runs at a time; native command
// queuing is not offered (CAP.SNCQ = 0), nor are port multipliers. What lies in memory is the guest's word: a
// request that nobody answers, or that is refused, stops the port with PxIS.HBFS and an error in the task
// file.
#ifndef DEVICE_AHCI_H
#define DEVICE_AHCI_H

#include "base/clock.h"
#include "bus/pci.h"
#include "device/device.h"
#include "device/ide.h"

#define AHCI_PORTS 6u
#define AHCI_SLOTS 32u
#define AHCI_PRDS  256u // descriptors that are read at once

struct ahci;

struct ahci_port {
  struct ahci *hba;
  unsigned index;
  struct ide_channel channel; // drive[0] is the device
  struct timer timer;         // takes the next command, or ends a reset
  // Registers.
  uint64_t clb, fb;
  uint32_t is, ie, cmd, sig, sctl, serr, ci;
  uint8_t tfd_status, tfd_error;
  // The command in progress.
  unsigned next;      // slot to look at first
  int slot;           // -1: none
  bool halted;        // after an error, until PxCMD.ST is cleared
  bool resetting;     // the signature comes when the timer fires
  bool srst;          // the last control FIS had SRST set
  bool bus_error;     // a request of this command was refused
  uint32_t header[4]; // of the command
  uint64_t table;     // its command table
  uint32_t prd, prds; // current descriptor, number of them
  uint32_t prd_done;  // bytes of the current one
  uint32_t moved;     // bytes in all
  // Those that were read: from number prd_first on.
  uint32_t prd_first, prds_read;
  struct dma_range range[AHCI_PRDS];
  bool packet_taken;
};

struct ahci {
  struct device device;
  struct pci_func pci;
  struct clock *clock;
  struct log *log;
  uint32_t ghc, is;
  bool busy; // a request of ours is under way: our registers do not answer
  struct ahci_port port[AHCI_PORTS];
};

// -device ich9-ahci (ahci): addr, bus.
struct device *ahci_device(const struct device_env *env, struct opts *props, struct err *e);
void ahci_free(struct ahci *h);
// Puts a drive at a port.
bool ahci_attach(struct ahci *h, unsigned port, enum ide_kind kind, struct blockdev *blk,
                 const struct ide_props *props, struct err *e);
// The first port without a drive, or -1.
int ahci_free_port(const struct ahci *h);

#endif
