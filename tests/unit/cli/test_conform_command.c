// SPDX-License-Identifier: BSD-3-Clause
/*
 * `avp conform` called with logs of guests (--from) and with commands that play the hypervisor
 * (--command): its output and its exit status.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/sha256.h"
#include "cli/avp.h"
#include "unit/capture.h"
#include "unit/conform/guest_log.h"
#include "unit/scratch.h"

/* Real tests: each checks requirements of level MUST. */
#define WHOLE "ok boot_cmdline\nnot ok mmio_identity\nok blk_flush\n"

static struct scratch scratch;
static struct capture output, errors;

/* The image is beside the program; it is never booted. */
static void make_image(void)
{
	static const char *const names[] = {"", "/conform-amd64.elf", "/conform-arm64.image"};
	char program[3000], path[4000];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);

	assert_true(length > 0);
	program[length] = 0;
	*strrchr(program, '/') = 0;
	for (size_t i = 0; i < 3; i++) {
		cleanup_file FILE *file = NULL;

		snprintf(path, sizeof(path), "%s/../guest%s", program, names[i]);
		if (i == 0) {
			assert_true(mkdir(path, 0777) == 0 || errno == EEXIST);
			continue;
		}
		file = fopen(path, "we");
		assert_non_null(file);
		assert_int_equal(fwrite("\177ELF", 1, 4, file), 4);
	}
}

static void write_guest_log(const char *name, const struct guest_log *log)
{
	scratch_write(&scratch, name, log->text, log->used);
}

/*
 * Writes the log of boot @number of a guest that ran these tests, each "ok NAME", "not ok NAME" or
 * "skip NAME"; @more: what the boot line says in addition.
 */
static void write_boot(const char *name, unsigned int boot, const char *more, const char *tests)
{
	static struct guest_log log;
	char copy[1000], *next = copy;
	unsigned int total = 0;

	snprintf(copy, sizeof(copy), "%s", tests);
	for (const char *c = tests; *c; c++)
		total += *c == '\n';
	log = (struct guest_log){.used = 0};
	guest_log_boot(&log, boot, more);
	guest_log_say(&log, "1..%u", total);
	for (char *test; (test = strsep(&next, "\n")) && *test;) {
		char *word = strrchr(test, ' ') + 1;

		word[-1] = 0;
		guest_log_test(&log, word, test, strcmp(test, "skip") ? NULL : "not selected");
	}
	guest_log_end(&log);
	write_guest_log(name, &log);
}

static void write_log(const char *name, const char *tests)
{
	write_boot(name, 1, "", tests);
}

static void write_text(const char *name, const char *text)
{
	scratch_write(&scratch, name, text, strlen(text));
}

static char *read_text(const char *name)
{
	static char text[1u << 18];
	cleanup_file FILE *file = fopen(scratch_path(&scratch, name), "re");

	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = 0;
	return text;
}

/* Calls avp conform with these words, NULL after the last; @ is the scratch directory. */
static int call(const char *const *given)
{
	static char texts[16][500];
	char *words[20] = {(char *)"avp", (char *)"conform"};
	int status, count = 2;

	for (size_t i = 0; given[i]; i++) {
		const char *at = strchr(given[i], '@');

		assert_true(i < 16);
		if (at)
			snprintf(texts[i], sizeof(texts[i]), "%.*s%s%s", (int)(at - given[i]),
				 given[i], scratch.directory, at + 1);
		else
			snprintf(texts[i], sizeof(texts[i]), "%s", given[i]);
		words[count++] = texts[i];
	}
	status = command_main(&command_avp, count, words);
	fflush(stdout);
	return status;
}
#define CALL(...) call((const char *const[]){__VA_ARGS__, NULL})

static void check_said(struct capture *capture, const char *part)
{
	const char *text = capture_all(capture);

	if (!strstr(text, part))
		fail_msg("\"%s\" is not in: %s", part, text);
}

static int start(void **state)
{
	log_set_format(LOG_FORMAT_TEXT);
	scratch_make(&scratch);
	make_image();
	write_log("log", WHOLE);
	capture_start(&output, STDOUT_FILENO);
	capture_start(&errors, STDERR_FILENO);
	return 0;
}

static int finish(void **state)
{
	capture_stop(&errors);
	capture_stop(&output);
	scratch_remove(&scratch);
	return 0;
}

