// SPDX-License-Identifier: BSD-3-Clause
/*
 * Chapter net: control commands other than steering (VIRTIO 1.4, 5.1.9.5). The gateway sends an ARP
 * reply to the address in the request, so a filter test can make it send frames to any address.
 */
#include "devices/net.h"
#include "host.h"
#include "pages.h"
#include "tests/rings.h"

#define NET	  .device = VIRTIO_ID_NET
#define CTRL_RX	  FEATURE(VIRTIO_NET_F_CTRL_RX)
#define EXTRA	  FEATURE(NET_F_CTRL_RX_EXTRA)
#define MS	  250 /* time in which an expected frame arrives */
#define BEHIND_MS 30  /* the same after a later frame has arrived */

#define FIRST	  100 /* host part of our own address; requests use the ones above it */

static const uint8_t stranger[6] = {2, 0x41, 0x56, 0x50, 0, 0x77};
static const uint8_t group[6] = {3, 0x41, 0x56, 0x50, 0, 0x78};
static const uint8_t everyone[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* Asks the gateway, as host @self, to answer to @address. */
static void ask(struct net *net, uint8_t self, const uint8_t address[6])
{
	uint8_t own[6];

	memcpy(own, net->mac, 6);
	memcpy(net->mac, address, 6);
	net_form_arp(net, self, 2);
	memcpy(net->mac, own, 6);
	net_send(net, net->header + FRAME_MIN, 0);
}

/*
 * Does a frame to @address arrive? A frame to ourselves follows it: once that is here, the other
 * one was dropped.
 */
static bool comes_to(struct net *net, const uint8_t address[6])
{
	static uint8_t self = FIRST;
	struct net_frame frame;
	unsigned int ms = MS;
	uint32_t index;

	self = self < 250 ? self + 1 : FIRST + 1;
	ask(net, self, address);
	ask(net, FIRST, net->mac);
	for (int i = 0; i < 1000 && net_wait(net, &frame, &index, ms); i++) {
		bool came = net_is_arp(net, &frame, self);

		if (net_is_arp(net, &frame, FIRST))
			ms = BEHIND_MS;
		net_offer(net, index);
		queue_kick(net->receive);
		if (came)
			return true;
	}
	return false;
}

static void set_mode(struct queue *queue, uint8_t command, uint8_t on)
{
	check(net_control(queue, VIRTIO_NET_CTRL_RX, command, &on, 1) == VIRTIO_NET_OK,
	      "command %u with %u is rejected", command, on);
}

static void set_table(struct queue *queue, const uint8_t *single, const uint8_t *multiple)
{
	uint8_t table[20] = {0};
	uint32_t size = 4;

	if (single) {
		table[0] = 1;
		memcpy(table + 4, single, 6);
		size += 6;
	}
	table[size] = multiple ? 1 : 0;
	size += 4;
	if (multiple) {
		memcpy(table + size, multiple, 6);
		size += 6;
	}
	check(net_control(queue, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table, size) ==
		      VIRTIO_NET_OK,
	      "a table of %u bytes is rejected", size);
}

/* Opens the device with all modes off; skips unless the gateway sends to any address. */
static struct queue *open_filter(struct net *net, uint64_t features)
{
	struct queue *queue = net_open_control(net, CTRL_RX | features, 0, NET_BUFFERS);
	uint8_t gateway[6];

	if (!(net->device->negotiated & CTRL_RX))
		skip("%s does not offer VIRTIO_NET_F_CTRL_RX", device_name(net->device));
	net_find_gateway(net, gateway);
	set_mode(queue, VIRTIO_NET_CTRL_RX_PROMISC, 1);
	if (!comes_to(net, stranger))
		skip("the gateway sends nothing to addresses other than the device's");
	set_mode(queue, VIRTIO_NET_CTRL_RX_PROMISC, 0);
	return queue;
}

static void expect(struct net *net, const uint8_t address[6], bool wanted, const char *what)
{
	const char *kind = address[0] == 0xff  ? "broadcast" :
			   address[0] & 1      ? "multicast" :
			   address == net->mac ? "own" :
						 "foreign";

	check(comes_to(net, address) == wanted, "SHOULD: a %s frame %s %s", kind,
	      wanted ? "does not arrive" : "arrives", what);
}

TEST(net_rx_filter, "AVP-NET-029", NET, .limit_ms = 40000)
{
	struct net net;
	struct queue *queue = open_filter(&net, EXTRA);
	uint8_t command;

	expect(&net, net.mac, true, "by its address");
	expect(&net, everyone, true, "by its address");
	expect(&net, stranger, false, "without a mode that accepts it");
	set_mode(queue, VIRTIO_NET_CTRL_RX_PROMISC, 1);
	expect(&net, group, true, "in promiscuous mode");
	set_mode(queue, VIRTIO_NET_CTRL_RX_PROMISC, 0);
	expect(&net, group, false, "without a mode that accepts it");
	set_mode(queue, VIRTIO_NET_CTRL_RX_ALLMULTI, 1);
	expect(&net, group, true, "with all-multicast on");
	expect(&net, stranger, false, "with all-multicast on");
	set_mode(queue, VIRTIO_NET_CTRL_RX_ALLMULTI, 0);
	set_table(queue, stranger, group);
	expect(&net, stranger, true, "by the table");
	expect(&net, group, true, "by the table");
	set_table(queue, NULL, NULL);
	expect(&net, stranger, false, "after it was removed from the table");
	expect(&net, group, false, "after it was removed from the table");
	if (!(net.device->negotiated & EXTRA))
		return;
	set_mode(queue, VIRTIO_NET_CTRL_RX_ALLUNI, 1);
	expect(&net, stranger, true, "with all-unicast on");
	for (command = VIRTIO_NET_CTRL_RX_NOMULTI; command <= VIRTIO_NET_CTRL_RX_NOBCAST;
	     command++) {
		const uint8_t *off = command == VIRTIO_NET_CTRL_RX_NOMULTI ? group :
				     command == VIRTIO_NET_CTRL_RX_NOUNI   ? stranger :
									     everyone;

		set_mode(queue, VIRTIO_NET_CTRL_RX_ALLMULTI, 1);
		set_mode(queue, command, 1);
		expect(&net, off, false, "while its kind is disabled");
		if (off != everyone)
			expect(&net, everyone, true, "while another kind is disabled");
		set_mode(queue, command, 0);
		expect(&net, off, true, "after its kind was enabled again");
	}
}

TEST(net_mac_table, "AVP-NET-030", NET, .limit_ms = 30000)
{
	const uint64_t address = FEATURE(VIRTIO_NET_F_CTRL_MAC_ADDR);
	struct net net;
	struct queue *queue = open_filter(&net, address);
	uint8_t read[6];

	set_table(queue, stranger, group);
	check(comes_to(&net, stranger) && comes_to(&net, group),
	      "a frame to an address in the table did not arrive");
	set_table(queue, stranger, NULL);
	check(comes_to(&net, stranger), "a frame to an address in the table did not arrive");
	/* Only a device that filters can show that a reset empties its table. */
	set_table(queue, NULL, NULL);
	if (!comes_to(&net, stranger)) {
		set_table(queue, stranger, NULL);
		queue = open_filter(&net, address);
		check(!comes_to(&net, stranger), "the table still applies after a reset");
	}
	if (!(net.device->negotiated & address))
		return;
	check(net_control(queue, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, stranger, 6) ==
		      VIRTIO_NET_OK,
	      "an address is rejected");
	for (uint32_t i = 0; i < 6; i++)
		read[i] = (uint8_t)config_read(net.device, i, 1);
	check(!memcmp(read, stranger, 6),
	      "mac ends with %02x%02x after the command that sets %02x%02x", read[4], read[5],
	      stranger[4], stranger[5]);
	check(comes_to(&net, stranger), "a frame to the new address did not arrive");
}

/* Sends a broadcast from one device to the other, with a VLAN tag unless it is 0. */
static bool passes(struct net *from, struct net *to, uint32_t tag)
{
	static uint8_t number;
	uint8_t *ether = from->out + from->header;
	struct net_frame frame;
	uint32_t index;
	bool came = false;

	number++;
	memset(from->out, 0, from->header + 128);
	memset(ether, 0xff, 6);
	memcpy(ether + 6, from->mac, 6);
	if (tag) {
		ether[12] = 0x81;
		ether[14] = (uint8_t)(tag >> 8);
		ether[15] = (uint8_t)tag;
	}
	/* EtherType for local experiments */
	ether[tag ? 16 : 12] = 0x88;
	ether[tag ? 17 : 13] = 0xb5;
	memset(ether + 18, number, 60);
	net_send(from, from->header + 80, 0);
	for (int i = 0; !came && i < 100 && net_wait(to, &frame, &index, MS); i++) {
		came = frame.length >= to->header + 80 &&
		       !memcmp(frame.data + to->header, ether, 80);
		net_offer(to, index);
		queue_kick(to->receive);
	}
	return came;
}

static const uint16_t tags[] = {1, 5, 100, 2047, 4094};
#define TAGS (sizeof(tags) / sizeof(tags[0]))

/* Opens @from on the link of @to, which is open. */
static void open_neighbour(struct net *from, struct net *to)
{
	if (!net_open_nth(from, 1, 0, 0, 0, NET_BUFFER) || !passes(from, to, 0))
		skip("no second network device whose frames reach the first");
}

TEST(net_vlan, "AVP-NET-031", NET, .limit_ms = 20000)
{
	struct net from, to;

	net_open(&to, 0, NET_BUFFERS, NET_BUFFER);
	open_neighbour(&from, &to);
	for (unsigned int i = 0; i < TAGS; i++)
		check(passes(&from, &to, tags[i]),
		      "a frame with VLAN tag %u did not arrive, without VIRTIO_NET_F_CTRL_VLAN",
		      tags[i]);
}

TEST(net_vlan_table, "AVP-NET-031", NET, .limit_ms = 20000)
{
	struct net from, to;
	struct queue *queue =
		net_open_control(&to, FEATURE(VIRTIO_NET_F_CTRL_VLAN), 0, NET_BUFFERS);

	if (!(to.device->negotiated & FEATURE(VIRTIO_NET_F_CTRL_VLAN)))
		skip("%s does not offer VIRTIO_NET_F_CTRL_VLAN", device_name(to.device));
	open_neighbour(&from, &to);
	for (unsigned int i = 0; i < TAGS; i++)
		check(net_control(queue, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, &tags[i],
				  sizeof(tags[i])) == VIRTIO_NET_OK,
		      "VLAN %u is rejected", tags[i]);
	for (unsigned int i = 0; i < TAGS; i++)
		check(passes(&from, &to, tags[i]),
		      "a frame with VLAN tag %u, which is in the table, did not arrive", tags[i]);
}

TEST(net_announce, "AVP-NET-032", NET, .limit_ms = 10000)
{
	struct net net;
	struct queue *queue = net_open_control(
		&net, FEATURE(VIRTIO_NET_F_GUEST_ANNOUNCE) | FEATURE(VIRTIO_NET_F_STATUS), 0, 0);
	struct device *device = net.device;
	uint8_t answer;
	bool asked;

	if (!(device->negotiated & FEATURE(VIRTIO_NET_F_GUEST_ANNOUNCE)))
		skip("%s does not offer VIRTIO_NET_F_GUEST_ANNOUNCE", device_name(device));
	/* The host has to ask, as after a migration. */
	if (host_acts())
		host_announce();
	asked = wait_until(config_read(device, 6, 2) & VIRTIO_NET_S_ANNOUNCE,
			   host_acts() ? HOST_MS : 1000);
	answer =
		net_control(queue, VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, NULL, 0);
	check(!(config_read(device, 6, 2) & VIRTIO_NET_S_ANNOUNCE),
	      "the announce bit is still set after the acknowledgement");
	if (!asked)
		skip("the host did not ask for an announcement");
	check(answer == VIRTIO_NET_OK, "the acknowledgement is answered with %u", answer);
}

TEST(net_queue_reset, "AVP-NET-034", NET, .limit_ms = 20000)
{
	struct net net;
	struct net_frame frame;
	struct device *device;
	uint8_t gateway[6];

	net_open(&net, RING_RESET, NET_BUFFERS, NET_BUFFER);
	device = net.device;
	if (!(device->negotiated & RING_RESET))
		skip("%s does not offer VIRTIO_F_RING_RESET", device_name(device));
	net_find_gateway(&net, gateway);
	for (uint8_t round = 0; round < 5; round++) {
		device->ops->reset_queue(device, 0);
		/* Replies arrive before, while and after the queue is reset. */
		net_send(&net, net_form_arp(&net, (uint8_t)(50 + round), 2), 0);
		check(wait_until(device->ops->queue_in_reset(device, 0) == 0, 2000),
		      "the queue's reset does not complete");
		memset(net.buffers, 0xa5, NET_BUFFERS * NET_BUFFER);
		memset(net.receive->memory, 0xa5, net.receive->ring.layout.size);
		for (int i = 0; i < 5; i++)
			net_send(&net, net_form_arp(&net, 60, 2), 0);
		sleep_ms(20);
		for (uint32_t i = 0; i < NET_BUFFERS * NET_BUFFER; i++)
			check(net.buffers[i] == 0xa5,
			      "a frame was written to a buffer of a queue that was reset");
		for (size_t i = 0; i < net.receive->ring.layout.size; i++)
			check(net.receive->memory[i] == 0xa5,
			      "the ring of a queue that was reset was written to");
		net.receive = net.receives[0] = device_queue(device, 0, 64);
		for (uint32_t i = 0; i < NET_BUFFERS; i++)
			net_offer(&net, i);
		queue_kick(net.receive);
		net_send(&net, net_form_arp(&net, (uint8_t)(70 + round), 2), 0);
		check(net_wait_arp(&net, (uint8_t)(70 + round), gateway, &frame, ANSWER_MS),
		      "no frame arrives at a queue that was reset and enabled again");
	}
}

/* VIRTIO 1.4, 5.1.9.5.10 */
#define COALESCING 6
enum { TX_SET, RX_SET, QUEUE_SET, QUEUE_GET };

struct coalescing {
	uint16_t queue, reserved;
	uint32_t packets, microseconds;
};

static uint8_t get_coalescing(struct queue *queue, uint16_t index, struct coalescing *found)
{
	static struct {
		uint32_t packets, microseconds;
	} result;
	const uint16_t data[2] = {index, 0xffff}; /* reserved fields are ignored */
	/*
	 * The device reads the first half of the structure and writes the second one, so the ack
	 * follows the parameters.
	 */
	static uint8_t head[2] = {COALESCING, QUEUE_GET};
	static volatile uint8_t answer;
	static uint16_t body[2];
	struct driver_buffer buffers[4] = {buffer_of(head, 2), buffer_of(body, 4),
					   buffer_of(&result, 8), buffer_of((void *)&answer, 1)};

	memcpy(body, data, 4);
	answer = NET_NO_ANSWER;
	check(queue_do(queue, buffers, 2, 2, NULL, ANSWER_MS), "the query was not used");
	*found = (struct coalescing){index, 0, result.packets, result.microseconds};
	return answer;
}

static void expect_coalescing(struct queue *queue, uint16_t index, uint32_t packets,
			      const char *when)
{
	struct coalescing found;

	check(get_coalescing(queue, index, &found) == VIRTIO_NET_OK,
	      "the parameters of queue %u cannot be read", index);
	check(found.packets == packets && found.microseconds == packets * 3,
	      "queue %u has max_packets %u and max_usecs %u %s, not %u and %u", index,
	      found.packets, found.microseconds, when, packets, packets * 3);
}

static uint8_t set_coalescing(struct queue *queue, uint8_t command, uint16_t index,
			      uint32_t packets)
{
	const struct coalescing data = {index, 0xffff, packets, packets * 3};
	const bool one = command == QUEUE_SET;

	return net_control(queue, COALESCING, command, (const uint8_t *)&data + (one ? 0 : 4),
			   one ? 12 : 8);
}

static void check_queue_coalescing(struct net *net, struct queue *queue, bool all)
{
	struct device *device = net->device;
	struct coalescing found;

	for (uint16_t i = 0; i < 2; i++)
		expect_coalescing(queue, i, 0, "after a reset");
	check(set_coalescing(queue, QUEUE_SET, 0, 5) == VIRTIO_NET_OK, "queue 0 is rejected");
	expect_coalescing(queue, 0, 5, "after they were set");
	expect_coalescing(queue, 1, 0, "after those of queue 0 were set");
	check(get_coalescing(queue, queue->index, &found) == VIRTIO_NET_ERR &&
		      get_coalescing(queue, 0xfff0, &found) == VIRTIO_NET_ERR,
	      "parameters can be read for the control queue, or for one that does not exist");
	check(set_coalescing(queue, QUEUE_SET, queue->index, 5) == VIRTIO_NET_ERR &&
		      set_coalescing(queue, QUEUE_SET, 0xfff0, 5) == VIRTIO_NET_ERR,
	      "parameters can be set for the control queue, or for one that does not exist");
	if (all) {
		set_coalescing(queue, RX_SET, 0, 7);
		expect_coalescing(queue, 0, 7, "after those of all receive queues were set");
		set_coalescing(queue, QUEUE_SET, 0, 5);
	}
	if (!(device->negotiated & RING_RESET))
		return;
	device->ops->reset_queue(device, 0);
	check(wait_until(device->ops->queue_in_reset(device, 0) == 0, 2000),
	      "the queue's reset does not complete");
	check(get_coalescing(queue, 0, &found) == VIRTIO_NET_ERR,
	      "parameters of a disabled queue can be read");
	device_queue(device, 0, 64);
	expect_coalescing(queue, 0, all ? 7 : 0, "after the queue was enabled again");
}

TEST(net_coalescing, "AVP-NET-038", NET, .limit_ms = 10000)
{
	const uint64_t all = FEATURE(NET_F_COALESCING), one = FEATURE(NET_F_QUEUE_COALESCING);
	struct net net;

	if (!(device_offered(device_find(VIRTIO_ID_NET, TRANSPORT_ANY)) & (all | one)))
		skip("the first network device offers no coalescing");
	/* Twice, because of a reset in between. */
	for (int i = 0; i < 2; i++) {
		struct queue *queue = net_open_control(&net, all | one | RING_RESET, 0, 0);
		uint64_t negotiated = net.device->negotiated;

		if (negotiated & one)
			check_queue_coalescing(&net, queue, negotiated & all);
		if (negotiated & all)
			check(set_coalescing(queue, TX_SET, 0, 1) == VIRTIO_NET_OK &&
				      set_coalescing(queue, RX_SET, 0, 1) == VIRTIO_NET_OK,
			      "parameters for all queues are rejected");
	}
}

/* VIRTIO 1.4, 5.1.9.5.11 */
#define STATISTICS	 8
#define STATISTICS_QUERY 0
#define STATISTICS_GET	 1
#define TYPE_CONTROL	 32

struct statistics_request {
	uint16_t queue, reserved[3];
	uint64_t types;
};

struct statistics_head {
	uint8_t type, reserved;
	uint16_t queue, reserved1, size;
};

/* The counters of each type, 8 bytes each, after the header of the reply. */
static uint32_t reply_size(unsigned int type)
{
	static const struct {
		uint8_t type, counters;
	} rows[] = {{0, 6}, {1, 4}, {2, 4}, {3, 2}, {16, 6}, {17, 2}, {18, 6}, {19, 2}, {32, 2}};

	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].type == type)
			return sizeof(struct statistics_head) + 8u * rows[i].counters;
	return 0;
}

