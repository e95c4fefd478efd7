// SPDX-License-Identifier: BSD-3-Clause
/*
 * Runs the conformance guest: boots it on an engine of this program or by a command, repeatedly
 * until each test has a verdict.
 */
#include "conform/conform_run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arguments.h"
#include "base/cleanup.h"
#include "base/event_loop.h"
#include "base/line_reader.h"
#include "base/log.h"
#include "base/process.h"
#include "base/signals.h"
#include "base/text.h"
#include "base/timer.h"
#include "conform/conform_boot.h"
#include "conform/conform_host.h"
#include "conform/conform_image.h"
#include "device/kit/device_type.h"
#include "guest/config/config.h"

/* Limit of boots; each begins after a test that hung. */
#define BOOTS_MAX	100
#define SILENT_BOOTS	3 /* one after another in which the guest printed nothing */
#define DISK_SIZE	(64 << 20)
#define OFF_SECONDS	10 /* from the guest's power off to the exit of its hypervisor */
#define MESSAGES_SHOWN	8  /* of the hypervisor, when the guest prints nothing */
#define MESSAGE_LENGTH	256
#define SHELL_NOT_FOUND 127 /* of a shell (POSIX, Shell Command Language, 2.8.2) */
#define SHELL_NO_START	126

/* What a power off that the hypervisor does not follow breaks. */
#define OFF_REQUIREMENT "AVP-PWR-001"

/* A run of the guest. */
struct conform {
	const struct conform_options *options;
	struct conform_log *log;
	struct event_loop loop;
	struct event_source exit_source, signals;
	struct timer silence;
	struct line_reader output, messages;
	struct process process;
	struct conform_files files;
	uint32_t run;
	struct conform_host host;
	struct process services[DEVICE_TYPES_MAX]; /* that devices join */
	char service_paths[DEVICE_TYPES_MAX][PATH_MAX];
	size_t service_count;
	FILE *kept; /* --log, or NULL */
	/* Lines of the hypervisor's standard error: counts, and the last ones. */
	uint64_t message_count, messages_before; /* in this boot, in those before it */
	char last_messages[MESSAGES_SHOWN][MESSAGE_LENGTH];
	bool interrupted, progress;
	bool exited; /* the hypervisor exited by itself */
	bool over;   /* ignore the rest of this boot */
	/* The one test of this boot, which ends the guest, or has failed before; or NULL. */
	const char *ending, *repeat;
	size_t shown; /* the test last shown by show_progress */
	struct error failure;
};

static void set_silence(struct conform *conform, uint64_t seconds)
{
	if (seconds)
		timer_set_ms(&conform->silence, seconds * 1000);
	else
		timer_cancel(&conform->silence);
}

/* Shows the current test, on a terminal. */
static void show_progress(struct conform *conform)
{
	const struct conform_log *log = conform->log;

	if (!conform->progress || log->current == conform->shown || log->current == 0)
		return;
	conform->shown = log->current;
	fprintf(stderr, "\r\033[K%zu/%zu %s", log->current, log->count,
		log->tests[log->current - 1].name);
}

static void end_progress(struct conform *conform)
{
	if (conform->progress && conform->shown)
		fputs("\r\033[K", stderr);
	conform->shown = 0;
}

/*
 * Keeps a line of the console, so that the log gives the same verdicts when it is read again: a
 * line that this run ignored is marked, and none passes for a note of this program.
 */
static void keep_line(const struct conform *conform, const char *line, bool ignored)
{
	const char *mark = strncmp(line, CONFORM_HOST, strlen(CONFORM_HOST)) ? "" : " ";

	if (conform->kept)
		fprintf(conform->kept, "%s%s\n", ignored ? "ignored: " : mark, line);
}

static void handle_line(void *context, char *line, size_t length, bool cut)
{
	struct conform *conform = context;
	uint64_t taken = conform->log->taken;

	if (conform->over) {
		keep_line(conform, line, true);
		return;
	}
	if (!conform->failure.code && conform_log_add(conform->log, line, &conform->failure) < 0)
		event_loop_stop(&conform->loop, 0);
	/* A boot that does not repeat a test as asked is not a part of the run. */
	keep_line(conform, line, conform->log->unannounced && conform->log->repeats_only);
	conform_host_act(&conform->host, line);
	/* Lines of others do not restart the time limit. */
	if (conform->log->taken != taken)
		set_silence(conform, conform->log->said_end ? OFF_SECONDS * conform->options->slow :
							      conform->options->silence);
	/*
	 * A guest that resets without being asked to would do so again: the next boot begins after
	 * that test.
	 */
	if (conform->log->unannounced) {
		conform->over = true;
		event_loop_stop(&conform->loop, 0);
	}
	show_progress(conform);
}

