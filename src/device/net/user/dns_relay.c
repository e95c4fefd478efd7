// SPDX-License-Identifier: BSD-3-Clause
/* Relays queries of the guest to the host's name servers. */
#include "device/net/user/dns_relay.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/big_endian.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "device/net/user/packet.h"

/* Datagrams read for each event: a flood of wrong ones must not delay other events. */
#define DATAGRAMS_AT_ONCE 8

void dns_relay_init(struct dns_relay *relay, struct event_loop *loop, dns_relay_answer *answer,
		    void *context)
{
	relay->loop = loop;
	relay->answer = answer;
	relay->context = context;
	relay->port = DNS_PORT;
}

void dns_relay_set_servers(struct dns_relay *relay, const struct name_servers *servers)
{
	relay->servers = *servers;
	relay->preferred = 0;
	for (size_t i = 0; i < DNS_RELAY_QUESTIONS; i++) {
		struct dns_question *question = &relay->questions[i];

		/* Leave memory that was never used untouched: it takes no pages. */
		if (!question->used)
			continue;
		/* The next server is the first one; the current one is not in the list any more. */
		question->server = UINT32_MAX;
		question->tries = 0;
		question->passed_over = false;
	}
}

static uint8_t *message_of(struct dns_question *question)
{
	return question->bytes + DNS_PREFIX;
}

static void end_try(struct dns_question *question)
{
	if (question->source.fd < 0)
		return;
	event_loop_remove(question->relay->loop, &question->source);
	close_fd(&question->source.fd);
	question->watched = 0;
}

static void forget(struct dns_question *question)
{
	end_try(question);
	question->used = false;
	question->relay->active--;
}

/* Sends the answer of @length bytes to the asker, and forgets the query. */
static void answer(struct dns_question *question, uint8_t *message, size_t length)
{
	struct dns_relay *relay = question->relay;
	const struct dns_asker asker = question->asker;

	big_endian_put16(message + DNS_ID, question->guest_id);
	/* First, because the asker may ask again at once. */
	forget(question);
	relay->answer(relay->context, &asker, message, length);
}

/* The servers before this one are silent: the next queries start with it, for a while. */
static void prefer_server(const struct dns_question *question, int64_t now_ms)
{
	struct dns_relay *relay = question->relay;

	if (!question->passed_over || !relay->servers.count)
		return;
	relay->preferred = question->server % relay->servers.count;
	relay->prefer_until_ms = now_ms + DNS_RELAY_PREFER_MS;
}

/* Answers that no server answered. */
static void give_up(struct dns_question *question)
{
	uint8_t *message = question->stream ? question->stream + DNS_PREFIX :
					      question->relay->message;

	answer(question, message,
	       dns_make_empty(message_of(question), question->length, message, 0,
			      DNS_SERVER_FAILURE));
}

static void handle_server(void *context, uint32_t events);

static int watch(struct dns_question *question, uint32_t events)
{
	struct event_loop *loop = question->relay->loop;
	struct error error = {0};
	int result = 0;

	if (!question->watched)
		result = event_loop_add(loop, &question->source, events, &error);
	else if (question->watched != events)
		result = event_loop_modify(loop, &question->source, events);
	if (result == 0)
		question->watched = events;
	return result;
}

/* Sends as much as the socket accepts. Returns 0 or a negative errno. */
static int send_question(struct dns_question *question)
{
	size_t first = question->stream ? 0 : DNS_PREFIX;
	size_t end = DNS_PREFIX + question->length;

	while (!question->sent) {
		size_t at = first + question->done;
		ssize_t sent = send(question->source.fd, question->bytes + at, end - at,
				    MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno == EAGAIN && question->stream)
			return watch(question, EPOLLOUT);
		if (sent < 0)
			return -errno;
		question->done += (size_t)sent;
		question->sent = first + question->done == end;
	}
	question->done = 0;
	return watch(question, EPOLLIN);
}

