// SPDX-License-Identifier: BSD-3-Clause
/* The process around a service. */
#include "service/run/service.h"

#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/inherited_fd.h"
#include "base/log.h"
#include "base/signals.h"
#include "host/sandbox.h"
#include "host/service_link.h"

/* Lines of the log that clients can cause: so many at once, then one in this time. */
#define COMPLAINTS	      8
#define COMPLAINT_INTERVAL_MS 1000

/* Requests that may wait on the socket. */
#define BACKLOG 16

/* Clients */

struct service_client *service_find_client(struct service *service, const char *name)
{
	for (size_t i = 0; i < SERVICE_CLIENTS_MAX; i++)
		if (service->clients[i] && !strcmp(service->clients[i]->name, name))
			return service->clients[i];
	return NULL;
}

bool service_client_has_room(struct service_client *client)
{
	struct channel_span span;

	return channel_reserve(&client->channel, channel_length_max(&client->channel.shape),
			       &span) == 0;
}

static struct service_client **place_of(struct service *service,
					const struct service_client *client)
{
	for (size_t i = 0; i < SERVICE_CLIENTS_MAX; i++)
		if (service->clients[i] == client)
			return &service->clients[i];
	return NULL;
}

static void send_event(struct service *service, const char *event, const char *client,
		       const char *why)
{
	struct control_message message;

	control_message_begin(&message, CONTROL_EVENT);
	control_message_add(&message, "name", event);
	control_message_add(&message, "client", client);
	if (why)
		control_message_add(&message, "why", why);
	control_server_event(&service->control, &message);
}

static void remove_client(struct service_client *client, const char *why)
{
	struct service *service = client->service;

	*place_of(service, client) = NULL;
	service->program->leave(client);
	event_watch_set(&service->loop, &client->watch, 0);
	log_debug("client %s has left: %s", client->name, why);
	send_event(service, "client-left", client->name, why);
	channel_close(&client->channel);
	free(client);
}

/* A client did what no correct one does. */
static void expel(struct service_client *client, const char *what)
{
	if (log_limit_allow(&client->service->complaints, NULL))
		log_warning("client %s is no longer served: %s", client->name, what);
	remove_client(client, what);
}

/*
 * The socket is readable or hung up. What the client has published is taken by the next poll; one
 * that is gone gets no answers, so that there is nothing to take.
 */
static void handle_socket(void *context, uint32_t events)
{
	struct service_client *client = context;
	struct channel *channel = &client->channel;
	uint64_t wakes = channel->counts.wakes_received, progress;

	if (channel_woken(channel) < 0) {
		remove_client(client, "it has closed its channel");
		return;
	}
	/* Each wake-up that a correct client sends is for a message, or for room it has made. */
	progress = channel->counts.messages_received + channel->peer_tail;
	if (client->progress != progress)
		client->vain_wakes = 0;
	client->progress = progress;
	client->vain_wakes += (unsigned int)(channel->counts.wakes_received - wakes);
	if (client->vain_wakes < SERVICE_VAIN_WAKES)
		return;
	if (log_limit_allow(&client->service->complaints, NULL))
		log_warning("client %s wakes the service up for nothing", client->name);
	client->vain_wakes = 0;
	client->paused = true;
	event_watch_set(&client->service->loop, &client->watch, 0);
	timer_set_ms(&client->service->paused, SERVICE_PAUSE_MS);
}

static void handle_paused(void *context)
{
	struct service *service = context;

	for (size_t i = 0; i < SERVICE_CLIENTS_MAX; i++) {
		struct service_client *client = service->clients[i];

		if (!client || !client->paused)
			continue;
		client->paused = false;
		event_watch_set(&service->loop, &client->watch, EPOLLIN);
	}
}

