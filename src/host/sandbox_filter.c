// SPDX-License-Identifier: BSD-3-Clause
/*
 * The system calls that a process which is locked in may make, with their arguments as far as they
 * are values. Each right that stays has its reason beside it.
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
	unsigned int needs; /* 0: for all that serve, else for any of these */
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
/* The kernel looks at 32 bits. */
#define IS(argument, value)	 MASKED(argument, UINT32_MAX, value)
#define HAS(argument, flags)	 MASKED(argument, flags, flags)
#define HAS_NOT(argument, flags) MASKED(argument, flags, 0)
#define ONLY(argument, flags)	 MASKED(argument, UINT32_MAX & ~(uint64_t)(flags), 0)
/* A pointer. */
#define IS_NULL(argument) MASKED(argument, UINT64_MAX, 0)
/* Memory that could be executed is never made. */
#define NOT_EXECUTABLE HAS_NOT(2, PROT_EXEC)
/* Signals are not asked for: they could be sent to others. */
#define NO_SIGNALS	  HAS_NOT(2, O_ASYNC)
#define SOCKET_TYPE(type) MASKED(1, UINT32_MAX & ~(uint64_t)(SOCK_CLOEXEC | SOCK_NONBLOCK), type)

/* What makes a thread, and what would make more of it: a process, a tracee, a namespace. */
#define THREAD (CLONE_THREAD | CLONE_VM | CLONE_SIGHAND)
#define MORE_THAN_THREAD                                                             \
	(CLONE_PTRACE | CLONE_UNTRACED | CLONE_VFORK | CLONE_PARENT | CLONE_NEWNS |  \
	 CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | \
	 CLONE_NEWCGROUP | CLONE_PIDFD)

#define INTERNET_SOCKET(family, type, protocol) \
	FOR(SANDBOX_SOCKETS, socket, IS(0, family), SOCKET_TYPE(type), IS(2, protocol))
#define SOCKET_OPTION(level, name) FOR(SANDBOX_SOCKETS, setsockopt, IS(1, level), IS(2, name))

