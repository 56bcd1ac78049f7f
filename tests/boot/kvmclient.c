// A small client of Linux's KVM: what a hypervisor's userland must do for a Linux guest, and nothing else.
//
//   kvmclient [-c CPUS] [-m MB] [-H] -k KERNEL [-i INITRD] [-a CMDLINE]
//   kvmclient [-c CPUS] [-m MB] -b BIOS
//   -d BDF [-x TABLE]  gives the guest a PCI function of this machine
//
// Interrupt controllers and the interval timer are the kernel's; here are a 16550 at 3F8h on standard input
// and output, a CMOS, the exit port, and an MP table for the processors. A bzImage starts in 32-bit protected
// mode, a kernel in ELF in long mode (boot protocol, Documentation/x86/boot.rst), a BIOS at the reset vector.
// The guest ends by writing a byte to the exit port (F4h; it is the status), by a reset over the keyboard
// controller or port CF9h (status 0), or by a shutdown (triple fault, status 3). What KVM cannot run ends
// with status 4 and the processor's registers. With -H its memory lies in pages of 2 MB, else of 4 KB.
//
// The first 4 KB of BAR 0 of the function that -d names (0000:00:05.0) are the guest's at E0000000h; a kernel
// is told by own=ADDRESS where its page C0000h, which it leaves alone, is for that function. With -x (dev.h)
// the function reaches the guest's memory and nothing else.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dev.h"
#include "kvmserial.h"

enum {
  PARAMS = 0x7000,
  CMDLINE = 0x8000,
  TABLES = 0x9000,
  MP_TABLE = 0x9fc00,
  KERNEL = 0x100000,
  OWN_PAGE = 0xc0000,
  MAX_CPUS = 16,
  HUGE = 2 << 20
};
#define PASSED 0xe0000000ull // the function's registers
enum { EXIT_PORT = 0xf4, STATUS_SHUTDOWN = 3, STATUS_BROKEN = 4 };

struct vm {
  int kvm, fd;
  unsigned cpus;
  uint8_t *ram;
  uint64_t ram_size;
  bool bios, huge, long_mode;
  uint64_t entry;
  uint8_t cmos[128], cmos_index;
  struct serial serial;
  pthread_mutex_t lock; // devices are accessed by one CPU at a time
  uint64_t exits;       // that came up to here
  int stats_fds[MAX_CPUS];
};

struct vcpu {
  struct vm *vm;
  unsigned index;
  int fd;
  struct kvm_run *run;
};

static void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
static void die(const char *format, ...)
{
  va_list ap;
  va_start(ap, format);
  fputs("kvmclient: ", stderr);
  vfprintf(stderr, format, ap);
  fputc('\n', stderr);
  va_end(ap);
  exit(2);
}

static int must(int result, const char *what)
{
  if (result < 0)
    die("%s: %s", what, strerror(errno));
  return result;
}

// One of the statistics that KVM keeps for a processor. Documentation/virt/kvm/api.rst, KVM_GET_STATS_FD
static uint64_t statistic(int fd, const char *name)
{
  struct kvm_stats_header h;
  uint64_t value = 0;
  if (fd < 0 || pread(fd, &h, sizeof h, 0) != sizeof h)
    return 0;
  size_t size = sizeof(struct kvm_stats_desc) + h.name_size;
  struct kvm_stats_desc *d = malloc(size);
  for (unsigned i = 0; d && i < h.num_desc; i++) {
    if (pread(fd, d, size, h.desc_offset + i * size) != (ssize_t)size)
      break;
    if (!strcmp(d->name, name) && pread(fd, &value, sizeof value, h.data_offset + d->offset) == sizeof value)
      break;
  }
  free(d);
  return value;
}

static void finish(struct vm *vm, int status, const char *how)
{
  uint64_t exits = 0, io = 0, halts = 0, faults = 0;
  serial_flush(&vm->serial);
  for (unsigned i = 0; i < vm->cpus; i++) {
    exits += statistic(vm->stats_fds[i], "exits");
    io += statistic(vm->stats_fds[i], "io_exits");
    halts += statistic(vm->stats_fds[i], "halt_exits");
    faults += statistic(vm->stats_fds[i], "pf_fixed");
  }
  printf("kvmclient: the guest ended: %s\n", how);
  printf("kvmclient: exits %llu, of them io %llu halts %llu; pages mapped %llu; exits to the client %llu\n",
         (unsigned long long)exits, (unsigned long long)io, (unsigned long long)halts,
         (unsigned long long)faults, (unsigned long long)vm->exits);
  fflush(stdout);
  _exit(status);
}

