// SPDX-License-Identifier: GPL-2.0
/*
 * What `modinfo` shows of the build. kpatch-info.h has a line for each field:
 *
 *	KPATCH_INFO(kpatch_version, "0.1.0")
 *
 * MODULE_INFO() would do, but its header brings half of the kernel's, and this
 * file is compiled for each livepatch.
 */
#include <linux/compiler.h>
#include <linux/stringify.h>

#define KPATCH_INFO(tag, value)						       \
	static const char __UNIQUE_ID(tag)[] __used __section(".modinfo")      \
		__aligned(1) = __stringify(tag) "=" value;

#include "kpatch-info.h"

/*
 * The kernel keeps nothing of .modinfo. What a livepatch fixes is asked of the
 * one that is loaded, so it is in a note as well, which the kernel shows as
 * /sys/module/NAME/notes/.note.kpatch: strings, each with its end.
 */
#ifdef KPATCH_FIXES
asm(".pushsection .note.kpatch, \"a\", @note\n"
    "	.balign	4\n"
    "	.long	2f - 1f, 4f - 3f, 1\n"
    "1:	.asciz	\"kpatch\"\n"
    "2:	.balign	4\n"
    "3:	" KPATCH_FIXES "\n"
    "4:	.balign	4\n"
    ".popsection\n");
#endif
