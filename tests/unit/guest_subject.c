// SPDX-License-Identifier: BSD-3-Clause
/* Notes the events of a guest, and that none comes twice that must not. */
#include "unit/guest_subject.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void on_step(void *context, uint64_t nanoseconds, const char *step)
{
	struct subject *subject = context;

	subject->steps++;
}

static int on_started(void *context, struct error *error)
{
	struct subject *subject = context;

	assert_false(subject->started);
	subject->started = true;
	return subject->refuse_start ? error_set(error, EIO, "no terminal") : 0;
}

static void on_ready(void *context)
{
	struct subject *subject = context;

	assert_true(subject->running && !subject->ready);
	subject->ready = true;
}

static void on_running(void *context)
{
	struct subject *subject = context;

	assert_true(subject->started && !subject->running);
	subject->running = true;
}

static void on_stopping(void *context, uint64_t limit_ms)
{
	struct subject *subject = context;

	subject->stopping++;
}

static void on_happened(void *context, const struct log_field *fields)
{
	struct subject *subject = context;
	size_t length = strlen(subject->events);

	assert_string_equal(fields[0].name, "event");
	if (subject->control)
		guest_control_happened(subject->control, fields);
	snprintf(subject->events + length, sizeof(subject->events) - length, "%s ", fields[0].text);
	if (!strcmp(fields[1].name ?: "", "end"))
		snprintf(subject->end, sizeof(subject->end), "%s", fields[1].text);
	if (subject->kill_at_stopping && !strcmp(fields[0].text, "guest-stopping")) {
		subject->kill_at_stopping = false;
		guest_kill(subject->guest, "test");
	}
}

static void on_paused(void *context, const struct error *error)
{
	struct subject *subject = context;

	subject->paused = true;
	if (subject->control)
		guest_control_paused(subject->control, error);
}

static void on_resumed(void *context, const struct error *error)
{
	struct subject *subject = context;

	subject->resumed = true;
	if (subject->control)
		guest_control_resumed(subject->control, error);
}

static void on_ended(void *context)
{
	struct subject *subject = context;

	assert_false(subject->ended);
	subject->ended = true;
}

const struct guest_events subject_events = {
	.step = on_step,
	.started = on_started,
	.ready = on_ready,
	.running = on_running,
	.stopping = on_stopping,
	.happened = on_happened,
	.paused = on_paused,
	.resumed = on_resumed,
	.ended = on_ended,
};
