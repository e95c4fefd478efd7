// SPDX-License-Identifier: BSD-3-Clause
/*
 * Unit tests of guest/config/bundle.c: what a config.json gives, and the line that each mistake
 * gets.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file_check.h"
#include "base/log.h"
#include "device/block/options.h"
#include "base/option_path.h"
#include "device/console/console_port.h"
#include "device/console/options.h"
#include "device/net/options.h"
#include "guest/config/bundle.h"
#include "guest/config/confined_file.h"
#include "unit/capture.h"
#include "unit/scratch.h"

#define VM "\"vm\": {\"kernel\": {\"path\": \"/k\"}}"
/* A bundle whose last key is @rest. */
#define BUNDLE(rest)	  "{\"ociVersion\": \"1.3.0\", " VM ", " rest "}"
#define AVP(members)	  BUNDLE("\"avp\": {" members "}")
#define DEVICE(members)	  AVP("\"devices\": [{\"type\": \"entropy\"}, {" members "}]")
#define ANNOTATION(value) BUNDLE("\"annotations\": {\"org.avp.config\": " value "}")
#define HARDWARE(members)                                                                              \
	"{\"ociVersion\": \"1.3.0\", \"vm\": {\"kernel\": {\"path\": \"/k\"}, \"hwConfig\": {" members \
	"}}}"

static struct guest_config config;
static struct error error;

static int parse(const char *text)
{
	memset(&error, 0, sizeof(error));
	return bundle_parse(text, strlen(text), "dir", &config, &error);
}

static int finish(void **state)
{
	guest_config_clear(&config);
	return 0;
}

struct mistake {
	const char *text;
	const char *message;
};

/* Each text is refused with exactly its message, after the file's name. */
static void check_mistakes(const struct mistake *mistakes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char expected[sizeof(error.message)];

		snprintf(expected, sizeof(expected), "dir/config.json: %s", mistakes[i].message);
		if (parse(mistakes[i].text) == 0)
			print_error("accepted: %s\n", mistakes[i].text);
		assert_int_equal(error_exit_status(&error), 2);
		assert_string_equal(error.message, expected);
		/* Nothing leaks. */
		assert_null(config.kernel);
		assert_null(config.devices);
		assert_null(config.source);
	}
}

#define CHECK_MISTAKES(mistakes) check_mistakes(mistakes, sizeof(mistakes) / sizeof(mistakes[0]))

static void a_whole_bundle_is_read(void **state)
{
	static const char text[] =
		"{\"ociVersion\": \"1.3.0\", \"process\": {\"args\": 7}, \"root\": null,"
		" \"vm\": {\"kernel\": {\"path\": \"/boot/k\", \"initrd\": \"/boot/i\","
		"   \"parameters\": [\"console=ttyS0\", \"quiet\"]},"
		"  \"image\": {\"path\": \"/disks/root.img\", \"format\": \"raw\"},"
		"  \"hwConfig\": {\"vcpus\": 4, \"memory\": 1073741824, \"irqs\": []}},"
		" \"avp\": {\"name\": \"cluster\", \"engine\": \"qemu\", \"devices\": ["
		"  {\"type\": \"block\", \"file\": \"data.img\", \"readonly\": true,"
		"   \"serial\": \"A1\", \"queues\": 2, \"cache\": \"writethrough\"},"
		"  {\"type\": \"net\", \"name\": \"wan\", \"user\": true, \"mtu\": 1400,"
		"   \"mac\": \"52:54:00:00:00:01\", \"forward\": [\"tcp:80:80\", \"udp:1:2\"]},"
		"  {\"type\": \"block\", \"file\": \"/abs.img\"},"
		"  {\"type\": \"entropy\"}]}}";
	const struct block_options *block;
	const struct net_options *net;

	assert_int_equal(parse(text), 0);
	assert_string_equal(config.source, "dir/config.json");
	assert_string_equal(config.name, "cluster");
	assert_string_equal(config.kernel, "/boot/k");
	assert_string_equal(config.initrd, "/boot/i");
	assert_string_equal(config.append, "console=ttyS0 quiet");
	assert_int_equal(config.cpus, 4);
	assert_int_equal(config.memory, 1 << 30);
	assert_string_equal(guest_engine_choices[config.engine], "qemu");
	assert_int_equal(config.device_count, 5);

	/* The image comes first: the guest's first disk. */
	block = config.devices[0].options;
	assert_string_equal(config.devices[0].name, "image");
	assert_string_equal(block->file, "/disks/root.img");
	assert_false(block->readonly);
	assert_string_equal(config.devices[0].origin, "dir/config.json: vm.image: ");

	block = config.devices[1].options;
	assert_string_equal(block->file, "dir/data.img");
	assert_true(block->readonly);
	assert_string_equal(block->serial, "A1");
	assert_int_equal(block->queues, 2);
	assert_int_equal(block->cache, BLOCK_CACHE_WRITETHROUGH);
	assert_int_equal(block->logical_block_size, 512);
	assert_string_equal(config.devices[1].origin, "dir/config.json: avp.devices[0].");

	net = config.devices[2].options;
	assert_string_equal(config.devices[2].name, "wan");
	assert_true(net->user);
	assert_int_equal(net->mtu, 1400);
	assert_int_equal(net->mac[5], 1);
	assert_int_equal(net->forwards.count, 2);
	assert_string_equal(net->forwards.items[1], "udp:1:2");

	block = config.devices[3].options;
	assert_string_equal(block->file, "/abs.img");
	assert_string_equal(config.devices[4].type->name, "entropy");
}

