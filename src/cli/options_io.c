// Options that say what is connected to the machine; see cli.h.
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/opt.h"
#include "cli/cli.h"
#include "device/catalog.h"

static bool add(struct text_list *l, const char *text, struct err *e)
{
  return text_list_add(l, text) || err_set(e, "out of memory");
}

bool take_drive(struct cli *c, const char *value, struct err *e)
{
  return add(&c->config.drives, value, e);
}

// A file name as the value of a key: its commas are doubled.
static bool add_file(struct cli *c, const char *rest, const char *file, struct err *e)
{
  char *text = malloc(2 * strlen(file) + strlen(rest) + sizeof "file=,");
  if (!text)
    return err_set(e, "out of memory");
  char *p = stpcpy(text, "file=");
  for (; *file; file++) {
    if (*file == ',')
      *p++ = ',';
    *p++ = *file;
  }
  *p++ = ',';
  strcpy(p, rest);
  bool ok = add(&c->config.drives, text, e);
  free(text);
  return ok;
}

bool take_hda(struct cli *c, const char *value, struct err *e)
{
  return add_file(c, "index=0,media=disk", value, e);
}

bool take_hdb(struct cli *c, const char *value, struct err *e)
{
  return add_file(c, "index=1,media=disk", value, e);
}

bool take_hdc(struct cli *c, const char *value, struct err *e)
{
  return add_file(c, "index=2,media=disk", value, e);
}

bool take_hdd(struct cli *c, const char *value, struct err *e)
{
  return add_file(c, "index=3,media=disk", value, e);
}

bool take_cdrom(struct cli *c, const char *value, struct err *e)
{
  return add_file(c, "index=2,media=cdrom", value, e);
}

bool take_device(struct cli *c, const char *value, struct err *e)
{
  if (!strcmp(value, "help") || !strcmp(value, "?")) {
    catalog_list(stdout);
    return c->done = true;
  }
  size_t n = strcspn(value, ",");
  if (!strcmp(value + n, ",help") || !strcmp(value + n, ",?")) {
    char name[64] = "";
    if (n < sizeof name)
      memcpy(name, value, n);
    const struct catalog_device *d = catalog_find(name);
    if (!d)
      return err_set(e, "-device %.*s: no such device; -device help lists them", (int)n, value);
    catalog_help(d, stdout);
    return c->done = true;
  }
  return add(&c->config.devices, value, e);
}

bool take_chardev(struct cli *c, const char *value, struct err *e)
{
  return add(&c->config.chardevs, value, e);
}

bool take_tpmdev(struct cli *c, const char *value, struct err *e)
{
  return add(&c->config.tpmdevs, value, e);
}

bool take_serial(struct cli *c, const char *value, struct err *e)
{
  c->config.serial_given = true;
  return add(&c->config.serials, value, e);
}

bool take_monitor(struct cli *c, const char *value, struct err *e)
{
  c->config.monitor_given = true;
  return !strcmp(value, "none") || add(&c->config.monitors, value, e);
}

bool take_mon(struct cli *c, const char *value, struct err *e)
{
  static const char *const modes[] = {"readline", NULL};
  struct opts o;
  unsigned mode = 0;
  if (!opts_parse(&o, "-mon", value, "chardev", e))
    return false;
  const char *id = opts_get(&o, "chardev");
  char text[128] = "chardev:";
  bool ok = opts_choice(&o, "mode", modes, &mode, e);
  if (ok && id && strlen(id) <= 100)
    strcat(text, id);
  else if (ok)
    ok = err_set(e, "-mon %s: chardev=ID is missing or too long", value);
  ok = ok && opts_done(&o, e);
  opts_free(&o);
  return ok && take_monitor(c, text, e);
}

bool take_debugcon(struct cli *c, const char *value, struct err *e)
{
  return config_set(&c->config.debugcon, value) || err_set(e, "out of memory");
}

bool take_display(struct cli *c, const char *value, struct err *e)
{
  return !strcmp(value, "none") || err_set(e,
                                           "-display %s: there is no window; use -display none or "
                                           "-nographic, and screendump in the monitor",
                                           value);
}

bool take_vga(struct cli *c, const char *value, struct err *e)
{
  c->config.vga_none = !strcmp(value, "none");
  return c->config.vga_none || !strcmp(value, "std") ||
         err_set(e, "-vga %s: the adapters are std and none", value);
}

bool take_netdev(struct cli *c, const char *value, struct err *e)
{
  return add(&c->config.netdevs, value, e);
}

bool take_nic(struct cli *c, const char *value, struct err *e)
{
  return !strcmp(value, "none") || add(&c->config.nics, value, e);
}

bool take_net(struct cli *c, const char *value, struct err *e)
{
  return !strcmp(value, "none") ||
         err_set(e, "-net %s: not supported; use -nic user,model=NAME, or -netdev and -device", value);
}

bool take_d(struct cli *c, const char *value, struct err *e)
{
  if (!strcmp(value, "help") || !strcmp(value, "?")) {
    printf("Log items (comma separated):\n");
    for (const struct log_name *l = log_names; l->name; l++)
      printf("%-16s%s\n", l->name, l->help);
    return c->done = true;
  }
  uint32_t items;
  if (!log_parse(value, &items, e))
    return false;
  c->config.log_items |= items;
  return true;
}
