// A secure loader block (-slb): put into memory and started by SKINIT, with nothing before it but the few
// instructions here. APM2 15.27.4.
//
// SKINIT clears all registers, so the block gets nothing from us but what it finds in memory: the ACPI root
// pointer in E0000-FFFFF, like after a BIOS.
#include "firmware/loader.h"

#define SLB_BASE 0x100000u // a multiple of 64 KB
#define SLB_SIZE 0x10000u

// EFER.SVME: SKINIT needs it on processors whose CPUID does not show SKINIT.
static const uint8_t code[] = {
    0xb9, 0x80, 0x00, 0x00, 0xc0, // mov ecx, C000_0080h
    0x0f, 0x32,                   // rdmsr
    0x0d, 0x00, 0x10, 0x00, 0x00, // or eax, 1000h
    0x0f, 0x30,                   // wrmsr
    0xb8, 0x00, 0x00, 0x10, 0x00, // mov eax, SLB_BASE
    0x0f, 0x01, 0xde,             // skinit
};

enum load_result slb_load(struct loader *l, const struct image *im)
{
  if (im->len < 4) {
    err_set(l->e,
            "-slb %s: %llu bytes; a secure loader block begins with two words, its entry and its length",
            im->name, (unsigned long long)im->len);
    return LOAD_BAD;
  }
  // What is longer than 64 KB is there, but outside of what SKINIT measures and protects.
  uint64_t len = im->len > SLB_SIZE ? im->len : SLB_SIZE;
  if (!loader_claim(l, im->name, "the secure loader block", SLB_BASE, len) ||
      !loader_write(l, SLB_BASE, NULL, len) || !loader_write(l, SLB_BASE, im->data, im->len))
    return LOAD_BAD;
  uint64_t at = loader_low(l, code, sizeof code, 16);
  if (!at || !start_protected(l, at))
    return LOAD_BAD;
  l->st->kind = "secure loader block";
  return LOAD_OK;
}