static void the_smallest_bundle_gets_defaults(void **state)
{
	assert_int_equal(parse("{\"ociVersion\": \"1.0.2\", " VM "}"), 0);
	assert_int_equal(config.cpus, 1);
	assert_int_equal(config.memory, 512 << 20);
	assert_int_equal(config.engine, ENGINE_AUTO);
	assert_int_equal(config.device_count, 0);
	assert_null(config.append);
}

static void bad_json_gives_line_and_column(void **state)
{
	static const struct mistake mistakes[] = {
		{"", "line 1, column 0: '[' or '{' expected near end of file"},
		{"{\n  \"ociVersion\": \"1.3.0\",\n  \"vm\": }\n",
		 "line 3, column 9: unexpected token near '}'"},
		{"{\"a\": 1, \"a\": 2}", "line 1, column 12: duplicate object key near '\"a\"'"},
		{"{} x", "line 1, column 4: end of file expected near 'x'"},
		{"{\"a\": 99999999999999999999}",
		 "line 1, column 26: too big integer near '99999999999999999999'"},
		{"{\"a\": \"\\u0000\"}",
		 "line 1, column 14: \\u0000 is not allowed without JSON_ALLOW_NUL near "
		 "'\"\\u0000\"'"},
		{"[]", "must be an object, not an array"},
		/* Syntax of other languages, and errors without a helpful message of jansson. */
		{"{\n  \"a\": 1,\n}\n",
		 "line 2, column 9: there is a comma before the '}'; remove it"},
		{"{\"a\": [1, 2 , ]}",
		 "line 1, column 13: there is a comma before the ']'; remove it"},
		{"{\"a\": \"\u00e4\",}",
		 "line 1, column 10: there is a comma before the '}'; remove it"},
		{"{\"a\": 1,, }", "line 1, column 9: string or '}' expected near ','"},
	};

	CHECK_MISTAKES(mistakes);
	assert_true(bundle_parse("{\0}", 3, "dir", &config, &error) < 0);
	assert_non_null(strstr(error.message, "line 1, column"));
}

static void depth_is_bounded(void **state)
{
	cleanup_free char *text = malloc(2 * 100000 + 1);

	for (size_t i = 0; i < 100000; i++)
		memcpy(text + 5 * (i % 20000), "{\"a\":", 5);
	text[100000] = 0;
	assert_true(parse(text) < 0);
	assert_non_null(strstr(error.message, "maximum parsing depth reached"));
}

static void the_version_is_checked(void **state)
{
	static const struct mistake mistakes[] = {
		{"{" VM "}", "ociVersion: is missing; add \"ociVersion\": \"1.3.0\""},
		{"{\"ociVersion\": 1, " VM "}", "ociVersion: must be a string, not a number"},
		{"{\"ociVersion\": \"2.0.0\", " VM "}",
		 "ociVersion: '2.0.0' is not supported; write the bundle to version 1.3.0"},
		{"{\"ociVersion\": \"1\", " VM "}",
		 "ociVersion: '1' is not supported; write the bundle to version 1.3.0"},
		{"{\"ociVersion\": \"1.x\", " VM "}",
		 "ociVersion: '1.x' is not supported; write the bundle to version 1.3.0"},
	};

	CHECK_MISTAKES(mistakes);
}

static void wrong_types_in_vm_are_refused(void **state)
{
	static const struct mistake mistakes[] = {
		{"{\"ociVersion\": \"1.3.0\", \"vm\": []}", "vm: must be an object, not an array"},
		{"{\"ociVersion\": \"1.3.0\", \"vm\": {\"kernel\": \"/k\"}}",
		 "vm.kernel: must be an object, not a string"},
		{"{\"ociVersion\": \"1.3.0\", \"vm\": {\"kernel\": {\"path\": 1}}}",
		 "vm.kernel.path: must be a string, not a number"},
		{"{\"ociVersion\": \"1.3.0\", \"vm\": {\"kernel\": {\"path\": \"k\"}}}",
		 "vm.kernel.path: 'k' must be an absolute path, as OCI has it; start it with /"},
		{"{\"ociVersion\": \"1.3.0\", \"vm\": {\"kernel\": {\"path\": \"/k\","
		 " \"parameters\": \"quiet\"}}}",
		 "vm.kernel.parameters: must be an array of strings, not a string"},
		{"{\"ociVersion\": \"1.3.0\", \"vm\": {\"kernel\": {\"path\": \"/k\","
		 " \"parameters\": [\"a\", 1]}}}",
		 "vm.kernel.parameters: must be an array of strings, not a number"},
		{HARDWARE("\"vcpus\": \"4\""), "vm.hwConfig.vcpus: must be a number, not a string"},
		{HARDWARE("\"vcpus\": 1.5"), "vm.hwConfig.vcpus: must be a number, not a fraction"},
		{HARDWARE("\"vcpus\": -1"), "vm.hwConfig.vcpus: must not be negative"},
		{HARDWARE("\"vcpus\": 0"),
		 "vm.hwConfig.vcpus: 0 is too small; give a number, from 1 to 32"},
		{HARDWARE("\"vcpus\": 33"),
		 "vm.hwConfig.vcpus: 33 is too large; give a number, from 1 to 32"},
		{HARDWARE("\"memory\": true"),
		 "vm.hwConfig.memory: must be a number of bytes, not true or false"},
		/* Neither of these suggests the other. */
		{HARDWARE("\"memory\": 512"),
		 "vm.hwConfig.memory: 512 bytes is too small; give a number of bytes, from 33554432 "
		 "to 1099511627776; 512M is 536870912"},
		{HARDWARE("\"memory\": \"512M\""),
		 "vm.hwConfig.memory: must be a number of bytes, not a string; write 536870912 for "
		 "\"512M\""},
		{HARDWARE("\"memory\": \"512 M\""),
		 "vm.hwConfig.memory: must be a number of bytes, not a string"},
		{HARDWARE("\"memory\": \"1M\""),
		 "vm.hwConfig.memory: must be a number of bytes, not a string"},
		{HARDWARE("\"memory\": 2199023255552"),
		 "vm.hwConfig.memory: 2T is too large; give a number of bytes, from 33554432 to "
		 "1099511627776"},
		{HARDWARE("\"memory\": 16777216"),
		 "vm.hwConfig.memory: 16M is too small; give a number of bytes, from 33554432 to "
		 "1099511627776"},
	};

	CHECK_MISTAKES(mistakes);
}

