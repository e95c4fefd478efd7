// SPDX-License-Identifier: BSD-3-Clause
/*
 * Builds the command line of a device process from the options of the device. The files that the
 * options name are opened beforehand and inherited as descriptors.
 */
#ifndef AVP_GUEST_CONFIG_DEVICE_COMMAND_H
#define AVP_GUEST_CONFIG_DEVICE_COMMAND_H

#include <stdint.h>

#include "base/arguments.h"
#include "base/error.h"
#include "base/socket_path.h"
#include "guest/config/config.h"
#include "host/terminal.h"

/* The most files of one device. */
#define DEVICE_FILES_MAXIMUM 16

/* The files of one device, in the order of its option table. Starts as {0}. */
struct device_files {
	int fds[DEVICE_FILES_MAXIMUM];
	const char *paths[DEVICE_FILES_MAXIMUM]; /* point into the options */
	/* The option that names each, and which item of it that is. */
	const struct option_row *rows[DEVICE_FILES_MAXIMUM];
	size_t items[DEVICE_FILES_MAXIMUM];
	size_t count;
	struct socket_path sockets[DEVICE_FILES_MAXIMUM]; /* removed by device_files_close */
	size_t socket_count;
	/*
	 * Where the device has joined a service for its first process, if @link is not NULL; -1:
	 * that process has it.
	 */
	int link_fd;
	const struct option_row *link;
};

/*
 * Asks the policy for everything of the host that the options of @device, one of @guest, name; then
 * opens the files, read-only if the device is, makes the sockets, and joins a service. A file that
 * cannot be opened is a usage error. On failure *files is empty.
 */
int device_files_open(struct device_files *files, const struct guest_config *guest,
		      const struct device_config *device, struct error *error);

/*
 * Opens again what @option of the device names, item @index: a file, which replaces the one in
 * *files for the next process, a queue of a tap, or the channel to a service. The policy is asked
 * again. Returns a descriptor, the caller's, or a negative errno with *error set; -ENOENT when the
 * option names nothing of that kind.
 */
int device_files_reopen(struct device_files *files, const struct guest_config *guest,
			const struct device_config *device, const char *option, uint64_t index,
			struct error *error);

/* Closes the files, and removes the sockets. */
void device_files_close(struct device_files *files);

/*
 * Appends `device-TYPE OPTION…`. An option that names a file gets /dev/fd/N of the opened file, and
 * a missing MAC address is derived. @terminal: for the device that uses the terminal, else NULL.
 */
void device_command_add(struct arguments *arguments, const struct device_config *device,
			const struct device_files *files, const struct terminal *terminal,
			const char *guest_name);

/*
 * The MAC address of a device: @given unless it is all zero, else a locally administered address
 * (IEEE 802, 8.4) that depends only on @host (host_identity.h) and the two names, so that a guest
 * keeps its interface over restarts and no other guest has the same.
 */
void device_mac(uint8_t mac[6], const uint8_t given[6], const char *host, const char *guest_name,
		const char *device_name);

#endif
