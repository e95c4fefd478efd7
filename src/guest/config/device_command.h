// SPDX-License-Identifier: BSD-3-Clause
/*
 * How a device process is called: the options of a device written as the command line of its
 * program, with the files that they name opened beforehand and handed down as descriptors.
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
	const char *paths[DEVICE_FILES_MAXIMUM]; /* as the options have them; part of these */
	size_t count;
	struct socket_path sockets[DEVICE_FILES_MAXIMUM]; /* to be removed */
	size_t socket_count;
};

/*
 * Opens the files that the options of @device name: for reading only when it is readonly; and
 * makes the sockets that they name. What cannot be opened is a usage error. On failure *files is
 * empty.
 */
int device_files_open(struct device_files *files, const struct device_config *device,
		      struct error *error);

/* Closes them, and removes the sockets. */
void device_files_close(struct device_files *files);

/*
 * Appends `device-TYPE OPTION…`. An option that names a file gets /dev/fd/N of the opened one, and
 * a MAC address that is not given is derived. With @terminal not NULL the device gets its ends.
 */
void device_command_add(struct arguments *arguments, const struct device_config *device,
			const struct device_files *files, const struct terminal *terminal,
			const char *guest_name);

/*
 * The MAC address of a device: @given unless it is all zero, else one that depends on nothing but
 * @host (host_identity.h) and the two names, locally administered (IEEE 802, 8.4): a guest finds
 * its interface again, and no other guest has it.
 */
void device_mac(uint8_t mac[6], const uint8_t given[6], const char *host, const char *guest_name,
		const char *device_name);

#endif
