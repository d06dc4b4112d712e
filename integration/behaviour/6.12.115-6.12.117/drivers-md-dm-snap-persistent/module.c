// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/err.h>
#include <linux/slab.h>
#include "drivers/md/dm-exception-store.h"

/* As in drivers/md/dm-snap-persistent.c, which has it for itself. */
struct pstore {
	struct dm_exception_store *store;
	int version;
	int valid;
	uint32_t exceptions_per_area;
	void *area;
	void *zero_area;
	void *header_area;
	chunk_t current_area;
	chunk_t next_free;
	uint32_t current_committed;
	atomic_t pending_count;
	uint32_t callback_count;
	struct commit_callback *callbacks;
	struct dm_io_client *io_client;
	struct workqueue_struct *metadata_wq;
};

static struct behaviour_watch no_client = { .replace = true, .value = -ENOMEM };

static int __init probe(void)
{
	int (*read)(struct dm_exception_store *, void *, void *) =
		behaviour_function("dm_snapshot:persistent_read_metadata");
	struct dm_exception_store *store = kzalloc(sizeof(*store), GFP_KERNEL);
	struct pstore *own = kzalloc(sizeof(*own), GFP_KERNEL);
	int error = -ENOENT, got;

	if (read && store && own && !behaviour_watch(&no_client, "dm_mod:dm_io_client_create")) {
		store->context = own;
		store->chunk_size = 32;
		own->store = store;
		got = read(store, NULL, NULL);
		unregister_kprobe(&no_client.probe);
		error = behaviour_verdict(got == -ENOMEM && !own->io_client,
					  got == -ENOMEM && own->io_client == ERR_PTR(-ENOMEM), got);
	}
	kfree(own);
	kfree(store);
	return error;
}
behaviour_module(probe);
