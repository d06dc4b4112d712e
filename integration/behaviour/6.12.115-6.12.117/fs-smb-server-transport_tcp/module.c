// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/slab.h>
#include <net/net_namespace.h>

/* As in fs/smb/server/transport_tcp.c, which has it for itself. */
struct interface {
	struct task_struct *ksmbd_kthread;
	struct socket *ksmbd_socket;
	struct list_head entry;
	char *name;
	struct mutex sock_release_lock;
	int state;
};
#define DOWN BIT(0)
#define CONFIGURED BIT(1)

static struct interface serving = { .name = "outer0", .state = CONFIGURED };

static int __init probe(void)
{
	int (*event)(struct notifier_block *, unsigned long, void *) = behaviour_function("ksmbd:ksmbd_netdev_event");
	struct list_head *interfaces = behaviour_symbol("ksmbd:iface_list");
	struct net *elsewhere = kzalloc(sizeof(*elsewhere), GFP_KERNEL);
	struct net_device *device = kzalloc(sizeof(*device), GFP_KERNEL);
	struct netdev_notifier_info info = { .dev = device };
	int error = -ENOENT, own;

	if (event && interfaces && elsewhere && device) {
		mutex_init(&serving.sock_release_lock);
		list_add(&serving.entry, interfaces);
		strscpy(device->name, "outer0", IFNAMSIZ);
		write_pnet(&device->nd_net, &init_net);
		event(NULL, NETDEV_DOWN, &info);
		own = serving.state;
		serving.state = CONFIGURED;
		write_pnet(&device->nd_net, elsewhere);
		event(NULL, NETDEV_DOWN, &info);
		list_del(&serving.entry);
		/* That of its own namespace has to stop it in any case. */
		error = behaviour_verdict(own == DOWN && serving.state == CONFIGURED, own == DOWN && serving.state == DOWN,
					  own);
	}
	kfree(device);
	kfree(elsewhere);
	return error;
}
behaviour_module(probe);