static int check_socket(int socket, struct error *error)
{
	int domain = 0, type = 0;
	socklen_t length = sizeof(int);

	if (getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0 ||
	    getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || domain != AF_UNIX ||
	    type != SOCK_SEQPACKET)
		return error_set(error, EINVAL,
				 "the descriptor is not a Unix socket of type SOCK_SEQPACKET");
	return 0;
}

static void free_client(struct service_client **client)
{
	if (*client)
		channel_close(&(*client)->channel);
	free(*client);
}

int service_add_client(struct service *service, const char *name, int socket, struct error *error)
{
	__attribute__((cleanup(free_client))) struct service_client *client =
		calloc(1, sizeof(*client));
	cleanup_fd int fd = socket;
	const void *options = service_config_client(&service->config, name);
	struct service_client *before, **place;
	int result = check_socket(fd, error);

	if (!client)
		return error_set(error, ENOMEM, "out of memory");
	client->channel = CHANNEL_CLOSED;
	if (result < 0)
		return result;
	if (strlen(name) >= sizeof(client->name))
		return error_set_usage(error, "the name of a client has at most %d characters",
				       SERVICE_NAME_SIZE - 1);
	if (!options)
		return error_set(error, EACCES,
				 "%s is not among the clients in the configuration file", name);
	before = service_find_client(service, name);
	if (before)
		remove_client(before, "its name has joined again");
	place = place_of(service, NULL);
	if (!place)
		return error_set(error, EUSERS, "there are %d clients already",
				 SERVICE_CLIENTS_MAX);
	client->service = service;
	strcpy(client->name, name);
	result = channel_offer(&client->channel, &service->program->shape, take_fd(&fd), error);
	if (result == 0)
		result = service->program->join(client, options, error);
	if (result < 0)
		return result;
	client->watch.source = (struct event_source){client->channel.socket, handle_socket, client};
	*place = client;
	event_watch_set(&service->loop, &client->watch, EPOLLIN);
	send_event(service, "client-joined", name, NULL);
	log_debug("client %s has joined", name);
	client = NULL;
	return 0;
}

/* Whether messages are taken from it. One that does not read the answers is not read from. */
static bool is_heard(struct service_client *client)
{
	return !client->deferred &&
	       (client->service->program->one_way || service_client_has_room(client));
}

/* Takes a batch of messages. Returns whether there were any, or the client is gone. */
static bool serve(struct service_client *client)
{
	struct channel *channel = &client->channel;
	struct channel_message message;
	struct error error;
	bool worked = false;

	for (int i = 0; i < SERVICE_BATCH && is_heard(client); i++) {
		if (channel_receive(channel, &message) <= 0)
			break;
		if (client->service->program->take(client, &message, &error) < 0) {
			expel(client, error.message);
			return true;
		}
		channel_consume(channel);
		worked = true;
	}
	if (channel->broken) {
		expel(client, "it broke the rules of its channel");
		return true;
	}
	return worked;
}

static bool poll_clients(void *context)
{
	struct service *service = context;
	bool worked = false;

	for (size_t i = 0; i < SERVICE_CLIENTS_MAX; i++)
		if (service->clients[i])
			worked |= serve(service->clients[i]);
	if (service->program->run) {
		uint64_t now_ns = clock_now_ns();

		service->run_ns = service->program->run(service, now_ns);
		worked |= service->run_ns <= now_ns;
	}
	for (size_t i = 0; i < SERVICE_CLIENTS_MAX; i++) {
		if (!service->clients[i])
			continue;
		channel_publish(&service->clients[i]->channel);
		channel_release(&service->clients[i]->channel);
	}
	return worked;
}

/* The timer expires at run_ns. */
static void set_timer(struct service *service)
{
	uint64_t now_ns = clock_now_ns();

	if (!service->program->run || service->run_ns == UINT64_MAX ||
	    service->timer_ns == service->run_ns)
		return;
	service->timer_ns = service->run_ns;
	timer_set(&service->timer, service->run_ns > now_ns ? service->run_ns - now_ns : 0);
}

