// SPDX-License-Identifier: BSD-3-Clause
/* Segments of TCP on their way through the filter. */
#include "device/net/user/tcp_segment.h"

#include "base/big_endian.h"
#include "base/internet_checksum.h"
#include "device/net/user/packet.h"

static bool tcp_options_fit(const uint8_t *option, size_t length)
{
	while (length > 0 && *option != TCP_OPTION_END) {
		size_t size = 1;

		if (*option != TCP_OPTION_NOP) {
			if (length < 2 || option[1] < 2 || option[1] > length)
				return false;
			size = option[1];
		}
		option += size;
		length -= size;
	}
	return true;
}

/* Adjusts the checksum by what is cleared (RFC 1624); a wrong one stays wrong. */
void tcp_segment_clear_urgent(uint8_t *tcp)
{
	uint32_t sum = (uint16_t)~big_endian_get16(tcp + TCP_CHECKSUM);

	if (!(tcp[TCP_FLAGS] & TCP_FLAG_URG) && !big_endian_get16(tcp + TCP_URGENT))
		return;
	sum += (uint16_t)~big_endian_get16(tcp + TCP_URGENT);
	sum += (uint16_t)~big_endian_get16(tcp + TCP_DATA_OFFSET);
	tcp[TCP_FLAGS] &= (uint8_t)~TCP_FLAG_URG;
	big_endian_put16(tcp + TCP_URGENT, 0);
	big_endian_put16(tcp + TCP_CHECKSUM, internet_checksum(tcp + TCP_DATA_OFFSET, 2, sum));
}

bool tcp_segment_is_sane(const uint8_t *tcp, size_t length)
{
	size_t header;
	uint8_t flags;

	if (length < TCP_HEADER)
		return false;
	header = packet_tcp_header(tcp);
	flags = tcp[TCP_FLAGS];
	if (header < TCP_HEADER || header > length ||
	    !tcp_options_fit(tcp + TCP_HEADER, header - TCP_HEADER))
		return false;
	if (!big_endian_get16(tcp + PORT_SOURCE) || !big_endian_get16(tcp + PORT_DESTINATION))
		return false;
	/* A segment without SYN and ACK belongs to no connection, and is answered by a reset. */
	return !(flags & TCP_FLAG_SYN) || !(flags & (TCP_FLAG_FIN | TCP_FLAG_RST));
}
