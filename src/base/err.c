// Errors as values; see err.h.
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

bool err_set(struct err *e, const char *fmt, ...)
{
  if (e) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    for (char *t = e->text; *t; t++) // names come from outside; a message is one line
      if ((unsigned char)*t < ' ' || *t == 0x7f)
        *t = '?';
  }
  return false;
}