/* A line of the hypervisor's standard error. */
static void handle_message(void *context, char *line, size_t length, bool cut)
{
	struct conform *conform = context;

	/* The parser ignores this line when the log is read again. */
	if (conform->kept)
		fprintf(conform->kept, "stderr: %s\n", line);
	snprintf(conform->last_messages[conform->message_count++ % MESSAGES_SHOWN], MESSAGE_LENGTH,
		 "%.*s", MESSAGE_LENGTH - 1, line);
}

/* The guest printed nothing: the hypervisor's messages may say why. */
static void show_messages(const struct conform *conform)
{
	uint64_t count = conform->message_count;

	for (uint64_t i = count > MESSAGES_SHOWN ? count - MESSAGES_SHOWN : 0; i < count; i++) {
		char line[MESSAGE_LENGTH];

		snprintf(line, sizeof(line), "%s", conform->last_messages[i % MESSAGES_SHOWN]);
		text_make_printable(line);
		fprintf(stderr, "%s\n", line);
	}
}

static void handle_exit(void *context, uint32_t events)
{
	struct conform *conform = context;

	conform->exited = true;
	event_loop_stop(&conform->loop, 0);
}

static void handle_silence(void *context)
{
	struct conform *conform = context;

	event_loop_stop(&conform->loop, 0);
}

static void handle_signal(void *context, uint32_t events)
{
	struct conform *conform = context;

	conform->interrupted = true;
	event_loop_stop(&conform->loop, 0);
}

/* Makes a pipe that the event loop reads by lines; *writer is its other end. */
static int open_lines(struct conform *conform, struct line_reader *reader, size_t size, int *writer,
		      struct error *error)
{
	int ends[2];

	reader->context = conform;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set_errno(error, errno, "cannot make a pipe");
	*writer = ends[1];
	return line_reader_open(reader, &conform->loop, ends[0], size, error);
}

/* Starts the program that boots the guest; its console and messages go to the readers. */
static int start_guest(struct conform *conform, size_t start, struct error *error)
{
	const struct conform_boot boot = {
		.options = conform->options,
		.files = &conform->files,
		/* The guest has counted its resets. */
		.number = conform->log->number + 1,
		.start = start,
		.run = conform->run,
		.ending = conform->ending,
		.repeat = conform->repeat,
	};
	cleanup_arguments struct arguments arguments = {0};
	struct process_spawn spawn = {.stdin_fd = -1, .own_group = true};
	cleanup_fd int output = -1, messages = -1;
	int result;

	spawn.program = conform_boot_command(&arguments, &boot, error);
	if (!spawn.program)
		return -error->code;
	spawn.argv = arguments_finish(&arguments, error);
	if (!spawn.argv)
		return -error->code;
	conform->output = (struct line_reader){.line = handle_line};
	conform->messages = (struct line_reader){.line = handle_message};
	result = open_lines(conform, &conform->output, CONFORM_LINE_MAX * 2, &output, error);
	if (result == 0)
		result = open_lines(conform, &conform->messages, CONFORM_LINE_MAX * 2, &messages,
				    error);
	if (result < 0)
		return result;
	spawn.stdout_fd = output;
	spawn.stderr_fd = messages;
	return process_spawn(&conform->process, &spawn, error);
}

/*
 * The hypervisor has exited with @status before the guest printed anything in this boot: sets
 * *error and returns a negative errno.
 */
static int explain_silence(const struct conform *conform, int status, struct error *error)
{
	const struct conform_options *options = conform->options;
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	char how[PROCESS_STATUS_LENGTH];

	process_describe(how, status);
	if (options->command && (code == SHELL_NOT_FOUND || code == SHELL_NO_START))
		return error_set_usage(error,
				       "--command: cannot be started, the shell ended with %s; "
				       "check the program's name and its permissions",
				       how);
	if (options->command)
		return error_set(error, EIO,
				 "the guest printed nothing before --command ended with %s; the "
				 "command must print the guest's console on its standard output",
				 how);
	if (code == ERROR_EXIT_USAGE)
		return error_set_usage(error, "engine %s could not start the guest",
				       guest_engine_choices[options->engine]);
	return error_set(error, EIO, "the guest printed nothing before its engine ended with %s",
			 how);
}