static uint8_t *read_file(const char *path, size_t *size)
{
  int fd = open(path, O_RDONLY);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) < 0)
    die("%s: %s", path, strerror(errno));
  uint8_t *p = malloc(st.st_size + 1);
  *size = 0;
  for (ssize_t n; p && (n = read(fd, p + *size, st.st_size - *size)) > 0;)
    *size += n;
  if (!p || *size != (size_t)st.st_size)
    die("%s: cannot be read", path);
  close(fd);
  return p;
}

static void put16(uint8_t *p, uint16_t v)
{
  memcpy(p, &v, 2);
}

static void put32(uint8_t *p, uint32_t v)
{
  memcpy(p, &v, 4);
}

// ---- what the guest finds in memory ----

static void checksum(uint8_t *p, unsigned n, unsigned at)
{
  uint8_t sum = 0;
  p[at] = 0;
  for (unsigned i = 0; i < n; i++)
    sum += p[i];
  p[at] = -sum;
}

// The processors, an I/O APIC and the 16 ISA interrupts. MultiProcessor Specification 1.4, chapter 4.
static void mp_table(struct vm *vm)
{
  uint8_t *f = vm->ram + MP_TABLE, *h = f + 16, *p = h + 44;
  unsigned ioapic = vm->cpus, entries = 0;
  memcpy(f, "_MP_", 4);
  put32(f + 4, MP_TABLE + 16);
  f[8] = 1;
  f[9] = 4;
  checksum(f, 16, 10);
  for (unsigned i = 0; i < vm->cpus; i++, p += 20, entries++) {
    p[1] = i;
    p[2] = 0x14;
    p[3] = 1 | (i == 0) << 1;
    put32(p + 4, 0xf00);
    put32(p + 8, 0x201);
  }
  *p = 1;
  memcpy(p + 2, "ISA   ", 6);
  p += 8;
  *p = 2;
  p[1] = ioapic;
  p[2] = 0x11;
  p[3] = 1;
  put32(p + 4, 0xfec00000);
  p += 8;
  entries += 2;
  for (unsigned irq = 0; irq < 16; irq++) {
    if (irq == 2)
      continue;
    *p = 3;
    p[5] = irq;
    p[6] = ioapic;
    p[7] = irq ? irq : 2;
    p += 8;
    entries++;
  }
  for (unsigned pin = 0; pin < 2; pin++, p += 8, entries++) {
    *p = 4;
    p[1] = pin ? 1 : 3; // LINT0: ExtINT, LINT1: NMI
    p[6] = 0xff;
    p[7] = pin;
  }
  memcpy(h, "PCMP", 4);
  put16(h + 4, p - h);
  h[6] = 4;
  memcpy(h + 8, "PACIFICAKVMCLIENT   ", 20);
  put16(h + 34, entries);
  put32(h + 36, 0xfee00000);
  checksum(h, p - h, 7);
}

static void e820(uint8_t *params, uint64_t base, uint64_t size, uint32_t type)
{
  uint8_t *e = params + 0x2d0 + 20 * params[0x1e8]++;
  memcpy(e, &base, 8);
  memcpy(e + 8, &size, 8);
  memcpy(e + 16, &type, 4);
}

static void load_bzimage(struct vm *vm, const char *kernel, const uint8_t *k, size_t size, uint8_t *params)
{
  if (size < 0x1000 || memcmp(k + 0x202, "HdrS", 4))
    die("%s: is not a bzImage", kernel);
  size_t setup = ((k[0x1f1] ? k[0x1f1] : 4) + 1) * 512;
  if (setup > size || size - setup > vm->ram_size - KERNEL)
    die("%s: does not fit into memory", kernel);
  memcpy(vm->ram + KERNEL, k + setup, size - setup);
  memcpy(params + 0x1f1, k + 0x1f1, 0x202 - 0x1f1 + k[0x201]);
  vm->entry = KERNEL;
}

