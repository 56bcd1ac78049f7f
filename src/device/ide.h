// The IDE function of the PIIX3 (Intel 82371SB, 8086:7010): two channels, up to four drives, bus mastering.
//
// Drives follow ATA/ATAPI-6 (T13/1410D); CD-ROM drives take MMC-3 packets. A command takes time: it
// finishes by a timer on the virtual clock, a fixed delay plus a little for each byte, so interrupts
// arrive asynchronously, as from hardware, and always at the same moment. One timer event moves at most
// IDE_BUFFER bytes, or IDE_DIRECT where they need no buffer, so no command keeps the host busy for long.
#ifndef DEVICE_IDE_H
#define DEVICE_IDE_H

#include "base/clock.h"
#include "bus/bus.h"
#include "bus/irq.h"
#include "bus/pci.h"
#include "device/block.h"
#include "device/device.h"

#define IDE_BUFFER 65536u // bytes; 32 CD sectors, 128 disk sectors
#define IDE_DIRECT (1u << 20)

enum ide_kind { IDE_NONE, IDE_HD, IDE_CD };

enum bm_result { // of moving a piece of data by DMA
  BM_DONE,       // all bytes moved
  BM_WAIT,       // the descriptors have run out, or the bus master was stopped
  BM_AGAIN,      // the work of one event is done; call again
  BM_ABORTED,
};

enum { // status register
  ATA_ERR = 0x01,
  ATA_DRQ = 0x08,
  ATA_DSC = 0x10,
  ATA_DF = 0x20,
  ATA_DRDY = 0x40,
  ATA_BSY = 0x80,
};

enum { // error register
  ATA_ABRT = 0x04,
  ATA_IDNF = 0x10,
  ATA_UNC = 0x40,
  ATA_ICRC = 0x80,
};

// A register of the command block with its previous content (the high order byte of 48-bit commands).
struct ide_reg {
  uint8_t cur, prev;
};

struct ide_channel;

struct atapi {
  uint8_t packet[12];
  uint8_t key, asc, ascq; // sense data of the last command
  bool attention;         // a unit attention is pending, with these codes
  uint8_t att_asc, att_ascq;
  bool locked, tray_open;
  uint8_t event;        // media event not yet reported
  uint32_t lba, blocks; // still to be loaded into the buffer
  uint32_t limit;       // byte count limit of one DRQ
  uint16_t block_size;  // 2048, or 2352 for raw reads
  bool dma;
};

struct ide_drive {
  struct ide_channel *ch;
  enum ide_kind kind;
  struct blockdev *blk; // NULL: no medium (CD only)
  char model[41], serial[21], firmware[9];
  // Registers.
  struct ide_reg feature, nsector, lba[3];
  uint8_t select, status, error, command;
  bool intrq;
  // The command in progress.
  struct timer timer;
  void (*after)(struct ide_drive *d);   // when the timer fires
  void (*drained)(struct ide_drive *d); // when the host has read or filled the PIO buffer
  uint8_t *buf;
  uint32_t buf_len, buf_pos;
  bool pio_out;    // the host writes
  uint64_t sector; // next one
  uint32_t left;   // sectors still to transfer
  uint32_t block;  // sectors in one DRQ
  bool lba48, lba_mode;
  bool dma_wait;  // a DMA transfer waits for the bus master to be started
  bool dma_write; // from memory to the drive
  bool fua;
  // Settings.
  unsigned heads, spt, cylinders; // current translation
  unsigned multiple;              // sectors per DRQ of the MULTIPLE commands, 0: off
  uint8_t xfer_mode;
  bool write_cache;
  struct atapi atapi;
  struct device device;
};

// How a drive is connected that does not sit on a PIIX3 channel: what takes the place of registers, bus
// master and interrupt line.
struct ide_link {
  enum bm_result (*move)(struct ide_drive *d); // DMA: as bm_move
  // DMA of at most *sectors without the buffer; *sectors becomes how many were moved, *err is 0 or -errno.
  // False: it takes the buffer, and nothing has happened. NULL: always.
  bool (*direct)(struct ide_drive *d, uint32_t *sectors, int *err);
  // PIO: moves buf[buf_pos..buf_len), then calls drained. intr: the host is told that data has come.
  void (*pio)(struct ide_drive *d, bool intr);
  void (*done)(struct ide_drive *d, bool intr); // a command has ended; status and error say how
};

struct ide_channel {
  const struct ide_link *link; // NULL: that of the PIIX3
  struct ide *ide;
  struct ide_drive drive[2];
  unsigned unit; // selected
  uint8_t control;
  bool line; // level of the interrupt line
  struct irq irq;
  struct region cmd, ctl;
  // Bus master (82371SB 2.7).
  uint8_t bm_cmd, bm_status;
  uint32_t bm_prdt;
  uint32_t prd_next; // address of the next descriptor
  uint32_t prd_addr;
  uint32_t prd_left; // bytes left in the current one
  bool prd_last;
};

struct ide {
  struct device device;
  struct pci_func pci;
  struct clock *clock;
  struct log *log;
  struct ide_channel ch[2];
};

// Makes the function at devfn (device << 3 | function). irq: lines 14 and 15.
struct ide *ide_create(struct pci_bus *pb, uint8_t devfn, struct clock *clock, const struct irq irq[2],
                       struct log *log, struct err *e);
void ide_reset(struct ide *ide);
void ide_free(struct ide *ide); // drives' block devices stay with their owner

struct ide_props {
  const char *serial; // NULL: one made from the position
  const char *model;
  const char *version;
};
// Makes a drive on a channel that has a link; place is its name for messages, number that of its serial.
void ide_drive_timer(struct ide_drive *d, struct clock *clock);
bool ide_drive_init(struct ide_drive *d, enum ide_kind kind, struct blockdev *blk,
                    const struct ide_props *props, const char *place, unsigned number, struct err *e);
void ide_drive_free(struct ide_drive *d);
// Puts a drive at channel 0..1, unit 0..1. blk may be NULL for a CD drive without a disc.
bool ide_attach(struct ide *ide, unsigned channel, unsigned unit, enum ide_kind kind, struct blockdev *blk,
                const struct ide_props *props, struct err *e);
// The first free place of QEMU's order for index=N (channel N/2, unit N%2), or -1.
int ide_free_place(const struct ide *ide);
// Changes the disc (NULL: takes it out). Fails while the guest has locked the tray, unless forced.
bool ide_change_medium(struct ide_drive *d, struct blockdev *blk, bool force, struct err *e);

// -device ide-hd / ide-cd. The drive is part of its controller and is freed before it. Properties: drive=,
// bus=ide.N or the port ID.N of an AHCI controller with id=ID, unit=, serial=, model=, ver=.
struct device *ide_hd_create(const struct device_env *env, struct opts *props, struct err *e);
struct device *ide_cd_create(const struct device_env *env, struct opts *props, struct err *e);

#endif
