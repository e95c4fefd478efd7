// SPDX-License-Identifier: BSD-3-Clause
/*
 * The process of the CAN bus, with its sandbox, between two good clients and others that are
 * hostile and get killed, as it is itself, at random moments. AVP_KILLS is the number of kills
 * (40), AVP_SEED that of the schedule.
 *
 * The good clients notice nothing while others come and go: each frame of one gets its
 * acknowledgement, and the other gets each of them once, in order. When the service dies, they join
 * the next one; frames under way are lost, and none comes twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/socket_fd.h"
#include "base/clock.h"
#include "base/process.h"
#include "base/program_path.h"
#include "host/service_link.h"
#include "service/can_bus/client.h"
#include "unit/scratch.h"

#define PROGRAM "service-can-bus"

/* Frames under way, and those of a kill. */
#define WINDOW 24
#define FRAMES 2000

/* A test that hangs ends; no other time counts. */
#define LIMIT_MS   120000
#define JOIN_MS	   60000

#define FRAME_ID   0x700
#define HOSTILE_ID 0

static const char config[] =
	"{\"clients\": {\"a\": {\"receive\": [\"700\"]}, \"b\": {\"receive\": [\"700\"]},"
	" \"hostile\": {\"frames-per-second\": 2000, \"burst\": 10}}}";

static struct scratch scratch;
static char socket_path[128], config_path[128];
static struct process service;

/* One of the good clients. */
struct node {
	struct can_bus_client client;
	unsigned int started;
	uint32_t next;	 /* the number of the next frame to send, or to come */
	uint32_t acked;	 /* frames on the bus, or under way when the service died */
	uint32_t missed; /* numbers that did not come */
};

static void on_started(void *context)
{
	((struct node *)context)->started++;
}

static void on_unexpected(void *context)
{
	fail_msg("the service has stopped a good client");
}

static void on_sent(void *context, uint32_t tag, bool success)
{
	struct node *node = context;

	assert_true(success);
	assert_int_equal(tag, node->acked);
	node->acked++;
}

static void on_received(void *context, const struct can_bus_received *message)
{
	struct node *node = context;
	uint32_t number;

	assert_int_equal(message->frame.id, FRAME_ID);
	memcpy(&number, message->frame.data, sizeof(number));
	/* In order, and not twice. */
	assert_true(number >= node->next);
	node->missed += number - node->next;
	node->next = number + 1;
}

static const struct can_bus_client_ops ops = {on_started, on_unexpected, on_unexpected, on_sent,
					      on_received};

