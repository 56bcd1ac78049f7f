// How the machine starts: what the firmware is told, and, without a BIOS, the kernel in memory and the
// processor at its entry.
#include "machine/devices.h"

#include <string.h>

#include "firmware/e820.h"
#include "machine/tpm.h"

static void describe_board(struct machine *m)
{
  struct board *b = &m->board;
  *b = (struct board){.ram_below_4g = m->low_size,
                      .ram_above_4g = m->high_size,
                      .cpus = m->cpus,
                      .no_hpet = m->config->no_hpet,
                      .tpm = tpm_board(m)};
  nodes_describe(m, b);
  board_default_pci64(b);
}

// The letters of -boot order=, as the three nibbles of CMOS 38h and 3Dh.
static void boot_order(const char *letters, uint8_t boot[3])
{
  unsigned n = 0;
  for (; *letters && n < 3; letters++) {
    uint8_t v = *letters == 'a' || *letters == 'b' ? 1 : *letters == 'c' ? 2 : *letters == 'd' ? 3 : 4;
    boot[n++] = v;
  }
}

// Nodes as old firmware asks for them: how many, each CPU's, the memory of each. A machine of one node has
// none.
static bool numa_items(struct machine *m)
{
  uint64_t v[1 + CONFIG_CPUS + CONFIG_NODES] = {0};
  unsigned nodes = m->nodes.count > 1 ? m->nodes.count : 0;
  v[0] = nodes;
  for (unsigned i = 0; i < m->cpus; i++)
    v[1 + i] = m->cpu[i]->node;
  for (unsigned n = 0; n < nodes; n++)
    v[1 + m->cpus + n] = m->config->node[n].mem;
  return fw_cfg_add_bytes(&m->pc.fw_cfg, FW_CFG_NUMA, v, (1 + m->cpus + nodes) * sizeof v[0]);
}

static bool config_items(struct machine *m)
{
  struct fw_cfg *f = &m->pc.fw_cfg;
  return fw_cfg_add_u64(f, FW_CFG_RAM_SIZE, m->low_size + m->high_size) &&
         fw_cfg_add_u16(f, FW_CFG_NB_CPUS, (uint16_t)m->cpus) &&
         fw_cfg_add_u16(f, FW_CFG_MAX_CPUS, (uint16_t)m->cpus) &&
         fw_cfg_add_u16(f, FW_CFG_NOGRAPHIC, m->config->nographic) &&
         fw_cfg_add_u16(f, FW_CFG_BOOT_MENU, m->config->boot_menu) &&
         fw_cfg_add_u32(f, FW_CFG_IRQ0_OVERRIDE, 1) && numa_items(m);
}

static bool config_files(struct machine *m, struct err *e)
{
  struct fw_files files;
  struct fw_request rq = {
      .board = &m->board, .acpi = &m->acpi, .smbios = true, .boot_paths = bootorder_paths(m)};
  if (!fw_files_build(&files, &rq, e))
    return false;
  bool ok = true;
  for (unsigned i = 0; i < files.count && ok; i++)
    ok = fw_cfg_add_file(&m->pc.fw_cfg, files.file[i].name, files.file[i].data, files.file[i].len);
  fw_files_free(&files);
  return ok || err_set(e, "out of memory");
}

void firmware_cmos(struct machine *m, bool once)
{
  struct cmos_config cmos = {.ram_below_4g = m->low_size, .ram_above_4g = m->high_size, .cpus = m->cpus};
  boot_order(once && m->config->boot_once[0] ? m->config->boot_once
             : m->config->boot_order[0]      ? m->config->boot_order
                                             : "cad",
             cmos.boot);
  for (unsigned i = 0; i < 2; i++)
    if (m->pc.ide->ch[0].drive[i].kind == IDE_HD)
      cmos.hard_disks |= (uint8_t)(1u << i);
  rtc_configure(&m->pc.rtc, &cmos);
}

bool firmware_init(struct machine *m, struct err *e)
{
  describe_board(m);
  if (!acpi_build(&m->acpi, &m->board, e))
    return false;
  firmware_cmos(m, true);
  if (!config_items(m))
    return err_set(e, "out of memory");
  return machine_has_bios(m) ? config_files(m, e) : true;
}

static struct seg from_descriptor(uint16_t sel, uint64_t d)
{
  struct seg s = {.sel = sel, .attr = (uint16_t)((d >> 40 & 0xff) | (d >> 44 & 0xf00))};
  s.base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000);
  s.limit = (uint32_t)((d & 0xffff) | (d >> 32 & 0xf0000));
  if (s.attr & SEGA_G)
    s.limit = s.limit << 12 | 0xfff;
  return s;
}

static void enter(struct cpu *c, const struct boot_state *st)
{
  uint64_t gpr[] = {[RAX] = st->rax, [RCX] = st->rcx, [RDX] = st->rdx, [RBX] = st->rbx,
                    [RSP] = st->rsp, [RBP] = st->rbp, [RSI] = st->rsi, [RDI] = st->rdi};
  memcpy(c->r, gpr, sizeof gpr);
  c->cr0 = st->cr0 | CR0_ET;
  c->cr3 = st->cr3;
  c->cr4 = st->cr4;
  c->efer = st->efer;
  c->gdtr = (struct dtable){st->gdt_base, st->gdt_limit};
  c->idtr = (struct dtable){0, 0};
  c->seg[SEG_CS] = from_descriptor(st->cs, st->cs_desc);
  for (unsigned i = 0; i < SEG_COUNT; i++)
    if (i != SEG_CS)
      c->seg[i] = from_descriptor(st->ds, st->ds_desc);
  if (st->tr)
    c->tr = from_descriptor(st->tr, st->tr_desc);
  cpu_set_flags(c, (uint32_t)st->rflags);
  c->ip = c->next_ip = st->rip;
  cpu_changed(c);
}

bool firmware_start(struct machine *m, bool fresh, struct err *e)
{
  const struct config *c = m->config;
  if (machine_has_bios(m))
    return true;
  tpm_start_without_bios(m);
  pc_setup(m);
  struct boot_ram cells = {.ram = &m->ram,
                           .low_off = m->low_off,
                           .low_size = m->low_size,
                           .high_off = m->high_off,
                           .high_size = m->high_size,
                           .fresh = fresh};
  // The same bytes in every run.
  static const uint8_t seed[32] = "pacifica: a repeatable beginning";
  struct boot_request rq = {.kernel = c->slb ? c->slb : c->kernel,
                            .slb = c->slb != NULL,
                            .initrd = c->initrd,
                            .append = c->append,
                            .board = &m->board,
                            .acpi = &m->acpi,
                            .seed = seed,
                            .seed_len = sizeof seed,
                            .vga_text = machine_vga(m) != NULL,
                            .mem = boot_ram_mem(&cells)};
  struct boot_state st;
  if (!boot_load(&rq, &st, e))
    return false;
  if (c->slb && st.size > 0x10000)
    log_line(&m->log, LOG_SKINIT,
             "skinit: %s has %llu bytes: what is beyond 64 KB is neither measured nor protected\n", c->slb,
             (unsigned long long)st.size);
  enter(m->cpu[0], &st);
  return true;
}
