// The guest's side of the bench: process 1 of the bench's initial RAM disk, and, on the host, the source of
// the expected results.
//
// As /init it does each item named in the kernel command line (`items=fork,sha scale=100`) between two marks
// on the console,
//   @@ begin NAME
//   @@ end NAME
// and then prints what came out, `@@ result NAME VALUE`. The times are taken by whoever reads the console: a
// clock in the guest may be virtual. On the host (`work NAME SCALE`) it does one item and prints its value,
// so that wrong work is seen.
//
// Invariant: before a begin mark the console is idle, so both marks of an item come out with the same delay.
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum {
  SHA_MB = 64,
  FORKS = 200,
  FLOAT_ROUNDS = 100000,
  INT_ROUNDS = 40,
  GETPPIDS = 1000000,
  READS = 500000,
};

static long scale = 100; // percent of the amounts above

static long amount(long full)
{
  long n = full * scale / 100;
  return n > 0 ? n : 1;
}

// ---- programs of busybox ----

// Runs busybox with its output in the file `out` (NULL: nowhere); false when it could not be run or failed.
static int busybox(char *const argv[], const char *out)
{
  pid_t pid = fork();
  if (pid == 0) {
    int fd = open(out ? out : "/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(fd, 1);
    execv("/bin/busybox", argv);
    _exit(127);
  }
  int status = -1;
  return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static uint64_t item_fork(void)
{
  uint64_t done = 0;
  char *argv[] = {"true", NULL};
  for (long i = amount(FORKS); i > 0; i--)
    done += busybox(argv, NULL);
  return done;
}

static void sha_prepare(void)
{
  static char buf[1 << 20];
  int fd = open("/tmp/zeros", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  for (long i = amount(SHA_MB); i > 0; i--)
    if (write(fd, buf, sizeof buf) != sizeof buf)
      break;
  close(fd);
}

static uint64_t item_sha(void)
{
  char *argv[] = {"sha256sum", "/tmp/zeros", NULL};
  return busybox(argv, "/tmp/out");
}

static uint64_t item_sort(void)
{
  char *argv[] = {"sort", "-n", "/numbers", NULL};
  return busybox(argv, "/tmp/out");
}

// ---- loops ----

// Double arithmetic as programs have it: products and sums over arrays, divisions, square roots, comparisons.
static uint64_t item_float(void)
{
  enum { N = 256 };
  static double a[N], b[N];
  for (int i = 0; i < N; i++) {
    a[i] = 1.0 + i * 0.001;
    b[i] = 2.0 - i * 0.003;
  }
  double sum = 0;
  for (long r = amount(FLOAT_ROUNDS); r > 0; r--) {
    double dot = 0;
    for (int i = 0; i < N; i++)
      dot += a[i] * b[i];
    for (int i = 0; i < N; i++) {
      double x = (a[i] * 1.5 - b[i] * 0.25) / (1.0 + dot * 1e-4);
      b[i] = x > 1.75 ? x - 1.0 : x + 0.125;
      sum += sqrt(x * x + a[i]);
    }
    a[r & (N - 1)] = 1.0 + dot * 1e-3;
  }
  uint64_t bits;
  memcpy(&bits, &sum, sizeof bits);
  return bits;
}

// A sieve (memory, short loops) and the lengths of Collatz sequences (branches, shifts, multiplications).
static uint64_t item_int(void)
{
  enum { N = 200000 };
  static uint8_t composite[N];
  uint64_t h = 0;
  for (long r = amount(INT_ROUNDS); r > 0; r--) {
    memset(composite, 0, sizeof composite);
    uint32_t primes = 0;
    for (uint32_t i = 2; i < N; i++) {
      if (composite[i])
        continue;
      primes++;
      for (uint64_t j = (uint64_t)i * i; j < N; j += i)
        composite[j] = 1;
    }
    uint32_t steps = 0;
    for (uint64_t i = 1; i < 20000; i++)
      for (uint64_t x = i + (uint64_t)r; x != 1; steps++)
        x = x & 1 ? x * 3 + 1 : x >> 1;
    h = (h ^ primes ^ (uint64_t)steps << 20) * 0x9e3779b97f4a7c15u;
    h ^= h >> 29;
  }
  return h;
}

// The C library keeps some answers; the kernel is to be asked each time.
static uint64_t item_getppid(void)
{
  uint64_t sum = 0;
  for (long i = amount(GETPPIDS); i > 0; i--)
    sum += syscall(SYS_getppid) >= 0;
  return sum;
}

static uint64_t item_read(void)
{
  int fd = open("/dev/zero", O_RDONLY);
  uint64_t sum = 0;
  char c;
  for (long i = amount(READS); i > 0; i--)
    sum += syscall(SYS_read, fd, &c, 1L) == 1;
  close(fd);
  return sum;
}

// ---- the list, the console ----

struct item {
  const char *name;
  void (*prepare)(void); // outside the marks
  uint64_t (*work)(void);
  int hashed; // the result is also the SHA-256 of /tmp/out
};

static const struct item items[] = {
    {"fork", NULL, item_fork, 0},   {"sha", sha_prepare, item_sha, 1}, {"sort", NULL, item_sort, 1},
    {"float", NULL, item_float, 0}, {"int", NULL, item_int, 0},        {"getppid", NULL, item_getppid, 0},
    {"read", NULL, item_read, 0},
};

static void say(const char *text)
{
  (void)!write(1, text, strlen(text));
}

static void run(const struct item *it)
{
  char line[256];
  if (it->prepare)
    it->prepare();
  tcdrain(1);
  snprintf(line, sizeof line, "@@ begin %s\n", it->name);
  say(line);
  uint64_t value = it->work();
  snprintf(line, sizeof line, "@@ end %s\n", it->name);
  say(line);
  tcdrain(1);

  char hash[65] = "";
  if (it->hashed) {
    char *argv[] = {"sha256sum", "/tmp/out", NULL};
    busybox(argv, "/tmp/hash");
    int fd = open("/tmp/hash", O_RDONLY);
    ssize_t n = read(fd, hash, 64);
    hash[n > 0 ? n : 0] = 0;
    close(fd);
  }
  snprintf(line, sizeof line, "@@ result %s %llx %s\n", it->name, (unsigned long long)value, hash);
  say(line);
  tcdrain(1);
}

static int wanted(const char *list, const char *name)
{
  size_t n = strlen(name);
  for (const char *p = list; p; p = strchr(p, ','), p = p ? p + 1 : NULL)
    if (strncmp(p, name, n) == 0 && (p[n] == ',' || p[n] == 0))
      return 1;
  return 0;
}

int main(int argc, char **argv)
{
  int init = getpid() == 1;
  const char *list = init ? getenv("items") : argc > 1 ? argv[1] : "";
  const char *percent = init ? getenv("scale") : argc > 2 ? argv[2] : "100";
  if (percent)
    scale = strtol(percent, NULL, 10);

  if (init)
    say("@@ userland\n");
  for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
    if (!list || !wanted(list, items[i].name))
      continue;
    if (init)
      run(&items[i]);
    else
      printf("%llx\n", (unsigned long long)items[i].work());
  }
  if (!init)
    return 0;
  say("@@ done\n");
  tcdrain(1);
  reboot(RB_POWER_OFF);
  for (;;)
    pause();
}
