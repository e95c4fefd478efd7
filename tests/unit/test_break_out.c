// SPDX-License-Identifier: BSD-3-Clause
/*
 * Compromised processes of each kind, after the program's own code has locked them in: no attempt
 * gets through, on a kernel with Landlock and on one without.
 *
 * The linker redirects calls of a few functions to this file (see meson.build): the first calls
 * after a process has locked itself in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/event_loop.h"
#include "avp_main.h"
#include "device/net/user/name_servers.h"
#include "guest/run/run.h"
#include "host/sandbox.h"
#include "monitor/boot.h"
#include "vhost/broker.h"
#include "monitor/machine.h"
#include "unit/break_out.h"
#include "unit/capture.h"
#include "unit/scratch.h"

#define ARGUMENTS_MAX 12

/* Where the attacker's code gets to run. */
enum place { NOWHERE, IN_DEVICE, IN_MONITOR, IN_BROKER, IN_READER, IN_SUPERVISOR };

static struct scratch scratch;
static enum place place;
static int report = -1;
static size_t first_attempt;

/* Exits by the bare system call: sanitizers intercept _exit. */
static void leave(int status)
{
	for (;;)
		syscall(SYS_exit_group, status);
}

static void take_over(enum place here)
{
	if (place == here)
		break_out(report, first_attempt);
}

int __real_event_loop_run(struct event_loop *loop);
int __wrap_event_loop_run(struct event_loop *loop);
int __wrap_event_loop_run(struct event_loop *loop)
{
	take_over(IN_DEVICE);
	return __real_event_loop_run(loop);
}

/* Waits until the broker has tried everything: it ends with its monitor. */
static void outlive_broker(const struct broker *broker)
{
	struct pollfd end = {.fd = broker->fd, .events = POLLRDHUP};

	close(report);
	while (poll(&end, 1, -1) <= 0)
		;
	leave(0);
}

int __real_machine_open(struct machine **machine, const struct machine_setup *setup,
			struct error *error);
int __wrap_machine_open(struct machine **machine, const struct machine_setup *setup,
			struct error *error);
int __wrap_machine_open(struct machine **machine, const struct machine_setup *setup,
			struct error *error)
{
	take_over(IN_MONITOR);
	if (place == IN_BROKER)
		outlive_broker(setup->broker);
	return __real_machine_open(machine, setup, error);
}

int __real_broker_answer(int fd, const struct broker_service *service);
int __wrap_broker_answer(int fd, const struct broker_service *service);
int __wrap_broker_answer(int fd, const struct broker_service *service)
{
	take_over(IN_BROKER);
	return __real_broker_answer(fd, service);
}

void __real_name_servers_parse(struct name_servers *servers, const char *text, size_t length,
			       name_servers_find_interface *find_interface, void *context);
void __wrap_name_servers_parse(struct name_servers *servers, const char *text, size_t length,
			       name_servers_find_interface *find_interface, void *context);
void __wrap_name_servers_parse(struct name_servers *servers, const char *text, size_t length,
			       name_servers_find_interface *find_interface, void *context)
{
	take_over(IN_READER);
	__real_name_servers_parse(servers, text, length, find_interface, context);
}

int __real_guest_run(struct guest_config *config, const struct guest_run_holder *holder,
		     enum guest_end *end, struct error *error);
int __wrap_guest_run(struct guest_config *config, const struct guest_run_holder *holder,
		     enum guest_end *end, struct error *error);
int __wrap_guest_run(struct guest_config *config, const struct guest_run_holder *holder,
		     enum guest_end *end, struct error *error)
{
	take_over(IN_SUPERVISOR);
	return __real_guest_run(config, holder, end, error);
}

static int set_up(void **state)
{
	scratch_make(&scratch);
	scratch_write_zeros(&scratch, "disk.img", 1 << 20);
	scratch_write_kernel(&scratch, "kernel");
	break_out_open();
	return 0;
}

static int tear_down(void **state)
{
	break_out_close();
	scratch_remove(&scratch);
	return 0;
}

enum kernel { WITH_LANDLOCK, WITHOUT_LANDLOCK, WITHOUT_NAMESPACES };

static void refuse(scmp_filter_ctx filter, int call, int code)
{
	assert_int_equal(seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint16_t)code), call, 0), 0);
}

