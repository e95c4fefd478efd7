// SPDX-License-Identifier: BSD-3-Clause
/* What a client of the CAN bus may do, from its options. */
#include "service/can_bus/rights.h"

#include <string.h>

#define STANDARD_DIGITS 3
#define EXTENDED_DIGITS 8
#define STANDARD_ID_MAX 0x7ff
#define EXTENDED_ID_MAX 0x1fffffff

/* Reads hexadecimal digits up to @end, at most 8 of them. Returns their number, 0: others. */
static size_t read_hexadecimal(const char *text, char end, uint32_t *value)
{
	size_t count = strspn(text, "0123456789abcdefABCDEF");

	*value = 0;
	if (count > EXTENDED_DIGITS || (text[count] && text[count] != end))
		return 0;
	for (size_t i = 0; i < count; i++) {
		uint32_t letter = (uint8_t)text[i];

		*value = *value << 4 | (letter > '9' ? (letter & 0x0f) + 9 : letter & 0x0f);
	}
	return count;
}

/* ID or ID:MASK; the number of the identifier's digits says of which kind it is, as in candump. */
static bool read_filter(const char *text, struct can_bus_filter *filter)
{
	size_t digits = read_hexadecimal(text, ':', &filter->id);
	uint32_t most;

	if (digits != STANDARD_DIGITS && digits != EXTENDED_DIGITS)
		return false;
	filter->extended = digits == EXTENDED_DIGITS;
	most = filter->extended ? EXTENDED_ID_MAX : STANDARD_ID_MAX;
	filter->mask = most;
	if (text[digits] && !read_hexadecimal(text + digits + 1, 0, &filter->mask))
		return false;
	return filter->id <= most && filter->mask <= most;
}

int can_filters_read(const struct option_list *list, const char *name,
		     struct can_bus_filters *filters, struct error *error)
{
	filters->count = 0;
	if (list->count > CAN_BUS_FILTERS_MAX)
		return error_set_usage(error, "%s: there are more than %d", name,
				       CAN_BUS_FILTERS_MAX);
	for (size_t i = 0; i < list->count; i++)
		if (!read_filter(list->items[i], &filters->list[filters->count++]))
			return error_set_usage(
				error,
				"%s: '%.40s' is not ID or ID:MASK; give hexadecimal numbers, the "
				"identifier with 3 digits, or with 8 for one of 29 bits",
				name, list->items[i]);
	return 0;
}

int can_bus_rights_read(const struct can_bus_client_options *options, struct can_bus_rights *rights,
			struct error *error)
{
	int result = can_filters_read(&options->send, "send", &rights->send, error);

	if (result == 0)
		result = can_filters_read(&options->receive, "receive", &rights->receive, error);
	rights->frames_per_second = (uint32_t)options->frames_per_second;
	rights->burst = (uint32_t)options->burst;
	return result;
}
