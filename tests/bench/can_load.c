// SPDX-License-Identifier: BSD-3-Clause
/*
 * The load of tests/bench/can: a process that sends frames on a CAN bus, and processes that receive
 * them, over the channels of AVP's service or over SocketCAN.
 *
 *	can_load --avp PATH | --interface NAME  --rate N --seconds N --receivers N
 *
 * The sender writes the time into each frame, at a rate; 0: as fast as the bus takes them. Prints
 * the frames a second, those that were missed by the receivers together, and the median and the
 * 99.9th percentile of the time from the sender to a receiver, in microseconds.
 */
#include <errno.h>
#include <linux/can/raw.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/load.h"
#include "service/can_bus/session.h"

#define SECOND_NS     UINT64_C(1000000000)
#define FRAME_ID      0x123
#define RECEIVERS_MAX 16
/* Latencies that are kept of a receiver, the last ones. */
#define SAMPLES (1 << 20)

/* Of one receiver, shared with the parent. */
struct receiver {
	volatile unsigned int ready;
	volatile uint64_t count;   /* frames received */
	uint32_t samples[SAMPLES]; /* nanoseconds */
};

static const char *bus, *interface;
static uint64_t rate, seconds = 1;
static unsigned int receivers = 1;
static struct receiver *shared;

/* Each frame has the low 32 bits of the time in ns; a latency is less than 4 s. */
static void note(struct receiver *receiver, const uint8_t *data)
{
	uint32_t then;

	memcpy(&then, data, sizeof(then));
	receiver->samples[receiver->count % SAMPLES] = (uint32_t)clock_now_ns() - then;
	receiver->count++;
}

static void fill(uint8_t *data)
{
	uint32_t now = (uint32_t)clock_now_ns();

	memcpy(data, &now, sizeof(now));
}

/* SocketCAN */

