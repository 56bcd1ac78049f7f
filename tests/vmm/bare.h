// What the bare images that run as the hypervisor's guests share: 32-bit code started by multiboot, lines on
// the serial port, an end by ACPI's register.
#ifndef TESTS_VMM_BARE_H
#define TESTS_VMM_BARE_H

#include <stdbool.h>
#include <stdint.h>

struct multiboot {
  uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4], mmap_length,
      mmap_addr;
};

struct mmap {
  uint32_t size;
  uint64_t base, length;
  uint32_t type;
} __attribute__((packed));

void run(const struct multiboot *info);

static inline void out8(uint16_t port, uint8_t v)
{
  __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}
static inline void out16(uint16_t port, uint16_t v)
{
  __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}
static inline void out32(uint16_t port, uint32_t v)
{
  __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}
static inline uint32_t in32(uint16_t port)
{
  uint32_t v;
  __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
  return v;
}

static inline void say(const char *s)
{
  for (; *s; s++)
    out8(0x3f8, (uint8_t)*s);
}

static inline void say_hex(uint32_t v)
{
  char text[9];
  for (int i = 0; i < 8; i++, v <<= 4)
    text[i] = "0123456789abcdef"[v >> 28];
  text[8] = 0;
  say(text);
}

static inline void off(void)
{
  out16(0x604, 0x3400);
  for (;;)
    __asm__ volatile("cli; hlt");
}

// A hexadecimal number that follows the key on the command line, or `otherwise`.
static inline uint32_t argument(const struct multiboot *info, const char *key, uint32_t otherwise)
{
  for (const char *p = (const char *)(uintptr_t)info->cmdline; *p; p++) {
    const char *k = key, *q = p;
    while (*k && *k == *q)
      k++, q++;
    if (*k)
      continue;
    uint32_t v = 0;
    for (;; q++) {
      if (*q >= '0' && *q <= '9')
        v = v << 4 | (uint32_t)(*q - '0');
      else if (*q >= 'a' && *q <= 'f')
        v = v << 4 | (uint32_t)(*q - 'a' + 10);
      else
        return v;
    }
  }
  return otherwise;
}

#endif
