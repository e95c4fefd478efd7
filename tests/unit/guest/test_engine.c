// SPDX-License-Identifier: BSD-3-Clause
/*
 * What engines support: one table, which the option rows, the monitor and the help
 * agree with; guests beyond it are refused before anything is started, and `auto` reports why each
 * engine was passed over. QEMU is a fake.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/contract_version.h"
#include "base/text.h"
#include "cli/avp.h"
#include "unit/fake_qemu.h"
#include "guest/engine/engine.h"
#include "guest/engine/engine_feature.h"
#include "guest/engine/kvm/kvm.h"
#include "monitor/boot.h"
#include "unit/capture.h"
#include "unit/scratch.h"

#define DEBIAN_VERSION "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright (c) 2003"

#define KVM	       engine_number("kvm")
#define QEMU	       engine_number("qemu")

static struct scratch scratch;
static struct guest_config config;
static struct error error;
static struct kvm_probe_result kvm;
static char *path_before;

static int set_up(void **state)
{
	const char *kernel;

	path_before = strdup(getenv("PATH"));
	scratch_make(&scratch);
	fake_qemu_install(&scratch);
	fake_qemu_set("poweroff", DEBIAN_VERSION);
	kernel = scratch_write_kernel(&scratch, "kernel");
	kvm = (struct kvm_probe_result){KVM_PROBE_WORKS, "it works"};
	error = (struct error){0};
	if (guest_config_init(&config, &error) < 0)
		return -1;
	return text_replace(&config.kernel, kernel, strlen(kernel), &error);
}

static int tear_down(void **state)
{
	guest_config_clear(&config);
	setenv("PATH", path_before, 1);
	free(path_before);
	scratch_remove(&scratch);
	return 0;
}

static char passed_over[sizeof(((struct engine_plan *)0)->passed_over)];

/* Whether a guest passes guest_config_check and an engine's own limits. */
static const struct engine *choose(uint64_t kind)
{
	struct engine_plan *plan = NULL;
	const struct engine *engine;

	config.engine = kind;
	error = (struct error){0};
	if (guest_config_check(&config, &error) < 0)
		return NULL;
	engine = engine_choose(&plan, &config, &kvm, &error);
	assert_true(!engine == !plan);
	snprintf(passed_over, sizeof(passed_over), "%s", plan ? plan->passed_over : "");
	free(plan);
	return engine;
}

static void expect_refusal(uint64_t kind, const char *text)
{
	assert_null(choose(kind));
	assert_true(error.usage);
	if (!strstr(error.message, text))
		fail_msg("'%s' is not in '%s'", text, error.message);
}

static uint64_t value_of(const char *option, const struct engine *engine)
{
	for (const struct engine_feature *feature = engine_features; feature->what; feature++)
		if (!strcmp(feature->option, option))
			return engine_feature_value(feature, engine, ENGINE_HERE);
	fail_msg("no feature of '%s'", option);
	return 0;
}

/* The rows have the limits of the most capable engine; the monitor matches the table. */
static void test_the_table_agrees_with_the_rest(void **state)
{
	for (const struct engine_feature *feature = engine_features; feature->what; feature++) {
		const struct option_row *row =
			option_find(guest_option_rows, feature->option, strlen(feature->option));
		uint64_t most = 0;

		assert_int_equal(!*feature->option || feature->kind == FEATURE_VERB, !row);
		for_each_engine(engine)
			for (int i = 0; i < ENGINE_ARCHITECTURES; i++) {
				uint64_t value = engine_feature_value(feature, engine, i);

				most = value > most ? value : most;
				assert_true(feature->kind == FEATURE_SUPPORT ||
							    feature->kind == FEATURE_VERB ?
						    value <= 1 :
						    value > 0);
			}
		if (!*feature->option)
			assert_int_equal(most, GUEST_DEVICES_MAXIMUM);
		else if (feature->kind == FEATURE_MOST && row && row->maximum)
			assert_int_equal(row->maximum, most);
	}
	assert_int_equal(value_of("", &engine_kvm), arch_virtio_slots < GUEST_DEVICES_MAXIMUM ?
							    arch_virtio_slots :
							    GUEST_DEVICES_MAXIMUM);
	assert_int_equal(value_of("firmware", &engine_kvm), arch_has_firmware);
	assert_int_equal(value_of("watchdog", &engine_kvm), arch_has_watchdogs);
	assert_int_equal(value_of("dump-dtb", &engine_kvm), arch_has_tree);
}

