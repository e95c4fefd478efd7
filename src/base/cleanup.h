// SPDX-License-Identifier: BSD-3-Clause
/*
 * Scope-exit cleanup. A variable declared with one of these attributes releases its resource when
 * it goes out of scope, unless ownership was taken with take_fd or take_pointer.
 */
#ifndef AVP_BASE_CLEANUP_H
#define AVP_BASE_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_function(void *pointer)
{
	free(*(void **)pointer);
}

static inline void cleanup_fd_function(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_file_function(FILE **file)
{
	if (*file)
		fclose(*file);
}

static inline void cleanup_directory_function(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

#define cleanup_free	  __attribute__((cleanup(cleanup_free_function)))
#define cleanup_fd	  __attribute__((cleanup(cleanup_fd_function)))
#define cleanup_file	  __attribute__((cleanup(cleanup_file_function)))
#define cleanup_directory __attribute__((cleanup(cleanup_directory_function)))

/* Takes the descriptor out of a variable: the scope no longer closes it. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Takes the pointer out of a variable: the scope no longer frees it. */
#define take_pointer(variable)                            \
	({                                                \
		__typeof__(variable) taken_ = (variable); \
		(variable) = NULL;                        \
		taken_;                                   \
	})

/* Closes *fd when it is open and marks it closed. */
static inline void close_fd(int *fd)
{
	cleanup_fd_function(fd);
	*fd = -1;
}

#endif