static void what_avp_does_not_do_is_refused(void **state)
{
	static const struct mistake mistakes[] = {
		{HARDWARE("\"irqs\": [3]"), "vm.hwConfig.irqs: is not supported: AVP hands no "
					    "hardware of the host to a guest; remove it"},
		{HARDWARE("\"iomems\": [{}]"), "vm.hwConfig.iomems: is not supported: AVP hands no "
					       "hardware of the host to a guest; remove it"},
		{HARDWARE("\"dtdevs\": [\"/x\"]"),
		 "vm.hwConfig.dtdevs: is not supported: AVP hands "
		 "no hardware of the host to a guest; remove it"},
		{HARDWARE("\"deviceTree\": \"/x\""),
		 "vm.hwConfig.deviceTree: is not supported: AVP describes the guest's hardware "
		 "itself; remove it"},
		{"{\"ociVersion\": \"1.3.0\", \"vm\": {\"kernel\": {\"path\": \"/k\"},"
		 " \"hypervisor\": {\"path\": \"/h\", \"parameters\": [\"-x\"]}}}",
		 "vm.hypervisor.parameters: is not supported: AVP writes the hypervisor's command "
		 "line itself; remove it"},
		{"{\"ociVersion\": \"1.3.0\", \"vm\": {\"kernel\": {\"path\": \"/k\"},"
		 " \"hypervisor\": {\"path\": 1}}}",
		 "vm.hypervisor.path: must be a string, not a number"},
	};

	CHECK_MISTAKES(mistakes);
	/* A different hypervisor is only a warning. */
	log_set_level(LOG_ERROR);
	assert_int_equal(
		parse("{\"ociVersion\": \"1.3.0\", \"vm\": {\"kernel\": {\"path\": \"/k\"},"
		      " \"hypervisor\": {\"path\": \"/h\", \"parameters\": []}}}"),
		0);
}

/* Programs in Go, such as container tools, write all keys, also empty ones. */
static void empty_values_ask_for_nothing(void **state)
{
	struct capture capture;

	capture_start(&capture, STDERR_FILENO);
	assert_int_equal(
		parse("{\"ociVersion\": \"1.3.0\", \"vm\": {\"kernel\": {\"path\": \"/k\","
		      " \"initrd\": \"\", \"parameters\": []},"
		      " \"hypervisor\": {\"path\": \"\", \"parameters\": []},"
		      " \"image\": {\"path\": \"\", \"format\": \"\"},"
		      " \"hwConfig\": {\"deviceTree\": \"\", \"dtdevs\": [], \"iomems\": [],"
		      " \"irqs\": []}}}"),
		0);
	assert_string_equal(capture_all(&capture), "");
	capture_stop(&capture);
	assert_string_equal(config.kernel, "/k");
	assert_null(config.initrd);
	assert_int_equal(config.device_count, 0);
	guest_config_clear(&config);
	/*
	 * One that starts with firmware has no kernel, which the specification wants all the same.
	 */
	assert_int_equal(parse("{\"ociVersion\": \"1.3.0\", \"vm\": {\"kernel\": {\"path\": \"\"}},"
			       " \"avp\": {\"firmware\": \"/f\"}}"),
			 0);
	assert_null(config.kernel);
	assert_string_equal(config.firmware, "/f");
	guest_config_clear(&config);
	assert_int_equal(
		parse("{\"ociVersion\": \"1.3.0\", \"vm\": {\"kernel\": {\"path\": \"\"}}}"), 0);
	assert_true(guest_config_check(&config, &error) < 0);
	assert_string_equal(error.message, "dir/config.json: vm.kernel.path: is missing; give the "
					   "guest's kernel");
}

#define IMAGE(members)                                                                              \
	"{\"ociVersion\": \"1.3.0\", \"vm\": {\"kernel\": {\"path\": \"/k\"}, \"image\": {" members \
	"}}}"

static void the_image_must_be_raw(void **state)
{
	static const struct mistake mistakes[] = {
		{IMAGE(""), "vm.image.path: is missing; give the guest's disk, or remove vm.image"},
		{IMAGE("\"path\": \"\", \"format\": \"raw\""),
		 "vm.image.path: is missing; give the guest's disk, or remove vm.image"},
		{IMAGE("\"path\": 1"), "vm.image.path: must be a string, not a number"},
		{IMAGE("\"path\": \"x.img\""),
		 "vm.image.path: 'x.img' must be an absolute path, as "
		 "OCI has it; start it with /"},
		{IMAGE("\"path\": \"/x\", \"format\": \"qcow2\""),
		 "vm.image.format: 'qcow2' is not supported; convert the image: qemu-img convert "
		 "-O raw"},
		{IMAGE("\"path\": \"/x\", \"format\": null"),
		 "vm.image.format: must be a string, not null"},
	};

	CHECK_MISTAKES(mistakes);
	/* The specification says that an absent format means raw. */
	assert_int_equal(parse(IMAGE("\"path\": \"/x\"")), 0);
	assert_int_equal(config.device_count, 1);
	assert_int_equal(((struct block_options *)config.devices[0].options)->format,
			 BLOCK_FORMAT_AUTO);
	guest_config_clear(&config);
	/* An explicit format holds whatever the image starts with. */
	assert_int_equal(parse(IMAGE("\"path\": \"/x\", \"format\": \"raw\"")), 0);
	assert_int_equal(((struct block_options *)config.devices[0].options)->format,
			 BLOCK_FORMAT_RAW);
}

