// SPDX-License-Identifier: BSD-3-Clause
/*
 * Builds the arguments of QEMU; those of a device come from what its type says of QEMU. QEMU
 * inherits every file as a descriptor: its arguments contain no path of the host.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "guest/config/device_command.h"
#include "guest/engine/qemu/qemu.h"
#include "host/host_identity.h"

/* Since this version QEMU can reconnect within less than a second. */
#define SINCE_RECONNECT_MS ((struct qemu_version){9, 2, 0})
#define RECONNECT_MS	   100

/* The property that says how many interrupts (MSI-X) a device has. */
#define VECTORS "vectors"

/* QEMU's identifiers start with a letter, our names may start with a digit. */
#define ID "avp-%s"

/* The machine that devices are added to. */
struct context {
	struct qemu_version version;
	bool kvm; /* the vCPUs run on KVM; else they are emulated */
	const char *guest_name;
};

/* Adds a property of a device whose value is an option's. */
static void add_option(struct arguments *arguments, const struct qemu_property *property,
		       const struct device_config *device, const struct context *context)
{
	const struct option_row *row =
		option_find(device->type->options, property->option, strlen(property->option));
	char host[HOST_IDENTITY_LENGTH];
	uint64_t number;
	uint8_t mac[6];

	if (row->type == OPTION_MAC) {
		device_mac(mac, (const uint8_t *)device->options + row->offset,
			   host_identity_read(host), context->guest_name, device->name);
		arguments_extend(arguments, ",%s=%02x:%02x:%02x:%02x:%02x:%02x", property->name,
				 mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
		return;
	}
	number = option_number(row, device->options);
	if (number <= property->above)
		return;
	if (property->text)
		arguments_extend(arguments, ",%s=%s", property->name, property->text);
	else
		arguments_extend(arguments, ",%s=%" PRIu64, property->name,
				 (property->factor ? property->factor * number : number) +
					 property->plus);
}

static bool may_have_vectors(const struct qemu_device *qemu, const struct context *context)
{
	return context->kvm || qemu_version_reaches(context->version, qemu->emulated_vectors_since);
}

static void add_properties(struct arguments *arguments, const struct qemu_property *properties,
			   const struct device_config *device, const struct context *context)
{
	bool vectors = may_have_vectors(device->type->qemu, context);

	for (const struct qemu_property *property = properties; property && property->name;
	     property++)
		if (!vectors && !strcmp(property->name, VECTORS))
			continue;
		else if (property->option)
			add_option(arguments, property, device, context);
		else
			arguments_extend(arguments, ",%s=%s", property->name, property->text);
}

static void add_device(struct arguments *arguments, const struct engine_device *engine_device,
		       const struct context *context)
{
	const struct device_config *device = engine_device->config;
	const struct qemu_device *qemu = device->type->qemu;
	const char *name = device->name, *backend = qemu->netdev ? "netdev=net" : "chardev=socket";

	arguments_add(arguments, "-chardev");
	arguments_add_format(arguments, "socket,id=socket-%s,path=/proc/self/fd/%d", name,
			     engine_device->connect_fd);
	if (qemu->reconnects && qemu_version_reaches(context->version, SINCE_RECONNECT_MS))
		arguments_extend(arguments, ",reconnect-ms=%d", RECONNECT_MS);
	else if (qemu->reconnects)
		arguments_extend(arguments, ",reconnect=1");
	if (qemu->netdev) {
		arguments_add(arguments, "-netdev");
		arguments_add_format(arguments, "vhost-user,id=net-%s,chardev=socket-%s", name,
				     name);
		add_properties(arguments, qemu->netdev, device, context);
	}
	arguments_add(arguments, "-device");
	arguments_add_format(arguments, "%s,id=" ID ",%s-%s", qemu->name, name, backend, name);
	add_properties(arguments, qemu->properties, device, context);
	if (!may_have_vectors(qemu, context))
		arguments_extend(arguments, "," VECTORS "=0");
}

/* @kvm: the vCPUs run on KVM; else each is emulated by a thread of its own. */
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
	/* Shared, because the device processes map it. */
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

static void add_kernel(struct arguments *arguments, const struct engine_launch *launch)
{
	arguments_add(arguments, "-kernel");
	arguments_add_format(arguments, "/proc/self/fd/%d", launch->files[ENGINE_KERNEL]);
	if (launch->files[ENGINE_INITRD] >= 0) {
		arguments_add(arguments, "-initrd");
		arguments_add_format(arguments, "/proc/self/fd/%d", launch->files[ENGINE_INITRD]);
	}
	arguments_add(arguments, "-append");
	arguments_add(arguments, launch->command_line);
}

void qemu_arguments(struct arguments *arguments, const struct engine_setup *setup,
		    struct qemu_version version, const struct engine_launch *launch)
{
	const struct context context = {
		.version = version,
		.kvm = setup->kvm->verdict == KVM_PROBE_WORKS,
		.guest_name = setup->config->name,
	};

	add_machine(arguments, setup->config, context.kvm);
	add_kernel(arguments, launch);

	arguments_add(arguments, "-chardev");
	arguments_add_format(arguments, "socket,id=console,fd=%d", launch->console);
	arguments_add(arguments, "-serial");
	arguments_add(arguments, "chardev:console");

	/* Start stopped until the control connection is there, so that no event is lost. */
	arguments_add(arguments, "-S");
	arguments_add(arguments, "-chardev");
	arguments_add_format(arguments, "socket,id=control,fd=%d", launch->control);
	arguments_add(arguments, "-mon");
	arguments_add(arguments, "chardev=control,mode=control");
	arguments_add(arguments, "-device");
	arguments_add(arguments, QEMU_PANIC);
	arguments_add(arguments, "-action");
	arguments_add(arguments, "panic=shutdown");

	for (size_t i = 0; i < setup->device_count; i++)
		add_device(arguments, &setup->devices[i], &context);
}
