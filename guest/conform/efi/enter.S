/* SPDX-License-Identifier: BSD-3-Clause */
/* From the state in which firmware leaves the processor to that in which the image is entered. */
	.text
	.globl efi_clean, efi_enter
#ifdef __x86_64__
efi_clean:
	ret

/* With paging on: the firmware maps all of its memory one to one. */
efi_enter:
	cli
	mov %rsi, %rax
	xchg %rdi, %rax
	jmp *%rax
#else
/* To the point of coherency, line by line. */
efi_clean:
	mrs x2, ctr_el0
	ubfx x2, x2, 16, 4
	mov x3, 4
	lsl x2, x3, x2
	add x1, x0, x1
	sub x3, x2, 1
	bic x0, x0, x3
1:	dc civac, x0
	add x0, x0, x2
	cmp x0, x1
	b.lo 1b
	dsb sy
	ret

/* Switches translation and data cache off, at EL1 or EL2. */
efi_enter:
	msr daifset, 0xf
	mov x4, x0
	mov x0, x1
	mov x1, 0
	mov x2, 0
	mov x3, 0
	mrs x5, CurrentEL
	cmp x5, 8
	b.eq 1f
	mrs x6, sctlr_el1
	bic x6, x6, 1
	bic x6, x6, 4
	msr sctlr_el1, x6
	b 2f
1:	mrs x6, sctlr_el2
	bic x6, x6, 1
	bic x6, x6, 4
	msr sctlr_el2, x6
2:	isb
	ic iallu
	dsb sy
	isb
	br x4
#endif
	.section .note.GNU-stack, "", %progbits