/* Notes what this program saw in the log, for whoever reads it again. */
static void keep_note(const struct conform *conform, const char *note, const char *what)
{
	if (conform->kept)
		fprintf(conform->kept, "%s%s\n", note, what);
}

/*
 * Judges power off by the hypervisor's exit, with @status or by force: after the guest's end, and
 * in a test that only powers off.
 */
static int judge_end(struct conform *conform, int status, struct error *error)
{
	struct conform_log *log = conform->log;
	char how[PROCESS_STATUS_LENGTH], message[PROCESS_STATUS_LENGTH + 80];

	if (conform->exited && status == 0) {
		if (conform->ending) {
			keep_note(conform, CONFORM_OFF, conform->ending);
			conform_log_off(log, conform->ending);
		}
		return 0;
	}
	if (!log->said_end)
		return 0;
	if (conform->exited)
		snprintf(message, sizeof(message),
			 "the guest powered off, and the hypervisor ended by %s",
			 process_describe(how, status));
	else
		snprintf(message, sizeof(message),
			 "the hypervisor did not end within %" PRIu64 " s of the guest's power off",
			 OFF_SECONDS * conform->options->slow);
	if (conform->kept)
		fprintf(conform->kept, CONFORM_FAILED "%s " OFF_REQUIREMENT " %s\n",
			conform_off_tests[0], message);
	return conform_log_fail(log, conform_off_tests[0], OFF_REQUIREMENT, message, error);
}

/* The guest printed nothing in this boot. Other boots are reported all the same. */
static int judge_silence(struct conform *conform, int status, unsigned int boot,
			 struct error *error)
{
	struct error why;

	show_messages(conform);
	conform->message_count = 0;
	if (!conform->exited)
		return 0;
	if (boot == 1)
		return explain_silence(conform, status, error);
	explain_silence(conform, status, &why);
	log_warning("boot %u: %s", boot, why.message);
	return 0;
}

/* Reads the last lines, and closes the pipes. */
static void close_lines(struct conform *conform)
{
	line_reader_drain(&conform->output);
	line_reader_close(&conform->output);
	line_reader_drain(&conform->messages);
	line_reader_close(&conform->messages);
}

/* Runs one boot from test @start until it ends or hangs. */
static int run_boot(struct conform *conform, size_t start, unsigned int boot, struct error *error)
{
	uint64_t taken = conform->log->taken;
	int result, status = 0;

	conform->messages_before += conform->message_count;
	conform->message_count = 0;
	result = start_guest(conform, start, error);
	if (result < 0) {
		close_lines(conform);
		return result;
	}
	conform->exit_source = (struct event_source){conform->process.pidfd, handle_exit, conform};
	result = event_loop_add(&conform->loop, &conform->exit_source, EPOLLIN, error);
	conform->exited = conform->over = false;
	set_silence(conform, conform->options->silence);
	if (result == 0)
		result = event_loop_run(&conform->loop);
	event_loop_remove(&conform->loop, &conform->exit_source);
	/*
	 * Stopping `avp run` stops all its processes; of a command, kill its process group.
	 */
	if (conform->options->command)
		kill(-conform->process.pid, SIGKILL);
	process_signal(&conform->process, SIGKILL);
	process_wait(&conform->process, -1, &status);
	close_lines(conform);
	if (result >= 0 && !conform->interrupted && !conform->over)
		result = judge_end(conform, status, error);
	keep_note(conform, CONFORM_ENDED, "");
	conform_log_finish(conform->log);
	end_progress(conform);
	if (result >= 0 && !conform->interrupted && !conform->over && conform->log->taken == taken)
		result = judge_silence(conform, status, boot, error);
	if (result >= 0 && conform->failure.code) {
		*error = conform->failure;
		result = -error->code;
	}
	if (result >= 0 && conform->interrupted)
		result = error_set(error, EINTR, "ended by a signal");
	return result < 0 ? result : 0;
}

