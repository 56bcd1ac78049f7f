// Runs instructions natively; see native.h.
#include "native.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

extern const uint8_t native_begin[], native_hole[], native_after[], native_state[], native_end[];

enum { STACK = 65536 };

static struct native *running; // for the signal handler

static void on_fpe(int sig, siginfo_t *info, void *context)
{
  ucontext_t *u = context;
  running->trapped = true;
  u->uc_mcontext.gregs[REG_RIP] = (intptr_t)(running->code + (native_after - native_begin));
}

bool native_init(struct native *n)
{
  size_t len = native_end - native_begin;
  n->code = mmap(NULL, len, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (n->code == MAP_FAILED)
    return false;
  memcpy(n->code, native_begin, len);
  n->s = (struct native_state *)(n->code + (native_state - native_begin));
  n->s->avx = __builtin_cpu_supports("avx") != 0;
  stack_t ss = {.ss_sp = malloc(STACK), .ss_size = STACK};
  return sigaltstack(&ss, NULL) == 0;
}

void native_free(struct native *n)
{
  stack_t ss;
  munmap(n->code, native_end - native_begin);
  sigaltstack(NULL, &ss);
  free(ss.ss_sp);
  sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
}

void native_run(struct native *n, const uint8_t *insn, unsigned len)
{
  uint8_t *hole = n->code + (native_hole - native_begin);
  memset(hole, 0x90, 16);
  memcpy(hole, insn, len);
  n->trapped = false;
  running = n;
  // cmocka puts its own handler around each test, without a stack of its own.
  struct sigaction old, sa = {.sa_sigaction = on_fpe, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaction(SIGFPE, &sa, &old);
  ((void (*)(void))(uintptr_t)n->code)();
  sigaction(SIGFPE, &old, NULL);
}