static void test_an_only_that_matches_nothing(void **state)
{
	write_log("none", "skip boot_cmdline\nskip mmio_identity\n");
	assert_int_equal(CALL("--only", "pxi_*", "--command", "cat @/none"), 2);
	check_said(&errors, "--only: no test has a name that matches 'pxi_*'");
	assert_int_equal(CALL("--from", "@/none"), 2);
	check_said(&errors, "no test was selected");
	/* A test that matches and fails is not a usage error. */
	assert_int_equal(CALL("--only", "mmio_*", "--command", "cat @/log"), 1);
	check_said(&output, "fail       mmio_identity");
}

static void test_an_only_that_can_match_nothing(void **state)
{
	static const char *const patterns[] = {"", "a b", "a start=3", "Blk_*", "blk-*", "a/b"};

	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		assert_int_equal(CALL("--only", patterns[i], "--command", "cat @/log"), 2);
		check_said(&errors, "--only: '");
	}
}

static void test_a_command_that_cannot_be_started(void **state)
{
	assert_int_equal(
		CALL("--command", "@/no-such-monitor --kernel $AVP_IMAGE", "--json", "@/json"), 2);
	check_said(&errors, "--command: cannot be started, the shell ended with exit status 127");
	/* The reports do not keep verdicts of an earlier run. */
	assert_non_null(strstr(read_text("json"), "empty: it has no line of a conformance guest"));
	write_text("file", "no program");
	assert_int_equal(CALL("--command", "@/file"), 2);
	check_said(&errors, "the shell ended with exit status 126");
}

static void test_a_command_that_ends_before_the_guest(void **state)
{
	const char *said;

	assert_int_equal(CALL("--command", "echo 'no such machine' >&2; exit 1"), 1);
	said = capture_all(&errors);
	assert_non_null(strstr(said, "no such machine\n"));
	assert_non_null(strstr(
		said, "the guest printed nothing before --command ended with exit status 1"));
	assert_int_equal(CALL("--command", "true"), 1);
	check_said(&errors, "the guest printed nothing before --command ended with exit status 0");
	/* The shell's exit status counts only if the guest printed nothing. */
	assert_int_equal(CALL("--command", "cat @/log; exit 127", "--waivers", "/dev/null"), 1);
	check_said(&output, "the log is complete");
}

/* A run leaves the signal blocked; without a handler it would still be pending. */
static void discard_hangups(void)
{
	signal(SIGHUP, SIG_IGN);
	signal(SIGHUP, SIG_DFL);
}

/* Under nohup SIGHUP is ignored, else it ends the run. */
static void test_signals(void **state)
{
	signal(SIGHUP, SIG_IGN);
	assert_int_equal(CALL("--command", "kill -HUP $PPID; cat @/log"), 1);
	check_said(&output, "the log is complete");
	discard_hangups();
	assert_int_equal(CALL("--command", "kill -HUP $PPID; exec sleep 1000"), 1);
	check_said(&errors, "ended by a signal");
	discard_hangups();
}

static void test_messages_of_the_hypervisor(void **state)
{
	const char *noise = "i=0; while [ $i -lt 119 ]; do echo warning $i >&2; i=$((i+1)); done; "
			    "cat @/log";
	const char *said;

	assert_int_equal(CALL("--command", noise, "--log", "@/kept", "--repeat", "0"), 1);
	assert_string_equal(capture_all(&errors), "");
	said = read_text("kept");
	assert_non_null(strstr(said, "stderr: warning 118\n"));
	assert_non_null(strstr(said, "\navp-conform: end "));
	/* It can be read again. */
	assert_int_equal(CALL("--from", "@/kept"), 1);
	check_said(&output, "2 passed, 1 failed, 0 wedged, 0 skipped; the log is complete");
	/* Without --log there is one line for all. */
	assert_int_equal(CALL("--command", noise, "--repeat", "0"), 1);
	said = capture_all(&errors);
	assert_non_null(strstr(said, "119 lines of the hypervisor's standard error are"));
	assert_null(strstr(said, "warning 118"));
}

/* A log of all tests: the machine is conformant but for the exceptions. */
static void write_whole(const char *name, const struct guest_exception *exceptions)
{
	static struct guest_log log;

	guest_log_whole(&log, guest_log_devices, exceptions);
	write_guest_log(name, &log);
}

