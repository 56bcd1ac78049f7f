// From the boot loader to the run loop: what the machine is, what is wanted, the guests.
#include "guest/console.h"
#include "guest/guest.h"
#include "guest/load.h"
#include "host/acpi.h"
#include "host/boot.h"
#include "host/cpu.h"
#include "host/dev.h"
#include "host/lapic.h"
#include "host/memory.h"
#include "host/paging.h"
#include "host/print.h"
#include "host/serial.h"
#include "host/tpm.h"
#include "svm/sched.h"
#include "svm/svm.h"

void main(uint32_t magic, uint32_t info);

static struct boot boot;
static struct acpi acpi;
static struct config config;

static void report(unsigned line, const char *what, const char *word)
{
  print("vmm: configuration line %u: %s: %s\n", line, word, what);
}

// The module whose name ends with .ini.
static void read_config(void)
{
  for (unsigned i = 0; i < boot.module_count; i++) {
    const struct boot_module *m = &boot.module[i];
    size_t n = strlen(m->name);
    if (n < 4 || strcmp(m->name + n - 4, ".ini") != 0)
      continue;
    config_read(&config, ptr(m->start), m->end - m->start, report);
    return;
  }
  fatal("there is no module whose name ends with .ini");
}

// Input wakes the first CPU.
static void route_serial(void)
{
  static const unsigned irq[2] = {4, 3};
  for (unsigned i = 0; i < 2; i++)
    ioapic_route(acpi.isa_gsi[irq[i]], VECTOR_SERIAL, cpus[0].apic_id, acpi.isa_flags[irq[i]], false);
}

static void show_memory(void)
{
  for (unsigned i = 0; i < acpi.node_count; i++)
    print("vmm: node %u: %lu KB free\n", i, memory_left(i) / KB);
}

void main(uint32_t magic, uint32_t info)
{
  serial_init(COM1);
  boot_read(&boot, magic, info);
  acpi_read(&acpi, boot.rsdp);
  memory_init(&boot, &acpi);
  paging_init();
  dev_init();
  out8(0x21, 0xff); // the 8259s are not used
  out8(0xa1, 0xff);
  cpu_init_first(&acpi);
  svm_init();
  svm_enable(&cpus[0]);
  ioapic_init(&acpi);
  cpu_start_others();
  print("vmm: %u CPUs, %u nodes, TSC %lu MHz, %s paging, %u ASIDs\n", cpu_count, acpi.node_count,
        tsc_hz() / 1000000, svm_features.npt ? "nested and shadow" : "shadow", svm_features.asids);
  if (serial_present(COM2))
    serial_init(COM2);
  route_serial();
  read_config();
  if (!config.dev)
    dev_off();
  show_memory();
  if (tpm_skinit())
    tpm_show();
  load_modules(&boot);
  for (unsigned i = 0; i < config.count; i++)
    if (config.guest[i].bad)
      print("vmm: guest %s (line %u) is not started: see above\n", config.guest[i].name,
            config.guest[i].line);
    else
      guest_start(&guests[i], &config.guest[i]);
  sched_run(&cpus[0], config.power_off);
  for (unsigned i = 0; i < config.count; i++)
    if (guests[i].state != GUEST_NONE)
      guest_destroy(&guests[i]);
  print("vmm: no guest runs any more\n");
  show_memory();
  acpi_power_off(&acpi);
  fatal("the machine does not switch itself off");
}
