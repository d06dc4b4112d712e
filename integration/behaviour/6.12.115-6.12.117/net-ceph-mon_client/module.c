// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/ceph/libceph.h>
#include <linux/ceph/mon_client.h>
#include <linux/err.h>
#include <linux/slab.h>

/* What comes behind the list of monitors fails, with an error of its own. */
static struct behaviour_watch auth = { .replace = true, .value = -EKEYREJECTED };

static int __init probe(void)
{
	int (*set_up)(struct ceph_mon_client *, struct ceph_client *) = behaviour_function("libceph:ceph_monc_init");
	struct ceph_client *client = kzalloc(sizeof(*client), GFP_KERNEL);
	struct ceph_options *options = kzalloc(sizeof(*options), GFP_KERNEL);
	int error = -ENOENT, none;

	if (set_up && client && options && !behaviour_watch(&auth, "libceph:ceph_auth_init")) {
		client->options = options;
		none = set_up(&client->monc, client);
		unregister_kprobe(&auth.probe);
		error = behaviour_verdict(none == -EINVAL && auth.calls == 0, none == -EKEYREJECTED && auth.calls == 1, none);
	}
	kfree(options);
	kfree(client);
	return error;
}
behaviour_module(probe);
