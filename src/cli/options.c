// The table of options, and the walk over the arguments; see cli.h.
#include <string.h>

#include "base/opt.h"
#include "cli/cli.h"

#define STRING(field)                                                                                        \
  static bool take_##field(struct cli *c, const char *value, struct err *e)                                  \
  {                                                                                                          \
    return config_set(&c->config.field, value) || err_set(e, "out of memory");                               \
  }
#define FLAG(field)                                                                                          \
  static bool take_##field(struct cli *c, const char *value, struct err *e)                                  \
  {                                                                                                          \
    c->config.field = true;                                                                                  \
    return true;                                                                                             \
  }

STRING(kernel)
STRING(initrd)
STRING(slb)
STRING(append)
STRING(bios)
STRING(log_file)
STRING(stats_file)
FLAG(nodefaults)
FLAG(nographic)
FLAG(snapshot)
FLAG(no_reboot)
FLAG(no_shutdown)
FLAG(paused)
FLAG(state_hash)

static bool take_help(struct cli *c, const char *value, struct err *e)
{
  cli_help(stdout);
  return c->done = true;
}

static bool take_version(struct cli *c, const char *value, struct err *e)
{
  printf("pacifica %s\n", PACIFICA_VERSION);
  return c->done = true;
}

static bool take_nothing(struct cli *c, const char *value, struct err *e)
{
  return true;
}

static bool take_no_hpet(struct cli *c, const char *value, struct err *e)
{
  c->config.no_hpet = true;
  return true;
}

static bool refuse_kvm(struct cli *c, const char *value, struct err *e)
{
  return err_set(e, "-enable-kvm: this machine never uses the host's virtualization; leave the option out");
}

static bool refuse_object(struct cli *c, const char *value, struct err *e)
{
  return err_set(e,
                 "-object: there are no objects; memory is given by -m, randomness by virtio-rng-pci itself");
}

static bool refuse_daemon(struct cli *c, const char *value, struct err *e)
{
  return err_set(e, "-daemonize: not supported; start the program in the background");
}

const struct option options[] = {
    {"help", NULL, take_help, "show this list"},
    {"h", NULL, take_help, NULL},
    {"version", NULL, take_version, "show the version"},
    {"machine", "pc[,PROP=VALUE...]", take_machine, "the board; -machine help"},
    {"M", "pc[,PROP=VALUE...]", take_machine, NULL},
    {"cpu", "MODEL[,+FEATURE][,-FEATURE]", take_cpu, "the processor; -cpu help"},
    {"smp", "[cpus=]N[,sockets=S][,cores=C][,threads=T][,nodes=N]", take_smp,
     "number of CPUs, at most 16, on 1 to 8 nodes"},
    {"node", "[cpus=]A[-B],mem=SIZE", take_node, "a node with these CPUs and so much memory; repeated"},
    {"numa", "node[,nodeid=N][,cpus=A[-B]][,mem=SIZE]", take_numa, "the same, as QEMU spells it"},
    {"link", "A-B", take_link, "a HyperTransport link between two nodes; repeated (full mesh, or ring)"},
    {"m", "[size=]MEGS", take_m, "memory, in MB or with a suffix K, M, G (128M)"},
    {"accel", "NAME[,hot=N]", take_accel,
     "jit (or tcg; the default), or interp; hot=N: host code after N entries"},
    {"kernel", "FILE", take_kernel, "start this kernel without a BIOS: bzImage, multiboot, PVH or ELF"},
    {"initrd", "FILE[,FILE ARGS...]", take_initrd, "initial RAM disk, or multiboot modules"},
    {"append", "TEXT", take_append, "the kernel's command line"},
    {"slb", "FILE", take_slb, "start this secure loader block by SKINIT, without a BIOS"},
    {"bios", "FILE", take_bios, "BIOS image (bios-256k.bin of SeaBIOS)"},
    {"boot", "[order=]LETTERS[,once=LETTERS][,menu=on|off]", take_boot,
     "a floppy, c disk, d CD-ROM, n network"},
    {"drive", "file=FILE[,PROP=VALUE...]", take_drive,
     "a disk: if=ide|virtio|none media=disk|cdrom index= id= format=raw snapshot= readonly= cache="},
    {"hda", "FILE", take_hda, "first IDE disk; -hdb, -hdc, -hdd likewise"},
    {"hdb", "FILE", take_hdb, NULL},
    {"hdc", "FILE", take_hdc, NULL},
    {"hdd", "FILE", take_hdd, NULL},
    {"cdrom", "FILE", take_cdrom, "CD-ROM image"},
    {"snapshot", NULL, take_snapshot, "write to temporary files, not to disk images"},
    {"device", "NAME[,PROP=VALUE...]", take_device, "add a device; -device help, -device NAME,help"},
    {"tpmdev", "libtpms|socket,id=ID[,...]", take_tpmdev,
     "a TPM: libtpms,version=2.0|1.2,state=FILE or socket,path=SWTPM"},
    {"chardev", "null|stdio|file|socket|pty,id=ID[,...]", take_chardev, "a character backend"},
    {"serial", "BACKEND", take_serial,
     "a serial port: stdio, mon:stdio, null, none, file:F, unix:P, pty, chardev:ID"},
    {"monitor", "BACKEND", take_monitor, "the monitor: stdio, unix:PATH,server,nowait, none ..."},
    {"mon", "[chardev=]ID", take_mon, "the monitor on a -chardev"},
    {"debugcon", "BACKEND", take_debugcon, "the firmware's console, port E9h"},
    {"nographic", NULL, take_nographic, "serial port and monitor on the terminal: Ctrl-a c, Ctrl-a x"},
    {"display", "none", take_display, "there is no window; see screendump in the monitor"},
    {"vga", "std|none", take_vga, "video adapter"},
    {"netdev", "user,id=ID[,hostfwd=RULE...][,restrict=on][,net=A/N]", take_netdev,
     "a network; hostfwd=tcp:[ADDR]:PORT-[ADDR]:PORT leads from the host to the guest"},
    {"nic", "none|user[,model=e1000|virtio-net-pci][,mac=M][,...]", take_nic,
     "a network with its adapter (none)"},
    {"net", "none", take_net, NULL},
    {"rtc", "base=utc|localtime|DATE[,clock=...]", take_rtc, "the date at power-on"},
    {"icount", "shift=N|auto", take_icount, "an instruction takes 2^N ns (2)"},
    {"clock", "virtual|host", take_clock, "what the guest's time follows: instructions, or the host's clock"},
    {"limit", "N", take_limit, "end after N instructions"},
    {"no-reboot", NULL, take_no_reboot, "end at a reset"},
    {"no-shutdown", NULL, take_no_shutdown, "stop at power-off, for the monitor"},
    {"no-hpet", NULL, take_no_hpet, NULL},
    {"no-acpi", NULL, NULL, NULL},
    {"nodefaults", NULL, take_nodefaults, "no devices but those that are asked for"},
    {"no-user-config", NULL, take_nothing, NULL},
    {"S", NULL, take_paused, "do not start until the monitor says cont"},
    {"d", "ITEM[,ITEM...]", take_d, "log; -d help"},
    {"D", "FILE", take_log_file, "where -d goes (standard error)"},
    {"global", "DRIVER.PROP=VALUE", take_global, "a few that cannot matter here are accepted"},
    {"name", "TEXT", take_name, "a name for the machine"},
    {"state-hash", NULL, take_state_hash, "print a hash of memory and registers at the end"},
    {"stats", "FILE", take_stats_file, "write what was counted to FILE at the end, as JSON"},
    {"overcommit", "TEXT", take_nothing, NULL},
    {"enable-kvm", NULL, refuse_kvm, NULL},
    {"object", "TEXT", refuse_object, NULL},
    {"daemonize", NULL, refuse_daemon, NULL},
    {NULL},
};

