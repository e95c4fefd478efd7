// SPDX-License-Identifier: BSD-3-Clause
// kexec KERNEL KERNEL_BYTES INITRD INITRD_BYTES: makes an arm64 kernel start another one from block
// devices. The second kernel and its initrd are placed where AVP's monitor put the first ones, so
// the device tree stays the same except for the initrd's address and end.

#include <endian.h>
#include <err.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __aarch64__

#define MEMORY 0x40000000u
#define TREE   MEMORY
#define KERNEL (MEMORY + 0x200000u)
#define PAGE   4096u

// Finds the value of a property of /chosen, the only one of this name in the tree.
static uint64_t *find_value(uint8_t *tree, size_t size, const char *property)
{
	uint32_t *header = (uint32_t *)tree;
	uint32_t structs = be32toh(header[2]), strings = be32toh(header[3]);

	for (uint32_t at = structs; at + 20 <= size; at += 4) {
		uint32_t *words = (uint32_t *)(tree + at);

		if (be32toh(words[0]) == 3 && be32toh(words[1]) == 8 &&
		    strings + be32toh(words[2]) < size &&
		    !strcmp((char *)tree + strings + be32toh(words[2]), property))
			return (uint64_t *)(words + 3);
	}
	errx(1, "no %s in the device tree", property);
}

static struct kexec_segment load(const char *path, size_t bytes, uint64_t address)
{
	size_t size = (bytes + PAGE - 1) / PAGE * PAGE, got = 0;
	uint8_t *buffer = calloc(1, size);
	int fd = open(path, O_RDONLY);

	if (!buffer || fd < 0)
		err(1, "%s", path);
	while (got < bytes) {
		ssize_t length = read(fd, buffer + got, bytes - got);

		if (length <= 0)
			break;
		got += (size_t)length;
	}
	close(fd);
	return (struct kexec_segment){buffer, got, (void *)address, size};
}

int main(int argc, char **argv)
{
	// ldr x0, tree; mov x1 to x3, xzr; ldr x4, kernel; br x4
	static const uint32_t code[] = {0x580000c0, 0xaa1f03e1, 0xaa1f03e2, 0xaa1f03e3, 0x58000084,
					0xd61f0080, TREE,	0,	    KERNEL,	0};
	struct kexec_segment segments[4];
	uint64_t *start, *end, address;

	if (argc != 5)
		errx(2, "usage: kexec KERNEL KERNEL_BYTES INITRD INITRD_BYTES");
	segments[0] = load("/sys/firmware/fdt", 0x10000, TREE);
	start = find_value((uint8_t *)segments[0].buf, segments[0].bufsz, "linux,initrd-start");
	end = find_value((uint8_t *)segments[0].buf, segments[0].bufsz, "linux,initrd-end");
	segments[1] = load(argv[1], strtoul(argv[2], NULL, 0), KERNEL);
	// The header has the size with the memory that the kernel needs after its end.
	segments[1].memsz = (((uint64_t *)segments[1].buf)[2] + PAGE - 1) / PAGE * PAGE;
	segments[2] = load(argv[3], strtoul(argv[4], NULL, 0), be64toh(*start));
	// The second initrd is larger than the first one: let it end where that one did.
	address = (be64toh(*end) - segments[2].bufsz) / PAGE * PAGE;
	segments[2].mem = (void *)address;
	*start = htobe64(address);
	*end = htobe64(address + segments[2].bufsz);
	segments[3] = (struct kexec_segment){code, sizeof(code),
					     (void *)(uintptr_t)(TREE + 0x100000), PAGE};
	if (syscall(SYS_kexec_load, segments[3].mem, 4, segments, KEXEC_ARCH_AARCH64) < 0)
		err(1, "kexec_load");
	reboot(LINUX_REBOOT_CMD_KEXEC);
	err(1, "reboot");
}

#else

int main(void)
{
	errx(1, "for arm64 only");
}

#endif
