// SPDX-License-Identifier: BSD-3-Clause
/*
 * How a device process is called: written from the option table of its type, so that a new option
 * needs nothing here.
 */
#include "guest/config/device_command.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/virtio_ids.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/console/console_port.h"
#include "device/console/options.h"
#include "guest/run/host_identity.h"

static const void *member(const struct option_row *row, const struct device_config *device)
{
	return (const char *)device->options + row->offset;
}

static bool is_readonly(const struct device_config *device)
{
	const struct option_row *row =
		option_find(device->type->options, "readonly", strlen("readonly"));

	return row && row->type == OPTION_FLAG && *(const bool *)member(row, device);
}

/* Opens the file of option @key. Returns the descriptor, or -1 with *error set. */
static int open_file(const char *path, bool readonly, const char *origin, const char *key,
		     struct error *error)
{
	/* Without O_NONBLOCK a FIFO put in the file's place would block for ever. */
	cleanup_fd int fd =
		open(path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat status;

	if (fd < 0) {
		error_set_usage(error, "%s%s: %s: %s; check the path and its permissions", origin,
				key, path, strerror(errno));
		return -1;
	}
	if (fstat(fd, &status) < 0 || (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))) {
		error_set_usage(error, "%s%s: %s: is no regular file and no block device; give one",
				origin, key, path);
		return -1;
	}
	if (fcntl(fd, F_SETFL, 0) < 0) {
		error_set_errno(error, errno, "%s%s: %s", origin, key, path);
		return -1;
	}
	return take_fd(&fd);
}

/* Opens what the ports of a console lead to, but the terminal. */
static int open_ports(struct device_files *files, const struct device_config *device,
		      struct error *error)
{
	struct console_port_option ports[CONSOLE_PORTS_MAXIMUM];
	int count = console_ports_read(device->options, ports, error);

	for (int i = 0; i < count; i++) {
		int fd;

		if (!ports[i].path)
			continue;
		fd = ports[i].kind == CONSOLE_PORT_FILE ?
			     console_port_open_file(&ports[i], error) :
			     console_port_listen(&ports[i], &files->sockets[files->socket_count++],
						 error);
		if (fd < 0) {
			error_place(device->origin ? device->origin : "", error);
			return fd;
		}
		files->paths[files->count] = ports[i].path;
		files->fds[files->count++] = fd;
	}
	return count < 0 ? count : 0;
}

static int open_files(struct device_files *files, const struct device_config *device,
		      struct error *error)
{
	for (const struct option_row *row = device->type->options; row->name; row++) {
		const char *path;
		int fd;

		if (row->type != OPTION_PATH)
			continue;
		path = *(char *const *)member(row, device);
		if (!path)
			continue;
		if (files->count == DEVICE_FILES_MAXIMUM)
			return error_set(error, E2BIG, "%s: names more than %d files", device->name,
					 DEVICE_FILES_MAXIMUM);
		fd = open_file(path, is_readonly(device), device->origin ? device->origin : "",
			       row->name, error);
		if (fd < 0)
			return error ? -error->code : -EINVAL;
		files->paths[files->count] = path;
		files->fds[files->count++] = fd;
	}
	return 0;
}

int device_files_open(struct device_files *files, const struct device_config *device,
		      struct error *error)
{
	int result;

	*files = (struct device_files){.count = 0};
	if (device->type->shape.virtio_id == VIRTIO_ID_CONSOLE)
		result = open_ports(files, device, error);
	else
		result = open_files(files, device, error);
	if (result < 0)
		device_files_close(files);
	return result;
}

void device_files_close(struct device_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		close(files->fds[i]);
	for (size_t i = 0; i < files->socket_count; i++)
		socket_path_remove(&files->sockets[i]);
	files->count = files->socket_count = 0;
}

