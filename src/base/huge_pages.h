// SPDX-License-Identifier: BSD-3-Clause
/*
 * The huge pages that the host has set aside (Linux, Documentation/admin-guide/mm/hugetlbpage.rst).
 */
#ifndef AVP_BASE_HUGE_PAGES_H
#define AVP_BASE_HUGE_PAGES_H

#include <stdint.h>

#include "base/error.h"

/*
 * The size in bytes of those that programs get unless they ask for another; 0: the host has none.
 */
uint64_t huge_pages_size(void);

/*
 * Whether @bytes, a multiple of that size, can be had in them now; another process may take them a
 * moment later. Returns 0, or a negative errno with *error set.
 */
int huge_pages_check(uint64_t bytes, struct error *error);

#endif
