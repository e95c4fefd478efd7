// SPDX-License-Identifier: BSD-3-Clause
/*
 * Engine qemu: a guest in the installed QEMU, controlled over QMP. QEMU gets no terminal, no file
 * names and no display; its standard error becomes log lines.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file_stamp.h"
#include "base/line_reader.h"
#include "base/log.h"
#include "base/log_limit.h"
#include "base/resource_limit.h"
#include "base/text.h"
#include "guest/engine/engine.h"
#include "guest/engine/qemu/qemu.h"
#include "guest/engine/qemu/qmp.h"
#include "host/fd_names.h"

#define COMPONENT "qemu"
#define LINE_SIZE 1024
/*
 * Limit of QEMU's log lines: a burst, then one in so many milliseconds. QEMU repeats itself when a
 * device process cannot be reached.
 */
#define LINES_IN_A_ROW 20
#define LINES_MS       10000

struct qemu_guest {
	struct engine_guest common;
	struct line_reader output; /* standard output and error of QEMU */
	struct qmp qmp;
	struct fd_names files;
	int initrd; /* -1: none */
	struct file_stamp initrd_stamp;
	char changed[ENGINE_HOW_LENGTH]; /* why the guest could not reset, or "" */
	/* QEMU's last line. Before the guest runs it is held back, as it may be the error. */
	char last_line[LINE_SIZE];
	struct log_limit limit;
	char reason[32]; /* of the SHUTDOWN event */
	bool panicked;
	bool halted; /* QEMU has paused the guest after an error */
	bool quit_asked;
	unsigned int unanswered; /* commands that stop or start the vCPUs */
};

static struct qemu_guest *qemu_guest(struct engine_guest *guest)
{
	return (struct qemu_guest *)guest;
}

/* Extends struct engine_plan. */
struct qemu_plan {
	struct engine_plan plan;
	struct qemu_program program;
};

static const struct qemu_program *plan_program(const struct engine_plan *plan)
{
	return &((const struct qemu_plan *)plan)->program;
}

static int qemu_usable(struct engine_plan **out, const struct kvm_probe_result *kvm,
		       struct error *error)
{
	cleanup_free struct qemu_plan *plan = calloc(1, sizeof(*plan));
	bool works = kvm->verdict == KVM_PROBE_WORKS;
	const struct qemu_version *version;
	int result;

	*out = NULL;
	if (!plan)
		return error_set(error, ENOMEM, "out of memory");
	version = &plan->program.version;
	result = qemu_find(&plan->program, error);
	if (result < 0)
		return result;
	snprintf(plan->plan.summary, sizeof(plan->plan.summary), "QEMU %u.%u.%u %s", version->major,
		 version->minor, version->micro, works ? "with KVM" : "by emulation");
	if (!works)
		snprintf(plan->plan.slow, sizeof(plan->plan.slow), "%s", kvm->reason);
	*out = &take_pointer(plan)->plan;
	return 0;
}

static int qemu_carries_device(const struct device_config *device, const struct engine_plan *plan,
			       struct error *error)
{
	return qemu_check_device(device, plan ? &plan_program(plan)->version : NULL, error);
}

/* Warnings of QEMU that mean nothing. */
static const char *const harmless[] = {
	/* Its network device takes no configuration from a backend; other frontends do. */
	"backend supports VHOST_USER_PROTOCOL_F_CONFIG but QEMU does not",
};

static enum log_level line_level(const char *line)
{
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		if (strstr(line, harmless[i]))
			return LOG_DEBUG;
	return LOG_WARNING;
}

static void log_last_line(struct qemu_guest *guest)
{
	if (guest->last_line[0] && log_limit_allow(&guest->limit, COMPONENT))
		log_line(line_level(guest->last_line), COMPONENT, "%s", guest->last_line);
	guest->last_line[0] = 0;
}

static void handle_output(void *context, char *line, size_t length, bool cut)
{
	struct qemu_guest *guest = context;
	const char *text = line;

	/* "qemu-system-x86_64: …" */
	if (!strncmp(line, "qemu", strlen("qemu"))) {
		const char *colon = strstr(line, ": ");

		if (colon && !memchr(line, ' ', colon - line))
			text = colon + 2;
	}
	if (!text[0])
		return;
	log_last_line(guest);
	fd_names_replace(&guest->files, text, guest->last_line, sizeof(guest->last_line));
	text_make_printable(guest->last_line);
	if (guest->common.running)
		log_last_line(guest);
}

