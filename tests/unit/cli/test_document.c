// SPDX-License-Identifier: BSD-3-Clause
/*
 * Unit tests of cli/man.c, markdown.c and completion.c: the documents contain the content of the
 * tables, and bash completes by them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/avp.h"
#include "cli/document.h"
#include "guest/config/config.h"
#include "unit/scratch.h"

static void check_part(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in: %s", part, text);
}

static char *man_page(const struct command *command, const char *path)
{
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	man_print(command, path, stream);
	assert_int_equal(fclose(stream), 0);
	return text;
}

static char *markdown(const char *section, struct error *error)
{
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);
	int result = markdown_print(section, stream, error);

	assert_int_equal(fclose(stream), 0);
	assert_int_equal(result < 0, error->message[0] != 0);
	return text;
}

static void man_pages_have_all_sections(void **state)
{
	cleanup_free char *page = man_page(&command_run, "avp run");
	cleanup_free char *root = man_page(&command_avp, "avp");

	check_part(page, ".TH AVP-RUN 1 ");
	check_part(page, ".SH \"NAME\"\navp\\-run \\- run a guest\n");
	check_part(page, ".SH \"SYNOPSIS\"\n.B avp run\n[OPTION\\[u2026]] [BUNDLE]\n");
	check_part(page,
		   ".TP\n.B \\-\\-kernel FILE\nkernel of the guest; needed without firmware\n");
	check_part(page, ".TP\n.B logical\\-block\\-size=BYTES\n");
	check_part(page, ".TP\n.B \\-\\-log\\-format FORMAT\n");
	check_part(page, ".TP\n.B 3\nthe guest\\(aqs kernel panicked\n");
	check_part(page, ".SH \"EXAMPLES\"\n");
	check_part(page, ".BR avp (1)");
	check_part(root, ".BR avp\\-run (1),\n");
	check_part(root, ".SH \"SUBCOMMANDS\"\n");
	assert_null(strstr(root, "document"));
}

static int check_requests(const struct command *command, const char *path, void *context)
{
	static const char *const requests[] = {".\\\"", ".TH ", ".SH ", ".SS ", ".TP", ".B ",
					       ".BR ",	".PP",	".RS",	".RE",	".nf", ".fi"};
	cleanup_free char *page = man_page(command, path);

	for (char *line = strtok(page, "\n"); line; line = strtok(NULL, "\n")) {
		bool known = *line != '.' && *line != '\'';

		for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
			known |= !strncmp(line, requests[i], strlen(requests[i]));
		if (!known)
			fail_msg("%s: '%s' is taken for a request", path, line);
		/* All other characters are written as escapes. */
		for (const char *letter = line; *letter; letter++)
			assert_true(*letter >= ' ' && *letter <= '~');
	}
	++*(size_t *)context;
	return 0;
}

static void no_text_is_taken_for_a_request(void **state)
{
	size_t count = 0;

	command_walk(&command_avp, check_requests, &count);
	assert_true(count >= 6);
}

static void a_line_may_start_with_a_dot(void **state)
{
	static const struct command command = {
		.name = "x",
		.summary = "a summary",
		.description = ".hidden files\n'quoted' words\n\n\\ and -",
	};
	cleanup_free char *page = man_page(&command, "avp x");

	check_part(page, "\n.PP\n\\&.hidden files\n\\&\\(aqquoted\\(aq words\n.PP\n\\e and \\-\n");
}

static void file_names_are_the_pages_names(void **state)
{
	char name[COMMAND_PATH_LENGTH];

	assert_string_equal(man_file_name("avp", name, sizeof(name)), "avp.1");
	assert_string_equal(man_file_name("avp device block", name, sizeof(name)),
			    "avp-device-block.1");
}

static void tables_have_a_row_for_each_option(void **state)
{
	for_each_device_type(type) {
		struct error error = {0};
		cleanup_free char *text = markdown(type->name, &error);
		size_t lines = 0;

		for (const struct option_row *row = type->options; row->name; row++) {
			char part[80];

			snprintf(part, sizeof(part), "\n| `--%s", row->name);
			check_part(text, part);
			lines++;
		}
		/* The heading and its rule come first. */
		for (const char *line = text; (line = strchr(line, '\n')); line++)
			lines--;
		assert_int_equal(lines, type->options->name ? -2 : -1);
	}
}

static void cells_are_not_broken_by_their_text(void **state)
{
	static const char *const sections[] = {"block", "net", "bundle", "run", "spec"};

	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		struct error error = {0};
		cleanup_free char *text = markdown(sections[i], &error);

		for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
			size_t bars = 0;

			for (const char *letter = line; *line == '|' && *letter; letter++)
				bars += *letter == '|' && (letter == line || letter[-1] != '\\');
			assert_true(bars == 0 || bars == 5);
		}
	}
}

