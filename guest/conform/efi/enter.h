// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where each architecture's image belongs, and how to get there from the firmware's state. The
 * build defines IMAGE_SIZE, the image's size in memory, and IMAGE_ADDRESS, where it is linked.
 */
#ifndef CONFORM_EFI_ENTER_H
#define CONFORM_EFI_ENTER_H

#include <stdint.h>

#ifdef __x86_64__
#define IMAGE_ALLOCATE EFI_AT_ADDRESS
#define IMAGE_PLACE    IMAGE_ADDRESS
#define IMAGE_ALIGN    UINT64_C(1)
#else
/* Anywhere, as by the Linux boot protocol. */
#define IMAGE_ALLOCATE EFI_MAX_ADDRESS
#define IMAGE_PLACE    UINT64_C(0xffffffff)
#define IMAGE_ALIGN    UINT64_C(0x200000)
#endif

/* Makes the memory visible to a processor that does not use its caches. */
void efi_clean(uint64_t start, uint64_t size);
/* Boot services have ended. Enters the image at @entry with @argument, and interrupts off. */
_Noreturn void efi_enter(uint64_t entry, void *argument);

#endif
