// SPDX-License-Identifier: BSD-3-Clause
/*
 * `avp conform`: has the conformance guest prove an engine, or reads what it has said on another
 * hypervisor, and tells the verdicts.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/avp.h"
#include "conform/conform_expect.h"
#include "conform/conform_report.h"
#include "conform/conform_run.h"

const char *const conform_engines[] = {
	[CONFORM_AUTO] = "auto",
	[CONFORM_KVM] = "kvm",
	[CONFORM_QEMU] = "qemu",
	NULL,
};
static const char *const format_choices[] = {
	[IMAGE_NATIVE] = "native",
	[IMAGE_ELF] = "elf",
	[IMAGE_BZIMAGE] = "bzimage",
	[IMAGE_ARM64] = "arm64",
	NULL,
};
/* Those of tools/contract_parts/schema.py; tests/tools/contract compares. */
const char *const conform_profiles[] = {
	"all", "base", "cockpit", "gateway", "safety", "arm64", "x86-64", NULL,
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
		.choices = conform_engines,
		.default_text = "auto",
		.help = "hypervisor that is to be proved",
	},
	{
		.name = "profile",
		.type = OPTION_CHOICE,
		.argument = "NAME",
		.offset = offsetof(struct conform_options, profile),
		.choices = conform_profiles,
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
	FILE_ROW("log", log,
		 "keep what the guest said, and what its hypervisor said on standard error"),
	FILE_ROW("expect", expect,
		 "known failures, the name of a test a line, a reason behind it, comments from # on: "
		 "they do not fail the run"),
	FILE_ROW("junit", junit, "write the verdicts as JUnit XML"),
	FILE_ROW("json", json, "write the verdicts and measurements as JSON"),
	FILE_ROW("html", html, "write one page for people"),
	{.name = NULL},
};

