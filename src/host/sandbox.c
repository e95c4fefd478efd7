// SPDX-License-Identifier: BSD-3-Clause
/*
 * Gives up rights: privileges, capabilities, and with Landlock access by name. The system call
 * filter is in sandbox_filter.c.
 */
#include "host/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "host/sandbox_private.h"

/*
 * The accesses that a ruleset handles (Linux, Documentation/userspace-api/landlock.rst), as of
 * version 6; older headers lack some. A kernel accepts the part of the struct that it knows.
 */
struct ruleset {
	uint64_t files;
	uint64_t network; /* since version 4 */
	uint64_t scopes;  /* since version 6 */
};

#define BIND_TCP	       (UINT64_C(1) << 0)
#define CONNECT_TCP	       (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT_SOCKETS (UINT64_C(1) << 0)
#define SCOPE_SIGNALS	       (UINT64_C(1) << 1)

#define ALL_FILES(rights)      ((UINT64_C(1) << (rights)) - 1)
#define SIZE_UP_TO(field)      (offsetof(struct ruleset, field) + sizeof(uint64_t))

/* The accesses that each version of Landlock handles. */
static const struct {
	struct ruleset handled;
	size_t size;
} versions[] = {
	{{ALL_FILES(13), 0, 0}, SIZE_UP_TO(files)},
	{{ALL_FILES(14), 0, 0}, SIZE_UP_TO(files)}, /* refer */
	{{ALL_FILES(15), 0, 0}, SIZE_UP_TO(files)}, /* truncate */
	{{ALL_FILES(15), BIND_TCP | CONNECT_TCP, 0}, SIZE_UP_TO(network)},
	{{ALL_FILES(16), BIND_TCP | CONNECT_TCP, 0}, SIZE_UP_TO(network)}, /* ioctl on devices */
	{{ALL_FILES(16), BIND_TCP | CONNECT_TCP, SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS},
	 SIZE_UP_TO(scopes)},
};

/* Allows access @right to @path. */
static int allow_path(int ruleset, const char *path, uint64_t right, struct error *error)
{
	cleanup_fd int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = {.allowed_access = right, .parent_fd = fd};

	/* Skip paths that do not exist. */
	if (fd < 0)
		return 0;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return error_set_errno(error, errno, "sandbox: cannot allow access to %s", path);
	return 0;
}

int sandbox_landlock_version(void)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return version < 1 ? 0 : (int)version;
}

static bool removes_files(const struct sandbox_rights *rights)
{
	return rights->removable && *rights->removable;
}

static bool reads_files(const struct sandbox_rights *rights)
{
	return rights->readable && *rights->readable;
}

/*
 * Without Landlock the system call filter denies access by name to most processes. Those that must
 * read or remove files get a root directory of their own, or a warning.
 */
static void do_without_landlock(const struct sandbox_rights *rights)
{
	int result = -EBUSY;

	if (!reads_files(rights) && !removes_files(rights)) {
		log_debug("sandbox: this kernel has no Landlock");
		return;
	}
	/* Others also need sockets to connect to or to remove, outside of @readable. */
	if (rights->needs & SANDBOX_READER)
		result = sandbox_hide_files(rights->readable);
	if (result == 0)
		log_debug("sandbox: this kernel has no Landlock; a namespace hides files");
	else
		log_warning(
			"sandbox: this kernel has no Landlock, and no namespace hides files: an "
			"attacker who takes over this process can %s every file that its user "
			"can; `avp doctor` says what to do",
			!removes_files(rights) ? "read" :
			reads_files(rights)    ? "read and remove" :
						 "remove");
}

static int restrict_names(const struct sandbox_rights *rights, struct error *error)
{
	const int known = sizeof(versions) / sizeof(versions[0]);
	int version = sandbox_landlock_version();
	struct ruleset handled;
	cleanup_fd int ruleset = -1;
	const char *const *path;

	if (version < 1) {
		do_without_landlock(rights);
		return 0;
	}
	version = version < known ? version : known;
	handled = versions[version - 1].handled;
	if (rights->needs & SANDBOX_SOCKETS)
		handled.network &= ~CONNECT_TCP;
	ruleset =
		(int)syscall(SYS_landlock_create_ruleset, &handled, versions[version - 1].size, 0);
	if (ruleset < 0)
		return error_set_errno(error, errno, "sandbox: Landlock");
	for (path = rights->readable; path && *path; path++)
		if (allow_path(ruleset, *path, LANDLOCK_ACCESS_FS_READ_FILE, error) < 0)
			return -error->code;
	for (path = rights->removable; path && *path; path++)
		if (allow_path(ruleset, *path, LANDLOCK_ACCESS_FS_REMOVE_FILE, error) < 0)
			return -error->code;
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return error_set_errno(error, errno, "sandbox: Landlock");
	return 0;
}

int sandbox_apply_capabilities(struct error *error)
{
	/*
	 * Shrinking the bounding set needs a capability; without that none can be gained anyway.
	 */
	if (capng_apply(CAPNG_SELECT_BOTH) < 0 && capng_apply(CAPNG_SELECT_CAPS) < 0)
		return error_set(error, EPERM, "sandbox: cannot give up capabilities");
	return 0;
}

int sandbox_drop_rights(const struct sandbox_rights *rights, struct error *error)
{
	struct error own = {0};

	if (!error)
		error = &own;
	/* A program that this process might execute gets no more rights than this process has. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_set_errno(error, errno, "sandbox: no_new_privs");
	/* Before the capabilities are dropped: some of it needs them. */
	if (restrict_names(rights, error) < 0)
		return -error->code;
	capng_clear(CAPNG_SELECT_BOTH);
	if (sandbox_apply_capabilities(error) < 0)
		return -error->code;
	/*
	 * Keep guest memory out of core dumps, and keep processes of this user from attaching.
	 * Last, because it gives the files in /proc/self to root.
	 */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return error_set_errno(error, errno, "sandbox: dumpable");
	return 0;
}

int sandbox_lock_in(const struct sandbox_rights *rights, struct error *error)
{
	int result = sandbox_drop_rights(rights, error);

	return result < 0 ? result : sandbox_filter_calls(rights->needs, error);
}
