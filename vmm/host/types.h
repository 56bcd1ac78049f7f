// What every file of the hypervisor uses: sizes, and the functions that freestanding C expects to find.
//
// All physical memory is mapped at its own address, so an address is both physical and linear, and a
// physical address becomes a pointer by a cast (ptr()).
#ifndef HOST_TYPES_H
#define HOST_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KB 1024ul
#define MB (1024 * KB)
#define GB (1024 * MB)

#define PAGE_SIZE 4096ull
#define LARGE     (2 * MB)

#define COUNT(a)         (sizeof(a) / sizeof(a)[0])
#define ALIGN_UP(x, n)   (((x) + (n)-1) & ~((uint64_t)(n)-1))
#define ALIGN_DOWN(x, n) ((x) & ~((uint64_t)(n)-1))
#define ALIGNED(x, n)    (!((x) & ((uint64_t)(n)-1)))

static inline void *ptr(uint64_t pa)
{
  return (void *)(uintptr_t)pa;
}

static inline uint64_t addr(const volatile void *p)
{
  return (uint64_t)(uintptr_t)p;
}

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
// Copies as much as fits, and ends it with a zero.
void copy_string(char *to, size_t room, const char *from);

#endif
