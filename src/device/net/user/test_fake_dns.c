// SPDX-License-Identifier: BSD-3-Clause
/* A name server of a test. */
#include "device/net/user/test_fake_dns.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER	   12
#define ANSWER_MAX 65535

static uint8_t answer_bytes[2 + ANSWER_MAX];

/* Writes the answer to a question and returns its length. */
static size_t make_answer(const struct fake_dns *server, const uint8_t *question, size_t length,
			  uint8_t *answer)
{
	const uint8_t record[] = {0xc0, HEADER, 0, 1, 0,   1, 0, 0,
				  0,	9,	0, 4, 192, 0, 2, server->mark};

	memcpy(answer, question, length);
	answer[2] |= 0x80;
	answer[3] = 0x80;
	if (server->manner == FAKE_DNS_FAILS || server->manner == FAKE_DNS_REFUSES) {
		answer[3] |= server->manner == FAKE_DNS_FAILS ? 2 : 5;
		if (server->manner == FAKE_DNS_FAILS)
			return length;
		answer[5] = 0;
		return HEADER;
	}
	answer[7] = 1;
	memcpy(answer + length, record, sizeof(record));
	memset(answer + length + sizeof(record), 'p', server->padding);
	return length + sizeof(record) + server->padding;
}

/* Answers that no resolver may accept. */
static void tell_lies(struct fake_dns *server, const uint8_t *question, size_t length,
		      const struct sockaddr_storage *from, socklen_t from_size)
{
	static const struct {
		size_t at;
		uint8_t change;
	} lies[] = {{0, 1}, {1, 0x80}, {2, 0x80}, {2, 0x08}, {HEADER + 1, 1}, {5, 3}};
	uint8_t answer[1024];
	size_t size = make_answer(server, question, length, answer);

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		answer[lies[i].at] ^= lies[i].change;
		sendto(server->udp.fd, answer, size, 0, (const struct sockaddr *)from, from_size);
		answer[lies[i].at] ^= lies[i].change;
	}
	sendto(server->udp.fd, answer, 5, 0, (const struct sockaddr *)from, from_size);
	sendto(server->udp.fd, answer, 0, 0, (const struct sockaddr *)from, from_size);
}

static void handle_udp(void *context, uint32_t events)
{
	struct fake_dns *server = context;
	struct sockaddr_storage from;
	socklen_t from_size = sizeof(from);
	uint8_t question[4096];
	ssize_t length = recvfrom(server->udp.fd, question, sizeof(question), MSG_DONTWAIT,
				  (struct sockaddr *)&from, &from_size);

	(void)events;
	if (length < HEADER)
		return;
	server->asked++;
	if (server->manner == FAKE_DNS_IS_SILENT)
		return;
	if (server->manner == FAKE_DNS_LIES)
		tell_lies(server, question, (size_t)length, &from, from_size);
	sendto(server->udp.fd, answer_bytes,
	       make_answer(server, question, (size_t)length, answer_bytes), 0,
	       (struct sockaddr *)&from, from_size);
}

static void close_stream(struct fake_dns *server)
{
	if (server->stream.fd < 0)
		return;
	event_loop_remove(server->loop, &server->stream);
	close(server->stream.fd);
	server->stream.fd = -1;
}

static void send_all(int fd, const uint8_t *bytes, size_t length, size_t piece)
{
	while (length > 0) {
		ssize_t sent = send(fd, bytes, length < piece ? length : piece, MSG_NOSIGNAL);

		if (sent <= 0)
			return;
		bytes += sent;
		length -= (size_t)sent;
	}
}

