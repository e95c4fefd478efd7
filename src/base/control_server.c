// SPDX-License-Identifier: BSD-3-Clause
/* Serves the clients of a control socket from a table of verbs. */
#include "base/control_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

/* A flood of connections must not keep the loop from its other sources. */
#define ACCEPTS_PER_TURN 4

struct control_client {
	struct control_server *server;
	struct control_channel channel; /* closed: the place is free */
	uid_t user;
	bool subscribed;
	const struct control_verb *waiting; /* its answer is still to come */
	uint64_t token;			    /* of that request */
	int64_t heard_ms;
};

static bool is_connected(const struct control_client *client)
{
	return client && control_channel_socket(&client->channel) >= 0;
}

/* Closes the connection. The memory stays: a callback of the channel may have led here. */
static void drop(struct control_client *client)
{
	struct control_server *server = client->server;

	if (!is_connected(client))
		return;
	control_channel_close(&client->channel);
	if (server->gone)
		server->gone(server->context);
}

/* Sends a line with a descriptor, or -1; a client that does not read is dropped. */
static int send_with(struct control_client *client, struct control_message *message, int fd)
{
	int result = -EPIPE;

	if (is_connected(client))
		result =
			control_message_send(message, control_channel_socket(&client->channel), fd);
	if (result < 0 && result != -EMSGSIZE)
		drop(client);
	return result;
}

static int send_line(struct control_client *client, struct control_message *message)
{
	return send_with(client, message, -1);
}

static void send_error(struct control_client *client, const struct error *error)
{
	struct control_message message;

	control_message_begin_error(&message, error);
	send_line(client, &message);
}

/* The verb of the table; NULL: there is none, see *error. */
static const struct control_verb *find_verb(const struct control_interface *interface,
					    const char *name, struct error *error)
{
	struct text_match match = {.word = name, .length = strlen(name)};

	for (const struct control_verb *verb = interface->verbs; verb->name; verb++) {
		if (!strcmp(verb->name, name))
			return verb;
		text_match_offer(&match, verb->name);
	}
	error_set(error, ENOSYS, "there is no verb %s%s%s%s", name,
		  match.nearest ? "; did you mean " : "", match.nearest ?: "",
		  match.nearest ? "?" : "");
	return NULL;
}

/* Sets the fields of a verb from a line. */
static int read_fields(const struct control_verb *verb, void *values,
		       const struct control_line *line, struct error *error)
{
	static const struct option_row none = {.name = NULL};
	const struct option_row *rows = verb->fields ? verb->fields : &none;
	int result = option_set_defaults(rows, values, error);

	for (size_t i = 0; i < line->count && result == 0; i++) {
		const struct control_field *field = &line->fields[i];
		const struct option_row *row = option_find(rows, field->name, strlen(field->name));

		if (!row)
			result = error_set_usage(error, "%s: there is no field %s", verb->name,
						 field->name);
		else
			result = option_set(row, values, field->value, field->name, error);
	}
	return result < 0 ? result : option_check_required(rows, values, verb->name, error);
}

/* Handles a request. Returns what its handler returned. */
static int handle_request(struct control_client *client, const struct control_verb *verb,
			  const struct control_line *line, int *fd, struct control_message *reply,
			  int *answer, struct error *error)
{
	_Alignas(max_align_t) char values[CONTROL_VALUES_SIZE] = {0};
	const struct control_call call = {
		.client = client,
		.values = verb->fields ? values : NULL,
		.fd = fd,
		.reply = reply,
		.answer = answer,
		.token = &client->token,
	};
	const struct control_server *server = client->server;
	int result;

	client->token = 0;
	if (verb->size > sizeof(values))
		return error_set(error, EOVERFLOW, "%s: it has too many fields", verb->name);
	result = read_fields(verb, values, line, error);
	control_message_begin(reply, CONTROL_OK);
	if (result == 0 && server->permit)
		result = server->permit(server->context, client->user, verb, error);
	if (result == 0)
		result = verb->handle(server->context, &call, error);
	if (verb->fields)
		option_clear(verb->fields, values);
	return result;
}

static void handle_line(void *context, const struct control_line *line, int *fd)
{
	struct control_client *client = context;
	struct control_message reply;
	struct error error;
	int answer = -1;
	const struct control_verb *verb = find_verb(client->server->interface, line->verb, &error);
	int result = verb ? handle_request(client, verb, line, fd, &reply, &answer, &error) :
			    -ENOSYS;

	client->heard_ms = clock_now_ms();
	if (result == -EINPROGRESS) {
		client->waiting = verb;
		control_channel_pause(&client->channel);
		return;
	}
	if (result == 0 && send_with(client, &reply, answer) == -EMSGSIZE)
		result = error_set(&error, EMSGSIZE, "the answer is too long");
	if (result < 0)
		send_error(client, &error);
}

static void handle_end(void *context, const struct error *error)
{
	struct control_client *client = context;

	if (error)
		send_error(client, error);
	drop(client);
}

/*
 * Whether @one makes room before @other: it waits for no answer, or has been silent for longer. One
 * that waits cannot but be silent.
 */
static bool goes_before(const struct control_client *one, const struct control_client *other)
{
	if (!one->waiting != !other->waiting)
		return !one->waiting;
	return one->heard_ms < other->heard_ms;
}

/* A place for a client: a free one, or else that of a client that makes room. */
static struct control_client **find_place(struct control_server *server)
{
	struct control_client **first = NULL;

	for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
		struct control_client **place = &server->clients[i];

