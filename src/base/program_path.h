// SPDX-License-Identifier: BSD-3-Clause
/*
 * Finds the programs of AVP that users do not call, such as device-block: they are installed in
 * libexec/avp, and a build has them beside avp.
 */
#ifndef AVP_BASE_PROGRAM_PATH_H
#define AVP_BASE_PROGRAM_PATH_H

#include <limits.h>

#include "base/arguments.h"
#include "base/error.h"

/*
 * Finds the program @name: in the directory that the environment's AVP_LIBEXEC_DIR names, or else
 * beside the running program, in ../libexec/avp from there, or in the installation directory.
 * Returns 0, or a negative errno with *error set.
 */
int program_path_find(const char *name, char path[PATH_MAX], struct error *error);

/* Adds the option that makes a program fail unless it has this program's version. */
void program_path_add_version(struct arguments *arguments);

#endif
