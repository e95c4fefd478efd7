// SPDX-License-Identifier: BSD-3-Clause
/* The subcommands of an OCI runtime that show something: containers, what the runtime can do. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/avp.h"
#include "cli/oci.h"
#include "guest/config/bundle.h"
#include "guest/oci/container.h"
#include "guest/oci/hooks.h"
#include "host/json_file.h"

static int print_json(const json_t *json, size_t flags, struct error *error)
{
	if (!json)
		return error_set(error, ENOMEM, "out of memory");
	json_dumpf(json, stdout, flags);
	putchar('\n');
	return 0;
}

static int run_state(const struct command_call *call, struct error *error)
{
	cleanup_container struct container container = CONTAINER_NONE;
	cleanup_json json_t *state = NULL;
	cleanup_fd int root = oci_open_root(call, error);
	int result = root;

	if (root >= 0)
		result = container_load(&container, root, call->operands[0], error);
	if (result < 0)
		return result;
	state = container_state(&container, container_status(&container));
	return print_json(state, JSON_INDENT(2), error);
}

const struct command command_state = {
	.name = "state",
	.summary = "print the state of a container",
	.description = "Prints the state of container ID as JSON, as the OCI runtime "
		       "specification has it.",
	.operands = "ID",
	.operands_minimum = 1,
	.operands_maximum = 1,
	.run = run_state,
};

enum list_format { LIST_TABLE, LIST_JSON };

static const char *const format_choices[] = {
	[LIST_TABLE] = "table",
	[LIST_JSON] = "json",
	NULL,
};

struct list_options {
	uint64_t format; /* enum list_format */
	bool json, quiet;
};

static const struct option_row list_rows[] = {
	{
		.name = "format",
		.type = OPTION_CHOICE,
		.argument = "FORMAT",
		.offset = offsetof(struct list_options, format),
		.choices = format_choices,
		.default_text = "table",
		.help = "form of the list",
	},
	{
		.name = "json",
		.type = OPTION_FLAG,
		.offset = offsetof(struct list_options, json),
		.help = "as --format json",
	},
	{
		.name = "quiet",
		.type = OPTION_FLAG,
		.offset = offsetof(struct list_options, quiet),
		.help = "print only the ids",
	},
	{.name = NULL},
};

/* The name of the user to whom the state belongs. */
static const char *find_owner(const struct container *container)
{
	struct stat status;
	const struct passwd *user =
		fstat(container->directory, &status) < 0 ? NULL : getpwuid(status.st_uid);

	return user ? user->pw_name : "";
}

static int add_state(const struct container *container, void *context)
{
	json_t *list = context, *state = container_state(container, container_status(container));

	if (!state)
		return -ENOMEM;
	json_object_set_new(state, "owner", json_string(find_owner(container)));
	return json_array_append_new(list, state) ? -ENOMEM : 0;
}

static const char *get_text(const json_t *state, const char *name)
{
	return json_string_value(json_object_get(state, name));
}

static void print_table(const json_t *list)
{
	int width = (int)strlen("ID");
	const json_t *state;
	size_t i;

	json_array_foreach(list, i, state) {
		int length = (int)strlen(get_text(state, "id"));

		width = length > width ? length : width;
	}
	printf("%-*s  %7s  %-8s  %-20s  %-8s  %s\n", width, "ID", "PID", "STATUS", "CREATED",
	       "OWNER", "BUNDLE");
	json_array_foreach(list, i, state) {
		printf("%-*s  %7d  %-8s  %-20s  %-8s  %s\n", width, get_text(state, "id"),
		       (int)json_integer_value(json_object_get(state, "pid")),
		       get_text(state, "status"), get_text(state, "created"),
		       get_text(state, "owner"), get_text(state, "bundle"));
	}
}

