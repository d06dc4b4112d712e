// SPDX-License-Identifier: GPL-2.0
/* A livepatch as people write it by hand: structs that the compiler fills, no klp relocations. */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int new_version_show(struct seq_file *m, void *v)
{
	seq_puts(m, "patched by hand\n");
	return 0;
}

static int before(struct klp_object *obj)
{
	pr_info("patching\n");
	return 0;
}

#ifndef OLD_NAME
#define OLD_NAME "version_proc_show"
#endif

static struct klp_func vmlinux_funcs[] = {
	{ .old_name = OLD_NAME, .new_func = new_version_show },
	{ .old_name = "cmdline_proc_show", .new_func = new_version_show },
	{ }
};

static struct klp_func module_funcs[] = {
	{ .old_name = "xt_match_seq_show", .new_func = new_version_show, .old_sympos = 1 },
	{ }
};

static struct klp_object objs[] = {
	{ .funcs = vmlinux_funcs, .callbacks = { .pre_patch = before } },
	{ .name = "x_tables", .funcs = module_funcs },
	{ }
};

#ifdef WITH_STATE
static struct klp_state states[] = { { .id = 1, .version = 1 }, { } };
#endif

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
#ifdef WITH_STATE
	.states = states,
#endif
};

static int __init by_hand_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit by_hand_exit(void)
{
}

module_init(by_hand_init);
module_exit(by_hand_exit);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
