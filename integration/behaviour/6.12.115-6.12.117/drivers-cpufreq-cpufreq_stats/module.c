// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/cpufreq.h>
#include <linux/slab.h>

/* As in drivers/cpufreq/cpufreq_stats.c, which has it for itself. */
struct cpufreq_stats {
	unsigned int total_trans;
	unsigned long long last_time;
	unsigned int max_state;
	unsigned int state_num;
	unsigned int last_index;
	u64 *time_in_state;
	unsigned int *freq_table;
	unsigned int *trans_table;
	unsigned int reset_pending;
	unsigned long long reset_time;
};

#define UNTOUCHED 0x5555

static int __init probe(void)
{
	void (*record)(struct cpufreq_policy *, unsigned int) = behaviour_function("cpufreq_stats_record_transition");
	struct cpufreq_policy *policy = kzalloc(sizeof(*policy), GFP_KERNEL);
	u64 *times = kzalloc(4 * sizeof(*times), GFP_KERNEL);
	unsigned int frequencies[1] = { 1000 }, transitions[1] = {};
	struct cpufreq_stats stats = {
		.freq_table = frequencies, .trans_table = transitions,
		.reset_pending = 1, .last_index = -1,
	};
	int error = -ENOENT;

	if (record && policy && times) {
		times[1] = UNTOUCHED;
		/* The index is 32 bits wide and has no sign: -1 is 32 GiB further on, which is times[1] here. */
		stats.time_in_state = (u64 *)((unsigned long)&times[1] - 0xffffffffUL * sizeof(u64));
		policy->stats = &stats;
		record(policy, 1000);
		error = behaviour_verdict(!stats.reset_pending && times[1] == UNTOUCHED,
					  !stats.reset_pending && times[1] != UNTOUCHED, times[1]);
	}
	kfree(times);
	kfree(policy);
	return error;
}
behaviour_module(probe);
