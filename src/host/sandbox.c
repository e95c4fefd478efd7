// SPDX-License-Identifier: BSD-3-Clause
/*
 * Gives up rights: privileges, capabilities, and by Landlock what has a name. The system calls are
 * in sandbox_filter.c.
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
 * What a ruleset handles (Linux, Documentation/userspace-api/landlock.rst), as of version 6; older
 * headers know less of it. A kernel takes as much of the struct as its version has.
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

/* All rights of Landlock's versions, of which a kernel knows the first so many. */
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

/* Leaves @right to what is at @path. */
static int allow_path(int ruleset, const char *path, uint64_t right, struct error *error)
{
	cleanup_fd int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = {.allowed_access = right, .parent_fd = fd};

	/* What is not there needs no right. */
	if (fd < 0)
		return 0;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return error_set_errno(error, errno, "sandbox: cannot leave access to %s", path);
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
 * Without Landlock the system call filter keeps names out of most processes. Those that it has to
 * let read or remove files get a root directory of their own, or say what they could do.
 */
static void do_without_landlock(const struct sandbox_rights *rights)
{
	int result = -EBUSY;

	if (!reads_files(rights) && !removes_files(rights)) {
		log_debug("sandbox: this kernel has no Landlock");
		return;
	}
	/* Others have use for more than what they read: sockets to connect to, or to be removed. */
	if (rights->needs & SANDBOX_READER)
		result = sandbox_hide_files(rights->readable);
	if (result == 0)
		log_debug("sandbox: this kernel has no Landlock; a namespace hides files");
	else
		log_warning(
			"sandbox: this kernel has no Landlock, and no namespace hides files: if "
			"this process is taken over it can %s every file that its user can; "
			"`avp doctor` says what to do",
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
	 * The bounding set takes a capability to shrink; without it nothing can be gained anyway.
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
	/* Nothing that is executed, should it come to that, gets more rights than we have. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_set_errno(error, errno, "sandbox: no_new_privs");
	/* Some of it takes capabilities. */
	if (restrict_names(rights, error) < 0)
		return -error->code;
	capng_clear(CAPNG_SELECT_BOTH);
	if (sandbox_apply_capabilities(error) < 0)
		return -error->code;
	/*
	 * Guest memory does not get into core dumps, and no process of this user can attach. Last:
	 * what such a process has in /proc is not its own.
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
