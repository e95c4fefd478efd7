// SPDX-License-Identifier: BSD-3-Clause
/*
 * Loads kernel files. The bytes go from the file straight into guest memory; the headers are read
 * once into this program's own memory and checked there.
 */
#include "monitor/x86/kernel.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "monitor/boot_file.h"
#include "monitor/x86/layout.h"
#include "virtio/round_up.h"

#define HERE		   "x86-64"

#define SETUP_HEADER	   0x1f1 /* offset of struct setup_header in the file */
#define BOOT_FLAG	   0xaa55
#define HEADER_MAGIC	   0x53726448 /* "HdrS" */
#define VERSION_64BIT	   0x20c      /* has xloadflags */
#define SECTOR_SIZE	   512u
#define DEFAULT_SECTORS	   4
#define PARAGRAPH	   16u /* the unit of syssize */
#define ENTRY_64BIT	   0x200
#define INITRD_MAX_DEFAULT 0x7fffffff

#define ARM64_MAGIC	   "ARM\x64"
#define ARM64_MAGIC_OFFSET 56

/* More than any kernel has; bounds for the loops over a file's tables. */
#define ELF_SEGMENTS_MAX   64
#define NOTES_SIZE_MAX	   65536
#define PVH_NOTE	   18 /* XEN_ELFNOTE_PHYS32_ENTRY */
#define NOTE_ALIGNMENT	   4
#define NOTE_ALIGNMENT_MAX 8

/* The first bytes, enough to recognize every format. */
union head {
	uint8_t bytes[1024];
	Elf64_Ehdr elf;
	struct {
		uint8_t before[SETUP_HEADER];
		struct setup_header setup;
	} __attribute__((packed)) bzimage;
};

/* Whether @size bytes from @address on are in the first range of memory and above its start. */
static bool in_memory(const struct monitor_memory *memory, uint64_t address, uint64_t size)
{
	uint64_t end = memory->ranges[0].size;

	return address >= X86_HIGH_MEMORY && address <= end && size <= end - address;
}

static int load_bzimage(struct monitor_memory *memory, const struct boot_file *file,
			const union head *head, struct x86_kernel *kernel, struct error *error)
{
	const struct setup_header *header = &head->bzimage.setup;
	uint32_t sectors = header->setup_sects ? header->setup_sects : DEFAULT_SECTORS;
	uint64_t setup_size = (uint64_t)(sectors + 1) * SECTOR_SIZE;
	uint64_t payload = (uint64_t)header->syssize * PARAGRAPH;
	uint64_t address = header->pref_address;
	/* The header ends at the target of its jump: at 0x202 plus the byte at 0x201. */
	size_t header_size = (size_t)(0x202 + head->bytes[0x201] - SETUP_HEADER);

	if (header->version < VERSION_64BIT || !(header->xloadflags & XLF_KERNEL_64))
		return error_set_usage(error,
				       "%s: is a kernel without the 64-bit boot protocol (version "
				       "%u.%02u); give a 64-bit kernel of Linux 3.8 or newer",
				       file->name, header->version >> 8, header->version & 0xff);
	if (header_size < offsetof(struct setup_header, kernel_info_offset))
		return error_set_usage(error,
				       "%s: its setup header ends after %zu bytes: the kernel is "
				       "damaged; give an intact one",
				       file->name, header_size);
	/* syssize counts whole paragraphs: the file may end within the last one. */
	if (setup_size > file->size || payload > file->size - setup_size + PARAGRAPH - 1)
		return boot_file_truncated(file, error);
	if (payload > file->size - setup_size)
		payload = file->size - setup_size;
	if (payload <= ENTRY_64BIT)
		return boot_file_truncated(file, error);
	if (!in_memory(memory, address, header->init_size) || !in_memory(memory, address, payload))
		return boot_file_too_big(memory, file, address + header->init_size, error);
	memset(&kernel->header, 0, sizeof(kernel->header));
	memcpy(&kernel->header, header,
	       header_size < sizeof(*header) ? header_size : sizeof(*header));
	kernel->protocol = BOOT_LINUX64;
	kernel->entry = address + ENTRY_64BIT;
	kernel->end = address + (header->init_size > payload ? header->init_size : payload);
	kernel->initrd_end = (uint64_t)header->initrd_addr_max + 1;
	return boot_file_load(memory, file, setup_size, address, payload, payload, error);
}

