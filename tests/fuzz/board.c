// The machine of fuzz_io and fuzz_disk; see board.h.
#include "board.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device/net_sum.h"

enum { BIOS_SIZE = 65536, HANDLER = 0x600 };

// The processor jumps to the BIOS's first byte and waits there: STI, HLT, and again. Handlers acknowledge at
// both PICs.
static void write_bios(int fd)
{
  static uint8_t image[BIOS_SIZE];
  static const uint8_t start[] = {0xfb, 0xf4, 0xeb, 0xfc}, reset[] = {0xe9, 0x0d, 0x00};
  memcpy(image, start, sizeof start);
  memcpy(image + 0xfff0, reset, sizeof reset);
  if (pwrite(fd, image, sizeof image, 0) != sizeof image)
    abort();
}

static int memory_file(const char *name, off_t size)
{
  int fd = memfd_create(name, 0);
  if (fd < 0 || ftruncate(fd, size))
    abort();
  return fd;
}

static void add(struct text_list *l, const char *fmt, int fd)
{
  char text[128];
  snprintf(text, sizeof text, fmt, fd);
  if (!text_list_add(l, text))
    abort();
}

// In place of the host's sockets: what the guest sends comes back, and what it asks for besides.
static void echo(struct netdev *n, const uint8_t *frame, size_t len)
{
  struct net_checks c = net_check(frame, len);
  FUZZ_REQUIRE(len <= NET_FRAME_MAX || (c.ip == NET_GOOD && c.transport != NET_UNCHECKED),
               "%zu bytes that are no TCP in IPv4 are sent whole", len);
  netdev_feed(n, frame, len);
  if (frame[0] & 1)
    netdev_feed(n, frame, len / 2);
}

static unsigned no_fds(struct netdev *n, struct pollfd *fds, unsigned max, uint64_t *timeout)
{
  return 0;
}

static void nothing_came(struct netdev *n, const struct pollfd *fds, unsigned count)
{
}

static void nothing_owned(struct netdev *n)
{
}

void board_networks(struct machine *m, bool large)
{
  static const struct net_ops ops[] = {{echo, no_fds, nothing_came, nothing_owned, false},
                                       {echo, no_fds, nothing_came, nothing_owned, true}};
  for (struct netdev *n = m->netdevs.first; n; n = n->next) {
    n->ops->free(n);
    n->ops = &ops[large];
  }
}

void board_open(struct fuzz_board *b)
{
  static const uint8_t handler[] = {0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf};
  struct config *c = &b->config;
  struct err e;
  char bios[32];
  config_init(c);
  b->file[0] = memory_file("bios", BIOS_SIZE);
  b->file[1] = memory_file("disk", BOARD_DISK);
  b->file[2] = memory_file("cd", BOARD_CD);
  b->file[3] = memory_file("vdisk", BOARD_DISK);
  b->file[4] = memory_file("sata", BOARD_DISK);
  b->file[5] = memory_file("sata-cd", BOARD_CD);
  write_bios(b->file[0]);
  snprintf(bios, sizeof bios, "/proc/self/fd/%d", b->file[0]);
  if (!config_set(&c->bios, bios))
    abort();
  c->cpus = 2;
  c->nodes = b->nodes ? b->nodes : 1;
  c->ram_size = (uint64_t)BOARD_RAM * c->nodes;
  if ((b->cpu && !config_set(&c->cpu, b->cpu)) || !config_nodes(c, &e))
    abort();
  add(&c->drives, "file=/proc/self/fd/%d,format=raw,if=ide,index=0,media=disk", b->file[1]);
  add(&c->drives, "file=/proc/self/fd/%d,format=raw,if=ide,index=2,media=cdrom", b->file[2]);
  add(&c->drives, "file=/proc/self/fd/%d,format=raw,if=virtio,discard=on", b->file[3]);
  add(&c->drives, "id=sd,file=/proc/self/fd/%d,format=raw,if=none", b->file[4]);
  add(&c->drives, "id=sc,file=/proc/self/fd/%d,format=raw,if=none,media=cdrom", b->file[5]);
  add(&c->serials, "null", 0);
  add(&c->serials, "null", 0);
  add(&c->netdevs, "user,id=n%d,restrict=on", 0);
  add(&c->netdevs, "user,id=n%d,restrict=on", 1);
  add(&c->devices, "VGA,romfile=,addr=%d", 2);
  static const char *const devices[] = {"virtio-rng-pci",
                                        "virtio-net-pci,netdev=n0",
                                        "e1000,netdev=n1",
                                        "ahci,id=sata",
                                        "ide-hd,drive=sd,bus=sata.0",
                                        "ide-cd,drive=sc,bus=sata.1",
                                        "pacifica-dma,functions=2",
                                        "pci-testdev",
                                        "pc-testdev",
                                        "isa-debug-exit"};
  for (unsigned i = 0; i < sizeof devices / sizeof devices[0]; i++)
    if (!text_list_add(&c->devices, devices[i]))
      abort();
  b->m = machine_new(c, &e);
  if (!b->m) {
    fprintf(stderr, "fuzz: no machine: %s\n", e.text);
    abort();
  }
  board_networks(b->m, true);
  for (unsigned v = 0; v < 256; v++)
    board_poke(b->m, v * 4, &(uint32_t){HANDLER}, 4);
  board_poke(b->m, HANDLER, handler, sizeof handler);
}

