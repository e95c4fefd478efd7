// SPDX-License-Identifier: BSD-3-Clause
/* The command line of a boot of the conformance guest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/arguments.h"
#include "base/cleanup.h"
#include "conform/conform_boot.h"
#include "unit/fake_qemu.h"
#include "device/kit/device_type.h"

static const struct conform_files files = {
	.image = "/conform.elf",
	.disk = "/a.img",
	.read_only_disk = "/b.img",
	.socket = "/a.img.socket",
};

struct call {
	struct arguments arguments;
	const char *program;
	const char *const *list;
};

static void free_call(struct call *call)
{
	arguments_clear(&call->arguments);
}
#define cleanup_call __attribute__((cleanup(free_call)))

static void make_boot(struct call *call, const struct conform_options *options, const char *ending,
		      const char *repeat)
{
	const struct conform_boot boot = {options, &files, 3, 7, 0x1234, ending, repeat};
	struct error error;

	*call = (struct call){.program = NULL};
	call->program = conform_boot_command(&call->arguments, &boot, &error);
	assert_non_null(call->program);
	call->list = arguments_finish(&call->arguments, &error);
	assert_non_null(call->list);
}

static void make(struct call *call, const struct conform_options *options, const char *ending)
{
	make_boot(call, options, ending, NULL);
}

static bool has(const struct call *call, const char *argument)
{
	for (const char *const *item = call->list; *item; item++)
		if (!strcmp(*item, argument))
			return true;
	return false;
}

static const char *last(const struct call *call)
{
	const char *const *item = call->list;

	while (item[1])
		item++;
	return *item;
}

/* Devices and words on kvm, which supports all types. */
static void test_kvm(void **state)
{
	const struct conform_options options = {
		.engine = engine_number("kvm"),
		.cpus = 2,
		.slow = 1,
		.format = IMAGE_ELF,
	};
	cleanup_call struct call call;

	make(&call, &options, NULL);
	assert_string_equal(call.program, "/proc/self/exe");
	assert_true(has(&call, "--engine=kvm"));
	assert_true(has(&call, "--kernel=/conform.elf"));
	assert_true(has(&call, "--block=/a.img"));
	assert_true(has(&call, "--block=/b.img,readonly"));
	assert_true(has(&call, "--entropy"));
	assert_true(has(&call, "--console=port=tty:echo,port=agent:echo,port=log:null"));
	/* Both on the bus that the run serves. */
	assert_true(has(&call, "--can=/a.img.can-bus,client=first"));
	assert_true(has(&call, "--can=/a.img.can-bus,client=second"));
	assert_string_equal(
		last(&call),
		"console=ttyS0 reset=1 run=00001234 boot=3 start=7 slow=1 "
		"devices=block,net,entropy,console,can,vsock gateway=1 bus=1 vsock-echo=7 "
		"memory=256");
}

/*
 * Devices that QEMU does not support are omitted if it may be the engine, and the guest does not
 * look for them.
 */
static void test_qemu(void **state)
{
	const uint64_t choices[] = {ENGINE_AUTO, engine_number("qemu")};

	for (size_t i = 0; i < 2; i++) {
		const struct conform_options options = {
			.engine = choices[i],
			.cpus = 2,
			.slow = 5,
			.memory = 512 << 20,
			.format = IMAGE_ARM64,
		};
		cleanup_call struct call call;

		make(&call, &options, "pwr_off");
		assert_true(has(&call, "--net=user,host-loopback,mtu=1500"));
		for (const char *const *item = call.list; *item; item++)
			assert_true(!strstr(*item, "--console") && !strstr(*item, "--can"));
		assert_string_equal(
			last(&call),
			"console=ttyAMA0 reset=1 run=00001234 boot=3 start=7 slow=5 "
			"devices=block,net,entropy,vsock gateway=1 vsock-echo=7 memory=512 "
			"fatal=1 only=pwr_off");
	}
}

/* A command finds the files and the words in its environment; its devices are its own. */
static void test_command(void **state)
{
	const struct conform_options options = {
		.command = (char *)"boot $AVP_IMAGE",
		.slow = 1,
		.format = IMAGE_ELF,
		.only = (char *)"blk_*",
		.adapter = (char *)"adapter",
	};
	cleanup_call struct call call;

	make(&call, &options, NULL);
	assert_string_equal(call.program, "/bin/sh");
	assert_string_equal(last(&call), "boot $AVP_IMAGE");
	assert_string_equal(getenv("AVP_IMAGE"), "/conform.elf");
	assert_string_equal(getenv("AVP_DISK"), "/a.img");
	assert_string_equal(getenv("AVP_READ_ONLY_DISK"), "/b.img");
	assert_string_equal(getenv("AVP_SOCKET"), "/a.img.socket");
	assert_string_equal(getenv("AVP_APPEND"),
			    "console=ttyS0 reset=1 run=00001234 boot=3 start=7 slow=1 host=1 "
			    "only=blk_*");
}

/* A test that failed is selected by its name, whatever was selected before. */
static void test_repeat(void **state)
{
	const struct conform_options options = {
		.command = (char *)"boot",
		.slow = 1,
		.format = IMAGE_ELF,
		.only = (char *)"blk_*",
	};
	cleanup_call struct call alone, off;

	make_boot(&alone, &options, NULL, "blk_flush");
	assert_string_equal(getenv("AVP_APPEND"),
			    "console=ttyS0 reset=1 run=00001234 boot=3 start=7 slow=1 "
			    "repeat=blk_flush");
	make_boot(&off, &options, "pwr_off", "pwr_off");
	assert_string_equal(getenv("AVP_APPEND"),
			    "console=ttyS0 reset=1 run=00001234 boot=3 start=7 slow=1 "
			    "fatal=1 only=pwr_off repeat=pwr_off");
}

/* The options in device_conform are valid options of the type. */
static void test_options_of_types(void **state)
{
	for_each_device_type(type)
		for (const char *const *device = type->conform.devices; device && *device;
		     device++) {
			cleanup_free void *values = calloc(1, type->options_size + 1);
			struct error error;

			/* As --TYPE alone. */
			if (!**device)
				continue;
			if (option_parse_list(type->options, values, *device, type->positional,
					      type->name, &error) < 0)
				fail_msg("%s", error.message);
			option_clear(type->options, values);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kvm),
		cmocka_unit_test(test_qemu),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_repeat),
		cmocka_unit_test(test_options_of_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
