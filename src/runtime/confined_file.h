// SPDX-License-Identifier: BSD-3-Clause
/*
 * Files that somebody names who may have fewer rights than this process: an annotation, where a
 * container tool that runs as root passes on what its user wrote.
 */
#ifndef AVP_RUNTIME_CONFINED_FILE_H
#define AVP_RUNTIME_CONFINED_FILE_H

#include "base/error.h"

/*
 * Where the administrator names more directories: {"annotation-directories": ["/etc/avp/guests"]}.
 * A file that somebody else than root could write to is refused.
 */
#define ADMINISTRATOR_FILE "/etc/avp/runtime.json"

/*
 * Opens the file at the absolute path @path for reading, if it lies below @directory or one that
 * the file @administrator names, which need not exist. Links that lead out are not followed. @source
 * says who names it. Returns a descriptor, or a negative errno with *error set.
 */
int confined_file_open(const char *path, const char *directory, const char *administrator,
		       const char *source, struct error *error);

#endif