		if (!is_connected(*place))
			return place;
		if (!(*place)->subscribed && (!first || goes_before(*place, *first)))
			first = place;
	}
	return first;
}

static void greet(struct control_client *client)
{
	const struct control_interface *interface = client->server->interface;
	struct control_message hello;

	control_message_begin(&hello, CONTROL_HELLO);
	control_message_add(&hello, "interface", interface->name);
	control_message_add_number(&hello, "version", interface->version);
	send_line(client, &hello);
}

/* The user at the other end of a socket, when it connected; -1: unknown. */
static uid_t get_user(int fd)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 ? peer.uid : (uid_t)-1;
}

int control_server_add(struct control_server *server, int fd, struct error *error)
{
	/* There is one: subscribers do not take all. */
	struct control_client **place = find_place(server), *client = *place;
	int result;

	if (client)
		drop(client);
	else
		client = malloc(sizeof(*client));
	if (!client) {
		close_fd(&fd);
		return error_set(error, ENOMEM, "out of memory");
	}
	*place = client;
	client->server = server;
	client->user = get_user(fd);
	client->subscribed = false;
	client->waiting = NULL;
	client->heard_ms = clock_now_ms();
	control_channel_init(&client->channel);
	client->channel.line = handle_line;
	client->channel.ended = handle_end;
	client->channel.context = client;
	result = control_channel_open(&client->channel, server->loop, fd, error);
	if (result == 0)
		greet(client);
	return result;
}

/* Tells a client that is not served why, if it has room for that. */
static void turn_away(int fd)
{
	struct control_message message;
	struct error error;

	error_set(&error, EPERM, "only this process's user and root are served");
	control_message_begin_error(&message, &error);
	control_message_send(&message, fd, -1);
}

/* Accepts a client. Returns whether there may be another one. */
static bool accept_client(struct control_server *server)
{
	cleanup_fd int fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC);
	uid_t user;

	if (fd < 0)
		return errno == EINTR || errno == ECONNABORTED;
	user = get_user(fd);
	if (user == geteuid() || user == 0)
		control_server_add(server, take_fd(&fd), NULL);
	else
		turn_away(fd);
	return true;
}

/*
 * Edge-triggered: a client that there is no descriptor for waits for the next one, and the loop
 * does not spin meanwhile.
 */
static void handle_listener(void *context, uint32_t events)
{
	struct control_server *server = context;

	for (int i = 0; i < ACCEPTS_PER_TURN; i++)
		if (!accept_client(server))
			return;
	/* There may be more: the event comes again in the next turn. */
	event_loop_modify(server->loop, &server->listener, EPOLLIN | EPOLLET);
}

int control_server_listen(struct control_server *server, int fd, struct error *error)
{
	int result;

	server->listener = (struct event_source){fd, handle_listener, server};
	result = event_loop_add(server->loop, &server->listener, EPOLLIN | EPOLLET, error);
	if (result < 0)
		close_fd(&server->listener.fd);
	return result;
}

int control_server_subscribe(void *context, const struct control_call *call, struct error *error)
{
	const struct control_server *server = call->client->server;
	unsigned int subscribed = 0;

	for (size_t i = 0; i < CONTROL_CLIENTS; i++)
		subscribed += is_connected(server->clients[i]) && server->clients[i]->subscribed;
	if (!call->client->subscribed && subscribed == CONTROL_SUBSCRIBERS)
		return error_set(error, EUSERS, "%d clients get events already",
				 CONTROL_SUBSCRIBERS);
	call->client->subscribed = true;
	return 0;
}

const struct option_row control_log_level_rows[] = {
	{
		.name = "level",
		.type = OPTION_CHOICE,
		.argument = "LEVEL",
		.offset = offsetof(struct control_log_level, level),
		.choices = log_level_names,
		.default_text = "info",
		.help = "least important lines that are logged",
	},
	{.name = NULL},
};

int control_server_set_log_level(void *context, const struct control_call *call,
				 struct error *error)
{
	const struct control_log_level *values = call->values;

	control_message_add(call->reply, "before", log_level_name(log_get_level()));
	log_set_level((enum log_level)values->level);
	return 0;
}

void control_server_event(struct control_server *server, struct control_message *message)
{
	for (size_t i = 0; i < CONTROL_CLIENTS; i++)
		if (is_connected(server->clients[i]) && server->clients[i]->subscribed)
			send_line(server->clients[i], message);
}

void control_server_detail(const struct control_call *call, struct control_message *message)
{
	send_line(call->client, message);
}

void control_server_finish(struct control_server *server, const char *name, uint64_t token,
			   struct control_message *reply, const struct error *error)
{
	struct control_message ok;

	control_message_begin(&ok, CONTROL_OK);
	for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
		struct control_client *client = server->clients[i];

		if (!is_connected(client) || !client->waiting || client->token != token ||
		    strcmp(client->waiting->name, name))
			continue;
		client->waiting = NULL;
		if (error)
			send_error(client, error);
		else
			send_line(client, reply ? reply : &ok);
		control_channel_resume(&client->channel);
	}
}

bool control_server_has_clients(const struct control_server *server)
{
	for (size_t i = 0; i < CONTROL_CLIENTS; i++)
		if (is_connected(server->clients[i]))
			return true;
	return false;
}

void control_server_close(struct control_server *server)
{
	if (server->loop)
		event_loop_remove(server->loop, &server->listener);
	close_fd(&server->listener.fd);
	for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
		if (server->clients[i])
			control_channel_close(&server->clients[i]->channel);
		free(take_pointer(server->clients[i]));
	}
}
