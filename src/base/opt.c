// Options in QEMU's spelling; see opt.h.
#include "base/opt.h"

#include <stdlib.h>
#include <string.h>

// Ends the element at *in (a comma written twice stands for one) in place and returns the start of the
// next one, or NULL at the end of the text.
static char *end_element(char *in)
{
  char *out = in;
  for (;;) {
    if (*in == ',' && in[1] == ',') {
      *out++ = ',';
      in += 2;
    } else if (*in == ',' || !*in) {
      char *next = *in ? in + 1 : NULL;
      *out = 0;
      return next;
    } else {
      *out++ = *in++;
    }
  }
}

bool opts_parse(struct opts *o, const char *option, const char *text, const char *implied, struct err *e)
{
  *o = (struct opts){.option = option};
  // The implied key's name is kept behind the text, so that all keys live in one allocation.
  size_t len = strlen(text) + 1, extra = (implied ? strlen(implied) : 0) + 1;
  o->text = malloc(len + extra + sizeof "on");
  if (!o->text)
    return err_set(e, "%s: out of memory", option);
  memcpy(o->text, text, len);
  char *name = o->text + len, *on = name + extra;
  strcpy(name, implied ? implied : "");
  strcpy(on, "on");

  bool first = true;
  for (char *p = o->text; p && (*p || !first); first = false) {
    char *start = p;
    p = end_element(p);
    char *eq = strchr(start, '=');
    struct opt item = {0};
    // A comma may be part of a value but a key has none: "a,,b=c" as first element is a bare value.
    bool bare = !eq || (first && implied && memchr(start, ',', (size_t)(eq - start)));
    if (!bare) {
      *eq = 0;
      item.key = start;
      item.value = eq + 1;
    } else if (first && implied) {
      item.key = name;
      item.value = start;
    } else {
      item.key = start;
      item.value = on;
    }
    if (!*item.key || (bare && !*start)) {
      opts_free(o);
      return err_set(e, "%s %s: empty element; write name,key=value", option, text);
    }
    if (o->count == OPT_MAX) {
      opts_free(o);
      return err_set(e, "%s %s: more than %d elements", option, text, OPT_MAX);
    }
    o->item[o->count++] = item;
  }
  return true;
}

void opts_free(struct opts *o)
{
  free(o->text);
  o->text = NULL;
  o->count = 0;
}

const char *opts_get(struct opts *o, const char *key)
{
  const char *value = NULL;
  for (unsigned i = 0; i < o->count; i++) {
    if (strcmp(o->item[i].key, key) == 0) {
      o->item[i].used = true;
      value = o->item[i].value;
    }
  }
  return value;
}

bool opts_bool(struct opts *o, const char *key, bool *out, struct err *e)
{
  static const char *const names[] = {"off", "on", "no", "yes", "false", "true", "0", "1", NULL};
  const char *v = opts_get(o, key);
  if (!v)
    return true;
  for (unsigned i = 0; names[i]; i++) {
    if (strcmp(names[i], v) == 0) {
      *out = i & 1;
      return true;
    }
  }
  return err_set(e, "%s: %s=%s: the value must be on or off", o->option, key, v);
}

bool opts_u64(struct opts *o, const char *key, uint64_t *out, struct err *e)
{
  const char *v = opts_get(o, key);
  if (!v || parse_u64(v, out))
    return true;
  return err_set(e, "%s: %s=%s: the value must be a number (decimal, or hexadecimal after 0x)", o->option,
                 key, v);
}

bool opts_size(struct opts *o, const char *key, uint64_t unit, uint64_t *out, struct err *e)
{
  const char *v = opts_get(o, key);
  if (!v || parse_size(v, unit, out))
    return true;
  return err_set(e, "%s: %s=%s: the value must be a size like 512M or 2G", o->option, key, v);
}