static const struct guest_exception one_failure[] = {
	{"mmio_identity", "not ok", "it reads 0"},
	{NULL, NULL, NULL},
};

static void test_profiles(void **state)
{
	write_whole("whole", NULL);
	assert_int_equal(CALL("--from", "@/whole"), 0);
	check_said(&output, "base       conformant; ");
	assert_int_equal(CALL("--from", "@/whole", "--profile", "x86-64"), 0);
	check_said(&output, "x86-64     conformant; ");
	assert_int_equal(
		CALL("--from", "@/whole", "--profile", "base,x86-64", "--profile", "cockpit"), 1);
	check_said(&output, "  broken     AVP-COCKPIT-001, a machine MUST have a gpu device: there "
			    "is no gpu device\n");
	assert_int_equal(CALL("--from", "@/whole", "--profile", "bass"), 2);
	check_said(&errors, "--profile: there is no profile 'bass'; use all, base, cockpit");
	write_whole("one", one_failure);
	assert_int_equal(CALL("--from", "@/one", "--json", "@/json"), 1);
	check_said(&output, "base       not conformant: 1 broken; ");
	assert_non_null(strstr(read_text("json"), "\"verdict\": \"not conformant: 1 broken\""));
	/* Tests that were selected by name give no verdict on a profile. */
	assert_int_equal(CALL("--command", "cat @/whole", "--only", "blk_*"), 0);
	assert_null(strstr(capture_all(&output), "conformant"));
}

static void test_waivers(void **state)
{
	const char *said;

	write_whole("one", one_failure);
	write_text("waivers",
		   "# of this board\n\n  mmio_identity until 2999-01-01 the bus is narrow\n");
	assert_int_equal(CALL("--from", "@/one", "--waivers", "@/waivers", "--junit", "@/junit",
			      "--json", "@/json"),
			 0);
	said = capture_all(&output);
	assert_non_null(strstr(said, "waived     mmio_identity: it reads 0; breaks AVP-X-001 (the "
				     "bus is narrow)\n"));
	assert_non_null(strstr(said, ", 1 of these waived, 0 skipped"));
	assert_non_null(strstr(said, "base       conformant with 1 waiver; "));
	assert_non_null(strstr(said, "  waived     AVP-MMIO-001, mmio_identity: it reads 0 (until "
				     "2999-01-01: the bus is narrow)\n"));
	assert_non_null(strstr(said, "1 break VIRTIO or another standard, 0 what the contract "));
	said = read_text("junit");
	assert_non_null(strstr(said, "failures=\"0\" errors=\"0\" skipped=\"1\""));
	assert_non_null(strstr(said, "<skipped message=\"waived: the bus is narrow\"/>"));
	assert_non_null(strstr(read_text("json"), "\"waived\": \"the bus is narrow\""));
	/* One that is not needed, and one that ended. */
	write_text("waivers", "mmio_identity until 2999-01-01 x\nblk_flush until 2999-01-01 y\n");
	assert_int_equal(CALL("--from", "@/one", "--waivers", "@/waivers"), 0);
	check_said(&output, "mended     blk_flush: it is kept; remove its waiver from /");
	write_text("waivers", "mmio_identity until 2020-01-01 x\n");
	assert_int_equal(CALL("--from", "@/one", "--waivers", "@/waivers"), 1);
	check_said(&output, "expired    mmio_identity: its waiver ended on 2020-01-01");
}

static void check_list(const char *list, const char *said)
{
	write_text("waivers", list);
	assert_int_equal(CALL("--from", "@/log", "--waivers", "@/waivers"), 2);
	check_said(&errors, said);
}

static void test_waivers_that_are_wrong(void **state)
{
	char many[70 * 100] = "";

	check_list("blk_flush\n", "/waivers:1: write NAME until YYYY-MM-DD REASON");
	check_list("pxi_isr until 2999-01-01 x\n", "has no test, requirement or row 'pxi_isr'");
	memset(many, 'a', sizeof(many) - 1);
	check_list(many, "write NAME until");
	assert_int_equal(CALL("--from", "@/log", "--waivers", "@/nowhere"), 2);
	check_said(&errors, "--waivers: ");
	/* A run takes minutes: they are refused before the guest boots. */
	write_text("waivers", "pxi_isr until 2999-01-01 x\n");
	assert_int_equal(CALL("--command", "touch @/booted; exit 1", "--waivers", "@/waivers"), 2);
	assert_int_equal(access(scratch_path(&scratch, "booted"), F_OK), -1);
}

