/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For patch authors: include this in a file that the patch changes.
 *
 *	#include "kpatch-macros.h"
 *
 *	static int fix_up_state(patch_object *obj)
 *	{
 *		...
 *	}
 *	KPATCH_PRE_PATCH_CALLBACK(fix_up_state);
 *
 * The semicolon behind a macro may be there or not.
 *
 * create-diff-object reads what the macros leave behind, and keeps none of the
 * markers in the livepatch. Shadow variables need no macro: linux/livepatch.h,
 * included here, declares klp_shadow_alloc(), klp_shadow_get(),
 * klp_shadow_get_or_alloc(), klp_shadow_free() and klp_shadow_free_all().
 */
#ifndef _KPATCH_MACROS_H
#define _KPATCH_MACROS_H

#include <linux/compiler.h>
#include <linux/livepatch.h>
#include <linux/printk.h>
#include <linux/static_call.h>

#include "kpatch-attempts.h"

typedef struct klp_object patch_object;

/*
 * Callbacks. One of each kind per patched object (vmlinux or a module): that
 * of the file which has the macro.
 *
 *	pre-patch	before the object's functions are replaced; a return
 *			value other than 0 refuses the livepatch
 *	post-patch	after every task runs the new functions
 *	pre-unpatch	before the functions are put back
 *	post-unpatch	after every task runs the old functions
 *
 * When another livepatch replaces this one, the callbacks of the new one alone
 * run.
 */
typedef int (*kpatch_pre_patch_t)(patch_object *obj);
typedef void (*kpatch_callback_t)(patch_object *obj);

#define __KPATCH_CALLBACK(kind, type, fn)				       \
	static const struct {						       \
		type function;						       \
		const char *object_name;	/* by create-diff-object */    \
	} kpatch_##kind##_callback __aligned(8) __used			       \
	  __section(".kpatch.callbacks." #kind) = { fn, NULL };

#define KPATCH_PRE_PATCH_CALLBACK(fn) \
	__KPATCH_CALLBACK(pre_patch, kpatch_pre_patch_t, fn)
#define KPATCH_POST_PATCH_CALLBACK(fn) \
	__KPATCH_CALLBACK(post_patch, kpatch_callback_t, fn)
#define KPATCH_PRE_UNPATCH_CALLBACK(fn) \
	__KPATCH_CALLBACK(pre_unpatch, kpatch_callback_t, fn)
#define KPATCH_POST_UNPATCH_CALLBACK(fn) \
	__KPATCH_CALLBACK(post_unpatch, kpatch_callback_t, fn)

/*
 * The same by structures of one's own, as patches for kpatch have them:
 *
 *	struct kpatch_pre_patch_callback data
 *		__kpatch_section(.kpatch.callbacks.pre_patch) __used = { .fn = fix_up_state };
 *
 * and under the names of the kernel's own livepatch_helpers.h (since 6.19).
 */
#define __kpatch_section(name) __attribute__((__section__(#name), __aligned__(8)))

struct kpatch_pre_patch_callback {
	int (*fn)(patch_object *obj);
	char *objname;
};
struct kpatch_post_patch_callback {
	void (*fn)(patch_object *obj);
	char *objname;
};
struct kpatch_pre_unpatch_callback {
	void (*fn)(patch_object *obj);
	char *objname;
};
struct kpatch_post_unpatch_callback {
	void (*fn)(patch_object *obj);
	char *objname;
};

#ifndef KLP_PRE_PATCH_CALLBACK
#define KLP_PRE_PATCH_CALLBACK(fn)	KPATCH_PRE_PATCH_CALLBACK(fn)
#define KLP_POST_PATCH_CALLBACK(fn)	KPATCH_POST_PATCH_CALLBACK(fn)
#define KLP_PRE_UNPATCH_CALLBACK(fn)	KPATCH_PRE_UNPATCH_CALLBACK(fn)
#define KLP_POST_UNPATCH_CALLBACK(fn)	KPATCH_POST_UNPATCH_CALLBACK(fn)
#endif

/*
 * Leave the changes in a section out of the livepatch, or those in a function.
 * Both are promises of the author: what is left out keeps running as it was.
 *
 *	KPATCH_IGNORE_SECTION(".data..read_mostly");
 *	KPATCH_IGNORE_FUNCTION(only_used_at_boot);
 */
#define KPATCH_IGNORE_SECTION(name)					       \
	static const char __UNIQUE_ID(kpatch_ignore_section_)[] __aligned(1)   \
	__used __section(".kpatch.ignore.sections") = name;

#define KPATCH_IGNORE_FUNCTION(fn)					       \
	static const void *const kpatch_ignore_function_##fn __used	       \
	__section(".kpatch.ignore.functions") = fn;

/* Replace a function whether it changed or not. */
#define KPATCH_FORCE_UNSAFE(fn)						       \
	static const void *const kpatch_force_##fn __used		       \
	__section(".kpatch.force") = fn;

/* printk() without an entry in the kernel's index of messages. */
#ifdef CONFIG_PRINTK_INDEX
#define KPATCH_PRINTK(fmt, ...) _printk(fmt, ##__VA_ARGS__)
#else
#define KPATCH_PRINTK(fmt, ...) printk(fmt, ##__VA_ARGS__)
#endif

/*
 * Calls a static call through its key: for keys that a livepatch can't have a
 * call site of, those of modules. Slower by one load and an indirect branch,
 * and follows every update of the key.
 */
#ifdef CONFIG_HAVE_STATIC_CALL
#define KPATCH_STATIC_CALL(name) \
	((typeof(&STATIC_CALL_TRAMP(name)))READ_ONCE(STATIC_CALL_KEY(name).func))
#else
#define KPATCH_STATIC_CALL(name) static_call(name)
#endif

#endif /* _KPATCH_MACROS_H */