static void wrong_types_and_keys_in_avp_are_refused(void **state)
{
	static const struct mistake mistakes[] = {
		{BUNDLE("\"avp\": []"), "avp: must be an object, not an array"},
		{AVP("\"engine\": 1"), "avp.engine: must be a string, not a number"},
		{AVP("\"engine\": \"xen\""),
		 "avp.engine: there is no choice 'xen'; give one of: auto, kvm, qemu"},
		{AVP("\"enigne\": \"qemu\""),
		 "avp.enigne: is an unknown key; did you mean 'engine'?"},
		{AVP("\"colours\": 1"), "avp.colours: is an unknown key; remove it"},
		/* Keys of `vm` are not accepted in `avp`. */
		{AVP("\"kernel\": \"/k\""), "avp.kernel: is an unknown key; remove it"},
		{AVP("\"memory\": 1"), "avp.memory: is an unknown key; remove it"},
		{AVP("\"name\": \"a b\""),
		 "avp.name: 'a b' is not a name; give at most 64 letters, digits, '.', '_' or '-', a "
		 "letter or digit first"},
		{AVP("\"devices\": {}"), "avp.devices: must be an array of objects, not an object"},
		{AVP("\"devices\": [1]"), "avp.devices[0]: must be an object, not a number"},
		{AVP("\"devices\": [{}]"),
		 "avp.devices[0].type: is missing; add the type of the device, one of: block, net, "
		 "entropy, console, can, vsock"},
		{DEVICE("\"type\": 1"), "avp.devices[1].type: must be a string, not a number"},
		{DEVICE("\"type\": \"blok\""),
		 "avp.devices[1].type: there is no device type 'blok'; did you mean 'block'?"},
		{DEVICE("\"type\": \"disk\""),
		 "avp.devices[1].type: there is no device type 'disk'; give one of: block, net, "
		 "entropy, console, can, vsock"},
		{DEVICE("\"type\": \"block\", \"file\": \"/x\", \"serial\": 1"),
		 "avp.devices[1].serial: must be a string, not a number"},
		{DEVICE("\"type\": \"block\", \"file\": \"/x\", \"serail\": \"1\""),
		 "avp.devices[1].serail: is an unknown key; did you mean 'serial'?"},
		{DEVICE("\"type\": \"block\", \"file\": \"/x\", \"serial\": \"123456789012345678901\""),
		 "avp.devices[1].serial: '123456789012345678901' is too long; give at most 20 bytes"},
		{DEVICE("\"type\": \"block\", \"file\": \"/x\", \"readonly\": \"yes\""),
		 "avp.devices[1].readonly: must be true or false, not a string"},
		{DEVICE("\"type\": \"block\", \"file\": \"/x\", \"queues\": 17"),
		 "avp.devices[1].queues: 17 is too large; give a number, from 1 to 16"},
		{DEVICE("\"type\": \"block\", \"file\": \"/x\", \"queue-size\": 100"),
		 "avp.devices[1].queue-size: 100 is not a power of two; give a power of two, from 2 "
		 "to 1024"},
		{DEVICE("\"type\": \"block\", \"file\": \"\""),
		 "avp.devices[1].file: is empty; give FILE"},
		{DEVICE("\"type\": \"block\""),
		 "avp.devices[1]: file is missing; add it: FILE (raw disk image or block device that "
		 "holds the disk)"},
		{DEVICE("\"type\": \"net\", \"forward\": \"tcp:1:2\""),
		 "avp.devices[1].forward: must be an array of strings, not a string"},
		{DEVICE("\"type\": \"net\", \"forward\": [\"tcp:1:2\", 3]"),
		 "avp.devices[1].forward[1]: must be a string, not a number"},
		{DEVICE("\"type\": \"net\", \"mac\": \"x\""),
		 "avp.devices[1].mac: 'x' is not a MAC address; write it as 52:54:00:12:34:56"},
		{DEVICE("\"type\": \"entropy\", \"name\": null"),
		 "avp.devices[1].name: must be a string, not null"},
		{DEVICE("\"type\": \"entropy\", \"file\": \"x\""),
		 "avp.devices[1].file: is an unknown key; remove it"},
	};

	CHECK_MISTAKES(mistakes);
}

