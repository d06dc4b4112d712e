// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/fs.h>
#include <linux/slab.h>
#include "fs/erofs/internal.h"

static int __init probe(void)
{
	int (*load)(struct super_block *, struct erofs_super_block *, void *, int) =
		behaviour_function("erofs:z_erofs_load_lz4_config");
	struct super_block *sb = kzalloc(sizeof(*sb), GFP_KERNEL);
	struct erofs_sb_info *sbi = kzalloc(sizeof(*sbi), GFP_KERNEL);
	/* 300 blocks: 150 KiB with those of the file system, more than 1 MiB with the other ones. */
	struct z_erofs_lz4_cfgs config = { .max_pclusterblks = cpu_to_le16(300) };
	int error = -ENOENT, small, large;

	if (load && sb && sbi) {
		sb->s_fs_info = sbi;
		sb->s_blocksize_bits = 12;
		sbi->blkszbits = 9;
		small = load(sb, NULL, &config, sizeof(config));
		config.max_pclusterblks = cpu_to_le16(2049); /* too many of either */
		large = load(sb, NULL, &config, sizeof(config));
		error = behaviour_verdict(large == -EINVAL && small == 0, large == -EINVAL && small == -EINVAL, small);
	}
	kfree(sbi);
	kfree(sb);
	return error;
}
behaviour_module(probe);
