// Starts a secure loader from a running machine, as an operating system would: the first module is the block,
// the second the next stage, the third what is measured with it (a configuration), the rest are the next
// stage's.
//
// Everything here is outside of what is trusted: it can refuse to launch, or launch something else, and PCR
// 17 tells.
#include <stddef.h>

#include "params.h"
#include "serial.h"

enum { SLB_SIZE = 0x10000, TABLE_SIZE = 0x20000 };

static uint8_t block[SLB_SIZE] __attribute__((aligned(0x10000)));
static uint8_t table[TABLE_SIZE] __attribute__((aligned(4096)));

void launcher(struct multiboot *mb);
void skinit(uint32_t slb);

// All processors but this one go to INIT. APM2 15.27.8
static void stop_others(void)
{
  volatile uint32_t *icr = (volatile uint32_t *)0xfee00300;
  *(volatile uint32_t *)0xfee000f0 = 0x1ff;
  *icr = 0x000c4500;
  for (unsigned i = 0; i < 20000; i++)
    inb(0x80);
}

void launcher(struct multiboot *mb)
{
  if (!(mb->flags & MULTIBOOT_MODS) || mb->mods_count < 2) {
    print("launcher: give it the secure loader block and the next stage as modules\n");
    return;
  }
  struct module *mod = (struct module *)mb->mods_addr;
  const uint8_t *image = (const uint8_t *)mod[0].start;
  uint32_t size = mod[0].end - mod[0].start, length = size >= 4 ? image[2] | image[3] << 8 : 0;
  uint32_t at = (length + 15) & ~15u;
  if (size > SLB_SIZE || length < 4 || at + sizeof(struct params) > SLB_SIZE) {
    print("launcher: the first module is no secure loader block\n");
    return;
  }
  for (uint32_t i = 0; i < size; i++)
    block[i] = image[i];
  // The block's own module is not handed on.
  mb->mods_count--;
  mb->mods_addr += sizeof(struct module);
  *(struct params *)(block + at) =
      (struct params){.magic = PARAMS_MAGIC, .multiboot = (uint32_t)mb, .table = (uint32_t)table};
  stop_others();
  print("launcher: SKINIT\n");
  skinit((uint32_t)block);
}
