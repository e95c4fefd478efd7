// SPDX-License-Identifier: BSD-3-Clause
/*
 * Unit tests of base/command.c, with a program of the test: which calls are accepted, and the error
 * line and exit status of each mistake.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/command.h"
#include "unit/capture.h"
#include "unit/scratch.h"

struct disk_options {
	char *file;
	bool readonly;
	uint64_t queues;
	struct option_list parts;
};

struct serve_options {
	char *socket_path;
};

static const struct option_row disk_rows[] = {
	{.name = "file",
	 .type = OPTION_PATH,
	 .argument = "FILE",
	 .offset = offsetof(struct disk_options, file),
	 .required = true,
	 .help = "the disk"},
	{.name = "readonly",
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct disk_options, readonly),
	 .help = "no writes"},
	{.name = "queues",
	 .type = OPTION_NUMBER,
	 .argument = "N",
	 .offset = offsetof(struct disk_options, queues),
	 .minimum = 1,
	 .maximum = 16,
	 .default_text = "1",
	 .help = "queues"},
	{.name = "part",
	 .type = OPTION_LIST,
	 .argument = "X",
	 .offset = offsetof(struct disk_options, parts),
	 .tagged = true,
	 .argument_optional = true,
	 .help = "parts"},
	{.name = NULL},
};

static const struct option_row serve_rows[] = {
	{.name = "socket-path",
	 .type = OPTION_PATH,
	 .argument = "PATH",
	 .offset = offsetof(struct serve_options, socket_path),
	 .help = "where to listen"},
	{.name = NULL},
};

/* The arguments of the last run, and what it returns. */
static struct {
	unsigned int count;
	char text[400];
	int result;
	const char *error;
} ran;

static int run_disk(const struct command_call *call, struct error *error)
{
	const struct disk_options *disk = call->options[0];
	const struct serve_options *serve = call->options[1];
	int length;

	ran.count++;
	length = snprintf(ran.text, sizeof(ran.text), "%s %d %d %s;", disk->file ? disk->file : "-",
			  disk->readonly, (int)disk->queues,
			  serve->socket_path ? serve->socket_path : "-");
	for (size_t i = 0; i < disk->parts.count; i++)
		length += snprintf(ran.text + length, sizeof(ran.text) - length, " %s",
				   disk->parts.items[i]);
	length += snprintf(ran.text + length, sizeof(ran.text) - length, ";");
	for (size_t i = 0; i < call->operand_count; i++)
		length += snprintf(ran.text + length, sizeof(ran.text) - length, " %s",
				   call->operands[i]);
	length += snprintf(ran.text + length, sizeof(ran.text) - length, ";");
	for (size_t i = 0; i < call->given.count; i++)
		length += snprintf(ran.text + length, sizeof(ran.text) - length, " %s",
				   call->given.items[i]);
	if (ran.error)
		return error_set(error, EIO, "%s", ran.error);
	return ran.result;
}

struct root_options {
	char *place;
};

static int run_foreign(const struct command_call *call, struct error *error)
{
	const struct root_options *options = call->root_options[0];

	ran.count++;
	snprintf(ran.text, sizeof(ran.text), "%s:", options->place ? options->place : "");
	for (size_t i = 0; i < call->operand_count; i++)
		strcat(strcat(ran.text, " "), call->operands[i]);
	return 0;
}

static int run_plain(const struct command_call *call, struct error *error)
{
	ran.count++;
	return 0;
}

static const struct command disk_command = {
	.name = "disk",
	.summary = "serve a disk",
	.groups =
		(const struct option_group[]){
			{"Disk options", disk_rows, sizeof(struct disk_options), false},
			{"Serving options", serve_rows, sizeof(struct serve_options), false},
			{NULL, NULL, 0, false},
		},
	.operands = "[WORD WORD]",
	.operands_maximum = 2,
	.run = run_disk,
};

