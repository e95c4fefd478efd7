// SPDX-License-Identifier: BSD-3-Clause
/*
 * Unit tests of `avp run` and `avp spec` (cli/run.c, cli/spec.c) with a fake guest_run: what is
 * passed to it, and that it is not called after a mistake.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/avp.h"
#include "guest/run/run.h"
#include "host/sandbox.h"
#include "unit/capture.h"
#include "unit/scratch.h"

static struct scratch scratch;
static struct capture capture;

/* The arguments of guest_run as text, and the values that it returns. */
static struct {
	unsigned int count;
	char text[2000];
	enum guest_end end;
	const char *error;
} ran;

/* Replaces the one in guest/run/run.c. */
int guest_run(struct guest_config *config, const struct guest_run_holder *holder,
	      enum guest_end *end, struct error *error)
{
	int length = snprintf(ran.text, sizeof(ran.text), "%s %s '%s' %d %d %s;",
			      strrchr(config->kernel, '/') + 1, config->name,
			      config->append ? config->append : "", (int)config->cpus,
			      (int)(config->memory >> 20), guest_engine_choices[config->engine]);

	ran.count++;
	for (size_t i = 0; i < config->device_count; i++)
		length += snprintf(ran.text + length, sizeof(ran.text) - length, " %s",
				   config->devices[i].name);
	if (ran.error)
		return error_set(error, EIO, "%s", ran.error);
	*end = ran.end;
	return 0;
}

/* Replaces the one in host/sandbox_supervisor.c, which would limit the tests. */
int sandbox_limit_supervisor(struct error *error)
{
	return 0;
}

static int start(void **state)
{
	memset(&ran, 0, sizeof(ran));
	log_set_format(LOG_FORMAT_TEXT);
	scratch_make(&scratch);
	scratch_write_kernel(&scratch, "kernel");
	scratch_write_kernel(&scratch, "other");
	scratch_write_zeros(&scratch, "a.img", 4096);
	scratch_write_zeros(&scratch, "b.img", 4096);
	capture_start(&capture, STDERR_FILENO);
	return 0;
}

static int finish(void **state)
{
	capture_stop(&capture);
	scratch_remove(&scratch);
	return 0;
}

/* Calls avp with the words of a line; @ is the scratch directory. */
static int call(const char *line)
{
	char copy[2000] = "", *words[40] = {NULL};
	size_t length = 0;
	int count = 0;

	for (; *line; line++)
		length += snprintf(copy + length, sizeof(copy) - length, "%.*s",
				   *line == '@' ? (int)strlen(scratch.directory) : 1,
				   *line == '@' ? scratch.directory : line);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		words[count++] = word;
	return command_main(&command_avp, count, words);
}

static void check_runs(const char *line, const char *expected)
{
	unsigned int before = ran.count;
	int status = call(line);

	if (status)
		fail_msg("%s gives %d: %s", line, status, capture_next(&capture));
	assert_int_equal(ran.count, before + 1);
	assert_string_equal(ran.text, expected);
}

static void check_refused(const char *line, const char *part)
{
	const char *text;

	assert_int_equal(call(line), 2);
	assert_int_equal(ran.count, 0);
	text = capture_next(&capture);
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in: %s", part, text);
	/* Exactly one line. */
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	assert_string_equal(capture_next(&capture), "");
}

static void write_bundle(const char *rest)
{
	char text[1000];

	snprintf(text, sizeof(text),
		 "{\"ociVersion\": \"1.3.0\", \"vm\": {\"kernel\": {\"path\": \"%s/kernel\", "
		 "\"parameters\": [\"quiet\"]}, \"hwConfig\": {\"vcpus\": 3}}, \"avp\": {%s}}",
		 scratch.directory, rest);
	scratch_write(&scratch, "config.json", text, strlen(text));
}

static void there_is_an_option_for_each_device_type(void **state)
{
	const struct option_row *rows = command_run.groups[1].rows;
	size_t count = 0;

	for_each_device_type(type) {
		const struct option_row *row = option_find(rows, type->name, strlen(type->name));
		bool described = !type->options->name;

		assert_non_null(row);
		assert_true(row->tagged);
		assert_string_equal(row->argument, type->run_row.argument);
		for (const struct option_group *keys = command_run.keys; keys->title; keys++)
			described |= keys->rows == type->options;
		assert_true(described);
		count++;
	}
	assert_null(rows[count].name);
}

