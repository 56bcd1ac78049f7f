// System-management mode: entry, RSM, SMRAM, and what holds it back. APM2 chapter 10, 15.22, 15.30.3, 15.32.
#include "bed.h"

#include "cpu/except.h"
#include "cpu/smm.h"

enum {
  BASE = 0x30000,
  SAVE = BASE + 0xfe00,
  MARK = 0x38100, // where the handler counts
  ASEG_CELLS = 0x300000,
};

// inc byte [cs:8100h]; rsm
static const uint8_t count_and_back[] = {0x2e, 0xfe, 0x06, 0x00, 0x81, 0x0f, 0xaa};

static struct bed *ready(const void *handler, unsigned n)
{
  struct bed *b = bed_new("max", 1);
  ram_write(&b->ram, BASE + 0x8000, handler, n);
  bed_put(b, BED_HOST, 0xfeeb, 2); // jmp $
  b->c->ip = BED_HOST;
  return b;
}

static void an_smi_runs_the_handler_and_all_is_as_before(void **state)
{
  struct bed *b = ready(count_and_back, sizeof count_and_back);
  struct cpu *c = b->c;
  for (unsigned i = 0; i < 16; i++)
    c->r[i] = 0x0123456789abcd00 + i;
  c->seg[SEG_FS].base = 0xffff800000001000;
  cpu_set_flags(c, cpu_flags(c) | FL_IF | FL_CF);
  bed_run(b, 10);
  cpu_request(c, PEND_SMI);
  bed_run(b, 2); // the entry, and inc
  assert_true(c->in_smm);
  assert_int_equal(c->cr0 & (CR0_PE | CR0_PG), 0);
  assert_int_equal(c->efer, 0);
  assert_int_equal(c->seg[SEG_CS].base, BASE);
  assert_int_equal(c->seg[SEG_DS].limit, UINT32_MAX);
  assert_int_equal(cpu_flags(c) & FL_IF, 0);
  bed_run(b, 20);
  assert_false(c->in_smm);
  assert_int_equal(bed_get(b, MARK, 1), 1);
  for (unsigned i = 0; i < 16; i++)
    assert_int_equal(c->r[i], 0x0123456789abcd00 + i);
  assert_int_equal(c->seg[SEG_FS].base, 0xffff800000001000);
  assert_int_equal(c->ip, BED_HOST);
  assert_int_equal(c->mode & MODE_CS64, MODE_CS64);
  assert_int_equal(cpu_flags(c) & (FL_IF | FL_CF), FL_IF | FL_CF);
  assert_int_equal(bed_get(b, SAVE + 0xfc, 4), 0x30064);
  assert_int_equal(bed_get(b, SAVE + 0x178, 8), BED_HOST);
  assert_int_equal(bed_get(b, SAVE + 0xd8, 8), 0);
  bed_free(b);
}

static void the_handler_moves_its_base(void **state)
{
  // mov dword [cs:0ff00h], 40000h; rsm
  static const uint8_t move[] = {0x66, 0x2e, 0xc7, 0x06, 0x00, 0xff, 0x00, 0x00, 0x04, 0x00, 0x0f, 0xaa};
  struct bed *b = ready(move, sizeof move);
  uint64_t v;
  cpu_request(b->c, PEND_SMI);
  bed_run(b, 10);
  assert_true(msr_read(b->c, MSR_SMM_BASE, &v));
  assert_int_equal(v, 0x40000);
  bed_free(b);
}

static void a_second_smi_waits_for_rsm_and_nmi_too(void **state)
{
  struct bed *b = ready(count_and_back, sizeof count_and_back);
  cpu_request(b->c, PEND_SMI);
  bed_run(b, 2);
  assert_true(b->c->in_smm);
  cpu_request(b->c, PEND_SMI | PEND_NMI);
  bed_run(b, 1); // rsm
  bed_run(b, 40);
  assert_int_equal(bed_get(b, MARK, 1), 2);
  assert_int_equal(b->c->ip, BED_HANDLERS + 2 * 16 + 1); // after both, the NMI
  bed_free(b);
}

