// SPDX-License-Identifier: BSD-3-Clause
/* The program of a network interface. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "device/net/link.h"
#include "device/net/net.h"
#include "device/net/options.h"
#include "device/net/port_forward.h"
#include "device/net/subnet.h"
#include "device/net/tap.h"
#include "device/net/user/user_net.h"
#include "device/run/program.h"
#include "host/sandbox.h"
#include "host/service_link.h"

#define QUEUE_SIZE_MAX 1024

/* The name servers of the host. */
#define NAME_SERVERS "/etc/resolv.conf"

struct net_program {
	struct device_process *process;
	struct net_device net;
	/* One of the three. */
	struct tap_backend *tap;
	struct user_net *user;
	struct net_link *link;
	struct virtqueue *queues;
};

static bool wants_ipv6(const struct net_options *options)
{
	if (options->ipv6 != NET_IPV6_AUTO)
		return options->ipv6 == NET_IPV6_ON;
	return (!options->mtu || options->mtu >= SUBNET_IPV6_MTU_MIN) && user_net_host_has_ipv6();
}

static int open_user_net(struct net_program *program, struct event_loop *loop,
			 const struct net_options *options, struct error *error)
{
	cleanup_free struct port_forward *forwards =
		calloc(options->forwards.count + 1, sizeof(*forwards));
	struct user_net_settings settings = {
		.subnet = subnet_default(0),
		.ipv6 = wants_ipv6(options),
		.host_loopback = options->host_loopback,
		.host_name = options->host_name,
		.mtu = (uint16_t)options->mtu,
		.name_servers = NAME_SERVERS,
		.forwards = forwards,
		.forward_count = options->forwards.count,
	};
	int result;

	if (!forwards)
		return error_set(error, ENOMEM, "no memory for the network");
	for (size_t i = 0; i < settings.forward_count; i++) {
		result = port_forward_parse(options->forwards.items[i], &forwards[i], error);
		if (result < 0)
			return result;
	}
	if (options->subnet) {
		result = subnet_parse(options->subnet, &settings.subnet, error);
		if (result < 0)
			return result;
	}
	program->user = user_net_new(loop, &settings, error);
	return program->user ? 0 : -error->code;
}

static int ask_for_queue(void *context, uint16_t pair)
{
	struct net_program *program = context;

	return device_process_reopen(program->process, "tap", pair);
}

static int ask_for_switch(void *context)
{
	struct net_program *program = context;

	return device_process_reopen(program->process, "link", 0);
}

static void handle_reopened(void *context, int fd, const char *why)
{
	struct net_program *program = context;

	if (program->link)
		net_link_answer(program->link, fd, why);
	else
		tap_backend_reopened(program->tap, fd, why);
}

/* By hand it joins itself, and cannot join again once it is locked in. */
static int open_link(struct net_program *program, const struct net_options *options,
		     struct error *error)
{
	struct device_process *process = program->process;
	int fd, result;

	process->needs = SANDBOX_CHANNEL;
	program->link = calloc(1, sizeof(*program->link));
	if (!program->link)
		return error_set(error, ENOMEM, "no memory for the interface");
	result = net_link_open(program->link, &process->loop, error);
	if (result < 0 || device_process_on_reopened(process, handle_reopened, program))
		return result;
	fd = service_link_join(options->link, options->client ? options->client : "net",
			       SERVICE_JOIN_MS, error);
	if (fd < 0) {
		error_prefix(error, "link");
		return fd;
	}
	return net_link_attach(program->link, fd, error);
}

static int open_network(struct device_process *process, void *const *options, void *state,
			struct error *error)
{
	const struct net_options *net = options[0];
	struct net_program *program = state;

	program->process = process;
	if (net->link)
		return open_link(program, net, error);
	process->needs = net->user ? SANDBOX_SOCKETS : SANDBOX_TAP;
	if (net->user)
		return open_user_net(program, &process->loop, net, error);
	program->tap = tap_backend_new(&process->loop, net->tap, (uint16_t)net->queue_pairs, error);
	if (!program->tap)
		return -error->code;
	if (device_process_on_reopened(process, handle_reopened, program))
		tap_backend_set_reopener(program->tap,
					 &(struct tap_reopener){ask_for_queue, program});
	return 0;
}

/* Uses the given address, or makes a random unicast one, locally administered (IEEE 802, 8.4). */
static int choose_mac(uint8_t mac[ETH_ALEN], const uint8_t given[ETH_ALEN], struct error *error)
{
	static const uint8_t none[ETH_ALEN];

	if (memcmp(given, none, ETH_ALEN)) {
		memcpy(mac, given, ETH_ALEN);
		return 0;
	}
	if (getrandom(mac, ETH_ALEN, 0) != ETH_ALEN)
		return error_set_errno(error, errno, "cannot make a MAC address");
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02);
	return 0;
}

static struct virtio_device *start(struct device_process *process, void *const *options,
				   void *state, struct error *error)
{
	const struct net_options *net = options[0];
	struct net_program *program = state;
	struct net_settings settings = {
		.mtu = (uint16_t)net->mtu,
		.pairs = (uint16_t)net->queue_pairs,
		.queue_size_max = QUEUE_SIZE_MAX,
	};

	if (choose_mac(settings.mac, net->mac, error) < 0)
		return NULL;
	program->queues = calloc(net_queue_count(&settings), sizeof(*program->queues));
	if (!program->queues) {
		error_set(error, ENOMEM, "no memory for the interface");
		return NULL;
	}
	net_device_init(&program->net, &settings,
			program->link ? &program->link->backend :
			program->tap  ? tap_backend_net(program->tap) :
					user_net_net(program->user),
			program->queues);
	if (program->tap)
		tap_backend_start(program->tap);
	if (program->link && device_process_on_reopened(process, handle_reopened, program))
		net_link_set_asker(program->link, ask_for_switch, program);
	return &program->net.device;
}

static void close_all(void *state)
{
	struct net_program *program = state;

	log_debug("frames sent %" PRIu64 ", dropped %" PRIu64 "; received %" PRIu64
		  ", dropped %" PRIu64 ", filtered %" PRIu64,
		  program->net.counts.sent, program->net.counts.send_dropped,
		  program->net.counts.received, program->net.counts.receive_dropped,
		  program->net.counts.filtered);
	tap_backend_free(program->tap);
	user_net_free(program->user);
	if (program->link)
		net_link_close(program->link);
	free(program->link);
	free(program->queues);
}

const struct device_program device_program_net = {
	.type = &device_type_net,
	.host_checks = net_host_checks,
	.state_size = sizeof(struct net_program),
	.open = open_network,
	.start = start,
	.close = close_all,
};
