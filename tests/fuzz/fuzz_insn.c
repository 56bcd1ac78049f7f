// Instruction bytes under any mode, with any registers, tables and flags. Promises: nothing leads out of the
// guest's RAM, the run ends where it must, the CPU's state stays one that the architecture has, and the state
// after n instructions is the same whether they ran in blocks, as host code or one by one.
#include <stdio.h>

#include "cpubed.h"

#define INSTRUCTIONS 300

static struct cpubed *run(const uint8_t *data, size_t len, uint64_t slice, bool translate)
{
  struct fuzz_in in = {data, len};
  struct cpubed *b = cpubed_new(cpubed_model((unsigned)fuzz_take(&in, 1)));
  if (translate)
    cpubed_translate(b);
  cpubed_fill(b, &in);
  cpubed_run(b, INSTRUCTIONS, slice);
  cpubed_check(b);
  return b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
  struct cpubed *slow = run(data, len, 1, false), *fast = run(data, len, INSTRUCTIONS, false);
  cpubed_same(fast, slow);
  cpubed_free(fast);
  fast = run(data, len, len & 1 ? INSTRUCTIONS : 1 + len % 64, true);
  cpubed_same(fast, slow);
  cpubed_free(fast);
  cpubed_free(slow);
  return 0;
}

// Pieces of code that lead into the corners: far transfers, system registers, strings, floating point.
#define PIECE(bytes)                                                                                         \
  {                                                                                                          \
    bytes, sizeof bytes - 1                                                                                  \
  }
static const struct {
  const char *code;
  unsigned len;
} pieces[] = {
    PIECE("\x90\x40\x8b\x03\x89\x03\x01\x03\x0f\xb1\x0b\xf0\x0f\xc7\x0e"), // MOV, ADD, CMPXCHG, CMPXCHG8B
    PIECE("\xf3\xa4\xf3\xa5\xf3\xaa\xf2\xae\xf3\xa6\xf3\xac"),             // REP strings
    PIECE("\x0f\x20\xc0\x0f\x22\xc0\x0f\x20\xe0\x0f\x22\xe0\x0f\x22\xd8"), // CR0, CR4, CR3
    PIECE("\x0f\x32\x0f\x30\x0f\xa2\x0f\x31\x0f\x01\xf9\x0f\x01\xd0"), // RDMSR, WRMSR, CPUID, RDTSC, XGETBV
    PIECE("\xcd\x80\xcc\xf1\xce\xcf\x0f\x0b"),                         // INT, INT3, INT1, INTO, IRET, UD2
    PIECE("\x9c\x58\x0d\x01\x01\x00\x00\x50\x9d\x90\x90"),             // set TF by POPF
    PIECE("\xd9\xe8\xd9\xeb\xde\xc9\xdf\xe0\xdb\xe3\xd9\x3b\xdd\x33\x0f\xae\x03"), // x87, FNSAVE, FXSAVE
    PIECE("\x0f\x28\x03\x0f\x58\xc1\x0f\xae\x13\x66\x0f\x6f\x03\xc5\xfd\x6f\x03"), // SSE, LDMXCSR, AVX
    PIECE("\x8e\xd8\x8e\xd0\x8e\xe0\x0f\xb2\x23\xc4\x03\x0f\x00\xd8\x0f\x00\xd0"), // segment loads, LTR, LLDT
    PIECE("\xff\x2b\xff\x1b\xca\x04\x00\xcb\xea\x00\x60\x00\x00\x08\x00"),         // far JMP, CALL, RET
    PIECE("\x0f\x05\x0f\x07\x0f\x34\x0f\x35\x0f\x01\xf8"),     // SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS
    PIECE("\xe4\x60\xe6\x60\xec\xee\x6c\x6e\xf3\x6d\xf3\x6f"), // port I/O
    PIECE("\xfb\xf4\xfa\x0f\x01\xc8\x0f\x01\xc9\x0f\x08\x0f\x09"), // STI, HLT, MONITOR, MWAIT, INVD
    PIECE("\x0f\x21\xf8\x0f\x23\xf8\x0f\x23\xc0\x0f\x21\xf0"),     // debug registers
    PIECE(
        "\x0f\x01\x3b\x0f\x01\x1b\x0f\x01\x13\x0f\x01\x03\x0f\x01\xf0\x66\x0f\x38\x82\x03"), // INVLPG, LIDT,
                                                                                             // INVPCID
    PIECE("\xc8\x10\x00\x03\xc9\x60\x61\x62\x03\x27\xd5\x0a\xd4\x00"), // ENTER, LEAVE, PUSHA, BOUND, AAD, AAM
    PIECE("\x0f\xae\x23\x0f\xae\x2b\x0f\xc7\x23\x0f\x01\xd1\x0f\x01\xee\x0f\x01\xef"), // XSAVE, XRSTOR,
                                                                                       // XSETBV, PKRU
    PIECE("\x0f\x01\xd8\x0f\x01\xda\x0f\x01\xdb\x0f\x01\xdc\x0f\x01\xdd\x0f\x01\xdf\x0f\x01\xd9"), // VMRUN,
                                                                                                   // VMLOAD,
                                                                                                   // STGI
    PIECE("\xeb\xfe"), // a jump to itself
};
#define PIECES (sizeof pieces / sizeof pieces[0])

size_t fuzz_seed(unsigned n, uint8_t *buf)
{
  enum { MODES = 10 };
  if (n >= PIECES * MODES)
    return 0;
  struct fuzz_out out = {buf, 0};
  fuzz_put(&out, 1, n);                         // model
  fuzz_put(&out, 1, n % MODES);                 // mode
  fuzz_put(&out, 1, n / MODES % 8);             // CPL, and whether it is a loop
  fuzz_put(&out, 4, 0x00010200);                // flags
  fuzz_put(&out, 8, 0x200 | (uint64_t)n << 40); // control bits
  fuzz_put(&out, 8, n * 77);                    // noise
  fuzz_put(&out, 1, 0);                         // patches
  for (unsigned k = 0; k < 2; k++)
    for (unsigned p = (n / MODES + k * n) % PIECES, i = 0; i < pieces[p].len; i++)
      fuzz_put(&out, 1, (uint8_t)pieces[p].code[i]);
  return out.len;
}
