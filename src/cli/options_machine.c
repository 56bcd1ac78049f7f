// Options that say what the machine is and how it runs; see cli.h.
#include <stdlib.h>
#include <string.h>

#include "base/opt.h"
#include "cli/cli.h"
#include "cpu/model.h"
#include "engine/engine.h"

#define MB (1ull << 20)

static bool finish(struct opts *o, bool ok, struct err *e)
{
  ok = ok && opts_done(o, e);
  opts_free(o);
  return ok;
}

bool take_m(struct cli *c, const char *value, struct err *e)
{
  struct opts o;
  if (!opts_parse(&o, "-m", value, "size", e))
    return false;
  uint64_t size = c->config.ram_size;
  if (opts_get(&o, "maxmem") || opts_get(&o, "slots")) {
    opts_free(&o);
    return err_set(e, "-m: maxmem and slots: memory cannot be plugged in; give size alone");
  }
  if (!finish(&o, opts_size(&o, "size", MB, &size, e), e))
    return false;
  if (size < 2 * MB || size > CONFIG_RAM_MAX || size % 4096)
    return err_set(e, "-m %s: memory is 2M to 64G, in whole pages of 4 KB", value);
  c->config.ram_size = size;
  c->config.ram_given = true;
  return true;
}

bool take_smp(struct cli *c, const char *value, struct err *e)
{
  static const char *const keys[] = {"sockets", "dies", "cores", "threads"};
  struct opts o;
  if (!opts_parse(&o, "-smp", value, "cpus", e))
    return false;
  uint64_t cpus = opts_get(&o, "cpus") ? 0 : UINT64_MAX, max = 0, product = 1, nodes = 0;
  bool ok = opts_u64(&o, "cpus", &cpus, e) && opts_u64(&o, "maxcpus", &max, e), topology = false;
  if (ok && opts_get(&o, "nodes"))
    ok = opts_u64(&o, "nodes", &nodes, e) &&
         ((nodes >= 1 && nodes <= CONFIG_NODES) || err_set(e, "-smp: nodes=%llu: a machine has 1 to %d nodes",
                                                           (unsigned long long)nodes, CONFIG_NODES));
  for (unsigned i = 0; i < sizeof keys / sizeof keys[0] && ok; i++) {
    uint64_t n = 0;
    ok = opts_u64(&o, keys[i], &n, e);
    if (n > 0 && n <= CONFIG_CPUS)
      product *= n, topology = true;
    else if (ok && n)
      ok = err_set(e, "-smp: %s=%llu: a machine has 1 to %d CPUs", keys[i], (unsigned long long)n,
                   CONFIG_CPUS);
  }
  if (!finish(&o, ok, e))
    return false;
  if (cpus == UINT64_MAX)
    cpus = product;
  if (max && max != cpus)
    return err_set(e, "-smp %s: CPUs cannot be plugged in; leave maxcpus out", value);
  if (cpus < 1 || cpus > CONFIG_CPUS)
    return err_set(e, "-smp %s: a machine has 1 to %d CPUs", value, CONFIG_CPUS);
  // QEMU's rule: what is given must multiply to the number of CPUs. A single value left open is worked out.
  if (topology && cpus % product)
    return err_set(e, "-smp %s: sockets * cores * threads does not give %llu CPUs", value,
                   (unsigned long long)cpus);
  c->config.cpus = (unsigned)cpus;
  c->config.cpus_given = true;
  c->config.nodes = (unsigned)nodes;
  return true;
}

// "2" or "0-3", as a mask.
static bool cpu_range(const char *option, const char *text, uint32_t *mask, struct err *e)
{
  char *end;
  unsigned long first = strtoul(text, &end, 10), last = first;
  bool ok = end != text;
  if (ok && *end == '-') {
    const char *second = end + 1;
    last = strtoul(second, &end, 10);
    ok = end != second;
  }
  if (!ok || *end || first > last || last >= CONFIG_CPUS)
    return err_set(e, "%s: cpus=%s: a CPU or a range of them, as 0-1; the last is %d", option, text,
                   CONFIG_CPUS - 1);
  *mask = (uint32_t)((2ull << last) - (1ull << first));
  return true;
}