static void test_a_log_that_is_not_whole(void **state)
{
	static struct guest_log log;

	guest_log_whole(&log, guest_log_devices, NULL);
	*strstr(log.text, "avp-conform: end ") = 0;
	scratch_write(&scratch, "cut", log.text, strlen(log.text));
	assert_int_equal(CALL("--from", "@/cut"), 1);
	check_said(&output, "base       incomplete: the log is cut; ");
	guest_log_whole(&log, guest_log_devices, NULL);
	memcpy(strstr(log.text, "suite 2"), "suite 1", 7);
	write_guest_log("other", &log);
	assert_int_equal(CALL("--from", "@/other"), 1);
	check_said(&output, "the log is of another suite than 2.0.0, this program's");
	assert_int_equal(CALL("--from", "@/log", "--from", "@/other"), 1);
}

/* Plays a guest whose test fails, and passes, or fails as well, when it is repeated. */
#define REPEATING                                                                              \
	"case \"$AVP_APPEND\" in *' boot=2 start=2 '*repeat=mmio_identity) cat \"$again\" ;; " \
	"*' boot=1 start=1 '*) cat \"$once\" ;; esac"

static void test_a_failure_that_is_repeated(void **state)
{
	const char *alone = "skip boot_cmdline\nok mmio_identity\nskip blk_flush\n", *said;

	setenv("once", scratch_path(&scratch, "log"), 1);
	setenv("again", scratch_path(&scratch, "again"), 1);
	write_boot("again", 2, " repeat mmio_identity", alone);
	assert_int_equal(CALL("--command", REPEATING, "--log", "@/kept"), 1);
	said = capture_all(&output);
	assert_non_null(strstr(said, "unstable   mmio_identity"));
	assert_non_null(strstr(said, "2 passed, 0 failed, 0 wedged"));
	/* It is in the log, also in logs of two files. */
	assert_int_equal(CALL("--from", "@/kept"), 1);
	check_said(&output, "unstable   mmio_identity");
	assert_int_equal(CALL("--from", "@/log", "--from", "@/again"), 1);
	check_said(&output, "unstable   mmio_identity");
	assert_int_equal(CALL("--command", REPEATING, "--repeat", "0"), 1);
	check_said(&output, "fail       mmio_identity");
	write_boot("again", 2, " repeat mmio_identity",
		   "skip boot_cmdline\nnot ok mmio_identity\nskip blk_flush\n");
	assert_int_equal(CALL("--command", REPEATING), 1);
	check_said(&output, "fail       mmio_identity");
	/* A guest that does not get its command line would run everything again. */
	write_boot("again", 2, "", alone);
	assert_int_equal(CALL("--command", REPEATING), 1);
	check_said(&errors, "the guest does not see repeat=mmio_identity in its command line");
	check_said(&output, "2 passed, 1 failed, 0 wedged, 0 skipped; the log is complete");
}

/*
 * A busy host does not get the guest to run now and then. The first boot ends after its first test;
 * what follows prints nothing as often as $silent says, and then the rest.
 */
#define HALTING                                                                                \
	"cd @; case \"$AVP_APPEND\" in *' start=1 '*) sed '/begin 2 /,$d' log; exit ;; esac; " \
	"echo >>boots; [ $(wc -l <boots) -gt $silent ] && cat rest"

static void test_boots_that_print_nothing(void **state)
{
	write_log("log", "ok boot_cmdline\nok mmio_identity\nok blk_flush\n");
	write_boot("rest", 2, "", "skip boot_cmdline\nok mmio_identity\nok blk_flush\n");
	setenv("silent", "2", 1);
	assert_int_equal(CALL("--repeat", "0", "--command", HALTING), 1);
	check_said(&output, "2 passed, 0 failed, 1 wedged, 0 skipped; the log is complete");
	check_said(&errors, "boot 3: the guest printed nothing");
	unlink(scratch_path(&scratch, "boots"));
	setenv("silent", "3", 1);
	assert_int_equal(CALL("--repeat", "0", "--command", HALTING), 1);
	assert_string_equal(read_text("boots"), "\n\n\n");
	check_said(&output, "the log is incomplete");
}

