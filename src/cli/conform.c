// SPDX-License-Identifier: BSD-3-Clause
/*
 * `avp conform`: runs the conformance guest on an engine, or reads its log from another
 * hypervisor, and reports the verdicts.
 */
#include <string.h>

#include "cli/avp.h"
#include "conform/conform.h"
#include "conform/conform_keep.h"
#include "guest/config/config.h"

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
		.choices = guest_engine_choices,
		.default_text = "auto",
		.help = "hypervisor to test",
	},
	{
		.name = "profile",
		.type = OPTION_LIST,
		.argument = "NAME",
		.offset = offsetof(struct conform_options, profile),
		.help = "judge this profile of the contract: base, cockpit, gateway, safety, arm64, "
			"x86-64, several with commas between them, or all; unless given, base and "
			"that of the guest's architecture",
	},
	{
		.name = "only",
		.type = OPTION_STRING,
		.argument = "PATTERN",
		.offset = offsetof(struct conform_options, only),
		.help = "only tests whose names match, such as 'blk_*'; no profile is judged then",
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
		.help = "memory of the guest, 256M unless given; with --command, the memory that "
			"the command gives the guest, compared only if given here",
	},
	{
		.name = "silence",
		.type = OPTION_NUMBER,
		.argument = "SECONDS",
		.offset = offsetof(struct conform_options, silence),
		.minimum = 1,
		.maximum = 86400,
		.default_text = "60",
		.help = "a guest that prints nothing for this long hangs: it is restarted after "
			"the test that hung",
	},
	{
		.name = "slow",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct conform_options, slow),
		.minimum = 1,
		.maximum = 1000,
		.default_text = "1",
		.help = "multiply the time limits of the tests, for example on an emulated machine",
	},
	{
		.name = "repeat",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct conform_options, repeat),
		.maximum = 1000,
		.default_text = "20",
		.help = "repeat at most this many of the tests that failed or hung, each alone in "
			"a fresh boot: one that then does not fail is unstable, neither passed "
			"nor failed",
	},
	{
		.name = "from",
		.type = OPTION_LIST,
		.argument = "LOG",
		.offset = offsetof(struct conform_options, from),
		.help = "run nothing: read the console log of a guest that ran elsewhere; - is "
			"standard input; several logs are the boots of one guest, in this order",
	},
	{
		.name = "command",
		.type = OPTION_STRING,
		.argument = "COMMAND",
		.offset = offsetof(struct conform_options, command),
		.help = "boot the guest with this shell command instead of an engine: it finds "
			"the image, the guest's command line, a disk for the tests and a disk "
			"for the guest to read only in $AVP_IMAGE, $AVP_APPEND, $AVP_DISK and "
			"$AVP_READ_ONLY_DISK; its standard output is the guest's console; it "
			"exits when the guest has ended, with status 0 if the guest powered "
			"itself off; a child that leaves the command's process group outlives "
			"the run",
	},
	{
		.name = "adapter",
		.type = OPTION_STRING,
		.argument = "PROGRAM",
		.offset = offsetof(struct conform_options, adapter),
		.help = "call this program for actions that the guest asks of its host: link up, "
			"link down, resize BYTES, unplug, announce; share/avp/adapters has some; "
			"it has the variables of --command, and $AVP_SOCKET is a "
			"path for the control socket of the hypervisor",
	},
	FILE_ROW("image", image,
		 "run nothing: write the guest's image, to boot it elsewhere; with keep and --from: "
		 "the image that ran there, whose name and digest go into the result"),
	{
		.name = "image-format",
		.type = OPTION_CHOICE,
		.argument = "FORMAT",
		.offset = offsetof(struct conform_options, format),
		.choices = conform_formats,
		.default_text = "native",
		.help = "form of --image or of --command's image: elf (x86-64, with a PVH note), "
			"bzimage (x86-64), arm64 (as Linux's Image), efi-amd64 and efi-arm64 (EFI "
			"applications), disk (a disk image from which UEFI starts either of "
			"them); native is elf or arm64",
	},
	FILE_ROW("log", log, "keep the guest's console, and its hypervisor's standard error"),
	FILE_ROW("waivers", waivers,
		 "failures that are accepted, one a line: NAME until YYYY-MM-DD REASON, where NAME "
		 "is a test, a requirement or a row of a profile; comments start with #"),
	{
		.name = "host",
		.type = OPTION_STRING,
		.argument = "TEXT",
		.offset = offsetof(struct conform_options, host),
		.help = "for keep: the machine on which the hypervisor ran",
	},
	{
		.name = "hypervisor",
		.type = OPTION_STRING,
		.argument = "TEXT",
		.offset = offsetof(struct conform_options, hypervisor),
		.help = "for keep: the hypervisor and its version",
	},
	FILE_ROW("junit", junit, "write the verdicts as JUnit XML"),
	FILE_ROW("json", json, "write the verdicts and measurements as JSON"),
	FILE_ROW("html", html, "write the verdicts as an HTML page"),
	{.name = NULL},
};