static void the_bundle_s_keys_are_told_with_their_places(void **state)
{
	struct error error = {0};
	cleanup_free char *text = markdown("bundle", &error);

	check_part(
		text,
		"| `vm.kernel.path` | string | | kernel of the guest; needed without firmware |\n");
	check_part(
		text,
		"| `vm.kernel.parameters` | array of strings, at most 2047 characters with those");
	check_part(text, "| `vm.hwConfig.vcpus` | number, 1 to 32 | `1` |");
	check_part(text, "| `avp.engine` | string, one of auto, kvm, qemu | `auto` |");
	check_part(text, "| `avp.devices[].name` | string | |");
	check_part(text, "\nOf a device of type `block`:\n\n| key | value |");
	check_part(text, "| `readonly` | true or false | |");
}

static void commands_have_tables_too(void **state)
{
	struct error error = {0};
	cleanup_free char *text = markdown("spec", &error);

	check_part(text, "| `--bundle DIRECTORY` | | `.` | ");
}

static void control_sockets_have_tables(void **state)
{
	struct error error = {0};
	cleanup_free char *guest = markdown("guest-control", &error);
	cleanup_free char *monitor = markdown("monitor-control", &error);

	check_part(guest, "Interface `guest`, version 1.");
	check_part(guest, "| `log-level` | `level`: least important lines that are logged (one of "
			  "error, warning, info, debug) | set the level");
	check_part(guest, "| `pause` | | pause the guest's processors.");
	check_part(guest, "| `guest-runs` | | the guest's processors run |");
	check_part(monitor, "Interface `monitor`, version 1.");
	check_part(monitor, "| `given-up` | `device`: its name | the process");
}

static void unknown_sections_are_refused(void **state)
{
	struct error error = {0};
	cleanup_free char *text = markdown("blok", &error);

	assert_string_equal(text, "");
	assert_true(error.usage);
	check_part(error.message, "there is no section 'blok'");
}

/*
 * Lets bash complete the last of @words in the scratch directory; the answers, sorted, in a line.
 */
static const char *complete(const struct scratch *scratch, const char *words)
{
	static char answers[4096];
	char line[1000];
	FILE *shell;
	size_t length;

	/* compopt works in a running completion only. */
	snprintf(line, sizeof(line),
		 "cd '%s' && bash -c 'compopt() { :; }; . ./script; COMP_WORDS=(%s); "
		 "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _avp; printf \"%%s\\n\" "
		 "\"${COMPREPLY[@]}\"' | sort | tr '\\n' ' '",
		 scratch->directory, words);
	shell = popen(line, "r");
	assert_non_null(shell);
	length = fread(answers, 1, sizeof(answers) - 1, shell);
	answers[length] = 0;
	assert_int_equal(pclose(shell), 0);
	return answers;
}

#define COMMON_OPTIONS "--expect-version --help --log --log-format --log-level --version "

/* The directory of a guest, with its control socket if it runs. */
static void make_guest(const struct scratch *scratch, const char *name, bool runs)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char directory[200];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setenv("AVP_RUNTIME_DIR", scratch_path(scratch, "run"), 1);
	snprintf(directory, sizeof(directory), "%s/run/guests/%s", scratch->directory, name);
	mkdir(scratch_path(scratch, "run"), 0700);
	mkdir(scratch_path(scratch, "run/guests"), 0700);
	assert_int_equal(mkdir(directory, 0700), 0);
	assert_true(snprintf(address.sun_path, sizeof(address.sun_path), "%s/control", directory) <
		    (int)sizeof(address.sun_path));
	if (runs)
		assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