/* What the control socket asks for is refused by the same table. */
static void test_verbs(void **state)
{
	const struct engine unable = {.name = "dull"};

	assert_int_equal(engine_check_ability(&engine_kvm, "pause", &error), 0);
	assert_int_equal(engine_check_ability(&unable, "pause", &error), -ENOTSUP);
	assert_string_equal(error.message,
			    "pause: engine dull has no pausing here; take another engine");
	for_each_engine(engine)
		for (int i = 0; i < ENGINE_ARCHITECTURES; i++) {
			assert_int_equal(engine->machines[i].pause, engine->pause != NULL);
			assert_int_equal(engine->machines[i].restart,
					 engine->release_device != NULL);
		}
}

/* Each engine can be chosen by its folder's name; `auto` comes first. */
static void test_the_list_of_engines(void **state)
{
	size_t count = 0;

	assert_string_equal(guest_engine_choices[ENGINE_AUTO], "auto");
	for_each_engine(engine)
		assert_string_equal(guest_engine_choices[++count], engine->name);
	assert_null(guest_engine_choices[count + 1]);
}

/*
 * A kernel with only a signature and, unless it is 0, the length of a command line for x86.
 */
static void set_kernel(size_t offset, const char *signature, uint8_t length)
{
	char bytes[1024] = {0};
	const char *path;

	memcpy(bytes + offset, signature, strlen(signature));
	if (length)
		bytes[0x238] = (char)length;
	path = scratch_write(&scratch, "other", bytes, sizeof(bytes));
	text_replace(&config.kernel, path, strlen(path), &error);
}

static void set_append(size_t length)
{
	free(config.append);
	config.append = malloc(length + 1);
	memset(config.append, 'x', length);
	config.append[length] = 0;
}

static void test_long_command_lines(void **state)
{
	uint64_t number = ENGINE_AUTO;

	for_each_engine(engine) {
		cleanup_free char *line = NULL;
		size_t added;

		number++;
		set_append(10);
		assert_ptr_equal(choose(number), engine);
		assert_int_equal(engine_command_line(&line, engine, &config, &error), 0);
		added = strlen(line) - 10;
		set_append(2047 - added);
		assert_non_null(choose(number));
		set_append(2048 - added);
		expect_refusal(number, "--append: the kernel's command line has 2048 characters");
		expect_refusal(number, "and the kernel takes 2047; shorten it");
	}
#ifdef __x86_64__
	/* A kernel of version 2.06 with a limit of 255. */
	set_kernel(0x202, "HdrS\x06\x02", 255);
	set_append(256);
	expect_refusal(QEMU, "and the kernel takes 255; shorten it");
	set_append(200);
	assert_non_null(choose(QEMU));
#endif
}

#define CONTRACT "avp.contract=" CONTRACT_VERSION
#define PROFILES " avp.profiles=" CONTRACT_PROFILES

/* Every engine passes the version of the contract to the guest, and profiles that it keeps. */
static void test_every_engine_states_the_contract(void **state)
{
	for_each_engine(engine) {
		cleanup_free char *line = NULL;

		set_append(10);
		assert_int_equal(engine_command_line(&line, engine, &config, &error), 0);
		assert_non_null(strstr(line, "xxxxxxxxxx " CONTRACT));
		assert_int_equal(strstr(line, PROFILES) != NULL, engine->states_profiles);
	}
}

