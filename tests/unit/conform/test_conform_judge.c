// SPDX-License-Identifier: BSD-3-Clause
/*
 * The verdicts on profiles: of machines that keep the contract, break it, skip its tests, offer
 * what is forbidden, and of logs that prove nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <string.h>

#include "conform/conform_judge.h"
#include "unit/conform/guest_log.h"
#include "unit/scratch.h"

#define NOW 1796026500 /* 2026-11-30 */

static struct guest_log text;
static struct conform_log log_read;
static struct conform_judge judge;
static struct conform_waivers waivers;

/* Judges @text for profiles, NULL: the usual ones. */
static void judge_text(const char *profiles)
{
	struct option_list list = {(char *[]){(char *)profiles}, profiles != NULL};
	struct error error;

	conform_judge_free(&judge);
	conform_log_free(&log_read);
	guest_log_read(&text, &log_read);
	assert_int_equal(conform_judge_log(&judge, &log_read, &waivers, &list, false, &error), 0);
}

static void judge_whole(const char *const *devices, const struct guest_exception *exceptions)
{
	guest_log_whole(&text, devices, exceptions);
	judge_text(NULL);
}

#define EXCEPT(...) ((const struct guest_exception[]){__VA_ARGS__, {NULL, NULL, NULL}})

static void check_verdict(const char *profile, const char *expected)
{
	int number = contract_find_profile(profile, strlen(profile));
	char said[120];

	assert_true(number >= 0);
	assert_true(judge.profiles[number].chosen);
	assert_string_equal(conform_profile_describe(&judge, (size_t)number, said, sizeof(said)),
			    expected);
}

static const struct conform_finding *find_row(const char *id, const char *name)
{
	for (size_t i = 0; contract_rows[i].id; i++)
		if (!strcmp(contract_rows[i].id, id) &&
		    (!name || !strcmp(contract_rows[i].name, name)))
			return &judge.rows[i];
	fail_msg("there is no row %s", id);
	return NULL;
}

static enum conform_judgement judged(const char *id)
{
	const struct contract_requirement *r = contract_find_requirement(id, strlen(id));

	assert_non_null(r);
	return judge.requirements[r - contract_requirements].judgement;
}

static int finish(void **state)
{
	conform_judge_free(&judge);
	conform_log_free(&log_read);
	conform_waivers_free(&waivers);
	return 0;
}

static void test_a_machine_that_keeps_all(void **state)
{
	judge_whole(guest_log_devices, NULL);
	assert_int_equal(conform_log_state(&log_read), CONFORM_COMPLETE);
	check_verdict("base", "conformant");
	check_verdict("x86-64", "conformant");
	assert_true(conform_judge_is_good(&judge));
	/* arm64 is not judged, and the others were not asked for. */
	assert_false(judge.profiles[contract_find_profile("arm64", 5)].chosen);
	assert_false(judge.profiles[contract_find_profile("cockpit", 7)].chosen);
}

static void test_a_failure(void **state)
{
	judge_whole(guest_log_devices, EXCEPT({"blk_write_read", "not ok", "other bytes"}));
	check_verdict("base", "not conformant: 1 broken");
	check_verdict("x86-64", "conformant");
	assert_int_equal(judged("AVP-BLK-001"), CONFORM_BROKEN);
	assert_false(conform_judge_is_good(&judge));
	/* It is of no concern to the other profile. */
	judge_text("x86-64");
	assert_true(conform_judge_is_good(&judge));
	/* A SHOULD: by its level, and by its message. */
	judge_whole(guest_log_devices, EXCEPT({"blk_flush_offered", "not ok", "it is not"},
					      {"blk_write_read", "not ok", "SHOULD: slow"}));
	check_verdict("base", "conformant");
	assert_int_equal(judged("AVP-BLK-012"), CONFORM_BROKEN);
	assert_int_equal(judged("AVP-BLK-001"), CONFORM_KEPT);
	assert_true(conform_judge_is_good(&judge));
}

