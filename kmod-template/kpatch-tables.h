/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tables that create-diff-object writes and livepatch-main.c reads
 * (doc/formats.md describes them), and the symbols that bound them.
 */
#ifndef _KPATCH_TABLES_H
#define _KPATCH_TABLES_H

#include "kpatch-config.h"

/* .kpatch.funcs: one per function to be replaced */
struct kpatch_func {
	void *new_func;
	const char *old_name;
	const char *object_name;	/* "vmlinux", or a module's name */
	unsigned long sympos;
};

/* .kpatch.callbacks.KIND: at most one per object and kind */
struct kpatch_callback {
	void *function;
	const char *object_name;
};

/* .kpatch.objects: one per module that has new code, and no function replaced */
struct kpatch_object {
	const char *object_name;
};

/* .kpatch.attempts: kpatch-attempts.h; only where a diff object has entries */
#ifdef KPATCH_COUNTS_ATTEMPTS
#include "kpatch-attempts.h"
#define KPATCH_TABLE_OF_ATTEMPTS(bound)					       \
	KPATCH_BOUND(struct kpatch_attempts, kpatch_attempts_##bound,	       \
		     ".kpatch.attempts")
#else
#define KPATCH_TABLE_OF_ATTEMPTS(bound)
#endif

/*
 * The bounds are objects without size that lie in the table's own section:
 * livepatch-begin.o is linked before every diff object and livepatch-end.o
 * after, and the linker keeps the order of its inputs within a section. So no
 * linker script is needed, and a table that no diff object has is there, empty.
 *
 * Alignment and flags are those of the entries: an own alignment of the bounds
 * would tear a hole between a bound and its table.
 */
#define KPATCH_TABLES(bound)						       \
	KPATCH_BOUND(struct kpatch_func, kpatch_funcs_##bound,		       \
		     ".kpatch.funcs");					       \
	KPATCH_BOUND(struct kpatch_object, kpatch_objects_##bound,	       \
		     ".kpatch.objects");				       \
	KPATCH_BOUND(struct kpatch_callback, kpatch_pre_patch_##bound,	       \
		     ".kpatch.callbacks.pre_patch");			       \
	KPATCH_BOUND(struct kpatch_callback, kpatch_post_patch_##bound,	       \
		     ".kpatch.callbacks.post_patch");			       \
	KPATCH_BOUND(struct kpatch_callback, kpatch_pre_unpatch_##bound,       \
		     ".kpatch.callbacks.pre_unpatch");			       \
	KPATCH_BOUND(struct kpatch_callback, kpatch_post_unpatch_##bound,      \
		     ".kpatch.callbacks.post_unpatch");		       \
	KPATCH_TABLE_OF_ATTEMPTS(bound)

/* What livepatch-begin.c and livepatch-end.c make of one line above. */
#define KPATCH_DEFINE_BOUND(type, name, section_name)			       \
	extern const type name[];					       \
	const type name[0] __aligned(8) __used __section(section_name) = {}

#endif /* _KPATCH_TABLES_H */
