// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reads an OCI bundle (runtime-spec 1.3) as a guest: the `vm` object and AVP's own object `avp`
 * of its config.json.
 */
#ifndef AVP_GUEST_CONFIG_BUNDLE_H
#define AVP_GUEST_CONFIG_BUNDLE_H

#include <stddef.h>

#include <jansson.h>

#include "base/error.h"
#include "guest/config/config.h"

/* The version of the runtime specification that bundles are written to. */
#define BUNDLE_OCI_VERSION "1.3.0"
#define BUNDLE_FILE	   "config.json"
/* The object `avp` as JSON text, or the path of a file with it. */
#define BUNDLE_ANNOTATION "org.avp.config"
/* The object vm.hwConfig as JSON text, for tools that drop it, as podman 4 does. */
#define BUNDLE_HARDWARE_ANNOTATION "org.avp.hwConfig"
/* A larger config.json is refused. */
#define BUNDLE_SIZE_MAXIMUM (4 << 20)

/*
 * Reads @directory/config.json into *config, which is overwritten. Files that it names are checked
 * only by guest_config_check; but those that its annotation names are opened, and the files of its
 * ports created (guest/config/confined_file.h). On failure *config is empty. A mistake in the file
 * is a usage error with file, key and remedy.
 */
int bundle_load(const char *directory, struct guest_config *config, struct error *error);

/*
 * The same, with *root, owned by the caller: the whole of what was read, as the file may change.
 */
int bundle_read(const char *directory, struct guest_config *config, json_t **root,
		struct error *error);

/* The same from the text of a config.json, @length bytes, as if it lay in @directory. */
int bundle_parse(const char *text, size_t length, const char *directory,
		 struct guest_config *config, struct error *error);

#endif
