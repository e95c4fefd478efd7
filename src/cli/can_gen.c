// SPDX-License-Identifier: BSD-3-Clause
/* `avp can gen`: sends many frames. */
#include "cli/can.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define SECOND_NS UINT64_C(1000000000)
#define RATE_MAX  1000000

struct gen_options {
	uint64_t rate, count;
	bool extended, fd;
};

static const struct option_row gen_option_rows[] = {
	{
		.name = "rate",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct gen_options, rate),
		.maximum = RATE_MAX,
		.default_text = "5",
		.help = "frames a second; 0: as many as the bus takes",
	},
	{
		.name = "count",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct gen_options, count),
		.default_text = "0",
		.help = "end after so many frames; 0: never",
	},
	{
		.name = "extended",
		.type = OPTION_FLAG,
		.offset = offsetof(struct gen_options, extended),
		.help = "random frames have identifiers of 29 bits",
	},
	{
		.name = "fd",
		.type = OPTION_FLAG,
		.offset = offsetof(struct gen_options, fd),
		.help = "random frames are FD frames",
	},
	{.name = NULL},
};

struct gen {
	const struct gen_options *options;
	const struct can_bus_frame *frames; /* in turn */
	size_t frame_count;		    /* 0: random ones */
	struct can_bus_frame next;
	uint64_t begun_ns, count; /* since then */
	uint64_t in_all;
	struct timer timer;
};

/* The next frame; a random one as cangen makes it. */
static void make_next(struct gen *gen)
{
	static const uint8_t fd_lengths[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64};
	struct can_bus_frame *frame = &gen->next;
	uint8_t length;

	if (gen->frame_count) {
		*frame = gen->frames[gen->in_all % gen->frame_count];
		return;
	}
	/* Up to 256 bytes come at once, whatever signals come. */
	(void)!getrandom(frame, sizeof(*frame), 0);
	length = gen->options->fd ? fd_lengths[frame->length % 16] : frame->length % 9;
	frame->id &= gen->options->extended ? 0x1fffffff : 0x7ff;
	frame->flags = (uint8_t)((gen->options->extended ? CAN_BUS_EXTENDED : 0) |
				 (gen->options->fd ? CAN_BUS_FD : 0));
	frame->length = length;
	memset(frame->zero, 0, sizeof(frame->zero));
	memset(frame->data + length, 0, sizeof(frame->data) - length);
}

static bool is_done(const struct gen *gen)
{
	return gen->options->count && gen->in_all == gen->options->count;
}

/* Sends what is due. */
static void send_due(struct can_session *session)
{
	struct gen *gen = session->context;
	uint64_t rate = gen->options->rate;

	while (!is_done(gen)) {
		uint64_t now_ns = clock_now_ns();
		uint64_t due_ns = rate ? gen->begun_ns + gen->count * SECOND_NS / rate : 0;

		if (due_ns > now_ns) {
			timer_set(&gen->timer, due_ns - now_ns);
			return;
		}
		if (!can_session_send(session, 0, &gen->next))
			return;
		gen->in_all++;
		make_next(gen);
		/* From now on, so that the numbers stay small. */
		if (++gen->count == rate) {
			gen->begun_ns += SECOND_NS;
			gen->count = 0;
		}
	}
}

static void handle_started(struct can_session *session)
{
	struct gen *gen = session->context;

	gen->begun_ns = clock_now_ns();
	send_due(session);
}

static void handle_sent(struct can_session *session, uint32_t tag, bool success)
{
	const struct gen *gen = session->context;

	send_due(session);
	if (is_done(gen) && !session->pending)
		can_session_end(session, 0);
}

static void handle_timer(void *context)
{
	send_due(context);
}

static const struct can_session_ops ops = {.started = handle_started, .sent = handle_sent};

static int run_gen(const struct command_call *call, struct error *error)
{
	const size_t count = call->operand_count - 1;
	cleanup_free struct can_bus_frame *frames = calloc(count + 1, sizeof(*frames));
	struct gen gen = {call->options[0], frames, count, .timer = TIMER_NONE};
	struct can_session session = {0};
	int result;

	if (!frames)
		return error_set(error, ENOMEM, "out of memory");
	result = can_frames_read(call->operands + 1, count, frames, error);
	make_next(&gen);
	if (result == 0)
		result = can_join(&session, call, &ops, &gen, error);
	if (result == 0)
		result = timer_open(&gen.timer, &session.loop, CLOCK_MONOTONIC, handle_timer,
				    &session, error);
	if (result == 0) {
		result = can_session_run(&session);
		printf("sent %" PRIu64 ", not sent %" PRIu64 "\n", session.sent, session.not_sent);
	}
	if (result == 0)
		result = can_check_sent(&session, error);
	timer_close(&gen.timer);
	can_session_close(&session);
	return result;
}

const struct command command_can_gen = {
	.name = "gen",
	.summary = "send many frames",
	.description =
		"Sends the frames in turn, again and again, or, without any, random ones, at a rate, "
		"until there were so many or a signal comes. At the end it prints how many were on "
		"the bus.",
	.groups =
		(const struct option_group[]){
			{"Options", gen_option_rows, sizeof(struct gen_options), false},
			CAN_CLIENT_GROUP,
			{NULL, NULL, 0, false},
		},
	.operands = "PATH [FRAME]...",
	.operands_minimum = 1,
	.operands_maximum = 1 << 16,
	.examples =
		(const struct command_note[]){
			{"avp can gen bus.sock --rate 0 --count 100000",
			 "Sends random frames as fast as the bus takes them."},
			{"avp can gen bus.sock 123#01 7FF#02 --rate 100",
			 "Sends a hundred frames a second, half of each kind."},
			{NULL, NULL},
		},
	.run = run_gen,
};
