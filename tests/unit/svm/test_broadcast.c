// INVLPGB removes translations on every processor, of the ASID that it names or of the guest that runs it.
// APM3, INVLPGB; APM2 15.9.
#include "bed.h"

enum { LOOP = 0x18000, SHOWN = 0x400000, OLD = 0x11, NEW = 0x22 };

// mov ebx, [400000h]; jmp back
static const uint8_t look[] = {0x8b, 0x1c, 0x25, 0x00, 0x00, 0x40, 0x00, 0xeb, 0xf7};
static const uint8_t invlpgb[] = {0x0f, 0x01, 0xfe, 0x0f, 0x01, 0xff, 0xeb, 0xfe}; // invlpgb; tlbsync; jmp $

static void show(struct bed *b, uint64_t pa, uint64_t bits)
{
  bed_put(b, BED_PD + 16, pa | 0xe7 | bits, 8);
}

// The second CPU has looked at the page, and the page went elsewhere since.
static struct bed *stale_page(uint64_t bits)
{
  struct bed *b = bed_new("max", 2);
  struct cpu *other = b->cpu[1];
  bed_put(b, 0x200000, OLD, 4);
  bed_put(b, 0x000000, NEW, 4);
  ram_write(&b->ram, LOOP, look, sizeof look);
  show(b, 0x200000, bits);
  bed_host_state(other);
  other->cr4 |= CR4_PGE;
  cpu_changed(other);
  other->ip = LOOP;
  bed_put(b, BED_HOST, 0xfeeb, 2);
  b->c->ip = BED_HOST;
  bed_run(b, 100000);
  assert_int_equal(other->r[RBX], OLD);
  show(b, 0, bits);
  bed_run(b, 100000);
  assert_int_equal(other->r[RBX], OLD); // nothing has removed it
  ram_write(&b->ram, BED_HOST, invlpgb, sizeof invlpgb);
  return b;
}

static struct bed *stale(void)
{
  return stale_page(0);
}

static struct bed *stale_global(void)
{
  return stale_page(0x100);
}

static uint64_t after(struct bed *b, uint64_t rax, uint32_t ecx, uint32_t edx)
{
  b->c->ip = BED_HOST;
  b->c->cr4 |= CR4_PCIDE; // which lets it name PCIDs
  cpu_changed(b->c);
  b->c->r[RAX] = rax;
  b->c->r[RCX] = ecx;
  b->c->r[RDX] = edx;
  bed_run(b, 100000);
  uint64_t seen = b->cpu[1]->r[RBX];
  bed_free(b);
  return seen;
}

static void an_address_is_removed_on_all_processors(void **state)
{
  assert_int_equal(after(stale(), SHOWN | 1, 0, 0), NEW);
  assert_int_equal(after(stale(), SHOWN | 5, 0, 0), NEW); // with its ASID
}

static void another_asid_or_address_leaves_it_alone(void **state)
{
  assert_int_equal(after(stale(), SHOWN | 5, 0, 3), OLD);
  assert_int_equal(after(stale(), (SHOWN + 0x200000) | 5, 0, 0), OLD);
  assert_int_equal(after(stale(), (SHOWN + 0x200000) | 1, 0, 0), OLD); // of any ASID
}

static void only_what_matches_in_all_that_is_valid_goes(void **state)
{
  const uint32_t pcid5 = 5u << 16;
  assert_int_equal(after(stale(), 2 | 4, 0, 0), NEW);
  assert_int_equal(after(stale(), 2 | 4, 0, pcid5), OLD);
  assert_int_equal(after(stale(), 2 | 4, 0, 3), OLD); // the PCID in another ASID
  assert_int_equal(after(stale(), 2, 0, 0), NEW);     // in any
  assert_int_equal(after(stale(), 2, 0, pcid5), OLD);
  assert_int_equal(after(stale(), SHOWN | 1 | 2, 0, 0), NEW);
  assert_int_equal(after(stale(), SHOWN | 1 | 2, 0, pcid5), OLD);
  assert_int_equal(after(stale(), SHOWN | 1 | 2 | 4, 0, 0), NEW);
  assert_int_equal(after(stale(), SHOWN | 1 | 2 | 4, 0, 3), OLD);
  assert_int_equal(after(stale(), 0, 0, 0), NEW); // everything that is not global
}

static void global_pages_go_if_they_are_asked_for_and_have_no_pcid(void **state)
{
  static const uint64_t ways[] = {0, 2, 4, 2 | 4, SHOWN | 1, SHOWN | 1 | 2, SHOWN | 1 | 4, SHOWN | 1 | 2 | 4};
  for (unsigned i = 0; i < sizeof ways / sizeof ways[0]; i++) {
    uint32_t pcid = ways[i] & 2 ? 5u << 16 : 0;
    assert_int_equal(after(stale_global(), ways[i], 0, pcid), OLD);
    assert_int_equal(after(stale_global(), ways[i] | 8, 0, pcid), NEW);
    if (ways[i] & 4)
      assert_int_equal(after(stale_global(), ways[i] | 8, 0, pcid | 3), OLD);
  }
}

static void a_count_takes_the_pages_that_follow(void **state)
{
  assert_int_equal(after(stale(), (SHOWN - 0x2000) | 5, 2, 0), NEW);
  assert_int_equal(after(stale(), (SHOWN - 0x2000) | 5, 1, 0), OLD);
  assert_int_equal(after(stale(), (SHOWN - 0x200000) | 5, 1u << 31 | 1, 0), NEW);
}

static void without_an_address_all_of_the_asid_goes(void **state)
{
  assert_int_equal(after(stale(), 4 | 8, 0, 0), NEW);
  assert_int_equal(after(stale(), 4 | 8, 0, 7), OLD);
}

static void a_guest_removes_only_what_is_its_own(void **state)
{
  struct bed *b = stale();
  bed_put(b, BED_HOST, 0xf4d8010f, 4);
  bed_code(b, invlpgb, 6);
  b->v->control.np_control = NP_INVLPGB;
  b->v->save.rax = 1; // all ASIDs, address 0: becomes its own
  b->c->r[RCX] = b->c->r[RDX] = 0;
  b->c->ip = BED_HOST;
  b->c->r[RAX] = BED_VMCB;
  bed_run(b, 100000);
  assert_int_equal(b->v->control.exitcode, VMEXIT_HLT);
  assert_int_equal(b->cpu[1]->r[RBX], OLD);
  bed_free(b);
}

static void cpuid_tells_how_many_pages(void **state)
{
  struct bed *b = bed_new("max", 1);
  uint32_t r[4];
  cpuid(b->c, 0x80000008, 0, r);
  assert_int_equal(r[3] & 0xffff, INVLPGB_COUNT_MAX);
  assert_int_equal(r[1] >> 3 & 1, 1);
  bed_free(b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_address_is_removed_on_all_processors),
      cmocka_unit_test(another_asid_or_address_leaves_it_alone),
      cmocka_unit_test(only_what_matches_in_all_that_is_valid_goes),
      cmocka_unit_test(global_pages_go_if_they_are_asked_for_and_have_no_pcid),
      cmocka_unit_test(a_count_takes_the_pages_that_follow),
      cmocka_unit_test(without_an_address_all_of_the_asid_goes),
      cmocka_unit_test(a_guest_removes_only_what_is_its_own),
      cmocka_unit_test(cpuid_tells_how_many_pages),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
