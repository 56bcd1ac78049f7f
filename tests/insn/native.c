// Single instructions on the host CPU; see native.h.
#include "native.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ucontext.h>
#include <unistd.h>

#define XSAVE_HEADER 512
#define XSAVE_YMM    576

static struct {
  struct test_case *cases;
  unsigned n, at;
  bool running;
  greg_t home[NGREG]; // the context to go back to
  uint8_t home_fp[576 + 256];
} batch;

static const int greg[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                             REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

#define FLAGS 0xcd5u

static void load(ucontext_t *u, const struct test_case *t)
{
  greg_t *g = u->uc_mcontext.gregs;
  uint8_t *fp = (uint8_t *)u->uc_mcontext.fpregs;
  for (int i = 0; i < 16; i++)
    g[greg[i]] = t->in.r[i];
  memcpy((void *)CODE_BASE, t->bytes, t->len);
  memset((char *)CODE_BASE + t->len, 0xcc, 16);
  g[REG_RIP] = CODE_BASE;
  g[REG_EFL] = 0x202 | t->in.flags;
  uint64_t seg = g[REG_CSGSFS];
  g[REG_CSGSFS] = (seg & ~0xffffull) | (t->wide ? 0x33 : 0x23);
  memcpy(fp + 0, &t->in.fcw, 2);
  memcpy(fp + 2, &t->in.fsw, 2);
  fp[4] = t->in.ftw;
  memset(fp + 6, 0, 18);
  memcpy(fp + 24, &t->in.mxcsr, 4);
  for (int i = 0; i < 8; i++)
    memcpy(fp + 32 + 16 * i, t->in.st[i], 16);
  for (int i = 0; i < 16; i++) {
    memcpy(fp + 160 + 16 * i, t->in.v[i], 16);
    memcpy(fp + XSAVE_YMM + 16 * i, t->in.v[i] + 16, 16);
  }
  uint64_t bv;
  memcpy(&bv, fp + XSAVE_HEADER, 8);
  bv |= 7;
  memcpy(fp + XSAVE_HEADER, &bv, 8);
  memcpy((char *)WINDOW_BASE + WATCH_FROM, t->in.mem, WATCH_SIZE);
}

static void store(const ucontext_t *u, struct test_case *t, int sig, const siginfo_t *si)
{
  const greg_t *g = u->uc_mcontext.gregs;
  const uint8_t *fp = (const uint8_t *)u->uc_mcontext.fpregs;
  for (int i = 0; i < 16; i++)
    t->out.r[i] = g[greg[i]];
  t->signal = sig == SIGTRAP ? 0 : sig;
  t->fault_address = (uint64_t)si->si_addr;
  t->out.ip = g[REG_RIP] - CODE_BASE - (sig == SIGTRAP ? 1 : 0);
  t->out.flags = g[REG_EFL] & FLAGS;
  uint64_t bv;
  memcpy(&bv, fp + XSAVE_HEADER, 8);
  memcpy(&t->out.fcw, fp + 0, 2);
  memcpy(&t->out.fsw, fp + 2, 2);
  t->out.ftw = fp[4];
  memcpy(&t->out.mxcsr, fp + 24, 4);
  for (int i = 0; i < 8; i++)
    memcpy(t->out.st[i], fp + 32 + 16 * i, 16);
  for (int i = 0; i < 16; i++) {
    if (bv & 2)
      memcpy(t->out.v[i], fp + 160 + 16 * i, 16);
    else
      memset(t->out.v[i], 0, 16);
    if (bv & 4)
      memcpy(t->out.v[i] + 16, fp + XSAVE_YMM + 16 * i, 16);
    else
      memset(t->out.v[i] + 16, 0, 16);
  }
  memcpy(t->out.mem, (char *)WINDOW_BASE + WATCH_FROM, WATCH_SIZE);
}

static void handler(int sig, siginfo_t *si, void *context)
{
  ucontext_t *u = context;
  if (!batch.running) {
    if (sig != SIGTRAP) {
      signal(sig, SIG_DFL); // a fault of our own
      return;
    }
    memcpy(batch.home, u->uc_mcontext.gregs, sizeof batch.home);
    memcpy(batch.home_fp, u->uc_mcontext.fpregs, sizeof batch.home_fp);
    batch.running = true;
    batch.at = 0;
  } else {
    store(u, &batch.cases[batch.at++], sig, si);
  }
  if (batch.at < batch.n) {
    load(u, &batch.cases[batch.at]);
    return;
  }
  batch.running = false;
  memcpy(u->uc_mcontext.gregs, batch.home, sizeof batch.home);
  memcpy(u->uc_mcontext.fpregs, batch.home_fp, sizeof batch.home_fp);
}

static bool map_at(uint64_t at, size_t size, int prot)
{
  void *p = mmap((void *)at, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  return p == (void *)at;
}

bool native_init(void)
{
  if (!map_at(WINDOW_BASE, WINDOW_SIZE, PROT_READ | PROT_WRITE) ||
      !map_at(CODE_BASE, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC))
    return false;
  // 32-bit code needs real data segments; 64-bit code does not mind them.
  __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(0x2b));
  static uint8_t stack[1u << 20];
  stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
  if (sigaltstack(&ss, NULL))
    return false;
  struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  static const int sigs[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
  for (unsigned i = 0; i < sizeof sigs / sizeof *sigs; i++)
    if (sigaction(sigs[i], &sa, NULL))
      return false;
  return true;
}

void native_run(struct test_case *cases, unsigned n)
{
  batch.cases = cases;
  batch.n = n;
  batch.running = false;
  __asm__ volatile("int3" ::: "memory");
}