#define OPTION_COUNT (sizeof options / sizeof options[0])

static const struct option *find(const char *name)
{
  for (const struct option *o = options; o->name; o++)
    if (!strcmp(o->name, name))
      return o;
  return NULL;
}

static bool unknown(const char *arg, const char *name, struct err *e)
{
  const char *names[OPTION_COUNT];
  unsigned n = 0;
  for (const struct option *o = options; o->name; o++)
    if (o->help)
      names[n++] = o->name;
  names[n] = NULL;
  const char *like = nearest(name, names);
  return like ? err_set(e, "%s: no such option; the nearest is -%s", arg, like)
              : err_set(e, "%s: no such option; -help lists them", arg);
}

void cli_init(struct cli *c)
{
  *c = (struct cli){0};
  config_init(&c->config);
}

void cli_free(struct cli *c)
{
  config_free(&c->config);
}

bool cli_parse(struct cli *c, int argc, char **argv, struct err *e)
{
  for (int i = 1; i < argc && !c->done; i++) {
    const char *arg = argv[i];
    if (arg[0] != '-' || !arg[1]) { // a disk image, as with -hda
      if (!take_hda(c, arg, e))
        return false;
      continue;
    }
    const char *name = arg + 1 + (arg[1] == '-');
    const struct option *o = find(name);
    if (!o)
      return unknown(arg, name, e);
    if (!o->take)
      return err_set(e, "%s: not supported; leave it out", arg);
    if (o->arg && i + 1 == argc)
      return err_set(e, "%s: its argument is missing: -%s %s", arg, name, o->arg);
    if (!o->take(c, o->arg ? argv[++i] : NULL, e))
      return false;
  }
  const struct config *k = &c->config;
  if (c->done)
    return true;
  if (!config_nodes(&c->config, e))
    return false;
  if (!k->kernel && (k->initrd || k->append))
    return err_set(e, "%s: only with -kernel", k->initrd ? "-initrd" : "-append");
  if (k->kernel && k->slb)
    return err_set(e, "-slb: starts instead of a kernel; give -kernel or -slb");
  if (k->bios && (k->kernel || k->slb))
    return err_set(e, "-bios: what -kernel or -slb names starts without a BIOS; give one of the two");
  return true;
}

void cli_help(FILE *out)
{
  // Scripts look for QEMU's name and for a version in the fourth word before they use a program.
  fprintf(out, "pacifica emulator version %s (options as in QEMU)\n", PACIFICA_VERSION);
  fprintf(out, "usage: pacifica [options] [disk image]\n\n");
  for (const struct option *o = options; o->name; o++) {
    if (!o->help)
      continue;
    int n = fprintf(out, "-%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
    fprintf(out, "%s%*s%s\n", n > 30 ? "\n" : "", n > 30 ? 32 : 32 - n, "", o->help);
  }
  fprintf(out, "\nSee pacifica(1) for all of it.\n");
}
