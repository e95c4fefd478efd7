// SPDX-License-Identifier: BSD-3-Clause
/*
 * Files that options name for writing, and sockets that they name for listening. The path /dev/fd/N
 * names the inherited descriptor N: the parent of a device process opens and creates them for it.
 * Messages start with the name of the option.
 */
#ifndef AVP_BASE_OPTION_PATH_H
#define AVP_BASE_OPTION_PATH_H

#include "base/error.h"
#include "base/socket_path.h"

/*
 * Opens @path for appending; a missing file is created. Returns a descriptor, the caller's, or a
 * negative errno with *error set, a usage error where the path is wrong.
 */
int path_open_appended(const char *option, const char *path, struct error *error);

/*
 * Makes a listening socket at @path: see socket_path_listen for the result and *made, which has no
 * path when the socket was inherited.
 */
int path_listen(const char *option, const char *path, struct socket_path *made,
		struct error *error);

#endif
