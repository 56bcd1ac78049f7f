// Placing and writing for the loaders, and the two ways to start. See loader.h.
#include "firmware/loader.h"

#include <stdlib.h>

bool loader_claim(struct loader *l, const char *name, const char *what, uint64_t pa, uint64_t len)
{
  switch (place_claim(&l->place, pa, len)) {
  case PLACE_OK:
    break;
  case PLACE_NOT_RAM:
    return err_set(l->e, "kernel %s: %s at 0x%llx, %llu bytes, is not inside RAM; give more with -m", name,
                   what, (unsigned long long)pa, (unsigned long long)len);
  case PLACE_TAKEN:
    return err_set(l->e, "kernel %s: %s at 0x%llx, %llu bytes, overlaps another part", name, what,
                   (unsigned long long)pa, (unsigned long long)len);
  case PLACE_FULL:
    return err_set(l->e, "kernel %s: too many parts", name);
  }
  if (pa < GB4 && pa + len > l->image_end)
    l->image_end = pa + len;
  return true;
}

bool loader_write(struct loader *l, uint64_t pa, const void *data, uint64_t len)
{
  const struct guest_mem *m = &l->rq->mem;
  if (len && !m->write(m->arg, pa, data, len))
    return err_set(l->e, "no RAM at 0x%llx for %llu bytes; give more with -m", (unsigned long long)pa,
                   (unsigned long long)len);
  return true;
}

uint64_t loader_low(struct loader *l, const void *data, uint64_t len, uint64_t align)
{
  uint64_t pa = place_find(&l->place, len, align, LOW_MIN, LOW_MAX, false);
  if (pa == PLACE_NONE) {
    err_set(l->e, "kernel %s: no room for %llu bytes of boot information in low memory", l->rq->kernel,
            (unsigned long long)len);
    return 0;
  }
  return loader_write(l, pa, data, len) ? pa : 0;
}

uint64_t loader_string(struct loader *l, const char *s)
{
  return loader_low(l, s, strlen(s) + 1, 4);
}

bool loader_initrd(struct loader *l, uint64_t max, uint64_t *pa, uint64_t *len)
{
  *pa = *len = 0;
  if (!l->rq->initrd || !l->rq->initrd[0])
    return true;
  struct image im;
  if (!image_read(&im, "initrd", l->rq->initrd, l->e))
    return false;
  bool ok = true;
  if (max > GB4)
    max = GB4;
  if (im.len) {
    uint64_t at = place_find(&l->place, im.len, 4096, 0x100000, max, true);
    if (at == PLACE_NONE) {
      ok = err_set(l->e, "initrd %s: no room for %llu bytes below 0x%llx; give more RAM with -m", im.name,
                   (unsigned long long)im.len, (unsigned long long)max);
    } else {
      ok = loader_write(l, at, im.data, im.len);
      *pa = at;
      *len = im.len;
    }
  }
  image_free(&im);
  return ok;
}

// The GDT: Linux' boot protocol wants code at 10h and data at 18h (boot.rst, "32-bit boot protocol");
// multiboot leaves the selectors open; PVH wants a TSS.
#define SEL_CODE 0x10
#define SEL_DATA 0x18
#define SEL_TSS  0x20
#define CODE32   0x00cf9b000000ffffull
#define CODE64   0x00af9b000000ffffull
#define DATA     0x00cf93000000ffffull
#define TSS32    0x00008b0000000067ull

static bool start(struct loader *l, uint64_t rip, uint64_t code)
{
  uint8_t gdt[0x28] = {0};
  struct boot_state *st = l->st;
  put64(gdt + SEL_CODE, code);
  put64(gdt + SEL_DATA, DATA);
  put64(gdt + SEL_TSS, TSS32);
  st->gdt_base = loader_low(l, gdt, sizeof gdt, 16);
  if (!st->gdt_base)
    return false;
  st->gdt_limit = sizeof gdt - 1;
  st->cs = SEL_CODE;
  st->ds = SEL_DATA;
  st->tr = SEL_TSS;
  st->cs_desc = code;
  st->ds_desc = DATA;
  st->tr_desc = TSS32;
  st->rip = rip;
  st->rflags = 2;
  return true;
}

bool start_protected(struct loader *l, uint64_t rip)
{
  l->st->mode = BOOT_PROTECTED32;
  l->st->cr0 = 0x11; // PE, ET
  return start(l, rip, CODE32);
}

bool start_long(struct loader *l, uint64_t rip)
{
  enum { PAGES = 6, PRESENT_WRITE = 3, LARGE = 0x80 };
  uint8_t *pt = calloc(PAGES, 4096);
  if (!pt)
    return err_set(l->e, "no memory");
  uint64_t base = place_find(&l->place, PAGES * 4096, 4096, LOW_MIN, LOW_MAX, false);
  bool ok = base != PLACE_NONE;
  if (ok) {
    put64(pt, (base + 4096) | PRESENT_WRITE);
    for (unsigned i = 0; i < 4; i++)
      put64(pt + 4096 + 8 * i, (base + 4096 * (2 + i)) | PRESENT_WRITE);
    for (unsigned i = 0; i < 4 * 512; i++)
      put64(pt + 2 * 4096 + 8 * i, (uint64_t)i << 21 | LARGE | PRESENT_WRITE);
    ok = loader_write(l, base, pt, PAGES * 4096);
  } else {
    err_set(l->e, "kernel %s: no room for page tables in low memory", l->rq->kernel);
  }
  free(pt);
  if (!ok)
    return false;
  l->st->mode = BOOT_LONG64;
  l->st->cr0 = 0x80000011; // PG, PE, ET
  l->st->cr3 = base;
  l->st->cr4 = 0x20;   // PAE
  l->st->efer = 0x500; // LME, LMA
  return start(l, rip, CODE64);
}
