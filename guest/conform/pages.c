// SPDX-License-Identifier: BSD-3-Clause
/*
 * Allocates from one range, upwards. The image and what the loader placed are cut out of the memory
 * map first; the range is the largest piece that remains.
 */
#include "pages.h"

#include "arch/image.h"
#include "machine.h"
#include "test.h"
#include "text.h"

#define LOW_END	 0x100000u /* below it: trampolines, tables, start information */
#define HIGH_END UINT64_C(0x100000000)
#define CUTS_MAX 8

static uint64_t start, end, next;
static struct range cuts[CUTS_MAX];
static unsigned int cut_count;

static void cut(uint64_t from, uint64_t to)
{
	if (to > HIGH_END)
		to = HIGH_END;
	if (from < to && cut_count < CUTS_MAX)
		cuts[cut_count++] =
			(struct range){from & ~(uint64_t)(PAGE_SIZE - 1),
				       (to + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1), false};
}

/* If [from, to) without the cuts has a piece larger than the range, makes that the range. */
static void consider(uint64_t from, uint64_t to)
{
	uint64_t at = from;

	while (at < to) {
		uint64_t stop = to, after = to;

		for (unsigned int i = 0; i < cut_count; i++) {
			if (cuts[i].start <= at && cuts[i].end > at) {
				stop = at;
				after = cuts[i].end;
				break;
			}
			if (cuts[i].start > at && cuts[i].start < stop) {
				stop = cuts[i].start;
				after = cuts[i].end;
			}
		}
		if (stop - at > end - start) {
			start = at;
			end = stop;
		}
		at = after;
	}
}

void pages_init(void)
{
	if (ARCH_X86)
		cut(0, LOW_END);
	cut((uint64_t)image_start, (uint64_t)image_end);
	cut(machine.initrd_start, machine.initrd_end);
	cut(start_copy.address, start_copy.address + PAGE_SIZE);
	cut(start_copy.modules, start_copy.modules + PAGE_SIZE);
	if (ARCH_ARM)
		cut(machine.description, machine.description + start_copy.map_count);
	for (unsigned int i = 0; i < machine.range_count; i++) {
		const struct range *range = &machine.ranges[i];
		uint64_t to = range->end < HIGH_END ? range->end : HIGH_END;

		if (range->usable && range->start < to)
			consider((range->start + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1),
				 to & ~(uint64_t)(PAGE_SIZE - 1));
	}
	next = start;
}

void *pages_get_aligned(size_t size, size_t alignment)
{
	uint64_t at = (next + alignment - 1) & ~(uint64_t)(alignment - 1);

	size = (size + PAGE_SIZE - 1) & ~(size_t)(PAGE_SIZE - 1);
	if (at > end || size > end - at)
		skip("not enough memory for %lu bytes", (uint64_t)size);
	next = at + size;
	for (uint64_t *word = (uint64_t *)at; word < (uint64_t *)(at + size); word++)
		*word = 0;
	return (void *)at;
}

void *pages_keep(void)
{
	if (end - next < PAGE_SIZE)
		return NULL;
	end -= PAGE_SIZE;
	for (uint64_t *word = (uint64_t *)end; word < (uint64_t *)(end + PAGE_SIZE); word++)
		*word = 0;
	return (void *)end;
}

void *pages_get(size_t size)
{
	return pages_get_aligned(size, PAGE_SIZE);
}

uint64_t pages_mark(void)
{
	return next;
}

void pages_release(uint64_t mark)
{
	next = mark;
}

bool pages_short(void)
{
	return next - start > (end - start) / 2;
}

bool pages_part(unsigned int nth, uint64_t *from, uint64_t *to)
{
	if (nth == 0) {
		pages_free_range(from, to);
		return *to > *from;
	}
	for (unsigned int i = 0; i < machine.range_count; i++) {
		const struct range *range = &machine.ranges[i];

		if (!range->usable || range->start < HIGH_END || --nth > 0)
			continue;
		if (ARCH_ARM && range->start >= UINT64_C(1) << 39)
			continue;
		arch_map(range->start, range->end - range->start);
		*from = range->start;
		*to = range->end;
		return true;
	}
	return false;
}

void pages_free_range(uint64_t *from, uint64_t *to)
{
	*from = next;
	*to = end;
}
