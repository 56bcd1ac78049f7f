// A guest that looks after its memory: it fills 8 MB, reads them again and again, and says whether they
// stayed as they were.
#include "bare.h"

enum { FROM = 0x400000, TO = 0xc00000, ROUNDS = 24 };

void run(const struct multiboot *info)
{
  volatile uint32_t *word = (volatile uint32_t *)FROM, *end = (volatile uint32_t *)TO;
  for (volatile uint32_t *p = word; p < end; p++)
    *p = (uint32_t)(uintptr_t)p * 2654435761u;
  say("neighbour: begin\n");
  for (unsigned i = 0; i < ROUNDS; i++)
    for (volatile uint32_t *p = word; p < end; p++)
      if (*p != (uint32_t)(uintptr_t)p * 2654435761u) {
        say("neighbour: overwritten at ");
        say_hex((uint32_t)(uintptr_t)p);
        say("\n");
        off();
      }
  say("neighbour: as it was\n");
  off();
}
