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

#include "base/process.h"
#include "unit/scratch.h"

#define SECRET		"something that nobody granted"
#define RING_ENTRIES	256
#define DESCRIPTORS_MAX 64

/* What is to be reached. */
static struct {
	struct scratch scratch;
	char secret[128], beside[128];
	struct sockaddr_un path, abstract;
	struct sockaddr_in internet;
	int listeners[3];
	pid_t victim;
	int pair[2];   /* of sockets, for signals of theirs */
	int namespace; /* of the victim */
	struct io_uring_params ring;
} outside;

/* A call that fails for another reason than a sandbox's got through. */
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
	/* Read-only, and cut to nothing all the same. */
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
	/* Nowhere, so that an attempt which gets through changes nothing. */
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

/* A descriptor that is there already may be one that can be connected. */
static int connect_inherited(void)
{
	for (int fd = 0; fd < DESCRIPTORS_MAX; fd++)
		if (connect(fd, (const struct sockaddr *)&outside.path, sizeof(outside.path)) == 0)
			return 0;
	return ENOTSOCK;
}

static int send_datagram(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0)
		return errno;
	return refusal(sendto(pair[0], "x", 1, 0, (const struct sockaddr *)&outside.path,
			      sizeof(outside.path)));
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

static int listen_internet(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno;
	return failure(bind(fd, (struct sockaddr *)&any, sizeof(any))) ?: failure(listen(fd, 1));
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

static int signal_by_pidfd(void)
{
	int fd = (int)syscall(SYS_pidfd_open, outside.victim, 0);

	return fd < 0 ? errno : failure(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
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

static int raise_limit(void)
{
	struct rlimit core = {RLIM_INFINITY, RLIM_INFINITY};

	return failure(syscall(SYS_prlimit64, 0, RLIMIT_CORE, NULL, &core)) ?:
		       failure(setrlimit(RLIMIT_CORE, &core));
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
	/* A program that is not there: if it were, nobody would be left to tell. */
	return refusal(execl("/nowhere/at/all", "x", NULL));
}

static int execute_memory(void)
{
	static char *const none[] = {NULL};
	int fd = memfd_create("program", MFD_CLOEXEC);

	if (fd < 0)
		return errno;
	/* One byte is not a program, which is found out behind all checks. */
	if (write(fd, "x", 1) != 1 || fchmod(fd, 0700) < 0)
		return errno;
	return refusal(syscall(SYS_execveat, fd, "", none, none, AT_EMPTY_PATH));
}

static int map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			       MAP_FAILED ?
		       errno :
		       0;
}

static int make_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? errno : failure(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static int make_code_by_key(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ?
		       errno :
		       failure(syscall(SYS_pkey_mprotect, page, 4096, PROT_READ | PROT_EXEC, -1));
}

static int map_memfd_code(void)
{
	int fd = memfd_create("code", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, 4096) < 0)
		return errno;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0) == MAP_FAILED ? errno : 0;
}

static int attach_code(void)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

	if (id < 0)
		return errno;
	shmctl(id, IPC_RMID, NULL);
	return 0;
}

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

/* NULL: the descriptor is not a ring's, which has no kind of file. */
static void *map_ring(int fd, size_t length, uint64_t offset)
{
	struct stat status;
	void *at;

	if (fstat(fd, &status) < 0 || (status.st_mode & S_IFMT))
		return NULL;
	at = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
	return at == MAP_FAILED ? NULL : at;
}

/* Has a ring open the file: maps it anew, as nothing of the library's state is known. */
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

/* All rings that the process has. */
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

#define ORDINARY(function)                \
	{                                 \
#function, function, true \
	}
#define SPECIAL(function)                  \
	{                                  \
#function, function, false \
	}

