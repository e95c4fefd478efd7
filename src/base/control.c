// SPDX-License-Identifier: BSD-3-Clause
/*
 * Lines of control channels: parsed in place, built in one buffer, sent and received with
 * descriptors.
 */
#include "base/control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "base/socket_fd.h"

/* What is left to parse of a line, which ends with a zero. */
struct cursor {
	char *at, *end;
};

static bool is_word_byte(char byte, bool first)
{
	return (byte >= 'a' && byte <= 'z') ||
	       (!first && ((byte >= '0' && byte <= '9') || byte == '-'));
}

/* The length of the verb or key at the cursor, or 0. */
static size_t word_length(const struct cursor *cursor)
{
	size_t length = 0;

	while (cursor->at + length < cursor->end && is_word_byte(cursor->at[length], !length))
		length++;
	return length > CONTROL_WORD_LENGTH ? 0 : length;
}

/* The length of the UTF-8 sequence of a printable character at @text, or 0. */
static size_t printable_length(const char *text, size_t length)
{
	size_t size = text_utf8_length(text, length);
	unsigned char byte = (unsigned char)text[0];

	if (size == 1 && (byte < 0x20 || byte == 0x7f))
		return 0;
	/* C1 controls, U+0080 to U+009f. */
	if (size == 2 && byte == 0xc2 && (unsigned char)text[1] < 0xa0)
		return 0;
	return size;
}

/* The four digits of a \u escape at @text; -1: they are not four digits. */
static int32_t hex_point(const char *text, const char *end)
{
	int high = end - text >= 4 ? text_hex_byte(text) : -1;
	int low = high < 0 ? -1 : text_hex_byte(text + 2);

	return low < 0 ? -1 : high << 8 | low;
}

static size_t write_utf8(char *out, uint32_t point)
{
	size_t length = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
	static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (size_t i = length; i-- > 1; point >>= 6)
		out[i] = (char)(0x80 | (point & 0x3f));
	out[0] = (char)(first[length] | point);
	return length;
}

/*
 * Decodes a \u escape, or two of them that are a surrogate pair (RFC 8259, 7), whose digits are at
 * *in. Returns the bytes written, which are fewer than those read, or 0.
 */
static size_t decode_point(char **in, const char *end, char *out)
{
	int32_t point = hex_point(*in, end), low;

	if (point <= 0)
		return 0;
	*in += 4;
	if (point >= 0xd800 && point < 0xdc00) {
		if (end - *in < 6 || (*in)[0] != '\\' || (*in)[1] != 'u')
			return 0;
		low = hex_point(*in + 2, end);
		if (low < 0xdc00 || low >= 0xe000)
			return 0;
		*in += 6;
		point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
	} else if (point >= 0xdc00 && point < 0xe000) {
		return 0;
	}
	return write_utf8(out, (uint32_t)point);
}

/* Decodes an escape whose backslash was read. Returns the bytes written, or 0. */
static size_t decode_escape(char **in, const char *end, char *out)
{
	static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
	char name = *in < end ? *(*in)++ : 0;
	const char *found = name ? strchr(names, name) : NULL;

	if (name == 'u')
		return decode_point(in, end, out);
	if (!found)
		return 0;
	*out = bytes[found - names];
	return 1;
}

/* Decodes the JSON string at the cursor in place. Returns it, or NULL when it is not one. */
static const char *parse_string(struct cursor *cursor)
{
	char *start = ++cursor->at, *in = start, *out = start;

	while (in < cursor->end && *in != '"') {
		size_t length = text_utf8_length(in, (size_t)(cursor->end - in));

		if (!length || (unsigned char)*in < 0x20)
			return NULL;
		if (*in == '\\') {
			in++;
			length = decode_escape(&in, cursor->end, out);
			if (!length)
				return NULL;
		} else {
			memmove(out, in, length);
			in += length;
		}
		out += length;
	}
	if (in == cursor->end)
		return NULL;
	cursor->at = in + 1;
	*out = 0;
	return start;
}

