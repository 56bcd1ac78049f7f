// e1000: an Intel 82540EM Gigabit Ethernet controller (8086:100E), as "PCI/PCI-X Family of Gigabit Ethernet
// Controllers Software Developer's Manual" (317453) describes it.
//
// Receive and transmit rings with legacy and extended descriptors, checksum insertion and TCP segmentation,
// receive filters, interrupt throttling, EEPROM (Microwire and EERD), PHY (MDIC). Rings lie in the guest's
// memory: a request that is refused stops the ring, as the chip's does, until the driver resets it; the
// driver sees a queue that hangs, never a frame that was sent.
#ifndef DEVICE_E1000_H
#define DEVICE_E1000_H

#include "base/clock.h"
#include "bus/pci.h"
#include "device/device.h"
#include "device/net.h"
#include "device/net_crc.h"
#include "device/net_tso.h"

#define E1000_REGS   0x6000u  // bytes of the register file that hold something
#define E1000_PACKET 0x10100u // bytes that are gathered before they are cut into frames

struct e1000_eeprom {
  uint16_t word[64];
  uint32_t in;    // bits shifted in since CS
  unsigned count; // of them
  uint16_t out;
  bool data_out, clock;
};

// A context descriptor (3.3.6): where checksums lie and how to cut.
struct e1000_context {
  uint8_t ipcss, ipcso, tucss, tucso, hdrlen, tucmd;
  uint16_t ipcse, tucse, mss;
};

struct e1000_tx {
  struct timer timer;
  struct e1000_context context;
  uint8_t *packet; // E1000_PACKET bytes; owned
  uint32_t len;
  bool extended, segment, too_long;
  uint8_t popts;      // of the packet's first data descriptor
  uint8_t css, cso;   // of a legacy descriptor
  bool insert;        // it asks for a checksum
  struct net_tso tso; // of a packet that is being cut
  bool cutting, waits, broken;
};

struct e1000 {
  struct device device;
  struct pci_func pci;
  struct netdev *net;
  struct timer rx_timer, itr_timer;
  uint64_t last_interrupt; // ns
  bool level, busy;
  bool rx_broken;
  uint8_t mac[6];
  uint32_t ioaddr;
  uint32_t reg[E1000_REGS / 4];
  uint16_t phy[32];
  struct e1000_eeprom eeprom;
  struct e1000_tx tx;
  struct net_crc crc;
};

// -device e1000: netdev, mac, addr, bus.
struct device *e1000_device(const struct device_env *env, struct opts *props, struct err *e);

#endif