static void test_too_many_failures(void **state)
{
	write_log("log", "not ok boot_cmdline\nnot ok mmio_identity\nnot ok blk_flush\n");
	setenv("log", scratch_path(&scratch, "log"), 1);
	assert_int_equal(CALL("--repeat", "2", "--command",
			      "case \"$AVP_APPEND\" in *repeat=*) echo >>@/boots; exit 1 ;; "
			      "*) cat \"$log\" ;; esac"),
			 1);
	assert_string_equal(read_text("boots"), "\n\n");
	check_said(&errors, "more than 2 tests failed: the others are not repeated");
	check_said(&output, "0 passed, 3 failed");
}

/* Result files */

#define ORIGIN	       "--host", "a board", "--hypervisor", "Any VMM 3.1"
#define KEEP(log, ...) CALL("keep", "@/r.json", "--from", "@/" log, ##__VA_ARGS__)

static void test_a_result_that_is_kept(void **state)
{
	const char *said;

	write_whole("whole", one_failure);
	assert_int_equal(KEEP("whole", ORIGIN), 0);
	assert_int_equal(CALL("check", "@/r.json"), 0);
	said = read_text("r.json");
	assert_non_null(strstr(said, "\"suite\": \"2.0.0\""));
	assert_non_null(strstr(said, "\"host\": \"a board\""));
	assert_non_null(strstr(said, "\"hypervisor\": \"Any VMM 3.1\""));
	assert_non_null(strstr(said, "\"image\": \"not stated\""));
	assert_non_null(strstr(said, "\"image sha256\": \"not stated\""));
	assert_non_null(strstr(said, "\"log file\": \"r.log\""));
	assert_non_null(strstr(said, "\"verdict\": \"not conformant: 1 broken\""));
	assert_int_equal(CALL("again", "@/r.json"), 0);
	assert_int_equal(CALL("check", "@/r.json", "@/r.json"), 0);
	/* The image that ran is named, read, and left as it is. */
	scratch_write(&scratch, "image", "abc", 3);
	assert_int_equal(KEEP("whole", ORIGIN, "--image", "@/image"), 0);
	said = read_text("r.json");
	assert_non_null(strstr(said, "\"image\": \"image\""));
	assert_non_null(strstr(said, "\"image sha256\": \"ba7816bf"));
	assert_string_equal(read_text("image"), "abc");
}

/* What the host saw is in the log, so that it gives the same verdicts when it is read again. */
static void test_a_result_of_a_run(void **state)
{
	static const struct guest_exception off[] = {
		{"pwr_off", "skip", "it ends the guest: fatal=1"},
		{NULL, NULL, NULL},
	};
	static struct guest_log last;
	const char *said;

	write_whole("whole", off);
	last = (struct guest_log){.used = 0};
	guest_log_boot(&last, 2, "");
	guest_log_say(&last, "avp-conform: begin %s lines %u crc 0x%08x # AVP-PWR-001",
		      "NUMBER pwr_off", last.lines, last.crc);
	write_guest_log("off", &last);
	assert_int_equal(CALL("keep", "@/r.json", ORIGIN, "--command",
			      "cd @; n=$(sed -n 's/.*begin \\([0-9]*\\) pwr_off .*/\\1/p' whole); "
			      "case \"$AVP_APPEND\" in *fatal=1*) sed \"s/NUMBER/$n/\" off;; "
			      "*) echo 'host: powered off'; cat whole;; esac"),
			 0);
	said = read_text("r.log");
	/* What the console shows is not taken for it. */
	assert_int_equal(strncmp(said, " host: powered off\n", 19), 0);
	assert_non_null(strstr(said, "\nhost: powered off pwr_off\nhost: the hypervisor ended\n"));
	assert_int_equal(CALL("check", "@/r.json"), 0);
	assert_non_null(strstr(read_text("r.json"), "\"verdict\": \"conformant\""));
}