/* A console is added if the engine has one and the line has none. */
static void test_the_console_of_a_guest(void **state)
{
	static const char *const lines[][2] = {
		{"", "console=" QEMU_CONSOLE " " CONTRACT},
		{"quiet", "console=" QEMU_CONSOLE " quiet " CONTRACT},
		/* A given console is kept. */
		{"quiet console=tty0", "quiet console=tty0 " CONTRACT},
		{"init=/sh -- console=tty0",
		 "console=" QEMU_CONSOLE " init=/sh " CONTRACT " -- console=tty0"},
		/* Also after an unclosed quotation mark. */
		{"quiet \"console=tty0 -- x", "quiet " CONTRACT " \"console=tty0 -- x"},
		{"noconsole=1", "console=" QEMU_CONSOLE " noconsole=1 " CONTRACT},
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		cleanup_free char *line = NULL;

		free(config.append);
		config.append = strdup(lines[i][0]);
		assert_int_equal(engine_command_line(&line, &engine_qemu, &config, &error), 0);
		assert_string_equal(line, lines[i][1]);
	}
	assert_null(engine_kvm.console);
}

/* Added parameters are the kernel's, not init's. */
static void test_words_that_engines_add(void **state)
{
	static const struct {
		const char *append, *before, *after;
	} lines[] = {
		{NULL, "", ""},
		{"quiet", "quiet ", ""},
		{"-- one", "", " -- one"},
		{"quiet -- one --", "quiet ", " -- one --"},
		{"quiet\t--\none", "quiet\t", " --\none"},
		{"quiet \"--\" one", "quiet ", " \"--\" one"},
		{"quiet --", "quiet ", " --"},
		{"a=\xc3\xa0-- one", "a=\xc3\xa0", " -- one"},
		/* These are not stand-alone "--". */
		{"--quiet a-- --=1 a=-- --- -", "--quiet a-- --=1 a=-- --- - ", ""},
		{"a=\"b -- c\" d", "a=\"b -- c\" d ", ""},
		{"\"a -- b\" -- c", "\"a -- b\" ", " -- c"},
		/* A word whose quotation mark is not closed. */
		{"quiet a=\"b", "quiet ", " a=\"b"},
		{"quiet \"a -- b", "quiet ", " \"a -- b"},
		{"\"", "", " \""},
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		cleanup_free char *line = NULL;
		size_t before = strlen(lines[i].before), after = strlen(lines[i].after);

		free(config.append);
		config.append = lines[i].append ? strdup(lines[i].append) : NULL;
		assert_int_equal(engine_command_line(&line, &engine_kvm, &config, &error), 0);
		if (strncmp(line, lines[i].before, before) ||
		    strncmp(line + before, "avp.contract=", strlen("avp.contract=")) ||
		    strcmp(line + strlen(line) - after, lines[i].after))
			fail_msg("'%s' became '%s'", lines[i].append, line);
	}
}

/*
 * A format that no engine boots is refused before anything starts; `auto` finds the engine that
 * boots it.
 */
static void test_formats_of_kernels(void **state)
{
	set_kernel(4, "zimg", 0);
	expect_refusal(KVM, "/other: engine kvm does not boot EFI zboot here, only ELF, ");
	expect_refusal(QEMU, "; give the Image that is in it");
	expect_refusal(ENGINE_AUTO, "engine kvm: --kernel: ");
	set_kernel(0, "\x1f\x8b", 0);
	expect_refusal(KVM, "; unpack it with gunzip");
#ifdef __aarch64__
	assert_ptr_equal(choose(ENGINE_AUTO), &engine_qemu);
	set_kernel(0x202, "HdrS", 0);
#else
	expect_refusal(QEMU, "engine qemu does not boot Image in gzip here, only ELF, bzImage; ");
	set_kernel(0x38, "ARM\x64", 0);
#endif
	for_each_engine(engine)
		expect_refusal(engine_number(engine->name), "; give one of those");
	set_kernel(0,
		   "\x7f"
		   "ELF",
		   0);
	for_each_engine(engine)
		assert_ptr_equal(choose(engine_number(engine->name)), engine);
}

