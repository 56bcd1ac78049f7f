// A TPM in another program, by the protocol of swtpm's control channel (swtpm_ioctls(3)); see backend.h.
//
// Control messages are big-endian: a command number and its arguments; the answer begins with a result, 0 is
// good. The channel for TPM commands is a socket pair of which the program gets one end.
#include "tpm/backend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "tpm/bytes.h"

enum {
  CMD_INIT = 2,
  CMD_SHUTDOWN = 3,
  CMD_GET_ESTABLISHED = 4,
  CMD_SET_LOCALITY = 5,
  CMD_HASH_START = 6,
  CMD_HASH_DATA = 7,
  CMD_HASH_END = 8,
  CMD_RESET_ESTABLISHED = 11,
  CMD_STOP = 14,
  CMD_SET_DATAFD = 16,
};

enum { TIMEOUT_S = 60 }; // key generation takes a while

// An answer that is late, short or too much puts all later ones in the wrong place: then no more is asked.
struct tpm_socket {
  int control, data;
  unsigned locality;
  bool lost;
};

static bool send_all(int fd, const uint8_t *p, size_t n)
{
  while (n) {
    ssize_t done = send(fd, p, n, MSG_NOSIGNAL);
    if (done < 0 && errno == EINTR)
      continue;
    if (done <= 0)
      return false;
    p += done;
    n -= (size_t)done;
  }
  return true;
}

static bool receive_all(int fd, uint8_t *p, size_t n)
{
  while (n) {
    ssize_t done = recv(fd, p, n, 0);
    if (done < 0 && errno == EINTR)
      continue;
    if (done <= 0)
      return false;
    p += done;
    n -= (size_t)done;
  }
  return true;
}

// Sends a message and takes its answer. Before it nothing may be there to be read, nor the end.
static bool exchange(struct tpm_socket *s, int fd, const uint8_t *msg, size_t n, uint8_t *answer, size_t room)
{
  uint8_t early;
  bool quiet = !s->lost && recv(fd, &early, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
               (errno == EAGAIN || errno == EWOULDBLOCK);
  if (!quiet || !send_all(fd, msg, n) || !receive_all(fd, answer, room))
    s->lost = true;
  return !s->lost;
}

// Sends a control command and takes `room` bytes of answer, of which the first four are the result.
static bool control(struct tpm_socket *s, uint32_t code, const uint8_t *arg, size_t n, uint8_t *answer,
                    size_t room)
{
  uint8_t msg[8 + TPM_BUFFER];
  if (n > sizeof msg - 4)
    return false;
  tpm_put32(msg, code);
  if (n)
    memcpy(msg + 4, arg, n);
  return exchange(s, s->control, msg, 4 + n, answer, room) && tpm_get32(answer) == 0;
}

static bool simple(struct tpm_socket *s, uint32_t code, const uint8_t *arg, size_t n)
{
  uint8_t answer[4];
  return control(s, code, arg, n, answer, sizeof answer);
}

static bool set_locality(struct tpm_socket *s, unsigned locality)
{
  uint8_t arg[4] = {(uint8_t)locality};
  if (s->locality == locality)
    return true;
  if (!simple(s, CMD_SET_LOCALITY, arg, sizeof arg))
    return false;
  s->locality = locality;
  return true;
}

static bool reset(void *self, struct err *e)
{
  struct tpm_socket *s = self;
  uint8_t flags[4] = {0};
  simple(s, CMD_STOP, NULL, 0);
  s->locality = 0;
  return simple(s, CMD_INIT, flags, sizeof flags) ||
         err_set(e, "-tpmdev socket: the TPM does not start; look at its log");
}

static size_t command(void *self, unsigned locality, const uint8_t *cmd, size_t n, uint8_t resp[TPM_BUFFER])
{
  struct tpm_socket *s = self;
  if (!set_locality(s, locality) || !exchange(s, s->data, cmd, n, resp, TPM_HEADER))
    return 0;
  uint32_t size = tpm_get32(resp + 2);
  s->lost =
      size < TPM_HEADER || size > TPM_BUFFER || !receive_all(s->data, resp + TPM_HEADER, size - TPM_HEADER);
  return s->lost ? 0 : size;
}

static bool hash(void *self, enum tpm_hash step, const uint8_t *data, size_t n)
{
  struct tpm_socket *s = self;
  uint8_t arg[4 + 64];
  if (step != TPM_HASH_DATA)
    return simple(s, step == TPM_HASH_START ? CMD_HASH_START : CMD_HASH_END, NULL, 0);
  if (n > sizeof arg - 4)
    return false;
  tpm_put32(arg, (uint32_t)n);
  memcpy(arg + 4, data, n);
  return simple(s, CMD_HASH_DATA, arg, 4 + n);
}

static bool established(void *self)
{
  uint8_t answer[8];
  return control(self, CMD_GET_ESTABLISHED, NULL, 0, answer, sizeof answer) && answer[4];
}

static void reset_established(void *self, unsigned locality)
{
  uint8_t arg[4] = {(uint8_t)locality};
  simple(self, CMD_RESET_ESTABLISHED, arg, sizeof arg);
}

static void free_socket(void *self)
{
  struct tpm_socket *s = self;
  if (s->control >= 0) {
    simple(s, CMD_SHUTDOWN, NULL, 0);
    close(s->control);
  }
  if (s->data >= 0)
    close(s->data);
  free(s);
}

static const struct tpm_ops ops = {.reset = reset,
                                   .command = command,
                                   .hash = hash,
                                   .established = established,
                                   .reset_established = reset_established,
                                   .free = free_socket};

static int dial(const char *path, struct err *e)
{
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof a.sun_path) {
    err_set(e, "-tpmdev socket: %s: the name is too long; at most %zu bytes", path, sizeof a.sun_path - 1);
    return -1;
  }
  memcpy(a.sun_path, path, strlen(path));
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
    err_set(e, "-tpmdev socket: %s: cannot connect: %s; is swtpm running with --ctrl type=unixio,path=%s?",
            path, strerror(errno), path);
    if (fd >= 0)
      close(fd);
    return -1;
  }
  return fd;
}