/*
 * Has QEMU kill the guest and exit; it does not exit on SIGTERM, see process_spawn.shielded. If it
 * hangs, takes no commands yet or was asked before, it gets SIGKILL.
 */
static void quit(struct qemu_guest *guest)
{
	if (guest->quit_asked || qmp_execute(&guest->qmp, "quit", NULL) < 0)
		supervised_process_kill(&guest->common.process);
	guest->quit_asked = true;
}

/* Stops or starts the vCPUs. If it cannot be sent, QEMU hangs or is ending. */
static void command(struct qemu_guest *guest, const char *name)
{
	struct error error;

	if (qmp_execute(&guest->qmp, name, &error) == 0)
		guest->unanswered++;
	else
		log_line(LOG_ERROR, COMPONENT, "%s", error.message);
}

static void handle_qmp_ready(void *context)
{
	command(context, "cont");
}

/*
 * QEMU paused the guest. Unless it was asked to, which it answers next, that was an error, of KVM
 * for example, and nothing will resume the guest: quit. A command to resume a guest that runs has
 * this event, too.
 */
static void handle_halt(struct qemu_guest *guest)
{
	if (!guest->common.running || guest->panicked || guest->reason[0] || guest->unanswered)
		return;
	guest->halted = true;
	quit(guest);
}

/*
 * QEMU has read the kernel, but may have the initrd mapped: a reset would load the changed file,
 * and a truncated file ends QEMU with SIGBUS. Returns whether the file was changed.
 */
static bool check_initrd(struct qemu_guest *guest)
{
	struct error error;

	if (QEMU_MAPS_INITRD && file_stamp_check(&guest->initrd_stamp, guest->initrd,
						 guest->common.setup->config->initrd, &error) < 0)
		snprintf(guest->changed, sizeof(guest->changed), "could not be restarted: %.480s",
			 error.message);
	return guest->changed[0];
}

static void handle_event(void *context, const char *name, const json_t *data)
{
	struct qemu_guest *guest = context;
	const struct engine_setup *setup = guest->common.setup;
	const char *reason = json_string_value(json_object_get(data, "reason"));

	log_line(LOG_DEBUG, COMPONENT, "event %s%s%s", name, reason ? ", reason " : "",
		 reason ? reason : "");
	if (!strcmp(name, "RESUME")) {
		log_last_line(guest);
		if (guest->common.running)
			setup->events->resumed(setup->context, NULL);
		engine_report_running(&guest->common);
	} else if (!strcmp(name, "RESET")) {
		if (!json_is_true(json_object_get(data, "guest")))
			return;
		setup->events->reset(setup->context);
		if (check_initrd(guest))
			quit(guest);
	} else if (!strcmp(name, "GUEST_PANICKED")) {
		guest->panicked = true;
	} else if (!strcmp(name, "SHUTDOWN")) {
		if (!guest->reason[0])
			snprintf(guest->reason, sizeof(guest->reason), "%s",
				 reason ? reason : "unknown");
	} else if (!strcmp(name, "STOP")) {
		handle_halt(guest);
	}
}

static void handle_answer(void *context, const char *name, const char *why)
{
	struct qemu_guest *guest = context;
	const struct engine_setup *setup = guest->common.setup;
	bool stop = !strcmp(name, "stop");
	struct error error;

	if (why && log_limit_allow(&guest->limit, COMPONENT))
		log_line(LOG_WARNING, COMPONENT, "QEMU refused %s: %s", name, why);
	if ((!stop && strcmp(name, "cont")) || !guest->unanswered)
		return;
	guest->unanswered--;
	if (why)
		error_set(&error, EIO, "QEMU refused %s: %s", name, why);
	if (stop)
		setup->events->paused(setup->context, why ? &error : NULL);
	else if (why && guest->common.running)
		setup->events->resumed(setup->context, &error);
}

static void handle_qmp_end(void *context)
{
	/* QEMU is exiting; its pidfd reports that. */
}

static const struct qmp_handlers qmp_handlers = {
	.ready = handle_qmp_ready,
	.event = handle_event,
	.answered = handle_answer,
	.ended = handle_qmp_end,
};

