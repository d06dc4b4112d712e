// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/if_tap.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>

static int reader;
module_param(reader, int, 0);

static int __init probe(void)
{
	struct file *file = fget(reader);
	netdev_features_t features;
	struct tap_queue *queue;

	if (!file)
		return -EBADF;
	queue = file->private_data;
	rtnl_lock();
	features = rtnl_dereference(queue->tap)->tap_features;
	rtnl_unlock();
	fput(file);
	return behaviour_verdict(features & NETIF_F_HW_CSUM && features & NETIF_F_GSO_UDP_L4,
				 features & NETIF_F_HW_CSUM && !(features & NETIF_F_GSO_UDP_L4), reader);
}
behaviour_module(probe);