static int write_image(const struct conform_options *options, struct error *error)
{
	char path[PATH_MAX];
	cleanup_fd int from = -1, to = -1;
	struct stat status;
	ssize_t sent;

	if (conform_find_image(path, options, error) < 0)
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

struct conform {
	struct conform_log log;
	struct conform_expect expect;
};

static int read_logs(const struct conform_options *options, struct conform_log *log,
		     struct error *error)
{
	int result = 0;

	for (size_t i = 0; i < options->from.count && result == 0; i++)
		result = conform_log_read(log, options->from.items[i], error);
	conform_log_finish(log);
	return result;
}

/* Runs the guest, and keeps what it says where --log asks for it. */
static int run_and_keep(const struct conform_options *options, struct conform_log *log,
			struct error *error)
{
	FILE *kept = NULL;
	bool failed;
	int result;

	if (options->log) {
		kept = fopen(options->log, "we");
		if (!kept)
			return error_set_usage(error,
					       "--log: %s: %s; check the path and its permissions",
					       options->log, strerror(errno));
	}
	result = conform_run(options, log, kept, error);
	if (!kept)
		return result;
	failed = ferror(kept);
	failed |= fclose(kept) != 0;
	if (failed && result == 0)
		result = error_set_errno(error, errno, "--log: %s", options->log);
	return result;
}

static void show_failures(const struct conform_log *log)
{
	for (size_t i = 0; i < log->count; i++) {
		const struct conform_test *test = &log->tests[i];

		if (!conform_is_bad(test))
			continue;
		printf("%-9s%s%s%s%s%s",
		       test->known ? "known" : conform_verdict_name(test->verdict),
		       test->name[0] ? test->name : "(a test that was not heard of)",
		       test->message[0] ? ": " : "", test->message,
		       test->requirements[0] ? "; breaks " : "", test->requirements);
		if (test->known && test->known[0])
			printf(" (%s)", test->known);
		putchar('\n');
	}
}

/* What --expect lists as a failure and what passes. */
static void show_mended(const struct conform_log *log, const char *list)
{
	for (size_t i = 0; i < log->count; i++)
		if (log->tests[i].known && log->tests[i].verdict == CONFORM_PASS)
			printf("%-9s%s: it passes, and %s lists it as a known failure\n", "mended",
			       log->tests[i].name, list);
}

/* The verdict on the whole: also what was not heard of counts against it. */
static int conclude(const struct conform_options *options, const struct conform_log *log)
{
	enum conform_state state = conform_log_state(log);
	size_t passed = conform_log_count(log, CONFORM_PASS), known = 0;
	size_t skipped = conform_log_count(log, CONFORM_SKIPPED), left_out = 0;

	for (size_t i = 0; i < log->count; i++) {
		left_out += log->tests[i].left_out;
		known += conform_is_known(&log->tests[i]);
	}
	show_failures(log);
	show_mended(log, options->expect);
	for (size_t i = 0; i < log->measure_count; i++) {
		const struct conform_measure *measure = &log->measures[i];

		printf("%-9s%s: median %" PRIu64 ", 99 %%: %" PRIu64 " %s\n", "measured",
		       measure->name, measure->p50, measure->p99, measure->unit);
	}
	printf("%zu passed, %zu failed, %zu wedged, ", passed, conform_log_count(log, CONFORM_FAIL),
	       conform_log_count(log, CONFORM_WEDGED));
	if (known)
		printf("%zu of these known, ", known);
	printf("%zu skipped%s; the log is %s\n", skipped - left_out,
	       left_out ? ", others left out" : "", conform_state_describe(state));
	return state == CONFORM_COMPLETE && passed + known > 0 &&
			       passed + known + skipped == log->count ?
		       0 :
		       1;
}

/* What booted the guest, for reports. */
static int describe_command(char **text, const struct conform_options *options, struct error *error)
{
	char size[TEXT_SIZE_LENGTH];
	int result;

	if (options->command)
		return text_replace(text, options->command, strlen(options->command), error);
	if (!options->from.count)
		return text_replace_format(
			text, error,
			"avp conform --engine %s --cpus %" PRIu64 " --memory %s --slow %" PRIu64,
			conform_engines[options->engine], options->cpus,
			text_format_size(size, options->memory ? options->memory : CONFORM_MEMORY),
			options->slow);
	result = text_replace_format(text, error, "avp conform");
	for (size_t i = 0; i < options->from.count && result == 0; i++)
		result = text_replace_format(text, error, "%s --from %s", *text,
					     options->from.items[i]);
	return result;
}

/* Which tests were to be made; who read a log does not know. */
static int describe_filter(char **text, const struct conform_options *options, struct error *error)
{
	if (options->from.count)
		return text_replace_format(text, error, "as the guest's log has it");
	return text_replace_format(text, error, "profile %s, %s%s",
				   conform_profiles[options->profile],
				   options->only ? "only " : "every name",
				   options->only ? options->only : "");
}

static int write_reports(const struct conform_options *options, const struct conform_log *log,
			 struct error *error)
{
	cleanup_free char *command = NULL, *filter = NULL;
	struct conform_about about = {.when = time(NULL)};
	int result = describe_command(&command, options, error);

	if (result == 0)
		result = describe_filter(&filter, options, error);
	about.command = command;
	about.filter = filter;
	if (result == 0 && options->junit)
		result = conform_report_junit(log, options->junit, error);
	if (result == 0 && options->json)
		result = conform_report_json(log, &about, options->json, error);
	if (result == 0 && options->html)
		result = conform_report_html(log, &about, options->html, error);
	return result;
}

/* --only goes onto the guest's command line: what no test's name can have would be another word there. */
static int check_pattern(const char *pattern, struct error *error)
{
	size_t length = strspn(pattern, "abcdefghijklmnopqrstuvwxyz0123456789_*?");

	if (!length || pattern[length] || length >= sizeof(((struct conform_test *)0)->name))
		return error_set_usage(
			error,
			"--only: '%s' cannot match the name of a test; names are of "
			"lower-case letters, digits and '_', * and ? stand for others",
			pattern);
	return 0;
}

/* A whole log of nothing but tests that were left out is of a filter that lets none through. */
static int check_selection(const struct conform_options *options, const struct conform_log *log,
			   struct error *error)
{
	bool profile = options->profile != 0 && !options->from.count;

	if (conform_log_state(log) != CONFORM_COMPLETE)
		return 0;
	for (size_t i = 0; i < log->count; i++)
		if (!log->tests[i].left_out)
			return 0;
	if (options->from.count || !options->only)
		return error_set_usage(error, "no test was selected when this guest ran");
	return error_set_usage(error,
			       "--only: no test%s%s has a name that matches '%s'; docs/contract "
			       "and an --html page of all tests have the names",
			       profile ? " of profile " : "",
			       profile ? conform_profiles[options->profile] : "", options->only);
}

/* Before a guest boots: it takes minutes to find out that a name is wrong. */
static int read_expect(const struct conform_options *options, struct conform_expect *expect,
		       struct error *error)
{
	int result = conform_expect_read(expect, options->expect, error);
	char image[PATH_MAX];

	/* What said a log that is read may have been another version of the guest. */
	if (result < 0 || options->from.count)
		return result;
	result = conform_find_image(image, options, error);
	return result < 0 ? result : conform_expect_check(expect, image, error);
}

static void free_conform(struct conform *conform)
{
	conform_log_free(&conform->log);
	conform_expect_free(&conform->expect);
}

static int run_conform(const struct command_call *call, struct error *error)
{
	__attribute__((cleanup(free_conform))) struct conform conform = {.log.tests = NULL};
	const struct conform_options *options = call->options[0];
	struct error later;
	int result = 0, reported;

	if (options->image)
		return write_image(options, error);
	if (options->only)
		result = check_pattern(options->only, error);
	if (result == 0 && options->expect)
		result = read_expect(options, &conform.expect, error);
	if (result < 0)
		return result;
	result = options->from.count ? read_logs(options, &conform.log, error) :
				       run_and_keep(options, &conform.log, error);
	if (result == 0)
		result = check_selection(options, &conform.log, error);
	if (result == 0 && options->expect)
		result = conform_expect_apply(&conform.expect, &conform.log, error);
	/* Whatever went wrong: no file tells of an earlier run. */
	reported = write_reports(options, &conform.log, result < 0 ? &later : error);
	if (result < 0 && reported < 0)
		log_error("%s", later.message);
	if (result < 0 || reported < 0)
		return result < 0 ? result : reported;
	return conclude(options, &conform.log);
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
			{"0", "every test that could be made has passed or is a known failure, and "
			      "the log is whole"},
			{"1",
			 "a test failed or hung, the log is not whole, or the guest said nothing"},
			{"2", "the call was wrong: --only matches no test, --command cannot be "
			      "started, --expect names a test that there is not"},
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
