// SPDX-License-Identifier: BSD-3-Clause
/*
 * `avp conform`: has the conformance guest prove an engine, or reads what it has said on another
 * hypervisor, and tells the verdicts.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/arguments.h"
#include "base/cleanup.h"
#include "base/event_loop.h"
#include "base/line_reader.h"
#include "base/log.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/command.h"
#include "runtime/conform_log.h"
#include "runtime/conform_report.h"

/* Boots of one run: each begins behind a test that hung. */
#define BOOTS_MAX   100
#define DISK_SIZE   (64 << 20)
#define MEMORY_SIZE (UINT64_C(256) << 20)
#define OFF_SECONDS 10 /* from the guest's off to the end of its hypervisor */

enum image_format { IMAGE_NATIVE, IMAGE_ELF, IMAGE_BZIMAGE, IMAGE_ARM64 };

#if defined(__aarch64__)
#define NATIVE_FORMAT IMAGE_ARM64
#else
#define NATIVE_FORMAT IMAGE_ELF
#endif

static const char *const engine_choices[] = {"auto", "kvm", "qemu", NULL};
static const char *const format_choices[] = {
	[IMAGE_NATIVE] = "native",
	[IMAGE_ELF] = "elf",
	[IMAGE_BZIMAGE] = "bzimage",
	[IMAGE_ARM64] = "arm64",
	NULL,
};
/* Those of tools/contract_parts/schema.py; tests/tools/contract compares. */
static const char *const profile_choices[] = {
	"all", "base", "cockpit", "gateway", "safety", "arm64", "x86-64", NULL,
};
/* Tests that switch the guest off: each has a boot of its own, and its verdict is ours. */
static const char *const off_tests[] = {"pwr_off", "pwr_off_secondary"};
static const char *const image_files[] = {
	[IMAGE_ELF] = "conform-amd64.elf",
	[IMAGE_BZIMAGE] = "conform-amd64.bzimage",
	[IMAGE_ARM64] = "conform-arm64.image",
};

struct conform_options {
	uint64_t engine, cpus, memory, silence, slow, format, profile;
	char *only, *command, *image, *junit, *json, *html, *log;
	struct option_list from;
};

#define FILE_ROW(option, field, sentence)                                            \
	{                                                                            \
		.name = option, .type = OPTION_PATH, .argument = "FILE",             \
		.offset = offsetof(struct conform_options, field), .help = sentence, \
	}

static const struct option_row conform_option_rows[] = {
	{
		.name = "engine",
		.type = OPTION_CHOICE,
		.argument = "ENGINE",
		.offset = offsetof(struct conform_options, engine),
		.choices = engine_choices,
		.default_text = "auto",
		.help = "hypervisor that is to be proved",
	},
	{
		.name = "profile",
		.type = OPTION_CHOICE,
		.argument = "NAME",
		.offset = offsetof(struct conform_options, profile),
		.choices = profile_choices,
		.default_text = "all",
		.help = "only tests of requirements that bind in this profile of the contract",
	},
	{
		.name = "only",
		.type = OPTION_STRING,
		.argument = "PATTERN",
		.offset = offsetof(struct conform_options, only),
		.help = "only tests whose names match, such as 'blk_*'",
	},
	{
		.name = "cpus",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct conform_options, cpus),
		.minimum = 1,
		.maximum = 32,
		.default_text = "2",
		.help = "virtual CPUs of the guest",
	},
	{
		.name = "memory",
		.type = OPTION_SIZE,
		.argument = "SIZE",
		.offset = offsetof(struct conform_options, memory),
		.minimum = 64 << 20,
		.maximum = UINT64_C(1) << 40,
		.help = "memory of the guest, 256M unless given; of --command, what it gives the "
			"guest, which is compared only if given here",
	},
	{
		.name = "silence",
		.type = OPTION_NUMBER,
		.argument = "SECONDS",
		.offset = offsetof(struct conform_options, silence),
		.minimum = 1,
		.maximum = 86400,
		.default_text = "60",
		.help = "a guest that says nothing for so long hangs: it is started again behind the "
			"test that it was at",
	},
	{
		.name = "slow",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct conform_options, slow),
		.minimum = 1,
		.maximum = 1000,
		.default_text = "1",
		.help = "multiply the tests' own time limits, as for an emulated machine",
	},
	{
		.name = "from",
		.type = OPTION_LIST,
		.argument = "LOG",
		.offset = offsetof(struct conform_options, from),
		.help = "run nothing: read the console log of a guest that ran elsewhere, - is "
			"standard input; several are the boots of one guest, in their order",
	},
	{
		.name = "command",
		.type = OPTION_STRING,
		.argument = "COMMAND",
		.offset = offsetof(struct conform_options, command),
		.help = "boot the guest with this command of the shell instead of an engine: it "
			"finds the image, the guest's command line, a disk for the suite and one "
			"that the guest is only to read in $AVP_IMAGE, $AVP_APPEND, $AVP_DISK and "
			"$AVP_READ_ONLY_DISK, has the guest's console as its "
			"standard output, and ends with the guest, with status 0 when that has "
			"switched itself off; a child that leaves the command's process group "
			"outlives the run",
	},
	FILE_ROW("image", image, "run nothing: write the guest's image, to be booted elsewhere"),
	{
		.name = "image-format",
		.type = OPTION_CHOICE,
		.argument = "FORMAT",
		.offset = offsetof(struct conform_options, format),
		.choices = format_choices,
		.default_text = "native",
		.help = "form of --image or of --command's image: elf (x86-64, with a PVH note), bzimage (x86-64), arm64 "
			"(as Linux's Image); native is elf or arm64",
	},
	FILE_ROW("log", log, "keep what the guest said"),
	FILE_ROW("junit", junit, "write the verdicts as JUnit XML"),
	FILE_ROW("json", json, "write the verdicts and measurements as JSON"),
	FILE_ROW("html", html, "write one page for people"),
	{.name = NULL},
};

