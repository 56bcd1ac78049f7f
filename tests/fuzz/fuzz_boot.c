// Kernel images of any content: no loader may read or write outside, and each answer is a start inside RAM or
// one line of text. With the first byte of the input odd, its second half is an initrd.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "firmware/acpi.h"
#include "firmware/boot.h"
#include "firmware/bytes.h"
#include "fuzz.h"

#define FUZZ_RAM (8u << 20)

static bool fuzz_write(void *arg, uint64_t pa, const void *data, uint64_t len)
{
  uint8_t *ram = arg;
  FUZZ_REQUIRE(pa <= FUZZ_RAM && len <= FUZZ_RAM - pa, "a write of %llx to %llx", (unsigned long long)len,
               (unsigned long long)pa);
  if (data)
    memcpy(ram + pa, data, len);
  else
    memset(ram + pa, 0, len);
  return true;
}

static int file(char path[32], const uint8_t *data, size_t len)
{
  int fd = memfd_create("image", 0);
  if (fd < 0 || write(fd, data, len) != (ssize_t)len)
    abort();
  snprintf(path, 32, "/proc/self/fd/%d", fd);
  return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
  static uint8_t ram[FUZZ_RAM];
  const struct board b = {.ram_below_4g = FUZZ_RAM, .cpus = 1, .nodes = 1};
  struct acpi_image acpi;
  struct boot_state st;
  struct err e = {""};
  char path[32], second[32];
  if (!len)
    return 0;
  bool two = data[0] & 1;
  size_t kernel = two ? (len - 1) / 2 : len - 1;
  int fd = file(path, data + 1, kernel), fd2 = file(second, data + 1 + kernel, len - 1 - kernel);
  if (!acpi_build(&acpi, &b, &e))
    abort();
  struct boot_request rq = {.kernel = path,
                            .initrd = two ? second : NULL,
                            .append = data[0] & 2 ? "a b" : NULL,
                            .board = &b,
                            .acpi = &acpi,
                            .vga_text = data[0] & 4,
                            .mem = {fuzz_write, ram}};
  bool ok = boot_load(&rq, &st, &e);
  FUZZ_REQUIRE(!ok || st.rip < FUZZ_RAM, "entry %llx", (unsigned long long)st.rip);
  FUZZ_REQUIRE(ok || (e.text[0] && !strchr(e.text, '\n')), "\"%s\"", e.text);
  acpi_free(&acpi);
  close(fd);
  close(fd2);
  return 0;
}

// ---- the smallest image of each kind ----

static size_t linux_image(uint8_t *im)
{
  put16(im + 0x1fe, 0xaa55);
  im[0x1f1] = 1;
  put32(im + 0x1f4, 0x40);
  memcpy(im + 0x200, "\353\152HdrS\017\002", 8);
  im[0x211] = 1;
  put32(im + 0x214, 0x100000);
  put32(im + 0x22c, 0x7fffffff);
  put32(im + 0x230, 0x200000);
  im[0x234] = 1;
  im[0x235] = 21;
  put32(im + 0x238, 255);
  put64(im + 0x258, 0x200000);
  put32(im + 0x260, 0x100000);
  return 0x800;
}

static size_t multiboot1(uint8_t *im, uint32_t flags)
{
  enum { HEADER = 0x80, SIZE = 0x200 };
  put32(im + HEADER, 0x1badb002);
  put32(im + HEADER + 4, flags);
  put32(im + HEADER + 8, -(0x1badb002 + flags));
  put32(im + HEADER + 12, 0x100000 + HEADER);
  put32(im + HEADER + 16, 0x100000);
  put32(im + HEADER + 20, 0x100000 + SIZE);
  put32(im + HEADER + 24, 0x100000 + SIZE + 0x100);
  put32(im + HEADER + 28, 0x100000 + 0x100);
  return SIZE;
}

static size_t multiboot2(uint8_t *im)
{
  enum { HEADER = 0x80, LEN = 80, SIZE = 0x200 };
  uint8_t *h = im + HEADER, *t = h + 16;
  put32(h, 0xe85250d6);
  put32(h + 8, LEN);
  put32(h + 12, -(0xe85250d6 + LEN));
  put16(t, 2); // addresses
  put32(t + 4, 24);
  put32(t + 8, 0x100000 + HEADER);
  put32(t + 12, 0x100000);
  put32(t + 16, 0x100000 + SIZE);
  t += 24;
  put16(t, 3); // entry
  put32(t + 4, 12);
  put32(t + 8, 0x100100);
  t += 16;
  put16(t, 1); // information wanted
  put32(t + 4, 16);
  put32(t + 8, 6);
  put32(t + 12, 14);
  t += 16;
  put32(t + 4, 8); // end
  return SIZE;
}

static size_t elf(uint8_t *im, bool wide, bool pvh)
{
  enum { CODE = 0x180, NOTE = 0x130, SIZE = 0x200 };
  memcpy(im, "\177ELF", 4);
  im[4] = wide ? 2 : 1;
  im[5] = im[6] = 1;
  put16(im + 16, 2);
  put16(im + 18, wide ? 62 : 3);
  for (unsigned i = 0; i < 2; i++) {
    uint8_t *p = im + (wide ? 64 + 56 * i : 52 + 32 * i);
    put32(p, i ? 4 : 1);
    uint32_t off = i ? NOTE : CODE, size = i ? 24 : SIZE - CODE;
    if (wide) {
      put64(p + 8, off);
      put64(p + 16, 0xffffffff80200000);
      put64(p + 24, 0x200000);
      put64(p + 32, size);
      put64(p + 40, size + 0x100);
    } else {
      put32(p + 4, off);
      put32(p + 8, 0x200000);
      put32(p + 12, 0x200000);
      put32(p + 16, size);
      put32(p + 20, size + 0x100);
    }
  }
  if (wide) {
    put64(im + 24, 0x200010);
    put64(im + 32, 64);
    put16(im + 54, 56);
    put16(im + 56, pvh ? 2 : 1);
  } else {
    put32(im + 24, 0x200010);
    put32(im + 28, 52);
    put16(im + 42, 32);
    put16(im + 44, pvh ? 2 : 1);
  }
  put32(im + NOTE, 4);
  put32(im + NOTE + 4, 8);
  put32(im + NOTE + 8, 18);
  memcpy(im + NOTE + 12, "Xen", 4);
  put64(im + NOTE + 16, 0x200020);
  return SIZE;
}

size_t fuzz_seed(unsigned n, uint8_t *buf)
{
  size_t len;
  memset(buf, 0, FUZZ_SEED);
  uint8_t *im = buf + 1;
  switch (n / 2) {
  case 0:
    len = linux_image(im);
    break;
  case 1:
    len = multiboot1(im, 0x10003);
    break;
  case 2:
    len = multiboot1(im, 7);
    break;
  case 3:
    len = multiboot2(im);
    break;
  case 4:
  case 5:
  case 6:
  case 7:
    len = elf(im, n & 2, n & 4);
    break;
  case 8: // multiboot in ELF
    elf(im, false, false);
    len = multiboot1(im, 3);
    break;
  default:
    return 0;
  }
  buf[0] = (uint8_t)n;
  return 1 + (n & 1 ? 2 * len : len);
}
