// SPDX-License-Identifier: BSD-3-Clause
/*
 * The subcommands of an OCI runtime that do something to a container. Podman, containerd and others
 * call them with the options of runc and crun; those that mean nothing for a guest are accepted.
 * docs/oci.md has all of it.
 */
#include "cli/oci.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/inherited_fd.h"
#include "base/log.h"
#include "cli/avp.h"
#include "guest/oci/container.h"
#include "guest/oci/create.h"
#include "guest/oci/operate.h"

#define IGNORED "accepted and ignored"
/* How often a log is looked at for more. */
#define FOLLOW_MS 200

struct root_options {
	char *root, *cgroup_manager, *rootless;
	bool debug, systemd_cgroup;
};

static const struct option_row root_rows[] = {
	{
		.name = "root",
		.type = OPTION_STRING,
		.argument = "DIR",
		.offset = offsetof(struct root_options, root),
		.help = "the directory with the state of containers; the default is BASE/oci, see "
			"docs/oci.md",
	},
	{
		.name = "debug",
		.type = OPTION_FLAG,
		.offset = offsetof(struct root_options, debug),
		.help = "for operations on containers: as --log-level debug",
	},
	{
		.name = "systemd-cgroup",
		.type = OPTION_FLAG,
		.offset = offsetof(struct root_options, systemd_cgroup),
		.help = IGNORED,
	},
	{
		.name = "cgroup-manager",
		.type = OPTION_STRING,
		.argument = "NAME",
		.offset = offsetof(struct root_options, cgroup_manager),
		.help = IGNORED,
	},
	{
		.name = "rootless",
		.type = OPTION_STRING,
		.argument = "WORD",
		.offset = offsetof(struct root_options, rootless),
		.help = IGNORED,
	},
	{.name = NULL},
};

const struct option_group oci_root_groups[] = {
	{"Options for containers", root_rows, sizeof(struct root_options), false},
	{NULL, NULL, 0, false},
};

/*
 * Undoes what callers leave: podman ignores SIGPIPE, and blocks SIGUSR1 for its clean-up. The
 * environment may be empty.
 */
static void reset_process(void)
{
	const struct sigaction standard = {.sa_handler = SIG_DFL};
	const char *path = getenv("PATH");
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		sigaction(number, &standard, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* An empty one would mean the current directory. */
	if (!path || !*path)
		setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
}

int oci_open_root(const struct command_call *call, struct error *error)
{
	const struct root_options *options = call->root_options[0];

	if (options->debug)
		log_set_level(LOG_DEBUG);
	reset_process();
	return container_root_open(options->root, error);
}

const struct option_row oci_create_rows[] = {
	{
		.name = "bundle",
		.type = OPTION_STRING,
		.argument = "DIR",
		.offset = offsetof(struct oci_create_options, bundle),
		.default_text = ".",
		.help = "the directory with the config.json",
	},
	{
		.name = "pid-file",
		.type = OPTION_STRING,
		.argument = "FILE",
		.offset = offsetof(struct oci_create_options, pid_file),
		.help = "write the number of the container's process there",
	},
	{
		.name = "console-socket",
		.type = OPTION_STRING,
		.argument = "PATH",
		.offset = offsetof(struct oci_create_options, console_socket),
		.help = "make a terminal, and send its other end to the socket there",
	},
	{
		.name = "preserve-fds",
		.type = OPTION_NUMBER,
		.argument = "NUMBER",
		.offset = offsetof(struct oci_create_options, preserve_fds),
		.default_text = "0",
		.help = IGNORED ": a guest has no descriptors",
	},
	{
		.name = "no-pivot",
		.type = OPTION_FLAG,
		.offset = offsetof(struct oci_create_options, no_pivot),
		.help = IGNORED,
	},
	{
		.name = "no-new-keyring",
		.type = OPTION_FLAG,
		.offset = offsetof(struct oci_create_options, no_new_keyring),
		.help = IGNORED,
	},
	{
		.name = "detach",
		.type = OPTION_FLAG,
		.letter = 'd',
		.offset = offsetof(struct oci_create_options, detach),
		.help = "of run: have the guest in the background; also -d",
	},
	{.name = NULL},
};

static int create(const struct command_call *call, const struct oci_create_options *options,
		  const char *id, struct error *error)
{
	const struct container_request request = {
		.id = id,
		.bundle = options->bundle,
		.pid_file = options->pid_file,
		.console_socket = options->console_socket,
	};
	cleanup_fd int root = -1;

	/* The supervisor lives long, and must not hold what its caller has left open. */
	inherited_fd_close_others();
	root = oci_open_root(call, error);
	return root < 0 ? root : container_create(root, &request, error);
}

static int run_create(const struct command_call *call, struct error *error)
{
	return create(call, call->options[0], call->operands[0], error);
}

/* The signals that a container in the foreground is to get. */
static void block_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGCHLD);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGHUP);
	sigaddset(signals, SIGQUIT);
	sigprocmask(SIG_BLOCK, signals, NULL);
}

