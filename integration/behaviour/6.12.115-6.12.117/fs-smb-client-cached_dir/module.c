// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/fs.h>
#include <linux/slab.h>
#include <net/sock.h>
#include "fs/smb/client/cifsglob.h"
#include "fs/smb/client/cached_dir.h"

static struct completion done;

static void put_work(struct work_struct *work)
{
	complete(&done);
}

static int __init probe(void)
{
	int (*lease_break)(struct cifs_tcon *, __u8 *) = behaviour_function("cifs:cached_dir_lease_break");
	struct cifs_tcon *tcon = kzalloc(sizeof(*tcon), GFP_KERNEL);
	struct cached_fids *fids = kzalloc(sizeof(*fids), GFP_KERNEL);
	struct cached_fid *fid = kzalloc(sizeof(*fid), GFP_KERNEL);
	__u8 key[16] = "a lease's key..";
	int taken, error = -ENOENT;

	if (lease_break && tcon && fids && fid) {
		init_completion(&done);
		spin_lock_init(&tcon->tc_lock);
		tcon->tc_count = 1;
		tcon->status = TID_EXITING;
		tcon->cfids = fids;
		spin_lock_init(&fids->cfid_list_lock);
		INIT_LIST_HEAD(&fids->entries);
		INIT_WORK(&fid->put_work, put_work);
		memcpy(fid->fid.lease_key, key, sizeof(key));
		fid->has_lease = true;
		fid->on_list = true;
		list_add(&fid->entry, &fids->entries);
		fids->num_entries = 1;
		taken = lease_break(tcon, key);
		if (taken)
			wait_for_completion(&done);
		flush_work(&fid->put_work);
		error = behaviour_verdict(!taken && tcon->tc_count == 1, taken && tcon->tc_count == 2, tcon->tc_count);
	}
	kfree(fid);
	kfree(fids);
	kfree(tcon);
	return error;
}
behaviour_module(probe);
