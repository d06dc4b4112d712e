// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "drivers/nvme/target/nvmet.h"

static struct behaviour_watch timer = { .replace = true }, ended = { .replace = true };

static int __init probe(void)
{
	void (*keep_alive)(struct nvmet_req *) = behaviour_function("nvmet:nvmet_execute_keep_alive");
	struct nvmet_req *request = kzalloc(sizeof(*request), GFP_KERNEL);
	struct nvmet_ctrl *ctrl = kzalloc(sizeof(*ctrl), GFP_KERNEL);
	struct nvmet_sq *queue = kzalloc(sizeof(*queue), GFP_KERNEL);
	unsigned long used;
	int error = -ENOENT;

	if (!keep_alive || !request || !ctrl || !queue || behaviour_watch(&ended, "nvmet:nvmet_req_complete"))
		goto out;
	if (!behaviour_watch(&timer, "mod_delayed_work_on")) {
		ctrl->kato = 10;
		queue->ctrl = ctrl;
		request->sq = queue;
		preempt_disable(); /* so that the call is the last one */
		keep_alive(request);
		used = timer.arguments[1];
		preempt_enable();
		unregister_kprobe(&timer.probe);
		error = behaviour_verdict(used == (unsigned long)system_percpu_wq && ended.calls == 1,
					  used == (unsigned long)system_wq && ended.calls == 1, ended.calls);
	}
	unregister_kprobe(&ended.probe);
out:
	kfree(queue);
	kfree(ctrl);
	kfree(request);
	return error;
}
behaviour_module(probe);
