// Character backends: where the bytes of serial lines and monitors come from and go to.
//
// Output is kept for at most a line or CHARDEV_OUT bytes, or until the next chardev_poll_fds, so that a UART
// does not cost a system call for each character. Input is outside input: it is read from the host only by
// chardev_poll, which the machine calls between slices, and enters through chardev_feed. What a guest does
// not take waits in a short queue; while that is full the host's descriptor is not read (back pressure).
//
// A multiplexed backend (mon:stdio) has several users; input goes to the one in focus, and Ctrl-a is an
// escape: x ends, c moves the focus, b sends a break, h helps, Ctrl-a sends itself.
#ifndef DEVICE_CHARDEV_H
#define DEVICE_CHARDEV_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

#include "base/err.h"
#include "base/opt.h"

#define CHARDEV_QUEUE 1024
#define CHARDEV_USERS 4
#define CHARDEV_OUT   512

// Who is at the machine's end of a chardev.
struct char_user {
  size_t (*can_receive)(void *arg); // how many bytes it would take now
  void (*receive)(void *arg, const uint8_t *buf, size_t len);
  void (*brk)(void *arg); // a break was sent; may be NULL
  void *arg;
};

enum chardev_kind { CHARDEV_NULL, CHARDEV_STDIO, CHARDEV_FILE, CHARDEV_UNIX, CHARDEV_PTY };

struct char_port {
  struct char_user user;
  uint8_t queue[CHARDEV_QUEUE];
  size_t head, count;
  bool delivering; // a user that reads while it is being fed must not be fed again
};

struct chardev {
  struct chardevs *set;
  char *id;
  enum chardev_kind kind;
  int in, out; // host descriptors or -1
  int listen;  // of a server, or -1
  int slave;   // of a pty: held open so that the line never hangs up
  char *path;  // of a server's socket, removed at the end
  bool tty;    // input is a terminal in raw mode
  bool mux;
  bool escape;                  // Ctrl-a was the last byte
  bool fresh;                   // mux: the last thing written was a line end
  uint8_t pending[CHARDEV_OUT]; // output not yet written
  size_t pending_count;
  unsigned users, focus;
  struct char_port port[CHARDEV_USERS];
  struct chardev *next;
};

// All backends of one machine.
struct chardevs {
  struct chardev *first;
  // Ctrl-a x; NULL: ignored.
  void (*quit)(void *arg);
  void *quit_arg;
  // If set, chardev_poll hands what it read to this function, which records it and calls chardev_feed.
  void (*input)(void *arg, struct chardev *c, const uint8_t *buf, size_t len);
  void *input_arg;
  struct termios saved; // of the terminal, valid while raw
  bool raw;
};

void chardevs_init(struct chardevs *s);
void chardevs_free(struct chardevs *s);
// Gives the terminal back as it was. Safe in a signal handler.
void chardevs_restore_tty(struct chardevs *s);

// Opens a backend from the text of -serial or -monitor: null, vc (as null), stdio, mon:stdio, file:PATH,
// unix:PATH[,server[=on]][,nowait|,wait=off], pty. A second mon:stdio is the first one again. NULL on
// failure.
struct chardev *chardev_open(struct chardevs *s, const char *id, const char *text, struct err *e);
// Opens a backend from -chardev KIND,id=...: implied key "backend"; kinds null, stdio, file, socket, pty.
struct chardev *chardev_open_opts(struct chardevs *s, struct opts *o, struct err *e);
struct chardev *chardev_find(struct chardevs *s, const char *id);

// Adds a user; returns its number, or -1 if the backend takes no more (one, unless multiplexed). The
// first one has the focus.
int chardev_attach(struct chardev *c, const struct char_user *u);
void chardev_detach(struct chardev *c, int user);
// Moves the focus of a multiplexed backend.
void chardev_focus(struct chardev *c, int user);

void chardev_write(struct chardev *c, const void *buf, size_t len);
void chardev_flush(struct chardev *c);
// Input from outside. What finds no room is lost; see chardev_room.
void chardev_feed(struct chardev *c, const uint8_t *buf, size_t len);
size_t chardev_room(const struct chardev *c);
// A user has room again: delivers what waits for it.
void chardev_kick(struct chardev *c, int user);

// Whether input may still come from anywhere, and whether it may come from a person or a program at a
// terminal or a socket, who wait as long as they like.
bool chardevs_open(const struct chardevs *s);
bool chardevs_interactive(const struct chardevs *s);

// Flushes all output, then fills in what to wait for (at most max entries); returns the number. Then, after
// poll(), the same array goes to chardev_poll, which reads what is there.
unsigned chardev_poll_fds(struct chardevs *s, struct pollfd *fds, unsigned max);
void chardev_poll(struct chardevs *s, const struct pollfd *fds, unsigned count);

#endif
