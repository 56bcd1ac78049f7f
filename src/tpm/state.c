// The state file of a TPM; see state.h.
#include "tpm/state.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

static const char MAGIC[16] = "pacifica-tpm-1\n";

enum { HEADER = 24, ENTRY = TPM_STATE_NAME + 4, CHECK = 8 };

static uint32_t get32(const uint8_t *p)
{
  return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(uint8_t *p, uint32_t v)
{
  for (unsigned i = 0; i < 4; i++)
    p[i] = (uint8_t)(v >> 8 * i);
}

// FNV-1a, 64 bits: against accidents, not against people.
static uint64_t checksum(const uint8_t *p, size_t n)
{
  uint64_t h = UINT64_C(0xcbf29ce484222325);
  for (size_t i = 0; i < n; i++)
    h = (h ^ p[i]) * UINT64_C(0x100000001b3);
  return h;
}

static uint64_t stored_checksum(const uint8_t *p)
{
  return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static unsigned number(enum tpm_version v)
{
  return v == TPM_2_0 ? 20 : 12;
}

static bool parse(struct tpm_state *s, const uint8_t *p, size_t n, struct err *e)
{
  if (n < sizeof MAGIC || memcmp(p, MAGIC, sizeof MAGIC) != 0)
    return err_set(e, "%s: not a TPM state file; give another name to state=", s->path);
  if (n < HEADER + CHECK || stored_checksum(p + n - CHECK) != checksum(p, n - CHECK))
    return err_set(e, "%s: the TPM state is damaged or cut short; restore it from a copy, or remove it",
                   s->path);
  if (get32(p + 16) != number(s->version))
    return err_set(e, "%s: is the state of a TPM %s; say version=%s, or give another name to state=", s->path,
                   get32(p + 16) == 20 ? "2.0" : "1.2", get32(p + 16) == 20 ? "2.0" : "1.2");
  uint32_t count = get32(p + 20);
  size_t at = HEADER, end = n - CHECK;
  for (uint32_t i = 0; i < count; i++) {
    if (i >= TPM_STATE_ENTRIES || end - at < ENTRY || end - at - ENTRY < get32(p + at + TPM_STATE_NAME))
      return err_set(e, "%s: the TPM state is not well formed; restore it from a copy, or remove it",
                     s->path);
    struct tpm_state_entry *x = &s->entry[i];
    x->size = get32(p + at + TPM_STATE_NAME);
    memcpy(x->name, p + at, TPM_STATE_NAME);
    x->name[TPM_STATE_NAME - 1] = 0;
    x->data = malloc(x->size ? x->size : 1);
    if (!x->data)
      return err_set(e, "out of memory");
    memcpy(x->data, p + at + ENTRY, x->size);
    at += ENTRY + x->size;
  }
  return true;
}

static bool load(struct tpm_state *s, struct err *e)
{
  struct stat st;
  if (fstat(s->fd, &st) != 0 || !S_ISREG(st.st_mode))
    return err_set(e, "%s: not a plain file; give another name to state=", s->path);
  if (st.st_size > 2 * TPM_STATE_MAX)
    return err_set(e, "%s: not a TPM state file; give another name to state=", s->path);
  size_t n = (size_t)st.st_size;
  uint8_t *p = malloc(n);
  bool ok = p != NULL;
  if (!ok)
    err_set(e, "out of memory");
  else if (pread(s->fd, p, n, 0) != (ssize_t)n)
    ok = err_set(e, "%s: cannot read: %s", s->path, strerror(errno));
  ok = ok && parse(s, p, n, e);
  free(p);
  return ok;
}

void tpm_state_close(struct tpm_state *s)
{
  for (unsigned i = 0; i < TPM_STATE_ENTRIES; i++)
    free(s->entry[i].data);
  if (s->fd >= 0)
    close(s->fd);
  free(s->path);
  *s = (struct tpm_state){.fd = -1};
}

const struct tpm_state_entry *tpm_state_find(const struct tpm_state *s, const char *name)
{
  for (unsigned i = 0; i < TPM_STATE_ENTRIES; i++) {
    if (s->entry[i].data && !strcmp(s->entry[i].name, name))
      return &s->entry[i];
  }
  return NULL;
}

static uint8_t *image(const struct tpm_state *s, size_t *size)
{
  uint32_t count = 0;
  size_t n = HEADER + CHECK;
  for (unsigned i = 0; i < TPM_STATE_ENTRIES; i++) {
    if (s->entry[i].data)
      n += ENTRY + s->entry[i].size;
  }
  uint8_t *p = calloc(1, n);
  if (!p)
    return NULL;
  size_t at = HEADER;
  for (unsigned i = 0; i < TPM_STATE_ENTRIES; i++) {
    const struct tpm_state_entry *x = &s->entry[i];
    if (!x->data)
      continue;
    count++;
    memcpy(p + at, x->name, TPM_STATE_NAME);
    put32(p + at + TPM_STATE_NAME, x->size);
    memcpy(p + at + ENTRY, x->data, x->size);
    at += ENTRY + x->size;
  }
  memcpy(p, MAGIC, sizeof MAGIC);
  put32(p + 16, number(s->version));
  put32(p + 20, count);
  uint64_t sum = checksum(p, at);
  put32(p + at, (uint32_t)sum);
  put32(p + at + 4, (uint32_t)(sum >> 32));
  *size = n;
  return p;
}

static bool write_all(int fd, const uint8_t *p, size_t n)
{
  while (n) {
    ssize_t done = write(fd, p, n);
    if (done < 0 && errno == EINTR)
      continue;
    if (done <= 0)
      return false;
    p += done;
    n -= (size_t)done;
  }
  return fsync(fd) == 0;
}

static bool sync_folder(const char *path)
{
  char *copy = strdup(path);
  int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  free(copy);
  bool ok = fd >= 0 && fsync(fd) == 0;
  if (fd >= 0)
    close(fd);
  return ok;
}

// The new file is locked before it gets the name, so that the name never stands for a file that nobody holds.
// fresh: the name must not be there yet (errno is EEXIST if it is).
static bool put_file(struct tpm_state *s, const uint8_t *p, size_t n, bool fresh, struct err *e)
{
  char *temporary;
  if (asprintf(&temporary, "%s.XXXXXX", s->path) < 0)
    return err_set(e, "out of memory");
  int fd = mkostemp(temporary, O_CLOEXEC);
  if (fd < 0) {
    err_set(e, "%s: cannot write: %s", temporary, strerror(errno));
    free(temporary);
    return false;
  }
  bool ok = flock(fd, LOCK_EX | LOCK_NB) == 0 && write_all(fd, p, n) &&
            (fresh ? link(temporary, s->path) : rename(temporary, s->path)) == 0;
  int why = errno;
  if (!ok)
    err_set(e, "%s: cannot write: %s", s->path, strerror(why));
  if (!ok || fresh)
    unlink(temporary);
  free(temporary);
  if (!ok) {
    close(fd);
    errno = why;
    return false;
  }
  if (s->fd >= 0)
    close(s->fd);
  s->fd = fd;
  return sync_folder(s->path) || err_set(e, "%s: cannot sync its folder: %s", s->path, strerror(errno));
}

// Opens and locks the file that has the name now: another program may have put a new one there in between.
// One that is not there is made, whole, by whoever comes first.
static bool take(struct tpm_state *s, struct err *e)
{
  for (;;) {
    struct stat held, named;
    s->fd = open(s->path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (s->fd < 0 && errno == ENOENT) {
      size_t n;
      uint8_t *p = image(s, &n);
      bool made = p && put_file(s, p, n, true, e);
      free(p);
      if (!p)
        return err_set(e, "out of memory");
      if (made)
        return true;
      if (errno != EEXIST)
        return false;
      continue;
    }
    if (s->fd < 0)
      return err_set(e, "%s: cannot open: %s", s->path, strerror(errno));
    if (flock(s->fd, LOCK_EX | LOCK_NB) != 0)
      return err_set(e, "%s: is in use by another program; stop it, or give another name to state=", s->path);
    if (fstat(s->fd, &held) == 0 && stat(s->path, &named) == 0 && held.st_ino == named.st_ino &&
        held.st_dev == named.st_dev)
      return true;
    close(s->fd);
    s->fd = -1;
  }
}

bool tpm_state_open(struct tpm_state *s, const char *path, enum tpm_version version, struct err *e)
{
  *s = (struct tpm_state){.fd = -1, .version = version};
  if (!path)
    return true;
  s->path = strdup(path);
  if (!s->path)
    return err_set(e, "out of memory");
  if (take(s, e) && load(s, e))
    return true;
  tpm_state_close(s);
  return false;
}

static bool save(struct tpm_state *s, struct err *e)
{
  size_t n;
  if (!s->path)
    return true;
  uint8_t *p = image(s, &n);
  if (!p)
    return err_set(e, "out of memory");
  bool ok = put_file(s, p, n, false, e);
  free(p);
  return ok;
}

static struct tpm_state_entry *slot(struct tpm_state *s, const char *name)
{
  struct tpm_state_entry *x = (struct tpm_state_entry *)tpm_state_find(s, name);
  for (unsigned i = 0; i < TPM_STATE_ENTRIES && !x; i++) {
    if (!s->entry[i].data)
      x = &s->entry[i];
  }
  return x;
}

bool tpm_state_put(struct tpm_state *s, const char *name, const uint8_t *data, uint32_t size, struct err *e)
{
  struct tpm_state_entry *x = slot(s, name);
  if (!x || strlen(name) >= TPM_STATE_NAME || size > TPM_STATE_MAX / TPM_STATE_ENTRIES)
    return err_set(e, "TPM state: no room for '%s' of %u bytes", name, size);
  struct tpm_state_entry old = *x;
  uint8_t *copy = NULL;
  if (data) {
    copy = malloc(size ? size : 1);
    if (!copy)
      return err_set(e, "out of memory");
    memcpy(copy, data, size);
  }
  *x = (struct tpm_state_entry){.data = copy, .size = copy ? size : 0};
  snprintf(x->name, sizeof x->name, "%s", name);
  if (!save(s, e)) {
    free(copy);
    *x = old;
    return false;
  }
  free(old.data);
  return true;
}