static void options_reach_the_guest(void **state)
{
	check_runs("avp run --kernel @/kernel", "kernel guest '' 1 512 auto;");
	check_runs("avp run --kernel=@/kernel --cpus 4 --memory 1G --append a=b --name cluster "
		   "--engine qemu",
		   "kernel cluster 'a=b' 4 1024 qemu;");
}

static void devices_keep_their_order(void **state)
{
	check_runs("avp run --net user --block @/a.img,serial=A --kernel @/kernel --entropy "
		   "--entropy=name=dice --block @/b.img,name=data,readonly --net tap=tap0",
		   "kernel guest '' 1 512 auto; net0 block0 entropy0 dice data net1");
}

static void a_bundle_is_run(void **state)
{
	char expected[200];

	write_bundle("\"name\": \"b\", \"devices\": [{\"type\": \"block\", \"file\": \"a.img\"}]");
	check_runs("avp run @", "kernel b 'quiet' 3 512 auto; block0");
	/* Without a name the guest gets the directory's. */
	write_bundle("");
	snprintf(expected, sizeof(expected), "kernel %s 'quiet' 3 512 auto;",
		 strrchr(scratch.directory, '/') + 1);
	check_runs("avp run @", expected);
}

static void the_command_line_comes_before_the_bundle(void **state)
{
	write_bundle("\"name\": \"b\", \"engine\": \"qemu\", "
		     "\"devices\": [{\"type\": \"block\", \"file\": \"a.img\"}]");
	check_runs("avp run --append loud @ --block @/b.img --kernel @/other",
		   "other b 'loud' 3 512 qemu; block0 block1");
	/* Also with what would be the default. */
	check_runs("avp run @ --cpus 1 --engine auto --cpus 2",
		   "kernel b 'quiet' 2 512 auto; block0");
}

static void how_the_guest_ended_is_the_exit_status(void **state)
{
	static const enum guest_end ends[] = {GUEST_POWERED_OFF, GUEST_FAILED, GUEST_PANICKED,
					      GUEST_KILLED};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		ran.end = ends[i];
		assert_int_equal(call("avp run --kernel @/kernel"), ends[i]);
	}
	ran.error = "no engine";
	assert_int_equal(call("avp run --kernel @/kernel"), 1);
	assert_string_equal(capture_next(&capture), "error guest/run: no engine\n");
}

static void nothing_is_started_when_something_is_wrong(void **state)
{
	check_refused("avp run", "run: --kernel is missing; add --kernel FILE, or give a bundle");
	check_refused("avp run --kernel @/missing", "missing: No such file or directory");
	check_refused("avp run --kernel @/a.img", "is not a kernel");
	check_refused("avp run --kernel @/kernel --memory 31M", "--memory: 31M is too small");
	check_refused(
		"avp run --kernel @/kernel --memory 512",
		"--memory: 512 bytes is too small; give bytes, or a number with K, M, G or T, from "
		"32M to 1T; did you mean 512M?");
	check_refused("avp run --kernel @/kernel --memory 1x", "--memory: '1x' is not a size");
	check_refused("avp run --kernel @/kernel --cpus 33", "--cpus: 33 is too large");
	check_refused("avp run --kernel @/kernel --engine xen",
		      "--engine: there is no choice 'xen'");
	check_refused("avp run --kernel @/kernel --block", "--block: the value is missing");
	check_refused("avp run --kernel @/kernel --block=", "--block: is empty");
	check_refused("avp run --kernel @/kernel --block @/no.img", "--block: file: ");
	check_refused("avp run --kernel @/kernel --block @/a.img,serail=1",
		      "did you mean 'serial'?");
	check_refused("avp run --kernel @/kernel --block @/a.img --block @/a.img",
		      "is also the disk of block0");
	check_refused("avp run --kernel @/kernel --net user,name=x --entropy=name=x",
		      "--entropy: name: another device is named 'x' already");
	check_refused("avp run --kernel @/kernel --net user,tap=tap0",
		      "--net: user: excludes tap and link");
	check_refused("avp run --kernel @/kernel --entropy=x", "--entropy: there is no option 'x'");
	check_refused("avp run @/kernel @/kernel", "is one argument too many");
	check_refused("avp run @", "/config.json: there is no such file; `avp spec` writes one");
	check_refused("avp run @/kernel", "/kernel/config.json: Not a directory");
	write_bundle("\"devices\": [{\"type\": \"block\", \"file\": \"no.img\"}]");
	check_refused("avp run @", "/config.json: avp.devices[0].file: ");
	write_bundle("\"devices\": [{\"type\": \"net\", \"user\": true, \"name\": \"a\"}, "
		     "{\"type\": \"entropy\", \"name\": \"a\"}]");
	check_refused("avp run @",
		      "/config.json: avp.devices[1].name: another device is named 'a'");
	write_bundle("\"devices\": [{\"type\": \"net\"}]");
	check_refused("avp run @",
		      "/config.json: avp.devices[0].user: none of user, tap and link is given");
	write_bundle("");
	check_refused("avp run @ --initrd @/missing", "/run: --initrd: ");
}

