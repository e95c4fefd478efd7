// SPDX-License-Identifier: BSD-3-Clause
/* The program of the network switch: its clients are ports, and a tap may be one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/pcapng.h"
#include "service/run/service.h"
#include "service/switch/net_switch.h"
#include "service/switch/options.h"
#include "service/switch/settings.h"
#include "service/switch/uplink.h"
#include "host/sandbox.h"

struct switch_program {
	struct net_switch net;
	/* Of the clients in the configuration file, and of others. */
	struct switch_port_settings settings[SERVICE_CLIENTS_MAX], others;
	struct switch_uplink uplink;
	struct pcapng capture;
	uint32_t interfaces[SWITCH_PORTS_MAX]; /* of ports, in the capture */
	uint64_t now_ns;		       /* of this turn; 0: not yet known */
};

static struct switch_program *program_of(const struct service_client *client)
{
	return client->service->state;
}

/* Frames to clients */

/* Half of the ring is free then: what is more urgent never waits behind more than the rest. */
static bool reserve(struct switch_port *port, uint32_t length, struct channel_span *span)
{
	struct service_client *client = port->context;

	return service_client_has_room(client) &&
	       channel_reserve(&client->channel, length, span) == 0;
}

static void commit(struct switch_port *port)
{
	struct service_client *client = port->context;

	channel_commit(&client->channel, SWITCH_FRAME);
}

static const struct switch_port_ops port_ops = {reserve, commit};

/* The capture */

static void handle_taken(void *context, const struct switch_port *port,
			 const struct switch_frame *frame)
{
	struct switch_program *program = context;
	const struct channel_span *span = &frame->span;
	struct iovec parts[3] = {
		{(void *)(uintptr_t)frame->head, frame->head_length},
		{span->base[0], span->length[0]},
		{span->base[1], span->length[1]},
	};
	size_t skip = SWITCH_HEADER + frame->head_length;

	/* What was decided upon, and the rest of the message. */
	for (int i = 1; i < 3; i++) {
		size_t less = skip < parts[i].iov_len ? skip : parts[i].iov_len;

		parts[i].iov_base = (uint8_t *)parts[i].iov_base + less;
		parts[i].iov_len -= less;
		skip -= less;
	}
	pcapng_add(&program->capture, program->interfaces[port->index], clock_now_ns(), parts, 3);
}

static int open_capture(struct switch_program *program, const char *path, struct error *error)
{
	int result = pcapng_open(&program->capture, "pcap", path, error);

	if (path) {
		program->net.taken = handle_taken;
		program->net.context = program;
	}
	return result;
}

/* Each client that joins is an interface. */
static void describe_port(struct switch_program *program, const struct switch_port *port,
			  const char *name)
{
	program->interfaces[port->index] =
		pcapng_add_interface(&program->capture, PCAPNG_ETHERNET, name);
}

/* Messages of clients */

static int take_offloads(struct switch_port *port, const struct channel_message *message,
			 struct error *error)
{
	struct switch_offloads offloads;

	if (message->length != sizeof(offloads))
		return error_set(error, EPROTO, "a message of kind %u has %u bytes", message->kind,
				 message->length);
	channel_span_read(&message->span, 0, &offloads, sizeof(offloads));
	port->offloads = offloads.offloads;
	return 0;
}

static int take(struct service_client *client, const struct channel_message *message,
		struct error *error)
{
	struct switch_program *program = program_of(client);
	struct switch_port *port = client->context;

	if (!program->now_ns)
		program->now_ns = clock_now_ns();
	if (message->kind == SWITCH_OFFLOADS)
		return take_offloads(port, message, error);
	if (message->kind != SWITCH_FRAME)
		return error_set(error, EPROTO, "there is no message of kind %u", message->kind);
	if (net_switch_take(&program->net, port, &message->span, message->length, program->now_ns) <
	    0)
		return error_set(error, EPROTO, "a frame of %u bytes, or its header, is wrong",
				 message->length);
	if (switch_port_wait(port, program->now_ns) > 0) {
		client->deferred = true;
		port->counts.limited++;
	}
	return 0;
}

static uint64_t run(struct service *service, uint64_t now_ns)
{
	struct switch_program *program = service->state;
	uint64_t next_ns = net_switch_run(&program->net, now_ns);
	uint64_t due_ns = switch_uplink_run(&program->uplink, now_ns);

	next_ns = due_ns < next_ns ? due_ns : next_ns;
	program->now_ns = 0;
	for (size_t i = 0; i < SERVICE_CLIENTS_MAX; i++) {
		struct service_client *client = service->clients[i];
		const struct switch_port *port = client ? client->context : NULL;

		if (!client)
			continue;
		client->waits_for_room = port->blocked;
		if (!client->deferred)
			continue;
		due_ns = now_ns + switch_port_wait(port, now_ns);
		client->deferred = due_ns > now_ns;
		next_ns = due_ns < next_ns ? due_ns : next_ns;
	}
	if (next_ns > now_ns && record_file_is_open(&program->capture.file))
		record_file_flush(&program->capture.file);
	return next_ns;
}

/* Who may send to whom */

/* By name: without a file that names clients everybody may. */
static bool may_send(const struct service_config *config, const char *from, const char *to)
{
	const struct switch_client_options *options = service_config_client(config, from);

	return !config->listed || (options && switch_client_may_send(options, to));
}

static void permit(const struct service *service, const struct switch_port *port, const char *name,
		   const struct switch_port *other, const char *other_name)
{
	struct switch_program *program = service->state;

	if (may_send(&service->config, name, other_name))
		net_switch_permit(&program->net, port, other);
	if (may_send(&service->config, other_name, name))
		net_switch_permit(&program->net, other, port);
}

