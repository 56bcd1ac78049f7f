// Firmware configuration device; see fw_cfg.h.
#include "chipset/fw_cfg.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum {
  PORT = 0x510,
  PORTS = 12, // selector, data, DMA address
  DMA_HIGH = 4,
  DMA_LOW = 8,
  FILES_MAX = 256,

  FEATURE_PORTS = 1,
  FEATURE_DMA = 2,

  CONTROL_ERROR = 1,
  CONTROL_READ = 2,
  CONTROL_SKIP = 4,
  CONTROL_SELECT = 8,
  CONTROL_WRITE = 16,
};

static struct fw_cfg_item *find(const struct fw_cfg *f, uint16_t key)
{
  for (size_t i = 0; i < f->count; i++) {
    if (f->items[i].key == key)
      return &f->items[i];
  }
  return NULL;
}

static bool set_item(struct fw_cfg *f, uint16_t key, const char *name, const void *data, size_t len)
{
  if (len > UINT32_MAX)
    return false;
  struct fw_cfg_item *item = find(f, key);
  if (!item && f->count == f->room) {
    size_t room = f->room ? 2 * f->room : 32;
    struct fw_cfg_item *items = realloc(f->items, room * sizeof *items);
    if (!items)
      return false;
    f->items = items;
    f->room = room;
  }
  uint8_t *copy = malloc(len ? len : 1);
  if (!copy)
    return false;
  if (len)
    memcpy(copy, data, len);
  if (item) {
    free(item->data);
  } else {
    item = &f->items[f->count++];
    *item = (struct fw_cfg_item){.key = key};
    strcpy(item->name, name);
  }
  item->data = copy;
  item->len = (uint32_t)len;
  return true;
}

bool fw_cfg_add_bytes(struct fw_cfg *f, uint16_t key, const void *data, size_t len)
{
  return set_item(f, key, "", data, len);
}

bool fw_cfg_add_string(struct fw_cfg *f, uint16_t key, const char *s)
{
  return set_item(f, key, "", s, strlen(s) + 1);
}

bool fw_cfg_add_u16(struct fw_cfg *f, uint16_t key, uint16_t v)
{
  v = htole16(v);
  return set_item(f, key, "", &v, sizeof v);
}

bool fw_cfg_add_u32(struct fw_cfg *f, uint16_t key, uint32_t v)
{
  v = htole32(v);
  return set_item(f, key, "", &v, sizeof v);
}

bool fw_cfg_add_u64(struct fw_cfg *f, uint16_t key, uint64_t v)
{
  v = htole64(v);
  return set_item(f, key, "", &v, sizeof v);
}

// A row of the file directory; numbers are big-endian.
struct file_row {
  uint32_t size;
  uint16_t select, reserved;
  char name[56];
};
_Static_assert(sizeof(struct file_row) == 64, "a row of the directory has 64 bytes");

static bool make_directory(struct fw_cfg *f)
{
  size_t n = 0;
  for (size_t i = 0; i < f->count; i++)
    n += f->items[i].name[0] != 0;
  size_t len = sizeof(uint32_t) + n * sizeof(struct file_row);
  uint8_t *dir = calloc(1, len);
  if (!dir)
    return false;
  uint32_t count = htobe32((uint32_t)n);
  memcpy(dir, &count, sizeof count);
  uint8_t *p = dir + sizeof count;
  for (size_t i = 0; i < f->count; i++) {
    const struct fw_cfg_item *item = &f->items[i];
    if (!item->name[0])
      continue;
    struct file_row row = {.size = htobe32(item->len), .select = htobe16(item->key)};
    memcpy(row.name, item->name, sizeof row.name);
    memcpy(p, &row, sizeof row);
    p += sizeof row;
  }
  bool good = set_item(f, FW_CFG_FILE_DIR, "", dir, len);
  free(dir);
  return good;
}

bool fw_cfg_add_file(struct fw_cfg *f, const char *name, const void *data, size_t len)
{
  unsigned files = 0;
  uint16_t key = 0;
  if (!*name || strlen(name) >= sizeof f->items->name)
    return false;
  for (size_t i = 0; i < f->count; i++) {
    files += f->items[i].name[0] != 0;
    if (strcmp(f->items[i].name, name) == 0)
      key = f->items[i].key;
  }
  if (!key) {
    if (files == FILES_MAX)
      return false;
    key = (uint16_t)(FW_CFG_FILE_FIRST + files);
  }
  return set_item(f, key, name, data, len) && make_directory(f);
}