static void unknown_keys_of_vm_are_warned_of(void **state)
{
	static const char *const lines[] = {
		"vm.kernal: is an unknown key and ignored; did you mean 'kernel'?",
		"vm.kernel.paramaters: is an unknown key and ignored; did you mean 'parameters'?",
		"vm.hwConfig.vpcus: is an unknown key and ignored; did you mean 'vcpus'?",
		"vm.hwConfig.future: is an unknown key and ignored\n",
		"vm.image.pth: is an unknown key and ignored; did you mean 'path'?",
		"annotations.org.avp.conifg: is an unknown key and ignored; did you mean",
		"apv: is an unknown key and ignored; did you mean 'avp'?",
	};
	struct capture capture;
	const char *text;
	char many[4096] = "{\"ociVersion\": \"1.3.0\", \"vm\": {\"kernel\": {\"path\": \"/k\"";

	log_set_level(LOG_INFO);
	capture_start(&capture, STDERR_FILENO);
	assert_int_equal(
		parse("{\"ociVersion\": \"1.3.0\", \"x\": 1, \"apv\": {}, \"process\": {\"pth\": 1},"
		      " \"vm\": {\"kernal\": {\"path\": \"/x\"}, \"kernel\": {\"path\": \"/k\","
		      " \"paramaters\": []}, \"image\": {\"path\": \"/i\", \"pth\": 1},"
		      " \"hwConfig\": {\"vpcus\": 2, \"future\": 1}},"
		      " \"annotations\": {\"org.avp.conifg\": \"{}\", \"a\": \"b\"}}"),
		0);
	text = capture_all(&capture);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!strstr(text, lines[i]))
			fail_msg("'%s' is not in: %s", lines[i], text);
	assert_null(strstr(text, "process"));
	assert_null(strstr(text, " x:"));
	assert_null(strstr(text, "annotations.a:"));
	guest_config_clear(&config);
	/* The number of warnings is limited. */
	for (int i = 0; i < 50; i++)
		snprintf(many + strlen(many), sizeof(many) - strlen(many), ", \"k%d\": 1", i);
	strcat(many, "}}}");
	assert_int_equal(parse(many), 0);
	text = capture_all(&capture);
	assert_non_null(strstr(text, "vm.kernel.k9: "));
	assert_null(strstr(text, "vm.kernel.k20: "));
	assert_non_null(strstr(text, "has more unknown keys"));
	capture_stop(&capture);
}

static void unknown_keys_elsewhere_are_ignored(void **state)
{
	log_set_level(LOG_ERROR);
	assert_int_equal(parse("{\"ociVersion\": \"1.3.0\", \"x\": {\"y\": [1]},"
			       " \"vm\": {\"kernel\": {\"path\": \"/k\", \"z\": 1}, \"w\": {},"
			       " \"hwConfig\": {\"future\": 1}}, \"annotations\": {\"a\": \"b\"}}"),
			 0);
}

static void paths_of_ports_start_at_the_bundle(void **state)
{
	static const char *const expected[] = {
		"a:terminal",		"b:socket:dir/b.sock", "c:file:dir/log/c",
		"d:socket:/run/d.sock", "e:file:/dev/fd/3",    "f:echo",
	};
	const struct option_list *ports;

	assert_int_equal(
		parse(BUNDLE("\"avp\": {\"devices\": [{\"type\": \"console\", \"port\": ["
			     "\"a:terminal\", \"b:socket:b.sock\", \"c:file:log/c\", "
			     "\"d:socket:/run/d.sock\", \"e:file:/dev/fd/3\", \"f:echo\"]}]}")),
		0);
	ports = &((struct console_options *)config.devices[0].options)->ports;
	assert_int_equal(ports->count, sizeof(expected) / sizeof(expected[0]));
	for (size_t i = 0; i < ports->count; i++)
		assert_string_equal(ports->items[i], expected[i]);
	guest_config_clear(&config);
	/* The device type refuses what is not a port. */
	assert_int_equal(parse(BUNDLE("\"avp\": {\"devices\": [{\"type\": \"console\", "
				      "\"port\": [\"b:sockets:b.sock\"]}]}")),
			 0);
	ports = &((struct console_options *)config.devices[0].options)->ports;
	assert_string_equal(ports->items[0], "b:sockets:b.sock");
}

static void too_many_devices_are_refused(void **state)
{
	char text[4096] = "{\"ociVersion\": \"1.3.0\", " VM ", \"avp\": {\"devices\": [";

	for (int i = 0; i <= GUEST_DEVICES_MAXIMUM; i++)
		strcat(text, i ? ",{\"type\": \"entropy\"}" : "{\"type\": \"entropy\"}");
	strcat(text, "]}}");
	assert_true(parse(text) < 0);
	assert_non_null(strstr(error.message, "dir/config.json: avp.devices[24]."));
	assert_true(error.usage);
}

static void the_annotation_gives_the_same_object(void **state)
{
	assert_int_equal(parse(ANNOTATION("\"{\\\"engine\\\": \\\"qemu\\\", \\\"devices\\\": "
					  "[{\\\"type\\\": \\\"entropy\\\"}]}\"")),
			 0);
	assert_string_equal(guest_engine_choices[config.engine], "qemu");
	assert_int_equal(config.device_count, 1);
	assert_string_equal(config.devices[0].origin,
			    "dir/config.json: annotations.org.avp.config: devices[0].");
}

/* For tools that drop it. */
static void the_hardware_may_be_an_annotation(void **state)
{
#define ANNOTATED(value) BUNDLE("\"annotations\": {\"org.avp.hwConfig\": " value "}")
	static const struct mistake mistakes[] = {
		{ANNOTATED("1"), "annotations.org.avp.hwConfig: must be a string, not a number"},
		{ANNOTATED("\"{\""),
		 "annotations.org.avp.hwConfig: line 1, column 1: string or '}' expected near end of file"},
		{ANNOTATED("\"[]\""), "vm.hwConfig: must be an object, not an array"},
		{ANNOTATED("\"{\\\"irqs\\\": [1]}\""),
		 "vm.hwConfig.irqs: is not supported: AVP hands no hardware of the host to a guest; remove it"},
	};

	assert_int_equal(parse(ANNOTATED("\"{\\\"vcpus\\\": 3}\"")), 0);
	assert_int_equal(config.cpus, 3);
	guest_config_clear(&config);
	/* The object itself counts. */
	assert_int_equal(
		parse("{\"ociVersion\": \"1.3.0\", \"vm\": {\"kernel\": {\"path\": \"/k\"}, "
		      "\"hwConfig\": {\"vcpus\": 2}}, \"annotations\": "
		      "{\"org.avp.hwConfig\": \"{}\"}}"),
		0);
	assert_int_equal(config.cpus, 2);
	guest_config_clear(&config);
	CHECK_MISTAKES(mistakes);
}

