// SPDX-License-Identifier: GPL-2.0
/*
 * The module around the diff objects: tells the kernel's livepatch core what to
 * replace.
 *
 * create-diff-object leaves a table of functions, one of objects and four of
 * callbacks in each diff object. Linked together they are six arrays:
 *
 *	.kpatch.funcs			{ new_func, "meminfo_proc_show", "vmlinux", 0 }
 *					{ new_func, "comment_mt", "xt_comment", 0 }
 *	.kpatch.objects			{ "vhost" }
 *	.kpatch.callbacks.pre_patch	{ function, "xt_comment" }
 *
 * The core wants them grouped by object: an array of klp_object that ends with
 * an entry of zeros, each with an array of klp_func that ends likewise. The
 * groups are made here, when the module is loaded, because only the finished
 * link knows them all.
 *
 * What the builder generates beside a copy of this folder:
 *
 * Kbuild:
 *	obj-m := livepatch-fix.o
 *	livepatch-fix-y := livepatch-begin.o livepatch-main.o livepatch-info.o DIFF.o... livepatch-end.o
 *	$(obj)/DIFF.o: ;
 *
 *   with livepatch-begin.o first and livepatch-end.o last (kpatch-tables.h
 *   says why), one rule without a recipe and one empty .DIFF.o.cmd for each
 *   diff object. The order of the diff objects is the order of the entries in
 *   sysfs and nothing else.
 *
 * kpatch-config.h, included below and by kpatch-tables.h; it may be empty:
 *	#define KPATCH_REPLACE 0		// with -R; the default is 1
 *	#define KPATCH_CLEAR_RELOCATIONS 1	// kpatch-clear.h is needed
 *	#define KPATCH_CLEAR_BY_text_poke 1	// or text_poke_copy: it writes so
 *	#define KPATCH_COUNTS_ATTEMPTS 1	// a diff object has .kpatch.attempts
 *
 * kpatch-info.h, for livepatch-info.c.
 *
 * Nothing here may depend on the module's name: so one object serves all
 * livepatches of a kernel.
 */
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "kpatch-config.h"
#include "kpatch-tables.h"

#ifndef KPATCH_REPLACE
#define KPATCH_REPLACE 1
#endif

#define KPATCH_BOUND(type, name, section_name) extern const type name[]
KPATCH_TABLES(begin);
KPATCH_TABLES(end);

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.replace = KPATCH_REPLACE,
};

#ifdef KPATCH_CLEAR_RELOCATIONS
#include "kpatch-clear.h"
#else
static int clear_with_callbacks(size_t entries) { return 0; }
static void free_callbacks(void) { }
#endif

#ifdef KPATCH_COUNTS_ATTEMPTS
#include "kpatch-attempts-param.h"
#endif

/* The core names vmlinux NULL. */
static const char *core_name(const char *object_name)
{
	return strcmp(object_name, "vmlinux") ? object_name : NULL;
}

