// SPDX-License-Identifier: BSD-3-Clause
#include "unit/break_out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/break_out_outside.h"

#define DESCRIPTORS_MAX 64

/* A call that fails for a reason other than the sandbox has got through. */
static int failure(long result)
{
	return result < 0 ? errno : 0;
}

static int refusal(long result)
{
	if (result >= 0)
		return 0;
	return errno == EPERM || errno == EACCES || errno == ENOSYS ? errno : 0;
}

/* Files */

static int open_secret(void)
{
	char text[sizeof(SECRET)] = "";
	int fd = open(outside.secret, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	return read(fd, text, sizeof(text)) > 0 && !strcmp(text, SECRET) ? 0 : EIO;
}

static int write_secret(void)
{
	return failure(open(outside.secret, O_WRONLY | O_APPEND | O_CLOEXEC));
}

static int cut_secret(void)
{
	/* Opened read-only, and truncated nevertheless. */
	return failure(open(outside.beside, O_RDONLY | O_TRUNC | O_CLOEXEC));
}

static int make_file(void)
{
	char path[160];

	snprintf(path, sizeof(path), "%s.new", outside.secret);
	return failure(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

static int remove_file(void)
{
	char path[160];

	snprintf(path, sizeof(path), "%s.old", outside.secret);
	return failure(unlink(path));
}

static int rename_file(void)
{
	char path[160];

	snprintf(path, sizeof(path), "%s.moved", outside.beside);
	return failure(rename(outside.beside, path)) ?: failure(rename(path, outside.beside));
}

static int change_mode(void)
{
	return failure(chmod(outside.secret, 0640));
}

static int open_own_memory(void)
{
	return failure(open("/proc/self/mem", O_RDWR | O_CLOEXEC));
}

static int open_memory_of_another(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)outside.victim);
	return failure(open(path, O_RDWR | O_CLOEXEC));
}

static int read_memory_of_another(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)outside.victim);
	return failure(open(path, O_RDONLY | O_CLOEXEC));
}

static int list_root(void)
{
	return failure(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int open_by_openat2(void)
{
	const uint64_t how[3] = {O_RDONLY | O_CLOEXEC, 0, 0};

	return failure(syscall(SYS_openat2, AT_FDCWD, outside.secret, how, sizeof(how)));
}

static int mount_something(void)
{
	/* An address where nothing is, so that an attempt which gets through changes nothing. */
	return refusal(mount("none", "/nowhere/at/all", "tmpfs", 0, NULL));
}

static int change_root(void)
{
	return refusal(chroot("/nowhere/at/all"));
}

/* Peers */

static int connect_to(const void *address, socklen_t length, int family, int type)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0), result;

	if (fd < 0)
		return errno;
	result = failure(connect(fd, address, length));
	close(fd);
	return result;
}

static int connect_path(void)
{
	return connect_to(&outside.path, sizeof(outside.path), AF_UNIX, SOCK_STREAM);
}

static int connect_abstract(void)
{
	return connect_to(&outside.abstract, sizeof(outside.abstract), AF_UNIX, SOCK_STREAM);
}

static int connect_internet(void)
{
	return connect_to(&outside.internet, sizeof(outside.internet), AF_INET, SOCK_STREAM);
}

/* An inherited descriptor may be a socket that can be connected. */
static int connect_inherited(void)
{
	for (int fd = 0; fd < DESCRIPTORS_MAX; fd++)
		if (connect(fd, (const struct sockaddr *)&outside.path, sizeof(outside.path)) == 0)
			return 0;
	return ENOTSOCK;
}

static int make_pair(void)
{
	int pair[2];

	return failure(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair));
}

static int connect_socket(void)
{
	return refusal(connect(outside.stream, (const struct sockaddr *)&outside.path,
			       sizeof(outside.path)));
}

static int bind_socket(void)
{
	const struct sockaddr_in any = {.sin_family = AF_INET};

	return refusal(bind(outside.internet_stream, (const struct sockaddr *)&any, sizeof(any)));
}

static int listen_on_socket(void)
{
	return refusal(listen(outside.internet_stream, 1));
}

