// SPDX-License-Identifier: BSD-3-Clause
/*
 * Loads kernel files. The bytes go from the file straight into guest memory; the headers are read
 * once into this program's own memory and checked there.
 */
#include "monitor/arm64/image.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "monitor/arm64/layout.h"
#include "monitor/boot_file.h"

#define HERE "arm64"

/* booting.rst, "Call the kernel image". */
struct image_header {
	uint32_t code[2];
	uint64_t text_offset; /* of the image from a base that is aligned to 2 MiB */
	uint64_t image_size;  /* with what is not in the file; 0: a kernel before 3.17 */
	uint64_t flags;
	uint64_t reserved[3];
	uint32_t magic;
	uint32_t pe_header; /* of the EFI stub */
};

#define IMAGE_MAGIC	0x644d5241 /* "ARM\x64" */
#define FLAG_BIG_ENDIAN 0x1
#define ALIGNMENT	UINT64_C(0x200000)
/* Values for a kernel that does not give its size. */
#define TEXT_OFFSET_DEFAULT 0x80000
#define BSS_ROOM	    (UINT64_C(16) << 20)

/* More than any kernel has; bounds the loop. */
#define ELF_SEGMENTS_MAX 64
/* Addresses from here on are virtual: no memory is this high. */
#define VIRTUAL_START	 (UINT64_C(1) << 52)

#define X86_MAGIC_OFFSET 0x202 /* "HdrS" */

/* The first bytes, enough to recognize every format. */
union head {
	uint8_t bytes[1024];
	Elf64_Ehdr elf;
	struct image_header image;
};

/* Whether @size bytes from @address on are in memory and do not overlap the device tree. */
static bool in_memory(const struct monitor_memory *memory, uint64_t address, uint64_t size)
{
	uint64_t end = memory->ranges[0].address + memory->ranges[0].size;

	return address >= ARM64_TREE_ADDRESS + ARM64_TREE_SIZE && address <= end &&
	       size <= end - address;
}

/* The error of a kernel that needs memory up to @end. */
static int too_big(const struct monitor_memory *memory, const struct boot_file *file, uint64_t end,
		   struct error *error)
{
	return boot_file_too_big(memory, file, end - ARM64_MEMORY_ADDRESS, error);
}

static int load_image(struct monitor_memory *memory, const struct boot_file *file,
		      const struct image_header *header, struct arm64_image *image,
		      struct error *error)
{
	uint64_t text_offset = header->image_size ? header->text_offset : TEXT_OFFSET_DEFAULT;
	uint64_t size = header->image_size ? header->image_size : file->size + BSS_ROOM;
	uint64_t address = ARM64_KERNEL_ADDRESS + text_offset;

	if (header->flags & FLAG_BIG_ENDIAN)
		return error_set_usage(
			error, "%s: is a big-endian kernel; give a little-endian one", file->name);
	if (text_offset >= ALIGNMENT)
		return error_set_usage(error,
				       "%s: has a text offset of 0x%" PRIx64 " bytes, beyond "
				       "2 MiB: the kernel is damaged; give an intact one",
				       file->name, text_offset);
	/*
	 * Linux pads the file to the size without the zeroed data, so the file may be larger than
	 * image_size.
	 */
	if (size < file->size)
		size = file->size;
	if (file->size <= sizeof(*header))
		return boot_file_truncated(file, error);
	if (!in_memory(memory, address, size))
		return too_big(memory, file, address + size, error);
	image->entry = address;
	image->end = address + size;
	/* The kernel clears its zeroed data itself. */
	return boot_file_load(memory, file, 0, address, file->size, file->size, error);
}

static int check_elf(const struct boot_file *file, const Elf64_Ehdr *elf, struct error *error)
{
	if (elf->e_machine != EM_AARCH64)
		return boot_file_wrong_architecture(file, boot_file_machine(elf->e_machine), HERE,
						    error);
	if (elf->e_ident[EI_CLASS] != ELFCLASS64 || elf->e_ident[EI_DATA] != ELFDATA2LSB)
		return boot_file_wrong_architecture(file, "32-bit or big-endian arm64", HERE,
						    error);
	if (elf->e_phnum == 0 || elf->e_phnum > ELF_SEGMENTS_MAX ||
	    elf->e_phentsize != sizeof(Elf64_Phdr))
		return error_set_usage(error,
				       "%s: is an ELF file with %u segments, which is not a "
				       "kernel; give an Image or a linked vmlinux",
				       file->name, elf->e_phnum);
	return 0;
}

/*
 * How far the segments are moved. A file that is linked for physical addresses is not moved. Linux
 * is linked for virtual addresses and finds its position itself, as long as the offset in 2 MiB is
 * kept.
 */
