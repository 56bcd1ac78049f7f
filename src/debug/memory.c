// Monitor commands that look at memory: x, xp, print, memsave, pmemsave; and the expressions they take.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/decode.h"
#include "cpu/mem.h"
#include "debug/monitor.h"
#include "debug/regs.h"
#include "machine/machine.h"

struct expr {
  struct monitor_call *call;
  const char *at;
  bool bad;
  unsigned depth;
};

static uint64_t sum(struct expr *x);

static void skip(struct expr *x)
{
  while (isspace((unsigned char)*x->at))
    x->at++;
}

static uint64_t reg(struct expr *x)
{
  char name[16];
  unsigned n = 0;
  uint64_t v = 0;
  while (isalnum((unsigned char)*x->at) && n < sizeof name - 1)
    name[n++] = *x->at++;
  name[n] = 0;
  x->bad |= !regs_value(x->call->cpu, name, &v);
  return v;
}

static uint64_t atom(struct expr *x)
{
  skip(x);
  if (++x->depth > 64) {
    x->bad = true;
    return 0;
  }
  uint64_t v = 0;
  if (*x->at == '(') {
    x->at++;
    v = sum(x);
    skip(x);
    x->bad |= *x->at != ')';
    x->at += *x->at == ')';
  } else if (*x->at == '-' || *x->at == '~') {
    bool minus = *x->at++ == '-';
    v = atom(x);
    v = minus ? -v : ~v;
  } else if (*x->at == '$') {
    x->at++;
    v = reg(x);
  } else {
    char *end;
    v = strtoull(x->at, &end, 0);
    x->bad |= end == x->at;
    x->at = end;
  }
  x->depth--;
  return v;
}

static uint64_t product(struct expr *x)
{
  uint64_t v = atom(x);
  for (;;) {
    skip(x);
    char op = *x->at;
    if (x->bad || (op != '*' && op != '/' && op != '%'))
      return v;
    x->at++;
    uint64_t w = atom(x);
    if (op != '*' && !w)
      x->bad = true;
    else
      v = op == '*' ? v * w : op == '/' ? v / w : v % w;
  }
}

static uint64_t sum(struct expr *x)
{
  uint64_t v = product(x);
  for (;;) {
    skip(x);
    char op = *x->at;
    if (x->bad || !op || !strchr("+-&|^", op))
      return v;
    x->at++;
    uint64_t w = product(x);
    v = op == '+' ? v + w : op == '-' ? v - w : op == '&' ? v & w : op == '|' ? v | w : v ^ w;
  }
}

bool monitor_expr(struct monitor_call *c, const char *text, uint64_t *v)
{
  struct expr x = {.call = c, .at = text};
  *v = sum(&x);
  skip(&x);
  if (!x.bad && !*x.at)
    return true;
  fprintf(c->out, "'%s' is not a number, a $register, or a sum of them\n", text);
  return false;
}

static bool read_physical(struct cpu *c, uint64_t pa, uint8_t *buf, unsigned len)
{
  for (unsigned i = 0; i < len; i++) {
    struct txn t = {.addr = pa + i,
                    .size = 1,
                    .requester = TXN_FROM_CPU + c->index,
                    .kind = TXN_READ,
                    .space = TXN_MEM,
                    .debug = true};
    uint64_t v;
    if (bus_access(c->bus, &t, &v) != TXN_OK)
      return false;
    buf[i] = (uint8_t)v;
  }
  return true;
}

static bool read_at(struct cpu *c, bool physical, uint64_t addr, void *buf, unsigned len)
{
  return physical ? read_physical(c, addr, buf, len) : mem_debug_read(c, addr, buf, len);
}

// As many of the 15 bytes as can be read.
static unsigned read_code(struct cpu *c, bool physical, uint64_t addr, uint8_t *buf)
{
  unsigned n = 0;
  while (n < 15 && read_at(c, physical, addr + n, buf + n, 1))
    n++;
  return n;
}

static unsigned disassemble(struct cpu *c, bool physical, uint64_t addr, uint64_t ip, FILE *out)
{
  uint8_t buf[16];
  char text[128];
  unsigned have = read_code(c, physical, addr, buf);
  cpu_mode_update(c);
  unsigned len = have ? decode_text(c->mode, ip, buf, have, text, sizeof text) : 0;
  fprintf(out, "0x%08llx:  ", (unsigned long long)addr);
  for (unsigned i = 0; i < (len ? len : have ? 1 : 0); i++)
    fprintf(out, "%02x ", buf[i]);
  fprintf(out, "%*s%s\n",
          (int)(3 * (8 - (len > 8 ? 8
                          : len   ? len
                                  : 1))),
          "",
          len    ? text
          : have ? "(bad)"
                 : "cannot be read");
  return len ? len : 1;
}

unsigned monitor_disassemble(struct cpu *c, uint64_t la, uint64_t ip, FILE *out)
{
  return disassemble(c, false, la, ip, out);
}

struct format {
  uint64_t count;
  char kind; // x d u o c i
  unsigned size;
};