static void mistakes_in_the_annotation_are_refused(void **state)
{
	static const struct mistake mistakes[] = {
		{ANNOTATION("1"), "annotations.org.avp.config: must be a string, not a number"},
		{ANNOTATION("\"{\""),
		 "annotations.org.avp.config: line 1, column 1: string or '}' expected near end of "
		 "file"},
		{ANNOTATION("\"[]\""),
		 "annotations.org.avp.config: must be an object, not an array"},
		{ANNOTATION("\"{\\\"devices\\\": [{\\\"type\\\": 1}]}\""),
		 "annotations.org.avp.config: devices[0].type: must be a string, not a number"},
		{ANNOTATION("\"{\\\"enigne\\\": 1}\""),
		 "annotations.org.avp.config: enigne: is an unknown key; did you mean 'engine'?"},
		{BUNDLE("\"avp\": {}, \"annotations\": {\"org.avp.config\": \"{}\"}"),
		 "annotations.org.avp.config: is given and avp too; remove one of them"},
	};

	CHECK_MISTAKES(mistakes);
}

static int parse_in(const struct scratch *scratch, const char *annotation)
{
	char text[1000], directory[160];

	memset(&error, 0, sizeof(error));
	snprintf(directory, sizeof(directory), "%s", scratch_path(scratch, "bundle"));
	snprintf(text, sizeof(text), ANNOTATION("\"%s\""), annotation);
	return bundle_parse(text, strlen(text), directory, &config, &error);
}

static void make_bundle(struct scratch *scratch)
{
	scratch_make(scratch);
	assert_int_equal(mkdir(scratch_path(scratch, "bundle"), 0700), 0);
}

static void the_annotation_may_name_a_file(void **state)
{
	struct scratch scratch;
	const char *path;

	make_bundle(&scratch);
	path = scratch_write(&scratch, "bundle/avp.json", "{\"engine\": \"qemu\"}", 18);
	assert_int_equal(parse_in(&scratch, path), 0);
	assert_string_equal(guest_engine_choices[config.engine], "qemu");
	guest_config_clear(&config);

	path = scratch_write(&scratch, "bundle/avp.json", "{\"engine\": 1}", 13);
	assert_true(parse_in(&scratch, path) < 0);
	assert_non_null(strstr(error.message, "avp.json: engine: must be a string, not a number"));

	assert_true(parse_in(&scratch, scratch_path(&scratch, "bundle/missing.json")) < 0);
	assert_non_null(strstr(error.message, "missing.json: there is no such file in the bundle"));
	assert_true(error.usage);
	scratch_remove(&scratch);
}

/* A caller who can set annotations must not read files through a runtime that is root. */
static void the_annotation_names_no_file_outside(void **state)
{
	struct scratch scratch;
	const char *outside;
	char path[200];

	make_bundle(&scratch);
	outside = scratch_write(&scratch, "secret.json", "{\"engine\": \"qemu\"}", 18);
	assert_true(parse_in(&scratch, outside) < 0);
	assert_non_null(strstr(error.message, "secret.json: there is no such file in the bundle"));
	snprintf(path, sizeof(path), "%s/bundle/../secret.json", scratch.directory);
	assert_true(parse_in(&scratch, path) < 0);
	assert_int_equal(symlink(outside, scratch_path(&scratch, "bundle/link.json")), 0);
	assert_true(parse_in(&scratch, scratch_path(&scratch, "bundle/link.json")) < 0);
	/* A directory whose name starts with the bundle's. */
	assert_int_equal(mkdir(scratch_path(&scratch, "bundle2"), 0700), 0);
	scratch_write(&scratch, "bundle2/avp.json", "{}", 2);
	assert_true(parse_in(&scratch, scratch_path(&scratch, "bundle2/avp.json")) < 0);
	/* Special files are not opened. */
	assert_true(parse_in(&scratch, scratch_path(&scratch, "bundle")) < 0);
	scratch_remove(&scratch);
}

/* The options of devices in an annotation that name a path; @ is the path. */
#define DISK	  "{\"devices\": [{\"type\": \"block\", \"file\": \"@\"}]}"
#define PORT_FILE "{\"devices\": [{\"type\": \"console\", \"port\": [\"a:file:@\"]}]}"
#define SOCKET	  "{\"devices\": [{\"type\": \"console\", \"port\": [\"a:socket:@\"]}]}"
#define FIRMWARE  "{\"firmware\": \"@\"}"

/* As inline text, or in a file of the bundle that the annotation names. */
static int parse_object(const struct scratch *scratch, bool in_file, const char *form,
			const char *path)
{
	char object[300], escaped[500];
	size_t length = 0, mark = strcspn(form, "@");

	guest_config_clear(&config);
	snprintf(object, sizeof(object), "%.*s%s%s", (int)mark, form, path, form + mark + 1);
	if (in_file) {
		scratch_write(scratch, "bundle/avp.json", object, strlen(object));
		return parse_in(scratch, scratch_path(scratch, "bundle/avp.json"));
	}
	for (const char *letter = object; *letter; letter++) {
		if (*letter == '"')
			escaped[length++] = '\\';
		escaped[length++] = *letter;
	}
	escaped[length] = 0;
	return parse_in(scratch, escaped);
}