static void start_service(void)
{
	const char *const argv[] = {PROGRAM,	 "--socket-path", socket_path, "--config",
				    config_path, "--ready-fd",	  NULL,	       NULL};
	char path[PATH_MAX], number[16], byte;
	struct error error;
	int ready[2];

	assert_int_equal(program_path_find(PROGRAM, path, &error), 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	snprintf(number, sizeof(number), "%d", ready[1]);
	((const char **)argv)[6] = number;
	if (process_spawn(&service,
			  &(struct process_spawn){
				  .program = path,
				  .argv = argv,
				  .kept_fds = &ready[1],
				  .kept_fd_count = 1,
				  .stdin_fd = -1,
				  .stdout_fd = -1,
				  .stderr_fd = -1,
			  },
			  &error) < 0)
		fail_msg("%s", error.message);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
}

static void kill_service(void)
{
	int status;

	assert_int_equal(kill(service.pid, SIGKILL), 0);
	assert_int_equal(waitpid(service.pid, &status, 0), service.pid);
	/* It ran until then. */
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	close(service.pidfd);
}

static void stop_service(void)
{
	int status;

	assert_int_equal(kill(service.pid, SIGTERM), 0);
	assert_int_equal(waitpid(service.pid, &status, 0), service.pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(service.pidfd);
}

/* Hostile clients: each in a process of its own, without end. */

/* How often they have joined: shared with them. */
static volatile unsigned int *joined;

static int hostile_socket(void)
{
	struct error error;
	int fd = service_link_join(socket_path, "hostile", JOIN_MS, &error);

	/* The service may be dead. */
	if (fd < 0)
		_exit(0);
	++*joined;
	return fd;
}

static void hostile_join(struct can_bus_client *client)
{
	static struct node ignored;
	struct error error;

	can_bus_client_init(client, &ops, &ignored);
	if (can_bus_client_attach(client, hostile_socket(), &error) < 0)
		_exit(0);
	can_bus_client_start(client);
	/* Whether it has started already is not looked at. */
	client->participates = true;
}

static void flood(uint64_t seed)
{
	const struct can_bus_frame frame = {.id = HOSTILE_ID, .length = 8};
	struct can_bus_client client;

	hostile_join(&client);
	for (;;) {
		struct channel_message message;

		while (can_bus_client_send(&client, 0, &frame))
			;
		can_bus_client_flush(&client);
		while (channel_receive(&client.channel, &message) > 0)
			channel_consume(&client.channel);
		channel_release(&client.channel);
		if (channel_woken(&client.channel) < 0)
			_exit(0);
	}
}

static void stop_reading(uint64_t seed)
{
	const struct can_bus_frame frame = {.id = HOSTILE_ID, .length = 8};
	struct can_bus_client client;

	hostile_join(&client);
	while (can_bus_client_send(&client, 0, &frame))
		;
	can_bus_client_flush(&client);
	pause();
}

/* A header whose content never comes, behind a few good messages. */
static void break_off(uint64_t seed)
{
	const struct can_bus_frame frame = {.id = HOSTILE_ID, .length = 8};
	struct can_bus_client client;
	struct channel_span span;

	for (;;) {
		hostile_join(&client);
		for (uint64_t i = 0; i < seed % 8; i++)
			can_bus_client_send(&client, 0, &frame);
		can_bus_client_flush(&client);
		channel_reserve(&client.channel, 1000, &span);
		channel_commit(&client.channel, CAN_BUS_SEND);
		*(uint32_t *)(client.channel.memory + 192) += 1;
		can_bus_client_detach(&client);
	}
}

/* Anything anywhere in the memory, with wake-ups. */
static void scribble(uint64_t seed)
{
	struct can_bus_client client;

	for (;;) {
		const size_t size = 4096 + 2 * (size_t)CAN_BUS_SLOTS * CAN_BUS_SLOT_SIZE;

		hostile_join(&client);
		can_bus_client_flush(&client);
		for (int i = 0; i < 100; i++) {
			/* The first 4096 bytes are the indexes. */
			size_t at = (size_t)rand() % (rand() % 2 ? 400 : size);

			client.channel.memory[at] = (uint8_t)rand();
			send(client.channel.socket, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		}
		can_bus_client_detach(&client);
	}
}

static void wake_for_nothing(uint64_t seed)
{
	struct can_bus_client client;

	hostile_join(&client);
	for (;;)
		if (send(client.channel.socket, "", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE)
			_exit(0);
}

/* Tries to cut the memory, to seal it, and to make holes; maps it, and something else over it. */
static void change_memory(uint64_t seed)
{
	const size_t size = 4096 + 2 * (size_t)CAN_BUS_SLOTS * CAN_BUS_SLOT_SIZE;

	for (;;) {
		uint32_t offer[4];
		int fd = hostile_socket(), memory;
		uint8_t *mapped;

		if (socket_receive_fd(fd, offer, sizeof(offer), &memory, 0) != sizeof(offer))
			_exit(0);
		if (ftruncate(memory, 0) == 0 || ftruncate(memory, 2 * (off_t)size) == 0 ||
		    fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE) == 0)
			_exit(1);
		mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
		if (mapped == MAP_FAILED)
			_exit(1);
		fallocate(memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)size);
		mmap(mapped, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		     -1, 0);
		*(uint32_t *)(mapped + 192) = 1;
		send(fd, "", 1, MSG_NOSIGNAL);
		munmap(mapped, size);
		close(memory);
		close(fd);
	}
}

static void (*const hostile[])(uint64_t seed) = {
	flood, stop_reading, break_off, scribble, wake_for_nothing, change_memory,
};

static pid_t start_hostile(void)
{
	unsigned int which = (unsigned int)rand() % (sizeof(hostile) / sizeof(hostile[0]));
	unsigned int seed = (unsigned int)rand();
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	srand(seed);
	hostile[which](seed);
	_exit(0);
}

static void kill_hostile(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* One that noticed something wrong itself ends with 1. */
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
}

/* The good clients */

/* Takes what has come. False: the service is gone. */
static bool take(struct node *node)
{
	bool unblocked;

	assert_true(can_bus_client_poll(&node->client, 1000, &unblocked) >= 0);
	can_bus_client_flush(&node->client);
	return can_bus_client_woken(&node->client) == 0;
}

static void sleep_on(struct node *a, struct node *b)
{
	struct pollfd fds[] = {{a->client.channel.socket, POLLIN, 0},
			       {b->client.channel.socket, POLLIN, 0}};

	if (!can_bus_client_prepare_sleep(&a->client) && !can_bus_client_prepare_sleep(&b->client))
		assert_true(poll(fds, 2, LIMIT_MS) > 0);
}

static void join(struct node *node, const char *name)
{
	unsigned int before = node->started;
	struct error error;
	int fd = service_link_join(socket_path, name, JOIN_MS, &error);

	if (fd < 0)
		fail_msg("%s", error.message);
	can_bus_client_init(&node->client, &ops, node);
	assert_int_equal(can_bus_client_attach(&node->client, fd, &error), 0);
	can_bus_client_start(&node->client);
	for (assert_true(take(node)); node->started == before; assert_true(take(node)))
		sleep_on(node, node);
}

static void send_frames(struct node *a, uint32_t end)
{
	struct can_bus_frame frame = {.id = FRAME_ID, .length = 4};

	while (a->next < end && a->next - a->acked < WINDOW) {
		memcpy(frame.data, &a->next, sizeof(a->next));
		assert_true(can_bus_client_send(&a->client, a->next, &frame));
		a->next++;
	}
	can_bus_client_flush(&a->client);
}

/* Sends frames up to number @end, and waits until b has them. False: the service is gone. */
static bool exchange(struct node *a, struct node *b, uint32_t end)
{
	for (;;) {
		bool there;

		send_frames(a, end);
		there = take(a);
		there &= take(b);
		if (!there || (b->next >= end && a->acked >= end))
			return there;
		if (a->next == end || a->next - a->acked == WINDOW)
			sleep_on(a, b);
	}
}

static void meet_again(struct node *a, struct node *b)
{
	/* What it had published may still be taken. */
	take(a);
	take(b);
	can_bus_client_detach(&a->client);
	can_bus_client_detach(&b->client);
	start_service();
	join(a, "a");
	join(b, "b");
	/* b must not have seen what was never sent, and lost at most what was under way. */
	assert_true(b->next <= a->next && b->next + 2 * WINDOW >= a->next);
	a->acked = a->next;
	b->missed += a->next - b->next;
	b->next = a->next;
}

static void test_kills(void **state)
{
	unsigned int kills = getenv("AVP_KILLS") ? (unsigned int)atoi(getenv("AVP_KILLS")) : 40;
	unsigned int seed = getenv("AVP_SEED") ? (unsigned int)atoi(getenv("AVP_SEED")) :
						 (unsigned int)clock_now_ns();
	struct node a = {0}, b = {0};

	/* The search for leaks needs rights that the service has dropped. */
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	print_message("%u kills, seed %u\n", kills, seed);
	srand(seed);
	joined = mmap(NULL, sizeof(*joined), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	assert_true(joined != MAP_FAILED);
	scratch_make(&scratch);
	snprintf(socket_path, sizeof(socket_path), "%s", scratch_path(&scratch, "bus.sock"));
	snprintf(config_path, sizeof(config_path), "%s",
		 scratch_write(&scratch, "bus.json", config, strlen(config)));
	start_service();
	join(&a, "a");
	join(&b, "b");
	for (unsigned int i = 0; i < kills; i++) {
		uint32_t missed = b.missed;
		unsigned int before = *joined;
		pid_t pid = start_hostile();
		uint32_t at;

		while (*joined == before)
			assert_true(exchange(&a, &b, a.next + 1));
		at = a.next + (uint32_t)rand() % FRAMES;
		assert_true(exchange(&a, &b, at));
		if (rand() % 4 == 0) {
			/* With frames under way. */
			send_frames(&a, at + (uint32_t)rand() % WINDOW);
			kill_service();
			meet_again(&a, &b);
			kill_hostile(pid);
		} else {
			kill_hostile(pid);
			assert_true(exchange(&a, &b, at + FRAMES / 10));
			assert_int_equal(b.missed, missed);
		}
	}
	can_bus_client_detach(&a.client);
	can_bus_client_detach(&b.client);
	stop_service();
	munmap((void *)joined, sizeof(*joined));
	scratch_remove(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kills),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