/* The name in conform_off_tests that is @name, or NULL. */
static const char *find_off_test(const char *name)
{
	for (size_t i = 0; conform_off_tests[i]; i++)
		if (!strcmp(conform_off_tests[i], name))
			return conform_off_tests[i];
	return NULL;
}

/*
 * Repeats what failed or hung, each test alone in a fresh boot, at most as often as --repeat says:
 * a hypervisor that fails everything is not worth the time.
 */
static int run_repeats(struct conform *conform, unsigned int boot, struct error *error)
{
	const struct conform_log *log = conform->log;
	uint64_t left = conform->options->repeat;
	int result = 0;

	for (size_t i = 0; i < log->count && result == 0; i++) {
		char name[sizeof(log->tests[i].name)];

		if (!conform_wants_repeat(&log->tests[i]))
			continue;
		if (left-- == 0) {
			log_warning("more than %" PRIu64 " tests failed: the others are not "
				    "repeated (--repeat)",
				    conform->options->repeat);
			return 0;
		}
		/* The log's tests may move when it grows. */
		snprintf(name, sizeof(name), "%s", log->tests[i].name);
		conform->repeat = name;
		conform->ending = find_off_test(name);
		conform->log->repeats_only = true;
		result = run_boot(conform, i + 1, ++boot, error);
		conform->log->repeats_only = false;
		conform->repeat = conform->ending = NULL;
		if (result == 0 && conform->over) {
			log_warning("the guest does not see repeat=%s in its command line: no test "
				    "is repeated",
				    name);
			return 0;
		}
	}
	return result;
}

static int run_boots(struct conform *conform, struct error *error)
{
	size_t start = 1, before;
	unsigned int boot = 1, silent = 0;
	uint64_t taken;
	int result;

	do {
		before = start;
		taken = conform->log->taken;
		result = run_boot(conform, start, boot, error);
		start = conform_log_next(conform->log);
		silent = conform->log->taken == taken ? silent + 1 : 0;
		/*
		 * Stop when a boot gave no new verdict. That the guest printed nothing at all in a
		 * later boot may be the fault of a busy host.
		 */
	} while (result == 0 && start && (start != before || (silent && silent < SILENT_BOOTS)) &&
		 boot++ < BOOTS_MAX);
	for (size_t i = 0; conform_off_tests[i] && !start && result == 0; i++) {
		start = conform_log_find_fatal(conform->log, conform_off_tests[i]);
		if (!start)
			continue;
		conform->ending = conform_off_tests[i];
		result = run_boot(conform, start, ++boot, error);
		conform->ending = NULL;
		start = 0;
	}
	return result < 0 || conform->options->repeat == 0 ? result :
							     run_repeats(conform, boot, error);
}

static int open_sources(struct conform *conform, struct error *error)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, 0};
	sigset_t before;
	int result = event_loop_init(&conform->loop, 0, error);

	if (result < 0)
		return result;
	conform->signals = (struct event_source){signals_open(numbers, &before, error),
						 handle_signal, conform};
	if (conform->signals.fd < 0)
		return conform->signals.fd;
	result = event_loop_add(&conform->loop, &conform->signals, EPOLLIN, error);
	if (result == 0)
		result = timer_open(&conform->silence, &conform->loop, CLOCK_MONOTONIC,
				    handle_silence, conform, error);
	return result;
}

static void close_sources(struct conform *conform)
{
	close_fd(&conform->signals.fd);
	timer_close(&conform->silence);
	event_loop_close(&conform->loop);
}

#define SERVICE_MS 10000

/* Waits until a service is ready, and closes @fd. Returns 0 or a negative errno. */
static int await_service(int fd, const char *name, struct error *error)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	char byte;
	bool ready = poll(&readable, 1, SERVICE_MS) > 0 && read(fd, &byte, 1) == 1;

	close(fd);
	return ready ? 0 : error_set(error, EIO, "service %s does not start", name);
}

