// SPDX-License-Identifier: BSD-3-Clause
/*
 * Memory for tests: zeroed pages from the largest free range below 4 GiB, all freed at once.
 */
#ifndef CONFORM_PAGES_H
#define CONFORM_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE 4096u

void pages_init(void);
/*
 * Returns zeroed memory aligned to @alignment, a power of two. Skips the running test when there is
 * not enough.
 */
void *pages_get_aligned(size_t size, size_t alignment);
void *pages_get(size_t size);
/* Returns a zeroed page that pages_release() never frees, or NULL. */
void *pages_keep(void);
/* Frees what was allocated after the mark; no device may still use it. */
uint64_t pages_mark(void);
void pages_release(uint64_t mark);
/*
 * Whether so much memory was never released that tests begin to miss it: less than half of that at
 * the start is left.
 */
bool pages_short(void);
/* The range that is not allocated: for tests that use memory by its address. */
void pages_free_range(uint64_t *start, uint64_t *end);
/*
 * Iterates over the memory that neither the image nor the loader uses: first the unallocated range
 * below 4 GiB, then whole ranges above 4 GiB, which it maps. False: no more.
 */
bool pages_part(unsigned int nth, uint64_t *start, uint64_t *end);

#endif