// The kernel as it is inside of a bzImage, an ELF file: it starts in long mode with the first 4 GB mapped to
// themselves.
static void load_elf(struct vm *vm, const char *kernel, const uint8_t *k, size_t size, uint8_t *params)
{
  Elf64_Ehdr e;
  memcpy(&e, k, sizeof e);
  for (unsigned i = 0; i < e.e_phnum; i++) {
    Elf64_Phdr p;
    if (e.e_phoff > size || size - e.e_phoff < (i + 1) * sizeof p)
      die("%s: is cut off", kernel);
    memcpy(&p, k + e.e_phoff + i * sizeof p, sizeof p);
    if (p.p_type != PT_LOAD)
      continue;
    if (p.p_offset > size || p.p_filesz > size - p.p_offset || p.p_paddr > vm->ram_size ||
        p.p_memsz > vm->ram_size - p.p_paddr)
      die("%s: does not fit into memory", kernel);
    memcpy(vm->ram + p.p_paddr, k + p.p_offset, p.p_filesz);
  }
  vm->entry = e.e_entry;
  vm->long_mode = true;
  uint64_t *t = (uint64_t *)(vm->ram + TABLES);
  t[0] = (TABLES + 0x1000) | 3;
  for (unsigned i = 0; i < 4; i++)
    t[512 + i] = (TABLES + 0x2000 + i * 0x1000) | 3;
  for (unsigned i = 0; i < 2048; i++)
    t[1024 + i] = (uint64_t)i << 21 | 0x83;
  put16(params + 0x1fe, 0xaa55);
  memcpy(params + 0x202, "HdrS\x0f\x02", 6);
}

static void load_linux(struct vm *vm, const char *kernel, const char *initrd, const char *cmdline)
{
  size_t size, initrd_size = 0;
  uint8_t *k = read_file(kernel, &size), *params = vm->ram + PARAMS;
  if (size > sizeof(Elf64_Ehdr) && !memcmp(k, ELFMAG "\2", 5))
    load_elf(vm, kernel, k, size, params);
  else
    load_bzimage(vm, kernel, k, size, params);
  free(k);
  params[0x210] = 0xff; // loader: of no known type
  params[0x211] |= 1;   // loaded high
  put32(params + 0x228, CMDLINE);
  snprintf((char *)vm->ram + CMDLINE, 2048, "%s", cmdline);
  if (initrd) {
    uint8_t *i = read_file(initrd, &initrd_size);
    if (initrd_size > vm->ram_size / 2)
      die("%s: does not fit into memory", initrd);
    uint32_t at = (vm->ram_size - initrd_size) & ~0xfffull;
    memcpy(vm->ram + at, i, initrd_size);
    free(i);
    put32(params + 0x218, at);
    put32(params + 0x21c, initrd_size);
  }
  e820(params, 0, MP_TABLE, 1);
  e820(params, MP_TABLE, 0x100000 - MP_TABLE, 2);
  e820(params, 0x100000, vm->ram_size - 0x100000, 1);
  mp_table(vm);
}

// ---- the machine ----

static void memory(struct vm *vm, unsigned slot, uint64_t at, uint64_t size, void *host, bool read_only)
{
  struct kvm_userspace_memory_region r = {.slot = slot,
                                          .flags = read_only ? KVM_MEM_READONLY : 0,
                                          .guest_phys_addr = at,
                                          .memory_size = size,
                                          .userspace_addr = (uintptr_t)host};
  must(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r), "KVM_SET_USER_MEMORY_REGION");
}

static void *pages(uint64_t size)
{
  void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED)
    die("there is no memory for the guest");
  return p;
}

// The last 128 KB of a BIOS are seen below 1 MB too.
static void load_bios(struct vm *vm, const char *path)
{
  size_t size;
  uint8_t *b = read_file(path, &size);
  if (!size || size > 1 << 20 || size & 0xffff)
    die("%s: is not a BIOS: its size is no multiple of 64 KB", path);
  uint8_t *high = pages(size);
  memcpy(high, b, size);
  memory(vm, 1, (1ull << 32) - size, size, high, true);
  size_t low = size < 0x20000 ? size : 0x20000;
  memcpy(vm->ram + 0x100000 - low, b + size - low, low);
  free(b);
}