static void test_columns(void **state)
{
	judge_whole(guest_log_devices,
		    EXCEPT({"blk_flush", "not ok", "a"}, {"blk_beyond_capacity", "not ok", "b"},
			   {"irq_x2apic", "skip", "environment: c"}));
	for (size_t i = 0; i < log_read.count; i++) {
		const struct conform_test *test = &log_read.tests[i];

		if (!strcmp(test->name, "blk_flush"))
			assert_int_equal(conform_judge_basis(test), CONTRACT_STANDARD);
		if (!strcmp(test->name, "blk_beyond_capacity"))
			assert_int_equal(conform_judge_basis(test), CONTRACT_OWN);
		assert_int_equal(conform_is_environment(test), !strcmp(test->name, "irq_x2apic"));
	}
	assert_int_equal(conform_judge_columns(&judge).standard, 1);
	assert_int_equal(conform_judge_columns(&judge).own, 1);
	assert_int_equal(conform_judge_columns(&judge).environment, 1);
	/* Tests that a cut log does not have are in no column. */
	text = (struct guest_log){.used = 0};
	guest_log_boot(&text, 1, "");
	guest_log_say(&text, "1..9");
	guest_log_test(&text, "boot_cmdline", "ok", NULL);
	judge_text(NULL);
	assert_int_equal(conform_log_count(&log_read, CONFORM_UNKNOWN), 8);
	/* The one test is wedged: the hypervisor ended after it. */
	assert_int_equal(conform_judge_columns(&judge).standard + conform_judge_columns(&judge).own,
			 1);
}

static void test_a_required_test_that_is_skipped(void **state)
{
	judge_whole(guest_log_devices, EXCEPT({"blk_write_read", "skip", "no time"}));
	check_verdict("base", "incomplete: 1 not proven, 0 cannot be judged here");
	assert_false(conform_judge_is_good(&judge));
	judge_whole(guest_log_devices, EXCEPT({"blk_write_read", "skip", "environment: slow"}));
	check_verdict("base", "incomplete: 0 not proven, 1 cannot be judged here");
	judge_whole(guest_log_devices, EXCEPT({"blk_write_read", "skip", "not selected"}));
	check_verdict("base", "incomplete: 1 not proven, 0 cannot be judged here");
	/* The log does not even name it. */
	judge_whole(guest_log_devices, EXCEPT({"blk_write_read", NULL, NULL}));
	assert_int_equal(conform_log_state(&log_read), CONFORM_COMPLETE);
	check_verdict("base", "incomplete: 1 not proven, 0 cannot be judged here");
	/* Of two tests that share a requirement one is enough. */
	judge_whole(guest_log_devices, EXCEPT({"ring_packed_wrap", "skip", "no packed rings"}));
	check_verdict("base", "conformant");
}

/* A requirement on a feature binds where the feature is offered. */
static void test_a_feature_that_is_not_offered(void **state)
{
	const char *devices[] = {guest_log_devices[0], guest_log_devices[1], guest_log_devices[2],
				 guest_log_devices[3], NULL};

	judge_whole(devices, EXCEPT({"blk_lifetime", "skip", "not offered"},
				    {"mem_high", "skip", "no memory above 4 GiB"},
				    {"pci_reset", "skip", "no virtio device on PCI"}));
	check_verdict("base", "conformant");
	assert_int_equal(judged("AVP-BLK-025"), CONFORM_NOT_APPLICABLE);
	assert_int_equal(judged("AVP-MEM-012"), CONFORM_NOT_APPLICABLE);
	assert_int_equal(judged("AVP-PCI-011"), CONFORM_NOT_APPLICABLE);
	/* The disk offers VIRTIO_BLK_F_LIFETIME. */
	devices[0] = "0 id 2 transport mmio at 0xd0000000 irq 5 features "
		     "0x0000000000000000000000013000f24c queues 1 sizes 256 seg_max 254";
	judge_whole(devices, EXCEPT({"blk_lifetime", "skip", "not offered"}));
	check_verdict("base", "incomplete: 1 not proven, 0 cannot be judged here");
	/* What it offers is unknown. */
	devices[0] = "0 id 2 transport mmio at 0xd0000000 irq 5";
	judge_whole(devices, EXCEPT({"blk_lifetime", "skip", "not offered"}));
	assert_int_equal(judged("AVP-BLK-025"), CONFORM_UNPROVEN);
	assert_int_equal(find_row("AVP-BASE-011", NULL)->judgement, CONFORM_UNPROVEN);
}

