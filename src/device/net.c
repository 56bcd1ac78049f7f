// Queues of networks; see net.h.
#include "device/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/net_merge.h"

static bool queue_new(struct net_queue *q, unsigned room)
{
  *q = (struct net_queue){.frame = malloc(room * sizeof *q->frame), .room = room};
  return q->frame != NULL;
}

static bool push(struct net_queue *q, const uint8_t *frame, size_t len)
{
  if (q->count == q->room)
    return false;
  struct net_frame *f = &q->frame[(q->head + q->count++) % q->room];
  f->len = (uint16_t)len;
  memcpy(f->data, frame, len);
  return true;
}

static const struct net_frame *peek(const struct net_queue *q, unsigned i)
{
  return &q->frame[(q->head + i) % q->room];
}

static void pop(struct net_queue *q, unsigned count)
{
  q->head = (q->head + count) % q->room;
  q->count -= count;
}

static bool sane(size_t len)
{
  return len >= NET_FRAME_MIN && len <= NET_FRAME_MAX;
}

void netdevs_init(struct netdevs *s, struct clock *clock, void (*wake)(void *), void *arg)
{
  *s = (struct netdevs){.clock = clock, .wake = wake, .wake_arg = arg};
}

void netdevs_free(struct netdevs *s)
{
  while (s->first)
    netdev_delete(s->first);
}

struct netdev *netdevs_find(const struct netdevs *s, const char *id)
{
  for (struct netdev *n = s->first; n; n = n->next)
    if (!strcmp(n->id, id))
      return n;
  return NULL;
}

static void release(struct netdev *n)
{
  free(n->in.frame);
  free(n->out.data);
  free(n->joined);
  free(n->id);
  free(n);
}

struct netdev *netdev_new(struct netdevs *s, const char *id, const char *kind, struct err *e)
{
  if (netdevs_find(s, id)) {
    err_set(e, "two networks have the id '%s'", id);
    return NULL;
  }
  struct netdev *n = calloc(1, sizeof *n);
  if (!n || !(n->id = strdup(id)) || !queue_new(&n->in, NET_IN) || !(n->out.data = malloc(NET_OUT_BYTES)) ||
      !(n->joined = malloc(NET_LARGE_MAX))) {
    if (n)
      release(n);
    err_set(e, "out of memory");
    return NULL;
  }
  n->set = s;
  n->kind = kind;
  struct netdev **end = &s->first;
  while (*end)
    end = &(*end)->next;
  *end = n;
  return n;
}

void netdev_delete(struct netdev *n)
{
  struct netdev **p = &n->set->first;
  while (*p != n)
    p = &(*p)->next;
  *p = n->next;
  if (n->ops)
    n->ops->free(n);
  release(n);
}

struct netdev *netdev_open(struct netdevs *s, struct opts *o, struct err *e)
{
  const char *type = opts_get(o, "type"), *id = opts_get(o, "id");
  if (!type || strcmp(type, "user") != 0) {
    err_set(e, "%s %s: the only kind of network is user", o->option, type ? type : "");
    return NULL;
  }
  if (!id) {
    err_set(e, "%s user: id=ID is missing", o->option);
    return NULL;
  }
  struct netdev *n = netdev_new(s, id, "user", e);
  if (!n)
    return NULL;
  if (!net_user_open(n, o, e)) {
    netdev_delete(n);
    return NULL;
  }
  return n;
}

// ---- between slices ----

static void send_all(struct netdev *n)
{
  for (uint32_t at = 0, len; at < n->out.used; at += len) {
    memcpy(&len, n->out.data + at, sizeof len);
    at += sizeof len;
    n->transmitted++;
    n->ops->input(n, n->out.data + at, len);
  }
  n->out.used = n->out.count = 0;
  if (n->held) {
    n->held = false;
    n->user.sent(n->user.arg);
  }
}

// How many of the frames that wait can be joined to a packet of at most `most` bytes.
static unsigned join(const struct netdev *n, struct net_merge *m, uint32_t most)
{
  const struct net_queue *q = &n->in;
  const struct net_frame *f = peek(q, 0);
  if (!net_merge_begin(m, f->data, f->len, most))
    return 1;
  while (m->count < q->count) {
    f = peek(q, m->count);
    if (!net_merge_add(m, f->data, f->len))
      break;
  }
  return m->count;
}

