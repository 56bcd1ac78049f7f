// The functions that the compiler may call in freestanding C (C17 5.1.2.1; GCC's manual, "Standards"), and
// a few on strings.
#include "host/types.h"

void *memcpy(void *to, const void *from, size_t n)
{
  void *d = to;
  __asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n) : : "memory");
  return to;
}

void *memmove(void *to, const void *from, size_t n)
{
  if (to <= from || (const char *)from + n <= (char *)to)
    return memcpy(to, from, n);
  void *d = (char *)to + n - 1;
  from = (const char *)from + n - 1;
  __asm__ volatile("std; rep movsb; cld" : "+D"(d), "+S"(from), "+c"(n) : : "memory");
  return to;
}

void *memset(void *to, int c, size_t n)
{
  void *d = to;
  __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
  return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
  const uint8_t *p = a, *q = b;
  for (; n; n--, p++, q++)
    if (*p != *q)
      return *p - *q;
  return 0;
}

size_t strlen(const char *s)
{
  size_t n = 0;
  while (s[n])
    n++;
  return n;
}

int strcmp(const char *a, const char *b)
{
  while (*a && *a == *b)
    a++, b++;
  return (uint8_t)*a - (uint8_t)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
  for (; n; n--, a++, b++)
    if (*a != *b || !*a)
      return (uint8_t)*a - (uint8_t)*b;
  return 0;
}

void copy_string(char *to, size_t room, const char *from)
{
  size_t n = strlen(from);
  if (n > room - 1)
    n = room - 1;
  memcpy(to, from, n);
  to[n] = 0;
}