static void a_clear_gif_holds_it(void **state)
{
  struct bed *b = ready(count_and_back, sizeof count_and_back);
  b->c->gif = false;
  cpu_request(b->c, PEND_SMI);
  bed_run(b, 10);
  assert_int_equal(bed_get(b, MARK, 1), 0);
  b->c->gif = true;
  cpu_kick(b->c);
  bed_run(b, 10);
  assert_int_equal(bed_get(b, MARK, 1), 1);
  bed_free(b);
}

static void halt_is_taken_up_again(void **state)
{
  struct bed *b = ready(count_and_back, sizeof count_and_back);
  bed_put(b, BED_HOST, 0xfeebf4, 3);
  bed_run(b, 5);
  assert_int_equal(b->c->run, RUN_HALTED);
  cpu_request(b->c, PEND_SMI);
  bed_run(b, 10);
  assert_int_equal(bed_get(b, MARK, 1), 1);
  assert_int_equal(bed_get(b, SAVE + 0xc9, 1), 1);
  assert_int_equal(b->c->run, RUN_HALTED);
  assert_int_equal(b->c->ip, BED_HOST + 1);
  bed_free(b);
}

static void an_illegal_save_area_shuts_down(void **state)
{
  // or dword [cs:0ff58h + 4], 1: CR0[32]; rsm
  static const uint8_t spoil[] = {0x66, 0x2e, 0x83, 0x0e, 0x5c, 0xff, 0x01, 0x0f, 0xaa};
  struct bed *b = ready(spoil, sizeof spoil);
  cpu_request(b->c, PEND_SMI);
  bed_run(b, 10);
  assert_int_equal(b->c->run, RUN_SHUTDOWN);
  bed_free(b);
}

static uint64_t read_pa(struct bed *b, uint64_t pa)
{
  bool rom;
  uint64_t off = cpu_ram_page(b->c, pa, &rom), v = 0;
  if (off != RAM_NONE) {
    memcpy(&v, b->ram.mem + off + (pa & 0xfff), 4);
    return v;
  }
  return phys_read(b->c, pa, 4);
}

static void tseg_is_for_smm_alone(void **state)
{
  struct bed *b = ready(count_and_back, sizeof count_and_back);
  bed_put(b, 0x60000, 0x11223344, 4);
  assert_true(msr_write(b->c, MSR_SMM_ADDR, 0x60000));
  assert_true(msr_write(b->c, MSR_SMM_MASK, (b->c->phys_mask & ~0x1ffffull) | SMM_TVALID));
  assert_int_equal(read_pa(b, 0x60000), 0xffffffff);
  phys_write(b->c, 0x60000, 4, 0);
  assert_int_equal(bed_get(b, 0x60000, 4), 0x11223344);
  assert_int_equal(read_pa(b, 0x80000), bed_get(b, 0x80000, 4));
  assert_true(msr_write(b->c, MSR_SMM_CTL, SMM_CTL_ENTER));
  assert_int_equal(read_pa(b, 0x60000), 0x11223344);
  assert_true(msr_write(b->c, MSR_SMM_CTL, SMM_CTL_EXIT));
  assert_int_equal(read_pa(b, 0x60000), 0xffffffff);
  bed_free(b);
}

static void aseg_is_other_memory_in_smm(void **state)
{
  struct bed *b = ready(count_and_back, sizeof count_and_back);
  b->bus.smram.ram_off = ASEG_CELLS;
  bed_put(b, ASEG_CELLS + 0x10, 0xaaaaaaaa, 4);
  bed_put(b, 0xa0010, 0x55555555, 4);
  for (unsigned way = 0; way < 2; way++) { // the chipset's register, the processor's
    b->bus.smram.on = !way;
    msr_write(b->c, MSR_SMM_MASK, way ? SMM_AVALID : 0);
    assert_int_equal(read_pa(b, 0xa0010), 0x55555555);
    msr_write(b->c, MSR_SMM_CTL, SMM_CTL_ENTER);
    assert_int_equal(read_pa(b, 0xa0010), 0xaaaaaaaa);
    if (way) { // closed: data goes to the map
      msr_write(b->c, MSR_SMM_MASK, SMM_AVALID | SMM_ACLOSE);
      assert_int_equal(read_pa(b, 0xa0010), 0x55555555);
    }
    msr_write(b->c, MSR_SMM_CTL, SMM_CTL_EXIT);
  }
  bed_free(b);
}

