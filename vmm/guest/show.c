// What the console shows of guests.
#include "guest/guest.h"

#include "host/lapic.h"
#include "host/print.h"
#include "svm/exit.h"

void guest_show(const struct guest *g)
{
  static const char *const states[] = {"none", "running", "paused", "stopped"};
  char text[64] = "", *p = text;
  for (unsigned i = 0; i < g->vcpu_count; i++)
    p += format_text(p, (size_t)(text + sizeof text - p), i ? ",%u" : "%u", g->vcpu[i]->cpu->id);
  print("vmm: %u %s: %s%s%s, cpu %s, %lu MB at %lx on node %u, %s paging, %s%s\n", g->number, g->name,
        states[g->state], g->state == GUEST_STOPPED ? ": " : "", g->state == GUEST_STOPPED ? g->reason : "",
        text, g->config->memory / MB, g->slot[g->slots - 1].hpa, g->node,
        g->config->shadow ? "shadow" : "nested",
        g->config->asid ? "tagged TLB" : "TLB flushed at each switch", g->assign.count ? ", devices" : "");
}

static void show_seg(const char *name, const struct vmcb_seg *s)
{
  print("vmm:   %s %04x attributes %03x limit %08x base %lx\n", name, s->selector, s->attrib, s->limit,
        s->base);
}

void guest_show_registers(const struct vcpu *v)
{
  static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                      "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
  const struct vmcb_save *s = &v->vmcb->save;
  const struct vmcb_control *c = &v->vmcb->control;
  print("vmm:   rip %016lx rflags %08lx cpl %u last exit %lx info %lx %lx\n", s->rip, s->rflags, s->cpl,
        c->exitcode, c->exitinfo1, c->exitinfo2);
  for (unsigned i = 0; i < 16; i += 4)
    print("vmm:   %-3s %016lx %-3s %016lx %-3s %016lx %-3s %016lx\n", names[i], v->reg[i], names[i + 1],
          v->reg[i + 1], names[i + 2], v->reg[i + 2], names[i + 3], v->reg[i + 3]);
  print("vmm:   cr0 %lx cr2 %lx cr3 %lx cr4 %lx efer %lx\n", vcpu_cr0(v), s->cr2, vcpu_cr3(v), vcpu_cr4(v),
        vcpu_efer(v));
  show_seg("cs", &s->cs);
  show_seg("ss", &s->ss);
  show_seg("ds", &s->ds);
}

void guest_show_exits(const struct guest *g)
{
  for (unsigned i = 0; i < g->vcpu_count; i++) {
    const struct vcpu *v = g->vcpu[i];
    print("vmm: %s cpu %u: %lu exits, %lu ms in the guest\n", g->name, v->number, v->runs,
          v->guest_tsc / (tsc_hz() / 1000));
    print("vmm:   %lu walks of its tables, %lu references; shadow: %lu fills, %lu flushes, %lu INVLPG, %lu "
          "page faults of its own\n",
          v->walks, v->references, v->shadow.fills, v->shadow.flushes, v->shadow.drops, v->shadow.faults);
    for (unsigned k = 0; k < EXIT_COUNTERS; k++)
      if (v->exits[k])
        print("vmm:   %10lu %s\n", v->exits[k], exit_name(k));
  }
}
