// A multiboot 1 image as a guest's kernel: ELF, or with the address fields of its header (spec 0.6.96, 3.1).
#include "guest/load.h"

#include "svm/vcpu.h"

enum {
  MAGIC = 0x1badb002,
  BOOTED = 0x2badb002,
  ADDRESSES = 1 << 16,
  SEARCH = 8192,
  INFO_MEMORY = 1,
  INFO_TEXT = 4,
  INFO_MODULES = 8,
  INFO_MAP = 0x40
};

static const uint32_t *header(const struct image *i)
{
  for (uint64_t at = 0; at + 48 <= i->size && at < SEARCH; at += 4) {
    const uint32_t *h = (const void *)(i->data + at);
    if (h[0] == MAGIC && h[0] + h[1] + h[2] == 0)
      return h;
  }
  return NULL;
}

bool multiboot_is(const struct image *i)
{
  return header(i) != NULL;
}

static bool by_addresses(struct guest *g, const struct image *i, const uint32_t *h, uint64_t *entry)
{
  uint64_t offset = addr(h) - addr(i->data), skip = h[3] - h[4];
  if (h[4] > h[3] || skip > offset)
    return false;
  offset -= skip;
  uint64_t size = h[5] ? (uint64_t)h[5] - h[4] : i->size - offset, end = h[6] ? h[6] : h[4] + size;
  if (size > i->size - offset || end < h[4] + size || !guest_ptr(g, h[4], end - h[4]))
    return false;
  memcpy(guest_ptr(g, h[4], size), i->data + offset, size);
  memset(guest_ptr(g, h[4] + size, end - h[4] - size), 0, end - h[4] - size);
  *entry = h[7];
  return true;
}

const char *multiboot_load(struct guest *g, const struct image *kernel, const struct image *initrd)
{
  const uint32_t *h = header(kernel);
  struct elf e = {0};
  bool loaded = h[1] & ADDRESSES ? by_addresses(g, kernel, h, &e.entry) : load_elf(g, kernel, &e, 0);
  if (!loaded)
    return "its multiboot image does not fit into its memory";
  uint32_t *info = guest_ptr(g, LOW_INFO, 4096);
  memset(info, 0, 4096);
  copy_string(guest_ptr(g, LOW_TEXT, 4096), 4096, g->config->append);
  struct e820 map[8];
  unsigned n = load_e820(g, map);
  uint8_t *to = (uint8_t *)info + 0x200;
  for (unsigned i = 0; i < n; i++, to += 24) {
    *(uint32_t *)to = 20;
    memcpy(to + 4, &map[i], 20);
  }
  const struct slot *s = &g->slot[g->slots - 1];
  info[0] = INFO_MEMORY | INFO_TEXT | INFO_MAP;
  info[1] = LOW_END / 1024;
  info[2] = (uint32_t)((s->gpa + s->size - MB) / 1024);
  info[4] = LOW_TEXT;
  info[11] = n * 24;
  info[12] = LOW_INFO + 0x200;
  if (initrd->size) {
    uint64_t at = ALIGN_DOWN(s->gpa + s->size - initrd->size, PAGE_SIZE);
    if (s->size < initrd->size || at >= 4 * GB || !load_copy(g, at, initrd->data, initrd->size))
      return "its initrd does not fit into its memory";
    info[0] |= INFO_MODULES;
    info[5] = 1;
    info[6] = LOW_INFO + 0x100;
    info[64] = (uint32_t)at;
    info[65] = (uint32_t)(at + initrd->size);
  }
  struct vcpu *v = g->vcpu[0];
  vcpu_protected_mode(v, e.entry);
  v->reg[RAX] = BOOTED;
  v->reg[RBX] = LOW_INFO;
  return NULL;
}