// What the guest's program sees through the TLB, before, in and after SMM.
static void no_translation_outlives_smm(void **state)
{
  // mov ax, 0a000h; mov ds, ax; mov eax, [10h]; mov [cs:8100h], eax; rsm
  static const uint8_t look[] = {0xb8, 0x00, 0xa0, 0x8e, 0xd8, 0x66, 0xa1, 0x10,
                                 0x00, 0x66, 0x2e, 0xa3, 0x00, 0x81, 0x0f, 0xaa};
  // mov ebx, [0a0010h]; jmp back
  static const uint8_t host[] = {0x8b, 0x1c, 0x25, 0x10, 0x00, 0x0a, 0x00, 0xeb, 0xf7};
  struct bed *b = ready(look, sizeof look);
  b->bus.smram.ram_off = ASEG_CELLS;
  b->bus.smram.on = true;
  bed_put(b, ASEG_CELLS + 0x10, 0xaaaaaaaa, 4);
  bed_put(b, 0xa0010, 0x55555555, 4);
  ram_write(&b->ram, BED_HOST, host, sizeof host);
  bed_run(b, 10);
  assert_int_equal(b->c->r[RBX], 0x55555555);
  cpu_request(b->c, PEND_SMI);
  bed_run(b, 20);
  assert_int_equal(bed_get(b, MARK, 4), 0xaaaaaaaa);
  assert_int_equal(b->c->r[RBX], 0x55555555);
  bed_free(b);
}

// The same with no change of mode: SMM entered and left by SMM_CTL.
static void the_same_program_sees_smram_only_while_in_smm(void **state)
{
  static const uint8_t host[] = {0x8b, 0x1c, 0x25, 0x10, 0x00, 0x0a, 0x00, 0xeb, 0xf7};
  struct bed *b = ready(count_and_back, sizeof count_and_back);
  b->bus.smram.ram_off = ASEG_CELLS;
  b->bus.smram.on = true;
  bed_put(b, ASEG_CELLS + 0x10, 0xaaaaaaaa, 4);
  bed_put(b, 0xa0010, 0x55555555, 4);
  ram_write(&b->ram, BED_HOST, host, sizeof host);
  for (unsigned i = 0; i < 4; i++) {
    bed_run(b, 4);
    assert_int_equal(b->c->r[RBX], i & 1 ? 0xaaaaaaaa : 0x55555555);
    msr_write(b->c, MSR_SMM_CTL, i & 1 ? SMM_CTL_EXIT : SMM_CTL_ENTER);
  }
  bed_free(b);
}

static void smmlock_freezes_the_registers(void **state)
{
  struct bed *b = ready(count_and_back, sizeof count_and_back);
  uint64_t v;
  msr_write(b->c, MSR_SMM_KEY, 0x1234);
  msr_write(b->c, MSR_HWCR, b->c->hwcr | HWCR_SMM_LOCK);
  assert_true(msr_write(b->c, MSR_SMM_BASE, 0x50000));
  assert_true(msr_read(b->c, MSR_SMM_BASE, &v));
  assert_int_equal(v, BASE);
  assert_false(msr_write(b->c, MSR_SMM_CTL, SMM_CTL_ENTER));
  assert_true(msr_write(b->c, MSR_SMM_KEY, 0x4321));
  assert_int_equal(b->c->hwcr & HWCR_SMM_LOCK, HWCR_SMM_LOCK);
  assert_true(msr_write(b->c, MSR_SMM_KEY, 0x1234));
  assert_int_equal(b->c->hwcr & HWCR_SMM_LOCK, 0);
  assert_false(msr_read(b->c, MSR_SMM_CTL, &v));
  bed_free(b);
}

static void smm_ctl_dismisses_an_smi(void **state)
{
  struct bed *b = ready(count_and_back, sizeof count_and_back);
  b->c->gif = false;
  cpu_request(b->c, PEND_SMI);
  msr_write(b->c, MSR_SMM_CTL, SMM_CTL_ENTER | SMM_CTL_DISMISS);
  assert_true(b->c->in_smm && b->c->nmi_blocked);
  msr_write(b->c, MSR_SMM_CTL, SMM_CTL_EXIT);
  assert_false(b->c->in_smm || b->c->nmi_blocked);
  b->c->gif = true;
  bed_run(b, 10);
  assert_int_equal(bed_get(b, MARK, 1), 0);
  bed_free(b);
}

