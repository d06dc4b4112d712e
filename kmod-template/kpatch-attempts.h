/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For patch authors: count how often somebody tried what a fix refuses.
 *
 *	#include "kpatch-attempts.h"		(or kpatch-macros.h)
 *
 *	if (len > sizeof(buf)) {
 *		KPATCH_ATTEMPT("CVE-2026-1234");
 *		return -EINVAL;
 *	}
 *
 * The livepatch's module shows the counts, one line a name, to root:
 *
 *	# cat /sys/module/livepatch_fix/parameters/attempts
 *	CVE-2026-1234 17
 *
 * and `kpatch status` reads them there. A name may be counted in several
 * places: they are added up. A count begins at 0 when the livepatch is loaded.
 *
 * Where it is written: one atomic increment of the module's own data, so that
 * it may stand in any context, interrupts and NMIs included. It takes no lock,
 * sleeps never, prints nothing, and calls nothing.
 */
#ifndef _KPATCH_ATTEMPTS_H
#define _KPATCH_ATTEMPTS_H

#include <linux/atomic.h>
#include <linux/build_bug.h>
#include <linux/types.h>

/*
 * .kpatch.attempts: one per place. The name is in the entry itself, so that
 * nothing here wants a relocation. create-diff-object copies an entry as what
 * it is, new data of the function that counts.
 */
struct kpatch_attempts {
	char name[24];
	atomic_long_t count;
};

/* name: a string literal of up to 23 characters, neither spaces nor newlines */
#define KPATCH_ATTEMPT(cve)						       \
do {									       \
	static struct kpatch_attempts __kpatch_attempts __aligned(8)	       \
		__section(".kpatch.attempts") = { .name = "" cve };	       \
									       \
	BUILD_BUG_ON_MSG(sizeof("" cve) > sizeof(__kpatch_attempts.name),      \
			 "KPATCH_ATTEMPT: the name is longer than 23 characters"); \
	BUILD_BUG_ON_MSG(sizeof("" cve) == 1,				       \
			 "KPATCH_ATTEMPT: the name is empty");		       \
	atomic_long_inc(&__kpatch_attempts.count);			       \
} while (0)

#endif /* _KPATCH_ATTEMPTS_H */
