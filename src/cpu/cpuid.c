// The CPUID instruction: leaves made from the model and from the CPU's state. APM3 appendix E.
//
// A package is a node: topology leaves count the CPUs that share this CPU's node, and expect the low bits of
// the APIC ID to number them. Leaves that the model does not have read as zero.
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/lapic.h"
#include "cpu/model.h"

static unsigned bits_for(unsigned n) // the smallest k with 1 << k >= n
{
  unsigned k = 0;
  while (1u << k < n)
    k++;
  return k;
}

static unsigned package_cores(const struct cpu *c)
{
  unsigned n = 0;
  for (unsigned i = 0; i < c->cpus; i++)
    n += c->all[i] && c->all[i]->node == c->node;
  return n ? n : 1;
}

// Where the package number begins in an APIC ID: the same for all packages.
static unsigned core_bits(const struct cpu *c)
{
  unsigned most = 1;
  for (unsigned node = 0; node < 8; node++) {
    unsigned n = 0;
    for (unsigned i = 0; i < c->cpus; i++)
      n += c->all[i] && c->all[i]->node == node;
    if (n > most)
      most = n;
  }
  return bits_for(most);
}

// ---- XSAVE: AVX at 576, protection keys right after it, as AMD lays them out ----

uint32_t xsave_offset(unsigned bit)
{
  return bit == 2 ? 576 : bit == 9 ? 832 : 0;
}

uint32_t xsave_component_size(unsigned bit)
{
  return bit == 2 ? 256 : bit == 9 ? 8 : 0;
}

uint32_t xsave_area_size(uint64_t mask, bool compacted)
{
  uint32_t size = 576; // legacy area and header
  for (unsigned bit = 2; bit < 63; bit++) {
    if (!(mask >> bit & 1))
      continue;
    if (compacted)
      size += xsave_component_size(bit);
    else if (size < xsave_offset(bit) + xsave_component_size(bit))
      size = xsave_offset(bit) + xsave_component_size(bit);
  }
  return size;
}

static void leaf_xsave(const struct cpu *c, uint32_t sub, uint32_t out[4])
{
  const struct model *m = c->model;
  if (!model_has(m, FEAT_XSAVE))
    return;
  if (sub == 0) {
    out[0] = m->xcr0;
    out[1] = xsave_area_size(c->xcr0, false);
    out[2] = m->xsave_size;
    out[3] = m->xcr0 >> 32;
  } else if (sub == 1) {
    out[0] = m->word[FW_D1_EAX];
    out[1] = model_has(m, FEAT_XSAVEC) ? xsave_area_size(c->xcr0, true) : 0;
  } else if (sub < 63 && (m->xcr0 >> sub & 1)) {
    out[0] = xsave_component_size(sub);
    out[1] = xsave_offset(sub);
  }
}

// ---- caches and TLBs ----

// The associativity code of 8000_0006h.
static uint32_t assoc(unsigned ways)
{
  static const struct {
    uint8_t ways, code;
  } codes[] = {{1, 1}, {2, 2}, {4, 4}, {8, 6}, {16, 8}, {32, 10}, {48, 11}, {64, 12}, {96, 13}, {128, 14}};
  for (unsigned i = 0; i < sizeof codes / sizeof *codes; i++) {
    if (codes[i].ways == ways)
      return codes[i].code;
  }
  return 0;
}

static uint32_t l1_cache(const struct model_cache *k)
{
  return k->kb << 24 | (uint32_t)k->ways << 16 | 1u << 8 | k->line;
}

// 8000_001Dh: data, instruction, second and third level.
static void leaf_cache(const struct cpu *c, uint32_t sub, uint32_t out[4])
{
  const struct model *m = c->model;
  const struct model_cache *k[4] = {&m->l1d, &m->l1i, &m->l2, &m->l3};
  static const uint8_t type[4] = {1, 2, 3, 3}, level[4] = {1, 1, 2, 3};
  if (sub > 3 || !k[sub]->kb)
    return;
  unsigned sharing = sub == 3 ? package_cores(c) : 1;
  uint32_t sets = k[sub]->kb * 1024 / k[sub]->line / k[sub]->ways;
  out[0] = type[sub] | (uint32_t)level[sub] << 5 | 1u << 8 | (sharing - 1) << 14;
  out[1] = (k[sub]->line - 1u) | (k[sub]->ways - 1u) << 22;
  out[2] = sets - 1;
}

// ---- the leaves ----

static void text(uint32_t out[4], const char *s) // 16 characters, in register order
{
  memcpy(out, s, 16);
}

static void leaf_vendor(const struct model *m, uint32_t max, uint32_t out[4])
{
  out[0] = max;
  memcpy(&out[1], m->vendor, 4);
  memcpy(&out[3], m->vendor + 4, 4);
  memcpy(&out[2], m->vendor + 8, 4);
}

static void leaf_features(const struct cpu *c, uint32_t out[4])
{
  const struct model *m = c->model;
  unsigned cores = package_cores(c);
  out[0] = m->signature;
  out[1] = c->apic_id << 24 | 8u << 8;
  out[2] = m->word[FW_1_ECX];
  out[3] = m->word[FW_1_EDX];
  if (model_has(m, FEAT_XSAVE) && (c->cr4 & CR4_OSXSAVE))
    out[2] |= 1u << (FEAT_OSXSAVE & 31);
  if (!(c->apic_base & APIC_BASE_EN))
    out[3] &= ~(1u << (FEAT_APIC & 31));
  if (cores > 1) {
    out[1] |= cores << 16;
    out[3] |= 1u << (FEAT_HTT & 31);
  }
}

