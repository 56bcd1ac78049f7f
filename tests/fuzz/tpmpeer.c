// See tpmpeer.h. It is a thread that answers what comes, and hangs up when its answers were short and nothing
// comes any more.
#include "tpmpeer.h"

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE_MS = 30, MESSAGE = 8192 };

struct tpmpeer {
  struct fuzz_in script;
  int listener, wake[2], control, data;
  bool strange; // the client may wait for what will not come
  char folder[32], path[108];
  pthread_t thread;
};

static void put32(uint8_t *p, uint32_t v)
{
  for (unsigned i = 0; i < 4; i++)
    p[i] = (uint8_t)(v >> (24 - 8 * i));
}

// Takes one message, with a descriptor that may come with it. 0: hung up.
static size_t take(int fd, uint8_t *msg, int *with)
{
  union {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int))];
  } rights;
  struct iovec io = {.iov_base = msg, .iov_len = MESSAGE};
  struct msghdr m = {
      .msg_iov = &io, .msg_iovlen = 1, .msg_control = rights.room, .msg_controllen = sizeof rights.room};
  ssize_t n = recvmsg(fd, &m, 0);
  const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
  if (c && c->cmsg_type == SCM_RIGHTS)
    memcpy(with, CMSG_DATA(c), sizeof(int));
  return n > 0 ? (size_t)n : 0;
}

// An answer of `good` bytes, or something near it. False: hangs up instead.
static bool answer(struct tpmpeer *p, int fd, uint8_t *msg, size_t good)
{
  unsigned how = (unsigned)fuzz_take(&p->script, 1), n = how >> 4;
  switch (how & 15) {
  case 1: // short
    good = n < good ? n : good - 1;
    p->strange = true;
    break;
  case 2: // something else
    for (unsigned i = 0; i < n && i < good; i++)
      msg[i] = (uint8_t)fuzz_take(&p->script, 1);
    p->strange = true;
    break;
  case 3: // a length that is none
    if (good >= 6)
      put32(msg + 2, (uint32_t)fuzz_take(&p->script, 4));
    p->strange = true;
    break;
  case 4: // another answer behind it
    memcpy(msg + good, "\x80\x01\0\0\0\x0e\0\0\0\0\xde\xad\xbe\xef", 14);
    good += 14;
    p->strange = true;
    break;
  case 5:
    return false;
  case 6:
    put32(msg, (uint32_t)fuzz_take(&p->script, 4));
    break;
  default:
    break;
  }
  return !good || send(fd, msg, good, MSG_NOSIGNAL) == (ssize_t)good;
}

static bool serve_control(struct tpmpeer *p)
{
  enum { GET_ESTABLISHED = 4, SET_DATAFD = 16 };
  uint8_t msg[MESSAGE + 64];
  int with = -1;
  size_t n = take(p->control, msg, &with);
  if (with >= 0) {
    if (p->data >= 0)
      close(p->data);
    p->data = with;
  }
  if (n < 4)
    return false;
  bool established = msg[3] == GET_ESTABLISHED;
  memset(msg, 0, 8);
  return answer(p, p->control, msg, established ? 8 : 4);
}

static bool serve_data(struct tpmpeer *p)
{
  uint8_t msg[MESSAGE + 64], last[4] = {0};
  int with = -1;
  size_t n = take(p->data, msg, &with);
  if (!n)
    return false;
  memcpy(last, msg + (n < 4 ? 0 : n - 4), n < 4 ? n : 4);
  size_t good = 14 + fuzz_take(&p->script, 2) % (4096 - 13);
  memset(msg, 0x55, good);
  memcpy(msg, "\x80\x01", 2);
  put32(msg + 2, (uint32_t)good);
  put32(msg + 6, 0);
  memcpy(msg + 10, last, 4);
  return answer(p, p->data, msg, good);
}

static void *serve(void *arg)
{
  struct tpmpeer *p = arg;
  bool on = true;
  while (on) {
    // Waits for the end, for the client, for its control messages and its commands.
    struct pollfd fds[] = {{.fd = p->wake[0], .events = POLLIN},
                           {.fd = p->control < 0 ? p->listener : -1, .events = POLLIN},
                           {.fd = p->control, .events = POLLIN},
                           {.fd = p->data, .events = POLLIN}};
    int n = poll(fds, 4, p->strange ? PATIENCE_MS : -1);
    if (n <= 0 || fds[0].revents)
      break;
    if (fds[1].revents)
      p->control = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
    else if (fds[2].revents)
      on = serve_control(p);
    else if (fds[3].revents)
      on = serve_data(p);
  }
  if (p->data >= 0)
    close(p->data);
  if (p->control >= 0)
    close(p->control);
  close(p->listener);
  return NULL;
}

struct tpmpeer *tpmpeer_start(struct fuzz_in script, char path[108])
{
  struct tpmpeer *p = calloc(1, sizeof *p);
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  if (!p)
    abort();
  *p = (struct tpmpeer){.script = script, .control = -1, .data = -1, .folder = "/tmp/fuzz-tpm-XXXXXX"};
  if (!mkdtemp(p->folder) || pipe(p->wake))
    abort();
  snprintf(p->path, sizeof p->path, "%s/s", p->folder);
  memcpy(a.sun_path, p->path, sizeof p->path);
  p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (p->listener < 0 || bind(p->listener, (struct sockaddr *)&a, sizeof a) || listen(p->listener, 1) ||
      pthread_create(&p->thread, NULL, serve, p))
    abort();
  memcpy(path, p->path, sizeof p->path);
  return p;
}

void tpmpeer_stop(struct tpmpeer *p)
{
  if (write(p->wake[1], "", 1) != 1)
    abort();
  pthread_join(p->thread, NULL);
  close(p->wake[0]);
  close(p->wake[1]);
  unlink(p->path);
  rmdir(p->folder);
  free(p);
}
