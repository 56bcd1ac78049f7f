// Character backends: queues, focus and escapes, polling; see chardev.h. The host's side of opening them
// is in chardev_open.c.
#include "device/chardev.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CTRL_A 0x01

void chardevs_init(struct chardevs *s)
{
  *s = (struct chardevs){0};
}

void chardevs_restore_tty(struct chardevs *s)
{
  if (!s->raw)
    return;
  s->raw = false;
  tcsetattr(STDIN_FILENO, TCSANOW, &s->saved);
}

void chardevs_free(struct chardevs *s)
{
  chardevs_restore_tty(s);
  while (s->first) {
    struct chardev *c = s->first;
    s->first = c->next;
    chardev_flush(c);
    if (c->kind != CHARDEV_STDIO) {
      if (c->in >= 0)
        close(c->in);
      if (c->out >= 0 && c->out != c->in)
        close(c->out);
    }
    if (c->slave >= 0)
      close(c->slave);
    if (c->listen >= 0) {
      close(c->listen);
      unlink(c->path);
    }
    free(c->path);
    free(c->id);
    free(c);
  }
}

struct chardev *chardev_find(struct chardevs *s, const char *id)
{
  for (struct chardev *c = s->first; c; c = c->next)
    if (c->id && strcmp(c->id, id) == 0)
      return c;
  return NULL;
}

int chardev_attach(struct chardev *c, const struct char_user *u)
{
  unsigned max = c->mux ? CHARDEV_USERS : 1;
  for (unsigned i = 0; i < max; i++) {
    if (c->port[i].user.receive)
      continue;
    c->port[i] = (struct char_port){.user = *u};
    if (i >= c->users)
      c->users = i + 1;
    return (int)i;
  }
  return -1;
}

void chardev_detach(struct chardev *c, int user)
{
  if (user < 0 || user >= CHARDEV_USERS)
    return;
  c->port[user] = (struct char_port){0};
  while (c->users && !c->port[c->users - 1].user.receive)
    c->users--;
  if (c->focus >= c->users)
    c->focus = 0;
}

void chardev_focus(struct chardev *c, int user)
{
  if (user >= 0 && (unsigned)user < c->users && c->port[user].user.receive)
    c->focus = (unsigned)user;
}