static const struct command lazy_command = {
	.name = "lazy",
	.summary = "asks for its file itself",
	.groups =
		(const struct option_group[]){
			{"Disk options", disk_rows, sizeof(struct disk_options), true},
			{"Serving options", serve_rows, sizeof(struct serve_options), false},
			{NULL, NULL, 0, false},
		},
	.run = run_disk,
};

static const struct command device_command = {
	.name = "device",
	.summary = "serve a device",
	.subcommands = (const struct command *const[]){&disk_command, &lazy_command, NULL},
};

static const struct command doctor_command = {
	.name = "doctor",
	.summary = "look around",
	.operands = "WHAT",
	.operands_minimum = 1,
	.operands_maximum = 1,
	.run = run_plain,
};

static const struct command secret_command = {
	.name = "secret",
	.summary = "for the build",
	.hidden = true,
	.run = run_plain,
};

static const struct command echo_command = {
	.name = "echo",
	.summary = "a program of its own",
	.program = "echo-program",
};

static const struct command foreign_command = {
	.name = "foreign",
	.summary = "takes what others take",
	.operands_maximum = 3,
	.hidden = true,
	.unparsed = true,
	.run = run_foreign,
};

static const struct option_row root_rows[] = {
	{
		.name = "place",
		.type = OPTION_STRING,
		.argument = "PLACE",
		.offset = offsetof(struct root_options, place),
		.help = "where all of it is",
	},
	{.name = NULL},
};

static const struct command root = {
	.name = "tool",
	.summary = "a tool",
	.groups =
		(const struct option_group[]){
			{"Options", root_rows, sizeof(struct root_options), false},
			{NULL, NULL, 0, false},
		},
	.subcommands = (const struct command *const[]){&device_command, &doctor_command,
						       &echo_command, &secret_command,
						       &foreign_command, NULL},
};

static struct capture capture;

static int start(void **state)
{
	memset(&ran, 0, sizeof(ran));
	log_set_level(LOG_INFO);
	log_set_format(LOG_FORMAT_TEXT);
	capture_start(&capture, STDERR_FILENO);
	return 0;
}

static int finish(void **state)
{
	capture_stop(&capture);
	return 0;
}

/* Calls the tool with the words of @line, separated by spaces. */
static int call(const char *line)
{
	char copy[400], tool[] = "tool", *words[20] = {tool};
	int count = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		words[count++] = word;
	return command_main(&root, count, words);
}

static void check_runs(const char *line, const char *expected)
{
	unsigned int before = ran.count;

	assert_int_equal(call(line), 0);
	assert_int_equal(ran.count, before + 1);
	assert_string_equal(ran.text, expected);
	assert_string_equal(capture_next(&capture), "");
}

static void check_refused(const char *line, const char *message)
{
	char expected[400];

	snprintf(expected, sizeof(expected), "error %s\n", message);
	assert_int_equal(call(line), 2);
	assert_int_equal(ran.count, 0);
	assert_string_equal(capture_next(&capture), expected);
	/* One line, not more. */
	assert_string_equal(capture_next(&capture), "");
}

static void options_are_understood(void **state)
{
	check_runs("device disk --file a", "a 0 1 -;;; file");
	check_runs("device disk --file=a --readonly --queues 4 --socket-path=/s",
		   "a 1 4 /s;;; file readonly queues socket-path");
	check_runs("device disk --readonly=off --file=a=b --queues=2",
		   "a=b 0 2 -;;; readonly file queues");
	/* The last one counts. */
	check_runs("device disk --file a --file b", "b 0 1 -;;; file file");
	/* A value may look like an option. */
	check_runs("device disk --file --readonly", "--readonly 0 1 -;;; file");
}

static void operands_mix_with_options(void **state)
{
	check_runs("device disk one --file a two", "a 0 1 -;; one two; file");
	check_runs("device disk --file a -- --readonly -x", "a 0 1 -;; --readonly -x; file");
	check_runs("device disk --file a -", "a 0 1 -;; -; file");
}