static int send_to_address(void)
{
	return refusal(sendto(outside.datagram, "x", 1, 0,
			      (const struct sockaddr *)&outside.mailbox, sizeof(outside.mailbox)));
}

/*
 * A filter does not see the address in a message: no inherited descriptor may send to it. Packet
 * sockets ignore the address.
 */
static int send_by_inherited(void)
{
	char letter = 'x';
	struct iovec vector = {&letter, 1};
	struct msghdr message = {
		.msg_name = &outside.mailbox,
		.msg_namelen = sizeof(outside.mailbox),
		.msg_iov = &vector,
		.msg_iovlen = 1,
	};
	int result = ENOTSOCK;

	for (int fd = 0; fd < DESCRIPTORS_MAX && result; fd++) {
		int type = 0;
		socklen_t length = sizeof(type);

		getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length);
		if (fd != outside.datagram && fd != outside.listeners[3] &&
		    type != SOCK_SEQPACKET &&
		    sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			result = 0;
	}
	return result;
}

static int make_netlink(void)
{
	return failure(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int make_vsock(void)
{
	return refusal(socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int make_packet(void)
{
	return refusal(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int make_raw(void)
{
	return refusal(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
}

static int make_crypto(void)
{
	return refusal(socket(AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
}

static int make_multipath(void)
{
	return refusal(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 262));
}

/* Other processes */

static int signal_another(void)
{
	return failure(kill(outside.victim, 0));
}

static int signal_parent(void)
{
	return failure(kill(getppid(), 0));
}

static int signal_by_tgkill(void)
{
	return failure(syscall(SYS_tgkill, outside.victim, outside.victim, 0));
}

static int signal_by_tkill(void)
{
	return failure(syscall(SYS_tkill, outside.victim, 0));
}

static int signal_with_data(void)
{
	siginfo_t info = {.si_signo = 0, .si_code = SI_QUEUE, .si_pid = getpid()};

	return failure(syscall(SYS_rt_sigqueueinfo, outside.victim, 0, &info));
}

static int open_process(void)
{
	return failure(syscall(SYS_pidfd_open, outside.victim, 0));
}

static int signal_by_pidfd(void)
{
	return refusal(syscall(SYS_pidfd_send_signal, outside.pidfd, 0, NULL, 0));
}

static int take_descriptor(void)
{
	return refusal(syscall(SYS_pidfd_getfd, outside.pidfd, 0, 0));
}

static int own_by_another(void)
{
	return failure(fcntl(outside.pair[0], F_SETOWN, outside.victim));
}

static int own_by_another_ex(void)
{
	const struct f_owner_ex owner = {F_OWNER_PID, outside.victim};

	return failure(fcntl(outside.pair[0], F_SETOWN_EX, &owner));
}

static int own_by_ioctl(void)
{
	int owner = outside.victim;

	return failure(ioctl(outside.pair[0], FIOSETOWN, &owner));
}

static int choose_signal(void)
{
	return failure(fcntl(outside.pair[0], F_SETSIG, SIGKILL));
}

static int signal_on_input(void)
{
	return failure(fcntl(outside.pair[0], F_SETFL, O_ASYNC | O_NONBLOCK));
}

static int signal_on_input_by_ioctl(void)
{
	int on = 1;

	return failure(ioctl(outside.pair[0], FIOASYNC, &on));
}

static int trace(void)
{
	int result = failure(ptrace(PTRACE_SEIZE, outside.victim, NULL, NULL));

	if (result == 0) {
		kill(outside.victim, SIGSTOP);
		ptrace(PTRACE_DETACH, outside.victim, NULL, NULL);
		kill(outside.victim, SIGCONT);
	}
	return result;
}

static int read_another(void)
{
	char byte;
	struct iovec local = {&byte, 1}, remote = {&outside, 1};

	return failure(process_vm_readv(outside.victim, &local, 1, &remote, 1, 0));
}

static int write_another(void)
{
	char byte = 0;
	struct iovec local = {&byte, 1}, remote = {&outside, 0};

	return failure(process_vm_writev(outside.victim, &local, 1, &remote, 1, 0));
}

static int limit_another(void)
{
	const struct rlimit core = {0, 0};

	return failure(prlimit(outside.victim, RLIMIT_CORE, &core, NULL));
}

static int slow_another(void)
{
	return failure(setpriority(PRIO_PROCESS, (id_t)outside.victim, 1));
}

static int pin_another(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	return refusal(sched_setaffinity(outside.victim, sizeof(set), &set));
}

/* More rights */

/* Lower than before, which any process may do. */
static int set_limit(void)
{
	const struct rlimit core = {0, 0};

	return failure(syscall(SYS_prlimit64, 0, RLIMIT_CORE, &core, NULL));
}

static int set_limit_the_old_way(void)
{
	const struct rlimit core = {0, 0};

	return failure(syscall(SYS_setrlimit, RLIMIT_CORE, &core));
}

static int limit_descriptors(void)
{
	return failure(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &outside.descriptors, NULL));
}

static int limit_descriptors_the_old_way(void)
{
	return failure(syscall(SYS_setrlimit, RLIMIT_NOFILE, &outside.descriptors));
}

static int start_process(void)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return errno;
	if (child == 0)
		for (;;)
			syscall(SYS_exit_group, 0);
	return failure(waitpid(child, &status, 0));
}

static int start_process_by_clone3(void)
{
	const uint64_t arguments[8] = {[4] = SIGCHLD};
	long child = syscall(SYS_clone3, arguments, sizeof(arguments));

	if (child == 0)
		for (;;)
			syscall(SYS_exit_group, 0);
	return failure(child);
}

static int start_process_in_namespaces(void)
{
	long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);

	if (child == 0)
		for (;;)
			syscall(SYS_exit_group, 0);
	return failure(child);
}

static int execute(void)
{
	/* A program that does not exist: if it did, the attempt could not report. */
	return refusal(execl("/nowhere/at/all", "x", NULL));
}

static int execute_memory(void)
{
	static char *const none[] = {NULL};

	/* One byte is not a program; the kernel finds that after all checks. */
	return refusal(syscall(SYS_execveat, outside.memory, "", none, none, AT_EMPTY_PATH));
}

static int change_mode_of_descriptor(void)
{
	return refusal(fchmod(outside.memory, 0700));
}

static int map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			       MAP_FAILED ?
		       errno :
		       0;
}

static char page[65536] __attribute__((aligned(65536)));

static int make_code(void)
{
	return failure(mprotect(page, sizeof(page), PROT_READ | PROT_EXEC)) ?:
		       failure(mprotect(page, sizeof(page), PROT_READ | PROT_WRITE));
}

static int make_code_by_key(void)
{
	return failure(syscall(SYS_pkey_mprotect, page, sizeof(page), PROT_READ | PROT_EXEC, -1));
}

static int map_memfd_code(void)
{
	return refusal(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, outside.memory, 0) ==
				       MAP_FAILED ?
			       -1 :
			       0);
}

static int make_segment(void)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

	if (id < 0)
		return errno;
	shmctl(id, IPC_RMID, NULL);
	return 0;
}

static int attach_segment(void)
{
	return refusal(shmat(outside.segment, NULL, 0) == (void *)-1 ? -1 : 0);
}

static int attach_code(void)
{
	return refusal(shmat(outside.segment, NULL, SHM_RDONLY | SHM_EXEC) == (void *)-1 ? -1 : 0);
}

/* Calls by the numbers of another architecture than the filter checks. They end the process. */

#ifdef __x86_64__
static int call_as_32_bit(void)
{
	const long getpid_of_i386 = 20;
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(getpid_of_i386)
			 : "memory", "r8", "r9", "r10", "r11");
	return result < 0 ? (int)-result : 0;
}

static int call_as_x32(void)
{
	const long x32 = 0x40000000;

	return failure(syscall(x32 | SYS_getpid));
}
#endif

static int make_readable_executable(void)
{
	return failure(personality(READ_IMPLIES_EXEC));
}

static int make_ring(void)
{
	struct io_uring_params params = {0};
	int fd = (int)syscall(SYS_io_uring_setup, 4, &params);

	if (fd < 0)
		return refusal(fd);
	close(fd);
	return 0;
}

/* NULL: not a descriptor of a ring, which has no file type. */
static void *map_ring(int fd, size_t length, uint64_t offset)
{
	struct stat status;
	void *at;

	if (fstat(fd, &status) < 0 || (status.st_mode & S_IFMT))
		return NULL;
	at = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
	return at == MAP_FAILED ? NULL : at;
}

/* Makes a ring open the file. Maps the ring again, because the library's state is unknown. */
static int open_by_ring(int fd)
{
	const struct io_uring_params *p = &outside.ring;
	uint8_t *rings =
		map_ring(fd, p->sq_off.array + RING_ENTRIES * sizeof(uint32_t), IORING_OFF_SQ_RING);
	struct io_uring_sqe *entries =
		map_ring(fd, RING_ENTRIES * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	volatile uint32_t *tail, *done, *array;
	struct io_uring_cqe *completions;
	uint32_t mask, at, before;

	if (!rings || !entries)
		return EBADF;
	tail = (uint32_t *)(rings + p->sq_off.tail);
	array = (uint32_t *)(rings + p->sq_off.array);
	mask = *(uint32_t *)(rings + p->sq_off.ring_mask);
	done = (uint32_t *)(rings + p->cq_off.tail);
	completions = (struct io_uring_cqe *)(rings + p->cq_off.cqes);
	at = *tail & mask;
	before = *done;
	entries[at] = (struct io_uring_sqe){
		.opcode = IORING_OP_OPENAT,
		.fd = AT_FDCWD,
		.addr = (uintptr_t)outside.secret,
		.open_flags = O_RDONLY,
	};
	array[at] = at;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_SEQ_CST);
	if (syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return errno;
	if (*done == before)
		return EAGAIN;
	at = before & *(uint32_t *)(rings + p->cq_off.ring_mask);
	return completions[at].res < 0 ? -completions[at].res : 0;
}

/* All rings of the process. */
static int use_ring(void)
{
	int result = ENXIO;

	for (int fd = 3; fd < DESCRIPTORS_MAX && result; fd++) {
		int code = open_by_ring(fd);

		if (code != EBADF)
			result = code;
	}
	return result;
}

static int register_ring(void)
{
	int result = ENXIO;

	for (int fd = 3; fd < DESCRIPTORS_MAX && result; fd++)
		if (syscall(SYS_io_uring_register, fd, IORING_UNREGISTER_FILES, NULL, 0) == 0)
			result = 0;
	return result;
}

static int leave_namespace(void)
{
	return failure(setns(outside.namespace, 0));
}

static int make_namespace(void)
{
	return failure(unshare(CLONE_NEWUSER));
}

static int make_namespace_of_files(void)
{
	return failure(unshare(CLONE_FS));
}

static int add_key(void)
{
	return refusal(syscall(SYS_add_key, "user", "break-out", "x", 1, -2));
}

static int join_keyring(void)
{
	return refusal(syscall(SYS_keyctl, 1, NULL));
}

static int load_program(void)
{
	union bpf_attr attributes = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = 4,
		.value_size = 4,
		.max_entries = 1,
	};

	return refusal(syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof(attributes)));
}