// The next bytes of the selected item; what lies behind its end reads 0. Returns how many are data.
static uint32_t take(struct fw_cfg *f, const uint8_t **data, uint32_t most)
{
  const struct fw_cfg_item *item = find(f, f->selected);
  uint32_t n = item && f->offset < item->len ? item->len - f->offset : 0;
  n = n < most ? n : most;
  *data = n ? item->data + f->offset : NULL;
  f->offset += n;
  return n;
}

static void select_item(struct fw_cfg *f, uint16_t key)
{
  f->selected = key & ~0x4000; // the write channel bit selects nothing of its own
  f->offset = 0;
}

// To memory: the item's bytes, then zeros.
static bool dma_to_memory(struct fw_cfg *f, uint64_t addr, uint32_t len)
{
  static const uint8_t zeros[4096];
  const uint8_t *data;
  uint32_t n = take(f, &data, len);
  if (n && dma_write(&f->dma, addr, data, n) != TXN_OK)
    return false;
  while (n < len) {
    uint32_t part = len - n < sizeof zeros ? len - n : (uint32_t)sizeof zeros;
    if (dma_write(&f->dma, addr + n, zeros, part) != TXN_OK)
      return false;
    n += part;
  }
  return true;
}

static void dma_run(struct fw_cfg *f, uint64_t at)
{
  struct {
    uint32_t control, length;
    uint64_t address;
  } access;
  uint32_t result = 0;
  if (dma_read(&f->dma, at, &access, sizeof access) != TXN_OK)
    return;
  uint32_t control = be32toh(access.control), length = be32toh(access.length);
  const uint8_t *data;
  if (control & CONTROL_SELECT)
    select_item(f, (uint16_t)(control >> 16));
  if (control & CONTROL_READ) {
    if (!dma_to_memory(f, be64toh(access.address), length))
      result = CONTROL_ERROR;
  } else if (control & CONTROL_WRITE) {
    result = CONTROL_ERROR;
  } else if (control & CONTROL_SKIP) {
    take(f, &data, length);
  }
  result = htobe32(result);
  dma_write(&f->dma, at, &result, sizeof result);
}

static uint64_t fw_cfg_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct fw_cfg *f = dev;
  const uint8_t *data;
  if (off == 1)
    return take(f, &data, 1) ? *data : 0;
  if (off >= DMA_HIGH) { // the device's signature, big-endian
    uint64_t signature;
    memcpy(&signature, "QEMU CFG", sizeof signature);
    return signature >> (8 * (off - DMA_HIGH));
  }
  return 0;
}

static void fw_cfg_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct fw_cfg *f = dev;
  if (off == 0) {
    select_item(f, (uint16_t)value);
  } else if (off == DMA_HIGH && size == 4) {
    f->dma_high = be32toh((uint32_t)value);
  } else if (off == DMA_LOW && size == 4) {
    uint64_t at = (uint64_t)f->dma_high << 32 | be32toh((uint32_t)value);
    f->dma_high = 0;
    dma_run(f, at);
  }
}

static const struct bus_ops fw_cfg_ops = {.read = fw_cfg_read, .write = fw_cfg_write, .max_size = 4};

bool fw_cfg_init(struct fw_cfg *f, struct bus *bus, const struct dma_port *dma)
{
  *f = (struct fw_cfg){.dma = *dma};
  bus_map_ports(bus, &f->ports, "fw_cfg", PORT, PORTS, &fw_cfg_ops, f);
  fw_cfg_reset(f);
  return fw_cfg_add_bytes(f, FW_CFG_SIGNATURE, "QEMU", 4) &&
         fw_cfg_add_u32(f, FW_CFG_ID, FEATURE_PORTS | FEATURE_DMA) && make_directory(f);
}

void fw_cfg_reset(struct fw_cfg *f)
{
  f->selected = 0;
  f->offset = 0;
  f->dma_high = 0;
}

void fw_cfg_free(struct fw_cfg *f)
{
  for (size_t i = 0; i < f->count; i++)
    free(f->items[i].data);
  free(f->items);
  f->items = NULL;
  f->count = f->room = 0;
}
