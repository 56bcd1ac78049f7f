// What the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput and fuzz_seed; it is linked
// either with libFuzzer (clang, ./run fuzz) or with driver.c, which makes its own inputs from a fixed seed
// (./run test).
//
// A target ends the program (abort, a sanitizer's report) if a promise is broken, and in no other way.
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

// The n-th input of the target's own corpus, made by code: writes it to buf and returns its length, at most
// FUZZ_SEED bytes; 0: there is no such.
#define FUZZ_SEED 8192
size_t fuzz_seed(unsigned n, uint8_t *buf);

// An input read piece by piece; behind its end there are zeros.
struct fuzz_in {
  const uint8_t *at;
  size_t left;
};

static inline uint64_t fuzz_take(struct fuzz_in *in, unsigned bytes)
{
  uint64_t v = 0;
  for (unsigned i = 0; i < bytes && in->left; i++, in->left--)
    v |= (uint64_t)*in->at++ << 8 * i;
  return v;
}

// The same backwards: for seeds.
struct fuzz_out {
  uint8_t *buf;
  size_t len;
};

static inline void fuzz_put(struct fuzz_out *out, unsigned bytes, uint64_t v)
{
  for (unsigned i = 0; i < bytes && out->len < FUZZ_SEED; i++)
    out->buf[out->len++] = (uint8_t)(v >> 8 * i);
}

// Bulk data that an input only names by a number.
static inline uint64_t fuzz_random(uint64_t *state)
{
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

// Says which promise was broken, and aborts.
#define FUZZ_REQUIRE(cond, ...)                                                                              \
  do {                                                                                                       \
    if (!(cond)) {                                                                                           \
      fprintf(stderr, "fuzz: not so: " #cond ": " __VA_ARGS__);                                              \
      fputc('\n', stderr);                                                                                   \
      abort();                                                                                               \
    }                                                                                                        \
  } while (0)

#endif