static void replace(const char *name, const char *from, const char *to)
{
	char *text = read_text(name), *at = strstr(text, from);

	assert_non_null(at);
	assert_int_equal(strlen(from), strlen(to));
	memcpy(at, to, strlen(to));
	write_text(name, text);
}

/* Someone who knows how a seal is made makes another one. */
static void seal_again(void)
{
	json_t *root = json_load_file(scratch_path(&scratch, "r.json"), 0, NULL);
	char seal[SHA256_TEXT], *text;
	struct sha256 sha;

	json_object_del(root, "seal");
	text = json_dumps(root, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENSURE_ASCII);
	sha256_init(&sha);
	sha256_add(&sha, text, strlen(text));
	json_object_set_new(root, "seal", json_string(sha256_finish(&sha, seal)));
	assert_int_equal(json_dump_file(root, scratch_path(&scratch, "r.json"), 0), 0);
	free(text);
	json_decref(root);
}

static void test_a_result_with_waivers(void **state)
{
	write_whole("whole", one_failure);
	write_text("waivers", "mmio_identity until 2999-01-01 the bus is narrow\n"
			      "blk_flush until 2020-01-01 it ended\n");
	assert_int_equal(KEEP("whole", ORIGIN, "--waivers", "@/waivers"), 0);
	assert_non_null(strstr(read_text("r.json"), "\"verdict\": \"conformant with 1 waiver\""));
	assert_non_null(strstr(read_text("r.json"), "\"until\": \"2999-01-01\""));
	assert_null(strstr(read_text("r.json"), "it ended"));
	/* The file has all that it takes to judge the log again. */
	unlink(scratch_path(&scratch, "waivers"));
	assert_int_equal(CALL("check", "@/r.json"), 0);
	assert_int_equal(CALL("again", "@/r.json"), 0);
	assert_int_equal(CALL("check", "@/r.json"), 0);
	/* It holds on the date of the result, and only in words that the contract knows. */
	replace("r.json", "2999-01-01", "2019-01-01");
	seal_again();
	assert_int_equal(CALL("check", "@/r.json"), 1);
	check_said(&errors, "r.json: 'profiles' is not what the log and the contract give");
	replace("r.json", "\"name\": \"mmio_identity\"", "\"name\": \"pmio_identity\"");
	seal_again();
	assert_int_equal(CALL("check", "@/r.json"), 2);
	check_said(&errors,
		   "r.json:1: the contract has no test, requirement or row 'pmio_identity'");
	replace("r.json", "\"until\"", "\"untie\"");
	seal_again();
	assert_int_equal(CALL("check", "@/r.json"), 2);
	check_said(&errors, "r.json: this is not a result file");
}

static void test_a_result_that_was_changed(void **state)
{
	write_whole("whole", one_failure);
	assert_int_equal(KEEP("whole", ORIGIN), 0);
	replace("r.json", "not conformant: 1 ", "not conformant: 0 ");
	assert_int_equal(CALL("check", "@/r.json"), 1);
	check_said(&errors, "r.json: it was changed after it was kept: the seal does not fit");
	assert_int_equal(CALL("again", "@/r.json"), 1);
	seal_again();
	assert_int_equal(CALL("check", "@/r.json"), 1);
	check_said(&errors, "r.json: 'profiles' is not what the log and the contract give");
	assert_int_equal(CALL("again", "@/r.json"), 0);
	assert_int_equal(CALL("check", "@/r.json"), 0);
	/* The log was changed. */
	replace("r.log", "cpus 2", "cpus 4");
	assert_int_equal(CALL("check", "@/r.json"), 1);
	check_said(&errors, "r.log: it is not the log that ");
	/* Of another suite. */
	assert_int_equal(KEEP("whole", ORIGIN), 0);
	replace("r.json", "\"suite\": \"2.0.0\"", "\"suite\": \"1.0.0\"");
	seal_again();
	assert_int_equal(CALL("check", "@/r.json"), 1);
	check_said(&errors, "r.json: it is of suite '1.0.0', and this program has 2.0.0");
	/* Something else. */
	write_text("r.json", "{}");
	assert_int_equal(CALL("check", "@/r.json"), 1);
	write_text("r.json", "[");
	assert_int_equal(CALL("check", "@/r.json"), 2);
	write_text("r.json", "[]");
	assert_int_equal(CALL("check", "@/r.json"), 2);
	check_said(&errors, "this is not a result file");
}

