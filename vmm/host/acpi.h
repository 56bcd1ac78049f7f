// What the hypervisor needs of ACPI: CPUs and their nodes, memory and its nodes, I/O APIC, how ISA interrupts
// are wired, and how to switch the machine off. ACPI 6.4, 5.2.
#ifndef HOST_ACPI_H
#define HOST_ACPI_H

#include "host/types.h"

enum { ACPI_CPUS = 16, ACPI_MEMORY = 32, ACPI_NODES = 8 };

struct acpi {
  unsigned cpu_count;
  struct {
    uint32_t apic_id;
    unsigned node;
  } cpu[ACPI_CPUS];
  unsigned memory_count;
  struct {
    uint64_t base, end;
    unsigned node;
  } memory[ACPI_MEMORY];
  unsigned node_count;
  uint32_t domain[ACPI_NODES]; // proximity domain of each node
  uint64_t ioapic;
  uint32_t ioapic_gsi; // the first one's first interrupt
  uint32_t isa_gsi[16];
  uint16_t isa_flags[16];
  uint16_t pm1a_cnt, pm1b_cnt, s5; // s5: SLP_TYP for PM1a in 7:0, PM1b in 15:8; FFFFh unknown
  uint64_t ecam;                   // MCFG: configuration space in memory, of segment 0, for these buses; or 0
  uint8_t ecam_first, ecam_last;
};

// rsdp: 0 if the loader did not tell; then it is searched where a BIOS puts it.
void acpi_read(struct acpi *a, uint64_t rsdp);
const struct acpi *acpi_get(void);
// Node of an address by the SRAT; 0 without one.
unsigned acpi_node_of(const struct acpi *a, uint64_t pa);
// S5. Returns if the tables do not say how.
void acpi_power_off(const struct acpi *a);

#endif
