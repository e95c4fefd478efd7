// SPDX-License-Identifier: BSD-3-Clause
/* Questions and answers of DNS. */
#include "device/net/user/dns_message.h"

#include <string.h>

#include "base/big_endian.h"
#include "device/net/user/packet.h"

#define LABEL_MAX    63
#define NAME_MAX_LEN 255
#define RECORDS	     6 /* three counts, after that of questions */
#define RECORDS_SIZE 6
#define ADDITIONAL   10	    /* the last of them */
#define FLAG_DESIRED 0x0100 /* recursion */
#define FLAG_OFFERED 0x0080

/* A record after its name: type, class, time to live, length of the data that follows. */
#define RECORD_DATA  8
#define RECORD_FIXED 10
/* In an OPT record: flags in the time to live, and the largest datagram to us as the class. */
#define OPT_FLAGS	6
#define OPT_FLAG_DNSSEC 0x8000
#define OPT_DATAGRAM	1232

size_t dns_head_length(const uint8_t *message, size_t length)
{
	size_t at = DNS_HEADER;

	if (length < DNS_HEADER || big_endian_get16(message + DNS_QUESTION_COUNT) != 1)
		return 0;
	/* RFC 1035, 4.1.2: labels up to an empty one. No pointers: nothing comes before it. */
	while (at < length && message[at]) {
		if (message[at] > LABEL_MAX || at - DNS_HEADER > NAME_MAX_LEN)
			return 0;
		at += (size_t)message[at] + 1;
	}
	at++;
	if (at - DNS_HEADER > NAME_MAX_LEN || at + 4 > length)
		return 0;
	return at + 4;
}

bool dns_is_question(const uint8_t *message, size_t length)
{
	return dns_head_length(message, length) &&
	       !(big_endian_get16(message + DNS_FLAGS) & DNS_FLAG_ANSWER);
}

static uint8_t lower(uint8_t letter)
{
	return letter >= 'A' && letter <= 'Z' ? letter + ('a' - 'A') : letter;
}

/* RFC 4343: names are compared without case. */
static bool asks_the_same(const uint8_t *one, const uint8_t *other, size_t length)
{
	for (size_t i = DNS_HEADER; i < length; i++)
		if (lower(one[i]) != lower(other[i]))
			return false;
	return true;
}

bool dns_is_answer(const uint8_t *head, size_t head_length, const uint8_t *message, size_t length)
{
	uint16_t flags;

	if (length < DNS_HEADER || memcmp(message + DNS_ID, head + DNS_ID, 2))
		return false;
	flags = big_endian_get16(message + DNS_FLAGS);
	if (!(flags & DNS_FLAG_ANSWER) ||
	    (flags ^ big_endian_get16(head + DNS_FLAGS)) & DNS_OPCODE_MASK)
		return false;
	if (!big_endian_get16(message + DNS_QUESTION_COUNT))
		return flags & DNS_RCODE_MASK;
	return dns_head_length(message, length) == head_length &&
	       asks_the_same(head, message, head_length);
}

enum dns_rcode dns_rcode(const uint8_t *message)
{
	return big_endian_get16(message + DNS_FLAGS) & DNS_RCODE_MASK;
}

/*
 * Looks for the OPT record from @at on. False: there is none. *@flags: its flags that an answer
 * repeats (RFC 3225, 3).
 */
static bool find_opt(const uint8_t *message, size_t length, size_t at, uint16_t *flags)
{
	uint32_t left = 0;

	for (size_t i = 0; i < RECORDS_SIZE; i += 2)
		left += big_endian_get16(message + RECORDS + i);
	for (; left > 0; left--) {
		size_t name = at;

		while (at < length && message[at] && message[at] <= LABEL_MAX)
			at += (size_t)message[at] + 1;
		/* A name ends with an empty label, or a pointer of two bytes (RFC 1035, 4.1.4). */
		at += at < length && message[at] ? 2 : 1;
		if (at + RECORD_FIXED > length)
			return false;
		if (!message[name] && big_endian_get16(message + at) == DNS_TYPE_OPT) {
			*flags = big_endian_get16(message + at + OPT_FLAGS) & OPT_FLAG_DNSSEC;
			return true;
		}
		at += RECORD_FIXED + (size_t)big_endian_get16(message + at + RECORD_DATA);
	}
	return false;
}

static void add_opt(uint8_t *answer, uint8_t *opt, uint16_t flags)
{
	memset(opt, 0, DNS_OPT);
	big_endian_put16(opt + 1, DNS_TYPE_OPT);
	big_endian_put16(opt + 3, OPT_DATAGRAM);
	big_endian_put16(opt + 1 + OPT_FLAGS, flags);
	big_endian_put16(answer + ADDITIONAL, 1);
}

size_t dns_make_empty(const uint8_t *message, size_t length, uint8_t answer[DNS_EMPTY_MAX],
		      uint16_t flags, enum dns_rcode rcode)
{
	uint16_t kept = big_endian_get16(message + DNS_FLAGS) & (DNS_OPCODE_MASK | FLAG_DESIRED);
	size_t head = dns_head_length(message, length);
	uint16_t opt_flags = 0;
	bool asks = head > 0, has_opt;

	if (!asks)
		head = DNS_HEADER;
	has_opt = find_opt(message, length, head, &opt_flags);
	memmove(answer, message, head);
	big_endian_put16(answer + DNS_FLAGS,
			 (uint16_t)(kept | DNS_FLAG_ANSWER | FLAG_OFFERED | flags | rcode));
	big_endian_put16(answer + DNS_QUESTION_COUNT, asks ? 1 : 0);
	memset(answer + RECORDS, 0, RECORDS_SIZE);
	if (!has_opt)
		return head;
	add_opt(answer, answer + head, opt_flags);
	return head + DNS_OPT;
}
