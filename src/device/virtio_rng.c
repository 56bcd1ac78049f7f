// virtio-rng; see virtio_rng.h.
#include "device/virtio_rng.h"

#include <stdlib.h>
#include <string.h>

#define DELAY_NS       5000
#define REQS_PER_EVENT 64
#define MOST           4096u // bytes for one request; a driver takes what it gets (5.4.6.1)

static uint64_t rotl(uint64_t x, int k)
{
  return x << k | x >> (64 - k);
}

// xoshiro256** 1.0 (Blackman and Vigna)
static uint64_t next(struct virtio_rng *r)
{
  uint64_t *s = r->state, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotl(s[3], 45);
  return result;
}

static void seed(struct virtio_rng *r)
{
  uint64_t x = r->seed;
  for (int i = 0; i < 4; i++) { // splitmix64: never all zero
    uint64_t z = x += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    r->state[i] = z ^ z >> 31;
  }
}

static bool serve(struct virtio_rng *r)
{
  uint8_t buf[MOST];
  uint64_t n = r->elem.in_len < MOST ? r->elem.in_len : MOST;
  for (uint64_t i = 0; i < n; i += 8) {
    uint64_t v = next(r);
    memcpy(buf + i, &v, n - i < 8 ? n - i : 8);
  }
  if (!vq_write(&r->virtio, &r->elem, 0, buf, n)) {
    virtio_broken(&r->virtio);
    return false;
  }
  virtqueue_push(&r->virtio.vq[0], &r->elem, (uint32_t)n);
  return true;
}

static void fire(void *arg)
{
  struct virtio_rng *r = arg;
  struct virtio *v = &r->virtio;
  struct virtqueue *q = &v->vq[0];
  bool more = true;
  v->busy++;
  for (unsigned i = 0; i < REQS_PER_EVENT && more; i++) {
    int got = virtqueue_pop(q, &r->elem);
    if (got == 0 && virtqueue_wait(q))
      got = virtqueue_pop(q, &r->elem);
    more = got > 0 && serve(r);
  }
  virtqueue_signal(q);
  v->busy--;
  if (more)
    timer_set(&r->timer, clock_now(r->timer.clock) + DELAY_NS);
}

static void notify(struct virtio *v, struct virtqueue *q)
{
  struct virtio_rng *r = v->self;
  if (!timer_armed(&r->timer))
    timer_set(&r->timer, clock_now(r->timer.clock) + DELAY_NS);
}

static void reset(struct virtio *v)
{
  struct virtio_rng *r = v->self;
  timer_cancel(&r->timer);
}

static const struct virtio_ops ops = {notify, NULL, reset};

static void device_reset_rng(struct device *d)
{
  struct virtio_rng *r = d->self;
  virtio_pci_reset(&r->pci); // the generator goes on: a rebooted guest gets other bytes, as on hardware
}

static void device_free_rng(struct device *d)
{
  virtio_rng_free(d->self);
}

struct virtio_rng *virtio_rng_create(const struct device_env *env, struct opts *props, struct err *e)
{
  struct virtio_rng *r = calloc(1, sizeof *r);
  if (!r) {
    err_set(e, "out of memory");
    return NULL;
  }
  r->seed = env->seed;
  seed(r);
  timer_init(&r->timer, env->clock, fire, r);
  virtio_init(&r->virtio, 4, &ops, r);
  virtio_add_queue(&r->virtio, 8);
  if (!virtio_pci_init(&r->pci, &r->virtio, "virtio-rng-pci", 0x1005, 0x00ff00, env, props, e)) {
    free(r);
    return NULL;
  }
  r->device = (struct device){
      .type = "virtio-rng-pci", .reset = device_reset_rng, .free = device_free_rng, .self = r};
  return r;
}

void virtio_rng_free(struct virtio_rng *r)
{
  timer_cancel(&r->timer);
  virtio_pci_free(&r->pci);
  free(r->device.id);
  free(r);
}

struct device *virtio_rng_device(const struct device_env *env, struct opts *props, struct err *e)
{
  struct virtio_rng *r = virtio_rng_create(env, props, e);
  return r ? &r->device : NULL;
}
