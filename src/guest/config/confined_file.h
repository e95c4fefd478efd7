// SPDX-License-Identifier: BSD-3-Clause
/*
 * Opens files named by somebody who may have fewer rights than this process. This is the case for
 * an annotation: a container tool that runs as root passes on what its user wrote.
 */
#ifndef AVP_GUEST_CONFIG_CONFINED_FILE_H
#define AVP_GUEST_CONFIG_CONFINED_FILE_H

#include "base/error.h"
#include "base/option.h"
#include "guest/config/config.h"
#include "host/option_json.h"

/*
 * The administrator names more directories here: {"annotation-directories": ["/etc/avp/guests"]}.
 * The file is refused if anybody but root or this user can write to it.
 */
#define ADMINISTRATOR_FILE "/etc/avp/runtime.json"

/* Where the files must be. */
struct confinement {
	int directory;		     /* open; O_PATH will do */
	const char *administrator;   /* the file that names more directories; need not exist */
	struct pinned_files *pinned; /* gets what confined_path_pin opens */
};

/*
 * Opens the file at @path for reading, if it is below the directory or one that the administrator
 * names. Links that lead out are not followed. @source, which names the file, begins the message of
 * *error. Returns a descriptor, or a negative errno with *error set.
 */
int confined_file_open(const char *path, const struct confinement *confinement, const char *source,
		       struct error *error);

/*
 * Pins what is at @path, under the same conditions: *pinned, owned by the caller, is a path through
 * a descriptor. As long as location->confinement->pinned is open, it leads to the same file, or for
 * a socket to the same directory, whatever others rename. A file to append to is created. Returns
 * 0, or a negative errno with *error set, a usage error unless memory is short.
 */
int confined_path_pin(const char *path, enum option_path_use use,
		      const struct json_location *location, char **pinned, struct error *error);

#endif
