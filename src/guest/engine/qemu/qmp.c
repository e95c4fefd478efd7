// SPDX-License-Identifier: BSD-3-Clause
/*
 * The client side of QMP. The other side may be hostile, if the guest has taken it over: a message
 * that is not understood is skipped, with one warning, and no message can block this process.
 */
#include "guest/engine/qemu/qmp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"

#define COMPONENT "qmp"

static void complain(struct qmp *qmp, const char *what)
{
	if (!qmp->complained)
		log_line(LOG_WARNING, COMPONENT, "QEMU sent %s; it is ignored", what);
	qmp->complained = true;
}

static int send_command(struct qmp *qmp, const char *command, struct error *error)
{
	char line[128];
	/* The reply repeats the id, to report which command was refused. */
	int length = snprintf(line, sizeof(line), "{\"execute\":\"%s\",\"id\":\"%s\"}\n", command,
			      command);
	ssize_t sent;

	if (qmp->reader.source.fd < 0)
		return error_set(error, ENOTCONN, "QEMU has closed its control connection");
	/* If the socket's buffer is full, QEMU hangs. */
	do {
		sent = send(qmp->reader.source.fd, line, length, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (sent < 0 && errno == EINTR);
	if (sent == length)
		return 0;
	return error_set_errno(error, sent < 0 ? errno : EIO, "cannot send %s to QEMU", command);
}

static void handle_reply(struct qmp *qmp, const json_t *message)
{
	const char *command = json_string_value(json_object_get(message, "id"));
	const json_t *refusal = json_object_get(message, "error");
	const char *why = json_string_value(json_object_get(refusal, "desc"));

	if (!command)
		command = "a command";
	if (refusal) {
		qmp->handlers->answered(qmp->context, command, why ? why : "no reason given");
	} else if (!strcmp(command, "qmp_capabilities") && !qmp->ready) {
		qmp->ready = true;
		qmp->handlers->ready(qmp->context);
	} else {
		qmp->handlers->answered(qmp->context, command, NULL);
	}
}

static void handle_message(struct qmp *qmp, const json_t *message)
{
	const char *event = json_string_value(json_object_get(message, "event"));
	const json_t *data = json_object_get(message, "data");
	struct error error;

	if (event) {
		qmp->handlers->event(qmp->context, event, json_is_object(data) ? data : NULL);
	} else if (json_object_get(message, "QMP")) {
		if (!qmp->ready && send_command(qmp, "qmp_capabilities", &error) < 0)
			qmp->handlers->answered(qmp->context, "qmp_capabilities", error.message);
	} else if (json_object_get(message, "return") || json_object_get(message, "error")) {
		handle_reply(qmp, message);
	} else {
		complain(qmp, "a message of an unknown kind");
	}
}

static void handle_line(void *context, char *line, size_t length, bool cut)
{
	struct qmp *qmp = context;
	json_t *message;

	if (cut) {
		complain(qmp, "a line that is too long");
		return;
	}
	message = json_loadb(line, length, 0, NULL);
	if (json_is_object(message))
		handle_message(qmp, message);
	else
		complain(qmp, "a line that is not a JSON object");
	json_decref(message);
}

static void handle_end(void *context)
{
	struct qmp *qmp = context;

	qmp->handlers->ended(qmp->context);
}

int qmp_open(struct qmp *qmp, struct event_loop *loop, int fd, const struct qmp_handlers *handlers,
	     void *context, struct error *error)
{
	*qmp = (struct qmp){
		.reader = {.line = handle_line, .ended = handle_end, .context = qmp},
		.handlers = handlers,
		.context = context,
	};
	return line_reader_open(&qmp->reader, loop, fd, QMP_LINE_SIZE, error);
}

int qmp_execute(struct qmp *qmp, const char *command, struct error *error)
{
	if (!qmp->ready)
		return error_set(error, EAGAIN, "QEMU takes no commands yet");
	return send_command(qmp, command, error);
}

void qmp_drain(struct qmp *qmp)
{
	line_reader_drain(&qmp->reader);
}

void qmp_close(struct qmp *qmp)
{
	line_reader_close(&qmp->reader);
	qmp->ready = false;
}
