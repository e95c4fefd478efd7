// SPDX-License-Identifier: BSD-3-Clause
/*
 * A fake QEMU. The environment selects what it does:
 *
 *	poweroff	runs the guest, which says "hello" and powers off
 *	append		runs the guest, which says its kernel's command line and powers off
 *	echo		runs the guest, which repeats one line of its console and powers off
 *	panic, reset	the guest panics; restarts and then powers off
 *	resets		the guest restarts repeatedly
 * 	restart         the guest restarts when its power button is pressed; the second time it
 * 	powers off
 *	fault		dies of SIGBUS when the power button is pressed
 *	powerdown	the guest powers off when its power button is pressed
 *	drowsy		the same, when the button is pressed for the third time
 *	deaf		the guest ignores its power button
 *	no-stop		QEMU refuses to pause the guest; its power button makes an error
 *	no-cont		QEMU refuses to resume the guest
 *	stubborn	like deaf, and QEMU ignores the command quit
 *	halt		QEMU stops the guest because of an error
 *	crash, exit	QEMU dies of a signal; ends with status 1 and a line, while the guest runs
 *	refuse		QEMU ends with status 1 and a line before it runs the guest
 *	short		like refuse, with a line about memory that it cannot get
 *	unloadable	like refuse, with a line about the kernel's file
 *	eat		QEMU allocates memory until the OOM killer ends it, while the guest runs
 *	mute		QEMU neither runs the guest nor ends
 *	quit		QEMU quits, as if another client had asked it to
 *	devices, bare	-device help lists the devices of AVP; lists none of them
 */
#include "unit/fake_qemu.h"

#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NO_SANDBOX "FAKE_QEMU_NO_SANDBOX"

static const char *mode, *append = "";

uint64_t engine_number(const char *name)
{
	uint64_t number = 0;

	while (strcmp(guest_engine_choices[number], name))
		if (!guest_engine_choices[++number])
			abort();
	return number;
}

void fake_qemu_install(const struct scratch *scratch)
{
	char self[256] = "";

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 ||
	    symlink(self, scratch_path(scratch, FAKE_QEMU_NAME)) < 0)
		abort();
	setenv("PATH", scratch->directory, 1);
}

void fake_qemu_set(const char *new_mode, const char *version)
{
	setenv("FAKE_QEMU_MODE", new_mode, 1);
	setenv("FAKE_QEMU_VERSION", version, 1);
}

void fake_qemu_build_sandbox(bool built)
{
	if (built)
		unsetenv(NO_SANDBOX);
	else
		setenv(NO_SANDBOX, "1", 1);
}

bool fake_qemu_called(char **argv)
{
	const char *slash = strrchr(argv[0], '/');

	return !strcmp(slash ? slash + 1 : argv[0], FAKE_QEMU_NAME);
}

void fake_eater(void)
{
	const size_t piece = 16 << 20;
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "1000", 4) != 4)
		_exit(1);
	for (int i = 0; i < 100; i++) {
		void *memory = mmap(NULL, piece, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (memory == MAP_FAILED)
			_exit(2);
		memset(memory, 1, piece);
	}
	_exit(3); /* nobody stopped it */
}

/* The descriptor of the chardev with id @id. */
static int chardev_fd(char **argv, const char *id)
{
	char start[64];

	snprintf(start, sizeof(start), "socket,id=%s,fd=", id);
	for (; *argv; argv++)
		if (!strncmp(*argv, start, strlen(start)))
			return atoi(*argv + strlen(start));
	exit(70);
}

static void say(int control, const char *text)
{
	dprintf(control, "%s\r\n", text);
}

static void shut_down(int control, const char *guest, const char *reason)
{
	dprintf(control,
		"{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": %s, \"reason\": \"%s\"}}\r\n",
		guest, reason);
	_exit(0); /* may be called by a signal handler */
}

static int terminated_control;

static void on_terminated(int number)
{
	shut_down(terminated_control, "false", "host-signal");
}

/* The guest's processors run: what happens next. Returns when it waits for commands. */
static void run_guest(int control, int console)
{
	char byte;

	/* In this order: whoever has seen the guest's output knows that it runs. */
	say(control, "{\"event\": \"RESUME\"}");
	if (!strcmp(mode, "append"))
		dprintf(console, "%s\r\n", append);
	else if (strcmp(mode, "echo"))
		dprintf(console, "hello\r\n");
	if (!strcmp(mode, "echo")) {
		while (read(console, &byte, 1) == 1) {
			if (write(console, &byte, 1) != 1 || byte == '\n')
				break;
		}
		shut_down(control, "true", "guest-shutdown");
	}
	if (!strcmp(mode, "poweroff") || !strcmp(mode, "append"))
		shut_down(control, "true", "guest-shutdown");
	if (!strcmp(mode, "panic")) {
		say(control,
		    "{\"event\": \"GUEST_PANICKED\", \"data\": {\"action\": \"poweroff\"}}");
		say(control, "{\"event\": \"STOP\"}");
		shut_down(control, "true", "guest-panic");
	}
	if (!strcmp(mode, "reset")) {
		say(control, "{\"event\": \"RESET\", \"data\": {\"guest\": true, \"reason\": "
			     "\"guest-reset\"}}");
		shut_down(control, "true", "guest-shutdown");
	}
	while (!strcmp(mode, "resets")) {
		say(control, "{\"event\": \"RESET\", \"data\": {\"guest\": true, \"reason\": "
			     "\"guest-reset\"}}");
		usleep(10000);
	}
	if (!strcmp(mode, "halt"))
		say(control, "{\"event\": \"STOP\"}");
	if (!strcmp(mode, "quit"))
		shut_down(control, "false", "host-qmp-quit");
	if (!strcmp(mode, "crash")) {
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
	}
	if (!strcmp(mode, "eat"))
		fake_eater();
	if (!strcmp(mode, "exit")) {
		dprintf(STDERR_FILENO, FAKE_QEMU_NAME ": out of paper\n");
		exit(1);
	}
}

