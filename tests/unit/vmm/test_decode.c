// The hypervisor's decoder: forms, lengths, operands, in 16, 32 and 64 bits; and nothing else.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "svm/decode.h"

static unsigned bytes_of(const char *hex, uint8_t bytes[15])
{
  unsigned n = 0;
  for (; *hex; hex += *hex == ' ' ? 1 : 2) {
    if (*hex == ' ')
      continue;
    unsigned v = 0;
    for (unsigned i = 0; i < 2; i++)
      v = v << 4 | (unsigned)(hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10);
    bytes[n++] = (uint8_t)v;
  }
  return n;
}

struct row {
  const char *bytes;
  unsigned bits;
  enum insn_op op;
  unsigned size, dest_size, reg;
  int base, index;
  unsigned scale;
  int64_t disp;
  uint64_t imm;
  unsigned seg;
};

static const struct row rows[] = {
    {"89 04 25 b0 00 5f ff", 64, INSN_STORE, 4, 4, 0, -1, -1, 1, -0xa0ff50, 0, SEG_DS},
    {"8b 14 25 20 00 5f ff", 64, INSN_LOAD, 4, 4, 2, -1, -1, 1, -0xa0ffe0, 0, SEG_DS},
    {"c7 05 10 00 00 00 34 12 00 00", 64, INSN_STORE_IMM, 4, 4, 0, 16, -1, 1, 0x10, 0x1234, SEG_DS},
    {"48 c7 00 ff ff ff ff", 64, INSN_STORE_IMM, 8, 8, 0, 0, -1, 1, 0, UINT64_MAX, SEG_DS},
    {"44 89 64 8b fc", 64, INSN_STORE, 4, 4, 12, 3, 1, 4, -4, 0, SEG_DS},
    {"4d 8b 7c 24 08", 64, INSN_LOAD, 8, 8, 15, 12, -1, 1, 8, 0, SEG_DS},
    {"8b 45 08", 32, INSN_LOAD, 4, 4, 0, 5, -1, 1, 8, 0, SEG_SS},
    {"65 8b 00", 32, INSN_LOAD, 4, 4, 0, 0, -1, 1, 0, 0, SEG_GS},
    {"66 89 01", 32, INSN_STORE, 2, 2, 0, 1, -1, 1, 0, 0, SEG_DS},
    {"67 66 89 01", 16, INSN_STORE, 4, 4, 0, 1, -1, 1, 0, 0, SEG_DS},
    {"89 40 10", 16, INSN_STORE, 2, 2, 0, 3, 6, 1, 16, 0, SEG_DS},
    {"89 46 fe", 16, INSN_STORE, 2, 2, 0, 5, -1, 1, -2, 0, SEG_SS},
    {"a1 34 12", 16, INSN_LOAD, 2, 2, 0, -1, -1, 1, 0x1234, 0, SEG_DS},
    {"a3 80 03 e0 fe", 32, INSN_STORE, 4, 4, 0, -1, -1, 1, 0xfee00380, 0, SEG_DS},
    {"0f b6 07", 64, INSN_LOAD_ZERO, 1, 4, 0, 7, -1, 1, 0, 0, SEG_DS},
    {"48 0f bf 07", 64, INSN_LOAD_SIGN, 2, 8, 0, 7, -1, 1, 0, 0, SEG_DS},
    {"87 07", 64, INSN_XCHG, 4, 4, 0, 7, -1, 1, 0, 0, SEG_DS},
    {"81 0f 00 01 00 00", 64, INSN_ALU, 4, 4, 1, 7, -1, 1, 0, 0x100, SEG_DS},
    {"83 27 fe", 64, INSN_ALU, 4, 4, 4, 7, -1, 1, 0, (uint64_t)-2, SEG_DS},
    {"23 07", 64, INSN_ALU_LOAD, 4, 4, 0, 7, -1, 1, 0, 0, SEG_DS},
    {"f7 07 01 00 00 00", 64, INSN_TEST, 4, 4, 0, 7, -1, 1, 0, 1, SEG_DS},
    {"f3 ab", 32, INSN_STOS, 4, 4, 0, -1, -1, 1, 0, 0, SEG_ES},
    {"26 a4", 32, INSN_MOVS, 1, 1, 0, -1, -1, 1, 0, 0, SEG_ES},
    {"0f 22 d8", 64, INSN_MOV_TO_CR, 8, 8, 3, 0, -1, 1, 0, 0, SEG_ES},
    {"44 0f 22 c7", 64, INSN_MOV_TO_CR, 8, 8, 8, 7, -1, 1, 0, 0, SEG_ES},
    {"0f 20 e1", 32, INSN_MOV_FROM_CR, 4, 4, 4, 1, -1, 1, 0, 0, SEG_ES},
    {"0f 01 38", 64, INSN_INVLPG, 4, 4, 7, 0, -1, 1, 0, 0, SEG_DS},
    {"0f 01 f0", 16, INSN_LMSW, 2, 2, 6, 0, -1, 1, 0, 0, SEG_DS},
    {"0f 01 26 34 12", 16, INSN_SMSW, 2, 2, 4, -1, -1, 1, 0x1234, 0, SEG_DS},
    {"0f 06", 16, INSN_CLTS, 2, 2, 0, -1, -1, 1, 0, 0, SEG_ES},
    {"0f a2", 64, INSN_OTHER, 4, 4, 0, -1, -1, 1, 0, 0, SEG_ES},
    {"0f 01 d9", 16, INSN_OTHER, 2, 2, 3, 1, -1, 1, 0, 0, SEG_DS},
};

