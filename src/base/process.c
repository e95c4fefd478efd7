// SPDX-License-Identifier: BSD-3-Clause
/*
 * Child processes by clone and exec. Between the two only async-signal-safe calls are made, and no
 * variable that the parent reads is written, because the child uses the parent's memory until exec.
 */
#include "base/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

/* Enough for execvp, which builds paths. */
#define CHILD_STACK (64 << 10)
/* The exit status of a child that could not execute its program; nobody sees it. */
#define EXIT_NOT_EXECUTED 127

void process_die_with_parent(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The parent may have ended before the call: then no signal will ever come. */
	if (getppid() != parent)
		_exit(EXIT_NOT_EXECUTED);
}

void process_close_all_but(int kept)
{
	const int first = STDERR_FILENO + 1;

	if ((kept == first || syscall(SYS_close_range, first, kept - 1, 0) == 0) &&
	    syscall(SYS_close_range, kept + 1, ~0U, 0) == 0)
		return;
	/* Before Linux 5.9. */
	for (int fd = first; fd < (int)sysconf(_SC_OPEN_MAX); fd++)
		if (fd != kept)
			close(fd);
}

static void reset_signals(bool shielded)
{
	static const int shield[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
	struct sigaction standard = {.sa_handler = SIG_DFL}, ignore = {.sa_handler = SIG_IGN};
	sigset_t mask;

	/* exec resets handlers but keeps ignored signals ignored, and the mask. */
	for (int i = 1; i < NSIG; i++)
		sigaction(i, &standard, NULL);
	sigemptyset(&mask);
	for (size_t i = 0; shielded && i < sizeof(shield) / sizeof(shield[0]); i++) {
		sigaction(shield[i], &ignore, NULL);
		sigaddset(&mask, shield[i]);
	}
	sigprocmask(SIG_SETMASK, &mask, NULL);
}

static void set_cloexec(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFD);

	if (flags >= 0)
		fcntl(fd, F_SETFD, on ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC);
}

/* What getdents64 fills in; opendir allocates, which a fork of a program with threads must not. */
struct directory_entry {
	uint64_t inode;
	int64_t offset;
	unsigned short length;
	unsigned char type;
	char name[];
};

/* For kernels before 5.11 and sandboxes that forbid close_range. */
static void set_cloexec_by_listing(int first)
{
	char buffer[4096] __attribute__((aligned(__alignof__(struct directory_entry))));
	int directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long bytes;

	if (directory < 0) {
		/* No /proc either: as many as the program may have opened. */
		for (int fd = first; fd < (int)sysconf(_SC_OPEN_MAX); fd++)
			set_cloexec(fd, true);
		return;
	}
	while ((bytes = syscall(SYS_getdents64, directory, buffer, sizeof(buffer))) > 0) {
		long at = 0;

		while (at < bytes) {
			struct directory_entry *entry = (struct directory_entry *)(buffer + at);
			int fd = atoi(entry->name);

			if (fd >= first)
				set_cloexec(fd, true);
			at += entry->length;
		}
	}
}

