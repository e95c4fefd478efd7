// SPDX-License-Identifier: BSD-3-Clause
/*
 * Builds the command line of a device process from the option table of its type, so that a new
 * option needs no code here.
 */
#include "guest/config/device_command.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/option_path.h"
#include "base/program_path.h"
#include "guest/policy.h"
#include "host/host_identity.h"
#include "host/service_link.h"
#include "host/tap.h"

static const void *member(const struct option_row *row, const struct device_config *device)
{
	return (const char *)device->options + row->offset;
}

/* Asks the policy whether the device may do @verb with what a value of @row names. */
static int check_policy(const struct guest_config *guest, const struct device_config *device,
			const struct option_row *row, enum policy_verb verb, const char *kind,
			const char *name, struct error *error)
{
	const struct policy_object object = {kind, name};
	char actor[128], where[256];
	const struct policy_subject subject = {guest->policy, guest->name, actor};

	snprintf(actor, sizeof(actor), "device %s", device->name);
	snprintf(where, sizeof(where), "%s%s: ", device->origin ? device->origin : "", row->name);
	return policy_check(&subject, verb, &object, where, error);
}

/* The same for a socket and those that it is the beginning of. */
static int check_sockets(const struct guest_config *guest, const struct device_config *device,
			 const struct option_row *row, const char *path, struct error *error)
{
	char others[SOCKET_PATH_LENGTH + sizeof("_*")];
	int result = check_policy(guest, device, row, POLICY_LISTEN, "socket", path, error);

	if (result < 0)
		return result;
	snprintf(others, sizeof(others), "%s_*", path);
	return check_policy(guest, device, row, POLICY_CONNECT, "socket", others, error);
}

/* The same for what is not a path, or which the device's process opens. */
static int check_object(const struct guest_config *guest, const struct device_config *device,
			const struct option_row *row, struct error *error)
{
	const void *value = member(row, device);
	const struct option_list *list = value;
	int result = 0;

	switch (row->object) {
	case OPTION_OBJECT_NONE:
	case OPTION_OBJECT_SERVICE: /* see join_service */
		break;
	case OPTION_OBJECT_SOCKETS:
		if (*(char *const *)value)
			result = check_sockets(guest, device, row, *(char *const *)value, error);
		break;
	case OPTION_OBJECT_NETWORK:
		if (*(const bool *)value)
			result = check_policy(guest, device, row, POLICY_JOIN, "network", row->name,
					      error);
		break;
	case OPTION_OBJECT_TAP:
		if (*(char *const *)value)
			result = check_policy(guest, device, row, POLICY_JOIN, "tap",
					      *(char *const *)value, error);
		break;
	case OPTION_OBJECT_PORT:
		for (size_t i = 0; i < list->count && result == 0; i++)
			result = check_policy(guest, device, row, POLICY_LISTEN, "port",
					      list->items[i], error);
		break;
	}
	return result;
}

static bool is_readonly(const struct device_config *device)
{
	const struct option_row *row =
		option_find(device->type->options, "readonly", strlen("readonly"));

	return row && row->type == OPTION_FLAG && *(const bool *)member(row, device);
}

/* Opens the file of option @key. Returns the descriptor, or a negative errno with *error set. */
static int open_file(const char *path, bool readonly, const char *origin, const char *key,
		     struct error *error)
{
	/* Without O_NONBLOCK a FIFO put in the file's place would block forever. */
	cleanup_fd int fd =
		open(path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat status;

	if (fd < 0)
		return error_set_usage(error, "%s%s: %s: %s; check the path and its permissions",
				       origin, key, path, strerror(errno));
	if (fstat(fd, &status) < 0 || (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)))
		return error_set_usage(error,
				       "%s%s: %s: is neither a regular file nor a block device",
				       origin, key, path);
	if (fcntl(fd, F_SETFL, 0) < 0)
		return error_set_errno(error, errno, "%s%s: %s", origin, key, path);
	return take_fd(&fd);
}

/* Returns false with *error set when there are too many files. */
static bool has_room(const struct device_files *files, const struct device_config *device,
		     struct error *error)
{
	if (files->count < DEVICE_FILES_MAXIMUM)
		return true;
	error_set(error, E2BIG, "%s: names more than %d files", device->name, DEVICE_FILES_MAXIMUM);
	return false;
}

static void add_file(struct device_files *files, const struct option_row *row, size_t item,
		     const char *path, int fd)
{
	files->rows[files->count] = row;
	files->items[files->count] = item;
	files->paths[files->count] = path;
	files->fds[files->count++] = fd;
}

