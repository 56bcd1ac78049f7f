// The items of -d; see log.h.
#include "base/log.h"

#include <stdarg.h>
#include <string.h>

#include "base/err.h"

const struct log_name log_names[] = {
    {"in_asm", LOG_IN_ASM, "guest code, disassembled when it is first decoded"},
    {"int", LOG_INT, "exceptions and interrupts as they are delivered"},
    {"cpu_reset", LOG_CPU_RESET, "state of a CPU when it is reset"},
    {"guest_errors", LOG_GUEST_ERRORS, "invalid operations of the guest"},
    {"mmu", LOG_MMU, "page faults and TLB flushes"},
    {"io", LOG_IO, "accesses to ports and device memory"},
    {"unimp", LOG_UNIMP, "hardware that the guest asks for and this machine lacks"},
    {"vmrun", LOG_VMRUN, "world switches, and the check that a VMRUN failed"},
    {"dev", LOG_DEV, "requests of devices that the Device Exclusion Vector denied"},
    {"skinit", LOG_SKINIT, "secure launches, step by step"},
    {NULL, 0, NULL},
};

void log_line(struct log *l, uint32_t item, const char *fmt, ...)
{
  if (!log_on(l, item) || !l->out)
    return;
  va_list ap;
  va_start(ap, fmt);
  vfprintf(l->out, fmt, ap);
  va_end(ap);
}

bool log_parse(const char *text, uint32_t *items, struct err *e)
{
  uint32_t mask = 0;
  while (*text) {
    size_t n = strcspn(text, ",");
    const struct log_name *row = log_names;
    while (row->name && (strlen(row->name) != n || strncmp(row->name, text, n) != 0))
      row++;
    if (!row->name) {
      char known[256] = "";
      for (row = log_names; row->name; row++) {
        strcat(known, known[0] ? ", " : "");
        strcat(known, row->name);
      }
      return err_set(e, "-d %.*s: no such log item; known are %s", (int)n, text, known);
    }
    mask |= row->item;
    text += n;
    text += *text == ',';
  }
  *items = mask;
  return true;
}