/* Removes capabilities of this kernel for the calling process. */
static void become(enum kernel kernel)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	assert_non_null(filter);
	/* The program's own filter must deny calls by the numbers of another architecture. */
	assert_int_equal(seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW), 0);
	if (kernel != WITH_LANDLOCK)
		refuse(filter, SCMP_SYS(landlock_create_ruleset), ENOSYS);
	if (kernel == WITHOUT_NAMESPACES)
		refuse(filter, SCMP_SYS(unshare), EPERM);
	assert_int_equal(seccomp_load(filter), 0);
	seccomp_release(filter);
}

/* Moves a descriptor to a number that this process does not use otherwise. */
static int at(int number, int fd)
{
	assert_int_equal(dup2(fd, number), number);
	close(fd);
	return number;
}

#define CONNECTION 40
#define CONTROL	   41
#define SERIAL	   42
#define REPORT	   50

/* Puts descriptors where the command lines below expect them. */
static void make_descriptors(void)
{
	static const int numbers[] = {CONNECTION, CONTROL, SERIAL};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		at(numbers[i], pair[0]);
		/* Keep the peer open. */
		at(numbers[i] + 5, pair[1]);
	}
}

#define TAP "break-out0"

/*
 * Creates a network namespace for the calling process, with a tap. Returns whether that is
 * permitted.
 */
static bool make_tap(void)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, .ifr_name = TAP};
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		return false;
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	return fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0 && ioctl(fd, TUNSETPERSIST, 1) == 0 &&
	       close(fd) == 0;
}

/* Runs avp with the words of @line, where @ is the scratch directory. */
static int run_line(const char *line)
{
	char copy[600] = "", *words[ARGUMENTS_MAX + 1] = {NULL}, *word, *rest = copy;
	size_t length = 0;
	int count = 0;

	for (; *line; line++)
		length += (size_t)snprintf(copy + length, sizeof(copy) - length, "%.*s",
					   *line == '@' ? (int)strlen(scratch.directory) : 1,
					   *line == '@' ? scratch.directory : line);
	while (count < ARGUMENTS_MAX && (word = strtok_r(rest, " ", &rest)))
		words[count++] = word;
	return avp_main(count, words);
}

/*
 * Runs a process up to the point where it is compromised, and makes the attempts from @first on.
 * Returns the number of results: fewer than all if the process did not get there, or an attempt
 * ended it.
 */
static size_t attack_from(size_t first, const char *line, enum place where, enum kernel kernel,
			  int results[])
{
	size_t size = (attempt_count - first) * sizeof(results[0]), length = 0;
	int ends[2], status;
	ssize_t got;
	pid_t child;

	break_out_renew();
	assert_int_equal(pipe(ends), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		/* Faults must end it, not return to cmocka. */
		for (int signal_number = 1; signal_number < SIGRTMIN; signal_number++)
			signal(signal_number, SIG_DFL);
		close(ends[0]);
		/* Some programs keep only the standard descriptors. */
		report = at(where == IN_BROKER || where == IN_READER ? STDOUT_FILENO : REPORT,
			    ends[1]);
		place = where;
		first_attempt = first;
		make_descriptors();
		if (line && strstr(line, TAP) && !make_tap())
			leave(1);
		become(kernel);
		if (!line) {
			break_out_hold_sockets();
			break_out(report, first);
		}
		leave(run_line(line));
	}
	close(ends[1]);
	while ((got = read(ends[0], (char *)(results + first) + length, size - length)) > 0)
		length += (size_t)got;
	close(ends[0]);
	/* The device process continues without its reader. */
	if (where == IN_READER)
		kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status) && where != IN_READER && WTERMSIG(status) != SIGSYS)
		print_error("'%s' was ended by signal %d\n", line ? line : "", WTERMSIG(status));
	return length / sizeof(results[0]);
}

/* The same for all attempts: one more process after each that was ended for an attempt. */
static bool attack(const char *line, enum place where, enum kernel kernel, int results[])
{
	size_t done = 0;

	for (;;) {
		done += attack_from(done, line, where, kernel, results);
		if (done == attempt_count)
			return true;
		if (!attempts[done].lethal)
			return false;
		results[done++] = ENOSYS;
		if (done == attempt_count)
			return true;
	}
}

