// SPDX-License-Identifier: BSD-3-Clause
/* The program of a socket device. */
#include <inttypes.h>

#include "base/log.h"
#include "base/option_path.h"
#include "device/run/program.h"
#include "device/vsock/options.h"
#include "device/vsock/uds.h"
#include "device/vsock/vsock.h"
#include "host/sandbox.h"

struct vsock_program {
	struct vsock_device vsock;
	struct uds uds;
	struct event_loop *loop; /* NULL: the poller was not added */
	struct event_poller poller;
};

static bool poll_device(void *context)
{
	return vsock_device_poll(context);
}

static int open_host(struct device_process *process, void *const *options, void *state,
		     struct error *error)
{
	const struct vsock_options *vsock = options[0];
	struct vsock_program *program = state;
	struct socket_path *made = &process->bound[process->bound_count];
	int listener = -1;

	process->needs = SANDBOX_STREAMS;
	if (vsock->uds) {
		listener = path_listen("uds", vsock->uds, made, error);
		if (made->path)
			process->bound_count++;
		if (listener < 0)
			return listener;
	}
	return uds_open(&program->uds, &process->loop, listener, vsock->uds, error);
}

static struct virtio_device *start(struct device_process *process, void *const *options,
				   void *state, struct error *error)
{
	const struct vsock_options *vsock = options[0];
	struct vsock_program *program = state;
	const struct vsock_settings settings = {
		.guest_cid = (uint32_t)vsock->cid,
		.echo_port = (uint32_t)vsock->echo,
	};

	vsock_device_init(&program->vsock, &settings, &program->uds.host, program->uds.memory);
	uds_start(&program->uds);
	program->loop = &process->loop;
	program->poller = (struct event_poller){.poll = poll_device, .context = &program->vsock};
	event_loop_add_poller(program->loop, &program->poller);
	return &program->vsock.device;
}

static void close_all(void *state)
{
	struct vsock_program *program = state;
	const struct vsock_counts *counts = &program->vsock.counts;

	log_debug("connections %" PRIu64 ", refused %" PRIu64 "; bytes from the guest %" PRIu64
		  ", to it %" PRIu64 "; of a foreign source %" PRIu64
		  ", against the rules %" PRIu64,
		  counts->connections, counts->refused, counts->bytes_received, counts->bytes_sent,
		  counts->foreign, counts->breaches);
	if (program->loop)
		event_loop_remove_poller(program->loop, &program->poller);
	uds_close(&program->uds);
}

const struct device_program device_program_vsock = {
	.type = &device_type_vsock,
	.state_size = sizeof(struct vsock_program),
	.open = open_host,
	.start = start,
	.close = close_all,
};