static bool parse_format(struct monitor_call *c, struct format *f)
{
  const char *p = c->fmt;
  *f = (struct format){.count = 1, .kind = 'x', .size = 4};
  if (isdigit((unsigned char)*p))
    f->count = strtoull(p, (char **)&p, 10);
  bool sized = false;
  for (; *p; p++) {
    if (strchr("xduoci", *p))
      f->kind = *p;
    else if (strchr("bhwg", *p))
      f->size = *p == 'b' ? 1 : *p == 'h' ? 2 : *p == 'w' ? 4 : 8, sized = true;
    else
      return fprintf(c->out, "/%s: a count, one of x d u o c i, one of b h w g\n", c->fmt), false;
  }
  if (f->kind == 'c' && !sized)
    f->size = 1;
  if (f->count > 65536)
    return fprintf(c->out, "/%s: at most 65536 items\n", c->fmt), false;
  return true;
}

static void print_item(FILE *out, const struct format *f, uint64_t v)
{
  typedef unsigned long long ull;
  int64_t s = f->size == 8 ? (int64_t)v : (int64_t)(v << (64 - 8 * f->size)) >> (64 - 8 * f->size);
  switch (f->kind) {
  case 'd':
    fprintf(out, " %*lld", (int)f->size * 5 / 2 + 1, (long long)s);
    break;
  case 'u':
    fprintf(out, " %*llu", (int)f->size * 5 / 2, (ull)v);
    break;
  case 'o':
    fprintf(out, " %#0*llo", (int)f->size * 8 / 3 + 2, (ull)v);
    break;
  case 'c':
    fprintf(out, isprint((int)(v & 0xff)) ? " '%c'" : " '\\x%02x'", (unsigned)(v & 0xff));
    break;
  default:
    fprintf(out, " 0x%0*llx", (int)f->size * 2, (ull)v);
  }
}

static void dump(struct monitor_call *c, bool physical)
{
  struct format f;
  uint64_t addr;
  if (!parse_format(c, &f))
    return;
  if (!c->args) {
    fprintf(c->out, "give an address\n");
    return;
  }
  if (!monitor_expr(c, c->rest, &addr))
    return;
  if (f.kind == 'i') {
    for (uint64_t i = 0; i < f.count; i++)
      addr += disassemble(c->cpu, physical, addr, addr, c->out);
    return;
  }
  unsigned per_line = f.size == 8 ? 2 : f.kind == 'c' || f.size == 1 ? 8 : f.size == 2 ? 8 : 4;
  for (uint64_t i = 0; i < f.count; i++, addr += f.size) {
    uint64_t v = 0;
    if (i % per_line == 0)
      fprintf(c->out, "%s%016llx:", i ? "\n" : "", (unsigned long long)addr);
    if (!read_at(c->cpu, physical, addr, &v, f.size)) {
      fprintf(c->out, " cannot be read\n");
      return;
    }
    print_item(c->out, &f, v);
  }
  fprintf(c->out, "\n");
}

static void x(struct monitor_call *c)
{
  dump(c, false);
}

static void xp(struct monitor_call *c)
{
  dump(c, true);
}

static void print(struct monitor_call *c)
{
  uint64_t v;
  struct format f;
  if (!parse_format(c, &f) || !monitor_expr(c, c->rest, &v))
    return;
  if (f.kind == 'x')
    fprintf(c->out, "%#llx\n", (unsigned long long)v);
  else
    print_item(c->out, &(struct format){.kind = f.kind, .size = 8}, v), fprintf(c->out, "\n");
}

static void save(struct monitor_call *c, bool physical)
{
  uint64_t addr, size;
  if (c->args != 3) {
    fprintf(c->out, "give address, size and file\n");
    return;
  }
  if (!monitor_expr(c, c->arg[0], &addr) || !monitor_expr(c, c->arg[1], &size))
    return;
  FILE *f = fopen(c->arg[2], "wb");
  bool ok = f != NULL;
  uint8_t buf[4096];
  while (ok && size) {
    unsigned n = size < sizeof buf ? (unsigned)size : sizeof buf;
    if (!read_at(c->cpu, physical, addr, buf, n)) {
      fprintf(c->out, "%#llx cannot be read\n", (unsigned long long)addr);
      break;
    }
    ok = fwrite(buf, 1, n, f) == n;
    addr += n;
    size -= n;
  }
  if ((f && fclose(f) != 0) || !ok)
    fprintf(c->out, "cannot write %s\n", c->arg[2]);
}

static void memsave(struct monitor_call *c)
{
  save(c, false);
}

static void pmemsave(struct monitor_call *c)
{
  save(c, true);
}

const struct monitor_command monitor_memory[] = {
    {"x", NULL, "/fmt addr", "memory at a linear address", x},
    {"xp", NULL, "/fmt addr", "memory at a physical address", xp},
    {"print", "p", "/fmt expr", "the value of an expression", print},
    {"memsave", NULL, "addr size file", "save memory at a linear address", memsave},
    {"pmemsave", NULL, "addr size file", "save memory at a physical address", pmemsave},
    {NULL},
};
