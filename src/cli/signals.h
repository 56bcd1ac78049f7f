// A descriptor that becomes readable when a signal asks the program to end (SIGINT, SIGTERM, SIGHUP). The
// machine's loop reads it, so that the terminal is given back and files are closed.
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

int signals_open(void); // -1: there is none; the signals stay blocked

#endif
