// SPDX-License-Identifier: BSD-3-Clause
/* Writes logs as the conformance guest does. */
#include "unit/conform/guest_log.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32.h"
#include "conform/contract_table.h"

#define TESTS_MAX 1024
#define ARCH	  "x86-64"

const char *const guest_log_devices[] = {
	"0 id 2 transport mmio at 0xd0000000 irq 5 features 0x0000000000000000000000013000724c "
	"queues 1 sizes 256 seg_max 254",
	"1 id 1 transport mmio at 0xd0001000 irq 6 features 0x0000000000000000000000013009ff23 "
	"queues 3 sizes 256,256,64",
	"2 id 4 transport mmio at 0xd0002000 irq 7 features 0x00000000000000000000000130000000 "
	"queues 1 sizes 64",
	"3 id 3 transport mmio at 0xd0003000 irq 8 features 0x00000000000000000000000130000004 "
	"queues 2 sizes 256,256",
	NULL,
};

static void add(struct guest_log *log, const char *line, bool counted)
{
	int length = snprintf(log->text + log->used, sizeof(log->text) - log->used, "%s\n", line);

	assert_true(length > 0 && log->used + (size_t)length < sizeof(log->text));
	if (counted) {
		log->crc = crc32_add(log->crc, log->text + log->used, (size_t)length);
		log->lines++;
	}
	log->used += (size_t)length;
}

void guest_log_say(struct guest_log *log, const char *format, ...)
{
	char line[700];
	va_list list;

	va_start(list, format);
	vsnprintf(line, sizeof(line), format, list);
	va_end(list);
	add(log, line, true);
}

void guest_log_boot(struct guest_log *log, unsigned int number, const char *more)
{
	log->lines = log->number = log->crc = 0;
	memset(log->counts, 0, sizeof(log->counts));
	guest_log_say(log,
		      "avp-conform: boot %u suite 2.0.0 contract 0.2.0 arch " ARCH
		      " entry pvh cpus 2 memory 512 MiB%s",
		      number, more);
	guest_log_say(log, "avp-conform: hypervisor \"KVMKVMKVM\" model \"\"");
}

void guest_log_test(struct guest_log *log, const char *name, const char *verdict,
		    const char *message)
{
	unsigned int number = ++log->number;
	bool failed = !strcmp(verdict, "not ok");

	if (message && !strcmp(message, "not selected")) {
		log->counts[2]++;
		guest_log_say(log, "ok %u - %s # SKIP %s", number, name, message);
		return;
	}
	guest_log_say(log, "avp-conform: begin %u %s lines %u crc 0x%08x # AVP-X-001", number, name,
		      log->lines, log->crc);
	if (!strcmp(verdict, "skip")) {
		log->counts[2]++;
		guest_log_say(log, "ok %u - %s # SKIP %s", number, name, message);
		return;
	}
	log->counts[failed]++;
	guest_log_say(log, "%s %u - %s # AVP-X-001", verdict, number, name);
	if (!message)
		return;
	guest_log_say(log, "  ---");
	guest_log_say(log, "  message: \"%s\"", message);
	guest_log_say(log, "  ...");
}

void guest_log_end(struct guest_log *log)
{
	char line[200];

	snprintf(line, sizeof(line),
		 "avp-conform: end passed %u failed %u wedged 0 skipped %u lines %u crc 0x%08x",
		 log->counts[0], log->counts[1], log->counts[2], log->lines, log->crc);
	add(log, line, false);
}

/* The names of all tests, each once. Returns their number. */
static size_t list_tests(char names[TESTS_MAX][64])
{
	size_t count = 0;

	for (const struct contract_requirement *r = contract_requirements; r->id; r++) {
		const char *next = r->tests, *name;
		size_t length;

		while ((name = contract_next_test(&next, ARCH, &length))) {
			size_t at = 0;

			assert_true(count < TESTS_MAX);
			snprintf(names[count], sizeof(names[count]), "%.*s", (int)length, name);
			while (strcmp(names[at], names[count]))
				at++;
			count += at == count;
		}
	}
	return count;
}

void guest_log_whole(struct guest_log *log, const char *const *devices,
		     const struct guest_exception *exceptions)
{
	static char names[TESTS_MAX][64];
	size_t count = list_tests(names), left_out = 0;

	*log = (struct guest_log){.used = 0};
	for (const struct guest_exception *e = exceptions; e && e->test; e++)
		left_out += !e->verdict;
	guest_log_boot(log, 1, "");
	for (; *devices; devices++)
		guest_log_say(log, "avp-conform: device %s", *devices);
	guest_log_say(log, "1..%zu", count - left_out);
	for (size_t i = 0; i < count; i++) {
		const struct guest_exception ok = {names[i], "ok", NULL}, *found = &ok;

		for (const struct guest_exception *e = exceptions; e && e->test; e++)
			if (!strcmp(e->test, names[i]))
				found = e;
		if (found->verdict)
			guest_log_test(log, names[i], found->verdict, found->message);
	}
	guest_log_end(log);
}

void guest_log_read(const struct guest_log *from, struct conform_log *log)
{
	const char *line = from->text;
	char copy[800];
	struct error error;

	for (; *line; line += strcspn(line, "\n") + 1) {
		snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(line, "\n"), line);
		assert_int_equal(conform_log_add(log, copy, &error), 0);
	}
	conform_log_finish(log);
}