/* Nor may it have them written, created or booted. */
static void what_the_annotation_describes_stays_in_the_bundle(void **state)
{
	static const char *const forms[] = {DISK, PORT_FILE, SOCKET, FIRMWARE};
	static const char *const names[] = {"secret",	     "new",	    "bundle/../secret",
					    "bundle/../new", "bundle/link", "bundle/dangling",
					    "bundle/out/new"};
	struct scratch scratch;
	char path[200];

	make_bundle(&scratch);
	scratch_write(&scratch, "secret", "x", 1);
	snprintf(path, sizeof(path), "%s", scratch_path(&scratch, "secret"));
	assert_int_equal(symlink(path, scratch_path(&scratch, "bundle/link")), 0);
	assert_int_equal(symlink("../new", scratch_path(&scratch, "bundle/dangling")), 0);
	assert_int_equal(symlink("..", scratch_path(&scratch, "bundle/out")), 0);
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]) * 2; i++) {
		const char *form = forms[i / 2];

		for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++) {
			/* A socket does not replace a link. */
			if (!strcmp(form, SOCKET) && j >= 4 && j <= 5)
				continue;
			snprintf(path, sizeof(path), "%s", scratch_path(&scratch, names[j]));
			assert_true(parse_object(&scratch, i % 2, form, path) < 0);
			assert_true(error.usage);
			assert_non_null(strstr(error.message, "no such file in the bundle"));
		}
		assert_true(parse_object(&scratch, i % 2, form, "../secret") < 0);
		assert_true(parse_object(&scratch, i % 2, form, "/dev/fd/1") < 0);
	}
	assert_int_equal(access(scratch_path(&scratch, "new"), F_OK), -1);
	scratch_remove(&scratch);
}