static void bash_completes_by_the_tables(void **state)
{
	struct scratch scratch;
	FILE *script;

	scratch_make(&scratch);
	script = fopen(scratch_path(&scratch, "script"), "w");
	completion_print(&command_avp, script);
	assert_int_equal(fclose(script), 0);
	scratch_write(&scratch, "disk.img", "", 0);
	scratch_write(&scratch, "two words", "", 0);
	make_guest(&scratch, "car", true);
	make_guest(&scratch, "dead", false);

	assert_string_equal(complete(&scratch, "avp ru"), "run ");
	check_part(complete(&scratch, "avp \"\""),
		   "device doctor events features help kill list logs monitor pause ps resume run "
		   "service spec start state stop ");
	assert_null(strstr(complete(&scratch, "avp \"\""), "document"));
	assert_string_equal(complete(&scratch, "avp --log-l"), "--log-level ");
	assert_string_equal(complete(&scratch, "avp --log-level \"\""),
			    "debug error info warning ");
	assert_string_equal(complete(&scratch, "avp run --kern"), "--kernel ");
	assert_string_equal(complete(&scratch, "avp run --kernel d"), "disk.img ");
	assert_string_equal(complete(&scratch, "avp run --kernel tw"), "two words ");
	assert_string_equal(complete(&scratch, "avp run --engine \"\""), "auto kvm qemu ");
	/* Bash splits words at an equals sign. */
	assert_string_equal(complete(&scratch, "avp run --engine = q"), "qemu ");
	assert_string_equal(complete(&scratch, "avp run --engine ="), "auto kvm qemu ");
	assert_string_equal(complete(&scratch, "avp --log-format json run --log-format \"\""),
			    "json text ");
	assert_string_equal(complete(&scratch, "avp run --block di"), "disk.img ");
	check_part(complete(&scratch, "avp run --net \"\""),
		   "mtu= name= queue-pairs= subnet= tap= user ");
	/* After a comma come the keys, after an equals sign the values of a key. */
	assert_string_equal(complete(&scratch, "avp run --block disk.img,ca"), "disk.img,cache= ");
	assert_string_equal(complete(&scratch, "avp run --block = disk.img,ca"),
			    "disk.img,cache= ");
	check_part(complete(&scratch, "avp run --block disk.img,"),
		   "disk.img,readonly disk.img,serial= ");
	check_part(complete(&scratch, "avp run --block disk.img,"), "disk.img,name= ");
	assert_string_equal(complete(&scratch, "avp run --block disk.img,cache ="),
			    "writeback writethrough ");
	assert_string_equal(complete(&scratch, "avp run --block disk.img,cache = writet"),
			    "writethrough ");
	assert_string_equal(complete(&scratch, "avp run --block = disk.img,cache = writet"),
			    "writethrough ");
	assert_string_equal(complete(&scratch, "avp run --block disk.img,cache = writeback,rea"),
			    "writeback,readonly ");
	assert_string_equal(complete(&scratch, "avp run --block disk.img,serial = "), " ");
	assert_string_equal(complete(&scratch, "avp run --net user,mt"), "user,mtu= ");
	assert_string_equal(complete(&scratch, "avp run --net user,forward = tcp : 1 : 2,mt"),
			    "2,mtu= ");
	assert_string_equal(complete(&scratch, "avp run --console = por"), "port= ");
	check_part(complete(&scratch, "avp run --entropy = \"\""), "name= ");
	/* An option with an optional list does not take it from the next word. */
	assert_string_equal(complete(&scratch, "avp run --entropy --kern"), "--kernel ");
	assert_string_equal(complete(&scratch, "avp run --entropy na"), " ");
	/* A number is not completed. */
	assert_string_equal(complete(&scratch, "avp run --cpus \"\""), " ");
	assert_string_equal(complete(&scratch, "avp help de"), "delete device ");
	/* After help come only names of subcommands, at every depth. */
	check_part(complete(&scratch, "avp help \"\""),
		   "conform control create delete device doctor events features help kill list "
		   "logs monitor pause ps resume run service spec start state stop ");
	assert_string_equal(complete(&scratch, "avp help device bl"), "block ");
	check_part(complete(&scratch, "avp help device \"\""), "block can console entropy net ");
	/* The guests that run, and what they can be asked for. */
	assert_string_equal(complete(&scratch, "avp control \"\""), COMMON_OPTIONS "car ");
	assert_string_equal(complete(&scratch, "avp control ca"), "car ");
	assert_string_equal(complete(&scratch, "avp control car pa"), "pause ");
	assert_string_equal(complete(&scratch, "avp help control \"\""), " ");
	assert_string_equal(complete(&scratch, "avp help run d"), " ");
	assert_string_equal(complete(&scratch, "avp help run --ker"), " ");
	assert_string_equal(complete(&scratch, "avp help device block --fi"), " ");
	scratch_remove(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(man_pages_have_all_sections),
		cmocka_unit_test(no_text_is_taken_for_a_request),
		cmocka_unit_test(a_line_may_start_with_a_dot),
		cmocka_unit_test(file_names_are_the_pages_names),
		cmocka_unit_test(tables_have_a_row_for_each_option),
		cmocka_unit_test(cells_are_not_broken_by_their_text),
		cmocka_unit_test(the_bundle_s_keys_are_told_with_their_places),
		cmocka_unit_test(commands_have_tables_too),
		cmocka_unit_test(control_sockets_have_tables),
		cmocka_unit_test(unknown_sections_are_refused),
		cmocka_unit_test(bash_completes_by_the_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
