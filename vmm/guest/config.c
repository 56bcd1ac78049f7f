// See config.h.
#include "guest/config.h"

// A piece of a line, without blanks around it.
struct word {
  const char *at;
  size_t len;
};

static bool blank(char c)
{
  return c == ' ' || c == '\t' || c == '\r';
}

static struct word trim(const char *at, const char *end)
{
  while (at < end && blank(*at))
    at++;
  while (end > at && blank(end[-1]))
    end--;
  return (struct word){at, (size_t)(end - at)};
}

static bool is(struct word w, const char *s)
{
  size_t i = 0;
  for (; i < w.len && s[i]; i++)
    if (w.at[i] != s[i])
      return false;
  return i == w.len && !s[i];
}

static bool copy(char *to, size_t room, struct word w)
{
  if (w.len >= room)
    return false;
  for (size_t i = 0; i < w.len; i++)
    to[i] = w.at[i];
  to[w.len] = 0;
  return true;
}

static int digit(char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

// A number from the front of w; false if there is none, or it is too large.
static bool number(struct word *w, unsigned base, uint64_t *value)
{
  size_t i = 0;
  *value = 0;
  for (; i < w->len && digit(w->at[i]) < (int)base; i++) {
    if (*value > UINT32_MAX)
      return false;
    *value = *value * base + (unsigned)digit(w->at[i]);
  }
  w->at += i;
  w->len -= i;
  return i != 0;
}

static bool skip(struct word *w, char c)
{
  if (!w->len || *w->at != c)
    return false;
  *w = trim(w->at + 1, w->at + w->len);
  return true;
}

static const char *boolean(struct word w, bool *to)
{
  if (is(w, "on") || is(w, "yes"))
    *to = true;
  else if (is(w, "off") || is(w, "no"))
    *to = false;
  else
    return "on or off is expected";
  return NULL;
}

static const char *set_cpus(struct config_guest *g, struct word w)
{
  g->cpu_count = 0;
  do {
    uint64_t first, last;
    w = trim(w.at, w.at + w.len);
    if (!number(&w, 10, &first))
      return "CPU numbers are expected, like 0 or 0,1 or 0-3";
    last = first;
    if (skip(&w, '-') && !number(&w, 10, &last))
      return "CPU numbers are expected, like 0 or 0,1 or 0-3";
    w = trim(w.at, w.at + w.len);
    if (last < first || last - first >= CONFIG_CPUS)
      return "the range of CPUs is empty or too long";
    for (; first <= last; first++) {
      if (g->cpu_count == CONFIG_CPUS)
        return "more than 16 CPUs";
      g->cpus[g->cpu_count++] = (unsigned)first;
    }
  } while (skip(&w, ','));
  return w.len ? "CPU numbers are expected, like 0 or 0,1 or 0-3" : NULL;
}

static const char *set_memory(struct config_guest *g, struct word w)
{
  static const char expected[] = "a size of 2M or more is expected, like 256M or 1G";
  uint64_t n;
  if (!number(&w, 10, &n))
    return expected;
  if (is(w, "G") || is(w, "g"))
    n <<= 30;
  else if (is(w, "M") || is(w, "m"))
    n <<= 20;
  else if (is(w, "K") || is(w, "k"))
    n <<= 10;
  else if (w.len)
    return expected;
  if (n < 2 << 20 || n >> 40)
    return expected;
  g->memory = (n + (2 << 20) - 1) & ~(uint64_t)((2 << 20) - 1);
  return NULL;
}

static const char *set_devices(struct config_guest *g, struct word w)
{
  static const char expected[] = "PCI devices are expected, like 01:00.0,00:04.0";
  g->device_count = 0;
  do {
    uint64_t bus, device, function;
    w = trim(w.at, w.at + w.len);
    if (!number(&w, 16, &bus) || !skip(&w, ':') || !number(&w, 16, &device) || !skip(&w, '.') ||
        !number(&w, 16, &function))
      return expected;
    if (bus > 255 || device > 31 || function > 7)
      return expected;
    if (g->device_count == CONFIG_DEVICES)
      return "more than 8 devices";
    g->devices[g->device_count++] = (uint32_t)(bus << 8 | device << 3 | function);
    w = trim(w.at, w.at + w.len);
  } while (skip(&w, ','));
  return w.len ? expected : NULL;
}

static const char *set_paging(struct config_guest *g, struct word w)
{
  g->shadow = is(w, "shadow");
  return g->shadow || is(w, "nested") ? NULL : "nested or shadow is expected";
}

static const char *set_console(struct config_guest *g, struct word w)
{
  g->com2 = is(w, "com2");
  return g->com2 || is(w, "com1") ? NULL : "com1 or com2 is expected";
}

static const char *set_times(struct config_guest *g, struct word w)
{
  uint64_t n;
  if (!number(&w, 10, &n) || w.len || !n || n > 1000000)
    return "a number from 1 to 1000000 is expected";
  g->times = (unsigned)n;
  return NULL;
}

static const char *set_guest(struct config_guest *g, struct word key, struct word value)
{
  static const char too_long[] = "the value is too long";
  if (is(key, "cpus"))
    return set_cpus(g, value);
  if (is(key, "memory"))
    return set_memory(g, value);
  if (is(key, "kernel"))
    return copy(g->kernel, sizeof g->kernel, value) ? NULL : too_long;
  if (is(key, "initrd"))
    return copy(g->initrd, sizeof g->initrd, value) ? NULL : too_long;
  if (is(key, "boot"))
    return copy(g->boot, sizeof g->boot, value) ? NULL : too_long;
  if (is(key, "append"))
    return copy(g->append, sizeof g->append, value) ? NULL : too_long;
  if (is(key, "times"))
    return set_times(g, value);
  if (is(key, "paging"))
    return set_paging(g, value);
  if (is(key, "console"))
    return set_console(g, value);
  if (is(key, "asid"))
    return boolean(value, &g->asid);
  if (is(key, "dev"))
    return boolean(value, &g->dev);
  if (is(key, "devices"))
    return set_devices(g, value);
  return "no such key in a guest's section";
}

static const char *set_host(struct config *c, struct word key, struct word value)
{
  if (is(key, "dev"))
    return boolean(value, &c->dev);
  if (is(key, "end")) {
    c->power_off = is(value, "off");
    return c->power_off || is(value, "wait") ? NULL : "off or wait is expected";
  }
  return "no such key in the host's section";
}

struct reader {
  struct config *c;
  struct config_guest *guest; // the section's, or NULL
  bool host;
  bool none; // the section is none: its lines are passed over
};

static const char *section(struct reader *r, struct word w, unsigned line)
{
  r->guest = NULL;
  r->host = false;
  r->none = true;
  if (w.len < 2 || w.at[w.len - 1] != ']')
    return "a section ends with ]";
  w = trim(w.at + 1, w.at + w.len - 1);
  if (is(w, "host")) {
    r->host = true;
    r->none = false;
    return NULL;
  }
  if (w.len < 6 || !is((struct word){w.at, 5}, "guest") || !blank(w.at[5]))
    return "[host] or [guest NAME] is expected";
  if (r->c->count == CONFIG_GUESTS)
    return "more than 16 guests";
  w = trim(w.at + 5, w.at + w.len);
  struct config_guest *g = r->guest = &r->c->guest[r->c->count++];
  r->none = false;
  *g = (struct config_guest){.line = line, .asid = true, .times = 1, .dev = r->c->dev};
  for (unsigned i = 0; i + 1 < r->c->count; i++)
    if (is(w, r->c->guest[i].name)) {
      g->bad = true;
      return "there is a guest of that name already";
    }
  if (!w.len || !copy(g->name, sizeof g->name, w)) {
    g->bad = true;
    return "a name of 1 to 31 characters is expected";
  }
  return NULL;
}

static const char *check(const struct config_guest *g)
{
  if (!g->cpu_count)
    return "it has no cpus";
  if (!g->memory)
    return "it has no memory";
  if (!g->kernel[0] == !g->boot[0])
    return "it must have either kernel or boot";
  if (g->initrd[0] && !g->kernel[0])
    return "an initrd needs a kernel";
  return NULL;
}

void config_read(struct config *c, const char *text, size_t len,
                 void (*report)(unsigned line, const char *what, const char *word))
{
  struct reader r = {.c = c};
  const char *end = text + len;
  *c = (struct config){.dev = true};
  for (unsigned line = 1; text < end; line++) {
    const char *stop = text, *equals = NULL, *eol;
    while (stop < end && *stop != '\n')
      stop++;
    eol = stop;
    for (const char *p = text; p < stop; p++) // a comment begins the line, or follows a blank
      if ((*p == ';' || *p == '#') && (p == text || blank(p[-1])))
        stop = p;
    for (const char *p = stop; p-- > text;)
      equals = *p == '=' ? p : equals;
    struct word w = trim(text, stop);
    const char *wrong = NULL;
    char shown[48];
    text = eol + 1;
    if (!w.len || (r.none && *w.at != '['))
      continue;
    if (*w.at == '[')
      wrong = section(&r, w, line);
    else if (!equals)
      wrong = "KEY = VALUE is expected";
    else if (r.guest)
      wrong = set_guest(r.guest, trim(w.at, equals), trim(equals + 1, stop));
    else if (r.host)
      wrong = set_host(c, trim(w.at, equals), trim(equals + 1, stop));
    else
      wrong = "this line is in no section";
    if (!wrong)
      continue;
    w.len = w.len < sizeof shown ? w.len : sizeof shown - 1;
    copy(shown, sizeof shown, w);
    report(line, wrong, shown);
    if (r.guest)
      r.guest->bad = true;
  }
  for (unsigned i = 0; i < c->count; i++) {
    const char *wrong = c->guest[i].bad ? NULL : check(&c->guest[i]);
    if (!wrong)
      continue;
    c->guest[i].bad = true;
    report(c->guest[i].line, wrong, c->guest[i].name);
  }
}