/* Asks the current server. Returns 0 or a negative errno. */
static int begin_try(struct dns_question *question)
{
	const struct dns_relay *relay = question->relay;
	const struct name_server *server = &relay->servers.servers[question->server];
	struct sockaddr_storage address;
	socklen_t length = name_server_address(server, relay->port, &address);
	int type = question->stream ? SOCK_STREAM : SOCK_DGRAM;
	uint16_t id;

	/*
	 * RFC 5452, 9.2: a random id, which an off-path attacker has to guess; the port is random,
	 * too.
	 */
	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		return -EAGAIN;
	big_endian_put16(question->bytes, (uint16_t)question->length);
	big_endian_put16(message_of(question) + DNS_ID, id);
	question->done = 0;
	question->sent = false;
	question->source = (struct event_source){
		.fd = socket((int)server->family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
		.handle = handle_server,
		.context = question,
	};
	if (question->source.fd < 0)
		return -errno;
	if (connect(question->source.fd, (struct sockaddr *)&address, length) == 0)
		return send_question(question);
	return errno == EINPROGRESS ? watch(question, EPOLLOUT) : -errno;
}

static bool may_try(const struct dns_question *question, int64_t now_ms)
{
	return question->tries < DNS_RELAY_ROUNDS * question->relay->servers.count &&
	       now_ms < question->give_up_ms;
}

static int64_t end_of_try(const struct dns_question *question, int64_t now_ms)
{
	int64_t share_ms =
		DNS_RELAY_GIVE_UP_MS / (int64_t)(DNS_RELAY_ROUNDS * question->relay->servers.count);

	if (share_ms < DNS_RELAY_TRY_MS)
		share_ms = DNS_RELAY_TRY_MS;
	return now_ms + share_ms < question->give_up_ms ? now_ms + share_ms : question->give_up_ms;
}

/* Tries the servers from question->server on, until one accepts the query. */
static void ask_servers(struct dns_question *question, int64_t now_ms)
{
	const struct name_servers *servers = &question->relay->servers;

	while (may_try(question, now_ms)) {
		/* The list may have become shorter. */
		question->server %= servers->count;
		question->tries++;
		if (begin_try(question) == 0) {
			question->try_until_ms = end_of_try(question, now_ms);
			return;
		}
		end_try(question);
		question->server++;
		question->passed_over = true;
	}
	/* With many servers the time may not be enough for all. */
	prefer_server(question, now_ms);
	give_up(question);
}

static void ask_next(struct dns_question *question, int64_t now_ms)
{
	end_try(question);
	/* With a new list it wraps to the first. */
	question->server++;
	ask_servers(question, now_ms);
}

/* The current server is silent. A server of an old list does not count for the new one. */
static void pass_over(struct dns_question *question, int64_t now_ms)
{
	question->passed_over |= question->server != UINT32_MAX;
	ask_next(question, now_ms);
}

/* Handles an answer. A failure is passed on only if no server is left. */
static void take_answer(struct dns_question *question, uint8_t *message, size_t length)
{
	struct dns_relay *relay = question->relay;
	enum dns_rcode rcode = dns_rcode(message);
	int64_t now_ms = clock_now_ms();
	bool failed = rcode == DNS_SERVER_FAILURE || rcode == DNS_NOT_IMPLEMENTED ||
		      rcode == DNS_REFUSED;

	if (failed && question->tries < relay->servers.count && may_try(question, now_ms)) {
		ask_next(question, now_ms);
		return;
	}
	if (!failed)
		prefer_server(question, now_ms);
	answer(question, message, length);
}

static void receive_datagrams(struct dns_question *question)
{
	uint8_t *message = question->relay->message;

	for (int i = 0; i < DATAGRAMS_AT_ONCE; i++) {
		ssize_t length = recv(question->source.fd, message, DNS_MESSAGE_MAX, MSG_DONTWAIT);

		if (length < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (length < 0) {
			pass_over(question, clock_now_ms());
			return;
		}
		if (dns_is_answer(message_of(question), question->head, message, (size_t)length)) {
			take_answer(question, message, (size_t)length);
			return;
		}
	}
}

/* How many bytes of a stream are missing: first those of the length, then of the message. */
static size_t missing(const struct dns_question *question)
{
	size_t want = DNS_PREFIX;

	if (question->done >= DNS_PREFIX)
		want += big_endian_get16(question->stream);
	return want - question->done;
}

static void receive_stream(struct dns_question *question)
{
	uint8_t *message = question->stream + DNS_PREFIX;

	while (missing(question)) {
		ssize_t got = recv(question->source.fd, question->stream + question->done,
				   missing(question), MSG_DONTWAIT);

		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			pass_over(question, clock_now_ms());
			return;
		}
		question->done += (size_t)got;
	}
	if (dns_is_answer(message_of(question), question->head, message,
			  question->done - DNS_PREFIX))
		take_answer(question, message, question->done - DNS_PREFIX);
	else
		pass_over(question, clock_now_ms());
}

static void handle_server(void *context, uint32_t events)
{
	struct dns_question *question = context;

	(void)events;
	if (!question->sent) {
		if (send_question(question) < 0)
			pass_over(question, clock_now_ms());
		return;
	}
	if (question->stream)
		receive_stream(question);
	else
		receive_datagrams(question);
}

bool dns_asker_is(const struct dns_asker *one, const struct dns_asker *other)
{
	return one->port == other->port && one->is_ipv6 == other->is_ipv6 &&
	       !memcmp(one->address, other->address, sizeof(one->address));
}

static bool is_asker(const struct dns_question *question, const struct dns_asker *asker)
{
	return question->asker.connection == asker->connection &&
	       dns_asker_is(&question->asker, asker);
}

/* The same query sent before, or a free entry; NULL: all are in use. */
static struct dns_question *find_question(struct dns_relay *relay, const struct dns_asker *asker,
					  const uint8_t *message, size_t head)
{
	struct dns_question *found = NULL;

	for (size_t i = 0; i < DNS_RELAY_QUESTIONS; i++) {
		struct dns_question *question = &relay->questions[i];

		if (!question->used)
			found = found ? found : question;
		else if (is_asker(question, asker) &&
			 question->guest_id == big_endian_get16(message + DNS_ID) &&
			 question->head == head &&
			 !memcmp(message_of(question) + DNS_HEADER, message + DNS_HEADER,
				 head - DNS_HEADER))
			return question;
	}
	return found;
}

static void refuse(struct dns_relay *relay, const struct dns_asker *asker, const uint8_t *message,
		   size_t length, uint8_t *stream)
{
	uint8_t *empty = stream ? stream + DNS_PREFIX : relay->message;

	relay->answer(relay->context, asker, empty,
		      dns_make_empty(message, length, empty, 0, DNS_SERVER_FAILURE));
}

bool dns_relay_ask(struct dns_relay *relay, const struct dns_asker *asker, const uint8_t *message,
		   size_t length, uint8_t *stream, int64_t now_ms)
{
	size_t head = dns_head_length(message, length);
	struct dns_question *question;

	if (!dns_is_question(message, length) || length > DNS_QUESTION_MAX)
		return false;
	question = find_question(relay, asker, message, head);
	if (!question) {
		refuse(relay, asker, message, length, stream);
		return true;
	}
	/* The guest repeats a query that it waited on for too long: the answer serves both. */
	if (question->used)
		return true;
	if (relay->preferred && now_ms >= relay->prefer_until_ms)
		relay->preferred = 0;
	question->used = true;
	question->relay = relay;
	question->source.fd = -1;
	relay->active++;
	question->asker = *asker;
	question->stream = stream;
	question->server = relay->preferred;
	question->tries = 0;
	question->passed_over = false;
	question->give_up_ms = now_ms + DNS_RELAY_GIVE_UP_MS;
	question->guest_id = big_endian_get16(message + DNS_ID);
	question->head = head;
	question->length = length;
	memcpy(message_of(question), message, length);
	ask_servers(question, now_ms);
	return true;
}

void dns_relay_forget(struct dns_relay *relay, int connection)
{
	for (size_t i = 0; i < DNS_RELAY_QUESTIONS; i++)
		if (relay->questions[i].used && relay->questions[i].asker.connection == connection)
			forget(&relay->questions[i]);
}

void dns_relay_forget_all(struct dns_relay *relay)
{
	for (size_t i = 0; i < DNS_RELAY_QUESTIONS; i++)
		if (relay->questions[i].used)
			forget(&relay->questions[i]);
}

int64_t dns_relay_deadline_ms(const struct dns_relay *relay)
{
	int64_t deadline_ms = INT64_MAX;

	if (!relay->active)
		return deadline_ms;
	for (size_t i = 0; i < DNS_RELAY_QUESTIONS; i++)
		if (relay->questions[i].used && relay->questions[i].try_until_ms < deadline_ms)
			deadline_ms = relay->questions[i].try_until_ms;
	return deadline_ms;
}

void dns_relay_expire(struct dns_relay *relay, int64_t now_ms)
{
	if (!relay->active)
		return;
	for (size_t i = 0; i < DNS_RELAY_QUESTIONS; i++)
		if (relay->questions[i].used && relay->questions[i].try_until_ms <= now_ms)
			pass_over(&relay->questions[i], now_ms);
}
