// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <media/cec.h>

static int enable(struct cec_adapter *adapter, bool on)
{
	return 0;
}

static int log_addr(struct cec_adapter *adapter, u8 address)
{
	return 0;
}

static int transmit(struct cec_adapter *adapter, u8 attempts, u32 time, struct cec_msg *message)
{
	return 0;
}

static const struct cec_adap_ops operations = {
	.adap_enable = enable,
	.adap_log_addr = log_addr,
	.adap_transmit = transmit,
};
static struct behaviour_watch events;
static struct cec_fh listener;

static int __init probe(void)
{
	struct cec_adapter *(*allocate)(const struct cec_adap_ops *, void *, const char *, u32, u8) =
		behaviour_function("cec:cec_allocate_adapter");
	void (*set)(struct cec_adapter *, u16, bool) = behaviour_function("cec:cec_s_phys_addr");
	void (*delete)(struct cec_adapter *) = behaviour_function("cec:cec_delete_adapter");
	struct cec_adapter *adapter;
	int i;

	if (!allocate || !set || !delete)
		return -ENOENT;
	adapter = allocate(&operations, NULL, "behaviour", CEC_CAP_DEFAULTS, 1);
	if (IS_ERR(adapter))
		return PTR_ERR(adapter);
	set(adapter, 0x1000, false);
	if (behaviour_watch(&events, "cec:cec_queue_event_fh")) {
		delete(adapter);
		return -ENOENT;
	}
	/* Somebody who has the device open. */
	mutex_init(&listener.lock);
	init_waitqueue_head(&listener.wait);
	for (i = 0; i < CEC_NUM_EVENTS; i++)
		INIT_LIST_HEAD(&listener.events[i]);
	list_add(&listener.list, &adapter->devnode.fhs);
	set(adapter, 0x2000, false);
	list_del(&listener.list);
	unregister_kprobe(&events.probe);
	delete(adapter);
	/* Unconfigured, and then configured. */
	return behaviour_verdict(events.calls == 2, events.calls == 3, events.calls);
}
behaviour_module(probe);