static int run_list(const struct command_call *call, struct error *error)
{
	const struct list_options *options = call->options[0];
	cleanup_json json_t *list = json_array();
	cleanup_fd int root = oci_open_root(call, error);
	const json_t *state;
	size_t i;

	if (root < 0)
		return root;
	if (!list || container_walk(root, add_state, list) < 0)
		return error_set(error, ENOMEM, "out of memory");
	if (options->json || options->format == LIST_JSON)
		return print_json(list, JSON_COMPACT, error);
	if (!options->quiet)
		print_table(list);
	else
		json_array_foreach(list, i, state) {
			puts(get_text(state, "id"));
		}
	return 0;
}

const struct command command_list = {
	.name = "list",
	.summary = "list the containers",
	.description = "Prints the containers of this user that `avp create` has made.",
	.groups =
		(const struct option_group[]){
			{"Options", list_rows, sizeof(struct list_options), false},
			{NULL, NULL, 0, false},
		},
	.run = run_list,
};

/* Loads a container that has a process, and lists that and those of its guest. */
static int load_processes(const struct command_call *call, struct container *container,
			  pid_t pids[HOST_PROCESS_TREE], size_t *count, struct error *error)
{
	cleanup_fd int root = oci_open_root(call, error);
	int result = root;

	if (root >= 0)
		result = container_load(container, root, call->operands[0], error);
	if (result < 0)
		return result;
	if (!host_process_lives(&container->process))
		return error_set(error, ESRCH, "'%s': container not running", container->id);
	*count = host_process_list(container->process.pid, pids, HOST_PROCESS_TREE);
	return 0;
}

struct ps_options {
	uint64_t format; /* enum list_format */
};

static const struct option_row ps_rows[] = {
	{
		.name = "format",
		.type = OPTION_CHOICE,
		.argument = "FORMAT",
		.offset = offsetof(struct ps_options, format),
		.choices = format_choices,
		.default_text = "table",
		.help = "form of the list",
	},
	{.name = NULL},
};

static void print_process(pid_t pid)
{
	char path[40], name[64] = "";
	cleanup_file FILE *file = NULL;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	file = fopen(path, "re");
	if (file && fgets(name, sizeof(name), file))
		printf("%7d  %s", (int)pid, name);
}

static int run_ps(const struct command_call *call, struct error *error)
{
	const struct ps_options *options = call->options[0];
	cleanup_container struct container container = CONTAINER_NONE;
	cleanup_json json_t *list = json_array();
	pid_t pids[HOST_PROCESS_TREE];
	size_t count = 0;
	int result = load_processes(call, &container, pids, &count, error);

	if (result < 0)
		return result;
	if (options->format == LIST_TABLE)
		printf("%7s  %s\n", "PID", "COMMAND");
	for (size_t i = 0; i < count; i++)
		if (options->format == LIST_TABLE)
			print_process(pids[i]);
		else
			json_array_append_new(list, json_integer(pids[i]));
	return options->format == LIST_TABLE ? 0 : print_json(list, JSON_COMPACT, error);
}

const struct command command_ps = {
	.name = "ps",
	.summary = "list the processes of a container",
	.description = "Prints the processes on this host that are the guest of container ID: its "
		       "supervisor, the engine, the devices. Those inside the guest are its own.",
	.groups =
		(const struct option_group[]){
			{"Options", ps_rows, sizeof(struct ps_options), false},
			{NULL, NULL, 0, false},
		},
	.operands = "ID",
	.operands_minimum = 1,
	.operands_maximum = 1,
	.run = run_ps,
};

struct events_options {
	bool stats;
	char *interval;
};

static const struct option_row events_rows[] = {
	{
		.name = "stats",
		.type = OPTION_FLAG,
		.offset = offsetof(struct events_options, stats),
		.help = "print them once",
	},
	{
		.name = "interval",
		.type = OPTION_STRING,
		.argument = "TIME",
		.offset = offsetof(struct events_options, interval),
		.default_text = "5s",
		.help = "without --stats: how often, in whole seconds",
	},
	{.name = NULL},
};

