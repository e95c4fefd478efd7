// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reports of a conformance guest's log: JUnit, JSON, and the page of HTML.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/contract_version.h"
#include "conform/conform_report.h"
#include "unit/conform/guest_log.h"
#include "unit/scratch.h"

#define PAGE_SIZE_MAX (1u << 20)

static const struct conform_about about = {
	.when = 1796026500,
	.command = "any-vmm <fast>",
	.filter = "profile base, only blk_*",
};

static struct guest_log text;

/* A log of four tests: two passed, one failed, one was skipped. */
static void make_log(struct conform_log *log)
{
	text = (struct guest_log){.used = 0};
	guest_log_boot(&text, 1, "");
	guest_log_say(&text, "avp-conform: device %s", guest_log_devices[0]);
	guest_log_say(&text, "1..4");
	guest_log_test(&text, "boot_state", "ok", NULL);
	guest_log_test(&text, "mmio_width", "not ok", "read <0x3> & not 0x0");
	guest_log_test(&text, "pci_capabilities", "skip", "no virtio device on PCI");
	guest_log_say(&text,
		      "avp-conform: result timer_lateness ns n 3 min 1 p50 2 p90 3 p99 3 max 3 "
		      "sum 6");
	guest_log_say(&text, "avp-conform: bucket timer_lateness 2 1");
	guest_log_say(&text, "avp-conform: bucket timer_lateness 4 2");
	guest_log_test(&text, "blk_flush", "ok", NULL);
	guest_log_end(&text);
	guest_log_read(&text, log);
}

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "re");
	char *page = calloc(1, PAGE_SIZE_MAX);

	assert_non_null(file);
	assert_true(fread(page, 1, PAGE_SIZE_MAX - 1, file) > 0);
	fclose(file);
	return page;
}

/* The judge of a log; valid until the next call. */
static const struct conform_judge *judged(struct conform_log *log)
{
	static struct conform_judge judge;
	const struct conform_waivers none = {.list = NULL};
	const struct option_list usual = {NULL, 0};
	struct error error;

	conform_judge_free(&judge);
	if (log)
		assert_int_equal(conform_judge_log(&judge, log, &none, &usual, false, &error), 0);
	return &judge;
}

static void test_a_report_of_other_bytes(void **state)
{
	struct scratch scratch;
	struct conform_log log = {.tests = NULL};
	struct error error = {0};
	json_t *root, *test;
	const char *path;

	(void)state;
	scratch_make(&scratch);
	path = scratch_path(&scratch, "out");
	text = (struct guest_log){.used = 0};
	guest_log_boot(&text, 1, "");
	guest_log_say(&text, "avp-conform: device %s", guest_log_devices[0]);
	guest_log_say(&text, "1..4");
	guest_log_say(&text, "not ok 1 - boot\xff\xe2\x82 # AVP-BOOT-001");
	guest_log_say(&text,
		      "avp-conform: result a\xff ns n 3 min 1 p50 2 p90 3 p99 3 max 3 sum 6");
	guest_log_say(&text, "avp-conform: device \x80");
	guest_log_read(&text, &log);
	assert_int_equal(conform_report_json(judged(&log), &about, path, &error), 0);
	root = json_load_file(path, 0, NULL);
	assert_non_null(root);
	assert_int_equal(json_array_size(json_object_get(root, "results")), 4);
	assert_int_equal(json_array_size(json_object_get(root, "measures")), 1);
	assert_int_equal(json_array_size(json_object_get(root, "devices")), 2);
	test = json_array_get(json_object_get(root, "results"), 0);
	assert_string_equal(json_string_value(json_object_get(test, "test")), "boot???");
	json_decref(root);
	conform_log_free(&log);
	scratch_remove(&scratch);
}

static void test_reports(void **state)
{
	struct scratch scratch;
	struct conform_log log = {.tests = NULL};
	struct error error = {0};
	cleanup_free char *junit = NULL, *html = NULL;
	json_t *root, *test;
	char path[256];

	(void)state;
	scratch_make(&scratch);
	make_log(&log);
	snprintf(path, sizeof(path), "%s", scratch_path(&scratch, "out"));
	assert_int_equal(conform_report_junit(judged(&log), path, &error), 0);
	junit = read_file(path);
	assert_non_null(strstr(junit, "tests=\"4\" failures=\"1\" errors=\"0\" skipped=\"1\""));
	assert_non_null(strstr(junit, "read &lt;0x3&gt; &amp; not 0x0"));
	assert_int_equal(conform_report_html(judged(&log), &about, path, &error), 0);
	html = read_file(path);
	assert_non_null(strstr(html, "timer_lateness"));
	assert_null(strstr(html, "<0x3>"));
	assert_int_equal(conform_report_json(judged(&log), &about, path, &error), 0);
	root = json_load_file(path, 0, NULL);
	assert_non_null(root);
	test = json_array_get(json_object_get(root, "results"), 3);
	assert_string_equal(json_string_value(json_object_get(test, "chapter")), "X");
	assert_string_equal(json_string_value(json_object_get(root, "log")), "complete");
	json_decref(root);
	/* An incomplete log is an error in JUnit. */
	log.ended = false;
	assert_int_equal(conform_report_junit(judged(&log), path, &error), 0);
	free(junit);
	junit = read_file(path);
	assert_non_null(strstr(junit, "errors=\"1\""));
	assert_int_not_equal(conform_report_json(judged(&log), &about, "/nowhere/x", &error), 0);
	conform_log_free(&log);
	scratch_remove(&scratch);
}

