// SPDX-License-Identifier: BSD-3-Clause
/*
 * Watches a file by its path, with inotify: every directory on the path whose change could make it
 * lead elsewhere, through symbolic links, and the file itself.
 */
#ifndef AVP_DEVICE_NET_USER_RESOLV_WATCH_H
#define AVP_DEVICE_NET_USER_RESOLV_WATCH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* Names on the path, including those of symbolic links' targets. */
#define RESOLV_WATCH_NAMES 64

struct resolv_watch {
	int inotify_fd; /* -1: changes cannot be noticed */
	int error;	/* why some change may not be noticed, an errno; 0: all are */
	size_t count;
	struct {
		int descriptor;
		char name[NAME_MAX +
			  1]; /* in the directory; "": the watched file or directory itself */
	} names[RESOLV_WATCH_NAMES];
	char found[PATH_MAX]; /* the file, or what is missing, without symbolic links */
};

/* Opens the watch; without inotify it still finds files. */
void resolv_watch_open(struct resolv_watch *watch);

/*
 * Resolves an absolute path, sets found, and watches the path instead of the previous one. Changes
 * after this call are events; read the file after it. Returns 0, or a negative errno when a name is
 * missing, whose appearance is watched for.
 */
int resolv_watch_follow(struct resolv_watch *watch, const char *path);

/* Reads the pending events. Returns whether one of them is a change. */
bool resolv_watch_take(struct resolv_watch *watch);

#endif