static void leaf_topology(const struct cpu *c, uint32_t sub, uint32_t out[4])
{
  if (!model_has(c->model, FEAT_X2APIC))
    return;
  out[2] = sub & 0xff;
  out[3] = c->apic_id;
  if (sub == 0) {
    out[1] = 1;
    out[2] |= 1u << 8; // threads
  } else if (sub == 1) {
    out[0] = core_bits(c);
    out[1] = package_cores(c);
    out[2] |= 2u << 8; // cores
  }
}

static void cpuid_standard(const struct cpu *c, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
  const struct model *m = c->model;
  switch (leaf) {
  case 0:
    leaf_vendor(m, m->max_leaf, out);
    break;
  case 1:
    leaf_features(c, out);
    break;
  case 5:
    if (!model_has(m, FEAT_MONITOR))
      break;
    out[0] = out[1] = 64; // bytes of a monitored line
    out[2] = 3;           // ECX bit 0 of MWAIT: interrupts end it even if masked
    break;
  case 6:
    out[0] = m->word[FW_6_EAX];
    out[2] = model_has(m, FEAT_RDPRU); // APERF and MPERF
    break;
  case 7:
    if (sub)
      break;
    out[1] = m->word[FW_7_EBX];
    out[2] = m->word[FW_7_ECX];
    out[3] = m->word[FW_7_EDX];
    if (model_has(m, FEAT_PKU) && (c->cr4 & CR4_PKE))
      out[2] |= 1u << (FEAT_OSPKE & 31);
    break;
  case 0xb:
    leaf_topology(c, sub, out);
    break;
  case 0xd:
    leaf_xsave(c, sub, out);
    break;
  }
}

static void cpuid_extended(const struct cpu *c, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
  const struct model *m = c->model;
  unsigned cores = package_cores(c);
  switch (leaf) {
  case 0x80000000:
    leaf_vendor(m, m->max_ext_leaf, out);
    break;
  case 0x80000001:
    out[0] = m->signature;
    out[1] = model_family(m) == 0x10 ? 0x10000000 : 0; // package type: socket F
    out[2] = m->word[FW_80000001_ECX];
    if (cores == 1)
      out[2] &= ~(1u << (FEAT_CMP_LEGACY & 31));
    // Bits 25:0 repeat leaf 1, as far as AMD gave them a place here.
    out[3] = m->word[FW_80000001_EDX] | (m->word[FW_1_EDX] & 0x0183f3ff & ~(1u << 11));
    if (!(c->apic_base & APIC_BASE_EN))
      out[3] &= ~(1u << (FEAT_APIC & 31));
    break;
  case 0x80000002:
  case 0x80000003:
  case 0x80000004:
    text(out, m->brand + (leaf - 0x80000002) * 16);
    break;
  case 0x80000005:
    out[0] = m->tlb_l1_2m;
    out[1] = m->tlb_l1_4k;
    out[2] = l1_cache(&m->l1d);
    out[3] = l1_cache(&m->l1i);
    break;
  case 0x80000006:
    out[0] = m->tlb_l2_2m;
    out[1] = m->tlb_l2_4k;
    out[2] = m->l2.kb << 16 | assoc(m->l2.ways) << 12 | 1u << 8 | m->l2.line;
    if (m->l3.kb)
      out[3] = m->l3.kb / 512 << 18 | assoc(m->l3.ways) << 12 | 1u << 8 | m->l3.line;
    break;
  case 0x80000007:
    out[3] = m->word[FW_80000007_EDX];
    break;
  case 0x80000008:
    out[0] = m->phys_bits | (uint32_t)m->linear_bits << 8;
    out[1] = m->word[FW_80000008_EBX];
    out[2] = (cores - 1) | core_bits(c) << 12;
    out[3] = (model_has(m, FEAT_RDPRU) ? 1u << 16 : 0) | (model_has(m, FEAT_INVLPGB) ? INVLPGB_COUNT_MAX : 0);
    break;
  case 0x8000000a:
    if (!model_has(m, FEAT_SVM))
      break;
    out[0] = m->svm_rev;
    out[1] = m->asids;
    out[3] = m->word[FW_8000000A_EDX];
    break;
  case 0x80000019:
    out[0] = m->tlb_1g[0];
    out[1] = m->tlb_1g[1];
    break;
  case 0x8000001a:
    out[0] = 3; // 128-bit floating point, MOVU is as fast as MOVA
    break;
  case 0x8000001d:
    if (model_has(m, FEAT_TOPOEXT))
      leaf_cache(c, sub, out);
    break;
  case 0x8000001e:
    if (!model_has(m, FEAT_TOPOEXT))
      break;
    out[0] = c->apic_id;
    out[1] = c->apic_id & ((1u << core_bits(c)) - 1);
    out[2] = c->node;
    break;
  case 0x80000021:
    out[0] = m->word[FW_80000021_EAX];
    break;
  }
}

void cpuid(const struct cpu *c, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
  const struct model *m = c->model;
  memset(out, 0, 4 * sizeof *out);
  if (leaf <= m->max_leaf)
    cpuid_standard(c, leaf, sub, out);
  else if (leaf >= 0x80000000 && leaf <= m->max_ext_leaf)
    cpuid_extended(c, leaf, sub, out);
  else if (leaf == 0x40000000 && model_has(m, FEAT_HYPERVISOR)) {
    out[0] = leaf;
    memcpy(&out[1], "PacificaPaci", 12);
  }
}