// ---- with guests ----

static struct bed *in_guest(bool nested)
{
  static const uint8_t loop[] = {0xeb, 0xfe};
  struct bed *b = bed_new("max", 1);
  ram_write(&b->ram, BASE + 0x8000, count_and_back, sizeof count_and_back);
  bed_code(b, loop, sizeof loop);
  if (nested) {
    b->v->control.np_control = NP_ENABLE;
    b->v->control.n_cr3 = BED_PML4;
  }
  return b;
}

static void start(struct bed *b)
{
  b->c->ip = BED_HOST;
  b->c->r[RAX] = BED_VMCB;
  bed_run(b, 20);
  assert_true(b->c->guest);
}

static void an_smi_in_a_guest_comes_back_to_the_guest(void **state)
{
  for (unsigned nested = 0; nested < 2; nested++) {
    struct bed *b = in_guest(nested);
    start(b);
    cpu_request(b->c, PEND_SMI);
    bed_run(b, 2);
    assert_true(b->c->in_smm);
    assert_false(b->c->guest);
    assert_int_equal(bed_get(b, SAVE + 0xd8, 8), nested ? 6 : 2);
    assert_int_equal(bed_get(b, SAVE + 0xe0, 8), BED_VMCB);
    assert_int_equal(bed_get(b, SAVE + 0x128, 8), nested ? b->v->save.efer : 0);
    assert_int_equal(bed_get(b, SAVE + 0x138, 8), nested ? BED_PML4 : 0);
    bed_run(b, 20);
    assert_true(b->c->guest);
    assert_int_equal(b->c->ip, BED_GUEST);
    assert_int_equal(bed_get(b, MARK, 1), 1);
    // and its intercepts are there again
    bed_put(b, BED_GUEST, 0xf4, 1);
    bed_run(b, 5);
    assert_false(b->c->guest);
    assert_int_equal(b->v->control.exitcode, VMEXIT_HLT);
    bed_free(b);
  }
}

static void an_intercepted_smi_stays_pending_for_the_host(void **state)
{
  struct bed *b = in_guest(false);
  bed_intercept(b, VMEXIT_SMI);
  start(b);
  cpu_request(b->c, PEND_SMI);
  bed_run(b, 5);
  assert_false(b->c->guest);
  assert_int_equal(b->v->control.exitcode, VMEXIT_SMI);
  assert_int_equal(b->v->control.exitinfo1, 1); // external
  assert_int_equal(b->c->pending & PEND_SMI, PEND_SMI);
  assert_int_equal(bed_get(b, MARK, 1), 0);
  bed_free(b);
}

static void smmlock_ignores_the_intercept(void **state)
{
  struct bed *b = in_guest(false);
  bed_intercept(b, VMEXIT_SMI);
  b->c->hwcr |= HWCR_SMM_LOCK;
  start(b);
  cpu_request(b->c, PEND_SMI);
  bed_run(b, 20);
  assert_true(b->c->guest);
  assert_int_equal(bed_get(b, MARK, 1), 1);
  bed_free(b);
}

// ---- SMI by an I/O instruction ----

static void port_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct bed *b = dev;
  b->smis++;
  if (b->smis == 1)
    cpu_request(b->c, PEND_SMI);
}

static void map_port(struct bed *b)
{
  static const struct bus_ops ops = {.write = port_write, .max_size = 4};
  bus_map_ports(&b->bus, &b->port, "smi", 0xb2, 1, &ops, b);
}

