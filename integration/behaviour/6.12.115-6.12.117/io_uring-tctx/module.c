// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/io_uring_types.h>
#include <linux/sched.h>
#include <linux/xarray.h>

static int __init probe(void)
{
	struct io_uring_task *own = current->io_uring;
	bool charged;

	if (!own)
		return -ENOENT;
	charged = own->xa.xa_flags & XA_FLAGS_ACCOUNT;
	return behaviour_verdict(charged, !charged && !xa_empty(&own->xa), 0);
}
behaviour_module(probe);
