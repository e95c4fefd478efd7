// SPDX-License-Identifier: BSD-3-Clause
/* Opens the files that a guest boots from. */
#include "monitor/run/boot_paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"

/* Opens @path, which may name an inherited descriptor. Does nothing for NULL. */
static int open_boot_file(struct boot_path *file, const char *path, const char *option,
			  struct error *error)
{
	int inherited = path ? text_inherited_fd(path) : -1;

	file->fd = -1;
	if (!path)
		return 0;
	file->fd = inherited >= 0 ? fcntl(inherited, F_DUPFD_CLOEXEC, 0) :
				    open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (file->fd < 0)
		return error_set_usage(error, "%s: %s: %s; check the path and its permissions",
				       option, path, strerror(errno));
	/* readlink may truncate; the buffer was zeroed, so the name is terminated. */
	if (inherited < 0 || readlink(path, file->name, sizeof(file->name) - 1) < 0)
		snprintf(file->name, sizeof(file->name), "%s", path);
	return 0;
}

/* Checks options that exclude each other or that this machine lacks. */
static int check(const struct monitor_setup *setup, struct error *error)
{
	if (!setup->kernel && !setup->firmware)
		return error_set_usage(error, "--kernel is missing; add --kernel FILE");
	if (setup->firmware && !arch_has_firmware)
		return error_set_usage(error, "--firmware: only machines of arm64 boot firmware; "
					      "give a kernel instead");
	if (setup->dump_dtb && !arch_has_tree)
		return error_set_usage(error, "--dump-dtb: a machine of this architecture is "
					      "described by ACPI tables, not by a device tree; "
					      "omit the option");
	if (setup->firmware && (setup->kernel || setup->initrd || setup->append))
		return error_set_usage(error, "--firmware finds the kernel itself; omit --kernel, "
					      "--initrd and --append");
	return 0;
}

int boot_paths_open(struct boot_paths *paths, const struct monitor_setup *setup,
		    struct error *error)
{
	struct boot_source *source = &paths->source;

	*paths = (struct boot_paths){
		.kernel.fd = -1,
		.firmware.fd = -1,
		.initrd.fd = -1,
		.source.tree_fd = -1,
	};
	if (check(setup, error) < 0 ||
	    open_boot_file(&paths->kernel, setup->kernel, "--kernel", error) < 0 ||
	    open_boot_file(&paths->firmware, setup->firmware, "--firmware", error) < 0 ||
	    open_boot_file(&paths->initrd, setup->initrd, "--initrd", error) < 0)
		return -error->code;
	source->kernel_fd = paths->kernel.fd;
	source->kernel_name = paths->kernel.name;
	source->firmware_fd = paths->firmware.fd;
	source->firmware_name = paths->firmware.name;
	source->initrd_fd = paths->initrd.fd;
	source->initrd_name = paths->initrd.name;
	source->command_line = setup->append ? setup->append : "";
	if (!setup->dump_dtb)
		return 0;
	source->tree_fd = open(setup->dump_dtb, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (source->tree_fd < 0)
		return error_set_usage(error,
				       "--dump-dtb: %s: %s; check the path and its permissions",
				       setup->dump_dtb, strerror(errno));
	return 0;
}

void boot_paths_close(struct boot_paths *paths)
{
	close_fd(&paths->kernel.fd);
	close_fd(&paths->firmware.fd);
	close_fd(&paths->initrd.fd);
	close_fd(&paths->source.tree_fd);
}
