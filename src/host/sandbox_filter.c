// SPDX-License-Identifier: BSD-3-Clause
/*
 * The system calls that a sandboxed process may make, with conditions on arguments that are not
 * pointers. Each permission has its reason beside it.
 */
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/socket_option.h"
#include "host/sandbox.h"
#include "host/sandbox_private.h"

/* A condition on one argument of a call; none when mask is 0. */
struct condition {
	unsigned int argument;
	enum scmp_compare compare;
	uint64_t mask, value;
};

#define CONDITIONS 3

struct rule {
	unsigned int needs; /* 0: for all processes that serve, else for any of these */
	int call;
	struct condition conditions[CONDITIONS];
};

#define ALWAYS(name, ...)           \
	{                           \
		0, SCMP_SYS(name),  \
		{                   \
			__VA_ARGS__ \
		}                   \
	}
#define FOR(needs, name, ...)          \
	{                              \
		needs, SCMP_SYS(name), \
		{                      \
			__VA_ARGS__    \
		}                      \
	}

#define MASKED(argument, mask, value)                     \
	{                                                 \
		argument, SCMP_CMP_MASKED_EQ, mask, value \
	}
/* The kernel uses 32 bits of the argument. */
#define IS(argument, value)	 MASKED(argument, UINT32_MAX, value)
#define HAS(argument, flags)	 MASKED(argument, flags, flags)
#define HAS_NOT(argument, flags) MASKED(argument, flags, 0)
#define ONLY(argument, flags)	 MASKED(argument, UINT32_MAX & ~(uint64_t)(flags), 0)
/* A pointer. */
#define IS_NULL(argument) MASKED(argument, UINT64_MAX, 0)
/* No executable memory. */
#define NOT_EXECUTABLE HAS_NOT(2, PROT_EXEC)
/* No O_ASYNC, which could send signals to others. */
#define NO_SIGNALS	  HAS_NOT(2, O_ASYNC)
#define SOCKET_TYPE(type) MASKED(1, UINT32_MAX & ~(uint64_t)(SOCK_CLOEXEC | SOCK_NONBLOCK), type)

/* The flags of a thread, and those of a process, a tracee or a namespace. */
#define THREAD (CLONE_THREAD | CLONE_VM | CLONE_SIGHAND)
#define MORE_THAN_THREAD                                                             \
	(CLONE_PTRACE | CLONE_UNTRACED | CLONE_VFORK | CLONE_PARENT | CLONE_NEWNS |  \
	 CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | \
	 CLONE_NEWCGROUP | CLONE_PIDFD)

#define INTERNET_SOCKET(family, type, protocol) \
	FOR(SANDBOX_SOCKETS, socket, IS(0, family), SOCKET_TYPE(type), IS(2, protocol))
#define SOCKET_OPTION(level, name) FOR(SANDBOX_SOCKETS, setsockopt, IS(1, level), IS(2, name))

