// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/iomap.h>
#include <linux/slab.h>

/* One extent, and an error in place of the next one. */
static int begin(struct inode *inode, loff_t position, loff_t length, unsigned int flags, struct iomap *map,
		 struct iomap *source)
{
	if (position)
		return -EIO;
	map->type = IOMAP_MAPPED;
	map->offset = 0;
	map->length = 4096;
	map->addr = 8192;
	return 0;
}

static const struct iomap_ops operations = { .iomap_begin = begin };

static int __init probe(void)
{
	int (*fiemap)(struct inode *, struct fiemap_extent_info *, u64, u64, const struct iomap_ops *) =
		behaviour_function("iomap_fiemap");
	struct inode *inode = kzalloc(sizeof(*inode), GFP_KERNEL);
	struct super_block *sb = kzalloc(sizeof(*sb), GFP_KERNEL);
	struct fiemap_extent_info extents = {}; /* which counts them only */
	int error = -ENOENT, told;

	if (fiemap && inode && sb) {
		sb->s_maxbytes = MAX_LFS_FILESIZE;
		inode->i_sb = sb;
		inode->i_mode = S_IFREG;
		told = fiemap(inode, &extents, 0, 8192, &operations);
		error = behaviour_verdict(told == -EIO, told == 0 && extents.fi_extents_mapped == 1, told);
	}
	kfree(sb);
	kfree(inode);
	return error;
}
behaviour_module(probe);
