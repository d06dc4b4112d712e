// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/in.h>
#include <linux/skbuff.h>
#include <net/net_namespace.h>
#include <net/netfilter/nf_tproxy.h>

static int __init probe(void)
{
	struct sock *(*get)(struct net *, struct sk_buff *, u8, __be32, __be32, __be16, __be16, const struct net_device *,
			    enum nf_tproxy_lookup_t) = behaviour_function("nf_tproxy_ipv4:nf_tproxy_get_sock_v4");
	struct sk_buff *skb = alloc_skb(100, GFP_KERNEL);

	if (!get || !skb) {
		kfree_skb(skb);
		return -ENOENT;
	}
	get(&init_net, skb, IPPROTO_ICMP, 0, 0, 0, 0, NULL, NF_TPROXY_LOOKUP_LISTENER);
	kfree_skb(skb);
	return 0;
}
behaviour_module(probe);
