// An error is a value: one line that says what went wrong and what to do about it.
//
// A function that can fail returns bool (true: it worked) and takes a struct err * as its last
// argument. It fills the text on failure only. The command line prints the text after
// "pacifica: " and ends with status 2. Nothing that a guest does ends in an err: those are for
// options, files and the host.
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

struct err {
  char text[512];
};

// Formats the text, without a newline. Always returns false, so that a caller can write
// `return err_set(e, "...")`. Text that does not fit is cut. e may be NULL.
bool err_set(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
