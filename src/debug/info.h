// Info commands that have a file of their own.
#ifndef DEBUG_INFO_H
#define DEBUG_INFO_H

#include "debug/monitor.h"

void info_fabric(struct monitor_call *c);
void info_dev(struct monitor_call *c);
void info_skinit(struct monitor_call *c);
void info_tpm(struct monitor_call *c);

#endif