/* The poll that follows runs the service. */
static void handle_timer(void *context)
{
	((struct service *)context)->timer_ns = 0;
}

static unsigned int wants_of(struct service_client *client)
{
	if (client->deferred)
		return client->waits_for_room ? CHANNEL_WANTS_ROOM : 0;
	if (!is_heard(client))
		return CHANNEL_WANTS_ROOM;
	return CHANNEL_WANTS_MESSAGES | (client->waits_for_room ? CHANNEL_WANTS_ROOM : 0u);
}

static bool prepare_sleep(void *context, int *timeout_ms)
{
	struct service *service = context;
	bool ready = false;

	for (size_t i = 0; i < SERVICE_CLIENTS_MAX; i++) {
		struct service_client *client = service->clients[i];

		if (client)
			ready |= channel_prepare_sleep(&client->channel, wants_of(client));
	}
	if (!ready)
		set_timer(service);
	return ready;
}

/* Verbs */

static int handle_join(void *context, const struct control_call *call, struct error *error)
{
	const struct service_join *join = call->values;

	if (*call->fd < 0)
		return error_set_usage(error, "%s: a socket has to come with it", SERVICE_JOIN);
	return service_add_client(context, join->client, take_fd(call->fd), error);
}

static int handle_state(void *context, const struct control_call *call, struct error *error)
{
	struct service *service = context;
	size_t count = 0;

	for (size_t i = 0; i < SERVICE_CLIENTS_MAX; i++) {
		const struct service_client *client = service->clients[i];
		const struct channel_counts *counts;
		struct control_message line;

		if (!client)
			continue;
		counts = &client->channel.counts;
		count++;
		control_message_begin(&line, "client");
		control_message_add(&line, "name", client->name);
		control_message_add_number(&line, "received", counts->messages_received);
		control_message_add_number(&line, "sent", counts->messages_sent);
		control_message_add_number(&line, "received-bytes", counts->bytes_received);
		control_message_add_number(&line, "sent-bytes", counts->bytes_sent);
		control_message_add_number(&line, "full", counts->full);
		if (service->program->describe_client)
			service->program->describe_client(client, &line);
		control_server_detail(call, &line);
	}
	control_message_add_number(call->reply, "clients", count);
	if (service->program->describe)
		service->program->describe(service, call->reply);
	return 0;
}

/* Those of service_verbs, in its order. */
static int (*const handlers[])(void *context, const struct control_call *call,
			       struct error *error) = {
	handle_join,
	handle_state,
	control_server_set_log_level,
	control_server_subscribe,
};

static void add_verbs(struct service *service, const struct control_verb *verbs,
		      int (*const *handle)(void *context, const struct control_call *call,
					   struct error *error))
{
	size_t count = 0;

	while (service->verbs[count].name)
		count++;
	for (size_t i = 0; verbs && verbs[i].name && count < SERVICE_VERBS_MAX - 1; i++) {
		service->verbs[count] = verbs[i];
		service->verbs[count++].handle = handle[i];
	}
}

/* Life */

static void handle_signal(void *context, uint32_t events)
{
	struct service *service = context;
	struct signalfd_siginfo info;

	if (read(service->signals.fd, &info, sizeof(info)) == sizeof(info))
		event_loop_stop(&service->loop, 0);
}

static int open_signals(struct service *service, struct error *error)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, 0};
	sigset_t before;
	int fd = signals_open(numbers, &before, error);

	signal(SIGPIPE, SIG_IGN);
	service->signals = (struct event_source){fd, handle_signal, service};
	return fd < 0 ? fd : event_loop_add(&service->loop, &service->signals, EPOLLIN, error);
}

