// The firmware configuration device of QEMU's machines: numbered items of bytes that firmware and systems
// read, by ports 510h and 511h byte by byte, or by DMA (port 514h). Items cannot be written.
// Described in the device tree binding "qemu,fw-cfg" and QEMU's specification of the device.
#ifndef CHIPSET_FW_CFG_H
#define CHIPSET_FW_CFG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/dma.h"

enum fw_cfg_key {
  FW_CFG_SIGNATURE = 0x00,
  FW_CFG_ID = 0x01,
  FW_CFG_UUID = 0x02,
  FW_CFG_RAM_SIZE = 0x03,
  FW_CFG_NOGRAPHIC = 0x04,
  FW_CFG_NB_CPUS = 0x05,
  FW_CFG_MACHINE_ID = 0x06,
  FW_CFG_KERNEL_ADDR = 0x07,
  FW_CFG_KERNEL_SIZE = 0x08,
  FW_CFG_KERNEL_CMDLINE = 0x09,
  FW_CFG_INITRD_ADDR = 0x0a,
  FW_CFG_INITRD_SIZE = 0x0b,
  FW_CFG_BOOT_DEVICE = 0x0c,
  FW_CFG_NUMA = 0x0d,
  FW_CFG_BOOT_MENU = 0x0e,
  FW_CFG_MAX_CPUS = 0x0f,
  FW_CFG_KERNEL_ENTRY = 0x10,
  FW_CFG_KERNEL_DATA = 0x11,
  FW_CFG_INITRD_DATA = 0x12,
  FW_CFG_CMDLINE_ADDR = 0x13,
  FW_CFG_CMDLINE_SIZE = 0x14,
  FW_CFG_CMDLINE_DATA = 0x15,
  FW_CFG_SETUP_ADDR = 0x16,
  FW_CFG_SETUP_SIZE = 0x17,
  FW_CFG_SETUP_DATA = 0x18,
  FW_CFG_FILE_DIR = 0x19,
  FW_CFG_FILE_FIRST = 0x20,
  FW_CFG_ARCH_LOCAL = 0x8000,
  FW_CFG_ACPI_TABLES = 0x8000,
  FW_CFG_SMBIOS_ENTRIES = 0x8001,
  FW_CFG_IRQ0_OVERRIDE = 0x8002,
  FW_CFG_E820_TABLE = 0x8003,
  FW_CFG_HPET = 0x8004,
};

struct fw_cfg_item {
  uint16_t key;
  char name[56]; // of a file; empty for others
  uint8_t *data; // owned
  uint32_t len;
};

struct fw_cfg {
  struct dma_port dma; // how it reaches memory
  struct region ports;
  struct fw_cfg_item *items;
  size_t count, room;
  uint16_t selected;
  uint32_t offset; // of the next byte to be read
  uint32_t dma_high;
};

// Makes the items SIGNATURE, ID and FILE_DIR by itself.
bool fw_cfg_init(struct fw_cfg *f, struct bus *bus, const struct dma_port *dma);
void fw_cfg_reset(struct fw_cfg *f);
void fw_cfg_free(struct fw_cfg *f);

// Data is copied; what was there under the same key or name is replaced. False: no memory, the name is longer
// than 55 characters, or there are too many files.
bool fw_cfg_add_bytes(struct fw_cfg *f, uint16_t key, const void *data, size_t len);
bool fw_cfg_add_file(struct fw_cfg *f, const char *name, const void *data, size_t len);
bool fw_cfg_add_string(struct fw_cfg *f, uint16_t key, const char *s); // with its terminating 0
bool fw_cfg_add_u16(struct fw_cfg *f, uint16_t key, uint16_t v);
bool fw_cfg_add_u32(struct fw_cfg *f, uint16_t key, uint32_t v);
bool fw_cfg_add_u64(struct fw_cfg *f, uint16_t key, uint64_t v);

#endif