/* The verbs on result files; keep is a run that writes one. */
static int each_result(const struct command_call *call,
		       int (*act)(const char *path, struct error *error), struct error *error)
{
	int result = 0;

	for (size_t i = 1; i < call->operand_count && result == 0; i++)
		result = act(call->operands[i], error);
	return result;
}

static int run_conform(const struct command_call *call, struct error *error)
{
	struct conform_options options = *(const struct conform_options *)call->options[0];
	const char *verb = call->operand_count ? call->operands[0] : NULL;

	if (!verb)
		return conform_execute(&options, error);
	if (call->operand_count == 1)
		return error_set_usage(error, "%s: name a result file", verb);
	if (!strcmp(verb, "judge"))
		return conform_execute_judge(&options, call->operands + 1, call->operand_count - 1,
					     error);
	if (!strcmp(verb, "check"))
		return each_result(call, conform_keep_check, error);
	if (!strcmp(verb, "again"))
		return each_result(call, conform_keep_again, error);
	if (strcmp(verb, "keep") || call->operand_count > 2)
		return error_set_usage(
			error, "write keep FILE, check FILE..., again FILE... or judge FILE...");
	options.keep = call->operands[1];
	return conform_execute(&options, error);
}

const struct command command_conform = {
	.name = "conform",
	.summary = "test a hypervisor against the contract",
	.description =
		"Boots a bare-metal guest that tests its hypervisor, clause by clause, and "
		"reports the verdicts. It boots the guest on an engine of this program, with "
		"devices of each type that the engine supports; on any other hypervisor that a "
		"command starts (--command); or by hand: it writes the image (--image) and reads "
		"the console log of where it was booted (--from). A disk that it is given there "
		"is written to.\n\n"
		"keep FILE.json writes a result file: the verdicts with their origin, and the log "
		"beside it as FILE.log. check FILE... shows whether result files are as they were "
		"kept and follow from their logs; again FILE... judges their logs by the contract "
		"of this program. judge FILE... gives one verdict over several machines of a "
		"hypervisor, none of which can run all tests: a test passed if it passed on one of "
		"them and failed on none.\n\n"
		"A test that hangs is wedged; the guest is restarted after that test. A truncated "
		"or damaged log never counts as passed.",
	.groups =
		(const struct option_group[]){
			{"Options", conform_option_rows, sizeof(struct conform_options), false},
			{NULL, NULL, 0, false},
		},
	.operands = "[keep FILE | check FILE... | again FILE... | judge FILE...]",
	.operands_maximum = 1000,
	.exit_statuses =
		(const struct command_note[]){
			{"0",
			 "the machine is conformant with each profile that was judged, perhaps "
			 "with waivers; with --only, no test broke a MUST"},
			{"1",
			 "it is not conformant, or the verdict is incomplete: a required test "
			 "was skipped, or the log is not whole; a result file is not as it was "
			 "kept"},
			{"2", "the call was wrong: --only matches no test, --command cannot be "
			      "started, --waivers names what the contract does not have"},
			{NULL, NULL},
		},
	.examples =
		(const struct command_note[]){
			{"avp conform --engine kvm --html verdicts.html",
			 "Tests AVP's own monitor."},
			{"avp conform --command 'qemu-system-x86_64 -M q35 -cpu max -m 256 -smp 2 "
			 "-display none -serial stdio -nodefaults -kernel $AVP_IMAGE "
			 "-append \"$AVP_APPEND\" -drive if=none,id=d,format=raw,file=$AVP_DISK "
			 "-device virtio-blk-pci,drive=d'",
			 "Tests QEMU's own devices."},
			{"avp conform keep results/board.json --from board.log --host 'board of 2026' "
			 "--hypervisor 'Any VMM 3.1'",
			 "Keeps the verdicts on a log."},
			{"avp conform --image conform.elf && qemu-system-x86_64 -M microvm -kernel "
			 "conform.elf -nographic | tee log && avp conform --from log",
			 "Tests another hypervisor."},
			{NULL, NULL},
		},
	.run = run_conform,
};