const struct attempt attempts[] = {
	ORDINARY(open_secret),
	ORDINARY(write_secret),
	ORDINARY(cut_secret),
	ORDINARY(make_file),
	ORDINARY(remove_file),
	ORDINARY(rename_file),
	ORDINARY(change_mode),
	ORDINARY(open_own_memory),
	SPECIAL(open_memory_of_another),
	SPECIAL(read_memory_of_another),
	ORDINARY(list_root),
	SPECIAL(open_by_openat2),
	SPECIAL(mount_something),
	SPECIAL(change_root),
	ORDINARY(connect_path),
	ORDINARY(connect_abstract),
	ORDINARY(connect_internet),
	SPECIAL(connect_inherited),
	ORDINARY(send_datagram),
	ORDINARY(make_netlink),
	SPECIAL(make_vsock),
	SPECIAL(make_packet),
	SPECIAL(make_raw),
	SPECIAL(make_crypto),
	SPECIAL(make_multipath),
	ORDINARY(listen_internet),
	ORDINARY(signal_another),
	SPECIAL(signal_parent),
	ORDINARY(signal_by_tgkill),
	ORDINARY(signal_by_tkill),
	ORDINARY(signal_with_data),
	SPECIAL(signal_by_pidfd),
	ORDINARY(own_by_another),
	ORDINARY(own_by_another_ex),
	ORDINARY(own_by_ioctl),
	ORDINARY(choose_signal),
	ORDINARY(signal_on_input),
	ORDINARY(signal_on_input_by_ioctl),
	SPECIAL(trace),
	SPECIAL(read_another),
	SPECIAL(limit_another),
	SPECIAL(slow_another),
	SPECIAL(pin_another),
	SPECIAL(raise_limit),
	ORDINARY(start_process),
	SPECIAL(start_process_by_clone3),
	SPECIAL(start_process_in_namespaces),
	ORDINARY(execute),
	ORDINARY(execute_memory),
	ORDINARY(map_code),
	ORDINARY(make_code),
	SPECIAL(make_code_by_key),
	ORDINARY(map_memfd_code),
	SPECIAL(attach_code),
	SPECIAL(make_ring),
	SPECIAL(use_ring),
	SPECIAL(register_ring),
	SPECIAL(leave_namespace),
	ORDINARY(make_namespace_of_files),
	SPECIAL(add_key),
	SPECIAL(join_keyring),
	SPECIAL(load_program),
	SPECIAL(handle_faults),
	SPECIAL(count_events),
	ORDINARY(type_into_terminal),
	ORDINARY(take_terminal),
	ORDINARY(become_user),
	SPECIAL(load_module),
	ORDINARY(watch_files),
	/* The last ones, as they change what this process is. */
	ORDINARY(make_readable_executable),
	SPECIAL(make_namespace),
};

const size_t attempt_count = sizeof(attempts) / sizeof(attempts[0]);

static int listen_at(const void *address, socklen_t length, int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, address, length), 0);
	assert_int_equal(listen(fd, 128), 0);
	return fd;
}

static void start_victim(void)
{
	pid_t parent = getpid();
	char path[64];

	outside.victim = fork();
	assert_true(outside.victim >= 0);
	if (outside.victim == 0) {
		process_die_with_parent(parent);
		for (;;)
			pause();
	}
	snprintf(path, sizeof(path), "/proc/%d/ns/uts", (int)outside.victim);
	outside.namespace = open(path, O_RDONLY | O_CLOEXEC);
}

void break_out_open(void)
{
	socklen_t length = sizeof(outside.internet);
	struct io_uring_params params = {.flags = 0};
	char name[64];
	int ring;

	scratch_make(&outside.scratch);
	snprintf(outside.secret, sizeof(outside.secret), "%s",
		 scratch_write(&outside.scratch, "secret", SECRET, sizeof(SECRET)));
	snprintf(outside.beside, sizeof(outside.beside), "%s",
		 scratch_write(&outside.scratch, "beside", "x", 1));
	outside.path = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(outside.path.sun_path, sizeof(outside.path.sun_path), "%s",
		 scratch_path(&outside.scratch, "socket"));
	outside.abstract = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(name, sizeof(name), "avp-break-out-%d", (int)getpid());
	memcpy(outside.abstract.sun_path + 1, name, strlen(name));
	outside.internet = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	outside.listeners[0] = listen_at(&outside.path, sizeof(outside.path), AF_UNIX);
	outside.listeners[1] = listen_at(&outside.abstract, sizeof(outside.abstract), AF_UNIX);
	outside.listeners[2] = listen_at(&outside.internet, sizeof(outside.internet), AF_INET);
	assert_int_equal(getsockname(outside.listeners[2], (struct sockaddr *)&outside.internet,
				     &length),
			 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, outside.pair), 0);
	start_victim();
	/* Where things are in a ring as long as that of a disk. */
	ring = (int)syscall(SYS_io_uring_setup, RING_ENTRIES, &params);
	if (ring >= 0)
		close(ring);
	outside.ring = params;
}

void break_out_renew(void)
{
	scratch_write(&outside.scratch, "secret.old", "x", 1);
}

void break_out_close(void)
{
	int status;

	kill(outside.victim, SIGKILL);
	waitpid(outside.victim, &status, 0);
	for (int i = 0; i < 3; i++)
		close(outside.listeners[i]);
	close(outside.namespace);
	close(outside.pair[0]);
	close(outside.pair[1]);
	scratch_remove(&outside.scratch);
}

void break_out(int report)
{
	int results[sizeof(attempts) / sizeof(attempts[0])];

	for (size_t i = 0; i < attempt_count; i++)
		results[i] = attempts[i].try();
	if (write(report, results, sizeof(results)) != sizeof(results))
		results[0] = 0;
	for (;;)
		syscall(SYS_exit_group, 0);
}
