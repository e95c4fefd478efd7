// SPDX-License-Identifier: BSD-3-Clause
/*
 * The huge pages that the host has set aside (Linux, Documentation/admin-guide/mm/hugetlbpage.rst).
 */
#ifndef AVP_BASE_HUGE_PAGES_H
#define AVP_BASE_HUGE_PAGES_H

#include <stdint.h>

#include "base/error.h"

/* The default size of a huge page in bytes; 0: the host has none. */
uint64_t huge_pages_size(void);

/*
 * Checks that huge pages for @bytes, a multiple of that size, are free now; another process may
 * take them a moment later. Returns 0, or a negative errno with *error set.
 */
int huge_pages_check(uint64_t bytes, struct error *error);

#endif