/* Asks the policy, and opens a file for appending. Returns it or a negative errno. */
static int open_appended(const struct guest_config *guest, const struct device_config *device,
			 const struct option_row *row, const char *path, struct error *error)
{
	int fd = check_policy(guest, device, row, POLICY_APPEND, "file", path, error);

	if (fd < 0)
		return fd;
	fd = path_open_appended(row->name, path, error);
	if (fd < 0)
		error_add_origin(device->origin ? device->origin : "", error);
	return fd;
}

/* The same for a listening socket. */
static int open_bound(struct device_files *files, const struct guest_config *guest,
		      const struct device_config *device, const struct option_row *row,
		      const char *path, struct error *error)
{
	int fd = check_policy(guest, device, row, POLICY_LISTEN, "socket", path, error);

	if (fd < 0)
		return fd;
	fd = path_listen(row->name, path, &files->sockets[files->socket_count++], error);
	if (fd < 0)
		error_add_origin(device->origin ? device->origin : "", error);
	return fd;
}

/* Opens the files and sockets that the items of a list name. */
static int open_items(struct device_files *files, const struct guest_config *guest,
		      const struct device_config *device, const struct option_row *row,
		      struct error *error)
{
	const struct option_list *list = member(row, device);

	for (size_t i = 0; i < list->count; i++) {
		enum option_path_use use;
		const char *path = row->item_path(list->items[i], &use);
		int fd;

		if (!path)
			continue;
		if (!has_room(files, device, error))
			return -E2BIG;
		fd = use == OPTION_PATH_BOUND ? open_bound(files, guest, device, row, path, error) :
						open_appended(guest, device, row, path, error);
		if (fd < 0)
			return fd;
		add_file(files, row, i, path, fd);
	}
	return 0;
}

/* Asks the policy, and opens the file of an option. Returns it or a negative errno. */
static int open_named(const struct guest_config *guest, const struct device_config *device,
		      const struct option_row *row, const char *path, struct error *error)
{
	bool readonly = is_readonly(device);
	int fd = check_policy(guest, device, row, readonly ? POLICY_READ : POLICY_WRITE, "file",
			      path, error);

	return fd < 0 ? fd :
			open_file(path, readonly, device->origin ? device->origin : "", row->name,
				  error);
}

/* How long joining a service may take: at the start, and while the guest runs. */
#define FIRST_JOIN_MS 10000
#define JOIN_MS	      250

/*
 * Asks the policy, and joins the service of an option, as the device of this guest. Returns the
 * socket for the channel or a negative errno.
 */
static int join_service(const struct guest_config *guest, const struct device_config *device,
			const struct option_row *row, int limit_ms, struct error *error)
{
	const struct option_row *client =
		option_find(device->type->options, OPTION_CLIENT, strlen(OPTION_CLIENT));
	const char *path = *(char *const *)member(row, device);
	const char *given = client ? *(char *const *)member(client, device) : NULL;
	char name[256];
	int fd = check_policy(guest, device, row, POLICY_JOIN, "service", path, error);

	if (fd < 0)
		return fd;
	snprintf(name, sizeof(name), "%s.%s", guest->name ? guest->name : "guest", device->name);
	fd = service_link_join(path, given ? given : name, limit_ms, error);
	if (fd < 0)
		error_prefix(error, "%s%s", device->origin ? device->origin : "", row->name);
	return fd;
}

static int open_path(struct device_files *files, const struct guest_config *guest,
		     const struct device_config *device, const struct option_row *row,
		     struct error *error)
{
	const char *path = *(char *const *)member(row, device);
	int fd;

	if (!path)
		return 0;
	if (row->object == OPTION_OBJECT_SERVICE) {
		files->link_fd = join_service(guest, device, row, FIRST_JOIN_MS, error);
		files->link = row;
		return files->link_fd < 0 ? files->link_fd : 0;
	}
	if (!has_room(files, device, error))
		return -E2BIG;
	fd = open_named(guest, device, row, path, error);
	if (fd < 0)
		return fd;
	add_file(files, row, 0, path, fd);
	return 0;
}

/* Opens file @i again. */
static int reopen_file(struct device_files *files, size_t i, const struct guest_config *guest,
		       const struct device_config *device, struct error *error)
{
	const struct option_row *row = files->rows[i];
	enum option_path_use use = OPTION_PATH_OPENED;
	cleanup_fd int fd = -1;

	if (row->item_path)
		row->item_path(
			((const struct option_list *)member(row, device))->items[files->items[i]],
			&use);
	/* This process has it, and it cannot be lost. */
	if (use == OPTION_PATH_BOUND)
		return error_set(error, ENOENT, "%s is a socket that stays", row->name);
	fd = use == OPTION_PATH_APPENDED ?
		     open_appended(guest, device, row, files->paths[i], error) :
		     open_named(guest, device, row, files->paths[i], error);
	if (fd >= 0 && dup3(fd, files->fds[i], O_CLOEXEC) < 0)
		return error_set_errno(error, errno, "%s", files->paths[i]);
	return take_fd(&fd);
}