/*
 * Looks for the PVH note in @size bytes of notes; the value of each note and the next note are
 * aligned to @alignment. Returns its address, or 0.
 */
static uint64_t find_pvh_note(const uint8_t *notes, size_t size, uint64_t alignment)
{
	uint64_t place = 0;

	while (place <= size && size - place >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		uint64_t name, value, end, entry = 0;

		memcpy(&note, notes + place, sizeof(note));
		name = place + sizeof(note);
		value = round_up(name + note.n_namesz, alignment);
		end = value + note.n_descsz;
		if (end > size)
			return 0;
		if (note.n_type == PVH_NOTE && note.n_namesz == 4 &&
		    !memcmp(notes + name, "Xen", 4) && (note.n_descsz == 4 || note.n_descsz == 8)) {
			memcpy(&entry, notes + value, note.n_descsz);
			return entry;
		}
		place = round_up(end, alignment);
	}
	return 0;
}

static int read_notes(const struct boot_file *file, const Elf64_Phdr *segment,
		      struct x86_kernel *kernel, struct error *error)
{
	uint8_t notes[NOTES_SIZE_MAX];
	size_t size = segment->p_filesz < sizeof(notes) ? segment->p_filesz : sizeof(notes);
	int result;

	if (size == 0)
		return 0;
	if (segment->p_offset > file->size || segment->p_filesz > file->size - segment->p_offset)
		return boot_file_truncated(file, error);
	result = boot_file_read(file, segment->p_offset, notes, size, error);
	if (result < 0)
		return result;
	/*
	 * gABI, "Note Section": 64-bit files use words of 8 bytes. In practice the segment's
	 * alignment says which size is used, but a segment aligned to 8 because of one section may
	 * hold notes of words of 4.
	 */
	if (kernel->protocol != BOOT_PVH && segment->p_align == NOTE_ALIGNMENT_MAX)
		kernel->entry = find_pvh_note(notes, size, NOTE_ALIGNMENT_MAX);
	if (kernel->protocol != BOOT_PVH && !kernel->entry)
		kernel->entry = find_pvh_note(notes, size, NOTE_ALIGNMENT);
	if (kernel->entry)
		kernel->protocol = BOOT_PVH;
	return 0;
}

static int load_segment(struct monitor_memory *memory, const struct boot_file *file,
			const Elf64_Phdr *segment, struct x86_kernel *kernel, struct error *error)
{
	uint64_t end = segment->p_paddr + segment->p_memsz;
	int result;

	if (segment->p_memsz == 0)
		return 0;
	if (segment->p_filesz > segment->p_memsz || end < segment->p_paddr)
		return error_set_usage(error,
				       "%s: is damaged: a segment is larger in the file than "
				       "in memory",
				       file->name);
	if (segment->p_paddr < X86_HIGH_MEMORY)
		return error_set_usage(error,
				       "%s: is linked at 0x%" PRIx64 ", below 1 MiB, which is "
				       "reserved for the monitor; link it higher",
				       file->name, segment->p_paddr);
	if (!in_memory(memory, segment->p_paddr, segment->p_memsz))
		return boot_file_too_big(memory, file, end, error);
	result = boot_file_load(memory, file, segment->p_offset, segment->p_paddr,
				segment->p_filesz, segment->p_memsz, error);
	if (result < 0)
		return result;
	if (end > kernel->end)
		kernel->end = end;
	return 0;
}

