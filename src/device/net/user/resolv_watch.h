// SPDX-License-Identifier: BSD-3-Clause
/*
 * Watches a file by its path, with inotify: every directory on the way that could give the path
 * another meaning, through symbolic links, and the file itself.
 */
#ifndef AVP_DEVICE_NET_USER_RESOLV_WATCH_H
#define AVP_DEVICE_NET_USER_RESOLV_WATCH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* Names on the way, those behind symbolic links counted too. */
#define RESOLV_WATCH_NAMES 64

struct resolv_watch {
	int inotify_fd; /* -1: changes cannot be noticed */
	int error;	/* why some change may not be noticed, an errno; 0: all are */
	size_t count;
	struct {
		int descriptor;
		char name[NAME_MAX + 1]; /* in the directory; "": the watched thing itself */
	} names[RESOLV_WATCH_NAMES];
	char found[PATH_MAX]; /* the file, or what is missing, without symbolic links */
};

/* Opens it: without inotify it still finds files. */
void resolv_watch_open(struct resolv_watch *watch);

/*
 * Finds where an absolute path leads, sets found, and watches the way there instead of what was
 * watched before. What changes after this call is an event; read the file after it. Returns 0, or
 * a negative errno when the way ends: what is missing is watched for.
 */
int resolv_watch_follow(struct resolv_watch *watch, const char *path);

/* Takes the events that are there. Returns whether one of them is a change. */
bool resolv_watch_take(struct resolv_watch *watch);

#endif