static int handle_faults(void)
{
	return refusal(syscall(SYS_userfaultfd, O_CLOEXEC | 1));
}

static int count_events(void)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attributes),
		.config = PERF_COUNT_SW_TASK_CLOCK,
		.exclude_kernel = 1,
	};

	return refusal(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0));
}

static int type_into_terminal(void)
{
	return refusal(ioctl(outside.pair[0], TIOCSTI, "x"));
}

static int take_terminal(void)
{
	return refusal(ioctl(outside.pair[0], TIOCSCTTY, 0));
}

static int become_user(void)
{
	return failure(setuid(getuid()));
}

static int load_module(void)
{
	return refusal(syscall(SYS_init_module, "", 0, ""));
}

static int watch_files(void)
{
	return failure(syscall(SYS_inotify_init1, O_CLOEXEC));
}

#define ANY(function)                            \
	{                                        \
#function, function, NULL, false \
	}
/* Attempts that are not possible everywhere, and why. */
#define SOME(function, why)                     \
	{                                       \
#function, function, why, false \
	}
#define LETHAL(function, why)                  \
	{                                      \
#function, function, why, true \
	}

const struct attempt attempts[] = {
	ANY(open_secret),
	ANY(write_secret),
	ANY(cut_secret),
	ANY(make_file),
	ANY(remove_file),
	ANY(rename_file),
	ANY(change_mode),
	ANY(open_own_memory),
	SOME(open_memory_of_another, "another process may not be traced"),
	SOME(read_memory_of_another, "another process may not be traced"),
	ANY(list_root),
	SOME(open_by_openat2, "since Linux 5.6"),
	SOME(mount_something, "takes a capability"),
	SOME(change_root, "takes a capability"),
	ANY(connect_path),
	ANY(connect_abstract),
	ANY(connect_internet),
	ANY(connect_inherited),
	ANY(make_pair),
	ANY(connect_socket),
	ANY(bind_socket),
	ANY(listen_on_socket),
	ANY(send_to_address),
	ANY(send_by_inherited),
	ANY(make_netlink),
	SOME(make_vsock, "the kernel may lack vsock"),
	SOME(make_packet, "takes a capability"),
	SOME(make_raw, "takes a capability"),
	SOME(make_crypto, "the kernel may lack AF_ALG"),
	SOME(make_multipath, "the kernel may lack MPTCP"),
	ANY(signal_another),
	SOME(signal_parent, "it may be another user's"),
	ANY(signal_by_tgkill),
	ANY(signal_by_tkill),
	ANY(signal_with_data),
	ANY(open_process),
	ANY(signal_by_pidfd),
	SOME(take_descriptor, "another process may not be traced"),
	ANY(own_by_another),
	ANY(own_by_another_ex),
	ANY(own_by_ioctl),
	ANY(choose_signal),
	ANY(signal_on_input),
	ANY(signal_on_input_by_ioctl),
	SOME(trace, "another process may not be traced"),
	SOME(read_another, "another process may not be traced"),
	SOME(write_another, "another process may not be traced"),
	ANY(limit_another),
	ANY(slow_another),
	ANY(pin_another),
	ANY(set_limit),
	ANY(set_limit_the_old_way),
	ANY(limit_descriptors),
	ANY(limit_descriptors_the_old_way),
	ANY(start_process),
	SOME(start_process_by_clone3, "a container may forbid it"),
	SOME(start_process_in_namespaces, "a host may forbid user namespaces"),
	ANY(execute),
	ANY(change_mode_of_descriptor),
	ANY(execute_memory),
	ANY(map_code),
	ANY(make_code),
	ANY(make_code_by_key),
	ANY(map_memfd_code),
	ANY(make_segment),
	ANY(attach_segment),
	ANY(attach_code),
	SOME(make_ring, "a host may forbid io_uring"),
	SOME(use_ring, "there is no ring"),
	SOME(register_ring, "there is no ring"),
	SOME(leave_namespace, "takes a capability"),
	ANY(make_namespace_of_files),
	SOME(add_key, "a container may forbid keys"),
	SOME(join_keyring, "a container may forbid keys"),
	SOME(load_program, "takes a capability on most hosts"),
	SOME(handle_faults, "takes a capability on most hosts"),
	SOME(count_events, "a host may forbid it"),
	ANY(type_into_terminal),
	ANY(take_terminal),
	ANY(become_user),
	SOME(load_module, "takes a capability"),
	ANY(watch_files),
	/* The last ones, as they change or end this process. */
	ANY(make_readable_executable),
	SOME(make_namespace, "a host may forbid user namespaces"),
#ifdef __x86_64__
	LETHAL(call_as_32_bit, "the kernel may lack its emulation"),
	LETHAL(call_as_x32, "most kernels are built without"),
#endif
};

const size_t attempt_count = sizeof(attempts) / sizeof(attempts[0]);

void break_out_hold_sockets(void)
{
	assert_true(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0);
	assert_true(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) >= 0);
}

void break_out(int report, size_t first)
{
	for (size_t i = first; i < attempt_count; i++) {
		int result = attempts[i].try();

		if (write(report, &result, sizeof(result)) != sizeof(result))
			break;
	}
	for (;;)
		syscall(SYS_exit_group, 0);
}
