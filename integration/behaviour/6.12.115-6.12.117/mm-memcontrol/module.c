// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/memcontrol.h>
#include <linux/oom.h>
#include <linux/sched/coredump.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

static int __init probe(void)
{
	int (*charge)(struct mem_cgroup *, gfp_t, unsigned int) = behaviour_function("try_charge_memcg");
	struct mem_cgroup *(*group_of)(struct task_struct *) = behaviour_function("mem_cgroup_from_task");
	struct mm_struct *reaped = kzalloc(sizeof(*reaped), GFP_KERNEL), *before = current->signal->oom_mm;
	struct mem_cgroup *group;
	int error = -ENOENT, as_victim, other;
	long events[3];

	if (charge && group_of && reaped) {
		rcu_read_lock();
		group = group_of(current);
		rcu_read_unlock();
		__set_bit(MMF_OOM_SKIP, &reaped->flags);
		events[0] = atomic_long_read(&group->memory_events[MEMCG_MAX]);
		/* Far above the limit; without the right to kill anybody. */
		other = charge(group, GFP_KERNEL | __GFP_NORETRY, 100000);
		events[1] = atomic_long_read(&group->memory_events[MEMCG_MAX]);
		current->signal->oom_mm = reaped;
		as_victim = charge(group, GFP_KERNEL | __GFP_NORETRY, 100000);
		current->signal->oom_mm = before;
		events[2] = atomic_long_read(&group->memory_events[MEMCG_MAX]);
		error = behaviour_verdict(other && events[1] > events[0] && as_victim == -ENOMEM && events[2] == events[1],
					  other && events[1] > events[0] && as_victim == -ENOMEM && events[2] > events[1],
					  other);
	}
	kfree(reaped);
	return error;
}
behaviour_module(probe);