static bool same_name(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

/* The object of that name, else the free entry behind the last one. */
static struct klp_object *object_slot(const char *object_name)
{
	const char *name = core_name(object_name);
	struct klp_object *obj;

	/* Only objects that are in use have functions. */
	for (obj = patch.objs; obj->funcs; obj++) {
		if (same_name(obj->name, name))
			break;
	}
	return obj;
}

static size_t count_funcs(const char *object_name)
{
	const struct kpatch_func *func;
	size_t count = 0;

	for (func = kpatch_funcs_begin; func < kpatch_funcs_end; func++)
		count += !strcmp(func->object_name, object_name);
	return count;
}

/*
 * Finds or adds an object with all its functions. The core takes an object
 * without functions for the end of the array, so that one with callbacks alone
 * has an array too, of the closing entry only.
 */
static struct klp_object *add_object(const char *object_name)
{
	struct klp_object *obj = object_slot(object_name);
	const struct kpatch_func *func;
	struct klp_func *next;

	if (obj->funcs)
		return obj;

	obj->funcs = kcalloc(count_funcs(object_name) + 1, sizeof(*obj->funcs),
			     GFP_KERNEL);
	if (!obj->funcs)
		return NULL;
	obj->name = core_name(object_name);

	next = obj->funcs;
	for (func = kpatch_funcs_begin; func < kpatch_funcs_end; func++) {
		if (strcmp(func->object_name, object_name))
			continue;
		next->old_name = func->old_name;
		next->new_func = func->new_func;
		next->old_sympos = func->sympos;
		next++;
	}
	return obj;
}

#define ADD_CALLBACKS(kind)						       \
({									       \
	const struct kpatch_callback *cb = kpatch_##kind##_begin;	       \
	int err = 0;							       \
									       \
	for (; !err && cb < kpatch_##kind##_end; cb++) {		       \
		struct klp_object *obj = add_object(cb->object_name);	       \
									       \
		if (!obj) {						       \
			err = -ENOMEM;					       \
		} else if (obj->callbacks.kind) {			       \
			pr_err("%s: %s has more than one callback " #kind "\n",\
			       THIS_MODULE->name, cb->object_name);	       \
			err = -EINVAL;					       \
		} else {						       \
			obj->callbacks.kind = cb->function;		       \
		}							       \
	}								       \
	err;								       \
})

static int add_objects(void)
{
	const struct kpatch_func *func;
	const struct kpatch_object *object;
	int err;

	for (func = kpatch_funcs_begin; func < kpatch_funcs_end; func++) {
		if (!add_object(func->object_name))
			return -ENOMEM;
	}
	for (object = kpatch_objects_begin; object < kpatch_objects_end; object++) {
		if (!add_object(object->object_name))
			return -ENOMEM;
	}

	err = ADD_CALLBACKS(pre_patch);
	if (!err)
		err = ADD_CALLBACKS(post_patch);
	if (!err)
		err = ADD_CALLBACKS(pre_unpatch);
	if (!err)
		err = ADD_CALLBACKS(post_unpatch);
	return err;
}

static void free_objects(void)
{
	struct klp_object *obj;

	if (!patch.objs)
		return;
	for (obj = patch.objs; obj->funcs; obj++)
		kfree(obj->funcs);
	kfree(patch.objs);
	patch.objs = NULL;
	free_callbacks();
}

static int __init livepatch_init(void)
{
	/* As many objects as entries at most, and one that closes the array. */
	size_t entries = (kpatch_funcs_end - kpatch_funcs_begin) +
			 (kpatch_objects_end - kpatch_objects_begin) +
			 (kpatch_pre_patch_end - kpatch_pre_patch_begin) +
			 (kpatch_post_patch_end - kpatch_post_patch_begin) +
			 (kpatch_pre_unpatch_end - kpatch_pre_unpatch_begin) +
			 (kpatch_post_unpatch_end - kpatch_post_unpatch_begin);
	int err;

	BUILD_BUG_ON(sizeof(struct kpatch_func) != 32);
	BUILD_BUG_ON(sizeof(struct kpatch_callback) != 16);

	if (!entries) {
		pr_err("%s: nothing to patch\n", THIS_MODULE->name);
		return -EINVAL;
	}

	patch.objs = kcalloc(entries + 1, sizeof(*patch.objs), GFP_KERNEL);
	if (!patch.objs)
		return -ENOMEM;

	err = add_objects();
	if (!err)
		err = clear_with_callbacks(entries);
	if (!err)
		err = klp_enable_patch(&patch);
	if (err)
		free_objects();
	return err;
}

/*
 * The core lets go of the module only after the patch is disabled, its
 * transition has ended and its kobjects are gone: nobody reads the arrays now.
 */
static void __exit livepatch_exit(void)
{
	free_objects();
}

module_init(livepatch_init);
module_exit(livepatch_exit);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
