// Starting a system without BIOS: finds the loader for the file. See boot.h.
#include "firmware/acpi.h"
#include "firmware/lowmem.h"

#define MIN_RAM 0x200000

static enum load_result (*const loaders[])(struct loader *, const struct image *) = {
    multiboot1_load,
    multiboot2_load,
    elf_load,
    linux_load,
};

bool boot_load(const struct boot_request *rq, struct boot_state *st, struct err *e)
{
  *st = (struct boot_state){0};
  struct loader l = {.rq = rq, .st = st, .e = e, .place = {.map = &st->map}};
  uint64_t tables = rq->acpi ? acpi_direct_size(rq->acpi) : 0;
  if (rq->board->ram_below_4g < MIN_RAM + tables)
    return err_set(e, "-m: too little RAM to start a kernel; give at least 4M");
  struct image im;
  if (!image_read(&im, rq->slb ? "-slb" : "kernel", rq->kernel, e))
    return false;
  st->size = im.len;
  e820_build(&st->map, rq->board->ram_below_4g & ~4095ull, rq->board->ram_above_4g, tables);
  bool ok = lowmem_write(&l);
  enum load_result res = LOAD_NOT_MINE;
  if (ok && rq->slb)
    res = slb_load(&l, &im);
  for (unsigned i = 0; ok && res == LOAD_NOT_MINE && i < sizeof loaders / sizeof loaders[0]; i++)
    res = loaders[i](&l, &im);
  if (ok && res == LOAD_NOT_MINE)
    err_set(e, "kernel %s: is neither a Linux bzImage, nor ELF, nor multiboot", im.name);
  image_free(&im);
  return ok && res == LOAD_OK;
}
