// A guest under nested paging on the bed of bed.h. The bed's own tables become the guest's; what lies at 0 to
// 4 MB, the guest's tables among it, is mapped one to one by the nested tables, everything else is up to the
// test.
#ifndef TEST_MMU_NEST_H
#define TEST_MMU_NEST_H

#include "bed.h"
#include "cpu/svm/svm.h"

#define UNPAGED 3 // a guest without paging

struct bed *nest_new(unsigned guest, enum paging host); // in the guest, ASID 1, CPL 0
void nest_free(struct bed *b);
void nest_enter(struct bed *b, uint16_t asid); // what VMRUN does to the TLB
void nest_leave(struct bed *b);                // #VMEXIT
uint64_t nest_space(struct bed *b);            // other nested tables: with the lowest 4 MB

void nest_map(struct bed *b, uint64_t gpa, uint64_t pa, unsigned shift, uint64_t flags);
uint64_t nest_entry(struct bed *b, uint64_t gpa, unsigned level);
uint64_t nest_get(struct bed *b, uint64_t gpa, unsigned level);
void nest_set(struct bed *b, uint64_t gpa, unsigned level, uint64_t entry);

// An access, 'r' 'w' 'x'; 0: done, else the vector, BED_NPF among them.
unsigned nest_access(struct bed *b, char access, uint64_t la);
#define assert_npf(b, access, la, code, where)                                                               \
  do {                                                                                                       \
    assert_int_equal(nest_access((b), (access), (la)), BED_NPF);                                             \
    assert_int_equal((b)->npf_error, (code));                                                                \
    assert_int_equal((b)->npf_gpa, (where));                                                                 \
  } while (0)
#define assert_pf(b, access, la, code)                                                                       \
  do {                                                                                                       \
    assert_int_equal(nest_access((b), (access), (la)), VEC_PF);                                              \
    assert_int_equal((b)->c->fault.error, (code));                                                           \
  } while (0)

#endif
