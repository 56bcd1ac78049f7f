// Which handler runs an instruction: the policy of cpu/host.
//
// In this order: what the control registers forbid (known from the mode), what needs nothing done, what is
// moved or done element by element in C, and the rest by a stub. With exceptions unmasked all stubs go
// through run_checked. APM2 table 8-1 and APM4 for which control bits count for which registers.
#include "cpu/host/code.h"
#include "cpu/insn.h"

struct shape {
  bool vex, x87, mmx, vec; // what it touches
  const ZydisDecodedOperand *mem;
};

static struct shape look(const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo)
{
  struct shape s = {.vex = zi->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX};
  for (unsigned i = 0; i < zi->operand_count; i++) {
    if (zo[i].type == ZYDIS_OPERAND_TYPE_MEMORY && !s.mem)
      s.mem = &zo[i];
    if (zo[i].type != ZYDIS_OPERAND_TYPE_REGISTER)
      continue;
    switch (ZydisRegisterGetClass(zo[i].reg.value)) {
    case ZYDIS_REGCLASS_X87:
      s.x87 = true;
      break;
    case ZYDIS_REGCLASS_MMX:
      s.mmx = true;
      break;
    case ZYDIS_REGCLASS_XMM:
    case ZYDIS_REGCLASS_YMM:
      s.vec = true;
      break;
    default:
      break;
    }
  }
  ZydisISASet set = zi->meta.isa_set;
  s.x87 |= set == ZYDIS_ISA_SET_X87 || set == ZYDIS_ISA_SET_FCMOV || set == ZYDIS_ISA_SET_SSE3X87 ||
           zi->meta.category == ZYDIS_CATEGORY_X87_ALU; // FCOMI and its like are in the set PPRO
  switch (zi->mnemonic) {
  case ZYDIS_MNEMONIC_CVTPI2PS: // with a memory operand too
  case ZYDIS_MNEMONIC_CVTPI2PD:
    s.mmx = true;
    break;
  case ZYDIS_MNEMONIC_CVTPS2PI: // these name no vector register if the operand is in memory
  case ZYDIS_MNEMONIC_CVTTPS2PI:
  case ZYDIS_MNEMONIC_CVTPD2PI:
  case ZYDIS_MNEMONIC_CVTTPD2PI:
  case ZYDIS_MNEMONIC_CVTSS2SI:
  case ZYDIS_MNEMONIC_CVTTSS2SI:
  case ZYDIS_MNEMONIC_CVTSD2SI:
  case ZYDIS_MNEMONIC_CVTTSD2SI:
  case ZYDIS_MNEMONIC_VCVTSS2SI:
  case ZYDIS_MNEMONIC_VCVTTSS2SI:
  case ZYDIS_MNEMONIC_VCVTSD2SI:
  case ZYDIS_MNEMONIC_VCVTTSD2SI:
  case ZYDIS_MNEMONIC_VZEROALL: // nor do these
  case ZYDIS_MNEMONIC_VZEROUPPER:
    s.vec = true;
    break;
  default:
    break;
  }
  return s;
}

// Control instructions of these sets: they have rows of their own (insn/fpstate.def).
static bool is_control(ZydisMnemonic m)
{
  switch (m) {
  case ZYDIS_MNEMONIC_FNINIT:
  case ZYDIS_MNEMONIC_FNCLEX:
  case ZYDIS_MNEMONIC_FNSAVE:
  case ZYDIS_MNEMONIC_FRSTOR:
  case ZYDIS_MNEMONIC_FNSTENV:
  case ZYDIS_MNEMONIC_FLDENV:
  case ZYDIS_MNEMONIC_FLDCW:
  case ZYDIS_MNEMONIC_FNSTCW:
  case ZYDIS_MNEMONIC_FNSTSW:
  case ZYDIS_MNEMONIC_FWAIT:
  case ZYDIS_MNEMONIC_EMMS:
  case ZYDIS_MNEMONIC_LDMXCSR:
  case ZYDIS_MNEMONIC_STMXCSR:
  case ZYDIS_MNEMONIC_VLDMXCSR:
  case ZYDIS_MNEMONIC_VSTMXCSR:
  case ZYDIS_MNEMONIC_PAUSE:
  case ZYDIS_MNEMONIC_CLFLUSH:
    return true;
  default:
    return false;
  }
}

static bool is_nop(ZydisMnemonic m)
{
  switch (m) {
  case ZYDIS_MNEMONIC_LFENCE:
  case ZYDIS_MNEMONIC_SFENCE:
  case ZYDIS_MNEMONIC_MFENCE:
  case ZYDIS_MNEMONIC_PREFETCHNTA:
  case ZYDIS_MNEMONIC_PREFETCHT0:
  case ZYDIS_MNEMONIC_PREFETCHT1:
  case ZYDIS_MNEMONIC_PREFETCHT2:
    return true;
  default:
    return false;
  }
}

