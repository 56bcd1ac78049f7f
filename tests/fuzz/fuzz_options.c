// Command lines of any text: each is accepted, or refused in one line. Those that are accepted and name no
// file become a machine, so that the properties of devices are read too.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/cli.h"
#include "fuzz.h"
#include "machine/machine.h"

#define ARGS 32

// Whether a text of -serial, -device and so on leaves the host alone.
static bool harmless(const struct text_list *l, bool backend)
{
  for (unsigned i = 0; i < l->count; i++) {
    const char *t = l->item[i];
    if (backend ? strcmp(t, "null") && strcmp(t, "none")
                : strchr(t, '/') || strstr(t, "romfile") || strstr(t, "path") || strstr(t, "state") ||
                      strstr(t, "fwd"))
      return false;
  }
  return true;
}

static bool buildable(const struct config *c)
{
  return !c->kernel && !c->initrd && !c->bios && !c->log_file && !c->drives.count && !c->chardevs.count &&
         !c->slb && !c->stats_file && !c->debugcon && !c->log_items && harmless(&c->netdevs, false) &&
         harmless(&c->nics, false) && harmless(&c->tpmdevs, false) && harmless(&c->devices, false) &&
         harmless(&c->serials, true) && harmless(&c->monitors, true) && c->ram_size <= 1ull << 30 &&
         c->cpus <= 8;
}

static void require_line(const struct err *e)
{
  FUZZ_REQUIRE(e->text[0] && !strchr(e->text, '\n'), "\"%s\"", e->text);
}

static void build(struct config *c)
{
  // A BIOS of zeros, and no ROM for the video adapter: the distribution's files need not be there.
  struct err e = {""};
  char text[32];
  int fd = memfd_create("bios", 0);
  if (fd < 0 || ftruncate(fd, 65536))
    abort();
  snprintf(text, sizeof text, "/proc/self/fd/%d", fd);
  if (!config_set(&c->bios, text))
    abort();
  c->vga_none = true;
  struct machine *m = machine_new(c, &e);
  if (!m)
    require_line(&e);
  machine_free(m);
  close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
  static FILE *real, *null;
  if (!null && !(null = fopen("/dev/null", "w")))
    abort();
  char *text = malloc(len + 1), *argv[ARGS] = {"pacifica"};
  if (!text)
    abort();
  memcpy(text, data, len);
  text[len] = 0;
  int argc = 1;
  for (size_t at = 0; at < len && argc < ARGS; at += strlen(text + at) + 1)
    argv[argc++] = text + at;
  struct cli c;
  struct err e = {""};
  cli_init(&c);
  real = stdout; // help is not what is looked at here
  stdout = null;
  bool ok = cli_parse(&c, argc, argv, &e);
  stdout = real;
  if (!ok)
    require_line(&e);
  else if (!c.done && buildable(&c.config))
    build(&c.config);
  cli_free(&c);
  free(text);
  return 0;
}

// A space ends an argument.
static const char *const lines[] = {
    "-m 256 -smp 2 -cpu family10h -nodefaults",
    "-m size=1G,slots=2,maxmem=2G -smp cpus=4,sockets=2,cores=2,threads=1",
    "-cpu max,+avx,-sse4.1,vendor=GenuineIntel -machine pc,accel=tcg",
    "-cpu k8f -rtc base=2020-01-02T03:04:05,clock=vm -icount shift=3,sleep=off",
    "-device isa-debug-exit,iobase=0xf4,iosize=4 -device pc-testdev -nodefaults",
    "-device virtio-rng-pci,addr=5.1,vectors=3,disable-modern=on -device pci-testdev,bus=pci.0",
    "-device VGA,vgamem_mb=32 -serial null -serial none -monitor none",
    "-device isa-serial,index=2,iobase=0x3e8,irq=5 -device ide-cd,bus=ide.1,unit=1 -nodefaults",
    "-drive file=a,,b.img,if=virtio,format=raw,cache=none,id=d0 -hda x -cdrom y",
    "-device virtio-blk-pci,drive=d0,serial=12 -boot order=dc,once=a,menu=on",
    "-chardev file,id=c0,path=x -serial chardev:c0 -mon chardev=c0,mode=readline",
    "-d int,cpu_reset -D log -limit 1000 -S -no-reboot -snapshot -state-hash",
    "-accel jit,hot=1,thread=multi -clock host -nographic -display none -vga none -nic none -nic "
    "user,model=e1000,hostfwd=tcp::1-:2 -netdev user,id=a -name x,process=y",
    "-m 512 -smp 4 -nodefaults -node cpus=0-1,mem=256 -node 2-3,mem=256 -link 0-1",
    "-m 512 -smp 4 -nodefaults -numa node,nodeid=0,cpus=0,cpus=3,mem=128 -numa "
    "node,nodeid=1,cpus=1-2,mem=384M",
    "-m 256 -smp 8 -node mem=32 -node mem=32 -node mem=64 -node mem=128 -link 0-1 -link 1-2 -link 2-3 -link "
    "0-3",
    "-nodefaults -m 64 -smp 2,nodes=2 -numa dist,src=0,dst=1,val=20",
    "-nodefaults -m 64 -tpmdev libtpms,id=t,version=1.2 -device tpm-tis,tpmdev=t,did-vid=0x000b15d1",
    "-nodefaults -m 64 -tpmdev socket,id=t,path=/x -device tpm-crb,tpmdev=t",
    "-nodefaults -m 64 -slb x -tpmdev libtpms,id=t,state=y -device tpm-crb,tpmdev=t",
    "-nodefaults -m 64 -netdev user,id=n,restrict=on,net=10.1.0.0/16,host=10.1.0.2 -device "
    "e1000,netdev=n,mac=52:54:00:00:00:01",
    "-nodefaults -m 64 -nic user,model=virtio-net-pci,restrict=on -nic none -netdev user,id=m -device "
    "virtio-net-pci,netdev=m",
    "-nodefaults -m 64 -device ahci,id=a,node=0 -device pacifica-dma,functions=8,unit=31,node=1 -stats "
    "f.json",
    "-kernel k -initrd a b,c -append console=ttyS0 -bios b",
    "-help",
    "-device help",
    "-device VGA,help",
    "-cpu help",
    "-d help",
    "-machine help",
    "disk.img",
    "--version",
    "-global x.y=z -no-acpi",
};

size_t fuzz_seed(unsigned n, uint8_t *buf)
{
  if (n >= sizeof lines / sizeof lines[0])
    return 0;
  size_t len = strlen(lines[n]);
  for (size_t i = 0; i < len; i++)
    buf[i] = lines[n][i] == ' ' ? 0 : (uint8_t)lines[n][i];
  return len;
}
