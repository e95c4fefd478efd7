// SPDX-License-Identifier: BSD-3-Clause
/* Actions that the conformance guest asks of its host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conform/conform_host.h"

static void test_lines(void **state)
{
	static const struct {
		const char *line, *verb, *argument; /* verb NULL: not a request */
	} cases[] = {
		{"avp-conform: host link down", "link", "down"},
		{"avp-conform: host link up\r", "link", "up"},
		{"avp-conform: host resize 18446744073709551615", "resize", "18446744073709551615"},
		{"avp-conform: host unplug", "unplug", ""},
		{"avp-conform: host announce\r\n", "announce", ""},
		{"avp-conform: host link sideways", NULL, NULL},
		{"avp-conform: host link", NULL, NULL},
		{"avp-conform: host resize", NULL, NULL},
		{"avp-conform: host resize -1", NULL, NULL},
		{"avp-conform: host resize 1 2", NULL, NULL},
		{"avp-conform: host resize 184467440737095516150", NULL, NULL},
		{"avp-conform: host unplug port0", NULL, NULL},
		{"avp-conform: host unplug  ", NULL, NULL},
		{"avp-conform: host $(reboot)", NULL, NULL},
		{"avp-conform: host ", NULL, NULL},
		{"avp-conform: hostlink down", NULL, NULL},
		{" avp-conform: host link down", NULL, NULL},
		{"avp-conform: host llllllllllllllllllllllllllllllllllllllllllllllllll down", NULL,
		 NULL},
		{"avp-conform: host resize 00000000000000000000000000000000000000000000000000000",
		 NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conform_action action;

		if (conform_action_parse(&action, cases[i].line) != (cases[i].verb != NULL))
			fail_msg("%s", cases[i].line);
		if (!cases[i].verb)
			continue;
		assert_string_equal(action.verb, cases[i].verb);
		assert_string_equal(action.argument, cases[i].argument);
	}
}

static void read_all(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "r");
	size_t length;

	assert_non_null(file);
	length = fread(text, 1, size - 1, file);
	text[length] = 0;
	fclose(file);
}

/* The program gets the words as arguments of their own; its failure does not end the run. */
static void test_program(void **state)
{
	char directory[] = "/tmp/avp-host.XXXXXX", program[64], result[64], text[128];
	struct conform_host host = {.program = program};
	FILE *file;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(program, sizeof(program), "%s/adapter", directory);
	snprintf(result, sizeof(result), "%s/result", directory);
	/* Does not exist yet: a warning, nothing else. */
	conform_host_act(&host, "avp-conform: host unplug");
	file = fopen(program, "w");
	assert_non_null(file);
	fprintf(file, "#!/bin/sh\necho \"$#:$*\" >>%s\nexit 2\n", result);
	fclose(file);
	assert_int_equal(chmod(program, 0755), 0);
	conform_host_act(&host, "avp-conform: host resize 1048576");
	conform_host_act(&host, "avp-conform: host unplug");
	conform_host_act(&host, "avp-conform: host reboot");
	conform_host_act(&host, "ok 1 - link down");
	read_all(result, text, sizeof(text));
	assert_string_equal(text, "2:resize 1048576\n1:unplug\n");
	/* Without a program nothing is called. */
	host.program = NULL;
	conform_host_act(&host, "avp-conform: host unplug");
	unlink(program);
	unlink(result);
	rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