void device_mac(uint8_t mac[6], const uint8_t given[6], const char *host, const char *guest_name,
		const char *device_name)
{
	static const uint8_t none[6];
	const char *const names[] = {host, guest_name ? guest_name : "", device_name};
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	if (memcmp(given, none, sizeof(none))) {
		memcpy(mac, given, sizeof(none));
		return;
	}
	/* FNV-1a, with the zero between the names so that "a","bc" differs from "ab","c". */
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t length = strlen(names[i]) + 1;

		for (size_t j = 0; j < length; j++)
			hash = (hash ^ (uint8_t)names[i][j]) * UINT64_C(0x100000001b3);
	}
	for (size_t i = 0; i < sizeof(none); i++)
		mac[i] = hash >> (8 * i);
	/* The two low bits of the first byte: one station, locally administered. */
	mac[0] = (mac[0] & 0xfc) | 0x02;
}

static void add_number(struct arguments *arguments, const struct option_row *row, uint64_t value)
{
	/* Below the smallest value there is only the default of an option that was not given. */
	if (value >= row->minimum && (value || row->default_text))
		arguments_add_format(arguments, "--%s=%" PRIu64, row->name, value);
}

static void add_option(struct arguments *arguments, const struct option_row *row,
		       const struct device_config *device, const char *guest_name)
{
	const void *value = member(row, device);
	const struct option_list *list = value;
	char host[HOST_IDENTITY_LENGTH];
	uint8_t mac[6];

	switch (row->type) {
	case OPTION_FLAG:
		if (*(const bool *)value)
			arguments_add_format(arguments, "--%s", row->name);
		return;
	case OPTION_STRING:
	case OPTION_NAME:
		if (*(char *const *)value)
			arguments_add_format(arguments, "--%s=%s", row->name,
					     *(char *const *)value);
		return;
	case OPTION_NUMBER:
	case OPTION_SIZE:
		add_number(arguments, row, option_number(row, device->options));
		return;
	case OPTION_CHOICE:
		arguments_add_format(arguments, "--%s=%s", row->name,
				     row->choices[option_number(row, device->options)]);
		return;
	case OPTION_MAC:
		device_mac(mac, value, host_identity_read(host), guest_name, device->name);
		arguments_add_format(arguments, "--%s=%02x:%02x:%02x:%02x:%02x:%02x", row->name,
				     mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
		return;
	case OPTION_LIST:
		for (size_t i = 0; i < list->count; i++)
			arguments_add_format(arguments, "--%s=%s", row->name, list->items[i]);
		return;
	case OPTION_PATH:
		return; /* handed down as a descriptor */
	}
}

/* The ports of a console, with what was opened for them in place of the paths. */
static void add_ports(struct arguments *arguments, const struct device_config *device,
		      const struct device_files *files)
{
	const struct console_options *options = device->options;
	struct console_port_option ports[CONSOLE_PORTS_MAXIMUM];
	int count = console_ports_read(options, ports, NULL);
	size_t file = 0;

	for (int i = 0; i < count && options->ports.count; i++) {
		const char *text = options->ports.items[i];

		if (!ports[i].path)
			arguments_add_format(arguments, "--port=%s", text);
		else if (file < files->count)
			arguments_add_format(arguments, "--port=%.*s/dev/fd/%d",
					     (int)(ports[i].path - text), text, files->fds[file++]);
	}
}

static void add_terminal(struct arguments *arguments, const struct terminal *terminal)
{
	arguments_add_format(arguments, "--stream-fd=%d", terminal->stream_fd);
	if (terminal->size_fd < 0)
		return;
	arguments_add_format(arguments, "--size-fd=%d", terminal->size_fd);
	arguments_add_format(arguments, "--resized-fd=%d", terminal->resized_fd);
}

void device_command_add(struct arguments *arguments, const struct device_config *device,
			const struct device_files *files, const struct terminal *terminal,
			const char *guest_name)
{
	size_t file = 0;

	arguments_add(arguments, "device");
	arguments_add(arguments, device->type->name);
	if (terminal)
		add_terminal(arguments, terminal);
	if (device->type->shape.virtio_id == VIRTIO_ID_CONSOLE) {
		add_ports(arguments, device, files);
		return;
	}
	for (const struct option_row *row = device->type->options; row->name; row++) {
		if (row->type != OPTION_PATH)
			add_option(arguments, row, device, guest_name);
		else if (*(char *const *)member(row, device) && file < files->count)
			arguments_add_format(arguments, "--%s=/dev/fd/%d", row->name,
					     files->fds[file++]);
	}
}
