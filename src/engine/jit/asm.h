// Writing host instructions (x86-64) byte by byte. AMD64 Architecture Programmer's Manual volume 3,
// chapter 1.
//
// Nothing here checks for room: the translator makes sure that there is enough for the largest block before
// it begins (JIT_BLOCK_MOST).
#ifndef ENGINE_JIT_ASM_H
#define ENGINE_JIT_ASM_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// The host's general registers as ModRM, SIB and REX number them.
enum host_reg {
  H_RAX,
  H_RCX,
  H_RDX,
  H_RBX,
  H_RSP,
  H_RBP,
  H_RSI,
  H_RDI,
  H_R8,
  H_R9,
  H_R10,
  H_R11,
  H_R12,
  H_R13,
  H_R14,
  H_R15,
  H_NONE = 16
};

// Conditions as the low nibble of Jcc, SETcc and CMOVcc has them.
enum host_cc { CC_S = 8, CC_Z = 4, CC_NZ = 5 };

struct as {
  uint8_t *p;
};

static inline void as_8(struct as *a, unsigned v)
{
  *a->p++ = (uint8_t)v;
}
static inline void as_32(struct as *a, uint32_t v)
{
  memcpy(a->p, &v, 4);
  a->p += 4;
}
static inline void as_64(struct as *a, uint64_t v)
{
  memcpy(a->p, &v, 8);
  a->p += 8;
}
static inline void as_bytes(struct as *a, const uint8_t *bytes, unsigned n)
{
  memcpy(a->p, bytes, n);
  a->p += n;
}

// Opcodes above 0xff are those of the second map: 0x0fXX.
static inline void as_opcode(struct as *a, unsigned opcode)
{
  if (opcode > 0xff)
    as_8(a, opcode >> 8);
  as_8(a, opcode);
}

// w: 64-bit operand. force: SPL, BPL, SIL, DIL rather than AH..BH.
static inline void as_rex(struct as *a, bool w, unsigned reg, unsigned index, unsigned base, bool force)
{
  unsigned rex =
      (unsigned)w << 3 | (reg >> 3 & 1) << 2 | (index == H_NONE ? 0 : index >> 3 & 1) << 1 | (base >> 3 & 1);
  if (rex || force)
    as_8(a, 0x40 | rex);
}

// ModRM (and SIB) for [base + index << scale + disp]; base H_NONE: no base, a displacement of 32 bits.
static inline void as_memory(struct as *a, unsigned reg, unsigned base, unsigned index, unsigned scale,
                             int32_t disp)
{
  unsigned r = (reg & 7) << 3;
  if (base == H_NONE) {
    as_8(a, r | 4);
    as_8(a, scale << 6 | (index == H_NONE ? 4u : index & 7) << 3 | 5);
    as_32(a, (uint32_t)disp);
    return;
  }
  unsigned mod = disp == 0 && (base & 7) != H_RBP ? 0 : disp == (int8_t)disp ? 1 : 2;
  bool sib = index != H_NONE || (base & 7) == H_RSP;
  as_8(a, mod << 6 | r | (sib ? 4u : base & 7));
  if (sib)
    as_8(a, scale << 6 | (index == H_NONE ? 4u : index & 7) << 3 | (base & 7));
  if (mod == 1)
    as_8(a, (uint8_t)disp);
  else if (mod == 2)
    as_32(a, (uint32_t)disp);
}

static inline void as_rr(struct as *a, bool w, unsigned opcode, unsigned reg, unsigned rm)
{
  as_rex(a, w, reg, H_NONE, rm, false);
  as_opcode(a, opcode);
  as_8(a, 0xc0 | (reg & 7) << 3 | (rm & 7));
}
static inline void as_rm(struct as *a, bool w, unsigned opcode, unsigned reg, unsigned base, int32_t disp)
{
  as_rex(a, w, reg, H_NONE, base, false);
  as_opcode(a, opcode);
  as_memory(a, reg, base, H_NONE, 0, disp);
}

static inline void as_load(struct as *a, unsigned reg, unsigned base, int32_t disp)
{
  as_rm(a, true, 0x8b, reg, base, disp);
}
static inline void as_store(struct as *a, unsigned reg, unsigned base, int32_t disp)
{
  as_rm(a, true, 0x89, reg, base, disp);
}
static inline void as_mov(struct as *a, unsigned to, unsigned from)
{
  if (to != from)
    as_rr(a, true, 0x8b, to, from);
}
static inline void as_lea(struct as *a, bool w, unsigned reg, unsigned base, unsigned index, unsigned scale,
                          int32_t disp)
{
  as_rex(a, w, reg, index, base == H_NONE ? 0 : base, false);
  as_8(a, 0x8d);
  as_memory(a, reg, base, index, scale, disp);
}
// 80 /n, 81 /n or 83 /n with a register: ADD 0, OR 1, AND 4, SUB 5, XOR 6, CMP 7.
static inline void as_ri(struct as *a, bool w, unsigned n, unsigned rm, int32_t imm)
{
  as_rex(a, w, 0, H_NONE, rm, false);
  bool small = imm == (int8_t)imm;
  as_8(a, small ? 0x83 : 0x81);
  as_8(a, 0xc0 | n << 3 | (rm & 7));
  if (small)
    as_8(a, (uint8_t)imm);
  else
    as_32(a, (uint32_t)imm);
}
// SHL 4, SHR 5, SAR 7 by a constant.
static inline void as_shift(struct as *a, bool w, unsigned n, unsigned rm, unsigned by)
{
  as_rex(a, w, 0, H_NONE, rm, false);
  as_8(a, 0xc1);
  as_8(a, 0xc0 | n << 3 | (rm & 7));
  as_8(a, by);
}
static inline void as_imm64(struct as *a, unsigned reg, uint64_t v)
{
  as_rex(a, v > UINT32_MAX, 0, H_NONE, reg, false);
  as_8(a, 0xb8 | (reg & 7));
  if (v > UINT32_MAX)
    as_64(a, v);
  else
    as_32(a, (uint32_t)v);
}

// Jumps forward, whose distance as_here fills in.
static inline uint8_t *as_jcc(struct as *a, unsigned cc)
{
  as_8(a, 0x0f);
  as_8(a, 0x80 | cc);
  as_32(a, 0);
  return a->p;
}
static inline void as_here(const struct as *a, uint8_t *from)
{
  uint32_t by = (uint32_t)(a->p - from);
  memcpy(from - 4, &by, 4);
}
static inline void as_jmp_reg(struct as *a, unsigned reg)
{
  as_rex(a, false, 0, H_NONE, reg, false);
  as_8(a, 0xff);
  as_8(a, 0xe0 | (reg & 7));
}
static inline void as_ret(struct as *a)
{
  as_8(a, 0xc3);
}

#endif
