// SPDX-License-Identifier: BSD-3-Clause
/*
 * Locks a device process in: capabilities, Landlock, seccomp. Each right that stays has its reason
 * beside it.
 */
#include "backend/sandbox.h"

#include <asm/termbits.h>
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/landlock.h>
#include <malloc.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

/* All rights to files of Landlock's versions 1 to 5, of which a kernel knows the first so many. */
static const uint64_t landlock_rights[] = {
	(UINT64_C(1) << 13) - 1, /* version 1 */
	(UINT64_C(1) << 14) - 1, /* 2: refer */
	(UINT64_C(1) << 15) - 1, /* 3: truncate */
	(UINT64_C(1) << 15) - 1, /* 4: for the network */
	(UINT64_C(1) << 16) - 1, /* 5: ioctl on devices */
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

static int restrict_files(const char *readable, const char *const *removable, struct error *error)
{
	const long known = sizeof(landlock_rights) / sizeof(landlock_rights[0]);
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct landlock_ruleset_attr attributes;
	cleanup_fd int ruleset = -1;

	if (version < 1) {
		log_debug("sandbox: this kernel has no Landlock");
		return 0;
	}
	attributes.handled_access_fs = landlock_rights[(version < known ? version : known) - 1];
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(uint64_t), 0);
	if (ruleset < 0)
		return error_set_errno(error, errno, "sandbox: Landlock");
	if (readable && allow_path(ruleset, readable, LANDLOCK_ACCESS_FS_READ_FILE, error) < 0)
		return -error->code;
	for (; removable && *removable; removable++)
		if (allow_path(ruleset, *removable, LANDLOCK_ACCESS_FS_REMOVE_FILE, error) < 0)
			return -error->code;
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return error_set_errno(error, errno, "sandbox: Landlock");
	return 0;
}

int sandbox_drop_rights(const char *readable, const char *const *removable, struct error *error)
{
	struct error own = {0};

	if (!error)
		error = &own;
	/* Nothing that is executed, should it come to that, gets more rights than we have. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_set_errno(error, errno, "sandbox: no_new_privs");
	/* Guest memory does not get into core dumps, and no process of this user can attach. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return error_set_errno(error, errno, "sandbox: dumpable");
	capng_clear(CAPNG_SELECT_BOTH);
	/* The bounding set takes a capability to shrink; without it nothing can be gained anyway. */
	if (capng_apply(CAPNG_SELECT_BOTH) < 0 && capng_apply(CAPNG_SELECT_CAPS) < 0)
		return error_set(error, EPERM, "sandbox: cannot give up capabilities");
	return restrict_files(readable, removable, error);
}

/* A condition on one argument of a call; none when mask is 0. */
struct condition {
	unsigned int argument;
	enum scmp_compare compare;
	uint64_t mask, value;
};

struct rule {
	unsigned int needs; /* 0: always, else for any of these */
	int call;
	struct condition condition;
};

#define ANY                          \
	{                            \
		0, SCMP_CMP_NE, 0, 0 \
	}
#define IS(argument, value)                                     \
	{                                                       \
		argument, SCMP_CMP_MASKED_EQ, UINT32_MAX, value \
	}
/* Memory that could be executed is never made. */
#define NOT_EXECUTABLE                              \
	{                                           \
		2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 \
	}