static bool is_aligned(const ZydisDecodedInstruction *zi, const struct shape *s)
{
  switch (zi->mnemonic) {
  case ZYDIS_MNEMONIC_VMOVAPS:
  case ZYDIS_MNEMONIC_VMOVAPD:
  case ZYDIS_MNEMONIC_VMOVDQA:
  case ZYDIS_MNEMONIC_VMOVNTPS:
  case ZYDIS_MNEMONIC_VMOVNTPD:
  case ZYDIS_MNEMONIC_VMOVNTDQ:
  case ZYDIS_MNEMONIC_VMOVNTDQA:
    return true;
  case ZYDIS_MNEMONIC_MOVUPS:
  case ZYDIS_MNEMONIC_MOVUPD:
  case ZYDIS_MNEMONIC_MOVDQU:
  case ZYDIS_MNEMONIC_LDDQU:
  case ZYDIS_MNEMONIC_PCMPESTRI:
  case ZYDIS_MNEMONIC_PCMPESTRM:
  case ZYDIS_MNEMONIC_PCMPISTRI:
  case ZYDIS_MNEMONIC_PCMPISTRM:
    return false;
  default:
    return !s->vex && s->vec && s->mem->size == 128;
  }
}

// log2 of the operand's size for op->osz, or -1.
static int size_code(unsigned bits)
{
  switch (bits) {
  case 8:
    return 0;
  case 16:
    return 1;
  case 32:
    return 2;
  case 64:
    return 3;
  case 128:
    return 4;
  case 256:
    return 5;
  case 80:
    return SIZE_10;
  default:
    return -1;
  }
}

// A handler for the control bits in force, or NULL if they allow the instruction.
static op_fn *forbidden(const struct shape *s, uint32_t mode)
{
  if (s->x87)
    return mode & (MODE_NO_X87 | MODE_TS) ? op_nm : NULL;
  if (s->vec) {
    if (mode & (s->vex ? MODE_NO_AVX : MODE_NO_SSE))
      return op_ud;
    return mode & MODE_TS ? op_nm : NULL;
  }
  if (s->mmx) {
    if (mode & MODE_NO_X87)
      return op_ud;
    return mode & MODE_TS ? op_nm : NULL;
  }
  return NULL;
}

bool host_select(struct op *op, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo,
                 struct host_code *h, uint32_t mode)
{
  if (!host_has(h, zi->meta.isa_set) || is_control(zi->mnemonic))
    return false;
  if (zi->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY && zi->encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
    return false;
  if (zi->meta.isa_set == ZYDIS_ISA_SET_PPRO && zi->meta.category != ZYDIS_CATEGORY_X87_ALU)
    return false; // UD2 and others that must never become a stub; FCOMI and its like may
  if (is_nop(zi->mnemonic)) {
    op->fn = run_nop;
    return true;
  }
  struct shape s = look(zi, zo);
  if ((op->fn = forbidden(&s, mode)))
    return true;
  if (s.vex)
    op->flags |= OPF_VEX;
  bool unmasked = (s.vec && (mode & MODE_XMASK)) || ((s.x87 || s.mmx) && (mode & MODE_FMASK));

  if (zi->meta.isa_set == ZYDIS_ISA_SET_SSE4A)
    return (op->fn = sse4a_select(op, zi, zo)) != NULL;
  if ((op->fn = move_select(op, zi, zo)) || (op->fn = masked_select(op, zi, zo)))
    return true;

  unsigned attr = (s.x87 ? HA_X87 : 0) | (s.mmx ? HA_MMX : 0) | (s.vec ? HA_SSE : 0);
  bool store = false;
  op->reg = op->rm = 0;
  if (s.mem) {
    store = s.mem->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
    int code = size_code(s.mem->size);
    if (code < 0 || (store && (s.mem->actions & ZYDIS_OPERAND_ACTION_MASK_READ)))
      return false;
    op->osz = code;
    attr |= (store ? HA_STORE : 0) | (is_aligned(zi, &s) ? HA_ALIGN : 0);
  }
  op->reg = attr;
  if (s.x87) { // FOP: the lower three bits of the opcode, and ModRM
    op->reg |= zi->opcode & 7;
    op->rm = zi->raw.modrm.mod << 6 | zi->raw.modrm.reg << 3 | zi->raw.modrm.rm;
  }
  bool prot = s.vex && !s.vec && !(mode & MODE_CS64);
  bool direct = !s.mem && !unmasked && !prot && !s.x87 && !s.mmx;
  op->ptr = stub_make(h, zi, zo, direct ? STUB_NEXT : STUB_RET);
  if (!op->ptr)
    return false;
  if (direct)
    op->fn = (op_fn *)(uintptr_t)op->ptr;
  else if (unmasked)
    op->fn = run_checked;
  else if (prot)
    op->fn = s.mem ? run_prot_load : run_prot;
  else if (s.x87)
    op->fn = s.mem ? run_x87_mem(host_size(op), store) : run_x87;
  else if (s.mmx)
    op->fn = !s.mem ? run_mmx : store ? run_mmx_store : run_mmx_load;
  else
    op->fn = store ? run_store(host_size(op), attr & HA_ALIGN) : run_load(host_size(op), attr & HA_ALIGN);
  return op->fn != NULL;
}
