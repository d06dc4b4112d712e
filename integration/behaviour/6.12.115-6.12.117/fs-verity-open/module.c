// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <linux/slab.h>

static int read_calls;

static int descriptor(struct inode *inode, void *buffer, size_t size)
{
	read_calls += buffer != NULL;
	return 100;
}

static const struct fsverity_operations operations = { .get_verity_descriptor = descriptor };

static int __init probe(void)
{
	int (*get)(struct inode *, void **) = behaviour_function("fsverity_get_descriptor");
	struct inode *inode = kzalloc(sizeof(*inode), GFP_KERNEL);
	struct super_block *sb = kzalloc(sizeof(*sb), GFP_KERNEL);
	int error = -ENOENT, got;
	void *found;

	if (get && inode && sb) {
		sb->s_vop = &operations;
		inode->i_sb = sb;
		got = get(inode, &found);
		error = behaviour_verdict(got == -EMSGSIZE && read_calls == 0, got == -EINVAL && read_calls == 1, got);
	}
	kfree(sb);
	kfree(inode);
	return error;
}
behaviour_module(probe);