/* How the guest ended, by QEMU's exit status and events; @how completes "the guest …". */
static enum guest_end describe_end(const struct qemu_guest *guest, int status,
				   char how[ENGINE_HOW_LENGTH])
{
	char text[OOM_STATUS_LENGTH], limit[RESOURCE_LIMIT_TEXT];

	oom_describe(text, status, &guest->common.process.oom_before, "");
	if (guest->panicked || !strcmp(guest->reason, "guest-panic")) {
		snprintf(how, ENGINE_HOW_LENGTH, "panicked");
		return GUEST_PANICKED;
	}
	if (guest->changed[0]) {
		snprintf(how, ENGINE_HOW_LENGTH, "%s", guest->changed);
		return GUEST_FAILED;
	}
	if (guest->halted) {
		snprintf(how, ENGINE_HOW_LENGTH, "was stopped by QEMU after an error");
		return GUEST_FAILED;
	}
	if (!strcmp(guest->reason, "guest-shutdown") && WIFEXITED(status) && !WEXITSTATUS(status)) {
		snprintf(how, ENGINE_HOW_LENGTH,
			 guest->common.stop_asked ? "powered off on request" : "powered off");
		return GUEST_POWERED_OFF;
	}
	if (guest->common.kill_asked) {
		snprintf(how, ENGINE_HOW_LENGTH, "was killed");
		return GUEST_KILLED;
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		snprintf(how, ENGINE_HOW_LENGTH, "ended with QEMU (%s)%s%.300s%s", text,
			 guest->last_line[0] ? ": " : "", guest->last_line,
			 resource_limit_describe_text(limit, guest->last_line));
		return GUEST_FAILED;
	}
	if (!strcmp(guest->reason, "host-signal") || !strcmp(guest->reason, "host-qmp-quit") ||
	    !strcmp(guest->reason, "host-ui")) {
		snprintf(how, ENGINE_HOW_LENGTH, "was ended from outside (%s)", guest->reason);
		return GUEST_KILLED;
	}
	snprintf(how, ENGINE_HOW_LENGTH, "ended with QEMU (%s, reason %s)", text,
		 guest->reason[0] ? guest->reason : "unknown");
	return GUEST_FAILED;
}

static enum guest_end qemu_describe_end(struct engine_guest *common, int status,
					char how[ENGINE_HOW_LENGTH])
{
	struct qemu_guest *guest = qemu_guest(common);

	/* Its last events and lines may not have been handled yet. */
	qmp_drain(&guest->qmp);
	line_reader_drain(&guest->output);
	/* A truncated initrd may end QEMU before it reports the reset. */
	if (common->running && WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS)
		check_initrd(guest);
	return describe_end(guest, status, how);
}

/*
 * The shared guest memory is a file to the kernel: a limit of file sizes (RLIMIT_FSIZE) that is too
 * small would kill QEMU.
 */
static int check_file_limit(const struct guest_config *config, struct error *error)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur >= config->memory)
		return 0;
	return error_set_errno(error, EFBIG, "cannot make %" PRIu64 " bytes of guest memory",
			       config->memory);
}

/* Keeps the initrd open to detect at a reset whether it was changed. */
static int stamp_initrd(struct qemu_guest *guest, const struct engine_launch *launch,
			struct error *error)
{
	int fd = launch->files[ENGINE_INITRD];

	if (fd < 0)
		return 0;
	guest->initrd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (guest->initrd < 0)
		return error_set_errno(error, errno, "%s", launch->paths[ENGINE_INITRD]);
	return file_stamp_check(&guest->initrd_stamp, fd, launch->paths[ENGINE_INITRD], error);
}

static int open_output(struct qemu_guest *guest, struct engine_launch *launch, struct error *error)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set_errno(error, errno, "cannot make a pipe");
	launch->output = ends[1];
	guest->output.line = handle_output;
	guest->output.context = guest;
	return line_reader_open(&guest->output, guest->common.setup->loop, ends[0], LINE_SIZE,
				error);
}

static void add_sandbox(struct engine_launch *launch, const struct qemu_program *program)
{
	if (!program->sandbox) {
		log_line(
			LOG_WARNING, COMPONENT,
			"%s was built without its sandbox: if the guest takes it over it can start "
			"programs",
			program->path);
		return;
	}
	arguments_add(&launch->arguments, "-sandbox");
	arguments_add(&launch->arguments, QEMU_SANDBOX);
}

