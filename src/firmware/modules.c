// Multiboot modules from -initrd "file arg,file2 arg2": a comma inside is written twice. Modules go to
// pages of their own behind the kernel.
#include "firmware/loader.h"

#include <stdlib.h>

void modules_free(struct modules *m)
{
  for (unsigned i = 0; i < m->count; i++)
    free(m->mod[i].text);
  m->count = 0;
}

// Cuts the next element out of the list; doubled commas become one. NULL: out of memory.
static char *next_element(const char **list)
{
  const char *p = *list;
  char *out = malloc(strlen(p) + 1);
  if (!out)
    return NULL;
  char *q = out;
  while (*p == ' ')
    p++;
  for (; *p; p++) {
    if (*p == ',' && *++p != ',')
      break;
    *q++ = *p;
  }
  *q = 0;
  *list = p;
  return out;
}

static bool load_one(struct loader *l, struct module *mod)
{
  struct image im = {0};
  size_t name_len = strcspn(mod->text, " ");
  mod->args = mod->text + name_len + strspn(mod->text + name_len, " ");
  char *name = strndup(mod->text, name_len);
  bool ok = name ? image_read(&im, "module", name, l->e) : err_set(l->e, "no memory");
  free(name);
  if (!ok)
    return false;
  uint64_t min = l->image_end > 0x100000 ? l->image_end : 0x100000;
  mod->len = im.len;
  mod->base = place_find(&l->place, im.len, 4096, min, GB4, false);
  if (mod->base == PLACE_NONE)
    ok = err_set(l->e, "module %s: no room for %llu bytes; give more RAM with -m", im.name,
                 (unsigned long long)im.len);
  else
    ok = loader_write(l, mod->base, im.data, im.len);
  image_free(&im);
  return ok;
}

bool modules_load(struct loader *l, struct modules *m)
{
  const char *list = l->rq->initrd ? l->rq->initrd : "";
  m->count = 0;
  while (*list) {
    if (m->count == MODULES_MAX)
      return err_set(l->e, "-initrd: more than %d modules", MODULES_MAX);
    struct module *mod = &m->mod[m->count];
    mod->text = next_element(&list);
    if (!mod->text)
      return err_set(l->e, "no memory");
    m->count++;
    if (!mod->text[0])
      return err_set(l->e, "-initrd %s: an empty module name", l->rq->initrd);
    if (!load_one(l, mod))
      return false;
  }
  return true;
}