/* Writes @name.json of a machine with these devices on which all tests pass but the exceptions. */
static void keep_machine(const char *name, const char *const *devices,
			 const struct guest_exception *exceptions, const char *hypervisor)
{
	static struct guest_log log;
	char result[100], from[100];

	snprintf(result, sizeof(result), "@/%s.json", name);
	snprintf(from, sizeof(from), "@/%s", name);
	guest_log_whole(&log, devices, exceptions);
	write_guest_log(name, &log);
	assert_int_equal(CALL("keep", result, "--from", from, "--host", "a board", "--hypervisor",
			      hypervisor),
			 0);
}

static void test_a_verdict_over_machines(void **state)
{
	static const struct guest_exception no_empty[] = {
		{"disc_empty", "skip", "the machine has 4 devices"},
		{NULL, NULL, NULL},
	};
	static const struct guest_exception no_vlan[] = {
		{"net_vlan", "skip", "no second network device"},
		{NULL, NULL, NULL},
	};
	const char *poor[5], *said;

	/* Machine b has no disk. */
	keep_machine("a", guest_log_devices, no_empty, "Any VMM 3.1");
	keep_machine("b", guest_log_devices + 1, no_vlan, "Any VMM 3.1");
	assert_int_equal(CALL("judge", "@/a.json"), 1);
	check_said(&output, "  not proven AVP-DISC-020, disc_empty: the machine has 4 devices\n");
	assert_int_equal(CALL("judge", "@/b.json"), 1);
	check_said(&output, "there is no block device");
	assert_int_equal(
		CALL("judge", "@/a.json", "@/b.json", "--json", "@/json", "--html", "@/html"), 0);
	said = capture_all(&output);
	assert_non_null(strstr(said, "alone      a.json, base: incomplete: 1 not proven"));
	assert_non_null(strstr(said, "alone      b.json, base: not conformant: "));
	assert_non_null(strstr(said, "\nbase       conformant; "));
	assert_non_null(strstr(said, "\nx86-64     conformant; "));
	assert_non_null(strstr(read_text("html"), "<h2>Machines</h2>"));
	said = strstr(read_text("json"), "\"machines\"");
	assert_non_null(said);
	assert_non_null(strstr(said, "\"file\": \"b.json\""));
	/* A failure on one machine stays so. */
	keep_machine("c", guest_log_devices, one_failure, "Any VMM 3.1");
	assert_int_equal(CALL("judge", "@/a.json", "@/c.json", "@/b.json"), 1);
	said = capture_all(&output);
	assert_non_null(strstr(said, "fail       mmio_identity on c.json: it reads 0"));
	assert_non_null(
		strstr(said, "  broken     AVP-MMIO-001, mmio_identity on c.json: it reads 0"));
	assert_non_null(strstr(said, "base       not conformant: 1 broken; "));
	/* So does what one device lacks. */
	memcpy(poor, guest_log_devices, sizeof(poor));
	poor[0] = "0 id 2 transport mmio at 0xd0000000 irq 5 features "
		  "0x00000000000000000000000100000000 queues 1 sizes 256 seg_max 254";
	keep_machine("d", poor, NULL, "Any VMM 3.1");
	assert_int_equal(CALL("judge", "@/a.json", "@/d.json"), 1);
	check_said(&output, ": d.json, device 0 does not offer VIRTIO_BLK_F_FLUSH\n");
}

static void test_machines_that_do_not_belong_together(void **state)
{
	keep_machine("a", guest_log_devices, NULL, "Any VMM 3.1");
	keep_machine("b", guest_log_devices, one_failure, "Any VMM 3.2");
	assert_int_equal(CALL("judge", "@/a.json", "@/b.json"), 1);
	check_said(&errors,
		   "b.json: it is of hypervisor 'Any VMM 3.2', and a.json of 'Any VMM 3.1'");
	assert_int_equal(CALL("judge", "@/a.json", "@/a.json"), 1);
	check_said(&errors, "a.json: it has the same log as a.json");
	write_text("waivers", "mmio_identity until 2999-01-01 the bus is narrow\n");
	assert_int_equal(
		CALL("keep", "@/b.json", "--from", "@/b", ORIGIN, "--waivers", "@/waivers"), 0);
	assert_int_equal(CALL("judge", "@/b.json"), 0);
	assert_int_equal(CALL("judge", "@/a.json", "@/b.json"), 1);
	check_said(&errors, "b.json: it has other waivers than a.json");
	replace("b.json", "Any VMM", "Our VMM");
	assert_int_equal(CALL("judge", "@/b.json"), 1);
	check_said(&errors, "b.json: it was changed after it was kept");
	assert_int_equal(CALL("judge", "@/a.json", "--waivers", "@/waivers"), 2);
	check_said(&errors, "judge takes result files");
	assert_int_equal(CALL("judge", "@/a.json", "--profile", "bass"), 2);
	assert_int_equal(CALL("judge"), 2);
}

