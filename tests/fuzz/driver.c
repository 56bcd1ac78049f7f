// Runs a fuzz target without libFuzzer: inputs come from the target's seeds, changed at random from a fixed
// start, so that every run of the tests is the same run.
//
//   fuzz-TARGET [--runs N] [--seed S] [--only I]   N inputs of the series S, or just number I of it
//   fuzz-TARGET --write-seeds DIR                  the seeds as files, for libFuzzer
//   fuzz-TARGET FILE...                            these inputs
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define INPUT_MAX (2 * FUZZ_SEED)
#define PATIENCE  60 // seconds for one input

// Sanitizers end the program by SIGABRT, so that the input is named.
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
  return "abort_on_error=1";
}
const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
  return "abort_on_error=1:print_stacktrace=1";
}

static char current[128];

static void on_signal(int sig)
{
  static const char slow[] = "fuzz: took too long: ", bad[] = "fuzz: failed: ";
  const char *what = sig == SIGALRM ? slow : bad;
  if (write(STDERR_FILENO, what, strlen(what)) < 0 || write(STDERR_FILENO, current, strlen(current)) < 0)
    _exit(1);
  signal(sig == SIGALRM ? SIGABRT : sig, SIG_DFL);
  raise(sig == SIGALRM ? SIGABRT : sig);
}

static uint32_t below(uint64_t *rng, uint32_t n)
{
  return (uint32_t)((fuzz_random(rng) >> 32) * n >> 32);
}

static unsigned seeds(void)
{
  static uint8_t buf[FUZZ_SEED];
  unsigned n = 0;
  while (fuzz_seed(n, buf))
    n++;
  return n;
}

static size_t mutate(uint8_t *buf, size_t len, uint64_t *rng)
{
  static const uint8_t edges[] = {0, 1, 2, 4, 8, 0x10, 0x20, 0x40, 0x7f, 0x80, 0xfe, 0xff};
  unsigned times = 1u << below(rng, 7);
  for (unsigned i = 0; i < times && len; i++) {
    size_t at = below(rng, (uint32_t)len), n = 1 + below(rng, 16);
    switch (below(rng, 7)) {
    case 0:
      buf[at] ^= (uint8_t)(1u << below(rng, 8));
      break;
    case 1:
      buf[at] = edges[below(rng, sizeof edges)];
      break;
    case 2: // insert
      if (len + n > INPUT_MAX)
        break;
      memmove(buf + at + n, buf + at, len - at);
      for (size_t j = 0; j < n; j++)
        buf[at + j] = (uint8_t)fuzz_random(rng);
      len += n;
      break;
    case 3: // take out
      if (n > len - at)
        n = len - at;
      memmove(buf + at, buf + at + n, len - at - n);
      len -= n;
      break;
    case 4: { // repeat
      size_t from = below(rng, (uint32_t)len);
      for (size_t j = 0; j < n && at + j < len && from + j < len; j++)
        buf[at + j] = buf[from + j];
      break;
    }
    default:
      buf[at] = (uint8_t)fuzz_random(rng);
    }
  }
  return len;
}

// Input number i of a series depends on nothing but these two numbers.
static void run_one(unsigned seed_count, uint64_t series, uint64_t i)
{
  static uint8_t buf[INPUT_MAX];
  uint64_t rng = series * 0x9e3779b97f4a7c15u + i * 0xd1342543de82ef95u;
  size_t len;
  if (i < seed_count) {
    len = fuzz_seed((unsigned)i, buf);
  } else if (seed_count && below(&rng, 4)) {
    len = mutate(buf, fuzz_seed(below(&rng, seed_count), buf), &rng);
  } else {
    len = below(&rng, 1u << (4 + below(&rng, 9)));
    for (size_t j = 0; j < len; j++)
      buf[j] = (uint8_t)fuzz_random(&rng);
  }
  // A copy of the exact size: reading behind it is seen.
  uint8_t *input = malloc(len ? len : 1);
  if (!input)
    abort();
  memcpy(input, buf, len);
  snprintf(current, sizeof current, "--seed %llu --only %llu\n", (unsigned long long)series,
           (unsigned long long)i);
  alarm(PATIENCE);
  LLVMFuzzerTestOneInput(input, len);
  alarm(0);
  free(input);
}

static int run_file(const char *path)
{
  static uint8_t buf[1 << 20];
  FILE *f = fopen(path, "rb");
  if (!f) {
    perror(path);
    return 2;
  }
  size_t len = fread(buf, 1, sizeof buf, f);
  fclose(f);
  uint8_t *input = malloc(len ? len : 1);
  if (!input)
    abort();
  memcpy(input, buf, len);
  snprintf(current, sizeof current, "%.120s\n", path);
  alarm(PATIENCE);
  LLVMFuzzerTestOneInput(input, len);
  alarm(0);
  free(input);
  return 0;
}

static int write_seeds(const char *dir)
{
  static uint8_t buf[FUZZ_SEED];
  size_t len;
  for (unsigned n = 0; (len = fuzz_seed(n, buf)) != 0; n++) {
    char path[4096];
    snprintf(path, sizeof path, "%s/seed-%03u", dir, n);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(buf, 1, len, f) != len || fclose(f)) {
      perror(path);
      return 2;
    }
  }
  return 0;
}

static uint64_t number(const char *text)
{
  return strtoull(text, NULL, 0);
}

int main(int argc, char **argv)
{
  uint64_t runs = 1000, series = 1, only = UINT64_MAX;
  bool files = false;
  const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGALRM};
  for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++)
    signal(signals[i], on_signal);
  for (int i = 1; i < argc; i++) {
    const char *value = i + 1 < argc ? argv[i + 1] : "";
    if (!strcmp(argv[i], "--runs"))
      runs = number(value), i++;
    else if (!strcmp(argv[i], "--seed"))
      series = number(value), i++;
    else if (!strcmp(argv[i], "--only"))
      only = number(value), i++;
    else if (!strcmp(argv[i], "--write-seeds"))
      return write_seeds(value);
    else if (files = true, run_file(argv[i]))
      return 2;
  }
  if (files)
    return 0;
  unsigned count = seeds();
  if (only != UINT64_MAX) {
    run_one(count, series, only);
    return 0;
  }
  time_t start = time(NULL);
  for (uint64_t i = 0; i < runs; i++)
    run_one(count, series, i);
  printf("%llu inputs in %lld s\n", (unsigned long long)runs, (long long)(time(NULL) - start));
  return 0;
}