static bool runs;

/* How often the power button was pressed. */
static unsigned int presses;

static void refuse(int control, const char *command)
{
	dprintf(control,
		"{\"error\": {\"class\": \"GenericError\", \"desc\": \"not now\"}, "
		"\"id\": \"%s\"}\r\n",
		command);
}

static void obey(const char *command, int control, int console)
{
	if (strstr(command, "\"qmp_capabilities\"")) {
		say(control, "{\"return\": {}, \"id\": \"qmp_capabilities\"}");
	} else if (strstr(command, "\"cont\"") && runs && !strcmp(mode, "no-cont")) {
		refuse(control, "cont");
	} else if (strstr(command, "\"stop\"") && !strcmp(mode, "no-stop")) {
		refuse(control, "stop");
	} else if (strstr(command, "\"cont\"")) {
		say(control, "{\"return\": {}, \"id\": \"cont\"}");
		if (runs)
			say(control, "{\"event\": \"RESUME\"}");
		else
			run_guest(control, console);
		runs = true;
	} else if (strstr(command, "\"stop\"")) {
		say(control, "{\"event\": \"STOP\"}");
		say(control, "{\"return\": {}, \"id\": \"stop\"}");
	} else if (strstr(command, "\"system_powerdown\"")) {
		say(control, "{\"return\": {}, \"id\": \"system_powerdown\"}");
		say(control, "{\"event\": \"POWERDOWN\"}");
		presses++;
		if (!strcmp(mode, "restart")) {
			say(control,
			    "{\"event\": \"RESET\", \"data\": {\"guest\": true, \"reason\": "
			    "\"guest-reset\"}}");
			if (presses == 2)
				shut_down(control, "true", "guest-shutdown");
		}
		if (!strcmp(mode, "no-stop"))
			say(control, "{\"event\": \"STOP\"}");
		if (!strcmp(mode, "fault")) {
			signal(SIGBUS, SIG_DFL);
			raise(SIGBUS);
		}
		if (!strcmp(mode, "powerdown") || (!strcmp(mode, "drowsy") && presses == 3))
			shut_down(control, "true", "guest-shutdown");
	} else if (strstr(command, "\"quit\"") && strcmp(mode, "stubborn")) {
		say(control, "{\"return\": {}, \"id\": \"quit\"}");
		shut_down(control, "false", "host-qmp-quit");
	}
}

static void serve(int control, int console)
{
	char line[512];
	size_t length = 0;

	say(control, "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7}}, \"capabilities\": []}}");
	while (read(control, line + length, 1) == 1) {
		if (line[length] != '\n') {
			length += length < sizeof(line) - 1;
			continue;
		}
		line[length] = 0;
		length = 0;
		obey(line, control, console);
	}
}

int fake_qemu_main(char **argv)
{
	bool sandboxed = false;
	int control, console;

	mode = getenv("FAKE_QEMU_MODE");
	if (argv[1] && !strcmp(argv[1], "-sandbox")) {
		if (getenv(NO_SANDBOX) || !argv[2] || strncmp(argv[2], "on,", 3)) {
			dprintf(STDERR_FILENO, FAKE_QEMU_NAME ": -sandbox: not built in\n");
			return 1;
		}
		sandboxed = true;
		argv += 2;
	}
	if (argv[1] && !strcmp(argv[1], "--version")) {
		printf("%s\n", getenv("FAKE_QEMU_VERSION"));
		return 0;
	}
	if (argv[1] && argv[2] && !strcmp(argv[1], "-device") && !strcmp(argv[2], "help")) {
		printf("Network devices:\nname \"e1000\", bus PCI\n");
		if (!strcmp(mode, "devices"))
			printf("name \"virtio-net-pci\", bus PCI, alias \"virtio-net\"\n"
			       "name \"vhost-user-blk-pci\", bus PCI\n"
			       "name \"vhost-user-rng-pci\", bus PCI\n"
			       "name \"vhost-user-vsock-pci\", bus PCI\n");
		return 0;
	}
	/* A caller that has a sandbox must ask for it. */
	if (!sandboxed && !getenv(NO_SANDBOX)) {
		dprintf(STDERR_FILENO, FAKE_QEMU_NAME ": started without its sandbox\n");
		return 1;
	}
	if (!strcmp(mode, "refuse")) {
		dprintf(STDERR_FILENO, FAKE_QEMU_NAME ": warning: it is late\n" FAKE_QEMU_NAME
						      ": no room for memory\n");
		return 1;
	}
	if (!strcmp(mode, "short")) {
		dprintf(STDERR_FILENO, FAKE_QEMU_NAME ": for guest RAM: Cannot allocate memory\n");
		return 1;
	}
	if (!strcmp(mode, "unloadable")) {
		while (strcmp(*argv, "-kernel"))
			argv++;
		dprintf(STDERR_FILENO, FAKE_QEMU_NAME ": could not load kernel '%s'\n", argv[1]);
		return 1;
	}
	for (char **word = argv; *word; word++)
		if (!strcmp(*word, "-append"))
			append = word[1];
	control = chardev_fd(argv, "control");
	console = chardev_fd(argv, "console");
	terminated_control = control;
	/* Like os_setup_signal_handling in QEMU's os-posix.c, whatever the handlers were before. */
	signal(SIGTERM, on_terminated);
	signal(SIGINT, on_terminated);
	signal(SIGHUP, on_terminated);
	if (strcmp(mode, "mute"))
		serve(control, console);
	for (;;)
		pause();
}