static void keep_only(const struct process_spawn *spawn)
{
	if (syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		set_cloexec_by_listing(STDERR_FILENO + 1);
	for (size_t i = 0; i < spawn->kept_fd_count; i++)
		set_cloexec(spawn->kept_fds[i], false);
}

/* What the child gets from its parent. */
struct start {
	const struct process_spawn *spawn;
	struct process_settings settings; /* without what the host has refused */
	struct process_setting_texts texts;
	pid_t parent;
	int report[2];
};

/* The parent's end of the pipe is closed when the parent is gone. */
static bool has_parent(int report)
{
	struct pollfd writer = {.fd = report};

	return poll(&writer, 1, 0) >= 0 && !(writer.revents & POLLERR);
}

/* Returns only when the program cannot be executed, with errno set. */
static void execute(const struct start *start)
{
	const struct process_spawn *spawn = start->spawn;
	const char *const *environment = start->settings.environment;
	int input = spawn->stdin_fd;

	if (input < 0)
		input = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (input < 0 || dup2(input, STDIN_FILENO) < 0 ||
	    (spawn->stdout_fd >= 0 && dup2(spawn->stdout_fd, STDOUT_FILENO) < 0) ||
	    (spawn->stderr_fd >= 0 && dup2(spawn->stderr_fd, STDERR_FILENO) < 0))
		return;
	keep_only(spawn);
	reset_signals(spawn->shielded);
	execvpe(spawn->program, (char *const *)spawn->argv,
		environment ? (char *const *)environment : environ);
}

/* The child: executes the program, or reports why not and exits. */
static int become_program(void *argument)
{
	const struct start *start = argument;
	bool numbered = !(start->settings.namespaces & CLONE_NEWPID);
	struct process_report failure = {.setting = 0};

	close(start->report[0]);
	if (start->spawn->outlives)
		setsid();
	else if (start->spawn->own_group)
		setpgid(0, 0);
	if (process_settings_apply(&start->settings, &start->texts, start->report[1]) < 0)
		_exit(EXIT_NOT_EXECUTED);
	/* Last, as a change of the user cancels it. Processes outside have no number inside. */
	if (!start->spawn->outlives)
		process_die_with_parent(numbered ? start->parent : 0);
	if (!has_parent(start->report[1]))
		_exit(EXIT_NOT_EXECUTED);
	execute(start);
	failure.code = errno;
	if (write(start->report[1], &failure, sizeof(failure)) < 0)
		_exit(EXIT_NOT_EXECUTED);
	_exit(EXIT_NOT_EXECUTED);
}

/* Makes a pipe whose ends are not standard descriptors, which the child replaces. */
static int make_report_pipe(int ends[2])
{
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		int moved;

		if (ends[i] > STDERR_FILENO)
			continue;
		moved = fcntl(ends[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		if (moved < 0) {
			int code = errno;

			close_fd(&ends[0]);
			close_fd(&ends[1]);
			return -code;
		}
		close(ends[i]);
		ends[i] = moved;
	}
	return 0;
}

static void warn(const struct start *start, const struct process_report *report)
{
	log_warning("%s: this host refuses %s: %s", start->spawn->argv[0],
		    process_setting_name(report->setting), strerror(report->code));
}

static int refuse(const struct start *start, const struct process_report *report,
		  struct error *error)
{
	return error_set_errno(error, report->code, "cannot start %s: this host refuses %s",
			       start->spawn->argv[0], process_setting_name(report->setting));
}

/*
 * Waits for exec, and warns of optional settings that failed. Returns 0 when the program runs, else
 * a negative errno with *error set.
 */
static int read_reports(const struct start *start, struct error *error)
{
	struct process_report report;

	for (;;) {
		ssize_t bytes = read(start->report[0], &report, sizeof(report));

		if (bytes < 0 && errno == EINTR)
			continue;
		/* exec closed the pipe, or the child was killed, which its pidfd will report. */
		if (bytes != sizeof(report))
			return 0;
		if (!report.setting)
			return error_set_errno(error, report.code, "cannot start %s",
					       start->spawn->program);
		if (!(start->settings.optional & report.setting))
			return refuse(start, &report, error);
		warn(start, &report);
	}
}

/* Returns the child's pid or a negative errno. */
static pid_t clone_child(struct start *start)
{
	_Alignas(16) char stack[CHILD_STACK];
	pid_t pid = clone(become_program, stack + sizeof(stack),
			  CLONE_VM | CLONE_VFORK | SIGCHLD | start->settings.namespaces, start);

	return pid < 0 ? -errno : pid;
}

/* Returns the child's pid or a negative errno with *error set. */
static pid_t start_child(struct start *start, struct error *error)
{
	struct process_report refusal = {.setting = PROCESS_NAMESPACES};
	sigset_t all, before;
	pid_t pid;

	/* A handler of the parent's must not run in the child. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	/*
	 * Not fork: most of its time would go into a copy of this process that is thrown away. Nor
	 * posix_spawn, which has neither a parent-death signal nor these settings. What the child
	 * does before exec changes nothing that the parent reads afterwards.
	 */
	pid = clone_child(start);
	if (pid < 0 && start->settings.namespaces) {
		refusal.code = -pid;
		start->settings.set &= ~(unsigned int)PROCESS_NAMESPACES;
		start->settings.namespaces = 0;
		if (start->settings.optional & PROCESS_NAMESPACES)
			pid = clone_child(start);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (refusal.code && pid < 0)
		return refuse(start, &refusal, error);
	if (refusal.code)
		warn(start, &refusal);
	return pid < 0 ? error_set_errno(error, -pid, "cannot start %s", start->spawn->program) :
			 pid;
}

/* With SIGCHLD ignored, as some parents leave it, the kernel throws exit statuses away. */
static void keep_exit_statuses(void)
{
	struct sigaction action;

	if (sigaction(SIGCHLD, NULL, &action) < 0 ||
	    (action.sa_handler != SIG_IGN && !(action.sa_flags & SA_NOCLDWAIT)))
		return;
	if (action.sa_handler == SIG_IGN)
		action.sa_handler = SIG_DFL;
	action.sa_flags &= ~SA_NOCLDWAIT;
	sigaction(SIGCHLD, &action, NULL);
}

static void close_report(struct start *start)
{
	close_fd(&start->report[0]);
	close_fd(&start->report[1]);
}

int process_spawn(struct process *process, const struct process_spawn *spawn, struct error *error)
{
	__attribute__((cleanup(close_report))) struct start start = {
		.spawn = spawn,
		.parent = getpid(),
		.report = {-1, -1},
	};
	int result, status;
	pid_t pid;

	keep_exit_statuses();
	*process = PROCESS_NONE;
	if (spawn->settings)
		start.settings = *spawn->settings;
	if (!(start.settings.set & PROCESS_NAMESPACES))
		start.settings.namespaces = 0;
	process_settings_write_texts(&start.settings, &start.texts);
	result = make_report_pipe(start.report);
	if (result < 0)
		return error_set_errno(error, -result, "cannot start %s", spawn->program);
	pid = start_child(&start, error);
	if (pid < 0)
		return pid;
	close_fd(&start.report[1]);
	result = read_reports(&start, error);
	if (result == 0) {
		*process = (struct process){pid, pidfd_open(pid, 0)};
		if (process->pidfd >= 0)
			return 0;
		result = error_set_errno(error, errno, "cannot start %s", spawn->program);
		kill(pid, SIGKILL);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	*process = PROCESS_NONE;
	return result;
}

void process_signal(const struct process *process, int signal_number)
{
	/* The pid is ours until process_reap has taken the status, so it names no other process. */
	if (process->pid > 0)
		kill(process->pid, signal_number);
}

bool process_reap(struct process *process, int *status)
{
	pid_t pid;

	if (process->pid <= 0)
		return false;
	do {
		pid = waitpid(process->pid, status, WNOHANG);
	} while (pid < 0 && errno == EINTR);
	if (pid == 0)
		return false;
	if (pid < 0)
		*status = PROCESS_STATUS_UNKNOWN; /* taken by someone else, or thrown away */
	close_fd(&process->pidfd);
	process->pid = 0;
	return true;
}

bool process_wait(struct process *process, int timeout_ms, int *status)
{
	int64_t deadline = clock_now_ms() + timeout_ms;
	struct pollfd ended = {.fd = process->pidfd, .events = POLLIN};

	if (process->pid <= 0)
		return false;
	for (;;) {
		int64_t left = timeout_ms < 0 ? -1 : deadline - clock_now_ms();

		if (timeout_ms >= 0 && left < 0)
			left = 0;
		if (poll(&ended, 1, (int)left) < 0 && errno != EINTR)
			return false;
		if (process_reap(process, status))
			return true;
		if (left == 0)
			return false;
	}
}

void process_end(struct process *process, int grace_ms)
{
	int status;

	if (grace_ms > 0 && process_wait(process, grace_ms, &status))
		return;
	process_signal(process, SIGKILL);
	process_wait(process, -1, &status);
}

const char *process_describe(char buffer[PROCESS_STATUS_LENGTH], int status)
{
	if (!WIFEXITED(status) && !WIFSIGNALED(status))
		snprintf(buffer, PROCESS_STATUS_LENGTH, "an unknown exit status");
	else if (WIFSIGNALED(status))
		snprintf(buffer, PROCESS_STATUS_LENGTH, "signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(buffer, PROCESS_STATUS_LENGTH, "exit status %d", WEXITSTATUS(status));
	return buffer;
}