static void optional_values_need_an_equals_sign(void **state)
{
	check_runs("device disk --file a --part --part=x y",
		   "a 0 1 -; part= part=x; y; file part part");
}

static void common_options_are_accepted_everywhere(void **state)
{
	check_runs("--log-level error device disk --file a", "a 0 1 -;;; file");
	assert_int_equal(log_get_level(), LOG_ERROR);
	check_runs("device --log-level=debug disk --file a", "a 0 1 -;;; file");
	assert_int_equal(log_get_level(), LOG_DEBUG);
	check_runs("device disk --file a --log-level warning", "a 0 1 -;;; file");
	assert_int_equal(log_get_level(), LOG_WARNING);
	log_set_level(LOG_INFO);
	check_runs("--expect-version " AVP_VERSION " device disk --file a", "a 0 1 -;;; file");
	ran.count = 0;
	check_refused("--expect-version 7 device disk --file a --xyzzy",
		      "tool: this program is of version " AVP_VERSION
		      ", and 7 is expected; install all of one version");
}

/* Executes the program in a child process. Returns the exit status. */
static int execute(const char *line)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(call(line));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_command_may_be_a_program(void **state)
{
	static const char program[] = "#!/bin/sh\necho \"$*\" >&2\nexit 7\n";
	struct scratch scratch;
	const char *path;

	scratch_make(&scratch);
	setenv("AVP_LIBEXEC_DIR", scratch.directory, 1);
	/* Its help is in the tables. */
	assert_int_equal(execute("echo --help"), 0);
	assert_int_equal(execute("echo"), 2);
	assert_non_null(strstr(capture_next(&capture), "there is no program echo-program in "));
	path = scratch_write(&scratch, "echo-program", program, sizeof(program) - 1);
	assert_int_equal(chmod(path, 0755), 0);
	/* All arguments after the subcommand are the program's; those before it are passed on. */
	assert_int_equal(execute("--log-level error echo --anything --help x"), 7);
	assert_string_equal(capture_next(&capture),
			    "--log-format=text --log-level=error --expect-version=" AVP_VERSION
			    " --anything --help x\n");
	unsetenv("AVP_LIBEXEC_DIR");
	scratch_remove(&scratch);
}

static void a_command_may_ask_for_what_it_needs_itself(void **state)
{
	check_refused("device disk", "disk: --file is missing; add --file FILE");
	check_runs("device lazy", "- 0 1 -;;;");
}

static void hidden_commands_run_too(void **state)
{
	assert_int_equal(call("secret"), 0);
	assert_int_equal(ran.count, 1);
}

static void options_of_the_root_are_for_all_below_it(void **state)
{
	check_runs("--place here --log-level debug foreign", "here:");
	check_runs("--place=there foreign --some --option=1", "there: --some --option=1");
	assert_int_equal(call("doctor --place here x"), 0);
	assert_int_equal(call("--nowhere foreign"), 2);
	assert_int_equal(call("foreign 1 2 3 4"), 2);
}

static void the_result_is_the_exit_status(void **state)
{
	ran.result = 4;
	assert_int_equal(call("device disk --file a"), 4);
	ran.error = "the disk broke";
	assert_int_equal(call("device disk --file a"), 1);
	assert_string_equal(capture_next(&capture), "error disk: the disk broke\n");
}