void board_close(struct fuzz_board *b)
{
  machine_free(b->m);
  config_free(&b->config);
  for (unsigned i = 0; i < sizeof b->file / sizeof b->file[0]; i++)
    close(b->file[i]);
}

uint64_t board_access(struct machine *m, enum txn_space space, uint64_t addr, unsigned size, bool write,
                      uint64_t v)
{
  struct txn t = {.addr = addr,
                  .size = size,
                  .requester = TXN_FROM_CPU,
                  .kind = write ? TXN_WRITE : TXN_READ,
                  .space = space};
  bus_access(&m->bus, &t, &v);
  return v;
}

void board_pci(struct machine *m, uint8_t devfn, uint8_t reg, unsigned size, uint32_t v)
{
  board_out(m, 0xcf8, 4, 0x80000000u | (uint32_t)devfn << 8 | (reg & 0xfc));
  board_out(m, (uint16_t)(0xcfc + (reg & 3)), size, v);
}

uint8_t board_pci_pick(struct machine *m, unsigned n)
{
  unsigned there = 0;
  for (unsigned i = 0; i < 256; i++)
    there += m->pc.pci.func[i] != NULL;
  n %= there;
  for (unsigned i = 0; i < 256; i++)
    if (m->pc.pci.func[i] && !n--)
      return (uint8_t)i;
  return 0;
}

void board_poke(struct machine *m, uint64_t pa, const void *data, unsigned len)
{
  struct txn t = {.addr = pa, .kind = TXN_WRITE, .space = TXN_MEM, .requester = 0x10};
  bus_transfer(&m->bus, &t, (void *)data, len);
}

void board_pass(struct machine *m, uint64_t n)
{
  m->engine.limit = engine_instructions(&m->engine) + n;
  for (unsigned i = 0; i < 64; i++) {
    enum engine_stop why = engine_run(&m->engine);
    struct pollfd fds[1];
    uint64_t timeout = 0;
    netdevs_poll_fds(&m->netdevs, fds, 0, &timeout);
    netdevs_poll(&m->netdevs, fds);
    if (why == ENGINE_LIMIT || why == ENGINE_IDLE)
      break;
    if (m->wanted & WANT_RESET) {
      struct err e;
      if (!machine_reset(m, &e))
        abort();
    }
    m->wanted = 0;
  }
  for (unsigned i = 0; i < m->cpus; i++)
    FUZZ_REQUIRE(m->cpu[i]->r[REG_ZERO] == 0 && !m->cpu[i]->faulted, "CPU %u", i);
}
