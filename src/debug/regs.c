// The registers of a CPU as text; see regs.h.
#include "debug/regs.h"

#include <string.h>

#include "cpu/cpu.h"
#include "cpu/fpu.h"

typedef unsigned long long ull;

static const char *const names64[16] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                        "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"};
static const uint8_t order[16] = {RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP,
                                  R8,  R9,  R10, R11, R12, R13, R14, R15};
static const char *const seg_names[SEG_COUNT] = {"ES", "CS", "SS", "DS", "FS", "GS"};

static void print_general(FILE *out, const struct cpu *c, bool wide)
{
  for (unsigned i = 0; i < (wide ? 16 : 8); i++) {
    unsigned r = order[i];
    if (wide)
      fprintf(out, "%s=%016llx%c", names64[r], (ull)c->r[r], i % 4 == 3 ? '\n' : ' ');
    else
      fprintf(out, "E%s=%08x%c", names64[r] + 1, (unsigned)c->r[r], i % 4 == 3 ? '\n' : ' ');
  }
}

static void print_flags(FILE *out, const struct cpu *c, bool wide)
{
  static const struct {
    uint32_t bit;
    char letter;
  } shown[] = {{FL_DF, 'D'}, {FL_OF, 'O'}, {FL_SF, 'S'}, {FL_ZF, 'Z'},
               {FL_AF, 'A'}, {FL_PF, 'P'}, {FL_CF, 'C'}};
  uint32_t f = cpu_flags(c);
  char text[8] = "";
  for (unsigned i = 0; i < 7; i++)
    text[i] = f & shown[i].bit ? shown[i].letter : '-';
  if (wide)
    fprintf(out, "RIP=%016llx RFL=%08x", (ull)c->ip, f);
  else
    fprintf(out, "EIP=%08x EFL=%08x", (unsigned)c->ip, f);
  fprintf(out, " [%s] CPL=%u II=%u A20=%u SMM=%u HLT=%u\n", text, c->cpl, c->shadow != SHADOW_NONE,
          c->a20_mask == ~0ull, c->in_smm, c->run == RUN_HALTED);
}

static void print_seg(FILE *out, const char *name, const struct seg *s, bool wide)
{
  // As in the upper half of a descriptor.
  uint32_t flags = (s->attr & 0xffu) << 8 | (s->attr >> 8 & 0xfu) << 20;
  fprintf(out, "%-3s=%04x %0*llx %08x %08x\n", name, s->sel, wide ? 16 : 8, (ull)s->base, s->limit, flags);
}

static void print_system(FILE *out, const struct cpu *c, bool wide)
{
  int w = wide ? 16 : 8;
  for (unsigned i = 0; i < SEG_COUNT; i++)
    print_seg(out, seg_names[i], &c->seg[i], wide);
  print_seg(out, "LDT", &c->ldtr, wide);
  print_seg(out, "TR", &c->tr, wide);
  fprintf(out, "GDT=     %0*llx %08x\nIDT=     %0*llx %08x\n", w, (ull)c->gdtr.base, c->gdtr.limit, w,
          (ull)c->idtr.base, c->idtr.limit);
  fprintf(out, "CR0=%08x CR2=%0*llx CR3=%0*llx CR4=%08x\n", (unsigned)c->cr0, w, (ull)c->cr2, w, (ull)c->cr3,
          (unsigned)c->cr4);
  for (unsigned i = 0; i < 4; i++)
    fprintf(out, "DR%u=%0*llx%c", i, w, (ull)c->dr[i], i == 3 ? '\n' : ' ');
  fprintf(out, "DR6=%0*llx DR7=%0*llx\nEFER=%016llx\n", w, (ull)c->dr6, w, (ull)c->dr7, (ull)c->efer);
}

static void print_vector(FILE *out, struct cpu *c)
{
  const struct fxregs *x = &c->fx;
  fprintf(out, "FCW=%04x FSW=%04x [ST=%u] FTW=%02x MXCSR=%08x\n", x->fcw, x->fsw, x->fsw >> 11 & 7, x->ftw,
          x->mxcsr);
  for (unsigned i = 0; i < 8; i++) {
    uint64_t mantissa;
    uint16_t top;
    memcpy(&mantissa, x->st[i], 8);
    memcpy(&top, x->st[i] + 8, 2);
    fprintf(out, "FPR%u=%016llx %04x%c", i, (ull)mantissa, top, i & 1 ? '\n' : ' ');
  }
  for (unsigned i = 0; i < (cpu_long(c) ? 16 : 8); i++) {
    uint64_t q[2];
    memcpy(q, c->v[i], 16);
    fprintf(out, "XMM%02u=%016llx %016llx%c", i, (ull)q[1], (ull)q[0], i & 1 ? '\n' : ' ');
  }
}

void regs_print(FILE *out, struct cpu *c)
{
  bool wide = cpu_long(c);
  print_general(out, c, wide);
  print_flags(out, c, wide);
  print_system(out, c, wide);
  print_vector(out, c);
}

bool regs_value(const struct cpu *c, const char *name, uint64_t *v)
{
  static const char *const low[16] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di",
                                      "8",  "9",  "10", "11", "12", "13", "14", "15"};
  for (unsigned i = 0; i < 16; i++) {
    if (strlen(name) < 2 || strcmp(name + 1, low[i]) != 0)
      continue;
    if (name[0] == 'r')
      return *v = c->r[i], true;
    if (name[0] == 'e' && i < 8)
      return *v = (uint32_t)c->r[i], true;
  }
  for (unsigned i = 0; i < SEG_COUNT; i++)
    if (strlen(name) == 2 && (name[0] | 32) == (seg_names[i][0] | 32) &&
        (name[1] | 32) == (seg_names[i][1] | 32))
      return *v = c->seg[i].sel, true;
  const struct {
    const char *name;
    uint64_t v;
  } others[] = {{"rip", c->ip},           {"eip", c->ip},           {"pc", c->seg[SEG_CS].base + c->ip},
                {"eflags", cpu_flags(c)}, {"rflags", cpu_flags(c)}, {"cr0", c->cr0},
                {"cr2", c->cr2},          {"cr3", c->cr3},          {"cr4", c->cr4},
                {"efer", c->efer}};
  for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++)
    if (!strcmp(name, others[i].name))
      return *v = others[i].v, true;
  return false;
}
