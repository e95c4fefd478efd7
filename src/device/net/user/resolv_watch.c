// SPDX-License-Identifier: BSD-3-Clause
/*
 * Watches a path. The path is walked name by name, and each directory is watched before the next
 * name is looked up in it: an earlier change is seen by the lookup, a later one is an event.
 */
#include "device/net/user/resolv_watch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define DIRECTORY_EVENTS \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF)

/* A file is read after its writer has closed it. IN_ATTRIB: its mode changed, or it was removed. */
#define FILE_EVENTS (IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)

void resolv_watch_open(struct resolv_watch *watch)
{
	watch->count = 0;
	watch->error = 0;
	watch->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch->inotify_fd < 0)
		watch->error = errno;
}

static void forget_all(struct resolv_watch *watch)
{
	/* A watch may be listed more than once, and is gone if its directory is gone. */
	for (size_t i = 0; i < watch->count; i++)
		inotify_rm_watch(watch->inotify_fd, watch->names[i].descriptor);
	watch->count = 0;
	watch->error = watch->inotify_fd < 0 ? watch->error : 0;
}

static void add_watch(struct resolv_watch *watch, const char *path, uint32_t events,
		      const char *name)
{
	int descriptor;

	if (watch->inotify_fd < 0)
		return;
	if (watch->count == RESOLV_WATCH_NAMES) {
		watch->error = ENAMETOOLONG;
		return;
	}
	descriptor = inotify_add_watch(watch->inotify_fd, path, events | IN_MASK_ADD);
	if (descriptor < 0) {
		/* The watch of the directory reports when a missing file appears. */
		if (errno != ENOENT)
			watch->error = errno;
		return;
	}
	watch->names[watch->count].descriptor = descriptor;
	snprintf(watch->names[watch->count].name, sizeof(watch->names[0].name), "%s", name);
	watch->count++;
}

/* Takes the next name off @rest, or returns false at the end. */
static bool next_name(char *rest, char name[NAME_MAX + 1])
{
	size_t start = strspn(rest, "/"), length = strcspn(rest + start, "/");

	if (!length || length > NAME_MAX)
		return false;
	memcpy(name, rest + start, length);
	name[length] = 0;
	memmove(rest, rest + start + length, strlen(rest + start + length) + 1);
	return true;
}

/* Puts the target of a symbolic link before the rest of the path. */
static int take_link(char *found, char *directory_end, char *rest, const char *target)
{
	char way[PATH_MAX];

	if (snprintf(way, sizeof(way), "%s/%s", target, rest) >= (int)sizeof(way))
		return -ENAMETOOLONG;
	strcpy(rest, way);
	if (*target == '/')
		found[0] = 0;
	else
		*directory_end = 0;
	return 0;
}

/*
 * Goes from the directory found to @name in it. *found gets longer, or, after a symbolic link,
 * becomes another directory, with the rest of the path in @rest.
 */
static int step(struct resolv_watch *watch, const char *name, char *rest)
{
	char *end = watch->found + strlen(watch->found), target[PATH_MAX];
	ssize_t length;

	if (!strcmp(name, "."))
		return 0;
	if (!strcmp(name, "..")) {
		char *slash = strrchr(watch->found, '/');

		if (slash)
			*slash = 0;
		return 0;
	}
	add_watch(watch, *watch->found ? watch->found : "/", DIRECTORY_EVENTS, name);
	if ((size_t)(end - watch->found) + strlen(name) + 2 > sizeof(watch->found))
		return -ENAMETOOLONG;
	*end = '/';
	strcpy(end + 1, name);
	length = readlink(watch->found, target, sizeof(target) - 1);
	if (length < 0)
		return errno == EINVAL ? 0 : -errno;
	target[length] = 0;
	return take_link(watch->found, end, rest, target);
}

int resolv_watch_follow(struct resolv_watch *watch, const char *path)
{
	char rest[PATH_MAX], name[NAME_MAX + 1];
	int result = 0;

	forget_all(watch);
	watch->found[0] = 0;
	if (strlen(path) >= sizeof(rest))
		return -ENAMETOOLONG;
	strcpy(rest, path);
	for (int i = 0; result == 0 && next_name(rest, name); i++)
		result = i < RESOLV_WATCH_NAMES ? step(watch, name, rest) : -ELOOP;
	if (result == 0)
		add_watch(watch, watch->found, FILE_EVENTS, "");
	return result;
}

static bool is_change(const struct resolv_watch *watch, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW)
		return true;
	for (size_t i = 0; i < watch->count; i++) {
		if (watch->names[i].descriptor != event->wd)
			continue;
		/*
		 * An event of the directory or file itself; only that of the file is about its
		 * content.
		 */
		if (!event->len && event->mask & (FILE_EVENTS | IN_UNMOUNT))
			return true;
		if (event->len && !strcmp(event->name, watch->names[i].name))
			return true;
	}
	return false;
}

bool resolv_watch_take(struct resolv_watch *watch)
{
	char bytes[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool changed = false;
	ssize_t length = read(watch->inotify_fd, bytes, sizeof(bytes));

	for (ssize_t at = 0; at < length;) {
		const struct inotify_event *event = (const struct inotify_event *)(bytes + at);

		if (is_change(watch, event))
			changed = true;
		at += (ssize_t)(sizeof(*event) + event->len);
	}
	return changed;
}
