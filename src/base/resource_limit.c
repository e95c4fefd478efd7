// SPDX-License-Identifier: BSD-3-Clause
/* Resource limits. A limit that is hit shows only as an errno; the text names the limit. */
#include "base/resource_limit.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* The stack of the main thread where the hard limit permits it: the default of Linux. */
#define STACK_WANTED (8u << 20)

/* Units are those of getrlimit: bytes, except for descriptors and processes. */
static const struct {
	int code, resource;
	const char *name, *option;
} limits[] = {
	{EFBIG, RLIMIT_FSIZE, "RLIMIT_FSIZE", "f"},  {EMFILE, RLIMIT_NOFILE, "RLIMIT_NOFILE", "n"},
	{ENOMEM, RLIMIT_AS, "RLIMIT_AS", "v"},	     {ENOMEM, RLIMIT_DATA, "RLIMIT_DATA", "d"},
	{EAGAIN, RLIMIT_NPROC, "RLIMIT_NPROC", "u"},
};

static int prepare_stack(struct error *error)
{
	struct rlimit stack;

	if (getrlimit(RLIMIT_STACK, &stack) < 0)
		return error_set_errno(error, errno, "cannot read the limit of the stack");
	if (stack.rlim_cur >= STACK_WANTED)
		return 0;
	if (stack.rlim_max < RESOURCE_LIMIT_STACK)
		return error_set(error, ENOMEM,
				 "the stack is limited to %" PRIu64 " KiB, but needs %u; raise the "
				 "limit (RLIMIT_STACK, `ulimit -s`)",
				 (uint64_t)stack.rlim_max >> 10, RESOURCE_LIMIT_STACK >> 10);
	/*
	 * The kernel reads the limit when the stack grows, so it also applies to the present stack.
	 */
	stack.rlim_cur = stack.rlim_max < STACK_WANTED ? stack.rlim_max : STACK_WANTED;
	if (setrlimit(RLIMIT_STACK, &stack) < 0)
		return error_set_errno(error, errno, "cannot raise the limit of the stack");
	return 0;
}

int resource_limit_prepare(struct error *error)
{
	signal(SIGXFSZ, SIG_IGN);
	return prepare_stack(error);
}

void resource_limit_raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

const char *resource_limit_describe(char buffer[RESOURCE_LIMIT_TEXT], int code)
{
	struct rlimit limit;

	buffer[0] = 0;
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]) && !buffer[0]; i++)
		if (limits[i].code == code && getrlimit(limits[i].resource, &limit) == 0 &&
		    limit.rlim_cur != RLIM_INFINITY)
			snprintf(buffer, RESOURCE_LIMIT_TEXT,
				 " (perhaps a limit: %s is %" PRIu64 ", `ulimit -%s`)",
				 limits[i].name, (uint64_t)limit.rlim_cur, limits[i].option);
	return buffer;
}

const char *resource_limit_describe_text(char buffer[RESOURCE_LIMIT_TEXT], const char *said)
{
	buffer[0] = 0;
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]) && !buffer[0]; i++)
		if (strstr(said, strerrordesc_np(limits[i].code)))
			resource_limit_describe(buffer, limits[i].code);
	return buffer;
}