/* A run of the guest. */
struct conform {
	const struct conform_options *options;
	struct conform_log log;
	struct event_loop loop;
	struct event_source exit_source, signals, silence;
	struct line_reader output;
	struct process process;
	char image[PATH_MAX], disk[PATH_MAX], read_only_disk[PATH_MAX];
	FILE *kept; /* --log */
	bool interrupted, progress;
	bool exited;	    /* the hypervisor, by itself */
	bool over;	    /* what else this boot says does not count */
	const char *ending; /* the one test of this boot, which ends the guest, or NULL */
	size_t told;	    /* the test that was last shown as being at work */
	struct error failure;
};

static enum image_format image_format(const struct conform_options *options)
{
	return options->format == IMAGE_NATIVE ? NATIVE_FORMAT : (enum image_format)options->format;
}

/* The image lies beside the program: where it was built, or where it was installed. */
static int find_image(char path[PATH_MAX], const struct conform_options *options,
		      struct error *error)
{
	const char *file = image_files[image_format(options)];
	static const char *const places[] = {"../guest", "../share/avp"};
	char program[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	char *slash;

	program[length < 0 ? 0 : length] = 0;
	slash = strrchr(program, '/');
	if (slash)
		*slash = 0;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (snprintf(path, PATH_MAX, "%.3800s/%s/%s", program, places[i], file) <
			    PATH_MAX &&
		    access(path, R_OK) == 0)
			return 0;
	return error_set(error, ENOENT,
			 "the conformance guest, %s, is not beside this program; build it with "
			 "guest/conform/build",
			 file);
}

static int write_image(const struct conform_options *options, struct error *error)
{
	char path[PATH_MAX];
	cleanup_fd int from = -1, to = -1;
	struct stat status;
	ssize_t sent;

	if (find_image(path, options, error) < 0)
		return -error->code;
	from = open(path, O_RDONLY | O_CLOEXEC);
	if (from < 0 || fstat(from, &status) < 0)
		return error_set_errno(error, errno, "%s", path);
	to = open(options->image, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (to < 0)
		return error_set_usage(error, "--image: %s: %s; check the path and its permissions",
				       options->image, strerror(errno));
	for (off_t left = status.st_size; left > 0; left -= sent) {
		sent = sendfile(to, from, NULL, (size_t)left);
		if (sent <= 0)
			return error_set_errno(error, sent < 0 ? errno : EIO, "--image: %s",
					       options->image);
	}
	return 0;
}

static void set_silence(struct conform *conform, uint64_t seconds)
{
	struct itimerspec time = {.it_value.tv_sec = (time_t)seconds};

	timerfd_settime(conform->silence.fd, 0, &time, NULL);
}

/* Shows what is at work, on a terminal. */
static void show_progress(struct conform *conform)
{
	const struct conform_log *log = &conform->log;

	if (!conform->progress || log->current == conform->told || log->current == 0)
		return;
	conform->told = log->current;
	fprintf(stderr, "\r\033[K%zu/%zu %s", log->current, log->count,
		log->tests[log->current - 1].name);
}

static void end_progress(struct conform *conform)
{
	if (conform->progress && conform->told)
		fputs("\r\033[K", stderr);
	conform->told = 0;
}

static void handle_line(void *context, char *line, size_t length, bool cut)
{
	struct conform *conform = context;
	uint64_t taken = conform->log.taken;

	if (conform->kept)
		fprintf(conform->kept, "%s\n", line);
	if (conform->over)
		return;
	if (!conform->failure.code && conform_log_add(&conform->log, line, &conform->failure) < 0)
		event_loop_stop(&conform->loop, 0);
	/* What others say is no sign that the guest lives. */
	if (conform->log.taken != taken)
		set_silence(conform, conform->log.said_end ? OFF_SECONDS * conform->options->slow :
							     conform->options->silence);
	/* A guest that resets where it must not would do so again: the next boot begins behind that test. */
	if (conform->log.unannounced) {
		conform->over = true;
		event_loop_stop(&conform->loop, 0);
	}
	show_progress(conform);
}

static void handle_exit(void *context, uint32_t events)
{
	struct conform *conform = context;

	conform->exited = true;
	event_loop_stop(&conform->loop, 0);
}

static void handle_silence(void *context, uint32_t events)
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

static uint64_t memory_size(const struct conform_options *options)
{
	return options->memory ? options->memory : MEMORY_SIZE;
}

/* QEMU has no frontend for consoles, and auto may be QEMU. */
static bool has_console(const struct conform_options *options)
{
	return options->engine == 1;
}

/* The guest's command line. */
static void add_words(struct arguments *arguments, const struct conform *conform, size_t start,
		      unsigned int boot)
{
	const struct conform_options *options = conform->options;

	arguments_add_format(arguments, "console=%s reset=1 boot=%u start=%zu slow=%" PRIu64,
			     image_format(options) == IMAGE_ARM64 ? "ttyAMA0" : "ttyS0", boot,
			     start, options->slow);
	/* What add_run gives it: the user-mode network has someone who answers. */
	if (!options->command)
		arguments_extend(arguments, " gateway=1 devices=block,net,entropy%s",
				 has_console(options) ? ",console" : "");
	if (!options->command || options->memory)
		arguments_extend(arguments, " memory=%" PRIu64, memory_size(options) >> 20);
	if (conform->ending) {
		arguments_extend(arguments, " fatal=1 only=%s", conform->ending);
		return;
	}
	if (options->profile)
		arguments_extend(arguments, " profile=%s", profile_choices[options->profile]);
	if (options->only)
		arguments_extend(arguments, " only=%s", options->only);
}

/* `avp run` with the guest. */
static void add_run(struct arguments *arguments, const struct conform *conform)
{
	const struct conform_options *options = conform->options;

	arguments_add(arguments, "avp");
	arguments_add(arguments, "--log-level=warning");
	arguments_add(arguments, "run");
	arguments_add_format(arguments, "--engine=%s", engine_choices[options->engine]);
	arguments_add_format(arguments, "--kernel=%s", conform->image);
	arguments_add_format(arguments, "--cpus=%" PRIu64, options->cpus);
	arguments_add_format(arguments, "--memory=%" PRIu64, memory_size(options));
	arguments_add_format(arguments, "--block=%s", conform->disk);
	arguments_add_format(arguments, "--block=%s,readonly", conform->read_only_disk);
	arguments_add(arguments, "--net=user,host-loopback");
	arguments_add(arguments, "--entropy");
	if (has_console(options))
		arguments_add(arguments, "--console=port=tty:echo,port=agent:echo,port=log:null");
	arguments_add(arguments, "--append");
}

/* The command of the user, who knows how to boot on a hypervisor of his. */
static int add_command(struct arguments *arguments, const struct conform *conform,
		       const char *words, struct error *error)
{
	arguments_add(arguments, "sh");
	arguments_add(arguments, "-c");
	arguments_add(arguments, conform->options->command);
	if (setenv("AVP_IMAGE", conform->image, 1) < 0 ||
	    setenv("AVP_DISK", conform->disk, 1) < 0 ||
	    setenv("AVP_READ_ONLY_DISK", conform->read_only_disk, 1) < 0 ||
	    setenv("AVP_APPEND", words, 1) < 0)
		return error_set_errno(error, errno, "cannot set the command's environment");
	return 0;
}

/* Starts what boots the guest; its console comes through the pipe *output. */
static int start_guest(struct conform *conform, size_t start, unsigned int boot, int *output,
		       struct error *error)
{
	const struct conform_options *options = conform->options;
	cleanup_arguments struct arguments arguments = {0}, words = {0};
	struct process_spawn spawn = {.program = options->command ? "/bin/sh" : "/proc/self/exe",
				      .stdin_fd = -1,
				      .stderr_fd = -1,
				      .own_group = true};
	const char *const *list;
	cleanup_fd int writer = -1;
	int ends[2], result = 0;

	add_words(&words, conform, start, boot);
	list = arguments_finish(&words, error);
	if (!list)
		return -ENOMEM;
	if (options->command) {
		result = add_command(&arguments, conform, list[0], error);
	} else {
		add_run(&arguments, conform);
		arguments_add(&arguments, list[0]);
	}
	if (result < 0)
		return result;
	spawn.argv = arguments_finish(&arguments, error);
	if (!spawn.argv)
		return -ENOMEM;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set_errno(error, errno, "cannot make a pipe");
	*output = ends[0];
	writer = ends[1];
	spawn.stdout_fd = writer;
	result = process_spawn(&conform->process, &spawn, error);
	if (result < 0)
		close_fd(output);
	return result;
}

/*
 * What the hypervisor's end, with @status or by force, says of power: behind the guest's end, and in a test
 * that is nothing but its off.
 */
static int judge_end(struct conform *conform, int status, struct error *error)
{
	struct conform_log *log = &conform->log;
	char how[PROCESS_STATUS_LENGTH], message[PROCESS_STATUS_LENGTH + 80];

	if (conform->exited && status == 0) {
		if (conform->ending && log->current &&
		    !strcmp(log->tests[log->current - 1].name, conform->ending))
			conform_log_off(log);
		return 0;
	}
	if (!log->said_end)
		return 0;
	if (conform->exited)
		snprintf(message, sizeof(message),
			 "the guest went off, and the hypervisor ended by %s",
			 process_describe(how, status));
	else
		snprintf(message, sizeof(message),
			 "the hypervisor did not end within %" PRIu64 " s of the guest's off",
			 OFF_SECONDS * conform->options->slow);
	return conform_log_fail(log, off_tests[0], "AVP-PWR-001", message, error);
}

/* One boot, from test number @start on, to its end or until it hangs. */
static int run_boot(struct conform *conform, size_t start, unsigned int boot, struct error *error)
{
	int output = -1, result = start_guest(conform, start, boot, &output, error);
	int status = 0;

	if (result < 0)
		return result;
	conform->output = (struct line_reader){.line = handle_line, .context = conform};
	result = line_reader_open(&conform->output, &conform->loop, output, CONFORM_LINE_MAX * 2,
				  error);
	conform->exit_source = (struct event_source){conform->process.pidfd, handle_exit, conform};
	if (result == 0)
		result = event_loop_add(&conform->loop, &conform->exit_source, EPOLLIN, error);
	conform->exited = conform->over = false;
	set_silence(conform, conform->options->silence);
	if (result == 0)
		result = event_loop_run(&conform->loop);
	event_loop_remove(&conform->loop, &conform->exit_source);
	/* Everything that avp run has started goes with it; of a command, what stayed in its group. */
	if (conform->options->command)
		kill(-conform->process.pid, SIGKILL);
	process_signal(&conform->process, SIGKILL);
	process_wait(&conform->process, -1, &status);
	line_reader_drain(&conform->output);
	line_reader_close(&conform->output);
	if (result >= 0 && !conform->interrupted && !conform->over)
		result = judge_end(conform, status, error);
	conform_log_finish(&conform->log);
	end_progress(conform);
	if (result >= 0 && conform->failure.code) {
		*error = conform->failure;
		result = -error->code;
	}
	if (result >= 0 && conform->interrupted)
		result = error_set(error, EINTR, "ended by a signal");
	return result < 0 ? result : 0;
}

/* The number of a test that the guest makes only when it is asked for with fatal=1, else 0. */
static size_t number_of_fatal(const struct conform_log *log, const char *name)
{
	for (size_t i = 0; i < log->count; i++)
		if (!strcmp(log->tests[i].name, name) && log->tests[i].verdict == CONFORM_SKIPPED &&
		    strstr(log->tests[i].message, "fatal=1"))
			return i + 1;
	return 0;
}

static int run_boots(struct conform *conform, struct error *error)
{
	size_t start = 1, before;
	unsigned int boot = 1;
	int result;

	do {
		before = start;
		result = run_boot(conform, start, boot, error);
		start = conform_log_next(&conform->log);
		/* A guest that ends without a verdict more would do so for ever. */
	} while (result == 0 && start && start != before && boot++ < BOOTS_MAX);
	for (size_t i = 0; i < sizeof(off_tests) / sizeof(off_tests[0]) && !start && result == 0;
	     i++) {
		start = number_of_fatal(&conform->log, off_tests[i]);
		if (!start)
			continue;
		conform->ending = off_tests[i];
		result = run_boot(conform, start, ++boot, error);
		start = 0;
	}
	return result;
}

static int open_sources(struct conform *conform, struct error *error)
{
	sigset_t mask;
	int result = event_loop_init(&conform->loop, 0, error);

	if (result < 0)
		return result;
	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	conform->signals = (struct event_source){signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK),
						 handle_signal, conform};
	conform->silence =
		(struct event_source){timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
				      handle_silence, conform};
	if (conform->signals.fd < 0 || conform->silence.fd < 0)
		return error_set_errno(error, errno, "cannot take signals");
	result = event_loop_add(&conform->loop, &conform->signals, EPOLLIN, error);
	if (result == 0)
		result =
			event_loop_add(&conform->loop, &conform->silence, EPOLLIN | EPOLLET, error);
	return result;
}

static void close_sources(struct conform *conform)
{
	close_fd(&conform->signals.fd);
	close_fd(&conform->silence.fd);
	event_loop_close(&conform->loop);
}

/* Makes a disk that is the suite's own. */
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

static int run_engine(struct conform *conform, struct error *error)
{
	int result = find_image(conform->image, conform->options, error);

	if (result == 0)
		result = open_sources(conform, error);
	if (result == 0)
		result = make_disk(conform->disk, error);
	if (result == 0)
		result = make_disk(conform->read_only_disk, error);
	if (result == 0)
		result = run_boots(conform, error);
	/* An empty path: it was not made. */
	unlink(conform->disk);
	unlink(conform->read_only_disk);
	close_sources(conform);
	return result;
}

static int read_logs(struct conform *conform, struct error *error)
{
	const struct option_list *from = &conform->options->from;
	int result = 0;

	for (size_t i = 0; i < from->count && result == 0; i++)
		result = conform_log_read(&conform->log, from->items[i], error);
	conform_log_finish(&conform->log);
	return result;
}

static void show_failures(const struct conform_log *log)
{
	for (size_t i = 0; i < log->count; i++) {
		const struct conform_test *test = &log->tests[i];

		if (test->verdict != CONFORM_FAIL && test->verdict != CONFORM_WEDGED &&
		    test->verdict != CONFORM_UNKNOWN)
			continue;
		printf("%-9s%s%s%s%s%s\n", conform_verdict_name(test->verdict),
		       test->name[0] ? test->name : "(a test that was not heard of)",
		       test->message[0] ? ": " : "", test->message,
		       test->requirements[0] ? "; breaks " : "", test->requirements);
	}
}

/* The verdict on the whole: also what was not heard of counts against it. */
static int conclude(const struct conform_log *log)
{
	enum conform_state state = conform_log_state(log);
	size_t passed = conform_log_count(log, CONFORM_PASS);
	size_t skipped = conform_log_count(log, CONFORM_SKIPPED), left_out = 0;

	for (size_t i = 0; i < log->count; i++)
		left_out += log->tests[i].left_out;
	show_failures(log);
	for (size_t i = 0; i < log->measure_count; i++) {
		const struct conform_measure *measure = &log->measures[i];

		printf("%-9s%s: median %" PRIu64 ", 99 %%: %" PRIu64 " %s\n", "measured",
		       measure->name, measure->p50, measure->p99, measure->unit);
	}
	printf("%zu passed, %zu failed, %zu wedged, %zu skipped%s; the log is %s\n", passed,
	       conform_log_count(log, CONFORM_FAIL), conform_log_count(log, CONFORM_WEDGED),
	       skipped - left_out, left_out ? ", others left out" : "",
	       conform_state_describe(state));
	return state == CONFORM_COMPLETE && passed > 0 && passed + skipped == log->count ? 0 : 1;
}

static int write_reports(const struct conform *conform, struct error *error)
{
	const struct conform_options *options = conform->options;
	int result = 0;

	if (options->junit)
		result = conform_report_junit(&conform->log, options->junit, error);
	if (result == 0 && options->json)
		result = conform_report_json(&conform->log, options->json, error);
	if (result == 0 && options->html)
		result = conform_report_html(&conform->log, options->html, error);
	return result;
}

static void free_conform(struct conform *conform)
{
	conform_log_free(&conform->log);
	if (conform->kept)
		fclose(conform->kept);
}

static int run_conform(void *const *options, char *const *operands, size_t count,
		       struct error *error)
{
	__attribute__((cleanup(free_conform))) struct conform conform = {
		.options = options[0],
		.process = PROCESS_NONE,
		.signals.fd = -1,
		.silence.fd = -1,
		.loop.epoll_fd = -1,
		.progress = isatty(STDERR_FILENO),
	};
	int result;

