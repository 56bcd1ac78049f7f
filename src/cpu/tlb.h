// The TLB: tagged entries, and the views that make memory access fast.
//
// Two layers. The tagged store is the processor's TLB: entries {ASID, PCID, global, page, size, rights}
// that live until something architectural removes them, or until they are evicted. A view is an array
// of struct tlbe (mem.h) derived from it for one context and one set of rights; a context is {ASID,
// PCID}. The CPU keeps a number of contexts; changing between them changes a pointer (c->tlb).
//
// Under nested paging the store holds translations from linear to physical, and beside it the TLB keeps
// guest-physical pages (tlb_nested.c).
//
// APM2 5.5 (TLB management), 15.16 (ASIDs), 15.25.
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

#define TLB_CONTEXTS 128 // by default: address spaces whose views are kept; family 10h has 64 ASIDs
bool tlb_init(struct cpu *c, unsigned contexts); // 0: the default
void tlb_free(struct cpu *c);

// Points c->tlb at the view for the current context, CPL, CR4.SMAP, CR0.AM and RFLAGS.AC, and renews the
// jump key. Called by cpu_mode_update.
void tlb_select(struct cpu *c);

// A new CR3 (and PCID) was loaded. keep: bit 63 of the operand, entries of that PCID stay. A world switch
// comes with another ASID, keep, and all registers of the new world loaded: until then no function of this
// file may run but flushes of other ASIDs.
void tlb_set_context(struct cpu *c, uint16_t asid, uint16_t pcid, bool keep);
// For a world switch, which goes on with cpu_mode_update: nothing is removed, nothing selected yet.
void tlb_switch(struct cpu *c, uint16_t asid, uint16_t pcid);

// What removes entries, of the current ASID unless said otherwise.
void tlb_flush_all(struct cpu *c);                           // every entry of every ASID
void tlb_flush_asid(struct cpu *c, uint16_t asid);           // global ones and guest-physical pages too
void tlb_flush_asid_nonglobal(struct cpu *c, uint16_t asid); // and guest-physical pages
// What CR0, CR4 and INVPCID flush: linear addresses of the current ASID; guest-physical pages stay.
void tlb_flush_linear(struct cpu *c, bool global);
void tlb_flush_pcid(struct cpu *c, uint16_t pcid);                   // non-global entries of the PCID
void tlb_flush_page(struct cpu *c, uint64_t la);                     // INVLPG: this PCID and global ones
void tlb_flush_page_pcid(struct cpu *c, uint64_t la, uint16_t pcid); // INVPCID type 0: non-global
void tlb_flush_page_asid(struct cpu *c, uint64_t la, uint16_t asid); // INVLPGA
// INVLPGB: what matches in all that is asked for. global: global pages too, for which no PCID is asked.
struct tlb_match {
  bool by_page, by_pcid, by_asid, global;
  uint16_t pcid, asid;
  uint64_t la;
};
void tlb_flush_match(struct cpu *c, const struct tlb_match *m);
// Only the views are dropped (rights changed: CR0.WP, PKRU, DR7, a map change of RAM): nothing architectural.
void tlb_drop_views(struct cpu *c);
// No view of this CPU may write fast to the RAM page at this offset any more (it got code or is watched).
// Does nothing if the page's RAM_WTLB flag is clear, and leaves the flag as it is, because it speaks of all
// CPUs: the caller clears it after the last of them.
void tlb_protect_ram(struct cpu *c, uint64_t ram_off);
// The physical address map changed: cached RAM offsets are void, the translations are not.
void tlb_map_changed(struct cpu *c);

// For `info tlb`: calls back for each entry of the tagged store.
struct tlb_info {
  uint64_t la, pa, size;
  uint16_t asid, pcid;
  bool global, user, write, nx, dirty;
  uint8_t memtype, pkey;
  uint64_t guest_size; // by the guest's own tables, where nested ones have smaller pages
};
void tlb_each(struct cpu *c, void (*fn)(void *arg, const struct tlb_info *i), void *arg);

uint16_t tlb_asid(const struct cpu *c); // of the current context

// Whose tables a walk goes through.
enum walk_kind {
  WALK_HOST,   // of a processor without a guest
  WALK_SHADOW, // a guest's: those that its hypervisor keeps for it (shadow paging)
  WALK_NESTED, // a guest's own and the nested ones
  WALK_KINDS
};
// The debugger's walks do not count.
struct tlb_walks {
  uint64_t walks;        // for accesses that the TLB had nothing for
  uint64_t fills;        // of them, those that put a page into the TLB: the others ended in a fault
  uint64_t table_refs;   // references to the tables that CR3 names
  uint64_t nested_walks; // through nested tables: for an access, or a reference to a guest's table
  uint64_t nested_refs;  // references to nested tables
  uint64_t nested_hits;  // guest-physical addresses that were kept: no walk for them
  uint64_t nested_saved; // the references that those would have been
};
struct tlb_stats {
  uint64_t walks, fills, flushes; // walks of all kinds; slots of views filled; flush operations of any kind
  struct tlb_walks kind[WALK_KINDS];
};
struct tlb_stats tlb_stats(const struct cpu *c);
// Per ASID; kept: what is alive of linear pages and of guest-physical pages.
struct tlb_asid_stats {
  uint64_t fills, flushes, kept, nested_kept;
};
struct tlb_asid_stats tlb_asid_stats(const struct cpu *c, uint16_t asid);

#endif
