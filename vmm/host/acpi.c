// Tables are read once at the start. A table that is missing leaves one CPU, one node, the usual addresses.
#include "host/acpi.h"

#include "host/print.h"
#include "host/x86.h"

struct __attribute__((packed)) table {
  char signature[4];
  uint32_t length;
  uint8_t revision, checksum;
  char oem_id[6], oem_table_id[8];
  uint32_t oem_revision, creator, creator_revision;
};

enum {
  MADT_LAPIC,
  MADT_IOAPIC,
  MADT_OVERRIDE,
  MADT_X2APIC = 9,
  SRAT_CPU = 0,
  SRAT_MEMORY = 1,
  SRAT_X2APIC = 2
};

static uint16_t get16(const uint8_t *p)
{
  return (uint16_t)(p[0] | p[1] << 8);
}
static uint32_t get32(const uint8_t *p)
{
  return get16(p) | (uint32_t)get16(p + 2) << 16;
}
static uint64_t get64(const uint8_t *p)
{
  return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static bool sums_up(const uint8_t *p, size_t n)
{
  uint8_t sum = 0;
  while (n--)
    sum += *p++;
  return !sum;
}

static const uint8_t *find_rsdp(uint64_t from, uint64_t to)
{
  for (uint64_t at = from; at < to; at += 16)
    if (!memcmp(ptr(at), "RSD PTR ", 8) && sums_up(ptr(at), 20))
      return ptr(at);
  return NULL;
}

static unsigned node_of_domain(struct acpi *a, uint32_t domain)
{
  for (unsigned i = 0; i < a->node_count; i++)
    if (a->domain[i] == domain)
      return i;
  if (a->node_count == ACPI_NODES)
    return 0;
  a->domain[a->node_count] = domain;
  return a->node_count++;
}

static void add_cpu(struct acpi *a, uint32_t apic_id, uint32_t flags)
{
  if (flags & 1 && a->cpu_count < ACPI_CPUS)
    a->cpu[a->cpu_count++].apic_id = apic_id;
}

static void madt(struct acpi *a, const uint8_t *p, const uint8_t *end)
{
  for (p += 44; p + 2 <= end && p[1]; p += p[1]) {
    switch (p[0]) {
    case MADT_LAPIC:
      add_cpu(a, p[3], get32(p + 4));
      break;
    case MADT_X2APIC:
      add_cpu(a, get32(p + 4), get32(p + 8));
      break;
    case MADT_IOAPIC:
      if (!a->ioapic || get32(p + 8) < a->ioapic_gsi) {
        a->ioapic = get32(p + 4);
        a->ioapic_gsi = get32(p + 8);
      }
      break;
    case MADT_OVERRIDE:
      if (p[3] < 16) {
        a->isa_gsi[p[3]] = get32(p + 4);
        a->isa_flags[p[3]] = get16(p + 8);
      }
      break;
    default:
      break;
    }
  }
}

static void set_node(struct acpi *a, uint32_t apic_id, uint32_t domain)
{
  for (unsigned i = 0; i < a->cpu_count; i++)
    if (a->cpu[i].apic_id == apic_id)
      a->cpu[i].node = node_of_domain(a, domain);
}

// After the MADT: it names CPUs that must be known.
static void srat(struct acpi *a, const uint8_t *p, const uint8_t *end)
{
  a->node_count = 0;
  for (p += 48; p + 2 <= end && p[1]; p += p[1]) {
    if (p[0] == SRAT_CPU && get32(p + 4) & 1) {
      set_node(a, p[3], p[2] | (uint32_t)p[9] << 8 | (uint32_t)p[10] << 16 | (uint32_t)p[11] << 24);
    } else if (p[0] == SRAT_X2APIC && get32(p + 12) & 1) {
      set_node(a, get32(p + 8), get32(p + 4));
    } else if (p[0] == SRAT_MEMORY && get32(p + 28) & 1 && a->memory_count < ACPI_MEMORY) {
      a->memory[a->memory_count].base = get64(p + 8);
      a->memory[a->memory_count].end = get64(p + 8) + get64(p + 16);
      a->memory[a->memory_count++].node = node_of_domain(a, get32(p + 2));
    }
  }
  if (!a->node_count)
    a->node_count = 1;
}

// The value of \_S5 without an interpreter: its package of small integers follows the name. ACPI 20.2.
static void find_s5(struct acpi *a, const uint8_t *p, const uint8_t *end)
{
  for (; p + 12 < end; p++) {
    if (memcmp(p, "_S5_\x12", 5) != 0)
      continue;
    p += 5 + 1 + (p[5] >> 6) + 1; // package length, number of elements
    uint8_t v[2] = {0, 0};
    for (unsigned i = 0; i < 2; i++) {
      if (*p == 0x0a) // BytePrefix
        p++;
      v[i] = *p++;
    }
    a->s5 = (uint16_t)(v[0] | v[1] << 8);
    return;
  }
}

static void fadt(struct acpi *a, const uint8_t *p)
{
  a->pm1a_cnt = (uint16_t)get32(p + 64);
  a->pm1b_cnt = (uint16_t)get32(p + 68);
  const uint8_t *dsdt = ptr(get32(p + 40));
  if (dsdt)
    find_s5(a, dsdt + 36, dsdt + get32(dsdt + 4));
}

static const struct acpi *the;

const struct acpi *acpi_get(void)
{
  return the;
}

void acpi_read(struct acpi *a, uint64_t given)
{
  the = a;
  a->node_count = 1;
  a->s5 = 0xffff;
  for (unsigned i = 0; i < 16; i++)
    a->isa_gsi[i] = i;
  const uint8_t *rsdp =
      given ? ptr(given) : find_rsdp(*(uint16_t *)ptr(0x40e) * 16ull, *(uint16_t *)ptr(0x40e) * 16ull + KB);
  if (!rsdp)
    rsdp = find_rsdp(0xe0000, 0x100000);
  const uint8_t *srat_table = NULL, *srat_end = NULL;
  if (rsdp) {
    bool wide = rsdp[15] >= 2 && get64(rsdp + 24);
    const uint8_t *root = ptr(wide ? get64(rsdp + 24) : get32(rsdp + 16));
    for (const uint8_t *e = root + 36; e + (wide ? 8 : 4) <= root + get32(root + 4); e += wide ? 8 : 4) {
      const uint8_t *t = ptr(wide ? get64(e) : get32(e)), *end = t + get32(t + 4);
      if (!memcmp(t, "APIC", 4))
        madt(a, t, end);
      else if (!memcmp(t, "SRAT", 4))
        srat_table = t, srat_end = end;
      else if (!memcmp(t, "FACP", 4))
        fadt(a, t);
      else if (!memcmp(t, "MCFG", 4) && end - t >= 60)
        a->ecam = get64(t + 44), a->ecam_first = t[54], a->ecam_last = t[55];
    }
  } else {
    print("vmm: no ACPI tables: one CPU, one node\n");
  }
  if (!a->cpu_count)
    a->cpu_count = 1, a->cpu[0].apic_id = cpuid(1, 0).ebx >> 24;
  if (srat_table)
    srat(a, srat_table, srat_end);
  if (!a->ioapic)
    a->ioapic = 0xfec00000;
}

unsigned acpi_node_of(const struct acpi *a, uint64_t pa)
{
  for (unsigned i = 0; i < a->memory_count; i++)
    if (pa >= a->memory[i].base && pa < a->memory[i].end)
      return a->memory[i].node;
  return 0;
}

void acpi_power_off(const struct acpi *a)
{
  enum { SLP_EN = 1 << 13 };
  if (!a->pm1a_cnt || a->s5 == 0xffff)
    return;
  out16(a->pm1a_cnt, (uint16_t)(SLP_EN | (a->s5 & 7) << 10));
  if (a->pm1b_cnt)
    out16(a->pm1b_cnt, (uint16_t)(SLP_EN | (a->s5 >> 8 & 7) << 10));
}
