// The console: the machine's COM1, shared by the guests, and the keys behind Ctrl-a.
//
// At first all guests' output is shown, line by line, each line with its guest's name before it; Ctrl-a and a
// guest's number show that guest alone, as it is, and Ctrl-a a shows all again. Input goes to the guest that
// was chosen last.
#ifndef GUEST_CONSOLE_H
#define GUEST_CONSOLE_H

#include "host/types.h"

struct guest;

void console_reset(struct guest *g);
void console_output(struct guest *g, uint8_t c); // with g->guard held
void console_end(struct guest *g);               // shows an unfinished line
// In the interrupt: takes what came.
void console_input(void);
// Whether the first CPU should leave its guest for console_attend or guest_attend.
bool console_work(void);
void console_request(void);
void console_attend(void);

#endif