static void errors_are_json_when_asked_for(void **state)
{
	json_t *json;

	assert_int_equal(call("avp --log-format json run --name car --kernel @/missing"), 2);
	json = json_loads(capture_next(&capture), 0, NULL);
	assert_string_equal(json_string_value(json_object_get(json, "level")), "error");
	assert_string_equal(json_string_value(json_object_get(json, "component")), "run");
	assert_string_equal(json_string_value(json_object_get(json, "guest")), "car");
	json_decref(json);
}

/* Puts the test's kernel into the config.json that avp spec wrote. */
static void put_kernel(void)
{
	const char *path = scratch_path(&scratch, "config.json");
	json_t *json = json_load_file(path, 0, NULL);
	json_t *kernel = json_object_get(json_object_get(json, "vm"), "kernel");

	assert_non_null(kernel);
	json_object_set_new(kernel, "path", json_string(scratch_path(&scratch, "kernel")));
	json_object_set_new(kernel, "initrd", json_string(scratch_path(&scratch, "other")));
	assert_int_equal(json_dump_file(json, path, 0), 0);
	json_decref(json);
}

static void a_new_bundle_runs_with_its_kernel_put_in(void **state)
{
	assert_int_equal(call("avp spec --bundle @"), 0);
	put_kernel();
	check_runs("avp run @ --name n", "kernel n 'console=ttyS0' 1 512 auto; net0 entropy0");
}

static void a_bundle_is_never_overwritten(void **state)
{
	struct stat before, after;

	assert_int_equal(call("avp spec --bundle @"), 0);
	/* The parts that this machine's kernel lacks. */
	capture_all(&capture);
	assert_int_equal(stat(scratch_path(&scratch, "config.json"), &before), 0);
	check_refused("avp spec --bundle @", "/config.json: exists; remove it");
	assert_int_equal(stat(scratch_path(&scratch, "config.json"), &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	assert_int_equal(before.st_ino, after.st_ino);
	check_refused("avp spec --bundle @/missing", "missing: there is no such directory");
}

static void a_bundle_goes_into_a_directory(void **state)
{
	check_refused("avp spec --bundle @/kernel", "/kernel: Not a directory; give a directory");
}

static void an_answer_that_cannot_be_written_is_an_error(void **state)
{
	int before = dup(STDOUT_FILENO), full = open("/dev/full", O_WRONLY);
	int status;

	fflush(stdout);
	assert_true(before >= 0 && full >= 0);
	dup2(full, STDOUT_FILENO);
	status = call("avp help run");
	dup2(before, STDOUT_FILENO);
	close(before);
	close(full);
	clearerr(stdout);
	assert_int_equal(status, 1);
	assert_non_null(strstr(capture_next(&capture), "cannot write all to standard output"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(there_is_an_option_for_each_device_type),
		TEST(options_reach_the_guest),
		TEST(devices_keep_their_order),
		TEST(a_bundle_is_run),
		TEST(the_command_line_comes_before_the_bundle),
		TEST(how_the_guest_ended_is_the_exit_status),
		TEST(nothing_is_started_when_something_is_wrong),
		TEST(errors_are_json_when_asked_for),
		TEST(a_new_bundle_runs_with_its_kernel_put_in),
		TEST(a_bundle_is_never_overwritten),
		TEST(a_bundle_goes_into_a_directory),
		TEST(an_answer_that_cannot_be_written_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
