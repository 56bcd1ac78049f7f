// The queue that PS/2 devices share; see ps2.h.
#include "chipset/ps2.h"

bool ps2_put(struct ps2_queue *q, uint8_t v)
{
  if (q->count == PS2_QUEUE)
    return false;
  q->byte[(q->head + q->count++) % PS2_QUEUE] = v;
  return true;
}

bool ps2_get(struct ps2_queue *q, uint8_t *v)
{
  if (!q->count)
    return false;
  *v = q->byte[q->head];
  q->head = (q->head + 1) % PS2_QUEUE;
  q->count--;
  return true;
}
