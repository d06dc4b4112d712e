// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/blkdev.h>
#include <linux/slab.h>
#include "drivers/nvme/host/nvme.h"

/* A device with 10 zones, of whose descriptors 7 fit into a report of 512 bytes. */
#define ZONES 10
#define ZONE_SECTORS 1024

static struct kprobe device;
static int commands, zones;

static noinline notrace void done(void)
{
	barrier();
}

/* In place of nvme_submit_sync_cmd(queue, command, buffer, length): all that fits, and nothing in the page behind it. */
static int answer(struct kprobe *probe, struct pt_regs *regs)
{
	struct nvme_zone_report *report = (void *)regs->dx;
	unsigned int i;

	commands++;
	memset(report, 0, PAGE_SIZE);
	report->nr_zones = cpu_to_le64(ZONES);
	for (i = 0; sizeof(*report) + (i + 1) * sizeof(report->entries[0]) <= regs->cx; i++)
		report->entries[i].zt = NVME_ZONE_TYPE_SEQWRITE_REQ;
	regs->ax = 0;
	regs->ip = (unsigned long)done;
	return 1;
}

static int count(struct blk_zone *zone, unsigned int index, void *data)
{
	zones++;
	return 0;
}

static int __init probe(void)
{
	int (*report_zones)(struct nvme_ns *, sector_t, unsigned int, report_zones_cb, void *) =
		behaviour_function("nvme_ns_report_zones");
	struct nvme_ns *ns = kzalloc(sizeof(*ns), GFP_KERNEL);
	struct nvme_ctrl *ctrl = kzalloc(sizeof(*ctrl), GFP_KERNEL);
	struct nvme_ns_head *head = kzalloc(sizeof(*head), GFP_KERNEL);
	struct gendisk *disk = kzalloc(sizeof(*disk), GFP_KERNEL);
	struct block_device *whole = kzalloc(sizeof(*whole), GFP_KERNEL);
	struct request_queue *queue = kzalloc(sizeof(*queue), GFP_KERNEL);
	int error = -ENOENT, told;

	device.symbol_name = "nvme_submit_sync_cmd";
	device.pre_handler = answer;
	if (report_zones && ns && ctrl && head && disk && whole && queue && !register_kprobe(&device)) {
		queue->limits.max_hw_sectors = 1;
		queue->limits.max_segments = 1;
		whole->bd_nr_sectors = ZONES * ZONE_SECTORS;
		disk->part0 = whole;
		disk->queue = queue;
		head->ids.csi = NVME_CSI_ZNS;
		head->zsze = ZONE_SECTORS;
		head->lba_shift = SECTOR_SHIFT;
		ns->disk = disk;
		ns->head = head;
		ns->ctrl = ctrl;
		ns->queue = queue;
		told = report_zones(ns, 0, ZONES, count, NULL);
		unregister_kprobe(&device);
		error = behaviour_verdict(told == ZONES && zones == ZONES && commands == 2,
					  told == -EINVAL && zones == 7 && commands == 1, told);
	}
	kfree(queue);
	kfree(whole);
	kfree(disk);
	kfree(head);
	kfree(ctrl);
	kfree(ns);
	return error;
}
behaviour_module(probe);
