// SPDX-License-Identifier: BSD-3-Clause
/*
 * Checks of the device types' options that a table cannot express, and of the files they name.
 */
#include "guest/config/device_check.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/disk_format.h"
#include "base/log.h"
#include "base/port_forward.h"
#include "base/subnet.h"
#include "base/text.h"
#include "guest/config/config.h"
#include "guest/config/console_port.h"

/* VIRTIO 1.4, 5.2.4: capacity counts sectors of this size, whatever the block size. */
#define SECTOR_SIZE 512

/* What a user can do about a file that does not open. */
static const char *open_remedy(int code, int flags)
{
	switch (code) {
	case ENOENT:
	case ENOTDIR:
		return "; check the path";
	case EACCES:
	case EPERM:
		return flags == O_RDONLY ? "; make it readable for this user" :
					   "; make it readable and writable for this user";
	case EROFS:
		return "; mount its file system for writing";
	}
	return "; check the file";
}

static bool is_kind(const struct stat *status, bool block_device)
{
	return S_ISREG(status->st_mode) || (block_device && S_ISBLK(status->st_mode));
}

/*
 * Opens a file of the wanted kind, or returns a negative errno: -EMEDIUMTYPE for anything else,
 * which is not opened, because that could already do something, such as wind a tape.
 */
static int open_kind(const char *path, int flags, bool block_device, struct stat *status)
{
	cleanup_fd int fd = -1;

	if (stat(path, status) < 0)
		return -errno;
	if (!is_kind(status, block_device))
		return -EMEDIUMTYPE;
	/* Another file may have taken its place meanwhile: not to hang if that is a FIFO. */
	fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, status) < 0)
		return -errno;
	return is_kind(status, block_device) ? take_fd(&fd) : -EMEDIUMTYPE;
}

int file_open_checked(const char *option, const char *path, int flags, bool block_device,
		      uint64_t *size, struct error *error)
{
	struct stat status;
	cleanup_fd int fd = open_kind(path, flags, block_device, &status);
	off_t end;

	if (fd == -EMEDIUMTYPE)
		return error_set_usage(error, "%s: %s: is %s; give a regular file%s", option, path,
				       S_ISDIR(status.st_mode) ? "a directory" : "no plain file",
				       block_device ? " or a block device" : "");
	if (fd < 0)
		return error_set_usage(error, "%s: %s: %s%s", option, path, strerror(-fd),
				       open_remedy(-fd, flags));
	/* The end of a block device is not in its status. */
	end = lseek(fd, 0, SEEK_END);
	if (end < 0)
		return error_set_errno(error, errno, "%s: %s: cannot find its size", option, path);
	*size = end;
	return take_fd(&fd);
}

int file_check(const char *option, const char *path, int flags, bool block_device, uint64_t *size,
	       struct error *error)
{
	int fd = file_open_checked(option, path, flags, block_device, size, error);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* Opens the disk as the device will, and says so when it could be opened for reading only. */
static int open_disk(const struct block_options *block, uint64_t *size, struct error *error)
{
	int fd = file_open_checked("file", block->file, block->readonly ? O_RDONLY : O_RDWR, true,
				   size, error);

	if (fd == -EINVAL && error && !block->readonly &&
	    file_check("file", block->file, O_RDONLY, true, size, NULL) == 0)
		return error_set_usage(error, "%s, or add readonly", error->message);
	return fd;
}

/* A sparse image may promise the guest more than can ever be kept. */
static void warn_of_small_file_system(const char *path, int fd, uint64_t size)
{
	char image[TEXT_SIZE_LENGTH], whole[TEXT_SIZE_LENGTH];
	struct statvfs system;
	struct stat status;
	uint64_t bytes;

	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || fstatvfs(fd, &system) < 0)
		return;
	bytes = (uint64_t)system.f_blocks * system.f_frsize;
	/* 0: of a size that is not limited, or not known. */
	if (bytes == 0 || size <= bytes)
		return;
	log_warning("file: %s: is %s long, and its file system holds %s: the guest's writes will "
		    "find no room",
		    path, text_format_size(image, size),
		    text_format_size(whole, bytes & ~UINT64_C(0xfffff)));
}

