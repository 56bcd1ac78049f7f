// Opening character backends on the host: terminals, files, sockets, ptys; see chardev.h.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "device/chardev.h"

struct spec {
  enum chardev_kind kind;
  const char *path;
  bool mux, server, wait, signals, append;
};

static bool open_stdio(struct chardev *c, const struct spec *sp, struct err *e)
{
  for (struct chardev *o = c->set->first; o; o = o->next)
    if (o->kind == CHARDEV_STDIO)
      return err_set(e, "standard input is already in use by '%s'; use mon:stdio to share it",
                     o->id ? o->id : "stdio");
  c->in = STDIN_FILENO;
  c->out = STDOUT_FILENO;
  c->tty = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &c->set->saved) == 0;
  if (c->tty) {
    struct termios t = c->set->saved;
    t.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    t.c_oflag |= OPOST;
    t.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
    if (!sp->signals)
      t.c_lflag &= ~(tcflag_t)ISIG;
    t.c_cflag = (t.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &t);
    c->set->raw = true;
  }
  return true;
}

static bool open_file(struct chardev *c, const struct spec *sp, struct err *e)
{
  int how = O_WRONLY | O_CREAT | O_CLOEXEC | (sp->append ? O_APPEND : O_TRUNC);
  c->out = open(sp->path, how, 0666);
  return c->out >= 0 || err_set(e, "cannot write %s: %s", sp->path, strerror(errno));
}

static bool open_unix(struct chardev *c, const struct spec *sp, struct err *e)
{
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  if (strlen(sp->path) >= sizeof a.sun_path)
    return err_set(e, "the socket path %.40s... is too long; at most %zu bytes", sp->path,
                   sizeof a.sun_path - 1);
  strcpy(a.sun_path, sp->path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return err_set(e, "cannot make a socket: %s", strerror(errno));
  if (!sp->server) {
    c->in = c->out = fd;
    return connect(fd, (struct sockaddr *)&a, sizeof a) == 0 ||
           err_set(e, "cannot connect to %s: %s", sp->path, strerror(errno));
  }
  unlink(sp->path); // a socket left behind by an earlier run
  if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 1) < 0) {
    err_set(e, "cannot listen on %s: %s", sp->path, strerror(errno));
    close(fd);
    return false;
  }
  c->listen = fd;
  c->path = strdup(sp->path);
  if (!c->path)
    return err_set(e, "out of memory");
  if (sp->wait) {
    fprintf(stderr, "pacifica: waiting for a connection on %s\n", sp->path);
    do
      c->in = c->out = accept(fd, NULL, NULL);
    while (c->in < 0 && errno == EINTR);
  }
  return true;
}

static bool open_pty(struct chardev *c, struct err *e)
{
  int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  char name[64];
  if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0 || ptsname_r(fd, name, sizeof name) != 0) {
    err_set(e, "cannot make a pseudo terminal: %s", strerror(errno));
    if (fd >= 0)
      close(fd);
    return false;
  }
  c->in = c->out = fd;
  fcntl(fd, F_SETFL, O_NONBLOCK);
  c->slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
  struct termios t;
  if (c->slave >= 0 && tcgetattr(c->slave, &t) == 0) {
    cfmakeraw(&t);
    tcsetattr(c->slave, TCSANOW, &t);
  }
  fprintf(stderr, "char device redirected to %s (label %s)\n", name, c->id ? c->id : "pty");
  return true;
}

static struct chardev *make(struct chardevs *s, const char *id, const struct spec *sp, struct err *e)
{
  if (id && chardev_find(s, id)) {
    err_set(e, "two character devices have the id '%s'", id);
    return NULL;
  }
  struct chardev *c = calloc(1, sizeof *c);
  if (!c) {
    err_set(e, "out of memory");
    return NULL;
  }
  *c = (struct chardev){.set = s, .kind = sp->kind, .in = -1, .out = -1, .listen = -1, .slave = -1};
  c->mux = sp->mux;
  c->fresh = true;
  c->id = id ? strdup(id) : NULL;
  bool ok = true;
  switch (sp->kind) {
  case CHARDEV_NULL:
    break;
  case CHARDEV_STDIO:
    ok = open_stdio(c, sp, e);
    break;
  case CHARDEV_FILE:
    ok = open_file(c, sp, e);
    break;
  case CHARDEV_UNIX:
    ok = open_unix(c, sp, e);
    break;
  case CHARDEV_PTY:
    ok = open_pty(c, e);
    break;
  }
  if (!ok) {
    if (c->kind == CHARDEV_UNIX && c->in >= 0)
      close(c->in);
    if (c->listen >= 0)
      close(c->listen);
    free(c->path);
    free(c->id);
    free(c);
    return NULL;
  }
  // At the end of the list, so that polling follows the order of the command line.
  struct chardev **at = &s->first;
  while (*at)
    at = &(*at)->next;
  *at = c;
  return c;
}