/* The file found in the bundle is used even if a link replaces it later. */
static void what_the_annotation_describes_is_held_fast(void **state)
{
	const struct block_options *block;
	struct console_port_option ports[CONSOLE_PORTS_MAX];
	struct socket_path made;
	struct stat before, after;
	struct scratch scratch;
	uint64_t size;
	char path[200];
	int fd;

	make_bundle(&scratch);
	scratch_write(&scratch, "secret", "x", 1);
	scratch_write(&scratch, "bundle/d.img", "y", 1);
	assert_int_equal(stat(scratch_path(&scratch, "bundle/d.img"), &before), 0);
	assert_int_equal(parse_object(&scratch, false, DISK, "d.img"), 0);
	assert_int_equal(unlink(scratch_path(&scratch, "bundle/d.img")), 0);
	assert_int_equal(symlink("../secret", scratch_path(&scratch, "bundle/d.img")), 0);
	block = config.devices[0].options;
	assert_int_equal(stat(block->file, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_int_equal(file_check("file", block->file, O_RDWR, true, &size, &error), 0);
	assert_int_equal(size, 1);

	/* A port's file is created; a socket's name is not. */
	assert_int_equal(parse_object(&scratch, false, PORT_FILE, "log"), 0);
	assert_int_equal(access(scratch_path(&scratch, "bundle/log"), F_OK), 0);
	assert_int_equal(console_ports_read(config.devices[0].options, ports, &error), 1);
	fd = path_open_appended("port", ports[0].path, &error);
	assert_int_equal(write(fd, "line", 4), 4);
	close(fd);
	assert_int_equal(parse_object(&scratch, false, SOCKET, "port"), 0);
	assert_int_equal(access(scratch_path(&scratch, "bundle/port"), F_OK), -1);
	snprintf(path, sizeof(path), "%s", scratch_path(&scratch, "elsewhere"));
	assert_int_equal(rename(scratch_path(&scratch, "bundle"), path), 0);
	assert_int_equal(symlink("/", scratch_path(&scratch, "bundle")), 0);
	assert_int_equal(console_ports_read(config.devices[0].options, ports, &error), 1);
	fd = path_listen("port", ports[0].path, &made, &error);
	assert_true(fd >= 0);
	assert_int_equal(access(scratch_path(&scratch, "elsewhere/port"), F_OK), 0);
	socket_path_remove(&made);
	close(fd);
	assert_int_equal(access(scratch_path(&scratch, "elsewhere/port"), F_OK), -1);
	scratch_remove(&scratch);
}

/* The bundle is the opened directory, even if its path changes meanwhile. */
static void the_bundle_is_not_exchanged(void **state)
{
	struct pinned_files pinned = {0};
	struct confinement confinement = {.administrator = "/nonexistent", .pinned = &pinned};
	struct scratch scratch;
	char path[200];

	make_bundle(&scratch);
	assert_int_equal(mkdir(scratch_path(&scratch, "secrets"), 0700), 0);
	scratch_write(&scratch, "secrets/avp.json", "{}", 2);
	confinement.directory = open(scratch_path(&scratch, "bundle"), O_PATH | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s", scratch_path(&scratch, "elsewhere"));
	assert_int_equal(rename(scratch_path(&scratch, "bundle"), path), 0);
	assert_int_equal(symlink("secrets", scratch_path(&scratch, "bundle")), 0);
	snprintf(path, sizeof(path), "%s", scratch_path(&scratch, "bundle/avp.json"));
	assert_true(confined_file_open(path, &confinement, "x", &error) < 0);
	assert_non_null(strstr(error.message, "there is no such file in the bundle"));
	close(confinement.directory);
	scratch_remove(&scratch);
}

static void the_administrator_allows_more(void **state)
{
	struct pinned_files pinned = {0};
	struct confinement confinement = {.pinned = &pinned};
	const struct json_location location = {.source = "x",
					       .key = "file",
					       .confinement = &confinement,
					       .confine = confined_path_pin};
	cleanup_free char *held = NULL;
	struct scratch scratch;
	char administrator[160], inside[160], text[300];
	int fd;

	make_bundle(&scratch);
	assert_int_equal(mkdir(scratch_path(&scratch, "more"), 0700), 0);
	snprintf(inside, sizeof(inside), "%s", scratch_write(&scratch, "more/avp.json", "{}", 2));
	snprintf(administrator, sizeof(administrator), "%s",
		 scratch_path(&scratch, "runtime.json"));
	confinement.directory = open(scratch_path(&scratch, "bundle"), O_PATH | O_CLOEXEC);
	confinement.administrator = administrator;
	assert_true(confined_file_open(inside, &confinement, "x", &error) < 0);
	assert_non_null(strstr(error.message, administrator));
	snprintf(text, sizeof(text), "{\"annotation-directories\": [\"/nowhere\", \"%s/more\"]}",
		 scratch.directory);
	scratch_write(&scratch, "runtime.json", text, strlen(text));
	assert_int_equal(chmod(administrator, 0644), 0);
	fd = confined_file_open(inside, &confinement, "x", &error);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(confined_path_pin(inside, OPTION_PATH_OPENED, &location, &held, &error),
			 0);
	assert_int_equal(access(held, F_OK), 0);
	close(pinned.fds[0]);
	free(pinned.fds);
	/* Another user who can write to it could allow everything. */
	assert_int_equal(chmod(administrator, 0666), 0);
	assert_true(confined_file_open(inside, &confinement, "x", &error) < 0);
	assert_non_null(strstr(error.message, "users other than root can write to it"));
	scratch_write(&scratch, "runtime.json", "{\"annotation-directory\": []}", 28);
	assert_int_equal(chmod(administrator, 0644), 0);
	assert_true(confined_file_open(inside, &confinement, "x", &error) < 0);
	assert_non_null(strstr(error.message, "is an unknown key"));
	scratch_remove(&scratch);
	close(confinement.directory);
}

static void a_bundle_is_loaded_from_its_directory(void **state)
{
	static const char text[] = "{\"ociVersion\": \"1.3.0\", " VM "}";
	struct scratch scratch;

	scratch_make(&scratch);
	assert_true(bundle_load(scratch.directory, &config, &error) < 0);
	assert_true(error.usage);
	assert_non_null(strstr(error.message,
			       "/config.json: there is no such file; `avp spec` writes one"));

	scratch_write(&scratch, "config.json", text, strlen(text));
	assert_int_equal(bundle_load(scratch.directory, &config, &error), 0);
	assert_string_equal(config.kernel, "/k");
	/* The guest is named after the directory. */
	assert_string_equal(config.name, strrchr(scratch.directory, '/') + 1);
	guest_config_clear(&config);

	assert_true(bundle_load(scratch_path(&scratch, "config.json"), &config, &error) < 0);
	assert_non_null(strstr(error.message, "config.json/config.json: Not a directory"));
	scratch_remove(&scratch);
}

static void files_that_are_no_bundle_are_refused(void **state)
{
	struct scratch scratch;

	scratch_make(&scratch);
	scratch_write_zeros(&scratch, "config.json", BUNDLE_SIZE_MAXIMUM + 1);
	assert_true(bundle_load(scratch.directory, &config, &error) < 0);
	assert_non_null(strstr(error.message, "is larger than 4194304 bytes; shorten it"));
	assert_true(error.usage);

	assert_int_equal(remove(scratch_path(&scratch, "config.json")), 0);
	assert_int_equal(mkfifo(scratch_path(&scratch, "config.json"), 0600), 0);
	assert_true(bundle_load(scratch.directory, &config, &error) < 0);
	assert_non_null(strstr(error.message, "is not a regular file"));
	scratch_remove(&scratch);
}

static void a_bundle_without_permission_says_what_to_do(void **state)
{
	bool root = geteuid() == 0;
	struct scratch scratch;

	scratch_make(&scratch);
	scratch_write(&scratch, "config.json", "{}", 2);
	assert_int_equal(chmod(scratch_path(&scratch, "config.json"), 0), 0);
	/* Root can read everything. */
	assert_int_equal(chmod(scratch.directory, 0755), 0);
	assert_int_equal(root ? seteuid(65534) : 0, 0);
	bundle_load(scratch.directory, &config, &error);
	assert_int_equal(root ? seteuid(0) : 0, 0);
	assert_true(error.usage);
	assert_non_null(strstr(error.message, "denied; make it readable for this user"));
	scratch_remove(&scratch);
}

#define TEST(function) cmocka_unit_test_teardown(function, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_whole_bundle_is_read),
		TEST(the_smallest_bundle_gets_defaults),
		TEST(bad_json_gives_line_and_column),
		TEST(depth_is_bounded),
		TEST(the_version_is_checked),
		TEST(wrong_types_in_vm_are_refused),
		TEST(what_avp_does_not_do_is_refused),
		TEST(empty_values_ask_for_nothing),
		TEST(the_image_must_be_raw),
		TEST(wrong_types_and_keys_in_avp_are_refused),
		TEST(unknown_keys_of_vm_are_warned_of),
		TEST(unknown_keys_elsewhere_are_ignored),
		TEST(paths_of_ports_start_at_the_bundle),
		TEST(too_many_devices_are_refused),
		TEST(the_annotation_gives_the_same_object),
		TEST(the_hardware_may_be_an_annotation),
		TEST(mistakes_in_the_annotation_are_refused),
		TEST(the_annotation_may_name_a_file),
		TEST(the_annotation_names_no_file_outside),
		TEST(what_the_annotation_describes_stays_in_the_bundle),
		TEST(what_the_annotation_describes_is_held_fast),
		TEST(the_bundle_is_not_exchanged),
		TEST(the_administrator_allows_more),
		TEST(a_bundle_is_loaded_from_its_directory),
		TEST(files_that_are_no_bundle_are_refused),
		TEST(a_bundle_without_permission_says_what_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
