// Life of a configuration; see config.h.
#include "machine/config.h"

#include <stdlib.h>
#include <string.h>

bool text_list_add(struct text_list *l, const char *text)
{
  char **item = realloc(l->item, (l->count + 1) * sizeof *item);
  if (!item)
    return false;
  l->item = item;
  item[l->count] = strdup(text);
  return item[l->count] && ++l->count;
}

void text_list_free(struct text_list *l)
{
  for (unsigned i = 0; i < l->count; i++)
    free(l->item[i]);
  free(l->item);
  *l = (struct text_list){0};
}

void config_init(struct config *c)
{
  *c = (struct config){
      .cpus = 1, .ram_size = 128ull << 20, .ns_shift = CONFIG_NS_SHIFT, .jit_hot = CONFIG_JIT_HOT};
}

void config_free(struct config *c)
{
  char *owned[] = {c->kernel,   c->initrd,   c->append, c->bios,     c->slb,       c->cpu,
                   c->debugcon, c->rtc_base, c->name,   c->log_file, c->stats_file};
  for (unsigned i = 0; i < sizeof owned / sizeof owned[0]; i++)
    free(owned[i]);
  text_list_free(&c->drives);
  text_list_free(&c->devices);
  text_list_free(&c->chardevs);
  text_list_free(&c->tpmdevs);
  text_list_free(&c->serials);
  text_list_free(&c->monitors);
  text_list_free(&c->netdevs);
  text_list_free(&c->nics);
  *c = (struct config){0};
}

bool config_set(char **slot, const char *text)
{
  char *copy = strdup(text);
  if (!copy)
    return false;
  free(*slot);
  *slot = copy;
  return true;
}