/* Takes the bare value at the cursor; its end is not yet a zero. NULL: it has a bad byte. */
static const char *parse_bare(struct cursor *cursor)
{
	const char *start = cursor->at;

	while (cursor->at < cursor->end && *cursor->at != ' ') {
		size_t length = printable_length(cursor->at, (size_t)(cursor->end - cursor->at));

		if (!length || *cursor->at == '"' || *cursor->at == '\\')
			return NULL;
		cursor->at += length;
	}
	return start;
}

/* Terminates a verb or value and skips the blanks after it. False: another byte follows it. */
static bool end_part(struct cursor *cursor)
{
	char *end = cursor->at;

	if (cursor->at < cursor->end && *cursor->at != ' ')
		return false;
	while (cursor->at < cursor->end && *cursor->at == ' ')
		cursor->at++;
	*end = 0;
	return true;
}

static int refuse(struct error *error, const char *what)
{
	return error_set(error, EPROTO, "%s", what);
}

static int parse_field(struct control_line *line, struct cursor *cursor, struct error *error)
{
	struct control_field *field = &line->fields[line->count];
	size_t length = word_length(cursor);

	if (line->count == CONTROL_FIELDS)
		return refuse(error, "a line has too many fields");
	field->name = cursor->at;
	cursor->at += length;
	if (!length || cursor->at == cursor->end || *cursor->at != '=')
		return refuse(error, "a field is not of the form key=value");
	*cursor->at++ = 0;
	if (control_line_get(line, field->name))
		return error_set(error, EPROTO, "the field %s comes twice", field->name);
	field->value = cursor->at < cursor->end && *cursor->at == '"' ? parse_string(cursor) :
									parse_bare(cursor);
	if (!field->value || !end_part(cursor))
		return error_set(error, EPROTO, "the value of %s is malformed", field->name);
	line->count++;
	return 0;
}

int control_line_parse(struct control_line *line, char *text, size_t length, struct error *error)
{
	struct cursor cursor = {text, text + length};
	size_t word = word_length(&cursor);
	int result = 0;

	line->verb = text;
	line->count = 0;
	cursor.at += word;
	if (!word || !end_part(&cursor))
		return refuse(error, "a line does not start with a verb");
	while (cursor.at < cursor.end && result == 0)
		result = parse_field(line, &cursor, error);
	return result;
}

const char *control_line_get(const struct control_line *line, const char *name)
{
	for (size_t i = 0; i < line->count; i++)
		if (!strcmp(line->fields[i].name, name))
			return line->fields[i].value;
	return NULL;
}