static int qemu_prepare(struct engine_guest *common, struct engine_launch *launch,
			struct error *error)
{
	struct qemu_guest *guest = qemu_guest(common);
	const struct engine_setup *setup = common->setup;
	const struct qemu_program *program;
	int result;

	guest->initrd = -1;
	guest->limit = (struct log_limit){.burst = LINES_IN_A_ROW, .interval_ms = LINES_MS};
	result = check_file_limit(setup->config, error);
	if (result == 0)
		result = stamp_initrd(guest, launch, error);
	if (result == 0)
		result = open_output(guest, launch, error);
	if (result == 0)
		result = qmp_open(&guest->qmp, setup->loop, take_fd(&launch->own_control),
				  &qmp_handlers, guest, error);
	if (result < 0)
		return result;
	for (int i = 0; i < ENGINE_FILES; i++)
		if (launch->files[i] >= 0)
			fd_names_add(&guest->files, launch->files[i], launch->paths[i]);
	for (size_t i = 0; i < setup->device_count; i++)
		engine_launch_keep(launch, setup->devices[i].connect_fd, true);
	program = plan_program(setup->plan);
	launch->program = program->path;
	arguments_add(&launch->arguments, program->path);
	add_sandbox(launch, program);
	qemu_arguments(&launch->arguments, setup, program->version, launch);
	return 0;
}

static void qemu_close(struct engine_guest *common)
{
	struct qemu_guest *guest = qemu_guest(common);

	qmp_close(&guest->qmp);
	line_reader_close(&guest->output);
	close_fd(&guest->initrd);
}

static bool qemu_reattaches(const struct device_type *type)
{
	return type->qemu->reconnects;
}

static void qemu_stop(struct engine_guest *guest)
{
	struct error error;

	/* Log the failure once. */
	if (qmp_execute(&qemu_guest(guest)->qmp, "system_powerdown", &error) < 0 &&
	    !guest->stop_asked)
		log_line(LOG_WARNING, COMPONENT, "%s", error.message);
}

static void qemu_pause(struct engine_guest *guest)
{
	command(qemu_guest(guest), "stop");
}

static void qemu_resume(struct engine_guest *guest)
{
	command(qemu_guest(guest), "cont");
}

static void qemu_kill(struct engine_guest *guest)
{
	quit(qemu_guest(guest));
}

/*
 * memory_unit: QEMU compares its memory backend with a size rounded up to 8 KiB
 * (hw/core/machine.c). memory: an emulated q35 has 40 address bits and skips the range that AMD
 * reserves below 1 TiB.
 */
#define MACHINE                                                      \
	.cpus = GUEST_CPUS_MAXIMUM, .memory_unit = 8 << 10,          \
	.command_line = GUEST_COMMAND_LINE_MAXIMUM, .huge_pages = 1, \
	.devices = GUEST_DEVICES_MAXIMUM, .pause = 1

const struct engine engine_qemu = {
	.name = "qemu",
	.machines =
		{
			[ENGINE_X86_64] = {MACHINE,
					   .kernels = ENGINE_BOOTS(KERNEL_ELF) |
						      ENGINE_BOOTS(KERNEL_BZIMAGE),
					   .memory = UINT64_C(960) << 30},
			[ENGINE_ARM64] = {MACHINE,
					  .kernels = ENGINE_BOOTS(KERNEL_ELF) |
						     ENGINE_BOOTS(KERNEL_ARM64_IMAGE) |
						     ENGINE_BOOTS(KERNEL_GZIP) |
						     ENGINE_BOOTS(KERNEL_ZBOOT),
					  .memory = GUEST_MEMORY_MAXIMUM},
		},
	.console = QEMU_CONSOLE,
	.guest_size = sizeof(struct qemu_guest),
	.check = &qemu_check,
	.usable = qemu_usable,
	.carries = qemu_carries_device,
	.reattaches = qemu_reattaches,
	.prepare = qemu_prepare,
	.stop = qemu_stop,
	.kill = qemu_kill,
	.pause = qemu_pause,
	.resume = qemu_resume,
	.describe_end = qemu_describe_end,
	.close = qemu_close,
};
