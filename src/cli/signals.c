// Signals that end the machine; apart, because <signal.h> and cpu.h both have a raise_vec().
#include <signal.h>
#include <sys/signalfd.h>

#include "cli/signals.h"

int signals_open(void)
{
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal(SIGPIPE, SIG_IGN);
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}