static void forms_have_their_length_and_operands(void **state)
{
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const struct row *r = &rows[i];
    uint8_t bytes[15] = {0};
    struct insn in;
    unsigned n = bytes_of(r->bytes, bytes);
    if (!insn_decode(bytes, 15, r->bits, &in))
      fail_msg("%s is not decoded", r->bytes);
    if (in.op != r->op || in.length != n || in.size != r->size || in.dest_size != r->dest_size ||
        in.reg != r->reg || in.base != r->base || in.index != r->index || in.scale != r->scale ||
        in.disp != r->disp || in.imm != r->imm || in.seg != r->seg)
      fail_msg("%s: op %d length %u size %u %u reg %u base %d index %d scale %u disp %lld imm %llx seg %u",
               r->bytes, in.op, in.length, in.size, in.dest_size, in.reg, in.base, in.index, in.scale,
               (long long)in.disp, (unsigned long long)in.imm, in.seg);
    for (unsigned cut = 0; cut < n; cut++)
      assert_false(insn_decode(bytes, cut, r->bits, &in));
  }
}

static void high_byte_registers_are_known(void **state)
{
  struct insn in;
  assert_true(insn_decode((const uint8_t[]){0x88, 0x27}, 2, 32, &in)); // MOV [EDI], AH
  assert_true(in.high && in.reg == 0 && in.size == 1);
  assert_true(insn_decode((const uint8_t[]){0x40, 0x88, 0x27}, 3, 64, &in)); // MOV [RDI], SPL
  assert_true(!in.high && in.reg == 4);
}

static void what_is_not_emulated_is_not_decoded(void **state)
{
  static const char *const none[] = {"0f 0b", "ff 00", "8f 00", "d9 00", "0f 10 00", "c7 08 00 00 00 00",
                                     "f7 18"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    uint8_t bytes[15] = {0};
    struct insn in;
    bytes_of(none[i], bytes);
    assert_false(insn_decode(bytes, 15, 64, &in));
  }
  uint8_t prefixes[15];
  struct insn in;
  memset(prefixes, 0x66, sizeof prefixes);
  assert_false(insn_decode(prefixes, 15, 64, &in));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(forms_have_their_length_and_operands),
      cmocka_unit_test(high_byte_registers_are_known),
      cmocka_unit_test(what_is_not_emulated_is_not_decoded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