int block_options_check(const void *options, struct error *error)
{
	const struct block_options *block = options;
	uint64_t size = 0;
	cleanup_fd int fd = open_disk(block, &size, error);
	int result;

	if (fd < 0)
		return fd;
	/* Before its size: an image of another format may have an odd one. */
	if (block->format != BLOCK_FORMAT_RAW) {
		result = disk_format_check("file", block->file, fd, size, error);
		if (result < 0)
			return result;
	}
	if (!block->readonly)
		warn_of_small_file_system(block->file, fd, size);
	if (!size)
		return error_set_usage(error,
				       "file: %s: is empty; give it a size: truncate -s 1G FILE",
				       block->file);
	if (size % SECTOR_SIZE)
		return error_set_usage(error,
				       "file: %s: its size, %" PRIu64 " bytes, is no multiple of "
				       "the sector of 512; fill it up: truncate -s %%512 FILE",
				       block->file, size);
	if (size % block->logical_block_size)
		return error_set_usage(error,
				       "logical-block-size: the size of %s, %" PRIu64
				       " bytes, is no multiple of %" PRIu64
				       "; fill it up: truncate -s %%%" PRIu64 " FILE",
				       block->file, size, block->logical_block_size,
				       block->logical_block_size);
	if (block->physical_block_size && block->physical_block_size < block->logical_block_size)
		return error_set_usage(error,
				       "physical-block-size: %" PRIu64
				       " is smaller than the logical block size; give at least "
				       "%" PRIu64,
				       block->physical_block_size, block->logical_block_size);
	return 0;
}

/* What the kernel takes as an interface's name. */
static bool is_interface_name(const char *name)
{
	return strcmp(name, ".") && strcmp(name, "..") && !strpbrk(name, "/: ");
}

/* RFC 1123, 2.1: letters, digits, hyphens in between. */
static bool is_host_name(const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)name[i]) &&
		    (name[i] != '-' || i == 0 || i == length - 1))
			return false;
	return length > 0;
}

/* What a tap has nothing of: the host's administrator makes that network. */
static int refuse_user_options(const struct net_options *net, struct error *error)
{
	const struct {
		const char *name;
		bool given;
	} options[] = {
		{"forward", net->forwards.count > 0},  {"subnet", net->subnet},
		{"host-loopback", net->host_loopback}, {"host-name", net->host_name},
		{"ipv6", net->ipv6 != NET_IPV6_AUTO},
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (options[i].given)
			return error_set_usage(error,
					       "%s: works with user only; the network of a tap is "
					       "made by the host",
					       options[i].name);
	return 0;
}

static int check_user_network(const struct net_options *net, struct error *error)
{
	struct subnet subnet;

	if (net->mtu && net->mtu < SUBNET_MTU_MIN)
		return error_set_usage(error,
				       "mtu: a user network needs at least %d bytes, for DHCP; "
				       "give that or more",
				       SUBNET_MTU_MIN);
	if (net->mtu && net->mtu < SUBNET_IPV6_MTU_MIN && net->ipv6 == NET_IPV6_ON)
		return error_set_usage(error,
				       "mtu: IPv6 needs at least %d bytes; give that or more, or "
				       "ipv6=off",
				       SUBNET_IPV6_MTU_MIN);
	if (net->host_name && !is_host_name(net->host_name))
		return error_set_usage(error,
				       "host-name: '%s' is not a host name; use letters, digits "
				       "and hyphens",
				       net->host_name);
	if (net->subnet && subnet_parse(net->subnet, &subnet, error) < 0) {
		error_prefix(error, "subnet");
		return error ? -error->code : -EINVAL;
	}
	return 0;
}

int net_options_check(const void *options, struct error *error)
{
	const struct net_options *net = options;
	int result;

	if (net->user && net->tap)
		return error_set_usage(error, "user: excludes tap; give one of them");
	if (!net->user && !net->tap)
		return error_set_usage(error, "user: neither it nor tap is given; add one of them");
	if (net->tap && !is_interface_name(net->tap))
		return error_set_usage(
			error,
			"tap: '%s' is no name of an interface; give one that `ip link` shows",
			net->tap);
	result = net->tap ? refuse_user_options(net, error) : check_user_network(net, error);
	if (result < 0)
		return result;
	for (size_t i = 0; i < net->forwards.count; i++) {
		struct port_forward forward;

		result = port_forward_parse(net->forwards.items[i], &forward, error);
		if (result < 0) {
			error_prefix(error, "forward");
			return result;
		}
	}
	return 0;
}

int console_options_check(const void *options, struct error *error)
{
	struct console_port_option ports[CONSOLE_PORTS_MAXIMUM];
	int count = console_ports_read(options, ports, error);

	return count < 0 ? count : 0;
}