static int reopen_tap(const struct guest_config *guest, const struct device_config *device,
		      const struct option_row *row, struct error *error)
{
	const char *name = *(char *const *)member(row, device);
	bool multiqueue = false;
	int fd = check_object(guest, device, row, error);

	if (fd < 0)
		return fd;
	fd = tap_open_queue(name, &multiqueue);
	return fd < 0 ? error_set_errno(error, -fd, "tap %s", name) : fd;
}

int device_files_reopen(struct device_files *files, const struct guest_config *guest,
			const struct device_config *device, const char *option, uint64_t index,
			struct error *error)
{
	const struct option_row *row = option_find(device->type->options, option, strlen(option));

	for (size_t i = 0; i < files->count; i++)
		if (files->rows[i] == row && files->items[i] == index)
			return reopen_file(files, i, guest, device, error);
	if (row && row->object == OPTION_OBJECT_TAP && *(char *const *)member(row, device))
		return reopen_tap(guest, device, row, error);
	if (row && row == files->link && files->link_fd >= 0)
		return take_fd(&files->link_fd);
	if (row && row == files->link)
		return join_service(guest, device, row, JOIN_MS, error);
	return error_set(error, ENOENT, "the option names nothing that could be opened again");
}

int device_files_open(struct device_files *files, const struct guest_config *guest,
		      const struct device_config *device, struct error *error)
{
	*files = (struct device_files){.count = 0};
	for (const struct option_row *row = device->type->options; row->name; row++) {
		int result = 0;

		if (row->type == OPTION_PATH && row->object != OPTION_OBJECT_SOCKETS)
			result = open_path(files, guest, device, row, error);
		else if (row->item_path)
			result = open_items(files, guest, device, row, error);
		else
			result = check_object(guest, device, row, error);
		if (result < 0) {
			device_files_close(files);
			return result;
		}
	}
	return 0;
}

void device_files_close(struct device_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		close(files->fds[i]);
	for (size_t i = 0; i < files->socket_count; i++)
		socket_path_remove(&files->sockets[i]);
	files->count = files->socket_count = 0;
	if (files->link)
		close_fd(&files->link_fd);
	files->link = NULL;
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
	/* FNV-1a over the names with their zeros, so that "a","bc" differs from "ab","c". */
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t length = strlen(names[i]) + 1;

		for (size_t j = 0; j < length; j++)
			hash = (hash ^ (uint8_t)names[i][j]) * UINT64_C(0x100000001b3);
	}
	for (size_t i = 0; i < sizeof(none); i++)
		mac[i] = hash >> (8 * i);
	/* The two low bits of the first byte: individual address, locally administered. */
	mac[0] = (mac[0] & 0xfc) | 0x02;
}

static void add_number(struct arguments *arguments, const struct option_row *row, uint64_t value)
{
	/* A value below the minimum is an option that was not given. */
	if (value >= row->minimum && (value || row->default_text))
		arguments_add_format(arguments, "--%s=%" PRIu64, row->name, value);
}

/* Adds the items of a list, with the opened descriptors instead of their paths. */
static void add_items(struct arguments *arguments, const struct option_row *row,
		      const struct option_list *list, const struct device_files *files,
		      size_t *file)
{
	for (size_t i = 0; i < list->count; i++) {
		const char *item = list->items[i];
		enum option_path_use use;
		const char *path = row->item_path ? row->item_path(item, &use) : NULL;

		if (path && *file < files->count)
			arguments_add_format(arguments, "--%s=%.*s/dev/fd/%d", row->name,
					     (int)(path - item), item, files->fds[(*file)++]);
		else
			arguments_add_format(arguments, "--%s=%s", row->name, item);
	}
}

/* @file: index of the next opened file. */
static void add_option(struct arguments *arguments, const struct option_row *row,
		       const struct device_config *device, const struct device_files *files,
		       size_t *file, const char *guest_name)
{
	const void *value = member(row, device);
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
		add_items(arguments, row, value, files, file);
		return;
	case OPTION_PATH:
		if (!*(char *const *)value)
			return;
		/*
		 * The device asks for the channel, and the path is for those who read its call. It
		 * makes sockets itself.
		 */
		if (row->object != OPTION_OBJECT_NONE)
			arguments_add_format(arguments, "--%s=%s", row->name,
					     *(char *const *)value);
		else if (*file < files->count)
			arguments_add_format(arguments, "--%s=/dev/fd/%d", row->name,
					     files->fds[(*file)++]);
		return;
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

	arguments_add(arguments, device->type->program.program);
	program_path_add_version(arguments);
	if (terminal)
		add_terminal(arguments, terminal);
	for (const struct option_row *row = device->type->options; row->name; row++)
		add_option(arguments, row, device, files, &file, guest_name);
}