static void test_memory_in_steps(void **state)
{
	static const char *const sizes[] = {"131072K", "131076K", "131080K", "200001K"};
	static const bool on_kvm[] = {true, true, true, false};
	static const bool on_qemu[] = {true, false, true, false};
	const struct option_row *row = option_find(guest_option_rows, "memory", 6);

	if (sysconf(_SC_PAGESIZE) != 4096)
		skip();
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(option_set(row, &config, sizes[i], NULL, &error), 0);
		assert_int_equal(choose(KVM) != NULL, on_kvm[i]);
		assert_int_equal(choose(QEMU) != NULL, on_qemu[i]);
	}
	config.memory = (UINT64_C(128) << 20) + 4096;
	expect_refusal(QEMU, "--memory: 134221824 bytes is not a multiple of 8K, which engine "
			     "qemu needs; round it to 131080K");
	/* The monitor supports it, so auto does. */
	assert_ptr_equal(choose(ENGINE_AUTO), &engine_kvm);
	config.memory = 67108865;
	expect_refusal(KVM, "--memory: 67108865 bytes is not a multiple of 4K");
	config.huge_pages = true;
	config.memory = (UINT64_C(128) << 20) + 8192;
	/* Without huge pages in the kernel their size is unknown. */
	if (access("/sys/kernel/mm/hugepages", F_OK) == 0)
		expect_refusal(QEMU, "which engine qemu needs with huge pages; round it");
	/*
	 * More than any host has set aside is refused before an engine starts, in the same words
	 * for each.
	 */
	config.memory = UINT64_C(512) << 30;
	for (int i = 0; i < 2; i++) {
		assert_null(choose(i ? QEMU : KVM));
		assert_false(error.usage);
		assert_int_equal(strncmp(error.message,
					 "--huge-pages: the host cannot give 512G in huge", 46),
				 0);
		assert_non_null(strstr(error.message, "; check /proc/sys/vm/nr_hugepages"));
	}
	config.huge_pages = false;
#ifdef __x86_64__
	config.memory = UINT64_C(961) << 30;
	expect_refusal(QEMU, "--memory: 961G is more than engine qemu takes, which is 960G");
#endif
}

static void test_watchdogs_that_never_expire(void **state)
{
	const struct option_row *row = option_find(guest_option_rows, "watchdog", 8);

	/* No refusal if it is not given, or is "none". */
	assert_non_null(choose(QEMU));
	assert_string_equal(guest_config_watchdog(&config), "reset");
	assert_int_equal(option_set(row, &config, "none", NULL, &error), 0);
	assert_non_null(choose(QEMU));
	for (int i = 0; i < 3; i++) {
		static const char *const policies[] = {"notify", "reset", "stop"};

		assert_int_equal(option_set(row, &config, policies[i], NULL, &error), 0);
		assert_string_equal(guest_config_watchdog(&config), policies[i]);
		expect_refusal(QEMU,
			       arch_has_watchdogs ?
				       "--watchdog: engine qemu has no watchdogs that expire here; "
				       "omit it, or take another engine" :
				       "--watchdog: engine qemu has no watchdogs that expire here; "
				       "omit it; no engine has it on this architecture");
		assert_int_equal(choose(KVM) != NULL, arch_has_watchdogs);
	}
	text_replace_format(&config.source, &error, "dir/config.json");
	expect_refusal(QEMU, "dir/config.json: avp.watchdog: engine qemu has no");
}

