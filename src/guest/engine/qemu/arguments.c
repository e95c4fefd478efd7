// SPDX-License-Identifier: BSD-3-Clause
/*
 * The arguments that make QEMU the engine of a guest, and the table of what carries each device
 * type in QEMU. Everything that QEMU opens is inherited: no path of the host is in its arguments.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "device/block/options.h"
#include "device/net/options.h"
#include "guest/config/device_command.h"
#include "guest/config/kernel_parameters.h"
#include "guest/engine/qemu/qemu.h"
#include "host/host_identity.h"

/* From here on a lost connection can be made again after less than a second. */
#define SINCE_RECONNECT_MS ((struct qemu_version){9, 2, 0})
#define RECONNECT_MS	   100

/*
 * Before, a network device with a vhost-user backend sets up KVM's interrupts although the
 * processors are emulated, and takes QEMU down; unless it has no MSI-X.
 */
#define SINCE_EMULATED_VECTORS ((struct qemu_version){8, 0, 0})

/* A virtual PCI device of VIRTIO 1: what the driver of the first drafts needs is left out. */
#define MODERN "disable-legacy=on"

/* QEMU's identifiers start with a letter, our names may start with a digit. */
#define ID "avp-%s"

static void add_block(struct arguments *arguments, const struct device_config *device,
		      const struct qemu_context *context)
{
	const struct block_options *block = device->options;
	const char *name = device->name;

	arguments_add(arguments, "-device");
	/*
	 * Packed rings are faster, and safe here: what is in flight is known to the device process
	 * (INFLIGHT_SHMFD), while QEMU cannot tell the next one where a packed ring stands.
	 */
	arguments_add_format(arguments,
			     "vhost-user-blk-pci,id=" ID ",chardev=socket-%s,num-queues=%" PRIu64
			     ",queue-size=%" PRIu64 ",packed=on," MODERN,
			     name, name, block->queues, block->queue_size);
}