static bool contains(const char *const *names, const char *name)
{
	for (; names && *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

/* All attempts must fail except those in @granted, which must get through. */
static void check_locked_in(const char *line, enum place where, enum kernel kernel,
			    const char *const *granted)
{
	int *results = calloc(attempt_count, sizeof(*results)), wrong = 0;

	assert_non_null(results);
	if (!attack(line, where, kernel, results)) {
		free(results);
		fail_msg("'%s' did not come to where it is locked in", line);
	}
	for (size_t i = 0; i < attempt_count; i++) {
		bool through = results[i] == 0;

		if (through == contains(granted, attempts[i].name))
			continue;
		wrong++;
		print_error("%s (%s Landlock): %s %s\n", line,
			    kernel == WITH_LANDLOCK ? "with" : "without", attempts[i].name,
			    through ? "got through" : "is granted and failed");
	}
	free(results);
	assert_int_equal(wrong, 0);
}

static bool can_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static void check_both(const char *line, enum place where, const char *const *granted)
{
	if (sandbox_landlock_version() > 0)
		check_locked_in(line, where, WITH_LANDLOCK, granted);
	check_locked_in(line, where, WITHOUT_LANDLOCK, granted);
}

/* The attempts themselves: without a sandbox each gets through, or reports why it cannot. */
static void test_attempts(void **state)
{
	int *results = calloc(attempt_count, sizeof(*results)), wrong = 0;

	assert_non_null(results);
	assert_true(attack(NULL, NOWHERE, WITH_LANDLOCK, results));
	for (size_t i = 0; i < attempt_count; i++) {
		if (results[i] == 0)
			continue;
		if (attempts[i].unavailable)
			print_message("%s is not tried, %s: %s\n", attempts[i].name,
				      strerror(results[i]), attempts[i].unavailable);
		else
			print_error("%s: %s\n", attempts[i].name, strerror(results[i]));
		wrong += !attempts[i].unavailable;
	}
	free(results);
	assert_int_equal(wrong, 0);
}

static void test_block(void **state)
{
	check_both("avp device block --file @/disk.img --fd 40 --io io_uring", IN_DEVICE, NULL);
}

static void test_block_with_threads(void **state)
{
	check_both("avp device block --file @/disk.img --fd 40 --io threads", IN_DEVICE, NULL);
}

static void test_entropy(void **state)
{
	check_both("avp device entropy --fd 40", IN_DEVICE, NULL);
}

static void test_console(void **state)
{
	check_both("avp device console --port a:echo --port b:file:@/log --fd 40", IN_DEVICE, NULL);
}

static void test_console_on_terminal(void **state)
{
	check_both("avp device console --fd 40", IN_DEVICE, NULL);
}

static void test_tap(void **state)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0)
		leave(!make_tap());
	assert_int_equal(waitpid(child, &status, 0), child);
	if (status)
		skip();
	check_both("avp device net --tap " TAP " --fd 40", IN_DEVICE, NULL);
}

/* The network exists to make a guest's connections. */
static void test_user_network(void **state)
{
	static const char *const granted[] = {
		"connect_internet", "connect_socket", "send_to_address", "limit_descriptors", NULL,
	};
	static const char line[] = "avp device net --user --fd 40";

	check_both(line, IN_DEVICE, granted);
}

/* The process that reads the host's resolv.conf for it, and receives nothing. */
static void test_reader(void **state)
{
	static const char line[] = "avp device net --user --fd 40";

	if (sandbox_landlock_version() > 0)
		check_locked_in(line, IN_READER, WITH_LANDLOCK, NULL);
	/* Without either it warns about what remains possible, see test_warnings. */
	if (sandbox_can_hide_files())
		check_locked_in(line, IN_READER, WITHOUT_LANDLOCK, NULL);
}

/* The process removes its own sockets, for which Landlock grants it their directories. */
static void test_own_sockets(void **state)
{
	if (sandbox_landlock_version() < 1)
		skip();
	check_locked_in("avp device block --file @/disk.img --socket-path @/device.sock", IN_DEVICE,
			WITH_LANDLOCK, NULL);
}

/* It removes its own socket, as above. */
static void test_service(void **state)
{
	if (sandbox_landlock_version() < 1)
		skip();
	check_locked_in("avp service can-bus --socket-path @/bus.sock --log @/bus.log", IN_DEVICE,
			WITH_LANDLOCK, NULL);
	check_locked_in("avp service switch --socket-path @/sw.sock --pcap @/sw.pcapng", IN_DEVICE,
			WITH_LANDLOCK, NULL);
}

static void test_monitor(void **state)
{
	if (!can_open("/dev/kvm"))
		skip();
	check_both("avp monitor --kernel @/kernel --control-fd 41 --serial-fd 42 "
		   "--device block,socket=/dev/fd/40",
		   IN_MONITOR, NULL);
}

/*
 * The broker exists to connect. Without Landlock it may also read files, but only for a machine
 * with watchdogs.
 */