static int load_elf(struct monitor_memory *memory, const struct boot_file *file,
		    const Elf64_Ehdr *elf, struct x86_kernel *kernel, struct error *error)
{
	Elf64_Phdr segments[ELF_SEGMENTS_MAX];
	size_t size = (size_t)elf->e_phnum * sizeof(segments[0]);
	uint64_t entry = elf->e_entry;
	int result;

	if (elf->e_machine != EM_X86_64)
		return boot_file_wrong_architecture(file, boot_file_machine(elf->e_machine), HERE,
						    error);
	if (elf->e_ident[EI_CLASS] != ELFCLASS64 || elf->e_ident[EI_DATA] != ELFDATA2LSB)
		return boot_file_wrong_architecture(file, "32-bit x86", HERE, error);
	if (elf->e_phnum == 0 || elf->e_phnum > ELF_SEGMENTS_MAX ||
	    elf->e_phentsize != sizeof(segments[0]))
		return error_set_usage(error,
				       "%s: is an ELF file with %u segments, which is not a "
				       "kernel; give a bzImage or a linked vmlinux",
				       file->name, elf->e_phnum);
	result = boot_file_read(file, elf->e_phoff, segments, size, error);
	if (result < 0)
		return result;
	kernel->protocol = BOOT_LINUX64;
	kernel->entry = 0;
	kernel->end = 0;
	for (size_t i = 0; i < elf->e_phnum && result == 0; i++) {
		const Elf64_Phdr *segment = &segments[i];

		if (segment->p_type == PT_LOAD)
			result = load_segment(memory, file, segment, kernel, error);
		else if (segment->p_type == PT_NOTE)
			result = read_notes(file, segment, kernel, error);
		/* The entry is a virtual address. */
		if (segment->p_type == PT_LOAD && segment->p_vaddr != segment->p_paddr &&
		    elf->e_entry >= segment->p_vaddr &&
		    elf->e_entry - segment->p_vaddr < segment->p_memsz)
			entry = elf->e_entry - segment->p_vaddr + segment->p_paddr;
	}
	if (result < 0)
		return result;
	if (kernel->protocol != BOOT_PVH)
		kernel->entry = entry;
	if (kernel->entry < X86_HIGH_MEMORY || kernel->entry >= kernel->end)
		return error_set_usage(error,
				       "%s: is damaged: its entry is at 0x%" PRIx64 ", outside of "
				       "its segments",
				       file->name, kernel->entry);
	/* The header that a boot loader makes for a kernel without one. */
	kernel->header = (struct setup_header){
		.boot_flag = BOOT_FLAG,
		.header = HEADER_MAGIC,
		.version = VERSION_64BIT,
		.kernel_alignment = 0x200000,
	};
	kernel->initrd_end = (uint64_t)INITRD_MAX_DEFAULT + 1;
	return 0;
}

int x86_kernel_load(struct monitor_memory *memory, const struct boot_source *source,
		    struct x86_kernel *kernel, struct error *error)
{
	struct boot_file file;
	union head head;
	ssize_t got = boot_file_open_kernel(&file, source, &head, sizeof(head), error);

	if (got < 0)
		return (int)got;
	if (!memcmp(head.elf.e_ident, ELFMAG, SELFMAG))
		return (size_t)got < sizeof(head.elf) ?
			       boot_file_truncated(&file, error) :
			       load_elf(memory, &file, &head.elf, kernel, error);
	if (head.bzimage.setup.boot_flag == BOOT_FLAG && head.bzimage.setup.header == HEADER_MAGIC)
		return (size_t)got < sizeof(head.bzimage) ?
			       boot_file_truncated(&file, error) :
			       load_bzimage(memory, &file, &head, kernel, error);
	if (!memcmp(head.bytes + ARM64_MAGIC_OFFSET, ARM64_MAGIC, 4))
		return boot_file_wrong_architecture(&file, "arm64", HERE, error);
	return error_set_usage(error,
			       "%s: is not a kernel (bzImage or ELF); give a kernel file, such as "
			       "/boot/vmlinuz",
			       file.name);
}
