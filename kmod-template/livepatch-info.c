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
