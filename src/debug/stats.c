// Statistics as JSON; see stats.h. "host" is what differs from run to run; all else repeats.
#include "debug/stats.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "base/err.h"
#include "cpu/model.h"
#include "cpu/svm/svm.h"
#include "cpu/tlb.h"
#include "engine/jit/jit.h"
#include "machine/machine.h"

typedef unsigned long long ull;

static double seconds(struct timeval t)
{
  return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static const char *const kinds[WALK_KINDS] = {"host", "shadow", "nested"};

// What a CPU's guests executed, and what was executed outside of them.
static ull guest_instructions(const struct cpu *c)
{
  return svm_guest_instructions(c);
}
static ull host_instructions(const struct cpu *c)
{
  return cpu_icount(c) - svm_guest_instructions(c);
}

static void world_switches(FILE *f, const struct cpu *c)
{
  const struct svm_counts *n = &c->svm->count;
  fprintf(f, "     \"world_switches\": {\"entries\": %llu, \"exits\": %llu, \"by_code\": {", (ull)n->entries,
          (ull)n->exits);
  const char *comma = "";
  for (unsigned i = 0; i < SVM_SLOTS; i++) {
    if (!n->exit[i])
      continue;
    fprintf(f, "%s\"%s\": %llu", comma, svm_exit_name(svm_slot_code(i)), (ull)n->exit[i]);
    comma = ", ";
  }
  fprintf(f, "}},\n");
}

static void walks(FILE *f, const struct tlb_stats *t)
{
  fprintf(f, "     \"walks\": {");
  for (unsigned i = 0; i < WALK_KINDS; i++) {
    const struct tlb_walks *w = &t->kind[i];
    fprintf(f, "%s\"%s\": {\"walks\": %llu, \"fills\": %llu, \"table_references\": %llu",
            i ? ",\n      " : "", kinds[i], (ull)w->walks, (ull)w->fills, (ull)w->table_refs);
    if (i == WALK_NESTED)
      fprintf(f,
              ",\n       \"nested_walks\": %llu, \"nested_references\": %llu, \"nested_hits\": %llu, "
              "\"nested_references_saved\": %llu",
              (ull)w->nested_walks, (ull)w->nested_refs, (ull)w->nested_hits, (ull)w->nested_saved);
    fprintf(f, "}");
  }
  fprintf(f, "},\n");
}

static void asids(FILE *f, const struct cpu *c)
{
  fprintf(f, "     \"asids\": [");
  const char *comma = "";
  for (unsigned asid = 0; asid == 0 || asid < c->model->asids; asid++) {
    struct tlb_asid_stats a = tlb_asid_stats(c, asid);
    if (!a.fills && !a.flushes)
      continue;
    fprintf(f, "%s{\"asid\": %u, \"fills\": %llu, \"flushes\": %llu, \"kept\": %llu, \"nested_kept\": %llu}",
            comma, asid, (ull)a.fills, (ull)a.flushes, (ull)a.kept, (ull)a.nested_kept);
    comma = ",\n      ";
  }
  fprintf(f, "]}");
}

static void cpus(FILE *f, const struct machine *m)
{
  fprintf(f, "  \"cpus\": [");
  for (unsigned i = 0; i < m->cpus; i++) {
    const struct cpu *c = m->cpu[i];
    struct tlb_stats t = tlb_stats(c);
    fprintf(f,
            "%s\n    {\"instructions\": %llu, \"host_instructions\": %llu, \"guest_instructions\": %llu,\n"
            "     \"exceptions\": %llu, \"interrupts\": %llu, \"page_walks\": %llu, \"tlb_fills\": %llu, "
            "\"tlb_flushes\": %llu,\n",
            i ? "," : "", (ull)cpu_icount(c), host_instructions(c), guest_instructions(c),
            (ull)c->stat_exceptions, (ull)c->stat_interrupts, (ull)t.walks, (ull)t.fills, (ull)t.flushes);
    world_switches(f, c);
    walks(f, &t);
    asids(f, c);
  }
  fprintf(f, "\n  ],\n");
}

// ---- for people ----

static void print_walks(FILE *out, const struct tlb_stats *t)
{
  fprintf(out, "  %-26s %12s %15s %15s %15s\n", "page walks", "walks", "references", "nested refs.", "saved");
  static const char *const names[WALK_KINDS] = {"outside of guests", "guests, shadow paging",
                                                "guests, nested paging"};
  for (unsigned i = 0; i < WALK_KINDS; i++) {
    const struct tlb_walks *w = &t->kind[i];
    fprintf(out, "    %-24s %12llu %15llu %15llu %15llu\n", names[i], (ull)w->walks, (ull)w->table_refs,
            (ull)w->nested_refs, (ull)w->nested_saved);
  }
}

void stats_print(FILE *out, const struct cpu *c)
{
  const struct svm_counts *n = &c->svm->count;
  struct tlb_stats t = tlb_stats(c);
  fprintf(out, "CPU#%u\n  instructions: host %llu, guests %llu\n", c->index, host_instructions(c),
          guest_instructions(c));
  fprintf(out, "  exceptions %llu, interrupts %llu\n  world switches: entries %llu, exits %llu\n",
          (ull)c->stat_exceptions, (ull)c->stat_interrupts, (ull)n->entries, (ull)n->exits);
  for (unsigned i = 0; i < SVM_SLOTS; i++)
    if (n->exit[i])
      fprintf(out, "    %-26s %12llu\n", svm_exit_name(svm_slot_code(i)), (ull)n->exit[i]);
  print_walks(out, &t);
  fprintf(out, "  TLB: fills %llu, flushes %llu\n", (ull)t.fills, (ull)t.flushes);
  for (unsigned asid = 0; asid == 0 || asid < c->model->asids; asid++) {
    struct tlb_asid_stats a = tlb_asid_stats(c, asid);
    if (a.fills || a.flushes)
      fprintf(out, "    ASID %u: fills %llu, flushes %llu, kept %llu and %llu guest-physical pages\n", asid,
              (ull)a.fills, (ull)a.flushes, (ull)a.kept, (ull)a.nested_kept);
  }
}

// ---- the rest of the file ----

static void fabric(FILE *f, const struct machine *m)
{
  fprintf(f, "  \"nodes\": [");
  for (unsigned i = 0; i < m->fabric.nodes; i++) {
    const struct fabric_node *n = &m->fabric.node[i];
    fprintf(f,
            "%s\n    {\"device_reads\": %llu, \"device_writes\": %llu, \"bytes_read\": %llu, "
            "\"bytes_written\": %llu, "
            "\"messages\": %llu, \"aborts\": %llu, \"unrouted\": %llu, \"links\": [",
            i ? "," : "", (ull)n->reads, (ull)n->writes, (ull)n->read_bytes, (ull)n->written_bytes,
            (ull)n->messages, (ull)n->aborts, (ull)n->unrouted);
    const char *comma = "";
    for (unsigned p = 0; p < TOPOLOGY_PORTS; p++) {
      const struct fabric_link *l = &n->link[p];
      if (l->peer >= m->fabric.nodes)
        continue;
      fprintf(f, "%s{\"link\": %u, \"to\": %u, \"requests\": %llu, \"bytes\": %llu}", comma, p, l->peer,
              (ull)l->requests, (ull)l->bytes);
      comma = ", ";
    }
    fprintf(f, "]}");
  }
  fprintf(f, "\n  ],\n");
}

static void exclusion(FILE *f, const struct machine *m)
{
  fprintf(f, "  \"dev\": [");
  for (unsigned i = 0; i < m->fabric.nodes && m->fabric.node[i].dev; i++) {
    const struct dev *d = m->fabric.node[i].dev;
    fprintf(f, "%s\n    {\"checks\": %llu, \"table_lines\": %llu, \"denials_by_domain\": [", i ? "," : "",
            (ull)d->checks, (ull)d->walks);
    for (unsigned k = 0; k < d->model->domains; k++)
      fprintf(f, "%s%llu", k ? ", " : "", (ull)d->denials[k]);
    fprintf(f, "], \"denials_secure_loader\": %llu, \"denials_io\": %llu, \"denials_configuration\": %llu}",
            (ull)d->sl_denials, (ull)d->io_denials, (ull)d->config_denials);
  }
  fprintf(f, "\n  ],\n");
}

bool stats_write(struct machine *m, const char *path, struct err *e)
{
  FILE *f = fopen(path, "w");
  if (!f)
    return err_set(e, "-stats %s: cannot write: %s", path, strerror(errno));
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  uint64_t n = engine_instructions(&m->engine);
  double run = (double)m->host_run / 1e9;
  fprintf(f, "{\n  \"instructions\": %llu,\n  \"virtual_ns\": %llu,\n", (ull)n, (ull)clock_now(&m->clock));
  cpus(f, m);
  fabric(f, m);
  exclusion(f, m);
  struct jit_stats j = jit_stats(m->engine.code.jit);
  fprintf(f,
          "  \"blocks\": {\"built\": %llu, \"dropped\": %llu, \"emptied\": %llu, \"translated\": %llu, "
          "\"host_code_bytes\": %llu},\n",
          (ull)m->engine.code.built, (ull)m->engine.code.dropped, (ull)m->engine.code.emptied, (ull)j.blocks,
          (ull)j.bytes);
  fprintf(
      f,
      "  \"host\": {\"run_seconds\": %.6f, \"user_seconds\": %.6f, \"system_seconds\": %.6f, \"mips\": %.2f, "
      "\"max_resident_kb\": %ld}\n}\n",
      run, seconds(use.ru_utime), seconds(use.ru_stime), run > 0 ? (double)n / run / 1e6 : 0.0,
      use.ru_maxrss);
  return fclose(f) == 0 || err_set(e, "-stats %s: cannot write: %s", path, strerror(errno));
}
