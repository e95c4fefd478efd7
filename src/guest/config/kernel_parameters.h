// SPDX-License-Identifier: BSD-3-Clause
/*
 * The words of a kernel's command line, as Linux reads it: words after a stand-alone "--" are
 * arguments of init, not of the kernel (Documentation/admin-guide/kernel-parameters.rst).
 */
#ifndef AVP_GUEST_CONFIG_KERNEL_PARAMETERS_H
#define AVP_GUEST_CONFIG_KERNEL_PARAMETERS_H

#include <stdbool.h>

#include "base/error.h"

/* Whether @line (NULL: empty) gives the kernel a parameter that starts with @start, "console=". */
bool kernel_parameters_have(const char *line, const char *start);

/*
 * Sets *result, which the caller frees, to @line (NULL: empty) with @words inserted where the
 * kernel reads them as parameters: at the end, before "--", or before a word whose quotation mark
 * is never closed. Returns 0 or -ENOMEM with *error set.
 */
int kernel_parameters_add(char **result, const char *line, const char *words, struct error *error);

#endif
