// SPDX-License-Identifier: BSD-3-Clause
/*
 * Finds the kernel of this machine.
 */
#include "guest/config/host_kernel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/config/kernel_image.h"

#define KERNEL "vmlinuz"

/* What the initial file system of /boot/vmlinuz-VERSION is called: Debian, SUSE, Fedora. */
static const struct {
	const char *before, *after;
} initrd_names[] = {{"initrd.img-", ""}, {"initrd-", ""}, {"initramfs-", ".img"}};

static bool is_file(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
}

/* Stores a pair of existing files unless a better one was found. Returns whether it is readable. */
static bool consider(struct host_kernel *found, const struct host_kernel *pair)
{
	struct kernel_image image;
	bool readable;

	if (!is_file(pair->kernel) || !is_file(pair->initrd))
		return false;
	readable = faccessat(AT_FDCWD, pair->kernel, R_OK, AT_EACCESS) == 0 &&
		   faccessat(AT_FDCWD, pair->initrd, R_OK, AT_EACCESS) == 0;
	if (readable && kernel_image_check(pair->kernel, &image, NULL) < 0)
		return false;
	if (readable || !found->kernel[0]) {
		*found = *pair;
		found->readable = readable;
	}
	return readable;
}

static bool join(char path[PATH_MAX], const char *root, const char *name)
{
	return snprintf(path, PATH_MAX, "%s%s", root, name) < PATH_MAX;
}

/* Debian's links, in / or, depending on kernel-img.conf, in /boot. */
static bool find_links(struct host_kernel *found, const char *root)
{
	static const char *const places[] = {"/", "/boot/"};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct host_kernel pair = {.readable = false};
		char place[PATH_MAX];

		if (join(place, root, places[i]) && join(pair.kernel, place, KERNEL) &&
		    join(pair.initrd, place, "initrd.img") && consider(found, &pair))
			return true;
	}
	return false;
}

static bool consider_version(struct host_kernel *found, const char *boot, const char *kernel)
{
	const char *version = kernel + strlen(KERNEL "-");

	for (size_t i = 0; i < sizeof(initrd_names) / sizeof(initrd_names[0]); i++) {
		struct host_kernel pair = {.readable = false};
		char name[NAME_MAX + 32];

		snprintf(name, sizeof(name), "%s%s%s", initrd_names[i].before, version,
			 initrd_names[i].after);
		if (join(pair.kernel, boot, kernel) && join(pair.initrd, boot, name) &&
		    consider(found, &pair))
			return true;
	}
	return false;
}

static int is_versioned(const struct dirent *entry)
{
	return !strncmp(entry->d_name, KERNEL "-", strlen(KERNEL "-"));
}

static void find_versions(struct host_kernel *found, const char *root)
{
	struct dirent **entries = NULL;
	char boot[PATH_MAX];
	bool best = false;
	int count;

	if (!join(boot, root, "/boot/"))
		return;
	count = scandir(boot, &entries, is_versioned, versionsort);
	for (int i = count - 1; i >= 0; i--) {
		best = best || consider_version(found, boot, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}

bool host_kernel_find(struct host_kernel *found, const char *root)
{
	*found = (struct host_kernel){.readable = false};
	if (!find_links(found, root))
		find_versions(found, root);
	return found->kernel[0];
}
