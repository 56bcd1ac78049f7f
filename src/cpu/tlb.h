// The TLB: tagged entries, and the views that make memory access fast.
//
// Two layers. The tagged store is the processor's TLB: entries {ASID, PCID, global, page, size, rights}
// that live until something architectural removes them, or until they are evicted. A view is an array
// of struct tlbe (mem.h) derived from it for one context and one set of rights; a context is {ASID,
// PCID}. The CPU keeps a number of contexts; changing between them changes a pointer (c->tlb).
//
// APM2 5.5 (TLB management), 15.16 (ASIDs).
#ifndef CPU_TLB_H
#define CPU_TLB_H

#include "cpu/mem.h"

// Rights under which a view was made.
enum tlb_view {
  VIEW_SUPER,    // CPL 0..2; with SMAP: RFLAGS.AC clear
  VIEW_USER,     // CPL 3
  VIEW_SUPER_AC, // CPL 0..2, SMAP on and RFLAGS.AC set, or an access that SMAP does not restrict
  VIEW_SLOW,     // never filled: CPL 3 with alignment checks on
  VIEW_COUNT
};

bool tlb_init(struct cpu *c, unsigned contexts);
void tlb_free(struct cpu *c);

// Points c->tlb at the view for the current context, CPL, CR4.SMAP, CR0.AM and RFLAGS.AC, and renews the
// jump key. Called by cpu_mode_update.
void tlb_select(struct cpu *c);

// A new CR3 (and PCID) was loaded. keep: bit 63 of the operand, entries of that PCID stay.
void tlb_set_context(struct cpu *c, uint16_t asid, uint16_t pcid, bool keep);

// What removes entries, of the current ASID unless said otherwise.
void tlb_flush_all(struct cpu *c);                            // every entry of every ASID
void tlb_flush_asid(struct cpu *c, uint16_t asid);            // global ones too
void tlb_flush_asid_nonglobal(struct cpu *c, uint16_t asid);
void tlb_flush_pcid(struct cpu *c, uint16_t pcid);            // non-global entries of the PCID
void tlb_flush_page(struct cpu *c, uint64_t la);              // INVLPG: this PCID and global ones
void tlb_flush_page_pcid(struct cpu *c, uint64_t la, uint16_t pcid); // INVPCID type 0: non-global
void tlb_flush_page_asid(struct cpu *c, uint64_t la, uint16_t asid); // INVLPGA
// Only the views are dropped (rights changed: CR0.WP, PKRU, DR7, a map change of RAM): nothing architectural.
void tlb_drop_views(struct cpu *c);
// No view of this CPU may write fast to the RAM page at this offset any more (it got code or is watched).
// Does nothing if the page's RAM_WTLB flag is clear, and leaves the flag as it is, because it speaks of all CPUs: the
// caller clears it after the last of them.
void tlb_protect_ram(struct cpu *c, uint64_t ram_off);
// The physical address map changed: cached RAM offsets are void, the translations are not.
void tlb_map_changed(struct cpu *c);

// For `info tlb`: calls back for each entry of the tagged store.
struct tlb_info {
  uint64_t la, pa, size;
  uint16_t asid, pcid;
  bool global, user, write, nx, dirty;
  uint8_t memtype, pkey;
};
void tlb_each(struct cpu *c, void (*fn)(void *arg, const struct tlb_info *i), void *arg);

uint16_t tlb_asid(const struct cpu *c); // of the current context

struct tlb_stats {
  uint64_t walks, fills, flushes; // page walks; slots of views filled; flush operations of any kind
};
struct tlb_stats tlb_stats(const struct cpu *c);

#endif
