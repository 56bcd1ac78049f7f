// Writing behind: what a guest writes in sequence begins its way to the disk while the guest still writes, so
// that the flush at the end finds little left to do; see block.h.
//
// A hint to the host's kernel, and never more: sync_file_range starts the writing of pages that would be
// written sooner or later, and promises nothing. blk_flush stays what it is. The hint itself can wait for a
// busy disk, so a thread of the image's gives it: no guest waits for that, and nothing that a guest can see
// depends on it. Short or scattered writes are left to the kernel, since they may well be overwritten.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "device/block_int.h"

#define RUN (UINT64_C(8) << 20) // bytes in sequence that are worth a hint

struct blk_behind {
  int fd;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  // Under the lock.
  uint64_t from, to; // to be begun
  bool stop;
};

static void *run(void *arg)
{
  struct blk_behind *h = arg;
  pthread_mutex_lock(&h->lock);
  for (;;) {
    uint64_t from = h->from, n = h->to - from;
    if (n) {
      h->from = h->to;
      pthread_mutex_unlock(&h->lock);
      sync_file_range(h->fd, (off_t)from, (off_t)n, SYNC_FILE_RANGE_WRITE);
      pthread_mutex_lock(&h->lock);
    } else if (h->stop) {
      break;
    } else {
      pthread_cond_wait(&h->wake, &h->lock);
    }
  }
  pthread_mutex_unlock(&h->lock);
  return NULL;
}

// NULL: the host has no thread for us; then there are no hints.
static struct blk_behind *begin(int fd)
{
  struct blk_behind *h = calloc(1, sizeof *h);
  sigset_t all, old;
  if (!h)
    return NULL;
  h->fd = fd;
  pthread_mutex_init(&h->lock, NULL);
  pthread_cond_init(&h->wake, NULL);
  sigfillset(&all); // signals are the main thread's
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int err = pthread_create(&h->thread, NULL, run, h);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (!err)
    return h;
  pthread_cond_destroy(&h->wake);
  pthread_mutex_destroy(&h->lock);
  free(h);
  return NULL;
}

void blk_behind_written(struct blockdev *b, uint64_t off, uint64_t len)
{
  if (off != b->run_end)
    b->run_start = off;
  b->run_end = off + len;
  if (b->run_end - b->run_start < RUN || b->cache != BLK_WRITEBACK)
    return;
  if (!b->behind)
    b->behind = begin(b->fd);
  struct blk_behind *h = b->behind;
  if (h) {
    pthread_mutex_lock(&h->lock);
    if (h->to != b->run_start) // what has not been begun of another run is left to the kernel
      h->from = b->run_start;
    h->to = b->run_end;
    pthread_cond_signal(&h->wake);
    pthread_mutex_unlock(&h->lock);
  }
  b->run_start = b->run_end;
}

void blk_behind_end(struct blockdev *b)
{
  struct blk_behind *h = b->behind;
  if (!h)
    return;
  pthread_mutex_lock(&h->lock);
  h->stop = true;
  pthread_cond_signal(&h->wake);
  pthread_mutex_unlock(&h->lock);
  pthread_join(h->thread, NULL);
  pthread_cond_destroy(&h->wake);
  pthread_mutex_destroy(&h->lock);
  free(h);
  b->behind = NULL;
}