static int open_control(struct service *service, struct error *error)
{
	int fd = socket_path_listen(&service->bound, service->options->socket_path, BACKLOG,
				    "--socket-path", error);

	if (fd < 0)
		return fd;
	add_verbs(service, service_verbs, handlers);
	add_verbs(service, service->program->type->verbs, service->program->handlers);
	service->interface = (struct control_interface){SERVICE_INTERFACE, SERVICE_VERSION,
							service->verbs, service_events};
	service->control.loop = &service->loop;
	service->control.interface = &service->interface;
	service->control.context = service;
	return control_server_listen(&service->control, fd, error);
}

int service_open(struct service *service, const struct service_program *program, void *options,
		 const struct option_list *given, const struct service_options *serving,
		 struct error *error)
{
	int result;

	*service = (struct service){
		.program = program,
		.options = serving,
		.loop.epoll_fd = -1,
		.signals.fd = -1,
		.timer = TIMER_NONE,
		.paused = TIMER_NONE,
		.control = CONTROL_SERVER_NONE,
		.complaints = {.burst = COMPLAINTS, .interval_ms = COMPLAINT_INTERVAL_MS},
		.needs = SANDBOX_CONTROL | SANDBOX_CHANNEL | SANDBOX_UNLINK,
		.state = calloc(1, program->state_size),
	};
	if (!service->state)
		return error_set(error, ENOMEM, "no memory for the service");
	log_set_component(program->type->name);
	result = service_config_read(&service->config, program->type, options, given,
				     serving->config, error);
	if (result == 0)
		result = event_loop_init(&service->loop, EVENT_LOOP_POLL_LIMIT_NS, error);
	if (result == 0)
		result = open_signals(service, error);
	if (result == 0)
		result = timer_open(&service->timer, &service->loop, CLOCK_MONOTONIC, handle_timer,
				    service, error);
	if (result == 0)
		result = timer_open(&service->paused, &service->loop, CLOCK_MONOTONIC,
				    handle_paused, service, error);
	if (result == 0)
		result = program->open(service, service->config.options, error);
	if (result == 0)
		result = open_control(service, error);
	if (result < 0)
		return result;
	service->poller = (struct event_poller){poll_clients, prepare_sleep, service, NULL};
	event_loop_add_poller(&service->loop, &service->poller);
	return 0;
}

static int drop_rights(const struct service *service, struct error *error)
{
	cleanup_free char *path = strdup(service->bound.path);
	const char *const removable[] = {path ? dirname(path) : NULL, NULL};
	const struct sandbox_rights rights = {.needs = service->needs, .removable = removable};

	if (!path)
		return error_set(error, ENOMEM, "no memory for the sandbox");
	return service->options->sandbox == SERVICE_SANDBOX_OFF ? 0 :
								  sandbox_lock_in(&rights, error);
}

int service_run(struct service *service, struct error *error)
{
	int result, ready = (int)service->options->ready_fd;

	if (ready) {
		ready = inherited_fd_take(ready);
		if (ready < 0)
			return error_set_usage(error, "--ready-fd: descriptor %d: %s",
					       (int)service->options->ready_fd, strerror(-ready));
	}
	result = drop_rights(service, error);
	if (result < 0)
		return result;
	if (ready) {
		/* If who asked is gone, that is its business. */
		(void)!write(ready, "", 1);
		close(ready);
	}
	result = event_loop_run(&service->loop);
	return result < 0 ? error_set_errno(error, -result, "cannot wait for events") : 0;
}

void service_close(struct service *service)
{
	if (!service->program)
		return;
	for (size_t i = 0; i < SERVICE_CLIENTS_MAX; i++)
		if (service->clients[i])
			remove_client(service->clients[i], "the service ends");
	if (service->state)
		service->program->close(service);
	free(service->state);
	control_server_close(&service->control);
	socket_path_remove(&service->bound);
	timer_close(&service->timer);
	timer_close(&service->paused);
	event_loop_remove_poller(&service->loop, &service->poller);
	event_loop_remove(&service->loop, &service->signals);
	close_fd(&service->signals.fd);
	event_loop_close(&service->loop);
	service_config_clear(&service->config);
	service->program = NULL;
}