static bool add_node(struct cli *c, struct opts *o, struct err *e)
{
  uint64_t id = 0, mem = 0;
  uint32_t cpus = 0;
  while (id < CONFIG_NODES && c->config.node[id].given)
    id++;
  const char *text = opts_get(o, "cpus");
  if (!opts_u64(o, "nodeid", &id, e) || (text && !cpu_range(o->option, text, &cpus, e)) ||
      !opts_size(o, "mem", MB, &mem, e))
    return false;
  if (opts_get(o, "memdev"))
    return err_set(e, "%s: memdev: there are no memory objects; give mem=SIZE", o->option);
  if (id >= CONFIG_NODES)
    return err_set(e, "%s: a machine has at most %d nodes", o->option, CONFIG_NODES);
  if (c->config.node[id].given)
    return err_set(e, "%s: node %u is given twice", o->option, (unsigned)id);
  c->config.node[id] = (struct config_node){.given = true, .cpus = cpus, .mem = mem};
  return true;
}

bool take_node(struct cli *c, const char *value, struct err *e)
{
  struct opts o;
  return opts_parse(&o, "-node", value, "cpus", e) && finish(&o, add_node(c, &o, e), e);
}

bool take_numa(struct cli *c, const char *value, struct err *e)
{
  struct opts o;
  if (!opts_parse(&o, "-numa", value, "type", e))
    return false;
  const char *type = opts_get(&o, "type");
  if (type && !strcmp(type, "node"))
    return finish(&o, add_node(c, &o, e), e);
  bool dist = type && !strcmp(type, "dist");
  opts_free(&o);
  if (dist)
    return err_set(e, "-numa dist: distances follow from the links between nodes; give -link A-B");
  return err_set(e, "-numa %s: only -numa node,cpus=A-B,mem=SIZE is known here", value);
}

bool take_link(struct cli *c, const char *value, struct err *e)
{
  char *end;
  unsigned long a = strtoul(value, &end, 10), b = 0;
  bool ok = end != value && *end == '-';
  if (ok) {
    const char *second = end + 1;
    b = strtoul(second, &end, 10);
    ok = end != second && !*end;
  }
  if (!ok || a >= CONFIG_NODES || b >= CONFIG_NODES)
    return err_set(e, "-link %s: two nodes, as 0-1; the last is %d", value, CONFIG_NODES - 1);
  for (unsigned i = 0; i < c->config.links; i++) {
    const struct config_link *l = &c->config.link[i];
    if ((l->a == a && l->b == b) || (l->a == b && l->b == a))
      return err_set(e, "-link %s: given twice", value);
  }
  if (a == b)
    return err_set(e, "-link %s: a link is between two nodes", value);
  c->config.link[c->config.links++] = (struct config_link){(uint8_t)a, (uint8_t)b};
  return true;
}

bool take_cpu(struct cli *c, const char *value, struct err *e)
{
  if (!strcmp(value, "help") || !strcmp(value, "?")) {
    model_list(stdout);
    return c->done = true;
  }
  return config_set(&c->config.cpu, value) || err_set(e, "out of memory");
}

static bool accept(struct opts *o, const char *key)
{
  opts_get(o, key);
  return true;
}

// pc, or QEMU's versions of it, which do not differ here.
static bool machine_type(struct opts *o, struct err *e)
{
  const char *type = opts_get(o, "type");
  if (!type || !strcmp(type, "pc") || !strcmp(type, "i440fx") || !strcmp(type, "pc-i440fx") ||
      !strncmp(type, "pc-i440fx-", 10))
    return true;
  return err_set(e, "-machine %s: there is no such board, only an i440FX with PIIX3; use -machine pc", type);
}