static void permit_client(const struct service_client *client)
{
	const struct service *service = client->service;
	const struct switch_uplink *uplink = &program_of(client)->uplink;

	for (size_t i = 0; i < SERVICE_CLIENTS_MAX; i++) {
		const struct service_client *other = service->clients[i];

		if (other && other != client)
			permit(service, client->context, client->name, other->context, other->name);
	}
	if (uplink->port)
		permit(service, client->context, client->name, uplink->port, SWITCH_UPLINK);
}

/* Life */

static const struct switch_port_settings *settings_of(const struct service *service,
						      const void *options)
{
	const struct switch_program *program = service->state;

	for (size_t i = 0; i < service->config.client_count; i++)
		if (service->config.clients[i].options == options)
			return &program->settings[i];
	return &program->others;
}

static int join(struct service_client *client, const void *options, struct error *error)
{
	struct switch_program *program = program_of(client);

	if (program->uplink.port && !strcmp(client->name, SWITCH_UPLINK))
		return error_set(error, EADDRINUSE, "%s is the name of the uplink", client->name);
	client->context = net_switch_add(&program->net, settings_of(client->service, options),
					 &port_ops, client);
	if (!client->context)
		return error_set(error, ENOMEM, "no memory for a port");
	describe_port(program, client->context, client->name);
	permit_client(client);
	return 0;
}

static void leave(struct service_client *client)
{
	net_switch_remove(&program_of(client)->net, client->context);
}

static int read_client(struct service *service, size_t index, struct error *error)
{
	const struct switch_client_options *options = service->config.clients[index].options;
	struct switch_program *program = service->state;
	struct switch_port_settings *settings = &program->settings[index];
	int result = switch_settings_read(options, settings, error);

	for (size_t i = 0; i < options->addresses.count && result == 0; i++) {
		uint64_t address = 0;

		switch_address_read(options->addresses.items[i], &address);
		result = net_switch_pin(&program->net, address, settings);
		if (result == -EEXIST)
			result = error_set_usage(error, "addresses: %s is also another client's",
						 options->addresses.items[i]);
		else if (result < 0)
			result = error_set_usage(error, "addresses: there are more than %d in all",
						 SWITCH_PINS_MAX);
	}
	if (result < 0)
		error_prefix(error, "%s: clients.%s", service->options->config,
			     service->config.clients[index].name);
	return result;
}

/* The uplink is a client by its name: in the file, or as others are. */
static int open_uplink(struct service *service, const char *name, struct error *error)
{
	struct switch_program *program = service->state;
	const void *options = service_config_client(&service->config, SWITCH_UPLINK);
	int result = switch_uplink_open(&program->uplink, &program->net,
					settings_of(service, options), &service->loop, name, error);

	service->needs |= SANDBOX_TAP;
	if (result == 0)
		describe_port(program, program->uplink.port, SWITCH_UPLINK);
	return result;
}

static int open_switch(struct service *service, const void *options, struct error *error)
{
	const struct switch_options *own = options;
	const struct service_config *config = &service->config;
	struct switch_program *program = service->state;
	uint64_t seed;
	int result;

	program->uplink = SWITCH_UPLINK_NONE;
	result = open_capture(program, own->pcap, error);
	if (result < 0)
		return result;
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return error_set_errno(error, errno, "cannot get random bytes");
	net_switch_init(&program->net, seed);
	result = switch_settings_read(config->client_options, &program->others, error);
	for (size_t i = 0; i < config->client_count && result == 0; i++)
		result = read_client(service, i, error);
	if (result == 0 && own->uplink)
		result = open_uplink(service, own->uplink, error);
	return result;
}

static void close_switch(struct service *service)
{
	struct switch_program *program = service->state;

	switch_uplink_close(&program->uplink);
	record_file_close(&program->capture.file);
	net_switch_close(&program->net);
}

static void add_counts(struct control_message *message, const struct net_switch *net,
		       const struct switch_port *port)
{
	const struct switch_counts *counts = &port->counts;
	const struct {
		const char *name;
		uint64_t number;
	} numbers[] = {
		{"frames", counts->frames},
		{"delivered", counts->delivered},
		{"lost", counts->lost},
		{"queued-bytes", port->queue.bytes},
		{"limited", counts->limited},
		{"not-permitted", counts->not_permitted},
		{"bad-address", counts->bad_address},
		{"bad-tag", counts->bad_tag},
		{"malformed", counts->malformed},
		{"addresses", net->table.learned[port->index]},
		{"moved", counts->moved},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		control_message_add_number(message, numbers[i].name, numbers[i].number);
}

static void describe_client(const struct service_client *client, struct control_message *message)
{
	add_counts(message, &program_of(client)->net, client->context);
}

/* Of the uplink. */
static void describe(const struct service *service, struct control_message *message)
{
	const struct switch_program *program = service->state;

	if (!program->uplink.port)
		return;
	control_message_add(message, "uplink", program->uplink.watch.source.fd < 0 ? "gone" : "up");
	control_message_add_number(message, "dropped", program->uplink.dropped);
	add_counts(message, &program->net, program->uplink.port);
}

extern const struct service_program service_program_switch;
const struct service_program service_program_switch = {
	.type = &service_type_switch,
	.shape = {SWITCH_SLOT_SIZE, SWITCH_SLOTS},
	.state_size = sizeof(struct switch_program),
	.one_way = true,
	.open = open_switch,
	.close = close_switch,
	.join = join,
	.leave = leave,
	.take = take,
	.run = run,
	.describe_client = describe_client,
	.describe = describe,
};
