// SPDX-License-Identifier: BSD-3-Clause
/*
 * Files that somebody names who may have fewer rights than this process: an annotation, where a
 * container tool that runs as root passes on what its user wrote.
 */
#ifndef AVP_GUEST_CONFIG_CONFINED_FILE_H
#define AVP_GUEST_CONFIG_CONFINED_FILE_H

#include "base/error.h"
#include "base/option.h"
#include "guest/config/config.h"
#include "guest/config/option_json.h"

/*
 * Where the administrator names more directories: {"annotation-directories": ["/etc/avp/guests"]}.
 * A file that somebody else than root could write to is refused.
 */
#define ADMINISTRATOR_FILE "/etc/avp/runtime.json"

/* Where files may lie. */
struct confinement {
	int directory;		     /* open; O_PATH will do */
	const char *administrator;   /* the file that names more directories; need not exist */
	struct pinned_files *pinned; /* gets what confined_path_pin opens */
};

/*
 * Opens the file at @path for reading, if it lies below the directory or one that the administrator
 * names. Links that lead out are not followed. @source says who names it. Returns a descriptor, or
 * a negative errno with *error set.
 */
int confined_file_open(const char *path, const struct confinement *confinement, const char *source,
		       struct error *error);

/*
 * Holds fast what is at @path, for as long as place->confinement->pinned is open, under the same
 * conditions: *pinned, the caller's, is a path through a descriptor, which leads to the same file,
 * or for a socket to the same directory, whatever others rename meanwhile. A file to append to is
 * made. Returns 0, or a negative errno with *error, a usage error unless there is no memory, set.
 */
int confined_path_pin(const char *path, enum option_path_use use, const struct json_place *place,
		      char **pinned, struct error *error);

#endif