static const struct rule rules[] = {
	/* Messages of the frontend, with descriptors; accepting the next frontend. */
	ALWAYS(recvmsg),
	ALWAYS(sendmsg),
	ALWAYS(accept4),
	/* A channel for the device's state; the monitor's to each device process. */
	ALWAYS(socketpair, IS(0, AF_UNIX), SOCKET_TYPE(SOCK_STREAM)),
	ALWAYS(getsockopt, IS(1, SOL_SOCKET)),
	ALWAYS(close),
	/* The kind of a received descriptor, and O_NONBLOCK. */
	ALWAYS(fcntl, IS(1, F_GETFL)),
	ALWAYS(fcntl, IS(1, F_SETFL), NO_SIGNALS),
	ALWAYS(fcntl, IS(1, F_DUPFD_CLOEXEC)),
	ALWAYS(fstat),
	ALWAYS(newfstatat, HAS(3, AT_EMPTY_PATH)),
	ALWAYS(fstatfs),
	ALWAYS(lseek),
	/* Guest memory that the frontend shares, rings, malloc. */
	ALWAYS(mmap, NOT_EXECUTABLE),
	ALWAYS(mprotect, NOT_EXECUTABLE),
	ALWAYS(munmap),
	ALWAYS(mremap),
	ALWAYS(madvise),
	ALWAYS(brk),
	/* The record of requests in flight. */
	ALWAYS(memfd_create),
	ALWAYS(ftruncate),
	ALWAYS(fcntl, IS(1, F_ADD_SEALS)),
	/* Kicks, interrupts, signals and the log. */
	ALWAYS(read),
	ALWAYS(write),
	ALWAYS(preadv2),
	ALWAYS(writev),
	/* Reads this process's limits, to report which one a call exceeded. */
	ALWAYS(prlimit64, IS(0, 0), IS_NULL(2)),
	/* Waiting; arm64 has only the variants with a p. */
	ALWAYS(epoll_wait),
	ALWAYS(epoll_pwait),
	ALWAYS(epoll_ctl),
	ALWAYS(poll),
	ALWAYS(ppoll),
	ALWAYS(futex),
	/* Without a vDSO. */
	ALWAYS(clock_gettime),
	/* The handler for memory that the frontend takes away. */
	ALWAYS(rt_sigaction),
	ALWAYS(rt_sigprocmask),
	ALWAYS(rt_sigreturn),
	/*
	 * Exit, or abort, which signals this process (see add_own_signals).
	 */
	ALWAYS(exit),
	ALWAYS(exit_group),
	ALWAYS(getpid),
	ALWAYS(gettid),
	ALWAYS(restart_syscall),

	/* Synchronous transfers, or in threads. */
	FOR(SANDBOX_DISK, preadv),
	FOR(SANDBOX_DISK, pwritev),
	FOR(SANDBOX_DISK, pwritev2),
	FOR(SANDBOX_DISK, fdatasync),
	FOR(SANDBOX_DISK, fallocate),
	/* Releases the locks on the image at the end. */
	FOR(SANDBOX_DISK, fcntl, IS(1, F_SETLK)),
	FOR(SANDBOX_DISK, fcntl, IS(1, F_OFD_SETLK)),
	/* Bounds what its clients leave unread. */
	FOR(SANDBOX_CONTROL, setsockopt, IS(1, SOL_SOCKET), IS(2, SO_SNDBUF)),
	/* Leaves the log of who started it. */
	FOR(SANDBOX_CONTROL, dup3),
	/*
	 * Wake-ups, the seals of a channel that is offered, no descriptors from its other end, and
	 * timers.
	 */
	FOR(SANDBOX_CHANNEL, sendto, IS_NULL(4)),
	FOR(SANDBOX_CHANNEL, recvfrom),
	FOR(SANDBOX_CHANNEL, fcntl, IS(1, F_GET_SEALS)),
	FOR(SANDBOX_CHANNEL, setsockopt, IS(1, SOL_SOCKET), IS(2, SO_PASSRIGHTS)),
	FOR(SANDBOX_CHANNEL, timerfd_settime),
	/* Lines before the bytes of a connection, its end, and requests for another one. */
	FOR(SANDBOX_STREAMS, sendto, IS_NULL(4)),
	FOR(SANDBOX_STREAMS, recvfrom),
	FOR(SANDBOX_STREAMS, setsockopt, IS(1, SOL_SOCKET), IS(2, SO_OOBINLINE)),
	FOR(SANDBOX_STREAMS, setsockopt, IS(1, SOL_SOCKET), IS(2, SO_PASSRIGHTS)),
	FOR(SANDBOX_STREAMS, shutdown),
	/* The ring is restricted to transfers on the image: file_ring.c. */
	FOR(SANDBOX_RING, io_uring_enter),

	/* Enables queues of the tap, and sets the guest's offloads. */
	FOR(SANDBOX_TAP, ioctl, IS(1, TUNSETQUEUE)),
	FOR(SANDBOX_TAP, ioctl, IS(1, TUNSETOFFLOAD)),

	/* The guest's connections and pings, and connections to forwarded ports. */
	INTERNET_SOCKET(AF_INET, SOCK_STREAM, 0),
	INTERNET_SOCKET(AF_INET, SOCK_STREAM, IPPROTO_TCP),
	INTERNET_SOCKET(AF_INET, SOCK_DGRAM, 0),
	INTERNET_SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_UDP),
	INTERNET_SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_ICMP),
	INTERNET_SOCKET(AF_INET6, SOCK_STREAM, 0),
	INTERNET_SOCKET(AF_INET6, SOCK_STREAM, IPPROTO_TCP),
	INTERNET_SOCKET(AF_INET6, SOCK_DGRAM, 0),
	INTERNET_SOCKET(AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
	INTERNET_SOCKET(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6),
	FOR(SANDBOX_SOCKETS, connect),
	FOR(SANDBOX_SOCKETS, accept),
	FOR(SANDBOX_SOCKETS, getsockname),
	FOR(SANDBOX_SOCKETS, getpeername),
	SOCKET_OPTION(SOL_SOCKET, SO_REUSEADDR),
	SOCKET_OPTION(SOL_SOCKET, SO_OOBINLINE),
	SOCKET_OPTION(IPPROTO_TCP, TCP_NODELAY),
	SOCKET_OPTION(IPPROTO_IP, IP_TTL),
	SOCKET_OPTION(IPPROTO_IP, IP_RECVERR),
	SOCKET_OPTION(IPPROTO_IPV6, IPV6_RECVERR),
	SOCKET_OPTION(IPPROTO_IPV6, IPV6_UNICAST_HOPS),
	SOCKET_OPTION(IPPROTO_IPV6, IPV6_V6ONLY),
	FOR(SANDBOX_SOCKETS, sendto),
	FOR(SANDBOX_SOCKETS, recvfrom),
	FOR(SANDBOX_SOCKETS, readv),
	FOR(SANDBOX_SOCKETS, shutdown),
	FOR(SANDBOX_SOCKETS, ioctl, IS(1, FIONREAD)),
	FOR(SANDBOX_SOCKETS, ioctl, IS(1, FIONBIO)),
	FOR(SANDBOX_SOCKETS, fcntl, IS(1, F_GETFD)),
	FOR(SANDBOX_SOCKETS, fcntl, IS(1, F_SETFD)),
	/* Limits the descriptors for connections of the guest: slirp_sockets.c. */
	FOR(SANDBOX_SOCKETS, prlimit64, IS(0, 0), IS(1, RLIMIT_NOFILE)),
	/* libslirp and GLib want random numbers. */
	FOR(SANDBOX_SOCKETS | SANDBOX_RANDOM, getrandom),

	FOR(SANDBOX_TERMINAL, pread64),
	FOR(SANDBOX_TERMINAL, pwrite64),
	FOR(SANDBOX_TERMINAL, getpgid, IS(0, 0)),
	FOR(SANDBOX_TERMINAL, getpgrp),
	FOR(SANDBOX_TERMINAL, ioctl, IS(1, TCGETS)),
	FOR(SANDBOX_TERMINAL, ioctl, IS(1, TCSETS)),
	/* The same, as newer C libraries call it. */
	FOR(SANDBOX_TERMINAL, ioctl, IS(1, TCGETS2)),
	FOR(SANDBOX_TERMINAL, ioctl, IS(1, TCSETS2)),
	FOR(SANDBOX_TERMINAL, ioctl, IS(1, TIOCGPGRP)),
	FOR(SANDBOX_TERMINAL, ioctl, IS(1, TIOCGWINSZ)),
	FOR(SANDBOX_TERMINAL, sendto, IS_NULL(4)),
	FOR(SANDBOX_TERMINAL, recvfrom),
	/* The check whether the console came to the foreground. */
	FOR(SANDBOX_TERMINAL, timerfd_settime),

	/* Virtual machines and vCPUs; all of KVM's ioctls have its type. */
	FOR(SANDBOX_MONITOR, ioctl, MASKED(1, 0xff00, KVMIO << 8)),
	/* Loads the kernel, again after a reset, with new threads for the vCPUs. */
	FOR(SANDBOX_MONITOR, pread64),
	FOR(SANDBOX_MONITOR, pwrite64),
	FOR(SANDBOX_MONITOR, clone, MASKED(0, THREAD | MORE_THAN_THREAD, THREAD)),
	FOR(SANDBOX_MONITOR, set_robust_list),
	FOR(SANDBOX_MONITOR, rseq),
	FOR(SANDBOX_MONITOR, prctl, IS(0, PR_SET_NAME)),
	FOR(SANDBOX_MONITOR, sched_getaffinity, IS(0, 0)),
	/* For each device process: eventfds, a thread and a timer. */
	FOR(SANDBOX_MONITOR, eventfd2),
	FOR(SANDBOX_MONITOR, epoll_create1),
	FOR(SANDBOX_MONITOR, timerfd_create),
	FOR(SANDBOX_MONITOR, timerfd_settime),
	FOR(SANDBOX_MONITOR, shutdown),
	/* Whether a file that a device process maps into shared memory may shrink. */
	FOR(SANDBOX_MONITOR, fcntl, IS(1, F_GET_SEALS)),
	/* The lines of the control socket. */
	FOR(SANDBOX_MONITOR, sendto, IS_NULL(4)),
	FOR(SANDBOX_MONITOR, recvfrom),
	/*
	 * Clears memory of firmware at a reset; writes out the device tree, if requested.
	 */
	FOR(SANDBOX_MONITOR, fallocate),
	/* Random seeds in the device tree. */
	FOR(SANDBOX_MONITOR, getrandom),

	/* Connects to device processes. */
	FOR(SANDBOX_BROKER, socket, IS(0, AF_UNIX), SOCKET_TYPE(SOCK_STREAM), IS(2, 0)),
	FOR(SANDBOX_BROKER, connect),
	FOR(SANDBOX_BROKER, recvfrom),
	/* Opens the run times of the monitor's threads by name. */
	FOR(SANDBOX_TIMES, openat, ONLY(2, O_CLOEXEC)),

	FOR(SANDBOX_UNLINK, unlink),
	FOR(SANDBOX_UNLINK, unlinkat, IS(2, 0)),
	FOR(SANDBOX_UNLINK, newfstatat),

	/* Reads a file again and again, and its path; reports on one socket. */
	FOR(SANDBOX_READER, openat, ONLY(2, O_CLOEXEC | O_NONBLOCK | O_NOCTTY)),
	FOR(SANDBOX_READER, read),
	FOR(SANDBOX_READER, write),
	FOR(SANDBOX_READER, close),
	FOR(SANDBOX_READER, readlink),
	FOR(SANDBOX_READER, readlinkat),
	FOR(SANDBOX_READER, inotify_add_watch),
	FOR(SANDBOX_READER, inotify_rm_watch),
	FOR(SANDBOX_READER, poll),
	FOR(SANDBOX_READER, ppoll),
	FOR(SANDBOX_READER, sendto, IS_NULL(4)),
	/* The index of the interface in an address. */
	FOR(SANDBOX_READER, ioctl, IS(1, SIOCGIFINDEX)),
	/* Memory used for making this filter is freed. */
	FOR(SANDBOX_READER, munmap),
	FOR(SANDBOX_READER, madvise),
	FOR(SANDBOX_READER, brk),
	FOR(SANDBOX_READER, restart_syscall),
	FOR(SANDBOX_READER, exit_group),
};