	if (conform.options->image)
		return write_image(conform.options, error);
	if (conform.options->log) {
		conform.kept = fopen(conform.options->log, "we");
		if (!conform.kept)
			return error_set_usage(error,
					       "--log: %s: %s; check the path and its permissions",
					       conform.options->log, strerror(errno));
	}
	result = conform.options->from.count ? read_logs(&conform, error) :
					       run_engine(&conform, error);
	if (result == 0)
		result = write_reports(&conform, error);
	return result < 0 ? result : conclude(&conform.log);
}

const struct command command_conform = {
	.name = "conform",
	.summary = "prove a hypervisor against the contract",
	.description =
		"Boots a bare-metal guest that tests its hypervisor, clause by clause, and tells the "
		"verdicts: on an engine of this program, with two disks, a network, random numbers and, "
		"on engine kvm, a console; on any other hypervisor that a command boots "
		"(--command); or by hand: it writes the image (--image) and reads the console "
		"log of where it was booted (--from). A disk that it is given there is written "
		"to.\n\n"
		"A test that hangs is wedged; the guest is started again behind it. A log that is cut "
		"or damaged never counts as passed.",
	.groups =
		(const struct option_group[]){
			{"Options", conform_option_rows, sizeof(struct conform_options), false},
			{NULL, NULL, 0, false},
		},
	.exit_statuses =
		(const struct command_note[]){
			{"0", "every test that could be made has passed, and the log is whole"},
			{"1", "a test failed or hung, or the log is not whole"},
			{NULL, NULL},
		},
	.examples =
		(const struct command_note[]){
			{"avp conform --engine kvm --html verdicts.html",
			 "Proves AVP's own monitor."},
			{"avp conform --command 'qemu-system-x86_64 -M q35 -cpu max -m 256 -smp 2 "
			 "-display none -serial stdio -nodefaults -kernel $AVP_IMAGE "
			 "-append \"$AVP_APPEND\" -drive if=none,id=d,format=raw,file=$AVP_DISK "
			 "-device virtio-blk-pci,drive=d'",
			 "Proves QEMU's own devices."},
			{"avp conform --image conform.elf && qemu-system-x86_64 -M microvm -kernel "
			 "conform.elf -nographic | tee log && avp conform --from log",
			 "Proves another hypervisor."},
			{NULL, NULL},
		},
	.run = run_conform,
};
