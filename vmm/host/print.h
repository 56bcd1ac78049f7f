// Text on the hypervisor's console, and formatted text in memory.
// Formats: %s %c %d %u %x, each with l or ll, a width, - and 0; %% .
#ifndef HOST_PRINT_H
#define HOST_PRINT_H

#include "host/types.h"

#include <stdarg.h>

#define PRINTF(f, a) __attribute__((format(printf, f, a)))

// A line of the hypervisor's, or part of one. Whole calls do not mix, whatever CPU makes them.
void print(const char *format, ...) PRINTF(1, 2);
// Returns the length; always ends with a zero within `room`.
size_t format_text(char *to, size_t room, const char *format, ...) PRINTF(3, 4);
size_t format_list(char *to, size_t room, const char *format, va_list list);
// Prints why, and stops this CPU for good: the hypervisor itself cannot go on.
__attribute__((noreturn)) void fatal(const char *format, ...) PRINTF(1, 2);

#endif