#define DISK(features, rest) \
	"0 id 2 transport mmio at 0xd0000000 irq 5 features 0x00000000000000000000000" features rest

static void check_disk(const char *disk, const char *row, const char *name, const char *what)
{
	const char *const devices[] = {disk, guest_log_devices[1], guest_log_devices[2],
				       guest_log_devices[3], NULL};

	judge_whole(devices, NULL);
	check_verdict("base", "not conformant: 1 broken");
	assert_int_equal(find_row(row, name)->judgement, CONFORM_BROKEN);
	assert_string_equal(find_row(row, name)->what, what);
}

static void test_what_a_profile_asks_of_devices(void **state)
{
	const char *const none[] = {guest_log_devices[1], guest_log_devices[2],
				    guest_log_devices[3], NULL};
	const char *const read_only[] = {guest_log_devices[0],
					 guest_log_devices[1],
					 guest_log_devices[2],
					 guest_log_devices[3],
					 "4 id 2 transport mmio at 0xd0004000 irq 9 features "
					 "0x00000000000000000000000130000064 queues 1 sizes 256 "
					 "seg_max 254",
					 NULL};

	check_disk(DISK("13002724c", " queues 1 sizes 256 seg_max 254"), "AVP-BASE-018", NULL,
		   "device 0 offers VIRTIO_BLK_F_ZONED, which this profile forbids");
	check_disk(DISK("13000704c", " queues 1 sizes 256 seg_max 254"), "AVP-BASE-011", NULL,
		   "device 0 does not offer VIRTIO_BLK_F_FLUSH");
	check_disk(DISK("13000724c", " queues 1 sizes 64 seg_max 254"), "AVP-BASE-015", NULL,
		   "device 0: queue 0 has 64 entries");
	check_disk(DISK("13000724c", " queues 0 sizes none seg_max 254"), "AVP-BASE-015", NULL,
		   "device 0 has 0 queues");
	check_disk(DISK("13000724c", " queues 1 sizes 256 seg_max 62"), "AVP-BASE-014", NULL,
		   "device 0: seg_max is 62");
	check_disk(DISK("03000724c", " queues 1 sizes 256 seg_max 254"), "AVP-BASE-005", NULL,
		   "device 0 does not offer VIRTIO_F_VERSION_1");
	/* A SHOULD does not count. */
	judge_whole((const char *const[]){DISK("11000724c", " queues 1 sizes 256 seg_max 254"),
					  guest_log_devices[1], guest_log_devices[2],
					  guest_log_devices[3], NULL},
		    NULL);
	check_verdict("base", "conformant");
	assert_int_equal(find_row("AVP-BASE-006", NULL)->judgement, CONFORM_BROKEN);
	/* A disk that cannot be written needs no flush. */
	judge_whole(read_only, NULL);
	check_verdict("base", "conformant");
	judge_whole(none, NULL);
	check_verdict("base", "not conformant: 1 broken");
	assert_string_equal(find_row("AVP-BASE-001", NULL)->what, "there is no block device");
}

