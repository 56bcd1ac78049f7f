// Physical memory by node: pieces of whole pages, given and taken back. The free pieces are a sorted list;
// neighbours of one node are joined, so what is given back is as good as new.
#ifndef HOST_MEMORY_H
#define HOST_MEMORY_H

#include "host/types.h"

struct acpi;
struct boot;

void memory_init(const struct boot *b, const struct acpi *a);
// `size` bytes at a multiple of `align` and wholly below `limit` (0: anywhere), on the node, or, if the node
// has none left and `strict` is not set, on another. Zeroed. 0 if there is none.
uint64_t memory_alloc(unsigned node, uint64_t size, uint64_t align, uint64_t limit, bool strict);
void memory_free(uint64_t pa, uint64_t size);
// Bytes free on a node.
uint64_t memory_left(unsigned node);
// End of the highest RAM.
uint64_t memory_top(void);

#endif