// Delivers some frames as one packet. False: there are none to be joined.
static bool deliver_joined(struct netdev *n)
{
  struct net_merge m;
  if (!n->user.room || n->in.count < 2 || join(n, &m, NET_LARGE_MAX) < 2)
    return false;
  uint32_t room = n->user.room(n->user.arg, m.len);
  if (room < m.len && (room <= m.first_len || join(n, &m, room) < 2))
    return false;
  uint32_t len = 0;
  for (unsigned i = 0; i < m.count; i++) {
    const struct net_frame *f = peek(&n->in, i);
    uint32_t from = i ? m.header : 0;
    memcpy(n->joined + len, f->data + from, f->len - from);
    len += f->len - from;
  }
  net_merge_finish(&m, n->joined);
  n->received += m.count;
  pop(&n->in, m.count);
  n->user.receive_large(n->user.arg,
                        &(struct net_large){n->joined, len, NET_FRAME_MIN + 20, m.header, m.segment});
  return true;
}

void netdev_kick(struct netdev *n)
{
  while (n->attached && n->in.count && n->user.can_receive(n->user.arg)) {
    if (deliver_joined(n))
      continue;
    const struct net_frame *f = peek(&n->in, 0);
    n->received++;
    n->user.receive(n->user.arg, f->data, f->len);
    pop(&n->in, 1);
  }
}

unsigned netdevs_poll_fds(struct netdevs *s, struct pollfd *fds, unsigned max, uint64_t *timeout)
{
  unsigned total = 0;
  for (struct netdev *n = s->first; n; n = n->next) {
    send_all(n);
    netdev_kick(n); // a backend may have answered at once
    n->fds = n->ops->poll_fds(n, fds + total, max - total, timeout);
    total += n->fds;
  }
  return total;
}

void netdevs_poll(struct netdevs *s, const struct pollfd *fds)
{
  for (struct netdev *n = s->first; n; n = n->next) {
    n->ops->poll(n, fds, n->fds);
    fds += n->fds;
    netdev_kick(n);
  }
}

bool netdevs_running(const struct netdevs *s)
{
  for (const struct netdev *n = s->first; n; n = n->next)
    if (n->attached && n->user.running(n->user.arg))
      return true;
  return false;
}

// ---- adapters ----

void netdev_attach(struct netdev *n, const struct net_user *u)
{
  n->user = *u;
  n->attached = true;
}

void netdev_detach(struct netdev *n)
{
  n->attached = n->held = false;
  n->in.count = n->out.count = n->out.used = 0;
}

// There is room for a frame or a packet of any length.
static bool has_room(const struct net_out *q)
{
  return q->count < NET_OUT && NET_OUT_BYTES - q->used >= sizeof(uint32_t) + NET_LARGE_MAX;
}

bool netdev_can_send(struct netdev *n)
{
  if (has_room(&n->out))
    return true;
  n->held = true;
  return false;
}

static void enqueue(struct netdev *n, const uint8_t *frame, size_t len, size_t most)
{
  struct net_out *q = &n->out;
  if (len < NET_FRAME_MIN || len > most || !has_room(q)) {
    n->dropped++;
    return;
  }
  uint32_t bytes = (uint32_t)len;
  memcpy(q->data + q->used, &bytes, sizeof bytes);
  memcpy(q->data + q->used + sizeof bytes, frame, len);
  q->used += (uint32_t)sizeof bytes + bytes;
  q->count++;
  if (n->set->wake)
    n->set->wake(n->set->wake_arg);
}

void netdev_send(struct netdev *n, const uint8_t *frame, size_t len)
{
  enqueue(n, frame, len, NET_FRAME_MAX);
}

void netdev_send_large(struct netdev *n, const uint8_t *packet, size_t len)
{
  enqueue(n, packet, len, netdev_takes_large(n) ? NET_LARGE_MAX : NET_FRAME_MAX);
}

bool netdev_takes_large(const struct netdev *n)
{
  return n->ops->large;
}

bool netdev_mac(struct netdevs *s, struct opts *o, uint8_t mac[6], struct err *e)
{
  static const uint8_t first[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
  const char *text = opts_get(o, "mac");
  memcpy(mac, first, 6);
  if (!text) {
    mac[5] = (uint8_t)(mac[5] + (s ? s->macs++ : 0));
    return true;
  }
  unsigned v[6];
  int end = 0;
  if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &end) != 6 ||
      text[end])
    return err_set(e, "mac=%s is not of the form 52:54:00:12:34:56", text);
  if (v[0] & 1)
    return err_set(e, "mac=%s is a group address; its first byte must be even", text);
  for (unsigned i = 0; i < 6; i++)
    mac[i] = (uint8_t)v[i];
  return true;
}

// ---- backends ----

bool netdev_wants(const struct netdev *n)
{
  return n->in.count < n->in.room / 2;
}

void netdev_feed(struct netdev *n, const uint8_t *frame, size_t len)
{
  if (!n->attached || !sane(len) || !push(&n->in, frame, len))
    n->dropped++;
}
