// SPDX-License-Identifier: BSD-3-Clause
/*
 * `avp doctor`: a table of checks of what this machine supports, with a remedy for each problem.
 */
#include "cli/doctor.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/arguments.h"
#include "base/process_output.h"
#include "base/program_path.h"
#include "cli/avp.h"
#include "device/kit/device_type.h"
#include "guest/engine/engine.h"
#include "host/kvm_probe.h"

/* How to get /dev/kvm. */
#if defined(__aarch64__)
#define KVM_ADVICE "have the firmware start this system at EL2"
#else
#define KVM_ADVICE "switch virtualization on in the firmware and load kvm-intel or kvm-amd"
#endif

struct doctor_options {
	bool json;
};

static const struct option_row doctor_option_rows[] = {
	{
		.name = "json",
		.type = OPTION_FLAG,
		.offset = offsetof(struct doctor_options, json),
		.help = "print the findings as one JSON object",
	},
	{.name = NULL},
};

/* The output of the findings: lines on standard output, or a JSON object. */
struct report {
	json_t *checks; /* NULL: lines */
	/* Findings that concern engines, so that an engine does not repeat them. */
	struct {
		const char *name;
		char text[sizeof(((struct host_finding *)0)->text)];
	} reported[1 + ENGINES_MAXIMUM];
	size_t reported_count;
};

/* Keeps a finding that an engine may report again. */
static void keep_finding(struct report *report, const char *name,
			 const struct host_finding *finding)
{
	if (finding->status == HOST_OK ||
	    report->reported_count == sizeof(report->reported) / sizeof(report->reported[0]))
		return;
	report->reported[report->reported_count].name = name;
	memcpy(report->reported[report->reported_count++].text, finding->text,
	       sizeof(finding->text));
}

/* The check that reported @text, or NULL. */
static const char *find_reporter(const struct report *report, const char *text)
{
	for (size_t i = 0; i < report->reported_count; i++)
		if (!strncmp(report->reported[i].text, text, strlen(report->reported[i].text)))
			return report->reported[i].name;
	return NULL;
}

static void show(const struct report *report, const char *name, const struct host_finding *finding)
{
	json_t *check;

	if (!report->checks) {
		printf("%-8s %-14s %s\n", host_status_words[finding->status], name, finding->text);
		if (finding->remedy[0])
			printf("%-8s %-14s do: %s\n", "", "", finding->remedy);
		return;
	}
	check = json_pack("{s:s, s:s, s:s}", "name", name, "status",
			  host_status_words[finding->status], "finding", finding->text);
	if (finding->remedy[0])
		json_object_set_new(check, "remedy", json_string(finding->remedy));
	json_array_append_new(report->checks, check);
}

static void check_kvm(struct report *report, const struct kvm_probe_result *kvm)
{
	struct host_finding finding = {.remedy = ""};

	host_finding_set(&finding, kvm->verdict == KVM_PROBE_WORKS ? HOST_OK : HOST_WARN, "%s",
			 kvm->reason);
	switch (kvm->verdict) {
	case KVM_PROBE_WORKS:
		break;
	case KVM_PROBE_MISSING:
		host_finding_advise(&finding, KVM_ADVICE
				    "; in a virtual machine, enable nesting on its host. "
				    "Without it guests run by emulation");
		break;
	case KVM_PROBE_FORBIDDEN:
		host_finding_advise(
			&finding,
			"add this user to the group that owns /dev/kvm (usermod -aG kvm USER) "
			"and log in again. Without it guests run by emulation");
		break;
	case KVM_PROBE_UNABLE:
		host_finding_advise(&finding,
				    "in a virtual machine, enable nesting on its host and pass "
				    "virtualization on. Guests run by emulation");
		break;
	case KVM_PROBE_UNKNOWN:
		host_finding_advise(&finding, "guests run by emulation");
		break;
	}
	show(report, "KVM", &finding);
	keep_finding(report, "KVM", &finding);
}

/* Checks the programs that engines need. */
static void check_programs(struct report *report)
{
	for_each_engine(engine) {
		struct host_finding finding = {.remedy = ""};

		if (!engine->check)
			continue;
		engine->check->run(&finding);
		show(report, engine->check->name, &finding);
		keep_finding(report, engine->check->name, &finding);
	}
}