// Gives the other program one end of a socket pair.
static bool share_data(struct tpm_socket *s)
{
  int pair[2];
  uint8_t code[4], answer[4];
  union {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int))];
  } rights = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    return false;
  tpm_put32(code, CMD_SET_DATAFD);
  memcpy(CMSG_DATA(&rights.head), &pair[1], sizeof(int));
  struct iovec io = {.iov_base = code, .iov_len = sizeof code};
  struct msghdr m = {
      .msg_iov = &io, .msg_iovlen = 1, .msg_control = rights.room, .msg_controllen = sizeof rights.room};
  bool ok = sendmsg(s->control, &m, MSG_NOSIGNAL) == sizeof code &&
            receive_all(s->control, answer, sizeof answer) && tpm_get32(answer) == 0;
  close(pair[1]);
  s->data = pair[0];
  return ok;
}

// TPM2_GetCapability: a TPM 2.0 answers with a tag of its own, even before TPM2_Startup.
static bool ask_version(struct tpm_backend *b)
{
  static const uint8_t cmd[] = {0x80, 1, 0, 0, 0, 22, 0, 0, 1, 0x7a, 0, 0, 0, 6, 0, 0, 1, 0, 0, 0, 0, 1};
  uint8_t resp[TPM_BUFFER];
  if (!command(b->self, 0, cmd, sizeof cmd, resp))
    return false;
  b->version = resp[0] == 0x80 ? TPM_2_0 : TPM_1_2;
  return true;
}

struct tpm_backend *tpm_socket_new(const char *path, struct err *e)
{
  struct tpm_backend *b = calloc(1, sizeof *b);
  struct tpm_socket *s = calloc(1, sizeof *s);
  if (!b || !s) {
    free(b);
    free(s);
    err_set(e, "out of memory");
    return NULL;
  }
  *s = (struct tpm_socket){.data = -1};
  *b = (struct tpm_backend){.ops = &ops, .self = s};
  s->control = dial(path, e);
  bool ok = s->control >= 0;
  struct timeval limit = {.tv_sec = TIMEOUT_S};
  if (ok) {
    setsockopt(s->control, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(s->control, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    ok = share_data(s) ||
         err_set(e, "-tpmdev socket: %s does not speak swtpm's protocol; start it with swtpm socket", path);
  }
  if (ok) {
    setsockopt(s->data, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(s->data, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    ok = reset(s, e);
  }
  if (ok)
    ok = ask_version(b) || err_set(e, "-tpmdev socket: %s does not answer commands; look at its log", path);
  if (ok)
    return b;
  tpm_free(b);
  return NULL;
}
