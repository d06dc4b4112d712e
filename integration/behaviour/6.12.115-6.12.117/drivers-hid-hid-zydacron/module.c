// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/hid.h>
#include <linux/slab.h>

static int __init probe(void)
{
	int (*raw_event)(struct hid_device *, struct hid_report *, u8 *, int) =
		behaviour_function("hid_zydacron:zc_raw_event");
	struct hid_device *device = kzalloc(sizeof(*device), GFP_KERNEL);
	struct hid_report *report = kzalloc(sizeof(*report), GFP_KERNEL);
	u8 data[2] = { 2, 0 };
	void *zc = kzalloc(64, GFP_KERNEL); /* struct zc_device: no key is down */
	int error = -ENOENT, two, one;

	if (raw_event && device && report && zc) {
		hid_set_drvdata(device, zc);
		device->claimed = HID_CLAIMED_INPUT;
		report->id = 2;
		two = raw_event(device, report, data, 2);
		one = raw_event(device, report, data, 1);
		error = behaviour_verdict(two == 1 && one == 0, two == 1 && one == 1, two);
	}
	kfree(zc);
	kfree(report);
	kfree(device);
	return error;
}
behaviour_module(probe);
