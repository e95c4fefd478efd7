// SPDX-License-Identifier: BSD-3-Clause
/* `avp device net`: a network interface. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/device_process.h"
#include "cli/device_types.h"
#include "device/net/net.h"
#include "device/net/options.h"
#include "device/net/port_forward.h"
#include "device/net/subnet.h"
#include "device/net/tap.h"
#include "device/net/user/user_net.h"
#include "guest/config/config.h"
#include "host/sandbox.h"

#define QUEUE_SIZE_MAX 1024

/* The name servers of the host. */
#define NAME_SERVERS "/etc/resolv.conf"

/* One of the two. */
struct backends {
	struct tap_backend *tap;
	struct user_net *user;
};

static void free_backends(struct backends *backends)
{
	tap_backend_free(backends->tap);
	user_net_free(backends->user);
}

static bool wants_ipv6(const struct net_options *options)
{
	if (options->ipv6 != NET_IPV6_AUTO)
		return options->ipv6 == NET_IPV6_ON;
	return (!options->mtu || options->mtu >= SUBNET_IPV6_MTU_MIN) && user_net_host_has_ipv6();
}

static int open_user_net(struct backends *backends, struct event_loop *loop,
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
	backends->user = user_net_new(loop, &settings, error);
	return backends->user ? 0 : -error->code;
}

static int open_backend(struct backends *backends, struct event_loop *loop,
			const struct net_options *options, struct error *error)
{
	if (options->user && options->queue_pairs > 1)
		return error_set_usage(error,
				       "queue-pairs: works with tap only; leave it out with user");
	if (options->user)
		return open_user_net(backends, loop, options, error);
	backends->tap = tap_backend_new(loop, options->tap, (uint16_t)options->queue_pairs, error);
	return backends->tap ? 0 : -error->code;
}

/* An address of one station, locally administered (IEEE 802, 8.4), unless one was given. */
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

static int serve(struct device_process *process, const struct net_options *options,
		 struct backends *backends, struct error *error)
{
	struct net_settings settings = {
		.mtu = (uint16_t)options->mtu,
		.pairs = (uint16_t)options->queue_pairs,
		.queue_size_max = QUEUE_SIZE_MAX,
	};
	cleanup_free struct net_device *net = calloc(1, sizeof(*net));
	cleanup_free struct virtqueue *queues = NULL;
	int result = choose_mac(settings.mac, options->mac, error);

	if (result < 0)
		return result;
	queues = calloc(net_queue_count(&settings), sizeof(*queues));
	if (!net || !queues)
		return error_set(error, ENOMEM, "no memory for the interface");
	net_device_init(net, &settings,
			backends->tap ? tap_backend_net(backends->tap) :
					user_net_net(backends->user),
			queues);
	if (backends->tap)
		tap_backend_start(backends->tap);
	result = device_process_serve(process, &net->device,
				      backends->tap ? SANDBOX_TAP : SANDBOX_SOCKETS, error);
	log_debug("frames sent %" PRIu64 ", dropped %" PRIu64 "; received %" PRIu64
		  ", dropped %" PRIu64 ", filtered %" PRIu64,
		  net->counts.sent, net->counts.send_dropped, net->counts.received,
		  net->counts.receive_dropped, net->counts.filtered);
	return result;
}

static int run_net(void *const *options, char *const *operands, size_t count, struct error *error)
{
	const struct net_options *net = options[0];
	const struct serve_options *serve_options = options[1];
	__attribute__((cleanup(free_backends))) struct backends backends = {0};
	cleanup_device_process struct device_process process = {0};
	int result;

	(void)operands;
	(void)count;
	if (serve_options->print_capabilities)
		return device_print_capabilities("net");
	result = device_option_error(device_type_find("net")->check(net, error), error);
	if (result == 0)
		result = device_process_open(&process, serve_options, options[2], "net", error);
	if (result == 0)
		result = device_option_error(open_backend(&backends, &process.loop, net, error),
					     error);
	if (result == 0)
		result = device_process_drop_rights(
			&process, net->user ? SANDBOX_SOCKETS : SANDBOX_TAP, error);
	return result < 0 ? result : serve(&process, net, &backends, error);
}

const struct command command_device_net = {
	.name = "net",
	.summary = "serve a network interface",
	.groups =
		(const struct option_group[]){
			{"Device options", net_option_rows, sizeof(struct net_options), true},
			{"Serving options", serve_option_rows, sizeof(struct serve_options), false},
			{NULL, NULL, 0, false},
		},
	.examples =
		(const struct command_note[]){
			{"avp device net --user --forward tcp:8080:80 --socket-path net.sock",
			 "Serves an interface that reaches what this user reaches; port 8080 of "
			 "this host leads to port 80 of the guest."},
			{"avp device net --tap tap0 --socket-path net.sock",
			 "Serves an interface that is one end of tap0."},
			{NULL, NULL},
		},
	.run = run_net,
};