static int allow(scmp_filter_ctx filter, int call, const struct condition *conditions)
{
	struct scmp_arg_cmp compare[CONDITIONS];
	unsigned int count = 0;

	for (; count < CONDITIONS && conditions[count].mask; count++)
		compare[count] =
			(struct scmp_arg_cmp){conditions[count].argument, conditions[count].compare,
					      conditions[count].mask, conditions[count].value};
	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, count, compare);
}

static bool applies(const struct rule *rule, unsigned int needs)
{
	return rule->needs ? rule->needs & needs : !(needs & SANDBOX_READER);
}

static int add_rules(scmp_filter_ctx filter, unsigned int needs)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < sizeof(rules) / sizeof(rules[0]); i++)
		/* A negative number: this architecture lacks the call. */
		if (rules[i].call >= 0 && applies(&rules[i], needs))
			result = allow(filter, rules[i].call, rules[i].conditions);
	return result;
}

/* Allows signals to threads of this process only. */
static int add_own_signals(scmp_filter_ctx filter)
{
	const struct condition own[CONDITIONS] = {IS(0, (uint64_t)getpid())};

	return allow(filter, SCMP_SYS(tgkill), own);
}

int sandbox_filter_begin(scmp_filter_ctx *filter, uint32_t action, struct error *error)
{
	int result;

	*filter = seccomp_init(action);
	if (!*filter)
		return error_set(error, ENOMEM, "sandbox: no memory for the filter");
	result = seccomp_attr_set(*filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM));
	return result < 0 ? error_set_errno(error, -result, "sandbox: system call filter") : 0;
}

void sandbox_filter_release(scmp_filter_ctx *filter)
{
	seccomp_release(*filter);
	*filter = NULL;
}

int sandbox_filter_calls(unsigned int needs, struct error *error)
{
	cleanup_filter scmp_filter_ctx filter = NULL;
	int result = sandbox_filter_begin(&filter, SCMP_ACT_ERRNO(EPERM), error);

	if (result < 0)
		return result;
	/* For all threads. */
	result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (result == 0)
		result = add_rules(filter, needs);
	if (result == 0 && !(needs & SANDBOX_READER))
		result = add_own_signals(filter);
	/*
	 * The filter runs at each exit of a vCPU: check that call first.
	 */
	if (result == 0 && (needs & SANDBOX_MONITOR))
		result = seccomp_syscall_priority(filter, SCMP_SYS(ioctl), UINT8_MAX);
	/* The C library falls back to clone. */
	if (result == 0)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (result == 0)
		result = seccomp_load(filter);
	if (result < 0)
		return error_set_errno(error, -result, "sandbox: system call filter");
	sandbox_filter_release(&filter);
	/* Making the filter took more memory than the process will use. */
	malloc_trim(0);
	return 0;
}
