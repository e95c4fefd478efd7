// SPDX-License-Identifier: BSD-3-Clause
/*
 * The part of UEFI 2.10 that the application uses. Functions that it does not call are pointers
 * without a type.
 */
#ifndef CONFORM_EFI_UEFI_H
#define CONFORM_EFI_UEFI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __x86_64__
#define EFI_CALL __attribute__((ms_abi))
#else
#define EFI_CALL
#endif

typedef uint64_t efi_status;
typedef void *efi_handle;
#define EFI_ERROR(number)    (UINT64_C(1) << 63 | (number))
#define EFI_LOAD_ERROR	     EFI_ERROR(1)
#define EFI_OUT_OF_RESOURCES EFI_ERROR(9)

struct efi_guid {
	uint32_t a;
	uint16_t b, c;
	uint8_t d[8];
};

struct efi_table_header {
	uint64_t signature;
	uint32_t revision, size, crc, reserved;
};

/* 12.4 */
struct efi_text_output {
	void *reset;
	efi_status(EFI_CALL *output_string)(struct efi_text_output *self, const uint16_t *text);
};

/* 7.2.1 */
enum efi_allocate { EFI_ANY_PAGES, EFI_MAX_ADDRESS, EFI_AT_ADDRESS };

/* 4.4 */
struct efi_boot_services {
	struct efi_table_header header;
	void *raise_tpl, *restore_tpl;
	efi_status(EFI_CALL *allocate_pages)(enum efi_allocate kind, uint32_t type, uint64_t pages,
					     uint64_t *address);
	void *free_pages;
	efi_status(EFI_CALL *get_memory_map)(uint64_t *size, void *map, uint64_t *key,
					     uint64_t *descriptor_size, uint32_t *version);
	void *allocate_pool, *free_pool;
	void *events[6];
	void *install_protocol, *reinstall_protocol, *uninstall_protocol;
	efi_status(EFI_CALL *handle_protocol)(efi_handle handle, const struct efi_guid *protocol,
					      void **interface);
	void *reserved, *register_notify, *locate_handle, *locate_path, *install_table;
	void *load_image, *start_image, *exit, *unload_image;
	efi_status(EFI_CALL *exit_boot_services)(efi_handle image, uint64_t key);
};

struct efi_configuration_table {
	struct efi_guid guid;
	void *table;
};

/* 4.3 */
struct efi_system_table {
	struct efi_table_header header;
	const uint16_t *vendor;
	uint32_t revision;
	efi_handle input_handle;
	void *input;
	efi_handle output_handle;
	struct efi_text_output *output;
	efi_handle error_handle;
	struct efi_text_output *error;
	void *runtime_services;
	struct efi_boot_services *boot;
	uint64_t table_count;
	const struct efi_configuration_table *tables;
};

/* 9.1 */
struct efi_loaded_image {
	uint32_t revision;
	efi_handle parent;
	struct efi_system_table *system;
	efi_handle device;
	void *path, *reserved;
	uint32_t options_size; /* bytes */
	const uint16_t *options;
	void *base;
	uint64_t size;
};

/* 13.5 */
struct efi_file {
	uint64_t revision;
	efi_status(EFI_CALL *open)(struct efi_file *self, struct efi_file **file,
				   const uint16_t *name, uint64_t mode, uint64_t attributes);
	efi_status(EFI_CALL *close)(struct efi_file *self);
	void *remove;
	efi_status(EFI_CALL *read)(struct efi_file *self, uint64_t *size, void *data);
};
#define EFI_FILE_READ 1

/* 13.4 */
struct efi_file_system {
	uint64_t revision;
	efi_status(EFI_CALL *open_volume)(struct efi_file_system *self, struct efi_file **root);
};

#define EFI_LOADED_IMAGE_GUID                                          \
	{                                                              \
		0x5b1b31a1, 0x9562, 0x11d2,                            \
		{                                                      \
			0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b \
		}                                                      \
	}
#define EFI_FILE_SYSTEM_GUID                                           \
	{                                                              \
		0x964e5b22, 0x6459, 0x11d2,                            \
		{                                                      \
			0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b \
		}                                                      \
	}
#define EFI_ACPI_20_GUID                                               \
	{                                                              \
		0x8868e871, 0xe4f1, 0x11d3,                            \
		{                                                      \
			0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81 \
		}                                                      \
	}
#define EFI_DEVICE_TREE_GUID                                           \
	{                                                              \
		0xb1b621d5, 0xf19c, 0x41a5,                            \
		{                                                      \
			0x83, 0x0b, 0xd9, 0x15, 0x2c, 0x69, 0xaa, 0xe0 \
		}                                                      \
	}

#endif