static void check_not_kept(const char *said)
{
	assert_int_equal(KEEP("bad", ORIGIN), 1);
	check_said(&errors, said);
	assert_int_equal(access(scratch_path(&scratch, "r.json"), F_OK), -1);
	assert_int_equal(access(scratch_path(&scratch, "r.log"), F_OK), -1);
}

static void test_a_log_that_is_not_kept(void **state)
{
	static const struct guest_exception left_out[] = {
		{"blk_flush", "skip", "not selected"},
		{NULL, NULL, NULL},
	};
	static struct guest_log log;

	write_whole("bad", left_out);
	check_not_kept("blk_flush was not selected; a result has all tests");
	write_whole("bad", one_failure);
	replace("bad", "not ok ", "    ok ");
	check_not_kept("the log is damaged");
	write_whole("bad", one_failure);
	replace("bad", "suite 2.0.0", "suite 1.0.0");
	check_not_kept("the log is of another suite than 2.0.0");
	/* Boots of two runs. */
	log = (struct guest_log){.used = 0};
	guest_log_boot(&log, 1, " run 00000001");
	guest_log_say(&log, "1..2");
	guest_log_test(&log, "boot_cmdline", "ok", NULL);
	guest_log_boot(&log, 2, " run 00000002");
	guest_log_test(&log, "boot_cmdline", "skip", "not selected");
	guest_log_test(&log, "blk_flush", "ok", NULL);
	guest_log_end(&log);
	write_guest_log("bad", &log);
	check_not_kept("the log is mixed: it has boots of different machines or runs");
	write_whole("bad", NULL);
	assert_int_equal(KEEP("bad"), 2);
	check_said(&errors, "keep needs --host and --hypervisor");
	assert_int_equal(KEEP("bad", ORIGIN, "--only", "blk_*"), 2);
	assert_int_equal(KEEP("bad", ORIGIN, "--from", "@/bad"), 2);
	/* The image is named of a log that is kept, and never written then. */
	assert_int_equal(CALL("keep", "@/r.json", "--image", "@/image", ORIGIN), 2);
	assert_int_equal(CALL("--from", "@/bad", "--image", "@/image"), 2);
	assert_int_equal(access(scratch_path(&scratch, "image"), F_OK), -1);
	assert_int_equal(CALL("keep", "@/result", "--from", "@/bad", ORIGIN), 2);
	check_said(&errors, "a result file is named NAME.json");
	assert_int_equal(CALL("keep"), 2);
	assert_int_equal(CALL("kept", "@/r.json"), 2);
	check_said(&errors, "write keep FILE, check FILE..., again FILE... or judge FILE...");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_an_only_that_matches_nothing),
		TEST(test_an_only_that_can_match_nothing),
		TEST(test_a_command_that_cannot_be_started),
		TEST(test_a_command_that_ends_before_the_guest),
		TEST(test_signals),
		TEST(test_messages_of_the_hypervisor),
		TEST(test_a_failure_that_is_repeated),
		TEST(test_boots_that_print_nothing),
		TEST(test_too_many_failures),
		TEST(test_profiles),
		TEST(test_waivers),
		TEST(test_waivers_that_are_wrong),
		TEST(test_a_log_that_is_not_whole),
		TEST(test_a_result_that_is_kept),
		TEST(test_a_result_of_a_run),
		TEST(test_a_result_with_waivers),
		TEST(test_a_result_that_was_changed),
		TEST(test_a_verdict_over_machines),
		TEST(test_machines_that_do_not_belong_together),
		TEST(test_a_log_that_is_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
