// Control registers, TLB and cache management, protection keys; see paging.def.
#ifndef CPU_INSN_PAGING_H
#define CPU_INSN_PAGING_H

#include "cpu/insn.h"

// MOV CR: the register's number in op->reg, the general register in op->rm. Privilege is checked before.
insn_fn x_mov_to_cr, x_mov_from_cr;
insn_fn x_lmsw, x_smsw, x_clts;
insn_fn x_invlpg, x_invpcid, x_invlpga, x_invlpgb, x_tlbsync;
insn_fn x_cache_line; // CLFLUSH, CLFLUSHOPT, CLWB
insn_fn x_hint;       // nothing to do: prefetches, fences, write-backs
insn_fn x_clzero;
insn_fn x_stac, x_clac, x_rdpkru, x_wrpkru;

#endif
