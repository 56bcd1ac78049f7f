// Opening, checking and locking disk images; see block.h.
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/block_int.h"

bool blk_config_opts(struct blk_config *cfg, struct opts *o, struct err *e)
{
  static const char *const caches[] = {"writeback", "none", "writethrough", "directsync", "unsafe", NULL};
  static const char *const aios[] = {"threads", "native", "io_uring", NULL};
  static const char *const zeroes[] = {"off", "on", "unmap", NULL};
  static const char *const onoff[] = {"ignore", "off", "unmap", "on", NULL};
  static const char *const actions[] = {"report", "enospc", "stop", "ignore", NULL};
  unsigned cache = 0, discard = 0, ignored = 0, werror = 0, rerror = 0;
  const char *v;
  if ((v = opts_get(o, "file")))
    cfg->path = v;
  if ((v = opts_get(o, "format")))
    cfg->format = v;
  if (!opts_bool(o, "readonly", &cfg->read_only, e) || !opts_bool(o, "read-only", &cfg->read_only, e) ||
      !opts_bool(o, "snapshot", &cfg->snapshot, e) || !opts_choice(o, "cache", caches, &cache, e) ||
      !opts_choice(o, "discard", onoff, &discard, e) || !opts_choice(o, "aio", aios, &ignored, e) ||
      !opts_choice(o, "detect-zeroes", zeroes, &ignored, e) ||
      !opts_choice(o, "werror", actions, &werror, e) || !opts_choice(o, "rerror", actions, &rerror, e))
    return false;
  // "enospc" stops only when the disk is full; the guest is told instead, which is what "report" does.
  if (werror > 1 || rerror > 1)
    return err_set(e, "%s: only werror=report and rerror=report are supported: the guest sees the error",
                   o->option);
  cfg->cache = cache < 2 ? BLK_WRITEBACK : cache < 4 ? BLK_WRITETHROUGH : BLK_UNSAFE;
  cfg->discard = discard >= 2;
  return true;
}

// Formats that begin with a signature of their own; a raw disk does not begin so by chance.
static const struct {
  const char *name;
  uint32_t off, len;
  const char *bytes;
} formats[] = {
    {"qcow2", 0, 4, "QFI\xfb"},
    {"VMDK", 0, 4, "KDMV"},
    {"VMDK", 0, 21, "# Disk DescriptorFile"},
    {"VDI", 64, 4, "\x7f\x10\xda\xbe"},
    {"VHDX", 0, 8, "vhdxfile"},
    {"VHD", 0, 8, "conectix"},
    {"QED", 0, 4, "QED\0"},
    {"parallels", 0, 16, "WithoutFreeSpace"},
};

static bool check_format(struct blockdev *b, const char *format, struct err *e)
{
  uint8_t head[512] = {0};
  if (format && strcmp(format, "raw") != 0)
    return err_set(e, "%s: format=%s is not supported, only raw; convert it: qemu-img convert -O raw",
                   b->path, format);
  if (format)
    return true;
  if (pread(b->fd, head, sizeof head, 0) < 0)
    return err_set(e, "cannot read %s: %s", b->path, strerror(errno));
  for (unsigned i = 0; i < sizeof formats / sizeof formats[0]; i++)
    if (memcmp(head + formats[i].off, formats[i].bytes, formats[i].len) == 0)
      return err_set(e,
                     "%s is a %s image, only raw is supported; convert it: qemu-img convert -O raw, or say "
                     "format=raw if it is raw",
                     b->path, formats[i].name);
  return true;
}

static bool check_size(struct blockdev *b, struct err *e)
{
  struct stat st;
  if (fstat(b->fd, &st) < 0)
    return err_set(e, "cannot read %s: %s", b->path, strerror(errno));
  if (S_ISBLK(st.st_mode)) {
    b->host_block = true;
    if (ioctl(b->fd, BLKGETSIZE64, &b->bytes) < 0)
      return err_set(e, "cannot tell the size of %s: %s", b->path, strerror(errno));
  } else if (S_ISREG(st.st_mode)) {
    b->bytes = (uint64_t)st.st_size;
  } else {
    return err_set(e, "%s is %s, not a disk image", b->path,
                   S_ISDIR(st.st_mode) ? "a directory" : "a special file");
  }
  if (b->bytes == 0)
    return err_set(e, "%s is empty; make a disk image of some size: truncate -s 1G FILE", b->path);
  b->sectors = (b->bytes + BLK_SECTOR - 1) / BLK_SECTOR;
  return true;
}

static bool lock(struct blockdev *b, bool write, struct err *e)
{
  struct flock l = {.l_type = write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
  if (fcntl(b->fd, F_OFD_SETLK, &l) == 0 || errno == EINVAL || errno == ENOLCK || errno == ENOSYS)
    return true; // a file system that has no locks cannot be asked
  if (errno == EAGAIN || errno == EACCES)
    return err_set(e, "%s is in use by another process; end it, or use snapshot=on with both", b->path);
  return err_set(e, "cannot lock %s: %s", b->path, strerror(errno));
}

static bool open_overlay(struct blockdev *b, struct err *e)
{
  const char *dir = getenv("TMPDIR");
  if (!dir || !*dir)
    dir = "/var/tmp";
  b->overlay = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (b->overlay < 0)
    b->overlay = memfd_create("pacifica-snapshot", MFD_CLOEXEC);
  if (b->overlay < 0)
    return err_set(e, "cannot make a temporary file in %s for snapshot=on: %s", dir, strerror(errno));
  b->present_size = b->sectors / 8 / 8 + 1; // one bit for each cluster
  void *p =
      mmap(NULL, b->present_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED)
    return err_set(e, "%s: out of memory", b->path);
  b->present = p;
  return true;
}

struct blockdev *blk_open(const struct blk_config *cfg, struct err *e)
{
  if (!cfg->path || !*cfg->path) {
    err_set(e, "a drive needs file=PATH");
    return NULL;
  }
  struct blockdev *b = calloc(1, sizeof *b);
  if (!b) {
    err_set(e, "out of memory");
    return NULL;
  }
  b->overlay = b->fd = -1;
  b->path = strdup(cfg->path);
  b->read_only = cfg->read_only;
  b->cache = cfg->cache;
  b->discard = cfg->discard;
  bool write = !cfg->read_only && !cfg->snapshot;
  // O_NONBLOCK so that a FIFO in the image's place is an error and not a wait.
  b->fd = b->path ? open(cfg->path, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK) : -1;
  if (b->fd < 0) {
    if (write && (errno == EACCES || errno == EROFS))
      err_set(e, "cannot open %s for writing: %s; use readonly=on or snapshot=on", cfg->path,
              strerror(errno));
    else if (errno == EISDIR)
      err_set(e, "%s is a directory, not a disk image", cfg->path);
    else
      err_set(e, "cannot open %s: %s", cfg->path, strerror(errno));
    blk_close(b);
    return NULL;
  }
  if (!check_size(b, e) || !lock(b, write, e) || !check_format(b, cfg->format, e) ||
      (cfg->snapshot && !cfg->read_only && !open_overlay(b, e))) {
    blk_close(b);
    return NULL;
  }
  return b;
}

void blk_close(struct blockdev *b)
{
  if (!b)
    return;
  blk_behind_end(b);
  if (b->fd >= 0)
    close(b->fd);
  if (b->overlay >= 0)
    close(b->overlay);
  if (b->present)
    munmap(b->present, b->present_size);
  free(b->path);
  free(b->id);
  free(b);
}