/* The memory of a process that no other one has, in bytes; what cannot be read is 0. */
static uint64_t read_private_memory(pid_t pid)
{
	cleanup_file FILE *file = NULL;
	char path[40], line[128];
	uint64_t kilobytes, sum = 0;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Pss: %" SCNu64, &kilobytes) == 1)
			sum += kilobytes << 10;
	return sum;
}

/* In the form of `runc events`, which callers read. */
static int print_stats(const struct command_call *call, struct error *error)
{
	cleanup_container struct container container = CONTAINER_NONE;
	const uint64_t tick_ns = UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t memory = 0, time_ns = 0;
	pid_t pids[HOST_PROCESS_TREE];
	cleanup_json json_t *json = NULL;
	size_t count = 0;
	int result = load_processes(call, &container, pids, &count, error);

	if (result < 0)
		return result;
	for (size_t i = 0; i < count; i++) {
		struct host_process_stat stat;

		if (host_process_read(pids[i], &stat))
			time_ns += stat.ticks * tick_ns;
		memory += read_private_memory(pids[i]);
	}
	json = json_pack("{s:s, s:s, s:{s:{s:{s:I}}, s:{s:{s:I}}, s:{s:i}}}", "type", "stats", "id",
			 container.id, "data", "cpu", "usage", "total", (json_int_t)time_ns,
			 "memory", "usage", "usage", (json_int_t)memory, "pids", "current",
			 (int)count);
	result = print_json(json, JSON_COMPACT, error);
	fflush(stdout);
	return result;
}

static int run_events(const struct command_call *call, struct error *error)
{
	const struct events_options *options = call->options[0];
	int seconds = atoi(options->interval), result = print_stats(call, error);

	if (seconds < 1)
		return error_set_usage(error, "--interval: '%.20s' is not a time; give one like 5s",
				       options->interval);
	while (result == 0 && !options->stats) {
		sleep((unsigned int)seconds);
		result = print_stats(call, error);
	}
	/* They end with the container. */
	return result == -ESRCH && !options->stats ? 0 : result;
}

const struct command command_events = {
	.name = "events",
	.summary = "print what a container uses",
	.description = "Prints lines of JSON with the processor time in nanoseconds, the memory in "
		       "bytes (pages that processes share count by their share) and the number of "
		       "processes of container ID, until it stops.",
	.groups =
		(const struct option_group[]){
			{"Options", events_rows, sizeof(struct events_options), false},
			{NULL, NULL, 0, false},
		},
	.operands = "ID",
	.operands_minimum = 1,
	.operands_maximum = 1,
	.run = run_events,
};

static int run_features(const struct command_call *call, struct error *error)
{
	cleanup_json json_t *features = NULL;
	json_t *hooks = json_array();

	for (size_t i = 0; hook_points[i]; i++)
		json_array_append_new(hooks, json_string(hook_points[i]));
	/* The bundle's processes, mounts and limits belong to the inside of the guest. */
	features = json_pack("{s:s, s:s, s:o, s:[], s:{s:[s], s:[], s:{s:b}, s:{s:b}, s:{s:b}, "
			     "s:{s:b, s:b, s:b, s:b}}, s:{s:s}, s:[s]}",
			     "ociVersionMin", "1.0.0", "ociVersionMax", BUNDLE_OCI_VERSION, "hooks",
			     hooks, "mountOptions", "linux", "namespaces", "network",
			     "capabilities", "seccomp", "enabled", 0, "apparmor", "enabled", 0,
			     "selinux", "enabled", 0, "cgroup", "v1", 0, "v2", 0, "systemd", 0,
			     "systemdUser", 0, "annotations", "org.avp.version", AVP_VERSION,
			     "potentiallyUnsafeConfigAnnotations", "org.avp.config");
	return print_json(features, JSON_INDENT(2), error);
}

const struct command command_features = {
	.name = "features",
	.summary = "print what the OCI runtime can do",
	.description = "Prints JSON, as the OCI runtime specification has it (features.md).",
	.run = run_features,
};