static uint64_t find_move(const Elf64_Phdr *segments, size_t count)
{
	uint64_t lowest = UINT64_MAX;

	for (size_t i = 0; i < count; i++)
		if (segments[i].p_type == PT_LOAD && segments[i].p_memsz &&
		    segments[i].p_paddr < lowest)
			lowest = segments[i].p_paddr;
	return lowest < VIRTUAL_START ? 0 : ARM64_KERNEL_ADDRESS - (lowest & ~(ALIGNMENT - 1));
}

static int load_segment(struct monitor_memory *memory, const struct boot_file *file,
			const Elf64_Phdr *segment, uint64_t move, struct arm64_image *image,
			struct error *error)
{
	uint64_t address = segment->p_paddr + move;
	uint64_t end = address + segment->p_memsz;
	int result;

	if (segment->p_memsz == 0)
		return 0;
	if (segment->p_filesz > segment->p_memsz || end < address)
		return error_set_usage(error,
				       "%s: is damaged: a segment is larger in the file than "
				       "in memory",
				       file->name);
	if (address < ARM64_TREE_ADDRESS + ARM64_TREE_SIZE)
		return error_set_usage(error,
				       "%s: is linked at 0x%" PRIx64 "; memory begins at "
				       "0x%" PRIx64 ", with the device tree: link it higher",
				       file->name, address, ARM64_MEMORY_ADDRESS);
	if (!in_memory(memory, address, segment->p_memsz))
		return too_big(memory, file, end, error);
	result = boot_file_load(memory, file, segment->p_offset, address, segment->p_filesz,
				segment->p_memsz, error);
	if (result == 0 && end > image->end)
		image->end = end;
	return result;
}

static int load_elf(struct monitor_memory *memory, const struct boot_file *file,
		    const Elf64_Ehdr *elf, struct arm64_image *image, struct error *error)
{
	Elf64_Phdr segments[ELF_SEGMENTS_MAX];
	size_t size = (size_t)elf->e_phnum * sizeof(segments[0]);
	uint64_t move;
	int result = check_elf(file, elf, error);

	if (result < 0)
		return result;
	result = boot_file_read(file, elf->e_phoff, segments, size, error);
	if (result < 0)
		return result;
	move = find_move(segments, elf->e_phnum);
	image->entry = image->end = 0;
	for (size_t i = 0; i < elf->e_phnum && result == 0; i++) {
		const Elf64_Phdr *segment = &segments[i];

		if (segment->p_type != PT_LOAD)
			continue;
		result = load_segment(memory, file, segment, move, image, error);
		/* The entry is a virtual address, which may equal the physical one. */
		if (elf->e_entry - segment->p_vaddr < segment->p_memsz)
			image->entry = elf->e_entry - segment->p_vaddr + segment->p_paddr + move;
		else if (!image->entry && elf->e_entry - segment->p_paddr < segment->p_memsz)
			image->entry = elf->e_entry + move;
	}
	if (result < 0)
		return result;
	if (image->entry == 0)
		return error_set_usage(error,
				       "%s: is damaged: its entry is at 0x%" PRIx64 ", outside of "
				       "its segments",
				       file->name, (uint64_t)elf->e_entry);
	return 0;
}

int arm64_image_load(struct monitor_memory *memory, const struct boot_source *source,
		     struct arm64_image *image, struct error *error)
{
	struct boot_file file;
	union head head;
	ssize_t got = boot_file_open_kernel(&file, source, &head, sizeof(head), error);

	if (got < 0)
		return (int)got;
	if (!memcmp(head.elf.e_ident, ELFMAG, SELFMAG))
		return (size_t)got < sizeof(head.elf) ?
			       boot_file_truncated(&file, error) :
			       load_elf(memory, &file, &head.elf, image, error);
	if (head.image.magic == IMAGE_MAGIC)
		return load_image(memory, &file, &head.image, image, error);
	if (!memcmp(head.bytes + X86_MAGIC_OFFSET, "HdrS", 4))
		return boot_file_wrong_architecture(&file, "x86", HERE, error);
	if (!memcmp(head.bytes, "\x1f\x8b", 2))
		return error_set_usage(error,
				       "%s: is compressed by gzip; unpack it first: gunzip -c %s "
				       ">Image",
				       file.name, file.name);
	if (!memcmp(head.bytes + 4, "zimg", 4))
		return error_set_usage(error,
				       "%s: is an EFI program that unpacks its kernel; give the "
				       "Image itself, or start it from --firmware",
				       file.name);
	return error_set_usage(error,
			       "%s: is not a kernel (Image or ELF); give a kernel file, such as "
			       "/boot/vmlinuz",
			       file.name);
}