// The guest's memory stays where it is: the function does not go through the guest's page tables.
static void pass_function(struct vm *vm, const char *bdf, const char *table)
{
  char path[100];
  unsigned bus, unit, function;
  if (sscanf(bdf, "%*x:%x:%x.%x", &bus, &unit, &function) != 3 || bus)
    die("%s: is not on bus 0", bdf);
  snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/enable", bdf);
  int fd = must(open(path, O_WRONLY), path);
  must(write(fd, "1", 1), path);
  close(fd);
  snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/config", bdf);
  fd = must(open(path, O_RDWR), path);
  uint16_t command = 6; // memory, bus master
  must(pwrite(fd, &command, sizeof command, 4), path);
  close(fd);
  snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/resource0", bdf);
  fd = must(open(path, O_RDWR | O_SYNC), path);
  void *regs = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (regs == MAP_FAILED)
    die("%s: %s", path, strerror(errno));
  close(fd);
  must(mlock(vm->ram, vm->ram_size), "mlock");
  memory(vm, 2, PASSED, 4096, regs, false);
  if (table) {
    struct dev d;
    dev_open(&d, strtoull(table, NULL, 0));
    memset(d.table, 0xff, DEV_TABLE);
    dev_mark(&d, vm->ram, vm->ram_size, false);
    dev_on(&d, 1, (int)unit, 0);
  }
  snprintf((char *)vm->ram + CMDLINE + strlen((char *)vm->ram + CMDLINE), 30, " own=%llx",
           (unsigned long long)dev_physical(vm->ram + OWN_PAGE));
}

// ISA interrupts reach both controllers; the timer is at pin 2 of the I/O APIC.
static void route_interrupts(struct vm *vm)
{
  struct kvm_irq_routing *r = calloc(1, sizeof *r + 40 * sizeof r->entries[0]);
  for (unsigned gsi = 0; gsi < 24; gsi++) {
    if (gsi < 16 && gsi != 2)
      r->entries[r->nr++] = (struct kvm_irq_routing_entry){
          .gsi = gsi,
          .type = KVM_IRQ_ROUTING_IRQCHIP,
          .u.irqchip = {gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, gsi & 7}};
    if (gsi != 2)
      r->entries[r->nr++] = (struct kvm_irq_routing_entry){
          .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = {KVM_IRQCHIP_IOAPIC, gsi ? gsi : 2}};
  }
  must(ioctl(vm->fd, KVM_SET_GSI_ROUTING, r), "KVM_SET_GSI_ROUTING");
  free(r);
}

static void irq_line(void *of, bool level)
{
  struct vm *vm = of;
  struct kvm_irq_level l = {.irq = 4, .level = level};
  must(ioctl(vm->fd, KVM_IRQ_LINE, &l), "KVM_IRQ_LINE");
}