static const struct rule rules[] = {
	/* Messages of the frontend, with descriptors; a next frontend after this one. */
	ALWAYS(recvmsg),
	ALWAYS(sendmsg),
	ALWAYS(accept4),
	ALWAYS(getsockopt, IS(1, SOL_SOCKET)),
	ALWAYS(close),
	/* What kind of descriptor came; whether it waits. */
	ALWAYS(fcntl, IS(1, F_GETFL)),
	ALWAYS(fcntl, IS(1, F_SETFL), NO_SIGNALS),
	ALWAYS(fcntl, IS(1, F_DUPFD_CLOEXEC)),
	ALWAYS(fstat),
	ALWAYS(newfstatat, HAS(3, AT_EMPTY_PATH)),
	ALWAYS(fstatfs),
	ALWAYS(lseek),
	/* Guest memory that the frontend shares, rings, and what malloc wants. */
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
	/* To say which limit a call ran into: its own limits are read, not set. */
	ALWAYS(prlimit64, IS(0, 0), IS_NULL(2)),
	/* Waiting; arm64 has only the calls with a p. */
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
	 * The end: by itself, or by abort, whose signal is for this process (see add_own_signals).
	 */
	ALWAYS(exit),
	ALWAYS(exit_group),
	ALWAYS(getpid),
	ALWAYS(gettid),
	ALWAYS(restart_syscall),

	/* Reads and writes at once, or by threads. */
	FOR(SANDBOX_DISK, preadv),
	FOR(SANDBOX_DISK, pwritev),
	FOR(SANDBOX_DISK, pwritev2),
	FOR(SANDBOX_DISK, fdatasync),
	FOR(SANDBOX_DISK, fallocate),
	/* The locks on the image are given back in the end. */
	FOR(SANDBOX_DISK, fcntl, IS(1, F_SETLK)),
	FOR(SANDBOX_DISK, fcntl, IS(1, F_OFD_SETLK)),
	/* The ring itself takes nothing but transfers on the image: file_ring.c. */
	FOR(SANDBOX_RING, io_uring_enter),

	/* Which queues of the tap are used, and what the guest computes itself. */
	FOR(SANDBOX_TAP, ioctl, IS(1, TUNSETQUEUE)),
	FOR(SANDBOX_TAP, ioctl, IS(1, TUNSETOFFLOAD)),

	/* The guest's connections and pings, and those that port forwards take. */
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
	/* Descriptors for connections of the guest, or none for a while: slirp_sockets.c. */
	FOR(SANDBOX_SOCKETS, prlimit64, IS(0, 0), IS(1, RLIMIT_NOFILE)),
	/* libslirp and GLib want random numbers. */
	FOR(SANDBOX_SOCKETS | SANDBOX_RANDOM, getrandom),

	FOR(SANDBOX_TERMINAL, pread64),
	FOR(SANDBOX_TERMINAL, pwrite64),
	FOR(SANDBOX_TERMINAL, getpgid, IS(0, 0)),
	FOR(SANDBOX_TERMINAL, getpgrp),
	FOR(SANDBOX_TERMINAL, ioctl, IS(1, TCGETS)),
	FOR(SANDBOX_TERMINAL, ioctl, IS(1, TCSETS)),
	/* For the same, in C libraries that know all speeds. */
	FOR(SANDBOX_TERMINAL, ioctl, IS(1, TCGETS2)),
	FOR(SANDBOX_TERMINAL, ioctl, IS(1, TCSETS2)),
	FOR(SANDBOX_TERMINAL, ioctl, IS(1, TIOCGPGRP)),
	FOR(SANDBOX_TERMINAL, ioctl, IS(1, TIOCGWINSZ)),
	FOR(SANDBOX_TERMINAL, sendto, IS_NULL(4)),
	FOR(SANDBOX_TERMINAL, recvfrom),
	/* In the background it is looked at now and then. */
	FOR(SANDBOX_TERMINAL, timerfd_settime),

	/* Virtual machines and processors; all of KVM's requests have its type. */
	FOR(SANDBOX_MONITOR, ioctl, MASKED(1, 0xff00, KVMIO << 8)),
	/* The kernel is loaded, again after a reset, and the processors get new threads. */
	FOR(SANDBOX_MONITOR, pread64),
	FOR(SANDBOX_MONITOR, pwrite64),
	FOR(SANDBOX_MONITOR, clone, MASKED(0, THREAD | MORE_THAN_THREAD, THREAD)),
	FOR(SANDBOX_MONITOR, set_robust_list),
	FOR(SANDBOX_MONITOR, rseq),
	FOR(SANDBOX_MONITOR, prctl, IS(0, PR_SET_NAME)),
	FOR(SANDBOX_MONITOR, sched_getaffinity, IS(0, 0)),
	/* Each device process gets a channel for its messages, eventfds, a thread and a timer. */
	FOR(SANDBOX_MONITOR, socketpair, IS(0, AF_UNIX), SOCKET_TYPE(SOCK_STREAM)),
	FOR(SANDBOX_MONITOR, eventfd2),
	FOR(SANDBOX_MONITOR, epoll_create1),
	FOR(SANDBOX_MONITOR, timerfd_create),
	FOR(SANDBOX_MONITOR, timerfd_settime),
	FOR(SANDBOX_MONITOR, shutdown),
	/* The lines of the control socket. */
	FOR(SANDBOX_MONITOR, sendto, IS_NULL(4)),
	FOR(SANDBOX_MONITOR, recvfrom),
	/*
	 * Memory of firmware is cleared at a reset; the device tree is written out, if asked for.
	 */
	FOR(SANDBOX_MONITOR, fallocate),
	/* What the device tree is seeded with. */
	FOR(SANDBOX_MONITOR, getrandom),

	/* The connections to device processes are made. */
	FOR(SANDBOX_BROKER, socket, IS(0, AF_UNIX), SOCKET_TYPE(SOCK_STREAM), IS(2, 0)),
	FOR(SANDBOX_BROKER, connect),
	FOR(SANDBOX_BROKER, recvfrom),
	/* Times of the monitor's threads are opened by their names. */
	FOR(SANDBOX_TIMES, openat, ONLY(2, O_CLOEXEC)),

	FOR(SANDBOX_UNLINK, unlink),
	FOR(SANDBOX_UNLINK, unlinkat, IS(2, 0)),
	FOR(SANDBOX_UNLINK, newfstatat),

	/* A file and the way to it, over and over; one socket, on which it says what is there. */
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
	/* The number of an interface that an address names. */
	FOR(SANDBOX_READER, ioctl, IS(1, SIOCGIFINDEX)),
	/* What making this filter leaves behind is given back. */
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
		/* A negative number is a call that this architecture does not have. */
		if (rules[i].call >= 0 && applies(&rules[i], needs))
			result = allow(filter, rules[i].call, rules[i].conditions);
	return result;
}

/* Threads of this process may be signalled, others not. */
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
	/* All threads. */
	result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (result == 0)
		result = add_rules(filter, needs);
	if (result == 0 && !(needs & SANDBOX_READER))
		result = add_own_signals(filter);
	/*
	 * The filter is asked with each exit of a virtual processor: what that calls comes first.
	 */
	if (result == 0 && (needs & SANDBOX_MONITOR))
		result = seccomp_syscall_priority(filter, SCMP_SYS(ioctl), UINT8_MAX);
	/* The C library takes this as "not known here", and does without. */
	if (result == 0)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (result == 0)
		result = seccomp_load(filter);
	if (result < 0)
		return error_set_errno(error, -result, "sandbox: system call filter");
	sandbox_filter_release(&filter);
	/* Making the filter took more memory than all that is to come. */
	malloc_trim(0);
	return 0;
}