static void add_net(struct arguments *arguments, const struct device_config *device,
		    const struct qemu_context *context)
{
	const struct net_options *net = device->options;
	const char *name = device->name;
	char host[HOST_IDENTITY_LENGTH];
	uint8_t mac[6];

	device_mac(mac, net->mac, host_identity_read(host), context->guest_name, name);
	arguments_add(arguments, "-netdev");
	arguments_add_format(arguments, "vhost-user,id=net-%s,chardev=socket-%s,queues=%" PRIu64,
			     name, name, net->queue_pairs);
	arguments_add(arguments, "-device");
	/* Without a boot ROM, which may not be installed and costs the firmware time. */
	arguments_add_format(arguments,
			     "virtio-net-pci,id=" ID
			     ",netdev=net-%s,mac=%02x:%02x:%02x:%02x:%02x:%02x,romfile=," MODERN,
			     name, name, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	if (net->queue_pairs > 1)
		arguments_extend(arguments, ",mq=on");
	if (!context->kvm && !qemu_version_reaches(context->version, SINCE_EMULATED_VECTORS))
		arguments_extend(arguments, ",vectors=0");
	else if (net->queue_pairs > 1)
		/* An interrupt for each queue, the control queue and configuration changes. */
		arguments_extend(arguments, ",vectors=%" PRIu64, 2 * net->queue_pairs + 2);
	if (net->mtu)
		arguments_extend(arguments, ",host_mtu=%" PRIu64, net->mtu);
}

static void add_entropy(struct arguments *arguments, const struct device_config *device,
			const struct qemu_context *context)
{
	const char *name = device->name;

	/* It has never been anything but modern, and has no property that says so. */
	arguments_add(arguments, "-device");
	arguments_add_format(arguments, "vhost-user-rng-pci,id=" ID ",chardev=socket-%s", name,
			     name);
}

/*
 * By QEMU's history: hw/virtio/vhost-user-blk.c came in January 2018, `queues` of -netdev
 * vhost-user in September 2015, hw/virtio/vhost-user-rng.c in October 2021. The last wants its
 * connection at once, which excludes reconnecting, and would not negotiate on another one.
 */
const struct qemu_device qemu_devices[] = {
	{"block", "vhost-user-blk-pci", {2, 12, 0}, true, add_block},
	{"net", "virtio-net-pci", {2, 5, 0}, true, add_net},
	{"entropy", "vhost-user-rng-pci", {6, 2, 0}, false, add_entropy},
	{.type = NULL},
};

const struct qemu_device *qemu_device_find(const char *type)
{
	for (const struct qemu_device *row = qemu_devices; row->type; row++)
		if (!strcmp(row->type, type))
			return row;
	return NULL;
}

/* @kvm: the processors run on KVM; else they are emulated, each by a thread of its own. */
static void add_machine(struct arguments *arguments, const struct guest_config *config, bool kvm)
{
	uint64_t kibibytes = config->memory / 1024;

	arguments_add(arguments, "-name");
	arguments_add(arguments, config->name ? config->name : "guest");
	arguments_add(arguments, "-no-user-config");
	arguments_add(arguments, "-nodefaults");
	arguments_add(arguments, "-display");
	arguments_add(arguments, "none");
	arguments_add(arguments, "-accel");
	arguments_add(arguments, kvm ? "kvm" : "tcg,thread=multi");
	arguments_add(arguments, "-cpu");
	arguments_add(arguments, kvm ? "host" : QEMU_CPU);
	arguments_add(arguments, "-smp");
	arguments_add_format(arguments, "%" PRIu64, config->cpus);
	arguments_add(arguments, "-m");
	arguments_add_format(arguments, "%" PRIu64 "K", kibibytes);
	/* Shared, as the device processes map it. */
	arguments_add(arguments, "-object");
	arguments_add_format(arguments,
			     "memory-backend-memfd,id=memory,size=%" PRIu64 "K,share=on%s",
			     kibibytes, config->huge_pages ? ",hugetlb=on" : "");
	arguments_add(arguments, "-machine");
	arguments_add(arguments, QEMU_MACHINE);
#ifdef QEMU_GLOBAL
	arguments_add(arguments, "-global");
	arguments_add(arguments, QEMU_GLOBAL);
#endif
}

int qemu_command_line(char **line, const struct guest_config *config, struct error *error)
{
	const char *append = config->append ? config->append : "";

	/* A bundle need not know which console its engine has. */
	if (kernel_parameters_have(append, "console="))
		return text_replace(line, append, strlen(append), error);
	return text_replace_format(line, error, "console=" QEMU_CONSOLE "%s%s", *append ? " " : "",
				   append);
}

static void add_kernel(struct arguments *arguments, const struct qemu_descriptors *descriptors,
		       const char *command_line)
{
	arguments_add(arguments, "-kernel");
	arguments_add_format(arguments, "/proc/self/fd/%d", descriptors->kernel);
	if (descriptors->initrd >= 0) {
		arguments_add(arguments, "-initrd");
		arguments_add_format(arguments, "/proc/self/fd/%d", descriptors->initrd);
	}
	arguments_add(arguments, "-append");
	arguments_add(arguments, command_line);
}

void qemu_arguments(struct arguments *arguments, const struct engine_setup *setup,
		    struct qemu_version version, const struct qemu_descriptors *descriptors,
		    const char *command_line)
{
	const struct qemu_context context = {
		.version = version,
		.kvm = setup->kvm->verdict == KVM_PROBE_WORKS,
		.guest_name = setup->config->name,
	};

	add_machine(arguments, setup->config, context.kvm);
	add_kernel(arguments, descriptors, command_line);

	arguments_add(arguments, "-chardev");
	arguments_add_format(arguments, "socket,id=console,fd=%d", descriptors->console);
	arguments_add(arguments, "-serial");
	arguments_add(arguments, "chardev:console");

	/* Not before the control connection is there, so that no event is missed. */
	arguments_add(arguments, "-S");
	arguments_add(arguments, "-chardev");
	arguments_add_format(arguments, "socket,id=control,fd=%d", descriptors->control);
	arguments_add(arguments, "-mon");
	arguments_add(arguments, "chardev=control,mode=control");
	arguments_add(arguments, "-device");
	arguments_add(arguments, QEMU_PANIC);
	arguments_add(arguments, "-action");
	arguments_add(arguments, "panic=shutdown");

	for (size_t i = 0; i < setup->device_count; i++) {
		const struct engine_device *device = &setup->devices[i];
		const struct qemu_device *row = qemu_device_find(device->config->type->name);

		arguments_add(arguments, "-chardev");
		arguments_add_format(arguments, "socket,id=socket-%s,path=/proc/self/fd/%d",
				     device->config->name, device->connect_fd);
		if (row->reconnects && qemu_version_reaches(version, SINCE_RECONNECT_MS))
			arguments_extend(arguments, ",reconnect-ms=%d", RECONNECT_MS);
		else if (row->reconnects)
			arguments_extend(arguments, ",reconnect=1");
		row->add(arguments, device->config, &context);
	}
}