static void get_statistics(struct queue *queue, uint16_t index, unsigned int type)
{
	const struct statistics_request request = {index, {0}, UINT64_C(1) << type};
	uint8_t *result = pages_get(512);
	const struct statistics_head *head = (const struct statistics_head *)result;
	uint32_t written = 0;

	for (uint32_t room = 512; room >= 4; room = room == 512 ? 4 : 0) {
		memset(result, 0xa5, 512);
		check(net_control_result(queue, STATISTICS, STATISTICS_GET, &request,
					 sizeof(request), result, room, &written) == VIRTIO_NET_OK,
		      "statistics %u of queue %u are rejected", type, index);
		check(written <= 1 + room, "used length %u of %u", written, 1 + room);
		for (uint32_t i = written - 1; i < 512; i++)
			check(result[i] == 0xa5, "byte %u was written, the used length is %u", i,
			      written);
		if (room < 512)
			continue;
		check(head->type == type && head->queue == index,
		      "a reply of type %u for queue %u, not %u for %u", head->type, head->queue,
		      type, index);
		check(head->size + 1u == written && head->size == reply_size(type),
		      "a reply of type %u has size %u, with the used length %u", type, head->size,
		      written);
	}
}

TEST(net_statistics, "AVP-NET-039", NET, .limit_ms = 10000)
{
	struct net net;
	struct queue *queue = net_open_control(&net, FEATURE(NET_F_STATISTICS), 0, 0);
	static uint64_t types;
	struct statistics_request wrong[2];
	uint8_t *result = pages_get(512);
	uint32_t written;

	if (!(net.device->negotiated & FEATURE(NET_F_STATISTICS)))
		skip("%s does not offer VIRTIO_NET_F_DEVICE_STATS", device_name(net.device));
	types = 0;
	check(net_control_result(queue, STATISTICS, STATISTICS_QUERY, NULL, 0, &types, 8,
				 &written) == VIRTIO_NET_OK &&
		      written == 9,
	      "the query for types has used length %u", written);
	check(types && !(types & ~UINT64_C(0x1000f000f)), "types 0x%lx are supported", types);
	for (unsigned int type = 0; type <= TYPE_CONTROL; type++)
		if (types & UINT64_C(1) << type)
			get_statistics(queue,
				       type == TYPE_CONTROL ? queue->index :
				       type < 16	    ? 0 :
							      1,
				       type);
	/*
	 * One invalid part of two fails both: a queue that does not exist, an unknown type, a type
	 * of another queue.
	 */
	for (int i = 0; i < 3; i++) {
		wrong[0] = (struct statistics_request){queue->index, {0}, UINT64_C(1) << 32};
		wrong[1] = (struct statistics_request){i == 0 ? 0xfff0 : 0,
						       {0},
						       i == 1 ? UINT64_C(1) << 40 :
						       i == 2 ? UINT64_C(1) << 16 :
								1};
		check(net_control_result(queue, STATISTICS, STATISTICS_GET, wrong, sizeof(wrong),
					 result, 512, &written) == VIRTIO_NET_ERR,
		      "a request for statistics with invalid part %d succeeds", i);
	}
}
