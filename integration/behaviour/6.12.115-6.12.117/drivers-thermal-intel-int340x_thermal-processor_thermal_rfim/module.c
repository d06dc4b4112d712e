// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/pci.h>
#include <linux/slab.h>
#include "drivers/thermal/intel/int340x_thermal/processor_thermal_device.h"

static struct behaviour_watch no_files = { .replace = true, .value = -ENOMEM };

static int __init probe(void)
{
	int (*add)(struct pci_dev *, struct proc_thermal_device *) =
		behaviour_function("processor_thermal_rfim:proc_thermal_rfim_add");
	struct pci_dev *device = kzalloc(sizeof(*device), GFP_KERNEL);
	struct proc_thermal_device *thermal = kzalloc(sizeof(*thermal), GFP_KERNEL);
	int error = -ENOENT, added;

	if (add && device && thermal && !behaviour_watch(&no_files, "sysfs_create_group")) {
		thermal->mmio_feature_mask = PROC_THERMAL_FEATURE_DVFS;
		added = add(device, thermal);
		unregister_kprobe(&no_files.probe);
		error = behaviour_verdict(no_files.calls == 1 && added == -ENOMEM, no_files.calls == 1 && added == 0, added);
	}
	kfree(thermal);
	kfree(device);
	return error;
}
behaviour_module(probe);
