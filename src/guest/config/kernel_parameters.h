// SPDX-License-Identifier: BSD-3-Clause
/*
 * The words of a kernel's command line, as Linux reads it: words behind a stand-alone "--" are
 * arguments of init, and not the kernel's (Documentation/admin-guide/kernel-parameters.rst).
 */
#ifndef AVP_GUEST_CONFIG_KERNEL_PARAMETERS_H
#define AVP_GUEST_CONFIG_KERNEL_PARAMETERS_H

#include <stdbool.h>

#include "base/error.h"

/* Whether @line (NULL: empty) gives the kernel a parameter that starts with @start, "console=". */
bool kernel_parameters_have(const char *line, const char *start);

/*
 * Replaces *result, the caller's to free, by @line (NULL: empty) with @words where the kernel takes
 * them for parameters: at the end, or before "--", or before a word whose quotation mark nothing
 * closes. Returns 0 or -ENOMEM with *error set.
 */
int kernel_parameters_add(char **result, const char *line, const char *words, struct error *error);

#endif