static void test_auto_tells_all_reasons(void **state)
{
	kvm = (struct kvm_probe_result){KVM_PROBE_UNABLE, "it is broken"};
	/* A passed-over engine is reported even if another one is chosen. */
	assert_ptr_equal(choose(ENGINE_AUTO), &engine_qemu);
	assert_string_equal(passed_over, "engine kvm is passed over: it is broken");
	assert_ptr_equal(choose(QEMU), &engine_qemu);
	assert_string_equal(passed_over, "");
	fake_qemu_set("poweroff", "QEMU emulator version 5.2.0");
	assert_null(choose(ENGINE_AUTO));
	assert_false(error.usage);
	assert_non_null(strstr(error.message, "engine kvm: it is broken; engine qemu: "));
	assert_non_null(strstr(error.message, "has version 5.2.0; engine qemu needs 6.0 or newer"));
	/* One reason is the guest's options: a usage error. */
	fake_qemu_set("poweroff", DEBIAN_VERSION);
	config.watchdog = GUEST_WATCHDOG_STOP;
	expect_refusal(ENGINE_AUTO, "--watchdog: engine qemu has no watchdogs that expire here");
	/* It comes first. An engine that could not run the guest anyway is not mentioned. */
	if (arch_has_watchdogs)
		assert_non_null(strstr(error.message, "; engine kvm: it is broken"));
	else
		assert_int_equal(strncmp(error.message, "--watchdog: ", 12), 0);
	/* Requesting an unusable engine is a usage error, too. */
	config.watchdog = GUEST_WATCHDOG_AUTO;
	expect_refusal(KVM, "--engine: engine kvm: it is broken; `avp doctor` says");
	setenv("PATH", "/nowhere", 1);
	expect_refusal(QEMU, "--engine: engine qemu: " FAKE_QEMU_NAME " is not in PATH");
	text_replace_format(&config.source, &error, "dir/config.json");
	expect_refusal(KVM, "dir/config.json: avp.engine: engine kvm: it is broken");
	/* All reasons are reported, however long they are. */
	memset(kvm.reason, 'k', sizeof(kvm.reason) - 1);
	assert_null(choose(ENGINE_AUTO));
	assert_non_null(strstr(error.message, "engine kvm: kkk"));
	assert_non_null(strstr(error.message, "; engine qemu: " FAKE_QEMU_NAME " is not in PATH"));
}

/* A device that an engine does not support is another reason. */
static void test_auto_takes_the_engine_that_carries_the_device(void **state)
{
	const struct device_type *type = device_type_find("console");

	assert_int_equal(guest_config_parse_device(&config, type, "", &error), 0);
	assert_ptr_equal(choose(ENGINE_AUTO), &engine_kvm);
	expect_refusal(QEMU, "console0: no version of QEMU supports devices of type console; take "
			     "another engine");
	kvm = (struct kvm_probe_result){KVM_PROBE_UNABLE, "it is broken"};
	expect_refusal(ENGINE_AUTO, "engine qemu: console0: no version of QEMU supports devices of "
				    "type console; take another engine; engine kvm: it is broken");
	/* Known even without an installed QEMU. */
	setenv("PATH", "/nowhere", 1);
	expect_refusal(QEMU, "console0: no version of QEMU");
	expect_refusal(ENGINE_AUTO, "engine kvm: it is broken");
}

static void test_help_has_the_limits(void **state)
{
	char *argv[] = {(char *)"avp", (char *)"run", (char *)"--help", NULL};
	struct capture capture;
	char *text, *to;

	capture_start(&capture, STDOUT_FILENO);
	assert_int_equal(command_main(&command_avp, 3, argv), 0);
	text = strdup(capture_all(&capture));
	capture_stop(&capture);
	/* Regardless of line breaks. */
	to = text;
	for (const char *from = text; *from; from++)
		if ((*from != ' ' && *from != '\n') || (to > text && to[-1] != ' '))
			*to++ = *from == '\n' ? ' ' : *from;
	*to = 0;
	if (!strstr(text, "(32M to 1T; at most 960G with engine qemu on x86-64; a multiple of 4K, "
			  "of 8K with engine qemu; default 512M)") ||
	    !strstr(text, "(at most 2047 characters with those that the engine adds)") ||
	    !strstr(text, "(one of auto, none, notify, reset, stop; engine kvm on arm64 only; "
			  "default auto)"))
		fail_msg("%s", text);
	free(text);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_table_agrees_with_the_rest),
		TEST(test_verbs),
		TEST(test_the_list_of_engines),
		TEST(test_long_command_lines),
		TEST(test_every_engine_states_the_contract),
		TEST(test_the_console_of_a_guest),
		TEST(test_words_that_engines_add),
		TEST(test_formats_of_kernels),
		TEST(test_memory_in_steps),
		TEST(test_watchdogs_that_never_expire),
		TEST(test_auto_tells_all_reasons),
		TEST(test_auto_takes_the_engine_that_carries_the_device),
		TEST(test_help_has_the_limits),
	};

	if (fake_qemu_called(argv))
		return fake_qemu_main(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
