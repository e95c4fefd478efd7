// SPDX-License-Identifier: BSD-3-Clause
/*
 * A FUSE file system of one file (Linux, fuse.h), served by a process that ends when it is asked
 * for more than to open that file: whoever asked then gets an error, and does not wait.
 */
#include "unit/fuse_file.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/scratch.h"

/* The least that the kernel lets a server read with. */
#define REQUEST_BYTES (1 << 17)
#define FILE_NODE     2

static void answer(int server, uint64_t unique, const void *payload, size_t length)
{
	struct fuse_out_header header = {(uint32_t)(sizeof(header) + length), 0, unique};
	const struct iovec parts[] = {{&header, sizeof(header)}, {(void *)payload, length}};

	if (writev(server, parts, 2) != header.len)
		_exit(2);
}

/* In the server's process. */
static void serve(int server)
{
	static union {
		struct fuse_in_header header;
		uint8_t bytes[REQUEST_BYTES];
	} request;
	const struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_write = 4096,
	};
	const struct fuse_entry_out entry = {
		.nodeid = FILE_NODE,
		.attr = {.ino = FILE_NODE, .size = 1 << 20, .mode = S_IFREG | 0600, .nlink = 1},
	};
	const struct fuse_open_out opened = {.fh = 1};
	bool is_open = false;

	while (read(server, &request, sizeof(request)) > 0) {
		uint64_t unique = request.header.unique;

		if (request.header.opcode == FUSE_INIT)
			answer(server, unique, &init, sizeof(init));
		else if (request.header.opcode == FUSE_LOOKUP)
			answer(server, unique, &entry, sizeof(entry));
		else if (request.header.opcode == FUSE_OPEN && !is_open)
			answer(server, unique, &opened, sizeof(opened));
		else
			break;
		is_open = request.header.opcode == FUSE_OPEN;
	}
	_exit(1);
}

bool fuse_file_open(struct fuse_file *file)
{
	struct scratch scratch;
	char options[64];
	int server = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	bool mounted;

	if (server < 0)
		return false;
	scratch_make(&scratch);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", server);
	mounted = mount("avp", scratch.directory, "fuse", MS_NOSUID | MS_NODEV, options) == 0;
	if (mounted) {
		file->server = fork();
		assert_true(file->server >= 0);
		if (file->server == 0)
			serve(server);
		file->fd = open(scratch_path(&scratch, "file"), O_RDWR | O_CLOEXEC);
		assert_true(file->fd >= 0);
		assert_int_equal(umount2(scratch.directory, MNT_DETACH), 0);
	}
	close(server);
	scratch_remove(&scratch);
	return mounted;
}

bool fuse_file_close(struct fuse_file *file)
{
	int status;

	/* First, as closing the file asks the server. */
	kill(file->server, SIGKILL);
	assert_int_equal(waitpid(file->server, &status, 0), file->server);
	close(file->fd);
	return WIFEXITED(status);
}