// The descriptor may be non-blocking or slow: output is never lost while somebody is there to read it,
// except on a pty, where nobody can tell.
static void write_all(struct chardev *c, const uint8_t *buf, size_t len)
{
  while (len) {
    ssize_t n = c->listen >= 0 || c->kind == CHARDEV_UNIX ? send(c->out, buf, len, MSG_NOSIGNAL)
                                                          : write(c->out, buf, len);
    if (n > 0) {
      buf += n;
      len -= (size_t)n;
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else if (n < 0 && errno == EAGAIN && c->kind != CHARDEV_PTY) {
      struct pollfd p = {.fd = c->out, .events = POLLOUT};
      poll(&p, 1, 1000);
    } else {
      return;
    }
  }
}

void chardev_flush(struct chardev *c)
{
  size_t n = c->pending_count;
  c->pending_count = 0;
  if (n && c->out >= 0)
    write_all(c, c->pending, n);
}

void chardev_write(struct chardev *c, const void *buf, size_t len)
{
  const uint8_t *p = buf;
  if (!c || c->out < 0)
    return;
  for (size_t i = 0; i < len; i++) {
    c->pending[c->pending_count++] = p[i];
    c->fresh = p[i] == '\n';
    if (c->fresh || c->pending_count == CHARDEV_OUT)
      chardev_flush(c);
  }
}

size_t chardev_room(const struct chardev *c)
{
  return c->users ? CHARDEV_QUEUE - c->port[c->focus].count : 0;
}

void chardev_kick(struct chardev *c, int user)
{
  if (!c || user < 0 || user >= CHARDEV_USERS)
    return;
  struct char_port *p = &c->port[user];
  if (p->delivering)
    return;
  p->delivering = true;
  while (p->count && p->user.receive) {
    size_t room = p->user.can_receive(p->user.arg);
    size_t n = CHARDEV_QUEUE - p->head; // without wrapping
    if (n > p->count)
      n = p->count;
    if (n > room)
      n = room;
    if (!n)
      break;
    const uint8_t *at = p->queue + p->head;
    p->head = (p->head + n) % CHARDEV_QUEUE;
    p->count -= n;
    p->user.receive(p->user.arg, at, n);
  }
  p->delivering = false;
}

static void push(struct chardev *c, uint8_t byte)
{
  struct char_port *p = &c->port[c->focus];
  if (c->users && p->count < CHARDEV_QUEUE)
    p->queue[(p->head + p->count++) % CHARDEV_QUEUE] = byte;
}

static void say(struct chardev *c, const char *text)
{
  chardev_write(c, text, strlen(text));
}

static void escape(struct chardev *c, uint8_t key)
{
  struct chardevs *s = c->set;
  switch (key) {
  case CTRL_A:
    push(c, CTRL_A);
    break;
  case 'x':
    say(c, c->fresh ? "" : "\r\n");
    if (s->quit)
      s->quit(s->quit_arg);
    break;
  case 'c':
    chardev_kick(c, (int)c->focus);
    for (unsigned i = 0; i < c->users; i++) {
      c->focus = (c->focus + 1) % c->users;
      if (c->port[c->focus].user.receive)
        break;
    }
    break;
  case 'b':
    if (c->users && c->port[c->focus].user.brk)
      c->port[c->focus].user.brk(c->port[c->focus].user.arg);
    break;
  case 'h':
  case '?':
    say(c, "\r\nCtrl-a h  this help\r\n"
           "Ctrl-a x  end the machine\r\n"
           "Ctrl-a c  switch between console and monitor\r\n"
           "Ctrl-a b  send a break\r\n"
           "Ctrl-a Ctrl-a  send Ctrl-a\r\n");
    break;
  default: // not an escape: neither byte is for the guest
    break;
  }
}

void chardev_feed(struct chardev *c, const uint8_t *buf, size_t len)
{
  for (size_t i = 0; i < len; i++) {
    if (c->escape) {
      c->escape = false;
      escape(c, buf[i]);
    } else if (c->mux && buf[i] == CTRL_A) {
      c->escape = true;
    } else {
      push(c, buf[i]);
    }
  }
  for (unsigned u = 0; u < c->users; u++)
    chardev_kick(c, (int)u);
}

// A person who types Ctrl-a x at a guest that reads nothing must be heard, so a multiplexed terminal is
// always read, and what the guest has no room for is lost; a pipe waits.
static bool wants_input(const struct chardev *c)
{
  return c->in >= 0 && ((c->mux && c->tty) || chardev_room(c) > 0);
}

bool chardevs_open(const struct chardevs *s)
{
  for (const struct chardev *c = s->first; c; c = c->next)
    if (c->in >= 0 || c->listen >= 0)
      return true;
  return false;
}

bool chardevs_interactive(const struct chardevs *s)
{
  for (const struct chardev *c = s->first; c; c = c->next)
    if ((c->in >= 0 || c->listen >= 0) && (c->tty || c->kind == CHARDEV_UNIX || c->kind == CHARDEV_PTY))
      return true;
  return false;
}

unsigned chardev_poll_fds(struct chardevs *s, struct pollfd *fds, unsigned max)
{
  unsigned n = 0;
  for (struct chardev *c = s->first; c; c = c->next)
    chardev_flush(c);
  for (struct chardev *c = s->first; c && n < max; c = c->next) {
    if (c->listen >= 0 && c->in < 0)
      fds[n++] = (struct pollfd){.fd = c->listen, .events = POLLIN};
    else if (wants_input(c))
      fds[n++] = (struct pollfd){.fd = c->in, .events = POLLIN};
  }
  return n;
}

static void hang_up(struct chardev *c)
{
  if (c->kind == CHARDEV_UNIX) {
    close(c->in);
    c->out = -1;
  }
  c->in = -1;
}

static void poll_one(struct chardevs *s, struct chardev *c)
{
  uint8_t buf[CHARDEV_QUEUE];
  size_t want = c->mux && c->tty ? sizeof buf : chardev_room(c);
  if (!want)
    return;
  ssize_t n = read(c->in, buf, want);
  if (n > 0 && s->input)
    s->input(s->input_arg, c, buf, (size_t)n);
  else if (n > 0)
    chardev_feed(c, buf, (size_t)n);
  else if (n == 0 || (errno != EINTR && errno != EAGAIN))
    hang_up(c);
}

void chardev_poll(struct chardevs *s, const struct pollfd *fds, unsigned count)
{
  for (unsigned i = 0; i < count; i++) {
    if (!fds[i].revents)
      continue;
    for (struct chardev *c = s->first; c; c = c->next) {
      if (c->listen >= 0 && c->in < 0 && fds[i].fd == c->listen) {
        c->in = c->out = accept(c->listen, NULL, NULL);
        break;
      }
      if (c->in >= 0 && fds[i].fd == c->in) {
        poll_one(s, c);
        break;
      }
    }
  }
}
