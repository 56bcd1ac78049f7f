// Guests of every paging mode under nested tables of the host's own format, with pages of every size in both:
// they read, write and execute where both stages lead. The guest's tables and code are reached through the
// nested tables too. APM2 15.25.1, 15.25.3.
#include "npt.h"

#define BIAS    0x20000000u // guest-physical addresses of tables
#define CODE_AT 0x7000u
#define DATA    0x42000000u // guest-physical; the 1 GB page that it is in begins with host address 0
#define HIGH    0x542000000ull
#define HOST    0x2000000u // where the data is
#define NEEDLE  0x5a5a0000u

enum mode { REAL, UNPAGED, TWO, TWO_PSE, TWO_PSE36, PAE, LONG };
static const struct np_guest {
  enum mode mode;
  unsigned level; // of the entries that map the data
  uint64_t linear;
} np_guests[] = {
    {REAL, 0, DATA},           {UNPAGED, 0, DATA},        {TWO, 1, 0xc2000000},
    {TWO_PSE, 1, 0xc2000000},  {TWO_PSE, 2, 0xc2000000},  {TWO_PSE36, 2, 0xc2000000},
    {PAE, 1, 0x82000000},      {PAE, 2, 0x82000000},      {LONG, 1, 0x7f8002000000},
    {LONG, 2, 0x7f8002000000}, {LONG, 3, 0x7f8002000000},
};

static uint8_t *np_code(void)
{
  static const uint8_t bits16[] = {0x67, 0x66, 0x8b, 0x00, 0xf4}, // mov (%eax), %eax
      write16[] = {0x67, 0x66, 0xc7, 0x00, 0x21, 0x43, 0x65, 0x87, 0xf4}, jump16[] = {0x66, 0xff, 0xe0},
                       bits32[] = {0x8b, 0x00, 0xf4}, write32[] = {0xc7, 0x00, 0x21, 0x43, 0x65, 0x87, 0xf4},
                       jump32[] = {0xff, 0xe0};
  static const struct {
    const uint8_t *from;
    unsigned size;
  } parts[6] = {{bits16, sizeof bits16}, {write16, sizeof write16}, {jump16, sizeof jump16},
                {bits32, sizeof bits32}, {write32, sizeof write32}, {jump32, sizeof jump32}};
  uint8_t *page = page_new();
  for (unsigned i = 0; i < 6; i++)
    for (unsigned k = 0; k < parts[i].size; k++)
      page[16 * i + k] = parts[i].from[k];
  return page;
}

static void np_registers(struct vmcb *v, const struct np_guest *g, const struct tables *t)
{
  v->cs = (struct vseg){.attrib = g->mode == REAL ? 0x9b : g->mode == LONG ? 0xa9b : 0xc9b, .limit = ~0u};
  v->ds = v->es = v->ss = (struct vseg){.attrib = g->mode == REAL ? 0x93 : 0xc93, .limit = ~0u};
  v->cr0 = g->mode == REAL ? 0x10 : g->mode == UNPAGED ? 0x11 : 0x80000011;
  v->cr4 = g->mode >= PAE ? 0x20 : g->mode >= TWO_PSE ? 0x10 : 0;
  v->efer = EFER_SVME_BIT | (g->mode == LONG ? 0x500 : 0);
  v->cr3 = g->mode >= TWO ? tables_cr3(t) : 0;
  v->rflags = 2;
}

static uint64_t np_go(struct vmcb *v, const struct np_guest *g, unsigned part, uint64_t address)
{
  v->rip = CODE_AT + 16 * (part + (g->mode == REAL ? 0 : 3));
  v->rax = address;
  return np_run(v);
}

