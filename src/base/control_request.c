// SPDX-License-Identifier: BSD-3-Clause
/* Asks the other end of a control channel, and waits for its answer. */
#include "base/control_request.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

/* A request, and what has come of it. */
struct asking {
	const struct control_request *request;
	struct event_loop loop;
	struct control_channel channel;
	bool greeted, done;
	int result;
	struct error *error;
};

static void finish(struct asking *asking, int result)
{
	asking->done = true;
	asking->result = result;
}

/* Sends the request to one who speaks this version of the interface. */
static void take_greeting(struct asking *asking, const struct control_line *line)
{
	const struct control_request *request = asking->request;
	const char *interface = control_line_get(line, "interface");
	uint64_t version;
	int result;

	asking->greeted = true;
	if (!strcmp(line->verb, CONTROL_HELLO) && interface &&
	    !strcmp(interface, request->interface) &&
	    control_line_number(line, "version", &version) && version == request->version) {
		result = control_message_send(
			request->message, control_channel_socket(&asking->channel), request->fd);
		if (result < 0)
			finish(asking,
			       error_set_errno(asking->error, -result, "%s", request->peer));
		return;
	}
	finish(asking,
	       error_set(asking->error, EPROTO,
			 "%s does not speak version %u of the interface; use the avp that runs it",
			 request->peer, request->version));
}

static void take_error(struct asking *asking, const struct control_line *line)
{
	int result = control_line_error(line, asking->error);

	error_prefix(asking->error, "%s", asking->request->peer);
	finish(asking, result);
}

static void handle_line(void *context, const struct control_line *line, int *fd)
{
	struct asking *asking = context;
	const struct control_request *request = asking->request;

	if (asking->done)
		return;
	if (!strcmp(line->verb, CONTROL_ERROR)) {
		take_error(asking, line);
		return;
	}
	if (!asking->greeted) {
		take_greeting(asking, line);
		return;
	}
	if (request->line)
		request->line(request->context, line);
	if (!strcmp(line->verb, CONTROL_OK) && !request->follows)
		finish(asking, 0);
}

static void handle_end(void *context, const struct error *error)
{
	struct asking *asking = context;

	control_channel_close(&asking->channel);
	if (asking->done)
		return;
	/* Events end with the other end. */
	if (!error && asking->request->follows)
		finish(asking, 0);
	else
		finish(asking, error_set(asking->error, EPIPE, "%s: %s", asking->request->peer,
					 error ? error->message : "it has closed the connection"));
}

/* Waits at most until @end_ms of the monotonic clock; 0: for ever. */
static int wait_for_answer(struct asking *asking, int64_t end_ms)
{
	int result = 0;

	while (result >= 0 && !asking->done) {
		int64_t left_ms = end_ms ? end_ms - clock_now_ms() : -1;

		if (end_ms && left_ms <= 0)
			finish(asking, error_set(asking->error, ETIMEDOUT, "%s does not answer",
						 asking->request->peer));
		else
			result = event_loop_turn(&asking->loop, (int)left_ms);
	}
	return result < 0 ? error_set_errno(asking->error, -result, "%s", asking->request->peer) :
			    asking->result;
}

int control_request_send(const struct control_request *request, int fd, struct error *error)
{
	struct asking asking = {.request = request, .error = error};
	int64_t end_ms = request->limit_ms < 0 ? 0 : clock_now_ms() + request->limit_ms;
	int result = event_loop_init(&asking.loop, 0, error);

	if (result < 0) {
		close(fd);
		return result;
	}
	control_channel_init(&asking.channel);
	asking.channel.line = handle_line;
	asking.channel.ended = handle_end;
	asking.channel.context = &asking;
	result = control_channel_open(&asking.channel, &asking.loop, fd, error);
	if (result == 0)
		result = wait_for_answer(&asking, end_ms);
	control_channel_close(&asking.channel);
	event_loop_close(&asking.loop);
	return result;
}