static void test_other_profiles(void **state)
{
	const char *const balloon[] = {guest_log_devices[0],
				       guest_log_devices[1],
				       guest_log_devices[2],
				       guest_log_devices[3],
				       "4 id 5 transport mmio at 0xd0004000 irq 9 features "
				       "0x00000000000000000000000100000000 queues 2 sizes 64,64",
				       NULL};

	guest_log_whole(&text, guest_log_devices, NULL);
	judge_text("cockpit,gateway");
	assert_false(judge.profiles[contract_find_profile("base", 4)].chosen);
	assert_string_equal(find_row("AVP-COCKPIT-001", NULL)->what, "there is no gpu device");
	assert_int_equal(judge.profiles[contract_find_profile("gateway", 7)].result,
			 CONFORM_NOT_CONFORMANT);
	/* A balloon is forbidden beside safety. */
	guest_log_whole(&text, balloon, NULL);
	judge_text("safety");
	check_verdict("safety", "not conformant: 1 broken");
	/* That there is a watchdog, only its tests can tell. */
	guest_log_whole(&text, guest_log_devices, NULL);
	judge_text("safety");
	assert_int_equal(judged("AVP-WDT-001"), CONFORM_KEPT);
	guest_log_whole(&text, guest_log_devices, EXCEPT({"wdt_found", "skip", "none"}));
	judge_text("safety");
	assert_int_equal(judged("AVP-WDT-001"), CONFORM_UNPROVEN);
	/* A device for which nothing is tested yet proves nothing. */
	guest_log_whole(&text,
			(const char *const[]){"0 id 16 transport mmio at 0xd0004000 irq 9 features "
					      "0x00000000000000000000000100000002 queues 2 "
					      "sizes 64,16",
					      "1 id 19 transport mmio at 0xd0005000 irq 9 features "
					      "0x00000000000000000000000100000003 queues 3 "
					      "sizes 64,64,64",
					      NULL},
			NULL);
	judge_text("cockpit");
	assert_int_equal(judge.profiles[contract_find_profile("cockpit", 7)].result,
			 CONFORM_NOT_JUDGED);
}

static void test_the_choice_of_profiles(void **state)
{
	static const char *const wrong[] = {"", "bas", "base,", "base,,arm64", "base arm64"};
	struct error error;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct option_list list = {(char *[]){(char *)wrong[i]}, 1};
		int result = conform_judge_check_profiles(&list, &error);

		/* A comma at the end is harmless. */
		assert_int_equal(result < 0, i != 2);
		if (result < 0)
			assert_non_null(strstr(error.message, "--profile: there is no profile '"));
	}
	guest_log_whole(&text, guest_log_devices, NULL);
	judge_text("all");
	for (size_t i = 0; contract_profiles[i].name; i++)
		assert_int_equal(judge.profiles[i].chosen,
				 strcmp(contract_profiles[i].name, "arm64") != 0);
}

/* A log that is not whole. */

static void test_a_log_that_proves_nothing(void **state)
{
	char *end, *word;

	/* Cut: a failure in what is there counts. */
	guest_log_whole(&text, guest_log_devices, NULL);
	end = strstr(text.text, "avp-conform: end ");
	*end = 0;
	judge_text(NULL);
	check_verdict("base", "incomplete: the log is cut");
	guest_log_whole(&text, guest_log_devices, EXCEPT({"blk_write_read", "not ok", "x"}));
	end = strstr(text.text, "avp-conform: end ");
	*end = 0;
	judge_text(NULL);
	check_verdict("base", "not conformant: 1 broken");
	/* A line was forged: the sum tells. */
	word = strstr(text.text, "not ok ");
	memmove(word, word + 4, strlen(word + 4) + 1);
	judge_text(NULL);
	assert_int_equal(conform_log_state(&log_read), CONFORM_DAMAGED);
	check_verdict("base", "incomplete: the log is not to be trusted");
	assert_false(conform_judge_is_good(&judge));
	/* Of another suite. */
	guest_log_whole(&text, guest_log_devices, NULL);
	memcpy(strstr(text.text, "suite 2"), "suite 1", 7);
	judge_text(NULL);
	assert_int_equal(conform_log_state(&log_read), CONFORM_OTHER_SUITE);
	check_verdict("base", "incomplete: the log is not to be trusted");
}

static void test_two_boots_mixed(void **state)
{
	/* The second boot is of another machine. */
	for (int other = 0; other < 2; other++) {
		text = (struct guest_log){.used = 0};
		guest_log_boot(&text, 1, " run 00001234");
		guest_log_say(&text, "1..2");
		guest_log_test(&text, "boot_cmdline", "ok", NULL);
		guest_log_say(&text, "avp-conform: begin 2 blk_flush lines %u crc 0x%08x # X",
			      text.lines, text.crc);
		guest_log_boot(&text, 2, other ? " run 00001235" : " run 00001234");
		guest_log_say(&text, "ok 1 - boot_cmdline # SKIP not selected");
		guest_log_say(&text, "ok 2 - blk_flush # SKIP not selected");
		text.counts[2] = 2;
		guest_log_end(&text);
		judge_text(NULL);
		assert_int_equal(conform_log_state(&log_read),
				 other ? CONFORM_MIXED : CONFORM_COMPLETE);
	}
}

