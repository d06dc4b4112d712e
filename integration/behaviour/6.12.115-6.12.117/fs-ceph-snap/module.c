// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/ceph/auth.h>
#include <linux/slab.h>
#include "fs/ceph/super.h"
#include "fs/ceph/mds_client.h"

static struct behaviour_watch blocklist = { .replace = true };

static int __init probe(void)
{
	int (*update)(struct ceph_mds_client *, void *, void *, bool, struct ceph_snap_realm **) =
		behaviour_function("ceph:ceph_update_snap_trace");
	struct ceph_mds_client *mdsc = kzalloc(sizeof(*mdsc), GFP_KERNEL);
	struct ceph_fs_client *fsc = kzalloc(sizeof(*fsc), GFP_KERNEL);
	struct ceph_client *client = kzalloc(sizeof(*client), GFP_KERNEL);
	struct ceph_auth_client *auth = kzalloc(sizeof(*auth), GFP_KERNEL);
	/* As a 32 bit number their sum is 0; and there is none of them in the message. */
	struct ceph_mds_snap_realm message = {
		.ino = cpu_to_le64(77), .num_snaps = cpu_to_le32(0xffffffff), .num_prior_parent_snaps = cpu_to_le32(1),
	};
	struct ceph_snap_realm *realm = NULL;
	int error = -ENOENT, updated;

	if (update && mdsc && fsc && client && auth && !behaviour_watch(&blocklist, "libceph:ceph_monc_blocklist_add")) {
		client->monc.auth = auth;
		fsc->client = client;
		mdsc->fsc = fsc;
		mdsc->snap_realms = RB_ROOT;
		init_rwsem(&mdsc->snap_rwsem);
		spin_lock_init(&mdsc->snap_empty_lock);
		INIT_LIST_HEAD(&mdsc->snap_empty);
		down_write(&mdsc->snap_rwsem);
		updated = update(mdsc, &message, &message + 1, false, &realm);
		up_write(&mdsc->snap_rwsem);
		unregister_kprobe(&blocklist.probe);
		error = behaviour_verdict(updated == -EIO && !realm, updated == 0 && realm && realm->ino == 77, updated);
		if (realm) {
			kfree(realm->cached_context);
			kfree(realm);
		}
	}
	kfree(auth);
	kfree(client);
	kfree(fsc);
	kfree(mdsc);
	return error;
}
behaviour_module(probe);
