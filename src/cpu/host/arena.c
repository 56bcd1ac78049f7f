// The arena of host code: one memory mapped twice, a hash of what is in it, and what the host can do.
//
// Stubs are known by their bytes, so two guest instructions that need the same host code share it. It grows
// to HOST_ARENA and is then emptied as a whole, together with the blocks that point into it.
#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "cpu/host/code.h"

struct header { // before each stub
  uint32_t len, hash;
};

static void detect(struct host_code *h)
{
  unsigned a = 0, b = 0, c = 0, d = 0, b7 = 0, c7 = 0, d7 = 0, ce = 0, de = 0, a71 = 0;
  __get_cpuid(1, &a, &b, &c, &d);
  __get_cpuid_count(7, 0, &a, &b7, &c7, &d7);
  if (a >= 1)
    __get_cpuid_count(7, 1, &a71, &b, &ce, &de);
  __get_cpuid(0x80000001, &a, &b, &ce, &de);
  bool avx = false;
  if (c & bit_OSXSAVE) {
    unsigned lo, hi;
    __asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    avx = (lo & 6) == 6 && (c & bit_AVX);
  }
  bool avx2 = avx && (b7 & bit_AVX2);
  bool *i = h->isa;
  // Part of x86-64 itself.
  i[ZYDIS_ISA_SET_X87] = i[ZYDIS_ISA_SET_FCMOV] = i[ZYDIS_ISA_SET_PPRO] = i[ZYDIS_ISA_SET_PENTIUMMMX] = true;
  i[ZYDIS_ISA_SET_SSE] = i[ZYDIS_ISA_SET_SSE2] = i[ZYDIS_ISA_SET_SSE2MMX] = i[ZYDIS_ISA_SET_SSE_PREFETCH] =
      true;
  i[ZYDIS_ISA_SET_PREFETCH_NOP] = true;
  i[ZYDIS_ISA_SET_SSE3] = i[ZYDIS_ISA_SET_SSE3X87] = c & bit_SSE3;
  i[ZYDIS_ISA_SET_SSSE3] = i[ZYDIS_ISA_SET_SSSE3MMX] = c & bit_SSSE3;
  i[ZYDIS_ISA_SET_SSE4] = c & bit_SSE4_1;
  i[ZYDIS_ISA_SET_SSE42] = c & bit_SSE4_2;
  i[ZYDIS_ISA_SET_POPCNT] = c & bit_POPCNT;
  i[ZYDIS_ISA_SET_LZCNT] = ce & bit_LZCNT;
  i[ZYDIS_ISA_SET_AES] = c & bit_AES;
  i[ZYDIS_ISA_SET_PCLMULQDQ] = c & bit_PCLMUL;
  i[ZYDIS_ISA_SET_SHA] = b7 & bit_SHA;
  i[ZYDIS_ISA_SET_GFNI] = c7 & bit_GFNI;
  i[ZYDIS_ISA_SET_BMI1] = b7 & bit_BMI;
  i[ZYDIS_ISA_SET_BMI2] = b7 & bit_BMI2;
  i[ZYDIS_ISA_SET_ADOX_ADCX] = b7 & bit_ADX;
  i[ZYDIS_ISA_SET_AVX] = avx;
  i[ZYDIS_ISA_SET_AVXAES] = avx && (c & bit_AES);
  i[ZYDIS_ISA_SET_F16C] = avx && (c & bit_F16C);
  i[ZYDIS_ISA_SET_FMA] = avx && (c & bit_FMA);
  i[ZYDIS_ISA_SET_AVX2] = i[ZYDIS_ISA_SET_AVX2GATHER] = avx2;
  i[ZYDIS_ISA_SET_VAES] = avx && (c7 & bit_VAES);
  i[ZYDIS_ISA_SET_VPCLMULQDQ] = avx && (c7 & bit_VPCLMULQDQ);
  i[ZYDIS_ISA_SET_AVX_GFNI] = avx && (c7 & bit_GFNI);
  i[ZYDIS_ISA_SET_AVX_VNNI] = avx2 && (a71 & 1u << 4);
  // Done in C.
  i[ZYDIS_ISA_SET_SSE4A] = true;
}

struct host_code *host_code_new(struct err *e)
{
  struct host_code *h = calloc(1, sizeof *h);
  if (!h) {
    err_set(e, "no memory for host code");
    return NULL;
  }
  h->rw = h->rx = MAP_FAILED;
  h->slots = calloc(HOST_SLOTS, sizeof *h->slots);
  int fd = memfd_create("pacifica-code", MFD_CLOEXEC);
  if (h->slots && fd >= 0 && ftruncate(fd, HOST_ARENA) == 0) {
    h->rw = mmap(NULL, HOST_ARENA, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    h->rx = mmap(NULL, HOST_ARENA, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  }
  int why = errno;
  if (fd >= 0)
    close(fd);
  if (h->rw == MAP_FAILED || h->rx == MAP_FAILED) {
    err_set(e, "cannot map memory for host code: %s; allow executable mappings of memfd for this program",
            strerror(why));
    host_code_free(h);
    return NULL;
  }
  ZydisDecoderInit(&h->decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  detect(h);
  return h;
}

void host_code_free(struct host_code *h)
{
  if (!h)
    return;
  if (h->rw != MAP_FAILED)
    munmap(h->rw, HOST_ARENA);
  if (h->rx != MAP_FAILED)
    munmap(h->rx, HOST_ARENA);
  free(h->slots);
  free(h);
}

bool host_code_full(const struct host_code *h)
{
  return h->used > HOST_ARENA - HOST_MARGIN || h->count > HOST_SLOTS / 4 * 3;
}

void host_code_reset(struct host_code *h)
{
  h->used = h->count = 0;
  memset(h->slots, 0, HOST_SLOTS * sizeof *h->slots);
}

bool host_has(const struct host_code *h, ZydisISASet set)
{
  return (unsigned)set <= ZYDIS_ISA_SET_MAX_VALUE && h->isa[set];
}

const void *host_code_add(struct host_code *h, const struct emit *e)
{
  uint32_t hash = 2166136261u;
  for (unsigned i = 0; i < e->len; i++)
    hash = (hash ^ e->code[i]) * 16777619u;
  uint32_t s = (hash ^ hash >> 15) & (HOST_SLOTS - 1);
  for (; h->slots[s]; s = (s + 1) & (HOST_SLOTS - 1)) {
    uint32_t off = h->slots[s] - 1;
    struct header hd;
    memcpy(&hd, h->rw + off - sizeof hd, sizeof hd);
    if (hd.hash == hash && hd.len == e->len && memcmp(h->rw + off, e->code, e->len) == 0)
      return h->rx + off;
  }
  uint32_t off = (h->used + sizeof(struct header) + 15) & ~15u;
  if (off + e->len > HOST_ARENA || h->count >= HOST_SLOTS - 1)
    return NULL;
  struct header hd = {e->len, hash};
  memcpy(h->rw + off - sizeof hd, &hd, sizeof hd);
  memcpy(h->rw + off, e->code, e->len);
  h->used = off + e->len;
  h->count++;
  h->slots[s] = off + 1;
  return h->rx + off;
}