/* Starts the service @name. Returns 0, or a negative errno with *error set. */
static int start_service(struct process *process, const char *name, const char *path,
			 struct error *error)
{
	cleanup_arguments struct arguments arguments = {0};
	struct process_spawn spawn = {
		.program = "/proc/self/exe",
		.kept_fd_count = 1,
		.stdin_fd = -1,
		.stdout_fd = -1,
		.stderr_fd = -1,
		.own_group = true,
	};
	int ends[2], result;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set_errno(error, errno, "cannot make a pipe");
	arguments_add(&arguments, "avp");
	arguments_add(&arguments, "service");
	arguments_add(&arguments, name);
	arguments_add_format(&arguments, "--socket-path=%s", path);
	arguments_add_format(&arguments, "--ready-fd=%d", ends[1]);
	spawn.argv = arguments_finish(&arguments, error);
	spawn.kept_fds = &ends[1];
	result = spawn.argv ? process_spawn(process, &spawn, error) : -error->code;
	close(ends[1]);
	if (result < 0) {
		close(ends[0]);
		return result;
	}
	return await_service(ends[0], name, error);
}

/* Has the service at @path do what the guest asks for by the type's action. */
static void add_action(struct conform_host *host, const struct device_conform *type,
		       const char *path)
{
	struct conform_own_action *own = &host->own[host->own_count];
	size_t count = 0;

	if (!type->action || host->own_count == CONFORM_OWN_ACTIONS)
		return;
	host->own_count++;
	own->verb = type->action;
	own->call[count++] = "avp";
	own->call[count++] = "control";
	own->call[count++] = path;
	for (const char *const *word = type->action_words; *word && count < 7; word++)
		own->call[count++] = *word;
	own->call[count] = NULL;
}

/* Starts the services that the guest's devices join. */
static int start_services(struct conform *conform, struct error *error)
{
	int result = 0;

	for_each_device_type(type) {
		size_t at = conform->service_count;
		char *path = conform->service_paths[at];
		const char *name =
			conform_boot_service(conform->options, &conform->files, type, path);

		if (!name || result < 0)
			continue;
		conform->services[at] = PROCESS_NONE;
		conform->service_count++;
		result = start_service(&conform->services[at], name, path, error);
		add_action(&conform->host, &type->conform, path);
	}
	return result;
}

#define SERVICE_END_MS 2000

static void stop_services(struct conform *conform)
{
	for (size_t i = 0; i < conform->service_count; i++) {
		process_signal(&conform->services[i], SIGTERM);
		process_end(&conform->services[i], SERVICE_END_MS);
	}
}

/* Makes a temporary disk for the tests. */
static int make_disk(char path[PATH_MAX], struct error *error)
{
	const char *directory = getenv("TMPDIR");
	cleanup_fd int fd = -1;

	snprintf(path, PATH_MAX, "%.3800s/avp-conform.XXXXXX", directory ? directory : "/tmp");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0 && ftruncate(fd, DISK_SIZE) == 0)
		return 0;
	error_set_errno(error, errno, "%s", path);
	if (fd < 0)
		*path = 0;
	return -error->code;
}

int conform_run(const struct conform_options *options, struct conform_log *log, FILE *kept,
		struct error *error)
{
	struct conform conform = {
		.options = options,
		.log = log,
		.kept = kept,
		.host.program = options->adapter,
		.process = PROCESS_NONE,
		.signals.fd = -1,
		.silence = TIMER_NONE,
		.loop.epoll_fd = -1,
		.progress = isatty(STDERR_FILENO),
	};
	int result = conform_image_find(conform.files.image, options, error);
	uint64_t count;

	if (getrandom(&conform.run, sizeof(conform.run), 0) != sizeof(conform.run))
		conform.run = (uint32_t)getpid();
	if (result == 0)
		result = open_sources(&conform, error);
	if (result == 0)
		result = make_disk(conform.files.disk, error);
	if (result == 0)
		result = make_disk(conform.files.read_only_disk, error);
	if (result == 0)
		snprintf(conform.files.socket, sizeof(conform.files.socket), "%.4000s.socket",
			 conform.files.disk);
	if (result == 0)
		result = start_services(&conform, error);
	if (result == 0)
		result = run_boots(&conform, error);
	stop_services(&conform);
	/* The path is empty if it was not made. */
	unlink(conform.files.disk);
	unlink(conform.files.read_only_disk);
	unlink(conform.files.socket);
	close_sources(&conform);
	count = conform.messages_before + conform.message_count;
	if (count && !kept)
		log_info("%" PRIu64 " line%s of the hypervisor's standard error %s not shown; "
			 "--log FILE keeps them",
			 count, count == 1 ? "" : "s", count == 1 ? "is" : "are");
	return result;
}
