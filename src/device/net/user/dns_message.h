// SPDX-License-Identifier: BSD-3-Clause
/*
 * The parts of DNS messages (RFC 1035, 4) that a relay needs: where the question ends, and whether
 * a message answers another one. Freestanding: bytes in, verdict out.
 */
#ifndef AVP_DEVICE_NET_USER_DNS_MESSAGE_H
#define AVP_DEVICE_NET_USER_DNS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_PORT 53

/* The header (RFC 1035, 4.1.1). */
#define DNS_HEADER	   12
#define DNS_ID		   0
#define DNS_FLAGS	   2
#define DNS_QUESTION_COUNT 4
#define DNS_FLAG_ANSWER	   0x8000
#define DNS_OPCODE_MASK	   0x7800
#define DNS_FLAG_TRUNCATED 0x0200
#define DNS_RCODE_MASK	   0x000f

/* The longest message: its length is 16 bits before it over TCP (RFC 1035, 4.2.2). */
#define DNS_MESSAGE_MAX 65535

/* The longest head: a header, a name (RFC 1035, 2.3.4), type and class. */
#define DNS_HEAD_MAX (DNS_HEADER + 255 + 4)

/* The OPT record (RFC 6891, 6.1.2) without options, and the longest answer that has no other. */
#define DNS_OPT	      11
#define DNS_TYPE_OPT  41
#define DNS_EMPTY_MAX (DNS_HEAD_MAX + DNS_OPT)

enum dns_rcode {
	DNS_NO_ERROR = 0,
	DNS_SERVER_FAILURE = 2,
	DNS_NOT_IMPLEMENTED = 4,
	DNS_REFUSED = 5,
};

/*
 * Length of the header and the question after it; 0: the message does not have exactly one complete
 * question.
 */
size_t dns_head_length(const uint8_t *message, size_t length);

/* Whether a message is a query: not an answer, with one question. */
bool dns_is_question(const uint8_t *message, size_t length);

/*
 * Whether a message of @length bytes answers the query whose head is given: the same id, kind and
 * question (RFC 5452, 9.1). An error may omit the question.
 */
bool dns_is_answer(const uint8_t *head, size_t head_length, const uint8_t *message, size_t length);

/* The answer code of a message that dns_is_answer accepts. */
enum dns_rcode dns_rcode(const uint8_t *message);

/*
 * Makes an answer that has no records, with @rcode and further @flags: the header and the question
 * of @message, of @length bytes, or only the header if there is no question, as in an error that
 * dns_is_answer accepts. If @message has an OPT record, the answer has an empty one (RFC 6891,
 * 6.1.1). Returns its length. @message and @answer may be the same buffer.
 */
size_t dns_make_empty(const uint8_t *message, size_t length, uint8_t answer[DNS_EMPTY_MAX],
		      uint16_t flags, enum dns_rcode rcode);

#endif
