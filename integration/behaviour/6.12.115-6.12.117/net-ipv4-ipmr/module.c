// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/inetdevice.h>
#include <linux/netdevice.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <net/net_namespace.h>

static int __init probe(void)
{
	int (*get_route)(struct net *, struct sk_buff *, __be32, __be32, struct rtmsg *, u32) =
		behaviour_function("ipmr_get_route");
	struct net_device *device = dev_get_by_name(&init_net, "router0");
	struct sk_buff *skb = alloc_skb(200, GFP_KERNEL);
	struct rtmsg route = {};

	if (!get_route || !device || !skb) {
		kfree_skb(skb);
		dev_put(device);
		return -ENOENT;
	}
	/* Room that is a little less than a header: the rest is added before it, and this is copied as it is. */
	memset(skb->data, 0xaa, 100);
	skb_reserve(skb, 18);
	skb_put(skb, 20);
	skb->dev = device;
	get_route(&init_net, skb, htonl(0x0a090002), htonl(0xe8010101), &route, 0);
	kfree_skb(skb);
	dev_put(device);
	return 0;
}
behaviour_module(probe);
