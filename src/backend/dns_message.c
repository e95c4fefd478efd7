// SPDX-License-Identifier: BSD-3-Clause
/* Questions and answers of DNS. */
#include "backend/dns_message.h"

#include <string.h>

#include "backend/packet.h"

#define LABEL_MAX    63
#define NAME_MAX_LEN 255
#define RECORDS	     6 /* three counts, behind that of questions */
#define RECORDS_SIZE 6
#define FLAG_DESIRED 0x0100 /* recursion */
#define FLAG_OFFERED 0x0080

size_t dns_head_length(const uint8_t *message, size_t length)
{
	size_t at = DNS_HEADER;

	if (length < DNS_HEADER || packet_get16(message + DNS_QUESTION_COUNT) != 1)
		return 0;
	/* RFC 1035, 4.1.2: labels up to an empty one. Nothing is before it to point back at. */
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
	       !(packet_get16(message + DNS_FLAGS) & DNS_FLAG_ANSWER);
}

static uint8_t lower(uint8_t letter)
{
	return letter >= 'A' && letter <= 'Z' ? letter + ('a' - 'A') : letter;
}

/* RFC 4343: names are equal whatever their case. */
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
	flags = packet_get16(message + DNS_FLAGS);
	if (!(flags & DNS_FLAG_ANSWER) ||
	    (flags ^ packet_get16(head + DNS_FLAGS)) & DNS_OPCODE_MASK)
		return false;
	if (!packet_get16(message + DNS_QUESTION_COUNT))
		return flags & DNS_RCODE_MASK;
	return dns_head_length(message, length) == head_length &&
	       asks_the_same(head, message, head_length);
}

enum dns_rcode dns_rcode(const uint8_t *message)
{
	return packet_get16(message + DNS_FLAGS) & DNS_RCODE_MASK;
}

size_t dns_make_empty(const uint8_t *message, size_t length, uint8_t answer[DNS_HEAD_MAX],
		      uint16_t flags, enum dns_rcode rcode)
{
	uint16_t kept = packet_get16(message + DNS_FLAGS) & (DNS_OPCODE_MASK | FLAG_DESIRED);
	size_t head = dns_head_length(message, length);
	bool asks = head;

	if (!asks)
		head = DNS_HEADER;
	memmove(answer, message, head);
	packet_put16(answer + DNS_FLAGS,
		     (uint16_t)(kept | DNS_FLAG_ANSWER | FLAG_OFFERED | flags | rcode));
	packet_put16(answer + DNS_QUESTION_COUNT, asks);
	memset(answer + RECORDS, 0, RECORDS_SIZE);
	return head;
}