static const struct rule rules[] = {
	/* Messages of the frontend, with descriptors; a next frontend after this one. */
	{0, SCMP_SYS(recvmsg), ANY},
	{0, SCMP_SYS(sendmsg), ANY},
	{0, SCMP_SYS(accept4), ANY},
	{0, SCMP_SYS(getsockopt), ANY},
	{0, SCMP_SYS(close), ANY},
	/* What kind of descriptor came. */
	{0, SCMP_SYS(fcntl), ANY},
	{0, SCMP_SYS(fstat), ANY},
	{0, SCMP_SYS(newfstatat), {3, SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH}},
	{0, SCMP_SYS(fstatfs), ANY},
	{0, SCMP_SYS(lseek), ANY},
	/* Guest memory that the frontend shares, rings, and what malloc wants. */
	{0, SCMP_SYS(mmap), NOT_EXECUTABLE},
	{0, SCMP_SYS(mprotect), NOT_EXECUTABLE},
	{0, SCMP_SYS(munmap), ANY},
	{0, SCMP_SYS(mremap), ANY},
	{0, SCMP_SYS(madvise), ANY},
	{0, SCMP_SYS(brk), ANY},
	/* The record of requests in flight. */
	{0, SCMP_SYS(memfd_create), ANY},
	{0, SCMP_SYS(ftruncate), ANY},
	/* Kicks, interrupts, signals and the log. */
	{0, SCMP_SYS(read), ANY},
	{0, SCMP_SYS(write), ANY},
	{0, SCMP_SYS(preadv2), ANY},
	{0, SCMP_SYS(writev), ANY},
	/* Waiting; arm64 has only the calls with a p. */
	{0, SCMP_SYS(epoll_wait), ANY},
	{0, SCMP_SYS(epoll_pwait), ANY},
	{0, SCMP_SYS(epoll_ctl), ANY},
	{0, SCMP_SYS(poll), ANY},
	{0, SCMP_SYS(ppoll), ANY},
	{0, SCMP_SYS(futex), ANY},
	/* Without a vDSO. */
	{0, SCMP_SYS(clock_gettime), ANY},
	/* The handler for memory that the frontend takes away. */
	{0, SCMP_SYS(rt_sigaction), ANY},
	{0, SCMP_SYS(rt_sigprocmask), ANY},
	{0, SCMP_SYS(rt_sigreturn), ANY},
	/* The end: by itself, or by abort. */
	{0, SCMP_SYS(exit), ANY},
	{0, SCMP_SYS(exit_group), ANY},
	{0, SCMP_SYS(getpid), ANY},
	{0, SCMP_SYS(gettid), ANY},
	{0, SCMP_SYS(tgkill), ANY},
	{0, SCMP_SYS(restart_syscall), ANY},

	/* Reads and writes at once, or by threads. */
	{SANDBOX_DISK, SCMP_SYS(preadv), ANY},
	{SANDBOX_DISK, SCMP_SYS(pwritev), ANY},
	{SANDBOX_DISK, SCMP_SYS(pwritev2), ANY},
	{SANDBOX_DISK, SCMP_SYS(fdatasync), ANY},
	{SANDBOX_DISK, SCMP_SYS(fallocate), ANY},
	/* The ring itself takes nothing but transfers on the image: file_ring.c. */
	{SANDBOX_DISK, SCMP_SYS(io_uring_enter), ANY},

	/* Which queues of the tap are used, and what the guest computes itself. */
	{SANDBOX_TAP, SCMP_SYS(ioctl), IS(1, TUNSETQUEUE)},
	{SANDBOX_TAP, SCMP_SYS(ioctl), IS(1, TUNSETOFFLOAD)},

	/* The guest's connections, and those that port forwards take. */
	{SANDBOX_SOCKETS, SCMP_SYS(socket), ANY},
	{SANDBOX_SOCKETS, SCMP_SYS(connect), ANY},
	{SANDBOX_SOCKETS, SCMP_SYS(bind), ANY},
	{SANDBOX_SOCKETS, SCMP_SYS(listen), ANY},
	{SANDBOX_SOCKETS, SCMP_SYS(accept), ANY},
	{SANDBOX_SOCKETS, SCMP_SYS(getsockname), ANY},
	{SANDBOX_SOCKETS, SCMP_SYS(getpeername), ANY},
	{SANDBOX_SOCKETS, SCMP_SYS(setsockopt), ANY},
	{SANDBOX_SOCKETS, SCMP_SYS(sendto), ANY},
	{SANDBOX_SOCKETS, SCMP_SYS(recvfrom), ANY},
	{SANDBOX_SOCKETS, SCMP_SYS(readv), ANY},
	{SANDBOX_SOCKETS, SCMP_SYS(shutdown), ANY},
	{SANDBOX_SOCKETS, SCMP_SYS(ioctl), IS(1, FIONREAD)},
	{SANDBOX_SOCKETS, SCMP_SYS(ioctl), IS(1, FIONBIO)},
	/* Descriptors for connections of the guest, or none for a while: slirp_sockets.c. */
	{SANDBOX_SOCKETS, SCMP_SYS(prlimit64), IS(0, 0)},
	/* The host's name servers, which change while we run: reading only. */
	{SANDBOX_SOCKETS, SCMP_SYS(newfstatat), ANY},
	{SANDBOX_SOCKETS, SCMP_SYS(stat), ANY},
	{SANDBOX_SOCKETS, SCMP_SYS(openat), {2, SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT, O_RDONLY}},
	/* libslirp and GLib want random numbers. */
	{SANDBOX_SOCKETS | SANDBOX_RANDOM, SCMP_SYS(getrandom), ANY},

	{SANDBOX_TERMINAL, SCMP_SYS(pread64), ANY},
	{SANDBOX_TERMINAL, SCMP_SYS(pwrite64), ANY},
	{SANDBOX_TERMINAL, SCMP_SYS(getpgid), ANY},
	{SANDBOX_TERMINAL, SCMP_SYS(getpgrp), ANY},
	{SANDBOX_TERMINAL, SCMP_SYS(ioctl), IS(1, TCGETS)},
	{SANDBOX_TERMINAL, SCMP_SYS(ioctl), IS(1, TCSETS)},
	/* For the same, in C libraries that know all speeds. */
	{SANDBOX_TERMINAL, SCMP_SYS(ioctl), IS(1, TCGETS2)},
	{SANDBOX_TERMINAL, SCMP_SYS(ioctl), IS(1, TCSETS2)},
	{SANDBOX_TERMINAL, SCMP_SYS(ioctl), IS(1, TIOCGPGRP)},
	{SANDBOX_TERMINAL, SCMP_SYS(ioctl), IS(1, TIOCGWINSZ)},
	{SANDBOX_TERMINAL, SCMP_SYS(sendto), ANY},
	{SANDBOX_TERMINAL, SCMP_SYS(recvfrom), ANY},

	/* Virtual machines and processors; all of KVM's requests have its type. */
	{SANDBOX_MONITOR, SCMP_SYS(ioctl), {1, SCMP_CMP_MASKED_EQ, 0xff00, KVMIO << 8}},
	/* A reset: the kernel is loaded again, and the processors get new threads. */
	{SANDBOX_MONITOR, SCMP_SYS(pread64), ANY},
	{SANDBOX_MONITOR, SCMP_SYS(pwrite64), ANY},
	{SANDBOX_MONITOR,
	 SCMP_SYS(clone),
	 {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM}},
	{SANDBOX_MONITOR, SCMP_SYS(set_robust_list), ANY},
	{SANDBOX_MONITOR, SCMP_SYS(rseq), ANY},
	{SANDBOX_MONITOR, SCMP_SYS(prctl), IS(0, PR_SET_NAME)},
	{SANDBOX_MONITOR, SCMP_SYS(sched_getaffinity), ANY},
	/* A device process that is back is connected to again, with new eventfds. */
	{SANDBOX_MONITOR, SCMP_SYS(socket), IS(0, AF_UNIX)},
	{SANDBOX_MONITOR, SCMP_SYS(connect), ANY},
	{SANDBOX_MONITOR, SCMP_SYS(socketpair), IS(0, AF_UNIX)},
	{SANDBOX_MONITOR, SCMP_SYS(eventfd2), ANY},
	{SANDBOX_MONITOR, SCMP_SYS(timerfd_settime), ANY},
	{SANDBOX_MONITOR, SCMP_SYS(shutdown), ANY},
	/* The lines of the control socket. */
	{SANDBOX_MONITOR, SCMP_SYS(sendto), ANY},
	{SANDBOX_MONITOR, SCMP_SYS(recvfrom), ANY},
	/* How long a vCPU's thread has run: with Landlock nothing else can be read. */
	{SANDBOX_MONITOR, SCMP_SYS(openat), {2, SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT, O_RDONLY}},
	/* Memory of firmware is cleared at a reset; the device tree is written out, if asked for. */
	{SANDBOX_MONITOR, SCMP_SYS(fallocate), ANY},
	/* What the device tree is seeded with. */
	{SANDBOX_MONITOR, SCMP_SYS(getrandom), ANY},

	{SANDBOX_UNLINK, SCMP_SYS(unlink), ANY},
	{SANDBOX_UNLINK, SCMP_SYS(unlinkat), ANY},
	{SANDBOX_UNLINK, SCMP_SYS(newfstatat), ANY},
};

