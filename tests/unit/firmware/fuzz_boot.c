// Kernel images of any content: no loader may read or write outside, and each answer is a start inside RAM
// or one line of text. Built with clang (target fuzz_boot); seeds: any kernel images.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "firmware/acpi.h"
#include "firmware/boot.h"

#define FUZZ_RAM (8u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool fuzz_write(void *arg, uint64_t pa, const void *data, uint64_t len)
{
  uint8_t *ram = arg;
  if (pa > FUZZ_RAM || len > FUZZ_RAM - pa)
    abort(); // the memory map was to prevent it
  if (data)
    memcpy(ram + pa, data, len);
  return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
  static uint8_t ram[FUZZ_RAM];
  const struct board b = {.ram_below_4g = FUZZ_RAM, .cpus = 1, .nodes = 1};
  struct acpi_image acpi;
  struct boot_state st;
  struct err e = {""};
  char path[32];
  int fd = memfd_create("image", 0);
  if (fd < 0 || write(fd, data, len) != (ssize_t)len || !acpi_build(&acpi, &b, &e))
    abort();
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  struct boot_request rq = {
      .kernel = path, .append = "a b", .board = &b, .acpi = &acpi, .mem = {fuzz_write, ram}};
  if (boot_load(&rq, &st, &e) ? st.rip >= FUZZ_RAM : !e.text[0] || strchr(e.text, '\n'))
    abort();
  acpi_free(&acpi);
  close(fd);
  return 0;
}
