// Statistics as JSON; see stats.h. "host" is what differs from run to run; all else repeats.
#include "debug/stats.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/err.h"
#include "cpu/model.h"
#include "cpu/tlb.h"
#include "machine/machine.h"

typedef unsigned long long ull;

static double seconds(struct timeval t)
{
  return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

// Page walks by kind, the references to tables of each stage, and the TLB's traffic by ASID.
static void walks(FILE *f, const struct cpu *c, const struct tlb_stats *t)
{
  fprintf(f,
          ", \"guest_walks\": %llu, \"table_references\": %llu, \"nested_walks\": %llu, "
          "\"nested_references\": %llu, \"nested_references_saved\": %llu, \"asids\": [",
          (ull)t->guest_walks, (ull)t->table_refs, (ull)t->nested_walks, (ull)t->nested_refs,
          (ull)t->nested_refs_saved);
  bool first = true;
  for (unsigned asid = 0; asid == 0 || asid < c->model->asids; asid++) {
    struct tlb_asid_stats a = tlb_asid_stats(c, asid);
    if (!a.fills && !a.flushes)
      continue;
    fprintf(f, "%s{\"asid\": %u, \"fills\": %llu, \"flushes\": %llu, \"kept\": %llu}", first ? "" : ", ",
            asid, (ull)a.fills, (ull)a.flushes, (ull)a.kept);
    first = false;
  }
  fprintf(f, "]}");
}

static void cpus(FILE *f, const struct machine *m)
{
  fprintf(f, "  \"cpus\": [");
  for (unsigned i = 0; i < m->cpus; i++) {
    const struct cpu *c = m->cpu[i];
    struct tlb_stats t = tlb_stats(c);
    fprintf(
        f,
        "%s\n    {\"instructions\": %llu, \"exceptions\": %llu, \"interrupts\": %llu, \"page_walks\": %llu, "
        "\"tlb_fills\": %llu, \"tlb_flushes\": %llu",
        i ? "," : "", (ull)c->instructions, (ull)c->stat_exceptions, (ull)c->stat_interrupts, (ull)t.walks,
        (ull)t.fills, (ull)t.flushes);
    walks(f, c, &t);
  }
  fprintf(f, "\n  ],\n");
}

static void fabric(FILE *f, const struct machine *m)
{
  fprintf(f, "  \"nodes\": [");
  for (unsigned i = 0; i < m->fabric.nodes; i++) {
    const struct fabric_node *n = &m->fabric.node[i];
    fprintf(f,
            "%s\n    {\"device_reads\": %llu, \"device_writes\": %llu, \"bytes_read\": %llu, "
            "\"bytes_written\": %llu, "
            "\"messages\": %llu, \"aborts\": %llu}",
            i ? "," : "", (ull)n->reads, (ull)n->writes, (ull)n->read_bytes, (ull)n->written_bytes,
            (ull)n->messages, (ull)n->aborts);
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
  fprintf(f, "  \"blocks\": {\"built\": %llu, \"dropped\": %llu, \"emptied\": %llu},\n",
          (ull)m->engine.code.built, (ull)m->engine.code.dropped, (ull)m->engine.code.emptied);
  fprintf(
      f,
      "  \"host\": {\"run_seconds\": %.6f, \"user_seconds\": %.6f, \"system_seconds\": %.6f, \"mips\": %.2f, "
      "\"max_resident_kb\": %ld}\n}\n",
      run, seconds(use.ru_utime), seconds(use.ru_stime), run > 0 ? (double)n / run / 1e6 : 0.0,
      use.ru_maxrss);
  return fclose(f) == 0 || err_set(e, "-stats %s: cannot write: %s", path, strerror(errno));
}