bool control_line_number(const struct control_line *line, const char *name, uint64_t *value)
{
	const char *text = control_line_get(line, name);
	uint64_t number = 0;

	if (!text || !*text)
		return false;
	for (; *text; text++) {
		uint64_t digit = (uint64_t)(*text - '0');

		if (*text < '0' || *text > '9' || number > (UINT64_MAX - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	*value = number;
	return true;
}

int control_line_error(const struct control_line *line, struct error *error)
{
	const char *code = control_line_get(line, "code"), *text = control_line_get(line, "text");

	for (int number = 1; code && number < 4096; number++) {
		const char *name = strerrorname_np(number);

		if (name && !strcmp(name, code))
			return error_set(error, number, "%s", text ?: "no reason given");
	}
	return error_set(error, EIO, "%s", text ?: "no reason given");
}

/* Appends @length bytes, and leaves room for the newline. */
static void append(struct control_message *message, const char *text, size_t length)
{
	if (message->too_long || length >= sizeof(message->text) - message->length) {
		message->too_long = true;
		return;
	}
	memcpy(message->text + message->length, text, length);
	message->length += length;
}

void control_message_begin(struct control_message *message, const char *verb)
{
	message->length = 0;
	message->too_long = false;
	append(message, verb, strlen(verb));
}

static void append_name(struct control_message *message, const char *name)
{
	append(message, " ", 1);
	append(message, name, strlen(name));
	append(message, "=", 1);
}

static bool is_bare(const char *value)
{
	size_t left = strlen(value), size = 1;

	if (!left)
		return false;
	for (; left && size; value += size, left -= size) {
		size = printable_length(value, left);
		if (strchr(" \"\\", *value))
			return false;
	}
	return size != 0;
}

static void append_string(struct control_message *message, const char *value)
{
	append(message, "\"", 1);
	for (size_t left = strlen(value), size; left; value += size, left -= size) {
		char escape[8];
		int length;

		size = text_utf8_length(value, left);
		if (!size) {
			append(message, "?", 1);
			size = 1;
		} else if (*value == '"' || *value == '\\') {
			append(message, "\\", 1);
			append(message, value, 1);
		} else if (printable_length(value, left)) {
			append(message, value, size);
		} else {
			length = snprintf(escape, sizeof(escape), "\\u%04x",
					  (unsigned char)value[size - 1]);
			append(message, escape, (size_t)length);
		}
	}
	append(message, "\"", 1);
}

void control_message_add(struct control_message *message, const char *name, const char *value)
{
	append_name(message, name);
	if (is_bare(value))
		append(message, value, strlen(value));
	else
		append_string(message, value);
}

void control_message_begin_error(struct control_message *message, const struct error *error)
{
	control_message_begin(message, CONTROL_ERROR);
	control_message_add(message, "code", strerrorname_np(error->code) ?: "EIO");
	control_message_add(message, "text", error->message);
}

void control_message_add_number(struct control_message *message, const char *name, uint64_t value)
{
	char text[24];

	append_name(message, name);
	append(message, text, (size_t)snprintf(text, sizeof(text), "%" PRIu64, value));
}

int control_message_send(struct control_message *message, int socket, int fd)
{
	ssize_t sent;

	if (message->too_long)
		return -EMSGSIZE;
	/* There is always room for it: see append. */
	message->text[message->length] = '\n';
	sent = socket_send_fd(socket, message->text, message->length + 1, fd,
			      MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0)
		return (int)sent;
	/* The kernel takes so short a message whole or not at all. */
	return (size_t)sent == message->length + 1 ? 0 : -EAGAIN;
}

static bool is_open(const struct control_channel *channel)
{
	return channel->watch.source.fd >= 0;
}

static void watch(struct control_channel *channel)
{
	event_watch_set(channel->loop, &channel->watch, channel->paused ? EPOLLHUP : EPOLLIN);
}

static void end(struct control_channel *channel, const struct error *error)
{
	channel->ended(channel->context, error);
}

static void end_broken(struct control_channel *channel, const char *why)
{
	struct error error;

	refuse(&error, why);
	end(channel, &error);
}

/* Takes the descriptor of the first line, of @length bytes; -1: it has none. */
static int take_received(struct control_channel *channel, size_t length)
{
	int taken = -1;

	for (size_t i = 0; i < 2; i++) {
		if (channel->received[i].fd < 0)
			continue;
		if (channel->received[i].at < length)
			taken = take_fd(&channel->received[i].fd);
		else
			channel->received[i].at -= length;
	}
	return taken;
}

/* Delivers one line of @length bytes with its newline, at the start of the input. */
static void deliver_line(struct control_channel *channel, size_t length)
{
	cleanup_fd int fd = take_received(channel, length);
	struct control_line line;
	struct error error;

	if (control_line_parse(&line, channel->input, length - 1, &error) < 0) {
		end(channel, &error);
		return;
	}
	channel->line(channel->context, &line, &fd);
	if (!is_open(channel))
		return;
	channel->length -= length;
	memmove(channel->input, channel->input + length, channel->length);
}

static void deliver(struct control_channel *channel)
{
	while (is_open(channel) && !channel->paused) {
		const char *newline = memchr(channel->input, '\n', channel->length);

		if (newline) {
			deliver_line(channel, (size_t)(newline - channel->input) + 1);
			continue;
		}
		if (channel->length == sizeof(channel->input))
			end_broken(channel, "a line is too long");
		return;
	}
}

/*
 * Records a descriptor that came with the last @bytes of the input. Returns false when the line has
 * one already.
 */
static bool add_received(struct control_channel *channel, int fd, size_t bytes)
{
	size_t slot = channel->received[0].fd >= 0;
	bool pending = slot || channel->received[1].fd >= 0;

	/* An earlier one is of the line that was incomplete before these bytes. */
	if (pending && !memchr(channel->input + channel->length - bytes, '\n', bytes - 1)) {
		close(fd);
		return false;
	}
	channel->received[slot].fd = fd;
	channel->received[slot].at = channel->length - 1;
	return true;
}

/* Receives once. Returns whether there may be more. */
static bool receive(struct control_channel *channel)
{
	int fd;
	ssize_t bytes =
		socket_receive_fd(channel->watch.source.fd, channel->input + channel->length,
				  sizeof(channel->input) - channel->length, &fd, MSG_DONTWAIT);

	if (bytes == -EAGAIN)
		return false;
	if (bytes == -EPROTO) {
		end_broken(channel, "more than one descriptor came with a line, or one for which "
				    "there is no room");
		return false;
	}
	if (bytes <= 0) {
		end(channel, NULL);
		return false;
	}
	channel->length += (size_t)bytes;
	if (fd >= 0 && !add_received(channel, fd, (size_t)bytes)) {
		end_broken(channel, "more than one descriptor came with a line");
		return false;
	}
	deliver(channel);
	return is_open(channel) && !channel->paused;
}

static void handle_socket(void *context, uint32_t events)
{
	struct control_channel *channel = context;

	/* If it was paused in this turn, after the event, the event need not be a hang-up. */
	if (!channel->paused)
		receive(channel);
	else if (events & (EPOLLHUP | EPOLLERR))
		end(channel, NULL);
}

void control_channel_init(struct control_channel *channel)
{
	memset(channel, 0, offsetof(struct control_channel, input));
	channel->watch.source.fd = -1;
	channel->received[0].fd = channel->received[1].fd = -1;
}

int control_channel_open(struct control_channel *channel, struct event_loop *loop, int fd,
			 struct error *error)
{
	const int size = CONTROL_QUEUE_SIZE / 2; /* the kernel doubles it: socket(7) */
	int result;

	channel->loop = loop;
	channel->watch.source = (struct event_source){fd, handle_socket, channel};
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) < 0)
		result = error_set_errno(error, errno, "cannot bound the buffer of a socket");
	else
		result = event_loop_add(loop, &channel->watch.source, EPOLLIN, error);
	if (result < 0) {
		close_fd(&channel->watch.source.fd);
		return result;
	}
	channel->watch.wanted = channel->watch.watched = EPOLLIN;
	return 0;
}

void control_channel_pause(struct control_channel *channel)
{
	if (!is_open(channel))
		return;
	channel->paused = true;
	watch(channel);
}

void control_channel_resume(struct control_channel *channel)
{
	if (!channel->paused)
		return;
	channel->paused = false;
	watch(channel);
	deliver(channel);
}

void control_channel_drain(struct control_channel *channel)
{
	/* More than a socket holds; a peer that still sends must not go on for ever. */
	for (int i = 0; i < 4096 && is_open(channel) && !channel->paused; i++)
		if (!receive(channel))
			break;
}

void control_channel_close(struct control_channel *channel)
{
	if (!is_open(channel))
		return;
	event_watch_set(channel->loop, &channel->watch, 0);
	event_loop_remove(channel->loop, &channel->watch.source);
	close_fd(&channel->watch.source.fd);
	close_fd(&channel->received[0].fd);
	close_fd(&channel->received[1].fd);
	channel->length = 0;
	channel->paused = false;
}
