// SPDX-License-Identifier: BSD-3-Clause
/*
 * Collects and prints the timeline of a guest's start.
 */
#include "guest/run/timeline.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

void timeline_start(struct timeline *timeline)
{
	timeline->count = 0;
	timeline->start = clock_now_ns() - clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void timeline_add(struct timeline *timeline, uint64_t time, const char *text)
{
	struct timeline_step *step = &timeline->steps[timeline->count];

	if (timeline->count == TIMELINE_STEPS)
		return;
	timeline->count++;
	step->time = time;
	snprintf(step->text, sizeof(step->text), "%s", text);
}

static int compare(const void *a, const void *b)
{
	const struct timeline_step *one = a, *other = b;

	return one->time < other->time ? -1 : one->time > other->time;
}

void timeline_print(struct timeline *timeline)
{
	uint64_t before = timeline->start;
	char line[128];

	/* Steps of other processes arrive late. */
	qsort(timeline->steps, timeline->count, sizeof(timeline->steps[0]), compare);
	log_write(line, snprintf(line, sizeof(line), "%12s %12s\n", "ms", "step"));
	for (size_t i = 0; i < timeline->count; i++) {
		const struct timeline_step *step = &timeline->steps[i];

		log_write(line, snprintf(line, sizeof(line), "%12.3f %+12.3f  %s\n",
					 (double)(int64_t)(step->time - timeline->start) / 1e6,
					 (double)(int64_t)(step->time - before) / 1e6, step->text));
		before = step->time;
	}
}