// What the board has or has not, whatever one would like.
static bool machine_fixed(struct opts *o, struct err *e)
{
  static const struct {
    const char *key;
    bool is;
    const char *why;
  } fixed[] = {
      {"smm", true, "the processor has system-management mode"},
      {"acpi", true, "the guest can be told to ignore ACPI"},
      {"usb", false, "there is no USB controller"},
      {"i8042", true, "the board has a keyboard controller"},
      {"sata", false, "there is no such controller on this board"},
      {"nvdimm", false, "there is no non-volatile memory"},
      {"hmat", false, "there is no such table"},
  };
  for (unsigned i = 0; i < sizeof fixed / sizeof *fixed; i++) {
    const char *text = opts_get(o, fixed[i].key);
    bool v = fixed[i].is;
    if (text && !strcmp(text, "auto"))
      continue;
    if (!opts_bool(o, fixed[i].key, &v, e))
      return false;
    if (v != fixed[i].is)
      return err_set(e, "-machine %s=%s: %s; use %s=%s", fixed[i].key, text, fixed[i].why, fixed[i].key,
                     fixed[i].is ? "on" : "off");
  }
  return true;
}

bool take_machine(struct cli *c, const char *value, struct err *e)
{
  // They tell how a machine is run, or name parts that no guest could find here.
  static const char *const ignored[] = {
      "accel",    "kernel_irqchip", "kernel-irqchip", "dump-guest-core", "mem-merge",
      "graphics", "vmport",         "fd-bootchk",     "suppress-vmdesc", NULL};
  struct opts o;
  if (!strcmp(value, "help") || !strcmp(value, "?")) {
    printf("Supported machines are:\npc                   PC with i440FX and PIIX3 (default)\n"
           "Properties: hpet=on|off, pit=on|off; smm=on, acpi=on, usb=off, i8042=on, sata=off, nvdimm=off,\n"
           "hmat=off; accepted: accel, kernel_irqchip, vmport, dump-guest-core, mem-merge, graphics,\n"
           "fd-bootchk, suppress-vmdesc\n");
    return c->done = true;
  }
  if (!opts_parse(&o, "-machine", value, "type", e))
    return false;
  for (unsigned i = 0; ignored[i]; i++)
    accept(&o, ignored[i]);
  bool hpet = !c->config.no_hpet, pit = !c->config.no_pit;
  bool ok = machine_type(&o, e) && machine_fixed(&o, e) && opts_bool(&o, "hpet", &hpet, e) &&
            opts_bool(&o, "pit", &pit, e);
  if (!finish(&o, ok, e))
    return false;
  c->config.no_hpet = !hpet;
  c->config.no_pit = !pit;
  return true;
}

bool take_accel(struct cli *c, const char *value, struct err *e)
{
  struct opts o;
  if (!opts_parse(&o, "-accel", value, "accel", e))
    return false;
  const char *name = opts_get(&o, "accel");
  uint64_t hot = CONFIG_JIT_HOT;
  bool ok = opts_u64(&o, "hot", &hot, e);
  // What QEMU's translator can be told, and what makes no difference here.
  for (const char *const *key =
           (const char *const[]){"thread", "tb-size", "split-wx", "one-insn-per-tb", NULL};
       *key; key++)
    opts_get(&o, *key);
  bool interp = name && !strcmp(name, "interp");
  if (ok && name && (!strcmp(name, "kvm") || !strcmp(name, "hvf")))
    ok = err_set(e, "-accel %s: this machine never uses the host's virtualization; leave the option out",
                 name);
  else if (ok && name && !interp && strcmp(name, "tcg") != 0 && strcmp(name, "jit") != 0)
    ok = err_set(e, "-accel %s: there are jit, also called tcg, and interp", name);
  else if (ok && (hot == 0 || hot > UINT32_MAX))
    ok = err_set(e, "-accel hot=N: a number of entries from 1 on");
  if (!finish(&o, ok, e))
    return false;
  c->config.jit_hot = interp ? 0 : (unsigned)hot;
  return true;
}

