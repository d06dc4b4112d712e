// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/blkdev.h>
#include <linux/kdev_t.h>

static int __init probe(void)
{
	dev_t device = 0, none = MKDEV(1, 1);
	int right = lookup_bdev("/tmp/somebody", &device);
	int wrong = lookup_bdev("/tmp/nobody", &none);

	return behaviour_verdict(right == 0 && device == MKDEV(7, 0) && wrong == -ENODEV,
				 right == 0 && device == MKDEV(7, 0) && wrong == 0 && none == 0, wrong);
}
behaviour_module(probe);
