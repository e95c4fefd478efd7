// SPDX-License-Identifier: BSD-3-Clause
/* A network device on the user-mode network in a test, and a guest made of a few frames. */
#ifndef AVP_DEVICE_NET_USER_TEST_USER_NET_RIG_H
#define AVP_DEVICE_NET_USER_TEST_USER_NET_RIG_H

#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/event_loop.h"
#include "device/net/net.h"
#include "device/net/user/user_net.h"
#include "unit/device_rig.h"

/* Receive buffers of the guest: more than most tests need. */
#define USER_NET_BUFFERS 900

#define USER_NET_GUEST	 "10.0.2.15"
#define USER_NET_GATEWAY "10.0.2.2"

extern const uint8_t user_net_mac[ETH_ALEN]; /* of the guest */
extern const uint8_t user_net_gateway_mac[ETH_ALEN];

struct user_net_rig {
	struct event_loop loop;
	struct user_net *user;
	struct net_device net;
	struct virtqueue queues[3];
	struct device_rig rig;
	uint8_t frame[2048]; /* the last received */
	size_t length;
	uint16_t urgent; /* the urgent pointer of segments that the guest sends */
	bool damage;	 /* damage their checksum */
};

struct __attribute__((packed)) user_net_packet {
	struct ether_header ethernet;
	struct iphdr ip;
	union {
		struct __attribute__((packed)) {
			struct udphdr udp;
			uint8_t data[1500];
		};
		struct tcphdr tcp;
	};
};

/* Starts the device and gives it buffers. Skips the test where libslirp is not installed. */
struct user_net_rig *user_net_rig_start(const struct port_forward *forwards, size_t count,
					bool host_loopback);
struct user_net_rig *user_net_rig_start_with(const struct user_net_settings *settings);
void user_net_rig_stop(struct user_net_rig *f);
/* The driver resets the device and starts it again. */
void user_net_rig_restart(struct user_net_rig *f);

/* The guest sends a frame. */
void user_net_rig_send(struct user_net_rig *f, const void *frame, size_t length);

/* Takes the next frame for the guest into f->frame; false when there is none. */
bool user_net_rig_take(struct user_net_rig *f);
/*
 * Runs the loop until a frame for the guest comes, other than a request for its Ethernet address:
 * it answers that.
 */
void user_net_rig_wait(struct user_net_rig *f);
const struct user_net_packet *user_net_rig_received(const struct user_net_rig *f);

/*
 * Fills in Ethernet and IP headers of the guest for @length bytes after them. Returns the frame's
 * length.
 */
size_t user_net_rig_wrap(struct user_net_packet *packet, const uint8_t *destination,
			 uint8_t protocol, const char *from, const char *to, size_t length);

/* As it is in headers. @sum: a partial sum. */
uint16_t user_net_rig_checksum(const void *data, size_t length, uint32_t sum);

/* Sends DHCP message @type; the answer's type is returned, its address put in *address. */
uint8_t user_net_rig_dhcp(struct user_net_rig *f, uint8_t type, in_addr_t *address);

/* Sends a TCP segment of the guest to @to. */
void user_net_rig_send_tcp(struct user_net_rig *f, const uint8_t *mac, uint16_t from_port,
			   const char *to, uint16_t to_port, uint8_t flags, uint32_t sequence,
			   uint32_t acknowledged, const char *text);
/* The same with any data. */
void user_net_rig_send_segment(struct user_net_rig *f, const uint8_t *mac, uint16_t from_port,
			       const char *to, uint16_t to_port, uint8_t flags, uint32_t sequence,
			       uint32_t acknowledged, const void *data, size_t length);
/* The checksum of the TCP segment that was received last, over itself too: 0. */
uint16_t user_net_rig_tcp_checksum(const struct user_net_rig *f);
/* Waits for a TCP segment with these flags. */
void user_net_rig_wait_tcp(struct user_net_rig *f, uint8_t flags);

/*
 * Opens a connection of the guest, from port 5000 with sequence number 1001 next, to a listening
 * socket of the host at @port. Returns the host's end.
 */
int user_net_rig_connect(struct user_net_rig *f, int listener, uint16_t port, uint32_t *theirs);

/* A socket of the host, bound to a port of its own on 127.0.0.1; *port in host byte order. */
int user_net_rig_socket(int type, uint16_t *port);
/* Whether a connection waits at a listening socket. */
bool user_net_rig_pending(int listener);
/* A port that is probably free. */
uint16_t user_net_rig_free_port(int type);

#endif
