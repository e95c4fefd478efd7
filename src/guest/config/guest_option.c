// SPDX-License-Identifier: BSD-3-Clause
/*
 * The options of a guest itself, and those that every device of a guest has. `avp run` takes them
 * on its command line; a bundle has them in the `vm` object of the OCI runtime specification 1.3
 * or, if that has no key for them, in `avp`.
 */
#include "base/contract_version.h"
#include "guest/config/config.h"
#include "guest/engine/engine_feature.h"
#include "monitor/control.h"

/* What Linux calls the first serial port of a virtual machine of this architecture. */
#ifdef __aarch64__
#define CONSOLE "ttyAMA0"
#else
#define CONSOLE "ttyS0"
#endif

const char *const watchdog_policies[] = {
	[MACHINE_WATCHDOG_NONE] = "none",
	[MACHINE_WATCHDOG_NOTIFY] = "notify",
	[MACHINE_WATCHDOG_RESET] = "reset",
	[MACHINE_WATCHDOG_STOP] = "stop",
	NULL,
};

const char *const guest_watchdog_choices[] = {
	[GUEST_WATCHDOG_AUTO] = "auto",	    [GUEST_WATCHDOG_NONE] = "none",
	[GUEST_WATCHDOG_NOTIFY] = "notify", [GUEST_WATCHDOG_RESET] = "reset",
	[GUEST_WATCHDOG_STOP] = "stop",	    NULL,
};

const struct option_row guest_option_rows[] = {
	{
		.name = "kernel",
		.type = OPTION_PATH,
		.argument = "FILE",
		.offset = offsetof(struct guest_config, kernel),
		.bundle_key = "vm.kernel.path",
		.example = "/boot/vmlinuz",
		.help = "kernel of the guest; needed without firmware",
	},
	{
		.name = "firmware",
		.type = OPTION_PATH,
		.argument = "FILE",
		.offset = offsetof(struct guest_config, firmware),
		.help = "firmware that the guest starts with instead of a kernel, such as "
			"U-Boot for QEMU's machine virt",
		.values_text = engine_feature_text,
	},
	{
		.name = "initrd",
		.type = OPTION_PATH,
		.argument = "FILE",
		.offset = offsetof(struct guest_config, initrd),
		.bundle_key = "vm.kernel.initrd",
		.example = "/boot/initrd.img",
		.help = "initial file system of the guest, as for Linux",
	},
	{
		.name = "append",
		.type = OPTION_STRING,
		.argument = "TEXT",
		.offset = offsetof(struct guest_config, append),
		.words = true,
		.bundle_key = "vm.kernel.parameters",
		.example = "console=" CONSOLE,
		.help = "command line of the guest's kernel",
		.values_text = engine_feature_text,
	},
	{
		.name = "cpus",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct guest_config, cpus),
		.minimum = 1,
		.maximum = GUEST_CPUS_MAXIMUM,
		.default_text = "1",
		.bundle_key = "vm.hwConfig.vcpus",
		.help = "virtual CPUs",
		.values_text = engine_feature_text,
	},
	{
		.name = "memory",
		.type = OPTION_SIZE,
		.argument = "SIZE",
		.offset = offsetof(struct guest_config, memory),
		.minimum = GUEST_MEMORY_MINIMUM,
		.maximum = GUEST_MEMORY_MAXIMUM,
		.default_text = "512M",
		.bundle_key = "vm.hwConfig.memory",
		.help = "memory of the guest, such as 512M or 2G",
		.values_text = engine_feature_text,
	},
	{
		.name = "huge-pages",
		.type = OPTION_FLAG,
		.offset = offsetof(struct guest_config, huge_pages),
		.help = "take the guest's memory from the host's huge pages",
		.values_text = engine_feature_text,
	},
	{
		.name = "engine",
		.type = OPTION_CHOICE,
		.argument = "ENGINE",
		.offset = offsetof(struct guest_config, engine),
		.choices = guest_engine_choices,
		.default_text = "auto",
		.help = "hypervisor that runs the guest; auto takes the best one that works here",
	},
	{
		.name = "contract",
		.type = OPTION_STRING,
		.argument = "VERSION",
		.offset = offsetof(struct guest_config, contract),
		.default_text = "any",
		.help = "version of the contract that the guest needs, with profiles, such as " CONTRACT_VERSION
			",base; a guest that does not fit is not started",
	},
	{
		.name = "watchdog",
		.type = OPTION_CHOICE,
		.argument = "POLICY",
		.offset = offsetof(struct guest_config, watchdog),
		.choices = guest_watchdog_choices,
		.default_text = "auto",
		.help = "what happens when a watchdog of the guest expires: nothing, a line in the "
			"log, a reset, or the end of the guest; auto is a reset, where there is "
			"a watchdog",
		.values_text = engine_feature_text,
	},
	{
		.name = "restart-limit",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct guest_config, restart_limit),
		.maximum = RESTART_LIMIT_MAXIMUM,
		.default_text = "5",
		.help = "end the guest when a device process has died, or the guest has reset, so "
			"often in a row without having run for 30 seconds; 0: no limit",
	},
	{
		.name = "stop-timeout",
		.type = OPTION_NUMBER,
		.argument = "SECONDS",
		.offset = offsetof(struct guest_config, stop_timeout),
		.maximum = 24 * 60 * 60,
		.default_text = "10",
		.help = "how long a guest gets to shut down when it is asked to stop, before it "
			"is killed; 0: it is killed at once",
	},
	{
		.name = "name",
		.type = OPTION_NAME,
		.argument = "NAME",
		.offset = offsetof(struct guest_config, name),
		.help = "name of the guest, for logs and for what is derived from it, such as MAC "
			"addresses; unique among the guests of this user; without it \"guest\", "
			"or guest1 and so on if that runs, or, from a bundle, the directory's "
			"name",
	},
	{
		.name = "timeline",
		.type = OPTION_FLAG,
		.offset = offsetof(struct guest_config, timeline),
		.command_line_only = true,
		.help = "print when each step of the start was done",
	},
	{
		.name = "dump-dtb",
		.type = OPTION_PATH,
		.argument = "FILE",
		.offset = offsetof(struct guest_config, dump_dtb),
		.command_line_only = true,
		.help = "write the device tree that the guest gets to FILE",
		.values_text = engine_feature_text,
	},
	{.name = NULL},
};

const struct option_row device_option_rows[] = {
	{
		.name = "name",
		.type = OPTION_NAME,
		.argument = "NAME",
		.offset = offsetof(struct device_config, name),
		.help = "name of the device, unique in the guest; without it the type and a "
			"number, such as block0",
	},
	{
		.name = "heartbeat",
		.type = OPTION_NUMBER,
		.argument = "MS",
		.offset = offsetof(struct device_config, heartbeat),
		.minimum = 100,
		.maximum = 60 * 60 * 1000,
		.help = "ask the device's process every MS milliseconds whether it still works, "
			"and restart it when it has left two questions unanswered; without it "
			"a process that hangs is noticed when the guest uses the device",
	},
	{.name = NULL},
};