/*
 * Waits for the end of the container, whose process is a child, and passes on @signals, which are
 * blocked.
 */
static int wait_for_end(int root, const char *id, const sigset_t *signals, struct error *error)
{
	cleanup_container struct container container;
	int result = container_load(&container, root, id, error), status, number;
	struct error ignored;

	if (result < 0)
		return result;
	while (waitpid(container.process.pid, &status, WNOHANG) == 0)
		if (sigwait(signals, &number) == 0 && number != SIGCHLD)
			container_kill(root, id, number, false, &ignored);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int oci_run(const struct command_call *call, const struct oci_create_options *options,
	    const char *id, struct error *error)
{
	int result = create(call, options, id, error), status;
	cleanup_fd int root = result < 0 ? result : oci_open_root(call, error);
	struct error ignored;
	sigset_t signals;

	if (root < 0)
		return root;
	/* From here on, one that comes must not end this process and leave the guest. */
	if (!options->detach)
		block_signals(&signals);
	result = container_start(root, id, error);
	if (result < 0)
		container_delete(root, id, true, &ignored);
	if (result < 0 || options->detach)
		return result;
	status = wait_for_end(root, id, &signals, error);
	result = container_delete(root, id, true, error);
	return result < 0 ? result : status;
}

int oci_run_detached(const struct command_call *call, struct guest_config *config,
		     const char *bundle, struct error *error)
{
	cleanup_free char *id = strdup(config->name);
	const struct container_request request = {
		.id = id,
		.bundle = bundle,
		.config = config,
		.logged = true,
	};
	cleanup_fd int root = oci_open_root(call, error);
	struct error ignored;
	int result;

	if (root < 0)
		return root;
	if (!id)
		return error_set(error, ENOMEM, "out of memory");
	result = container_create(root, &request, error);
	if (result < 0)
		return result;
	result = container_start(root, id, error);
	if (result < 0)
		container_delete(root, id, true, &ignored);
	else
		puts(id);
	return result;
}

const struct command command_create = {
	.name = "create",
	.summary = "create a container with a guest",
	.description =
		"Reads an OCI bundle and opens everything that its guest needs, as container ID. "
		"The guest runs from `avp start` on. The process that is left is the container's: "
		"it supervises the guest, has the standard input and output of this command, and "
		"ends with the guest.",
	.groups =
		(const struct option_group[]){
			{"Options", oci_create_rows, sizeof(struct oci_create_options), false},
			{NULL, NULL, 0, false},
		},
	.operands = "ID",
	.operands_minimum = 1,
	.operands_maximum = 1,
	.examples =
		(const struct command_note[]){
			{"avp create --bundle ./car --pid-file car.pid car",
			 "Creates the container car."},
			{NULL, NULL},
		},
	.run = run_create,
};

/* An operation that needs nothing but the id. */
static int operate(const struct command_call *call, struct error *error)
{
	int (*const *operation)(int root, const char *id, struct error *error) =
		call->command->context;
	cleanup_fd int root = oci_open_root(call, error);

	return root < 0 ? root : (*operation)(root, call->operands[0], error);
}

typedef int (*const operation)(int root, const char *id, struct error *error);

const struct command command_start = {
	.name = "start",
	.summary = "start the guest of a container that was created",
	.description = "Has the guest of container ID start.",
	.operands = "ID",
	.operands_minimum = 1,
	.operands_maximum = 1,
	.run = operate,
	.context = &(operation){container_start},
};

const struct command command_pause = {
	.name = "pause",
	.summary = "pause the guest of a container",
	.description = "Pauses the processors of the guest. Returns when all have stopped.",
	.operands = "ID",
	.operands_minimum = 1,
	.operands_maximum = 1,
	.run = operate,
	.context = &(operation){container_pause},
};

const struct command command_resume = {
	.name = "resume",
	.summary = "have the guest of a paused container run again",
	.description = "Has the processors of the guest run again.",
	.operands = "ID",
	.operands_minimum = 1,
	.operands_maximum = 1,
	.run = operate,
	.context = &(operation){container_resume},
};

/* Operations for people: an id may be cut short, as podman has it. */
static int stop(const struct command_call *call, struct error *error)
{
	cleanup_free char *id = NULL;
	cleanup_fd int root = oci_open_root(call, error);
	int result = root < 0 ? root : container_find(root, call->operands[0], &id, error);

	return result < 0 ? result : container_stop(root, id, error);
}

const struct command command_stop = {
	.name = "stop",
	.summary = "have the guest of a container shut down",
	.description =
		"Presses the guest's power button, and waits until the guest has ended; if it "
		"still runs after the time of its stop-timeout, it is killed. ID may be the "
		"first characters of one.",
	.operands = "ID",
	.operands_minimum = 1,
	.operands_maximum = 1,
	.run = stop,
};

struct logs_options {
	bool follow;
};

static const struct option_row logs_rows[] = {
	{
		.name = "follow",
		.type = OPTION_FLAG,
		.letter = 'f',
		.offset = offsetof(struct logs_options, follow),
		.help = "go on until the guest has ended; also -f",
	},
	{.name = NULL},
};

/* Copies what is there. Returns 0 or a negative errno with *error set. */
static int copy_log(int log, struct error *error)
{
	char buffer[4096];
	ssize_t bytes;

	while ((bytes = read(log, buffer, sizeof(buffer))) > 0)
		if (fwrite(buffer, 1, (size_t)bytes, stdout) != (size_t)bytes || fflush(stdout))
			return error_set(error, EIO, "cannot write to standard output");
	return bytes < 0 ? error_set_errno(error, errno, "the log") : 0;
}

static int run_logs(const struct command_call *call, struct error *error)
{
	const struct logs_options *options = call->options[0];
	cleanup_container struct container container = CONTAINER_NONE;
	cleanup_free char *id = NULL;
	cleanup_fd int root = oci_open_root(call, error), log = -1;
	int result = root < 0 ? root : container_find(root, call->operands[0], &id, error);
	bool ended = !options->follow;

	if (result == 0)
		result = container_load(&container, root, id, error);
	if (result == 0)
		result = log = container_open_log(&container, false, error);
	if (result < 0)
		return result;
	result = copy_log(log, error);
	while (result == 0 && !ended) {
		/* What it wrote last is there by then. */
		ended = host_process_wait(&container.process, FOLLOW_MS) != -ETIMEDOUT;
		result = copy_log(log, error);
	}
	return result;
}

const struct command command_logs = {
	.name = "logs",
	.summary = "print what a guest in the background has said",
	.description =
		"Prints the console of the guest that `avp run --detach` has started, and the "
		"log of its supervisor. ID may be the first characters of one.",
	.groups =
		(const struct option_group[]){
			{"Options", logs_rows, sizeof(struct logs_options), false},
			{NULL, NULL, 0, false},
		},
	.operands = "ID",
	.operands_minimum = 1,
	.operands_maximum = 1,
	.run = run_logs,
};

struct kill_options {
	bool all;
};

static const struct option_row kill_rows[] = {
	{
		.name = "all",
		.type = OPTION_FLAG,
		.offset = offsetof(struct kill_options, all),
		.help = "it is not an error that the container has stopped; all processes of a "
			"guest end with it anyway",
	},
	{.name = NULL},
};

/* The number of a signal: 15, TERM, SIGTERM or SIGRTMIN+3. Returns -1 when it is none. */
static int parse_signal(const char *text)
{
	char *end;
	long number = strtol(text, &end, 10);

	if (end != text)
		return !*end && number >= 0 && number < NSIG ? (int)number : -1;
	if (!strncmp(text, "SIG", 3))
		text += 3;
	if (!strncmp(text, "RTMIN", 5)) {
		number = text[5] == '+' ? strtol(text + 6, &end, 10) : 0;
		return (text[5] == '+' ? text[6] && !*end : !text[5]) && number >= 0 &&
				       SIGRTMIN + number <= SIGRTMAX ?
			       SIGRTMIN + (int)number :
			       -1;
	}
	for (int i = 1; i < SIGRTMIN; i++)
		if (sigabbrev_np(i) && !strcmp(sigabbrev_np(i), text))
			return i;
	return -1;
}

static int run_kill(const struct command_call *call, struct error *error)
{
	const struct kill_options *options = call->options[0];
	const char *text = call->operand_count > 1 ? call->operands[1] : "TERM";
	int number = parse_signal(text);
	cleanup_fd int root = -1;

	if (number < 0)
		return error_set_usage(error,
				       "'%.40s' is not a signal; give a number or a name such as "
				       "TERM",
				       text);
	root = oci_open_root(call, error);
	return root < 0 ? root :
			  container_kill(root, call->operands[0], number, options->all, error);
}

const struct command command_kill = {
	.name = "kill",
	.summary = "send a signal to the guest of a container",
	.description =
		"SIGKILL ends the guest. SIGTERM, which is the default, and other signals that "
		"ask a process to end, press the guest's power button; when it still runs after "
		"the time of its stop-timeout, or at another one, it is killed.",
	.groups =
		(const struct option_group[]){
			{"Options", kill_rows, sizeof(struct kill_options), false},
			{NULL, NULL, 0, false},
		},
	.operands = "ID [SIGNAL]",
	.operands_minimum = 1,
	.operands_maximum = 2,
	.run = run_kill,
};

struct delete_options {
	bool force;
};

static const struct option_row delete_rows[] = {
	{
		.name = "force",
		.type = OPTION_FLAG,
		.offset = offsetof(struct delete_options, force),
		.help = "kill the guest if it is not stopped; it is not an error if there is no "
			"such container",
	},
	{.name = NULL},
};

static int run_delete(const struct command_call *call, struct error *error)
{
	const struct delete_options *options = call->options[0];
	cleanup_fd int root = oci_open_root(call, error);

	return root < 0 ? root : container_delete(root, call->operands[0], options->force, error);
}

const struct command command_delete = {
	.name = "delete",
	.summary = "remove a container that has stopped",
	.description = "Removes what `avp create` has made for container ID.",
	.groups =
		(const struct option_group[]){
			{"Options", delete_rows, sizeof(struct delete_options), false},
			{NULL, NULL, 0, false},
		},
	.operands = "ID",
	.operands_minimum = 1,
	.operands_maximum = 1,
	.run = run_delete,
};

static int refuse(const struct command_call *call, struct error *error)
{
	return error_set(error, ENOTSUP, "%s is not supported: %s", call->command->name,
			 (const char *)call->command->context);
}

#define REFUSED(variable, word, text, reason)                   \
	const struct command variable = {                       \
		.name = (word),                                 \
		.summary = (text),                              \
		.description = "Is not supported: " reason ".", \
		.operands = "[ARGUMENT]...",                    \
		.operands_maximum = 100,                        \
		.hidden = true,                                 \
		.unparsed = true,                               \
		.run = refuse,                                  \
		.context = (reason),                            \
	}

REFUSED(command_exec, "exec", "run a process in a container (not supported)",
	"a guest starts its own processes; reach it over its network or console");
REFUSED(command_checkpoint, "checkpoint", "save a container (not supported)",
	"the state of a guest is not saved");
REFUSED(command_restore, "restore", "restore a saved container (not supported)",
	"the state of a guest is not saved");
REFUSED(command_update, "update", "change the limits of a container (not supported)",
	"the memory and processors of a guest are those of its bundle");
