/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The first sectors of the bzImage: the header that boot loaders read
 * (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"), and the real-mode code for
 * loaders that start the image in real mode: it asks the BIOS for the memory map and continues by
 * the 32-bit boot protocol. guest/conform/build defines PAYLOAD, INIT_SIZE and ADDRESS.
 */
#define SETUP_SECTORS 3
#define PARAMETERS    0x3000 /* boot_params, as offset in our segment, after the sectors */
#define MAP	      (PARAMETERS + 0x2d0)
#define MAP_COUNT     (PARAMETERS + 0x1e8)
#define MAP_MAX	      128

	.code16
	.text
	.globl _start
_start:
	.org 0x1f1
	.byte SETUP_SECTORS
	.word 1			/* root_flags */
	.long PAYLOAD / 16	/* syssize */
	.word 0
	.word 0			/* vid_mode */
	.word 0
	.word 0xaa55
	.byte 0xeb, begin - 1f	/* 0x200: the code starts and the header ends here */
1:	.ascii "HdrS"
	.word 0x20f
	.long 0
	.word 0			/* start_sys_seg */
	.word version - _start - 0x200
	.byte 0			/* type_of_loader */
	.byte 1			/* LOADED_HIGH */
	.word 0
	.long ADDRESS		/* code32_start */
	.long 0, 0		/* ramdisk */
	.long 0
	.word 0xfe00		/* heap_end_ptr */
	.byte 0, 0
	.long 0			/* cmd_line_ptr */
	.long 0x7fffffff	/* initrd_addr_max */
	.long 0x200000		/* kernel_alignment */
	.byte 0			/* not relocatable */
	.byte 21
	.word 1			/* XLF_KERNEL_64 */
	.long 2047		/* cmdline_size */
	.long 0
	.quad 0
	.long 0, 0
	.quad 0			/* setup_data */
	.quad ADDRESS		/* pref_address */
	.long INIT_SIZE
	.long 0			/* handover_offset */
	.long 0			/* kernel_info_offset */
begin:
	cli
	cld
	mov %cs, %ax
	sub $0x20, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $0xfff0, %sp
	sti
	/* boot_params: zeros, then our header as the loader filled it in. */
	mov $PARAMETERS, %di
	mov $2048, %cx
	xor %ax, %ax
	rep stosw
	mov $0x1f1, %si
	mov $PARAMETERS + 0x1f1, %di
	mov $begin - _start - 0x1f1, %cx
	rep movsb
	/* INT 15h, E820h: the memory map. */
	xor %ebx, %ebx
	mov $MAP, %di
1:	mov $0xe820, %eax
	mov $20, %ecx
	mov $0x534d4150, %edx
	int $0x15
	jc 2f
	cmp $0x534d4150, %eax
	jne 2f
	incb MAP_COUNT
	add $20, %di
	cmpb $MAP_MAX, MAP_COUNT
	je 2f
	test %ebx, %ebx
	jnz 1b
2:	cli
	/* Enable A20 by port 0x92. */
	in $0x92, %al
	or $2, %al
	and $0xfe, %al
	out %al, $0x92
	xor %ebx, %ebx
	mov %ds, %bx
	shl $4, %ebx
	lea table - _start(%ebx), %eax
	mov %eax, table_pointer - _start + 2
	lea PARAMETERS(%ebx), %esi
	mov 0x214, %edx
	lgdtl table_pointer - _start
	mov %cr0, %eax
	or $1, %eax
	mov %eax, %cr0
	lea 4f - _start(%ebx), %ecx
	mov %ecx, 3f - _start + 2
	jmp 3f
3:	.byte 0x66, 0xea	/* a far jump to 4: */
	.long 0
	.word 0x10
	.code32
4:	mov $0x18, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %eax, %fs
	mov %eax, %gs
	xor %ebx, %ebx
	xor %edi, %edi
	xor %ebp, %ebp
	jmp *%edx

	.balign 8
table:	.quad 0, 0
	.quad 0x00cf9b000000ffff
	.quad 0x00cf93000000ffff
table_pointer:
	.word table_pointer - table - 1
	.long 0
version:
	.asciz "AVP conformance guest"
	.org (SETUP_SECTORS + 1) * 512
	.section .note.GNU-stack, "", @progbits