static void the_io_instruction_is_described_and_restarted(void **state)
{
  // mov byte [cs:0fec8h], 0ffh; inc byte [cs:8100h]; rsm
  static const uint8_t again[] = {0x2e, 0xc6, 0x06, 0xc8, 0xfe, 0xff, 0x2e,
                                  0xfe, 0x06, 0x00, 0x81, 0x0f, 0xaa};
  static const uint8_t out[] = {0xe6, 0xb2, 0xeb, 0xfe}; // out 0b2h, al; jmp $
  struct bed *b = ready(again, sizeof again);
  map_port(b);
  ram_write(&b->ram, BED_HOST, out, sizeof out);
  b->c->r[RCX] = 0x77;
  bed_run(b, 30);
  assert_int_equal(bed_get(b, MARK, 1), 1);
  assert_int_equal(b->smis, 2);
  assert_int_equal(bed_get(b, SAVE + 0xa0, 8), BED_HOST);
  assert_int_equal(bed_get(b, SAVE + 0xa8, 8), 0x77);
  uint32_t info = bed_get(b, SAVE + 0xc0, 4);
  assert_int_equal(info >> 16, 0xb2);
  assert_int_equal(info & 0x7f, 0x12); // valid, OUT, 8 bits
  assert_int_equal(b->c->ip, BED_HOST + 2);
  bed_free(b);
}

static void an_intercepted_smi_tells_of_the_io_instruction(void **state)
{
  static const uint8_t out[] = {0xe6, 0xb2, 0xeb, 0xfe};
  struct bed *b = in_guest(false);
  map_port(b);
  bed_code(b, out, sizeof out);
  bed_intercept(b, VMEXIT_SMI);
  b->c->ip = BED_HOST;
  b->c->r[RAX] = BED_VMCB;
  bed_run(b, 20);
  assert_int_equal(b->v->control.exitcode, VMEXIT_SMI);
  uint64_t info = b->v->control.exitinfo1;
  assert_int_equal(info >> 48, 0xb2);
  assert_int_equal(info >> 32 & 0x7f, 0x12);
  assert_int_equal(info & 1, 1);
  assert_int_equal(b->v->control.exitinfo2, BED_GUEST);
  assert_int_equal(b->v->save.rip, BED_GUEST + 2);
  bed_free(b);
}

// ---- A20 ----

static void a20_is_never_masked_in_smm_nor_with_dis_a20m(void **state)
{
  struct bed *b = ready(count_and_back, sizeof count_and_back);
  cpu_a20m(b->c, true);
  assert_int_equal(b->c->a20_mask, ~(1ull << 20));
  msr_write(b->c, MSR_SMM_CTL, SMM_CTL_ENTER);
  assert_int_equal(b->c->a20_mask, ~0ull);
  msr_write(b->c, MSR_SMM_CTL, SMM_CTL_EXIT);
  assert_int_equal(b->c->a20_mask, ~(1ull << 20));
  msr_write(b->c, MSR_VM_CR, VM_CR_DIS_A20M);
  assert_int_equal(b->c->a20_mask, ~0ull);
  msr_write(b->c, MSR_VM_CR, 0);
  assert_int_equal(b->c->a20_mask, ~(1ull << 20));
  bed_free(b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_smi_runs_the_handler_and_all_is_as_before),
      cmocka_unit_test(the_handler_moves_its_base),
      cmocka_unit_test(a_second_smi_waits_for_rsm_and_nmi_too),
      cmocka_unit_test(a_clear_gif_holds_it),
      cmocka_unit_test(halt_is_taken_up_again),
      cmocka_unit_test(an_illegal_save_area_shuts_down),
      cmocka_unit_test(tseg_is_for_smm_alone),
      cmocka_unit_test(aseg_is_other_memory_in_smm),
      cmocka_unit_test(no_translation_outlives_smm),
      cmocka_unit_test(the_same_program_sees_smram_only_while_in_smm),
      cmocka_unit_test(smmlock_freezes_the_registers),
      cmocka_unit_test(smm_ctl_dismisses_an_smi),
      cmocka_unit_test(an_smi_in_a_guest_comes_back_to_the_guest),
      cmocka_unit_test(an_intercepted_smi_stays_pending_for_the_host),
      cmocka_unit_test(smmlock_ignores_the_intercept),
      cmocka_unit_test(the_io_instruction_is_described_and_restarted),
      cmocka_unit_test(an_intercepted_smi_tells_of_the_io_instruction),
      cmocka_unit_test(a20_is_never_masked_in_smm_nor_with_dis_a20m),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