/* Waivers */

static void read_waivers(const char *lines, int result, const char *said)
{
	struct scratch scratch;
	struct error error = {0};
	const char *path;

	conform_waivers_free(&waivers);
	scratch_make(&scratch);
	path = scratch_write(&scratch, "waivers", lines, strlen(lines));
	assert_int_equal(conform_waivers_read(&waivers, path, NOW, &error) < 0, result < 0);
	if (result < 0 && !strstr(error.message, said))
		fail_msg("'%s' is not in '%s'", said, error.message);
	scratch_remove(&scratch);
}

static void test_waivers(void **state)
{
	read_waivers("# of this board\n\n  blk_write_read until 2026-11-30  mended in 2 # soon\r\n"
		     "AVP-NET-001 until 2027-01-01 the switch drops\n"
		     "AVP-BASE-001 until 2027-01-01 it has none\n",
		     0, NULL);
	judge_whole(guest_log_devices, EXCEPT({"blk_write_read", "not ok", "x"}));
	check_verdict("base", "conformant with 1 waiver");
	assert_int_equal(judged("AVP-BLK-001"), CONFORM_WAIVED);
	assert_true(conform_judge_is_good(&judge));
	judge_whole(guest_log_devices + 1,
		    EXCEPT({"blk_write_read", "not ok", "x"}, {"net_transmit", "not ok", "y"}));
	check_verdict("base", "conformant with 3 waivers");
	assert_string_equal(find_row("AVP-BASE-001", NULL)->waiver->reason, "it has none");
	for (size_t i = 0; i < log_read.count; i++)
		if (!strcmp(log_read.tests[i].name, "net_transmit"))
			assert_string_equal(log_read.tests[i].waived, "the switch drops");
	/* It does not make a skipped test pass. */
	judge_whole(guest_log_devices, EXCEPT({"blk_write_read", "skip", "x"}));
	check_verdict("base", "incomplete: 1 not proven, 0 cannot be judged here");
	/* One that ended does not hold. */
	read_waivers("blk_write_read until 2026-11-29 mended in 2\n", 0, NULL);
	assert_true(waivers.list[0].expired);
	judge_whole(guest_log_devices, EXCEPT({"blk_write_read", "not ok", "x"}));
	check_verdict("base", "not conformant: 1 broken");
}

static void test_waivers_that_are_wrong(void **state)
{
	static const char form[] = ":1: write NAME until YYYY-MM-DD REASON";

	read_waivers("blk_flush\n", -1, form);
	read_waivers("blk_flush it is slow\n", -1, form);
	read_waivers("blk_flush until 2027-01-01\n", -1, form);
	read_waivers("blk_flush until 2027-02-30 x\n", -1, form);
	read_waivers("blk_flush until 27-2-3 x\n", -1, form);
	read_waivers("blk_flush until 2027-1-001 x\n", -1, form);
	read_waivers("blk_flush since 2027-01-01 x\n", -1, form);
	read_waivers("\nblk_flash until 2027-01-01 x\n", -1,
		     ":2: the contract has no test, requirement or row 'blk_flash'");
	read_waivers("AVP-BLK-999 until 2027-01-01 x\n", -1, "'AVP-BLK-999'");
	read_waivers("\x1b[31m until 2027-01-01 x\n", -1, "'?[31m'");
	read_waivers("blk_flush until 2027-01-01 x\nblk_flush until 2027-01-02 x\n", -1,
		     ":2: blk_flush is already in line 1");
}

#define TEST(name) cmocka_unit_test_teardown(name, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_machine_that_keeps_all),
		TEST(test_a_failure),
		TEST(test_columns),
		TEST(test_a_required_test_that_is_skipped),
		TEST(test_a_feature_that_is_not_offered),
		TEST(test_what_a_profile_asks_of_devices),
		TEST(test_other_profiles),
		TEST(test_the_choice_of_profiles),
		TEST(test_a_log_that_proves_nothing),
		TEST(test_two_boots_mixed),
		TEST(test_waivers),
		TEST(test_waivers_that_are_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