static size_t count_text(const char *page, const char *part)
{
	size_t count = 0;

	while ((page = strstr(page, part))) {
		page += strlen(part);
		count++;
	}
	return count;
}

static void check_order(const char *page, const char *first, const char *second)
{
	const char *a = strstr(page, first), *b = strstr(page, second);

	if (!a || !b || a > b)
		fail_msg("%s is not before %s", first, second);
}

/* The structure that makes the page readable in a browser, also on a phone. */
static void check_page(const char *page)
{
	static const char *const tags[] = {"table",   "tr",	 "td",	"th",  "dl",
					   "dd",      "code",	 "h2",	"h3",  "div",
					   "details", "summary", "pre", "svg", "text"};
	char tag[100];

	assert_non_null(strstr(page, "<meta name=\"viewport\" content=\"width=device-width, "
				     "initial-scale=1\">"));
	/* Long words break, nothing is loaded, and it can be printed. */
	assert_non_null(strstr(page, "overflow-wrap:anywhere"));
	assert_non_null(strstr(page, "@media print"));
	assert_null(strstr(page, "http:"));
	assert_null(strstr(page, "https:"));
	assert_null(strstr(page, "src="));
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		size_t opened;

		snprintf(tag, sizeof(tag), "<%s>", tags[i]);
		opened = count_text(page, tag);
		snprintf(tag, sizeof(tag), "<%s ", tags[i]);
		opened += count_text(page, tag);
		snprintf(tag, sizeof(tag), "</%s>", tags[i]);
		assert_int_equal(count_text(page, tag), opened);
	}
}

static void test_the_page(void **state)
{
	struct scratch scratch;
	struct conform_log log = {.tests = NULL};
	struct error error = {0};
	cleanup_free char *page = NULL;
	const struct conform_judge *judge;
	const char *path;

	scratch_make(&scratch);
	path = scratch_path(&scratch, "page");
	make_log(&log);
	/* Labels of bars do not overlap, even for large numbers. */
	log.measures[0].buckets[40] = 7;
	judge = judged(&log);
	assert_int_equal(conform_report_html(judge, &about, path, &error), 0);
	page = read_file(path);
	check_page(page);
	assert_non_null(strstr(page, "7 below 1099511627776"));
	assert_non_null(strstr(page, "2026-11-30T08:15:00Z"));
	assert_non_null(strstr(page, "avp " AVP_VERSION ", suite " SUITE_VERSION ", contract "));
	assert_non_null(strstr(page, "any-vmm &lt;fast&gt;"));
	assert_non_null(strstr(page, "profile base, only blk_*"));
	/* Verdicts first, then chapters, then tests, the failed ones first. */
	check_order(page, "<h3>Base: not conformant", "<h2>Chapters</h2>");
	check_order(page, "<h2>Chapters</h2>", "Failed: 1");
	check_order(page, "mmio_width</code>", "boot_state</code>");
	check_order(page, "Failed: 1", "Passed: 2");
	/* What the contract says, by which clause, and the log's lines of what failed. */
	assert_non_null(strstr(page, "<dt>AVP-BLK-010, MUST</dt>"));
	assert_non_null(strstr(page, "VIRTIO 1.4, 5.2.6.2"));
	assert_non_null(strstr(page, "not ok 2 - mmio_width # AVP-X-001\n  ---\n"));
	assert_null(strstr(page, "ok 1 - boot_state"));
	/* Waived failures come after the others, and are marked. */
	log.tests[1].waived = "<narrow>";
	log.tests[2].left_out = true;
	assert_int_equal(conform_report_html(judge, &about, path, &error), 0);
	free(page);
	page = read_file(path);
	check_page(page);
	assert_null(strstr(page, "Failed: "));
	assert_non_null(strstr(page, "Failed and waived: 1"));
	assert_non_null(strstr(page, "Waived: &lt;narrow&gt;"));
	assert_non_null(strstr(page, "(1 of these left out)"));
	judged(NULL);
	conform_log_free(&log);
	scratch_remove(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_report_of_other_bytes),
		cmocka_unit_test(test_reports),
		cmocka_unit_test(test_the_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