static void np_try(struct vmcb *v, const struct np_guest *g, unsigned host_levels, unsigned nlevel,
                   const uint8_t *code)
{
  struct tables n = tables_new(host_levels, 0);
  struct tables t = tables_new(g->mode == LONG ? 4 : g->mode == PAE ? 3 : 2, BIAS);
  unsigned nlarge = host_levels == 2 ? 22 : 21, glarge = g->mode == TWO_PSE36 || t.levels == 2 ? 22 : 21;
  uint64_t gpa = g->mode == TWO_PSE36 ? HIGH : DATA, span = 4 << 20;
  // the guest's tables
  if (g->mode >= TWO)
    tables_map(&t, CODE_AT, 1, CODE_AT | PT_ALL);
  if (g->level == 1)
    for (uint64_t off = 0; off < span; off += 4096)
      tables_map(&t, g->linear + off, 1, (gpa + (off ^ 0x2000)) | PT_ALL);
  else if (g->level == 2 && glarge == 22)
    tables_map(&t, g->linear, 2, (uint32_t)gpa | (gpa >> 32) << 13 | PT_ALL | PT_PS);
  else if (g->level == 2)
    for (uint64_t off = 0; off < span; off += 1 << 21)
      tables_map(&t, g->linear + off, 2, (gpa + (off ^ (1 << 21))) | PT_ALL | PT_PS);
  else if (g->level == 3)
    tables_map(&t, g->linear, 3, (gpa & ~0x3fffffffull) | PT_ALL | PT_PS);
  // the nested tables
  tables_map(&n, CODE_AT, 1, (word)code | PT_ALL);
  for (uint64_t off = 16 << 20; off < 32 << 20; off += 1u << nlarge)
    tables_map(&n, BIAS + off, 2, off | PT_ALL | PT_PS);
  if (nlevel == 1)
    for (uint64_t off = 0; off < span; off += 4096)
      tables_map(&n, gpa + off, 1, (HOST + (off ^ 0x1000)) | PT_ALL);
  else if (nlevel == 2)
    for (uint64_t off = 0; off < span; off += 1u << nlarge)
      tables_map(&n, gpa + off, 2, (HOST + off) | PT_ALL | PT_PS);
  else
    tables_map(&n, gpa, 3, PT_ALL | PT_PS);
  v->ncr3 = n.root;
  np_registers(v, g, &t);
  v->tlb_control = TLB_ALL;
  // a page in the first 2 MB, the last in them, one in the next 2 MB
  static const uint32_t at[] = {0x5008, 0x1ff010, 0x3a6000};
  for (unsigned i = 0; i < 3; i++) {
    uint32_t host = HOST + at[i];
    if (g->level == 1)
      host ^= 0x2000;
    else if (g->level == 2 && glarge == 21)
      host ^= 1 << 21;
    if (nlevel == 1)
      host ^= 0x1000;
    volatile uint32_t *p = (volatile uint32_t *)(word)host;
    p[0] = host ^ NEEDLE;
    p[1] = 0;
    p[2] = 0xf4; // hlt
    CHECK_EQ(np_go(v, g, 0, g->linear + at[i]), X_HLT);
    CHECK_EQ((uint32_t)v->rax, host ^ NEEDLE);
    v->tlb_control = TLB_KEEP;
    CHECK_EQ(np_go(v, g, 1, g->linear + at[i] + 4), X_HLT);
    CHECK_EQ(p[1], 0x87654321);
    CHECK_EQ(np_go(v, g, 2, g->linear + at[i] + 8), X_HLT);
    CHECK_EQ(v->rip & 0xffffffff, (uint32_t)(g->linear + at[i] + 8));
  }
}

// levels: of the page tables that the host uses now; nlevels: up to this one its tables may have pages.
static void np_modes(struct vmcb *v, unsigned levels, unsigned nlevels, bool gb_pages, bool long_mode)
{
  uint8_t *code = np_code();
  for (unsigned i = 0; i < sizeof np_guests / sizeof np_guests[0]; i++) {
    const struct np_guest *g = &np_guests[i];
    if ((g->level == 3 && !gb_pages) || (g->mode == LONG && !long_mode) ||
        (g->mode == TWO_PSE36 && levels != 4))
      continue;
    for (unsigned n = 1; n <= nlevels; n++)
      np_try(v, g, levels, n, code);
  }
}