static bool letters(const char *option, const char *text, char out[8], struct err *e)
{
  if (strlen(text) > 7 || strspn(text, "abcdn") != strlen(text) || !*text)
    return err_set(e, "-boot %s=%s: letters are a, b (floppy), c (disk), d (CD-ROM), n (network)", option,
                   text);
  strcpy(out, text);
  return true;
}

bool take_boot(struct cli *c, const char *value, struct err *e)
{
  struct opts o;
  if (!opts_parse(&o, "-boot", value, "order", e))
    return false;
  const char *order = opts_get(&o, "order"), *once = opts_get(&o, "once");
  bool strict = false;
  bool ok = (!order || letters("order", order, c->config.boot_order, e)) &&
            (!once || letters("once", once, c->config.boot_once, e)) &&
            opts_bool(&o, "menu", &c->config.boot_menu, e) && opts_bool(&o, "strict", &strict, e);
  return finish(&o, ok, e);
}

bool take_rtc(struct cli *c, const char *value, struct err *e)
{
  static const char *const clocks[] = {"host", "rt", "vm", NULL};
  static const char *const fixes[] = {"none", "slew", NULL};
  struct opts o;
  unsigned clock = 2, fix = 0;
  if (!opts_parse(&o, "-rtc", value, NULL, e))
    return false;
  const char *base = opts_get(&o, "base");
  bool ok = opts_choice(&o, "clock", clocks, &clock, e) && opts_choice(&o, "driftfix", fixes, &fix, e);
  if (ok && base)
    ok = config_set(&c->config.rtc_base, base) || err_set(e, "out of memory");
  if (ok && clock < 2)
    ok = err_set(e, "-rtc clock=%s: the clock goes with the machine's time; for the host's use -clock host",
                 clocks[clock]);
  return finish(&o, ok, e);
}

bool take_icount(struct cli *c, const char *value, struct err *e)
{
  struct opts o;
  if (!opts_parse(&o, "-icount", value, "shift", e))
    return false;
  const char *shift = opts_get(&o, "shift");
  bool sleep = false, align = false;
  uint64_t n = CONFIG_NS_SHIFT;
  bool ok = opts_bool(&o, "sleep", &sleep, e) && opts_bool(&o, "align", &align, e);
  if (ok && shift && strcmp(shift, "auto") != 0 && (!parse_u64(shift, &n) || n > 10))
    ok = err_set(e, "-icount shift=%s: a number from 0 to 10, or auto", shift);
  if (ok && (opts_get(&o, "rr") || opts_get(&o, "rrfile")))
    ok = err_set(e, "-icount rr: recording is not there yet; every run with the same inputs is the same");
  if (!finish(&o, ok, e))
    return false;
  c->config.ns_shift = (unsigned)n;
  return true;
}

bool take_clock(struct cli *c, const char *value, struct err *e)
{
  if (strcmp(value, "host") != 0 && strcmp(value, "virtual") != 0)
    return err_set(e, "-clock %s: virtual or host", value);
  c->config.clock = value[0] == 'h' ? CLOCK_HOST : CLOCK_VIRTUAL;
  return true;
}

bool take_limit(struct cli *c, const char *value, struct err *e)
{
  if (!parse_u64(value, &c->config.limit) || c->config.limit == 0)
    return err_set(e, "-limit %s: a number of instructions, at least 1", value);
  return true;
}

// Properties of QEMU's devices that change nothing here.
bool take_global(struct cli *c, const char *value, struct err *e)
{
  static const char *const known[] = {"kvm-pit.lost_tick_policy=", "PIIX4_PM.disable_s3=",
                                      "PIIX4_PM.disable_s4=", "mc146818rtc.lost_tick_policy=", NULL};
  for (unsigned i = 0; known[i]; i++)
    if (!strncmp(value, known[i], strlen(known[i])))
      return true;
  return err_set(e, "-global %s: not known here; give the property to its -device", value);
}

bool take_name(struct cli *c, const char *value, struct err *e)
{
  return config_set(&c->config.name, value) || err_set(e, "out of memory");
}