bool opts_choice(struct opts *o, const char *key, const char *const *names, unsigned *out, struct err *e)
{
  const char *v = opts_get(o, key);
  if (!v)
    return true;
  char known[300] = "";
  for (unsigned i = 0; names[i]; i++) {
    if (strcmp(names[i], v) == 0) {
      *out = i;
      return true;
    }
    if (strlen(known) + strlen(names[i]) + 3 < sizeof known) {
      strcat(known, i ? ", " : "");
      strcat(known, names[i]);
    }
  }
  return err_set(e, "%s: %s=%s: no such value; known are %s", o->option, key, v, known);
}

bool opts_done(const struct opts *o, struct err *e)
{
  for (unsigned i = 0; i < o->count; i++) {
    if (!o->item[i].used)
      return err_set(e, "%s: %s: no such key for this option; leave it out", o->option, o->item[i].key);
  }
  return true;
}

static int digit(char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return 99;
}

// Reads digits; returns what follows them, or NULL if there is no digit or the number is too large.
static const char *number(const char *s, uint64_t *out)
{
  unsigned base = 10;
  if (s[0] == '0' && (s[1] | 0x20) == 'x') {
    base = 16;
    s += 2;
  }
  uint64_t v = 0;
  const char *start = s;
  for (; digit(*s) < (int)base; s++) {
    if (__builtin_mul_overflow(v, (uint64_t)base, &v) || __builtin_add_overflow(v, (uint64_t)digit(*s), &v))
      return NULL;
  }
  *out = v;
  return s == start ? NULL : s;
}

bool parse_u64(const char *text, uint64_t *out)
{
  uint64_t v;
  const char *rest = number(text, &v);
  if (!rest || *rest)
    return false;
  *out = v;
  return true;
}

bool parse_size(const char *text, uint64_t unit, uint64_t *out)
{
  static const char suffixes[] = "bkmgtpe";
  uint64_t whole, part = 0, scale = 1;
  const char *rest = number(text, &whole);
  if (!rest)
    return false;
  if (*rest == '.') { // a fraction, as in 1.5G; nine digits say more than enough
    const char *p = rest + 1;
    for (; *p >= '0' && *p <= '9'; p++) {
      if (scale == 1000000000)
        return false;
      part = part * 10 + (uint64_t)(*p - '0');
      scale *= 10;
    }
    if (p == rest + 1)
      return false;
    rest = p;
  }
  if (*rest) {
    const char *s = strchr(suffixes, *rest | 0x20);
    if (!s || rest[1])
      return false;
    unit = 1ull << (10 * (s - suffixes));
  }
  uint64_t v, fraction = (uint64_t)((unsigned __int128)part * unit / scale);
  if (__builtin_mul_overflow(whole, unit, &v) || __builtin_add_overflow(v, fraction, &v))
    return false;
  *out = v;
  return true;
}

static unsigned least(unsigned a, unsigned b)
{
  return a < b ? a : b;
}

// Levenshtein distance; words of more than 63 characters are far from everything.
static unsigned distance(const char *a, const char *b)
{
  unsigned row[64];
  size_t na = strlen(a), nb = strlen(b);
  if (na > 63 || nb > 63)
    return 99;
  for (unsigned j = 0; j <= nb; j++)
    row[j] = j;
  for (unsigned i = 1; i <= na; i++) {
    unsigned diagonal = row[0];
    row[0] = i;
    for (unsigned j = 1; j <= nb; j++) {
      unsigned up = row[j];
      row[j] = least(least(up, row[j - 1]) + 1, diagonal + (a[i - 1] != b[j - 1]));
      diagonal = up;
    }
  }
  return row[nb];
}

const char *nearest(const char *word, const char *const *candidates)
{
  const char *best = NULL;
  unsigned limit = 4;
  for (unsigned i = 0; candidates[i]; i++) {
    unsigned d = distance(word, candidates[i]);
    if (d < limit && d < strlen(candidates[i])) {
      limit = d;
      best = candidates[i];
    }
  }
  return best;
}