static void new_machine(struct vm *vm)
{
  vm->kvm = must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
  vm->fd = must(ioctl(vm->kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
  ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000ul); // only some processors need it
  must(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
  struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
  must(ioctl(vm->fd, KVM_CREATE_PIT2, &pit), "KVM_CREATE_PIT2");
  route_interrupts(vm);
  vm->ram = pages(vm->ram_size + HUGE);
  vm->ram += -(uintptr_t)vm->ram & (HUGE - 1);
  if (madvise(vm->ram, vm->ram_size, vm->huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
    die("madvise: %s", strerror(errno));
  memory(vm, 0, 0, vm->ram_size, vm->ram, false);
  pthread_mutex_init(&vm->lock, NULL);
  serial_init(&vm->serial, irq_line, vm);
  // A BIOS asks the CMOS for the memory above 16 MB; the clock stands at 2024-01-01.
  uint32_t above = (vm->ram_size >> 16) - 256;
  put16(vm->cmos + 0x34, above);
  put16(vm->cmos + 0x30, 15 * 1024);
  put16(vm->cmos + 0x17, 15 * 1024);
  put16(vm->cmos + 0x15, 640);
  vm->cmos[0x5f] = vm->cpus - 1;
  memcpy(vm->cmos + 7, "\x01\x01\x24\x26\x02\x00\x80", 7);
  vm->cmos[0x32] = 0x20;
}

// ---- processors ----

static void set_cpuid(struct vcpu *v)
{
  struct kvm_cpuid2 *id = calloc(1, sizeof *id + 256 * sizeof id->entries[0]);
  id->nent = 256;
  must(ioctl(v->vm->kvm, KVM_GET_SUPPORTED_CPUID, id), "KVM_GET_SUPPORTED_CPUID");
  for (unsigned i = 0; i < id->nent; i++) {
    struct kvm_cpuid_entry2 *e = &id->entries[i];
    if (e->function == 1) {
      e->ebx = (e->ebx & 0xff00) | v->index << 24 | v->vm->cpus << 16;
      e->ecx |= 1u << 31; // hypervisor
      if (v->vm->cpus > 1)
        e->edx |= 1u << 28;
    } else if (e->function == 0xb || e->function == 0x1f) {
      e->edx = v->index;
    } else if (e->function == 0x80000008) {
      e->ecx = v->vm->cpus - 1;
    } else if (e->function == 0x8000001e) {
      e->eax = v->index;
      e->ebx = v->index;
      e->ecx = 0;
    }
  }
  must(ioctl(v->fd, KVM_SET_CPUID2, id), "KVM_SET_CPUID2");
  free(id);
}

static void flat(struct kvm_segment *s, uint16_t selector, uint8_t type)
{
  *s = (struct kvm_segment){
      .limit = 0xffffffff, .selector = selector, .type = type, .present = 1, .db = 1, .s = 1, .g = 1};
}

static void start_state(struct vcpu *v)
{
  struct kvm_sregs s;
  must(ioctl(v->fd, KVM_GET_SREGS, &s), "KVM_GET_SREGS");
  s.cr0 = 0x11;
  flat(&s.cs, 0x10, 11);
  flat(&s.ds, 0x18, 3);
  s.es = s.ss = s.fs = s.gs = s.ds;
  if (v->vm->long_mode) {
    s.cr0 = 0x80000011;
    s.cr3 = TABLES;
    s.cr4 = 0x20;
    s.efer = 0x500;
    s.cs.db = 0;
    s.cs.l = 1;
  }
  must(ioctl(v->fd, KVM_SET_SREGS, &s), "KVM_SET_SREGS");
  struct kvm_regs r = {.rip = v->vm->entry, .rsi = PARAMS, .rflags = 2};
  must(ioctl(v->fd, KVM_SET_REGS, &r), "KVM_SET_REGS");
}

static void new_cpu(struct vm *vm, struct vcpu *v, unsigned index)
{
  *v = (struct vcpu){.vm = vm, .index = index};
  v->fd = must(ioctl(vm->fd, KVM_CREATE_VCPU, index), "KVM_CREATE_VCPU");
  vm->stats_fds[index] = ioctl(v->fd, KVM_GET_STATS_FD, NULL); // now: a processor that runs takes no requests
  int size = must(ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
  v->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
  if (v->run == MAP_FAILED)
    die("the processor's page cannot be mapped");
  set_cpuid(v);
  if (!index && !vm->bios)
    start_state(v);
}

// A byte of an access. What a wider access to the configuration ports of PCI writes to CF9h is no reset.
static void port_out(struct vm *vm, uint16_t port, uint8_t value, unsigned size)
{
  if (port - 0x3f8u < 8)
    serial_write(&vm->serial, port & 7, value);
  else if (port == 0x70)
    vm->cmos_index = value & 0x7f;
  else if (port == 0x71)
    vm->cmos[vm->cmos_index] = value;
  else if (port == EXIT_PORT)
    finish(vm, value, "exit port");
  else if ((port == 0x64 && value == 0xfe) || (port == 0xcf9 && size == 1 && value & 4))
    finish(vm, 0, "reset");
  else if (port == 0x402 && vm->bios)
    serial_put(&vm->serial, value);
}

static uint8_t port_in(struct vm *vm, uint16_t port)
{
  if (port - 0x3f8u < 8)
    return serial_read(&vm->serial, port & 7);
  if (port == 0x71)
    return vm->cmos[vm->cmos_index];
  if (port ==
      0x64) // a keyboard controller that takes commands; what it says without end makes drivers give up
    return 1;
  if (port == 0x402 && vm->bios)
    return 0xe9;
  return 0xff;
}

static void io(struct vcpu *v)
{
  struct kvm_run *r = v->run;
  uint8_t *data = (uint8_t *)r + r->io.data_offset;
  pthread_mutex_lock(&v->vm->lock);
  for (unsigned n = 0; n < r->io.count; n++)
    for (unsigned i = 0; i < r->io.size; i++, data++) {
      if (r->io.direction == KVM_EXIT_IO_OUT)
        port_out(v->vm, r->io.port + i, *data, r->io.size);
      else
        *data = port_in(v->vm, r->io.port + i);
    }
  pthread_mutex_unlock(&v->vm->lock);
}

static void broken(struct vcpu *v)
{
  struct kvm_run *r = v->run;
  struct kvm_regs g;
  struct kvm_sregs s;
  ioctl(v->fd, KVM_GET_REGS, &g);
  ioctl(v->fd, KVM_GET_SREGS, &s);
  serial_flush(&v->vm->serial);
  printf("kvmclient: cpu %u: KVM gave up: reason %u, sub-reason %llx\n"
         "kvmclient: cs %04x base %llx rip %llx rflags %llx cr0 %llx cr3 %llx cr4 %llx efer %llx\n",
         v->index, r->exit_reason, (unsigned long long)r->hw.hardware_exit_reason, s.cs.selector,
         (unsigned long long)s.cs.base, (unsigned long long)g.rip, (unsigned long long)g.rflags,
         (unsigned long long)s.cr0, (unsigned long long)s.cr3, (unsigned long long)s.cr4,
         (unsigned long long)s.efer);
  finish(v->vm, STATUS_BROKEN, "broken");
}

static void *run_cpu(void *of)
{
  struct vcpu *v = of;
  for (;;) {
    if (ioctl(v->fd, KVM_RUN, 0) < 0) {
      if (errno == EINTR || errno == EAGAIN)
        continue;
      die("KVM_RUN: %s", strerror(errno));
    }
    __atomic_fetch_add(&v->vm->exits, 1, __ATOMIC_RELAXED);
    switch (v->run->exit_reason) {
    case KVM_EXIT_IO:
      io(v);
      break;
    case KVM_EXIT_MMIO: // nothing is there
      if (!v->run->mmio.is_write)
        memset(v->run->mmio.data, 0xff, sizeof v->run->mmio.data);
      break;
    case KVM_EXIT_SHUTDOWN:
      finish(v->vm, STATUS_SHUTDOWN, "shutdown");
      break;
    case KVM_EXIT_INTR:
      break;
    default:
      broken(v);
    }
  }
  return NULL;
}

static void *read_input(void *of)
{
  struct vm *vm = of;
  uint8_t byte;
  while (read(0, &byte, 1) == 1) {
    pthread_mutex_lock(&vm->lock);
    serial_receive(&vm->serial, byte);
    pthread_mutex_unlock(&vm->lock);
  }
  return NULL;
}

int main(int argc, char **argv)
{
  static struct vm vm = {.cpus = 1, .ram_size = 128 << 20};
  static struct vcpu cpus[MAX_CPUS];
  const char *kernel = NULL, *initrd = NULL, *cmdline = "console=ttyS0", *bios = NULL;
  const char *function = NULL, *table = NULL;
  for (int c; (c = getopt(argc, argv, "c:m:k:i:a:b:Hd:x:")) != -1;) {
    switch (c) {
    case 'c':
      vm.cpus = strtoul(optarg, NULL, 0);
      break;
    case 'm':
      vm.ram_size = strtoull(optarg, NULL, 0) << 20;
      break;
    case 'k':
      kernel = optarg;
      break;
    case 'i':
      initrd = optarg;
      break;
    case 'a':
      cmdline = optarg;
      break;
    case 'd':
      function = optarg;
      break;
    case 'x':
      table = optarg;
      break;
    case 'H':
      vm.huge = true;
      break;
    case 'b':
      bios = optarg;
      break;
    default:
      return 2;
    }
  }
  if (!kernel == !bios)
    die("give either a kernel (-k) or a BIOS (-b)");
  if (!vm.cpus || vm.cpus > MAX_CPUS)
    die("1 to %d processors (-c)", MAX_CPUS);
  if (vm.ram_size < 16 << 20 || vm.ram_size > 2048ull << 20)
    die("16 to 2048 MB of memory (-m)");
  vm.bios = bios;
  new_machine(&vm);
  if (bios)
    load_bios(&vm, bios);
  else
    load_linux(&vm, kernel, initrd, cmdline);
  if (function)
    pass_function(&vm, function, table);
  for (unsigned i = 0; i < vm.cpus; i++)
    new_cpu(&vm, &cpus[i], i);
  pthread_t t;
  for (unsigned i = 1; i < vm.cpus; i++)
    if (pthread_create(&t, NULL, run_cpu, &cpus[i]))
      die("there is no thread for processor %u", i);
  if (pthread_create(&t, NULL, read_input, &vm))
    die("there is no thread for the input");
  run_cpu(&cpus[0]);
}
