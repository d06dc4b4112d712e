// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/slab.h>

/* enum slab_state of mm/slab.h: caches can be made, and sysfs is there too. */
#define UP 2
#define FULL 3

static int *slab_state;
static struct kprobe boot;
static struct behaviour_watch unlink = { .replace = true }, release = { .replace = true };

/* The boot goes on as soon as the lock is free. */
static int go_on(struct kprobe *probe, struct pt_regs *regs)
{
	*slab_state = FULL;
	return 0;
}

static int __init probe(void)
{
	struct kmem_cache *cache;

	slab_state = behaviour_symbol("slab_state");
	if (!slab_state || *slab_state != FULL)
		return -ENOENT;
	boot.symbol_name = "cpus_read_unlock";
	boot.pre_handler = go_on;
	if (behaviour_watch(&unlink, "sysfs_slab_unlink"))
		return -ENOENT;
	if (behaviour_watch(&release, "sysfs_slab_release"))
		goto no_release;
	*slab_state = UP;
	cache = kmem_cache_create("behaviour", 200, 0, SLAB_NO_MERGE, NULL);
	*slab_state = FULL;
	if (!cache || register_kprobe(&boot))
		goto no_cache;
	*slab_state = UP;
	kmem_cache_destroy(cache);
	*slab_state = FULL;
	unregister_kprobe(&boot);
	behaviour_verdict(unlink.calls == 0 && release.calls == 0, unlink.calls == 1 && release.calls == 1, unlink.calls);
no_cache:
	unregister_kprobe(&release.probe);
no_release:
	unregister_kprobe(&unlink.probe);
	return 0;
}
behaviour_module(probe);
