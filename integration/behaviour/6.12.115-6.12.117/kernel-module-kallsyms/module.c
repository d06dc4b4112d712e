// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/kallsyms.h>

/* The last of its kind of memory: there is no next symbol that would end it. */
static char behaviour_marked[96] = { 1 };

static int __init probe(void)
{
	char text[KSYM_SYMBOL_LEN], expected[] = "behaviour_marked+0x10/0x";
	unsigned long size;
	int length = sprint_symbol(text, (unsigned long)behaviour_marked + 16);

	if (length < sizeof(expected) || strncmp(text, expected, sizeof(expected) - 1)) {
		strscpy(verdict, text, sizeof(verdict));
		return 0;
	}
	text[strcspn(text, " ")] = 0;
	if (kstrtoul(text + sizeof(expected) - 1, 16, &size))
		return -EINVAL;
	return behaviour_verdict(size >= sizeof(behaviour_marked) && size <= 4096, size > 4096, size);
}
behaviour_module(probe);
