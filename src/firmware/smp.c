// The MP configuration table (Intel MultiProcessor Specification 1.4, chapter 4). See smp.h.
//
// PCI interrupts have no entries of their own: they arrive at the ISA interrupts that the PCI-ISA bridge
// routes them to, which the interrupt-line registers name.
#include "firmware/smp.h"

#include "firmware/bytes.h"

enum { PROCESSOR, BUS, IOAPIC, IO_INT, LOCAL_INT };
enum { INT = 0, NMI = 1, EXTINT = 3 };
enum { CONFORMS = 0, HIGH_LEVEL = 0x0d };

struct table {
  uint8_t *p;
  unsigned entries;
};

static uint8_t *entry(struct table *t, uint8_t type, unsigned size)
{
  uint8_t *p = t->p;
  p[0] = type;
  t->p += size;
  t->entries++;
  return p;
}

static void interrupt(struct table *t, uint8_t kind, uint8_t type, uint8_t flags, uint8_t irq, uint8_t apic,
                      uint8_t pin)
{
  uint8_t *p = entry(t, kind, 8);
  p[1] = type;
  p[2] = flags;
  p[4] = 0; // bus 0 is ISA
  p[5] = irq;
  p[6] = apic;
  p[7] = pin;
}

unsigned smp_build(const struct board *b, uint32_t base, uint8_t out[SMP_MAX])
{
  memset(out, 0, SMP_MAX);
  uint8_t *head = out + 16;
  struct table t = {head + 44, 0};
  for (unsigned i = 0; i < b->cpus; i++) { // 4.3.1
    uint8_t *p = entry(&t, PROCESSOR, 20);
    p[1] = b->cpu[i].apic_id;
    p[2] = 0x14;              // local APIC version
    p[3] = i == 0 ? 3 : 1;    // enabled, bootstrap
    put32(p + 4, 0x600);      // signature: software asks CPUID
    put32(p + 8, 0x00000201); // FPU, APIC
  }
  memcpy(entry(&t, BUS, 8) + 2, "ISA   ", 6);
  uint8_t *pci = entry(&t, BUS, 8);
  pci[1] = 1;
  memcpy(pci + 2, "PCI   ", 6);
  uint8_t *io = entry(&t, IOAPIC, 8);
  io[2] = 0x11;
  io[3] = 1; // enabled
  put32(io + 4, BOARD_IOAPIC);
  for (uint8_t irq = 0; irq < 16; irq++) {
    bool level = irq == 5 || irq == 9 || irq == 10 || irq == 11;
    if (irq != 2)
      interrupt(&t, IO_INT, INT, level ? HIGH_LEVEL : CONFORMS, irq, 0, irq == 0 ? 2 : irq);
  }
  interrupt(&t, IO_INT, EXTINT, CONFORMS, 0, 0, 0);
  interrupt(&t, LOCAL_INT, EXTINT, CONFORMS, 0, 0xff, 0);
  interrupt(&t, LOCAL_INT, NMI, CONFORMS, 0, 0xff, 1);

  unsigned len = (unsigned)(t.p - head);
  memcpy(head, "PCMP", 4);
  put16(head + 4, (uint16_t)len);
  head[6] = 4; // version 1.4
  memcpy(head + 8, "PCFICA  PACIFICA    ", 20);
  put16(head + 34, (uint16_t)t.entries);
  put32(head + 36, BOARD_LAPIC);
  head[7] = checksum8(head, len);

  memcpy(out, "_MP_", 4); // 4.1
  put32(out + 4, base + 16);
  out[8] = 1; // length in 16-byte units
  out[9] = 4;
  out[10] = checksum8(out, 16);
  return len + 16;
}
