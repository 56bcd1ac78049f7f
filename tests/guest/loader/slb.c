// The secure loader: what SKINIT has measured, and what answers for everything after it.
//
// 1. Devices are shut out of the block, of the next stage and of the modules by a DEV table; then the block
// is opened, to
//    this code alone. 2. The TPM measures the next stage and its configuration into PCR 18. 3. The next stage
//    starts.
// Measured after the exclusion, so that no device can change it in between.
#include "slb.h"

enum { SLB_SIZE = 0x10000, TABLE_SIZE = 0x20000, RANGES = 16, MODULES = 12 };

extern const char slb_length[]; // an offset, which is the length

void loader(uint32_t slb);

static bool sane(const struct module *m)
{
  return m->start >= 0x100000 && m->start < m->end;
}

static bool collect(const struct params *p, uint32_t slb, struct range *r, unsigned *n)
{
  const struct multiboot *mb = (const struct multiboot *)p->multiboot;
  if (p->magic != PARAMS_MAGIC || !(mb->flags & MULTIBOOT_MODS) || mb->mods_count < 1 ||
      mb->mods_count > MODULES || p->table < 0x100000 || p->table & 0xfff ||
      overlap(p->table, p->table + TABLE_SIZE, slb, slb + SLB_SIZE))
    return false;
  const struct module *mod = (const struct module *)mb->mods_addr;
  *n = 0;
  r[(*n)++] = (struct range){slb, slb + SLB_SIZE};
  for (unsigned i = 0; i < mb->mods_count; i++) {
    if (!sane(&mod[i]) || overlap(mod[i].start, mod[i].end, slb, slb + SLB_SIZE) ||
        overlap(mod[i].start, mod[i].end, p->table, p->table + TABLE_SIZE))
      return false;
    r[(*n)++] = (struct range){mod[i].start, mod[i].end};
  }
  return elf_extent((const uint8_t *)mod[0].start, mod[0].end - mod[0].start, &r[(*n)++]);
}

static void show(unsigned pcr)
{
  uint8_t digest[32];
  unsigned n = tpm_read(pcr, digest);
  print(pcr == 17 ? "loader: PCR 17 " : "loader: PCR 18 ");
  print_bytes(digest, n);
  print("\n");
}

static bool measure(const struct multiboot *mb)
{
  const struct module *mod = (const struct module *)mb->mods_addr;
  if (!tpm_open()) {
    print("loader: no TPM\n");
    return true; // as on hardware: it starts, and nobody can attest it
  }
  bool ok = true;
  for (unsigned i = 0; i < 2 && i < mb->mods_count; i++)
    ok = ok && tpm_measure(18, (const uint8_t *)mod[i].start, mod[i].end - mod[i].start);
  show(17);
  show(18);
  tpm_close();
  return ok;
}

void loader(uint32_t slb)
{
  uint32_t at = ((uint32_t)(slb + (uint32_t)slb_length) + 15) & ~15u;
  const struct params *p = (const struct params *)at;
  struct multiboot *mb = (struct multiboot *)p->multiboot;
  struct range r[RANGES];
  unsigned n;
  print("loader: started\n");
  if (!collect(p, slb, r, &n)) {
    print("loader: the launcher's parameters are wrong\n");
    return;
  }
  if (!dev_protect((uint8_t *)p->table, r, n)) {
    print("loader: the exclusion table was changed while it was built\n");
    return;
  }
  print("loader: devices are kept out by DEV, the block is open\n");
  if (!measure(mb)) {
    print("loader: the TPM did not measure\n");
    return;
  }
  struct module *mod = (struct module *)mb->mods_addr;
  r[n - 1] = (struct range){p->table, p->table + TABLE_SIZE}; // in place of the stage's own extent
  uint32_t entry = elf_load((const uint8_t *)mod[0].start, mod[0].end - mod[0].start, r, n);
  if (!entry) {
    print("loader: the next stage is no ELF file that fits\n");
    return;
  }
  mb->mods_count--;
  mb->mods_addr += sizeof *mod;
  print("loader: next stage\n");
  enter(entry, (uint32_t)mb);
}