static bool unix_options(char *text, struct spec *sp, struct err *e)
{
  char *save = NULL;
  sp->path = strtok_r(text, ",", &save);
  sp->wait = true;
  for (char *w; (w = strtok_r(NULL, ",", &save));) {
    if (!strcmp(w, "server") || !strcmp(w, "server=on"))
      sp->server = true;
    else if (!strcmp(w, "server=off"))
      sp->server = false;
    else if (!strcmp(w, "nowait") || !strcmp(w, "wait=off"))
      sp->wait = false;
    else if (strcmp(w, "wait") != 0 && strcmp(w, "wait=on") != 0)
      return err_set(e, "unix:%s: unknown option '%s'; known are server=on and wait=off", sp->path, w);
  }
  return (sp->path && *sp->path) || err_set(e, "unix: needs a path: unix:PATH,server=on,wait=off");
}

struct chardev *chardev_open(struct chardevs *s, const char *id, const char *text, struct err *e)
{
  struct spec sp = {.kind = CHARDEV_NULL, .signals = true};
  const char *rest = text;
  if (strncmp(rest, "mon:", 4) == 0) {
    sp.mux = true;
    sp.signals = false;
    rest += 4;
  }
  if (!strcmp(rest, "stdio")) {
    sp.kind = CHARDEV_STDIO;
    for (struct chardev *c = s->first; sp.mux && c; c = c->next)
      if (c->kind == CHARDEV_STDIO && c->mux)
        return c;
  } else if (strncmp(rest, "file:", 5) == 0 && rest[5]) {
    sp.kind = CHARDEV_FILE;
    sp.path = rest + 5;
  } else if (strncmp(rest, "unix:", 5) == 0) {
    sp.kind = CHARDEV_UNIX;
    char *copy = strdup(rest + 5);
    struct chardev *c = copy && unix_options(copy, &sp, e) ? make(s, id, &sp, e) : NULL;
    free(copy);
    return c;
  } else if (!strcmp(rest, "pty")) {
    sp.kind = CHARDEV_PTY;
  } else if (strcmp(rest, "null") != 0 && strcmp(rest, "vc") != 0) {
    err_set(
        e, "unknown character device '%s'; use null, stdio, mon:stdio, file:PATH, unix:PATH,server=on or pty",
        text);
    return NULL;
  }
  return make(s, id, &sp, e);
}

struct chardev *chardev_open_opts(struct chardevs *s, struct opts *o, struct err *e)
{
  static const char *const kinds[] = {"null", "stdio", "file", "socket", "pty", NULL};
  unsigned kind = ~0u;
  struct spec sp = {.signals = true, .wait = true};
  const char *id = opts_get(o, "id");
  if (!opts_choice(o, "backend", kinds, &kind, e))
    return NULL;
  if (kind == ~0u || !id) {
    err_set(e, "-chardev needs a kind and an id: -chardev file,id=log,path=FILE");
    return NULL;
  }
  sp.kind = (enum chardev_kind)kind;
  if (!opts_bool(o, "mux", &sp.mux, e))
    return NULL;
  sp.signals = !sp.mux;
  if (kind == CHARDEV_STDIO && !opts_bool(o, "signal", &sp.signals, e))
    return NULL;
  if (kind == CHARDEV_FILE || kind == CHARDEV_UNIX) {
    sp.path = opts_get(o, "path");
    if (!sp.path || !*sp.path) {
      err_set(e, "-chardev %s,id=%s needs path=...", kinds[kind], id);
      return NULL;
    }
  }
  if (kind == CHARDEV_FILE && !opts_bool(o, "append", &sp.append, e))
    return NULL;
  if (kind == CHARDEV_UNIX && (!opts_bool(o, "server", &sp.server, e) || !opts_bool(o, "wait", &sp.wait, e)))
    return NULL;
  return opts_done(o, e) ? make(s, id, &sp, e) : NULL;
}
