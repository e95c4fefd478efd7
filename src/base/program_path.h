// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where the programs of AVP lie that are not called by users, such as device-block: they are
 * installed in libexec/avp, and a build has them beside avp.
 */
#ifndef AVP_BASE_PROGRAM_PATH_H
#define AVP_BASE_PROGRAM_PATH_H

#include <limits.h>

#include "base/arguments.h"
#include "base/error.h"

/*
 * Finds the program @name: in the directory that the environment's AVP_LIBEXEC_DIR names, or else
 * beside the running program, in ../libexec/avp from there, or where it was to be installed.
 * Returns 0, or -ENOENT with *error set.
 */
int program_path_find(const char *name, char path[PATH_MAX], struct error *error);

/* Has a program fail unless it is of this program's version. */
void program_path_add_version(struct arguments *arguments);

#endif
