// SPDX-License-Identifier: BSD-3-Clause
/* Requests as streams of bytes (VIRTIO 1.4, 2.7.4 and 2.8.7: message framing). */
#include "virtio/request.h"

#include <string.h>

enum direction { TO_BUFFER, FROM_BUFFER, NOWHERE };

/* Walks the next @length bytes of a stream and consumes them, copying on the way. */
static size_t stream_copy(struct virtio_stream *stream, uint8_t *buffer, size_t length,
			  enum direction direction)
{
	size_t done = 0;

	while (done < length && stream->count > 0) {
		struct virtio_segment *segment = stream->segments;
		size_t part = length - done;

		if (part > segment->length)
			part = segment->length;
		if (direction == TO_BUFFER)
			memcpy(buffer + done, segment->base, part);
		else if (direction == FROM_BUFFER)
			memcpy(segment->base, buffer + done, part);
		done += part;
		segment->base = (uint8_t *)segment->base + part;
		segment->length -= part;
		if (segment->length == 0) {
			stream->segments++;
			stream->count--;
		}
	}
	stream->left -= done;
	return done;
}

size_t stream_advance(struct virtio_stream *stream, size_t length)
{
	return stream_copy(stream, NULL, length, NOWHERE);
}

size_t request_read(struct virtio_request *request, void *buffer, size_t length)
{
	return stream_copy(&request->readable, buffer, length, TO_BUFFER);
}

size_t request_skip(struct virtio_request *request, size_t length)
{
	return stream_advance(&request->readable, length);
}

size_t request_write(struct virtio_request *request, const void *buffer, size_t length)
{
	size_t done = stream_copy(&request->writable, (uint8_t *)buffer, length, FROM_BUFFER);

	request->written += (uint32_t)done;
	return done;
}

uint8_t *request_take_last_byte(struct virtio_request *request)
{
	struct virtio_stream *stream = &request->writable;
	struct virtio_segment *last;

	if (stream->count == 0)
		return NULL;
	last = &stream->segments[stream->count - 1];
	request->last_byte_taken = true;
	last->length--;
	stream->left--;
	if (last->length == 0)
		stream->count--;
	return (uint8_t *)last->base + last->length;
}
