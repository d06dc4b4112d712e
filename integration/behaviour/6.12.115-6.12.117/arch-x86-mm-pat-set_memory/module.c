// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/mm.h>
#include <linux/pgtable.h>

static int __init probe(void)
{
	pte_t *(*look_up)(pgd_t *, unsigned long, unsigned int *, bool *, bool *) =
		behaviour_function("lookup_address_in_pgd_attr");
	struct mm_struct *kernel = behaviour_symbol("init_mm");
	bool no_exec = false, writable = true;
	unsigned long page;
	unsigned int level;
	pte_t *entry;

	if (!look_up || !kernel)
		return -ENOENT;
	page = (unsigned long)verdict; /* which is data */
	entry = look_up(pgd_offset_pgd(kernel->pgd, page), page, &level, &no_exec, &writable);
	return behaviour_verdict(entry && writable, entry && !writable, level);
}
behaviour_module(probe);