static void handle_stream(void *context, uint32_t events)
{
	struct fake_dns *server = context;
	size_t want, size;
	ssize_t got = recv(server->stream.fd, server->stream_in + server->stream_length,
			   sizeof(server->stream_in) - server->stream_length, MSG_DONTWAIT);

	(void)events;
	if (got <= 0) {
		if (got == 0 || errno != EAGAIN)
			close_stream(server);
		return;
	}
	server->stream_length += (size_t)got;
	want = 2 + (size_t)(server->stream_in[0] << 8 | server->stream_in[1]);
	if (server->stream_length < 2 || server->stream_length < want)
		return;
	server->asked++;
	server->stream_length = 0;
	if (server->manner == FAKE_DNS_IS_SILENT)
		return;
	size = make_answer(server, server->stream_in + 2, want - 2, answer_bytes + 2);
	answer_bytes[0] = (uint8_t)(size >> 8);
	answer_bytes[1] = (uint8_t)size;
	if (server->manner == FAKE_DNS_HANGS_UP) {
		send_all(server->stream.fd, answer_bytes, size / 2, size);
		close_stream(server);
		return;
	}
	send_all(server->stream.fd, answer_bytes, size + 2,
		 server->manner == FAKE_DNS_ANSWERS_SLOWLY ? 1 : size + 2);
}

static void handle_listener(void *context, uint32_t events)
{
	struct fake_dns *server = context;
	struct error error = {0};

	(void)events;
	close_stream(server);
	server->stream = (struct event_source){
		accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC), handle_stream, server};
	server->stream_length = 0;
	assert_true(server->stream.fd >= 0);
	assert_int_equal(event_loop_add(server->loop, &server->stream, EPOLLIN, &error), 0);
}

static int bind_socket(const char *address, uint16_t port, int type)
{
	struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	bool is_ipv6 = strchr(address, ':');
	int fd = socket(is_ipv6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0), on = 1;

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (is_ipv6) {
		inet_pton(AF_INET6, address, &ipv6.sin6_addr);
		assert_int_equal(bind(fd, (struct sockaddr *)&ipv6, sizeof(ipv6)), 0);
	} else {
		inet_pton(AF_INET, address, &ipv4.sin_addr);
		assert_int_equal(bind(fd, (struct sockaddr *)&ipv4, sizeof(ipv4)), 0);
	}
	return fd;
}

uint16_t fake_dns_start(struct fake_dns *server, struct event_loop *loop, const char *address,
			uint16_t port, uint8_t mark)
{
	struct sockaddr_storage bound;
	socklen_t length = sizeof(bound);
	struct error error = {0};

	*server = (struct fake_dns){.loop = loop, .mark = mark, .stream.fd = -1};
	server->udp =
		(struct event_source){bind_socket(address, port, SOCK_DGRAM), handle_udp, server};
	assert_int_equal(getsockname(server->udp.fd, (struct sockaddr *)&bound, &length), 0);
	port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
	server->listener = (struct event_source){bind_socket(address, port, SOCK_STREAM),
						 handle_listener, server};
	assert_int_equal(listen(server->listener.fd, 16), 0);
	assert_int_equal(event_loop_add(loop, &server->udp, EPOLLIN, &error), 0);
	assert_int_equal(event_loop_add(loop, &server->listener, EPOLLIN, &error), 0);
	return port;
}

void fake_dns_stop(struct fake_dns *server)
{
	close_stream(server);
	event_loop_remove(server->loop, &server->udp);
	event_loop_remove(server->loop, &server->listener);
	close(server->udp.fd);
	close(server->listener.fd);
}

size_t fake_dns_question(uint8_t message[512], const char *name, uint16_t id)
{
	static const uint8_t tail[] = {7, 'E', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 1, 0, 1};
	size_t length = strlen(name);

	memset(message, 0, HEADER);
	message[0] = (uint8_t)(id >> 8);
	message[1] = (uint8_t)id;
	message[2] = 1;
	message[5] = 1;
	message[HEADER] = (uint8_t)length;
	memcpy(message + HEADER + 1, name, length);
	memcpy(message + HEADER + 1 + length, tail, sizeof(tail));
	return HEADER + 1 + length + sizeof(tail);
}

int fake_dns_mark(const uint8_t *question, size_t question_length, const uint8_t *answer,
		  size_t length)
{
	assert_true(length >= HEADER);
	assert_memory_equal(answer, question, 2);
	assert_true(answer[2] & 0x80);
	if (answer[3] & 0xf)
		return -(answer[3] & 0xf);
	assert_true(length >= question_length);
	assert_memory_equal(answer + HEADER, question + HEADER, question_length - HEADER);
	/* Only the question: a truncated answer. */
	if (length == question_length)
		return 0;
	assert_true(length >= question_length + 16);
	return answer[question_length + 15];
}
