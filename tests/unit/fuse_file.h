// SPDX-License-Identifier: BSD-3-Clause
/*
 * A file of a FUSE file system that notes whether anybody asks it for anything: a hostile server
 * would make him wait. For tests of what a peer may hand over.
 */
#ifndef AVP_TESTS_UNIT_FUSE_FILE_H
#define AVP_TESTS_UNIT_FUSE_FILE_H

#include <stdbool.h>
#include <sys/types.h>

struct fuse_file {
	int fd; /* open for reading and writing; do not close it */
	pid_t server;
};

/* False: this process may not mount, or the host has no FUSE. */
bool fuse_file_open(struct fuse_file *file);
/* Ends the file system. Returns whether it was asked for anything since the file was opened. */
bool fuse_file_close(struct fuse_file *file);

#endif
