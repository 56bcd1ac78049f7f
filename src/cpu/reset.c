// RESET# and INIT. APM2 14.1, table 14-1.
#include "cpu/debug.h"
#include "cpu/fpu.h"
#include "cpu/lapic.h"
#include "cpu/model.h"
#include "cpu/msr.h"
#include "cpu/seg.h"
#include "cpu/smm.h"
#include "cpu/svm/svm.h"
#include "cpu/tlb.h"

static void reset_segments(struct cpu *c)
{
  struct seg data = {.limit = 0xffff, .attr = SEGA_P | SEGA_S | TYPE_W | TYPE_A};
  for (unsigned i = 0; i < SEG_COUNT; i++)
    c->seg[i] = data;
  c->seg[SEG_CS] = (struct seg){.base = 0xffff0000,
                                .limit = 0xffff,
                                .sel = 0xf000,
                                .attr = SEGA_P | SEGA_S | TYPE_CODE | TYPE_R | TYPE_A};
  c->gdtr = c->idtr = (struct dtable){.limit = 0xffff};
  c->ldtr = (struct seg){.limit = 0xffff, .attr = SEGA_P | SYS_LDT};
  c->tr = (struct seg){.limit = 0xffff, .attr = SEGA_P | SYS_TSS32_BUSY};
}

// What RESET# and INIT have in common.
static void reset_core(struct cpu *c)
{
  for (unsigned i = 0; i < REG_COUNT; i++)
    c->r[i] = 0;
  c->r[RDX] = c->model->signature;
  c->sysflags = 0;
  cpu_set_arith(c, 0);
  reset_segments(c);
  c->ip = c->next_ip = 0xfff0;
  c->cpl = 0;
  c->cr2 = c->cr3 = c->cr4 = c->cr8 = 0;
  c->efer = 0;
  for (unsigned i = 0; i < 4; i++)
    c->dr[i] = c->pdpte[i] = 0;
  c->dr6 = DR6_FIXED;
  c->dr7 = DR7_FIXED;
  c->debugctl = 0;
  c->faulted = false;
  c->fault = (struct fault){0};
  c->event = (struct event){0};
  c->delivering = false;
  c->shadow = c->shadow_next = SHADOW_NONE;
  c->trap_tf = c->rf_clear = false;
  c->db_bits = 0;
  c->nmi_blocked = false;
  c->gif = true;
  c->guest = false;
  svm_leave(c);
  c->in_smm = false;
  c->smi_io.valid = false;
  c->monitor_armed = false;
  c->at = NULL;
}

void cpu_reset(struct cpu *c)
{
  reset_core(c);
  c->cr0 = CR0_ET | CR0_NW | CR0_CD;
  for (unsigned i = 0; i < 16; i++)
    for (unsigned j = 0; j < sizeof c->v[0]; j++)
      c->v[i][j] = 0;
  c->pending &= PEND_STOP;
  c->launched = false;
  c->xcr0 = XCR0_X87;
  c->pkru = 0;
  c->run = c->bsp ? RUN_ON : RUN_WAIT_SIPI;
  msr_reset(c);
  svm_reset(c);
  smm_reset(c);
  fpu_reset(c);
  lapic_reset(c);
  tlb_set_context(c, 0, 0, false);
  tlb_flush_all(c);
  cpu_changed(c);
  log_line(c->log, LOG_CPU_RESET, "cpu%u: reset\n", c->index);
}

void cpu_init(struct cpu *c)
{
  uint64_t cr0 = c->cr0 & (CR0_NW | CR0_CD);
  reset_core(c);
  c->cr0 = cr0 | CR0_ET;
  if (!(c->vm_cr & VM_CR_LOCK)) // APM2 15.30.1
    c->vm_cr &= ~(uint64_t)VM_CR_SVMDIS;
  smm_changed(c);
  c->pending &= ~(uint32_t)PEND_INIT;
  c->run = c->bsp ? RUN_ON : RUN_WAIT_SIPI;
  lapic_init(c);
  tlb_set_context(c, 0, 0, false);
  tlb_flush_all(c);
  cpu_changed(c);
  log_line(c->log, LOG_CPU_RESET, "cpu%u: init\n", c->index);
}
