// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fuzz target of control channels: the input is what a client sends, whole and in pieces whose
 * length is the first byte. What is parsed obeys the form and, built again, is parsed to the same;
 * the pieces make no difference; a client that breaks the form loses its connection.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/control.h"
#include "base/text.h"
#include "promise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct control_channel channel;
	unsigned int lines;
	uint32_t hash; /* of all lines */
	bool ended, broken;
};

static void add(struct seen *seen, const char *text)
{
	do
		seen->hash = seen->hash * 16777619 ^ (unsigned char)*text;
	while (*text++);
}

static void require_utf8(const char *text)
{
	for (size_t left = strlen(text), size; left; text += size, left -= size) {
		size = text_utf8_length(text, left);
		PROMISE(size > 0);
	}
}

static void require_word(const char *word)
{
	size_t length = strlen(word);

	PROMISE(length && length <= CONTROL_WORD_LENGTH && word[0] >= 'a' && word[0] <= 'z');
	PROMISE(strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789-") == length);
}

static void require_rebuilt(const struct control_line *line)
{
	struct control_message message;
	struct control_line again;
	struct error error;

	control_message_begin(&message, line->verb);
	for (size_t i = 0; i < line->count; i++)
		control_message_add(&message, line->fields[i].name, line->fields[i].value);
	/* Escapes may be longer than what was read. */
	if (message.too_long)
		return;
	PROMISE(control_line_parse(&again, message.text, message.length, &error) == 0);
	PROMISE(!strcmp(again.verb, line->verb) && again.count == line->count);
	for (size_t i = 0; i < line->count; i++)
		PROMISE(!strcmp(again.fields[i].name, line->fields[i].name) &&
			!strcmp(again.fields[i].value, line->fields[i].value));
}

static void handle_line(void *context, const struct control_line *line, int *fd)
{
	struct seen *seen = context;

	PROMISE(*fd == -1 && line->count <= CONTROL_FIELDS);
	seen->lines++;
	require_word(line->verb);
	add(seen, line->verb);
	for (size_t i = 0; i < line->count; i++) {
		require_word(line->fields[i].name);
		require_utf8(line->fields[i].value);
		PROMISE(control_line_get(line, line->fields[i].name) == line->fields[i].value);
		add(seen, line->fields[i].name);
		add(seen, line->fields[i].value);
	}
	require_rebuilt(line);
}

static void handle_end(void *context, const struct error *error)
{
	struct seen *seen = context;

	PROMISE(!seen->ended);
	seen->ended = true;
	seen->broken = error;
	control_channel_close(&seen->channel);
}

/* Sends the input in pieces of @step bytes. */
static void run(struct seen *seen, const uint8_t *data, size_t size, size_t step)
{
	struct event_loop loop;
	int ends[2];

	memset(seen, 0, sizeof(*seen));
	PROMISE(event_loop_init(&loop, 0, NULL) == 0);
	PROMISE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	control_channel_init(&seen->channel);
	seen->channel.line = handle_line;
	seen->channel.ended = handle_end;
	seen->channel.context = seen;
	PROMISE(control_channel_open(&seen->channel, &loop, ends[0], NULL) == 0);
	for (size_t at = 0; at < size && !seen->ended;) {
		size_t length = size - at < step ? size - at : step;

		PROMISE(send(ends[1], data + at, length, MSG_NOSIGNAL) == (ssize_t)length);
		at += length;
		while (event_loop_turn(&loop, 0) > 0)
			;
	}
	close(ends[1]);
	while (!seen->ended)
		PROMISE(event_loop_turn(&loop, 1000) > 0);
	event_loop_close(&loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct seen whole, pieces;

	if (size < 1 || size > 32768)
		return 0;
	run(&whole, data + 1, size - 1, size);
	run(&pieces, data + 1, size - 1, data[0] + 1U);
	PROMISE(whole.lines == pieces.lines && whole.hash == pieces.hash &&
		whole.broken == pieces.broken);
	return 0;
}
