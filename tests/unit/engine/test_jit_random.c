// Random programs have the same state with and without the translator, after every slice.
//
// JIT_CASES=N runs that many, JIT_SEED=S begins with that seed: the one that a failure names, with
// JIT_CASES=1.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/decode.h"
#include "cpu/tlb.h"
#include "engine/jit/jit.h"
#include "jitbed.h"
#include "jitgen.h"

// Without chains of handlers (sanitizers, no optimization) everything is slower.
#define CASES (OP_CHAIN ? 200000 : 20000)

#define STEPS 400 // instructions of a program

static uint64_t setting(const char *name, uint64_t value)
{
  const char *s = getenv(name);
  return s ? strtoull(s, NULL, 0) : value;
}

static uint64_t noise[0x4000]; // what data is at the start

static void give(struct jitbed *b, const struct jitgen *g, bool code, unsigned how)
{
  uint64_t from = how % 0x3000;
  ram_write(&b->ram, JB_DATA, noise + from, 0x2000);
  ram_write(&b->ram, JB_DATA2, noise + from / 2, 0x1000);
  ram_write(&b->ram, JB_STACK, noise + from / 3, 0x2000);
  ram_write(&b->ram, JB_STACK0, noise, 0x1000);
  ram_write(&b->ram, JB_TARGETS, g->targets, sizeof g->targets);
  if (code) {
    static const uint8_t halts[JB_CODE_PAGES * 0x1000] = {0};
    ram_write(&b->ram, JB_CODE, halts, sizeof halts);
    ram_write(&b->ram, g->at, g->code, g->len);
  }
  struct cpu *c = b->cpu[0];
  unsigned cpl = how >> 16 & 1 ? 3 : 0;
  jitbed_start(b, 0, cpl);
  memcpy(c->r, g->r, sizeof g->r);
  c->seg[SEG_FS].base = g->fs;
  c->seg[SEG_GS].base = g->gs;
  uint32_t flags = (how >> 4 & (FL_ARITH | FL_DF)) | 2;
  if ((how >> 17 & 7) == 0 && cpl == 3) { // alignment is checked
    c->cr0 |= CR0_AM;
    flags |= FL_AC;
    tlb_flush_all(c);
  }
  if ((how >> 17 & 7) == 0 && cpl == 0) { // pages of privilege 3 by AC only
    c->cr4 |= CR4_SMAP;
    tlb_flush_all(c);
    if (how >> 20 & 7)
      flags |= FL_AC;
  }
  if ((how >> 23 & 63) == 0)
    flags |= FL_TF;
  cpu_set_flags(c, flags);
  cpu_changed(c);
  c->ip = c->next_ip = g->at;
}

static void show(const struct jitgen *g)
{
  for (unsigned at = 0; at < g->len;) {
    char text[128];
    unsigned n = decode_text(MODE_CS64, g->at + at, g->code + at, g->len - at, text, sizeof text);
    for (unsigned i = 0; i <= JITGEN_BLOCKS; i++)
      if (g->start[i] == at)
        printf("%u:\n", i);
    printf("  %llx  %s\n", (unsigned long long)g->at + at, n ? text : "(bad)");
    at += n ? n : 1;
  }
}

// Both run the program, in equal slices. What differs, and after how many instructions.
static const char *compare(struct jitbed *a, struct jitbed *b, struct jitgen *g, unsigned how)
{
  struct cpu *x = a->cpu[0], *y = b->cpu[0];
  bool cut = how >> 29 & 1;
  while (x->run == RUN_ON && x->instructions < STEPS) {
    uint64_t n = cut ? 1 + jitgen_below(g, 60) : STEPS;
    interp_run(&a->engine, x, n);
    interp_run(&b->engine, y, n);
    const char *what = jitbed_differ_cpu(a, b, 0);
    if (what)
      return what;
  }
  return jitbed_differ_memory(a, b);
}

static uint64_t failures, instructions;

static void one(struct jitbed *a, struct jitbed *b, uint64_t seed)
{
  static struct jitgen g;
  uint64_t at = JB_CODE + (seed % 4 ? seed % 0x800 : 0xe00 + seed % 0x200); // within a page, or over its end
  jitgen_program(&g, seed, at);
  unsigned how = (unsigned)jitgen_random(&g);
  if (jitgen_below(&g, 4) == 0) { // the page of much data may be clean, or one that is only read
    static const uint64_t rights[] = {0x67, 0x27, 0x65};
    uint64_t entry = (JB_DATA + 0x1000) | rights[jitgen_below(&g, 3)] | 1ull << 63;
    jitbed_map(a, JB_DATA + 0x1000, entry);
    jitbed_map(b, JB_DATA + 0x1000, entry);
    tlb_flush_all(a->cpu[0]);
    tlb_flush_all(b->cpu[0]);
  }
  for (unsigned pass = 0; pass < 1 + (how >> 30); pass++) {
    give(a, &g, pass == 0, how);
    give(b, &g, pass == 0, how);
    const char *what = compare(a, b, &g, how);
    instructions += a->cpu[0]->instructions;
    if (!what)
      continue;
    printf("seed %llu, pass %u, after %llu instructions: %s\n", (unsigned long long)seed, pass,
           (unsigned long long)a->cpu[0]->instructions, what);
    failures++;
    show(&g);
    return;
  }
}

// hot: entries until a block is translated.
static void run_with(unsigned hot, uint64_t first, uint64_t cases)
{
  struct jitbed *a = jitbed_new(1, 0), *b = jitbed_new(1, hot);
  uint64_t x = 1;
  instructions = 0;
  for (unsigned i = 0; i < sizeof noise / sizeof noise[0]; i++)
    noise[i] = x = x * 6364136223846793005u + 1442695040888963407u;
  ram_write(&a->ram, JB_READONLY, noise, 0x1000);
  ram_write(&b->ram, JB_READONLY, noise, 0x1000);
  for (uint64_t i = 0; i < cases && !failures; i++)
    one(a, b, first + i);
  struct jit_stats s = jit_stats(b->engine.code.jit);
  printf("hot=%u: %llu cases, %llu instructions, %llu exceptions; %llu blocks, %llu ops of %llu have host "
         "code\n",
         hot, (unsigned long long)cases, (unsigned long long)instructions,
         (unsigned long long)b->cpu[0]->stat_exceptions, (unsigned long long)s.blocks,
         (unsigned long long)s.native, (unsigned long long)s.ops);
  assert_int_equal(failures, 0);
  jitbed_free(a);
  jitbed_free(b);
}

static void random_programs_have_the_same_state_after_every_slice(void **state)
{
  run_with(1, setting("JIT_SEED", 1), setting("JIT_CASES", CASES));
}

static void blocks_become_host_code_while_they_are_run_and_nothing_shows(void **state)
{
  run_with(3, setting("JIT_SEED", 1), setting("JIT_CASES", CASES) / 4);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_programs_have_the_same_state_after_every_slice),
      cmocka_unit_test(blocks_become_host_code_while_they_are_run_and_nothing_shows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
