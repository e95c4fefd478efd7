// SPDX-License-Identifier: BSD-3-Clause
/*
 * The EFI application (UEFI 2.10): it contains the guest's image. It finds the command line and the
 * machine's tables, places the image in memory, ends the boot services and enters the image. Has no
 * variables: firmware may load it anywhere and need not relocate it.
 */
#include "arch/efi.h"
#include "efi/enter.h"
#include "efi/uefi.h"

#define PAGE	UINT64_C(4096)
#define LOW_END UINT64_C(0xffffffff)
/* A block of this size and alignment is in one entry of the image's first page tables. */
#define BLOCK	   UINT64_C(0x400000)
#define EXITS_MAX  8 /* attempts: the first one may change the memory map */
#define LINE_FILE  u"avp-conform.txt"
#define TREE_MAGIC 0xedfe0dd0 /* read as little-endian */
#define TREE_MAX   (UINT32_C(2) << 20)

#pragma GCC visibility push(hidden)
extern const uint8_t payload[], payload_end[];
#pragma GCC visibility pop
_Static_assert(sizeof(struct efi_start) + TREE_MAX <= BLOCK, "both fit");
efi_status EFI_CALL efi_main(efi_handle image, struct efi_system_table *system);

/* The compiler calls them for copies of structures. */
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);

void *memcpy(void *to, const void *from, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
	return to;
}

void *memset(void *to, int value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((volatile uint8_t *)to)[i] = (uint8_t)value;
	return to;
}

static efi_status refuse(struct efi_system_table *system, const uint16_t *why)
{
	system->output->output_string(system->output, u"avp-conform: ");
	system->output->output_string(system->output, why);
	system->output->output_string(system->output, u"\r\n");
	return EFI_LOAD_ERROR;
}

/* The table of that kind in the configuration table, or 0 (UEFI 2.10, 4.6). */
static uint64_t find_table(const struct efi_system_table *system, struct efi_guid guid)
{
	const uint64_t *wanted = (const uint64_t *)&guid;

	for (uint64_t i = 0; i < system->table_count; i++) {
		const uint64_t *found = (const uint64_t *)&system->tables[i].guid;

		if (found[0] == wanted[0] && found[1] == wanted[1])
			return (uint64_t)system->tables[i].table;
	}
	return 0;
}

static void add_character(struct efi_start *start, size_t *length, uint16_t character)
{
	if (*length == sizeof(start->command_line) - 1) {
		start->command_line_cut = true;
		return;
	}
	if (character == '\n' || character == '\r' || character == '\t')
		character = ' ';
	/* What is not ASCII becomes a byte that the test of the command line finds. */
	start->command_line[(*length)++] = character < 0x80 ? (char)character : '\x7f';
}

/*
 * The load options, which are the command line if a word of it has a '=' (a shell passes the name
 * of the program alone if the user gave no words, a boot entry may have data of another kind).
 */
static bool read_options(const struct efi_loaded_image *loaded, struct efi_start *start)
{
	uint32_t count = loaded->options ? loaded->options_size / 2 : 0;
	bool has_word = false;
	size_t length = 0;

	for (uint32_t i = 0; i < count && loaded->options[i]; i++) {
		if (loaded->options[i] < ' ' || loaded->options[i] > '~')
			return false;
		has_word |= loaded->options[i] == '=';
	}
	for (uint32_t i = 0; has_word && i < count && loaded->options[i]; i++)
		add_character(start, &length, loaded->options[i]);
	start->command_line[length] = 0;
	return has_word;
}

/* The file in the root directory of the volume that this program was loaded from. */
static void read_line_file(const struct efi_boot_services *boot,
			   const struct efi_loaded_image *loaded, struct efi_start *start)
{
	const struct efi_guid guid = EFI_FILE_SYSTEM_GUID;
	struct efi_file_system *volume;
	struct efi_file *root, *file;
	size_t length = 0;
	uint8_t byte;
	uint64_t size = 1;

	start->command_line[0] = 0;
	if (boot->handle_protocol(loaded->device, &guid, (void **)&volume) ||
	    volume->open_volume(volume, &root))
		return;
	if (!root->open(root, &file, LINE_FILE, EFI_FILE_READ, 0)) {
		while (!start->command_line_cut && !file->read(file, &size, &byte) && size == 1)
			add_character(start, &length, byte);
		file->close(file);
	}
	root->close(root);
	while (length > 0 && start->command_line[length - 1] == ' ')
		length--;
	start->command_line[length] = 0;
}

/* Copies the device tree to the end of @start; its size, or 0. */
static uint32_t copy_tree(uint64_t tree, struct efi_start *start)
{
	const uint32_t *words = (const uint32_t *)tree;
	uint32_t size;

	start->tree = 0;
	if (!tree || words[0] != TREE_MAGIC)
		return 0;
	size = __builtin_bswap32(words[1]);
	if (size > TREE_MAX)
		return 0;
	start->tree = (uint64_t)(start + 1);
	memcpy(start + 1, words, size);
	return size;
}

static bool end_boot_services(efi_handle image, struct efi_boot_services *boot,
			      struct efi_start *start)
{
	for (int i = 0; i < EXITS_MAX; i++) {
		uint64_t key;
		uint32_t version;

		start->map_size = sizeof(start->map);
		if (boot->get_memory_map(&start->map_size, start->map, &key,
					 &start->descriptor_size, &version))
			return false;
		if (!boot->exit_boot_services(image, key))
			return true;
	}
	return false;
}

efi_status EFI_CALL efi_main(efi_handle image, struct efi_system_table *system)
{
	const struct efi_guid loaded_guid = EFI_LOADED_IMAGE_GUID;
	struct efi_boot_services *boot = system->boot;
	uint64_t size = IMAGE_SIZE, extra;
	uint64_t at = IMAGE_PLACE, more = LOW_END;
	struct efi_loaded_image *loaded;
	struct efi_start *start;

	if (boot->handle_protocol(image, &loaded_guid, (void **)&loaded))
		return refuse(system, u"this firmware does not describe the loaded image");
	if (boot->allocate_pages(IMAGE_ALLOCATE, EFI_LOADER_CODE,
				 (size + IMAGE_ALIGN - 1 + PAGE - 1) / PAGE, &at))
		return refuse(system, u"the memory for the guest's image is not free");
	at = (at + IMAGE_ALIGN - 1) & ~(IMAGE_ALIGN - 1);
	if (boot->allocate_pages(EFI_MAX_ADDRESS, EFI_LOADER_DATA, 2 * BLOCK / PAGE, &more))
		return refuse(system, u"no memory below 4 GiB is free");
	more = (more + BLOCK - 1) & ~(BLOCK - 1);
	start = (struct efi_start *)more;
	start->rsdp = find_table(system, (struct efi_guid)EFI_ACPI_20_GUID);
	extra = sizeof(*start) +
		copy_tree(find_table(system, (struct efi_guid)EFI_DEVICE_TREE_GUID), start);
	start->command_line_cut = false;
	if (!read_options(loaded, start))
		read_line_file(boot, loaded, start);
	memcpy((void *)at, payload, (size_t)(payload_end - payload));
	if (!end_boot_services(image, boot, start))
		return refuse(system, u"the firmware's boot services do not end");
	efi_clean((uint64_t)loaded->base, loaded->size);
	efi_clean(at, size);
	efi_clean(more, extra);
	efi_enter(at + EFI_ENTRY, start);
}