static int add_rule(scmp_filter_ctx filter, const struct rule *rule)
{
	const struct condition *condition = &rule->condition;
	struct scmp_arg_cmp compare = {condition->argument, condition->compare, condition->mask,
				       condition->value};

	/* A call that this architecture does not have. */
	if (rule->call < 0)
		return 0;
	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rule->call, condition->mask ? 1 : 0,
				      &compare);
}

static void release_filter(scmp_filter_ctx *filter)
{
	seccomp_release(*filter);
}

int sandbox_filter_calls(unsigned int needs, struct error *error)
{
	__attribute__((cleanup(release_filter)))
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int result;

	if (!filter)
		return error_set(error, ENOMEM, "sandbox: no memory for the filter");
	/* All threads. */
	result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	for (size_t i = 0; result == 0 && i < sizeof(rules) / sizeof(rules[0]); i++)
		if (!rules[i].needs || (rules[i].needs & needs))
			result = add_rule(filter, &rules[i]);
	/* The filter is asked with each exit of a virtual processor: what that calls comes first. */
	if (result == 0 && (needs & SANDBOX_MONITOR))
		result = seccomp_syscall_priority(filter, SCMP_SYS(ioctl), UINT8_MAX);
	/* The C library takes this as "not known here", and does without. */
	if (result == 0)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (result == 0)
		result = seccomp_load(filter);
	if (result < 0)
		return error_set_errno(error, -result, "sandbox: system call filter");
	release_filter(&filter);
	filter = NULL;
	/* Making the filter took more memory than all that is to come. */
	malloc_trim(0);
	return 0;
}