static int open_interface(void)
{
	struct sockaddr_can address = {.can_family = AF_CAN};
	int fd = socket(AF_CAN, SOCK_RAW | SOCK_CLOEXEC, CAN_RAW);

	address.can_ifindex = (int)if_nametoindex(interface);
	if (fd < 0 || !address.can_ifindex ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		load_fail(interface, NULL);
	return fd;
}

static void receive_from_interface(struct receiver *receiver)
{
	struct can_frame frame;
	int fd = open_interface();

	receiver->ready = 1;
	while (read(fd, &frame, sizeof(frame)) == sizeof(frame))
		note(receiver, frame.data);
	load_fail("read", NULL);
}

static void sleep_until(uint64_t at_ns)
{
	const struct timespec at = {(time_t)(at_ns / SECOND_NS), (long)(at_ns % SECOND_NS)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static uint64_t send_to_interface(uint64_t begun_ns)
{
	struct can_frame frame = {.can_id = FRAME_ID, .len = 8};
	int fd = open_interface();
	uint64_t count = 0;

	while (clock_now_ns() - begun_ns < seconds * SECOND_NS) {
		if (rate)
			sleep_until(begun_ns + count * SECOND_NS / rate);
		fill(frame.data);
		/* It waits for room in the socket's own buffer. */
		if (write(fd, &frame, sizeof(frame)) == sizeof(frame))
			count++;
		else if (errno != ENOBUFS)
			load_fail("write", NULL);
	}
	return count;
}

/* AVP's service */

struct sender {
	uint64_t begun_ns, count;
	struct timer timer;
};

static void receive_started(struct can_session *session)
{
	((struct receiver *)session->context)->ready = 1;
}

static void receive_frame(struct can_session *session, const struct can_bus_received *message)
{
	note(session->context, message->frame.data);
}

static void send_due(struct can_session *session)
{
	struct sender *sender = session->context;
	struct can_bus_frame frame = {.id = FRAME_ID, .length = 8};

	for (;;) {
		uint64_t now_ns = clock_now_ns();
		uint64_t due_ns = rate ? sender->begun_ns + sender->count * SECOND_NS / rate :
					 now_ns;

		if (now_ns - sender->begun_ns >= seconds * SECOND_NS) {
			if (!session->pending)
				can_session_end(session, 0);
			return;
		}
		if (due_ns > now_ns) {
			timer_set(&sender->timer, due_ns - now_ns);
			break;
		}
		fill(frame.data);
		if (!can_session_send(session, 0, &frame))
			break;
		sender->count++;
		if (rate)
			can_bus_client_flush(&session->client);
	}
}

static void handle_timer(void *context)
{
	send_due(context);
}

static void send_started(struct can_session *session)
{
	((struct sender *)session->context)->begun_ns = clock_now_ns();
	send_due(session);
}

static void send_sent(struct can_session *session, uint32_t tag, bool success)
{
	send_due(session);
}

static const struct can_session_ops receive_ops = {
	.started = receive_started,
	.received = receive_frame,
};

static const struct can_session_ops send_ops = {.started = send_started, .sent = send_sent};

static void receive_from_bus(struct receiver *receiver)
{
	struct can_session session;
	struct error error;

	if (can_session_open(&session, &receive_ops, receiver, bus, NULL, "load", &error) < 0 ||
	    can_session_run(&session) < 0)
		load_fail("receiver", error.message);
}

static uint64_t send_to_bus(void)
{
	struct sender sender = {.timer = TIMER_NONE};
	struct can_session session;
	struct error error;

	if (can_session_open(&session, &send_ops, &sender, bus, NULL, "load", &error) < 0 ||
	    timer_open(&sender.timer, &session.loop, CLOCK_MONOTONIC, handle_timer, &session,
		       &error) < 0 ||
	    can_session_run(&session) < 0)
		load_fail("sender", error.message);
	timer_close(&sender.timer);
	if (session.not_sent)
		load_fail("sender", "the bus gave frames back");
	can_session_close(&session);
	return sender.count;
}

static int compare(const void *a, const void *b)
{
	uint32_t first = *(const uint32_t *)a, second = *(const uint32_t *)b;

	return first < second ? -1 : first > second;
}

static void report(uint64_t sent, uint64_t took_ns)
{
	uint32_t *all = malloc(sizeof(*all) * SAMPLES * receivers);
	uint64_t missed = 0;
	size_t count = 0;

	if (!all)
		load_fail("report", NULL);
	for (unsigned int i = 0; i < receivers; i++) {
		size_t samples = shared[i].count < SAMPLES ? shared[i].count : SAMPLES;

		memcpy(all + count, shared[i].samples, samples * sizeof(*all));
		count += samples;
		missed += sent - shared[i].count;
	}
	if (!count)
		load_fail("report", "no frame has come");
	qsort(all, count, sizeof(*all), compare);
	printf("%.0f %llu %.1f %.1f\n", (double)sent * 1e9 / (double)took_ns,
	       (unsigned long long)missed, all[count / 2] / 1e3,
	       all[count - 1 - count / 1000] / 1e3);
	free(all);
}

static void parse(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		const char *value = argv[i + 1];

		if (!strcmp(argv[i], "--avp"))
			bus = value;
		else if (!strcmp(argv[i], "--interface"))
			interface = value;
		else if (!strcmp(argv[i], "--rate"))
			rate = strtoull(value, NULL, 10);
		else if (!strcmp(argv[i], "--seconds"))
			seconds = strtoull(value, NULL, 10);
		else if (!strcmp(argv[i], "--receivers"))
			receivers = (unsigned int)strtoul(value, NULL, 10);
		else
			load_fail(argv[i], "is not an option");
	}
	if (!bus == !interface || !receivers || receivers > RECEIVERS_MAX || argc % 2 == 0)
		load_fail("usage",
			  "can_load --avp PATH | --interface NAME [--rate N] [--seconds N] "
			  "[--receivers N]");
}

int main(int argc, char **argv)
{
	pid_t children[RECEIVERS_MAX];
	uint64_t begun_ns, sent, took_ns, last = 0, now = 1;

	parse(argc, argv);
	shared = mmap(NULL, sizeof(*shared) * receivers, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		load_fail("mmap", NULL);
	for (unsigned int i = 0; i < receivers; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (bus)
				receive_from_bus(&shared[i]);
			else
				receive_from_interface(&shared[i]);
			_exit(1);
		}
		while (!shared[i].ready && waitpid(children[i], NULL, WNOHANG) == 0)
			usleep(1000);
		if (!shared[i].ready)
			load_fail("receiver", "it has ended");
	}
	begun_ns = clock_now_ns();
	sent = bus ? send_to_bus() : send_to_interface(begun_ns);
	took_ns = clock_now_ns() - begun_ns;
	/* Until nothing has come for a while. */
	while (now != last) {
		last = now;
		usleep(300000);
		now = 0;
		for (unsigned int i = 0; i < receivers; i++)
			now += shared[i].count;
	}
	for (unsigned int i = 0; i < receivers; i++)
		kill(children[i], SIGKILL);
	report(sent, took_ns);
	return 0;
}