static void test_broker(void **state)
{
	const char *granted[] = {"connect_path", "connect_socket", NULL, NULL};
	const char *connections[] = {"connect_path", "connect_socket", "connect_abstract", NULL};

	if (!can_open("/dev/kvm"))
		skip();
	if (!arch_has_watchdogs)
		check_locked_in("avp monitor --kernel @/kernel --control-fd 41 --serial-fd 42 "
				"--device block,socket=/dev/fd/40",
				IN_BROKER, WITHOUT_LANDLOCK, connections);
	if (sandbox_landlock_version() < 1)
		skip();
	/* Without scopes, an abstract name cannot be distinguished from a path. */
	if (sandbox_landlock_version() < 6)
		granted[2] = "connect_abstract";
	check_locked_in("avp monitor --kernel @/kernel --control-fd 41 --serial-fd 42 "
			"--device block,socket=/dev/fd/40",
			IN_BROKER, WITH_LANDLOCK, granted);
}

/* A supervisor starts programs; it cannot do what none of them does. */
static void check_supervisor(enum kernel kernel, const char *const *refused)
{
	int *results = calloc(attempt_count, sizeof(*results)), wrong = 0, found = 0;

	assert_non_null(results);
	assert_true(attack("avp run --kernel @/kernel", IN_SUPERVISOR, kernel, results));
	for (size_t i = 0; i < attempt_count; i++) {
		if (!contains(refused, attempts[i].name))
			continue;
		found++;
		if (results[i])
			continue;
		wrong++;
		print_error("supervisor: %s got through\n", attempts[i].name);
	}
	free(results);
	assert_true(found > 0);
	assert_int_equal(wrong, 0);
}

static void test_supervisor(void **state)
{
	static const char *const always[] = {
		"leave_namespace",
		"trace",
		"read_another",
		"add_key",
		"join_keyring",
		"load_program",
		"handle_faults",
		"count_events",
		"load_module",
		"make_readable_executable",
		"write_another",
#ifdef __x86_64__
		"call_as_32_bit",
		"call_as_x32",
#endif
		NULL,
	};
	static const char *const with_landlock[] = {
		"mount_something", "change_root", "make_namespace", "make_namespace_of_files", NULL,
	};

	check_supervisor(WITHOUT_LANDLOCK, always);
	if (sandbox_landlock_version() < 1)
		return;
	check_supervisor(WITH_LANDLOCK, always);
	check_supervisor(WITH_LANDLOCK, with_landlock);
}

/* Returns the warning about what remains possible, or nothing. */
static void check_warning(const char *line, enum kernel kernel, const char *warning)
{
	int *results = calloc(attempt_count, sizeof(*results));
	struct capture capture;
	const char *found;
	bool came;

	assert_non_null(results);
	capture_start(&capture, STDERR_FILENO);
	came = attack(line, IN_DEVICE, kernel, results);
	capture_all(&capture);
	capture_stop(&capture);
	free(results);
	assert_true(came);
	found = strstr(capture.text, "Landlock");
	if (!found != !warning || (warning && !strstr(capture.text, warning)) ||
	    (found && strstr(found + 1, "Landlock")))
		fail_msg("'%s' says '%s'", line, capture.text);
}

static void test_warnings(void **state)
{
	static const char block[] = "avp device block --file @/disk.img --fd 40";
	static const char own_socket[] = "avp device entropy --socket-path @/device.sock";
	static const char user[] = "avp device net --user --fd 40";

	check_warning(block, WITHOUT_NAMESPACES, NULL);
	check_warning(own_socket, WITHOUT_LANDLOCK, "can remove every file");
	check_warning(user, WITHOUT_NAMESPACES, "can read every file");
	if (sandbox_can_hide_files())
		check_warning(user, WITHOUT_LANDLOCK, NULL);
	if (sandbox_landlock_version() > 0)
		check_warning(user, WITH_LANDLOCK, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attempts),
		cmocka_unit_test(test_block),
		cmocka_unit_test(test_block_with_threads),
		cmocka_unit_test(test_entropy),
		cmocka_unit_test(test_console),
		cmocka_unit_test(test_console_on_terminal),
		cmocka_unit_test(test_tap),
		cmocka_unit_test(test_user_network),
		cmocka_unit_test(test_reader),
		cmocka_unit_test(test_own_sockets),
		cmocka_unit_test(test_service),
		cmocka_unit_test(test_monitor),
		cmocka_unit_test(test_broker),
		cmocka_unit_test(test_supervisor),
		cmocka_unit_test(test_warnings),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
