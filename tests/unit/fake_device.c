// SPDX-License-Identifier: BSD-3-Clause
#include "unit/fake_device.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit/fake_qemu.h"

/* A child of the fake device that ends with it; only the first such device has one. */
static void start_helper(void)
{
	char path[160];
	int file, ends[2];
	char byte;

	snprintf(path, sizeof(path), "%s/helper", getenv("XDG_RUNTIME_DIR"));
	file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return;
	if (fork() == 0) {
		close(ends[1]);
		dprintf(file, "%d\n", (int)getpid());
		while (read(ends[0], &byte, 1) > 0)
			;
		_exit(0);
	}
	close(file);
}

bool fake_device_called(char **argv)
{
	return !strcmp(argv[0], "device-block");
}

void fake_device_install(const char *directory)
{
	char self[256] = "", path[320];

	snprintf(path, sizeof(path), "%s/device-block", directory);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 || symlink(self, path) < 0)
		abort();
	setenv("AVP_LIBEXEC_DIR", directory, 1);
}

int fake_device(char **argv)
{
	const char *mode = "", *file = "";
	int ready = -1, control = -1;
	char byte;

	for (; *argv; argv++) {
		if (!strncmp(*argv, "--serial=", strlen("--serial=")))
			mode = *argv + strlen("--serial=");
		if (!strncmp(*argv, "--file=", strlen("--file=")))
			file = *argv + strlen("--file=");
		if (!strncmp(*argv, "--ready-fd=", strlen("--ready-fd=")))
			ready = atoi(*argv + strlen("--ready-fd="));
		if (!strncmp(*argv, "--control-fd=", strlen("--control-fd=")))
			control = atoi(*argv + strlen("--control-fd="));
	}
	if (!strcmp(mode, "usage")) {
		dprintf(STDERR_FILENO, "error block: file: is no disk; give one\n");
		return 2;
	}
	if (!strcmp(mode, "file")) {
		dprintf(STDERR_FILENO, "error block: --file: %s: is no disk; give one\n", file);
		return 2;
	}
	if (!strcmp(mode, "slow"))
		pause();
	if (!strcmp(mode, "helper"))
		start_helper();
	if (write(ready, "r", 1) != 1)
		return 1;
	close(ready);
	if (!strcmp(mode, "eat"))
		fake_eater();
	if (!strcmp(mode, "brief")) {
		usleep(20000);
		return 1;
	}
	while (read(control, &byte, 1) > 0)
		;
	return 0;
}
