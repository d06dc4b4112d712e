// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/slab.h>
#include "security/apparmor/include/policy_ns.h"

static int __init probe(void)
{
	struct aa_ns *(*lookup)(struct aa_ns *, const char *, size_t) = behaviour_function("aa_lookupn_ns");
	struct aa_ns *view = kzalloc(sizeof(*view), GFP_KERNEL), *dying = kzalloc(sizeof(*dying), GFP_KERNEL), *found;
	struct aa_profile *unconfined = kzalloc(sizeof(*unconfined), GFP_KERNEL);
	int error = -ENOENT;

	if (lookup && view && dying && unconfined) {
		INIT_LIST_HEAD(&view->sub_ns);
		dying->base.name = "dying";
		dying->unconfined = unconfined; /* with a count of 0 */
		list_add(&dying->base.list, &view->sub_ns);
		found = lookup(view, "dying", 5);
		error = behaviour_verdict(!found, found == dying, 0);
	}
	kfree(unconfined);
	kfree(dying);
	kfree(view);
	return error;
}
behaviour_module(probe);