/* Reports which engines are usable. Returns whether one can run a guest. */
static bool check_engines(const struct report *report, const struct kvm_probe_result *kvm)
{
	bool usable = false;

	for_each_engine(engine) {
		struct host_finding finding = {.remedy = ""};
		cleanup_free struct engine_plan *plan = NULL;
		struct error error;
		const char *reported;
		char name[32];

		snprintf(name, sizeof(name), "engine %s", engine->name);
		if (engine->usable(&plan, kvm, &error) < 0) {
			reported = find_reporter(report, error.message);
			host_finding_set(&finding, HOST_MISSING, "%s%s", reported ? "see " : "",
					 reported ? reported : error.message);
		} else {
			usable = true;
			host_finding_set(&finding, HOST_OK, "%s", plan->summary);
		}
		show(report, name, &finding);
	}
	return usable;
}

/* How long a device program may take to check the host. */
#define DEVICE_CHECK_MS 10000

/* Has the program of a device check the host, and writes its lines to @text. */
static int ask_device(const struct device_type *type, char *text, size_t size, struct error *error)
{
	cleanup_arguments struct arguments arguments = {0};
	char path[PATH_MAX], how[PROCESS_STATUS_LENGTH];
	struct process_spawn spawn = {.program = path, .stdin_fd = -1, .stderr_fd = -1};
	int status, result = program_path_find(type->program.program, path, error);

	if (result < 0)
		return result;
	arguments_add(&arguments, type->program.program);
	program_path_add_version(&arguments);
	arguments_add(&arguments, "--check-host");
	spawn.argv = arguments_finish(&arguments, error);
	if (!spawn.argv)
		return -ENOMEM;
	result = process_output_read(text, size, &spawn, false, DEVICE_CHECK_MS, &status, error);
	if (result < 0)
		return result;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return error_set(error, EIO, "%s: %s", path, process_describe(how, status));
	return 0;
}

/* Reports the findings of the device programs. Returns whether all can serve. */
static bool check_devices(const struct report *report)
{
	bool complete = true;

	for_each_device_type(type) {
		char text[4096], name[HOST_CHECK_NAME], *rest = text, *line;
		struct host_finding finding = {.remedy = ""};
		struct error error;

		/* Guests without such a device can be run. */
		if (ask_device(type, text, sizeof(text), &error) < 0) {
			host_finding_set(&finding, HOST_WARN, "%s", error.message);
			host_finding_advise(&finding,
					    "install all of AVP; till then run no guest "
					    "with a device of type %s",
					    type->name);
			show(report, type->program.program, &finding);
			continue;
		}
		while ((line = strsep(&rest, "\n")) && host_finding_parse(line, name, &finding)) {
			show(report, name, &finding);
			complete &= finding.status != HOST_MISSING;
		}
		if (line && !strcmp(line, HOST_FINDINGS_END))
			continue;
		host_finding_set(&finding, HOST_MISSING, "its findings cannot be read");
		host_finding_advise(&finding, "install all of AVP in one version");
		show(report, type->program.program, &finding);
		complete = false;
	}
	return complete;
}

static int run_doctor(const struct command_call *call, struct error *error)
{
	const struct doctor_options *doctor = call->options[0];
	struct report report = {.checks = doctor->json ? json_array() : NULL};
	bool usable, complete = true;
	struct kvm_probe_result kvm;
	int result = kvm_probe(&kvm);

	if (result < 0) {
		json_decref(report.checks);
		return error_set_errno(error, -result, "cannot find out whether KVM works");
	}
	check_kvm(&report, &kvm);
	check_programs(&report);
	for (const struct host_check *check = doctor_host_checks; check->name; check++) {
		struct host_finding finding = {.remedy = ""};

		check->run(&finding);
		show(&report, check->name, &finding);
		if (finding.status == HOST_MISSING)
			complete = false;
	}
	complete &= check_devices(&report);
	usable = check_engines(&report, &kvm) && complete;
	if (doctor->json) {
		json_t *object = json_pack("{s:b, s:o}", "usable", usable, "checks", report.checks);

		json_dumpf(object, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(object);
	} else {
		printf("\n%s\n", usable ? "Guests can be run on this machine." :
					  "Guests cannot be run on this machine yet.");
	}
	return usable ? 0 : 1;
}

const struct command command_doctor = {
	.name = "doctor",
	.summary = "check what this machine supports",
	.description =
		"Tries what guests and device processes need on this machine: KVM (by running a "
		"few 64-bit instructions), QEMU and the devices that it supports, io_uring, "
		"shared memory, the sandbox of device processes, and networks. For each problem "
		"it says what to do. A line starts with ok, with warn for what guests can do "
		"without, or with missing.",
	.groups =
		(const struct option_group[]){
			{"Options", doctor_option_rows, sizeof(struct doctor_options), false},
			{NULL, NULL, 0, false},
		},
	.exit_statuses =
		(const struct command_note[]){
			{"0", "an engine can run guests"},
			{"1", "no engine can"},
			{NULL, NULL},
		},
	.run = run_doctor,
};