static void mistakes_get_one_line(void **state)
{
	check_refused("", "tool: the subcommand is missing; give one of: device, doctor, echo (see "
			  "`tool --help`)");
	check_refused("device", "device: the subcommand is missing; give one of: disk, lazy (see "
				"`tool device --help`)");
	check_refused("devise", "tool: there is no subcommand 'devise'; did you mean 'device'?");
	check_refused("xyz",
		      "tool: there is no subcommand 'xyz'; give one of: device, doctor, echo");
	check_refused("device dosk", "device: there is no subcommand 'dosk'; did you mean 'disk'?");
	check_refused("device disk --fiel a",
		      "disk: there is no option '--fiel'; did you mean '--file'?");
	check_refused("device disk --fi a",
		      "disk: there is no option '--fi'; did you mean '--file'?");
	check_refused("device disk --sockpath a", "disk: there is no option '--sockpath'; did you "
						  "mean '--socket-path'?");
	check_refused("device disk --xyzzy",
		      "disk: there is no option '--xyzzy'; `tool device disk --help` lists them");
	check_refused("device disk -f a", "disk: there is no option '-f'; options are words, such "
					  "as --help");
	check_refused("device disk --file", "disk: --file: the value is missing; give FILE");
	check_refused("device disk --file=", "disk: --file: is empty; give FILE");
	check_refused("device disk --file a --queues 0",
		      "disk: --queues: 0 is too small; give a number, from 1 to 16");
	check_refused("device disk --file a --readonly=1",
		      "disk: --readonly: '1' is neither on nor off; omit the value for on");
	check_refused("device disk --file a 1 2 3",
		      "disk: '3' is one argument too many; see `tool device disk --help`");
	check_refused("doctor", "doctor: an argument is missing; call it as: tool doctor WHAT");
	check_refused("--log-level x device",
		      "tool: --log-level: there is no choice 'x'; give one of: error, "
		      "warning, info, debug");
	/* Options of other subcommands are unknown. */
	check_refused("doctor --file a", "doctor: there is no option '--file'; `tool doctor "
					 "--help` lists them");
}

static void help_is_given_at_every_level(void **state)
{
	static const struct {
		const char *line;
		const char *part;
	} rows[] = {
		{"--help", "tool - a tool"},
		{"-h", "Usage: tool [OPTION…] SUBCOMMAND …"},
		{"device --help", "  lazy "},
		{"device disk --help", "--queues N              queues (1 to 16; default 1)"},
		{"device disk --file --help --help", "Serving options:"},
		{"doctor --help", "Usage: tool doctor [OPTION…] WHAT"},
		/* Also where something is missing or wrong later. */
		{"device disk --help --xyzzy", "Usage: tool device disk"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct capture output;
		const char *text;
		int status;

		capture_start(&output, STDOUT_FILENO);
		status = call(rows[i].line);
		text = capture_all(&output);
		capture_stop(&output);
		assert_int_equal(status, 0);
		if (!strstr(text, rows[i].part))
			fail_msg("\"%s\" is not in: %s", rows[i].part, text);
		assert_null(strstr(text, "secret"));
		assert_int_equal(ran.count, 0);
	}
}

static void lines_of_help_fit_a_terminal(void **state)
{
	struct capture output;
	char *line;

	capture_start(&output, STDOUT_FILENO);
	call("device disk --help");
	capture_all(&output);
	capture_stop(&output);
	for (line = strtok(output.text, "\n"); line; line = strtok(NULL, "\n"))
		assert_true(strlen(line) <= 80);
}

static int collect_path(const struct command *command, const char *path, void *context)
{
	strcat(context, path);
	strcat(context, ";");
	return 0;
}

static void walking_leaves_hidden_commands_out(void **state)
{
	char paths[200] = "";

	assert_int_equal(command_walk(&root, collect_path, paths), 0);
	assert_string_equal(paths, "tool;tool device;tool device disk;tool device lazy;tool doctor;"
				   "tool echo;");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(options_are_understood),
		TEST(operands_mix_with_options),
		TEST(optional_values_need_an_equals_sign),
		TEST(common_options_are_accepted_everywhere),
		TEST(a_command_may_be_a_program),
		TEST(a_command_may_ask_for_what_it_needs_itself),
		TEST(hidden_commands_run_too),
		TEST(options_of_the_root_are_for_all_below_it),
		TEST(the_result_is_the_exit_status),
		TEST(mistakes_get_one_line),
		TEST(help_is_given_at_every_level),
		TEST(lines_of_help_fit_a_terminal),
		TEST(walking_leaves_hidden_commands_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
