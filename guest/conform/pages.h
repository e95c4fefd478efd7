// SPDX-License-Identifier: BSD-3-Clause
/*
 * Memory for tests: pages from the largest free range below 4 GiB, zeroed, all given back at once.
 */
#ifndef CONFORM_PAGES_H
#define CONFORM_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE 4096u

void pages_init(void);
/*
 * Zeroed memory aligned to @alignment, a power of two. The running test is skipped when there is
 * none.
 */
void *pages_get_aligned(size_t size, size_t alignment);
void *pages_get(size_t size);
/* A zeroed page for good, which no release gives back; NULL: there is none. */
void *pages_keep(void);
/* What was taken after the mark is free again; no device may still use it. */
uint64_t pages_mark(void);
void pages_release(uint64_t mark);
/* What pages_get will never give: for tests that use memory by its address. */
void pages_free_range(uint64_t *start, uint64_t *end);
/*
 * The parts of memory that neither the image nor what the loader left uses, one at a time: that
 * range first, then whole ranges above 4 GiB, which are mapped. False: there are no more.
 */
bool pages_part(unsigned int nth, uint64_t *start, uint64_t *end);

#endif
